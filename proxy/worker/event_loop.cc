#include "proxy/worker/event_loop.h"

#include <malloc.h>

#include <utility>

#include "common/app/log.h"
#include "common/net/clock.h"

namespace hive::proxy {

EventLoop::EventLoop(WorkerOptions options, std::vector<Fd> listeners, SharedCounters& counters)
    : options_(std::move(options)),
      counters_(counters),
      transport_(poller_, options_.redis_tls.get(), nullptr),
      read_buffer_(kReadBytes + (options_.redis_tls ? Link::kLeastRead : 0)),  // behind what a lane has kept
      commands_(resp::CommandTable::BuiltIn()),
      probe_(transport_, {options_.redis_user, options_.redis_password},
             {[this] { OnMaster(); },
              [this](std::shared_ptr<const resp::CommandTable> commands) { OnCommands(std::move(commands)); },
              [this](const resp::RequestLimits& limits) { request_limits_ = limits; }}),
      script_loader_(transport_, {options_.redis_user, options_.redis_password}, [this] { Verified(); }),
      patience_(poller_,
                [this] {
                  if (acks_) acks_->ForgetFormer();
                  for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->PatienceIsOver();
                }),
      sweep_(poller_, [this] { SweepLanes(); }),
      shed_(poller_, [this] { ShedIdle(); }),
      authentication_check_(transport_, [this] { ReleaseWaiting(); }),
      memory_(options_.hold_memory),
      crowded_(poller_, [this] { OnCrowdedTick(); }),
      overdue_(poller_, [this] { EndOverdue(); }),
      tick_(poller_, [this] { TickWaiting(); }),
      release_(poller_, [this] { ReleaseSome(); }) {
  if (options_.write_acks > 0) {
    acks_ = std::make_unique<WriteAcks>(
        transport_,
        WriteAcks::Options{
            options_.write_acks, options_.write_acks_timeout, {options_.redis_user, options_.redis_password}},
        [this] { SuspectLeader(); });
  }
  poller_.SetBeforeSleep([this] { BeforeSleep(); });
  if (options_.tls) handshakes_ = std::make_unique<Handshakes>(*this, options_.tls);
  for (Fd& listener : listeners) acceptors_.push_back(std::make_unique<Acceptor>(*this, std::move(listener)));
}

EventLoop::~EventLoop() {
  for (const std::unique_ptr<Client>& client : clients_) client->Close();
  FreeRetired();
}

// ---------------------------------------------------------------------------------------------------------------------
// The leader

void EventLoop::SetLeader(LeaderSnapshot snapshot) {
  poller_.Post([this, snapshot = std::move(snapshot)] { OnLeader(snapshot); });
}

void EventLoop::OnLeader(const LeaderSnapshot& snapshot) {
  const Gates gates_before = gates();
  const bool confirmed_before = may_confirm_writes();
  if (verified_ && snapshot_.write_state == WriteState::kOpen) writable_until_ = std::min(now(), snapshot_.lease_until);
  snapshot_ = snapshot;
  confirmable_until_ = std::min(confirmable_until_, now());
  if (snapshot_.ConfirmsWrites()) confirmable_until_ = std::max(confirmable_until_, snapshot_.lease_until);
  overdue_.Start(confirmable_until_ + options_.hold_timeout);
  // Without a leader nothing is sent; but the last one may still answer what it was asked.
  if (snapshot.leader.empty()) return;

  if (!linked_.SameRedis(snapshot.leader)) {
    MoveToLeader(snapshot);
  } else if (linked_.term != snapshot.leader.term) {
    // The same redis under a new term: its links stay, but it must show that it is a master.
    linked_ = snapshot.leader;
    SuspectLeader();
    if (acks_) {
      for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->TermChanged();
    }
  }
  NoteWritable();
  const Gates gates_now = gates();
  if ((gates_now.leader && !gates_before.leader) || (gates_now.writes && !gates_before.writes) ||
      (gates_now.reads && !gates_before.reads) || (may_confirm_writes() && !confirmed_before)) {
    ReleaseWaiting();
  }
}

void EventLoop::MoveToLeader(const LeaderSnapshot& snapshot) {
  if (writable_until_ != Instant{}) switching_since_ = writable_until_;
  linked_ = snapshot.leader;
  verified_ = trusts_new_ = false;
  request_limits_ = {};  // until it has told its own
  former_last_answer_ = std::exchange(last_answer_, {});
  script_loader_.Stop();
  scripts_due_ = true;
  probe_.Start(linked_.redis, /*read_commands=*/true);
  LogInfo("leader", "commands go to a new leader",
          {{"term", linked_.term},
           {"member", linked_.ip},
           {"redis", ToString(linked_.redis)},
           {"handed_over", snapshot.handed_over}});
  if (acks_) acks_->SetLeader(linked_.redis, snapshot.handed_over);
  MoveLanes(snapshot.handed_over);
  // Clients that are closed stay in the vector until the end of the turn.
  for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->LeaderChanged(snapshot.handed_over);
  if (snapshot.handed_over) patience_.StartIn(kHandoverPatience);
}

void EventLoop::SuspectLeader() {
  verified_ = false;
  SuspectNewConnections();
}

void EventLoop::SuspectNewConnections() {
  trusts_new_ = false;
  if (script_loader_.awaited()) {
    script_loader_.Stop();
    scripts_due_ = true;
  }
  if (probe_.seeks_master() || linked_.empty()) return;
  // One that is running reads the list of commands: it has seen the master that is suspected now, and begins anew.
  probe_.Start(linked_.redis, /*read_commands=*/probe_.running());
}

void EventLoop::NoteExhausted(const absl::Status& why) {
  exhausted_at_ = now();
  if (now() < next_complaint_) return;
  next_complaint_ = now() + kComplaintInterval;
  LogWarning("leader", "commands wait for a connection: raise the limit of open files, or lower --max-clients",
             {{"why", std::string(why.message())}});
}

void EventLoop::OnCommands(std::shared_ptr<const resp::CommandTable> commands) {
  commands_ = std::move(commands);
  if (acks_) acks_->UseShardedPublish(commands_->Find("spublish") != nullptr);
}

resp::CommandFacts EventLoop::FactsOf(const resp::Request& request) const {
  resp::CommandFacts facts = commands_->Classify(request);
  if (options_.allow_admin && resp::IsLiftedForAdmins(facts.refusal)) facts.refusal = resp::Refusal::kNone;
  return facts;
}

void EventLoop::OnMaster() {
  if (std::exchange(scripts_due_, false) && scripts_.size() > 0) {
    script_loader_.Start(linked_.redis, scripts_.MakeRequests(), scripts_.size());
  } else if (!script_loader_.awaited()) {
    Verified();
  }
}

void EventLoop::Verified() {
  verified_ = trusts_new_ = true;
  NoteWritable();
  ReleaseWaiting();
}

// The end of a change of leader, if there was one.
void EventLoop::NoteWritable() {
  if (!switching_since_ || !gates().writes) return;
  tally_.leader_switches.Observe(now() - *switching_since_);
  switching_since_.reset();
}

Gates EventLoop::gates() const {
  const bool leader = verified_ && !snapshot_.leader.empty();
  return {.leader = leader,
          .writes = leader && snapshot_.MayWrite(ReadMonotonicClock()),
          .reads = leader && snapshot_.MayRead()};
}

bool EventLoop::may_confirm_writes() const { return snapshot_.MayConfirmWrites(ReadMonotonicClock()); }

bool EventLoop::may_confirm_former_writes() const { return snapshot_.MayConfirmFormerWrites(ReadMonotonicClock()); }

// ---------------------------------------------------------------------------------------------------------------------
// Clients

bool EventLoop::Admit() {
  if (counters_.clients.fetch_add(1, std::memory_order_relaxed) < options_.max_clients) return true;
  counters_.clients.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void EventLoop::TakeIn(Fd socket) {
  if (handshakes_) return handshakes_->Begin(std::move(socket));
  AddClient(Stream(std::move(socket)));
}

void EventLoop::AddClient(Stream socket) {
  auto client = std::make_unique<Client>(*this, std::move(socket));
  if (!client->Start()) return Dismiss();
  if (!shed_.running()) shed_.StartIn(kIdleBeforeShed);
  client->index = clients_.size();
  clients_.push_back(std::move(client));
  counters_.accepted.fetch_add(1, std::memory_order_relaxed);
  if (parting_ != DrainStage::kServing) clients_.back()->Part(parting_);
}

void EventLoop::ShedIdle() {
  size_t shed = 0;
  for (const std::unique_ptr<Client>& client : clients_) shed += client->ShedIfIdle(now()) ? 1 : 0;
  // What many have given back lies scattered: the allocator would keep it from the rest of the container.
  if (shed >= kManyShed) ::malloc_trim(0);
  if (!clients_.empty()) shed_.StartIn(kIdleBeforeShed);
}

void EventLoop::Part(DrainStage stage) {
  poller_.Post([this, stage] {
    parting_ = stage;
    for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->Part(stage);
    if (stage != DrainStage::kEveryone) return;
    // Who has connected by now is not reset.
    for (const std::unique_ptr<Acceptor>& acceptor : acceptors_) acceptor->AcceptSome();
    acceptors_.clear();
  });
}

void EventLoop::Tell(std::function<void(const LoopReport&)> listener) {
  poller_.Post([this, listener = std::move(listener)] { listener(Report()); });
}

LoopReport EventLoop::Report() const {
  LoopReport report;
  report.tally = tally_;
  if (acks_) report.ack_rounds = acks_->rounds();
  const bool held = holds();
  for (const std::unique_ptr<Client>& client : clients_) {
    if (client->closed()) continue;
    if (held) report.held_commands += client->unsent();
    report.own_links += client->own_links();
  }
  for (const KeyedLane& keyed : lanes_) report.lanes += keyed.lane->has_link() ? 1 : 0;
  for (const std::unique_ptr<Lane>& lane : former_lanes_) report.lanes += lane->has_link() ? 1 : 0;
  return report;
}

void EventLoop::Retire(Client* client) {
  SetWaiting(client, false);
  retired_clients_.push_back(client);
}

void EventLoop::BeforeSleep() {
  FlushLanes();
  if (memory_.overfull()) MakeRoom(/*only_who_keeps_it=*/false);
  if (memory_.crowded() && !crowded_.running()) crowded_.StartIn(kCrowdedTick);
  FreeRetired();
}

void EventLoop::OnCrowdedTick() {
  if (memory_.crowded()) return MakeRoom(/*only_who_keeps_it=*/true);
  ::malloc_trim(0);  // as in ShedIdle
}

// Closes clients until there is room again.
void EventLoop::MakeRoom(bool only_who_keeps_it) {
  std::vector<Debtor> debtors;
  for (const std::unique_ptr<Client>& client : clients_) {
    if (!client->closed() && (!only_who_keeps_it || client->KeepsMemory())) debtors.push_back(client->debtor());
  }
  SortByDebt(debtors);
  const uint64_t before = memory_.buffered();
  size_t closed = 0;
  for (; closed < debtors.size() && memory_.buffered() >= memory_.comfortable(); ++closed) {
    clients_[debtors[closed].index]->Evict();
  }
  if (closed == 0 || now() < next_memory_complaint_) return;
  next_memory_complaint_ = now() + kComplaintInterval;
  LogWarning("client", "closed: those that hold the most memory, which is short (--hold-memory)",
             {{"clients", closed}, {"bytes", before - memory_.buffered()}, {"of", before}});
}

void EventLoop::FreeRetired() {
  retired_links_.clear();
  retired_feeds_.clear();
  for (Client* client : std::exchange(retired_clients_, {})) {
    std::swap(clients_[client->index], clients_.back());
    clients_[client->index]->index = client->index;
    clients_.pop_back();
    Dismiss();
  }
  std::erase_if(former_lanes_, [](const std::unique_ptr<Lane>& lane) { return lane->riders() == 0; });
  retired_lanes_.clear();
}

// ---------------------------------------------------------------------------------------------------------------------
// Lanes

Lane* EventLoop::FindLane(const Settings& settings, const Visitor& visitor) const {
  Lane* made_since = nullptr;
  Lane* clogged = nullptr;
  size_t alike = 0;
  for (const KeyedLane& keyed : lanes_) {
    if (!keyed.key.MeansTheSame(settings)) continue;
    Lane* const lane = keyed.lane.get();
    const std::optional<bool> wants = lane->wants_authentication();
    const bool agrees =
        settings.authenticated() || (wants && visitor.welcome == (*wants ? Welcome::kStranger : Welcome::kLetIn));
    if (!agrees && !lane->IsMadeSince(visitor.since)) continue;
    ++alike;
    if (lane->clogged()) {
      clogged = lane;
    } else if (agrees) {
      return lane;
    } else {
      made_since = lane;
    }
  }
  if (made_since != nullptr) return made_since;
  // On one more, who was let in once might be a stranger.
  const bool may_add = settings.authenticated() || visitor.welcome != Welcome::kLetIn || lets_anyone_in_;
  return alike < kMostLanesAlike && may_add ? nullptr : clogged;
}

Welcome EventLoop::WelcomeOf(const Visitor& visitor) {
  if (!may_connect()) return Welcome::kNotKnown;
  const Welcome welcome = authentication_check_.WelcomeOf(visitor.since, linked_.redis);
  if (welcome == Welcome::kLetIn || welcome == Welcome::kStranger) lets_anyone_in_ = welcome == Welcome::kLetIn;
  return welcome;
}

Lane* EventLoop::LaneFor(const Settings& settings, Visitor& visitor) {
  if (Lane* lane = FindLane(settings, visitor)) return lane;
  const auto means_the_same = [&](const KeyedLane& keyed) { return keyed.key.MeansTheSame(settings); };
  // Without a lane there is nothing to ask: the connection of the one to be opened will be newer than the client.
  if (!settings.authenticated() && !visitor.known() && std::ranges::any_of(lanes_, means_the_same)) {
    visitor.welcome = WelcomeOf(visitor);
    if (!visitor.known()) return nullptr;
    if (Lane* lane = FindLane(settings, visitor)) return lane;
  }
  const Settings::Replay preamble = settings.MakeLaneReplay();
  const int descriptors_below = lanes_.size() < kLanesSetAside ? INT_MAX : options_.link_descriptors_below;
  lanes_.push_back(
      {settings.ForLane(), std::make_unique<Lane>(transport_, static_cast<Lane::Host&>(*this),
                                                  Lane::Options{.redis = linked_.redis,
                                                                .preamble = preamble.requests,
                                                                .preamble_replies = preamble.replies,
                                                                .anonymous = !settings.authenticated(),
                                                                .unacknowledged_limit = unacknowledged_limit(),
                                                                .descriptors_below = descriptors_below})});
  if (!sweep_.running()) sweep_.StartIn(kLaneLinger);
  return lanes_.back().lane.get();
}

// What the events of this turn have produced.
void EventLoop::FlushLanes() {
  if (dirty_lanes_.empty()) return;
  flush_gates_ = gates();
  // A lane that fails makes others' riders move: these come in behind.
  for (size_t i = 0; i < dirty_lanes_.size(); ++i) dirty_lanes_[i]->Flush();
  dirty_lanes_.clear();
}

// Another leader: to the one before nothing is sent any more; if it has handed over, it still answers.
void EventLoop::MoveLanes(bool handed_over) {
  for (KeyedLane& keyed : std::exchange(lanes_, {})) {
    if (handed_over && keyed.lane->has_in_flight()) {
      keyed.lane->BecomeFormer();
    } else {
      keyed.lane->Cut();
    }
    former_lanes_.push_back(std::move(keyed.lane));
  }
}

void EventLoop::SweepLanes() {
  std::erase_if(lanes_, [this](KeyedLane& keyed) {
    if (keyed.lane->riders() > 0) return false;
    retired_lanes_.push_back(std::move(keyed.lane));
    return true;
  });
  if (!lanes_.empty()) sweep_.StartIn(kLaneLinger);
}

void EventLoop::OnLaneAnswered(const Lane& lane) {
  if (lane.former()) {
    NoteFormerAnswer();
  } else {
    NoteAnswer();
  }
}

void EventLoop::OnLaneBroken(const absl::Status& why) {
  if (absl::IsResourceExhausted(why)) return NoteExhausted(why);
  SuspectNewConnections();
}

void EventLoop::SetWaiting(Client* client, bool waiting) {
  if (waiting == (client->waiting_list != nullptr)) return;
  if (!waiting) {
    client->waiting_list->erase(client->waiting_at);
    client->waiting_list = nullptr;
    return;
  }
  client->waiting_list = &waiting_;
  client->waiting_at = waiting_.insert(waiting_.end(), client);
  if (!tick_.running()) tick_.StartIn(kWaitingTick);
}

void EventLoop::TickWaiting() {
  ticked_.assign(releasing_.begin(), releasing_.end());
  ticked_.insert(ticked_.end(), waiting_.begin(), waiting_.end());
  for (Client* client : ticked_) client->OnTick(now());
  if (!waiting_.empty() || !releasing_.empty()) tick_.StartIn(kWaitingTick);
}

// What is in flight to a leader of whom nothing has been heard may never be answered, and its reply not be believed.
void EventLoop::EndOverdue() {
  for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->EndOverdue(now());
  overdue_.StartIn(kWaitingTick);
}

// Everyone who waits may go on, in the order in which they came.
void EventLoop::ReleaseWaiting() {
  for (Client* client : waiting_) client->waiting_list = &releasing_;
  releasing_.splice(releasing_.end(), waiting_);
  if (!releasing_.empty()) release_.Start(now());
}

void EventLoop::ReleaseSome() {
  for (size_t i = 0; i < kReleasedPerTurn && !releasing_.empty(); ++i) {
    Client* client = releasing_.front();
    SetWaiting(client, false);
    client->Resume();
  }
  if (!releasing_.empty()) release_.Start(now());
}

}  // namespace hive::proxy
