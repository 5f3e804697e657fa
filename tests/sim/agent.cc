// The agent at the local redis: one connection on which commands are carried out in order, a poll of INFO every beat,
// and word of a redis that is lost, mute, or another run.
//
// A command that names a run is carried out on that run only; one that names none, on whichever is there: an empty
// successor, perhaps.
#include <algorithm>

#include "tests/sim/coordinators.h"

namespace hive::sim {

using election::CallId;
using election::RedisDone;
using election::RedisLost;
using election::RedisMute;
using election::RedisReported;
using std::chrono::microseconds;

void Coordinators::RedisChanged(PodId pod_id) {
  const Coordinator* c = OfPod(pods_[pod_id]);
  if (c == nullptr) return;
  // A closed connection is seen within milliseconds; a new listener is found by redialling.
  queue_.After(microseconds(random_.Between(300, 4000)), [this, id = c->id] { AgentConnect(id); });
}

void Coordinators::AgentConnect(ProcessId id) {
  Coordinator& c = at(id);
  if (!c.alive) return;
  const Redis* redis = redises_.OfPod(pods_[c.pod]);
  if (redis != nullptr && redis->id == c.agent_run) return;
  if (redis == nullptr) {
    c.agent_run = kNoId;
    c.agent_polling = false;
    AgentFailPending(id);
    if (!c.agent_told_lost) Deliver(id, RedisLost{"connection refused"});
    c.agent_told_lost = true;
    queue_.After(Millis(random_.Between(10, 60)), [this, id] { AgentConnect(id); });
    return;
  }
  const RedisId run = redis->id;
  redises_.WhenAwake(run, [this, id, run] {
    queue_.After(microseconds(random_.Between(100, 500)), [this, id, run] {
      if (!redises_.at(run).alive || !at(id).alive || at(id).agent_run == run) return;
      at(id).agent_polling = false;
      AgentFailPending(id);
      AgentReport(id, run, RedisReported{redises_.Status(run)});
    });
  });
}

// The connection is gone: nothing that was asked on it will be answered.
void Coordinators::AgentFailPending(ProcessId id) {
  std::vector<CallId> pending = std::move(at(id).agent_pending);
  at(id).agent_pending.clear();
  for (const CallId call : pending) Deliver(id, RedisDone{call, false, "connection closed", {}});
}

void Coordinators::AgentPoll(ProcessId id) {
  Coordinator& c = at(id);
  if (!c.alive) return;
  queue_.After(options_.beat_interval, [this, id] { AgentPoll(id); });
  const Redis* redis = redises_.OfPod(pods_[c.pod]);
  if (c.frozen || redis == nullptr) return;
  // A stopped one accepts connections, and is mute on them, whether or not it was met before.
  if (redis->stopped) {
    const SimTime since = std::max({c.agent_answered, c.started, redis->started});
    if (c.agent_told_mute || queue_.now() - since < options_.redis_timeout) return;
    c.agent_told_mute = true;
    Deliver(id, RedisMute{});
    AgentFailPending(id);
    return;
  }
  if (c.agent_run != redis->id || c.agent_polling) return;
  const RedisId run = redis->id;
  c.agent_polling = true;
  AgentSend(c, run, [this, id, run] {
    queue_.At(AgentReplyTime(at(id)), [this, id, run, status = redises_.Status(run)]() mutable {
      Coordinator& late = at(id);
      if (!late.alive || late.agent_run != run) return;
      late.agent_polling = false;
      AgentReport(id, run, RedisReported{std::move(status)});
    });
  });
}

// One connection: requests are read in order, when redis is awake, and answered in that order.
void Coordinators::AgentSend(Coordinator& c, RedisId run, Task execute) {
  c.agent_next = std::max(c.agent_next, queue_.now()) + microseconds(random_.Between(50, 300)) + redises_.Slowness(run);
  queue_.At(c.agent_next,
            [this, run, execute = std::move(execute)]() mutable { redises_.WhenAwake(run, std::move(execute)); });
}

SimTime Coordinators::AgentReplyTime(Coordinator& c) {
  c.agent_reply = std::max(c.agent_reply + microseconds(1), queue_.now() + microseconds(random_.Between(50, 300)));
  return c.agent_reply;
}

void Coordinators::AgentReport(ProcessId id, RedisId run, election::Event event) {
  Coordinator& c = at(id);
  c.agent_run = run;
  c.agent_told_lost = false;
  c.agent_told_mute = false;
  c.agent_answered = queue_.now();
  Deliver(id, std::move(event));
}

void Coordinators::Command(Coordinator& c, const election::CommandRedis& command) {
  const ProcessId id = c.id;
  const CallId call = command.id;
  const Redis* redis = redises_.OfPod(pods_[c.pod]);
  const bool meant =
      redis != nullptr && (command.run_id.empty() || command.run_id == redises_.Status(redis->id).run_id);
  if (!meant || c.agent_told_mute) {
    queue_.After(microseconds(200), [this, id, call] { CommandDone(id, call, false, "not connected", kNoId); });
    return;
  }
  const RedisId run = redis->id;
  c.agent_pending.push_back(call);
  AgentSend(c, run, [this, id, call, run, what = command.command] {
    // Written to the socket before: it takes effect even if nobody waits for the answer any more.
    std::string error = redises_.Execute(run, what);
    queue_.At(AgentReplyTime(at(id)), [this, id, call, run, error = std::move(error)]() mutable {
      const bool ok = error.empty();
      CommandDone(id, call, ok, std::move(error), run);
    });
  });
}

void Coordinators::CommandDone(ProcessId id, CallId call, bool ok, std::string error, RedisId run) {
  Coordinator& c = at(id);
  if (!c.alive) return;
  const bool waited_for = std::erase(c.agent_pending, call) > 0;
  if (error != "not connected" && !waited_for) return;  // given up before
  const bool answered = run != kNoId && c.agent_run == run;
  RedisDone done{call, ok && answered, std::move(error), {}};
  if (done.ok && redises_.at(run).alive) {
    done.status = redises_.Status(run);
  } else {
    done.ok = false;
    if (done.error.empty()) done.error = "connection closed";
  }
  if (answered) c.agent_answered = queue_.now();
  Deliver(id, std::move(done));
}

}  // namespace hive::sim
