// TLS towards redis, as coordinators and proxies have it: the same flags, the same rules.
//
// Thread rule: free functions, for main.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/app/flags.h"
#include "common/app/tls_files.h"
#include "common/app/tls_source.h"

namespace hive {

struct RedisTls {
  bool on = false;
  TlsFiles files;
};

// --redis-tls, --redis-tls-cert, --redis-tls-key and --redis-tls-ca. `tls` outlives `flags`.
void DeclareRedisTlsFlags(FlagSet& flags, RedisTls& tls);

// Null: plaintext. The error is one line that names the flag.
absl::StatusOr<std::shared_ptr<TlsSource>> OpenRedisTls(const RedisTls& tls);

}  // namespace hive
