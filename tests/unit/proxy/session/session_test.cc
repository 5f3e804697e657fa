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
  h.session.AddProtocolError("-ERR Protocol error: x\r\n", h.now);
  EXPECT_EQ(h.Out(), "");
  h.Server("$-1\r\n");
  EXPECT_EQ(h.Out(), "$-1\r\n-ERR Protocol error: x\r\n");
  EXPECT_TRUE(h.session.finished());
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

}  // namespace
}  // namespace hive::proxy
