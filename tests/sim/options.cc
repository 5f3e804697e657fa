#include "tests/sim/options.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "common/base/random.h"

namespace hive::sim {
namespace {

std::vector<FaultKind> KindsOf(Profile profile) {
  using enum FaultKind;
  switch (profile) {
    case Profile::kCalm:
      return {};
    case Profile::kCrashes:
      return {kKillRedis, kKillCoordinator, kKillPod, kKillRedis, kKillCoordinator};
    case Profile::kRedisOnly:
      return {kKillRedis, kKillRedis, kStopRedis, kBusyRedis, kSlowReplication, kRestartAllRedisButOne};
    case Profile::kPartitions:
      return {kPartition, kPartition, kCutPair, kCutPair, kLoss, kKillRedis, kKillCoordinator};
    case Profile::kStalls:
      return {kStallCoordinator, kStallCoordinator, kStallPod, kStopRedis, kKillRedis, kLoss};
    case Profile::kDns:
      return {kDnsOutage, kDnsTooFew, kDnsStale, kKillPod, kKillPod, kRestartAllCoordinators};
    case Profile::kScaling:
      return {kScaleUp, kScaleDown, kScaleUp, kKillPod, kKillRedis, kRestartAllCoordinators};
    case Profile::kOnPurpose:
      return {kTerminate,       kTerminate, kTerminateSeveral, kRoll,      kHandover, kHandover,        kKillRedis,
              kKillCoordinator, kCutPair,   kStallPod,         kStopRedis, kLoss,     kSlowReplication, kSlowRedis};
    case Profile::kOddities:
      return {kWallJump, kSlowRedis, kForeignIp, kForeignIp, kHandover, kKillRedis, kKillCoordinator, kPartition};
    case Profile::kPlannedOnly:
      return {kTerminate, kTerminate, kTerminateSeveral, kRoll, kHandover, kHandover};
    case Profile::kOneFault:
      return {kKillRedis, kKillCoordinator,  kKillCoordinator, kKillPod,
              kCutPair,   kStallCoordinator, kStallPod,        kStopRedis};
    case Profile::kOnePartition:
      return {kPartition};
    case Profile::kNewborn:
      return {kNewborn, kNewborn, kNewborn, kKillCoordinator, kKillPod, kHandover};
    case Profile::kForced:
      return {kForceLead, kForceLead, kForceLead, kForceLead, kKillPod,   kKillPod,         kKillRedis,
              kPartition, kPartition, kCutPair,   kDnsOutage, kStopRedis, kKillCoordinator, kRestartAllRedisButOne};
    case Profile::kBurst:
    case Profile::kEverything:
      break;
  }
  std::vector<FaultKind> all;
  for (int kind = 0; kind < kFaultKinds; ++kind) all.push_back(static_cast<FaultKind>(kind));
  return all;
}

Duration Drawn(Random& random, int64_t low_ms, int64_t high_ms) { return Millis(random.Between(low_ms, high_ms)); }

// A container restart is as often 50 ms as seconds.
Duration DrawnOutage(Random& random) { return random.Percent(40) ? Drawn(random, 30, 120) : Drawn(random, 120, 2500); }

Fault DrawFault(Random& random, const std::vector<FaultKind>& kinds, const Options& options) {
  Fault fault;
  fault.kind = kinds[random.Below(kinds.size())];
  fault.at = Drawn(random, 200, ToMillis(options.safety) - 500);
  const bool one = options.scenario == Scenario::kOneFault;
  fault.slot = random.Percent(one ? 75 : 45) ? kLeaderSlot : static_cast<int>(random.Below(options.members));
  fault.other = static_cast<int>(random.Below(options.members));
  fault.mask = static_cast<uint32_t>(random.Below(1u << options.members));
  fault.lasts = DrawnOutage(random);
  fault.one_way = random.Percent(30);
  fault.reset = random.Percent(30);
  fault.same_ip = random.Percent(25);
  fault.ports = static_cast<int>(random.Between(1, 3));
  fault.no_such_name = random.Percent(40);
  switch (fault.kind) {
    case FaultKind::kPartition:
    case FaultKind::kCutPair:
    case FaultKind::kDnsOutage:
    case FaultKind::kDnsTooFew:
    case FaultKind::kDnsStale:
    case FaultKind::kLoss:
    case FaultKind::kSlowReplication:
      fault.lasts = Drawn(random, 100, 6000);
      break;
    case FaultKind::kStallCoordinator:
    case FaultKind::kStallPod:
    case FaultKind::kStopRedis:
    case FaultKind::kBusyRedis:
      fault.lasts = random.Percent(50) ? Drawn(random, 20, 900) : Drawn(random, 900, 4500);
      break;
    case FaultKind::kKillPod:
    case FaultKind::kTerminate:
    case FaultKind::kTerminateSeveral:
      fault.lasts = Drawn(random, 100, 5000);
      break;
    case FaultKind::kWallJump:
      fault.lasts = random.Percent(70) ? Drawn(random, 100, 10'000) : Seconds(random.Between(3600, 1'000'000'000));
      break;
    case FaultKind::kSlowRedis:
      fault.lasts = Drawn(random, 500, 4000);
      break;
    case FaultKind::kNewborn:
      fault.at = Drawn(random, 3500, 6000);
      fault.lasts = Drawn(random, 4000, 9000);
      break;
    default:
      break;
  }
  return fault;
}

void DrawFaults(Random& random, Profile profile, Options& options) {
  const std::vector<FaultKind> kinds = KindsOf(profile);
  if (kinds.empty()) return;
  int64_t count = random.Between(1, random.Percent(30) ? 14 : 5);
  if (options.scenario == Scenario::kOneFault) count = 1;
  const uint64_t together_percent = profile == Profile::kBurst ? 85 : 35;
  for (int64_t i = 0; i < count; ++i) {
    options.faults.push_back(DrawFault(random, kinds, options));
    // Faults that fall together break more than faults apart.
    if (i > 0 && random.Percent(together_percent)) {
      options.faults.back().at = options.faults[options.faults.size() - 2].at + Drawn(random, 0, 150);
    }
  }
  std::stable_sort(options.faults.begin(), options.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at < b.at; });
}

