// What one schedule is made of: drawn from its seed, printed when it fails.
//
// Thread rule: value type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/expect.h"

namespace hive::sim {

// At most this many members: what is promised, and what keeps a schedule quick.
inline constexpr int kMaxMembers = 7;
// Slots: the members', two for surge pods, and one for a pod of another hive.
inline constexpr int kMemberSlots = kMaxMembers + 2;
inline constexpr int kForeignSlot = kMemberSlots;
inline constexpr int kMaxSlots = kForeignSlot + 1;

enum class FaultKind : uint8_t {
  kKillRedis,         // back, empty, after `lasts`
  kKillCoordinator,   // back with a new incarnation after `lasts`, same redis
  kKillPod,           // replaced after `lasts`, empty
  kPartition,         // members split in two by `mask`
  kCutPair,           // between two members, one way or both, one port or all
  kLoss,              // messages and connection attempts are lost everywhere
  kStallCoordinator,  // frozen, then sees what was buffered
  kStallPod,          // coordinator, redis and proxy frozen together
  kStopRedis,         // SIGSTOP
  kBusyRedis,         // a long script: -BUSY
  kSlowReplication,   // links lag
  kDnsOutage,
  kDnsTooFew,  // one member's answers leave some out
  kDnsStale,   // one member's answers are old
  kRestartAllCoordinators,
  kRestartAllRedisButOne,
  kScaleUp,
  kScaleDown,
  kTerminate,         // SIGTERM to a pod, replaced `lasts` after its end
  kTerminateSeveral,  // to all in `mask` at once, but for the last member in sync
  kRoll,              // every pod is replaced, one by one, with a surge pod
  kHandover,          // somebody asks for it; `one_way`: to whoever fits, else to `other`
  kWallJump,          // a wall clock jumps by `lasts`; `one_way`: back
  kSlowRedis,         // each command takes up to 40 to 400 ms, by `mask`
  kForeignIp,         // a pod's node is lost, and its IP goes to another hive's
  kNewborn,           // one member is cut off, everybody else's redis restarts empty
  kForceLead,         // somebody tells it to lead by force
};
inline constexpr int kFaultKinds = static_cast<int>(FaultKind::kForceLead) + 1;
const char* Name(FaultKind kind);

struct Fault {
  SimTime at{0};
  FaultKind kind = FaultKind::kKillRedis;
  int slot = 0;       // whom; kLeader = who leads at that moment
  int other = 0;      // kCutPair
  uint32_t mask = 0;  // kPartition, kDnsTooFew
  Duration lasts{0};
  bool one_way = false;  // kPartition, kCutPair: only from the first to the second
  bool reset = false;    // a rejecting firewall rather than silence; kKillPod: sockets are closed before it vanishes
  bool same_ip = false;  // kKillPod: the replacement gets the old IP
  int ports = 3;         // kCutPair: 1 = coordinator, 2 = redis, 3 = both
  bool no_such_name = false;  // kDnsOutage: NXDOMAIN rather than no answer
};
inline constexpr int kLeaderSlot = -1;
std::string ToString(const Fault& fault);

// Which faults a schedule draws, so that most seeds concentrate on a few kinds rather than drown in all.
enum class Profile : uint8_t {
  kCalm,
  kCrashes,
  kRedisOnly,
  kPartitions,
  kStalls,
  kDns,
  kScaling,
  kOnPurpose,
  kOddities,
  kPlannedOnly,   // Scenario::kPlanned
  kOneFault,      // Scenario::kOneFault
  kOnePartition,  // Scenario::kOneFault
  kNewborn,
  kForced,
  kBurst,
  kEverything
};
inline constexpr int kProfiles = static_cast<int>(Profile::kEverything) + 1;
const char* Name(Profile profile);

// What else the judge may demand of a schedule.
enum class Scenario : uint8_t {
  kMixed,
  kPlanned,   // a calm world in which all that happens is meant: nothing may be lost, and no client may notice
  kOneFault,  // a calm world, enough write acknowledgements, and one fault: nothing acknowledged may be lost
};

enum class StartStyle : uint8_t { kAtOnce, kOneByOne, kAdopted };

struct Options {
  uint64_t seed = 0;
  int members = 3;

  // What the coordinators are configured with.
  Duration beat_interval = Millis(200);
  Duration leader_timeout = Seconds(1);
  Duration election_window = Millis(300);
  Duration redis_timeout = Seconds(2);
  Duration dns_interval = Seconds(1);
  Duration bootstrap_settle = Seconds(2);
  Duration empty_wait = Seconds(60);
  Duration dial_window = Millis(100);
  Duration doubt_timeout = Seconds(30);
  Duration handover_timeout = Seconds(5);
  Duration takeover_timeout = Millis(300);
  uint32_t priority0 = 0;  // slots whose member has priority 0
  int min_followers = 0;
  bool defer_to_fresher = true;
  bool state_dir = true;

  // The world.
  Scenario scenario = Scenario::kMixed;
  StartStyle start = StartStyle::kAtOnce;
  Duration start_spread{0};  // between two starts
  Duration latency_low = Millis(0) + std::chrono::microseconds(50);
  Duration latency_high = Millis(2);
  int stall_per_mille = 0;  // of messages that take up to stall_high more
  Duration stall_high = Millis(200);
  Duration wall_skew = Millis(0);  // members' wall clocks differ by up to this, either way
  Duration sync_low = Millis(20);  // a full resync
  Duration sync_high = Millis(200);
  Duration lag_high = Millis(2);  // of a replication link
  int64_t backlog_bytes = 1 << 20;
  Duration dns_lag_high = Millis(0);      // a member's DNS answers are up to this old
  Duration dead_ip_lingers = Millis(0);   // in DNS
  bool dead_ip_unreachable = false;       // packets to a dead IP are answered "host unreachable" rather than dropped
  Duration write_interval = Millis(100);  // of each proxy's client
  int write_acks = 0;                     // replicas that must have a write before its client hears of it
  uint32_t refuses_client = 0;            // slots whose redis knows no CLIENT command
  uint32_t refuses_config = 0;            // ... no CONFIG command
  int64_t clock_ppm = 0;                  // monotonic clocks run at rates that differ by up to this, either way
  int first_ip = 1;                       // 10.0.0.N of the first pod
  Duration min_ready{0};        // of a rolling replacement: a new pod is ready for so long before the next ends
  bool keep_one_holder = true;  // no fault destroys the last copy of the data

  Expectations expect;

  // Faults fall in here. Counted from the start, or, where the world is calm, from when the hive first stands.
  Duration safety = Seconds(10);
  std::vector<Fault> faults;
};

// All that the seed decides. `members` 0 = draw that too, 1 to 7; and so with the profile.
Options Draw(uint64_t seed, int members, std::optional<Profile> wanted = std::nullopt);
std::string ToString(const Options& options);

}  // namespace hive::sim
