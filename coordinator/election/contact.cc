// Greeting, dialling, and the proof that a member is gone.
#include <algorithm>

#include "coordinator/election/core_impl.h"

namespace hive::election {

void Core::Impl::GreetPeers() {
  for (auto& [endpoint, peer] : peers_.all()) {
    if (leading_ && !Follows(peer) && Counts(peer) && HearsTooFew(config_.leader_timeout / 4)) {
      peer.next_greeting = std::min(peer.next_greeting, now_ + kGreetInterval);
    }
    if (peer.greeting || now_ < peer.next_greeting) continue;
    const bool is_our_leader = following_ && endpoint == following_->claim.coordinator;
    const bool wanted = role_ == Role::kJoining || (is_our_leader && !following_->stream) ||
                        (role_ == Role::kLeading && !Follows(peer));
    if (wanted) Greet(peer);
  }
}

void Core::Impl::Greet(Peer& peer) {
  // A leader that has heard from few of late asks faster: it must know whether it is the one that is cut off.
  const bool urgent = leading_ && Counts(peer) && (leading_->asks_since || HearsTooFew(config_.leader_timeout / 4));
  const Duration interval = role_ == Role::kLeading && !urgent ? kSettleInterval : kGreetInterval;
  peer.next_greeting = now_ + interval;
  peer.greeting = NewCall(CallKind::kGreet, peer.coordinator);
  GreetRequest request{MakeHeader(), MakeReport()};
  calls_.at(*peer.greeting).key = request.report.key;
  out_.push_back(SendRequest{*peer.greeting, peer.coordinator, std::move(request), config_.leader_timeout / 4});
}

// A member's own word about itself: by its greeting (undated: it may have lain on the way), or by its answer to ours.
void Core::Impl::OnGreetReport(Peer& peer, const MemberReport& report, const Call* asked) {
  peer.report = report;
  LearnLineage(report.lineage);
  const bool was_asked = asked != nullptr;
  if (Absurd(report.leader.term, was_asked) || (report.key && Absurd(report.key->claim.term, was_asked))) {
    NoteRefused(RefusedFor::kAbsurdTerm);
    return;
  }
  if (!report.leader.empty()) highest_term_ = std::max(highest_term_, report.leader.term);
  const bool live = report.leader_heard_ago < config_.leader_timeout;
  if (was_asked) {
    if (live) NoteRival(report.leader);
    SettleAssertion(peer.coordinator, asked->sent, live && IsRival(report.leader));
  } else if (live) {
    CheckRival(report.leader, peer.coordinator);
  }
  const bool leads = report.role == Role::kLeading && report.leader.leader == peer.identity;
  const bool promotes = report.role == Role::kPromoting && report.leader.leader == peer.identity;

  // Whoever won and says that it is neither promoting nor leading has given up: its release was lost.
  const auto given_up = [&](const std::optional<Promise>& promise) {
    return promise && promise->claim.leader == peer.identity && !leads && !promotes && asked != nullptr &&
           asked->sent >= promise->heard;
  };
  if (given_up(promise_)) promise_.reset();
  if (given_up(promoting_heard_)) promoting_heard_.reset();

  if (leads && proved_lost_.leader == peer.identity && asked != nullptr && asked->sent >= proved_lost_at_) {
    proved_lost_ = {};  // it leads after all
  }
  if (role_ == Role::kFollowing && following_->claim.leader == peer.identity) {
    if (leads) return AnswerOnProof(/*leader_lives=*/true);
    if (asked != nullptr && asked->sent > following_->heard) {
      return LoseLeader(Evidence::kProof, peer.coordinator.ip + " says that it leads no more");
    }
    if (asked == nullptr && !peer.greeting) Greet(peer);
    return;
  }
  if (leads) {
    if (role_ != Role::kLeading) return ConsiderLeader(report.leader, report.dataset, report.lineage);
    // Both sides of one greeting compare the same two keys, so that one of them yields, never both or none.
    if (!report.key) return;
    if (asked == nullptr) return Settle(peer, MakeKey(), *report.key);
    if (asked->key) Settle(peer, *asked->key, *report.key);
    return;
  }
  // It follows somebody: ask that one itself.
  if (role_ == Role::kJoining && report.role == Role::kFollowing && report.leader_heard_ago < config_.leader_timeout &&
      report.leader.leader != config_.self && report.leader.coordinator != config_.coordinator) {
    if (Peer* leader = peers_.Add(report.leader.coordinator); leader != nullptr && !leader->greeting) {
      if (now_ >= leader->next_greeting) Greet(*leader);
    }
  }
}

// --------------------------------------------------------------------------------------------------- rejection

void Core::Impl::NoteRejection(Peer& peer) {
  peer.rejected = now_;
  peer.gone = false;
  Complain("rejected by " + peer.coordinator.ip,
           hive::ToString(peer.coordinator) +
               " is alive, but it and this member do not believe one another: they differ in --peer-secret-file (or "
               "the redis password that stands in for it), in --tls-ca, or in whether they use TLS at all" +
               (has_joined_ ? "" : "; if others lead, it is this member's that is wrong"));
}

bool Core::Impl::Rejects(const Peer& peer) const {
  return peer.listed && peer.rejected && now_ - *peer.rejected <= kRejectionLasts;
}

// It has never been in step with the hive, and no fewer of the listed members reject it than it hears, itself included:
// rather its own secret or CA is wrong than all of theirs. Such a member begins nothing and leads nothing.
bool Core::Impl::IsOutcast() const {
  if (has_joined_) return false;
  int heard = 1;
  int rejecting = 0;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (Rejects(peer)) {
      ++rejecting;
    } else if (!peer.gone && peer.answered && now_ - *peer.answered <= config_.leader_timeout) {
      ++heard;
    }
  }
  return rejecting >= heard;
}

