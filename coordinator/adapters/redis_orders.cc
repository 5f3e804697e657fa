#include "coordinator/adapters/redis_orders.h"

#include <utility>

#include "common/net/clock.h"
#include "coordinator/replication/info.h"

namespace hive::coordinator {
namespace {

using replication::RedisCommand;
using replication::RedisStatus;
using Words = std::vector<std::string>;

// Too few followers count only while this is not 0: then min-replicas-to-write does nothing. Redis's own default.
const Words kFenceLag{"CONFIG", "SET", "min-replicas-max-lag", "10"};

std::string Join(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// What is sent, in one write, and where in it the replies that matter are.
struct Plan {
  std::vector<Words> commands;
  std::optional<size_t> order;   // the command itself; nothing for kRead
  std::optional<size_t> beside;  // what may fail without harm
  std::optional<size_t> role;    // ROLE, which must say "master"
};

Plan PlanOf(const RedisCommand& command, const RedisStatus& known) {
  Plan plan;
  if (command.kind == RedisCommand::Kind::kPromote) {
    // A fence of an earlier leadership must not outlive it. On a replica it means nothing, so it goes first: the new
    // master takes writes from its first moment.
    plan.beside = plan.commands.size();
    plan.commands.push_back(replication::Spell({RedisCommand::Kind::kUnfence, {}}, known.version));
  }
  if (command.kind != RedisCommand::Kind::kRead) {
    plan.order = plan.commands.size();
    plan.commands.push_back(replication::Spell(command, known.version));
  }
  if (command.kind == RedisCommand::Kind::kPromote) {
    plan.role = plan.commands.size();
    plan.commands.push_back({"ROLE"});
  }
  plan.commands.push_back(InfoCommand(known.version));
  return plan;
}

std::string Complaint(const Words& command, const RedisReply& reply) { return Join(command) + ": " + reply.text; }

// Redis has taken the fence, but counts no followers at all: it takes writes still.
Carried MakeFenceCount(RedisConnection& connection, const RedisStatus& known, Carried carried, Instant deadline) {
  const auto replies = connection.ExecuteAll({kFenceLag, InfoCommand(known.version)}, deadline - ReadMonotonicClock());
  if (!replies) return {};
  carried.info = (*replies)[1];
  if ((*replies)[0].is_error()) carried.refusal = Complaint(kFenceLag, (*replies)[0]);
  return carried;
}

}  // namespace

std::vector<std::string> InfoCommand(std::string_view version) {
  if (replication::MajorVersion(version) < 7) return {"INFO"};
  return {"INFO", "server", "persistence", "replication", "keyspace"};
}

Carried CarryOut(RedisConnection& connection, const RedisCommand& command, const RedisStatus& known, Duration window) {
  const Instant deadline = ReadMonotonicClock() + window;
  const Plan plan = PlanOf(command, known);
  auto replies = connection.ExecuteAll(plan.commands, window);
  if (!replies) return {};
  Carried carried{.answered = true, .refusal = std::nullopt, .complaint = "", .info = std::move(replies->back())};
  if (plan.order && (*replies)[*plan.order].is_error()) {
    carried.refusal = Complaint(plan.commands[*plan.order], (*replies)[*plan.order]);
    return carried;
  }
  if (plan.role) {
    const RedisReply& role = (*replies)[*plan.role];
    if (role.is_error()) {
      carried.refusal = Complaint(plan.commands[*plan.role], role);
    } else if (role.elements.empty() || role.elements[0].text != "master") {
      carried.refusal = "it is no master, although it was promoted";
    }
  }
  RedisStatus after = known;
  if (!TakeInfo(carried.info, after)) return carried;
  // Refused, but not needed: nobody is bothered with it.
  if (plan.beside && (*replies)[*plan.beside].is_error() && after.fenced) {
    carried.complaint = Complaint(plan.commands[*plan.beside], (*replies)[*plan.beside]);
  }
  if (command.kind == RedisCommand::Kind::kFence && !after.fenced && !after.busy && !after.loading) {
    return MakeFenceCount(connection, known, std::move(carried), deadline);
  }
  return carried;
}

bool TakeInfo(const RedisReply& info, RedisStatus& status) {
  const bool busy = info.IsError("BUSY");
  if (busy || info.IsError("LOADING")) {
    status.busy = busy;
    status.loading = !busy;
    return true;
  }
  if (info.is_error()) return false;
  auto read = replication::ParseInfo(info.text);
  if (!read) return false;
  status = *std::move(read);
  return true;
}

}  // namespace hive::coordinator
