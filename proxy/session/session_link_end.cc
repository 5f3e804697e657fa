// What becomes of a session when its link ends: the table of docs/proxy.md, "When the leader changes".
#include <algorithm>

#include "proxy/resp/blocking.h"
#include "proxy/session/session.h"

namespace hive::proxy {

using resp::ConnectionCommand;

std::optional<size_t> Session::LinkEnded(LinkEnd end, Instant last_answer, Instant now, bool held_oldest) {
  const bool was_demoted = demoted_;
  const size_t refused = was_demoted ? refused_ : 0;
  link_up_ = on_lane_ = demoted_ = keeps_own_ = false;
  refused_ = 0;
  replay_.reset();
  if (broken_) return std::nullopt;
  if (awaits_end() || (protocol_error_told_ && end == LinkEnd::kCrashed)) {
    finished_ = true;
    return 0;
  }
  if (end != LinkEnd::kNotReady) {
    // Half a reply was relayed, half a request was sent, or the connection meant more than can be repeated.
    if (opaque_ || pinned_ || reply_begun_ || body_ == BodyState::kSending) return std::nullopt;
    bool oldest = held_oldest;
    bool behind_multi = false;
    for (size_t i = refused; i < sent_; ++i) {
      const Command& command = queue_[i];
      if (command.local != LocalReply::kNone) continue;
      const bool stalled = oldest && now - command.since >= kStoppedAnswering && last_answer < command.since;
      if (!Survives(command, behind_multi, oldest, end, stalled)) return std::nullopt;
      oldest = false;
      if (command.connection == ConnectionCommand::kMulti) behind_multi = true;
    }
  }
  if ((front_.open || front_.watching) && !MayRepeatTransaction()) {
    front_.lost = true;
    queued_.Clear();
  }
  Reclassify();
  const size_t again = RebuildRequests(now);
  SkipAnsweredHere();
  EmitDueReplies();
  return again;
}

bool Session::outcome_unknown() const {
  if (body_ == BodyState::kSending) return true;
  for (size_t i = 0; i < sent_; ++i) {
    const Command& command = queue_[i];
    if (command.local == LocalReply::kNone && !command.queued && command.effect == resp::Effect::kWrite) return true;
  }
  return false;
}

// Whether a command that was sent, and not answered, may be sent again. `behind_multi`: neither was its MULTI, which
// may have been refused (a user without that permission); then it was not queued, but executed.
bool Session::Survives(const Command& command, bool behind_multi, bool oldest, LinkEnd end, bool stalled) const {
  if (command.streamed || command.pins || command.opaque) return false;
  // Queued, not executed: EXEC stands behind it, and decides for itself.
  if (command.queued && !behind_multi) return true;
  if (command.connection == ConnectionCommand::kMulti || command.discard_instead) return true;
  switch (command.connection) {
    case ConnectionCommand::kSubscribe:
    case ConnectionCommand::kPatternSubscribe:
    case ConnectionCommand::kShardSubscribe:
    case ConnectionCommand::kUnsubscribe:
    case ConnectionCommand::kPatternUnsubscribe:
    case ConnectionCommand::kShardUnsubscribe:
      return true;
    default:
      break;
  }
  if (command.effect == resp::Effect::kWrite) return false;  // outcome unknown
  if (command.blocks) return !command.pops;
  // The oldest unanswered command may be what killed the server, and any may be what it has choked on. Once is enough.
  if (command.resent || stalled) return false;
  return !(oldest && end == LinkEnd::kCrashed);
}

// Decides anew, from what was answered on, which commands belong to a transaction, and which of those are answered here
// since it is lost.
void Session::Reclassify() {
  Transaction state = front_;
  for (size_t i = 0; i < queue_.size(); ++i) {
    Command& command = queue_[i];
    if (command.local == LocalReply::kHeldTooLong || command.local == LocalReply::kTooMuchHeld) continue;
    const Passage passage = Advance(state, command.connection, command.refusal);
    command.queued = passage.queued;
    if (command.local == LocalReply::kNone) command.local = passage.local;
  }
  if (body_ == BodyState::kWaiting && queue_.back().local != LocalReply::kNone) body_ = BodyState::kDiscarding;
  tail_ = state;
}

// Makes everything in the queue unsent, and keeps the bytes of what is still to be sent. Returns how many commands had
// been sent, and will be again.
size_t Session::RebuildRequests(Instant now) {
  ByteQueue kept;
  size_t sent_again = 0;
  size_t at = 0;
  for (size_t i = 0; i < queue_.size(); ++i) {
    Command& command = queue_[i];
    const bool was_sent = i < sent_;
    const std::string_view bytes = requests_.view().substr(at, command.size);
    at += command.size;
    command.confirmed = 0;
    command.preface_due = command.prefaced;
    if (command.local != LocalReply::kNone) {
      command.size = 0;
      continue;
    }
    if (was_sent) ++sent_again;
    if (was_sent && command.blocks) {
      resp::RequestScanner scanner;
      resp::CommandFacts facts;
      facts.timeout_argument = command.timeout_argument;
      facts.timeout_unit = command.timeout_unit;
      if (scanner.Scan(bytes) == resp::RequestStatus::kCommand) {
        const resp::Request request = scanner.request(bytes);
        const std::optional<Duration> timeout = resp::BlockingTimeout(request, facts);
        if (timeout && *timeout > Duration::zero()) {
          const std::string again =
              resp::WithTimeout(request, facts, std::max(kLeastTimeLeft, *timeout - (now - command.since)));
          kept.Append(again);
          command.size = again.size();
          command.since = now;
          continue;
        }
      }
    }
    kept.Append(bytes);
    if (was_sent) {
      command.resent = true;
      command.since = now;
    }
  }
  requests_ = std::move(kept);
  sent_ = sent_whole_ = sent_bytes_ = 0;
  multis_in_flight_ = 0;
  return sent_again;
}

}  // namespace hive::proxy
