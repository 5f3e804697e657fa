// Who leads, and whether it may be written to, as far as this proxy may believe: what the watch said, reduced to one
// snapshot. PURE: answers of the watch and the time in, snapshots out.
//
// Thread rule: LeaderView belongs to one thread (the watch client's). LeaderSnapshot is a value that is copied to every
// event loop.
// docs: docs/proxy.md, "The watch".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"

namespace hive::proxy {

// What a proxy may do with commands that write. Set by the leading coordinator, carried by hive.v1.WatchResponse.
enum class WriteState : uint8_t {
  kNoLeader,  // no leader: everything waits
  kOpen,      // write, while the lease lasts
  kHold,      // leadership is about to move: new commands wait; replies to those already sent pass
  kFenced,    // the leader doubts that it leads: new writes wait, and so do replies to writes
};

// A leadership: one member holding one term, with one redis.
struct Leadership {
  uint64_t term = 0;         // grows with every leadership; 0 = none
  std::string ip;            // of the leading member
  uint64_t incarnation = 0;  // of its coordinator's process
  Endpoint redis;            // where its redis listens

  bool empty() const { return term == 0; }

  // Whether `other` is the same redis under the same coordinator process, whatever the terms. A leader that takes a
  // higher term (two leaders settled, and it won) keeps its redis, and with it every connection to that redis.
  bool SameRedis(const Leadership& other) const {
    return ip == other.ip && incarnation == other.incarnation && redis == other.redis;
  }

  friend bool operator==(const Leadership&, const Leadership&) = default;
};

// What every event loop knows about the leader.
struct LeaderSnapshot {
  Leadership leader;  // empty while there is none
  WriteState write_state = WriteState::kNoLeader;
  Instant lease_until{};  // end of the right to act on `leader`; renewed with about every answer

  // How the leadership before this one ended. Leaders hold writes before they hand over, so one whose last word was
  // HOLD has (all but surely) had its redis caught up with, parked and only then succeeded: what it still answers
  // holds.
  bool handed_over = false;
  Instant former_lease_until{};  // ... for as long as its lease would have run

  // Whether new commands that write may be sent to the leader.
  bool MayWrite(Instant now) const { return !leader.empty() && write_state == WriteState::kOpen && now < lease_until; }

  // Whether new commands that only read may be sent to the leader. They need no lease; but one whose last word was HOLD
  // may have been succeeded, and its redis know nothing of what was written since.
  bool MayRead() const { return !leader.empty() && write_state != WriteState::kHold; }

  // Whether the reply to a write may be passed on to its client. Without a lease another leader may have been elected
  // that never saw the write, so nobody may be told that it was done.
  bool MayConfirmWrites(Instant now) const { return ConfirmsWrites() && now < lease_until; }

  // The same, but for the lease.
  bool ConfirmsWrites() const {
    return !leader.empty() && (write_state == WriteState::kOpen || write_state == WriteState::kHold);
  }

  // The same of a reply that the former leader's redis still owes after it has handed over. Without its lease it may
  // have been succeeded twice since, and by one that never saw the write.
  bool MayConfirmFormerWrites(Instant now) const { return handed_over && now < former_lease_until; }

  friend bool operator==(const LeaderSnapshot&, const LeaderSnapshot&) = default;
};

// One answer of a coordinator: a decoded hive.v1.WatchResponse.
struct WatchAnswer {
  std::optional<Instant> asked;  // when the echoed question was sent; nothing: grants no lease
  Duration held{};               // for how long it then waited for this answer, at the coordinator
  std::string hive;
  Leadership leader;  // empty: it knows of none
  WriteState write_state = WriteState::kNoLeader;
  uint64_t handed_over_by = 0;  // term of the leadership that ended by handing over to this one; 0: it was elected
  Duration claim_age{};
  Duration lease{};
  std::vector<Endpoint> coordinators;  // every member's
};

class LeaderView {
 public:
  enum class Verdict : uint8_t {
    kBelieved,   // the snapshot is what the answer said
    kOutdated,   // contradicts a claim whose lease still runs, and is not newer, or knows less: ignored
    kOtherHive,  // the answer of another hive's coordinator (a reused IP): ignored, and that member not asked again
  };

  // Takes an answer in. `own`: it came from this pod's coordinator, which says what the hive is called; other members
  // must agree.
  Verdict Heard(Instant now, bool own, const WatchAnswer& answer);
  // That stream is over: what comes next over one is somebody else's word.
  void Left(bool own) { WitnessOf(own) = {}; }

  // Whether any leader has ever been believed in.
  bool has_known_leader() const { return !latest_.leader.empty(); }

  const LeaderSnapshot& snapshot() const { return snapshot_; }

  // Whether the last word of the latest leader was HOLD: it has handed over, or is about to.
  bool hands_over() const { return latest_.write_state == WriteState::kHold; }

  // The hive's name, once the own coordinator has said it; empty before.
  const std::string& hive() const { return hive_; }

  // Every member's coordinator, as last heard; the pod's own may be among them under its pod IP.
  const std::vector<Endpoint>& coordinators() const { return coordinators_; }

 private:
  // What a stream has said.
  struct Witness {
    uint64_t newest_term = 0;  // that it ever named
    Leadership names;          // in its last answer
  };
  Witness& WitnessOf(bool own) { return witnesses_[own ? 1 : 0]; }
  bool MayEnd(Instant now, bool own) const;

  LeaderSnapshot snapshot_;
  LeaderSnapshot latest_;  // the latest one with a leader, as last heard
  std::array<Witness, 2> witnesses_;
  std::string hive_;
  std::vector<Endpoint> coordinators_;
};

}  // namespace hive::proxy
