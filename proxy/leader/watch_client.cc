#include "proxy/leader/watch_client.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "common/net/inbox.h"
#include "proxy/leader/watch_stream.h"

namespace hive::proxy {
namespace {

Endpoint FromProto(const hive::v1::SocketAddress& address) {
  std::optional<std::string> ip = CanonicalIp(address.ip());
  if (!ip || address.port() == 0 || address.port() > 65535) return {};
  return {std::move(*ip), static_cast<uint16_t>(address.port())};
}

WriteState FromProto(hive::v1::WriteState state) {
  switch (state) {
    case hive::v1::WRITE_STATE_OPEN:
      return WriteState::kOpen;
    case hive::v1::WRITE_STATE_HOLD:
      return WriteState::kHold;
    case hive::v1::WRITE_STATE_NO_LEADER:
      return WriteState::kNoLeader;
    default:  // FENCED, and what a newer coordinator may say: nothing is written
      return WriteState::kFenced;
  }
}

// A number of milliseconds from the wire; absurd ones are brought into range instead of overflowing.
Duration FromMillis(uint64_t n) { return Millis(static_cast<int64_t>(std::min<uint64_t>(n, 1u << 31))); }

WatchAnswer FromProto(const hive::v1::WatchResponse& response) {
  WatchAnswer answer;
  answer.hive = response.hive();
  answer.write_state = FromProto(response.write_state());
  answer.handed_over_by = response.handed_over_by();
  answer.held = FromMillis(response.held_ms());
  answer.claim_age = FromMillis(response.claim_age_ms());
  answer.lease = FromMillis(response.lease_ms());
  for (const hive::v1::SocketAddress& address : response.coordinators()) {
    if (Endpoint endpoint = FromProto(address); !endpoint.empty()) answer.coordinators.push_back(std::move(endpoint));
  }
  Endpoint redis = FromProto(response.redis());
  // A leader whose redis nobody can name is none.
  if (response.term() > 0 && !redis.empty()) {
    answer.leader = {response.term(), response.leader_ip(), response.leader_incarnation(), std::move(redis)};
  }
  return answer;
}

}  // namespace

class WatchClient::Core {
 public:
  Core(Options options, Listener listener) : options_(std::move(options)), listener_(std::move(listener)) {
    own_.endpoint = options_.coordinator;
    thread_ = std::thread([this] { Run(); });
  }

  ~Core() {
    inbox_->Close();
    thread_.join();
  }

 private:
  // Of a stream that this thread may have given up already: then its id is no longer anyone's.
  struct Arrived {
    uint64_t stream_id;
    WatchStream::Event event;
  };

  // A coordinator that is being watched, or tried.
  struct Source {
    Endpoint endpoint;
    std::shared_ptr<WatchStream> stream;  // null: between two attempts
    uint64_t stream_id = 0;
    bool answering = false;
    bool knows = false;        // ... and names the leader that this proxy believes in
    Instant ignorant_since{};  // if it does not
    Instant last_heard{};      // or when the attempt began
    Instant next_ask{};
    Instant next_attempt{};
  };

  void Run() {
    std::vector<Arrived> arrived;
    Instant wake_at = ReadMonotonicClock();
    while (inbox_->WaitUntil(wake_at, arrived)) {
      const Instant now = ReadMonotonicClock();
      for (const Arrived& event : arrived) OnEvent(event, now);
      Drive(own_, now);
      DriveOther(now);
      Report(now);
      // As a rule there is nothing to do but to take in the own coordinator's answers.
      wake_at = own_.knows && !other_.stream ? own_.next_ask : now + kTick;
    }
    Abandon(own_, {});
    Abandon(other_, {});
  }

  void OnEvent(const Arrived& arrived, Instant now) {
    Source* source = arrived.stream_id == own_.stream_id     ? &own_
                     : arrived.stream_id == other_.stream_id ? &other_
                                                             : nullptr;
    if (source == nullptr || !source->stream) return;
    if (const auto* ended = std::get_if<WatchStream::Ended>(&arrived.event)) {
      LogDebug("watch", "the stream ended", {{"coordinator", ToString(source->endpoint)}, {"why", ended->why}});
      if (ended->distrust && (!distrust_told_ || now - *distrust_told_ >= kDistrustInterval)) {
        distrust_told_ = now;
        LogWarning("watch",
                   "a coordinator and this proxy do not know the same secret: give them the same --peer-secret-file or "
                   "redis password",
                   {{"coordinator", ToString(source->endpoint)}, {"why", ended->why}});
      }
      Abandon(*source, now + (source->answering   ? Duration::zero()
                              : source == &other_ ? kNextOtherDelay
                                                  : kRetryDelay));
      return;
    }
    const auto& arrived_answer = std::get<WatchStream::Answer>(arrived.event);
    WatchAnswer answer = FromProto(arrived_answer.response);
    answer.asked = arrived_answer.asked;
    source->last_heard = now;
    source->next_ask = now + kAskPatience;
    const LeaderView::Verdict verdict = view_.Heard(now, source == &own_, answer);
    if (verdict == LeaderView::Verdict::kOtherHive) {
      LogWarning("watch", "another hive's coordinator answers at a member's address: ignored",
                 {{"coordinator", ToString(source->endpoint)}, {"hive", answer.hive}, {"expected", view_.hive()}});
      Abandon(*source, now + kRetryDelay);
      return;
    }
    // A claim that has aged beyond its lease is no knowledge: that coordinator may be stuck. Its first answer, to no
    // question yet, grants no lease.
    const bool alive = !answer.asked || now < view_.snapshot().lease_until;
    const bool names_leader = verdict == LeaderView::Verdict::kBelieved && !view_.snapshot().leader.empty();
    const bool knew = std::exchange(source->knows, names_leader && alive);
    if (!source->knows && (knew || !source->answering)) source->ignorant_since = now;
    if (source->knows) may_not_know_ = kOtherMayNotKnow;
    if (!source->answering) {
      source->answering = true;
      LogInfo("watch", source == &own_ ? "watches its own coordinator" : "watches another member's coordinator",
              {{"coordinator", ToString(source->endpoint)}, {"hive", answer.hive}});
    }
  }

