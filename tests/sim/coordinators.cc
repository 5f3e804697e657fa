#include "tests/sim/coordinators.h"

#include <algorithm>

#include "tests/sim/judge.h"

namespace hive::sim {

using election::Action;
using election::Event;
using std::chrono::microseconds;

namespace {

// The simulation begins at this wall-clock time.
constexpr WallMicros kWallBegin = 1'700'000'000'000'000;

// At most this many events wait at a frozen process: far beyond what a few seconds' freeze collects.
constexpr size_t kMaxInbox = 100'000;

}  // namespace

Coordinators::Coordinators(const Options& options, Pods& pods, Redises& redises, DnsModel& dns, Network& network,
                           EventQueue& queue, Random& random, Transcript& transcript, Judge& judge, PlantedBug bug,
                           BrainFactory factory)
    : options_(options),
      pods_(pods),
      redises_(redises),
      dns_(dns),
      network_(network),
      queue_(queue),
      random_(random),
      transcript_(transcript),
      judge_(judge),
      bug_(bug),
      factory_(factory) {}

void Coordinators::Log(const Coordinator& c, const std::string& what) {
  if (transcript_.on()) transcript_.Add(queue_.now(), pods_[c.pod].ip + "/" + std::to_string(c.id), what);
}

Coordinator* Coordinators::OfPod(const Pod& pod) const {
  if (!pod.alive || pod.process == kNoId || !rows_[pod.process]->alive) return nullptr;
  return rows_[pod.process].get();
}

ProcessId Coordinators::Start(PodId pod_id) {
  Pod& pod = pods_[pod_id];
  auto c = std::make_unique<Coordinator>();
  c->id = static_cast<ProcessId>(rows_.size());
  c->pod = pod_id;
  c->identity = {pod.ip, random_.Next() | 1};
  c->alive = true;
  c->started = c->last_step = queue_.now();
  c->clock_origin = Seconds(random_.Between(1, 1'000'000));
  c->clock_ppm = random_.Between(-options_.clock_ppm, options_.clock_ppm);
  election::Config config;
  config.hive = pod.hive;
  config.self = c->identity;
  config.coordinator = pod.coordinator_endpoint();
  config.redis = pod.redis_endpoint();
  config.seed = random_.Next();
  config.beat_interval = options_.beat_interval;
  config.leader_timeout = options_.leader_timeout;
  config.election_window = options_.election_window;
  config.redis_timeout = options_.redis_timeout;
  config.bootstrap_settle = options_.bootstrap_settle;
  config.empty_wait = options_.empty_wait;
  config.dial_window = options_.dial_window;
  config.doubt_timeout = options_.doubt_timeout;
  config.handover_timeout = options_.handover_timeout;
  config.takeover_timeout = options_.takeover_timeout;
  config.priority = (options_.priority0 >> pod.slot & 1u) != 0 ? 0 : 100;
  config.min_followers = pod.foreign() ? 0 : options_.min_followers;
  config.defer_to_fresher = options_.defer_to_fresher;
  if (options_.state_dir) config.memory = pod.remembered;
  MutateConfig(bug_, config);
  c->brain = factory_(config);
  const ProcessId id = c->id;
  pod.process = id;
  rows_.push_back(std::move(c));
  Log(at(id), "coordinator starts");
  judge_.OnStart(at(id));
  queue_.After(microseconds(random_.Between(100, 3000)), [this, id] { AgentConnect(id); });
  queue_.After(options_.beat_interval, [this, id] { AgentPoll(id); });
  queue_.After(microseconds(random_.Between(500, 5000)), [this, id] { Resolve(id, true); });
  TickLater(at(id));
  return id;
}

void Coordinators::Kill(ProcessId id, bool silently) {
  Coordinator& c = at(id);
  if (!c.alive) return;
  Log(c, silently ? "coordinator vanishes" : "coordinator is killed");
  c.alive = false;
  c.frozen = false;
  c.inbox.clear();
  DropCallsTo(c, silently);
  c.calls.clear();
  for (const uint32_t row : c.streams) {
    const int end = streams_[row].ends[0].process == id ? 0 : 1;
    if (!streams_[row].ends[end].open) continue;
    if (silently) {
      streams_[row].ends[end].open = false;
      streams_[row].vanished = true;
    } else {
      CloseFrom(row, end);
    }
  }
  c.brain.reset();
  judge_.OnKill(c);
  if (!silently && on_closed) on_closed(c);
}

void Coordinators::AskLeave(ProcessId id) {
  Coordinator& c = at(id);
  if (!c.alive || c.leaving) return;
  c.leaving = true;
  judge_.OnLeaveAsked(c);
  Deliver(id, election::LeaveAsked{});
}

void Coordinators::AskHandover(ProcessId id, const std::string& to) {
  Coordinator& c = at(id);
  if (!c.alive) return;
  const election::RequestId request = ++c.last_request;
  c.handovers[request] = queue_.now();
  Deliver(id, election::HandoverAsked{request, to});
}

void Coordinators::ForceLead(ProcessId id) {
  for (const bool force : {false, true}) {
    if (!at(id).alive) return;
    const election::RequestId request = ++at(id).last_request;
    at(id).leads[request] = queue_.now();
    Deliver(id, election::LeadAsked{request, force});
  }
}

void Coordinators::Thaw(ProcessId id) {
  Coordinator& c = at(id);
  if (!c.alive || !c.frozen) return;
  c.frozen = false;
  Log(c, "wakes, " + std::to_string(c.inbox.size()) + " events waiting");
  // The real loop may see its timer first or its inbox first.
  if (random_.Percent(50)) Step(c, election::Tick{});
  std::vector<Event> waiting = std::move(c.inbox);
  c.inbox.clear();
  for (Event& event : waiting) {
    if (c.alive) Step(c, std::move(event));
  }
}

void Coordinators::NetworkChanged() {
  for (auto& c : rows_) {
    if (c->alive) BreakCallsAcrossResets(*c);
  }
  for (uint32_t row = 0; row < streams_.size(); ++row) {
    if (!streams_[row].done()) StreamsChanged(row);
  }
}

void Coordinators::Deliver(ProcessId id, Event event) {
  Coordinator& c = at(id);
  if (!c.alive) return;
  if (c.frozen) {
    if (c.inbox.size() < kMaxInbox) c.inbox.push_back(std::move(event));
    return;
  }
  Step(c, std::move(event));
}

void Coordinators::Step(Coordinator& c, Event event) {
  election::Config config;
  if (bug_ != PlantedBug::kNone) {
    config.self = c.identity;
    config.redis = pods_[c.pod].redis_endpoint();
    config.coordinator = pods_[c.pod].coordinator_endpoint();
    config.hive = pods_[c.pod].hive;
    MutateEvent(bug_, config, c.planted, event);
  }
  const Instant local = c.Local(queue_.now());
  const WallMicros wall =
      kWallBegin + std::chrono::duration_cast<microseconds>(queue_.now()).count() + pods_[c.pod].skew;
  const bool tick = std::holds_alternative<election::Tick>(event);
  if (transcript_.on() && !tick) Log(c, "<- " + election::ToString(event));
  election::Actions actions = c.brain->Step(local, wall, event);
  if (bug_ != PlantedBug::kNone) MutateActions(bug_, config, local, event, c.planted, actions);
  c.last_step = queue_.now();
  ++steps_;
  if (!tick || !actions.empty()) {
    c.state = c.brain->state(local);
    MutateState(bug_, c.state);
  }
  judge_.OnStep(c, event, actions);
  for (Action& action : actions) {
    if (transcript_.on()) Log(c, "   -> " + election::ToString(action));
    Carry(c, action);
  }
  if (c.alive) TickLater(c);
}

void Coordinators::Carry(Coordinator& c, Action& action) {
  if (auto* send = std::get_if<election::SendRequest>(&action)) {
    SendCall(c, *send);
  } else if (auto* reply = std::get_if<election::SendReply>(&action)) {
    SendAnswer(c, *reply);
  } else if (auto* dial = std::get_if<election::Dial>(&action)) {
    DialOut(c, *dial);
  } else if (auto* open = std::get_if<election::OpenFollow>(&action)) {
    OpenStream(c, *open);
  } else if (auto* report = std::get_if<election::SendReport>(&action)) {
    Transmit(c, report->id, election::ReportReceived{0, std::move(report->report)});
  } else if (auto* beat = std::get_if<election::SendBeat>(&action)) {
    Transmit(c, beat->id, election::BeatReceived{0, std::move(beat->beat)});
  } else if (auto* close = std::get_if<election::CloseStream>(&action)) {
    const auto [row, end] = FindStream(c, close->id);
    if (row != kNoId) CloseFrom(row, end);
  } else if (auto* command = std::get_if<election::CommandRedis>(&action)) {
    Command(c, *command);
  } else if (auto* probe = std::get_if<election::ProbeRedis>(&action)) {
    Probe(c, *probe);
  } else if (auto* demote = std::get_if<election::DemoteOrphan>(&action)) {
    Demote(c, *demote);
  } else if (auto* remote = std::get_if<election::CommandRemote>(&action)) {
    CommandOther(c, *remote);
  } else if (auto* answer = std::get_if<election::AnswerHandover>(&action)) {
    c.handovers.erase(answer->id);
  } else if (auto* lead = std::get_if<election::AnswerLead>(&action)) {
    c.leads.erase(lead->id);
  } else if (std::holds_alternative<election::Left>(action)) {
    if (c.leaving && !c.has_left && on_left) {
      c.has_left = true;
      // The loop ends after what was decided has been carried out; sockets get their bytes out first.
      queue_.After(microseconds(random_.Between(200, 3000)), [this, id = c.id] {
        if (at(id).alive) on_left(at(id));
      });
    }
  } else if (std::holds_alternative<election::ResolveNow>(action)) {
    Resolve(c.id, false);
  } else if (auto* publish = std::get_if<election::PublishLeader>(&action)) {
    c.view = std::move(publish->view);
    c.view_at = queue_.now();
    if (on_publish) on_publish(c);
  } else if (auto* remember = std::get_if<election::Remember>(&action)) {
    pods_[c.pod].remembered = std::move(remember->memory);
  }
}

// As in the runtime, each step puts the next tick off. One wait at a time is in the queue; it goes on waiting if it
// ends too early, and is overtaken if it would end too late.
void Coordinators::TickLater(Coordinator& c) {
  c.tick_due = queue_.now() + c.brain->TickInterval() + Duration(microseconds(random_.Between(0, 1000)));
  if (c.tick_waits && *c.tick_waits <= c.tick_due) return;
  WaitForTick(c);
}

void Coordinators::WaitForTick(Coordinator& c) {
  c.tick_waits = c.tick_due;
  queue_.At(c.tick_due, [this, id = c.id, until = c.tick_due] {
    Coordinator& late = at(id);
    if (!late.alive || late.tick_waits != until) return;
    late.tick_waits.reset();
    if (queue_.now() < late.tick_due) return WaitForTick(late);
    if (late.frozen) return TickLater(late);
    Step(late, election::Tick{});
  });
}

// A question to DNS: at once, and (`repeat`) every dns_interval from then on.
void Coordinators::Resolve(ProcessId id, bool repeat) {
  Coordinator& c = at(id);
  if (!c.alive) return;
  if (repeat) queue_.After(options_.dns_interval, [this, id] { Resolve(id, true); });
  if (c.resolving || c.frozen) return;
  c.resolving = true;
  const bool fails = dns_.failing();
  const bool no_name = dns_.says_no_such_name();
  const Duration takes = fails && !no_name ? Seconds(1) : Duration(microseconds(random_.Between(200, 10'000)));
  queue_.After(takes, [this, id, fails, no_name] {
    Coordinator& late = at(id);
    late.resolving = false;
    if (fails) {
      Deliver(id, election::PeersUnlisted{no_name, no_name ? "no such name" : "no answer"});
      return;
    }
    std::vector<Endpoint> answer;
    if (pods_[late.pod].foreign()) {
      answer.push_back(pods_[late.pod].coordinator_endpoint());
    } else {
      answer = dns_.Answer(pods_[late.pod].slot, kCoordinatorPort);
    }
    if (answer.empty()) {
      Deliver(id, election::PeersUnlisted{true, "no such name"});
    } else {
      Deliver(id, election::PeersListed{std::move(answer)});
    }
  });
}

}  // namespace hive::sim
