// Goal: who asks for a handover gets the core's answer, in gRPC's terms, or learns at once why there is none.
// Method: the service over loopback; the test plays the core.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "common/app/grpc_server.h"
#include "coordinator/adapters/handover_calls.h"
#include "coordinator/adapters/peer_client.h"
#include "coordinator/adapters/state_service.h"
#include "tests/unit/coordinator/adapters/recorder.h"

namespace hive::coordinator {
namespace {

using election::AnswerHandover;
using election::HandoverAsked;
using testing::HasSubstr;

const election::Claim kClaim{5, 1, {"10.0.0.2", 78}, {"10.0.0.2", 7400}, {"10.0.0.2", 6379}};

class HandoverCallsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = GrpcServer::Start({.listen = {{"127.0.0.1", 0}}, .services = {&service}});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    stub = v1::Hive::NewStub(FreshChannel({"127.0.0.1", static_cast<uint16_t>(server->port())}));
  }
  void TearDown() override { server->Shutdown(Duration(0)); }

  struct Outcome {
    grpc::Status status;
    v1::HandoverResponse response;
  };
  // Asks on a thread of its own, since the test has to answer.
  std::future<Outcome> Ask(const std::string& to) { return Ask(to, std::make_shared<grpc::ClientContext>()); }
  std::future<Outcome> Ask(const std::string& to, std::shared_ptr<grpc::ClientContext> context) {
    return std::async(std::launch::async, [this, to, context = std::move(context)] {
      Outcome outcome;
      context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      v1::HandoverRequest request;
      request.set_to_ip(to);
      outcome.status = stub->Handover(context.get(), request, &outcome.response);
      return outcome;
    });
  }

  Recorder recorder;
  Refusals refusals;
  HandoverCalls calls{recorder.inbox};
  StateService service{"hive", recorder.inbox, refusals, calls};
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<v1::Hive::Stub> stub;
};

TEST_F(HandoverCallsTest, DoneSaysWhoLeads) {
  auto outcome = Ask("FD00:0::2");
  const auto asked = recorder.Await<HandoverAsked>();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->to, "fd00::2");
  calls.Answer({asked->id + 1, true, "another one's", kClaim});  // ignored
  calls.Answer({asked->id, true, "handed over in 3 ms", kClaim});
  const Outcome got = outcome.get();
  EXPECT_TRUE(got.status.ok()) << got.status.error_message();
  EXPECT_EQ(got.response.leader().leader().ip(), "10.0.0.2");
  EXPECT_EQ(got.response.leader().term(), 5u);
  EXPECT_EQ(got.response.detail(), "handed over in 3 ms");
  calls.Answer({asked->id, true, "twice", kClaim});  // ignored
}

TEST_F(HandoverCallsTest, NotDoneSaysWhy) {
  auto outcome = Ask("");
  auto asked = recorder.Await<HandoverAsked>();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->to, "");
  calls.Answer({asked->id, false, "no follower is in sync", kClaim});
  grpc::Status status = outcome.get().status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "no follower is in sync");

  outcome = Ask("");
  asked = recorder.Await<HandoverAsked>();
  ASSERT_TRUE(asked);
  calls.Answer({asked->id, false, "nobody leads", {}});
  status = outcome.get().status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "nobody leads");
}

TEST_F(HandoverCallsTest, OutOfTimeIsNotARefusal) {
  auto outcome = Ask("");
  const auto asked = recorder.Await<HandoverAsked>();
  ASSERT_TRUE(asked);
  calls.Answer({asked->id, false, "10.0.0.2 did not catch up", kClaim, /*late=*/true});
  const grpc::Status status = outcome.get().status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(status.error_message(), "10.0.0.2 did not catch up");
}

TEST_F(HandoverCallsTest, WhoIsToldToLeadSaysWhatIsGivenUp) {
  using Result = election::AnswerLead::Outcome;
  struct Case {
    bool force;
    Result outcome;
    grpc::StatusCode code;
  };
  for (const Case& each :
       {Case{false, Result::kWould, grpc::StatusCode::OK}, Case{true, Result::kLeads, grpc::StatusCode::OK},
        Case{true, Result::kRefused, grpc::StatusCode::FAILED_PRECONDITION},
        Case{true, Result::kLate, grpc::StatusCode::DEADLINE_EXCEEDED}}) {
    auto called = std::async(std::launch::async, [&] {
      grpc::ClientContext context;
      v1::LeadNowRequest request;
      request.set_force(each.force);
      v1::LeadNowResponse response;
      const grpc::Status status = stub->LeadNow(&context, request, &response);
      return std::pair(status, response);
    });
    const auto asked = recorder.Await<election::LeadAsked>();
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->force, each.force);
    calls.Answer(election::AnswerLead{asked->id, each.outcome, "so it is", {"10.0.0.3, silent"}, kClaim});
    const auto [status, response] = called.get();
    EXPECT_EQ(status.error_code(), each.code);
    if (!status.ok()) {
      EXPECT_EQ(status.error_message(), "so it is");
      continue;
    }
    EXPECT_EQ(response.leads(), each.outcome == Result::kLeads);
    EXPECT_EQ(response.detail(), "so it is");
    EXPECT_EQ(response.leader().term(), 5u);
    ASSERT_EQ(response.given_up_size(), 1);
    EXPECT_EQ(response.given_up(0), "10.0.0.3, silent");
  }
}

TEST_F(HandoverCallsTest, NonsenseIsRefusedWithoutTheCore) {
  const grpc::Status status = Ask("everybody").get().status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "to_ip is no IP address");
  EXPECT_EQ(recorder.Count<HandoverAsked>(), 0u);
}

// Callers who lose patience leave no trace; the handover goes on, and its late answer goes nowhere.
TEST_F(HandoverCallsTest, CallersMayGiveUp) {
  for (size_t i = 0; i < 2 * HandoverCalls::kMaxWaiting; ++i) {
    const auto context = std::make_shared<grpc::ClientContext>();
    auto outcome = Ask("", context);
    const auto asked = recorder.Await<HandoverAsked>();
    ASSERT_TRUE(asked);
    context->TryCancel();
    EXPECT_EQ(outcome.get().status.error_code(), grpc::StatusCode::CANCELLED);
    calls.Answer({asked->id, true, "late", kClaim});
  }
}

TEST_F(HandoverCallsTest, LimitsCallers) {
  std::vector<std::future<Outcome>> waiting;
  for (size_t i = 0; i < HandoverCalls::kMaxWaiting; ++i) {
    waiting.push_back(Ask(""));
    ASSERT_TRUE(recorder.Await<HandoverAsked>());
  }
  EXPECT_EQ(Ask("").get().status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  calls.Close();
  for (auto& outcome : waiting) {
    const grpc::Status status = outcome.get().status;
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(status.error_message(), "this coordinator is stopping");
  }
  EXPECT_EQ(Ask("").get().status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(HandoverCallsTest, LeavingWaitsForTheCore) {
  EXPECT_FALSE(calls.WaitUntilLeft(Duration(0)));
  EXPECT_FALSE(calls.WaitUntilLeft(Millis(1)));
  auto left = std::async(std::launch::async, [this] { return calls.WaitUntilLeft(Recorder::kPatience); });
  calls.Left();
  EXPECT_TRUE(left.get());
  EXPECT_TRUE(calls.WaitUntilLeft(Duration(0)));
}

}  // namespace
}  // namespace hive::coordinator
