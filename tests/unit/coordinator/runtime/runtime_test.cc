// Goal: the loop takes in what comes, ticks in time, and carries actions out in their order, through the right port.
// Method: a decider that is a script, ports that write down what they are told, and a clock that the test sets. Turns
// run on the test's own thread; no waiting, since something is always due.
#include "coordinator/runtime/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/net/clock.h"

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: events and actions
using testing::ElementsAre;

struct Script final : Decider {
  Actions Step(Instant, WallMicros, const Event& event) override {
    events.push_back(event);
    return std::exchange(next, {});
  }
  Duration TickInterval() const override { return interval; }
  State state(Instant) const override {
    State state;
    state.term = 42;
    return state;
  }

  Duration interval = Millis(25);
  std::vector<Event> events;
  Actions next;
};

struct Book final : PeerSender, PeerAnswerer, RedisPort, Discovery, WatchSink, MemoryStore, HandoverDesk {
  void Send(SendRequest r) override { Add("send " + std::to_string(r.id)); }
  void Dial(const election::Dial& d) override { Add("dial " + std::to_string(d.id)); }
  void OpenFollow(election::OpenFollow o) override { Add("open " + std::to_string(o.id)); }
  void SendReport(election::SendReport r) override { Add("report " + std::to_string(r.id)); }
  void Reply(SendReply r) override { Add("reply " + std::to_string(r.id)); }
  void SendBeat(election::SendBeat b) override { Add("beat " + std::to_string(b.id)); }
  void Command(const CommandRedis& c) override { Add("redis " + replication::ToString(c.command)); }
  void Probe(const ProbeRedis& p) override { Add("probe " + std::to_string(p.id)); }
  void Demote(const DemoteOrphan& d) override { Add("demote " + std::to_string(d.id)); }
  void Remote(const CommandRemote& c) override { Add("remote " + replication::ToString(c.command)); }
  void Answer(const AnswerLead& a) override { Add("lead " + std::to_string(a.id)); }
  void Answer(const AnswerHandover& a) override { Add("handover " + std::to_string(a.id)); }
  void Left() override { Add("left"); }
  void ResolveNow() override { Add("resolve"); }
  void Publish(const LeaderView&) override { Add("publish"); }
  void Store(Memory) override { Add("remember"); }
  // Both senders have one: which of them was called is told by the id's parity.
  void CloseStream(StreamId id) override { Add("close " + std::to_string(id)); }
  void Add(std::string line) { lines.push_back(std::move(line)); }

  std::vector<std::string> lines;
};

// Streams accepted here are closed by another object, so that the two can be told apart.
struct Accepted final : PeerAnswerer {
  explicit Accepted(Book& b) : book(b) {}
  void Reply(SendReply r) override { book.Reply(std::move(r)); }
  void SendBeat(election::SendBeat b) override { book.SendBeat(std::move(b)); }
  void CloseStream(StreamId id) override { book.Add("close accepted " + std::to_string(id)); }
  Book& book;
};

Ports PortsOf(Book& book, Accepted& accepted) {
  return {.peers = book,
          .answers = accepted,
          .redis = book,
          .discovery = book,
          .watchers = {&book, &book},
          .memory = book,
          .handovers = book};
}

class RuntimeTest : public testing::Test {
 protected:
  Instant now{Seconds(100)};
  EventInbox inbox;
  Script script;
  Book book;
  Accepted accepted{book};
  Runtime runtime{inbox, script, PortsOf(book, accepted), {[this] { return now; }, [] { return WallMicros{7}; }}};
};

TEST_F(RuntimeTest, CarriesActionsOutInTheirOrder) {
  script.next = {SendRequest{.id = 1},
                 SendReply{.id = 2},
                 election::Dial{.id = 3},
                 election::OpenFollow{.id = 4},
                 election::SendReport{.id = 4},
                 election::SendBeat{.id = 5},
                 CloseStream{.id = 4},
                 CloseStream{.id = 5},
                 CommandRedis{6, {.kind = RedisCommand::Kind::kPromote}},
                 ProbeRedis{.id = 7},
                 DemoteOrphan{.id = 8},
                 CommandRemote{.id = 9, .command = {.kind = RedisCommand::Kind::kUnpause}},
                 AnswerHandover{.id = 10},
                 election::AnswerLead{.id = 11},
                 Left{},
                 ResolveNow{},
                 PublishLeader{},
                 Remember{},
                 Note{}};
  ASSERT_TRUE(inbox.Post(RedisMute{}));
  EXPECT_TRUE(runtime.Turn());
  EXPECT_THAT(book.lines,
              ElementsAre("send 1", "reply 2", "dial 3", "open 4", "report 4", "beat 5", "close 4", "close accepted 5",
                          "redis REPLICAOF NO ONE", "probe 7", "demote 8", "remote CLIENT UNPAUSE", "handover 10",
                          "lead 11", "left", "resolve", "publish", "publish", "remember"));
}

