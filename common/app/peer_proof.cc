#include "common/app/peer_proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <utility>

namespace hive {
namespace {

constexpr std::string_view kVersion = "1";
constexpr std::string_view kCall = "call";
constexpr std::string_view kAnswer = "answer";
constexpr size_t kNonceBytes = 16;

std::string Hex(const uint8_t* bytes, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * size);
  for (size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

// In hexadecimal. Each field goes in with its length, so that no two lists of fields look the same.
std::string Mac(const PeerKey& key, std::initializer_list<std::string_view> fields) {
  std::string input;
  for (const std::string_view field : fields) {
    input += std::to_string(field.size());
    input += ':';
    input += field;
  }
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const uint8_t*>(input.data()),
       input.size(), digest.data(), &size);
  return Hex(digest.data(), size);
}

// In a time that does not tell how much of it fits.
bool Same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// Exactly five words, one blank between each two.
std::optional<std::array<std::string_view, 5>> Words(std::string_view text) {
  std::array<std::string_view, 5> words;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t blank = text.find(' ');
    const bool last = i + 1 == words.size();
    if (last != (blank == std::string_view::npos)) return std::nullopt;
    words[i] = text.substr(0, blank);
    if (words[i].empty()) return std::nullopt;
    if (!last) text.remove_prefix(blank + 1);
  }
  return words;
}

}  // namespace

CallProof::CallProof(std::shared_ptr<const PeerSecrets> secrets, std::string_view method, std::string_view sender,
                     const Endpoint& receiver)
    : secrets_(std::move(secrets)), method_(method), sender_(sender), receiver_(ToString(receiver)) {
  if (!secrets_->used) return;
  std::array<uint8_t, kNonceBytes> nonce{};
  if (RAND_bytes(nonce.data(), static_cast<int>(nonce.size())) != 1) return;  // then no answer is believed either
  nonce_ = Hex(nonce.data(), nonce.size());
  value_ = std::string(kVersion) + ' ' + nonce_ + ' ' + sender_ + ' ' + receiver_ + ' ' +
           Mac(*secrets_->used, {kCall, method_, nonce_, sender_, receiver_});
}

bool CallProof::AnsweredBy(std::string_view answer) const {
  if (secrets_ == nullptr || secrets_->accepts_unproven) return true;
  return secrets_->used && !nonce_.empty() &&
         Same(answer, Mac(*secrets_->used, {kAnswer, method_, nonce_, sender_, receiver_}));
}

ProofVerdict CheckProof(const PeerSecrets& secrets, std::string_view method, std::string_view value,
                        const std::function<bool(const Endpoint&)>& is_own) {
  using Outcome = ProofVerdict::Outcome;
  // Whoever accepts everybody has nothing to compare with, either: a proof of a secret that it does not know.
  if (value.empty()) return {secrets.accepts_unproven ? Outcome::kUnproven : Outcome::kMissing};
  if (value.size() > kMaxProofBytes) return {Outcome::kMalformed};
  const auto words = Words(value);
  if (!words || (*words)[0] != kVersion) return {Outcome::kMalformed};
  const auto& [version, nonce, sender, receiver, mac] = *words;
  const auto key = std::find_if(secrets.accepted.begin(), secrets.accepted.end(), [&](const PeerKey& candidate) {
    return Same(mac, Mac(candidate, {kCall, method, nonce, sender, receiver}));
  });
  if (key == secrets.accepted.end()) return {secrets.accepts_unproven ? Outcome::kUnproven : Outcome::kWrong};
  const std::optional<Endpoint> dialled = ParseEndpoint(receiver);
  if (!dialled || !is_own(*dialled)) return {Outcome::kOtherReceiver};
  return {Outcome::kProven, std::string(sender), Mac(*key, {kAnswer, method, nonce, sender, receiver})};
}

}  // namespace hive
