// Goal: every message survives the wire unchanged, and nothing absurd gets through it.
// Method: each message with every field set, encoded and decoded; then one field at a time spoiled.
#include "coordinator/adapters/peer_codec.h"

#include <gtest/gtest.h>

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: messages

const Header kHeader{"hive", {"10.0.0.1", 77}, {"10.0.0.1", 7400}, 9, "0.1.0"};
const Claim kClaim{5, 1'700'000'000'000'000, {"fd00::2", 78}, {"fd00::2", 7400}, {"fd00::2", 6379}};
const Standing kStanding{true, false, 4, 123456, 17};
const Dataset kDataset{0xfeedfeedfeedfeed, Seconds(12)};
const Lineage kLineage{{3, std::string(40, 'a'), 10}, {4, std::string(40, 'b'), 20, 3}};
const LeaderKey kKey{kClaim, kDataset, true, Seconds(3), {{"10.0.0.3", 79}, {"10.0.0.4", 80}}};

MemberReport Report() {
  return {Role::kLeading, {true, true}, kStanding, kDataset, kClaim, Millis(20), kLineage, kKey};
}

template <typename Wire, typename Ours>
auto ThroughTheWire(const Ours& message) {
  Wire wire;
  Encode(message, &wire);
  Wire copy;
  EXPECT_TRUE(copy.ParseFromString(wire.SerializeAsString()));
  auto decoded = Decode(copy);
  EXPECT_TRUE(decoded.ok()) << decoded.status();
  return *decoded;
}

template <typename Wire, typename Ours>
Ours ReplyThroughTheWire(const Ours& reply) {
  const Reply decoded = ThroughTheWire<Wire>(Reply(reply));
  EXPECT_TRUE(std::holds_alternative<Ours>(decoded));
  return std::get<Ours>(decoded);
}

TEST(PeerCodec, Greet) {
  const auto request = ThroughTheWire<v1::GreetRequest>(GreetRequest{kHeader, Report()});
  EXPECT_EQ(request.header, kHeader);
  EXPECT_EQ(request.report, Report());
  const auto reply = ReplyThroughTheWire<v1::GreetResponse>(GreetReply{kHeader, Report()});
  EXPECT_EQ(reply.header, kHeader);
  EXPECT_EQ(reply.report, Report());
}

TEST(PeerCodec, GreetOfANewborn) {
  const auto request = ThroughTheWire<v1::GreetRequest>(GreetRequest{kHeader, {}});
  EXPECT_EQ(request.report, MemberReport{});
}

TEST(PeerCodec, Campaign) {
  const CampaignRequest request{kHeader,         6,       1'700'000'000'000'001, kStanding, Evidence::kSilence, true,
                                {"10.0.0.9", 5}, kLineage};
  const auto copy = ThroughTheWire<v1::CampaignRequest>(request);
  EXPECT_EQ(copy.header, kHeader);
  EXPECT_EQ(copy.term, 6u);
  EXPECT_EQ(copy.started, request.started);
  EXPECT_EQ(copy.standing, kStanding);
  EXPECT_EQ(copy.evidence, Evidence::kSilence);
  EXPECT_TRUE(copy.reluctant);
  EXPECT_EQ(copy.lost, request.lost);
  EXPECT_EQ(copy.lineage, kLineage);

  for (const auto verdict : {CampaignVerdict::kCandidacy, CampaignVerdict::kDeferral, CampaignVerdict::kLeader}) {
    const auto reply = ReplyThroughTheWire<v1::CampaignResponse>(
        CampaignReply{kHeader, verdict, 12, true, kStanding, kClaim, Millis(5)});
    EXPECT_EQ(reply.verdict, verdict);
    EXPECT_EQ(reply.started, 12);
    EXPECT_TRUE(reply.reluctant);
    EXPECT_EQ(reply.standing, kStanding);
    EXPECT_EQ(reply.leader, kClaim);
    EXPECT_EQ(reply.heard_ago, Millis(5));
  }
}

TEST(PeerCodec, Prepare) {
  const auto request = ThroughTheWire<v1::PrepareRequest>(PrepareRequest{kHeader, kClaim, kLineage});
  EXPECT_EQ(request.claim, kClaim);
  EXPECT_EQ(request.lineage, kLineage);
  const auto reply =
      ReplyThroughTheWire<v1::PrepareResponse>(PrepareReply{kHeader, PrepareVerdict::kRefused, kStanding, kClaim});
  EXPECT_EQ(reply.verdict, PrepareVerdict::kRefused);
  EXPECT_EQ(reply.standing, kStanding);
  EXPECT_EQ(reply.holder, kClaim);
}

TEST(PeerCodec, LeadAndYield) {
  for (const auto phase : {LeadPhase::kPromoting, LeadPhase::kOpen, LeadPhase::kReleased}) {
    const auto lead =
        ThroughTheWire<v1::LeadRequest>(LeadRequest{kHeader, phase, kClaim, kDataset, kLineage, {"10.0.0.3", 1}});
    EXPECT_EQ(lead.phase, phase);
    EXPECT_EQ(lead.claim, kClaim);
    EXPECT_EQ(lead.dataset, kDataset);
    EXPECT_EQ(lead.lineage, kLineage);
    EXPECT_EQ(lead.ceded_to, (Identity{"10.0.0.3", 1}));
  }
  EXPECT_EQ(ReplyThroughTheWire<v1::LeadResponse>(LeadReply{kHeader}).header, kHeader);
  EXPECT_EQ(ThroughTheWire<v1::YieldRequest>(YieldRequest{kHeader, kKey}).key, kKey);
  const auto reply = ReplyThroughTheWire<v1::YieldResponse>(YieldReply{kHeader, true, kClaim});
  EXPECT_TRUE(reply.confirmed);
  EXPECT_EQ(reply.claim, kClaim);
}

TEST(PeerCodec, TakeOverAndHandOver) {
  const auto take = ThroughTheWire<v1::TakeOverRequest>(TakeOverRequest{kHeader, kClaim, 6, kDataset, kLineage, 4321});
  EXPECT_EQ(take.header, kHeader);
  EXPECT_EQ(take.ending, kClaim);
  EXPECT_EQ(take.term, 6u);
  EXPECT_EQ(take.dataset, kDataset);
  EXPECT_EQ(take.lineage, kLineage);
  EXPECT_EQ(take.offset, 4321);
  const auto taken = ReplyThroughTheWire<v1::TakeOverResponse>(TakeOverReply{kHeader, true, "", kClaim});
  EXPECT_EQ(taken.header, kHeader);
  EXPECT_TRUE(taken.accepted);
  EXPECT_EQ(taken.claim, kClaim);
  const auto left = ReplyThroughTheWire<v1::TakeOverResponse>(TakeOverReply{kHeader, false, "not in sync", {}});
  EXPECT_FALSE(left.accepted);
  EXPECT_EQ(left.reason, "not in sync");
  EXPECT_TRUE(left.claim.empty());

  EXPECT_EQ(ThroughTheWire<v1::HandOverRequest>(HandOverRequest{kHeader, "10.0.0.3"}).to, "10.0.0.3");
  EXPECT_EQ(ThroughTheWire<v1::HandOverRequest>(HandOverRequest{kHeader, ""}).to, "");
  const auto done = ReplyThroughTheWire<v1::HandOverResponse>(HandOverReply{kHeader, true, "handed over", kClaim});
  EXPECT_TRUE(done.done);
  EXPECT_EQ(done.detail, "handed over");
  EXPECT_EQ(done.leader, kClaim);
}

TEST(PeerCodec, Refusal) {
  const auto refusal = ReplyThroughTheWire<v1::LeadResponse>(Refusal{kHeader, "another hive"});
  EXPECT_EQ(refusal.header, kHeader);
  EXPECT_EQ(refusal.reason, "another hive");
  const auto anonymous = ReplyThroughTheWire<v1::GreetResponse>(Refusal{{}, std::string(5000, 'x')});
  EXPECT_EQ(anonymous.header, Header{});
  EXPECT_EQ(anonymous.reason.size(), kMaxReason);
}

TEST(PeerCodec, ReportAndBeat) {
  const FollowerReport report{kHeader, 11, 12, kClaim, {false, true}, kStanding, true, kClaim, 1'700'000'000'000'000};
  const auto same = ThroughTheWire<v1::FollowRequest>(report);
  EXPECT_EQ(same.header, kHeader);
  EXPECT_EQ(same.sequence, 11u);
  EXPECT_EQ(same.echoed_beat, 12u);
  EXPECT_EQ(same.following, kClaim);
  EXPECT_EQ(same.will, report.will);
  EXPECT_EQ(same.standing, kStanding);
  EXPECT_TRUE(same.link_up);
  EXPECT_EQ(same.introduces, kClaim);
  EXPECT_EQ(same.wall, report.wall);
  EXPECT_TRUE(ThroughTheWire<v1::FollowRequest>(FollowerReport{.header = kHeader}).introduces.empty());

  for (const auto state : {LeaderState::kOpen, LeaderState::kResigned, LeaderState::kYielded}) {
    const Beat beat{
        .header = kHeader,
        .number = 1,
        .echoed_sequence = 2,
        .held = Millis(150),
        .state = state,
        .write_state = WriteState::kFenced,
        .claim = kClaim,
        .successor = kClaim,
        .dataset = kDataset,
        .lineage = kLineage,
        .offset = 99,
        .members = {{{"10.0.0.3", 7}, {"10.0.0.3", 7400}, {true, true}, kStanding, true, Millis(3), "0.2.0"}},
        .wall = 5};
    const Beat copy = ThroughTheWire<v1::FollowResponse>(beat);
    EXPECT_EQ(copy.header, beat.header);
    EXPECT_EQ(copy.number, beat.number);
    EXPECT_EQ(copy.echoed_sequence, beat.echoed_sequence);
    EXPECT_EQ(copy.held, beat.held);
    EXPECT_EQ(copy.state, beat.state);
    EXPECT_EQ(copy.write_state, beat.write_state);
    EXPECT_EQ(copy.claim, beat.claim);
    EXPECT_EQ(copy.successor, beat.successor);
    EXPECT_EQ(copy.dataset, beat.dataset);
    EXPECT_EQ(copy.lineage, beat.lineage);
    EXPECT_EQ(copy.offset, beat.offset);
    EXPECT_EQ(copy.members, beat.members);
    EXPECT_EQ(copy.wall, beat.wall);
  }
}

// One valid request, spoiled by `spoil`, must be refused with these words.
template <typename Spoil>
std::string FaultOf(Spoil spoil) {
  v1::CampaignRequest wire;
  Encode(CampaignRequest{kHeader, 6, 1, kStanding, Evidence::kProof, false, {"10.0.0.9", 5}, kLineage}, &wire);
  spoil(wire);
  const auto decoded = Decode(wire);
  return decoded.ok() ? "" : std::string(decoded.status().message());
}

TEST(PeerCodec, RefusesTheAbsurd) {
  EXPECT_EQ(FaultOf([](auto&) {}), "");
  EXPECT_EQ(FaultOf([](auto& w) { w.clear_header(); }), "header.hive is missing or too long");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_header()->set_hive(std::string(254, 'x')); }),
            "header.hive is missing or too long");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_header()->set_version("1\x1b[2J"); }), "header.version is no version");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_header()->set_version(std::string(65, '1')); }),
            "header.version is no version");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_header()->clear_version(); }), "");  // an older member
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_header()->mutable_self()->set_incarnation(0); }),
            "header.self has no incarnation");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_header()->mutable_self()->set_ip("300.1.1.1"); }),
            "header.self is no IP address");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_header()->mutable_coordinator()->set_port(65536); }),
            "header.coordinator is no address");
  EXPECT_EQ(FaultOf([](auto& w) { w.set_term(0); }), "term is missing");
  EXPECT_EQ(FaultOf([](auto& w) { w.set_term(~uint64_t{0}); }), "term is absurdly high");
  EXPECT_EQ(FaultOf([](auto& w) { w.set_started_us(-1); }), "started_us is no time of our age");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_standing()->set_offset(-5); }), "standing.offset is out of range");
  EXPECT_EQ(FaultOf([](auto& w) { w.set_evidence(static_cast<v1::Evidence>(17)); }),
            "evidence is unknown: is that member of another version?");
  EXPECT_EQ(FaultOf([](auto& w) { w.set_evidence(v1::EVIDENCE_UNSPECIFIED); }),
            "evidence is unknown: is that member of another version?");
  EXPECT_EQ(FaultOf([](auto& w) { w.mutable_lineage(0)->set_replication_id(std::string(65, 'a')); }),
            "lineage.replication_id is too long");
  EXPECT_EQ(FaultOf([](auto& w) {
              for (int i = 0; i <= kMaxListed; ++i) w.add_lineage();
            }),
            "lineage has more than 1000 entries");
}

