// The judge on writes: who executes them, what becomes of those that were acknowledged, what clients see, and what is
// dropped.
#include <algorithm>
#include <utility>

#include "tests/sim/judge.h"

namespace hive::sim {

using namespace election;  // NOLINT: the whole file speaks of its messages

namespace {

// Of what a proxy may do on its last lease, and what is on its way then.
Duration Underway(const Options& options) {
  return options.latency_high * 3 + (options.stall_per_mille > 0 ? options.stall_high * 2 : Duration{0});
}

// A leader looks at its clock this often, and its word must travel.
Duration Reaction(const Options& options) { return options.beat_interval + Millis(60) + Underway(options); }

// A count of bytes may be short by what was on its way when it was taken, and by a tenth. It may be generous where a
// replica had lagged: what came to it late counts as dropped from where it lagged.
constexpr int64_t kShortBy = 5 * kWriteBytes;
constexpr int64_t kLongBy = 40 * kWriteBytes;

// Who is told to lead says within this what came of it.
constexpr Duration kForced = Seconds(11);

}  // namespace

// ------------------------------------------------------------------------------------------- one writable side

void Judge::OnFault() {
  fault_before_ = last_fault_;
  last_fault_ = queue_.now();
  partition_.reset();
}

// Split into two halves that hear nothing of one another. Only of a hive that stood, and that has long seen no other
// fault, can one say from outside who counts as whose majority.
void Judge::OnPartition(uint32_t mask) {
  const bool undisturbed = !fault_before_ || queue_.now() - *fault_before_ > options_.doubt_timeout + Seconds(1);
  if (!undisturbed || NotConverged()) return;
  Partition partition{queue_.now(), mask, 0, 0};
  int members[2] = {0, 0};
  for (const Pod& pod : pods_.rows()) {
    if (!pod.alive || pod.foreign()) continue;
    ++members[mask >> pod.slot & 1u];
    const auto watched = watched_.find(pod.process);
    if (watched != watched_.end() && watched->second.role == Role::kLeading)
      partition.leader_side = mask >> pod.slot & 1;
  }
  if (members[0] == 0 || members[1] == 0 || members[0] + members[1] == 2) return;
  partition.writing_side = members[0] == members[1] ? partition.leader_side : members[1] > members[0] ? 1 : 0;
  partition_ = partition;
}

void Judge::OnExecuted(const Redis& redis, WriteId write) {
  const Pod& pod = pods_[redis.pod];
  if (violation_ || pod.foreign()) return;
  // What lay in the buffers of a stopped or paused redis was sent by a proxy that may long have cut it off.
  if (write >= sent_.size() || queue_.now() - sent_[write] > Reaction(options_)) return;
  Tenure& tenure = tenures_[redis.id];
  if (tenure.promotions != redis.promotions)
    tenure = {redis.promotions, queue_.now(), queue_.now(), tenure.short_since};
  tenure.last = queue_.now();
  if (!options_.expect.fencing) return;
  CheckSides(redis, write);
  CheckOneSide(redis, tenure);
  CheckFollowers(redis, tenure);
}

// Promise 2, in the first doubt_timeout of a partition.
void Judge::CheckSides(const Redis& redis, WriteId write) {
  if (!partition_) return;
  const SimTime now = queue_.now();
  const Duration since = now - partition_->since;
  const int side = static_cast<int>(partition_->mask >> pods_[redis.pod].slot & 1u);
  // Whoever starts behind the cut counts on its side: members that nobody knew before may turn the scales.
  const bool joined = std::any_of(watched_.begin(), watched_.end(),
                                  [&](const auto& entry) { return entry.second.c->started > partition_->since; });
  if (joined) return;
  if (side == partition_->writing_side || since > options_.doubt_timeout - options_.leader_timeout) return;
  const Duration allowed = options_.leader_timeout / 2 + Reaction(options_);
  if (side == partition_->leader_side && since <= allowed) return;
  Object("promise 2", "write " + std::to_string(write) + " is executed by " + pods_[redis.pod].ip + " " +
                          std::to_string(ToMillis(since)) + " ms after it was cut off with fewer than half");
}

// Promise 2: never two on one side, but for what was on its way, or rested on a lease.
void Judge::CheckOneSide(const Redis& redis, const Tenure& tenure) {
  const Duration lease = options_.leader_timeout * 7 / 10;
  const Duration allowed = lease + Reaction(options_);
  // Who was told to lead before DNS had told it of anybody knows nobody to settle with.
  const auto knows_nobody = [&](const Pod& pod) {
    const auto watched = watched_.find(pod.process);
    return watched != watched_.end() && watched->second.listed.empty();
  };
  for (const auto& [id, other] : tenures_) {
    const Redis& newer = redises_.at(id);
    if (id == redis.id || !newer.alive || !newer.master || other.first <= tenure.first) continue;
    if (other.last < queue_.now() - options_.leader_timeout) continue;
    const Duration overlap = queue_.now() - other.first;
    if (overlap <= allowed) continue;
    const Pod& here = pods_[redis.pod];
    const Pod& there = pods_[newer.pod];
    if (!here.alive || !there.alive || here.slot == there.slot) continue;
    if (knows_nobody(here) || knows_nobody(there)) continue;
    if (queue_.now() - network_.DisturbedAt(here, there) < options_.leader_timeout * 3) continue;
    if (queue_.now() - last_fault_.value_or(SimTime{0}) < options_.leader_timeout * 2) continue;
    Object("promise 2", here.ip + " and " + there.ip + " have both been taking writes for " +
                            std::to_string(ToMillis(overlap)) + " ms, with nothing between them");
    return;
  }
}

// --min-followers: too few in sync, for longer than it takes to notice.
void Judge::CheckFollowers(const Redis& redis, Tenure& tenure) {
  if (options_.min_followers == 0) return;
  int followers = 0;
  for (const Redis& replica : redises_.rows()) {
    followers += replica.alive && replica.source == redis.id && replica.link == Redis::Link::kUp ? 1 : 0;
  }
  if (followers >= options_.min_followers) {
    tenure.short_since.reset();
    return;
  }
  if (!tenure.short_since) tenure.short_since = queue_.now();
  // Redis's own link may look up until its node is known to be lost.
  const Duration allowed = options_.leader_timeout + Seconds(1) + Reaction(options_);
  if (queue_.now() - *tenure.short_since <= allowed) return;
  Object("promise 2", pods_[redis.pod].ip + " takes writes with " + std::to_string(followers) + " of " +
                          std::to_string(options_.min_followers) + " followers in sync");
}

// ------------------------------------------------------------------------------------------------- the clients

void Judge::OnClientError(const Pod& pod, const char* what, bool told) {
  if (!told) ++client_errors_;
  if (!options_.expect.handover || options_.scenario != Scenario::kPlanned || told || healed_) return;
  if (!began_) return;
  Object("handover", "the client of " + pod.ip + " notices what was meant to go unnoticed: " + what);
}

size_t Judge::Missing(const Redis& redis) const {
  const std::set<WriteId> held(redis.content.log.begin(), redis.content.log.end());
  return static_cast<size_t>(
      std::count_if(acknowledged_.begin(), acknowledged_.end(), [&](WriteId write) { return !held.contains(write); }));
}

// Promise 5, at the end: `kept` is what the leader holds.
void Judge::CheckAcknowledged(const std::set<WriteId>& kept) {
  std::vector<WriteId> lost;
  for (const WriteId write : acknowledged_) {
    if (!kept.contains(write)) lost.push_back(write);
  }
  lost_ = lost.size();
  if (lost.empty()) return;
  const std::string text = std::to_string(lost.size()) + " acknowledged writes are gone, the first is " +
                           std::to_string(lost.front()) + ", the last " + std::to_string(lost.back());
  if (options_.scenario == Scenario::kPlanned && options_.expect.handover) Object("promise 5", text);
  if (options_.scenario != Scenario::kOneFault || !options_.defer_to_fresher) return;
  const bool enough = options_.write_acks >= options_.members / 2;
  if (options_.expect.durable && enough) Object("promise 5", text);
  // Its redis lives, and is caught up with.
  const bool only_a_coordinator = options_.faults.size() == 1 && options_.faults[0].kind == FaultKind::kKillCoordinator;
  if (options_.expect.orphans && only_a_coordinator) Object("promise 5", "a coordinator was lost, and " + text);
}

// ------------------------------------------------------------------------------------------------- what is dropped

// Promise 6: of what `replica` is about to lose, its coordinator has spoken.
void Judge::CheckDiscard(const Redis& replica, const Redis& source, const Content& incoming) {
  const auto& held = replica.content.log;
  size_t common = 0;
  if (replica.content.root == incoming.root) {
    common = static_cast<size_t>(
        std::mismatch(held.begin(), held.end(), incoming.log.begin(), incoming.log.end()).first - held.begin());
  }
  if (common == held.size()) return;
  ++drops_;
  const auto watched = watched_.find(pods_[replica.pod].process);
  if (watched == watched_.end() || !options_.expect.discards) return;
  Watched& w = watched->second;
  // One that sleeps, has just begun, or has not itself pointed its redis there cannot have spoken; nor of what has come
  // since it last read.
  // Where the leader that it believes in has just stepped down, and its redis has taken what another one holds, that
  // one's coordinator has spoken of the same writes.
  const bool own = w.c->state.view.claim.redis == replica.master_endpoint && source.master;
  const size_t known = std::min(held.size(), w.keys_known);
  if (!own || known <= common || w.c->frozen || queue_.now() - w.c->started < Seconds(1)) return;
  const Discarded& said = w.c->state.discarded;
  const std::string what =
      Who(w) + " drops " + std::to_string(held.size() - common) + " of " + std::to_string(held.size()) + " writes";
  if (said.times <= w.discards_seen.times) return Object("promise 6", what + ", and has not said so");
  const bool foreign = replica.content.root != incoming.root;
  if (foreign && said.foreign <= w.discards_seen.foreign) Object("promise 6", what + " of another origin as its own");
  // Speaking of a whole dataset, when an origin that nobody remembers any more was the same, is no understatement.
  const bool called_foreign = said.foreign > w.discards_seen.foreign;
  if (!foreign && !called_foreign && replica.backlog) {
    const int64_t truth = static_cast<int64_t>(known - common) * kWriteBytes;
    const int64_t told = said.bytes - w.discards_seen.bytes;
    if (told < truth - truth / 10 - kShortBy || told > truth * 2 + kLongBy) {
      Object("promise 6", what + ", " + std::to_string(truth) + " bytes, and speaks of " + std::to_string(told));
    }
  }
  w.discards_seen = said;
}

// ------------------------------------------------------------------------------------------------- on purpose

// Who is asked to leave, or to hand over, is done with it in time.
void Judge::CheckLeaving(Watched& w) {
  const SimTime now = queue_.now();
  const Duration slept = now - w.last_step;
  w.last_step = now;
  if (slept > Millis(300)) w.slept_at = now;
  if (!options_.expect.handover) return;
  const Duration allowed = options_.handover_timeout + Millis(500);
  const SimTime awake = w.slept_at.value_or(SimTime{0});
  if (w.leave_asked && !w.c->has_left && now - std::max(*w.leave_asked, awake) > allowed) {
    Object("handover", Who(w) + " was told to leave, and is still here after " +
                           std::to_string(ToMillis(now - *w.leave_asked)) + " ms");
  }
  for (const auto& [request, since] : w.c->handovers) {
    if (now - std::max(since, awake) > allowed + options_.leader_timeout) {
      Object("handover", Who(w) + " has not answered whoever asked for a handover " +
                             std::to_string(ToMillis(now - since)) + " ms ago");
    }
  }
  for (const auto& [request, since] : w.c->leads) {
    if (now - std::max(since, awake) > kForced) {
      Object("forced",
             Who(w) + " has not answered whoever told it to lead " + std::to_string(ToMillis(now - since)) + " ms ago");
    }
  }
}

// A person may give up what silent members hold; which members those are is said.
void Judge::CheckForced(Watched& w, const AnswerLead& answer) {
  w.would = answer.outcome == AnswerLead::Outcome::kWould;
  if (w.would) w.told.clear();
  for (const std::string& clause : answer.given_up) w.told.insert(clause.substr(0, clause.find_first_of(",:")));
  if (w.would) return;
  const auto& open = w.c->leads;
  if (!open.empty() && open.begin()->first < answer.id) return;  // another one that tells it is answered later
  const bool forced = std::exchange(w.forced, false);
  if (!forced || answer.outcome != AnswerLead::Outcome::kLeads) return;
  ++forced_;
  for (const Endpoint& listed : w.listed) {
    const Pod* pod = pods_.At(listed.ip);
    if (pod == nullptr || pod->id == w.c->pod || pod->foreign() || w.told.contains(listed.ip)) continue;
    const Redis* other = redises_.OfPod(*pod);
    if (other == nullptr || !other->has_data() || ProvedGone(w, listed.ip)) continue;
    const auto contact = w.contacts.find(listed.ip);
    const SimTime heard = contact == w.contacts.end() ? SimTime{-1} : contact->second.heard;
    if (heard >= SimTime{0} && queue_.now() - heard <= options_.leader_timeout * 2) continue;  // it was asked
    Object("forced", Who(w) + " leads by force, and has not said that it gives up " + listed.ip + ", which has " +
                         std::to_string(other->content.log.size()) + " keys");
  }
}

// Another member's redis is touched only where its coordinator is gone.
void Judge::CheckRemote(const Watched& w, const CommandRemote& remote) {
  if (remote.command.kind == RedisCommand::Kind::kRead) return;
  if (remote.command.kind == RedisCommand::Kind::kPark) ++takeovers_;
  const Pod* pod = pods_.At(remote.redis.ip);
  if (pod == nullptr || pod->foreign()) return;
  const auto owner = watched_.find(pod->process);
  if (owner == watched_.end()) return;
  const Coordinator& c = *owner->second.c;
  const SimTime now = queue_.now();
  const Duration settled = options_.takeover_timeout + Millis(500);
  if (c.frozen || c.has_left || now - c.started < settled || now - owner->second.last_step > Millis(200)) return;
  if (now - network_.DisturbedAt(pods_[w.c->pod], *pod) < settled) return;
  Object("promise 3", Who(w) + " tells the redis of " + pod->ip + " " + ToString(remote.command) +
                          ", whose coordinator lives and can be reached");
}

}  // namespace hive::sim
