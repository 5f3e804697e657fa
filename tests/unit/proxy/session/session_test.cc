// Goal: replies keep their places, whoever gives them. Method: see harness.h.
#include "tests/unit/proxy/session/harness.h"

namespace hive::proxy {
namespace {

TEST(SessionTest, RefusedCommandIsAnsweredInItsPlace) {
  Harness h;
  h.Client("GET a\r\nSHUTDOWN\r\nGET b\r\n");
  EXPECT_EQ(h.Sent(), "GET a\r\nGET b\r\n");
  EXPECT_EQ(h.Out(), "");
  h.Server("$-1\r\n");
  EXPECT_TRUE(h.Out().starts_with("$-1\r\n-ERR refused by hive-proxy: SHUTDOWN"));
  h.Server("$-1\r\n");
  EXPECT_EQ(h.Out(), "$-1\r\n");
  EXPECT_TRUE(h.session.idle());
}

TEST(SessionTest, RefusedCommandSpoilsItsTransaction) {
  Harness h;
  h.Client("MULTI\r\nSET k v\r\nDEBUG SLEEP 1\r\nEXEC\r\n");
  EXPECT_EQ(h.Sent(), "MULTI\r\nSET k v\r\n*1\r\n$7\r\nDISCARD\r\n");
  h.Server("+OK\r\n+QUEUED\r\n+OK\r\n");
  EXPECT_TRUE(h.Out().ends_with("-EXECABORT Transaction discarded because of previous errors.\r\n"));
}

TEST(SessionTest, QuitIsAnsweredBehindEverythingElse) {
  Harness h;
  h.Client("GET a\r\nQUIT\r\n");
  EXPECT_TRUE(h.session.last_command_taken());
  h.Sent();
  EXPECT_FALSE(h.session.finished());
  h.Server("$-1\r\n");
  EXPECT_EQ(h.Out(), "$-1\r\n+OK\r\n");
  EXPECT_TRUE(h.session.finished());
}

// What a browser can be tricked into sending. Redis closes without a word, whatever else may follow.
TEST(SessionTest, HttpEndsTheConnectionBehindEverythingElse) {
  for (const std::string_view line : {"POST / HTTP/1.1\r\n", "Host: localhost\r\n", "host: x\r\n"}) {
    Harness h;
    h.Client("GET a\r\n");
    h.Client(line);
    EXPECT_TRUE(h.session.last_command_taken());
    EXPECT_EQ(h.Sent(), "GET a\r\n");
    EXPECT_FALSE(h.session.finished());
    h.Server("$-1\r\n");
    EXPECT_EQ(h.Out(), "$-1\r\n");
    EXPECT_TRUE(h.session.finished());
  }
}

TEST(SessionTest, HttpWithinATransactionIsNotQueued) {
  Harness h;
  h.Client("MULTI\r\nPOST x\r\n");
  EXPECT_EQ(h.Sent(), "MULTI\r\n");
  h.Server("+OK\r\n");
  EXPECT_TRUE(h.session.finished());
}

// --hold-memory is for what waits.
TEST(SessionTest, WhatCanBeSentAtOnceNeedsNoRoomToWait) {
  Harness h;
  EXPECT_TRUE(h.MaySendAtOnce("SET k v\r\n", Harness::kOpen));
  EXPECT_FALSE(h.MaySendAtOnce("SET k v\r\n", Harness::kNoWrites));
  EXPECT_TRUE(h.MaySendAtOnce("GET k\r\n", Harness::kNoWrites));
  EXPECT_FALSE(h.MaySendAtOnce("GET k\r\n", Harness::kHold));
  EXPECT_FALSE(h.MaySendAtOnce("GET k\r\n", Harness::kClosed));
  h.Client("SET k v\r\n");
  EXPECT_TRUE(h.MaySendAtOnce("GET k\r\n", Harness::kOpen)) << "both go at once";
  EXPECT_FALSE(h.MaySendAtOnce("GET k\r\n", Harness::kNoWrites)) << "behind a write that waits";
}

TEST(SessionTest, WhatIsQueuedInATransactionCanBeSentWithoutTheRightToWrite) {
  Harness h;
  h.Client("MULTI\r\n");
  EXPECT_EQ(h.Sent(), "MULTI\r\n");
  EXPECT_FALSE(h.MaySendAtOnce("SET k v\r\n", Harness::kNoWrites));  // MULTI may be refused
  h.Server("+OK\r\n");
  EXPECT_TRUE(h.MaySendAtOnce("SET k v\r\n", Harness::kNoWrites));
}

TEST(SessionTest, QuitNeedsNoLeader) {
  Harness h;
  h.End(LinkEnd::kCrashed);
  h.Client("QUIT\r\n");
  EXPECT_EQ(h.Out(), "+OK\r\n");
  EXPECT_TRUE(h.session.finished());
}

TEST(SessionTest, ProtocolErrorIsAnsweredBehindEverythingElse) {
  Harness h;
  h.Client("GET a\r\n");
  h.Sent();
  h.session.AddProtocolError("-ERR Protocol error: x\r\n", "*x\r\n", h.now);
  EXPECT_EQ(h.Out(), "");
  h.Server("$-1\r\n");
  EXPECT_EQ(h.Out(), "$-1\r\n-ERR Protocol error: x\r\n");
  EXPECT_TRUE(h.session.finished());
}

// --- where replies are not told apart ---

TEST(SessionTest, ClientReplyThatSilencesNothingChangesNothing) {
  for (const std::string_view command : {"CLIENT REPLY ON\r\n", "CLIENT REPLY nonsense\r\n", "CLIENT REPLY\r\n",
                                         "CLIENT REPLY OFF OFF\r\n", "SCRIPT DEBUG NO\r\n"}) {
    Harness h;
    h.Client(std::string(command) + "SHUTDOWN\r\nQUIT\r\n");
    EXPECT_EQ(h.Sent(), command);
    EXPECT_TRUE(h.Server("+OK or -ERR\r\n"));
    EXPECT_TRUE(h.Out().ends_with("+OK\r\n")) << command;
    EXPECT_TRUE(h.session.finished());
    EXPECT_FALSE(h.session.broken());
  }
}

TEST(SessionTest, OpaqueConnectionsQuitIsTheServers) {
  for (const std::string_view command : {"MONITOR\r\n", "client reply off\r\n", "CLIENT REPLY SKIP\r\n"}) {
    for (const bool at_once : {false, true}) {
      Harness h;
      h.Client(command);
      if (!at_once) {
        EXPECT_EQ(h.Sent(), command);
      }
      h.Client("QUIT\r\n");
      EXPECT_TRUE(h.session.last_command_taken());
      EXPECT_EQ(h.Sent(Harness::kNoWrites), at_once ? std::string(command) + "QUIT\r\n" : "QUIT\r\n");
      EXPECT_TRUE(h.session.awaits_end());
      EXPECT_FALSE(h.session.broken());
      h.Server("+OK\r\n");
      EXPECT_EQ(h.Out(), "+OK\r\n");
      EXPECT_TRUE(h.End(LinkEnd::kCrashed));  // what the client has not taken yet is sent first
      EXPECT_TRUE(h.session.finished());
    }
  }
}

TEST(SessionTest, OpaqueConnectionsProtocolErrorIsTheServers) {
  Harness h;
  h.Client("CLIENT REPLY SKIP\r\n");
  h.Sent();
  h.session.AddProtocolError("-ERR Protocol error: x\r\n", "*x\r\n", h.now);
  EXPECT_EQ(h.Sent(Harness::kNoWrites), "*x\r\n");
  EXPECT_FALSE(h.session.broken());
  h.Server("-ERR Protocol error: y\r\n");
  EXPECT_EQ(h.Out(), "-ERR Protocol error: y\r\n");
  EXPECT_TRUE(h.End(LinkEnd::kCrashed));
  EXPECT_TRUE(h.session.finished());
}

TEST(SessionTest, OpaqueConnectionsRefusalIsTheServersInItsPlace) {
  Harness h;
  h.Client("MONITOR\r\nSHUTDOWN\r\nGET k\r\n");
  const std::string sent = h.Sent();
  EXPECT_TRUE(sent.starts_with("MONITOR\r\n*1\r\n$"));
  EXPECT_NE(sent.find("\r\nrefused by hive-proxy: SHUTDOWN would"), std::string::npos);
  EXPECT_TRUE(sent.ends_with("\r\nGET k\r\n"));
  EXPECT_FALSE(h.session.broken());
}

TEST(SessionTest, OpaqueConnectionsLargeRefusedCommandIsNotSentEither) {
  Harness h;
  h.Client("MONITOR\r\n");
  h.Sent();
  resp::RequestScanner scanner;
  const std::string_view head = "*2\r\n$5\r\nDEBUG\r\n$1000000\r\nxxx";
  scanner.Scan(head);
  const resp::Request request = scanner.request(head);
  h.session.AddStreamed(request, h.commands->Classify(request), h.now);
  EXPECT_EQ(h.session.body(Harness::kOpen), BodyState::kDiscarding);
  const std::string sent = h.Sent();
  EXPECT_NE(sent.find("\r\nrefused by hive-proxy: DEBUG"), std::string::npos);
  EXPECT_EQ(sent.find("xxx"), std::string::npos);
  h.session.BodyEnded(h.now);
  EXPECT_FALSE(h.session.broken());
}

TEST(SessionTest, QuitBehindAnOpaqueCommandThatWasNeverSentNeedsNoLeader) {
  Harness h;
  h.End(LinkEnd::kCrashed);
  h.Client("MONITOR\r\nQUIT\r\n");
  h.Pass(Seconds(10));
  EXPECT_FALSE(h.session.ExpireHeld(Seconds(10), h.now));
  const std::string out = h.Out();
  EXPECT_TRUE(out.starts_with("-MASTERDOWN "));
  EXPECT_TRUE(out.ends_with("\r\n+OK\r\n"));
  EXPECT_TRUE(h.session.finished());
}

// What a stranger may send is less than the scanner takes for granted.
TEST(SessionTest, ProtocolErrorFoundByTheServerIsTheEnd) {
  Harness h;
  h.Client("DEL 0 1 2 3 4 5 6 7 8 9 10\r\nPING\r\n");
  h.Sent();
  h.Server("-ERR Protocol error: unauthenticated multibulk length\r\n");
  EXPECT_TRUE(h.session.server_ends());
  EXPECT_TRUE(h.End(LinkEnd::kCrashed));
  EXPECT_TRUE(h.session.finished());
  EXPECT_EQ(h.session.NextRoute(), Route::kNone);
}

TEST(SessionTest, IncompleteReplyIsRelayedPieceByPiece) {
  Harness h;
  h.Client("GET a\r\nQUIT\r\n");
  h.Sent();
  EXPECT_EQ(h.session.OnReply({'$', "$10\r\nabc", {}, false}, Confirmation::kGiven).action, ReplyAction::kRelay);
  EXPECT_EQ(h.Out(), "");  // QUIT's reply comes behind all of it
  h.session.ReplyEnded();
  EXPECT_EQ(h.Out(), "+OK\r\n");
}

TEST(SessionTest, IncompleteErrorIsAwaited) {
  Harness h;
  h.Client("SET a b\r\n");
  h.Sent();
  EXPECT_EQ(h.session.OnReply({'-', "-READO", {}, false}, Confirmation::kGiven).action, ReplyAction::kNeedMore);
}

TEST(SessionTest, WhatTheServerSaysUnaskedIsDropped) {
  Harness h;
  EXPECT_TRUE(h.Server("-ERR max number of clients reached\r\n"));
  EXPECT_EQ(h.Out(), "");
}

TEST(SessionTest, PushesAnswerNothing) {
  Harness h;
  h.Client("GET a\r\n");
  h.Sent();
  h.Server(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
  EXPECT_TRUE(h.session.has_in_flight());
  h.Server("$-1\r\n");
  EXPECT_TRUE(h.session.idle());
}

TEST(SessionTest, IdleSessionHoldsNoMemory) {
  Harness h;
  for (int i = 0; i < 10000; ++i) h.Client("GET a\r\n");
  h.Sent();
  EXPECT_GT(h.session.memory(), 10000u);
  for (int i = 0; i < 10000; ++i) h.Server("$-1\r\n");
  EXPECT_EQ(h.session.memory(), 0u);
}

// --- on a lane ---

// A client on a lane of a server that has told its commands.
class LaneHarness : public Harness {
 public:
  LaneHarness() {
    std::string error;
    commands = resp::CommandTable::FromCommandReply(
        "*3\r\n*3\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n"
        "*3\r\n$3\r\nset\r\n:-3\r\n*1\r\n+write\r\n"
        "*3\r\n$4\r\neval\r\n:-3\r\n*1\r\n+noscript\r\n",
        &error);
    EXPECT_EQ(error, "");
    session.Left();
    session.LaneJoined();
  }
};

TEST(SessionOnALane, OnlyWhatMayBeSharedIsSentThere) {
  LaneHarness h;
  h.Client("GET a\r\nEVAL x 0\r\nCLIENT SETNAME n\r\nBLPOP l 0\r\nGET b\r\n");
  EXPECT_EQ(h.session.NextRoute(), Route::kShared);
  EXPECT_EQ(h.Sent(), "GET a\r\nEVAL x 0\r\nCLIENT SETNAME n\r\n");
  EXPECT_EQ(h.session.NextRoute(), Route::kOwn);
  EXPECT_FALSE(h.session.MayMove()) << "what is in flight would be overtaken";
  h.Server("$-1\r\n:1\r\n+OK\r\n");
  ASSERT_TRUE(h.session.MayMove());
  h.session.Left();
  h.Link();
  EXPECT_TRUE(h.Sent().ends_with("SETNAME\r\n$1\r\nn\r\n")) << "what it has said of itself holds there, too";
  h.Server("+OK\r\n");
  EXPECT_EQ(h.Sent(), "BLPOP l 0\r\nGET b\r\n");
}

TEST(SessionOnALane, WhatItNeedsAConnectionOfItsOwnFor) {
  for (const std::string command :
       {"MULTI", "WATCH k", "SUBSCRIBE c", "MONITOR", "BLPOP l 1", "XREAD BLOCK 1 STREAMS s 0", "WAIT 1 1", "AUTH p",
        "HELLO 3", "SELECT 1", "RESET", "CLIENT ID", "CLIENT TRACKING ON", "CLIENT REPLY OFF", "CLIENT KILL a",
        "SCRIPT KILL", "FUNCTION KILL", "NOBODY.KNOWS it"}) {
    Harness h;
    h.Client(command + "\r\n");
    EXPECT_EQ(h.session.NextRoute(), Route::kOwn) << command;
  }
}

TEST(SessionOnALane, WhoHasAskedForItsIdentityKeepsIt) {
  Harness h;
  h.Client("CLIENT ID\r\nGET a\r\n");
  h.Sent();
  h.Server(":7\r\n$-1\r\n");
  EXPECT_FALSE(h.session.MayMove());
  h.Client("GET a\r\n");
  EXPECT_EQ(h.session.NextRoute(), Route::kOwn);
}

TEST(SessionOnALane, ItsNameIsItsOwn) {
  LaneHarness h;
  h.Client("CLIENT GETNAME\r\nCLIENT SETNAME mine\r\nCLIENT GETNAME\r\n");
  h.Sent();
  h.Server("$5\r\nother\r\n+OK\r\n$5\r\nother\r\n");
  EXPECT_EQ(h.Out(), "$-1\r\n+OK\r\n$4\r\nmine\r\n");
}

TEST(SessionOnALane, PlainRepliesAreTakenTogetherUnlessOneMustBeJudged) {
  LaneHarness h;
  h.Client("GET a\r\nSET a 1\r\nGET a\r\n");
  h.Sent();
  EXPECT_FALSE(h.session.AnsweredPlainly(2, /*may_confirm=*/false)) << "a write's";
  EXPECT_EQ(h.session.in_flight(), 3u);
  EXPECT_TRUE(h.session.AnsweredPlainly(1, false));
  EXPECT_TRUE(h.session.AnsweredPlainly(2, true));
  EXPECT_TRUE(h.session.idle());
  EXPECT_FALSE(h.session.AnsweredPlainly(1, true)) << "nothing was asked";
}

TEST(SessionOnALane, OnlyReadsMayBeAskedAgain) {
  LaneHarness h;
  h.Client("GET a\r\nGET b\r\n");
  h.Sent();
  EXPECT_TRUE(h.session.MayAskAgain());
  h.Client("SET a 1\r\n");
  EXPECT_TRUE(h.session.MayAskAgain()) << "not sent yet";
  h.Sent();
  EXPECT_FALSE(h.session.MayAskAgain());
}

TEST(SessionOnALane, OfACrashedLaneOnlyItsOldestCommandIsSuspected) {
  LaneHarness h;
  h.Client("GET a\r\n");
  h.Sent();
  EXPECT_TRUE(h.session.LinkEnded(LinkEnd::kCrashed, h.last_answer, h.now, /*held_oldest=*/false));
  h.session.LaneJoined();
  EXPECT_EQ(h.Sent(), "GET a\r\n");
  EXPECT_FALSE(h.session.LinkEnded(LinkEnd::kCrashed, h.last_answer, h.now, false)) << "once is enough";
}

}  // namespace
}  // namespace hive::proxy
