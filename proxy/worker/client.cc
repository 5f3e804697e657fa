#include "proxy/worker/client.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "common/net/socket.h"
#include "proxy/resp/replies.h"
#include "proxy/worker/event_loop.h"

namespace hive::proxy {

Client::Client(EventLoop& loop, Stream socket) : loop_(loop), socket_(std::move(socket)), session_(&loop.scripts()) {
  if (loop_.acks() != nullptr) ack_progress_ = std::make_unique<AckProgress>(*this);
}

bool Client::Start() {
  SetKeepAlive(socket_.fd());
  SetUnsentLimit(socket_.fd(), kUnsentBytes);
  interest_ = socket_.InterestFor(Poller::kReadable);
  last_heard_ = loop_.now();
  visitor_.since = ReadMonotonicClock();
  return loop_.poller().Add(socket_.fd(), interest_, this);
}

void Client::Close() {
  if (closed_) return;
  closed_ = true;
  if (link_) link_->Close();
  if (former_feed_) former_feed_->Close();
  if (lane_ != nullptr) LeaveLane();
  if (ack_progress_) loop_.acks()->Leave(*ack_progress_);
  loop_.poller().Remove(socket_.fd(), this);
  socket_.Close();
  loop_.memory().Account(accounted_, {});
  accounted_ = {};
  loop_.Retire(this);
}

void Client::OnReady(uint32_t ready) {
  ready = socket_.OnReady(ready);
  if ((ready & Poller::kWritable) != 0) FlushToClient();
  if (!closed_ && (ready & Poller::kReadable) != 0) {
    OnReadable();
  } else if (!closed_ && (ready & Poller::kBroken) != 0) {
    Close();
  } else if (!closed_ && (ready & Poller::kPeerClosed) != 0) {
    // Reading is paused. A client whose commands are held has gone: they are dropped. Else what it sent before is read
    // in its time, and the end of it then.
    peer_told_ = true;
    if (session_.awaits_end()) {
      half_closed_ = true;
      half_closed_at_ = loop_.now();
    } else if (session_.has_unsent() && !gates().writes) {
      Close();
    }
  }
  if (!closed_) Settle();
}

void Client::OnReadable() {
  SplicePipe* const pipe = PassesBody() ? loop_.splice_pipe() : nullptr;
  const std::span<char> buffer = loop_.read_buffer();
  const ssize_t n = pipe != nullptr ? FillPipe(*pipe) : socket_.Read(buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return Close();
  if (n == 0) return OnEnd();
  if (discards()) return;
  last_heard_ = loop_.now();
  if (pipe != nullptr) return PassBody(*pipe);
  const std::string_view bytes(buffer.data(), static_cast<size_t>(n));
  if (unparsed_.empty()) {
    const size_t used = Parse(bytes);
    if (!closed_ && used < bytes.size()) unparsed_.Append(bytes.substr(used));
  } else {
    unparsed_.Append(bytes);
    ParseKept();
  }
}

// Whether anything could be taken from what is kept.
bool Client::ParseKept() {
  if (unparsed_.empty()) return false;
  const size_t used = Parse(unparsed_.view());
  if (closed_) return false;
  unparsed_.Consume(used);
  return used > 0;
}

// The client sends no more. Redis would close; but it would have answered by then what takes a moment longer here. (Of
// an opaque connection nobody knows what is still to come.)
void Client::OnEnd() {
  half_closed_ = true;
  half_closed_at_ = loop_.now();
  const Gates gates = this->gates();
  const bool nothing_comes =
      !session_.has_unsent() && !session_.has_in_flight() && !session_.opaque() && has_taken_all();
  const bool held = session_.has_unsent() && !(gates.leader && gates.writes);
  if (parted_ || nothing_comes || held || session_.waits_on_server() || session_.body(gates) != BodyState::kNone) {
    Close();
  }
}

// Whether the server refuses what it sends, since it has not authenticated; nothing: not known.
std::optional<bool> Client::MustAuthenticate() const {
  if (session_.settings().authenticated()) return false;
  // Behind MONITOR and the like nobody here knows whether AUTH was taken; redis, on a connection of its own, does.
  if (session_.opaque()) return false;
  if (visitor_.authenticates) return std::nullopt;
  if (lane_ != nullptr && lane_->wants_authentication()) return lane_->wants_authentication();
  if (visitor_.known()) return visitor_.welcome == Welcome::kStranger;
  return std::nullopt;
}

// The same, when it matters. Nothing: it cannot be known; or `visitor_.asks`, and the answer is still to come.
std::optional<bool> Client::AskWhetherItMust() {
  RenewVisitor();
  if (visitor_.authenticates) return std::nullopt;
  if (!visitor_.known()) visitor_.welcome = loop_.WelcomeOf(visitor_);
  visitor_.asks = visitor_.welcome == Welcome::kNotKnown;
  return MustAuthenticate();
}

// The loop's between two commands; of its own from the beginning of one that has not come in full to its end.
resp::RequestScanner& Client::requests() { return requests_ ? *requests_ : loop_.request_scanner(); }

resp::RequestStatus Client::ScanRequest(std::string_view bytes, bool authentication_required) {
  resp::RequestScanner& scanner = requests();
  scanner.set_limits(loop_.request_limits());
  scanner.set_authentication_required(authentication_required);
  const resp::RequestStatus status = scanner.Scan(bytes);
  if (status != resp::RequestStatus::kCommand && !requests_) {
    requests_ = std::make_unique<resp::RequestScanner>(std::exchange(scanner, resp::RequestScanner()));
  }
  return status;
}

// Takes commands from the front of `bytes`; returns how many bytes need not be kept.
size_t Client::Parse(std::string_view bytes) {
  size_t at = 0;
  const resp::CommandTable& commands = loop_.commands();
  const bool memory_left = loop_.memory().may_hold();
  const Instant now = loop_.now();
  visitor_.authenticates = visitor_.authenticates && !session_.idle();
  std::optional<bool> must_authenticate = MustAuthenticate();
  visitor_.asks = false;
  while (at < bytes.size() && !session_.last_command_taken() && !discards()) {
    const BodyState body = session_.body_begun() ? session_.body(gates()) : BodyState::kNone;
    if (body == BodyState::kWaiting || body_ends_ || !body_.empty()) break;
    const std::string_view rest = bytes.substr(at);
    resp::RequestStatus status = ScanRequest(rest, must_authenticate.value_or(false));
    if (!must_authenticate && requests().exceeds_unauthenticated() && body == BodyState::kNone) {
      must_authenticate = AskWhetherItMust();
      if (visitor_.asks) return at;
      if (must_authenticate.value_or(false)) {
        requests_.reset();
        status = ScanRequest(rest, true);
      }
    }
    switch (status) {
      case resp::RequestStatus::kCommand: {
        const size_t size = requests().size();
        if (body != BodyState::kNone) {
          body_ends_ = true;
          RelayBody(body == BodyState::kSending ? rest.substr(0, size) : std::string_view());
          if (closed_) return 0;
        } else if (const resp::CommandRule* rule = must_authenticate ? commands.Find(requests().name(rest)) : nullptr;
                   rule != nullptr && rule->plain && memory_left &&
                   session_.AddPlain(rest.substr(0, size), rule->facts.effect, now)) {
          loop_.NoteCommand(rule->facts.effect);  // nothing else is to be known of it
        } else {
          Take(requests().request(rest), must_authenticate, memory_left);
        }
        at += size;
        requests_.reset();
        break;
      }
      case resp::RequestStatus::kEmpty:
        at += requests_->size();
        requests_.reset();
        break;
      case resp::RequestStatus::kIncomplete: {
        size_t consumed = 0;
        const bool more = ParseIncomplete(rest, &consumed);
        if (closed_) return 0;
        at += consumed;
        if (!more) return at;
        break;
      }
      case resp::RequestStatus::kError:
        session_.AddProtocolError(resp::ErrorReply(requests_->error()), rest, loop_.now());
        return bytes.size();
    }
  }
  return session_.last_command_taken() || discards() ? bytes.size() : at;
}

// Takes a command of which more is to be known than its effect.
void Client::Take(const resp::Request& request, std::optional<bool>& must_authenticate, bool memory_left) {
  resp::CommandFacts facts = loop_.FactsOf(request);
  loop_.NoteCommand(facts.effect);
  // If it is more than strangers may send, the server ends the connection on which it comes.
  const bool is_much = request.argument_count() > resp::kMaxUnauthenticatedArguments ||
                       request.bytes().size() > resp::kMaxUnauthenticatedBulk;
  if (is_much && !must_authenticate) {
    facts.shareable = facts.shareable && loop_.lets_anyone_in() && !visitor_.authenticates;
    visitor_.sent_much = visitor_.sent_much || facts.shareable;
  }
  if (facts.changes_access) loop_.NoteAccessChange();
  if (facts.connection == resp::ConnectionCommand::kAuth || facts.connection == resp::ConnectionCommand::kHello) {
    visitor_.authenticates = true;
    must_authenticate = MustAuthenticate();
  }
  session_.Add(request, facts, memory_left || session_.MaySendAtOnce(facts, gates()), loop_.now());
}

// The command at the front has not come in full. Too large to be kept, it is relayed as it comes. True: scan again.
bool Client::ParseIncomplete(std::string_view rest, size_t* consumed) {
  const BodyState body = session_.body_begun() ? session_.body(gates()) : BodyState::kNone;
  if (body == BodyState::kNone) {
    if (requests_->known_size() < kStreamBytes && rest.size() < kStreamBytes) return false;
    const resp::Request head = requests_->request(rest);
    const bool name_is_huge = head.arguments_seen() == 0 && requests_->known_size() >= kStreamBytes;
    if (head.arguments_seen() == 0 && !name_is_huge) return false;
    // No command has such a name: what is unknown counts as a write.
    const resp::CommandFacts facts = name_is_huge ? resp::CommandFacts{} : loop_.FactsOf(head);
    if (!facts.certain && rest.size() < kUncertainBytes) return false;
    loop_.NoteCommand(facts.effect);
    session_.AddStreamed(head, facts, loop_.now());
    ChooseConnection();
    if (!closed_) SendCommands();  // then its turn may be now
    return !closed_;
  }
  const size_t known = std::min<uint64_t>(requests_->known_size(), rest.size());
  if (known == 0) return false;
  if (body == BodyState::kSending) RelayBody(rest.substr(0, known));
  if (closed_) return false;
  requests_->Release(known);
  *consumed = known;
  return false;
}

// Sends a piece of a streamed command, or keeps it until the link takes it: no more is read from the client then.
void Client::RelayBody(std::string_view bytes) {
  if (!bytes.empty() && body_.empty() && link_ && link_->up()) {
    const ssize_t n = link_->Write(bytes);
    if (n < 0 && errno != EAGAIN) return EndLink(LinkEnd::kCrashed);
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
  body_.Append(bytes);
  EndBodyIfSent();
}

void Client::EndBodyIfSent() {
  if (!body_.empty() || !body_ends_) return;
  body_ends_ = false;
  session_.BodyEnded(loop_.now());
}

// Whether what comes next is the inside of a large argument, and may go on as it is.
bool Client::PassesBody() {
  return requests_ && requests_->known_size() >= kSpliceBytes && unparsed_.empty() && body_.empty() && !discards() &&
         session_.body_begun() && session_.body(gates()) == BodyState::kSending && link_ && link_->up() &&
         link_->takes_pipes() && !socket_.encrypted();
}

// No more than the link takes, or little: what it does not take is kept here.
ssize_t Client::FillPipe(SplicePipe& pipe) {
  return pipe.Fill(socket_.fd(), std::min<uint64_t>(requests_->known_size(), std::max(link_->room(), kReadBytes)));
}

void Client::PassBody(SplicePipe& pipe) {
  requests_->Release(pipe.size());
  const ssize_t n = link_->Write(pipe);
  const bool crashed = n < 0 && errno != EAGAIN;
  while (pipe.size() > 0) body_.Append(pipe.Take(loop_.read_buffer()));
  if (crashed) EndLink(LinkEnd::kCrashed);
  if (closed_ || requests_->Scan({}) != resp::RequestStatus::kCommand) return;
  requests_.reset();
  body_ends_ = true;
  EndBodyIfSent();
}

void Client::ToClient(std::string_view bytes) {
  if (bytes.empty() || closed_) return;
  if (to_client_.empty()) {
    const ssize_t n = socket_.Write(bytes);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return Close();
    if (n > 0) {
      taken_ += static_cast<uint64_t>(n);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    if (bytes.empty()) return;
    last_taken_ = loop_.now();
  }
  to_client_.Append(bytes);
}

void Client::FlushToClient() {
  if (to_client_.empty()) return;
  const std::string_view bytes = to_client_.view();
  const ssize_t n = socket_.Write(bytes);
  if (n < 0 && errno != EAGAIN && errno != EINTR) return Close();
  if (n <= 0) return;
  taken_ += static_cast<uint64_t>(n);
  last_taken_ = loop_.now();
  to_client_.Consume(static_cast<size_t>(n));
}

void Client::EmitLocalReplies() {
  ByteQueue& replies = session_.local_replies();
  if (replies.empty()) return;
  ToClient(replies.view());
  boundary_ = taken_ + to_client_.size();
  replies.Clear();
}

bool Client::waiting() const {
  return session_.has_unsent() || visitor_.asks || withheld_ == Withheld::kForLease || half_closed_ ||
         (parting_ == DrainStage::kEveryone && !parted_) ||
         (link_ ? session_.MayMove() : session_.NextRoute() == Route::kOwn) ||
         to_client_.size() >= loop_.options().client_output_limit ||
         (loop_.memory().crowded() && accounted_.buffered > kSmallShare);
}

void Client::Resume() {
  if (closed_) return;
  if (withheld_ != Withheld::kNo) {
    withheld_ = Withheld::kNo;
    RelayKept();
  }
  if (!closed_) Settle();
}

void Client::OnTick(Instant now) {
  if (closed_) return;
  if (session_.ExpireHeld(loop_.options().hold_timeout, now)) EndLink(LinkEnd::kDemoted);
  if (closed_) return;
  if (half_closed_ && now - half_closed_at_ >= kHalfClosedGrace) return Close();
  if (ReadsSlowly() && now - last_taken_ >= kSlowReaderGrace) {
    LogWarning("client", "closed: it does not read its replies",
               {{"client", ToString(PeerEndpoint(socket_.fd()))}, {"queued_bytes", to_client_.size()}});
    return Evict();
  }
  Settle();
}

void Client::EndOverdue(Instant now) {
  if (closed_ || !session_.Overdue(loop_.options().hold_timeout, withheld_ != Withheld::kNo, now)) return;
  LogDebug("client", "closed: no leader to speak for what it has in flight",
           {{"client", ToString(PeerEndpoint(socket_.fd()))}, {"answered", withheld_ != Withheld::kNo}});
  CloseInDoubt();
}

bool Client::ShedIfIdle(Instant now) {
  if (closed_ || now - last_heard_ < kIdleBeforeShed) return false;
  bool shed = session_.Shed();
  for (ByteQueue* queue : {&unparsed_, &unjudged_, &to_client_, &body_}) shed = queue->Shed() || shed;
  return shed;
}

void Client::Part(DrainStage stage) {
  if (closed_) return;
  // In the stage before it was answered, and never had nothing under way: it pipelines without a pause.
  if (stage == DrainStage::kEveryone) ceases_ = answered_since_parting();
  if (parting_ == DrainStage::kServing) {
    taken_before_parting_ = taken_;
    SetCorked(socket_.fd(), true);
  }
  parting_ = stage;
  Settle();
}

// Whether what the client sends is read past: it has been told that its connection is over, or is about to be.
bool Client::discards() const { return parted_ || (ceases_ && body_.empty() && !body_ends_ && !session_.body_begun()); }

bool Client::MayPart() const {
  if (parting_ == DrainStage::kServing || parted_ || !session_.idle() || !has_taken_all()) return false;
  if (parting_ == DrainStage::kEveryone) {
    return answered_since_parting() || loop_.now() - last_heard_ >= kQuietBeforeEnd;
  }
  // A subscriber's messages are no replies: it may send at any moment, and misses what is published behind its end.
  return unparsed_.empty() && answered_since_parting() && session_.settings().subscriptions() == 0;
}

// Does everything that may be done now. Every event ends here.
void Client::Settle() {
  if (closed_) return;
  EmitLocalReplies();
  if (closed_) return;
  if (is_former() && !session_.AwaitsReplies()) EndLink(LinkEnd::kCut);
  if (closed_) return;
  ChooseConnection();
  if (closed_) return;
  SendCommands();
  // Behind a streamed command others may wait; or its turn has just come.
  while (!closed_ && !half_closed_ && ParseKept()) SendCommands();
  if (closed_) return;
  EmitLocalReplies();
  if (closed_) return;
  const bool all_answered = half_closed_ && session_.idle() && !session_.opaque();
  const bool all_said = has_taken_all() && (session_.finished() || all_answered);
  if (session_.broken() || all_said) return Close();
  if (MayPart()) {
    parted_ = true;
    unparsed_.Clear();
    socket_.EndWriting();
  } else if (parting_ != DrainStage::kServing && !parted_) {
    // Its reply was kept, so that the end would have come with it: between the two it might look, and send.
    SetCorked(socket_.fd(), false);
    SetCorked(socket_.fd(), true);
  }
  AccountMemory();
  UpdateInterest();
  // What stands in a lane's queue is sent at the end of this turn: OnLaneFlushed.
  if (!lane_queued) loop_.SetWaiting(this, waiting());
}

bool Client::MayReadCommands() const {
  if (half_closed_) return false;
  if (discards()) return true;  // to learn of its end
  return !session_.last_command_taken() && body_.empty() && !body_ends_ && session_.memory() < kQueuedBytesPerClient &&
         unparsed_.size() < kUncertainBytes + kReadBytes && !session_.body_waits() && !visitor_.asks &&
         !OwesReading() && (!loop_.memory().crowded() || session_.memory() <= kSmallShare);
}

// Whether nothing more is asked for on its behalf before it has taken what there is for it, since memory is short.
bool Client::OwesReading() const {
  return loop_.memory().crowded() && unjudged_.size() + to_client_.size() > kSmallShare;
}

// Whether more may be asked for on its behalf on a lane, which cannot wait for it.
bool Client::TakesReplies() const { return to_client_.size() <= kReplyWindow && unjudged_.size() <= kReplyWindow; }

// A reply larger than the window is taken from the server as fast as the client takes it. Behind a reply being sent,
// others queue up to the limit.
bool Client::MayReadReplies() const {
  if (withheld_ == Withheld::kForLease) return false;
  if (withheld_ == Withheld::kForAcks && unjudged_.size() >= kReplyWindow) return false;
  if (loop_.memory().crowded() && to_client_.size() > kSmallShare) return false;
  if (to_client_.size() <= kReplyWindow) return true;
  const bool one_reply = boundary_ <= taken_;
  return !one_reply && to_client_.size() < loop_.options().client_output_limit;
}

bool Client::ReadsSlowly() const {
  return to_client_.size() >= loop_.options().client_output_limit && boundary_ > taken_;
}

void Client::AccountMemory() {
  const size_t queue = session_.memory();
  const bool held = session_.has_unsent() && loop_.holds();
  const MemoryShare share = {held ? queue : 0, (held ? 0 : queue) + unparsed_.size() + body_.size() + unjudged_.size() +
                                                   to_client_.size() + socket_.unsent()};
  if (share.buffered > kSmallShare && accounted_.buffered <= kSmallShare) large_since_ = loop_.now();
  loop_.memory().Account(accounted_, share);
  accounted_ = share;
}

bool Client::KeepsMemory() const {
  if (closed_) return false;
  const bool reads = to_client_.size() <= kSmallShare;
  const bool sends = unparsed_.size() <= kSmallShare || !MayReadCommands();
  if (reads && sends) return false;
  return loop_.now() - std::max(large_since_, reads ? last_heard_ : last_taken_) >= kSlowReaderGrace;
}

Debtor Client::debtor() const {
  return {index, accounted_.buffered,
          accounted_.buffered > kSmallShare ? loop_.now() - large_since_ : Duration::zero()};
}

void Client::Evict() {
  SetResetOnClose(socket_.fd());
  Close();
}

void Client::UpdateInterest() {
  if (link_) link_->SetReading(MayReadReplies());
  uint32_t interest = 0;
  if (MayReadCommands()) {
    interest |= Poller::kReadable;
  } else if (!half_closed_ && !peer_told_) {
    interest |= Poller::kPeerClosed;
  }
  if (!to_client_.empty()) interest |= Poller::kWritable;
  interest = socket_.InterestFor(interest);
  if (interest == interest_) return;
  interest_ = interest;
  loop_.poller().Modify(socket_.fd(), interest_, this);
}

}  // namespace hive::proxy