void DrawWorld(Random& random, Options& options) {
  options.start = static_cast<StartStyle>(random.Below(3));
  options.start_spread = options.start == StartStyle::kOneByOne ? Drawn(random, 50, 2500) : Drawn(random, 0, 30);
  options.latency_high = random.Percent(70) ? Drawn(random, 1, 2) : Drawn(random, 2, 8);
  options.stall_per_mille = random.Percent(60) ? 0 : static_cast<int>(random.Between(1, 30));
  options.stall_high = Drawn(random, 20, 400);
  if (random.Percent(60)) options.wall_skew = Drawn(random, 0, 5000);
  if (random.Percent(5)) options.wall_skew = Seconds(86400LL * 365 * 50);
  options.sync_low = Drawn(random, 5, 50);
  options.sync_high = options.sync_low + (random.Percent(70) ? Drawn(random, 0, 200) : Drawn(random, 200, 2500));
  options.lag_high = random.Percent(70) ? Drawn(random, 1, 5) : Drawn(random, 5, 400);
  options.backlog_bytes = random.Percent(80) ? 1 << 20 : 2000;
  options.dns_lag_high = random.Percent(60) ? Millis(0) : Drawn(random, 0, 5000);
  options.dead_ip_lingers = random.Percent(50) ? Millis(0) : Drawn(random, 0, 20000);
  options.dead_ip_unreachable = random.Percent(50);
  options.write_interval = Drawn(random, 40, 200);
  options.first_ip = static_cast<int>(random.Between(1, 12));
  options.keep_one_holder = random.Percent(90);
}

// A few of the rarer settings.
void DrawOddities(Random& random, Profile profile, Options& options) {
  const bool odd = profile == Profile::kOddities || profile == Profile::kEverything;
  const uint64_t all = (1u << kMemberSlots) - 1;
  // Whichever slots are taken, one of them may lead.
  if (random.Percent(odd ? 40 : 4)) options.priority0 = static_cast<uint32_t>(random.Next() & all);
  while (std::popcount(options.priority0) >= options.members) options.priority0 &= options.priority0 - 1;
  if (random.Percent(odd ? 40 : 4)) options.min_followers = static_cast<int>(random.Between(0, options.members - 1));
  if (random.Percent(odd ? 25 : 3)) options.refuses_client = static_cast<uint32_t>(random.Next() & all);
  if (random.Percent(odd ? 25 : 3)) options.refuses_config = static_cast<uint32_t>(random.Next() & all);
  if (random.Percent(25)) options.clock_ppm = random.Between(0, 5000);
  options.write_acks = random.Percent(60) ? 0 : static_cast<int>(random.Between(0, std::min(2, options.members - 1)));
  if (random.Percent(25)) options.doubt_timeout = Drawn(random, 3000, 8000);
  options.min_ready = random.Percent(60) ? Millis(0) : Drawn(random, 0, 1000);
}

