#include "tests/sim/redis_model.h"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace hive::sim {

using replication::RedisCommand;
using replication::RedisStatus;
using std::chrono::microseconds;

namespace {

constexpr Duration kRedial = Seconds(1);  // replicationCron

std::string IdText(uint32_t id) { return "repl" + std::to_string(id); }

}  // namespace

Redises::Redises(const Options& options, Pods& pods, Network& network, EventQueue& queue, Random& random,
                 Transcript& transcript)
    : options_(options),
      pods_(pods),
      network_(network),
      queue_(queue),
      random_(random),
      transcript_(transcript),
      lag_high_(options.lag_high) {}

void Redises::Log(const Redis& redis, const std::string& what) {
  if (transcript_.on())
    transcript_.Add(queue_.now(), pods_[redis.pod].ip, "redis run" + std::to_string(redis.id) + " " + what);
}

RedisId Redises::Start(PodId pod) {
  Redis redis;
  redis.id = static_cast<RedisId>(rows_.size());
  redis.pod = pod;
  redis.alive = true;
  redis.started = queue_.now();
  redis.master_endpoint = replication::kNobody;
  redis.replication_id = NewReplicationId();
  const RedisId id = redis.id;
  rows_.push_back(std::move(redis));
  pods_[pod].redis = id;
  Log(rows_[id], "starts, parked and empty");
  queue_.After(Duration(random_.Between(0, kRedial.count())), [this, id] { Cron(id); });
  return id;
}

void Redises::Preload(RedisId id, int writes) {
  Redis& redis = rows_[id];
  redis.master = true;
  redis.master_endpoint = {};
  redis.content.root = ++last_root_;
  redis.data_since = queue_.now();
  for (int i = 0; i < writes; ++i) redis.content.log.push_back(NewWrite());
  Log(redis, "loaded " + std::to_string(writes) + " keys");
}

const Redis* Redises::OfPod(const Pod& pod) const {
  if (!pod.alive || pod.redis == kNoId || !rows_[pod.redis].alive) return nullptr;
  return &rows_[pod.redis];
}

void Redises::Kill(RedisId id, bool silently) {
  Redis& redis = rows_[id];
  if (!redis.alive) return;
  Log(redis, silently ? "vanishes" : "is killed");
  redis.alive = false;
  redis.stopped = false;
  redis.asleep.clear();
  redis.postponed.clear();  // its clients see the close
  DropLink(redis);
  if (!silently) DropReplicasOf(id);
}

void Redises::Resume(RedisId id) {
  Redis& redis = rows_[id];
  if (!redis.alive || !redis.stopped) return;
  redis.stopped = false;
  Log(redis, "resumes");
  std::vector<Task> tasks = std::move(redis.asleep);
  redis.asleep.clear();
  for (Task& task : tasks) task();
}

void Redises::WhenAwake(RedisId id, Task task) {
  Redis& redis = rows_[id];
  if (!redis.alive) return;
  if (redis.stopped) {
    redis.asleep.push_back(std::move(task));
  } else {
    task();
  }
}

// replicationUnsetMaster: the id shifts, replicas must ask again.
void Redises::Promote(Redis& redis) {
  if (redis.master) return;
  DropLink(redis);
  redis.master = true;
  redis.master_endpoint = {};
  redis.link = Redis::Link::kNone;
  if (redis.empty()) {
    redis.content.root = ++last_root_;
    redis.data_since = queue_.now();
  }
  redis.second_id = redis.replication_id;
  redis.second_offset = redis.offset + 1;
  redis.replication_id = NewReplicationId();
  ++promotions_;
  ++redis.promotions;
  Log(redis, "is promoted: root " + std::to_string(redis.content.root) + ", " +
                 std::to_string(redis.content.log.size()) + " writes, offset " + std::to_string(redis.offset) + ", " +
                 IdText(redis.replication_id));
  DropReplicasOf(redis.id);
}

// replicationSetMaster: keeps data, id and its own replicas; a parked one dials nobody.
void Redises::Follow(Redis& redis, const Endpoint& master) {
  if (!redis.master && redis.master_endpoint == master) return;  // "already connected with": no operation
  DropLink(redis);
  redis.master = false;
  redis.master_endpoint = master;
  redis.link = Redis::Link::kDown;
  Log(redis, master == replication::kNobody ? "is parked" : "replicates " + ToString(master));
  if (master == replication::kNobody) return;
  const RedisId id = redis.id;
  const uint32_t epoch = redis.epoch;
  queue_.After(microseconds(random_.Between(100, 500)), [this, id, epoch] { Connect(id, epoch); });
}

void Redises::DropLink(Redis& redis) {
  ++redis.epoch;
  redis.source = kNoId;
  redis.flowing = false;
  redis.cut_at = SIZE_MAX;
  if (redis.link != Redis::Link::kNone) redis.link = Redis::Link::kDown;
}

