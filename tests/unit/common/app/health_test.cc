// Goal: probes, watchers and people get the truth about health from a real server, and a taken port is one line.
// Method: gRPC over loopback, ports of the kernel's choice; the reflection service is asked through descriptors, as
// tools do.
#include "common/app/health.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/app/grpc_server.h"
#include "common/net/socket.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace hive {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using testing::HasSubstr;
using Status = HealthAnswer::Status;

constexpr char kIp[] = "127.0.30.1";
constexpr Duration kPatience = Seconds(20);

class HealthTest : public testing::Test {
 protected:
  void Start(bool reflection = true) {
    auto started = GrpcServer::Start({.listen = {{kIp, 0}}, .services = {health.service()}, .reflection = reflection});
    ASSERT_TRUE(started.ok()) << started.status();
    server = std::move(*started);
    target = {kIp, static_cast<uint16_t>(server->port())};
    channel = grpc::CreateChannel("ipv4:" + ToString(target), grpc::InsecureChannelCredentials());
  }

  HealthService health;
  std::unique_ptr<GrpcServer> server;
  Endpoint target;
  std::shared_ptr<grpc::Channel> channel;
};

TEST_F(HealthTest, CheckTellsWhatWasSet) {
  Start();
  health.SetServing(kHealthProcess, true);
  health.SetServing(kHealthReadiness, false);
  EXPECT_EQ(AskHealth(target, "", kPatience).status, Status::kServing);
  const HealthAnswer not_ready = AskHealth(target, "readiness", kPatience);
  EXPECT_EQ(not_ready.status, Status::kNotServing);
  EXPECT_EQ(not_ready.text, "readiness at " + ToString(target) + ": NOT_SERVING");
  health.SetServing(kHealthReadiness, true);
  EXPECT_EQ(AskHealth(target, "readiness", kPatience).status, Status::kServing);
  EXPECT_EQ(AskHealth(target, "nonsense", kPatience).status, Status::kUnknownService);
}

TEST_F(HealthTest, NobodyThereIsNoAnswer) {
  Start();
  server->Shutdown(Duration::zero());
  const HealthAnswer answer = AskHealth(target, "readiness", kPatience);
  EXPECT_EQ(answer.status, Status::kNoAnswer);
  EXPECT_THAT(answer.text, HasSubstr("no answer"));
}

