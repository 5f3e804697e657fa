// Goal: watchers hear the leader at once, at every change and at every beat, with an honest age; never from another
// hive. Method: the service behind a real gRPC server on loopback, watched by a plain synchronous client.
#include "coordinator/adapters/watch_service.h"

#include <gtest/gtest.h>

#include <memory>

#include "common/app/grpc_server.h"
#include "common/net/clock.h"
#include "coordinator/adapters/peer_client.h"

namespace hive::coordinator {
namespace {

const election::Claim kClaim{5, 1, {"10.0.0.1", 78}, {"10.0.0.1", 7400}, {"10.0.0.1", 6379}};

class WatchServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = GrpcServer::Start({.listen = {{"127.0.0.1", 0}}, .services = {&service}});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = v1::LeaderWatch::NewStub(FreshChannel({"127.0.0.1", static_cast<uint16_t>(server->port())}));
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream = stub->Watch(&context);
  }
  void TearDown() override {
    context.TryCancel();
    if (stream) stream->Finish();
    server->Shutdown(Duration(0));
  }

  v1::WatchResponse Read() {
    v1::WatchResponse response;
    EXPECT_TRUE(stream->Read(&response));
    return response;
  }

  PeerSecretSource secrets;
  PeerGuard guard{secrets, {"127.0.0.1", 1}, {"127.0.0.1", 7400}};
  WatchService service{{"hive", Millis(10), Millis(700)}, guard};
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<v1::LeaderWatch::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WatchRequest, v1::WatchResponse>> stream;
};

TEST_F(WatchServiceTest, SaysAtOnceThatThereIsNoLeader) {
  const v1::WatchResponse response = Read();
  EXPECT_EQ(response.hive(), "hive");
  EXPECT_EQ(response.term(), 0u);
  EXPECT_FALSE(response.has_redis());
  EXPECT_EQ(response.write_state(), v1::WRITE_STATE_NO_LEADER);
  EXPECT_EQ(response.lease_ms(), 700u);
}

TEST_F(WatchServiceTest, TellsALeaderAndTheAgeOfItsClaim) {
  Read();
  election::LeaderView view;
  view.claim = kClaim;
  view.write_state = election::WriteState::kOpen;
  view.heard = ReadMonotonicClock() - Millis(400);
  view.coordinators = {{"10.0.0.1", 7400}, {"10.0.0.2", 7400}};
  service.Publish(view);
  v1::WatchResponse response = Read();
  while (response.term() == 0) response = Read();
  EXPECT_EQ(response.term(), 5u);
  EXPECT_EQ(response.leader_ip(), "10.0.0.1");
  EXPECT_EQ(response.leader_incarnation(), 78u);
  EXPECT_EQ(response.redis().port(), 6379u);
  EXPECT_EQ(response.write_state(), v1::WRITE_STATE_OPEN);
  EXPECT_EQ(response.coordinators_size(), 2);
  EXPECT_GE(response.claim_age_ms(), 400u);
  const v1::WatchResponse later = Read();  // it ages by itself
  EXPECT_GT(later.claim_age_ms(), response.claim_age_ms());
}

TEST_F(WatchServiceTest, EchoesTheNewestRequest) {
  v1::WatchRequest request;
  request.set_hive("hive");
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
    request.set_sequence(sequence);
    ASSERT_TRUE(stream->Write(request));
  }
  while (Read().echoed_sequence() != 3) {
  }
}

TEST_F(WatchServiceTest, SaysForHowLongAQuestionHasWaited) {
  EXPECT_EQ(Read().held_ms(), 0u);  // there was none yet
  const Instant asked = ReadMonotonicClock();
  v1::WatchRequest request;
  request.set_sequence(1);
  ASSERT_TRUE(stream->Write(request));
  v1::WatchResponse response;
  while (response.echoed_sequence() == 0) response = Read();
  const uint64_t first = response.held_ms();
  for (int i = 0; i < 5; ++i) response = Read();  // one per 20 ms
  EXPECT_GT(response.held_ms(), first);
  EXPECT_LE(response.held_ms(), static_cast<uint64_t>(ToMillis(ReadMonotonicClock() - asked)));
}

TEST_F(WatchServiceTest, GoesOnAfterAHalfClose) {
  stream->WritesDone();
  for (int i = 0; i < 5; ++i) Read();
}

TEST_F(WatchServiceTest, RefusesAnotherHive) {
  v1::WatchRequest request;
  request.set_hive("other");
  ASSERT_TRUE(stream->Write(request));
  v1::WatchResponse response;
  while (stream->Read(&response)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "this is a coordinator of hive \"hive\", not of \"other\"");
  stream.reset();
}

}  // namespace
}  // namespace hive::coordinator
