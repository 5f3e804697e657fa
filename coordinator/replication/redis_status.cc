#include "coordinator/replication/redis_status.h"

namespace hive::replication {

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
