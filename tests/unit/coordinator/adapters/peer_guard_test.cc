// Goal: the core hears nothing of a caller, and nothing from an answerer, that does not prove the members' secret; each
// is counted by its reason.
// Method: real gRPC over loopback. A hostile caller makes its calls by hand, with whatever metadata it likes; a hostile
// answerer is a real service with other secrets. Recorders stand where the cores would.
#include "coordinator/adapters/peer_guard.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>

#include "common/app/grpc_server.h"
#include "coordinator/adapters/handover.h"
#include "coordinator/adapters/peer_client.h"
#include "coordinator/adapters/peer_codec.h"
#include "coordinator/adapters/peer_service.h"
#include "coordinator/adapters/watch_service.h"
#include "tests/unit/coordinator/adapters/recorder.h"

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: messages
using Reason = Refusals::Reason;

const Header kAsker{"hive", {"127.0.33.11", 77}, {"127.0.33.11", 7400}, 9};
const Header kServer{"hive", {"127.0.33.12", 78}, {"127.0.33.12", 7400}, 0};
const Claim kClaim{5, 1, {"127.0.33.12", 78}, {"127.0.33.12", 7400}, {"127.0.33.12", 6379}};

PeerSecrets Secrets(const std::string& text) { return *ParsePeerSecrets(text); }
constexpr char kOurs[] = "the secret of our members";
constexpr char kOthers[] = "the secret of other members";

// One end of everything, with secrets of its own.
struct End {
  End(const Header& header, const std::string& secret)
      : secrets(Secrets(secret)), guard(secrets, header.self, header.coordinator), service(header, core.inbox, guard) {}
  ~End() {
    if (server) server->Shutdown(Duration(0));
    // Each refused call has taken this lock: ThreadSanitizer sees no other order between them and this destructor.
    (void)guard.refusals().MayLog("");
  }
  Endpoint Serve() {
    auto started = GrpcServer::Start({.listen = {{"127.0.0.1", 0}}, .services = {&service, &watch}});
    EXPECT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    return {"127.0.0.1", static_cast<uint16_t>(server->port())};
  }
  uint64_t refused(Reason reason) { return guard.refusals().count(reason); }
  // Events that only a peer can cause.
  size_t heard() {
    return core.Count<RequestReceived>() + core.Count<FollowOpened>() + core.Count<ReportReceived>() +
           core.Count<ReplyReceived>() + core.Count<BeatReceived>();
  }

  Recorder core;
  PeerSecretSource secrets;
  PeerGuard guard;
  PeerService service;
  WatchService watch{{"hive", Millis(10), Millis(700)}, guard};
  std::unique_ptr<GrpcServer> server;
};

class HostileCallerTest : public testing::Test {
 protected:
  // A greeting with this proof; empty: none.
  grpc::Status Greet(const std::string& proof, const Header& header = kAsker, bool only_identify = false) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + Recorder::kPatience);
    if (!proof.empty()) context.AddMetadata(kProofKey, proof);
    v1::GreetRequest request;
    Encode(GreetRequest{header, {}}, &request);
    request.set_only_identify(only_identify);
    v1::GreetResponse response;
    const grpc::Status status = stub->Greet(&context, request, &response);
    EXPECT_TRUE(status.ok() || !response.has_header()) << "says who it is to a stranger";
    return status;
  }
  std::string Proof(const std::string& secret, const std::string& method, const Endpoint& receiver,
                    const Identity& sender = kAsker.self) {
    return CallProof(std::make_shared<const PeerSecrets>(Secrets(secret)), method, SenderOf(sender), receiver).value();
  }

  End victim{kServer, kOurs};
  const Endpoint at = victim.Serve();
  const std::unique_ptr<v1::Election::Stub> stub = v1::Election::NewStub(FreshChannel(at));
};

