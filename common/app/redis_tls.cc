#include "common/app/redis_tls.h"

namespace hive {

void DeclareRedisTlsFlags(FlagSet& flags, RedisTls& tls) {
  flags.Add("redis-tls", &tls.on, "TLS towards redis, whose certificate --redis-tls-ca must have signed");
  DeclareTlsFlags(flags, "redis-tls", tls.files, "redis, if it asks for one");
}

absl::StatusOr<std::shared_ptr<TlsSource>> OpenRedisTls(const RedisTls& tls) {
  if (!tls.on && tls.files.empty()) return nullptr;
  if (!tls.on) {
    return absl::InvalidArgumentError("--redis-tls is missing, for which --redis-tls-cert, -key and -ca are");
  }
  if (tls.files.authority.empty()) {
    return absl::InvalidArgumentError(
        "--redis-tls-ca is missing: the authority that signs redis-servers' certificates");
  }
  return TlsSource::Open({.files = tls.files,
                          .flag_prefix = "redis-tls",
                          .side = TlsContext::Side::kClient,
                          .peer = TlsContext::PeerCertificate::kRequired});
}

}  // namespace hive
