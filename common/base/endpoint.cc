#include "common/base/endpoint.h"

#include <arpa/inet.h>

#include <charconv>

namespace hive {

std::string ToString(const Endpoint& endpoint) {
  const bool v6 = endpoint.ip.find(':') != std::string::npos;
  return (v6 ? "[" + endpoint.ip + "]" : endpoint.ip) + ":" + std::to_string(endpoint.port);
}

std::optional<std::string> CanonicalIp(std::string_view text) {
  const std::string copy(text);
  unsigned char address[16];
  char canonical[INET6_ADDRSTRLEN];
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, copy.c_str(), address) != 1) continue;
    if (inet_ntop(family, address, canonical, sizeof canonical) == nullptr) return std::nullopt;
    return std::string(canonical);
  }
  return std::nullopt;
}

std::optional<Endpoint> ParseEndpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;

  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0) return std::nullopt;

  const std::optional<std::string> ip = CanonicalIp(host);
  if (!ip) return std::nullopt;
  return Endpoint{*ip, port};
}

std::string ToString(const ListenAddress& address) {
  return address.ip.empty() ? "*:" + std::to_string(address.port) : ToString(Endpoint{address.ip, address.port});
}

std::optional<ListenAddress> ParseListenAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  const std::string_view host = colon == std::string_view::npos ? "" : text.substr(0, colon);
  const std::string port(colon == std::string_view::npos ? text : text.substr(colon + 1));
  const bool everywhere = host.empty() || host == "*";
  const std::optional<Endpoint> endpoint = ParseEndpoint(everywhere ? "0.0.0.0:" + port : std::string(text));
  if (!endpoint) return std::nullopt;
  return ListenAddress{everywhere ? "" : endpoint->ip, endpoint->port};
}

}  // namespace hive
