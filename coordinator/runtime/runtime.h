// The loop around the election core: inbox -> Step -> actions, in order, through the ports. It alone reads the clocks.
//
// Thread rule: Run (or Turn) on one thread; last_turn from any. Nothing on that thread blocks but the wait for events.
// Lifetime: the inbox, the decider and the ports outlive it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/time.h"
#include "coordinator/election/config.h"
#include "coordinator/election/core.h"
#include "coordinator/runtime/event_inbox.h"
#include "coordinator/runtime/observations.h"
#include "coordinator/runtime/ports.h"
#include "coordinator/runtime/traffic.h"

namespace hive::coordinator {

// Who decides: the election core, or what a test puts in its place. Meanings as in coordinator/election/core.h.
class Decider {
 public:
  virtual ~Decider() = default;

  virtual election::Actions Step(Instant now, WallMicros wall, const election::Event& event) = 0;
  virtual Duration TickInterval() const = 0;
  virtual election::State state(Instant now) const = 0;
};

// The real one.
std::unique_ptr<Decider> MakeCoreDecider(election::Config config);

// The clocks that are read once per event.
struct Clocks {
  std::function<Instant()> monotonic;
  std::function<WallMicros()> wall;

  static Clocks Real();
};

class Runtime {
 public:
  // Whatever the decider needs, the loop turns so often: well within the patience of those who look at last_turn.
  static constexpr Duration kLongestSleep = Millis(500);

  Runtime(EventInbox& inbox, Decider& decider, Ports ports, Clocks clocks = Clocks::Real());
  ~Runtime();  // answers the questions that still wait with nullptr
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Turns until the inbox is closed; what waits then is still taken in.
  void Run();

  // One turn: waits for events or the next tick, then takes in all that has come. False once the inbox is closed and
  // drained.
  bool Turn();

  // When the loop last turned: a watchdog's food. A healthy loop turns at least every kLongestSleep.
  Instant last_turn() const { return Instant(Duration(last_turn_.load(std::memory_order_relaxed))); }

 private:
  void Take(EventInbox::Item& item);
  void Step(const election::Event& event);
  void TickIfDue();
  void Answer(const Question& question);
  void Execute(election::Action& action);
  void DropWaiting();

  EventInbox& inbox_;
  Decider& decider_;
  const Ports ports_;
  const Clocks clocks_;
  const Instant begun_;
  Instant last_step_;
  Traffic traffic_;
  Observations observations_;
  std::vector<EventInbox::Item> batch_;
  std::atomic<int64_t> last_turn_;  // nanoseconds of an Instant
};

}  // namespace hive::coordinator
