#include "tests/sim/simulate.h"

#include "tests/sim/world.h"

namespace hive::sim {
namespace {

// Once converged, it must stay so for this long: nothing happens any more that could move the leadership.
constexpr Duration kHold = Seconds(2);

// A hive that starts in a calm world stands by then.
constexpr Duration kFirstStand = Seconds(12);
// Rolling replacements of many members take their time.
constexpr Duration kPlansEnd = Seconds(40);

}  // namespace

Duration ConvergenceBound(const Options& options, bool all_empty) {
  Duration bound = options.leader_timeout * 2 + options.election_window * 2;  // promise 4
  // Until DNS has told everyone the truth; a query may still be timing out.
  bound += options.dns_interval + Seconds(1);
  // TCP's next retransmission on connections that were cut.
  bound += Millis(500);
  // Redis redials its master once a second; then a full resync, perhaps begun anew once.
  bound += Seconds(1) + options.sync_high * 2;
  if (all_empty) bound += options.bootstrap_settle;
  return bound;
}

Outcome Simulate(const Options& options, BrainFactory factory, PlantedBug bug, Transcript& transcript) {
  World world(options, factory, transcript, bug);
  world.StartMembers();
  bool fine = true;
  SimTime begin{0};
  if (options.scenario != Scenario::kMixed) {
    // What is demanded of a calm world is demanded of a hive that stands.
    world.RunFor(options.start_spread * (options.members + 1) + Millis(100));  // until everybody is there
    if (!world.RunUntilConverged(kFirstStand)) world.judge().OnDeadline();
    fine = world.RunFor(Millis(500));
    begin = world.now();
    world.judge().OnBegin();
  }
  for (const Fault& fault : options.faults) {
    fine = fine && world.RunUntil(begin + fault.at);
    if (fine) world.Inject(fault);
  }
  fine = fine && world.RunUntil(begin + options.safety);
  // What is meant is let come to its end.
  if (options.scenario == Scenario::kPlanned) {
    const SimTime patience = world.now() + kPlansEnd;
    while (fine && (world.rolling() || world.terminating()) && world.now() < patience) fine = world.RunFor(Millis(100));
    fine = fine && world.RunFor(Seconds(1));
  }
  Outcome outcome;
  if (fine) {
    const bool all_empty = world.AllEmpty();
    world.Heal();
    const SimTime healed = world.now();
    const Duration bound = ConvergenceBound(options, all_empty);
    // What the faults did may still break out: silence counts from before the heal.
    const Duration aftermath = options.leader_timeout + Millis(600);
    const bool converged = world.RunFor(aftermath) && world.RunUntilConverged(bound - aftermath);
    outcome.converged_after = world.now() - healed;
    if (converged) {
      world.judge().OnConverged();
      world.RunFor(kHold);
      world.judge().OnEnd();
    } else {
      world.judge().OnDeadline();
    }
  }
  outcome.violation = world.judge().violation();
  outcome.simulated = world.now();
  outcome.elections = world.judge().elections();
  outcome.promotions = static_cast<uint64_t>(world.redises().promotions());
  outcome.full_syncs = static_cast<uint64_t>(world.redises().full_syncs());
  outcome.partial_syncs = static_cast<uint64_t>(world.redises().partial_syncs());
  outcome.steps = world.coordinators().steps();
  outcome.clients = world.clients().counts();
  outcome.handovers = world.judge().handovers();
  outcome.takeovers = world.judge().takeovers();
  outcome.fences = world.judge().fences();
  outcome.drops = world.judge().drops();
  outcome.forced = world.judge().forced();
  outcome.acknowledged_and_lost = world.judge().acknowledged_and_lost();
  return outcome;
}

}  // namespace hive::sim
