// An event loop on epoll: level-triggered readiness, timers, and messages from other threads.
//
// One turn, in this order:
//   1. sleep in epoll_wait until a descriptor is ready, a timer is due, or another thread has posted; read the clock
//   2. tell the handlers of the descriptors that are ready
//   3. run what was posted
//   4. run the timers that are due, earliest first
//   5. run the before-sleep hook: the place to write what this turn's events produced with one call, and to free what
//      they have finished with
//
// Thread rule: one thread, the one that calls Run or RunOnce, except Post and Stop, which any thread may call.
// Lifetime: handlers and timers are the caller's and must be gone, or removed, before the poller is.
// No allocation per event: a handler is reached by its pointer, a timer is its own heap entry.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "common/base/time.h"
#include "common/net/fd.h"

namespace hive {

class Timer;

class Poller {
 public:
  // What a handler is interested in, and what it is told; combine with |.
  static constexpr uint32_t kReadable = EPOLLIN;
  static constexpr uint32_t kWritable = EPOLLOUT;
  // The peer will send no more. Ask for it where reading is paused; drop the interest once told, for it stays true.
  static constexpr uint32_t kPeerClosed = EPOLLRDHUP;
  // An error, or both directions closed. Told whatever the interest is, and again each turn until the descriptor is
  // removed: read or write to learn the reason, then remove it.
  static constexpr uint32_t kBroken = EPOLLERR | EPOLLHUP;

  // Told that a descriptor is ready. One handler object per descriptor: Remove forgets pending events by handler.
  class Handler {
   public:
    // `ready`: any of the bits above. May remove any descriptor, also its own, and destroy handlers, also itself,
    // once they are removed.
    virtual void OnReady(uint32_t ready) = 0;

   protected:
    ~Handler() = default;
  };

  // Readiness reports taken from the kernel per turn: enough to amortise the system call over a busy loop, few enough
  // that timers and messages are never late by more than this many handlers.
  static constexpr int kMaxEventsPerTurn = 512;
  // Messages that may wait. They are rare (a leader change, a shutdown): a loop that leaves so many unread is stuck,
  // and the process aborts rather than grow without bound.
  static constexpr size_t kMaxPosted = 65536;

  Poller();  // aborts when the kernel gives no epoll or eventfd descriptor: nothing works without
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Watches `fd`. False with errno set when the kernel refuses (ENOSPC, ENOMEM).
  [[nodiscard]] bool Add(const Fd& fd, uint32_t interest, Handler* handler);
  // Replaces the interest. `interest` may be 0: paused, except for kBroken.
  void Modify(const Fd& fd, uint32_t interest, Handler* handler);
  // Stops watching. To be called before the descriptor is closed. Once it returns, `handler` is not called for `fd`,
  // even if this turn had already seen it ready.
  void Remove(const Fd& fd, Handler* handler);

  // CLOCK_MONOTONIC as of the end of the last sleep: one reading per turn. Before the first turn: of construction.
  Instant Now() const { return now_; }

  // Runs `hook` at the end of every turn.
  void SetBeforeSleep(std::function<void()> hook) { before_sleep_ = std::move(hook); }

  // Any thread: runs `message` on the loop's thread, in the order posted. Messages posted while messages run wait for
  // the next turn. What is still unread when the poller is destroyed is destroyed unrun.
  void Post(std::function<void()> message);

  // Runs turns until Stop.
  void Run();
  // One turn; sleeps no longer than `at_most` (nothing: until something happens).
  void RunOnce(std::optional<Duration> at_most = std::nullopt);
  // Any thread: Run returns at the end of its turn, or at once if it has not begun.
  void Stop();

 private:
  friend class Timer;

  int SleepMillis(std::optional<Duration> at_most) const;
  bool Dispatch(int count);  // true when another thread has woken the loop
  void RunPosted();
  void RunTimers();
  void Wake();

  // The timers as a binary min-heap; each timer knows its own index, so that stopping one is O(log n).
  void PushTimer(Timer* timer);
  void RemoveTimer(Timer* timer);
  void SiftUp(size_t index);
  void SiftDown(size_t index);
  void Place(size_t index, Timer* timer);
  static bool Earlier(const Timer* a, const Timer* b);

  Fd epoll_;
  Fd wake_;
  Instant now_;
  std::function<void()> before_sleep_;
  std::vector<Timer*> heap_;
  uint64_t next_order_ = 0;
  Timer* firing_ = nullptr;  // the timer whose callback runs; null again once that timer is gone

  epoll_event events_[kMaxEventsPerTurn];
  int event_count_ = 0;  // of the turn that is being dispatched, else 0
  int event_next_ = 0;   // first one not told yet

  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;   // guarded by mutex_
  std::vector<std::function<void()>> running_;  // kept for its capacity
};

// Calls back once, at or after a deadline, from the loop's thread; can be started again without allocation. Never
// early; late by at most the turn in progress and a millisecond, the granularity of epoll_wait.
//
// Thread rule: the poller's thread. Destroying a timer stops it; its callback may do that too.
class Timer {
 public:
  Timer(Poller& poller, std::function<void()> callback) : poller_(poller), callback_(std::move(callback)) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // (Re)starts. A deadline in the past is due in the next turn, or this one if its timers have not been run yet.
  void Start(Instant deadline);
  void StartIn(Duration delay) { Start(poller_.Now() + delay); }
  void Stop();  // harmless when not running
  bool running() const { return index_ != kNotRunning; }
  Instant deadline() const { return deadline_; }  // of the latest Start; not before the Now() of that call

 private:
  friend class Poller;
  static constexpr size_t kNotRunning = static_cast<size_t>(-1);

  Poller& poller_;
  std::function<void()> callback_;
  Instant deadline_;
  uint64_t order_ = 0;  // start order: equal deadlines fire in the order they were started
  size_t index_ = kNotRunning;
};

}  // namespace hive