// Who rejects it, and what to do, in one clause; empty when nobody does.
std::string Core::Impl::Outcasting() const {
  std::string who;
  for (const auto& [endpoint, peer] : peers_.all()) {
    if (Rejects(peer)) who += (who.empty() ? "" : ", ") + hive::ToString(endpoint);
  }
  if (who.empty()) return "";
  return "agreement with " + who +
         " on who is a member: its secret (--peer-secret-file, or the redis password) or its CA (--tls-ca) is another "
         "than this member's, or only one of the two uses TLS; it is alive, so nothing is begun without it. Make them "
         "the same; if others lead, it is this member's that is wrong";
}

// ------------------------------------------------------------------------------------------------------- proof

void Core::Impl::BeginProof(Peer& peer) {
  if (peer.proof) return;
  peer.proof = Peer::Proof{0, 0, now_};
}

void Core::Impl::DriveProofs() {
  for (auto& [endpoint, peer] : peers_.all()) {
    if (!peer.proof || peer.proof->begun >= kDialsOfProof || now_ < peer.proof->next) continue;
    ++peer.proof->begun;
    peer.proof->next = now_ + kDialSpacing;
    out_.push_back(Dial{NewCall(CallKind::kDial, endpoint), endpoint, config_.dial_window});
  }
}

void Core::Impl::On(const Dialled& event) {
  const auto it = calls_.find(event.id);
  if (it == calls_.end()) return;
  const Call call = it->second;
  calls_.erase(it);
  Peer* peer = peers_.Find(call.to);
  if (peer == nullptr || !peer->proof) return;
  switch (event.outcome) {
    case Dialled::Outcome::kAnswered: {
      peer->proof.reset();
      if (MeetIdentity(event.answered_by, call.to, call.sent) != nullptr) OnProvedAlive(*peer);
      break;
    }
    case Dialled::Outcome::kMute:  // accepted, but silent: no proof of anything
      peer->proof.reset();
      break;
    case Dialled::Outcome::kRejected:
      peer->proof.reset();
      NoteRejection(*peer);
      break;
    case Dialled::Outcome::kRefused:
    case Dialled::Outcome::kUnreachable:
    case Dialled::Outcome::kNoConnect:
      if (++peer->proof->failed < kDialsOfProof) break;
      peer->proof.reset();
      OnProvedGone(*peer);
      break;
  }
}

void Core::Impl::OnProvedGone(Peer& peer) {
  peer.gone = true;
  peer.rejected.reset();
  if (promise_ && peer.met() && promise_->claim.leader == peer.identity) promise_.reset();
  if (promoting_heard_ && peer.met() && promoting_heard_->claim.leader == peer.identity) promoting_heard_.reset();
  ProbeRedisOf(peer);
  if (role_ == Role::kFollowing && following_->claim.leader == peer.identity) {
    LoseLeader(Evidence::kProof, "the coordinator of " + peer.coordinator.ip + " is gone");
  }
}

// Its coordinator is gone, but its redis may hold the only data: whoever is empty must know before it begins anew.
void Core::Impl::ProbeRedisOf(const Peer& peer) {
  if (redis_.holds_data()) return;
  const bool asking = std::any_of(calls_.begin(), calls_.end(), [&](const auto& entry) {
    return entry.second.kind == CallKind::kProbe && entry.second.to == peer.coordinator;
  });
  if (asking) return;
  out_.push_back(ProbeRedis{NewCall(CallKind::kProbe, peer.coordinator), {peer.coordinator.ip, config_.redis.port}});
}

void Core::Impl::OnProvedAlive(Peer& peer) {
  if (role_ != Role::kFollowing || following_->claim.leader != peer.identity || following_->stream) return;
  following_->next_open = now_ + kDialSpacing;
}

void Core::Impl::On(const RedisProbed& event) {
  const auto it = calls_.find(event.id);
  if (it == calls_.end()) return;
  Peer* peer = peers_.Find(it->second.to);
  calls_.erase(it);
  if (peer == nullptr || !peer->gone) return;
  switch (event.outcome) {
    case RedisProbed::Outcome::kRefused:
    case RedisProbed::Outcome::kEmpty:
      peer->probed = ProbedRedis::kNothing;
      break;
    case RedisProbed::Outcome::kHasData:
      peer->probed = ProbedRedis::kHasData;
      break;
    case RedisProbed::Outcome::kSilent:
      peer->probed = ProbedRedis::kUnknown;
      break;
  }
}

}  // namespace hive::election
