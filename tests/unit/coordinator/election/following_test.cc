// Goal: what a follower takes from its leader's beats: that it was there, and when; which replication id its redis has
// by now; and, when everything refuses, not that everybody is dead.
// Method: a single core; the leader's messages by hand.

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/unit/coordinator/election/lone_member.h"

namespace hive::election {
namespace {

const Endpoint kLeader{"10.0.0.2", 7400};
const Endpoint kThird{"10.0.0.3", 7400};

Header HeaderOf(const Endpoint& member) { return {"hive", {member.ip, 22}, member, 1}; }
Claim ClaimOf(const Endpoint& leader, Term term) { return {term, 1, HeaderOf(leader).self, leader, {leader.ip, 6379}}; }
Claim LeadersClaim() { return ClaimOf(kLeader, 1); }
Standing Data(int64_t offset) { return {.available = true, .empty = false, .term = 1, .offset = offset, .keys = 1}; }

class FollowingTest : public testing::Test {
 protected:
  FollowingTest() {
    member.on_action = [this](const Action& action) {
      if (const auto* open = std::get_if<OpenFollow>(&action)) {
        stream_ = open->id;
        reported_ = open->first.sequence;
      } else if (const auto* report = std::get_if<SendReport>(&action)) {
        reported_ = report->report.sequence;
      } else if (const auto* command = std::get_if<CommandRedis>(&action)) {
        told_.push_back(command->command.kind);
      }
    };
    member.on_request = [](const SendRequest& sent) -> std::optional<Event> {
      if (!std::holds_alternative<GreetRequest>(sent.request)) return std::nullopt;
      MemberReport report;
      report.role = sent.to == kLeader ? Role::kLeading : Role::kFollowing;
      report.leader = LeadersClaim();
      report.standing = Data(100);
      return ReplyReceived{sent.id, GreetReply{HeaderOf(sent.to), report}};
    };
    member.List({kLeader, kThird});
    member.Run(Millis(200));
    HearBeat(0, reported_, Duration(0));
  }

  // The leader's next beat, which echoes that report after it had waited there for so long.
  void HearBeat(int64_t offset, uint64_t echoed, Duration held) { HearBeatOf(LeadersClaim(), offset, echoed, held); }
  void HearBeatOf(const Claim& leader, int64_t offset, uint64_t echoed, Duration held) {
    Beat beat;
    beat.header = HeaderOf(leader.coordinator);
    beat.number = ++beat_;
    beat.echoed_sequence = echoed;
    beat.held = held;
    beat.claim = leader;
    beat.state = state_;
    if (state_ == LeaderState::kYielded) beat.successor = ClaimOf(kThird, 2);
    beat.dataset = {leader.term, Seconds(9)};
    beat.lineage = {{leader.term, leader.term == 1 ? "at its promotion" : "of another dataset", 0}};
    beat.offset = offset;
    beat.members = {{HeaderOf(kLeader).self, kLeader, {}, Data(100), true, Duration(0)},
                    {HeaderOf(kThird).self, kThird, {}, Data(50), true, Duration(0)}};
    member.Step(BeatReceived{*stream_, beat});
  }
  void Synchronize(const std::string& replication_id) {
    RedisStatus& redis = member.redis();
    ASSERT_EQ(redis.master, LeadersClaim().redis);
    redis.replication_id = replication_id;
    redis.offset = 100;
    redis.keys = 1;
    redis.link_up = true;
    member.Step(RedisReported{redis});
  }
  // As a firewall does; but none of the third member's refusals of a dial arrives.
  void RefuseEverything() {
    member.on_request = [](const SendRequest& sent) { return CallFailed{sent.id, Failure::kRefused}; };
    member.on_dial = [](const Endpoint& to) {
      return to == kLeader ? std::optional(Dialled::Outcome::kRefused) : std::nullopt;
    };
    member.Step(StreamClosed{*stream_, Failure::kClosed});
  }
  Duration HeardAgo() const { return member.now() - member.state().view.heard; }

