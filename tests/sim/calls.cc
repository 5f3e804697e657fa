// Calls between coordinators, dials, and what one asks of another's redis.
#include "tests/sim/coordinators.h"

namespace hive::sim {

using election::CallFailed;
using election::CallId;
using election::Dialled;
using election::Failure;
using election::OrphanAnswered;
using election::RedisProbed;
using std::chrono::microseconds;

namespace {

// How long a probe or a demotion waits for another's redis.
constexpr Duration kRedisPatience = Millis(200);

// Half of the calls that TCP loses arrive late by a retransmission instead.
constexpr uint64_t kLateRatherThanLostPercent = 50;

}  // namespace

void Coordinators::SendCall(Coordinator& c, election::SendRequest& send) {
  const ProcessId from = c.id;
  const CallId id = send.id;
  c.calls[id] = {kNoId, send.to.ip};
  queue_.After(send.timeout, [this, from, id] {
    if (at(from).calls.erase(id) > 0) Deliver(from, CallFailed{id, Failure::kTimeout});
  });
  // A connection may exist already: then a call passes even where its answer cannot.
  Passage passage = network_.Send(pods_[c.pod], send.to.ip, Port::kCoordinator, random_.Percent(50));
  switch (passage.fate) {
    case Fate::kRefused:
      FailCall(from, id, random_.Percent(70) ? Failure::kRefused : Failure::kClosed, passage.delay);
      return;
    case Fate::kUnreachable:
      FailCall(from, id, Failure::kUnreachable, passage.delay);
      return;
    case Fate::kSilence: {
      const Pod* to = pods_.At(send.to.ip);
      const bool lost = to != nullptr && network_.Between(pods_[c.pod], *to, Port::kCoordinator) == Cut::kNone;
      if (!lost || !random_.Percent(kLateRatherThanLostPercent)) return;
      passage.to = to->id;
      passage.delay += Millis(200);
      break;
    }
    case Fate::kArrives:
      break;
  }
  queue_.After(passage.delay, [this, from, id, to = passage.to, request = std::move(send.request)]() mutable {
    CallArrives(from, id, to, std::move(request));
  });
}

void Coordinators::CallArrives(ProcessId from, CallId id, PodId to, election::Request request) {
  const auto call = at(from).calls.find(id);
  const Coordinator* callee = OfPod(pods_[to]);
  if (callee == nullptr) {
    if (pods_[to].alive) FailCall(from, id, Failure::kRefused, network_.Latency(pods_[to], pods_[at(from).pod]));
    return;
  }
  if (call != at(from).calls.end()) call->second.callee = callee->id;
  Coordinator& target = at(callee->id);
  const election::RequestId request_id = ++target.last_request;
  target.asked[request_id] = {from, id};
  Deliver(target.id, election::RequestReceived{request_id, std::move(request)});
}

void Coordinators::FailCall(ProcessId from, CallId id, Failure failure, Duration after) {
  queue_.After(after, [this, from, id, failure] {
    if (at(from).alive && at(from).calls.erase(id) > 0) Deliver(from, CallFailed{id, failure});
  });
}

void Coordinators::SendAnswer(Coordinator& c, election::SendReply& send) {
  const auto asked = c.asked.find(send.id);
  if (asked == c.asked.end()) return;  // the judge has seen it
  const auto [caller, id] = asked->second;
  c.asked.erase(asked);
  if (!at(caller).alive) return;
  const Passage passage = network_.Send(pods_[c.pod], pods_[at(caller).pod].ip, Port::kCoordinator, false);
  if (passage.fate != Fate::kArrives) return;
  queue_.After(passage.delay, [this, caller = caller, id = id, reply = std::move(send.reply)]() mutable {
    if (at(caller).alive && at(caller).calls.erase(id) > 0) {
      Deliver(caller, election::ReplyReceived{id, std::move(reply)});
    }
  });
}

// A process that dies closes its connections: whoever waited for its answer hears of it.
void Coordinators::DropCallsTo(Coordinator& dead, bool silently) {
  if (!silently) {
    for (const auto& [request, caller] : dead.asked) {
      if (!at(caller.first).alive) continue;
      const Pod& from = pods_[dead.pod];
      const Pod& to = pods_[at(caller.first).pod];
      if (network_.Between(from, to, Port::kCoordinator) != Cut::kNone) continue;
      FailCall(caller.first, caller.second, Failure::kClosed, network_.Latency(from, to));
    }
  }
  dead.asked.clear();
}

void Coordinators::BreakCallsAcrossResets(Coordinator& c) {
  std::vector<CallId> broken;
  for (const auto& [id, call] : c.calls) {
    const Pod* to = pods_.At(call.to_ip);
    if (to == nullptr) continue;
    if (network_.Between(pods_[c.pod], *to, Port::kCoordinator) == Cut::kReset) broken.push_back(id);
  }
  for (const CallId id : broken) FailCall(c.id, id, Failure::kClosed, Millis(1));
}

void Coordinators::DialOut(Coordinator& c, const election::Dial& dial) {
  const ProcessId from = c.id;
  const CallId id = dial.id;
  const auto answer = [this, from, id](Duration after, Dialled::Outcome outcome) {
    queue_.After(after, [this, from, id, outcome] { Deliver(from, Dialled{id, outcome, {}}); });
  };
  const Passage passage = network_.Send(pods_[c.pod], dial.to.ip, Port::kCoordinator, true);
  if (passage.fate == Fate::kRefused) return answer(passage.delay, Dialled::Outcome::kRefused);
  if (passage.fate == Fate::kUnreachable) return answer(passage.delay, Dialled::Outcome::kUnreachable);
  if (passage.fate == Fate::kSilence || passage.delay * 2 > dial.window) {
    return answer(dial.window, Dialled::Outcome::kNoConnect);
  }
  queue_.After(passage.delay * 2, [this, from, id, passage, window = dial.window, answer] {
    const Coordinator* callee = OfPod(pods_[passage.to]);
    if (callee == nullptr) {
      answer(Duration{0}, pods_[passage.to].alive ? Dialled::Outcome::kRefused : Dialled::Outcome::kNoConnect);
    } else if (callee->frozen || passage.delay * 4 > window) {
      answer(window - passage.delay * 2, Dialled::Outcome::kMute);
    } else {
      queue_.After(passage.delay * 2, [this, from, id, who = callee->identity] {
        Deliver(from, Dialled{id, Dialled::Outcome::kAnswered, who});
      });
    }
  });
}

void Coordinators::Probe(Coordinator& c, const election::ProbeRedis& probe) {
  const ProcessId from = c.id;
  const CallId id = probe.id;
  const auto answer = [this, from, id](Duration after, RedisProbed::Outcome outcome) {
    queue_.After(after, [this, from, id, outcome] { Deliver(from, RedisProbed{id, outcome}); });
  };
  const Passage passage = network_.Send(pods_[c.pod], probe.redis.ip, Port::kRedis, true);
  if (passage.fate == Fate::kRefused) return answer(passage.delay, RedisProbed::Outcome::kRefused);
  if (passage.fate != Fate::kArrives) return answer(kRedisPatience, RedisProbed::Outcome::kSilent);
  queue_.After(passage.delay * 2, [this, to = passage.to, answer, back = passage.delay] {
    const Redis* redis = redises_.OfPod(pods_[to]);
    if (redis == nullptr) return answer(back, RedisProbed::Outcome::kRefused);
    if (redis->stopped || redis->busy_until > queue_.now())
      return answer(kRedisPatience, RedisProbed::Outcome::kSilent);
    // As far as INFO tells a stranger: it never led, and neither keys nor an offset.
    const bool empty = redis->parked() && redis->offset == 0 && redis->content.log.empty();
    answer(back, empty ? RedisProbed::Outcome::kEmpty : RedisProbed::Outcome::kHasData);
  });
}

void Coordinators::Demote(Coordinator& c, const election::DemoteOrphan& demote) {
  const ProcessId from = c.id;
  const CallId id = demote.id;
  const PodId pod = c.pod;
  const auto answer = [this, from, id](Duration after, OrphanAnswered::Outcome outcome) {
    queue_.After(after, [this, from, id, outcome] { Deliver(from, OrphanAnswered{id, outcome, {}}); });
  };
  const Passage there = network_.Send(pods_[pod], demote.redis.ip, Port::kRedis, true);
  const Redis* redis = there.fate == Fate::kArrives ? redises_.OfPod(pods_[there.to]) : nullptr;
  if (redis == nullptr || redis->stopped) return answer(kRedisPatience, OrphanAnswered::Outcome::kUnreachable);
  queue_.After(there.delay * 2, [this, from, pod, demote, answer, run = redis->id, back = there.delay] {
    if (!at(from).alive) return;
    const Passage dial = network_.Send(pods_[pod], demote.coordinator.ip, Port::kCoordinator, true);
    const Coordinator* owner = dial.fate == Fate::kArrives ? OfPod(pods_[dial.to]) : nullptr;
    if (owner != nullptr) {
      const bool mute = owner->frozen;
      return answer(mute ? kRedisPatience : dial.delay * 2,
                    mute ? OrphanAnswered::Outcome::kUnreachable : OrphanAnswered::Outcome::kCoordinatorAnswers);
    }
    const bool refused = dial.fate == Fate::kRefused || dial.fate == Fate::kArrives;
    if (!refused) return answer(kRedisPatience, OrphanAnswered::Outcome::kUnreachable);
    queue_.After(dial.delay * 2 + back, [this, demote, answer, run, back] {
      const Redis& orphan = redises_.at(run);
      if (!orphan.alive || orphan.stopped) return answer(kRedisPatience, OrphanAnswered::Outcome::kUnreachable);
      const std::string error = redises_.Execute(run, {replication::RedisCommand::Kind::kReplicate, demote.master});
      answer(back, error.empty() ? OrphanAnswered::Outcome::kObeyed : OrphanAnswered::Outcome::kRefused);
    });
  });
}

}  // namespace hive::sim
