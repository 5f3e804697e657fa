#include "common/app/member_tls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <atomic>
#include <utility>

namespace hive {
namespace {

std::atomic<uint64_t> failed_handshakes = 0;

absl::Status Check(const TlsFiles& files, const std::string& prefix) {
  const std::pair<std::string, const std::string*> named[] = {
      {"-cert", &files.certificate}, {"-key", &files.key}, {"-ca", &files.authority}};
  for (const auto& [flag, file] : named) {
    if (!file->empty()) continue;
    return absl::InvalidArgumentError("--" + prefix + flag + " is missing: mutual TLS needs all of --" + prefix +
                                      "-cert, --" + prefix + "-key and --" + prefix + "-ca");
  }
  return ReadTlsFiles(files, prefix).status();
}

}  // namespace

MemberTls::MemberTls() : server_(grpc::InsecureServerCredentials()), channel_(grpc::InsecureChannelCredentials()) {}

absl::StatusOr<MemberTls> MemberTls::Load(const TlsFiles& files, std::string_view flag_prefix) {
  MemberTls tls;
  if (files.empty()) return tls;
  if (const absl::Status status = Check(files, std::string(flag_prefix)); !status.ok()) return status;

  namespace experimental = grpc::experimental;
  const auto provider = std::make_shared<experimental::FileWatcherCertificateProvider>(
      files.key, files.certificate, files.authority, kTlsRefreshSeconds);

  experimental::TlsServerCredentialsOptions server(provider);
  server.watch_root_certs();
  server.watch_identity_key_cert_pairs();
  server.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);

  experimental::TlsChannelCredentialsOptions channel;
  channel.set_certificate_provider(provider);
  channel.watch_root_certs();
  channel.watch_identity_key_cert_pairs();
  // The chain is verified by the handshake itself; what is left out is the comparison with a host name.
  channel.set_verify_server_certs(true);
  channel.set_certificate_verifier(std::make_shared<experimental::NoOpCertificateVerifier>());
  channel.set_check_call_host(false);

  tls.on_ = true;
  tls.server_ = experimental::TlsServerCredentials(server);
  tls.channel_ = experimental::TlsCredentials(channel);
  return tls;
}

uint64_t FailedTlsHandshakes() { return failed_handshakes.load(std::memory_order_relaxed); }

bool CountIfTlsFailure(std::string_view grpc_message) {
  if (grpc_message.find("Handshake failed with fatal error") == std::string_view::npos) return false;
  failed_handshakes.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace hive
