// Which connection to the leader's redis a client has: a lane that it shares, or a link of its own; and its moves
// between the two. It moves only when nothing is in flight, so that the order of its commands and replies is never
// broken.
#include <algorithm>
#include <utility>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "common/net/socket.h"
#include "proxy/worker/client.h"
#include "proxy/worker/event_loop.h"

namespace hive::proxy {

// The one place where a connection is chosen.
void Client::ChooseConnection() {
  if (is_former()) return;
  if (link_ && WantsToMove() && session_.MayMove()) {
    link_->Close();
    loop_.Retire(std::move(link_));
    ForgetReplies();
    session_.Left();
  }
  if (link_) return;
  Route route = session_.NextRoute();
  if (lane_ != nullptr && !TakesReplies()) avoids_lane_until_ = loop_.now() + kOwnLinkLinger;
  if (route == Route::kShared && loop_.now() < avoids_lane_until_) route = Route::kOwn;
  // Nobody waits behind a large reply to somebody else.
  const bool leaves_lane = lane_ != nullptr && (route == Route::kOwn || (route == Route::kShared && lane_->clogged()));
  if (leaves_lane && lane_in_flight == 0 && session_.MayMove()) {
    LeaveLane();
    session_.Left();
  }
  if (lane_ != nullptr || route == Route::kNone) return;
  if (route == Route::kShared) {
    JoinLane();
  } else if (loop_.may_connect()) {
    OpenLink();
  }
}

// Whether a link of its own has been of no use for a while. Not at once: who needs one mostly needs it again soon (a
// worker that waits in BLPOP over and over, MULTI by MULTI).
bool Client::WantsToMove() const {
  return link_->up() && session_.NextRoute() != Route::kOwn && loop_.now() >= avoids_lane_until_ &&
         loop_.now() - session_.own_needed_at() >= kOwnLinkLinger;
}

void Client::OpenLink() {
  if (!loop_.may_open_links()) return;
  link_ = std::make_unique<Link>(loop_.link_transport(), static_cast<Link::Owner&>(*this));
  const absl::Status status = link_->Connect(loop_.leader().redis, loop_.options().link_descriptors_below);
  if (absl::IsResourceExhausted(status)) {  // tried again on the next tick
    link_.reset();
    return loop_.NoteExhausted(status);
  }
  if (!status.ok()) return OnLinkDown(status);
  link_->SetUnacknowledgedLimit(loop_.unacknowledged_limit());
}

// RESET makes it new.
void Client::RenewVisitor() {
  const uint32_t resets = session_.settings().resets();
  if (visitor_.resets != resets) visitor_ = {.since = ReadMonotonicClock(), .resets = resets};
}

void Client::JoinLane() {
  const Settings& settings = session_.settings();
  RenewVisitor();
  Lane* const lane = loop_.LaneFor(settings, visitor_);
  const bool unfit = visitor_.welcome == Welcome::kStranger && visitor_.sent_much && !settings.authenticated();
  if (unfit || (lane == nullptr && visitor_.welcome == Welcome::kUnclear)) {
    avoids_lane_until_ = loop_.now() + kOwnLinkLinger;
    visitor_.sent_much = false;
    if (loop_.may_connect()) OpenLink();
    return;
  }
  if (lane == nullptr) return;
  lane_ = lane;
  lane_->Join(*this);
  session_.LaneJoined();
  ForgetReplies();
}

void Client::LeaveLane() {
  // Once let in, it is on the next one, too.
  if (const std::optional<bool> wants = lane_->wants_authentication(); wants && !visitor_.known()) {
    visitor_.welcome = *wants ? Welcome::kStranger : Welcome::kLetIn;
  }
  std::exchange(lane_, nullptr)->Leave(*this);
}

// Its replies are more than a lane can wait for. Requires session_.MayAskAgain().
void Client::MoveToOwnLink() {
  avoids_lane_until_ = loop_.now() + kOwnLinkLinger;
  EndLink(LinkEnd::kDemoted, /*held_oldest=*/false);
}

// The connection has ended, or ends now. May close the client.
void Client::EndLink(LinkEnd end, bool held_oldest) {
  if (!connected()) return;
  const bool was_former = is_former();
  link_is_former_ = false;
  EndFormerFeed();
  if (closed_) return;
  if (was_former && end == LinkEnd::kCut && link_ && link_->up() && session_.settings().subscriptions() > 0) {
    former_feed_ = std::make_unique<FormerFeed>(std::move(link_), unjudged_.view(), [this] { ReadFormerFeed(); });
  } else if (link_) {
    if (!link_->up() && end == LinkEnd::kCrashed && !session_.link_up()) end = LinkEnd::kNotReady;
    link_->Close();
    loop_.Retire(std::move(link_));
    // No client tries again before the probe, which sets the pace, has seen a master.
    const bool failed = end == LinkEnd::kNotReady || (end == LinkEnd::kCrashed && !session_.server_ends());
    if (!was_former && failed) loop_.SuspectNewConnections();
  } else {
    LeaveLane();
  }
  const bool awaited_confirmation = withheld_ == Withheld::kForAcks;
  ForgetReplies();
  if (ack_progress_) loop_.acks()->Leave(*ack_progress_);
  const Instant last_answer = was_former || end == LinkEnd::kCut ? loop_.former_last_answer() : loop_.last_answer();
  const std::optional<size_t> again = session_.LinkEnded(end, last_answer, loop_.now(), held_oldest);
  if (!again) {
    LogDebug("client", "closed: what became of its commands is unknown, or its connection cannot be made again",
             {{"client", ToString(PeerEndpoint(socket_.fd()))},
              {"link_end", static_cast<int>(end)},
              {"handed_over", was_former},
              {"awaited_confirmation", awaited_confirmation}});
    return CloseInDoubt();
  }
  loop_.tally().sent_again += *again;
  body_.Clear();
  body_ends_ = false;
}

// Closes it since its connection has ended, or its replies cannot be believed.
void Client::CloseInDoubt() {
  if (session_.outcome_unknown()) ++loop_.tally().closed_unknown_outcome;
  Close();
}

// What was received on the connection before.
void Client::ForgetReplies() {
  replies_.reset();
  unjudged_.Clear();
  part_action_ = ReplyAction::kNeedMore;
  withheld_ = Withheld::kNo;
  if (ack_progress_) ack_progress_->Forget();
}

// ---------------------------------------------------------------------------------------------------------------------
// On a lane

Instant Client::loop_now() const { return loop_.now(); }

std::string_view Client::LaneBytes() {
  if (closed_ || !TakesReplies() || OwesReading()) return {};
  if (lane_in_flight >= lane_window_) return {};
  return session_.ToSend(loop_.flush_gates(), lane_window_ - lane_in_flight);
}

void Client::OnLaneFlushed() {
  if (!closed_) loop_.SetWaiting(this, waiting());
}

// What needs no judgement, as nearly everything on a lane.
bool Client::RelayPlain(std::string_view bytes, uint32_t replies) {
  if (replies == 0 || withheld_ != Withheld::kNo || part_action_ != ReplyAction::kNeedMore || !unjudged_.empty()) {
    return false;
  }
  const bool may_confirm =
      loop_.acks() == nullptr && (is_former() ? loop_.may_confirm_former_writes() : loop_.may_confirm_writes());
  const std::optional<Instant> sent_at = session_.AnsweredPlainly(replies, may_confirm);
  if (!sent_at) return false;
  loop_.NoteAnswered(*sent_at, replies);
  NoteJudged(bytes.size());
  ToClient(bytes);
  boundary_ = taken_ + to_client_.size();
  return true;
}

void Client::AdaptLaneWindow(size_t reply_size) {
  reply_size_ = static_cast<uint32_t>(std::max<size_t>(reply_size, (7 * size_t{reply_size_} + reply_size) / 8));
  const uint32_t most = loop_.acks() == nullptr ? kMostOnLane : kMostOnLaneWithAcks;
  const auto by_size = static_cast<uint32_t>(kReplyWindow / std::max<uint32_t>(reply_size_, 1));
  lane_window_ = std::clamp<uint32_t>(2 * lane_window_, 1, std::clamp<uint32_t>(by_size, 1, most));
}

void Client::OnLaneReplies(std::string_view bytes, uint32_t plain) {
  if (closed_) return;
  const size_t before = session_.in_flight();
  if (!RelayPlain(bytes, plain)) TakeReplies(bytes);
  if (closed_) return;
  if (const size_t answered = before - std::min(before, session_.in_flight()); answered > 0) {
    AdaptLaneWindow(bytes.size() / answered);
  }
  // A lane does not wait for it. What cannot be asked again is kept, and OnTick looks whether it takes it.
  if (lane_ != nullptr && to_client_.size() > kReplyWindow && lane_in_flight > 0 && session_.MayAskAgain()) {
    MoveToOwnLink();
    if (closed_) return;
  }
  Settle();
}

void Client::OnLaneEnded(bool crashed, bool oldest) {
  if (closed_) return;
  EndLink(crashed ? LinkEnd::kCrashed : LinkEnd::kCut, oldest);
  if (!closed_) Settle();
}

void Client::OnLaneRefused(std::string_view error) {
  if (closed_) return;
  LogDebug("client", "closed: the server does not let its connection be what it was",
           {{"client", ToString(PeerEndpoint(socket_.fd()))}, {"error", std::string(error)}});
  Close();
}

}  // namespace hive::proxy
