#include "coordinator/adapters/peer_service.h"

#include <optional>
#include <string>
#include <utility>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "coordinator/adapters/caller.h"
#include "coordinator/adapters/handover.h"
#include "coordinator/adapters/peer_codec.h"

namespace hive::coordinator {
namespace {

using election::RequestId;
using election::StreamId;

grpc::Status Busy() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "this member has more requests waiting than it can answer"};
}

grpc::Status InOthersName() {
  return {grpc::StatusCode::UNAUTHENTICATED, "the message says that it is from another member than has proved itself"};
}

constexpr const char* kHandOver = "HandOver";

grpc::ServerUnaryReactor* FinishAtOnce(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

bool IsLast(const election::Beat& beat) { return beat.state != election::LeaderState::kOpen; }

}  // namespace

// ------------------------------------------------------------------------------------------------- unary calls

// A request that waits for the core's reply. Deletes itself when gRPC is done with it.
class PeerService::PendingCall : public grpc::ServerUnaryReactor {
 public:
  PendingCall(PeerService& service, RequestId call_id)
      : id(call_id), received(ReadMonotonicClock()), service_(service) {}

  virtual void Write(const election::Reply& reply) = 0;

  // Whoever takes the call out of the pending ones finishes it.
  void End(const grpc::Status& status) {
    HandToGrpc(this);
    Finish(status);
  }

  const RequestId id;
  const Instant received;

 private:
  // The caller gave up, or is gone.
  void OnCancel() override {
    if (service_.Take(id) != nullptr) End(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    TakeFromGrpc(this);
    delete this;
  }

  PeerService& service_;
};

template <typename Response>
class PeerService::TypedCall final : public PendingCall {
 public:
  TypedCall(PeerService& service, RequestId call_id, Response* response)
      : PendingCall(service, call_id), response_(response) {}

  void Write(const election::Reply& reply) override { Encode(reply, response_); }

 private:
  Response* const response_;  // gRPC's; valid until the call is finished
};

PeerService::PeerService(election::Header header, EventInbox& inbox, PeerGuard& guard)
    : header_(std::move(header)), inbox_(inbox), guard_(guard) {}

PeerService::~PeerService() = default;

template <typename Request, typename Response>
grpc::ServerUnaryReactor* PeerService::Receive(const char* rpc, grpc::CallbackServerContext* context,
                                               const Request* request, Response* response) {
  const PeerGuard::Caller caller = guard_.Admit(*context, rpc);
  if (!caller.status.ok()) return FinishAtOnce(context, caller.status);
  // What a person may only ask on a member's own loopback must not be open to strangers by another door.
  if (rpc == kHandOver && caller.sender.empty() && !LocalOrAuthenticated(*context)) {
    guard_.refusals().Note(Refusals::Reason::kNoProof, PeerIp(context->peer()), "HandOver: a stranger");
    return FinishAtOnce(context,
                        {grpc::StatusCode::PERMISSION_DENIED,
                         "without a peer secret or TLS a handover is only taken on the leader's own loopback"});
  }
  auto decoded = Decode(*request);
  if (decoded.ok() && !guard_.Speaks(caller.sender, decoded->header.self, context->peer())) {
    return FinishAtOnce(context, InOthersName());
  }
  if (!decoded.ok()) {
    const std::string reason(decoded.status().message());
    guard_.refusals().Note(Refusals::Reason::kMalformed, PeerIp(context->peer()), std::string(rpc) + ": " + reason);
    Encode(election::Reply(election::Refusal{header_, "malformed: " + reason}), response);
    return FinishAtOnce(context, grpc::Status::OK);
  }

  FinishOverdue();
  PendingCall* call = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (pending_.size() < kMaxPending) {
      const RequestId id = next_request_++;
      call = new TypedCall<Response>(*this, id, response);
      pending_.emplace(id, call);
    }
  }
  if (call == nullptr) {
    guard_.refusals().Note(Refusals::Reason::kOverload, PeerIp(context->peer()), rpc);
    return FinishAtOnce(context, Busy());
  }
  if (!inbox_.Offer(election::RequestReceived{call->id, *std::move(decoded)}) && Take(call->id) != nullptr) {
    call->End(Busy());
  }
  return call;
}