  // Keeps a source's stream alive: opens it, asks, and cuts it when it is mute.
  void Drive(Source& source, Instant now) {
    if (!source.stream) {
      if (now < source.next_attempt) return;
      source.stream_id = ++newest_stream_id_;
      source.last_heard = source.next_ask = now;
      source.stream = WatchStream::Open(source.endpoint, options_.credentials, options_.secrets->Current(),
                                        [inbox = inbox_, id = source.stream_id](WatchStream::Event event) {
                                          // A full inbox means a thread that stands still: what it would have heard is
                                          // stale by the time it goes on, and the next answer says it again.
                                          (void)inbox->Push({id, std::move(event)});
                                        });
    } else if (now - source.last_heard >= kSilence) {
      if (source.answering) {
        LogWarning("watch", "the coordinator is silent", {{"coordinator", ToString(source.endpoint)}});
      }
      Abandon(source, now);
      return;
    }
    if (now >= source.next_ask) {
      source.next_ask = now + kAskPatience;
      source.stream->Ask(view_.hive());
    }
  }

  // While the own coordinator does not answer, or does not know, one of the others is watched too.
  void DriveOther(Instant now) {
    if (OwnSuffices(now)) {
      if (other_.stream) Abandon(other_, {});
      return;
    }
    const bool others_are_left = view_.coordinators().size() > 1;
    if (other_.answering && !other_.knows && others_are_left && now - other_.ignorant_since >= may_not_know_) {
      LogDebug("watch", "leaves a coordinator that knows no leader", {{"coordinator", ToString(other_.endpoint)}});
      Abandon(other_, now);
    }
    if (!other_.stream && now >= other_.next_attempt) {
      const std::optional<Endpoint> next = NextOther();
      if (!next) return;
      other_.endpoint = *next;
    }
    if (!other_.endpoint.empty()) Drive(other_, now);
  }

  bool OwnSuffices(Instant now) const {
    if (!own_.answering) return false;
    if (own_.knows || !view_.has_known_leader() || view_.coordinators().size() <= 1) return true;
    return now - own_.ignorant_since < (view_.hands_over() ? kOwnMayNotKnowAfterHold : kOwnMayNotKnow);
  }

  std::optional<Endpoint> NextOther() {
    const std::vector<Endpoint>& members = view_.coordinators();
    if (members.empty()) return std::nullopt;
    const size_t turn = turn_++ % members.size();
    if (turn + 1 == members.size()) may_not_know_ = std::min<Duration>(2 * may_not_know_, kOtherMayNotKnowAtMost);
    return members[turn];
  }

  void Abandon(Source& source, Instant next_attempt) {
    if (source.stream) source.stream->Cut();
    source.stream.reset();
    source.stream_id = 0;
    source.answering = source.knows = false;
    source.next_attempt = next_attempt;
    view_.Left(&source == &own_);
  }

  void Report(Instant now) {
    const bool connected = own_.answering || other_.answering;
    if (connected != connected_ || !reported_) {
      connected_ = connected;
      silent_since_ = now;
    }
    if (!connected && !complained_ && now - silent_since_ >= Seconds(1)) {
      complained_ = true;
      LogWarning("watch", "no coordinator answers: writes wait until one does",
                 {{"own", ToString(options_.coordinator)}, {"others_known", view_.coordinators().size()}});
    }
    if (connected) complained_ = false;
    News news{view_.snapshot(), connected};
    if (reported_ && news.snapshot == reported_->snapshot && news.connected == reported_->connected) return;
    reported_ = news;
    listener_(news);
  }

  const Options options_;
  const Listener listener_;
  // Shared with streams that gRPC may still be ending when this object is gone.
  const std::shared_ptr<Inbox<Arrived>> inbox_ = std::make_shared<Inbox<Arrived>>(kMaxEvents);

  // The thread's own.
  LeaderView view_;
  Source own_;
  Source other_;
  uint64_t newest_stream_id_ = 0;
  size_t turn_ = 0;
  Duration may_not_know_ = kOtherMayNotKnow;  // what is granted to other_ now
  std::optional<News> reported_;
  bool connected_ = false;
  bool complained_ = false;
  Instant silent_since_{};
  std::optional<Instant> distrust_told_;

  std::thread thread_;  // last: it uses all of the above
};

WatchClient::WatchClient(Options options, Listener listener)
    : core_(std::make_unique<Core>(std::move(options), std::move(listener))) {}

WatchClient::~WatchClient() = default;

}  // namespace hive::proxy
