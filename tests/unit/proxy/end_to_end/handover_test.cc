// Goal: leadership moves on purpose, under load, and no client notices: no error, nothing lost, nothing twice, order
// kept. Method: two real redis-servers that take turns, moved as a coordinator moves them (pause, catch up, park,
// promote, announce, unpause), while clients pipeline, count, block and pop, each of which checks every reply.
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/proxy/end_to_end/crowd.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

std::string Integer(int64_t n) { return ":" + std::to_string(n) + "\r\n"; }
std::string Bulk(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

class HandoverTest : public ProxyTest {
 protected:
  enum class Warning {
    kTimely,  // proxies hold before redis is paused
    kLate,    // the pause is there first, and catches writes
    kNone,    // and HOLD is heard in the same moment as the new leader
  };

  // What a leading coordinator does when it hands over.
  void HandOver(const Endpoint& from, const Endpoint& to, uint64_t term, Warning warning) {
    if (warning == Warning::kTimely) {
      Hold();
      usleep(10000);  // what was in flight is answered meanwhile
    }
    EXPECT_EQ(Direct(from, {"CLIENT", "PAUSE", "5000", "WRITE"}), "+OK\r\n");
    if (warning == Warning::kLate) {
      usleep(30000);
      Hold();
    }
    AwaitInSync(from, to);
    EXPECT_EQ(Direct(from, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
    EXPECT_EQ(Info(to, "slave_repl_offset"), Info(from, "slave_repl_offset"));
    EXPECT_EQ(Direct(to, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
    if (warning == Warning::kNone) {
      watch_->SetWriteState(hive::v1::WRITE_STATE_HOLD);
      watch_->AwaitHeard();
    }
    watch_->SetLeader(term, to, term);
    if (warning != Warning::kTimely) usleep(20000);  // proxies know the new leader before the old redis may answer
    EXPECT_EQ(Direct(from, {"CLIENT", "UNPAUSE"}), "+OK\r\n");
    Replicate(from, to);
    AwaitInSync(to, from);
  }
  // Returns once the proxy holds commands.
  void Hold() {
    RespClient witness(proxy_);
    watch_->SetWriteState(hive::v1::WRITE_STATE_HOLD);
    do witness.Send("PING\r\n");
    while (witness.Reply(20) == "+PONG\r\n");
  }

  // --- clients ---

  // Appends to a list of its own, `depth` commands at a time, with reads between them.
  void AddPipeliner(Crowd& crowd, int number, int depth) {
    crowd.Add([this, &crowd, number, depth] {
      const std::string who = "pipeliner " + std::to_string(number);
      const std::string key = "list:" + std::to_string(number);
      RespClient client(proxy_);
      int64_t length = 0;
      while (!crowd.stopping()) {
        std::string batch;
        for (int i = 0; i < depth; ++i) {
          batch += "RPUSH " + key + " " + std::to_string(length + i) + "\r\nLINDEX " + key + " -1\r\n";
        }
        client.Send(batch);
        for (int i = 0; i < depth; ++i) {
          if (!crowd.Expect(who, client.Reply(), Integer(length + 1))) return;
          if (!crowd.Expect(who, client.Reply(), Bulk(std::to_string(length)))) return;
          ++length;
        }
        appended_ += depth;
        usleep(2000);
      }
      client.Send("LRANGE " + key + " 0 -1\r\n");
      std::string expected = "*" + std::to_string(length) + "\r\n";
      for (int64_t i = 0; i < length; ++i) expected += Bulk(std::to_string(i));
      if (client.Reply() != expected) crowd.Expect(who, "another list", "0 1 2 ...");
    });
  }

  // Counts, one command at a time, on connections of the given database and name.
  void AddCounter(Crowd& crowd, int number) {
    crowd.Add([this, &crowd, number] {
      const std::string who = "counter " + std::to_string(number);
      RespClient client(proxy_);
      crowd.Expect(who, client.Command({"SELECT", "3"}), "+OK\r\n");
      crowd.Expect(who, client.Command({"CLIENT", "SETNAME", "counter"}), "+OK\r\n");
      const std::string key = "counter:" + std::to_string(number);
      for (int64_t n = 1; !crowd.stopping(); ++n) {
        if (!crowd.Expect(who, client.Command({"INCR", key}), Integer(n))) return;
        usleep(500);
      }
      crowd.Expect(who, client.Command({"CLIENT", "GETNAME"}), Bulk("counter"));
    });
  }

  // A queue: one client pushes now and then, another is blocked in between.
  void AddQueue(Crowd& crowd, int number) {
    const std::string key = "queue:" + std::to_string(number);
    crowd.Add([this, &crowd, key] {
      RespClient client(proxy_);
      for (int64_t n = 0; !crowd.stopping(); ++n) {
        // The other one may be on its way to the new leader: how many wait for it is anyone's guess.
        const std::string reply = client.Command({"RPUSH", key, std::to_string(n)});
        if (!reply.starts_with(":")) return (void)crowd.Expect("pusher of " + key, reply, "an integer");
        usleep(20000);
      }
      client.Command({"RPUSH", key, "end"});
    });
    crowd.Add([this, &crowd, key] {
      RespClient client(proxy_);
      const std::string head = "*2\r\n" + Bulk(key);
      for (int64_t n = 0;; ++n) {
        const std::string reply = client.Command({"BLPOP", key, "10"});
        if (reply == head + Bulk("end")) return;
        if (!crowd.Expect("popper of " + key, reply, head + Bulk(std::to_string(n)))) return;
      }
    });
  }

  // Transactions, sent whole, or word by word with a pause behind each: then leadership moves in their midst.
  void AddTransactor(Crowd& crowd, int number, useconds_t pause) {
    crowd.Add([this, &crowd, number, pause] {
      const std::string who = "transactor " + std::to_string(number);
      const std::string a = "a:" + std::to_string(number), b = "b:" + std::to_string(number);
      RespClient client(proxy_);
      for (int64_t n = 1; !crowd.stopping(); ++n) {
        const std::pair<std::string, std::string> kWords[] = {{"MULTI\r\n", "+OK\r\n"},
                                                              {"INCR " + a + "\r\n", "+QUEUED\r\n"},
                                                              {"DECR " + b + "\r\n", "+QUEUED\r\n"},
                                                              {"EXEC\r\n", "*2\r\n" + Integer(n) + Integer(-n)}};
        std::string whole;
        for (const auto& [command, reply] : kWords) whole += command;
        if (pause == 0) client.Send(whole);
        for (const auto& [command, reply] : kWords) {
          if (pause > 0) client.Send(command);
          if (!crowd.Expect(who, client.Reply(), reply)) return;
          usleep(std::max<useconds_t>(pause, 300));
        }
      }
    });
  }

  // 52 clients of every kind.
  void AddEveryone(Crowd& crowd) {
    for (int i = 0; i < 20; ++i) AddPipeliner(crowd, i, i < 10 ? 16 : 2);
    for (int i = 0; i < 8; ++i) AddCounter(crowd, i);
    for (int i = 0; i < 9; ++i) AddQueue(crowd, i);
    for (int i = 0; i < 6; ++i) AddTransactor(crowd, i, i < 3 ? 0 : 7000);
  }

  void HandOverAgainAndAgain(Warning warning, int times, std::vector<std::string> proxy_flags = {}) {
    StartPair(std::move(proxy_flags));
    RespClient idle(proxy_);
    RespClient subscriber(proxy_);
    EXPECT_EQ(idle.Command({"SELECT", "5"}), "+OK\r\n");
    EXPECT_EQ(idle.Command({"SET", "mine", "v"}), "+OK\r\n");
    EXPECT_EQ(subscriber.Command({"SUBSCRIBE", "news"}), "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    Crowd crowd;
    AddEveryone(crowd);
    usleep(200000);
    for (int i = 0; i < times; ++i) {
      const bool back = i % 2 == 1;
      const int64_t before = appended_;
      HandOver(back ? redis_b_ : redis_a_, back ? redis_a_ : redis_b_, static_cast<uint64_t>(i) + 2, warning);
      usleep(200000);
      EXPECT_GT(appended_, before);
      if (!crowd.complaints().empty()) break;
    }
    crowd.Stop();
    EXPECT_EQ(crowd.complaints(), "");
    EXPECT_EQ(idle.Command({"GET", "mine"}), Bulk("v"));
    EXPECT_EQ(idle.Command({"PUBLISH", "news", "hi"}), Integer(1));
    EXPECT_EQ(subscriber.Reply(1000), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    RecordProperty("appended", std::to_string(appended_));
  }

  std::atomic<int64_t> appended_ = 0;
};

TEST_F(HandoverTest, FiftyClientsNoticeNothing) { HandOverAgainAndAgain(Warning::kTimely, 8); }

TEST_F(HandoverTest, WritesThatThePauseHasCaughtGoToTheNewLeader) { HandOverAgainAndAgain(Warning::kLate, 6); }

TEST_F(HandoverTest, HoldHeardTogetherWithTheNewLeaderIsEnough) { HandOverAgainAndAgain(Warning::kNone, 6); }

TEST_F(HandoverTest, ConfirmationsAwaitedAreGivenByTheNewLeadersReplicas) {
  HandOverAgainAndAgain(Warning::kLate, 6, {"--write-acks=1"});
}

TEST_F(HandoverTest, ConfirmationsAwaitedWhenThereIsNoWarning) {
  HandOverAgainAndAgain(Warning::kNone, 6, {"--write-acks=1"});
}

TEST_F(HandoverTest, AnOldRedisThatNeverAnswersClosesItsWriters) {
  StartPair();
  RespClient writer(proxy_);
  RespClient reader(proxy_);
  EXPECT_EQ(writer.Command({"SET", "k", "1"}), "+OK\r\n");
  EXPECT_EQ(reader.Command({"GET", "k"}), Bulk("1"));
  AwaitInSync(redis_a_, redis_b_);
  EXPECT_EQ(Direct(redis_a_, {"CLIENT", "PAUSE", "5000", "WRITE"}), "+OK\r\n");
  writer.Send("SET k 2\r\n");
  usleep(50000);
  Hold();
  EXPECT_EQ(Direct(redis_a_, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  Switch();
  EXPECT_EQ(reader.Command({"SET", "k", "3"}), "+OK\r\n");  // who waits for nothing goes on at once
  EXPECT_TRUE(writer.Quiet(200));
  EXPECT_EQ(writer.Reply(1000), "<closed>");
  EXPECT_EQ(reader.Command({"GET", "k"}), Bulk("3"));
}

TEST_F(HandoverTest, WithoutHoldAWriteThatThePauseHasCaughtIsClosedAtOnce) {
  StartPair();
  RespClient writer(proxy_);
  EXPECT_EQ(writer.Command({"SET", "k", "1"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_a_, {"CLIENT", "PAUSE", "5000", "WRITE"}), "+OK\r\n");
  writer.Send("SET k 2\r\n");
  usleep(50000);
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  Switch();
  EXPECT_EQ(writer.Reply(300), "<closed>");
}

TEST_F(HandoverTest, WaitCoversWhatWasWrittenBeforeTheHandover) {
  StartPair();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "1"}), "+OK\r\n");
  HandOver(redis_a_, redis_b_, 2, Warning::kTimely);
  RespClient other(proxy_);
  EXPECT_EQ(other.Command({"PING"}), "+PONG\r\n");
  a_->Signal(SIGSTOP);
  usleep(50000);
  EXPECT_EQ(other.Command({"SET", "k", "2"}), "+OK\r\n");
  // Nothing was written over this client's new link: redis would say at once that its one replica has all of that.
  EXPECT_EQ(client.Command({"WAIT", "1", "300"}), Integer(0));
  a_->Signal(SIGCONT);
  EXPECT_EQ(client.Command({"WAIT", "1", "3000"}), Integer(1));
}

// Another proxy hears of the new leader first, and its client is told of a write there.
TEST_F(HandoverTest, NothingOlderIsReadThanWhatTheNewLeaderHasAcknowledged) {
  StartPair();
  RespClient reader(proxy_);
  RespClient newcomer(proxy_);
  EXPECT_EQ(reader.Command({"SET", "k", "old"}), "+OK\r\n");
  AwaitInSync(redis_a_, redis_b_);
  Hold();
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  EXPECT_EQ(Direct(redis_b_, {"SET", "k", "new"}), "+OK\r\n");
  reader.Send("GET k\r\n");
  newcomer.Send("GET k\r\n");
  usleep(100000);
  Switch();
  EXPECT_EQ(reader.Reply(), Bulk("new"));
  EXPECT_EQ(newcomer.Reply(), Bulk("new"));
}

// Others publish at the new leader before this proxy knows of it, and while its subscribers move.
TEST_F(HandoverTest, SubscribersMissNoMessageAndGetNoneTwice) {
  StartPair();
  RespClient plain(proxy_);
  RespClient pattern(proxy_);
  RespClient pushes(proxy_);
  EXPECT_TRUE(plain.Command({"SUBSCRIBE", "news"}).starts_with("*3"));
  EXPECT_TRUE(pattern.Command({"PSUBSCRIBE", "n*"}).starts_with("*3"));
  EXPECT_TRUE(pushes.Command({"HELLO", "3"}).starts_with("%"));
  EXPECT_TRUE(pushes.Command({"SUBSCRIBE", "news"}).starts_with(">3"));
  AwaitInSync(redis_a_, redis_b_);
  Hold();
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  Replicate(redis_a_, redis_b_);
  AwaitInSync(redis_b_, redis_a_);
  constexpr int kMessages = 2000;
  RespClient publisher(redis_b_);
  for (int i = 0; i < kMessages; ++i) {
    if (i == kMessages / 2) Switch();
    EXPECT_TRUE(publisher.Command({"PUBLISH", "news", std::to_string(i)}).starts_with(":"));
  }
  for (int i = 0; i < kMessages; ++i) {
    const std::string message = Bulk("news") + Bulk(std::to_string(i));
    ASSERT_EQ(plain.Reply(), "*3\r\n$7\r\nmessage\r\n" + message);
    ASSERT_EQ(pattern.Reply(), "*4\r\n$8\r\npmessage\r\n" + Bulk("n*") + message);
    ASSERT_EQ(pushes.Reply(), ">3\r\n$7\r\nmessage\r\n" + message);
  }
  EXPECT_EQ(plain.Command({"UNSUBSCRIBE", "news"}), "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n");
  EXPECT_EQ(plain.Command({"PING"}), "+PONG\r\n");
}

TEST_F(HandoverTest, AHandoverThatFailsLeavesTheOldLeader) {
  StartPair();
  RespClient writer(proxy_);
  RespClient popper(proxy_);
  EXPECT_EQ(writer.Command({"SET", "k", "1"}), "+OK\r\n");
  popper.SendCommand({"BLPOP", "q", "10"});
  Hold();
  writer.Send("INCR k\r\n");
  EXPECT_EQ(Direct(redis_a_, {"REPLICAOF", "127.0.0.1", "1"}), "+OK\r\n");
  usleep(50000);
  EXPECT_EQ(Direct(redis_a_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  watch_->SetWriteState(hive::v1::WRITE_STATE_OPEN);
  EXPECT_EQ(writer.Reply(), Integer(2));
  EXPECT_EQ(writer.Command({"RPUSH", "q", "x"}), Integer(1));
  EXPECT_EQ(popper.Reply(), "*2\r\n" + Bulk("q") + Bulk("x"));
}

}  // namespace
}  // namespace hive::proxy