// One field at a time of a message that is right otherwise.
template <typename Wire, typename Ours, typename Spoil>
std::string FaultIn(const Ours& message, Spoil spoil) {
  Wire wire;
  Encode(message, &wire);
  spoil(wire);
  const auto decoded = Decode(wire);
  return decoded.ok() ? "" : std::string(decoded.status().message());
}

TEST(PeerCodec, RefusesAnAbsurdTakeOver) {
  const auto fault = [](auto spoil) {
    return FaultIn<v1::TakeOverRequest>(TakeOverRequest{kHeader, kClaim, 6, kDataset, kLineage, 4321}, spoil);
  };
  EXPECT_EQ(fault([](auto&) {}), "");
  EXPECT_EQ(fault([](auto& w) { w.clear_ending(); }), "ending is missing");
  EXPECT_EQ(fault([](auto& w) { w.set_term(5); }), "term is not above that of the ending claim");
  EXPECT_EQ(fault([](auto& w) { w.set_term(~uint64_t{0}); }), "term is absurdly high");
  EXPECT_EQ(fault([](auto& w) { w.set_offset(-1); }), "offset is out of range");
  EXPECT_EQ(fault([](auto& w) { w.mutable_dataset()->set_age_ns(-1); }), "dataset.age_ns is out of range");

  const auto reply = [](auto spoil) {
    return FaultIn<v1::TakeOverResponse>(Reply(TakeOverReply{kHeader, true, "", kClaim}), spoil);
  };
  EXPECT_EQ(reply([](auto&) {}), "");
  EXPECT_EQ(reply([](auto& w) { w.clear_claim(); }), "claim is missing");
}