// The replicas of `source` see their connection close a moment later, unless nothing reaches them.
void Redises::DropReplicasOf(RedisId source) {
  for (Redis& replica : rows_) {
    if (!replica.alive || replica.source != source) continue;
    replica.cut_at = std::min(replica.cut_at, rows_[source].content.log.size());
    if (!Reaches(rows_[source], replica)) continue;  // Cron notices once packets pass again
    const RedisId id = replica.id;
    const uint32_t epoch = replica.epoch;
    queue_.After(microseconds(random_.Between(200, 5000)), [this, id, epoch] {
      Redis& late = rows_[id];
      if (!late.alive || late.epoch != epoch) return;
      DropLink(late);
      Log(late, "lost its master link");
      // It redials at once after a close, then once a second (Cron).
      const uint32_t next = late.epoch;
      queue_.After(microseconds(random_.Between(500, 3000)), [this, id, next] { Connect(id, next); });
    });
  }
}

bool Redises::Reaches(const Redis& from, const Redis& to) const {
  const Pod& a = pods_[from.pod];
  const Pod& b = pods_[to.pod];
  return network_.Between(a, b, Port::kRedis) == Cut::kNone && network_.Between(b, a, Port::kRedis) == Cut::kNone;
}

void Redises::Connect(RedisId id, uint32_t epoch) {
  Redis& redis = rows_[id];
  if (!redis.alive || redis.stopped || redis.epoch != epoch || redis.link != Redis::Link::kDown) return;
  const Passage passage = network_.Send(pods_[redis.pod], redis.master_endpoint.ip, Port::kRedis, true);
  if (passage.fate != Fate::kArrives) return;
  const RedisId source = pods_[passage.to].redis;
  if (source == kNoId || !rows_[source].alive) return;
  queue_.After(passage.delay * 3, [this, id, epoch, source] { Handshake(id, epoch, source); });
}

void Redises::Handshake(RedisId id, uint32_t epoch, RedisId source_id) {
  Redis& replica = rows_[id];
  Redis& source = rows_[source_id];
  if (!replica.alive || replica.stopped || replica.epoch != epoch || replica.link != Redis::Link::kDown) return;
  if (!source.alive || source.stopped || source_id == id || source.busy_until > queue_.now()) return;
  // -NOMASTERLINK: a parked redis, or one whose own link is down, feeds nobody new.
  if (!source.master && source.link != Redis::Link::kUp) return;
  if (!source.backlog) {
    source.backlog = true;
    source.replication_id = NewReplicationId();
    source.second_id = 0;
  }
  replica.source = source_id;
  replica.lag = Duration(random_.Between(microseconds(100).count(), lag_high_.count()));
  if (CanContinue(replica, source)) {
    Continue(replica, source);
  } else {
    FullSync(replica, source);
  }
}

bool Redises::CanContinue(const Redis& replica, const Redis& source) const {
  if (replica.empty()) return false;
  const bool first = replica.replication_id == source.replication_id && replica.offset <= source.offset;
  const bool second =
      replica.replication_id == source.second_id && replica.offset + 1 <= source.second_offset && source.second_id != 0;
  return (first || second) && source.offset - replica.offset <= options_.backlog_bytes;
}

void Redises::Continue(Redis& replica, Redis& source) {
  ++partial_syncs_;
  if (replica.replication_id != source.replication_id) {
    replica.second_id = replica.replication_id;
    replica.second_offset = replica.offset + 1;
    replica.replication_id = source.replication_id;
    DropReplicasOf(replica.id);
  }
  replica.backlog = true;
  replica.link = Redis::Link::kUp;
  const size_t have = replica.content.log.size();
  const size_t missing = static_cast<size_t>((source.offset - replica.offset) / kWriteBytes);
  // The model itself must be right: what PSYNC lets continue is a prefix.
  if (have + missing != source.content.log.size() ||
      (have > 0 && source.content.log[have - 1] != replica.content.log.back())) {
    std::fprintf(stderr, "redis model: a partial resync of run%u from run%u would mix histories\n", replica.id,
                 source.id);
    std::abort();
  }
  Log(replica, "continues from run" + std::to_string(source.id) + " at " + std::to_string(replica.offset));
  Feed(source);
}

void Redises::FullSync(Redis& replica, Redis& source) {
  const Duration takes(random_.Between(options_.sync_low.count(), options_.sync_high.count()));
  replica.link = Redis::Link::kSyncing;
  replica.loading_from = queue_.now() + takes * 4 / 5;
  Log(replica, "full resync from run" + std::to_string(source.id) + " begins");
  const RedisId id = replica.id;
  const uint32_t epoch = replica.epoch;
  queue_.After(takes,
               [this, id, epoch, snapshot = source.content, offset = source.offset,
                repl = source.replication_id]() mutable { FinishSync(id, epoch, std::move(snapshot), offset, repl); });
}

