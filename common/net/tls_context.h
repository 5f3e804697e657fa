// What one end of a TLS connection brings along: its certificate, whom it trusts, and which versions it speaks (1.2 and
// 1.3). Made of PEM text, since files are somebody else's business (common/app/tls_source.h).
//
// Who is trusted: whoever holds a certificate that chains to `authority`. Names in certificates are not looked at:
// docs/decisions/0006-who-is-a-member.md.
//
// Thread rule: immutable, so it may be shared; connections keep the one that they were made with.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct ssl_ctx_st;
struct ssl_st;

namespace hive {

// The text of PEM files; empty: there is none.
struct TlsPem {
  std::string certificate;  // one's own, and the intermediates that lead to the authority
  std::string key;          // of the certificate, not encrypted
  std::string authority;    // one or more certificates: during a change of the CA, the old and the new
};

class TlsContext {
 public:
  enum class Side { kServer, kClient };
  // Whether the peer must show a certificate. A server always does, to a client that names an authority.
  enum class PeerCertificate { kNotAsked, kIfGiven, kRequired };

  // The error says what is wrong with the text: "the certificate is not usable: ee key too small".
  static absl::StatusOr<std::shared_ptr<const TlsContext>> Make(Side side, const TlsPem& pem, PeerCertificate peer);

  Side side() const { return side_; }

 private:
  friend class TlsStream;
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };

  TlsContext(Side side, std::unique_ptr<ssl_ctx_st, Free> context) : side_(side), context_(std::move(context)) {}

  const Side side_;
  const std::unique_ptr<ssl_ctx_st, Free> context_;
};

}  // namespace hive