TEST_F(HostileCallerTest, IsTurnedAwayAndCountedByReason) {
  const std::tuple<std::string, Reason> attempts[] = {
      {"", Reason::kNoProof},
      {"open sesame", Reason::kMalformedProof},
      {Proof(kOthers, "Greet", at), Reason::kWrongProof},
      {Proof(kOurs, "Yield", at), Reason::kWrongProof},                          // seen on another call
      {Proof(kOurs, "Greet", {"192.0.2.99", at.port}), Reason::kOtherReceiver},  // shown to somebody else
  };
  for (const auto& [proof, reason] : attempts) {
    for (const bool only_identify : {false, true}) {
      const uint64_t before = victim.refused(reason);
      const grpc::Status status = Greet(proof, kAsker, only_identify);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << proof;
      EXPECT_THAT(status.error_message(), testing::HasSubstr("--peer-secret-file"));
      EXPECT_EQ(victim.refused(reason), before + 1) << proof;
    }
  }
  EXPECT_EQ(victim.heard(), 0u);
}

// Whoever has overheard one member's proof cannot speak for another.
TEST_F(HostileCallerTest, SpeaksForNobodyElse) {
  Header other = kAsker;
  other.self.incarnation++;
  EXPECT_EQ(Greet(Proof(kOurs, "Greet", at), other).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  other = kAsker;
  other.self.ip = "127.0.33.13";
  EXPECT_EQ(Greet(Proof(kOurs, "Greet", at), other).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(victim.refused(Reason::kOtherSender), 2u);
  EXPECT_EQ(victim.heard(), 0u);
}

// Every method that the contract has, whatever will be added to it.
TEST_F(HostileCallerTest, NoCallIsLeftOut) {
  grpc::GenericStub generic(FreshChannel(at));
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  uint64_t calls = 0;
  for (const char* name : {"hive.v1.Election", "hive.v1.LeaderWatch"}) {
    const auto* contract = pool->FindServiceByName(name);
    ASSERT_NE(contract, nullptr);
    for (int i = 0; i < contract->method_count(); ++i, ++calls) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + Recorder::kPatience);
      const grpc::Slice nothing("");
      const grpc::ByteBuffer request(&nothing, 1);
      grpc::ByteBuffer response;
      std::promise<grpc::Status> answered;
      HandToGrpc(&answered);
      generic.UnaryCall(&context, "/" + std::string(name) + "/" + contract->method(i)->name(), {}, &request, &response,
                        [&answered](grpc::Status status) {
                          TakeFromGrpc(&answered);
                          answered.set_value(std::move(status));
                        });
      EXPECT_EQ(answered.get_future().get().error_code(), grpc::StatusCode::UNAUTHENTICATED)
          << contract->method(i)->full_name();
    }
  }
  EXPECT_GE(calls, 7u);
  EXPECT_EQ(victim.refused(Reason::kNoProof), calls);
  EXPECT_EQ(victim.heard(), 0u);
}

TEST_F(HostileCallerTest, AStreamKeepsToTheOneWhoOpenedIt) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + Recorder::kPatience);
  context.AddMetadata(kProofKey, Proof(kOurs, "Follow", at));
  const auto stream = stub->Follow(&context);
  v1::FollowRequest report;
  Encode(FollowerReport{.header = kAsker, .sequence = 1}, &report);
  ASSERT_TRUE(stream->Write(report));
  ASSERT_TRUE(victim.core.Await<ReportReceived>());
  report.mutable_header()->mutable_self()->set_incarnation(4711);
  ASSERT_TRUE(stream->Write(report));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(victim.core.Await<StreamClosed>());
  EXPECT_EQ(victim.core.Count<ReportReceived>(), 0u);
  EXPECT_EQ(victim.refused(Reason::kOtherSender), 1u);
}

TEST_F(HostileCallerTest, GetStateShowsTheCounts) {
  (void)Greet("");
  (void)Greet("");
  (void)Greet("nonsense");
  v1::GetStateResponse state;
  AddRefused("no_proof", 5, &state);  // another source's
  victim.guard.refusals().AddTo(&state);
  std::map<std::string, uint64_t> counts;
  for (const v1::Refusal& refused : state.refused()) counts[refused.reason()] = refused.count();
  counts.erase("tls_handshake");  // the process's
  EXPECT_EQ(counts, (std::map<std::string, uint64_t>{{"no_proof", 7}, {"malformed_proof", 1}}));
}

