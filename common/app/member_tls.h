// Mutual TLS between members, from three PEM files that may be replaced while the process runs (a Secret that
// cert-manager renews): gRPC looks at them every kTlsRefresh, and new connections use what it finds. Connections that
// are open stay as they are.
//
// Who is trusted: whoever holds a certificate that chains to the CA file, in both directions, and nobody else. Names in
// certificates are not looked at, since members reach one another by IP: docs/decisions/0006-who-is-a-member.md.
//
// Thread rule: loaded by main; the credentials may be used by any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/app/tls_files.h"

namespace hive {

inline constexpr unsigned kTlsRefreshSeconds = 1;

class MemberTls {
 public:
  MemberTls();  // plaintext

  // Plaintext when no file is named. `flag_prefix`: "tls" of --tls-cert, --tls-key, --tls-ca. The error is one line
  // that names the flag: some of the three are missing, a file cannot be read, is no PEM, or the key is another
  // certificate's.
  static absl::StatusOr<MemberTls> Load(const TlsFiles& files, std::string_view flag_prefix);

  bool on() const { return on_; }
  const std::shared_ptr<grpc::ServerCredentials>& server() const { return server_; }
  const std::shared_ptr<grpc::ChannelCredentials>& channel() const { return channel_; }

 private:
  bool on_ = false;
  std::shared_ptr<grpc::ServerCredentials> server_;
  std::shared_ptr<grpc::ChannelCredentials> channel_;
};

// TLS handshakes of this process that have failed, as a server or as a client: gRPC tells its log, and nobody else.
// Counted while logging runs (log.h).
uint64_t FailedTlsHandshakes();

// For log.cc: true when a line of gRPC's log tells of a failed handshake, which is counted.
bool CountIfTlsFailure(std::string_view grpc_message);

}  // namespace hive
