// How the two ends of a call between members prove to one another that they know a common secret, without saying it.
//
// The caller draws a nonce and sends, as metadata of the call,
//   hive-proof: 1 NONCE SENDER RECEIVER HMAC(secret, "call", METHOD, NONCE, SENDER, RECEIVER)
// and the receiver answers, as initial metadata,
//   hive-proof-answer: HMAC(secret, "answer", METHOD, NONCE, SENDER, RECEIVER)
// with the secret that the caller has used. So a caller is no stranger, and neither is whoever answers at a member's
// address. RECEIVER is the address as dialled: a proof shown to one address is worth nothing at another. SENDER is who
// calls, as messages say it too. What this is not: encryption, or protection from whoever can read or change the
// connection (docs/security.md). That is what TLS is for.
//
// Thread rule: pure functions, and value types; a nonce comes from OpenSSL's random generator.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/app/peer_secrets.h"
#include "common/base/endpoint.h"

namespace hive {

inline constexpr char kProofKey[] = "hive-proof";
inline constexpr char kProofAnswerKey[] = "hive-proof-answer";

// More than any honest proof.
inline constexpr size_t kMaxProofBytes = 512;

// The caller's side of one call.
class CallProof {
 public:
  CallProof() = default;  // proves nothing and expects nothing
  // `method`: "Greet"; `sender`: who calls, without blanks; `receiver`: whom it dials.
  CallProof(std::shared_ptr<const PeerSecrets> secrets, std::string_view method, std::string_view sender,
            const Endpoint& receiver);

  // The value of kProofKey; empty: none is sent.
  const std::string& value() const { return value_; }

  // Is the answer that of one who knows a secret we accept? `answer`: the value of kProofAnswerKey, empty if there was
  // none.
  bool AnsweredBy(std::string_view answer) const;

 private:
  std::shared_ptr<const PeerSecrets> secrets_;
  std::string method_;
  std::string nonce_;
  std::string sender_;
  std::string receiver_;
  std::string value_;
};

// The receiver's verdict on a call.
struct ProofVerdict {
  enum class Outcome {
    kProven,         // `sender` and `answer` are set
    kUnproven,       // shows none, and is accepted nevertheless
    kMissing,        // shows none
    kMalformed,      // shows something else
    kWrong,          // of a secret that is not accepted
    kOtherReceiver,  // meant for another address: somebody passes on what was shown to him
  };
  Outcome outcome = Outcome::kMissing;
  std::string sender = {};
  std::string answer = {};

  bool accepted() const { return outcome == Outcome::kProven || outcome == Outcome::kUnproven; }
};

// `value`: of kProofKey, empty if there was none. `is_own`: is this an address of ours? Asked only about calls that
// were proved.
ProofVerdict CheckProof(const PeerSecrets& secrets, std::string_view method, std::string_view value,
                        const std::function<bool(const Endpoint&)>& is_own);

}  // namespace hive
