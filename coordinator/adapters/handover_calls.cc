#include "coordinator/adapters/handover_calls.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "coordinator/adapters/caller.h"
#include "coordinator/adapters/handover.h"
#include "coordinator/adapters/peer_codec.h"

namespace hive::coordinator {
namespace {

using election::RequestId;

constexpr const char* kLog = "handover";
constexpr const char* kStopping = "this coordinator is stopping";

grpc::ServerUnaryReactor* FinishAtOnce(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

// Not done: it may have been tried for as long as it is; else with a leader, something must change before it can be
// (the line says what); without one, asking again will do.
grpc::Status StatusOf(const election::AnswerHandover& answer) {
  if (answer.done) return grpc::Status::OK;
  if (answer.late) {
    return {grpc::StatusCode::DEADLINE_EXCEEDED,
            answer.detail.empty() ? "no outcome in time" : answer.detail.substr(0, kMaxReason)};
  }
  return {answer.leader.empty() ? grpc::StatusCode::UNAVAILABLE : grpc::StatusCode::FAILED_PRECONDITION,
          answer.detail.empty() ? "leadership was not handed over" : answer.detail.substr(0, kMaxReason)};
}

grpc::Status StatusOf(const election::AnswerLead& answer) {
  switch (answer.outcome) {
    case election::AnswerLead::Outcome::kLeads:
    case election::AnswerLead::Outcome::kWould:
      return grpc::Status::OK;
    case election::AnswerLead::Outcome::kRefused:
      return {grpc::StatusCode::FAILED_PRECONDITION, answer.detail.substr(0, kMaxReason)};
    case election::AnswerLead::Outcome::kLate:
      break;
  }
  return {grpc::StatusCode::DEADLINE_EXCEEDED, answer.detail.substr(0, kMaxReason)};
}

}  // namespace

// One caller, until the core's answer. Deletes itself when gRPC is done with it.
class HandoverCalls::Call final : public grpc::ServerUnaryReactor {
 public:
  Call(HandoverCalls& calls, RequestId call_id, Response to)
      : id(call_id), begun(ReadMonotonicClock()), response(to), calls_(calls) {}

  // Whoever takes the call out of the waiting ones finishes it.
  void End(const grpc::Status& status) {
    HandToGrpc(this);
    Finish(status);
  }

  const RequestId id;
  const Instant begun;
  const Response response;

 private:
  // The caller gave up, or is gone.
  void OnCancel() override {
    if (calls_.Take(id) != nullptr) End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    TakeFromGrpc(this);
    delete this;
  }

