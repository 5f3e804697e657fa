#include "proxy/session/session.h"

#include <cassert>

#include "proxy/resp/blocking.h"
#include "proxy/resp/replies.h"

namespace hive::proxy {

using resp::ConnectionCommand;

namespace {

// Nobody has subscribed to it, and no pattern is matched. Servers before redis 7 answer with an error, which is
// dropped.
constexpr std::string_view kPreface = "*3\r\n$8\r\nSPUBLISH\r\n$11\r\n__hive:wait\r\n$0\r\n\r\n";

// What the command does to its connection, its arguments considered: CLIENT REPLY ON changes nothing where replies come
// anyway, nor does what the server answers with an error.
ConnectionCommand MeaningOf(const resp::Request& request, const resp::CommandFacts& facts) {
  const bool reply = facts.connection == ConnectionCommand::kClientReply;
  if (!reply && facts.connection != ConnectionCommand::kScriptDebug) return facts.connection;
  if (request.argument_count() != 3 || request.arguments_seen() < 3) return ConnectionCommand::kNone;
  const std::string_view argument = request.argument(2);
  const bool changes = reply ? SameWord(argument, "off") || SameWord(argument, "skip")
                             : SameWord(argument, "yes") || SameWord(argument, "sync");
  return changes ? facts.connection : ConnectionCommand::kNone;
}

// In place of a command that is refused where only the server knows when its reply is due: a command that it does not
// know, whose name is the reason.
std::string UnknownCommand(resp::Refusal refusal) {
  std::string_view reason = resp::RefusalReply(refusal);
  reason.remove_prefix(std::string_view("-ERR ").size());
  reason.remove_suffix(std::string_view("\r\n").size());
  return resp::MakeRequest({reason});
}

constexpr bool EndsConnection(LocalReply reply) {
  return reply == LocalReply::kQuit || reply == LocalReply::kHangUp || reply == LocalReply::kProtocolError;
}

}  // namespace

Session::Command Session::MakeCommand(const resp::Request& request, const resp::CommandFacts& facts, Instant now) {
  Command command;
  command.since = now;
  command.effect = facts.effect;
  command.connection = MeaningOf(request, facts);
  command.refusal = facts.refusal;
  if ((command.refusal != resp::Refusal::kNone || command.connection == ConnectionCommand::kQuit) && OpaqueAhead()) {
    command.ends = command.connection == ConnectionCommand::kQuit;
    command.connection = ConnectionCommand::kNone;
    command.refusal = resp::Refusal::kNone;
  }
  command.blocks = facts.blocks;
  command.pops = facts.pops;
  command.timeout_argument = facts.timeout_argument;
  command.timeout_unit = facts.timeout_unit;
  command.confirmations = request.argument_count() - 1;  // read for (UN)SUBSCRIBE only

  // Nearly all commands: nothing to decide.
  const bool plain = command.connection == ConnectionCommand::kNone && command.refusal == resp::Refusal::kNone;
  const Passage passage = plain && !tail_.open ? Passage{} : Advance(tail_, command.connection, command.refusal);
  command.local = passage.local;
  command.queued = passage.queued;
  command.discard_instead = passage.discard_instead;
  command.opaque = passage.opaque || (!passage.queued && (command.connection == ConnectionCommand::kMonitor ||
                                                          command.connection == ConnectionCommand::kClientReply ||
                                                          command.connection == ConnectionCommand::kScriptDebug));
  command.own = !facts.shareable || passage.queued;
  command.pins = passage.pins || (!passage.queued && command.connection == ConnectionCommand::kClientTracking);
  if (EndsConnection(command.local) || command.ends) last_command_taken_ = true;
  return command;
}

// Whether replies will not be told apart any more when the next command's is due: an answer given here would have no
// place among the server's.
bool Session::OpaqueAhead() const {
  if (opaque_) return true;
  for (size_t i = 0; i < queue_.size(); ++i) {
    if (queue_[i].opaque && queue_[i].local == LocalReply::kNone) return true;
  }
  return false;
}

void Session::Add(const resp::Request& request, const resp::CommandFacts& facts, bool keep, Instant now) {
  const bool in_transaction = tail_.open || facts.connection == ConnectionCommand::kMulti;
  Command command = MakeCommand(request, facts, now);
  if (!keep && command.local == LocalReply::kNone) {
    // One error among the replies of a transaction would leave the rest of it to run without it.
    if (in_transaction) broken_ = true;
    command.local = LocalReply::kTooMuchHeld;
  }
  if (command.local == LocalReply::kNone) {
    std::string instead;
    if (command.discard_instead) instead = resp::MakeRequest({"DISCARD"});
    if (facts.refusal != resp::Refusal::kNone) instead = UnknownCommand(facts.refusal);
    const std::string_view bytes = instead.empty() ? request.bytes() : std::string_view(instead);
    if (MayPreface(command)) {
      command.prefaced = command.preface_due = true;
      requests_.Append(kPreface);
      command.size = kPreface.size();
    }
    requests_.Append(bytes);
    command.size += bytes.size();
  }
  Enqueue(command);
}

bool Session::AddPlain(std::string_view bytes, resp::Effect effect, Instant now) {
  if (tail_.open) return false;
  requests_.Append(bytes);
  Command command;
  command.since = now;
  command.size = bytes.size();
  command.effect = effect;
  queue_.push_back(command);
  return true;
}

bool Session::MaySendAtOnce(const resp::CommandFacts& facts, const Gates& gates) const {
  if (!gates.leader || gates.writes) return gates.leader;
  // The last one was told the same: so nothing in front of it waits, or it was answered with an error.
  if (has_unsent()) {
    const Command& last = queue_[queue_.size() - 1];
    if (last.local != LocalReply::kNone || !MayPass(last, gates)) return false;
  }
  Command command;
  command.effect = facts.effect;
  command.connection = facts.connection;
  command.queued = tail_.open && !tail_.lost;
  return MayPass(command, gates);
}

// WAIT covers what its connection wrote last, and what this client wrote may have gone over the link before this one.
// Where replies cannot be told apart, it must do without.
bool Session::MayPreface(const Command& command) const {
  if (!IsWait(command) || command.queued || opaque_ || settings_.subscriptions() > 0) return false;
  for (size_t i = 0; i < queue_.size(); ++i) {
    if (queue_[i].opaque || IsSubscription(queue_[i].connection)) return false;
  }
  return true;
}

void Session::AddStreamed(const resp::Request& head, const resp::CommandFacts& facts, Instant now) {
  Command command = MakeCommand(head, facts, now);
  command.own = true;
  if (command.local == LocalReply::kNone && facts.refusal != resp::Refusal::kNone) {
    const std::string instead = UnknownCommand(facts.refusal);
    requests_.Append(instead);
    command.size = instead.size();
    body_ = BodyState::kDiscarding;
  } else {
    command.streamed = true;
    body_ = command.local == LocalReply::kNone ? BodyState::kWaiting : BodyState::kDiscarding;
  }
  Enqueue(command);
}

void Session::Enqueue(const Command& command) {
  queue_.push_back(command);
  if (command.local == LocalReply::kNone) return;
  SkipAnsweredHere();
  EmitDueReplies();
}

void Session::AddProtocolError(std::string reply, std::string_view bytes, Instant now) {
  // What was released of the malformed command cannot be taken back.
  if (body_ != BodyState::kNone) broken_ = true;
  last_command_taken_ = true;
  protocol_error_ = std::make_unique<std::string>(std::move(reply));
  Command command;
  command.since = now;
  if (OpaqueAhead()) {
    command.effect = resp::Effect::kConnection;
    command.ends = command.own = true;
    command.size = bytes.size();
    requests_.Append(bytes);
  } else {
    command.local = LocalReply::kProtocolError;
  }
  Enqueue(command);
}

BodyState Session::body(const Gates& gates) {
  if (body_ != BodyState::kWaiting) return body_;
  const bool its_turn = sent_ + 1 == queue_.size() && sent_bytes_ == sent_whole_;
  if (its_turn && link_up_ && !on_lane_ && gates.leader && !replay_ && !demoted_ && MayPass(queue_.back(), gates)) {
    body_ = BodyState::kSending;
  }
  return body_;
}

void Session::BodyEnded(Instant now) {
  if (body_ == BodyState::kSending) {
    queue_.back().since = own_needed_at_ = now;
    ++sent_;
    CheckOpaque();
  }
  body_ = BodyState::kNone;
}

bool Session::MayPass(const Command& command, const Gates& gates) const {
  if (!gates.leader || gates.writes) return gates.leader;
  // Within MULTI a command is only queued, which writes nothing: it is EXEC that waits for the right to write. (Behind
  // one that the server refused it would be executed.)
  if (command.discard_instead || (command.queued && multis_in_flight_ == 0)) return true;
  // What is read while leadership moves may be what the new leader has overwritten already, for another proxy's client.
  if (!gates.reads) return false;
  // A transaction begun now could not end here, and would be lost with the leadership that is about to move.
  if (command.connection == ConnectionCommand::kMulti || command.connection == ConnectionCommand::kWatch) return false;
  return command.effect != resp::Effect::kWrite;
}

void Session::SkipAnsweredHere() {
  while (sent_ < queue_.size() && queue_[sent_].local != LocalReply::kNone) ++sent_;
}

std::string_view Session::LocalReplyText(const Command& command) const {
  switch (command.local) {
    case LocalReply::kNone:
    case LocalReply::kHangUp:
      break;
    case LocalReply::kOk:
    case LocalReply::kQuit:
      return resp::kOk;
    case LocalReply::kQueued:
      return resp::kQueued;
    case LocalReply::kExecNull:
      return resp::NullArrayReply(settings_.protocol());
    case LocalReply::kExecAborted:
      return "-EXECABORT Transaction discarded because of previous errors.\r\n";
    case LocalReply::kNestedMulti:
      return "-ERR MULTI calls can not be nested\r\n";
    case LocalReply::kWatchInMulti:
      return "-ERR WATCH inside MULTI is not allowed\r\n";
    case LocalReply::kRefused:
      return resp::RefusalReply(command.refusal);
    case LocalReply::kHeldTooLong:
      return "-MASTERDOWN hive-proxy held this command until --hold-timeout, and no leader could execute it: it was "
             "not executed, try again\r\n";
    case LocalReply::kTooMuchHeld:
      return "-MASTERDOWN hive-proxy knows no leader, and holds as many commands as --hold-memory allows: this one was "
             "not executed, try again\r\n";
    case LocalReply::kProtocolError:
      return *protocol_error_;
    case LocalReply::kTooLarge:
      return "-MASTERDOWN the leader changed before it executed this command, which is too large for hive-proxy to "
             "have "
             "kept: it was not executed, try again\r\n";
  }
  return {};
}

// Answers the commands at the front of the queue that are answered here. Not while a reply from the server is being
// relayed, nor while commands in front of them wait to be sent again.
void Session::EmitDueReplies() {
  if (opaque_) return CheckOpaque();
  while (!reply_begun_ && !demoted_ && sent_ > 0 && queue_.front().local != LocalReply::kNone) {
    const Command command = queue_.front();
    local_replies_.Append(LocalReplyText(command));
    if (EndsConnection(command.local)) finished_ = true;
    if (command.local != LocalReply::kHeldTooLong && command.local != LocalReply::kTooMuchHeld) {
      Advance(front_, command.connection, command.refusal);
    }
    PopFront();
  }
}

void Session::PopFront() {
  const size_t size = queue_.front().size;
  if (IsSentMulti(queue_.front())) --multis_in_flight_;
  if (size > 0) {
    requests_.Consume(size);
    sent_whole_ -= size;
    sent_bytes_ -= size;
  }
  --sent_;
  queue_.pop_front();
}

// From here on nobody can say which reply answers what: whatever was sent counts as answered.
void Session::CheckOpaque() {
  if (sent_ > 0 && queue_.front().opaque && queue_.front().local == LocalReply::kNone) opaque_ = true;
  if (!opaque_) return;
  while (sent_ > 0) {
    // An answer of our own would have no place among the server's.
    if (queue_.front().local != LocalReply::kNone) broken_ = true;
    PopFront();
  }
}

Route Session::NextRoute() const {
  if (finished_ || broken_) return Route::kNone;
  if (settings_.subscriptions() > 0) return Route::kOwn;
  for (size_t i = sent_; i < queue_.size(); ++i) {
    if (queue_[i].local != LocalReply::kNone) continue;
    return queue_[i].own || keeps_own_ || !settings_.shareable() ? Route::kOwn : Route::kShared;
  }
  return Route::kNone;
}

// Whether the server keeps nothing for this connection that a new one would not be told.
bool Session::HoldsNothing() const {
  const bool in_transaction = (front_.open || front_.watching) && !front_.lost;
  return !opaque_ && !pinned_ && !keeps_own_ && !in_transaction && !demoted_ && body_ != BodyState::kSending &&
         (on_lane_ || !replay_) && settings_.subscriptions() == 0 && settings_.shareable();
}

bool Session::MayMove() const { return sent_ == 0 && sent_bytes_ == 0 && !reply_begun_ && HoldsNothing(); }

bool Session::MayMoveOnceAnswered() const {
  return sent_bytes_ == sent_whole_ && !tail_.open && !tail_.watching && HoldsNothing();
}

void Session::LaneJoined() {
  link_up_ = on_lane_ = true;
  replay_.reset();
}

void Session::Left() {
  assert(MayMove());
  link_up_ = on_lane_ = false;
}

bool Session::MayAskAgain() const {
  if (opaque_ || pinned_ || reply_begun_ || demoted_ || body_ == BodyState::kSending) return false;
  for (size_t i = 0; i < sent_; ++i) {
    const Command& command = queue_[i];
    if (command.local != LocalReply::kNone) continue;
    if (command.effect != resp::Effect::kRead || command.blocks || command.resent) return false;
  }
  return true;
}

void Session::LinkOpened() {
  link_up_ = true;
  on_lane_ = false;
  Settings::Replay replay = settings_.MakeReplay();
  BeginReplay(
      {ReplayStep::kSettings, std::move(replay.requests), 0, replay.replies, replay.essential, replay.channels});
  ContinueReplay();
}

// The open transaction is begun again before its commands follow: behind a MULTI that failed they would run one by one.
void Session::ContinueReplay() {
  while (replay_ && replay_->done()) {
    const ReplayStep step = std::exchange(replay_, nullptr)->step;
    if (step == ReplayStep::kSettings && MayRepeatTransaction()) {
      BeginReplay({ReplayStep::kMulti, resp::MakeRequest({"MULTI"}), 0, 1, 1, 0});
    } else if (step == ReplayStep::kMulti) {
      BeginReplay({ReplayStep::kQueued, std::string(queued_.requests()), 0, queued_.count(), 0, 0});
    }
  }
}

std::string_view Session::ToSend(const Gates& gates, uint32_t commands) {
  if (!link_up_ || !gates.leader) return {};
  if (ReplayIsDue()) return std::string_view(replay_->requests).substr(replay_->sent);
  // Nothing rides behind the replay: were AUTH or SELECT to fail, it would run as another user, in another database.
  if (replay_ || demoted_) return {};
  size_t end = sent_whole_;
  for (size_t i = sent_; i < queue_.size(); ++i) {
    const Command& command = queue_[i];
    if (command.local != LocalReply::kNone) continue;
    if (command.streamed || (on_lane_ && command.own) || commands == 0 || !MayPass(command, gates)) break;
    --commands;
    end += command.size;
  }
  if (end <= sent_bytes_) return {};
  return requests_.view().substr(sent_bytes_, end - sent_bytes_);
}

uint32_t Session::Sent(size_t bytes, Instant now) {
  if (ReplayIsDue()) {
    replay_->sent += bytes;
    return 0;
  }
  sent_bytes_ += bytes;
  uint32_t commands = 0;
  for (; sent_ < queue_.size(); ++sent_) {
    Command& command = queue_[sent_];
    if (command.local != LocalReply::kNone) continue;
    if (command.streamed || sent_whole_ + command.size > sent_bytes_) break;
    sent_whole_ += command.size;
    command.since = now;
    if (IsSentMulti(command)) ++multis_in_flight_;
    if (command.own) own_needed_at_ = now;
    ++commands;
  }
  CheckOpaque();
  return commands;
}

bool Session::AwaitsReplies() const {
  if (!link_up_ || opaque_ || pinned_ || broken_) return false;
  return has_in_flight() || body_ == BodyState::kSending || reply_begun_;
}

bool Session::waits_on_server() const {
  for (size_t i = 0; i < sent_; ++i) {
    if (queue_[i].blocks && !queue_[i].queued) return true;
  }
  return false;
}

// How long the oldest command in flight may block; nothing: for ever, or nobody knows.
std::optional<Duration> Session::FrontBlocksFor() const {
  const Command& command = queue_.front();
  if (!command.blocks) return Duration::zero();
  std::string_view bytes = requests_.view().substr(0, command.size);
  if (command.prefaced) bytes.remove_prefix(kPreface.size());
  resp::RequestScanner scanner;
  if (scanner.Scan(bytes) != resp::RequestStatus::kCommand) return std::nullopt;
  resp::CommandFacts facts;
  facts.timeout_argument = command.timeout_argument;
  facts.timeout_unit = command.timeout_unit;
  const std::optional<Duration> timeout = resp::BlockingTimeout(scanner.request(bytes), facts);
  return timeout == Duration::zero() ? std::nullopt : timeout;
}

bool Session::Overdue(Duration patience, bool withheld, Instant now) const {
  if (sent_ == 0) return body_ == BodyState::kSending && now - queue_.front().since >= patience;
  const std::optional<Duration> blocks = withheld ? Duration::zero() : FrontBlocksFor();
  return blocks && now - queue_.front().since - *blocks >= patience;
}

bool Session::ExpireHeld(Duration hold_timeout, Instant now) {
  // What is behind a command in flight could not be answered before it anyway.
  if (sent_ > 0 || !has_unsent() || now - queue_.front().since < hold_timeout) return false;
  if (body_ == BodyState::kSending) return false;
  // All that is held ends together: it was sent in the belief that what stood before it would be executed.
  for (size_t i = 0; i < queue_.size(); ++i) {
    if (queue_[i].local != LocalReply::kNone) continue;
    queue_[i].local = !queue_[i].ends   ? LocalReply::kHeldTooLong
                      : protocol_error_ ? LocalReply::kProtocolError
                                        : LocalReply::kQuit;
    queue_[i].size = 0;
  }
  if (body_ == BodyState::kWaiting) body_ = BodyState::kDiscarding;
  // A transaction that the server holds must not go on without the commands that were dropped; and behind one of which
  // it has the beginning, nothing would be understood as it was meant.
  const bool end_link = link_up_ && (front_.open || front_.watching || demoted_ || sent_bytes_ > sent_whole_);
  requests_.Clear();
  sent_whole_ = sent_bytes_ = 0;
  tail_.lost = tail_.open || tail_.watching;
  demoted_ = false;
  refused_ = 0;
  SkipAnsweredHere();
  EmitDueReplies();
  front_ = tail_;
  queued_.Clear();
  return end_link;
}

}  // namespace hive::proxy
