// The one way into the runtime: events from reactors, redis, DNS and timers, and questions from people.
//
// Thread rule: Post, Offer, Ask and Close from any thread; the rest is the runtime's.
// Lifetime: outlives whoever posts.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <variant>
#include <vector>

#include "common/net/inbox.h"
#include "coordinator/election/core.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/observations.h"
#include "coordinator/runtime/traffic.h"

namespace hive::coordinator {

// The core's state and the runtime's counters, at `now`.
struct Snapshot {
  election::State state;
  Traffic traffic;
  Observations observations;
  Instant now;
  Duration uptime{0};
};

// Called exactly once: on the runtime's thread with a snapshot, or with nullptr by a runtime that is destroyed before
// it came to it. Must not block.
using Question = std::function<void(const Snapshot* snapshot)>;

class EventInbox {
 public:
  // Unsolicited messages of peers that may wait: some seconds of a hundred members' beats and reports. Beyond that the
  // runtime is stuck, and an election conducted on such old news is worthless.
  static constexpr size_t kMaxOffered = 16384;
  // All that may wait. The rest is what this member asked for itself, which is bounded where it is asked.
  static constexpr size_t kMaxWaiting = 4 * kMaxOffered;
  // Questions of people and tools that may wait.
  static constexpr size_t kMaxQuestions = 64;

  EventInbox() : inbox_(kMaxWaiting) {}

  // The outcome of something that the core asked for. False when the runtime has stopped.
  bool Post(election::Event event) { return inbox_.Push(Item(std::move(event))); }

  // The same for what changes nothing: it is taken in, in its order, when the runtime wakes up for something else,
  // half a second later at the most.
  bool PostWithoutHurry(election::Event event) {
    return inbox_.Push(Item(std::move(event)), Inbox<Item>::Urgency::kWaits);
  }

  // A peer's message. False when too many wait, or the runtime has stopped: the caller refuses the peer.
  [[nodiscard]] bool Offer(election::Event event);

  // False, `question` uncalled, when too many wait or the runtime has stopped.
  [[nodiscard]] bool Ask(Question question);

  // Ends the runtime's Run once it has taken in what waits.
  void Close() { inbox_.Close(); }

 private:
  friend class Runtime;

  struct Offered {
    election::Event event;
  };
  using Item = std::variant<election::Event, Offered, Question>;

  Inbox<Item> inbox_;
  std::atomic<size_t> offered_ = 0;    // waiting items of that kind
  std::atomic<size_t> questions_ = 0;  // likewise
};

}  // namespace hive::coordinator
