#include "common/app/shutdown.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <limits>

#include "common/net/clock.h"

namespace hive {
namespace {

// What the signal handler may touch: lock-free atomics only.
std::atomic<int> event_for_handler = -1;
std::atomic<bool> signalled = false;

void OnSignal(int signal) {
  if (signalled.exchange(true)) _exit(128 + signal);
  const int saved_errno = errno;
  const uint64_t one = 1;
  // The eventfd is fresh: its counter cannot be full.
  [[maybe_unused]] const ssize_t written = write(event_for_handler.load(), &one, sizeof one);
  errno = saved_errno;
}

void SetAction(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

ShutdownSignals::ShutdownSignals() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  signalled = false;
  event_for_handler = event_.get();
  SetAction(SIGPIPE, SIG_IGN);
  SetAction(SIGTERM, &OnSignal);
  SetAction(SIGINT, &OnSignal);
}

ShutdownSignals::~ShutdownSignals() {
  SetAction(SIGTERM, SIG_DFL);
  SetAction(SIGINT, SIG_DFL);
  event_for_handler = -1;
}

bool ShutdownSignals::requested() const { return Wait(Duration::zero()); }

bool ShutdownSignals::Wait(std::optional<Duration> at_most) const {
  const Instant deadline = at_most ? ReadMonotonicClock() + *at_most : Instant::max();
  for (;;) {
    int millis = -1;
    if (at_most) {
      const Duration left = std::max(deadline - ReadMonotonicClock(), Duration::zero());
      millis = static_cast<int>(std::min<int64_t>(std::chrono::ceil<std::chrono::milliseconds>(left).count(),
                                                  std::numeric_limits<int>::max()));
    }
    pollfd event{event_.get(), POLLIN, 0};
    const int ready = poll(&event, 1, millis);
    if (ready > 0) return true;
    if (ready == 0) return false;  // EINTR: the handler of some signal ran: look again
  }
}

}  // namespace hive
