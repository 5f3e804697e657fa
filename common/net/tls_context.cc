#include "common/net/tls_context.h"

#include <openssl/ssl.h>

#include <string_view>
#include <utility>
#include <vector>

#include "common/net/openssl.h"

namespace hive {
namespace {

absl::Status Refuse(std::string_view what) {
  return absl::InvalidArgumentError(std::string(what) + ": " + TakeOpensslError());
}

absl::Status UseCertificate(SSL_CTX* context, const TlsPem& pem) {
  const std::vector<OwnedOpenssl<X509>> chain = ParseCertificates(pem.certificate);
  if (chain.empty()) return absl::InvalidArgumentError("there is no certificate in PEM form");
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) return Refuse("the certificate is not usable");
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) return Refuse("an intermediate is not usable");
  }
  const OwnedOpenssl<EVP_PKEY> key = ParsePrivateKey(pem.key);
  if (!key) return absl::InvalidArgumentError("there is no private key in PEM form, or an encrypted one");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return Refuse("the key is not usable");
  return absl::OkStatus();
}

absl::Status Trust(SSL_CTX* context, const std::string& authority, bool tell_clients) {
  const std::vector<OwnedOpenssl<X509>> certificates = ParseCertificates(authority);
  if (certificates.empty()) return absl::InvalidArgumentError("there is no authority's certificate in PEM form");
  for (const OwnedOpenssl<X509>& certificate : certificates) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) != 1 ||
        (tell_clients && SSL_CTX_add_client_CA(context, certificate.get()) != 1)) {
      return Refuse("an authority's certificate is not usable");
    }
  }
  return absl::OkStatus();
}

int VerifyMode(TlsContext::PeerCertificate peer) {
  switch (peer) {
    case TlsContext::PeerCertificate::kNotAsked:
      return SSL_VERIFY_NONE;
    case TlsContext::PeerCertificate::kIfGiven:
      return SSL_VERIFY_PEER;
    case TlsContext::PeerCertificate::kRequired:
      return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  }
  return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Make(Side side, const TlsPem& pem, PeerCertificate peer) {
  const bool serves = side == Side::kServer;
  std::unique_ptr<ssl_ctx_st, Free> context(SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method()));
  if (!context) return Refuse("OpenSSL does not work");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // A renegotiation would make reading wait for writing; TLS 1.3 has none either.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  // An idle connection has no buffers.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  // Sessions are resumed by tickets, which the client keeps; they end with this context, as whom it trusts may change.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  constexpr unsigned char kSessions[] = "redis-hive";
  SSL_CTX_set_session_id_context(context.get(), kSessions, sizeof kSessions - 1);

  if (serves || !pem.certificate.empty()) {
    if (const absl::Status status = UseCertificate(context.get(), pem); !status.ok()) return status;
  }
  if (peer != PeerCertificate::kNotAsked) {
    if (const absl::Status status = Trust(context.get(), pem.authority, serves); !status.ok()) return status;
  }
  SSL_CTX_set_verify(context.get(), VerifyMode(peer), nullptr);
  return std::shared_ptr<const TlsContext>(new TlsContext(side, std::move(context)));
}

}  // namespace hive
