#include "common/app/member_tls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <atomic>
#include <utility>

#include "common/app/small_file.h"

namespace hive {
namespace {

// More than any chain or bundle of a hive's; a file beyond it is the wrong file.
constexpr size_t kMaxPemBytes = 1 << 20;

std::atomic<uint64_t> failed_handshakes = 0;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// Instead of OpenSSL's, which would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

Owned<BIO> Bytes(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
Owned<X509> ParseCertificate(const std::string& pem) {
  return Owned<X509>(PEM_read_bio_X509(Bytes(pem).get(), nullptr, NoPassphrase, nullptr));
}

absl::Status Refuse(const std::string& flag, const std::string& file, std::string_view why) {
  return absl::InvalidArgumentError(flag + "=" + file + ": " + std::string(why));
}

absl::Status Check(const TlsFiles& files, const std::string& prefix) {
  const std::pair<std::string, const std::string*> named[] = {
      {prefix + "-cert", &files.certificate}, {prefix + "-key", &files.key}, {prefix + "-ca", &files.authority}};
  std::string pem[3];
  for (size_t i = 0; i < 3; ++i) {
    const auto& [flag, file] = named[i];
    if (file->empty()) {
      return absl::InvalidArgumentError(flag + " is missing: mutual TLS needs all of " + named[0].first + ", " +
                                        named[1].first + " and " + named[2].first);
    }
    absl::StatusOr<std::string> text = ReadSmallFile(*file, kMaxPemBytes);
    if (!text.ok()) return Refuse(flag, *file, std::string(text.status().message()));
    pem[i] = *std::move(text);
  }
  const Owned<X509> certificate = ParseCertificate(pem[0]);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(Bytes(pem[1]).get(), nullptr, NoPassphrase, nullptr));
  const bool has_authority = ParseCertificate(pem[2]) != nullptr;
  const bool fits = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();  // of this thread, which nobody else should find
  if (!certificate) return Refuse(named[0].first, files.certificate, "holds no certificate in PEM form");
  if (!key) return Refuse(named[1].first, files.key, "holds no private key in PEM form, or an encrypted one");
  if (!has_authority) return Refuse(named[2].first, files.authority, "holds no certificate in PEM form");
  if (!fits) return Refuse(named[1].first, files.key, "is not the key of the certificate in " + files.certificate);
  return absl::OkStatus();
}

}  // namespace

void DeclareTlsFlags(FlagSet& flags, std::string_view prefix, TlsFiles& files, std::string_view whom) {
  const std::string name(prefix);
  const std::string with = " towards " + std::string(whom);
  flags.Add(name + "-cert", &files.certificate, "PEM file with this process's certificate, for mutual TLS" + with);
  flags.Add(name + "-key", &files.key, "PEM file with that certificate's key");
  flags.Add(name + "-ca", &files.authority, "PEM file with the authority that signs members' certificates");
}

MemberTls::MemberTls() : server_(grpc::InsecureServerCredentials()), channel_(grpc::InsecureChannelCredentials()) {}

absl::StatusOr<MemberTls> MemberTls::Load(const TlsFiles& files, std::string_view flag_prefix) {
  MemberTls tls;
  if (files.empty()) return tls;
  if (const absl::Status status = Check(files, "--" + std::string(flag_prefix)); !status.ok()) return status;

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