TEST(PeerCodec, RefusesAnAbsurdHandOverWriteStateAndWill) {
  EXPECT_EQ(FaultIn<v1::HandOverRequest>(HandOverRequest{kHeader, ""}, [](auto& w) { w.set_to_ip("everybody"); }),
            "to_ip is no IP address");
  const auto beat = [](LeaderState state, int write_state) {
    return FaultIn<v1::FollowResponse>(Beat{.header = kHeader, .state = state, .claim = kClaim},
                                       [&](auto& w) { w.set_write_state(static_cast<v1::WriteState>(write_state)); });
  };
  EXPECT_EQ(beat(LeaderState::kOpen, v1::WRITE_STATE_HOLD), "");
  EXPECT_EQ(beat(LeaderState::kOpen, v1::WRITE_STATE_NO_LEADER), "write_state says that nobody leads");
  EXPECT_EQ(beat(LeaderState::kResigned, v1::WRITE_STATE_NO_LEADER), "");
  for (const int unknown : {0, 5, -1}) {
    EXPECT_EQ(beat(LeaderState::kOpen, unknown), "write_state is unknown: is that member of another version?");
  }
  // Whoever leaves does not want to lead, even where it forgets to say so.
  v1::GreetRequest greet;
  Encode(GreetRequest{kHeader, {}}, &greet);
  greet.mutable_report()->mutable_will()->set_leaving(true);
  ASSERT_TRUE(Decode(greet).ok());
  EXPECT_TRUE(Decode(greet)->report.will.reluctant);
}