void Redises::FinishSync(RedisId id, uint32_t epoch, Content snapshot, int64_t offset, uint32_t replication_id) {
  Redis& replica = rows_[id];
  if (!replica.alive || replica.epoch != epoch || replica.link != Redis::Link::kSyncing) return;
  if (replica.stopped) {
    replica.asleep.push_back([this, id, epoch, snapshot = std::move(snapshot), offset, replication_id]() mutable {
      FinishSync(id, epoch, std::move(snapshot), offset, replication_id);
    });
    return;
  }
  const Redis& source = rows_[replica.source];
  if (!source.alive || source.replication_id != replication_id || !Reaches(source, replica)) {
    DropLink(replica);  // the transfer broke: what it held stays
    return;
  }
  if (on_replace) on_replace(replica, source, snapshot);
  ++full_syncs_;
  ++replica.full_syncs;
  replica.content = std::move(snapshot);
  replica.data_since = queue_.now();
  replica.offset = offset;
  replica.replication_id = replication_id;
  replica.second_id = 0;
  replica.backlog = true;
  replica.link = Redis::Link::kUp;
  Log(replica, "holds what run" + std::to_string(source.id) + " held: root " + std::to_string(replica.content.root) +
                   ", " + std::to_string(replica.content.log.size()) + " writes");
  DropReplicasOf(id);
  Feed(source);
}

void Redises::Feed(const Redis& source) {
  for (Redis& replica : rows_) {
    if (!replica.alive || replica.source != source.id || replica.link != Redis::Link::kUp || replica.flowing) continue;
    const size_t upto = std::min(source.content.log.size(), replica.cut_at);
    if (replica.content.log.size() >= upto) continue;
    replica.flowing = true;
    const RedisId id = replica.id;
    const uint32_t epoch = replica.epoch;
    queue_.After(replica.lag, [this, id, epoch, upto] { Flow(id, epoch, upto); });
  }
}

void Redises::Flow(RedisId id, uint32_t epoch, size_t upto) {
  Redis& replica = rows_[id];
  if (!replica.alive || replica.epoch != epoch || replica.link != Redis::Link::kUp) return;
  const Redis& source = rows_[replica.source];
  const Cut cut = network_.Between(pods_[source.pod], pods_[replica.pod], Port::kRedis);
  // A pause of its clients' writes holds back its master's as well (measured on 7.0.15).
  const bool paused = replica.paused_until > queue_.now();
  if (cut == Cut::kSilent || replica.stopped || paused || (source.alive && source.stopped)) {
    queue_.After(Millis(50), [this, id, epoch, upto] { Flow(id, epoch, upto); });  // TCP sends it again
    return;
  }
  replica.flowing = false;
  if (cut == Cut::kReset) return;  // Cron drops the link
  auto& log = replica.content.log;
  const bool same_history = source.content.root == replica.content.root && source.content.log.size() >= upto &&
                            (log.empty() || source.content.log[log.size() - 1] == log.back());
  if (!same_history) return;  // the source has just been replaced: this connection is about to close
  while (log.size() < upto) {
    log.push_back(source.content.log[log.size()]);
    replica.offset += kWriteBytes;
  }
  Feed(source);
  Feed(replica);
}

// replicationCron: once a second it redials, and its REPLCONF ACK meets a reset if its master's run is gone.
void Redises::Cron(RedisId id) {
  Redis& redis = rows_[id];
  if (!redis.alive) return;
  queue_.After(kRedial, [this, id] { Cron(id); });
  if (redis.stopped || redis.master || redis.parked()) return;
  if (redis.source != kNoId) {
    const Redis& source = rows_[redis.source];
    const Pod& pod = pods_[redis.pod];
    const Pod& other = pods_[source.pod];
    const bool rejected = network_.Between(pod, other, Port::kRedis) == Cut::kReset ||
                          network_.Between(other, pod, Port::kRedis) == Cut::kReset;
    const bool gone = !source.alive && pods_.At(other.ip) != nullptr && Reaches(source, redis);
    if (rejected || gone) {
      DropLink(redis);
      Log(redis, "lost its master link");
    }
  }
  if (redis.link == Redis::Link::kDown) Connect(id, redis.epoch);
}

RedisStatus Redises::Status(RedisId id) const {
  const Redis& redis = rows_[id];
  RedisStatus status;
  status.run_id = "run" + std::to_string(redis.id);
  status.version = "7.0.15";
  status.busy = redis.busy_until > queue_.now();
  status.is_master = redis.master;
  status.master = redis.master ? Endpoint{} : redis.master_endpoint;
  status.link_up = !redis.master && redis.link == Redis::Link::kUp;
  status.sync_in_progress = redis.link == Redis::Link::kSyncing;
  status.loading = status.sync_in_progress && queue_.now() >= redis.loading_from;
  status.replication_id = IdText(redis.replication_id);
  if (redis.second_id != 0) status.second_replication_id = IdText(redis.second_id);
  if (redis.second_id != 0) status.second_offset = redis.second_offset;
  status.offset = redis.offset;
  status.keys = static_cast<int64_t>(redis.content.log.size());
  status.uptime = queue_.now() - redis.started;
  status.fenced = redis.fenced;
  return status;
}

}  // namespace hive::sim
