// Goal: what only a member or an operator may ask is open to this pod's own network namespace and to nobody else
// without a certificate.
// Method: every form in which gRPC writes a peer; then a real server, which says what it thinks of its caller.
#include "coordinator/adapters/caller.h"

#include <gtest/gtest.h>

#include <memory>

#include "common/app/grpc_server.h"
#include "coordinator/adapters/peer_client.h"
#include "hive/v1/hive.grpc.pb.h"

namespace hive::coordinator {
namespace {

TEST(Caller, PeerIp) {
  EXPECT_EQ(PeerIp("ipv4:10.0.0.1:5000"), "10.0.0.1");
  EXPECT_EQ(PeerIp("ipv6:%5Bfd00::1%5D:5000"), "fd00::1");
  EXPECT_EQ(PeerIp("ipv6:[fd00:0:0::1]:5000"), "fd00::1");
  EXPECT_EQ(PeerIp("ipv6:%5Bfe80::1%25eth0%5D:5000"), "fe80::1");
  EXPECT_EQ(PeerIp("ipv6:%5B::ffff:10.0.0.1%5D:5000"), "10.0.0.1");
  for (const char* nobody :
       {"", "unix:/run/x", "ipv4:", "ipv4:10.0.0.1", "ipv6:%5B%5D:1", "ipv4:localhost:1", "127.0.0.1:1"}) {
    EXPECT_EQ(PeerIp(nobody), "") << nobody;
  }
}

TEST(Caller, IsLocal) {
  for (const char* local : {"ipv4:127.0.0.1:5000", "ipv4:127.20.3.11:5000", "ipv6:%5B::1%5D:5000", "ipv6:[::1]:5000",
                            "ipv6:%5B::ffff:127.0.0.1%5D:5000", "unix:/run/x", "unix-abstract:x"}) {
    EXPECT_TRUE(IsLocal(local)) << local;
  }
  for (const char* foreign :
       {"ipv4:10.0.0.1:5000", "ipv4:128.0.0.1:5000", "ipv6:%5Bfd00::1%5D:5000", "ipv6:%5B::127%5D:1",
        "ipv6:%5B::ffff:10.127.0.1%5D:5000", "unknown", "", "ipv4:127.0.0.1.evil.test:1"}) {
    EXPECT_FALSE(IsLocal(foreign)) << foreign;
  }
}

class AsksWhoCalls final : public v1::Hive::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetState(grpc::CallbackServerContext* context, const v1::GetStateRequest*,
                                     v1::GetStateResponse* response) override {
    response->set_has_joined(LocalOrAuthenticated(*context));
    response->set_in_sync(HasVerifiedCertificate(*context));
    response->set_waiting_for(context->peer());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

TEST(Caller, PlaintextOverLoopbackIsLocalButHasNoCertificate) {
  AsksWhoCalls service;
  const auto server = GrpcServer::Start({.listen = {{"127.0.0.1", 0}}, .services = {&service}});
  ASSERT_TRUE(server.ok()) << server.status();
  grpc::ClientContext context;
  v1::GetStateResponse answer;
  const auto stub = v1::Hive::NewStub(FreshChannel({"127.0.0.1", static_cast<uint16_t>((*server)->port())}));
  const grpc::Status status = stub->GetState(&context, {}, &answer);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(answer.has_joined()) << answer.waiting_for();
  EXPECT_FALSE(answer.in_sync());
}

}  // namespace
}  // namespace hive::coordinator
