#include "coordinator/adapters/redis_errands.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/net/clock.h"
#include "coordinator/replication/info.h"

namespace hive::coordinator {
namespace {

using election::OrphanAnswered;
using election::RedisProbed;

// Connects and authenticates; the error, if any, is one clause.
std::optional<std::string> Visit(RedisConnection& connection, const Endpoint& redis,
                                 const RedisCredentials& credentials) {
  switch (connection.Connect(redis, RedisErrands::kWindow)) {
    case TcpOutcome::kConnected:
      break;
    case TcpOutcome::kRefused:
      return "its redis refuses the connection";
    case TcpOutcome::kUnreachable:
      return "its redis cannot be reached";
    case TcpOutcome::kNoConnect:
      return "its redis does not answer";
  }
  const AuthOutcome auth = Authenticate(connection, credentials, RedisErrands::kWindow);
  if (auth.no_answer) return "its redis does not answer";
  return auth.error;
}

// Does ROLE say that it replicates `master`?
bool Replicates(const RedisReply& role, const Endpoint& master) {
  return role.elements.size() >= 3 && role.elements[0].text == "slave" && role.elements[1].text == master.ip &&
         role.elements[2].integer == master.port;
}

}  // namespace

RedisErrands::RedisErrands(std::function<RedisCredentials()> credentials, EventInbox& inbox, const TlsSource* tls)
    : credentials_(std::move(credentials)),
      tls_(tls),
      inbox_(inbox),
      interrupt_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      errands_(kMaxWaiting),
      thread_([this] { Run(); }) {}

RedisErrands::~RedisErrands() {
  const uint64_t one = 1;
  (void)!::write(interrupt_.get(), &one, sizeof one);
  errands_.Close();
  thread_.join();
}

void RedisErrands::Probe(const election::ProbeRedis& probe) {
  if (!errands_.Push(probe)) inbox_.Post(RedisProbed{probe.id, RedisProbed::Outcome::kSilent});
}

void RedisErrands::Demote(const election::DemoteOrphan& demote) {
  if (!errands_.Push(demote)) {
    inbox_.Post(OrphanAnswered{demote.id, OrphanAnswered::Outcome::kUnreachable, "too many errands wait"});
  }
}

void RedisErrands::Run() {
  constexpr Duration kNap = Seconds(3600);  // nothing happens without an errand
  std::vector<Errand> batch;
  while (errands_.WaitUntil(ReadMonotonicClock() + kNap, batch)) {
    for (const Errand& errand : batch) {
      if (const auto* probe = std::get_if<election::ProbeRedis>(&errand)) {
        inbox_.Post(RedisProbed{probe->id, Carry(*probe)});
      } else {
        inbox_.Post(Carry(std::get<election::DemoteOrphan>(errand)));
      }
    }
  }
}

RedisProbed::Outcome RedisErrands::Carry(const election::ProbeRedis& probe) {
  RedisConnection connection(interrupt_.get(), tls_);
  if (connection.Connect(probe.redis, kWindow) == TcpOutcome::kRefused) return RedisProbed::Outcome::kRefused;
  if (!connection.open()) return RedisProbed::Outcome::kSilent;
  const AuthOutcome auth = Authenticate(connection, credentials_(), kWindow);
  if (auth.no_answer || auth.error) return RedisProbed::Outcome::kSilent;
  const std::optional<RedisReply> info = connection.Execute({"INFO"}, kWindow);
  if (!info) return RedisProbed::Outcome::kSilent;
  if (info->IsError("LOADING") || info->IsError("BUSY")) return RedisProbed::Outcome::kHasData;
  const std::optional<replication::RedisStatus> status = replication::ParseInfo(info->text);
  if (!status) return RedisProbed::Outcome::kSilent;
  // An offset without keys is a dataset, too: everything in it was deleted.
  const bool has_data = status->keys > 0 || status->offset > 0 || status->loading || status->sync_in_progress;
  return has_data ? RedisProbed::Outcome::kHasData : RedisProbed::Outcome::kEmpty;
}

OrphanAnswered RedisErrands::Carry(const election::DemoteOrphan& demote) {
  using Outcome = OrphanAnswered::Outcome;
  const auto answer = [&demote](Outcome outcome, std::string detail) {
    return OrphanAnswered{demote.id, outcome, std::move(detail)};
  };
  RedisConnection connection(interrupt_.get(), tls_);
  if (auto error = Visit(connection, demote.redis, credentials_())) return answer(Outcome::kUnreachable, *error);
  // A reply proves that redis is awake: a command queued at a stopped one would take effect when it wakes, long after
  // it may have been given another role.
  auto role = connection.Execute({"ROLE"}, kWindow);
  if (!role) return answer(Outcome::kUnreachable, "its redis does not answer");
  if (Replicates(*role, demote.master)) return answer(Outcome::kObeyed, "it replicates the new leader already");

  // Last look, with the connection to redis already open: only a refusal permits.
  switch (ConnectWithin(demote.coordinator, kWindow, interrupt_.get())) {
    case TcpOutcome::kRefused:
      break;
    case TcpOutcome::kConnected:
      return answer(Outcome::kCoordinatorAnswers, "its coordinator answers");
    case TcpOutcome::kUnreachable:
    case TcpOutcome::kNoConnect:
      return answer(Outcome::kUnreachable, "its coordinator neither answers nor refuses");
  }

  const auto reply = connection.Execute({"REPLICAOF", demote.master.ip, std::to_string(demote.master.port)}, kWindow);
  if (!reply) return answer(Outcome::kUnreachable, "its redis has not answered REPLICAOF");
  if (reply->is_error()) return answer(Outcome::kRefused, "REPLICAOF: " + reply->text);
  role = connection.Execute({"ROLE"}, kWindow);
  if (!role) return answer(Outcome::kUnreachable, "its redis does not answer");
  if (!Replicates(*role, demote.master)) return answer(Outcome::kRefused, "ROLE does not confirm it");
  return answer(Outcome::kObeyed, "");
}

}  // namespace hive::coordinator
