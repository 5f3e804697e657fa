#include <algorithm>
#include <cassert>
#include <string_view>

#include "coordinator/adapters/peer_codec.h"

namespace hive::coordinator {
namespace {

// The core never means a negative span; should it compute one, the peer must not refuse the message for it.
int64_t Nanos(Duration span) { return std::max<int64_t>(0, span.count()); }

template <typename Ours, typename Wire>
void EncodeAll(const Ours& from, Wire* to) {
  to->Reserve(static_cast<int>(from.size()));
  for (const auto& item : from) Encode(item, to->Add());
}

// Most members have nothing against leading, and say nothing.
template <typename Wire>
void EncodeWill(const election::Will& from, Wire* to) {
  if (from != election::Will{}) Encode(from, to->mutable_will());
}

// Our enumerators count from 0, the wire's from 1, since 0 is "unspecified" there.
template <typename Wire, typename Ours>
Wire EncodeEnum(Ours value) {
  return static_cast<Wire>(static_cast<int>(value) + 1);
}
static_assert(v1::ROLE_FOLLOWING == static_cast<int>(election::Role::kFollowing) + 1);
static_assert(v1::EVIDENCE_SILENCE == static_cast<int>(election::Evidence::kSilence) + 1);
static_assert(v1::CAMPAIGN_VERDICT_LEADER == static_cast<int>(election::CampaignVerdict::kLeader) + 1);
static_assert(v1::PREPARE_VERDICT_REFUSED == static_cast<int>(election::PrepareVerdict::kRefused) + 1);
static_assert(v1::LEAD_PHASE_RELEASED == static_cast<int>(election::LeadPhase::kReleased) + 1);
static_assert(v1::WRITE_STATE_NO_LEADER == static_cast<int>(election::WriteState::kNoLeader) + 1);
static_assert(v1::LEADER_STATE_YIELDED == static_cast<int>(election::LeaderState::kYielded) + 1);

// Writes the header, and the reason if `from` is a refusal. The reply to encode further, or nullptr.
template <typename Reply, typename Wire>
const Reply* EncodeReplyHead(const election::Reply& from, Wire* to) {
  if (const auto* refusal = std::get_if<election::Refusal>(&from)) {
    Encode(refusal->header, to->mutable_header());
    to->set_refusal(refusal->reason.empty() ? "refused" : refusal->reason.substr(0, kMaxReason));
    return nullptr;
  }
  const auto* reply = std::get_if<Reply>(&from);
  assert(reply != nullptr);  // the core answers what it was asked
  if (reply == nullptr) {
    to->set_refusal("internal error: an answer to another question");
    return nullptr;
  }
  Encode(reply->header, to->mutable_header());
  return reply;
}

}  // namespace

void Encode(const Endpoint& from, v1::SocketAddress* to) {
  to->set_ip(from.ip);
  to->set_port(from.port);
}

void Encode(const election::Identity& from, v1::Identity* to) {
  to->set_ip(from.ip);
  to->set_incarnation(from.incarnation);
}

void Encode(const election::Claim& from, v1::Claim* to) {
  to->set_term(from.term);
  to->set_started_us(from.started);
  Encode(from.leader, to->mutable_leader());
  Encode(from.coordinator, to->mutable_coordinator());
  Encode(from.redis, to->mutable_redis());
}

void Encode(const election::Dataset& from, v1::Dataset* to) {
  to->set_origin(from.origin);
  to->set_age_ns(Nanos(from.age));
}

void Encode(const election::Promotion& from, v1::Promotion* to) {
  to->set_term(from.term);
  to->set_replication_id(from.replication_id);
  to->set_handed_over_by(from.handed_over_by);
  to->set_offset(from.offset);
}

void Encode(const election::Standing& from, v1::Standing* to) {
  to->set_available(from.available);
  to->set_empty(from.empty);
  to->set_term(from.term);
  to->set_offset(from.offset);
  to->set_keys(from.keys);
}

void Encode(const election::Will& from, v1::Will* to) {
  to->set_leaving(from.leaving);
  to->set_reluctant(from.reluctant);
}

void Encode(const election::Header& from, v1::Header* to) {
  to->set_hive(from.hive);
  Encode(from.self, to->mutable_self());
  Encode(from.coordinator, to->mutable_coordinator());
  to->set_highest_term(from.highest_term);
  to->set_version(from.version);
}

v1::Role Encode(election::Role role) { return EncodeEnum<v1::Role>(role); }
v1::Evidence Encode(election::Evidence evidence) { return EncodeEnum<v1::Evidence>(evidence); }
v1::WriteState Encode(election::WriteState state) { return EncodeEnum<v1::WriteState>(state); }

void Encode(const election::LeaderKey& from, v1::LeaderKey* to) {
  Encode(from.claim, to->mutable_claim());
  Encode(from.dataset, to->mutable_dataset());
  to->set_has_keys(from.has_keys);
  to->set_open_for_ns(Nanos(from.open_for));
  to->set_offset(from.offset);
  EncodeAll(from.followers, to->mutable_followers());
}

void Encode(const election::MemberReport& from, v1::MemberReport* to) {
  to->set_role(Encode(from.role));
  Encode(from.standing, to->mutable_standing());
  Encode(from.dataset, to->mutable_dataset());
  if (!from.leader.empty()) Encode(from.leader, to->mutable_leader());
  to->set_leader_heard_ago_ns(Nanos(from.leader_heard_ago));
  EncodeAll(from.lineage, to->mutable_lineage());
  if (from.key) Encode(*from.key, to->mutable_key());
  EncodeWill(from.will, to);
}

void Encode(const election::MemberView& from, v1::MemberView* to) {
  Encode(from.identity, to->mutable_identity());
  Encode(from.coordinator, to->mutable_coordinator());
  Encode(from.standing, to->mutable_standing());
  to->set_link_up(from.link_up);
  to->set_heard_ago_ns(Nanos(from.heard_ago));
  EncodeWill(from.will, to);
  to->set_version(from.version);
}

void Encode(const election::GreetRequest& from, v1::GreetRequest* to) {
  Encode(from.header, to->mutable_header());
  Encode(from.report, to->mutable_report());
}

void Encode(const election::CampaignRequest& from, v1::CampaignRequest* to) {
  Encode(from.header, to->mutable_header());
  to->set_term(from.term);
  to->set_started_us(from.started);
  Encode(from.standing, to->mutable_standing());
  to->set_evidence(Encode(from.evidence));
  if (!from.lost.empty()) Encode(from.lost, to->mutable_lost());
  EncodeAll(from.lineage, to->mutable_lineage());
  to->set_reluctant(from.reluctant);
}

void Encode(const election::PrepareRequest& from, v1::PrepareRequest* to) {
  Encode(from.header, to->mutable_header());
  Encode(from.claim, to->mutable_claim());
  EncodeAll(from.lineage, to->mutable_lineage());
}

void Encode(const election::LeadRequest& from, v1::LeadRequest* to) {
  Encode(from.header, to->mutable_header());
  to->set_phase(EncodeEnum<v1::LeadPhase>(from.phase));
  Encode(from.claim, to->mutable_claim());
  Encode(from.dataset, to->mutable_dataset());
  EncodeAll(from.lineage, to->mutable_lineage());
  if (!from.ceded_to.empty()) Encode(from.ceded_to, to->mutable_ceded_to());
}

void Encode(const election::YieldRequest& from, v1::YieldRequest* to) {
  Encode(from.header, to->mutable_header());
  Encode(from.key, to->mutable_key());
}

void Encode(const election::TakeOverRequest& from, v1::TakeOverRequest* to) {
  Encode(from.header, to->mutable_header());
  Encode(from.ending, to->mutable_ending());
  to->set_term(from.term);
  Encode(from.dataset, to->mutable_dataset());
  EncodeAll(from.lineage, to->mutable_lineage());
  to->set_offset(from.offset);
}

void Encode(const election::HandOverRequest& from, v1::HandOverRequest* to) {
  Encode(from.header, to->mutable_header());
  to->set_to_ip(from.to);
}

void Encode(const election::FollowerReport& from, v1::FollowRequest* to) {
  Encode(from.header, to->mutable_header());
  to->set_sequence(from.sequence);
  to->set_echoed_beat(from.echoed_beat);
  if (!from.following.empty()) Encode(from.following, to->mutable_following());
  Encode(from.standing, to->mutable_standing());
  to->set_link_up(from.link_up);
  if (!from.introduces.empty()) Encode(from.introduces, to->mutable_introduces());
  EncodeWill(from.will, to);
  to->set_wall_us(from.wall);
}

void Encode(const election::Beat& from, v1::FollowResponse* to) {
  Encode(from.header, to->mutable_header());
  to->set_number(from.number);
  to->set_echoed_sequence(from.echoed_sequence);
  to->set_held_ns(from.held.count());
  to->set_state(EncodeEnum<v1::LeaderState>(from.state));
  if (!from.claim.empty()) Encode(from.claim, to->mutable_claim());
  if (!from.successor.empty()) Encode(from.successor, to->mutable_successor());
  Encode(from.dataset, to->mutable_dataset());
  EncodeAll(from.lineage, to->mutable_lineage());
  to->set_offset(from.offset);
  EncodeAll(from.members, to->mutable_members());
  to->set_write_state(Encode(from.write_state));
  to->set_wall_us(from.wall);
}

void Encode(const election::Reply& from, v1::GreetResponse* to) {
  if (const auto* reply = EncodeReplyHead<election::GreetReply>(from, to)) Encode(reply->report, to->mutable_report());
}

void Encode(const election::Reply& from, v1::CampaignResponse* to) {
  const auto* reply = EncodeReplyHead<election::CampaignReply>(from, to);
  if (reply == nullptr) return;
  to->set_verdict(EncodeEnum<v1::CampaignVerdict>(reply->verdict));
  to->set_started_us(reply->started);
  Encode(reply->standing, to->mutable_standing());
  if (!reply->leader.empty()) Encode(reply->leader, to->mutable_leader());
  to->set_heard_ago_ns(Nanos(reply->heard_ago));
  to->set_reluctant(reply->reluctant);
}

void Encode(const election::Reply& from, v1::PrepareResponse* to) {
  const auto* reply = EncodeReplyHead<election::PrepareReply>(from, to);
  if (reply == nullptr) return;
  to->set_verdict(EncodeEnum<v1::PrepareVerdict>(reply->verdict));
  Encode(reply->standing, to->mutable_standing());
  if (!reply->holder.empty()) Encode(reply->holder, to->mutable_holder());
}

void Encode(const election::Reply& from, v1::LeadResponse* to) { EncodeReplyHead<election::LeadReply>(from, to); }

void Encode(const election::Reply& from, v1::YieldResponse* to) {
  const auto* reply = EncodeReplyHead<election::YieldReply>(from, to);
  if (reply == nullptr) return;
  to->set_confirmed(reply->confirmed);
  if (!reply->claim.empty()) Encode(reply->claim, to->mutable_claim());
}

void Encode(const election::Reply& from, v1::TakeOverResponse* to) {
  const auto* reply = EncodeReplyHead<election::TakeOverReply>(from, to);
  if (reply == nullptr) return;
  to->set_accepted(reply->accepted);
  to->set_reason(reply->reason.substr(0, kMaxReason));
  if (!reply->claim.empty()) Encode(reply->claim, to->mutable_claim());
}

void Encode(const election::Reply& from, v1::HandOverResponse* to) {
  const auto* reply = EncodeReplyHead<election::HandOverReply>(from, to);
  if (reply == nullptr) return;
  to->set_done(reply->done);
  to->set_detail(reply->detail.substr(0, kMaxReason));
  if (!reply->leader.empty()) Encode(reply->leader, to->mutable_leader());
  to->set_late(reply->late);
}

}  // namespace hive::coordinator
