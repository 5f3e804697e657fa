// Goal: on a lane everyone gets the replies to his own commands, in order, whatever happens to the others. Method: a
// lane before a server that is a socket in the test's hand; riders that note what they are told.
#include "proxy/upstream/lane.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/socket.h"

namespace hive::proxy {
namespace {

class TestRider final : public Lane::Rider {
 public:
  std::string_view LaneBytes() override { return unsent; }
  uint32_t OnLaneSent(size_t bytes) override {
    unsent.erase(0, bytes);
    return std::exchange(commands, 0);
  }
  void OnLaneFlushed() override { ++flushed; }
  void OnLaneReplies(std::string_view bytes, uint32_t plain) override {
    replies += bytes;
    plain_replies += plain;
    if (leaves != nullptr) std::exchange(leaves, nullptr)->Leave(*this);
  }
  void OnLaneEnded(bool crashed, bool oldest) override {
    ended = std::string(crashed ? "crashed" : "cut") + (oldest ? ", held the oldest" : "");
  }
  void OnLaneRefused(std::string_view error) override { refused = error; }

  std::string unsent, replies, ended, refused;
  uint32_t commands = 0, plain_replies = 0;
  int flushed = 0;
  Lane* leaves = nullptr;
};

class LaneTest : public testing::Test, protected Lane::Host {
 protected:
  LaneTest() : listener_(*ListenTcp({"127.0.0.1", 0})) {}
  ~LaneTest() override {
    for (TestRider& rider : riders_) {
      if (lane_ && !rider.leaves) lane_->Leave(rider);
    }
  }

