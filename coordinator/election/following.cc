// A leader is known: this member follows it, until it is lost on proof or by silence.
#include <algorithm>
#include <utility>

#include "coordinator/election/core_impl.h"

namespace hive::election {

void Core::Impl::StartFollowing(const Claim& claim, std::string why) {
  CloseFollowStream();
  if (dataset_.origin != 0 && OwnStanding().term != 0) held_ = {dataset_, lineage_};
  highest_term_ = std::max(highest_term_, claim.term);
  demoted_ = false;
  promise_.reset();
  promoting_heard_.reset();
  candidacy_.reset();
  frozen_.reset();
  joining_ = Joining{};
  for (auto& [endpoint, peer] : peers_.all()) peer.blocks_since.reset();
  joining_.since = now_;
  following_.emplace();
  following_->claim = claim;
  last_leader_ = claim.leader;
  following_->heard = now_;
  following_->unplaced = !OwnStanding().available;
  EnterRole(Role::kFollowing, std::move(why));
  peers_.Add(claim.coordinator);
  OpenStream();
  PayOwedCampaigns();
  Publish(/*even_if_same=*/false);
}

bool Core::Impl::HearsLeader() const { return following_ && now_ - following_->heard <= config_.leader_timeout; }

void Core::Impl::OpenStream() {
  last_stream_ += 2;
  following_->stream = last_stream_;
  following_->sequence = 0;
  following_->beat = 0;
  following_->told_leaving = 0;
  following_->reports_sent.clear();
  Report();
}

void Core::Impl::CloseFollowStream() {
  if (following_ && following_->stream) out_.push_back(CloseStream{*following_->stream});
  following_.reset();
}

// Tells the leader where this member stands; the first report opens the stream.
void Core::Impl::Report() {
  if (!following_->stream) return;
  FollowerReport report;
  report.header = MakeHeader();
  report.sequence = ++following_->sequence;
  report.echoed_beat = following_->beat;
  report.wall = wall_;
  report.following = following_->claim;
  report.will = OwnWill();
  if (leaving_ && following_->told_leaving == 0) following_->told_leaving = report.sequence;
  report.standing = OwnStanding();
  report.link_up = redis_.up() && replication::InSyncWith(redis_.status(), following_->claim.redis);
  report.introduces = following_->introduces;
  following_->introduces = {};
  following_->reports_sent[report.sequence] = now_;
  if (following_->reports_sent.size() > kEchoesRemembered)
    following_->reports_sent.erase(following_->reports_sent.begin());
  following_->reported = now_;
  following_->reported_standing = report.standing;
  following_->reported_link_up = report.link_up;
  if (report.sequence == 1) {
    out_.push_back(OpenFollow{*following_->stream, following_->claim.coordinator, std::move(report)});
  } else {
    out_.push_back(SendReport{*following_->stream, std::move(report)});
  }
}

void Core::Impl::On(const BeatReceived& event) {
  if (!following_ || following_->stream != event.id) return;
  const Beat& beat = event.beat;
  const std::string reason = RefusalOf(beat.header, /*asked=*/true);
  if (!reason.empty() || beat.claim.leader != following_->claim.leader || beat.header.self != beat.claim.leader) {
    if (!reason.empty()) Complain("refused " + beat.header.coordinator.ip, "ignoring a beat: " + reason);
    return;
  }
  if (beat.number <= following_->beat || beat.claim.term < following_->claim.term) return;
  if (Absurd(beat.claim.term, /*asked=*/true)) return;
  following_->beat = beat.number;
  const bool known_before = following_->confirmed;
  const auto sent = following_->reports_sent.find(beat.echoed_sequence);
  if (sent != following_->reports_sent.end()) {
    // The leader took that report in after it was sent, so the beat is not older than this; and it is not from the
    // future, whatever it says. More than a beat of waiting does not count: a leader that takes in no reports any more
    // is not heard.
    const Instant made = std::min(sent->second + std::min(beat.held, config_.beat_interval), now_);
    following_->heard = std::max(following_->heard, made);
    if (!std::exchange(following_->confirmed, true)) following_->confirmed_at = now_;
    following_->knows_leaving |= following_->told_leaving != 0 && beat.echoed_sequence >= following_->told_leaving;
    Peer* leader = Meet(beat.header, sent->second);
    if (leader != nullptr) CompareClocks(*leader, beat.wall, now_ - made);
    following_->reports_sent.erase(following_->reports_sent.begin(), sent);
  }
  following_->claim = beat.claim;
  highest_term_ = std::max(highest_term_, beat.claim.term);
  following_->write_state = beat.write_state;
  HearOfMembers(beat.members, following_->heard);
  if (following_->confirmed) {
    dataset_ = beat.dataset;
    dataset_as_of_ = now_;
    lineage_ = beat.lineage;
    taught_by_ = beat.state == LeaderState::kOpen ? Teacher{beat.claim.redis, now_} : Teacher{};
    LearnLeadersId();
    proved_lost_ = {};
    if (!known_before) MeasureSilentDiscard();
  }
  switch (beat.state) {
    case LeaderState::kOpen:
      Report();
      Publish(/*even_if_same=*/true);
      return;
    case LeaderState::kResigned:
      if (Peer* peer = peers_.Find(beat.claim.coordinator)) peer->resigned = true;
      return LoseLeader(Evidence::kProof, ToString(beat.claim) + " resigned");
    case LeaderState::kYielded: {
      const Claim successor = beat.successor;
      if (successor.redis.empty() || !Beats(successor, beat.claim) || successor.leader == config_.self) {
        return LoseLeader(Evidence::kProof, ToString(beat.claim) + " yielded");
      }
      return StartFollowing(successor, ToString(beat.claim) + " yielded to " + ToString(successor));
    }
  }
}

void Core::Impl::On(const StreamClosed& event) {
  if (leading_ && leading_->followers.contains(event.id)) {
    const Identity who = leading_->followers[event.id].identity;
    leading_->followers.erase(event.id);
    if (!who.empty()) NoteLine(Note::Level::kInfo, "the stream of follower " + ToString(who) + " closed");
    return;
  }
  if (!following_ || following_->stream != event.id) return;
  following_->stream.reset();
  following_->next_open = now_ + kRetryInterval;
  Peer* leader = peers_.Add(following_->claim.coordinator);
  if (leader == nullptr) return;
  leader->next_greeting = now_;
  if (event.failure != Failure::kTimeout) BeginProof(*leader);
}

// A replication id that the leader's redis has drawn since its promotion is known here, from the redis that replicates
// it, before a beat can say it: its coordinator has yet to read it. A member that loses its leader in between would
// take its own data for nobody's. Not for long after its last beat: another redis may live at that address then. Nor
// once it has said that it leads no more: what its redis passes on then may be another leader's.
void Core::Impl::LearnLeadersId() {
  const RedisStatus& status = redis_.status();
  if (lineage_.empty() || now_ - taught_by_.heard > config_.leader_timeout || Descends(lineage_, status)) return;
  if (redis_.up() && replication::InSyncWith(status, taught_by_.redis)) {
    lineage_.back().replication_id = status.replication_id;
  }
}

// When the leader is told anew where this member stands if no beat has asked for it by then.
Instant Core::Impl::ReportDue() const { return following_->reported + config_.beat_interval * 3 / 2; }

// A redis that was not available when the leader was found is looked at once, before it is told to replicate: data that
// is no part of the leader's dataset elects first, as in ConsiderLeader.
bool Core::Impl::LeavesForeignLeader() {
  if (!following_->unplaced || !following_->confirmed || !OwnStanding().available) return false;
  following_->unplaced = false;
  const RedisStatus& status = redis_.status();
  const std::optional<Memory>& memory = config_.memory;
  const bool remembered = memory && memory->run_id == status.run_id && memory->dataset.origin == dataset_.origin;
  // What it took from where this member had pointed it is not its own: the address of a former leader may be anybody's.
  const bool replicates_it =
      !status.is_master && (status.master == following_->claim.redis || status.master == pointed_at_);
  if (!redis_.holds_data() || status.keys == 0 || remembered || replicates_it || Descends(lineage_, status))
    return false;
  const Claim leader = following_->claim;
  Complain("foreign " + leader.leader.ip,
           leader.leader.ip + " leads a dataset that this member's data is no part of: electing first");
  CloseFollowStream();
  dataset_ = {};
  lineage_.clear();
  EnterJoining("its redis is back, with data that is foreign to " + ToString(leader), now_);
  Stand(Evidence::kLeaderless, {});
  return true;
}

void Core::Impl::DriveFollowing() {
  if (LeavesForeignLeader()) return;
  if (!HearsLeader()) {
    return LoseLeader(Evidence::kSilence, following_->claim.leader.ip + " has not been heard for " +
                                              std::to_string(ToMillis(config_.leader_timeout)) + " ms");
  }
  if (!following_->stream) {
    const Peer* leader = peers_.Find(following_->claim.coordinator);
    if (leader != nullptr && leader->was_listed && !leader->listed && peers_.self_listed() && !dns_silent_) {
      return LoseLeader(Evidence::kProof,
                        "DNS lists " + following_->claim.leader.ip + " no more, and its stream is broken");
    }
    const bool proving = leader != nullptr && leader->proof;
    if (!proving && now_ >= following_->next_open) OpenStream();
    return;
  }
  const Standing standing = OwnStanding();
  const bool link_up = redis_.up() && replication::InSyncWith(redis_.status(), following_->claim.redis);
  const bool news = link_up != following_->reported_link_up || standing.empty != following_->reported_standing.empty ||
                    standing.available != following_->reported_standing.available;
  if (news || now_ >= ReportDue()) Report();
}

void Core::Impl::LoseLeader(Evidence evidence, std::string why) {
  const Claim lost = following_->claim;
  CloseFollowStream();
  if (evidence == Evidence::kProof) {
    proved_lost_ = lost;
    proved_lost_at_ = now_;
  }
  frozen_.reset();
  left_alone_at_ = now_;
  EnterJoining("lost " + ToString(lost) + ": " + std::move(why), now_);
  joining_.since = now_;
  Publish(/*even_if_same=*/false);
  out_.push_back(ResolveNow{});
  if (OwnStanding().available && redis_.holds_data() && !Promised()) {
    Stand(evidence, lost);
  } else if (redis_.up()) {
    // What was read last may be a poll old, and the first sync have ended since.
    Command(CallKind::kReadForAnswer, {RedisCommand::Kind::kRead, {}});
  }
  AnswerOnProof(/*leader_lives=*/false);
}

}  // namespace hive::election
