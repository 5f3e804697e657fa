// A person decides what no member can know: that those that are silent will not come back, or do not matter. For the
// survivor of a disaster, whose DNS may be gone, too. It ends every wait for the silent, and nothing else: whoever
// answers is asked as always, and whoever leads, or holds more, is not pushed aside.
#include "coordinator/election/core_impl.h"

namespace hive::election {
namespace {

// An election among those that answer takes two leader_timeouts at the most, and may have to be begun anew.
constexpr Duration kForceLimit = Seconds(10);

std::string SecondsAgo(Duration ago) { return std::to_string(ToMillis(ago) / 1000) + " s ago"; }

}  // namespace

void Core::Impl::On(const LeadAsked& event) {
  AnswerLead answer{event.id, AnswerLead::Outcome::kRefused, WhyNotLead(), {}, published_.claim};
  if (!answer.detail.empty()) {
    out_.push_back(std::move(answer));
    return;
  }
  if (leading_ && !WritesWaitForTheSilent()) {
    answer.outcome = AnswerLead::Outcome::kLeads;
    answer.detail = "it led already" + WhatItHolds();
    out_.push_back(std::move(answer));
    return;
  }
  answer.given_up = GivenUp();
  if (!event.force) {
    answer.outcome = AnswerLead::Outcome::kWould;
    answer.detail = (redis_.holds_data() ? "it would lead" : "it would begin a new, empty dataset") + WhatItHolds();
    out_.push_back(std::move(answer));
    return;
  }
  std::string text = "is told to lead by force: waits for nobody who is silent";
  for (const std::string& clause : answer.given_up) text += "; gives up " + clause;
  NoteLine(Note::Level::kWarning, std::move(text));
  forced_ = Forced{event.id, now_ + kForceLimit};
  // Whoever is silent is no more one of those that must be heard, for an election or for writes. Who comes back counts.
  for (auto& [endpoint, peer] : peers_.all()) {
    if (peer.answered && now_ - *peer.answered > config_.leader_timeout / 2) peer.answered.reset();
  }
  if (leading_) {
    leading_->isolated = false;
    return;
  }
  if (following_) LoseLeader(Evidence::kSilence, "not heard, and this member is told to lead");
  joining_ = Joining{};
  joining_.since = now_;
  StandForced();
}

// Why nothing can be done, in one line; empty when it can.
std::string Core::Impl::WhyNotLead() const {
  if (forced_) return "somebody else has told it to, and it is under way: ask again in some seconds";
  if (leading_) return "";
  if (leaving_) return "this member is about to end";
  if (following_ && HearsLeader()) {
    return following_->claim.leader.ip + " leads, and is heard: `hive-coordinator handover --to=" + config_.self.ip +
           "` moves the leadership here, and loses nothing";
  }
  if (winning_) return "this member has won an election, and is about to lead";
  if (Promised() || promoting_heard_) {
    return (Promised() ? promise_ : promoting_heard_)->claim.leader.ip +
           " has won an election, and is about to lead: ask again if it does not";
  }
  const Standing own = OwnStanding();
  if (!own.available) return "its redis cannot lead: this member waits for " + WaitingFor();
  const std::string agreement = Outcasting();
  if (!agreement.empty() && (IsOutcast() || !redis_.holds_data())) return "it waits for " + agreement;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (peer.gone || !peer.heard || now_ - *peer.heard > config_.leader_timeout) continue;
    const MemberReport& report = peer.report;
    if (report.role == Role::kLeading) return endpoint.ip + " leads, and answers this member";
    const bool more = config_.defer_to_fresher ? HoldsLess(own, report.standing) : own.empty && !report.standing.empty;
    if (report.standing.available && more) {
      return endpoint.ip + " answers, and holds more (" + ToString(report.standing) + "; here: " + ToString(own) +
             "): tell that one to lead";
    }
  }
  return "";
}

