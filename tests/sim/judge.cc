#include "tests/sim/judge.h"

#include <algorithm>

namespace hive::sim {

using namespace election;  // NOLINT: the whole file speaks of its messages

namespace {

// Word of a restarted redis needs time: until then a follower may still point at what was a leader with data.
Duration Grace(const Options& options) { return options.leader_timeout + options.redis_timeout; }

// Ages are counted by coordinators that crash, restart and hand over; the judge's own count differs a little.
constexpr Duration kAgeSlack = Seconds(3);

// What a member may send in one second: beats, reports, and elections among everyone, several times over.
int MaxSentPerSecond(const Options& options) { return 200 + 80 * std::max(options.members, 2); }
constexpr size_t kMaxActionsPerStep = 500;

}  // namespace

std::string Judge::Who(const Watched& w) const { return pods_[w.c->pod].ip + "/" + std::to_string(w.c->id); }

void Judge::Object(std::string rule, std::string text) {
  if (violation_) return;
  violation_ = Violation{queue_.now(), std::move(rule), std::move(text)};
}

void Judge::OnStart(const Coordinator& c) {
  if (pods_[c.pod].foreign()) return;
  watched_[c.id].c = &c;
  partition_.reset();  // a newcomer may turn the scales
}

void Judge::OnLeaveAsked(const Coordinator& c) {
  if (watched_.contains(c.id)) watched_[c.id].leave_asked = queue_.now();
}

void Judge::OnKill(const Coordinator& c) {
  watched_.erase(c.id);
  age_counted_.erase(c.id);
}

void Judge::OnStep(const Coordinator& c, const Event& event, const Actions& actions) {
  if (violation_ || pods_[c.pod].foreign()) return;
  Watched& w = watched_[c.id];
  Learn(w, event);
  CheckLeaving(w);
  CheckState(w, event);
  CheckTraffic(w, actions);
  for (const Action& action : actions) {
    CheckAction(w, action);
    Learn(w, action);
  }
  if (w.follows.size() > 1)
    Object("promise 3", Who(w) + " follows " + std::to_string(w.follows.size()) + " leaders at once");
}

// --------------------------------------------------------------------------------------------------- state

void Judge::CheckState(Watched& w, const Event& event) {
  const Coordinator& c = *w.c;
  if (c.state.term < w.term) {
    Object("sanity", Who(w) + ": its term fell from " + std::to_string(w.term) + " to " + std::to_string(c.state.term));
  }
  w.term = c.state.term;
  CheckBelief(w, event);
  const Role role = c.state.role;
  const bool fenced = role == Role::kLeading && c.state.view.write_state == WriteState::kFenced;
  if (fenced && !w.fenced) ++fences_;
  w.fenced = fenced;
  if (role == Role::kElecting && w.role != Role::kElecting) ++elections_;
  if (role == Role::kLeading && w.role != Role::kLeading) {
    w.opened = queue_.now();
    const Redis* redis = redises_.OfPod(pods_[c.pod]);
    const bool ought = redis != nullptr && !redis->stopped && queue_.now() - redis->started > Millis(200);
    if (ought && !redis->master) Object("sanity", Who(w) + " leads, but its redis is not a master");
  }
  w.role = role;
  if (role == Role::kLeading) {
    CountAge(c);
    const Claim& claim = c.state.view.claim;
    for (Assertion& known : assertions_) {
      if (known.term == claim.term && known.leader == claim.leader) {
        known.at = queue_.now();
        return;
      }
    }
    assertions_.push_back({claim.term, claim.leader, queue_.now()});
  } else {
    age_counted_.erase(c.id);
  }
}

void Judge::CountAge(const Coordinator& c) {
  const auto [counted, first] = age_counted_.try_emplace(c.id, queue_.now());
  const Redis* redis = redises_.OfPod(pods_[c.pod]);
  if (redis != nullptr && redis->content.root != 0) {
    // Data that a redis has loaded by itself is as old as that redis when it is first led.
    const auto age = age_.try_emplace(redis->content.root, queue_.now() - redis->data_since).first;
    age->second += queue_.now() - counted->second;
  }
  counted->second = queue_.now();
}

void Judge::CheckBelief(Watched& w, const Event& event) {
  const Claim& now = w.c->state.view.claim;
  const Claim before = w.claim;
  w.claim = now;
  if (before.empty() || now.empty() || now == before || Beats(now, before)) return;
  // Lost or yielded in this very step.
  const auto* beat = std::get_if<BeatReceived>(&event);
  const bool given_up =
      beat != nullptr && beat->beat.state != LeaderState::kOpen && beat->beat.claim.leader == before.leader;
  const bool lost = std::holds_alternative<StreamClosed>(event) || std::holds_alternative<Dialled>(event) ||
                    std::holds_alternative<Tick>(event) || std::holds_alternative<CallFailed>(event);
  if (given_up || lost) return;
  Object("promise 3",
         Who(w) + " went over from " + ToString(before) + " to " + ToString(now) + ", which does not beat it");
}

void Judge::CheckTraffic(Watched& w, const Actions& actions) {
  if (actions.size() > kMaxActionsPerStep)
    Object("sanity", Who(w) + ": " + std::to_string(actions.size()) + " actions in one step");
  if (queue_.now() - w.second_began >= Seconds(1)) {
    w.second_began = queue_.now();
    w.sent = 0;
  }
  for (const Action& action : actions) {
    const bool local = std::holds_alternative<PublishLeader>(action) || std::holds_alternative<Remember>(action) ||
                       std::holds_alternative<Note>(action);
    if (!local) ++w.sent;
    const auto* reply = std::get_if<SendReply>(&action);
    if (reply != nullptr && !w.c->asked.contains(reply->id)) {
      Object("sanity", Who(w) + " answered request " + std::to_string(reply->id) + ", which nobody asked, or twice");
    }
  }
  if (w.sent > MaxSentPerSecond(options_)) {
    Object("sanity", Who(w) + ": a storm, " + std::to_string(w.sent) + " messages within a second");
  }
}

// -------------------------------------------------------------------------------------------------- actions

void Judge::CheckAction(Watched& w, const Action& action) {
  const Redis* redis = redises_.OfPod(pods_[w.c->pod]);
  if (const auto* command = std::get_if<CommandRedis>(&action)) {
    if (command->command.kind == RedisCommand::Kind::kPromote) CheckPromotion(w);
    if (command->command.kind == RedisCommand::Kind::kReplicate) {
      const Endpoint& master = command->command.master;
      if (master != w.c->state.view.claim.redis) {
        Object("promise 3", Who(w) + " points its redis at " + ToString(master) + ", but believes in " +
                                ToString(w.c->state.view.claim));
      }
      CheckReplicate(w, redis, master);
    }
  } else if (const auto* demote = std::get_if<DemoteOrphan>(&action)) {
    const Pod* pod = pods_.At(demote->redis.ip);
    if (w.c->state.role != Role::kLeading) Object("promise 3", Who(w) + " demotes another's redis without leading");
    CheckReplicate(w, pod == nullptr ? nullptr : redises_.OfPod(*pod), demote->master);
  } else if (const auto* remote = std::get_if<CommandRemote>(&action)) {
    CheckRemote(w, *remote);
    const Pod* pod = pods_.At(remote->redis.ip);
    if (remote->command.kind == RedisCommand::Kind::kReplicate && pod != nullptr)
      CheckReplicate(w, redises_.OfPod(*pod), remote->command.master);
  } else if (const auto* reply = std::get_if<SendReply>(&action)) {
    const auto* take = std::get_if<TakeOverReply>(&reply->reply);
    if (take != nullptr && take->accepted) ++handovers_;
  } else if (const auto* lead = std::get_if<AnswerLead>(&action)) {
    CheckForced(w, *lead);
  }
}

void Judge::CheckPromotion(const Watched& w) {
  const Redis* redis = redises_.OfPod(pods_[w.c->pod]);
  if (redis == nullptr || redis->master || redis->id != w.c->agent_run) return;  // it will not be carried out
  if (redis->empty()) {
    CheckEmptyPromotion(w);
  } else if (options_.defer_to_fresher && options_.state_dir) {
    // Coordinators that forget cannot tell which of two holds more of the same dataset.
    CheckBehind(w, *redis);
  }
}

void Judge::CheckEmptyPromotion(const Watched& w) {
  for (const Endpoint& listed : w.listed) {
    const Pod* pod = pods_.At(listed.ip);
    if (pod == nullptr || pod->id == w.c->pod || pod->foreign()) continue;
    const Redis* other = redises_.OfPod(*pod);
    if (other == nullptr || !other->has_data()) continue;
    if (queue_.now() - other->data_since < options_.leader_timeout + options_.election_window) continue;
    if (ProvedGone(w, listed.ip)) continue;
    const auto contact = w.contacts.find(listed.ip);
    const SimTime silent_since =
        std::max(w.c->started, contact == w.contacts.end() ? SimTime{-1} : contact->second.heard);
    if (queue_.now() - silent_since >= options_.empty_wait && w.warned) continue;
    // Whom a person gives up is said, and judged, in CheckForced.
    const bool given_up = w.told.contains(listed.ip) || queue_.now() - silent_since >= options_.leader_timeout;
    if (w.forced && given_up) continue;
    Object("promise 1", Who(w) + " promotes its empty redis, but " + listed.ip +
                            " is listed, not proved gone, and has " + std::to_string(other->content.log.size()) +
                            " keys");
  }
}

void Judge::CheckBehind(const Watched& w, const Redis& redis) {
  const SimTime now = queue_.now();
  const Duration calm = options_.leader_timeout * 2;
  for (const auto& [id, other] : watched_) {
    if (id == w.c->id || other.c->frozen || now - other.c->started < calm) continue;
    const Pod& pod = pods_[other.c->pod];
    const Redis* fresher = redises_.OfPod(pod);
    if (fresher == nullptr || fresher->stopped || fresher->busy_until + calm > now || now - fresher->started < calm)
      continue;
    if (!other.c->state.standing.available) continue;  // it has not heard from its redis since that was stopped
    if (!fresher->content.Extends(redis.content) || fresher->link == Redis::Link::kSyncing) continue;
    const auto contact = w.contacts.find(pod.ip);
    const bool heard = contact != w.contacts.end() && now - contact->second.heard < options_.election_window;
    if (!heard || now - network_.DisturbedAt(pods_[w.c->pod], pod) < options_.leader_timeout) continue;
    Object("promise 5", Who(w) + " is promoted with " + std::to_string(redis.content.log.size()) + " writes behind " +
                            pod.ip + ", which it can reach and which has " +
                            std::to_string(fresher->content.log.size()));
  }
}

void Judge::CheckReplicate(const Watched& w, const Redis* redis, const Endpoint& master) {
  if (redis == nullptr || !redis->has_data()) return;
  const Pod* pod = pods_.At(master.ip);
  if (pod == nullptr) return;
  if (pod->id == redis->pod) {
    Object("promise 1", Who(w) + ": a redis is told to replicate itself");
    return;
  }
  const Redis* target = redises_.OfPod(*pod);
  if (target == nullptr || target->has_data()) return;
  const bool known =
      queue_.now() - target->started > Grace(options_) && queue_.now() - redis->data_since > Grace(options_);
  if (!known) return;
  Object("promise 1", Who(w) + ": a redis with " + std::to_string(redis->content.log.size()) +
                          " keys is told to replicate " + ToString(master) + ", which has none");
}

// ------------------------------------------------------------------------------------------- the data, the lease

void Judge::OnReplace(const Redis& replica, const Redis& source, const Content& incoming) {
  if (violation_) return;
  if (pods_[replica.pod].foreign()) {
    if (!pods_[source.pod].foreign())
      Object("promise 1", "another hive's data, at " + pods_[replica.pod].ip + ", is replaced by this one's");
    return;
  }
  replaced_.push_back({queue_.now(), replica.id, source.id});
  if (!replica.has_data()) return;
  if (pods_[source.pod].foreign()) return CheckForeign(replica);
  CheckDiscard(replica, source, incoming);
  const std::string what = pods_[replica.pod].ip + "'s " + std::to_string(replica.content.log.size()) +
                           " keys are replaced by " + std::to_string(incoming.log.size()) + " of " +
                           pods_[source.pod].ip;
  // What a member holds beyond another of the same dataset may be lost: replication's lag, or the losing side's writes.
  // (Who may be promoted at all is judged where it happens.)
  if (replica.content.root == incoming.root) return;
  if (incoming.log.empty()) {
    Object("promise 1", "dataset wiped: " + what);
    return;
  }
  // It got that behind its coordinator's back, from a master it had been told to replicate before, which still has it.
  const auto owner = watched_.find(pods_[replica.pod].process);
  if (owner != watched_.end() && owner->second.keys_known == 0) return;
  // A coordinator that restarts without memory cannot know how old its dataset is.
  if (!options_.state_dir) return;
  if (age_[replica.content.root] > age_[incoming.root] + kAgeSlack) {
    Object("promise 1", "an older dataset (led " + std::to_string(ToMillis(age_[replica.content.root])) +
                            " ms) gives way to a younger (" + std::to_string(ToMillis(age_[incoming.root])) +
                            " ms): " + what);
  }
}

// Data of another hive replaces nothing. Only a redis that nobody looks after, or that answers -BUSY, dials whoever has
// an old leader's IP.
void Judge::CheckForeign(const Redis& replica) {
  const auto owner = watched_.find(pods_[replica.pod].process);
  if (owner == watched_.end()) return;
  const Coordinator& c = *owner->second.c;
  const Duration settled = options_.leader_timeout * 3;
  // Nobody can point a redis elsewhere while it runs a script, and it dials once more when its link breaks.
  const bool was_busy = replica.busy_until > SimTime{0};
  if (was_busy && replica.busy_until + options_.sync_high + Seconds(1) > queue_.now()) return;
  const bool looked_after = !c.frozen && queue_.now() - c.started > settled &&
                            queue_.now() - owner->second.slept_at.value_or(SimTime{0}) > settled;
  if (looked_after) {
    Object("promise 1",
           Who(owner->second) + "'s redis takes the data of another hive, which has the IP of a former leader");
  }
}

void Judge::OnProxyWrites(const Pod& pod, const proxy::Leadership& leader, WriteId write) {
  if (sent_.size() <= write) sent_.resize(write + 1);
  sent_[write] = queue_.now();
  const Duration lease = options_.leader_timeout * 7 / 10;
  for (const Assertion& known : assertions_) {
    if (known.term != leader.term || known.leader.ip != leader.ip || known.leader.incarnation != leader.incarnation)
      continue;
    if (queue_.now() - known.at <= lease) return;
    Object("promise 2", pod.ip + "'s proxy writes to " + ToString(leader.redis) +
                            " on a claim that its leader last stood by " +
                            std::to_string(ToMillis(queue_.now() - known.at)) + " ms ago");
    return;
  }
  Object("promise 2", pod.ip + "'s proxy writes to " + ToString(leader.redis) + ", which never led in term " +
                          std::to_string(leader.term));
}

// ------------------------------------------------------------------------------------------------- liveness

void Judge::OnHeal() {
  healed_ = queue_.now();
  for (const Pod& pod : pods_.rows()) {
    const Redis* redis = redises_.OfPod(pod);
    if (redis != nullptr && redis->has_data() && !pod.foreign()) data_at_heal_ = true;
  }
}

bool Judge::HasPriority0(const Watched& w) const { return (options_.priority0 >> pods_[w.c->pod].slot & 1u) != 0; }

std::optional<std::string> Judge::NotConverged() const {
  const Watched* leader = nullptr;
  for (const auto& [id, w] : watched_) {
    if (w.c->state.role != Role::kLeading) continue;
    if (leader != nullptr) return Who(*leader) + " and " + Who(w) + " both lead";
    leader = &w;
  }
  if (leader == nullptr) {
    // Members of priority 0 begin no dataset.
    const bool nobody_may = !watched_.empty() && std::all_of(watched_.begin(), watched_.end(), [&](const auto& entry) {
      const Redis* redis = redises_.OfPod(pods_[entry.second.c->pod]);
      return HasPriority0(entry.second) && redis != nullptr && redis->empty();
    });
    if (nobody_may) return std::nullopt;
    std::string why = "nobody leads";
    for (const auto& [id, w] : watched_) {
      why += "; " + Who(w) + " is " + Name(w.c->state.role) + ": " + w.c->state.waiting_for;
    }
    return why;
  }
  const Redis* master = redises_.OfPod(pods_[leader->c->pod]);
  if (master == nullptr || !master->master) return Who(*leader) + " leads without a master";
  const bool too_few = static_cast<int>(watched_.size()) <= options_.min_followers && options_.expect.fencing;
  if (leader->c->view.write_state != (too_few ? WriteState::kFenced : WriteState::kOpen))
    return Who(*leader) + " leads, but writes are " + Name(leader->c->view.write_state);
  if (options_.expect.priority && HasPriority0(*leader)) {
    for (const auto& [id, w] : watched_) {
      if (!HasPriority0(w)) return Who(*leader) + " has priority 0 and leads, though " + Who(w) + " could";
    }
  }
  for (const auto& [id, w] : watched_) {
    if (&w == leader) continue;
    if (w.c->state.role != Role::kFollowing) return Who(w) + " is " + Name(w.c->state.role);
    if (w.c->view.claim != leader->c->view.claim) {
      return Who(w) + " believes in " + ToString(w.c->view.claim) + ", not in " + ToString(leader->c->view.claim);
    }
    const Redis* redis = redises_.OfPod(pods_[w.c->pod]);
    if (redis == nullptr || redis->link != Redis::Link::kUp || redis->source != master->id) {
      return Who(w) + "'s redis does not replicate the leader's";
    }
  }
  return std::nullopt;
}

void Judge::OnConverged() {
  for (const auto& [id, w] : watched_) {
    moving_ |= !w.c->handovers.empty();
    if (w.c->state.role != Role::kLeading) continue;
    converged_ = w.c->view.claim;
    const Redis* master = redises_.OfPod(pods_[w.c->pod]);
    if (data_at_heal_ && !master->has_data()) Object("promise 1", "there was data at the heal; the leader has none");
    std::map<RedisId, int> resyncs;
    for (const Replacement& replaced : replaced_) {
      if (replaced.source != master->id || replaced.at < std::max(w.opened, *healed_)) continue;
      if (++resyncs[replaced.replica] > 1) {
        Object("promise 4", pods_[redises_.at(replaced.replica).pod].ip +
                                "'s redis was resynchronised more than once by one leader");
      }
    }
  }
}

void Judge::OnDeadline() {
  Object("promise 4", "not converged in time: " + NotConverged().value_or("(just now it is)"));
}

void Judge::OnEnd() {
  if (violation_) return;
  if (const auto why = NotConverged()) {
    Object("promise 4", "had converged, and fell apart: " + *why);
    return;
  }
  for (const auto& [id, w] : watched_) {
    for (const auto& [request, caller] : w.c->asked) {
      if (request + 50 < w.c->last_request)
        Object("sanity", Who(w) + " never answered request " + std::to_string(request));
    }
    if (!w.refused.empty() && w.c->state.refused_commands.empty())
      Object("sanity", Who(w) + " says nowhere that its redis refused a command: " + w.refused);
    if (w.c->state.role != Role::kLeading) continue;
    if (converged_ && !moving_ && w.c->view.claim.leader != converged_->leader)
      Object("promise 4", "the leadership moved without a cause");
    const Redis* master = redises_.OfPod(pods_[w.c->pod]);
    CheckAcknowledged(std::set<WriteId>(master->content.log.begin(), master->content.log.end()));
  }
}

}  // namespace hive::sim
