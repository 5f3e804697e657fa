// What a coordinator tells the redis of another member: one connection to each, kept for the next command, on which
// commands are carried out in order. Each begins with a reply of that redis; only then is the command sent. What was
// sent and not answered may take effect yet: when a stopped redis wakes, or when packets pass again.
#include "tests/sim/coordinators.h"
#include "tests/sim/judge.h"

namespace hive::sim {

using election::CommandRemote;
using election::RemoteDone;

namespace {

// What was sent into silence is sent again by TCP, for so long.
constexpr Duration kRetransmits = Seconds(15);
constexpr Duration kRetransmitEvery = Millis(50);

}  // namespace

void Coordinators::CommandOther(Coordinator& c, const CommandRemote& command) {
  Remote& remote = c.remotes[command.redis];
  remote.waiting.push_back(command);
  queue_.After(command.timeout, [this, id = c.id, call = command.id] { RemoteExpires(id, call); });
  if (remote.waiting.size() == 1) RemoteNext(c.id, command.redis);
}

Coordinators::Remote* Coordinators::RemoteOf(ProcessId id, election::CallId call) {
  if (!at(id).alive) return nullptr;
  for (auto& [redis, remote] : at(id).remotes) {
    for (const CommandRemote& waiting : remote.waiting) {
      if (waiting.id == call) return &remote;
    }
  }
  return nullptr;
}

// Its time is over. A connection on which an answer is missing is of no more use.
void Coordinators::RemoteExpires(ProcessId id, election::CallId call) {
  Remote* remote = RemoteOf(id, call);
  if (remote == nullptr) return;
  const bool sent = remote->sent && remote->waiting.front().id == call;
  RemoteAnswer(id, call, sent ? RemoteDone::Outcome::kUnknown : RemoteDone::Outcome::kUnreachable, "no answer", {});
}

void Coordinators::RemoteAnswer(ProcessId id, election::CallId call, RemoteDone::Outcome outcome, std::string error,
                                election::RedisStatus status) {
  Remote* remote = RemoteOf(id, call);
  if (remote == nullptr) return;  // answered before
  const bool current = remote->waiting.front().id == call;
  const Endpoint redis = remote->waiting.front().redis;
  std::erase_if(remote->waiting, [call](const CommandRemote& each) { return each.id == call; });
  if (current) {
    remote->sent = false;
    const bool healthy = outcome == RemoteDone::Outcome::kDone || outcome == RemoteDone::Outcome::kRefused ||
                         outcome == RemoteDone::Outcome::kAnotherRun;
    if (!healthy) remote->run = kNoId;
  }
  const bool more = current && !remote->waiting.empty();
  Deliver(id, RemoteDone{call, outcome, std::move(error), std::move(status)});
  if (more) RemoteNext(id, redis);
}

// The oldest command that waits: connect, unless that has been done, and read.
void Coordinators::RemoteNext(ProcessId id, const Endpoint& redis) {
  Coordinator& c = at(id);
  if (!c.alive || c.remotes[redis].waiting.empty()) return;
  Remote& remote = c.remotes[redis];
  const CommandRemote command = remote.waiting.front();
  if (remote.run != kNoId && !redises_.at(remote.run).alive) remote.run = kNoId;  // it has closed
  const bool fresh = remote.run == kNoId;
  const Passage passage = network_.Send(pods_[c.pod], redis.ip, Port::kRedis, fresh);
  const auto fail = [this, id, call = command.id](Duration after, std::string why) {
    queue_.After(after, [this, id, call, why = std::move(why)] {
      RemoteAnswer(id, call, RemoteDone::Outcome::kUnreachable, why, {});
    });
  };
  if (passage.fate == Fate::kRefused) return fail(passage.delay, "connection refused");
  if (passage.fate == Fate::kUnreachable) return fail(passage.delay, "no route to host");
  if (passage.fate == Fate::kSilence) return;  // until it expires
  const Redis* target = redises_.OfPod(pods_[passage.to]);
  if (target == nullptr) return fail(passage.delay * 2, "connection refused");
  remote.run = target->id;
  const Duration there = passage.delay * (fresh ? 3 : 1) + redises_.Slowness(target->id);
  queue_.After(there, [this, id, command, run = target->id, back = passage.delay] {
    redises_.WhenAwake(run, [this, id, command, run, back] {
      queue_.After(back, [this, id, command, run] { RemoteHasRead(id, command, run); });
    });
  });
}

// A reply of that redis is there: the command may be sent.
void Coordinators::RemoteHasRead(ProcessId id, const CommandRemote& command, RedisId run) {
  Remote* remote = RemoteOf(id, command.id);
  if (remote == nullptr || remote->waiting.front().id != command.id || remote->sent) return;
  if (!redises_.at(run).alive)
    return RemoteAnswer(id, command.id, RemoteDone::Outcome::kUnreachable, "connection closed", {});
  if (Unheard(redises_.at(run).pod, at(id).pod)) return;
  if (!command.run_id.empty() && redises_.Status(run).run_id != command.run_id) {
    return RemoteAnswer(id, command.id, RemoteDone::Outcome::kAnotherRun, "another run", {});
  }
  remote->sent = true;
  RemoteTravels(id, command, run, queue_.now() + kRetransmits);
}

// Sent: it will be carried out, if packets pass, whether or not anybody still waits for the answer.
void Coordinators::RemoteTravels(ProcessId id, const CommandRemote& command, RedisId run, SimTime until) {
  if (!redises_.at(run).alive || queue_.now() > until) return;
  const Pod& from = pods_[at(id).pod];
  const Pod& to = pods_[redises_.at(run).pod];
  const Cut cut = network_.Between(from, to, Port::kRedis);
  if (cut == Cut::kReset) return RemoteAnswer(id, command.id, RemoteDone::Outcome::kUnknown, "connection reset", {});
  if (cut == Cut::kSilent) {
    queue_.After(kRetransmitEvery, [this, id, command, run, until] { RemoteTravels(id, command, run, until); });
    return;
  }
  const Duration takes = network_.Latency(from, to) + network_.Retransmission() + redises_.Slowness(run);
  queue_.After(takes, [this, id, command, run] {
    if (!redises_.at(run).alive)
      return RemoteAnswer(id, command.id, RemoteDone::Outcome::kUnknown, "connection closed", {});
    redises_.WhenAwake(run, [this, id, command, run] {
      const bool late = RemoteOf(id, command.id) == nullptr;
      if (transcript_.on())
        Log(at(id),
            (late ? "   (late) " : "   ") + ToString(command.command) + " arrives at " + ToString(command.redis));
      std::string error = redises_.Execute(run, command.command);
      election::RedisStatus status = redises_.Status(run);
      const Duration back = network_.Latency(pods_[redises_.at(run).pod], pods_[at(id).pod]);
      queue_.After(back,
                   [this, id, call = command.id, run, error = std::move(error), status = std::move(status)]() mutable {
                     if (!at(id).alive || Unheard(redises_.at(run).pod, at(id).pod)) return;
                     const auto outcome = error.empty() ? RemoteDone::Outcome::kDone : RemoteDone::Outcome::kRefused;
                     if (!error.empty()) status = {};
                     RemoteAnswer(id, call, outcome, std::move(error), std::move(status));
                   });
    });
  });
}

bool Coordinators::Unheard(PodId redis_pod, PodId coordinator_pod) const {
  return network_.Between(pods_[redis_pod], pods_[coordinator_pod], Port::kRedis) != Cut::kNone;
}

}  // namespace hive::sim