PeerService::PendingCall* PeerService::Take(RequestId id) {
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(id);
  if (found == pending_.end()) return nullptr;
  PendingCall* call = found->second;
  pending_.erase(found);
  return call;
}

void PeerService::FinishOverdue() {
  const Instant oldest = ReadMonotonicClock() - kAnswerLimit;
  for (;;) {
    PendingCall* call = nullptr;
    {
      const std::lock_guard lock(mutex_);
      // Ids grow with time: the first is the oldest.
      if (pending_.empty() || pending_.begin()->second->received > oldest) return;
      call = pending_.begin()->second;
      pending_.erase(pending_.begin());
    }
    call->End({grpc::StatusCode::DEADLINE_EXCEEDED, "this member has not made up its mind"});
  }
}

void PeerService::Reply(election::SendReply reply) {
  PendingCall* call = Take(reply.id);
  if (call == nullptr) return;
  call->Write(reply.reply);
  call->End(grpc::Status::OK);
}

grpc::ServerUnaryReactor* PeerService::Greet(grpc::CallbackServerContext* context, const v1::GreetRequest* request,
                                             v1::GreetResponse* response) {
  if (!request->only_identify()) return Receive("Greet", context, request, response);
  const PeerGuard::Caller caller = guard_.Admit(*context, "Greet");
  if (caller.status.ok()) Encode(header_, response->mutable_header());
  return FinishAtOnce(context, caller.status);
}

grpc::ServerUnaryReactor* PeerService::Campaign(grpc::CallbackServerContext* context,
                                                const v1::CampaignRequest* request, v1::CampaignResponse* response) {
  return Receive("Campaign", context, request, response);
}

grpc::ServerUnaryReactor* PeerService::Prepare(grpc::CallbackServerContext* context, const v1::PrepareRequest* request,
                                               v1::PrepareResponse* response) {
  return Receive("Prepare", context, request, response);
}

grpc::ServerUnaryReactor* PeerService::Lead(grpc::CallbackServerContext* context, const v1::LeadRequest* request,
                                            v1::LeadResponse* response) {
  return Receive("Lead", context, request, response);
}

grpc::ServerUnaryReactor* PeerService::Yield(grpc::CallbackServerContext* context, const v1::YieldRequest* request,
                                             v1::YieldResponse* response) {
  return Receive("Yield", context, request, response);
}

grpc::ServerUnaryReactor* PeerService::TakeOver(grpc::CallbackServerContext* context,
                                                const v1::TakeOverRequest* request, v1::TakeOverResponse* response) {
  return Receive("TakeOver", context, request, response);
}

grpc::ServerUnaryReactor* PeerService::HandOver(grpc::CallbackServerContext* context,
                                                const v1::HandOverRequest* request, v1::HandOverResponse* response) {
  return Receive(kHandOver, context, request, response);
}

// ------------------------------------------------------------------------------------------------------ streams

// One follower's stream, at the leader's side. Its state is guarded by the service's mutex. Deletes itself in OnDone.
class PeerService::FollowStream final : public grpc::ServerBidiReactor<v1::FollowRequest, v1::FollowResponse> {
 public:
  // `sender`: who has proved to be at the other end.
  FollowStream(PeerService& service, StreamId stream_id, std::string peer, std::string sender)
      : id(stream_id), service_(service), peer_(std::move(peer)), sender_(std::move(sender)) {}

  void Begin() {
    HandToGrpc(this);
    StartRead(&request_);
  }

  // With the service's mutex held, as WriteOrFinish, End and Report are too.
  void Send(election::Beat beat) {
    if (waiting_ && IsLast(*waiting_)) return;
    waiting_ = std::move(beat);
    WriteOrFinish();
  }
  void Close() {
    told_ = true;
    closing_ = true;
    WriteOrFinish();
  }

  const StreamId id;

 private:
  // One write in flight; Finish only when there is none.
  void WriteOrFinish() {
    if (writing_ || finished_) return;
    if (end_) {
      finished_ = true;
      Finish(*end_);
    } else if (waiting_) {
      response_.Clear();
      Encode(*waiting_, &response_);
      waiting_.reset();
      writing_ = true;
      StartWrite(&response_);
    } else if (closing_) {
      finished_ = true;
      Finish(grpc::Status::OK);
    }
  }

