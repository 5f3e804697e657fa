// The election core: a pure state machine. Events in, actions out; no clock, no socket, no random source but its seed.
// The same code runs under the real runtime (coordinator/runtime) and under the simulator (tests/sim).
//
// Thread rule: one thread. Lifetime: one per process.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "common/base/duration_histogram.h"
#include "common/base/time.h"
#include "coordinator/election/config.h"
#include "coordinator/election/events.h"

namespace hive::election {

// What GetState shows: a copy of the core's view of itself and of its peers.
struct MemberState {
  Endpoint coordinator;
  Identity identity;  // incarnation 0 = never met
  Role role = Role::kJoining;
  Standing standing;
  Will will;
  bool link_up = false;
  bool listed = false;      // DNS lists it
  bool gone = false;        // proved gone
  bool rejects = false;     // it does not take this member for one, or this member it: another secret, or another CA
  Duration heard_ago{-1};   // negative = never
  Duration round_trip{-1};  // of the newest beat and the report that echoed it; negative = it does not follow this one
  Duration clock_ahead{0};  // its wall clock, of this member's; 0 = about the same, or not known
  std::string version{};    // of its binary; empty = not known
};
struct LastElection {
  Evidence evidence = Evidence::kLeaderless;
  Duration took{0};
  std::vector<Identity> stood;
  Identity winner;
  Term term = 0;
};
// What this member dropped when it began to replicate a leader that does not hold it.
struct Discarded {
  uint64_t times = 0;
  int64_t bytes = 0;         // of replication stream, summed
  Duration span{0};          // summed: between the first and the last write of what was dropped
  uint64_t foreign = 0;      // of `times`: whole datasets of another origin
  int64_t foreign_keys = 0;  // keys in those
  std::string last;          // one line about the newest
};
// What has come of this member's own doing since its process started: what metrics count.
struct Tally {
  std::array<uint64_t, kEvidences> elections_won{};  // by Evidence
  DurationHistogram election_durations;              // of those won: from standing to the end of the count
  uint64_t handed_over = 0;                          // leaderships that it handed over
  uint64_t not_handed_over = 0;                      // handovers that were given up
  uint64_t redis_came_empty = 0;                     // restarts of the local redis that left it without data
};
struct State {
  Identity self;
  Role role = Role::kJoining;
  Term term = 0;  // highest seen
  LeaderView view;
  Dataset dataset;
  Lineage lineage;
  Standing standing;
  RedisStatus redis;
  bool redis_up = false;
  std::string redis_trouble;         // why it cannot be used, in redis's or the system's words; empty when it can
  Duration redis_unlinked{0};        // long without a link to its leader's, and not copying: for so long; else 0
  std::vector<MemberState> members;  // self first, then by endpoint
  std::optional<LastElection> last_election;
  bool in_doubt = false;     // it hears too few of the others: rather cut off itself than they are all dead
  std::string write_reason;  // why writes are held or fenced; empty when they are not
  Discarded discarded;
  Tally tally;
  std::map<std::string, std::string> refused_commands;  // of redis: command -> redis's error, until it is obeyed
  std::map<std::string, uint64_t> refused_messages;     // of peers: reason -> how many; all reasons
  std::string waiting_for;                              // one line: why there is no leader yet; empty when there is one
};

class Core {
 public:
  // `wall` below is this machine's wall clock; the core never compares it with another member's but to order
  // candidacies.
  explicit Core(Config config);
  ~Core();
  Core(Core&&) noexcept;
  Core& operator=(Core&&) noexcept;

  // Takes in one event and returns what to do, in order. `now` never goes backwards.
  Actions Step(Instant now, WallMicros wall, const Event& event);

  // How soon after the last step a Tick is wanted, if nothing else comes until then: soon while an election runs, at
  // the next beat while all is well, after 25 ms (or a quarter of a beat) otherwise.
  Duration TickInterval() const;

  State state(Instant now) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hive::election
