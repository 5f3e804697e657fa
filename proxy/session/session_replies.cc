// What a session makes of the server's replies.
#include <algorithm>
#include <charconv>
#include <optional>

#include "proxy/resp/replies.h"
#include "proxy/session/session.h"

namespace hive::proxy {
namespace {

using resp::ConnectionCommand;

// The first element of an aggregate whose beginning is there: "message" of `*3\r\n$7\r\nmessage\r\n...`. Nothing when
// it is not there yet; empty when the first element is no string.
std::optional<std::string_view> FirstWord(std::string_view bytes) {
  const size_t header_end = bytes.find("\r\n");
  if (header_end == std::string_view::npos) return std::nullopt;
  std::string_view rest = bytes.substr(header_end + 2);
  if (rest.empty()) return bytes.substr(1, header_end - 1) == "0" ? std::optional(std::string_view()) : std::nullopt;
  if (rest[0] != '$') return std::string_view();
  const size_t length_end = rest.find("\r\n");
  if (length_end == std::string_view::npos) return std::nullopt;
  int64_t length = -1;
  std::from_chars(rest.data() + 1, rest.data() + length_end, length);
  // The longest word of interest is "punsubscribe".
  if (length < 0 || length > 16) return std::string_view();
  rest.remove_prefix(length_end + 2);
  if (rest.size() < static_cast<size_t>(length)) return std::nullopt;
  return rest.substr(0, static_cast<size_t>(length));
}

bool IsConfirmation(std::string_view word) { return word.ends_with("subscribe"); }
bool IsMessageWord(std::string_view word) { return word == "message" || word == "pmessage" || word == "smessage"; }

// The server did not execute the command, since it is no leader (any more, or yet).
bool SaysNotLeading(std::string_view error) {
  const std::string_view code = error.substr(0, error.find(' '));
  return code == "READONLY" || code == "MASTERDOWN" || code == "LOADING";
}
bool SaysUnblocked(std::string_view error) { return error.starts_with("UNBLOCKED"); }

bool IsErrorType(char type) { return type == '-' || type == '!'; }

}  // namespace

bool IsMessage(std::string_view reply) {
  if (!reply.starts_with('>') && !reply.starts_with('*')) return false;
  const std::optional<std::string_view> word = FirstWord(reply);
  return word && IsMessageWord(*word);
}

ReplyDecision Session::OnReply(const ReplyHead& head, Confirmation confirmation) {
  reply_is_push_ = true;
  reply_is_error_ = IsErrorType(head.type);
  protocol_error_told_ = false;
  const ReplyDecision decision = Judge(head, confirmation);
  switch (decision.action) {
    case ReplyAction::kRelay:
    case ReplyAction::kSwallow:
    case ReplyAction::kReplace:
    case ReplyAction::kUnconfirmed:
      break;
    default:
      return decision;
  }
  reply_begun_ = true;
  if (head.complete) ReplyEnded();
  return decision;
}

std::optional<Instant> Session::AnsweredPlainly(uint32_t replies, bool may_confirm) {
  if (!on_lane_ || demoted_ || reply_begun_ || replies == 0 || replies > sent_) return std::nullopt;
  const Instant sent_at = queue_.front().since;
  size_t size = 0;
  for (uint32_t i = 0; i < replies; ++i) {
    const Command& command = queue_[i];
    if (command.local != LocalReply::kNone || command.connection != ConnectionCommand::kNone) return std::nullopt;
    if (command.effect == resp::Effect::kWrite && !may_confirm) return std::nullopt;
    size += command.size;
  }
  requests_.Consume(size);
  sent_whole_ -= size;
  sent_bytes_ -= size;
  sent_ -= replies;
  queue_.pop_front(replies);
  EmitDueReplies();
  return sent_at;
}

void Session::ReplyEnded() {
  reply_begun_ = false;
  if (!reply_is_push_) {
    Answered(reply_is_error_);
  } else {
    EmitDueReplies();
  }
}

ReplyDecision Session::Judge(const ReplyHead& head, Confirmation confirmation) {
  // Of an opaque connection nobody knows which replies confirm writes, nor where an error in their place would stand.
  if (opaque_) {
    if (confirmation == Confirmation::kTooFew || confirmation == Confirmation::kNeither) return {ReplyAction::kClose};
    return {confirmation == Confirmation::kGiven ? ReplyAction::kRelay : ReplyAction::kWithhold};
  }
  if (head.type == 0 || (IsErrorType(head.type) && !head.complete)) return {ReplyAction::kNeedMore};
  if (head.type == '>' || (head.type == '*' && MayGetMessages())) {
    std::optional<std::string_view> word = FirstWord(head.bytes);
    if (!word && !head.complete) return {ReplyAction::kNeedMore};
    if (!word) word = "";  // a null array
    if (IsConfirmation(*word)) return Confirm(head, *word);
    if (head.type == '>' || IsMessageWord(*word)) return {ReplyAction::kRelay};
  }
  if (replay_) return JudgeReplay(head);
  if (sent_ == 0) {
    // To what is written in front of a WAIT that is itself still on its way; else nothing was asked: the server says
    // why it closes the connection ("-ERR max number of clients reached"). The close follows, and the next command
    // tries again.
    if (sent_bytes_ > 0) queue_.front().preface_due = false;
    return {ReplyAction::kSwallow};
  }
  if (demoted_) return JudgeWhileDemoted(head);
  return JudgeFront(head, confirmation);
}

// In RESP2, messages and confirmations are arrays like any other; only a subscriber gets them.
bool Session::MayGetMessages() const {
  return settings_.protocol() == resp::Protocol::kResp2 &&
         (settings_.subscriptions() > 0 || (replay_ && replay_->channels > 0) ||
          (sent_ > 0 && IsSubscription(queue_.front().connection)));
}

// One of the confirmations that a (UN)SUBSCRIBE brings, one per channel.
ReplyDecision Session::Confirm(const ReplyHead& head, std::string_view kind) {
  if (!head.complete) return {ReplyAction::kNeedMore};
  if (replay_ && replay_->channels > 0) {
    --replay_->channels;
    ContinueReplay();
    return {ReplyAction::kSwallow};
  }
  // The server unsubscribed by itself.
  if (sent_ == 0 || !IsSubscription(queue_.front().connection)) return {ReplyAction::kRelay};
  // The link is about to be dropped; SUBSCRIBE goes to the next leader.
  if (demoted_) return {ReplyAction::kSwallow};

  Command& command = queue_.front();
  // UNSUBSCRIBE without channels: as many as there are, or one that says that there are none.
  if (command.confirmations == 0) {
    command.confirmations = static_cast<uint32_t>(std::max<size_t>(1, settings_.SubscriptionsOf(command.connection)));
  }
  resp::ReplyScanner scanner;
  scanner.Scan(head.bytes);
  resp::ElementReader elements(scanner.reply(head.bytes));
  resp::ElementReader::Element element;
  if (elements.Next(&element) && elements.Next(&element) && !element.is_null) settings_.Subscribed(kind, element.text);

  const bool seen_already = command.confirmed < command.relayed;
  ++command.confirmed;
  command.relayed = std::max(command.relayed, command.confirmed);
  reply_is_push_ = command.confirmed < command.confirmations;  // the last one answers the command
  return {seen_already ? ReplyAction::kSwallow : ReplyAction::kRelay};
}

ReplyDecision Session::JudgeReplay(const ReplyHead& head) {
  const bool is_error = IsErrorType(head.type);
  const bool transaction = replay_->step == ReplayStep::kMulti || replay_->step == ReplayStep::kQueued;
  if (is_error && transaction && SaysNotLeading(head.error)) return {ReplyAction::kDropLink, true};
  // The user was deleted, lost a permission, or has another password here: the connection cannot be made the same.
  // (What cannot be queued here makes EXEC fail.)
  if (is_error && (replay_->essential > 0 || replay_->replies == 0)) return {ReplyAction::kClose};
  if (replay_->essential > 0) --replay_->essential;
  if (replay_->replies > 0) --replay_->replies;
  ContinueReplay();
  return {ReplyAction::kSwallow};
}

ReplyDecision Session::Replace(LocalReply reply) {
  Command stand_in;
  stand_in.local = reply;
  replacement_ = std::make_unique<std::string>(LocalReplyText(stand_in));
  return {ReplyAction::kReplace};
}

// On a lane, whose name is the last one that any of its clients has given it.
ReplyDecision Session::ReplaceName() {
  const std::string_view name = settings_.name();
  replacement_ = std::make_unique<std::string>(name.empty() ? std::string(resp::NullReply(settings_.protocol()))
                                                            : resp::BulkReply(name));
  return {ReplyAction::kReplace};
}

ReplyDecision Session::JudgeFront(const ReplyHead& head, Confirmation confirmation) {
  Command& command = queue_.front();
  if (command.preface_due) {
    command.preface_due = false;
    return {ReplyAction::kSwallow};
  }
  if (reply_is_error_ && (SaysNotLeading(head.error) || (command.blocks && SaysUnblocked(head.error)))) {
    return JudgeUnexecuted(head.error);
  }
  if (command.connection == ConnectionCommand::kExec && reply_is_error_ && head.error.starts_with("EXECABORT")) {
    return JudgeExecAbort(head.error);
  }
  reply_is_push_ = false;
  // What the server takes for an error in the protocol, the scanner has not (a stranger's long command).
  if (reply_is_error_ && head.error.starts_with("ERR Protocol error")) protocol_error_told_ = true;
  if (on_lane_ && command.connection == ConnectionCommand::kClientGetName && !reply_is_error_) return ReplaceName();
  if (command.discard_instead && !reply_is_error_) return Replace(LocalReply::kExecAborted);
  if (command.effect != resp::Effect::kWrite || command.queued) return {ReplyAction::kRelay};
  const ReplyAction action = JudgeWrite(head, confirmation);
  reply_is_push_ = action == ReplyAction::kWithhold;
  return {action};
}

ReplyAction Session::JudgeWrite(const ReplyHead& head, Confirmation confirmation) const {
  if (confirmation == Confirmation::kNoLease) return ReplyAction::kWithhold;
  if (confirmation == Confirmation::kGiven) return ReplyAction::kRelay;
  const Command& command = queue_.front();
  // What says that nothing was written needs no replica's word: an error (a script that had written before it failed
  // promises nothing either), EXEC that was not executed, a wait in vain, and WAIT itself.
  const bool is_null = head.bytes.starts_with("*-1") || head.type == '_';
  const bool wrote_nothing = reply_is_error_ || IsWait(command) ||
                             (is_null && (command.blocks || command.connection == ConnectionCommand::kExec));
  if (wrote_nothing) return confirmation == Confirmation::kNeither ? ReplyAction::kWithhold : ReplyAction::kRelay;
  return confirmation == Confirmation::kAwaited ? ReplyAction::kWithhold : ReplyAction::kUnconfirmed;
}

// WAIT or WAITAOF. A module's blocking command is not known by its timeout.
bool Session::IsWait(const Command& command) {
  return command.blocks && !command.pops && command.effect == resp::Effect::kWrite && command.timeout_argument > 0;
}

// The oldest command was not executed, since the server does not lead.
ReplyDecision Session::JudgeUnexecuted(std::string_view error) {
  Command& command = queue_.front();
  ReplyDecision decision;
  const bool kept = MayRepeatTransaction() && !command.streamed && body_ != BodyState::kSending;
  if (command.queued && !kept) {
    // Its EXEC fails, here or on the server; until then the client sees a transaction like any other.
    reply_is_push_ = false;
    front_.refused = true;
    decision = Replace(LocalReply::kQueued);
  } else if (SaysUnblocked(error) && command.effect == resp::Effect::kWrite && !command.pops) {
    reply_is_push_ = false;  // WAIT: on another leader it would confirm what that one never heard of
    decision.action = ReplyAction::kRelay;
  } else if (command.streamed) {
    reply_is_push_ = false;
    decision = Replace(LocalReply::kTooLarge);
  } else {
    return BeginDemotion();
  }
  decision.leader_refused = true;
  return decision;
}

ReplyDecision Session::BeginDemotion() {
  demoted_ = true;
  refused_ = 1;
  return {DropLinkWhenAllRefused(), true};
}

// The transaction of the oldest command, EXEC, was not executed.
ReplyDecision Session::JudgeExecAbort(std::string_view error) {
  // "EXECABORT Transaction discarded because of: READONLY ...", or a command was refused so before.
  constexpr std::string_view kBecauseOf = "because of: ";
  const size_t reason = error.find(kBecauseOf);
  const bool not_leading =
      front_.refused || (reason != std::string_view::npos && SaysNotLeading(error.substr(reason + kBecauseOf.size())));
  if (not_leading && MayRepeatTransaction()) return BeginDemotion();
  reply_is_push_ = false;
  ReplyDecision decision;
  if (not_leading && front_.watching) decision = Replace(LocalReply::kExecNull);
  decision.leader_refused = not_leading;
  return decision;
}

// What was sent behind a command that the server refused is answered too, but must wait for its turn behind it: reads
// are read again, and what was refused likewise is sent again.
ReplyDecision Session::JudgeWhileDemoted(const ReplyHead& head) {
  Command& command = queue_[refused_];
  if (command.preface_due) {
    command.preface_due = false;
    return {ReplyAction::kSwallow};
  }
  const bool unexecuted = command.queued || (reply_is_error_ && (SaysNotLeading(head.error) ||
                                                                 (command.blocks && SaysUnblocked(head.error)) ||
                                                                 head.error.starts_with("EXECABORT")));
  // Executed, although what the client had sent before it was not: the order is broken, and it must not run twice.
  if (command.effect == resp::Effect::kWrite && !command.discard_instead && !unexecuted) return {ReplyAction::kClose};
  ++refused_;
  return {DropLinkWhenAllRefused()};
}

ReplyAction Session::DropLinkWhenAllRefused() {
  while (refused_ < sent_ && queue_[refused_].local != LocalReply::kNone) ++refused_;
  const bool all = refused_ >= sent_ || IsSubscription(queue_[refused_].connection);
  return all ? ReplyAction::kDropLink : ReplyAction::kSwallow;
}

// The front command's reply has come.
void Session::Answered(bool is_error) {
  const Command command = queue_.front();
  const bool no_transaction = command.connection == ConnectionCommand::kMulti && is_error;
  if (!no_transaction) {
    const bool was_open = front_.open;
    Advance(front_, command.connection, resp::Refusal::kNone);
    if (was_open || front_.open) KeepTransaction(command, is_error, was_open);
  }
  if (!is_error && command.connection == ConnectionCommand::kClientIdentity) keeps_own_ = true;
  if (command.ends) finished_ = true;
  if (!is_error && !command.queued) RememberSettings(command);
  PopFront();
  if (no_transaction) Reclassify();
  EmitDueReplies();
  CheckOpaque();
}

// So that it can be queued again on the next link, were this one to end before EXEC.
void Session::KeepTransaction(const Command& command, bool is_error, bool was_open) {
  if (front_.open && !was_open && !front_.watching) {
    queued_.Begin();
  } else if (!front_.open || is_error || command.streamed) {
    // With an error in it, it ends in EXECABORT whatever becomes of its link.
    queued_.Clear();
  } else {
    queued_.Add(requests_.view().substr(0, command.size));
  }
}

void Session::RememberScript(const Command& command) {
  if (scripts_ == nullptr || command.streamed) return;
  if (command.connection == ConnectionCommand::kScriptFlush) return scripts_->Clear();
  const std::string_view bytes = requests_.view().substr(0, command.size);
  const uint32_t body = command.connection == ConnectionCommand::kScriptLoad ? 2 : 1;
  resp::RequestScanner scanner;
  if (scanner.Scan(bytes) != resp::RequestStatus::kCommand) return;
  const resp::Request request = scanner.request(bytes);
  if (request.argument_count() > body) scripts_->Seen(request.argument(body));
}

void Session::RememberSettings(const Command& command) {
  if (command.pins) pinned_ = true;
  switch (command.connection) {
    case ConnectionCommand::kReset:
      settings_.Clear();
      pinned_ = false;
      return;
    case ConnectionCommand::kAuth:
    case ConnectionCommand::kHello:
    case ConnectionCommand::kSelect:
    case ConnectionCommand::kClientSetName:
    case ConnectionCommand::kClientSetInfo:
    case ConnectionCommand::kClientNoEvict:
    case ConnectionCommand::kClientNoTouch:
      break;
    case ConnectionCommand::kEval:
    case ConnectionCommand::kScriptLoad:
    case ConnectionCommand::kScriptFlush:
      return RememberScript(command);
    default:
      return;
  }
  if (command.streamed) {  // a name of a megabyte: legal, and not worth keeping
    pinned_ = true;
    return;
  }
  const std::string_view bytes = requests_.view().substr(0, command.size);
  resp::RequestScanner scanner;
  if (scanner.Scan(bytes) == resp::RequestStatus::kCommand) {
    settings_.Agreed(command.connection, scanner.request(bytes));
  }
}

}  // namespace hive::proxy
