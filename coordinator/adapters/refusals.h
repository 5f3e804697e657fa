// What was refused at the edge, before the core could hear of it: counted by reason for GetState, and logged at most
// once per kLogInterval and peer, since whoever is refused tries again, many times a second.
//
// Thread rule: any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "common/base/time.h"
#include "hive/v1/hive.pb.h"

namespace hive::coordinator {

class Refusals {
 public:
  static constexpr Duration kLogInterval = Seconds(30);
  // Peers whose last log line is remembered: each of a hundred members, and some strangers. Beyond that the rest share
  // one line per interval.
  static constexpr size_t kMaxPeers = 1000;

  enum class Reason : uint8_t {
    kNoProof,         // a call that does not prove knowledge of the members' secret
    kMalformedProof,  // a call with something else in place of the proof
    kWrongProof,      // a call that proves another secret
    kOtherReceiver,   // a proof that was made for another address: it is passed on by somebody who must not
    kOtherSender,     // a message that says it is from somebody else than the call's proof
    kUnprovenAnswer,  // an answer, or a beat, of somebody who does not prove the secret
    kMalformed,       // a message that makes no sense
    kOverload,        // one more than can be answered
  };
  static constexpr size_t kReasons = 8;
  static const char* Name(Reason reason);

  // `peer`: whom the log names, and is limited by; `detail`: what exactly.
  void Note(Reason reason, std::string_view peer, std::string_view detail);

  // The same limit for what is worth a line and is no refusal of ours.
  bool MayLog(std::string_view peer);

  uint64_t count(Reason reason) const { return counts_[static_cast<size_t>(reason)].load(std::memory_order_relaxed); }

  // How many by reason, failed TLS handshakes among them; all reasons, also those with 0.
  std::map<std::string, uint64_t> Counts() const;

  // Adds the counts that are not 0.
  void AddTo(v1::GetStateResponse* state) const;

 private:
  std::array<std::atomic<uint64_t>, kReasons> counts_{};

  std::mutex mutex_;  // guards what follows
  std::map<std::string, Instant, std::less<>> logged_;
  Instant logged_others_{};  // those beyond kMaxPeers
};

// Adds to the count of `reason` in `state`, which has one entry for each: both the edge and the core refuse.
void AddRefused(std::string_view reason, uint64_t count, v1::GetStateResponse* state);

}  // namespace hive::coordinator
