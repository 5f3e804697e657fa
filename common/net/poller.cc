#include "common/net/poller.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "common/net/clock.h"

namespace hive {
namespace {

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "poller: %s\n", what);
  std::abort();
}

}  // namespace

Poller::Poller()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), now_(ReadMonotonicClock()) {
  if (!epoll_.valid() || !wake_.valid()) Die("no descriptor for epoll or eventfd: raise the limit of open files");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // no handler: the wake-up itself
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) Die("epoll_ctl refused the eventfd");
}

Poller::~Poller() {
  for (Timer* timer : heap_) timer->index_ = Timer::kNotRunning;
}

bool Poller::Add(const Fd& fd, uint32_t interest, Handler* handler) {
  epoll_event event{};
  event.events = interest;
  event.data.ptr = handler;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) == 0;
}

void Poller::Modify(const Fd& fd, uint32_t interest, Handler* handler) {
  epoll_event event{};
  event.events = interest;
  event.data.ptr = handler;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &event) != 0) Die("Modify of a descriptor that is not watched");
}

void Poller::Remove(const Fd& fd, Handler* handler) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  for (int i = event_next_; i < event_count_; ++i) {
    if (events_[i].data.ptr == handler) events_[i].data.ptr = nullptr;
  }
}

void Poller::Post(std::function<void()> message) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    if (posted_.size() >= kMaxPosted) Die("a loop has left 65536 messages unread: it is stuck");
    first = posted_.empty();
    posted_.push_back(std::move(message));
  }
  if (first) Wake();  // later ones find the loop already woken
}

void Poller::Stop() {
  stop_.store(true, std::memory_order_release);
  Wake();
}

void Poller::Wake() {
  // Fails only when the counter is full, and then the loop is awake anyway.
  eventfd_write(wake_.get(), 1);
}

void Poller::Run() {
  while (!stop_.exchange(false, std::memory_order_acquire)) RunOnce();
}

void Poller::RunOnce(std::optional<Duration> at_most) {
  int count = epoll_wait(epoll_.get(), events_, kMaxEventsPerTurn, SleepMillis(at_most));
  if (count < 0) {
    if (errno != EINTR) Die("epoll_wait failed");
    count = 0;
  }
  now_ = ReadMonotonicClock();
  const bool woken = Dispatch(count);
  if (woken) RunPosted();
  RunTimers();
  if (before_sleep_) before_sleep_();
}

int Poller::SleepMillis(std::optional<Duration> at_most) const {
  std::optional<Duration> sleep = at_most;
  if (!heap_.empty()) {
    // Not now_, which is as old as the turn was long.
    const Duration until_timer = std::max(heap_.front()->deadline_ - ReadMonotonicClock(), Duration::zero());
    sleep = sleep ? std::min(*sleep, until_timer) : until_timer;
  }
  if (!sleep) return -1;
  // Rounded up: a timer is never early, and a loop never spins through the last fraction of a millisecond.
  const int64_t millis = std::chrono::ceil<std::chrono::milliseconds>(*sleep).count();
  return static_cast<int>(std::clamp<int64_t>(millis, 0, std::numeric_limits<int>::max()));
}

bool Poller::Dispatch(int count) {
  bool woken = false;
  event_count_ = count;
  for (event_next_ = 0; event_next_ < event_count_;) {
    const epoll_event& event = events_[event_next_++];  // counted first: Remove forgets only what is still to come
    auto* handler = static_cast<Handler*>(event.data.ptr);
    if (handler != nullptr) {
      handler->OnReady(event.events);
    } else {
      woken = true;  // or a handler that has been removed: then RunPosted finds nothing
    }
  }
  event_count_ = event_next_ = 0;
  return woken;
}

void Poller::RunPosted() {
  // Cleared before the messages are taken: a Post in between wakes the next turn rather than none.
  eventfd_t ignored;
  eventfd_read(wake_.get(), &ignored);
  {
    const std::lock_guard lock(mutex_);
    running_.swap(posted_);
  }
  for (std::function<void()>& message : running_) message();
  running_.clear();
}

void Poller::RunTimers() {
  // One order number bounds the round: a timer that restarts itself in the past waits for the next turn.
  const uint64_t round_end = next_order_;
  while (!heap_.empty() && heap_.front()->deadline_ <= now_ && heap_.front()->order_ < round_end) {
    Timer* timer = heap_.front();
    timer->Stop();
    // The callback may destroy the timer, and must not take itself along while it runs.
    firing_ = timer;
    std::function<void()> callback = std::move(timer->callback_);
    callback();
    if (firing_ == timer) timer->callback_ = std::move(callback);
    firing_ = nullptr;
  }
}

void Poller::PushTimer(Timer* timer) {
  timer->order_ = next_order_++;
  heap_.push_back(timer);
  timer->index_ = heap_.size() - 1;
  SiftUp(timer->index_);
}

void Poller::RemoveTimer(Timer* timer) {
  const size_t index = std::exchange(timer->index_, Timer::kNotRunning);
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  Place(index, last);
  SiftUp(index);
  SiftDown(last->index_);
}

void Poller::Place(size_t index, Timer* timer) {
  heap_[index] = timer;
  timer->index_ = index;
}

bool Poller::Earlier(const Timer* a, const Timer* b) {
  return a->deadline_ != b->deadline_ ? a->deadline_ < b->deadline_ : a->order_ < b->order_;
}

void Poller::SiftUp(size_t index) {
  Timer* timer = heap_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (!Earlier(timer, heap_[parent])) break;
    Place(index, heap_[parent]);
    index = parent;
  }
  Place(index, timer);
}

void Poller::SiftDown(size_t index) {
  Timer* timer = heap_[index];
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && Earlier(heap_[child + 1], heap_[child])) ++child;
    if (!Earlier(heap_[child], timer)) break;
    Place(index, heap_[child]);
    index = child;
  }
  Place(index, timer);
}

Timer::~Timer() {
  Stop();
  if (poller_.firing_ == this) poller_.firing_ = nullptr;
}

void Timer::Start(Instant deadline) {
  Stop();
  deadline_ = std::max(deadline, poller_.now_);  // so that one in the past does not push in before those due now
  poller_.PushTimer(this);
}

void Timer::Stop() {
  if (running()) poller_.RemoveTimer(this);
}

}  // namespace hive