  HandoverCalls& calls_;
};

grpc::ServerUnaryReactor* HandoverCalls::Begin(grpc::CallbackServerContext* context, const v1::HandoverRequest& request,
                                               v1::HandoverResponse* response) {
  if (!LocalOrAuthenticated(*context)) {
    LogWarning(kLog, "refused: the caller is neither on this pod's loopback nor known by a certificate",
               {{"peer", context->peer()}});
    return FinishAtOnce(context,
                        {grpc::StatusCode::PERMISSION_DENIED,
                         "only a caller on the member's own loopback, or one with a certificate where members "
                         "use TLS, may ask for a handover: run `hive-coordinator handover` in a member's pod"});
  }
  std::string to;
  if (!request.to_ip().empty()) {
    const auto ip = CanonicalIp(request.to_ip());
    if (!ip) return FinishAtOnce(context, {grpc::StatusCode::INVALID_ARGUMENT, "to_ip is no IP address"});
    to = *ip;
  }
  LogInfo(kLog, "asked for", {{"peer", context->peer()}, {"to", to.empty() ? "anyone" : to}});
  return Wait(context, response, [&to](RequestId id) { return election::HandoverAsked{id, to}; });
}

// A certificate is not enough: whoever may lose data says so in the member's own pod.
grpc::ServerUnaryReactor* HandoverCalls::Begin(grpc::CallbackServerContext* context, const v1::LeadNowRequest& request,
                                               v1::LeadNowResponse* response) {
  if (!IsLocal(context->peer())) {
    LogWarning(kLog, "refused to lead: the caller is not on this pod's loopback", {{"peer", context->peer()}});
    return FinishAtOnce(context, {grpc::StatusCode::PERMISSION_DENIED,
                                  "only a caller on the member's own loopback may tell it to lead: run "
                                  "`hive-coordinator lead` in its pod"});
  }
  const bool force = request.force();
  LogInfo(kLog, force ? "told to lead by force" : "asked what leading by force would give up",
          {{"peer", context->peer()}});
  return Wait(context, response, [force](RequestId id) { return election::LeadAsked{id, force}; });
}

grpc::ServerUnaryReactor* HandoverCalls::Wait(grpc::CallbackServerContext* context, Response response,
                                              const std::function<election::Event(RequestId)>& ask) {
  FinishOverdue();
  Call* call = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return FinishAtOnce(context, {grpc::StatusCode::UNAVAILABLE, kStopping});
    if (waiting_.size() < kMaxWaiting) {
      call = new Call(*this, next_id_++, response);
      waiting_.emplace(call->id, call);
    }
  }
  if (call == nullptr) {
    return FinishAtOnce(context, {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many ask at once"});
  }
  if (!inbox_.Offer(ask(call->id)) && Take(call->id) != nullptr) {
    call->End({grpc::StatusCode::UNAVAILABLE, "this coordinator is stopping, or has more to do than it can"});
  }
  return call;
}

HandoverCalls::Call* HandoverCalls::Take(RequestId id) {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return nullptr;
  Call* call = found->second;
  waiting_.erase(found);
  return call;
}

void HandoverCalls::FinishOverdue() {
  const Instant oldest = ReadMonotonicClock() - kAnswerLimit;
  std::vector<Call*> overdue;
  {
    const std::lock_guard lock(mutex_);
    // Ids grow with time: the first is the oldest.
    while (!waiting_.empty() && waiting_.begin()->second->begun < oldest) {
      overdue.push_back(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
    }
  }
  for (Call* call : overdue) call->End({grpc::StatusCode::DEADLINE_EXCEEDED, "no outcome is known"});
}

void HandoverCalls::Answer(const election::AnswerHandover& answer) {
  LogInfo(kLog, answer.done ? "done" : "not done", {{"detail", answer.detail}, {"leader", answer.leader.leader.ip}});
  Call* call = Take(answer.id);
  if (call == nullptr) return;  // the caller has given up
  v1::HandoverResponse& response = *std::get<v1::HandoverResponse*>(call->response);
  if (!answer.leader.empty()) Encode(answer.leader, response.mutable_leader());
  response.set_detail(answer.detail.substr(0, kMaxReason));
  call->End(StatusOf(answer));
}

void HandoverCalls::Answer(const election::AnswerLead& answer) {
  Call* call = Take(answer.id);
  if (call == nullptr) return;  // the caller has given up; the core has logged what it did
  v1::LeadNowResponse& response = *std::get<v1::LeadNowResponse*>(call->response);
  response.set_leads(answer.outcome == election::AnswerLead::Outcome::kLeads);
  if (!answer.leader.empty()) Encode(answer.leader, response.mutable_leader());
  response.set_detail(answer.detail.substr(0, kMaxReason));
  for (const std::string& clause : answer.given_up) response.add_given_up(clause);
  call->End(StatusOf(answer));
}

void HandoverCalls::Left() {
  const std::lock_guard lock(mutex_);
  left_ = true;
  has_left_.notify_all();
}

bool HandoverCalls::WaitUntilLeft(Duration at_most) {
  std::unique_lock lock(mutex_);
  return has_left_.wait_for(lock, at_most, [this] { return left_; });
}

void HandoverCalls::Close() {
  std::map<RequestId, Call*> waiting;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiting.swap(waiting_);
  }
  for (const auto& [id, call] : waiting) call->End({grpc::StatusCode::UNAVAILABLE, kStopping});
}

}  // namespace hive::coordinator
