// Where a server listens: an IP address in canonical text form, and a port.
//
// Thread rule: value type.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hive {

struct Endpoint {
  std::string ip;     // canonical text: dotted quad, or RFC 5952 for IPv6 without brackets; empty = none
  uint16_t port = 0;  // 0 = none

  bool empty() const { return ip.empty(); }

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// "10.0.0.1:7400", or "[fd00::1]:7400".
std::string ToString(const Endpoint& endpoint);

// Reads "10.0.0.1:7400" or "[fd00::1]:7400"; the IP is brought to canonical form. No names: nothing here resolves.
// Nothing on malformed text, a port of 0 or one beyond 65535.
std::optional<Endpoint> ParseEndpoint(std::string_view text);

// Where a server of ours shall listen.
struct ListenAddress {
  std::string ip;     // canonical text; empty = all addresses of both families
  uint16_t port = 0;  // 0 = any free port (tests)

  friend auto operator<=>(const ListenAddress&, const ListenAddress&) = default;
};

// "10.0.0.1:7400", "[fd00::1]:7400", or "*:7400" for all addresses.
std::string ToString(const ListenAddress& address);

// Reads "10.0.0.1:7400" and "[fd00::1]:7400"; "7400", ":7400" and "*:7400" mean all addresses of both families.
// Nothing on malformed text or a port of 0.
std::optional<ListenAddress> ParseListenAddress(std::string_view text);

// The canonical text of an IPv4 or IPv6 address, so that equal addresses are equal strings and sort the same on every
// member. Nothing when `text` is not an address.
std::optional<std::string> CanonicalIp(std::string_view text);

}  // namespace hive
