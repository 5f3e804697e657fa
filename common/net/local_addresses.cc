#include "common/net/local_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>

namespace hive {
namespace {

uint32_t V4Bits(const sockaddr* address) {
  return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
}

std::optional<std::string> Text(const sockaddr* address) {
  const void* bits = nullptr;
  if (address->sa_family == AF_INET) bits = &reinterpret_cast<const sockaddr_in*>(address)->sin_addr;
  if (address->sa_family == AF_INET6) bits = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  char text[INET6_ADDRSTRLEN];
  if (bits == nullptr || inet_ntop(address->sa_family, bits, text, sizeof text) == nullptr) return std::nullopt;
  return std::string(text);
}

}  // namespace

LocalAddresses LocalAddresses::Read() {
  LocalAddresses result;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return result;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const std::optional<std::string> text = Text(entry->ifa_addr);
    if (!text) continue;
    result.all_.push_back(*text);
    const bool loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    if (loopback && entry->ifa_addr->sa_family == AF_INET && entry->ifa_netmask != nullptr) {
      const uint32_t mask = V4Bits(entry->ifa_netmask);
      result.loopback_networks_.emplace_back(V4Bits(entry->ifa_addr) & mask, mask);
    }
  }
  std::sort(result.all_.begin(), result.all_.end());
  result.all_.erase(std::unique(result.all_.begin(), result.all_.end()), result.all_.end());
  return result;
}

bool LocalAddresses::Contains(std::string_view ip) const {
  if (std::binary_search(all_.begin(), all_.end(), ip)) return true;
  in_addr v4;
  if (inet_pton(AF_INET, std::string(ip).c_str(), &v4) != 1) return false;
  const uint32_t bits = ntohl(v4.s_addr);
  return std::any_of(loopback_networks_.begin(), loopback_networks_.end(),
                     [bits](const auto& network) { return (bits & network.second) == network.first; });
}

std::vector<std::string> LocalAddresses::Among(const std::vector<std::string>& addresses) const {
  std::vector<std::string> local;
  std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(local),
               [this](const std::string& ip) { return Contains(ip); });
  return local;
}

}  // namespace hive
