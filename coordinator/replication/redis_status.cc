#include "coordinator/replication/redis_status.h"

#include <algorithm>

#include "coordinator/replication/info.h"

namespace hive::replication {

std::vector<std::string> Spell(const RedisCommand& command, std::string_view version) {
  using Kind = RedisCommand::Kind;
  const std::vector<std::string> fence{"CONFIG", "SET", "min-replicas-to-write", "99"};
  const std::vector<std::string> unfence{"CONFIG", "SET", "min-replicas-to-write", "0"};
  const bool pauses_writes = IsAtLeast(version, 6, 2);
  switch (command.kind) {
    case Kind::kRead:
      return {};
    case Kind::kPark:
      return {"REPLICAOF", kNobody.ip, std::to_string(kNobody.port)};
    case Kind::kPromote:
      return {"REPLICAOF", "NO", "ONE"};
    case Kind::kReplicate:
      return {"REPLICAOF", command.master.ip, std::to_string(command.master.port)};
    case Kind::kServeStale:
      return {"CONFIG", "SET", "replica-serve-stale-data", "yes"};
    case Kind::kPause:
      if (!pauses_writes) return fence;
      return {"CLIENT", "PAUSE", std::to_string(std::max<int64_t>(1, ToMillis(command.limit))), "WRITE"};
    case Kind::kUnpause:
      if (!pauses_writes) return unfence;
      return {"CLIENT", "UNPAUSE"};
    case Kind::kFence:
      return fence;
    case Kind::kUnfence:
      return unfence;
  }
  return {};
}

std::string ToString(const RedisCommand& command) {
  switch (command.kind) {
    case RedisCommand::Kind::kRead:
      return "INFO";
    case RedisCommand::Kind::kPark:
      return "REPLICAOF " + kNobody.ip + " " + std::to_string(kNobody.port);
    case RedisCommand::Kind::kPromote:
      return "REPLICAOF NO ONE";
    case RedisCommand::Kind::kReplicate:
      return "REPLICAOF " + command.master.ip + " " + std::to_string(command.master.port);
    case RedisCommand::Kind::kServeStale:
      return "CONFIG SET replica-serve-stale-data yes";
    case RedisCommand::Kind::kPause:
      return "CLIENT PAUSE " + std::to_string(ToMillis(command.limit)) + " WRITE";
    case RedisCommand::Kind::kUnpause:
      return "CLIENT UNPAUSE";
    case RedisCommand::Kind::kFence:
      return "CONFIG SET min-replicas-to-write 99";
    case RedisCommand::Kind::kUnfence:
      return "CONFIG SET min-replicas-to-write 0";
  }
  return "?";
}

}  // namespace hive::replication