// A line for people is cut, not refused.
TEST(PeerCodec, CutsEndlessLines) {
  const auto done = ReplyThroughTheWire<v1::HandOverResponse>(HandOverReply{kHeader, true, std::string(5000, 'x'), {}});
  EXPECT_EQ(done.detail.size(), kMaxReason);
  v1::TakeOverResponse wire;
  Encode(Reply(TakeOverReply{kHeader, false, "", {}}), &wire);
  wire.set_reason(std::string(5000, 'x'));
  EXPECT_EQ(std::get<TakeOverReply>(*Decode(wire)).reason.size(), kMaxReason);
}

TEST(PeerCodec, RefusesNegativeSpansAndEndlessLists) {
  v1::FollowResponse beat;
  Encode(Beat{.header = kHeader, .claim = kClaim}, &beat);
  beat.mutable_dataset()->set_age_ns(-1);
  EXPECT_FALSE(Decode(beat).ok());
  beat.mutable_dataset()->set_age_ns(1);
  EXPECT_TRUE(Decode(beat).ok());
  for (int i = 0; i <= kMaxListed; ++i) beat.add_members();
  EXPECT_FALSE(Decode(beat).ok());
}

TEST(PeerCodec, MakesAddressesCanonical) {
  v1::PrepareRequest wire;
  Encode(PrepareRequest{kHeader, kClaim}, &wire);
  wire.mutable_claim()->mutable_leader()->set_ip("FD00:0:0:0:0:0:0:2");
  ASSERT_TRUE(Decode(wire).ok());
  EXPECT_EQ(Decode(wire)->claim.leader.ip, "fd00::2");
}

// The core never means a negative span; a peer must not refuse the message for it.
TEST(PeerCodec, SendsNoNegativeSpan) {
  auto report = Report();
  report.leader_heard_ago = Millis(-1);
  EXPECT_EQ(ThroughTheWire<v1::GreetRequest>(GreetRequest{kHeader, report}).report.leader_heard_ago, Duration(0));
}

}  // namespace
}  // namespace hive::coordinator
