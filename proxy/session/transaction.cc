#include "proxy/session/transaction.h"

namespace hive::proxy {
namespace {

using resp::ConnectionCommand;

// Whether, run by EXEC, it brings other replies than its place in EXEC's.
bool Unpairs(ConnectionCommand command) {
  switch (command) {
    case ConnectionCommand::kSubscribe:
    case ConnectionCommand::kPatternSubscribe:
    case ConnectionCommand::kShardSubscribe:
    case ConnectionCommand::kUnsubscribe:
    case ConnectionCommand::kPatternUnsubscribe:
    case ConnectionCommand::kShardUnsubscribe:
    case ConnectionCommand::kMonitor:
    case ConnectionCommand::kClientReply:
    case ConnectionCommand::kScriptDebug:
      return true;
    default:
      return false;
  }
}

Passage AnswerHere(LocalReply reply) {
  Passage passage;
  passage.local = reply;
  return passage;
}

// The server has forgotten the transaction.
Passage AdvanceLost(Transaction& transaction, ConnectionCommand command) {
  switch (command) {
    case ConnectionCommand::kExec: {
      const LocalReply reply = transaction.watching ? LocalReply::kExecNull : LocalReply::kExecAborted;
      transaction = {};
      return AnswerHere(reply);
    }
    case ConnectionCommand::kDiscard:
      transaction = {};
      return AnswerHere(LocalReply::kOk);
    case ConnectionCommand::kMulti:
      return AnswerHere(LocalReply::kNestedMulti);
    case ConnectionCommand::kWatch:
      return AnswerHere(LocalReply::kWatchInMulti);
    default:
      return AnswerHere(LocalReply::kQueued);
  }
}

Passage AdvanceOpen(Transaction& transaction, ConnectionCommand command) {
  Passage passage;
  switch (command) {
    case ConnectionCommand::kExec:
      passage.discard_instead = transaction.spoiled;
      passage.pins = transaction.changes_connection;
      passage.opaque = transaction.unpairs;
      transaction = {};
      return passage;
    case ConnectionCommand::kDiscard:
      transaction = {};
      return passage;
    case ConnectionCommand::kMulti:  // the server says that these are errors
    case ConnectionCommand::kWatch:
      return passage;
    case ConnectionCommand::kNone:
    case ConnectionCommand::kUnwatch:
    case ConnectionCommand::kClientGetName:
    case ConnectionCommand::kClientIdentity:
    case ConnectionCommand::kEval:
    case ConnectionCommand::kScriptLoad:
    case ConnectionCommand::kScriptFlush:
      break;
    default:
      (Unpairs(command) ? transaction.unpairs : transaction.changes_connection) = true;
  }
  passage.queued = true;
  return passage;
}

}  // namespace

Passage Advance(Transaction& transaction, ConnectionCommand command, resp::Refusal refusal) {
  if (refusal != resp::Refusal::kNone) {
    if (transaction.open) transaction.spoiled = true;
    return AnswerHere(LocalReply::kRefused);
  }
  if (command == ConnectionCommand::kQuit) return AnswerHere(LocalReply::kQuit);
  if (command == ConnectionCommand::kHttp) return AnswerHere(LocalReply::kHangUp);
  if (command == ConnectionCommand::kReset) {
    transaction = {};
    return {};
  }
  if (transaction.open) {
    return transaction.lost ? AdvanceLost(transaction, command) : AdvanceOpen(transaction, command);
  }
  switch (command) {
    case ConnectionCommand::kMulti:
      transaction.open = true;
      // `lost` now means: keys were watched on a leader that is gone.
      if (transaction.lost) return AnswerHere(LocalReply::kOk);
      return {};
    case ConnectionCommand::kWatch:
      transaction.watching = true;
      return {};
    case ConnectionCommand::kUnwatch:
      transaction = {};
      return {};
    default:
      return {};
  }
}

}  // namespace hive::proxy