// Whom it would do without, and what is known of what they hold. Each begins with the IP.
std::vector<std::string> Core::Impl::GivenUp() const {
  std::vector<std::string> clauses;
  // In the end: who has not answered since it was told.
  const Instant told = forced_ ? forced_->deadline - kForceLimit : now_;
  const Instant since = told < now_ ? told : now_ - config_.leader_timeout;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (peer.stranger() || (!redis_.holds_data() && ProvedEmptyHanded(peer))) continue;
    const Standing& standing = peer.report.standing;
    if (!peer.gone && peer.heard && *peer.heard >= since) {
      const bool useless = !standing.available && !standing.empty;
      if (useless) clauses.push_back(endpoint.ip + ", which answers: its redis cannot lead now, and may hold more");
      continue;
    }
    std::string clause = endpoint.ip + ", ";
    if (!peer.heard) {
      clause += "never heard: it may hold anything";
    } else {
      clause += "last heard " + SecondsAgo(now_ - *peer.heard) + ": " +
                (standing.available || standing.empty ? ToString(standing) : "its redis could not lead");
    }
    if (peer.probed == ProbedRedis::kHasData) clause += "; its redis answers, and has data";
    if (peer.report.role == Role::kLeading && !peer.resigned) clause += "; it led, and may lead yet";
    // It dials its master by itself, whatever that has become.
    const bool replicates_this = last_leader_ == config_.self && peer.report.role == Role::kFollowing;
    if (!redis_.holds_data() && replicates_this)
      clause += "; its redis replicates this one, and will copy its emptiness";
    clauses.push_back(std::move(clause));
  }
  const RedisStatus& status = redis_.status();
  if (!leading_ && !status.is_master && !status.parked() && status.link_up) {
    clauses.push_back(hive::ToString(status.master) +
                      ", the redis that this one replicates: it is up, and may take writes yet");
  }
  if (!peers_.answered()) clauses.push_back("whoever DNS would list: it has not answered since this member began");
  return clauses;
}

std::string Core::Impl::WhatItHolds() const {
  std::string text = redis_.holds_data() ? ", with " + ToString(OwnStanding()) : "";
  if (leading_ && leading_->writes.state != WriteState::kOpen) {
    text += "; writes: " + std::string(Name(leading_->writes.state)) + ", " + leading_->writes.reason;
  }
  return text;
}

// It leads, and keeps its writes back because of members that it does not hear.
bool Core::Impl::WritesWaitForTheSilent() const {
  return HearsTooFew(config_.leader_timeout / 2) || (leading_->isolated && dns_silent_);
}

// What was known of a loss goes on to count: a redis that was left behind is still to be looked after.
void Core::Impl::StandForced() {
  if (!redis_.holds_data()) return Stand(Evidence::kBootstrap, {});
  if (candidacy_ && candidacy_->evidence != Evidence::kBootstrap) return Stand(candidacy_->evidence, candidacy_->lost);
  if (ProvedLately()) return Stand(Evidence::kProof, proved_lost_);
  Stand(Evidence::kLeaderless, {});
}

void Core::Impl::DriveForced() {
  if (!forced_) return;
  if (leading_) return EndForced(AnswerLead::Outcome::kLeads, "by force" + WhatItHolds());
  if (following_ && following_->confirmed && HearsLeader()) {
    return EndForced(AnswerLead::Outcome::kRefused,
                     following_->claim.leader.ip + " leads after all, and this member follows it");
  }
  if (now_ >= forced_->deadline) {
    EndForced(AnswerLead::Outcome::kLate, "it does not lead yet: it waits for " + WaitingFor());
  }
}

void Core::Impl::EndForced(AnswerLead::Outcome outcome, std::string detail) {
  const bool leads = outcome == AnswerLead::Outcome::kLeads;
  AnswerLead answer{forced_->id, outcome, std::move(detail), {}, published_.claim};
  if (leads) {
    answer.given_up = GivenUp();
    answer.leader = leading_->claim;
  }
  std::string text = leads ? "leads by force" : "does not lead by force: " + answer.detail;
  for (const std::string& clause : answer.given_up) text += "; has given up " + clause;
  NoteLine(leads ? Note::Level::kWarning : Note::Level::kInfo, std::move(text));
  forced_.reset();
  if (!leads && candidacy_) candidacy_->started = wall_;
  out_.push_back(std::move(answer));
}

}  // namespace hive::election
