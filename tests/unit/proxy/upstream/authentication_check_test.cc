// Goal: a client is let in only by what the server says of a connection that is no older than the client; a crowd costs
// a few. Method: a check on a poller that the test turns, before a server that the test plays by hand.
#include "proxy/upstream/authentication_check.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <string_view>

#include "common/net/clock.h"
#include "common/net/socket.h"

namespace hive::proxy {
namespace {

class AuthenticationCheckTest : public testing::Test {
 protected:
  AuthenticationCheckTest()
      : listener_(*ListenTcp({"127.0.0.1", 0})),
        redis_(LocalEndpoint(listener_)),
        check_(poller_, [this] { ++done_; }) {}

  static Instant Now() { return ReadMonotonicClock(); }
  Welcome Ask(Instant since) { return check_.WelcomeOf(since, redis_); }

  // Turns the poller until a connection has come, and its question.
  Fd Accept() {
    for (int i = 0; i < 500; ++i) {
      poller_.RunOnce(Millis(2));
      int error = 0;
      Fd socket = AcceptTcp(listener_, error);
      if (!socket.valid()) continue;
      ++connections_;
      return socket;
    }
    ADD_FAILURE() << "no connection comes";
    return {};
  }
  void Answer(const Fd& socket, std::string_view reply) {
    ::send(socket.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    const int before = done_;
    for (int i = 0; i < 500 && done_ == before; ++i) poller_.RunOnce(Millis(2));
    EXPECT_EQ(done_, before + 1);
  }
  // Asks for a client that connects now, and answers.
  Welcome Learn(std::string_view reply) {
    const Instant since = Now();
    EXPECT_EQ(Ask(since), Welcome::kNotKnown);
    Answer(Accept(), reply);
    return Ask(since);
  }

  Poller poller_;
  Fd listener_;
  Endpoint redis_;
  int done_ = 0;
  int connections_ = 0;
  AuthenticationCheck check_;
};

TEST_F(AuthenticationCheckTest, WhatTheServerSaysDecides) {
  EXPECT_EQ(Learn("+PONG\r\n"), Welcome::kLetIn);
  EXPECT_EQ(Learn("-NOAUTH Authentication required.\r\n"), Welcome::kStranger);
  EXPECT_EQ(Learn("-NOPERM this user has no permissions to run the 'ping' command\r\n"), Welcome::kLetIn);
  EXPECT_EQ(Learn("-ERR max number of clients reached\r\n"), Welcome::kUnclear);
}

TEST_F(AuthenticationCheckTest, OneThatClosesOrIsNotThereSaysNothing) {
  const Instant since = Now();
  ASSERT_EQ(Ask(since), Welcome::kNotKnown);
  { Fd closed = Accept(); }
  for (int i = 0; i < 500 && done_ == 0; ++i) poller_.RunOnce(Millis(2));
  EXPECT_EQ(Ask(since), Welcome::kUnclear);

  listener_.Close();
  const Instant later = Now();
  Welcome welcome = Ask(later);
  for (int i = 0; i < 500 && welcome == Welcome::kNotKnown; ++i) {
    poller_.RunOnce(Millis(2));
    welcome = Ask(later);
  }
  EXPECT_EQ(welcome, Welcome::kUnclear);
}

TEST_F(AuthenticationCheckTest, WhoComesWhileItIsAskedIsForTheNext) {
  const Instant first = Now();
  ASSERT_EQ(Ask(first), Welcome::kNotKnown);
  const Fd socket = Accept();
  const Instant second = Now();
  EXPECT_EQ(Ask(second), Welcome::kNotKnown);
  Answer(socket, "+PONG\r\n");
  EXPECT_EQ(Ask(first), Welcome::kLetIn);
  EXPECT_EQ(Ask(second), Welcome::kNotKnown);
  Answer(Accept(), "-NOAUTH\r\n");
  EXPECT_EQ(Ask(second), Welcome::kStranger);
  EXPECT_EQ(connections_, 2);
}

TEST_F(AuthenticationCheckTest, ACrowdIsServedByFewConnections) {
  const Instant began = Now();
  int served = 0;
  while (Now() - began < Millis(200)) {
    const Instant since = Now();
    Welcome welcome = Ask(since);
    if (welcome == Welcome::kNotKnown) {
      Answer(Accept(), "+PONG\r\n");
      welcome = Ask(since);
    }
    EXPECT_EQ(welcome, Welcome::kLetIn);
    ++served;
  }
  EXPECT_LE(connections_, AuthenticationCheck::kBurst + (Now() - began) / AuthenticationCheck::kInterval);
  EXPECT_GT(served, connections_);
}

TEST_F(AuthenticationCheckTest, WhatOneRedisSaidIsNotAnothers) {
  EXPECT_EQ(Learn("+PONG\r\n"), Welcome::kLetIn);
  const Instant since = Now() - Seconds(1);
  EXPECT_EQ(Ask(since), Welcome::kLetIn);
  const Fd other = *ListenTcp({"127.0.0.1", 0});
  EXPECT_EQ(check_.WelcomeOf(since, LocalEndpoint(other)), Welcome::kNotKnown);
}

}  // namespace
}  // namespace hive::proxy
