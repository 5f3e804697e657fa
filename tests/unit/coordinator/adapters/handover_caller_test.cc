// Goal: only callers on the member's own loopback may ask for a handover, where there are no certificates.
// Method: a network namespace of the test's own, with one address that is not loopback; the service listens on all.
// A binary of its own, since the namespace must be there before gRPC's first thread.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <string>

#include "common/app/grpc_server.h"
#include "coordinator/adapters/handover_calls.h"
#include "coordinator/adapters/peer_client.h"
#include "coordinator/adapters/state_service.h"
#include "tests/unit/coordinator/adapters/recorder.h"

namespace hive::coordinator {
namespace {

constexpr const char* kAddress = "10.231.0.1";

// Gives `name` this address and brings it up.
bool Configure(const char* name, const char* address) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  ::inet_pton(AF_INET, address, &to.sin_addr);
  std::memcpy(&request.ifr_addr, &to, sizeof to);
  if (::ioctl(socket.get(), SIOCSIFADDR, &request) != 0) return false;
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

grpc::Status AskAt(const std::string& ip, int port) {
  const auto stub = v1::Hive::NewStub(FreshChannel({ip, static_cast<uint16_t>(port)}));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Recorder::kPatience);
  v1::HandoverResponse response;
  return stub->Handover(&context, {}, &response);
}

grpc::Status TellToLeadAt(const std::string& ip, int port) {
  const auto stub = v1::Hive::NewStub(FreshChannel({ip, static_cast<uint16_t>(port)}));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Recorder::kPatience);
  v1::LeadNowResponse response;
  return stub->LeadNow(&context, {}, &response);
}

TEST(HandoverCaller, OnlyLoopbackIsHeard) {
  if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "may not make a network namespace";
  ASSERT_TRUE(Configure("lo", "127.0.0.1"));
  ASSERT_TRUE(Configure("lo:1", kAddress));

  Recorder recorder;
  Refusals refusals;
  HandoverCalls calls(recorder.inbox);
  StateService service("hive", recorder.inbox, refusals, calls);
  auto server = GrpcServer::Start({.listen = {{"0.0.0.0", 0}}, .services = {&service}});
  ASSERT_TRUE(server.ok()) << server.status();

  const grpc::Status refused = AskAt(kAddress, (*server)->port());
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(refused.error_message(), testing::HasSubstr("only a caller on the member's own loopback"));
  EXPECT_EQ(recorder.Count<election::HandoverAsked>(), 0u);
  EXPECT_EQ(TellToLeadAt(kAddress, (*server)->port()).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(recorder.Count<election::LeadAsked>(), 0u);

  std::thread core([&] {
    if (const auto asked = recorder.Await<election::HandoverAsked>()) calls.Answer({asked->id, true, "", {}});
  });
  const grpc::Status heard = AskAt("127.0.0.1", (*server)->port());
  EXPECT_TRUE(heard.ok()) << heard.error_message();
  core.join();
  (*server)->Shutdown(Duration(0));
}

}  // namespace
}  // namespace hive::coordinator