TEST_F(HealthTest, WatchTellsEachChange) {
  Start();
  const auto stub = Health::NewStub(channel);
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("readiness");
  const auto reader = stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  for (const bool serving : {false, true, false}) {
    health.SetServing("liveness", serving);  // another service: no message
    health.SetServing("readiness", serving);
    health.SetServing("readiness", serving);  // no change: no message
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.status(), serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  }
  context.TryCancel();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(HealthTest, AShutdownEndsWatchers) {
  Start();
  const auto stub = Health::NewStub(channel);
  grpc::ClientContext context;
  const auto reader = stub->Watch(&context, HealthCheckRequest());
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  server->Shutdown(Duration::zero());
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(HealthTest, WatchersComeAndGoWhileManyThreadsSet) {
  // For ThreadSanitizer; and at the end each watcher hears the last state.
  Start();
  std::atomic<bool> stop = false;
  std::vector<std::thread> setters, watchers;
  for (int t = 0; t < 2; ++t) {
    setters.emplace_back([&] {
      for (bool serving = false; !stop; serving = !serving) health.SetServing("readiness", serving);
    });
  }
  const auto stub = Health::NewStub(channel);
  HealthCheckRequest request;
  request.set_service("readiness");
  for (int t = 0; t < 4; ++t) {
    watchers.emplace_back([&] {
      for (int i = 0; i < 10; ++i) {
        grpc::ClientContext context;
        const auto reader = stub->Watch(&context, request);
        HealthCheckResponse response;
        for (int n = 0; n < 3; ++n) EXPECT_TRUE(reader->Read(&response));
        context.TryCancel();
        while (reader->Read(&response)) continue;
        EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
      }
    });
  }
  for (std::thread& thread : watchers) thread.join();
  grpc::ClientContext context;
  const auto reader = stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  stop = true;
  for (std::thread& thread : setters) thread.join();
  // Changes in between may be skipped, the last one may not.
  health.SetServing("readiness", true);
  health.SetServing("readiness", false);
  server->Shutdown(Millis(200));
  while (reader->Read(&response)) continue;
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
}

// Asks the reflection service as grpcurl does: `field` is "list_services" or "file_containing_symbol".
std::string Reflect(const std::shared_ptr<grpc::Channel>& channel, const std::string& field, const std::string& value) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const std::string package = "grpc.reflection.v1alpha.";
  const auto* request_type = pool->FindMessageTypeByName(package + "ServerReflectionRequest");
  const auto* response_type = pool->FindMessageTypeByName(package + "ServerReflectionResponse");
  if (request_type == nullptr || response_type == nullptr) return "no reflection linked";
  google::protobuf::DynamicMessageFactory factory;
  const std::unique_ptr<google::protobuf::Message> request(factory.GetPrototype(request_type)->New());
  request->GetReflection()->SetString(request.get(), request_type->FindFieldByName(field), value);
  const grpc::Slice slice(request->SerializeAsString());
  const grpc::ByteBuffer sent(&slice, 1);

  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto call =
      stub.PrepareCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  call->StartCall(nullptr);
  queue.Next(&tag, &ok);
  call->Write(sent, nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer received;
  call->Read(&received, nullptr);
  queue.Next(&tag, &ok);
  if (!ok) {
    grpc::Status status;
    call->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    return status.error_code() == grpc::StatusCode::UNIMPLEMENTED ? "no reflection served" : status.error_message();
  }
  context.TryCancel();
  grpc::Slice flat;
  if (!received.DumpToSingleSlice(&flat).ok()) return "unreadable";
  const std::unique_ptr<google::protobuf::Message> response(factory.GetPrototype(response_type)->New());
  response->ParseFromArray(flat.begin(), static_cast<int>(flat.size()));
  return response->DebugString();
}

TEST_F(HealthTest, ReflectionListsAndDescribesIt) {
  Start();
  EXPECT_THAT(Reflect(channel, "list_services", ""), HasSubstr("grpc.health.v1.Health"));
  EXPECT_THAT(Reflect(channel, "file_containing_symbol", "grpc.health.v1.Health"), HasSubstr("HealthCheckRequest"));
}

TEST_F(HealthTest, AServerMayGoWithoutReflection) {
  Start(false);
  EXPECT_EQ(Reflect(channel, "list_services", ""), "no reflection served");
  health.SetServing("", true);
  EXPECT_EQ(AskHealth(target, "", kPatience).status, Status::kServing);
}

TEST_F(HealthTest, OneServiceOnTwoServers) {
  Start();
  const auto other = GrpcServer::Start({.listen = {{kIp, 0}}, .services = {health.service()}, .reflection = false});
  ASSERT_TRUE(other.ok()) << other.status();
  health.SetServing("readiness", true);
  for (const int port : {server->port(), (*other)->port()}) {
    EXPECT_EQ(AskHealth({kIp, static_cast<uint16_t>(port)}, "readiness", kPatience).status, Status::kServing);
  }
}

TEST_F(HealthTest, ATakenPortIsOneLine) {
  Start();
  const auto second = GrpcServer::Start({.listen = {{kIp, target.port}}, .services = {}});
  EXPECT_EQ(second.status().message(),
            "cannot listen on " + ToString(target) +
                ": address already in use: stop whatever listens there, or choose another address (--listen)");
  const absl::StatusOr<Fd> plain = ListenTcp({kIp, 0});
  ASSERT_TRUE(plain.ok());
  const auto third = GrpcServer::Start(
      {.listen = {{"", LocalEndpoint(*plain).port}}, .listen_flag = "--health-listen", .services = {}});
  EXPECT_THAT(std::string(third.status().message()), HasSubstr("(--health-listen)"));
}

TEST_F(HealthTest, AllAddressesServeBothFamilies) {
  const auto everywhere = GrpcServer::Start({.listen = {{"", 0}}, .services = {health.service()}});
  ASSERT_TRUE(everywhere.ok()) << everywhere.status();
  health.SetServing("", true);
  const auto port = static_cast<uint16_t>((*everywhere)->port());
  EXPECT_EQ(AskHealth({"127.0.30.7", port}, "", kPatience).status, Status::kServing);
  const absl::StatusOr<Fd> v6 = ListenTcp({"::1", 0});
  if (!v6.ok()) GTEST_SKIP() << "no IPv6 here";
  EXPECT_EQ(AskHealth({"::1", port}, "", kPatience).status, Status::kServing);
}

}  // namespace
}  // namespace hive
