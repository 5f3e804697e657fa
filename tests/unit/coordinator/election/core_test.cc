// Goal: the core refuses what no honest member of this hive sends, and never steps on its own feet.
// Method: single cores, fed by hand.

#include "coordinator/election/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/coordinator/election/lone_member.h"

namespace hive::election {
namespace {

Config MakeConfig() {
  Config config;
  config.hive = "hive";
  config.self = {"10.0.0.1", 11};
  config.coordinator = {"10.0.0.1", 7400};
  config.redis = {"10.0.0.1", 6379};
  return config;
}

Header MakeHeader() { return {"hive", {"10.0.0.2", 22}, {"10.0.0.2", 7400}, 0}; }

template <typename T>
const T* Find(const Actions& actions) {
  for (const Action& action : actions) {
    if (const T* found = std::get_if<T>(&action)) return found;
  }
  return nullptr;
}

std::string RefusalOf(Core& core, const Header& header) {
  const Actions actions = core.Step(Instant{}, 0, RequestReceived{1, GreetRequest{header, {}}});
  const SendReply* reply = Find<SendReply>(actions);
  if (reply == nullptr) return "no reply";
  const Refusal* refusal = std::get_if<Refusal>(&reply->reply);
  return refusal == nullptr ? "" : refusal->reason;
}

TEST(Core, AnswersAGreeting) {
  Core core(MakeConfig());
  EXPECT_EQ(RefusalOf(core, MakeHeader()), "");
}

TEST(Core, RefusesAnotherHive) {
  Core core(MakeConfig());
  Header header = MakeHeader();
  header.hive = "other";
  EXPECT_THAT(RefusalOf(core, header), testing::HasSubstr("belongs to hive 'other', this member to 'hive'"));
}

TEST(Core, RefusesItsOwnAddressFromSomebodyElse) {
  Core core(MakeConfig());
  Header header = MakeHeader();
  header.self.ip = header.coordinator.ip = "10.0.0.1";
  EXPECT_THAT(RefusalOf(core, header), testing::HasSubstr("this member's own IP"));
}

TEST(Core, RefusesIncompleteIdentitiesAndAbsurdTerms) {
  Core core(MakeConfig());
  Header header = MakeHeader();
  header.self.incarnation = 0;
  EXPECT_NE(RefusalOf(core, header), "");
  header = MakeHeader();
  header.coordinator.ip = "10.0.0.3";
  EXPECT_NE(RefusalOf(core, header), "");
  header = MakeHeader();
  header.highest_term = ~Term{0};
  EXPECT_NE(RefusalOf(core, header), "");
}

// What a hive costs at rest is wake-ups; what it decides after a silence it must decide in time.
TEST(Core, SleepsFromBeatToBeatUnlessSomebodyIsLate) {
  LoneMember member(/*keys=*/1);
  member.List({});
  member.Run(Seconds(5));
  ASSERT_EQ(member.state().role, Role::kLeading);
  EXPECT_EQ(member.LongestSleep(Seconds(1)), Config().beat_interval);

  member.Step(FollowOpened{1});
  EXPECT_EQ(member.LongestSleep(Config().beat_interval * 2), Config().beat_interval);
  member.Run(Config().beat_interval);
  EXPECT_EQ(member.LongestSleep(Config().beat_interval), Millis(25));  // it has not said a word
}

// Incarnations have no order: a message of another one at a known address is not believed, but makes the core ask who
// is there; the answer counts, and from then on the former one is refused for good.
TEST(Core, AnotherIncarnationIsAskedBeforeItIsBelieved) {
  Core core(MakeConfig());
  const auto question = [&](const Actions& actions) {
    const SendRequest* found = Find<SendRequest>(actions);
    return found == nullptr ? CallId{0} : found->id;
  };
  const auto refused = [&](Instant now, const Header& from) {
    const Actions actions = core.Step(now, 0, RequestReceived{3, HandOverRequest{from, ""}});
    return std::holds_alternative<Refusal>(Find<SendReply>(actions)->reply);
  };
  const Header header = MakeHeader();
  Header restarted = header;
  restarted.self.incarnation = 23;
  const CallId first = question(core.Step(Instant{}, 0, RequestReceived{1, GreetRequest{header, {}}}));
  core.Step(Instant{}, 0, ReplyReceived{first, GreetReply{header, {}}});
  const Instant later = Instant{} + Seconds(1);
  const CallId second = question(core.Step(later, 0, RequestReceived{2, GreetRequest{restarted, {}}}));
  ASSERT_NE(second, 0u);
  EXPECT_FALSE(refused(later, header));
  EXPECT_TRUE(refused(later, restarted));
  core.Step(later + Millis(1), 0, ReplyReceived{second, GreetReply{restarted, {}}});
  // The known one was heard after the question had been asked, so it is asked once more.
  const Instant again = later + Seconds(1);
  const CallId third = question(core.Step(again, 0, Tick{}));
  ASSERT_NE(third, 0u);
  core.Step(again + Millis(1), 0, ReplyReceived{third, GreetReply{restarted, {}}});
  EXPECT_FALSE(refused(again + Millis(2), restarted));
  EXPECT_TRUE(refused(again + Millis(2), header));
}

TEST(Core, UnknownIdsChangeNothing) {
  Core core(MakeConfig());
  for (const Event& event : std::initializer_list<Event>{
           RedisDone{99, true, "", {}}, ReplyReceived{99, GreetReply{MakeHeader(), {}}},
           CallFailed{99, Failure::kClosed}, Dialled{99, Dialled::Outcome::kRefused, {}},
           StreamClosed{99, Failure::kClosed}, BeatReceived{98, {}}, ReportReceived{97, {}},
           RedisProbed{99, RedisProbed::Outcome::kEmpty}, OrphanAnswered{99, OrphanAnswered::Outcome::kObeyed, ""}}) {
    core.Step(Instant{}, 0, event);
  }
  EXPECT_EQ(core.state(Instant{}).role, Role::kJoining);
}

TEST(Core, AStreamToAMemberThatDoesNotLeadIsClosed) {
  Core core(MakeConfig());
  const Actions actions = core.Step(Instant{}, 0, FollowOpened{3});
  ASSERT_NE(Find<CloseStream>(actions), nullptr);
  EXPECT_EQ(Find<CloseStream>(actions)->id, 3u);
}

TEST(Core, AnEmptyUnparkedRedisIsParked) {
  Core core(MakeConfig());
  RedisStatus status;
  status.run_id = "r1";
  status.is_master = true;
  const Actions actions = core.Step(Instant{}, 0, RedisReported{status});
  ASSERT_NE(Find<CommandRedis>(actions), nullptr);
  EXPECT_EQ(Find<CommandRedis>(actions)->command.kind, RedisCommand::Kind::kPark);
}

// Alone in DNS, with data: it leads as soon as it has looked around.
TEST(Core, ALoneMemberWithDataLeads) {
  Core core(MakeConfig());
  RedisStatus status;
  status.run_id = "r1";
  status.is_master = true;
  status.keys = 3;
  status.replication_id = "A";
  Instant now{};
  core.Step(now, 0, PeersListed{{{"10.0.0.1", 7400}}});
  Actions actions = core.Step(now, 0, RedisReported{status});
  for (int i = 0; i < 100 && core.state(now).role != Role::kLeading; ++i) {
    now += Millis(5);
    const CommandRedis* command = Find<CommandRedis>(actions);
    if (command == nullptr) {
      actions = core.Step(now, 0, Tick{});
      continue;
    }
    if (command->command.kind == RedisCommand::Kind::kPark)
      status.is_master = false, status.master = replication::kNobody;
    if (command->command.kind == RedisCommand::Kind::kPromote) {
      status.is_master = true;
      status.second_replication_id = "A";
      status.replication_id = "B";
    }
    actions = core.Step(now, 0, RedisDone{command->id, true, "", status});
  }
  const State state = core.state(now);
  EXPECT_EQ(state.role, Role::kLeading);
  EXPECT_EQ(state.view.claim.term, 1u);
  EXPECT_NE(state.dataset.origin, 0u);
  EXPECT_EQ(state.lineage.size(), 2u);
}

TEST(Core, ATermFarAheadOfAllThatWasSeenUsesUpNothing) {
  Core core(MakeConfig());
  Header header = MakeHeader();
  const Actions actions = core.Step(Instant{}, 0, RequestReceived{1, GreetRequest{header, {}}});
  core.Step(Instant{}, 0, ReplyReceived{Find<SendRequest>(actions)->id, GreetReply{header, {}}});
  header.highest_term = 7;
  EXPECT_EQ(RefusalOf(core, header), "");
  header.highest_term = Term{1} << 48;
  EXPECT_THAT(RefusalOf(core, header), testing::HasSubstr("absurd"));
  header.highest_term = 8;  // whoever sent it may be a member all the same
  EXPECT_EQ(RefusalOf(core, header), "");
  const State state = core.state(Instant{});
  EXPECT_EQ(state.term, 8u);
  EXPECT_EQ(state.refused_messages.at("absurd term"), 1u);
  EXPECT_EQ(state.refused_messages.at("another hive"), 0u);
  EXPECT_EQ(state.refused_messages.size(), kReasonsToRefuse);
}

TEST(Core, ALeaveOfOneThatHoldsNothingIsAnsweredAtOnce) {
  Core core(MakeConfig());
  EXPECT_NE(Find<Left>(core.Step(Instant{}, 0, LeaveAsked{})), nullptr);
  EXPECT_EQ(Find<Left>(core.Step(Instant{}, 0, LeaveAsked{})), nullptr);  // once
}

TEST(Core, AHandoverWithoutALeaderIsRefusedInOneLine) {
  Core core(MakeConfig());
  const Actions actions = core.Step(Instant{}, 0, HandoverAsked{5, ""});
  const AnswerHandover* answer = Find<AnswerHandover>(actions);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->id, 5u);
  EXPECT_FALSE(answer->done);
  EXPECT_THAT(answer->detail, testing::HasSubstr("nobody leads"));
  EXPECT_FALSE(answer->late);
}

// A member that is listed may follow yet, so it is waited for; where nobody is, it is refused at once.
TEST(Core, AHandoverThatRunsOutOfTimeIsLateNotRefused) {
  LoneMember leader(3);
  leader.List({});
  leader.Run(Seconds(5));
  ASSERT_EQ(leader.state().role, Role::kLeading);
  leader.Step(HandoverAsked{5, ""});
  ASSERT_TRUE(leader.handover());
  EXPECT_FALSE(leader.handover()->late);
  leader.List({{"10.0.0.2", 7400}});
  leader.Step(HandoverAsked{6, ""});
  leader.Run(Seconds(4));
  EXPECT_EQ(leader.handover()->id, 5u);
  leader.Run(Seconds(2));
  EXPECT_EQ(leader.handover()->id, 6u);
  EXPECT_FALSE(leader.handover()->done);
  EXPECT_TRUE(leader.handover()->late);
  EXPECT_EQ(leader.state().role, Role::kLeading);
}

TEST(Core, WhoIsToldToLeadSaysFirstWhatWouldBeGivenUp) {
  LoneMember member(0);
  member.List({{"10.0.0.2", 7400}});  // silent: it may hold the data, for empty_wait
  member.Run(Seconds(10));
  ASSERT_EQ(member.state().role, Role::kJoining);

  member.Step(LeadAsked{.id = 6});
  ASSERT_TRUE(member.lead());
  EXPECT_EQ(member.lead()->outcome, AnswerLead::Outcome::kWould);
  EXPECT_THAT(member.lead()->detail, testing::HasSubstr("new, empty dataset"));
  EXPECT_THAT(member.lead()->given_up, testing::ElementsAre("10.0.0.2, never heard: it may hold anything"));
  member.Run(Seconds(2));
  EXPECT_EQ(member.state().role, Role::kJoining) << "nothing was done";

  member.Step(LeadAsked{.id = 7, .force = true});
  member.Step(LeadAsked{.id = 8, .force = true});
  EXPECT_EQ(member.lead()->id, 8u) << "it is at it already";
  EXPECT_EQ(member.lead()->outcome, AnswerLead::Outcome::kRefused);
  member.Run(Seconds(2));
  EXPECT_EQ(member.lead()->id, 7u);
  EXPECT_EQ(member.lead()->outcome, AnswerLead::Outcome::kLeads);
  EXPECT_EQ(member.lead()->given_up.size(), 1u);
  EXPECT_EQ(member.state().role, Role::kLeading);
  EXPECT_EQ(member.state().view.write_state, WriteState::kOpen);

  member.Step(LeadAsked{.id = 9, .force = true});
  EXPECT_EQ(member.lead()->outcome, AnswerLead::Outcome::kLeads);
  EXPECT_THAT(member.lead()->detail, testing::HasSubstr("already"));
}

TEST(Core, OneWhoseRedisCannotBeUsedDoesNotLeadByForce) {
  Core core(MakeConfig());
  const Actions actions = core.Step(Instant{}, 0, LeadAsked{.id = 5, .force = true});
  const AnswerLead* answer = Find<AnswerLead>(actions);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->outcome, AnswerLead::Outcome::kRefused);
  EXPECT_THAT(answer->detail, testing::HasSubstr("redis"));
}

}  // namespace
}  // namespace hive::election
