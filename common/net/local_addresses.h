// The IP addresses of this machine (of this network namespace).
//
// Thread rule: value type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hive {

class LocalAddresses {
 public:
  // Asks the kernel (getifaddrs). Empty when the kernel does not answer.
  static LocalAddresses Read();

  // Is `ip` (canonical text) this machine's? Every address of a loopback interface's network counts: Linux treats all
  // of 127.0.0.0/8 as local although only 127.0.0.1 is configured.
  bool Contains(std::string_view ip) const;

  // Those of `addresses` that are this machine's, in their order. One of them: "the local address that DNS lists".
  std::vector<std::string> Among(const std::vector<std::string>& addresses) const;

  // The configured addresses: canonical text, sorted, without duplicates, without scope ids.
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_;
  std::vector<std::pair<uint32_t, uint32_t>> loopback_networks_;  // IPv4 (network, mask), host byte order
};

}  // namespace hive
