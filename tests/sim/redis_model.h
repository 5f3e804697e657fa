// A model of every redis-server of the hive: what each holds, whom it replicates, and how data moves between them.
//
// Modelled after redis 7.0 (facts measured on 7.0.15): born parked and empty; REPLICAOF NO ONE shifts the replication
// id; offsets count only once a first replica has come; PSYNC continues where the id matches and the backlog reaches,
// else a full resync replaces everything; a parked redis refuses PSYNC but still feeds the replicas that it has; a
// replica redials every second; +CONTINUE makes a lagging replica adopt the new id; chained replicas; SIGSTOP, after
// which buffered commands take effect; -BUSY; CLIENT PAUSE WRITE, which postpones clients' writes, and, on a replica,
// its master's; min-replicas-to-write. Not modelled: expiry, memory limits, persistence (but see Preload), repl-timeout
// (60 s).
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "coordinator/replication/redis_status.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/pods.h"
#include "tests/sim/transcript.h"

namespace hive::sim {

// Every client write is one new key, and this many bytes of replication stream.
inline constexpr int64_t kWriteBytes = 100;

using WriteId = uint32_t;

// What a redis holds: which dataset (drawn at a promotion of an empty redis), and the writes it took, oldest first.
// Writes are unique, so that one content extends another exactly if it is longer and agrees at the other's last write.
struct Content {
  uint32_t root = 0;  // 0 = none: never promoted, never synced, loaded nothing
  std::vector<WriteId> log;

  bool Extends(const Content& other) const {
    return root == other.root && log.size() > other.log.size() &&
           (other.log.empty() || log[other.log.size() - 1] == other.log.back());
  }
};

// What became of a client's write.
enum class Written : uint8_t {
  kDone,
  kReadOnly,  // -READONLY: a replica; not executed
  kFenced,    // -NOREPLICAS; not executed
  kBusy,      // -BUSY or -LOADING; not executed
  kClosed,    // the connection closed first: nobody can say
};
using OnWritten = std::function<void(Written)>;

// One run of one redis-server.
struct Redis {
  RedisId id = kNoId;
  PodId pod = kNoId;
  bool alive = false;
  bool stopped = false;   // SIGSTOP
  SimTime busy_until{0};  // answers -BUSY
  SimTime slow_until{0};  // each command takes up to slow_high
  Duration slow_high{0};
  SimTime started{0};
  SimTime data_since{0};  // when its content last came from elsewhere, or began
  Content content;

  bool master = false;
  Endpoint master_endpoint;  // of a replica
  uint32_t replication_id = 0;
  uint32_t second_id = 0;     // 0 = none
  int64_t second_offset = 0;  // first offset that is not of second_id
  int64_t offset = 0;
  bool backlog = false;  // offsets count only then
  int full_syncs = 0;    // completed
  int promotions = 0;

  // Its link to its master.
  enum class Link : uint8_t { kNone, kDown, kSyncing, kUp } link = Link::kNone;
  uint32_t epoch = 0;  // grows with every change of link: what was under way for an older one is void
  RedisId source = kNoId;
  Duration lag{0};
  bool flowing = false;      // a transfer is scheduled
  size_t cut_at = SIZE_MAX;  // its master has closed the link: no write beyond this one is on its way
  SimTime loading_from{0};   // kSyncing: the last part loads, and answers -LOADING

  std::vector<Task> asleep;  // what arrived while stopped, in order

  // Clients.
  bool fenced = false;      // min-replicas-to-write
  SimTime paused_until{0};  // CLIENT PAUSE WRITE
  struct Postponed {
    WriteId write = 0;
    OnWritten done;
  };
  std::vector<Postponed> postponed;

  bool has_data() const { return !content.log.empty(); }
  bool empty() const { return content.root == 0; }
  bool parked() const { return !master && master_endpoint == replication::kNobody; }
};

class Redises {
 public:
  Redises(const Options& options, Pods& pods, Network& network, EventQueue& queue, Random& random,
          Transcript& transcript);

