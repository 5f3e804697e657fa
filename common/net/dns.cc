#include "common/net/dns.h"

#include <ares.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "common/net/clock.h"
#include "common/net/dns_question.h"
#include "common/net/fd.h"

namespace hive {

// The thread and what it shares with callers: questions that it has not taken up yet.
class Resolver::Thread {
 public:
  explicit Thread(ResolverOptions options)
      : options_(std::move(options)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { Run(); }) {}

  ~Thread() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    eventfd_write(wake_.get(), 1);
    thread_.join();
  }

  void Submit(std::string name, Callback done) {
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back({std::move(name), std::move(done), ReadMonotonicClock() + options_.timeout});
    }
    eventfd_write(wake_.get(), 1);
  }

 private:
  struct Asked {
    std::string name;
    Callback done;
    Instant deadline;
  };

  void Run() {
    while (TakeUp()) {
      DeliverAnswers();
      Sleep();
    }
  }

  // Begins what has been asked since. False when the resolver is being destroyed.
  bool TakeUp() {
    std::vector<Asked> asked;
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return false;
      asked.swap(asked_);
    }
    for (Asked& one : asked) {
      if (open_.size() >= kMaxQuestions) {
        DnsAnswer refused;
        refused.text = "too many questions to DNS at once: " + one.name + " was not asked";
        one.done(std::move(refused));
        continue;
      }
      open_.push_back(std::make_unique<DnsQuestion>(std::move(one.name), options_, one.deadline, std::move(one.done)));
    }
    return true;
  }

  void DeliverAnswers() {
    const Instant now = ReadMonotonicClock();
    std::vector<std::unique_ptr<DnsQuestion>> answered;
    for (std::unique_ptr<DnsQuestion>& question : open_) {
      if (now >= question->deadline()) question->TimeOut();
      if (question->answered()) answered.push_back(std::move(question));
    }
    std::erase(open_, nullptr);
    for (const std::unique_ptr<DnsQuestion>& question : answered) question->Deliver();
  }

  void Sleep() {
    const Instant now = ReadMonotonicClock();
    std::vector<pollfd> sockets = {{wake_.get(), POLLIN, 0}};
    std::optional<Duration> sleep;
    for (const std::unique_ptr<DnsQuestion>& question : open_) {
      question->AddSockets(sockets);
      const Duration wait = std::max(question->NextTimeout(now) - now, Duration::zero());
      sleep = sleep ? std::min(*sleep, wait) : wait;
    }
    const int millis = sleep ? static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(*sleep).count()) : -1;
    if (poll(sockets.data(), sockets.size(), millis) < 0) return;  // EINTR: come round again
    eventfd_t ignored;
    eventfd_read(wake_.get(), &ignored);
    for (const std::unique_ptr<DnsQuestion>& question : open_) question->Process(sockets);
  }

  const ResolverOptions options_;
  const Fd wake_;
  std::vector<std::unique_ptr<DnsQuestion>> open_;  // the thread's

  std::mutex mutex_;
  std::vector<Asked> asked_;  // guarded by mutex_; emptied whenever the thread comes round
  bool stop_ = false;         // guarded by mutex_

  std::thread thread_;  // last: it uses all of the above
};

Resolver::Resolver(ResolverOptions options) {
  static const int initialised = ares_library_init(ARES_LIB_INIT_ALL);
  (void)initialised;  // fails only where memory has run out
  thread_ = std::make_unique<Thread>(std::move(options));
}

Resolver::~Resolver() = default;

void Resolver::Resolve(std::string name, Callback done) { thread_->Submit(std::move(name), std::move(done)); }

}  // namespace hive
