#include "tests/sim/clients.h"

#include <algorithm>

#include "tests/sim/judge.h"

namespace hive::sim {

using std::chrono::microseconds;

namespace {

constexpr Duration kHoldTimeout = Seconds(10);
constexpr Duration kAcksTimeout = Seconds(1);
// Between two looks at how many replicas have a write.
constexpr Duration kConfirmEvery = Millis(4);
// With the redis of a leader that has handed over: kHandoverPatience of proxy/worker/limits.h.
constexpr Duration kHandoverPatience = Millis(500);
// A redis that says nothing is given up for silent: the connection is cut.
constexpr Duration kPatience = Seconds(3);

}  // namespace

Clients::Clients(const Options& options, const Pods& pods, Redises& redises, Proxies& proxies, Network& network,
                 EventQueue& queue, Random& random, Transcript& transcript, Judge& judge, PlantedBug bug)
    : options_(options),
      pods_(pods),
      redises_(redises),
      proxies_(proxies),
      network_(network),
      queue_(queue),
      random_(random),
      transcript_(transcript),
      judge_(judge),
      bug_(bug) {
  proxies_.on_view = [this](PodId pod) { ViewChanged(pod); };
}

void Clients::Start(PodId pod) {
  if (rows_.size() <= pod) rows_.resize(pod + 1);
  if (rows_[pod].running) return;
  rows_[pod].running = true;
  queue_.After(Millis(random_.Between(1, 200)), [this, pod] { Turn(pod); });
  queue_.After(Millis(random_.Between(1, 100)), [this, pod] { Look(pod); });
}

void Clients::Drain(PodId pod) {
  if (pod < rows_.size()) rows_[pod].draining = true;
}

// A new write begins.
void Clients::Turn(PodId pod) {
  Client& client = rows_[pod];
  if (!pods_[pod].alive || client.draining) return;
  const int64_t interval = options_.write_interval.count();
  queue_.After(Duration(random_.Between(interval / 2, interval * 3 / 2)), [this, pod] { Turn(pod); });
  if (client.phase != Phase::kIdle) return;
  client.phase = Phase::kHeld;
  client.write = redises_.NewWrite();
  client.since = queue_.now();
  Try(pod);
}

// What no message tells: time-outs, and connections that have closed.
void Clients::Look(PodId pod) {
  Client& client = rows_[pod];
  if (!pods_[pod].alive) return;
  queue_.After(options_.beat_interval / 2, [this, pod] { Look(pod); });
  if (proxies_.frozen(pod)) return;
  const bool in_flight = client.phase == Phase::kSent || client.phase == Phase::kConfirming;
  if (client.phase == Phase::kHeld) {
    if (queue_.now() - client.since > kHoldTimeout) return End(pod, counts_.held_too_long, "held too long");
    Try(pod);
  } else if (in_flight && client.run != kNoId && !redises_.at(client.run).alive) {
    const Pod& there = pods_[redises_.at(client.run).pod];
    if (there.alive) End(pod, counts_.closed, "redis closed the connection");
  } else if (client.phase == Phase::kSent && queue_.now() - client.sent_at > kPatience) {
    Cut(pod, "cut: redis is silent");
  } else if (client.former && client.phase != Phase::kIdle && queue_.now() > client.former_until) {
    Cut(pod, "cut: another leads, and its predecessor owes an answer");
  }
}

void Clients::ViewChanged(PodId pod) {
  if (pod >= rows_.size() || !rows_[pod].running || !pods_[pod].alive || proxies_.frozen(pod)) return;
  Client& client = rows_[pod];
  const proxy::LeaderSnapshot& snapshot = proxies_.snapshot(pod);
  const bool in_flight = client.phase != Phase::kIdle && client.phase != Phase::kHeld;
  if (in_flight && !client.former && !snapshot.leader.empty() && !snapshot.leader.SameRedis(client.leader)) {
    // Links to the last leader are cut, and what they had not answered is unknown; but one that has handed over
    // answers.
    if (!snapshot.handed_over) return Cut(pod, "cut: another leads");
    client.former = true;
    client.former_until = queue_.now() + kHandoverPatience;
  } else if (client.former && snapshot.leader.SameRedis(client.leader)) {
    client.former = false;
  }
  if (client.phase == Phase::kWithheld) Release(pod);
  Try(pod);
}

void Clients::Cut(PodId pod, const char* why) {
  const Client& client = rows_[pod];
  if (client.run != kNoId) redises_.Forget(client.run, client.write);
  End(pod, counts_.closed, why);
}

void Clients::Try(PodId pod) {
  if (rows_[pod].phase != Phase::kHeld || proxies_.frozen(pod)) return;
  const proxy::LeaderSnapshot& snapshot = proxies_.snapshot(pod);
  const bool reckless = bug_ == PlantedBug::kProxyIgnoresLease && !snapshot.leader.empty();
  if (snapshot.MayWrite(Now()) || reckless) Send(pod, snapshot.leader);
}

void Clients::Send(PodId pod, const proxy::Leadership& leader) {
  Client& client = rows_[pod];
  const Passage passage = network_.Send(pods_[pod], leader.redis.ip, Port::kRedis, false);
  const Redis* redis = passage.fate == Fate::kArrives ? redises_.OfPod(pods_[passage.to]) : nullptr;
  // The link never came to be: nothing was sent.
  if (passage.fate == Fate::kRefused || passage.fate == Fate::kUnreachable) return;
  if (passage.fate == Fate::kArrives && redis == nullptr) return;
  judge_.OnProxyWrites(pods_[pod], leader, client.write);
  ++counts_.sent;
  client.phase = Phase::kSent;
  client.sent_at = queue_.now();
  client.former = false;
  client.leader = leader;
  client.run = redis == nullptr ? kNoId : redis->id;
  const uint64_t attempt = ++client.attempt;
  if (redis == nullptr) return;  // lost, and never answered
  const Duration there = passage.delay + redises_.Slowness(redis->id);
  queue_.After(there, [this, pod, attempt, write = client.write, run = redis->id, back = passage.delay] {
    redises_.WhenAwake(run, [this, pod, attempt, write, run, back] {
      redises_.Write(run, write, [this, pod, attempt, back](Written result) { Answered(pod, attempt, result, back); });
    });
  });
}

void Clients::Answered(PodId pod, uint64_t attempt, Written result, Duration back) {
  queue_.After(back, [this, pod, attempt, result] {
    Client& client = rows_[pod];
    if (!pods_[pod].alive || client.attempt != attempt || client.phase != Phase::kSent) return;
    const Pod& there = pods_[redises_.at(client.run).pod];
    if (network_.Between(there, pods_[pod], Port::kRedis) != Cut::kNone) return;  // never heard
    switch (result) {
      case Written::kDone:
        client.phase = Phase::kConfirming;
        client.since = queue_.now();
        return Confirm(pod, attempt);
      case Written::kReadOnly:  // held again, for the next leader
        client.phase = Phase::kHeld;
        if (client.former) Try(pod);
        return;
      case Written::kFenced:
      case Written::kBusy:
        return End(pod, counts_.refused, "refused");
      case Written::kClosed:
        return End(pod, counts_.closed, "redis closed the connection");
    }
  });
}

// Until enough replicas have it. Their word travels to the master and on to the proxy.
void Clients::Confirm(PodId pod, uint64_t attempt) {
  Client& client = rows_[pod];
  if (!pods_[pod].alive || client.attempt != attempt || client.phase != Phase::kConfirming) return;
  const auto release = [this, pod, attempt] {
    Client& late = rows_[pod];
    if (!pods_[pod].alive || late.attempt != attempt || late.phase != Phase::kConfirming) return;
    late.phase = Phase::kWithheld;
    Release(pod);
  };
  if (options_.write_acks == 0) return release();
  if (queue_.now() - client.since > kAcksTimeout) return End(pod, counts_.unconfirmed, "unconfirmed");
  const Redis& master = redises_.at(client.run);
  if (!master.alive) return;  // Look
  const Pod& there = pods_[master.pod];
  const bool heard = network_.Between(there, pods_[pod], Port::kRedis) == Cut::kNone && !master.stopped;
  // A master that becomes a replica unblocks WAIT with an error.
  if (!master.master) return End(pod, counts_.unconfirmed, "unconfirmed: its redis is a replica now");
  if (heard && redises_.Holders(client.run, client.write) >= options_.write_acks) {
    queue_.After(network_.Latency(there, pods_[pod]) * 2, [this, run = client.run, release] {
      const Redis& late = redises_.at(run);
      if (late.alive && !late.stopped && late.master) release();
    });
    // If that word is lost with the master, Look or the time-out ends it.
  }
  queue_.After(kConfirmEvery, [this, pod, attempt] { Confirm(pod, attempt); });
}

void Clients::Release(PodId pod) {
  Client& client = rows_[pod];
  if (proxies_.frozen(pod) || !MayConfirm(pod)) return;
  client.phase = Phase::kIdle;
  ++counts_.acknowledged;
  judge_.OnAcknowledged(client.write);
}

bool Clients::MayConfirm(PodId pod) const {
  const proxy::LeaderSnapshot& snapshot = proxies_.snapshot(pod);
  return rows_[pod].former ? snapshot.MayConfirmFormerWrites(Now()) : snapshot.MayConfirmWrites(Now());
}

void Clients::End(PodId pod, uint64_t& counter, const char* what) {
  Client& client = rows_[pod];
  ++counter;
  ++client.attempt;
  client.phase = Phase::kIdle;
  if (transcript_.on()) {
    transcript_.Add(queue_.now(), pods_[pod].ip, "client: write " + std::to_string(client.write) + " " + what);
  }
  judge_.OnClientError(pods_[pod], what, /*told=*/&counter == &counts_.unconfirmed);
}

}  // namespace hive::sim