  // A new run in `pod`: parked and empty.
  RedisId Start(PodId pod);
  // It loaded `writes` writes by itself, and is a master: an existing one that is adopted.
  void Preload(RedisId id, int writes);
  // Its process ends. `silently`: its node is gone too, so that no replica sees a close.
  void Kill(RedisId id, bool silently);
  void Stop(RedisId id) { at(id).stopped = true; }
  void Resume(RedisId id);
  void Busy(RedisId id, Duration lasts) { at(id).busy_until = queue_.now() + lasts; }

  // Runs `task` when `id` next reads its sockets: now, or at Resume; never, if it dies first.
  void WhenAwake(RedisId id, Task task);

  void Slow(RedisId id, Duration high, Duration lasts) {
    at(id).slow_high = high;
    at(id).slow_until = queue_.now() + lasts;
  }
  // How much longer its next command takes than usual.
  Duration Slowness(RedisId id) {
    const Redis& redis = at(id);
    return redis.slow_until > queue_.now() ? Duration(random_.Between(0, redis.slow_high.count())) : Duration{0};
  }

  // Executes a command of a coordinator now. What redis says when it refuses; empty when it obeys.
  std::string Execute(RedisId id, const replication::RedisCommand& command);
  // A client's write. `done` is called at once, or, while writes are paused, at their end.
  void Write(RedisId id, WriteId write, OnWritten done);
  // Its client has gone: a postponed write is never executed.
  void Forget(RedisId id, WriteId write);
  WriteId NewWrite() { return ++last_write_; }
  // How many replicas that are connected to `master` hold `write`.
  int Holders(RedisId master, WriteId write) const;

  replication::RedisStatus Status(RedisId id) const;

  Redis& at(RedisId id) { return rows_[id]; }
  const Redis& at(RedisId id) const { return rows_[id]; }
  // The living redis of a pod; null when there is none.
  const Redis* OfPod(const Pod& pod) const;
  const std::vector<Redis>& rows() const { return rows_; }

  // Called before a full resync replaces what `replica` holds by `incoming`, as `source` held it.
  std::function<void(const Redis& replica, const Redis& source, const Content& incoming)> on_replace;

  // Called when a client's write has been executed.
  std::function<void(const Redis& redis, WriteId write)> on_executed;

  // Replication links lag by up to this from here on.
  void SetLag(Duration high) { lag_high_ = high; }

  int promotions() const { return promotions_; }
  int full_syncs() const { return full_syncs_; }
  int partial_syncs() const { return partial_syncs_; }

 private:
  void Promote(Redis& redis);
  void Pause(Redis& redis, Duration limit);
  void EndPause(RedisId id);
  bool Refuses(const Redis& redis, replication::RedisCommand::Kind kind) const;
  void Follow(Redis& redis, const Endpoint& master);
  void DropLink(Redis& redis);
  void DropReplicasOf(RedisId source);
  void Connect(RedisId id, uint32_t epoch);
  void Handshake(RedisId id, uint32_t epoch, RedisId source);
  bool CanContinue(const Redis& replica, const Redis& source) const;
  void Continue(Redis& replica, Redis& source);
  void FullSync(Redis& replica, Redis& source);
  void FinishSync(RedisId id, uint32_t epoch, Content snapshot, int64_t offset, uint32_t replication_id);
  void Feed(const Redis& source);
  void Flow(RedisId id, uint32_t epoch, size_t upto);
  void Cron(RedisId id);
  uint32_t NewReplicationId() { return ++last_replication_id_; }
  bool Reaches(const Redis& from, const Redis& to) const;
  void Log(const Redis& redis, const std::string& what);

  const Options& options_;
  Pods& pods_;
  Network& network_;
  EventQueue& queue_;
  Random& random_;
  Transcript& transcript_;
  std::vector<Redis> rows_;
  Duration lag_high_;
  WriteId last_write_ = 0;
  uint32_t last_root_ = 0;
  uint32_t last_replication_id_ = 0;
  int promotions_ = 0;
  int full_syncs_ = 0;
  int partial_syncs_ = 0;
};

}  // namespace hive::sim
