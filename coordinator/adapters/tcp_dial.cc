#include "coordinator/adapters/tcp_dial.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <algorithm>
#include <cerrno>
#include <list>
#include <thread>
#include <utility>

#include "common/net/clock.h"
#include "common/net/poller.h"
#include "common/net/socket.h"

namespace hive::coordinator {
namespace {

// Begins to connect. `error` is 0 when connected, EINPROGRESS when not known yet, else why not.
Fd BeginConnect(const Endpoint& to, int& error) {
  sockaddr_storage address{};
  socklen_t length = 0;
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(&address); inet_pton(AF_INET, to.ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(to.port);
    length = sizeof *v4;
  } else if (auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
             inet_pton(AF_INET6, to.ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(to.port);
    length = sizeof *v6;
  } else {
    error = EADDRNOTAVAIL;
    return Fd();
  }
  Fd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  error = 0;
  if (!socket.valid() || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) error = errno;
  return socket;
}

// The outcome, once the socket is writable.
int ConnectError(const Fd& socket) {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  return error;
}

}  // namespace

TcpOutcome TcpOutcomeOf(int error) {
  switch (error) {
    case 0:
      return TcpOutcome::kConnected;
    case ECONNREFUSED:
      return TcpOutcome::kRefused;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
      return TcpOutcome::kUnreachable;
    default:  // a time-out, or trouble of our own (no descriptors, no local address), which proves nothing
      return TcpOutcome::kNoConnect;
  }
}

TcpOutcome ConnectWithin(const Endpoint& to, Duration window, int interrupt, Fd* connected) {
  const Instant deadline = ReadMonotonicClock() + window;
  int error = 0;
  Fd socket = BeginConnect(to, error);
  while (error == EINPROGRESS) {
    const int64_t left = ToMillis(deadline - ReadMonotonicClock());
    if (left <= 0) return TcpOutcome::kNoConnect;
    pollfd polled[2] = {{socket.get(), POLLOUT, 0}, {interrupt, POLLIN, 0}};
    const int ready = ::poll(polled, 2, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return TcpOutcome::kNoConnect;
    if (ready > 0 && polled[1].revents != 0) return TcpOutcome::kNoConnect;
    if (ready > 0 && polled[0].revents != 0) error = ConnectError(socket);
  }
  if (error == 0 && connected != nullptr) {
    SetNoDelay(socket);
    *connected = std::move(socket);
  }
  return TcpOutcomeOf(error);
}

class TcpDialler::Thread {
 public:
  Thread() : thread_([this] { poller_.Run(); }) {}
  ~Thread() {
    poller_.Stop();
    thread_.join();
    for (auto& attempt : attempts_) attempt->Forget();
  }

  void Dial(const Endpoint& to, Duration window, Done done) {
    const Instant deadline = ReadMonotonicClock() + window;
    poller_.Post([this, to, deadline, done = std::move(done)]() mutable { Begin(to, deadline, std::move(done)); });
  }

 private:
  class Attempt final : public Poller::Handler {
   public:
    Attempt(Thread& thread, Fd socket, Done done)
        : thread_(thread),
          socket_(std::move(socket)),
          done_(std::move(done)),
          timer_(thread.poller_, [this] { thread_.Finish(this, TcpOutcome::kNoConnect); }) {}

    bool Watch(Instant deadline) {
      timer_.Start(deadline);
      watched_ = thread_.poller_.Add(socket_, Poller::kWritable, this);
      return watched_;
    }
    void Forget() {
      timer_.Stop();
      if (std::exchange(watched_, false)) thread_.poller_.Remove(socket_, this);
    }
    Done TakeDone() { return std::move(done_); }

   private:
    void OnReady(uint32_t) override { thread_.Finish(this, TcpOutcomeOf(ConnectError(socket_))); }

    Thread& thread_;
    Fd socket_;
    Done done_;
    Timer timer_;
    bool watched_ = false;
  };

  void Begin(const Endpoint& to, Instant deadline, Done done) {
    if (attempts_.size() >= kMaxAttempts) return done(TcpOutcome::kNoConnect);
    int error = 0;
    Fd socket = BeginConnect(to, error);
    if (error != EINPROGRESS) return done(TcpOutcomeOf(error));
    attempts_.push_back(std::make_unique<Attempt>(*this, std::move(socket), std::move(done)));
    if (!attempts_.back()->Watch(deadline)) Finish(attempts_.back().get(), TcpOutcome::kNoConnect);
  }

  void Finish(Attempt* attempt, TcpOutcome outcome) {
    attempt->Forget();
    const Done done = attempt->TakeDone();
    // Freed by a message: a timer's callback must not destroy what it lives in while it still runs.
    poller_.Post(
        [this, attempt] { std::erase_if(attempts_, [attempt](const auto& other) { return other.get() == attempt; }); });
    done(outcome);
  }

  Poller poller_;
  std::list<std::unique_ptr<Attempt>> attempts_;  // the thread's own
  std::thread thread_;
};

TcpDialler::TcpDialler() : thread_(std::make_unique<Thread>()) {}
TcpDialler::~TcpDialler() = default;

void TcpDialler::Dial(const Endpoint& to, Duration window, Done done) { thread_->Dial(to, window, std::move(done)); }

}  // namespace hive::coordinator
