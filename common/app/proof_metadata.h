// Where proofs (peer_proof.h) lie in a call's metadata.
//
// Thread rule: free function.
#pragma once

#include <grpcpp/grpcpp.h>

#include <iterator>
#include <map>
#include <string_view>

namespace hive {

// The value of `key`, valid as long as the call's context. Empty if it is not there, or there more than once.
inline std::string_view MetadataValue(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata,
                                      const char* key) {
  const auto [first, last] = metadata.equal_range(key);
  if (first == last || std::next(first) != last) return {};
  return {first->second.data(), first->second.size()};
}

}  // namespace hive
