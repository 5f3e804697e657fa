// What the core keeps while a member joins, stands, promotes, leads, follows or leaves, and of what it has asked.
//
// Thread rule: value types, the core's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "coordinator/election/claim.h"
#include "coordinator/election/events.h"
#include "coordinator/election/messages.h"
#include "coordinator/replication/switch.h"

namespace hive::election {

// Joining: no leader, no candidacy.
struct Joining {
  Instant since;
  Instant stand_not_before;    // pace after standing back, ceding, being refused
  bool patience_over = false;  // the empties begin without members that were silent for empty_wait
  bool foreign = false;        // a leader was found, of a dataset that this member's data is no part of
};

// What one member said in the round.
struct Answer {
  CampaignVerdict verdict = CampaignVerdict::kDeferral;
  WallMicros started = 0;
  Standing standing;
  Identity identity;
  bool reluctant = false;
};

// A candidacy. `started` survives its rounds.
struct Candidacy {
  Evidence evidence = Evidence::kLeaderless;
  Claim lost;  // empty when leaderless
  WallMicros started = 0;
  Instant began;        // the candidacy
  Instant round_began;  // this round
  Term term = 0;        // proposed
  bool asked = false;   // own standing is read: the others have been asked
  std::map<Endpoint, Answer> answers;
  std::map<Endpoint, Instant> asked_at;  // outstanding or lost questions
  std::optional<Instant> deferred;       // since when somebody else is awaited as the winner
  std::optional<Endpoint> deferred_to;   // who that is
  bool patience_over = false;            // bootstrap: empty_wait is over, silent members are left out
};

// The right to lead was handed over: no election, no Prepare.
struct Inheritance {
  RequestId reply = 0;
  int64_t offset = 0;  // all of it must be here
  Term from = 0;       // the leadership that ends
};

// A round won.
struct Winning {
  Claim claim;
  Evidence evidence = Evidence::kLeaderless;
  Claim lost;
  Claim orphaned;  // the leader lost on proof, if this member's data is its: the redis it may have left behind
  Instant began;
  Instant stage_began;
  bool patience_over = false;                   // bootstrap: as in the candidacy
  std::optional<replication::Switch> takeover;  // the lost leader's redis lives: under way, before its own is parked
  std::optional<Inheritance> inherits;
  bool parked = false;
  bool promoting = false;  // REPLICAOF NO ONE is under way
  Standing own;            // after parking
  struct Target {
    bool awaited = false;  // it answered the round
    bool answered = false;
    Standing standing;
    Identity identity;
    Instant asked;
  };
  std::map<Endpoint, Target> targets;
  Instant next_announcement;
};

struct Follower {
  StreamId stream = 0;
  Identity identity;
  Endpoint coordinator;
  std::string version;
  uint64_t sequence = 0;  // newest of its reports
  Instant reported;       // when that one came
  Will will;
  Standing standing;
  bool link_up = false;
  Instant heard;            // sending time of the newest beat that it has echoed
  Duration round_trip{-1};  // of that beat, to its first echo; negative = none yet
};

// The redis of a leader whose coordinator was proved gone.
struct Orphan {
  Claim claim;
  std::optional<CallId> call;
  Instant next;
  bool complained = false;
};

// What a leader lets be written, and why not everything.
struct Verdict {
  WriteState state = WriteState::kOpen;
  std::string reason;
};

// Whom we answered Prepare to: no other winner until it opens, cedes, is proved gone or silent.
struct Promise {
  Claim claim;
  Instant heard;
};

// A message says that its sender leads or is about to, and its sender has yet to confirm it.
struct Assertion {
  Claim claim;
  Instant heard;
  bool holds = false;  // writes wait for the answer
};

struct Leading {
  Claim claim;
  Instant opened;
  uint64_t beat = 0;
  Instant next_beat;
  std::map<uint64_t, Instant> beats_sent;               // for `heard`, newest kEchoesRemembered
  std::map<StreamId, Follower> followers;               // identity empty until the first report
  std::optional<std::pair<CallId, Identity>> yielding;  // our Yield is out, to this leader
  std::vector<Orphan> orphans;
  Verdict writes;                // as told
  bool fence = false;            // its redis is to refuse writes
  std::optional<Promise> rival;  // another member claims, or is about to claim, the leadership: its own answer
  std::map<Endpoint, Assertion> assertions;  // the same, from a message that anybody may have sent: it is being asked
  std::optional<Instant> asks_since;         // its loop stood still: what was heard before counts for nothing
  bool isolated = false;                     // the last follower was lost by silence, and nobody has answered since
  Instant next_reluctant;
};

// A leader that said its lineage.
struct Teacher {
  Endpoint redis;
  Instant heard;
};

struct Following {
  Claim claim;
  std::optional<StreamId> stream;
  WriteState write_state = WriteState::kOpen;  // as its newest beat says
  uint64_t told_leaving = 0;                   // the report that said that this member leaves; 0 = none yet
  bool knows_leaving = false;                  // a beat has echoed it
  bool unplaced = false;   // redis was not available when the leader was found: does it hold foreign data?
  bool confirmed = false;  // a beat has echoed a report of ours: the claim is alive now
  Instant confirmed_at;    // since when
  uint64_t sequence = 0;
  uint64_t beat = 0;  // newest received on this stream
  std::map<uint64_t, Instant> reports_sent;
  Instant heard;      // when the newest beat was made at the earliest: its report's sending, and how long that waited
  Instant next_open;  // when to open the stream again
  Claim introduces;
  Instant reported;
  Standing reported_standing;
  bool reported_link_up = false;
};

// A person has told this member to lead without those that are silent.
struct Forced {
  RequestId id = 0;
  Instant deadline;
};

// Leadership is to move to another member.
struct Handover {
  std::string why;
  std::string wanted;              // IP; empty = whoever fits best
  std::vector<RequestId> people;   // who asked here
  std::vector<RequestId> members;  // who asked through their own coordinators
  Instant deadline;
  std::set<Identity> failed;
  std::string failure;  // of the newest try
  Instant next_try;
  // The try under way.
  Identity target;
  Endpoint target_coordinator;
  Endpoint target_redis;
  std::optional<replication::Switch> change;
  std::optional<CallId> offered;  // the right to lead is out
  Term offered_term = 0;
  bool taking_back = false;  // it was refused: the parked redis is being promoted again
};

struct Leaving {
  Instant deadline;
  bool left = false;   // said so
  bool tried = false;  // to hand over
};

struct OffsetSample {
  Instant read;
  int64_t offset = 0;
};

// An answer that waits for a reading of redis, or for a proof.
struct Owed {
  RequestId id = 0;
  enum class Kind : uint8_t { kCampaign, kPrepare } kind = Kind::kCampaign;
  Claim claim;            // kPrepare
  bool on_proof = false;  // kCampaign: waits for our own proof of our leader's loss
};

enum class CallKind : uint8_t {
  kGreet,
  kCampaign,
  kPrepare,
  kLead,
  kYield,
  kTakeOver,
  kHandOver,
  kDial,
  kReadForRound,
  kReadForAnswer,
  kPark,
  kPromote,
  kReconcile,
  kServeStale,
  kProbe,
  kOrphan,
  kSwitch,  // local
  kSwitchRemote,
  kTakeBack,
  kInherit,
};
struct Call {
  CallKind kind = CallKind::kGreet;
  Endpoint to;
  Instant sent;
  uint64_t epoch = 0;  // of the role that asked: an answer from an earlier one is only listened to for what it tells
  std::optional<LeaderKey> key;       // what a leader's greeting declared
  std::optional<RequestId> asked_by;  // kHandOver: the person's request that was passed on
  std::string command;                // to the local redis: its first word
  bool fences = false;                // kFence: is it fenced then?
};

// What this member answers while it has no leader.
struct Frozen {
  Standing standing;
  Instant read;
};

}  // namespace hive::election
