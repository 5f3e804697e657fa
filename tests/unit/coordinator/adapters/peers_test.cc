// Goal: what one member sends arrives at the other, once, in order, or fails with the right reason, quickly.
// Method: a PeerClient and a PeerService, each with a recorder behind it, joined by real gRPC over loopback. The test
// plays both cores.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>

#include "common/app/grpc_server.h"
#include "common/net/socket.h"
#include "coordinator/adapters/peer_client.h"
#include "coordinator/adapters/peer_service.h"
#include "tests/unit/coordinator/adapters/recorder.h"

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: messages

const Header kAsker{"hive", {"127.0.33.11", 77}, {"127.0.33.11", 7400}, 9};
const Header kServer{"hive", {"127.0.33.12", 78}, {"127.0.33.12", 7400}, 0};
const Claim kClaim{5, 1, {"127.0.33.12", 78}, {"127.0.33.12", 7400}, {"127.0.33.12", 6379}};

// Accepts `count` connections, which wait in the listener's queue or are still to come, and closes each.
void CloseNext(const Fd& listener, int count) {
  while (count > 0) {
    pollfd polled{listener.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&polled, 1, 5000), 1) << "nobody connected";
    if (const Fd connection(::accept(listener.get(), nullptr, nullptr)); connection.valid()) --count;
  }
}

class PeersTest : public testing::Test {
 protected:
  void SetUp() override { StartServer(0); }
  void TearDown() override {
    if (server) server->Shutdown(Duration(0));
  }

  void StartServer(uint16_t port) {
    auto started = GrpcServer::Start({.listen = {{"127.0.0.1", port}}, .services = {&service}});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    at = {"127.0.0.1", static_cast<uint16_t>(server->port())};
  }

  Recorder there;
  Recorder here;
  PeerSecretSource secrets;
  PeerGuard guard_there{secrets, kServer.self, kServer.coordinator};
  PeerGuard guard_here{secrets, kAsker.self, kAsker.coordinator};
  PeerService service{kServer, there.inbox, guard_there};
  std::unique_ptr<GrpcServer> server;
  Endpoint at;
  PeerClient client{kAsker, here.inbox, guard_here};
};

TEST_F(PeersTest, EveryRequestFindsItsReply) {
  const std::pair<Request, Reply> exchanges[] = {
      {GreetRequest{kAsker, {}}, GreetReply{kServer, {}}},
      {CampaignRequest{.header = kAsker, .term = 3}, CampaignReply{.header = kServer}},
      {PrepareRequest{kAsker, kClaim}, PrepareReply{.header = kServer}},
      {LeadRequest{.header = kAsker, .claim = kClaim}, LeadReply{kServer}},
      {YieldRequest{kAsker, {.claim = kClaim}}, YieldReply{.header = kServer}},
      {TakeOverRequest{.header = kAsker, .ending = kClaim, .term = 6},
       TakeOverReply{.header = kServer, .reason = "no"}},
      {HandOverRequest{.header = kAsker, .to = "127.0.33.13"}, HandOverReply{.header = kServer, .detail = "no"}},
      {LeadRequest{.header = kAsker, .claim = kClaim}, Refusal{kServer, "another hive"}},
  };
  CallId id = 100;
  for (const auto& [request, reply] : exchanges) {
    client.Send({++id, at, request, Seconds(10)});
    const auto received = there.Await<RequestReceived>();
    ASSERT_TRUE(received);
    EXPECT_EQ(received->request.index(), request.index());
    service.Reply({received->id, reply});
    const auto answered = here.Await<ReplyReceived>();
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->id, id);
    EXPECT_EQ(answered->reply.index(), reply.index());
  }
}

TEST_F(PeersTest, NobodyListens) {
  server->Shutdown(Duration(0));
  client.Send({1, at, GreetRequest{kAsker, {}}, Seconds(10)});
  const auto failed = here.Await<CallFailed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failure, Failure::kRefused);
}

TEST_F(PeersTest, NoAnswerInTimeAndALateReply) {
  client.Send({1, at, GreetRequest{kAsker, {}}, Millis(50)});
  const auto received = there.Await<RequestReceived>();
  ASSERT_TRUE(received);
  const auto failed = here.Await<CallFailed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failure, Failure::kTimeout);
  service.Reply({received->id, GreetReply{kServer, {}}});  // ignored
}