  LoneMember member{0};
  std::optional<StreamId> stream_;
  uint64_t reported_ = 0;
  uint64_t beat_ = 0;
  LeaderState state_ = LeaderState::kOpen;
  std::vector<RedisCommand::Kind> told_;  // its redis
};

TEST_F(FollowingTest, ABeatIsDatedByItsReportAndForHowLongThatWaited) {
  const uint64_t report = reported_;
  member.Run(Millis(200));
  HearBeat(0, report, Millis(150));
  EXPECT_EQ(HeardAgo(), Millis(50));
  HearBeat(0, report, Millis(0));  // says less, and takes nothing back
  EXPECT_EQ(HeardAgo(), Millis(50));
}

// Its beats arrive, this member's reports do not: a network that is broken in one direction.
TEST_F(FollowingTest, ALeaderThatTakesInNoReportsIsNotHeard) {
  member.on_request = nullptr;
  const uint64_t report = reported_;
  for (int beats = 1; beats <= 6; ++beats) {
    member.Run(Millis(200));
    HearBeat(0, report, beats * Millis(200));
    EXPECT_EQ(member.state().role, Role::kFollowing) << beats;
  }
  member.Run(Millis(200));
  EXPECT_NE(member.state().role, Role::kFollowing);
}

// The schedule "buffered beats renew a lease", of a leader whose clock runs away as well.
TEST_F(FollowingTest, NoBeatIsFromTheFuture) {
  const uint64_t report = reported_;
  member.Run(Millis(200));
  HearBeat(0, report, Seconds(3600));
  EXPECT_EQ(HeardAgo(), Duration(0));
  EXPECT_EQ(member.state().role, Role::kFollowing);
  member.on_request = nullptr;
  member.Run(Seconds(2));
  EXPECT_NE(member.state().role, Role::kFollowing);
}

// A master draws a new id when its first replica attaches; its coordinator reads it up to a beat later, and says it in
// the next beat. A member that loses it in between holds this dataset all the same.
TEST_F(FollowingTest, KnowsItsLeadersNewReplicationIdFromItsOwnRedis) {
  RedisStatus& redis = member.redis();
  Synchronize("of its first replica");
  EXPECT_EQ(member.state().standing.term, 1u);
  HearBeat(100, reported_, Duration(0));  // says the former one still
  EXPECT_EQ(member.state().standing.term, 1u);
  EXPECT_EQ(member.state().lineage.back().replication_id, redis.replication_id);

  redis.replication_id = "somebody else's";
  redis.link_up = false;
  HearBeat(100, reported_, Duration(0));
  member.Step(RedisReported{redis});
  EXPECT_EQ(member.state().standing.term, 0u);
}

// The same when the first copy of the data is complete only after the leader's coordinator is gone; later, anybody's
// redis may live at that address.
TEST_F(FollowingTest, KnowsThatIdForAWhileAfterTheLoss) {
  RefuseEverything();
  member.Run(Millis(200));
  ASSERT_NE(member.state().role, Role::kFollowing);
  Synchronize("of its first replica");
  EXPECT_EQ(member.state().standing.term, 1u);
}

TEST_F(FollowingTest, TakesNoOtherLeadersIdForThatOfOneThatHasYielded) {
  ASSERT_EQ(member.redis().master, LeadersClaim().redis);
  state_ = LeaderState::kResigned;
  HearBeat(0, reported_, Duration(0));
  Synchronize("of whom its redis replicates now");
  EXPECT_EQ(member.state().standing.term, 0u);
}

TEST_F(FollowingTest, TakesNoStrangersIdForThatOfALeaderLostLongAgo) {
  RefuseEverything();
  member.Run(Millis(1100));
  Synchronize("somebody else's");
  EXPECT_EQ(member.state().standing.term, 0u);
}

// A firewall that refuses, and one of its refusals lost: the other member is no witness of this one's being connected.
TEST_F(FollowingTest, DoesNotLeadWhenTheOtherMembersRefuseThoughOneIsNotProvedGone) {
  Synchronize("at its promotion");
  RefuseEverything();
  member.Run(Millis(150));
  member.List({kLeader, kThird});  // DNS goes on listing them
  member.Run(Seconds(5));
  EXPECT_FALSE(member.led());
  EXPECT_TRUE(member.state().in_doubt);
}

// Its redis takes in what the first leader has while it already goes over to the next one.
TEST_F(FollowingTest, MeasuresWhatIsDroppedOnANewReading) {
  Synchronize("at its promotion");
  member.Run(Millis(25));
  member.redis().keys = 5;  // since
  told_.clear();
  state_ = LeaderState::kYielded;
  HearBeat(100, reported_, Duration(0));
  state_ = LeaderState::kOpen;
  HearBeatOf(ClaimOf(kThird, 2), 100, reported_, Duration(0));
  EXPECT_EQ(told_, (std::vector{RedisCommand::Kind::kRead, RedisCommand::Kind::kReplicate}));
  EXPECT_EQ(member.state().discarded.foreign_keys, 5u);
}

// Its coordinator was proved gone, as it seemed; but the third follows it at a higher term than it had: so it lives.
TEST_F(FollowingTest, GivesWayToALostLeaderThatHasTakenAHigherTermSince) {
  Synchronize("at its promotion");
  RefuseEverything();
  member.on_request = [](const SendRequest& sent) -> std::optional<Event> {
    if (sent.to != kThird) return CallFailed{sent.id, Failure::kRefused};
    if (std::holds_alternative<CampaignRequest>(sent.request)) {
      CampaignReply deferral;
      deferral.header = HeaderOf(kThird);
      return ReplyReceived{sent.id, deferral};
    }
    if (!std::holds_alternative<PrepareRequest>(sent.request)) return std::nullopt;
    PrepareReply refusal{HeaderOf(kThird), PrepareVerdict::kRefused, Data(50), LeadersClaim()};
    refusal.holder.term = 3;
    return ReplyReceived{sent.id, refusal};
  };
  member.Run(Seconds(3));
  EXPECT_FALSE(member.led());
}

}  // namespace
}  // namespace hive::election