class AnswersTest : public testing::Test {
 protected:
  End here{kAsker, kOurs};
  PeerClient client{kAsker, here.core.inbox, here.guard};
};

TEST_F(AnswersTest, MembersUnderstandOneAnother) {
  End there(kServer, kOurs);
  const Endpoint at = there.Serve();
  client.Send({1, at, GreetRequest{kAsker, {}}, Seconds(10)});
  const auto received = there.core.Await<RequestReceived>();
  ASSERT_TRUE(received);
  there.service.Reply({received->id, GreetReply{kServer, {}}});
  EXPECT_TRUE(here.core.Await<ReplyReceived>());

  client.Dial({2, at, Seconds(10)});
  EXPECT_EQ(here.core.Await<Dialled>()->answered_by, kServer.self);

  client.OpenFollow({2, at, {.header = kAsker}});
  const auto opened = there.core.Await<FollowOpened>();
  ASSERT_TRUE(opened);
  there.service.SendBeat({opened->id, {.header = kServer, .number = 1, .claim = kClaim}});
  EXPECT_TRUE(here.core.Await<BeatReceived>());
}

// It accepts everybody, and would say that it leads.
TEST_F(AnswersTest, AnImpostorIsNotListenedTo) {
  End impostor(kServer, "none");
  const Endpoint at = impostor.Serve();
  client.Send({1, at, GreetRequest{kAsker, {}}, Seconds(10)});
  const auto received = impostor.core.Await<RequestReceived>();
  ASSERT_TRUE(received);
  impostor.service.Reply({received->id, GreetReply{kServer, {}}});
  const auto failed = here.core.Await<CallFailed>();
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failure, Failure::kRejected);

  client.Dial({2, at, Seconds(10)});
  const auto dialled = here.core.Await<Dialled>();
  ASSERT_TRUE(dialled);
  EXPECT_EQ(dialled->outcome, Dialled::Outcome::kRejected) << "nobody knows who it is: no proof of anything";

  client.OpenFollow({2, at, {.header = kAsker}});
  const auto opened = impostor.core.Await<FollowOpened>();
  ASSERT_TRUE(opened);
  impostor.service.SendBeat({opened->id, {.header = kServer, .number = 1, .claim = kClaim}});
  EXPECT_TRUE(here.core.Await<StreamClosed>());
  EXPECT_EQ(here.heard(), 0u);
  EXPECT_EQ(here.refused(Reason::kUnprovenAnswer), 3u);
}

TEST_F(AnswersTest, AMemberWithAnotherSecretIsNeitherGoneNorHeard) {
  End other(kServer, kOthers);
  const Endpoint at = other.Serve();
  client.Send({1, at, GreetRequest{kAsker, {}}, Seconds(10)});
  EXPECT_EQ(here.core.Await<CallFailed>()->failure, Failure::kRejected);
  client.Dial({2, at, Seconds(10)});
  EXPECT_EQ(here.core.Await<Dialled>()->outcome, Dialled::Outcome::kRejected);
  client.OpenFollow({2, at, {.header = kAsker}});
  EXPECT_EQ(here.core.Await<StreamClosed>()->failure, Failure::kRejected);
  EXPECT_EQ(other.refused(Reason::kWrongProof), 3u);
  EXPECT_EQ(here.heard() + other.heard(), 0u);
}

TEST(Refusals, ThePeersThatAreRememberedAreBounded) {
  Refusals refusals;
  EXPECT_TRUE(refusals.MayLog("10.0.0.1"));
  EXPECT_FALSE(refusals.MayLog("10.0.0.1"));
  EXPECT_TRUE(refusals.MayLog("10.0.0.2"));
  int logged = 2;
  for (size_t i = 0; i < 3 * Refusals::kMaxPeers; ++i) logged += refusals.MayLog("fd00::" + std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(logged, static_cast<int>(Refusals::kMaxPeers) + 1);  // all others share one line
}

}  // namespace
}  // namespace hive::coordinator