// A member that comes back is reached at once, not after a reconnect backoff.
TEST_F(PeersTest, RestartedMemberIsReachedByTheNextRequest) {
  client.Send({1, at, GreetRequest{kAsker, {}}, Seconds(10)});
  auto received = there.Await<RequestReceived>();
  ASSERT_TRUE(received);
  service.Reply({received->id, GreetReply{kServer, {}}});
  ASSERT_TRUE(here.Await<ReplyReceived>());

  server->Shutdown(Duration(0));
  for (CallId id = 2; id < 5; ++id) {
    client.Send({id, at, GreetRequest{kAsker, {}}, Seconds(10)});
    ASSERT_TRUE(here.Await<CallFailed>());
  }
  StartServer(at.port);
  client.Send({9, at, GreetRequest{kAsker, {}}, Seconds(10)});
  received = there.Await<RequestReceived>();
  ASSERT_TRUE(received);
  service.Reply({received->id, GreetReply{kServer, {}}});
  EXPECT_TRUE(here.Await<ReplyReceived>());
}

TEST_F(PeersTest, MalformedRequestIsRefusedWithoutTheCore) {
  client.Send({1, at, CampaignRequest{.header = kAsker, .term = 0}, Seconds(10)});
  const auto answered = here.Await<ReplyReceived>();
  ASSERT_TRUE(answered);
  const auto* refusal = std::get_if<Refusal>(&answered->reply);
  ASSERT_NE(refusal, nullptr);
  EXPECT_EQ(refusal->reason, "malformed: term is missing");
  EXPECT_EQ(refusal->header, kServer);
  EXPECT_EQ(there.Count<RequestReceived>(), 0u);
}

TEST_F(PeersTest, DialFindsWhoIsThere) {
  client.Dial({1, at, Millis(5000)});
  const auto dialled = here.Await<Dialled>();
  ASSERT_TRUE(dialled);
  EXPECT_EQ(dialled->outcome, Dialled::Outcome::kAnswered);
  EXPECT_EQ(dialled->answered_by, kServer.self);
  EXPECT_EQ(there.Count<RequestReceived>(), 0u);  // the core never hears of it
}

TEST_F(PeersTest, DialFindsNobody) {
  server->Shutdown(Duration(0));
  client.Dial({1, at, Millis(5000)});
  const auto dialled = here.Await<Dialled>();
  ASSERT_TRUE(dialled);
  EXPECT_EQ(dialled->outcome, Dialled::Outcome::kRefused);
}

// A stopped process: its kernel accepts, and nothing answers. That is silence, not proof.
TEST_F(PeersTest, DialFindsAMuteOne) {
  const auto listener = ListenTcp({"127.0.0.1", 0});
  ASSERT_TRUE(listener.ok());
  client.Dial({1, {"127.0.0.1", LocalEndpoint(*listener).port}, Millis(100)});
  const auto dialled = here.Await<Dialled>();
  ASSERT_TRUE(dialled);
  EXPECT_EQ(dialled->outcome, Dialled::Outcome::kMute);
}

// A process that dies between two calls of accept(): the connection is made, reset, and nobody listens any more.
TEST_F(PeersTest, DialFindsADyingOne) {
  auto listener = ListenTcp({"127.0.0.1", 0});
  ASSERT_TRUE(listener.ok());
  client.Dial({1, LocalEndpoint(*listener), Millis(1000)});
  CloseNext(*listener, 2);  // the dial's own, then gRPC's
  *listener = Fd();
  const auto dialled = here.Await<Dialled>();
  ASSERT_TRUE(dialled);
  EXPECT_EQ(dialled->outcome, Dialled::Outcome::kRefused);
}

// One that closes every connection of ours lives: it may not like our certificate.
TEST_F(PeersTest, DialFindsOneThatClosesEveryConnection) {
  auto listener = ListenTcp({"127.0.0.1", 0});
  ASSERT_TRUE(listener.ok());
  client.Dial({1, LocalEndpoint(*listener), Millis(1000)});
  CloseNext(*listener, 2);
  const auto dialled = here.Await<Dialled>();
  ASSERT_TRUE(dialled);
  EXPECT_EQ(dialled->outcome, Dialled::Outcome::kRejected);
}