  // Ends the stream without writing what waits.
  void End(const grpc::Status& status) {
    if (!end_) end_ = status;
    WriteOrFinish();
  }

  // Tells the core that the stream is over, once, unless it has closed the stream itself.
  void Report() {
    if (!std::exchange(told_, true)) {
      service_.inbox_.Post(election::StreamClosed{id, election::Failure::kClosed});
    }
  }

  void OnReadDone(bool ok) override {
    TakeFromGrpc(this);
    absl::StatusOr<election::FollowerReport> report = absl::CancelledError("the follower has closed its side");
    if (ok) report = DecodeReport();
    const std::lock_guard lock(service_.mutex_);  // so that no report follows CloseStream
    if (!report.ok()) {
      Report();
      End(ok ? grpc::Status(static_cast<grpc::StatusCode>(report.status().code()),
                            std::string(report.status().message()))
             : grpc::Status::OK);
      return;
    }
    if (finished_ || end_) return;
    // A report that finds no room is dropped: the next one says the same, and newer.
    if (!told_) (void)service_.inbox_.Offer(election::ReportReceived{id, *std::move(report)});
    StartRead(&request_);
  }

  // What has been read; a fault ends the stream.
  absl::StatusOr<election::FollowerReport> DecodeReport() {
    absl::StatusOr<election::FollowerReport> report = Decode(request_);
    if (!report.ok()) {
      const std::string reason(report.status().message());
      service_.guard_.refusals().Note(Refusals::Reason::kMalformed, PeerIp(peer_), "Follow: " + reason);
    } else if (!service_.guard_.Speaks(sender_, report->header.self, peer_)) {
      return absl::UnauthenticatedError(InOthersName().error_message());
    }
    return report;
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(service_.mutex_);
    writing_ = false;
    if (ok) {
      WriteOrFinish();
    } else {
      End(grpc::Status::CANCELLED);
    }
  }

  void OnCancel() override {
    const std::lock_guard lock(service_.mutex_);
    Report();
    End(grpc::Status::CANCELLED);
  }

  void OnDone() override {
    {
      const std::lock_guard lock(service_.mutex_);
      Report();
      service_.streams_.erase(id);
    }
    delete this;
  }

  PeerService& service_;
  const std::string peer_;
  const std::string sender_;
  v1::FollowRequest request_;    // of the read in progress
  v1::FollowResponse response_;  // of the write in progress

  std::optional<election::Beat> waiting_;
  bool writing_ = false;
  bool closing_ = false;             // finish once nothing waits
  std::optional<grpc::Status> end_;  // finish once nothing is being written
  bool finished_ = false;            // nothing may be started any more
  bool told_ = false;                // the core knows that the stream is over: no more events
};

grpc::ServerBidiReactor<v1::FollowRequest, v1::FollowResponse>* PeerService::Follow(
    grpc::CallbackServerContext* context) {
  class Refused final : public grpc::ServerBidiReactor<v1::FollowRequest, v1::FollowResponse> {
   public:
    explicit Refused(const grpc::Status& status) { Finish(status); }
    void OnDone() override { delete this; }
  };

  PeerGuard::Caller caller = guard_.Admit(*context, "Follow");
  if (!caller.status.ok()) return new Refused(caller.status);
  const auto busy = [&] {
    guard_.refusals().Note(Refusals::Reason::kOverload, PeerIp(context->peer()), "Follow");
    return new Refused(Busy());
  };
  FollowStream* stream = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (streams_.size() >= kMaxStreams) return busy();
    stream = new FollowStream(*this, next_stream_, context->peer(), std::move(caller.sender));
    next_stream_ += 2;
    if (!inbox_.Offer(election::FollowOpened{stream->id})) {
      delete stream;
      return busy();
    }
    streams_.emplace(stream->id, stream);
    stream->Begin();
  }
  return stream;
}

void PeerService::SendBeat(election::SendBeat beat) {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(beat.id);
  if (found != streams_.end()) found->second->Send(std::move(beat.beat));
}

void PeerService::CloseStream(StreamId id) {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  if (found != streams_.end()) found->second->Close();
}

}  // namespace hive::coordinator
