#include "tests/sim/proxies.h"

#include <algorithm>

namespace hive::sim {

using std::chrono::microseconds;

namespace {

// A watched coordinator that says nothing for this share of leader_timeout is left for another.
constexpr int kPatiencePercent = 45;
constexpr Duration kTryOwnEvery = Seconds(1);
// Between a member that could not be reached and the next one: kNextOtherDelay of proxy/leader/watch_client.h.
constexpr Duration kNextOtherDelay = Millis(20);

proxy::WriteState StateOf(election::WriteState state) {
  switch (state) {
    case election::WriteState::kOpen:
      return proxy::WriteState::kOpen;
    case election::WriteState::kHold:
      return proxy::WriteState::kHold;
    case election::WriteState::kFenced:
      return proxy::WriteState::kFenced;
    case election::WriteState::kNoLeader:
      break;
  }
  return proxy::WriteState::kNoLeader;
}

Duration LeaseLength(const Options& options) { return options.leader_timeout * 7 / 10; }

}  // namespace

Proxies::Proxies(const Options& options, const Pods& pods, Coordinators& coordinators, Network& network,
                 EventQueue& queue, Random& random, PlantedBug bug)
    : options_(options),
      pods_(pods),
      coordinators_(coordinators),
      network_(network),
      queue_(queue),
      random_(random),
      bug_(bug) {
  coordinators_.on_publish = [this](const Coordinator& c) { Published(c); };
  coordinators_.on_closed = [this](const Coordinator& c) { Closed(c); };
}

void Proxies::Start(PodId pod) {
  if (rows_.size() <= pod) rows_.resize(pod + 1);
  if (rows_[pod].running) return;
  rows_[pod].running = true;
  queue_.After(Millis(random_.Between(1, 100)), [this, pod] { Turn(pod); });
}

void Proxies::Thaw(PodId pod) {
  Proxy& p = rows_[pod];
  p.frozen = false;
  std::vector<Answer> waiting = std::move(p.waiting);
  p.waiting.clear();
  for (const Answer& answer : waiting) Hear(pod, answer);
}

void Proxies::Turn(PodId pod) {
  if (!pods_[pod].alive) return;
  queue_.After(options_.beat_interval, [this, pod] { Turn(pod); });
  Proxy& p = rows_[pod];
  if (p.frozen) return;
  const Coordinator* own = coordinators_.OfPod(pods_[pod]);
  if (own != nullptr && p.watched != own->id && queue_.now() >= p.try_own) {
    p.try_own = queue_.now() + kTryOwnEvery;
    if (!own->frozen) p.watched = kNoId;
  }
  const bool mute = queue_.now() - p.heard > options_.leader_timeout * kPatiencePercent / 100;
  if (p.watched == kNoId) {
    Watch(pod);
  } else if (!coordinators_.at(p.watched).alive || mute) {
    WatchNext(pod);
  }
  AskOrTryNext(pod);
}

void Proxies::Watch(PodId pod) {
  Proxy& p = rows_[pod];
  ++p.watch;
  p.echo = 0;
  p.questions = proxy::SentTimes();
  p.heard = queue_.now();
  const Coordinator* own = coordinators_.OfPod(pods_[pod]);
  if (own == nullptr) return WatchNext(pod);
  p.watched = own->id;
}

void Proxies::WatchNext(PodId pod) {
  Proxy& p = rows_[pod];
  ++p.watch;
  p.echo = 0;
  p.questions = proxy::SentTimes();
  p.heard = queue_.now();
  p.try_own = queue_.now() + kTryOwnEvery;
  p.watched = kNoId;
  const std::vector<Endpoint>& known = p.view.coordinators();
  if (known.empty()) return;
  const Endpoint& target = known[p.next_fallback++ % known.size()];
  const Passage passage = network_.Send(pods_[pod], target.ip, Port::kCoordinator, true);
  if (passage.fate != Fate::kArrives) return;
  const Coordinator* c = coordinators_.OfPod(pods_[passage.to]);
  if (c != nullptr) p.watched = c->id;
}

// A watch stream has been closed: another member is asked at once.
void Proxies::Closed(const Coordinator& c) {
  for (PodId pod = 0; pod < rows_.size(); ++pod) {
    if (rows_[pod].watched != c.id || !pods_[pod].alive) continue;
    if (network_.Between(pods_[c.pod], pods_[pod], Port::kCoordinator) != Cut::kNone) continue;
    const Duration notice = network_.Latency(pods_[c.pod], pods_[pod]);
    queue_.After(notice, [this, pod, watch = rows_[pod].watch] { Failover(pod, watch); });
  }
}

void Proxies::Failover(PodId pod, uint64_t watch) {
  Proxy& p = rows_[pod];
  if (!pods_[pod].alive || p.frozen || p.watch != watch) return;
  WatchNext(pod);
  AskOrTryNext(pod);
}

void Proxies::AskOrTryNext(PodId pod) {
  const Proxy& p = rows_[pod];
  if (p.watched != kNoId) return Ask(pod);
  queue_.After(kNextOtherDelay, [this, pod, next = p.watch] { Failover(pod, next); });
}

// A numbered question; the answer is the watched coordinator's next publication.
void Proxies::Ask(PodId pod) {
  Proxy& p = rows_[pod];
  const uint64_t number = p.questions.Next(Now());
  const uint64_t watch = p.watch;
  const Coordinator& c = coordinators_.at(p.watched);
  const Passage passage = network_.Send(pods_[pod], pods_[c.pod].ip, Port::kCoordinator, false);
  if (passage.fate != Fate::kArrives) return;
  queue_.After(passage.delay, [this, pod, number, watch] {
    Proxy& late = rows_[pod];
    if (late.watch != watch || late.watched == kNoId) return;
    const bool first = late.echo == 0;
    if (number > late.echo) {
      late.echo = number;
      late.arrived = queue_.now();
    }
    const Coordinator& watched = coordinators_.at(late.watched);
    if (first && watched.alive && !watched.frozen) Tell(pod, watched);
  });
}

void Proxies::Published(const Coordinator& c) {
  for (PodId pod = 0; pod < rows_.size(); ++pod) {
    if (rows_[pod].watched == c.id && rows_[pod].echo > 0 && pods_[pod].alive) Tell(pod, c);
  }
}

void Proxies::Tell(PodId pod, const Coordinator& c) {
  Passage passage = network_.Send(pods_[c.pod], pods_[pod].ip, Port::kCoordinator, false);
  if (passage.fate != Fate::kArrives) {
    if (network_.Between(pods_[c.pod], pods_[pod], Port::kCoordinator) != Cut::kNone) return;
    passage.delay += Millis(200);  // lost, and sent again
  }
  Answer answer;
  answer.watch = rows_[pod].watch;
  answer.echoed = rows_[pod].echo;
  answer.answer.held = queue_.now() - rows_[pod].arrived;
  answer.own = pods_[pod].process == c.id;
  answer.answer.hive = pods_[c.pod].hive;
  if (!c.view.claim.empty()) {
    const election::Claim& claim = c.view.claim;
    answer.answer.leader = {claim.term, claim.leader.ip, claim.leader.incarnation, claim.redis};
    answer.answer.write_state = StateOf(c.view.write_state);
    answer.answer.handed_over_by = c.view.handed_over_by;
    answer.answer.claim_age = std::max(c.Local(queue_.now()) - c.view.heard, Duration{0});
  }
  answer.answer.lease = LeaseLength(options_);
  answer.answer.coordinators = c.view.coordinators;
  SimTime& arrival = rows_[pod].next_arrival;  // a stream keeps its order
  arrival = std::max(arrival + microseconds(1), queue_.now() + passage.delay);
  queue_.At(arrival, [this, pod, answer = std::move(answer)]() mutable {
    Proxy& p = rows_[pod];
    if (p.frozen) {
      p.waiting.push_back(std::move(answer));
    } else {
      Hear(pod, answer);
    }
  });
}

void Proxies::Hear(PodId pod, const Answer& heard) {
  Proxy& p = rows_[pod];
  if (!pods_[pod].alive || heard.watch != p.watch) return;
  p.heard = queue_.now();
  proxy::WatchAnswer answer = heard.answer;
  answer.asked = p.questions.At(heard.echoed);
  if (bug_ == PlantedBug::kLeaseFromReceipt) answer.asked = Now();
  p.view.Heard(Now(), heard.own, answer);
  if (on_view) on_view(pod);
}

}  // namespace hive::sim
