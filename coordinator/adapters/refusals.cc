#include "coordinator/adapters/refusals.h"

#include "common/app/log.h"
#include "common/app/member_tls.h"
#include "common/net/clock.h"

namespace hive::coordinator {
namespace {

constexpr std::string_view kTlsHandshake = "tls_handshake";

// For the log.
const char* Words(Refusals::Reason reason) {
  using Reason = Refusals::Reason;
  switch (reason) {
    case Reason::kNoProof:
      return "refused a call without a proof of the members' secret: has whoever calls the same --peer-secret-file or "
             "redis password?";
    case Reason::kMalformedProof:
      return "refused a call with a malformed proof of the members' secret";
    case Reason::kWrongProof:
      return "refused a call that proves another secret: have all members and proxies the same --peer-secret-file or "
             "redis password?";
    case Reason::kOtherReceiver:
      return "refused a call with a proof made for another address: is somebody passing it on, or is --advertise-ip "
             "wrong?";
    case Reason::kOtherSender:
      return "refused a message in somebody else's name";
    case Reason::kUnprovenAnswer:
      return "ignored the answer of one who does not prove the members' secret";
    case Reason::kMalformed:
      return "refused a message that makes no sense";
    case Reason::kOverload:
      return "refused a call: too many at once";
  }
  return "?";
}

}  // namespace

const char* Refusals::Name(Reason reason) {
  switch (reason) {
    case Reason::kNoProof:
      return "no_proof";
    case Reason::kMalformedProof:
      return "malformed_proof";
    case Reason::kWrongProof:
      return "wrong_proof";
    case Reason::kOtherReceiver:
      return "other_receiver";
    case Reason::kOtherSender:
      return "other_sender";
    case Reason::kUnprovenAnswer:
      return "unproven_answer";
    case Reason::kMalformed:
      return "malformed";
    case Reason::kOverload:
      return "overload";
  }
  return "?";
}

void Refusals::Note(Reason reason, std::string_view peer, std::string_view detail) {
  const uint64_t count = counts_[static_cast<size_t>(reason)].fetch_add(1, std::memory_order_relaxed) + 1;
  if (MayLog(peer)) LogWarning("peers", Words(reason), {{"peer", peer}, {"detail", detail}, {"count", count}});
}

bool Refusals::MayLog(std::string_view peer) {
  const Instant now = ReadMonotonicClock();
  const std::lock_guard lock(mutex_);
  auto found = logged_.find(peer);
  if (found == logged_.end() && logged_.size() >= kMaxPeers) {
    std::erase_if(logged_, [now](const auto& entry) { return now - entry.second >= kLogInterval; });
  }
  Instant* last = &logged_others_;
  if (found != logged_.end()) {
    last = &found->second;
  } else if (logged_.size() < kMaxPeers) {
    last = &logged_[std::string(peer)];
  }
  if (*last != Instant() && now - *last < kLogInterval) return false;
  *last = now;
  return true;
}

std::map<std::string, uint64_t> Refusals::Counts() const {
  std::map<std::string, uint64_t> counts{{std::string(kTlsHandshake), FailedTlsHandshakes()}};
  for (size_t i = 0; i < kReasons; ++i) {
    const auto reason = static_cast<Reason>(i);
    counts[Name(reason)] += count(reason);
  }
  return counts;
}

void Refusals::AddTo(v1::GetStateResponse* state) const {
  for (const auto& [reason, count] : Counts()) {
    if (count > 0) AddRefused(reason, count, state);
  }
}

void AddRefused(std::string_view reason, uint64_t count, v1::GetStateResponse* state) {
  for (v1::Refusal& refused : *state->mutable_refused()) {
    if (refused.reason() != reason) continue;
    refused.set_count(refused.count() + count);
    return;
  }
  v1::Refusal* refused = state->add_refused();
  refused->set_reason(std::string(reason));
  refused->set_count(count);
}

}  // namespace hive::coordinator
