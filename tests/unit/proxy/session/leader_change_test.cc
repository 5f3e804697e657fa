// Goal: the table "When the leader changes" of docs/proxy.md, cell by cell. Method: a session whose client, server,
// gates and clock are played by the test; see harness.h.
#include <algorithm>

#include "tests/unit/proxy/session/harness.h"

namespace hive::proxy {
namespace {

const LinkEnd kEveryEnd[] = {LinkEnd::kCrashed, LinkEnd::kCut};

// --- nothing in flight ---

TEST(NothingInFlight, NoticesNothing) {
  for (const LinkEnd end : kEveryEnd) {
    Harness h;
    h.Client("SET k v\r\n");
    EXPECT_EQ(h.Sent(), "SET k v\r\n");
    h.Server("+OK\r\n");
    EXPECT_EQ(h.Out(), "+OK\r\n");
    EXPECT_TRUE(h.End(end));
    EXPECT_EQ(h.session.NextRoute(), Route::kNone);  // lazily: with its next command
    h.Client("GET k\r\n");
    EXPECT_NE(h.session.NextRoute(), Route::kNone);
    h.Link();
    EXPECT_EQ(h.Sent(), "GET k\r\n");
    EXPECT_EQ(h.Out(), "");
  }
}

TEST(NothingInFlight, StateIsReplayedBeforeTheNextCommand) {
  Harness h;
  h.Client("AUTH app secret\r\nSELECT 3\r\nCLIENT SETNAME me\r\n");
  h.Sent();
  h.Server("+OK\r\n+OK\r\n+OK\r\n");
  h.Out();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("GET k\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(),
            "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\nsecret\r\n"
            "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
            "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n");
  EXPECT_EQ(h.Sent(), "");  // nothing rides behind credentials that may fail
  h.Server("+OK\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(h.Sent(), "GET k\r\n");
  h.Server("$1\r\nv\r\n");
  EXPECT_EQ(h.Out(), "$1\r\nv\r\n");
}

TEST(NothingInFlight, WhatTheServerRefusedIsNotReplayed) {
  Harness h;
  h.Client("AUTH app wrong\r\nSELECT 99\r\n");
  h.Sent();
  h.Server("-WRONGPASS no\r\n-ERR DB index is out of range\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("GET k\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "GET k\r\n");
}

TEST(NothingInFlight, Hello3IsReplayedWithItsCredentials) {
  Harness h;
  h.Client("HELLO 3 AUTH default secret SETNAME me\r\n");
  h.Sent();
  h.Server("%1\r\n+proto\r\n:3\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("GET k\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(),
            "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$6\r\nsecret\r\n"
            "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n");
}

TEST(NothingInFlight, FailedReplayOfCredentialsCloses) {
  Harness h;
  h.Client("AUTH app secret\r\n");
  h.Sent();
  h.Server("+OK\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("SET k v\r\n");
  h.Link();
  h.Sent();
  EXPECT_FALSE(h.Server("-WRONGPASS invalid\r\n"));
  EXPECT_EQ(h.last.action, ReplyAction::kClose);
}

TEST(NothingInFlight, ResetForgetsEverything) {
  Harness h;
  h.Client("SELECT 3\r\nRESET\r\n");
  h.Sent();
  h.Server("+OK\r\n+RESET\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("GET k\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "GET k\r\n");
}

// --- a new command ---

TEST(NewCommand, IsHeldAndSentToTheNewLeader) {
  Harness h;
  h.End(LinkEnd::kCrashed);
  h.Client("SET k v\r\nGET k\r\n");
  EXPECT_EQ(h.Sent(Harness::kClosed), "");
  h.Pass(Seconds(9));
  EXPECT_FALSE(h.session.ExpireHeld(Seconds(10), h.now));
  h.Link();
  EXPECT_EQ(h.Sent(), "SET k v\r\nGET k\r\n");
}

TEST(NewCommand, IsAnsweredMasterdownAfterTheHoldTimeoutAndNeverSent) {
  Harness h;
  h.End(LinkEnd::kCrashed);
  h.Client("SET k v\r\nGET k\r\n");
  h.Pass(Seconds(10));
  EXPECT_FALSE(h.session.ExpireHeld(Seconds(10), h.now));
  const std::string out = h.Out();
  EXPECT_TRUE(out.starts_with("-MASTERDOWN "));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
  h.Link();
  EXPECT_EQ(h.Sent(), "");
  EXPECT_TRUE(h.session.idle());
}

TEST(NewCommand, MultiThatTimedOutTakesItsTransactionWithIt) {
  Harness h;
  h.End(LinkEnd::kCrashed);
  h.Client("MULTI\r\nINCR k\r\n");
  h.Pass(Seconds(10));
  EXPECT_FALSE(h.session.ExpireHeld(Seconds(10), h.now));
  h.Out();
  h.Client("INCR k\r\nEXEC\r\n");
  EXPECT_EQ(h.Out(), "+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "");
}

// What is held is answered after the hold timeout, and nothing of it is left for the next command.
void ExpectHeldTooLongEndsLink(Harness& h) {
  h.Pass(Seconds(10));
  EXPECT_TRUE(h.session.ExpireHeld(Seconds(10), h.now));
  EXPECT_TRUE(h.Out().starts_with("-MASTERDOWN"));
  EXPECT_TRUE(h.End(LinkEnd::kDemoted));
  h.Client("GET k\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "GET k\r\n");
}

TEST(NewCommand, ExecThatTimedOutEndsTheLinkOnWhichItsTransactionIsOpen) {
  Harness h;
  h.Client("MULTI\r\nINCR k\r\n");
  EXPECT_EQ(h.Sent(), "MULTI\r\nINCR k\r\n");
  h.Server("+OK\r\n+QUEUED\r\n");
  h.Client("EXEC\r\n");
  EXPECT_EQ(h.Sent(Harness::kNoWrites), "");  // it is EXEC that writes
  h.Out();
  ExpectHeldTooLongEndsLink(h);
}

TEST(NewCommand, HalfSentThatTimedOutEndsTheLinkThatHasItsBeginning) {
  Harness h;
  h.Client("SET k v\r\n");
  h.session.Sent(4, h.now);
  ExpectHeldTooLongEndsLink(h);
}

TEST(NewCommand, BeyondTheMemoryThatIsLeftIsAnsweredAtOnce) {
  Harness h;
  h.End(LinkEnd::kCrashed);
  h.Client("GET k\r\n");
  h.Client("SET k v\r\n", /*memory_left=*/false);
  EXPECT_EQ(h.Out(), "");  // in its place
  h.Link();
  EXPECT_EQ(h.Sent(), "GET k\r\n");
  h.Server("$-1\r\n");
  EXPECT_TRUE(h.Out().starts_with("$-1\r\n-MASTERDOWN "));
}

// --- a read in flight ---

TEST(ReadInFlight, IsSentAgainWhenTheLinkWasCut) {
  Harness h;
  h.Client("GET a\r\nGET b\r\n");
  h.Sent();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  EXPECT_NE(h.session.NextRoute(), Route::kNone);
  h.Link();
  EXPECT_EQ(h.Sent(), "GET a\r\nGET b\r\n");
  h.Server("$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_EQ(h.Out(), "$1\r\na\r\n$1\r\nb\r\n");
}

TEST(ReadInFlight, OnlyOnce) {
  Harness h;
  h.Client("GET a\r\n");
  h.Sent();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Link();
  h.Sent();
  EXPECT_FALSE(h.End(LinkEnd::kCut));
}

TEST(ReadInFlight, OldestAtACrashClosesForItMayHaveKilledTheServer) {
  Harness h;
  h.Client("GET a\r\nGET b\r\n");
  h.Sent();
  h.Server("$-1\r\n");
  EXPECT_FALSE(h.End(LinkEnd::kCrashed));
}

TEST(ReadInFlight, ClosesWhenTheServerHadStoppedAnswering) {
  Harness h;
  h.Client("GET a\r\n");
  h.Sent();
  h.last_answer = h.now - Millis(1);
  h.Pass(kStoppedAnswering);
  EXPECT_FALSE(h.End(LinkEnd::kCut));
}

TEST(ReadInFlight, IsSentAgainWhenTheServerHadAnsweredOthersSince) {
  Harness h;
  h.Client("GET a\r\n");
  h.Sent();
  h.Pass(kStoppedAnswering);
  h.last_answer = h.now;
  EXPECT_TRUE(h.End(LinkEnd::kCut));
}

TEST(ReadInFlight, HalfAnsweredCloses) {
  Harness h;
  h.Client("GET a\r\n");
  h.Sent();
  const ReplyDecision decision = h.session.OnReply({'$', "$100\r\nabc", {}, false}, Confirmation::kGiven);
  EXPECT_EQ(decision.action, ReplyAction::kRelay);
  EXPECT_FALSE(h.End(LinkEnd::kCut));
}

// --- what is counted ---

TEST(Counted, AreCommandsToBeSentAgain) {
  Harness h;
  h.Client("GET a\r\nGET b\r\n");
  h.Sent();
  h.Client("GET c\r\n");
  EXPECT_FALSE(h.session.outcome_unknown());
  EXPECT_EQ(h.session.LinkEnded(LinkEnd::kCut, h.last_answer, h.now), 2u) << "the third was never sent";
  EXPECT_EQ(h.session.LinkEnded(LinkEnd::kNotReady, h.last_answer, h.now), 0u);
}

TEST(Counted, AreWritesOfUnknownOutcome) {
  Harness h;
  h.Client("GET a\r\nSET a 1\r\n");
  EXPECT_FALSE(h.session.outcome_unknown()) << "not sent";
  h.Sent();
  EXPECT_TRUE(h.session.outcome_unknown());
  EXPECT_EQ(h.session.LinkEnded(LinkEnd::kCut, h.last_answer, h.now), std::nullopt);
  EXPECT_TRUE(h.session.outcome_unknown());
}

TEST(Counted, WhatIsOnlyQueuedIsNoWrite) {
  Harness h;
  h.Client("MULTI\r\nSET a 1\r\n");
  h.Sent();
  h.Server("+OK\r\n");
  EXPECT_FALSE(h.session.outcome_unknown());
  h.Client("EXEC\r\n");
  h.Sent();
  EXPECT_TRUE(h.session.outcome_unknown());
}

// --- a write in flight ---

TEST(WriteInFlight, ClosesForItsOutcomeIsUnknown) {
  for (const LinkEnd end : kEveryEnd) {
    for (const std::string_view write :
         {"SET k v\r\n", "NOSUCH k\r\n", "EVAL x 0\r\n", "PUBLISH c m\r\n", "WAIT 1 0\r\n"}) {
      Harness h;
      h.Client(write);
      h.Sent();
      EXPECT_FALSE(h.End(end)) << write;
    }
  }
}

TEST(WriteInFlight, BehindAReadClosesToo) {
  Harness h;
  h.Client("GET k\r\nSET k v\r\n");
  h.Sent();
  EXPECT_FALSE(h.End(LinkEnd::kCut));
}

TEST(WriteInFlight, OfWhichTheLastByteWasNotSentIsSentAgain) {
  Harness h;
  h.Client("SET k v\r\n");
  ASSERT_EQ(h.session.ToSend(Harness::kOpen), "SET k v\r\n");
  h.session.Sent(8, h.now);
  ASSERT_TRUE(h.End(LinkEnd::kCrashed));
  h.Link();
  EXPECT_EQ(h.Sent(), "SET k v\r\n");
}

TEST(WriteInFlight, RefusedByADemotedLeaderIsSentToTheNext) {
  for (const std::string_view refusal :
       {"-READONLY You can't write against a read only replica.\r\n", "-MASTERDOWN Link with MASTER is down\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n"}) {
    Harness h;
    h.Client("SET k v\r\n");
    h.Sent();
    EXPECT_FALSE(h.Server(refusal));
    EXPECT_EQ(h.last.action, ReplyAction::kDropLink);
    EXPECT_TRUE(h.last.leader_refused);
    ASSERT_TRUE(h.End(LinkEnd::kDemoted));
    EXPECT_EQ(h.Out(), "");
    h.Link();
    EXPECT_EQ(h.Sent(), "SET k v\r\n");
  }
}

TEST(WriteInFlight, RefusedKeepsTheOrderOfWhatIsBehindIt) {
  Harness h;
  h.Client("SET k v\r\nGET k\r\nSET k w\r\n");
  h.Sent();
  EXPECT_TRUE(h.Server("-READONLY no\r\n"));
  EXPECT_TRUE(h.Server("$3\r\nold\r\n"));
  EXPECT_FALSE(h.Server("-READONLY no\r\n"));
  EXPECT_EQ(h.last.action, ReplyAction::kDropLink);
  ASSERT_TRUE(h.End(LinkEnd::kDemoted));
  EXPECT_EQ(h.Out(), "");
  h.Link();
  EXPECT_EQ(h.Sent(), "SET k v\r\nGET k\r\nSET k w\r\n");
}

TEST(WriteInFlight, RefusedAndThenCutBeforeTheNextOneWasAnsweredCloses) {
  Harness h;
  h.Client("SET k v\r\nSET k w\r\n");
  h.Sent();
  EXPECT_TRUE(h.Server("-READONLY no\r\n"));
  EXPECT_FALSE(h.End(LinkEnd::kCut));
}

TEST(WriteInFlight, ExecutedBehindARefusedOneCloses) {
  Harness h;
  h.Client("SET k v\r\nSET k w\r\n");
  h.Sent();
  EXPECT_TRUE(h.Server("-READONLY no\r\n"));
  EXPECT_FALSE(h.Server("+OK\r\n"));
  EXPECT_EQ(h.last.action, ReplyAction::kClose);
}

TEST(WriteInFlight, RefusedButTooLargeToBeKeptIsAnErrorThatSaysSo) {
  Harness h;
  resp::RequestScanner scanner;
  const std::string_view head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nxxx";
  ASSERT_EQ(scanner.Scan(head), resp::RequestStatus::kIncomplete);
  const resp::Request request = scanner.request(head);
  h.session.AddStreamed(request, h.commands->Classify(request), h.now);
  EXPECT_EQ(h.session.body(Harness::kClosed), BodyState::kWaiting);
  EXPECT_EQ(h.session.body(Harness::kOpen), BodyState::kSending);
  h.session.BodyEnded(h.now);
  h.Server("-READONLY no\r\n");
  EXPECT_TRUE(h.Out().starts_with("-MASTERDOWN the leader changed before"));
  EXPECT_TRUE(h.session.idle());
}

// --- the lease ---

TEST(Lease, WithoutItWritesAreHeldAndTheirRepliesWithheld) {
  Harness h;
  h.Client("SET k v\r\nGET k\r\nSET k w\r\n");
  EXPECT_EQ(h.Sent(Harness::kNoWrites), "");
  EXPECT_EQ(h.Sent(), "SET k v\r\nGET k\r\nSET k w\r\n");
  EXPECT_FALSE(h.Server("+OK\r\n", /*may_confirm=*/false));
  EXPECT_EQ(h.last.action, ReplyAction::kWithhold);
  EXPECT_TRUE(h.Server("+OK\r\n$1\r\nv\r\n"));
  EXPECT_FALSE(h.Server("+OK\r\n", /*may_confirm=*/false));
  EXPECT_EQ(h.Out(), "+OK\r\n$1\r\nv\r\n");
}

TEST(Lease, ReadsNeedNone) {
  Harness h;
  h.Client("GET k\r\nSET k v\r\nGET k\r\n");
  EXPECT_EQ(h.Sent(Harness::kNoWrites), "GET k\r\n");
  EXPECT_TRUE(h.Server("$-1\r\n", /*may_confirm=*/false));
}

// --- nothing is heard of the leader ---

TEST(Overdue, IsWhatHasBeenInFlightForTooLong) {
  Harness h;
  EXPECT_FALSE(h.session.Overdue(Duration::zero(), false, h.now));
  h.Client("SET k v\r\nGET k\r\n");
  h.Pass(Seconds(10));  // not sent: ExpireHeld's
  EXPECT_FALSE(h.session.Overdue(Seconds(10), false, h.now));
  h.Sent();
  EXPECT_FALSE(h.session.Overdue(Seconds(10), false, h.now));
  h.Pass(Millis(9999));
  EXPECT_FALSE(h.session.Overdue(Seconds(10), false, h.now));
  h.Pass(Millis(1));
  EXPECT_TRUE(h.session.Overdue(Seconds(10), false, h.now));
  EXPECT_FALSE(h.Server("+OK\r\n", Confirmation::kNoLease));
  EXPECT_TRUE(h.session.Overdue(Seconds(10), true, h.now));  // answered, but its client may not be told
  h.Server("+OK\r\n$1\r\nv\r\n");
  EXPECT_FALSE(h.session.Overdue(Seconds(10), false, h.now));
}

TEST(Overdue, GrantsTheTimeThatACommandMayBlock) {
  const struct {
    std::string_view command;
    int64_t overdue_after;  // seconds
  } kTable[] = {{"BLPOP q 5\r\n", 15},
                {"BLPOP q 0\r\n", 1000000},
                {"XREAD BLOCK 5000 STREAMS s $\r\n", 15},
                {"WAIT 1 5000\r\n", 15},
                {"GET k\r\n", 10}};
  for (const auto& row : kTable) {
    Harness h;
    h.Client(row.command);
    h.Sent();
    h.Pass(Seconds(row.overdue_after) - Millis(1));
    EXPECT_FALSE(h.session.Overdue(Seconds(10), false, h.now)) << row.command;
    if (row.overdue_after < 1000000) h.Pass(Millis(1));
    EXPECT_EQ(h.session.Overdue(Seconds(10), false, h.now), row.overdue_after < 1000000) << row.command;
    EXPECT_TRUE(h.session.Overdue(Seconds(10), true, h.now)) << row.command;
  }
}

// --- --write-acks ---

TEST(WriteAcks, OnlyRepliesThatSayThatSomethingWasWrittenWait) {
  const struct {
    std::string_view commands;
    std::string_view replies;
    bool waits;
  } kTable[] = {
      {"SET k v\r\n", "+OK\r\n", true},    {"EVAL x 0\r\n", "$-1\r\n", true},
      {"NO.SUCH\r\n", "*0\r\n", true},     {"BLPOP q 1\r\n", "*2\r\n$1\r\nq\r\n$1\r\nv\r\n", true},
      {"GETSET k v\r\n", "$-1\r\n", true}, {"MULTI\r\nSET k v\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", true},
      {"GET k\r\n", "$1\r\nv\r\n", false}, {"SET k\r\n", "-ERR wrong number of arguments\r\n", false},
      {"BLPOP q 1\r\n", "*-1\r\n", false}, {"WATCH k\r\nMULTI\r\nEXEC\r\n", "+OK\r\n+OK\r\n*-1\r\n", false},
      {"SELECT 1\r\n", "+OK\r\n", false},
  };
  for (const auto& row : kTable) {
    for (const Confirmation confirmation : {Confirmation::kAwaited, Confirmation::kTooFew}) {
      Harness h;
      h.Client(row.commands);
      h.Sent();
      const bool passed = h.Server(row.replies, confirmation);
      if (!row.waits) {
        EXPECT_TRUE(passed);
        EXPECT_EQ(h.Out(), row.replies);
      } else if (confirmation == Confirmation::kAwaited) {
        EXPECT_FALSE(passed) << row.commands;
        EXPECT_EQ(h.last.action, ReplyAction::kWithhold);
        EXPECT_FALSE(h.session.idle());
      } else {
        EXPECT_TRUE(passed);
        EXPECT_TRUE(h.Out().ends_with("<unconfirmed>")) << row.commands;
        EXPECT_TRUE(h.session.idle());
      }
    }
  }
}

TEST(WriteAcks, LeaderChangeWhileAwaitedCloses) {
  for (const LinkEnd end : kEveryEnd) {
    Harness h;
    h.Client("SET k v\r\n");
    h.Sent();
    EXPECT_FALSE(h.Server("+OK\r\n", Confirmation::kAwaited));
    EXPECT_FALSE(h.End(end));
  }
}

TEST(WriteAcks, WithoutALeaseEvenAnErrorWaits) {
  Harness h;
  h.Client("SET k v\r\n");
  h.Sent();
  EXPECT_FALSE(h.Server("-ERR no\r\n", Confirmation::kNoLease));
  EXPECT_FALSE(h.Server("-ERR no\r\n", Confirmation::kNeither));
}

TEST(WriteAcks, ThatReplicasDoNotConfirmNeedsNoLease) {
  Harness h;
  h.Client("SET k v\r\n");
  h.Sent();
  EXPECT_FALSE(h.Server("+OK\r\n", Confirmation::kNoLease));
  EXPECT_TRUE(h.Server("+OK\r\n", Confirmation::kNeither));
  EXPECT_EQ(h.Out(), "<unconfirmed>");
}

// --- FENCED, or no lease: there is a leader, and nothing may be written ---

TEST(Fenced, KeepsWhateverMayWriteAndAllThatIsBehindIt) {
  for (const std::string_view command : {"SET k v\r\n", "EVAL return 0\r\n", "FCALL f 0\r\n", "NO.SUCH command\r\n",
                                         "BLPOP k 0\r\n", "PUBLISH c m\r\n", "MULTI\r\n", "WATCH k\r\n"}) {
    Harness h;
    h.Client("GET before\r\n");
    h.Client(command);
    h.Client("GET behind\r\n");
    EXPECT_EQ(h.Sent(Harness::kNoWrites), "GET before\r\n") << command;
    h.Server("$-1\r\n");
    EXPECT_EQ(h.Sent(Harness::kNoWrites), "") << command;
    EXPECT_EQ(h.Sent(), std::string(command) + "GET behind\r\n");
  }
}

// --- HOLD: leadership is about to move, and the next leader may have been written to before this proxy knows it ---

TEST(Hold, KeepsAllNewCommands) {
  for (const std::string_view command :
       {"GET k\r\n", "SET k v\r\n", "XREAD BLOCK 10 STREAMS s 0\r\n", "SUBSCRIBE c\r\n", "SELECT 1\r\n", "MULTI\r\n"}) {
    Harness h;
    h.Client("GET before\r\n");
    EXPECT_EQ(h.Sent(), "GET before\r\n");
    h.Client(command);
    EXPECT_EQ(h.Sent(Harness::kHold), "") << command;
    EXPECT_TRUE(h.Server("$1\r\nv\r\n"));  // what is in flight is answered
    EXPECT_EQ(h.Sent(Harness::kHold), "") << command;
    EXPECT_EQ(h.Sent(), command);  // by the next leader, or by this one if it stays
  }
}

TEST(Hold, KeepsExecOfAnOpenTransaction) {
  Harness h;
  h.Client("MULTI\r\n");
  h.Sent();
  h.Server("+OK\r\n");
  h.Client("SET k v\r\nEXEC\r\nGET k\r\n");
  EXPECT_EQ(h.Sent(Harness::kHold), "SET k v\r\n");
}

TEST(Hold, AWholeTransactionGoesToTheNextLeaderUnharmed) {
  Harness h;
  h.Client("WATCH w\r\nMULTI\r\nSET k v\r\nEXEC\r\n");
  EXPECT_EQ(h.Sent(Harness::kHold), "");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Link();
  EXPECT_EQ(h.Sent(), "WATCH w\r\nMULTI\r\nSET k v\r\nEXEC\r\n");
}

TEST(Hold, IsWorthWaitingForOnlyWhileRepliesAreDue) {
  Harness h;
  EXPECT_FALSE(h.session.AwaitsReplies());
  h.Client("SET k v\r\n");
  EXPECT_FALSE(h.session.AwaitsReplies());
  h.Sent();
  EXPECT_TRUE(h.session.AwaitsReplies());
  h.Server("+OK\r\n");
  EXPECT_FALSE(h.session.AwaitsReplies());
  h.Client("MONITOR\r\n");  // its end cannot be awaited
  h.Sent();
  EXPECT_FALSE(h.session.AwaitsReplies());
}

// --- MULTI and WATCH ---

// A user may lack the permission: then what stands behind it was executed at once.
TEST(Transaction, WritesBehindAMultiThatWasNotAnsweredMayHaveBeenExecuted) {
  Harness h;
  h.Client("MULTI\r\nINCR k\r\n");
  EXPECT_EQ(h.Sent(), "MULTI\r\nINCR k\r\n");
  EXPECT_FALSE(h.End(LinkEnd::kCrashed));
}

constexpr std::string_view kMulti = "*1\r\n$5\r\nMULTI\r\n";

TEST(Transaction, WritesBehindAMultiThatMayBeRefusedWaitForTheRightToWrite) {
  Harness h;
  h.Client("MULTI\r\n");
  h.Sent();
  h.Client("INCR k\r\n");
  EXPECT_EQ(h.Sent(Harness::kNoWrites), "");
  h.Server("+OK\r\n");
  EXPECT_EQ(h.Sent(Harness::kNoWrites), "INCR k\r\n");
}

TEST(Transaction, OpenIsQueuedOnceMoreAndTheClientHearsNothingTwice) {
  for (const LinkEnd end : kEveryEnd) {
    Harness h;
    h.Client("MULTI\r\nINCR a\r\nINCR b\r\n");
    h.Sent();
    h.Server("+OK\r\n+QUEUED\r\n");
    EXPECT_EQ(h.Out(), "+OK\r\n+QUEUED\r\n");
    ASSERT_TRUE(h.End(end));
    h.Client("INCR c\r\n");
    h.Link();
    EXPECT_EQ(h.Sent(Harness::kHold), kMulti);  // nothing rides behind a MULTI that may fail
    EXPECT_EQ(h.Sent(), "");
    h.Server("+OK\r\n");
    EXPECT_EQ(h.Sent(), "INCR a\r\n");
    h.Client("EXEC\r\nGET a\r\n");
    EXPECT_EQ(h.Sent(), "");
    h.Server("+QUEUED\r\n");
    EXPECT_EQ(h.Out(), "");
    EXPECT_EQ(h.Sent(Harness::kHold), "INCR b\r\nINCR c\r\n");
    EXPECT_EQ(h.Sent(), "EXEC\r\nGET a\r\n");
    h.Server("+QUEUED\r\n+QUEUED\r\n*3\r\n:1\r\n:1\r\n:1\r\n$1\r\n1\r\n");
    EXPECT_EQ(h.Out(), "+QUEUED\r\n+QUEUED\r\n*3\r\n:1\r\n:1\r\n:1\r\n$1\r\n1\r\n");
    EXPECT_TRUE(h.session.idle());
    EXPECT_EQ(h.session.memory(), 0u);
  }
}

TEST(Transaction, OpenIsQueuedBehindItsSettings) {
  Harness h;
  h.Client("SELECT 3\r\nCLIENT SETNAME me\r\nMULTI\r\n");
  h.Sent();
  h.Server("+OK\r\n+OK\r\n+OK\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("INCR k\r\nEXEC\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n");
  h.Server("+OK\r\n+OK\r\n");
  EXPECT_EQ(h.Sent(), kMulti);
  h.Server("+OK\r\n");
  EXPECT_EQ(h.Sent(), "INCR k\r\nEXEC\r\n");
}

TEST(Transaction, OpenSurvivesAnyNumberOfLeaders) {
  Harness h;
  h.Client("MULTI\r\nINCR a\r\n");
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n");
  h.Out();
  for (int answered = 0; answered < 2; ++answered) {
    ASSERT_TRUE(h.End(LinkEnd::kCrashed));
    h.Link();
    EXPECT_EQ(h.Sent(), kMulti);
    if (answered == 0) continue;
    h.Server("+OK\r\n");
    EXPECT_EQ(h.Sent(), "INCR a\r\n");
  }
  ASSERT_TRUE(h.End(LinkEnd::kNotReady));
  h.Client("DISCARD\r\n");
  h.Link();
  h.Sent();
  h.Server("+OK\r\n");
  h.Sent();
  h.Server("+QUEUED\r\n");
  EXPECT_EQ(h.Sent(), "DISCARD\r\n");
  h.Server("+OK\r\n");
  EXPECT_EQ(h.Out(), "+OK\r\n");
}

TEST(Transaction, WhatTheNewLeaderDoesNotQueueFailsAtExec) {
  Harness h;
  h.Client("MULTI\r\nSET k v\r\n");
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n");
  h.Out();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("EXEC\r\n");
  h.Link();
  h.Sent();
  h.Server("+OK\r\n");
  h.Sent();
  h.Server("-OOM command not allowed\r\n");
  EXPECT_EQ(h.Sent(), "EXEC\r\n");
  h.Server("-EXECABORT Transaction discarded because of previous errors.\r\n");
  EXPECT_EQ(h.Out(), "-EXECABORT Transaction discarded because of previous errors.\r\n");
}

TEST(Transaction, MultiThatTheNewLeaderRefusesCloses) {
  Harness h;
  h.Client("MULTI\r\nSET k v\r\n");
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Link();
  h.Sent();
  EXPECT_FALSE(h.Server("-NOPERM this user has no permissions to run the 'multi' command\r\n"));
  EXPECT_EQ(h.last.action, ReplyAction::kClose);
}

TEST(Transaction, NewLeaderThatDoesNotLeadEitherIsLeftForTheNext) {
  Harness h;
  h.Client("MULTI\r\nSET k v\r\n");
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Link();
  h.Sent();
  h.Server("+OK\r\n");
  h.Sent();
  EXPECT_FALSE(h.Server("-READONLY no\r\n"));
  EXPECT_EQ(h.last.action, ReplyAction::kDropLink);
  EXPECT_TRUE(h.last.leader_refused);
  ASSERT_TRUE(h.End(LinkEnd::kDemoted));
  h.Link();
  EXPECT_EQ(h.Sent(), kMulti);
}

TEST(Transaction, TooLargeToBeKeptIsAborted) {
  Harness h;
  const std::string set = "SET k " + std::string(60 * 1024, 'x') + "\r\n";
  h.Client("MULTI\r\n" + set + set + set + set + set);
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
  EXPECT_GT(h.session.memory(), 5 * set.size());
  h.Server("+QUEUED\r\n");
  EXPECT_EQ(h.session.memory(), 0u);
  h.Out();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("INCR k\r\nEXEC\r\n");
  EXPECT_EQ(h.Out(), "+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
}

TEST(Transaction, WithAStreamedCommandIsAborted) {
  Harness h;
  h.Client("MULTI\r\n");
  h.Sent();
  h.Server("+OK\r\n");
  resp::RequestScanner scanner;
  const std::string_view head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nxxx";
  scanner.Scan(head);
  const resp::Request request = scanner.request(head);
  h.session.AddStreamed(request, h.commands->Classify(request), h.now);
  EXPECT_EQ(h.session.body(Harness::kOpen), BodyState::kSending);
  h.session.BodyEnded(h.now);
  h.Server("+QUEUED\r\n");
  h.Client("INCR k\r\n");
  h.Sent();
  h.Server("+QUEUED\r\n");
  h.Out();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("EXEC\r\n");
  EXPECT_EQ(h.Out(), "-EXECABORT Transaction discarded because of previous errors.\r\n");
}

// The client was told an error, and expects EXEC to fail, even if the next leader would take the command.
TEST(Transaction, InWhichACommandFailedIsAborted) {
  Harness h;
  h.Client("MULTI\r\nINCR k\r\nSET k\r\n");
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n-ERR wrong number of arguments for 'set' command\r\n");
  h.Out();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("INCR k\r\nWATCH k\r\nMULTI\r\nEXEC\r\nGET k\r\n");
  EXPECT_EQ(h.Out(),
            "+QUEUED\r\n-ERR WATCH inside MULTI is not allowed\r\n-ERR MULTI calls can not be nested\r\n"
            "-EXECABORT Transaction discarded because of previous errors.\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "GET k\r\n");
}

TEST(Transaction, LostAndDiscardedIsOver) {
  Harness h;
  h.Client("WATCH k\r\nMULTI\r\n");
  h.Sent();
  h.Server("+OK\r\n+OK\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("DISCARD\r\nSET k v\r\n");
  EXPECT_EQ(h.Out(), "+OK\r\n+OK\r\n+OK\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "SET k v\r\n");
}

TEST(Transaction, WatchedOneIsNull) {
  for (const bool resp3 : {false, true}) {
    Harness h;
    if (resp3) {
      h.Client("HELLO 3\r\n");
      h.Sent();
      h.Server("%0\r\n");
    }
    h.Client("WATCH k\r\n");
    h.Sent();
    h.Server("+OK\r\n");
    h.Out();
    ASSERT_TRUE(h.End(LinkEnd::kCut));
    h.Client("MULTI\r\nINCR k\r\nEXEC\r\n");
    EXPECT_EQ(h.Out(), std::string("+OK\r\n+QUEUED\r\n") + (resp3 ? "_\r\n" : "*-1\r\n"));
    h.Client("MULTI\r\nINCR k\r\nEXEC\r\n");  // the next one is like any other
    h.Link();
    h.Sent();
    if (resp3) {
      h.Server("%0\r\n");
      h.Sent();
    }
    h.Server("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    EXPECT_EQ(h.Out(), "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
  }
}

TEST(Transaction, UnwatchMakesItFreeAgain) {
  Harness h;
  h.Client("WATCH k\r\n");
  h.Sent();
  h.Server("+OK\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("UNWATCH\r\nMULTI\r\nEXEC\r\n");
  h.Link();
  EXPECT_EQ(h.Sent(), "UNWATCH\r\nMULTI\r\nEXEC\r\n");
}

TEST(Transaction, ExecInFlightCloses) {
  for (const LinkEnd end : kEveryEnd) {
    Harness h;
    h.Client("MULTI\r\nGET k\r\nEXEC\r\n");
    h.Sent();
    h.Server("+OK\r\n+QUEUED\r\n");
    EXPECT_FALSE(h.End(end));
  }
}

TEST(Transaction, HeldExecOfALostOneIsNull) {
  Harness h;
  h.Client("WATCH k\r\nMULTI\r\nINCR k\r\n");
  h.Sent();
  h.Server("+OK\r\n+OK\r\n");  // INCR's +QUEUED is still to come
  h.Client("EXEC\r\n");
  h.Out();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  EXPECT_EQ(h.Out(), "+QUEUED\r\n*-1\r\n");
}

TEST(Transaction, WatchedOneRefusedByADemotedLeaderIsNull) {
  Harness h;
  h.Client("WATCH k\r\nMULTI\r\nINCR k\r\nEXEC\r\n");
  h.Sent();
  h.Server("+OK\r\n+OK\r\n-READONLY no\r\n-EXECABORT Transaction discarded because of previous errors.\r\n");
  EXPECT_TRUE(h.last.leader_refused);
  EXPECT_EQ(h.Out(), "+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n");
}

TEST(Transaction, RefusedByADemotedLeaderIsSentToTheNext) {
  const struct {
    std::string_view replies;
    std::string_view seen;
    std::string_view kept;
  } kTable[] = {
      {"+OK\r\n-READONLY no\r\n-EXECABORT Transaction discarded because of previous errors.\r\n", "+OK\r\n", ""},
      {"+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: READONLY You can't write against a read only "
       "replica.\r\n",
       "+OK\r\n+QUEUED\r\n", "INCR k\r\n"},
      {"+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: LOADING Redis is loading\r\n",
       "+OK\r\n+QUEUED\r\n", "INCR k\r\n"},
  };
  for (const auto& row : kTable) {
    Harness h;
    h.Client("MULTI\r\nINCR k\r\nEXEC\r\n");
    h.Sent();
    EXPECT_FALSE(h.Server(row.replies));
    EXPECT_EQ(h.last.action, ReplyAction::kDropLink);
    EXPECT_EQ(h.Out(), row.seen);
    ASSERT_TRUE(h.End(LinkEnd::kDemoted));
    h.Link();
    EXPECT_EQ(h.Sent(), kMulti);
    h.Server("+OK\r\n");
    if (!row.kept.empty()) {
      EXPECT_EQ(h.Sent(), row.kept);
      h.Server("+QUEUED\r\n");
    }
    EXPECT_EQ(h.Sent(), std::string(row.kept.empty() ? "INCR k\r\n" : "") + "EXEC\r\n");
    h.Server(std::string(row.kept.empty() ? "+QUEUED\r\n" : "") + "*1\r\n:1\r\n");
    EXPECT_EQ(std::string(row.seen) + h.Out(), "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
  }
}

TEST(Transaction, ExecAbortedForTheClientsOwnErrorIsPassedOn) {
  Harness h;
  h.Client("MULTI\r\nSET k\r\nEXEC\r\n");
  h.Sent();
  const std::string_view replies =
      "+OK\r\n-ERR wrong number of arguments for 'set' command\r\n-EXECABORT Transaction discarded because of previous "
      "errors.\r\n";
  EXPECT_TRUE(h.Server(replies));
  EXPECT_EQ(h.Out(), replies);
  EXPECT_FALSE(h.last.leader_refused);
}

TEST(Transaction, MultiThatFailedIsNone) {
  Harness h;
  h.Client("MULTI\r\nSET k v\r\n");
  h.Sent();
  h.Server("-NOAUTH Authentication required.\r\n");
  EXPECT_FALSE(h.End(LinkEnd::kCut));  // SET was a write like any other
}

TEST(Transaction, ThatChangedTheConnectionCannotBeRepeated) {
  Harness h;
  h.Client("MULTI\r\nSELECT 3\r\nEXEC\r\n");
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
  EXPECT_FALSE(h.End(LinkEnd::kCut));
}

// --- subscribed ---

TEST(Subscribed, SubscribesAgainAndSwallowsTheConfirmations) {
  for (const char mark : {'*', '>'}) {
    for (const LinkEnd end : kEveryEnd) {
      Harness h;
      const std::string m(1, mark);
      if (mark == '>') {
        h.Client("HELLO 3\r\n");
        h.Sent();
        h.Server("%0\r\n");
      }
      h.Client("SUBSCRIBE a b\r\nPSUBSCRIBE p*\r\nUNSUBSCRIBE b\r\n");
      h.Sent();
      h.Server(m + "3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n" + m + "3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n" + m +
               "3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:3\r\n" + m + "3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:2\r\n");
      EXPECT_TRUE(h.session.idle());
      ASSERT_TRUE(h.End(end));
      h.Out();
      EXPECT_NE(h.session.NextRoute(), Route::kNone);  // at once: it listens
      h.Link();
      const std::string hello = mark == '>' ? "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n" : "";
      EXPECT_EQ(h.Sent(), hello + "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n*2\r\n$10\r\nPSUBSCRIBE\r\n$2\r\np*\r\n");
      if (mark == '>') h.Server("%0\r\n");
      const std::string message = m + "3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n";
      h.Server(m + "3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n" + message + m +
               "3\r\n$10\r\npsubscribe\r\n$2\r\np*\r\n:2\r\n");
      EXPECT_EQ(h.Out(), message);
      h.Client("PING\r\n");
      EXPECT_EQ(h.Sent(), "PING\r\n");
    }
  }
}

TEST(Subscribed, InFlightIsSentAgainAndWhatWasConfirmedIsNotConfirmedTwice) {
  Harness h;
  h.Client("SUBSCRIBE a b\r\n");
  h.Sent();
  h.Server("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  ASSERT_TRUE(h.End(LinkEnd::kCrashed));
  h.Out();
  h.Link();
  EXPECT_EQ(h.Sent(), "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n");
  h.Server("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
  EXPECT_EQ(h.Sent(), "SUBSCRIBE a b\r\n");
  h.Server("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
  EXPECT_EQ(h.Out(), "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
  EXPECT_TRUE(h.session.idle());
}

TEST(Subscribed, UnsubscribeFromAllBringsOneConfirmationEach) {
  Harness h;
  h.Client("SUBSCRIBE a b\r\nUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nGET k\r\n");
  h.Sent();
  h.Server(
      "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
      "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n"
      "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n$-1\r\n");
  EXPECT_TRUE(h.session.idle());
  EXPECT_EQ(h.session.NextRoute(), Route::kNone);
}

TEST(Subscribed, MessagesOfARepliesFormAreNotMessages) {
  Harness h;  // not subscribed: an array that begins with "message" is the reply to a command
  h.Client("LRANGE l 0 -1\r\n");
  h.Sent();
  h.Server("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
  EXPECT_TRUE(h.session.idle());
}

// --- blocked ---

TEST(Blocked, UnblockedByADemotionBlocksOnTheNewLeaderWithTheTimeLeft) {
  Harness h;
  h.Client("BLPOP l 10\r\n");
  h.Sent();
  h.Pass(Seconds(4));
  EXPECT_FALSE(h.Server("-UNBLOCKED force unblock from blocking operation, instance state changed\r\n"));
  ASSERT_TRUE(h.End(LinkEnd::kDemoted));
  h.Link();
  EXPECT_EQ(h.Sent(), "*3\r\n$5\r\nBLPOP\r\n$1\r\nl\r\n$5\r\n6.000\r\n");
}

TEST(Blocked, ForEverStaysForEver) {
  Harness h;
  h.Client("BLPOP l 0\r\n");
  h.Sent();
  h.Pass(Seconds(4));
  EXPECT_FALSE(h.Server("-UNBLOCKED x\r\n"));
  ASSERT_TRUE(h.End(LinkEnd::kDemoted));
  h.Link();
  EXPECT_EQ(h.Sent(), "BLPOP l 0\r\n");
}

TEST(Blocked, WithNoTimeLeftDoesNotBlockForEver) {
  Harness h;
  h.Client("BLPOP l 1\r\n");
  h.Sent();
  h.Pass(Seconds(4));
  EXPECT_FALSE(h.Server("-UNBLOCKED x\r\n"));
  ASSERT_TRUE(h.End(LinkEnd::kDemoted));
  h.Link();
  EXPECT_EQ(h.Sent(), "*3\r\n$5\r\nBLPOP\r\n$1\r\nl\r\n$5\r\n0.001\r\n");
}

TEST(Blocked, PoppingClosesSinceNobodyKnowsWhetherItPopped) {
  for (const LinkEnd end : kEveryEnd) {
    for (const std::string_view pop : {"BLPOP l 10\r\n", "BZPOPMIN z 10\r\n", "BLMOVE a b LEFT LEFT 10\r\n",
                                       "XREADGROUP GROUP g c BLOCK 1000 STREAMS s >\r\n"}) {
      Harness h;
      h.Client(pop);
      h.Sent();
      EXPECT_FALSE(h.End(end)) << pop;
    }
  }
}

TEST(Blocked, XreadGoesOnAtTheNewLeader) {
  for (const LinkEnd end : kEveryEnd) {
    Harness h;
    h.Client("XREAD BLOCK 10000 STREAMS s 1-1\r\n");
    h.Sent();
    h.Pass(Seconds(4));
    ASSERT_TRUE(h.End(end));
    EXPECT_NE(h.session.NextRoute(), Route::kNone);
    h.Link();
    EXPECT_EQ(h.Sent(), "*6\r\n$5\r\nXREAD\r\n$5\r\nBLOCK\r\n$4\r\n6000\r\n$7\r\nSTREAMS\r\n$1\r\ns\r\n$3\r\n1-1\r\n");
  }
}

TEST(Blocked, UnblockedWaitIsPassedOn) {
  Harness h;
  h.Client("WAIT 1 0\r\n");
  h.Sent();
  EXPECT_TRUE(h.Server(":0\r\n-UNBLOCKED x\r\n"));
  EXPECT_EQ(h.Out(), "-UNBLOCKED x\r\n");
}

// --- WAIT ---

constexpr std::string_view kPreface = "*3\r\n$8\r\nSPUBLISH\r\n$11\r\n__hive:wait\r\n$0\r\n\r\n";

TEST(Wait, CoversWhatWasWrittenOverAnEarlierLink) {
  Harness h;
  h.Client("SET k v\r\n");
  h.Sent();
  h.Server("+OK\r\n");
  h.Out();
  ASSERT_TRUE(h.End(LinkEnd::kCut));
  h.Client("WAIT 1 100\r\nGET k\r\n");
  EXPECT_EQ(h.Sent(Harness::kNoWrites), "");
  h.Link();
  EXPECT_EQ(h.Sent(), std::string(kPreface) + "WAIT 1 100\r\nGET k\r\n");
  EXPECT_TRUE(h.Server(":0\r\n:1\r\n$1\r\nv\r\n"));
  EXPECT_EQ(h.Out(), ":1\r\n$1\r\nv\r\n");
  EXPECT_TRUE(h.session.idle());
}

TEST(Wait, AServerWithoutShardChannelsChangesNothing) {
  Harness h;
  h.Client("WAIT 1 100\r\n");
  h.Sent();
  EXPECT_TRUE(h.Server("-ERR unknown command\r\n:1\r\n"));
  EXPECT_EQ(h.Out(), ":1\r\n");
}

TEST(Wait, WaitsForNoConfirmationOfItsOwn) {
  for (const Confirmation confirmation : {Confirmation::kAwaited, Confirmation::kTooFew}) {
    Harness h;
    h.Client("WAIT 1 100\r\n");
    h.Sent();
    EXPECT_TRUE(h.Server(":0\r\n:0\r\n", confirmation));
    EXPECT_EQ(h.Out(), ":0\r\n");
  }
}

TEST(Wait, OfWhichOnlyWhatStandsInFrontHasBeenSentKeepsItsReply) {
  Harness h;
  h.Client("WAIT 1 100\r\nGET k\r\n");
  const std::string_view all = h.session.ToSend(Harness::kOpen);
  h.session.Sent(all.find("WAIT"), h.now);
  EXPECT_TRUE(h.Server(":0\r\n"));  // SPUBLISH's
  EXPECT_EQ(h.Out(), "");
  h.Sent();
  h.Server(":1\r\n$1\r\nv\r\n");
  EXPECT_EQ(h.Out(), ":1\r\n$1\r\nv\r\n");
}

TEST(Wait, StandsAloneWhereRepliesMustBeCounted) {
  Harness h;
  h.Client("MULTI\r\nWAIT 1 100\r\n");
  EXPECT_EQ(h.Sent(), "MULTI\r\nWAIT 1 100\r\n");
  Harness opaque;
  opaque.Client("CLIENT REPLY OFF\r\nWAIT 1 100\r\n");
  EXPECT_EQ(opaque.Sent(), "CLIENT REPLY OFF\r\nWAIT 1 100\r\n");
}

TEST(Wait, BehindARefusedWriteIsSentAgainWithWhatBelongsToIt) {
  Harness h;
  h.Client("SET k v\r\nWAIT 1 100\r\n");
  h.Sent();
  EXPECT_TRUE(h.Server("-READONLY no\r\n:0\r\n"));
  EXPECT_FALSE(h.Server("-UNBLOCKED x\r\n"));
  EXPECT_EQ(h.last.action, ReplyAction::kDropLink);
  ASSERT_TRUE(h.End(LinkEnd::kDemoted));
  h.Link();
  EXPECT_EQ(h.Sent(), "SET k v\r\n" + std::string(kPreface) + "WAIT 1 100\r\n");
  EXPECT_TRUE(h.Server("+OK\r\n:0\r\n:1\r\n"));
  EXPECT_EQ(h.Out(), "+OK\r\n:1\r\n");
}

// --- MONITOR, TRACKING, CLIENT REPLY, half-sent request ---

TEST(Unrepeatable, Closes) {
  for (const LinkEnd end : kEveryEnd) {
    for (const std::string_view command : {"MONITOR\r\n", "CLIENT REPLY OFF\r\n", "CLIENT REPLY SKIP\r\n",
                                           "SCRIPT DEBUG YES\r\n", "CLIENT TRACKING ON\r\n"}) {
      Harness h;
      h.Client(command);
      h.Sent();
      if (command == "CLIENT TRACKING ON\r\n") h.Server("+OK\r\n");
      EXPECT_FALSE(h.End(end)) << command;
    }
  }
}

TEST(Unrepeatable, HalfSentRequestCloses) {
  Harness h;
  resp::RequestScanner scanner;
  const std::string_view head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nxxx";
  scanner.Scan(head);
  const resp::Request request = scanner.request(head);
  h.session.AddStreamed(request, h.commands->Classify(request), h.now);
  EXPECT_EQ(h.session.body(Harness::kOpen), BodyState::kSending);
  EXPECT_FALSE(h.End(LinkEnd::kCut));
}

TEST(Unrepeatable, LargeRequestOfWhichNothingWasSentWaits) {
  Harness h;
  h.End(LinkEnd::kCrashed);
  resp::RequestScanner scanner;
  const std::string_view head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nxxx";
  scanner.Scan(head);
  const resp::Request request = scanner.request(head);
  h.session.AddStreamed(request, h.commands->Classify(request), h.now);
  EXPECT_EQ(h.session.body(Harness::kOpen), BodyState::kWaiting);  // no link yet
  h.Link();
  EXPECT_EQ(h.session.body(Harness::kNoWrites), BodyState::kWaiting);
  EXPECT_EQ(h.session.body(Harness::kOpen), BodyState::kSending);
}

TEST(Unrepeatable, OpaqueRelaysEverythingWhileTheLeaseRuns) {
  Harness h;
  h.Client("GET a\r\nMONITOR\r\n");
  h.Sent();
  h.Server("$-1\r\n+OK\r\n+1.0 [0] \"GET\" \"x\"\r\n");
  EXPECT_EQ(h.Out(), "$-1\r\n+OK\r\n+1.0 [0] \"GET\" \"x\"\r\n");
  EXPECT_FALSE(h.Server("+1.0 [0] \"GET\" \"x\"\r\n", /*may_confirm=*/false));
  EXPECT_EQ(h.last.action, ReplyAction::kWithhold);
}

}  // namespace
}  // namespace hive::proxy