  void Make(Lane::Options options = {}) {
    options.redis = LocalEndpoint(listener_);
    options.unacknowledged_limit = Seconds(5);
    lane_ = std::make_unique<Lane>(poller_, static_cast<Lane::Host&>(*this), options);
    for (TestRider& rider : riders_) lane_->Join(rider);
  }
  void Ask(size_t rider, std::string_view bytes, uint32_t commands = 1) {
    riders_[rider].unsent += bytes;
    riders_[rider].commands += commands;
    lane_->Enqueue(riders_[rider]);
  }
  void Turn() {
    if (std::exchange(dirty_, false)) lane_->Flush();
    poller_.RunOnce(Millis(5));
    if (!server_.valid()) {
      int error = 0;
      server_ = AcceptTcp(listener_, error);
    }
  }
  // What the server has been sent.
  std::string Asked() {
    for (int i = 0; i < 3; ++i) Turn();
    std::array<char, 65536> buffer;
    const ssize_t n = ::recv(server_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return n > 0 ? std::string(buffer.data(), static_cast<size_t>(n)) : std::string();
  }
  void Answer(std::string_view bytes) {
    ASSERT_EQ(::send(server_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    for (int i = 0; i < 3; ++i) Turn();
  }

  bool LaneMayConnect() const override { return may_connect_; }
  void OnLaneDirty(Lane&) override { dirty_ = true; }
  void OnLaneAnswered(const Lane&) override {}
  void OnLaneBroken(const absl::Status&) override { ++broken_; }
  void OnLaneLearnedAuthentication(const Lane& lane) override {
    learned_ = *lane.wants_authentication() ? "required" : "not required";
  }
  std::span<char> lane_buffer() override { return buffer_; }

  Poller poller_;
  Fd listener_, server_;
  std::array<char, 65536> buffer_;
  std::array<TestRider, 3> riders_;
  std::unique_ptr<Lane> lane_;
  bool dirty_ = false, may_connect_ = true;
  int broken_ = 0;
  std::string learned_;
};

TEST_F(LaneTest, WhatAllHaveToSayGoesOutTogetherAndEachGetsHisOwnReplies) {
  Make();
  Ask(0, "a1 a2 ", 2);
  Ask(1, "b1 ");
  Ask(2, "c1 c2 ", 2);
  EXPECT_EQ(Asked(), "a1 a2 b1 c1 c2 ");
  Answer("+a1\r\n$2\r\na2\r\n:1\r\n*1\r\n+c1\r\n-ERR c2\r\n");
  EXPECT_EQ(riders_[0].replies, "+a1\r\n$2\r\na2\r\n");
  EXPECT_EQ(riders_[0].plain_replies, 2u);
  EXPECT_EQ(riders_[1].replies, ":1\r\n");
  EXPECT_EQ(riders_[2].replies, "*1\r\n+c1\r\n-ERR c2\r\n");
  EXPECT_EQ(riders_[2].plain_replies, 0u) << "an error must be judged";
  EXPECT_EQ(riders_[2].lane_in_flight, 0u);
}

TEST_F(LaneTest, RepliesMayComeInPiecesOfAnySize) {
  const std::string all = "$5\r\nhello\r\n*2\r\n$-1\r\n:7\r\n%1\r\n+k\r\n(123\r\n+OK\r\n";
  for (size_t cut = 1; cut < all.size(); ++cut) {
    server_.Close();
    for (TestRider& rider : riders_) rider = {};
    Make();
    Ask(0, "a ");
    Ask(1, "b c ", 2);
    Ask(2, "d ");
    EXPECT_EQ(Asked(), "a b c d ");
    Answer(all.substr(0, cut));
    Answer(all.substr(cut));
    EXPECT_EQ(riders_[0].replies, "$5\r\nhello\r\n") << cut;
    EXPECT_EQ(riders_[1].replies, "*2\r\n$-1\r\n:7\r\n%1\r\n+k\r\n(123\r\n") << cut;
    EXPECT_EQ(riders_[2].replies, "+OK\r\n") << cut;
    for (TestRider& rider : riders_) lane_->Leave(rider);
    lane_.reset();
  }
}

TEST_F(LaneTest, RepliesToWhoHasLeftAreDropped) {
  Make();
  Ask(0, "a ");
  Ask(1, "b1 b2 ", 2);
  Ask(2, "c ");
  EXPECT_EQ(Asked(), "a b1 b2 c ");
  riders_[1].leaves = lane_.get();  // in the midst of what it is told
  Answer("+a\r\n+b1\r\n$100\r\n");
  EXPECT_EQ(riders_[1].leaves, nullptr);
  riders_[1].leaves = lane_.get();  // has left: nothing more to do at the end
  Answer(std::string(100, 'b') + "\r\n+c\r\n");
  EXPECT_EQ(riders_[0].replies, "+a\r\n");
  EXPECT_EQ(riders_[1].replies, "+b1\r\n$100\r\n");
  EXPECT_EQ(riders_[2].replies, "+c\r\n");
}

TEST_F(LaneTest, WhoHasLeftBeforeItsTurnSendsNothing) {
  Make();
  Ask(0, "a ");
  Ask(1, "b ");
  lane_->Leave(riders_[1]);
  riders_[1].leaves = lane_.get();
  EXPECT_EQ(Asked(), "a ");
}

TEST_F(LaneTest, TheEndIsToldToWhoHasRepliesToComeAndOneOfThemHeldTheOldest) {
  Make();
  Ask(1, "b ");
  EXPECT_EQ(Asked(), "b ");
  Ask(0, "a ");
  EXPECT_EQ(Asked(), "a ");
  server_.Close();
  for (int i = 0; i < 3; ++i) Turn();
  EXPECT_EQ(riders_[0].ended, "crashed");
  EXPECT_EQ(riders_[1].ended, "crashed, held the oldest");
  EXPECT_EQ(riders_[2].ended, "");
  EXPECT_EQ(broken_, 1);
  // Those who stay may go on.
  Ask(2, "c ");
  EXPECT_EQ(Asked(), "c ");
  lane_->Cut();
  EXPECT_EQ(riders_[2].ended, "cut, held the oldest");
}

TEST_F(LaneTest, WithoutALeaderNobodyIsKeptInTheQueue) {
  Make();
  may_connect_ = false;
  Ask(0, "a ");
  Turn();
  EXPECT_EQ(riders_[0].flushed, 1);
  EXPECT_FALSE(riders_[0].lane_queued);
  EXPECT_EQ(riders_[0].unsent, "a ");
}

TEST_F(LaneTest, TheConnectionIsMadeWhatItsRidersAreFirst) {
  Make({.preamble = "AUTH u p\r\n", .preamble_replies = 1});
  Ask(0, "a ");
  EXPECT_EQ(Asked(), "AUTH u p\r\n");
  Answer("+OK\r\n");
  EXPECT_EQ(Asked(), "a ");
  EXPECT_EQ(learned_, "");
}

TEST_F(LaneTest, WhoMayNotBeWhatHeIsIsTold) {
  Make({.preamble = "AUTH u p\r\n", .preamble_replies = 1});
  Ask(0, "a ");
  EXPECT_EQ(Asked(), "AUTH u p\r\n");
  Answer("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(riders_[0].refused, "WRONGPASS invalid username-password pair or user is disabled.");
  EXPECT_EQ(riders_[1].refused, "") << "it had nothing to send";
  EXPECT_EQ(broken_, 0) << "the server is well";
}

TEST_F(LaneTest, AnonymousOnesLearnWhetherTheServerWantsAPassword) {
  Make({.preamble_replies = 0, .anonymous = true});
  Ask(0, "a ");
  EXPECT_EQ(Asked(), "PING\r\n");
  Answer("-NOAUTH Authentication required.\r\n");
  EXPECT_EQ(learned_, "required");
  EXPECT_EQ(Asked(), "a ") << "the server says it to each of them itself";
}

TEST_F(LaneTest, AFormerLaneSendsNothingNewAndStillAnswers) {
  Make();
  Ask(0, "a ");
  EXPECT_EQ(Asked(), "a ");
  lane_->BecomeFormer();
  Ask(1, "b ");
  EXPECT_EQ(Asked(), "");
  Answer("+a\r\n");
  EXPECT_EQ(riders_[0].replies, "+a\r\n");
}

TEST_F(LaneTest, ItIsCloggedWhileALargeReplyComes) {
  Make();
  Ask(0, "a ");
  EXPECT_EQ(Asked(), "a ");
  Answer("$2000000\r\n" + std::string(1000, 'a'));
  EXPECT_TRUE(lane_->clogged());
  std::string rest(1999000, 'a');
  for (size_t at = 0; at < rest.size(); at += 50000) Answer(std::string_view(rest).substr(at, 50000));
  Answer("\r\n");
  EXPECT_FALSE(lane_->clogged());
  EXPECT_EQ(riders_[0].replies.size(), 2000012u);
}

TEST_F(LaneTest, WhatTheKernelTakesInPartIsSentToItsEndBeforeAnybodyElse) {
  Make();
  const std::string large(8 << 20, 'a');  // more than the socket's buffers hold
  Ask(0, large);
  Ask(1, "b ");
  Turn();
  Turn();
  std::string asked;
  for (int i = 0; i < 2000 && asked.size() < large.size() + 2; ++i) asked += Asked();
  EXPECT_EQ(asked.size(), large.size() + 2);
  EXPECT_TRUE(asked.ends_with("ab "));
}

TEST_F(LaneTest, AServerThatDoesNotSpeakRespEndsIt) {
  Make();
  Ask(0, "a ");
  EXPECT_EQ(Asked(), "a ");
  Answer("HTTP/1.1 400 Bad Request\r\n");
  EXPECT_EQ(riders_[0].ended, "crashed, held the oldest");
  EXPECT_EQ(broken_, 1);
}

}  // namespace
}  // namespace hive::proxy