// Nothing but what the scenario is about: no stalls, no lag to speak of, quick resyncs.
void Calm(Random& random, Options& options) {
  options.start_spread = Drawn(random, 0, 200);
  options.latency_high = Drawn(random, 1, 3);
  options.stall_per_mille = 0;
  options.sync_high = options.sync_low + Drawn(random, 0, 200);
  options.lag_high = Drawn(random, 1, 20);
  options.backlog_bytes = 1 << 20;
  options.write_interval = Drawn(random, 10, 60);
  options.min_followers = 0;
  options.keep_one_holder = true;
}

// Turns what was drawn into one of the scenarios of which the judge demands more.
void DrawScenario(Random& random, Profile profile, Options& options) {
  if (options.members < 2) return;
  if (profile == Profile::kPlannedOnly) {
    options.scenario = Scenario::kPlanned;
    Calm(random, options);
    options.write_acks = 0;
    options.safety = Drawn(random, 8000, 20'000);
  } else if (profile == Profile::kOneFault || profile == Profile::kOnePartition) {
    options.scenario = Scenario::kOneFault;
    Calm(random, options);
    options.write_acks = static_cast<int>(random.Between(options.members / 2, options.members - 1));
    options.safety = Drawn(random, 8000, 14'000);
  }
}

// A partition that falls alone lasts as long as it may, so that both sides have time to go wrong; half of them are
// even.
void Prolong(Random& random, Options& options) {
  for (Fault& fault : options.faults) {
    fault.at = Drawn(random, 100, 1500);
    fault.lasts = Drawn(random, 2000, 12'000);
    fault.one_way = random.Percent(15);
    if (random.Percent(50) && options.members > 2) {
      while (std::popcount(fault.mask) * 2 != options.members && options.members % 2 == 0) {
        fault.mask = static_cast<uint32_t>(random.Below(1u << options.members));
      }
    }
  }
}

}  // namespace

Options Draw(uint64_t seed, int members, std::optional<Profile> wanted) {
  Random random(seed);
  Options options;
  options.seed = seed;
  const int drawn = static_cast<int>(random.Between(1, kMaxMembers));  // also when given: the rest is drawn alike
  options.members = members > 0 ? members : drawn;
  options.safety = Drawn(random, 6000, 20000);
  if (random.Percent(30)) options.empty_wait = Drawn(random, 3000, 8000);
  if (random.Percent(15)) options.leader_timeout = Drawn(random, 500, 2000);
  options.defer_to_fresher = !random.Percent(10);
  options.state_dir = random.Percent(70);
  DrawWorld(random, options);
  const auto drawn_profile = static_cast<Profile>(random.Below(kProfiles));
  const Profile profile = wanted.value_or(drawn_profile);
  if (profile == Profile::kNewborn) options.empty_wait = Drawn(random, 2000, 4000);
  DrawOddities(random, profile, options);
  DrawScenario(random, profile, options);
  DrawFaults(random, profile, options);
  if (profile == Profile::kOnePartition) Prolong(random, options);
  const bool one_fault = profile == Profile::kOneFault && options.scenario == Scenario::kOneFault;
  if (one_fault && options.faults[0].kind == FaultKind::kKillCoordinator && random.Percent(60)) options.write_acks = 0;
  return options;
}

const char* Name(Profile profile) {
  static constexpr const char* kNames[] = {"calm",    "crashes", "redis",    "partitions", "stalls",    "dns",
                                           "scaling", "purpose", "oddities", "planned",    "one-fault", "one-partition",
                                           "newborn", "forced",  "burst",    "everything"};
  static_assert(std::size(kNames) == kProfiles);
  return kNames[static_cast<size_t>(profile)];
}

const char* Name(FaultKind kind) {
  switch (kind) {
    case FaultKind::kKillRedis:
      return "kill redis";
    case FaultKind::kKillCoordinator:
      return "kill coordinator";
    case FaultKind::kKillPod:
      return "kill pod";
    case FaultKind::kPartition:
      return "partition";
    case FaultKind::kCutPair:
      return "cut pair";
    case FaultKind::kLoss:
      return "loss";
    case FaultKind::kStallCoordinator:
      return "stall coordinator";
    case FaultKind::kStallPod:
      return "stall pod";
    case FaultKind::kStopRedis:
      return "stop redis";
    case FaultKind::kBusyRedis:
      return "busy redis";
    case FaultKind::kSlowReplication:
      return "slow replication";
    case FaultKind::kDnsOutage:
      return "DNS outage";
    case FaultKind::kDnsTooFew:
      return "DNS lists too few";
    case FaultKind::kDnsStale:
      return "DNS stale";
    case FaultKind::kRestartAllCoordinators:
      return "restart all coordinators";
    case FaultKind::kRestartAllRedisButOne:
      return "restart every redis but one";
    case FaultKind::kScaleUp:
      return "scale up";
    case FaultKind::kScaleDown:
      return "scale down";
    case FaultKind::kTerminate:
      return "SIGTERM";
    case FaultKind::kTerminateSeveral:
      return "SIGTERM to several";
    case FaultKind::kRoll:
      return "rolling replacement";
    case FaultKind::kHandover:
      return "handover asked of";
    case FaultKind::kWallJump:
      return "wall clock jumps";
    case FaultKind::kSlowRedis:
      return "slow redis";
    case FaultKind::kForeignIp:
      return "IP goes to another hive:";
    case FaultKind::kNewborn:
      return "everybody else restarts empty, cut off from";
    case FaultKind::kForceLead:
      return "told to lead by force:";
  }
  return "?";
}

std::string ToString(const Fault& fault) {
  std::string text = std::to_string(ToMillis(fault.at)) + " ms: " + Name(fault.kind);
  text += fault.slot == kLeaderSlot ? " leader" : " #" + std::to_string(fault.slot + 1);
  if (fault.kind == FaultKind::kCutPair)
    text += " and #" + std::to_string(fault.other + 1) + " ports " + std::to_string(fault.ports);
  if (fault.kind == FaultKind::kHandover && !fault.one_way) text += " to #" + std::to_string(fault.other + 1);
  if (fault.kind == FaultKind::kPartition || fault.kind == FaultKind::kDnsTooFew ||
      fault.kind == FaultKind::kTerminateSeveral || fault.kind == FaultKind::kSlowRedis)
    text += " mask " + std::to_string(fault.mask);
  text += " for " + std::to_string(ToMillis(fault.lasts)) + " ms";
  if (fault.one_way) text += ", one way";
  if (fault.reset) text += ", reset";
  if (fault.same_ip) text += ", same IP";
  return text;
}

std::string ToString(const Options& o) {
  const auto ms = [](Duration d) { return std::to_string(ToMillis(d)) + " ms"; };
  static constexpr const char* kStarts[] = {"at once", "one by one", "adopted"};
  std::string text = "seed " + std::to_string(o.seed) + ", " + std::to_string(o.members) + " members\n";
  text += "  leader_timeout " + ms(o.leader_timeout) + ", empty_wait " + ms(o.empty_wait) + ", defer_to_fresher " +
          (o.defer_to_fresher ? "yes" : "no") + ", state_dir " + (o.state_dir ? "yes" : "no") + "\n";
  text += std::string("  start ") + kStarts[static_cast<int>(o.start)] + " every " + ms(o.start_spread) +
          ", latency to " + ms(o.latency_high) + ", stalls " + std::to_string(o.stall_per_mille) + "/1000 to " +
          ms(o.stall_high) + ", clock skew " + ms(o.wall_skew) + "\n";
  text += "  full sync " + ms(o.sync_low) + " to " + ms(o.sync_high) + ", replication lag to " + ms(o.lag_high) +
          ", backlog " + std::to_string(o.backlog_bytes) + " bytes, a write every " + ms(o.write_interval) + "\n";
  text += "  DNS lag to " + ms(o.dns_lag_high) + ", dead IPs linger " + ms(o.dead_ip_lingers) +
          (o.dead_ip_unreachable ? ", unreachable" : ", silent") + ", first IP 10.0.0." + std::to_string(o.first_ip) +
          "\n";
  static constexpr const char* kScenarios[] = {"mixed", "planned", "one fault"};
  text += std::string("  ") + kScenarios[static_cast<int>(o.scenario)] + ", write acks " +
          std::to_string(o.write_acks) + ", min_followers " + std::to_string(o.min_followers) +
          ", priority 0 at mask " + std::to_string(o.priority0) + ", doubt_timeout " + ms(o.doubt_timeout) +
          ", clocks to " + std::to_string(o.clock_ppm) + " ppm, CLIENT refused at mask " +
          std::to_string(o.refuses_client) + ", CONFIG at " + std::to_string(o.refuses_config) + ", a new pod waits " +
          ms(o.min_ready) + "\n";
  text += "  safety phase " + ms(o.safety) + ", " + std::to_string(o.faults.size()) + " faults\n";
  for (const Fault& fault : o.faults) text += "    " + ToString(fault) + "\n";
  return text;
}

}  // namespace hive::sim
