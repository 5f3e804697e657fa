#include "coordinator/adapters/watch_service.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/net/clock.h"
#include "coordinator/adapters/caller.h"
#include "coordinator/adapters/peer_codec.h"

namespace hive::coordinator {
namespace {

// How long watchers may go without a word: two beats, since the claim is published once per beat, a little late at
// times, and only when that fails does the thread of the beat have something to do...
constexpr int kBeatsOfSilence = 2;
// ... but not so long that a proxy gives the stream up (450 ms).
constexpr Duration kLongestSilence = Millis(300);

}  // namespace

// One watcher's stream. Its state is guarded by the service's mutex. Deletes itself in OnDone.
class WatchService::Watcher final : public grpc::ServerBidiReactor<v1::WatchRequest, v1::WatchResponse> {
 public:
  explicit Watcher(WatchService& service) : service_(service) {}

  // With the mutex held, as all but the reactions are.
  void Begin() {
    StartRead(&request_);
    Tell();
  }
  // Writes the present state, at once or as soon as the write in flight is done.
  void Tell() {
    stale_ = true;
    Write();
  }

 private:
  void Write() {
    if (writing_ || finished_) return;
    if (end_) {
      finished_ = true;
      Finish(*end_);
    } else if (std::exchange(stale_, false)) {
      response_ = service_.Response(sequence_, arrived_);
      writing_ = true;
      StartWrite(&response_);
    }
  }

  void End(const grpc::Status& status) {
    if (!end_) end_ = status;
    Write();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // half-closed: a look without a lease goes on
    const std::lock_guard lock(service_.mutex_);
    const std::string& hive = service_.options_.hive;
    if (!request_.hive().empty() && request_.hive() != hive) {
      End({grpc::StatusCode::FAILED_PRECONDITION,
           "this is a coordinator of hive \"" + hive + "\", not of \"" + request_.hive() + "\""});
      return;
    }
    // The first question is answered at once, since it is to bring the first lease; the others by what is published.
    const bool first = sequence_ == 0 && request_.sequence() > 0;
    if (request_.sequence() > sequence_) {
      sequence_ = request_.sequence();
      arrived_ = ReadMonotonicClock();
    }
    if (first) Tell();
    if (!finished_ && !end_) StartRead(&request_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(service_.mutex_);
    writing_ = false;
    if (ok) {
      Write();
    } else {
      End(grpc::Status::CANCELLED);
    }
  }

  void OnCancel() override {
    const std::lock_guard lock(service_.mutex_);
    End(grpc::Status::CANCELLED);
  }

  void OnDone() override {
    {
      const std::lock_guard lock(service_.mutex_);
      service_.watchers_.erase(this);
    }
    delete this;
  }

  WatchService& service_;
  v1::WatchRequest request_;    // of the read in progress
  v1::WatchResponse response_;  // of the write in progress
  uint64_t sequence_ = 0;       // the newest that has arrived...
  Instant arrived_;             // ... and when
  bool stale_ = false;          // there is something newer than what was written
  bool writing_ = false;
  std::optional<grpc::Status> end_;  // finish once nothing is being written
  bool finished_ = false;
};

WatchService::WatchService(Options options, PeerGuard& guard)
    : options_(std::move(options)), guard_(guard), beat_([this] { Beat(); }) {}

WatchService::~WatchService() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  beat_.join();
}

void WatchService::Publish(const election::LeaderView& view) {
  const std::lock_guard lock(mutex_);
  view_ = view;
  TellAll();
}

void WatchService::TellAll() {
  told_ = ReadMonotonicClock();
  for (Watcher* watcher : watchers_) watcher->Tell();
}

// Speaks up when nothing has been published for a while. A thread of its own, so that watchers hear an ageing claim,
// rather than nothing, from a member whose election loop is stuck.
void WatchService::Beat() {
  const Duration silence = std::min<Duration>(kBeatsOfSilence * options_.beat_interval, kLongestSilence);
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const Duration left = told_ + silence - ReadMonotonicClock();
    if (watchers_.empty()) {
      wake_.wait(lock);
    } else if (left > Duration(0)) {
      wake_.wait_for(lock, left);
    } else {
      TellAll();
    }
  }
}

v1::WatchResponse WatchService::Response(uint64_t echoed_sequence, Instant arrived) const {
  const Instant now = ReadMonotonicClock();
  v1::WatchResponse response;
  response.set_echoed_sequence(echoed_sequence);
  // Rounded down, as the age below is rounded up: a lease must never be longer than what was heard allows.
  if (echoed_sequence > 0) response.set_held_ms(static_cast<uint64_t>(ToMillis(now - arrived)));
  response.set_hive(options_.hive);
  response.set_lease_ms(static_cast<uint64_t>(ToMillis(options_.lease)));
  response.set_write_state(Encode(view_.write_state));
  if (!view_.claim.empty()) {
    response.set_term(view_.claim.term);
    response.set_leader_ip(view_.claim.leader.ip);
    response.set_handed_over_by(view_.handed_over_by);
    response.set_leader_incarnation(view_.claim.leader.incarnation);
    coordinator::Encode(view_.claim.redis, response.mutable_redis());
    const Duration age = std::max(Duration(0), now - view_.heard);
    response.set_claim_age_ms(static_cast<uint64_t>(ToMillis(age + Millis(1) - Duration(1))));
  }
  for (const Endpoint& member : view_.coordinators) coordinator::Encode(member, response.add_coordinators());
  return response;
}

grpc::ServerBidiReactor<v1::WatchRequest, v1::WatchResponse>* WatchService::Watch(
    grpc::CallbackServerContext* context) {
  class Refused final : public grpc::ServerBidiReactor<v1::WatchRequest, v1::WatchResponse> {
   public:
    explicit Refused(const grpc::Status& status) { Finish(status); }
    void OnDone() override { delete this; }
  };

  const PeerGuard::Caller caller = guard_.Admit(*context, "Watch");
  if (!caller.status.ok()) return new Refused(caller.status);
  const std::lock_guard lock(mutex_);
  if (watchers_.size() >= kMaxWatchers) {
    guard_.refusals().Note(Refusals::Reason::kOverload, PeerIp(context->peer()), "Watch");
    return new Refused({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many watch this coordinator: try another member"});
  }
  auto* watcher = new Watcher(*this);
  watchers_.insert(watcher);
  watcher->Begin();
  wake_.notify_all();
  return watcher;
}

size_t WatchService::watchers() const {
  const std::lock_guard lock(mutex_);
  return watchers_.size();
}

}  // namespace hive::coordinator
