// The redis model: what clients and coordinators say to a redis.
//
// Order of a redis's looks at a write, as in redis 7.0's processCommand: the fence, then its role, then loading and
// busy, then the pause. So a fence or a demotion refuses at once even while writes are paused, and what was postponed
// is looked at anew when the pause ends.
#include <algorithm>

#include "tests/sim/redis_model.h"

namespace hive::sim {

using replication::RedisCommand;

namespace {

// Whether the link's end is loading what it received: -LOADING.
bool IsLoading(const Redis& redis, SimTime now) {
  return redis.link == Redis::Link::kSyncing && now >= redis.loading_from;
}

}  // namespace

// Renamed or forbidden: which family of commands this redis does not know.
bool Redises::Refuses(const Redis& redis, RedisCommand::Kind kind) const {
  const uint32_t bit = 1u << pods_[redis.pod].slot;
  switch (kind) {
    case RedisCommand::Kind::kPause:
    case RedisCommand::Kind::kUnpause:
      return (options_.refuses_client & bit) != 0;
    case RedisCommand::Kind::kFence:
    case RedisCommand::Kind::kUnfence:
    case RedisCommand::Kind::kServeStale:
      return (options_.refuses_config & bit) != 0;
    default:
      return false;
  }
}

std::string Redises::Execute(RedisId id, const RedisCommand& command) {
  Redis& redis = rows_[id];
  if (command.kind == RedisCommand::Kind::kRead) return "";
  if (Refuses(redis, command.kind)) return "ERR unknown command";
  if (IsLoading(redis, queue_.now())) return "LOADING Redis is loading the dataset in memory";
  if (redis.busy_until > queue_.now()) return "BUSY Redis is busy running a script";
  switch (command.kind) {
    case RedisCommand::Kind::kRead:
    case RedisCommand::Kind::kServeStale:
      break;
    case RedisCommand::Kind::kPark:
      Follow(redis, replication::kNobody);
      break;
    case RedisCommand::Kind::kReplicate:
      Follow(redis, command.master);
      break;
    case RedisCommand::Kind::kPromote:
      Promote(redis);
      redis.fenced = false;
      break;
    case RedisCommand::Kind::kPause:
      Pause(redis, command.limit);
      break;
    case RedisCommand::Kind::kUnpause:
      redis.paused_until = queue_.now();
      EndPause(id);
      break;
    case RedisCommand::Kind::kFence:
      redis.fenced = true;
      break;
    case RedisCommand::Kind::kUnfence:
      redis.fenced = false;
      break;
  }
  return "";
}

// A second pause may prolong the first; it never shortens it.
void Redises::Pause(Redis& redis, Duration limit) {
  redis.paused_until = std::max(redis.paused_until, queue_.now() + limit);
  queue_.At(redis.paused_until, [this, id = redis.id] { WhenAwake(id, [this, id] { EndPause(id); }); });
}

void Redises::EndPause(RedisId id) {
  Redis& redis = rows_[id];
  if (redis.paused_until > queue_.now()) return;
  std::vector<Redis::Postponed> postponed = std::move(redis.postponed);
  redis.postponed.clear();
  for (Redis::Postponed& each : postponed) Write(id, each.write, std::move(each.done));
}

void Redises::Write(RedisId id, WriteId write, OnWritten done) {
  Redis& redis = rows_[id];
  if (!redis.alive) return done(Written::kClosed);
  if (redis.master && redis.fenced) return done(Written::kFenced);
  if (!redis.master) return done(Written::kReadOnly);
  if (redis.busy_until > queue_.now()) return done(Written::kBusy);
  if (redis.paused_until > queue_.now()) {
    redis.postponed.push_back({write, std::move(done)});
    return;
  }
  redis.content.log.push_back(write);
  if (redis.backlog) redis.offset += kWriteBytes;
  Feed(redis);
  if (on_executed) on_executed(redis, write);
  done(Written::kDone);
}

void Redises::Forget(RedisId id, WriteId write) {
  std::erase_if(rows_[id].postponed, [write](const Redis::Postponed& each) { return each.write == write; });
}

int Redises::Holders(RedisId master, WriteId write) const {
  int holders = 0;
  for (const Redis& replica : rows_) {
    if (!replica.alive || replica.stopped || replica.source != master || replica.link != Redis::Link::kUp) continue;
    if (!Reaches(rows_[master], replica)) continue;
    const auto& log = replica.content.log;
    // New writes are at the end.
    if (std::find(log.rbegin(), log.rend(), write) != log.rend()) ++holders;
  }
  return holders;
}

}  // namespace hive::sim