TEST_F(PeersTest, FollowCarriesReportsAndBeats) {
  client.OpenFollow({2, at, {.header = kAsker, .sequence = 1}});
  const auto opened = there.Await<FollowOpened>();
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->id % 2, 1u);
  const auto first = there.Await<ReportReceived>();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->report.sequence, 1u);

  service.SendBeat({opened->id, {.header = kServer, .number = 1, .claim = kClaim}});
  const auto beat = here.Await<BeatReceived>();
  ASSERT_TRUE(beat);
  EXPECT_EQ(beat->id, 2u);
  EXPECT_EQ(beat->beat.number, 1u);

  client.SendReport({2, {.header = kAsker, .sequence = 2}});
  const auto second = there.Await<ReportReceived>();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->report.sequence, 2u);
}

TEST_F(PeersTest, FollowerLeaves) {
  client.OpenFollow({2, at, {.header = kAsker}});
  const auto opened = there.Await<FollowOpened>();
  ASSERT_TRUE(opened);
  client.CloseStream(2);
  const auto closed = there.Await<StreamClosed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->id, opened->id);
  EXPECT_EQ(here.Count<StreamClosed>(), 0u);
}

// A last beat is written before the stream ends, and no newer one takes its place.
TEST_F(PeersTest, LeaderResignsAndCloses) {
  client.OpenFollow({2, at, {.header = kAsker}});
  const auto opened = there.Await<FollowOpened>();
  ASSERT_TRUE(opened);
  for (uint64_t number = 1; number <= 20; ++number) {
    service.SendBeat({opened->id, {.header = kServer, .number = number, .claim = kClaim}});
  }
  service.SendBeat({opened->id, {.header = kServer, .number = 21, .state = LeaderState::kResigned, .claim = kClaim}});
  service.SendBeat({opened->id, {.header = kServer, .number = 22, .claim = kClaim}});
  service.CloseStream(opened->id);
  const auto closed = here.Await<StreamClosed>();
  ASSERT_TRUE(closed);
  bool resigned = false;
  while (here.Count<BeatReceived>() > 0) resigned |= here.Await<BeatReceived>()->beat.state == LeaderState::kResigned;
  EXPECT_TRUE(resigned);
  EXPECT_EQ(there.Count<StreamClosed>(), 0u);
}

TEST_F(PeersTest, LeaderIsGone) {
  client.OpenFollow({2, at, {.header = kAsker}});
  ASSERT_TRUE(there.Await<FollowOpened>());
  server->Shutdown(Duration(0));
  const auto closed = here.Await<StreamClosed>();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->id, 2u);

  client.OpenFollow({4, at, {.header = kAsker}});
  const auto refused = here.Await<StreamClosed>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->id, 4u);
  EXPECT_EQ(refused->failure, Failure::kRefused);
}

TEST_F(PeersTest, MalformedReportEndsTheStream) {
  client.OpenFollow({2, at, {.header = {}}});
  ASSERT_TRUE(there.Await<FollowOpened>());
  EXPECT_TRUE(there.Await<StreamClosed>());
  EXPECT_TRUE(here.Await<StreamClosed>());
  EXPECT_EQ(there.Count<ReportReceived>(), 0u);
}

TEST(FailureOf, ReadsTheOperatingSystemsWords) {
  const auto of = [](const char* words) { return FailureOf({grpc::StatusCode::UNAVAILABLE, words}); };
  EXPECT_EQ(of("failed to connect to all addresses; last error: ... Connection refused"), Failure::kRefused);
  EXPECT_EQ(of("... No route to host"), Failure::kUnreachable);
  EXPECT_EQ(of("... Connection timed out"), Failure::kTimeout);
  EXPECT_EQ(of("Socket closed"), Failure::kClosed);
  EXPECT_EQ(of("... Ssl handshake failed: SSL_ERROR_SSL"), Failure::kRejected);
  EXPECT_EQ(FailureOf({grpc::StatusCode::UNAUTHENTICATED, "another secret"}), Failure::kRejected);
  EXPECT_EQ(FailureOf({grpc::StatusCode::DEADLINE_EXCEEDED, ""}), Failure::kTimeout);
  EXPECT_EQ(FailureOf({grpc::StatusCode::INTERNAL, "Connection refused"}), Failure::kClosed);
}

}  // namespace
}  // namespace hive::coordinator
