// The server's side of a client.
#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "common/app/log.h"
#include "common/net/socket.h"
#include "proxy/resp/replies.h"
#include "proxy/worker/client.h"
#include "proxy/worker/event_loop.h"

namespace hive::proxy {

void Client::OnLinkUp() {
  if (closed_) return;
  link_proven_ = loop_.may_connect();
  session_.LinkOpened();
  Settle();
}

void Client::OnLinkDown(const absl::Status& why) {
  if (closed_) return;
  LogDebug("client", "its link is down", {{"why", std::string(why.message())}});
  EndLink(LinkEnd::kCrashed);
  if (!closed_) Settle();
}

void Client::OnLinkWritable() {
  if (closed_) return;
  if (!body_.empty()) {
    const ssize_t n = link_->Write(body_.view());
    if (n < 0 && errno != EAGAIN) {
      EndLink(LinkEnd::kCrashed);
      if (!closed_) Settle();
      return;
    }
    if (n > 0) body_.Consume(static_cast<size_t>(n));
    EndBodyIfSent();
  }
  Settle();
}

void Client::LeaderChanged(bool handed_over) {
  if (closed_ || !connected()) return;
  if (lane_ != nullptr && !lane_->former()) return;  // the new leader's already
  const bool was_former = std::exchange(link_is_former_, handed_over && link_ != nullptr);
  if (handed_over && !was_former && session_.AwaitsReplies()) return Resume();  // what was withheld while nobody led
  EndLink(LinkEnd::kCut);
  if (!closed_) Settle();
}

void Client::PatienceIsOver() {
  if (closed_ || !(is_former() || former_feed_)) return;
  if (is_former()) EndLink(LinkEnd::kCut);
  if (!closed_) EndFormerFeed();
  if (!closed_) Settle();
}

void Client::TermChanged() {
  if (withheld_ != Withheld::kNo) CloseInDoubt();
}

// What may be sent on the connection there is, or is to be.
Gates Client::gates() const {
  if (is_former()) return {};
  const bool proven = link_ ? link_->up() && link_proven_ : lane_ != nullptr && lane_->proven();
  return proven || loop_.may_connect() ? loop_.gates() : Gates{};
}

void Client::SendCommands() {
  if (lane_ != nullptr) {
    if (session_.has_unsent()) lane_->Enqueue(*this);
    return;
  }
  if (!link_ || !session_.HasToSend()) return;
  // Once what is in flight has been answered, it goes on on a lane.
  if (WantsToMove() && session_.MayMoveOnceAnswered()) return;
  const Gates gates = this->gates();
  while (link_ && link_->up()) {
    const std::string_view bytes = session_.ToSend(gates);
    if (bytes.empty()) return;
    const ssize_t n = link_->Write(bytes);
    if (n < 0) {
      if (errno != EAGAIN) EndLink(LinkEnd::kCrashed);
      return;
    }
    session_.Sent(static_cast<size_t>(n), loop_.now());
    if (static_cast<size_t>(n) < bytes.size()) return;
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Replies

// A stretch of the server's bytes while it is being looked at: [begin, at) is relayed with one call.
struct Client::Run {
  std::string_view bytes;
  bool lease = false;
  size_t begin = 0;
  size_t at = 0;
  size_t boundary = kNone;  // end of the last whole reply in the stretch
  static constexpr size_t kNone = static_cast<size_t>(-1);
};

// A reply that was replaced when its beginning had come: what to do with the rest of it.
ReplyAction OfTheRest(ReplyAction action) {
  return action == ReplyAction::kReplace || action == ReplyAction::kUnconfirmed ? ReplyAction::kSwallow : action;
}

void Client::OnLinkReadable() {
  if (closed_) return;
  ReadReplies();
  if (!closed_) Settle();
}

// Reads once from the link, and relays what may be relayed.
void Client::ReadReplies() {
  if (!link_ || !link_->up()) return;
  const std::span<char> buffer = loop_.read_buffer();
  const ssize_t n = link_->Read(buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return EndLink(LinkEnd::kCrashed);
  if (link_is_former_) {
    loop_.NoteFormerAnswer();
  } else {
    loop_.NoteAnswer();
  }
  TakeReplies({buffer.data(), static_cast<size_t>(n)});
}

void Client::ReadFormerFeed() {
  if (closed_ || !former_feed_) return;
  ToClient(former_feed_->Read(loop_.read_buffer()));
  boundary_ = taken_ + to_client_.size();
  if (!closed_ && (former_feed_->over() || !TakesReplies())) EndFormerFeed();
  if (!closed_) Settle();
}

void Client::EndFormerFeed() {
  if (!former_feed_) return;
  const std::string kept = former_feed_->TakeKept();
  former_feed_->Close();
  loop_.Retire(std::move(former_feed_));
  ToClient(kept);
  boundary_ = taken_ + to_client_.size();
}

// A reply that is to be relayed, while the former connection brings messages, too. False: the client is closed.
bool Client::Splice(Run& run, std::string_view reply, ReplyDecision& decision) {
  const bool is_message = IsMessage(reply);
  if (is_message && (!session_.restored() || !former_feed_->OnNew(reply))) decision.action = ReplyAction::kSwallow;
  // What is no message stands behind all that came before it.
  if (is_message && !former_feed_->over()) return true;
  if (!RelayRun(run)) return false;
  EndFormerFeed();
  return !closed_;
}

// Relays what may be relayed of these bytes, and keeps the rest.
void Client::TakeReplies(std::string_view bytes) {
  if (withheld_ != Withheld::kNo) {
    unjudged_.Append(bytes);
  } else if (unjudged_.empty()) {
    const size_t used = Relay(bytes);
    NoteJudged(used);
    if (!closed_ && connected() && used < bytes.size()) unjudged_.Append(bytes.substr(used));
  } else {
    unjudged_.Append(bytes);
    RelayKept();
  }
  if (!closed_ && part_action_ == ReplyAction::kNeedMore && withheld_ == Withheld::kNo &&
      unjudged_.size() > kUnderstoodReplyBytes) {
    LogWarning("client", "closed: the server's reply cannot be understood", {{"bytes", unjudged_.size()}});
    Close();
  }
}

void Client::RelayKept() {
  const size_t used = Relay(unjudged_.view());
  if (closed_ || !connected()) return;
  NoteJudged(used);
  unjudged_.Consume(used);
}

// The loop's between two replies; of its own from the beginning of one to its end.
resp::ReplyScanner& Client::replies() { return replies_ ? *replies_ : loop_.reply_scanner(); }

resp::ReplyStatus Client::ScanReply(std::string_view bytes) {
  resp::ReplyScanner& scanner = replies();
  const resp::ReplyStatus status = scanner.Scan(bytes);
  if (status != resp::ReplyStatus::kReply && !replies_) {
    replies_ = std::make_unique<resp::ReplyScanner>(std::exchange(scanner, resp::ReplyScanner()));
  }
  return status;
}

void Client::NoteJudged(size_t bytes) {
  if (ack_progress_) ack_progress_->Judged(bytes);
}

// Judges the replies in `bytes` one after the other; returns how many bytes need not be kept.
size_t Client::Relay(std::string_view bytes) {
  Run run{bytes, is_former() ? loop_.may_confirm_former_writes() : loop_.may_confirm_writes()};
  const size_t in_flight = session_.in_flight();
  const std::optional<Instant> sent_at = session_.awaited_since();
  bool more = true;
  while (more && run.at < bytes.size()) {
    const std::string_view rest = bytes.substr(run.at);
    switch (ScanReply(rest)) {
      case resp::ReplyStatus::kReply:
        more = RelayWhole(run);
        replies_.reset();
        break;
      case resp::ReplyStatus::kIncomplete:
        more = RelayPart(run);
        break;
      case resp::ReplyStatus::kError:
        LogWarning("client", "its link is cut: the server does not speak RESP",
                   {{"why", replies_->error()}, {"redis", ToString(loop_.leader().redis)}});
        EndLink(LinkEnd::kCrashed);
        more = false;
        break;
    }
    if (closed_ || !connected()) return bytes.size();
  }
  const size_t answered = in_flight - std::min(in_flight, session_.in_flight());
  if (sent_at && answered > 0) loop_.NoteAnswered(*sent_at, answered);
  if (!RelayRun(run)) return bytes.size();
  return run.at;
}

bool Client::RelayRun(Run& run) {
  ToClient(run.bytes.substr(run.begin, run.at - run.begin));
  if (run.boundary != Run::kNone) boundary_ = taken_ + to_client_.size() - (run.at - run.boundary);
  run.boundary = Run::kNone;
  run.begin = run.at;
  return !closed_;
}

bool Client::RelayWhole(Run& run) {
  const std::string_view rest = run.bytes.substr(run.at);
  const size_t size = replies().size();
  if (part_action_ != ReplyAction::kNeedMore) {
    const ReplyAction action = std::exchange(part_action_, ReplyAction::kNeedMore);
    session_.ReplyEnded();
    if (action == ReplyAction::kRelay) run.boundary = run.at + size;
    return Obey(run, {OfTheRest(action)}, size);
  }
  const resp::Reply reply = replies().reply(rest);
  const ReplyHead head{reply.type(), reply.bytes(), reply.error(), true};
  ReplyDecision decision = session_.OnReply(head, ConfirmationOf(run));
  if (former_feed_ && decision.action == ReplyAction::kRelay && !Splice(run, reply.bytes(), decision)) return false;
  if (decision.action == ReplyAction::kRelay) run.boundary = run.at + size;
  return Obey(run, decision, size);
}

bool Client::RelayPart(Run& run) {
  const std::string_view rest = run.bytes.substr(run.at);
  const size_t known = std::min<uint64_t>(replies_->known_size(), rest.size());
  if (part_action_ == ReplyAction::kNeedMore) {
    if (lane_ != nullptr && replies_->known_size() > kLargestOnLane && session_.MayAskAgain()) {
      if (RelayRun(run)) MoveToOwnLink();
      return false;
    }
    const ReplyHead head{replies_->type(), rest, {}, false};
    const ReplyDecision decision = session_.OnReply(head, ConfirmationOf(run));
    switch (decision.action) {
      case ReplyAction::kRelay:
        // Too large to be told from those of the former connection.
        if (former_feed_ && RelayRun(run)) EndFormerFeed();
        if (closed_) return false;
        [[fallthrough]];
      case ReplyAction::kSwallow:
      case ReplyAction::kReplace:
      case ReplyAction::kUnconfirmed:
        part_action_ = decision.action;
        break;
      default:
        break;
    }
    Obey(run, decision, part_action_ == ReplyAction::kNeedMore ? 0 : known);
  } else {
    Obey(run, {OfTheRest(part_action_)}, known);
  }
  if (!closed_ && connected() && part_action_ != ReplyAction::kNeedMore && known > 0) replies_->Release(known);
  return false;  // the rest is still to come
}

// Of the reply that begins at run.at, if it is a write's.
Confirmation Client::ConfirmationOf(const Run& run) const {
  if (!ack_progress_) return run.lease ? Confirmation::kGiven : Confirmation::kNoLease;
  const bool asked = ack_progress_->Covers(run.at);
  const bool given = ack_progress_->result().given;
  if (!run.lease) return asked && !given ? Confirmation::kNeither : Confirmation::kNoLease;
  if (!asked) return Confirmation::kAwaited;
  return given ? Confirmation::kGiven : Confirmation::kTooFew;
}

void Client::AckProgress::OnAckRoundEnds(const AckResult& result) {
  covered_ = in_round_;
  result_ = result;
  client_.Resume();
}

// Does as was decided with the next `size` bytes. False: stop here.
bool Client::Obey(Run& run, ReplyDecision decision, size_t size) {
  if (decision.leader_refused && !is_former()) loop_.SuspectLeader();
  switch (decision.action) {
    case ReplyAction::kRelay:
      run.at += size;
      break;
    case ReplyAction::kSwallow:
    case ReplyAction::kReplace:
    case ReplyAction::kUnconfirmed:
      if (!RelayRun(run)) return false;
      if (decision.action == ReplyAction::kReplace) ToClient(session_.replacement());
      if (decision.action == ReplyAction::kUnconfirmed) {
        ToClient(resp::UnconfirmedReply(ack_progress_->result().confirmed, loop_.options().write_acks));
      }
      if (closed_) return false;
      run.at += size;
      run.begin = run.at;
      break;
    case ReplyAction::kNeedMore:
      return false;
    case ReplyAction::kWithhold:
      withheld_ = run.lease ? Withheld::kForAcks : Withheld::kForLease;
      // Without a lease replicas are asked all the same, once: a client need not wait for the lease to be told that
      // they do not confirm.
      if (!ack_progress_ || ack_progress_->Covers(run.at)) return false;
      if (is_former()) {
        loop_.acks()->JoinFormer(*ack_progress_);
      } else {
        loop_.acks()->Join(*ack_progress_);
      }
      return false;
    case ReplyAction::kDropLink:
      if (RelayRun(run)) EndLink(LinkEnd::kDemoted);
      return false;
    case ReplyAction::kClose:
      if (RelayRun(run)) CloseInDoubt();
      return false;
  }
  if (!session_.local_replies().empty()) {
    if (!RelayRun(run)) return false;
    EmitLocalReplies();
  }
  return !closed_ && !session_.finished();
}

}  // namespace hive::proxy