TEST_F(RuntimeTest, TicksWhenNothingElseHasComeForTheInterval) {
  for (int i = 0; i < 3; ++i) {
    now += Millis(20);
    ASSERT_TRUE(inbox.Post(RedisMute{}));
    EXPECT_TRUE(runtime.Turn());
  }
  EXPECT_EQ(script.events.size(), 3u);  // each of them put the tick off

  now += Millis(25);
  EXPECT_TRUE(runtime.Turn());
  ASSERT_EQ(script.events.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<Tick>(script.events[3]));

  now += Millis(25);
  ASSERT_TRUE(inbox.Post(RedisMute{}));
  EXPECT_TRUE(runtime.Turn());
  ASSERT_EQ(script.events.size(), 5u);  // due, but fresh news do as well
  EXPECT_TRUE(std::holds_alternative<RedisMute>(script.events[4]));
  EXPECT_EQ(runtime.last_turn(), now);
}

// Liveness goes by last_turn, and beats may be seconds apart (--beat-interval): a loop with nothing to do is not stuck.
TEST(RuntimeClockTest, TurnsAlthoughNothingIsDueForLong) {
  EventInbox inbox;
  Script script;
  script.interval = Seconds(3600);
  Book book;
  Accepted accepted{book};
  Runtime runtime(inbox, script, PortsOf(book, accepted));
  const Instant before = ReadMonotonicClock();
  EXPECT_TRUE(runtime.Turn());
  EXPECT_GE(runtime.last_turn() - before, Runtime::kLongestSleep);
  EXPECT_TRUE(script.events.empty());
}

TEST_F(RuntimeTest, RefusesPeersBeforeItRefusesItsOwn) {
  for (size_t i = 0; i < EventInbox::kMaxOffered; ++i) ASSERT_TRUE(inbox.Offer(FollowOpened{1}));
  EXPECT_FALSE(inbox.Offer(FollowOpened{1}));
  EXPECT_TRUE(inbox.Post(RedisMute{}));
  EXPECT_TRUE(runtime.Turn());
  EXPECT_TRUE(inbox.Offer(FollowOpened{1}));  // there is room again
}

TEST_F(RuntimeTest, AnswersQuestionsAndCountsMessages) {
  ASSERT_TRUE(inbox.Offer(RequestReceived{1, GreetRequest{}}));
  ASSERT_TRUE(inbox.Offer(BeatReceived{2, {}}));
  script.next = {SendReply{1, GreetReply{}}, SendRequest{.id = 9, .to = {}, .request = LeadRequest{}, .timeout = {}}};
  uint64_t term = 0;
  Traffic traffic;
  ASSERT_TRUE(inbox.Ask([&](const Snapshot* snapshot) {
    ASSERT_NE(snapshot, nullptr);
    term = snapshot->state.term;
    traffic = snapshot->traffic;
  }));
  EXPECT_TRUE(runtime.Turn());
  EXPECT_EQ(term, 42u);
  EXPECT_EQ(traffic[MessageKind::kGreet].received, 1u);
  EXPECT_EQ(traffic[MessageKind::kGreet].sent, 1u);
  EXPECT_EQ(traffic[MessageKind::kLead].sent, 1u);
  EXPECT_EQ(traffic[MessageKind::kBeat].received, 1u);
  EXPECT_EQ(traffic[MessageKind::kBeat].sent, 0u);
}

TEST_F(RuntimeTest, LimitsQuestions) {
  for (size_t i = 0; i < EventInbox::kMaxQuestions; ++i) ASSERT_TRUE(inbox.Ask([](const Snapshot*) {}));
  EXPECT_FALSE(inbox.Ask([](const Snapshot*) {}));
}

TEST_F(RuntimeTest, DrainsThenEndsWhenTheInboxIsClosed) {
  ASSERT_TRUE(inbox.Post(RedisMute{}));
  inbox.Close();
  EXPECT_FALSE(inbox.Post(RedisMute{}));
  EXPECT_TRUE(runtime.Turn());
  EXPECT_EQ(script.events.size(), 1u);
  EXPECT_FALSE(runtime.Turn());
}

TEST(Runtime, LeavesNoQuestionUnanswered) {
  EventInbox inbox;
  Script script;
  Book book;
  bool stopped = false;
  {
    Runtime runtime(inbox, script,
                    {.peers = book,
                     .answers = book,
                     .redis = book,
                     .discovery = book,
                     .watchers = {},
                     .memory = book,
                     .handovers = book});
    ASSERT_TRUE(inbox.Ask([&](const Snapshot* snapshot) { stopped = snapshot == nullptr; }));
  }
  EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace hive::coordinator
