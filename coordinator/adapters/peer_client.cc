#include "coordinator/adapters/peer_client.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "coordinator/adapters/handover.h"
#include "coordinator/adapters/peer_codec.h"

namespace hive::coordinator {
namespace {

using election::Failure;
using election::StreamId;

// Milliseconds. Low, since members come back within tens of milliseconds, and few are dialled at a time.
constexpr int kFirstBackoffMs = 20;
constexpr int kMaxBackoffMs = 100;
// How long one connection attempt may take before it counts as failed and another SYN is sent.
constexpr int kConnectMs = 250;
constexpr int kMaxReceiveBytes = 1 << 20;

std::chrono::system_clock::time_point DeadlineIn(Duration timeout) {
  return std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(timeout);
}

// "Greet" of GreetRequest: what a proof names.
template <typename Request>
std::string MethodOf() {
  constexpr std::string_view kSuffix = "Request";
  const std::string& name = Request::descriptor()->name();
  return name.substr(0, name.size() - kSuffix.size());
}

bool Contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

Failure FailureOf(const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return Failure::kTimeout;
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) return Failure::kRejected;
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return Failure::kClosed;
  // gRPC passes the operating system's words on.
  const std::string& words = status.error_message();
  if (Contains(words, "Connection refused")) return Failure::kRefused;
  if (Contains(words, "handshake failed")) return Failure::kRejected;
  for (const std::string_view part : {"No route to host", "Network is unreachable", "Host is down"}) {
    if (Contains(words, part)) return Failure::kUnreachable;
  }
  for (const std::string_view part : {"timed out", "Timeout occurred", "Deadline"}) {
    if (Contains(words, part)) return Failure::kTimeout;
  }
  return Failure::kClosed;
}

std::string GrpcTarget(const Endpoint& endpoint) {
  return (endpoint.ip.find(':') == std::string::npos ? "ipv4:" : "ipv6:") + ToString(endpoint);
}

std::shared_ptr<grpc::Channel> FreshChannel(const Endpoint& to,
                                            const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else a dead connection is shared
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstBackoffMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxBackoffMs);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // members are reached directly, whatever the environment says
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);     // the core decides what is asked again
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);    // as GrpcServer
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  return grpc::CreateCustomChannel(GrpcTarget(to), credentials, arguments);
}

PeerClient::PeerClient(election::Header header, EventInbox& inbox, PeerGuard& guard,
                       std::shared_ptr<grpc::ChannelCredentials> credentials)
    : header_(std::move(header)), inbox_(inbox), guard_(guard), credentials_(std::move(credentials)) {}

// ------------------------------------------------------------------------------------------------------ channels

std::shared_ptr<grpc::Channel> PeerClient::ChannelTo(const Endpoint& to) {
  const Instant now = ReadMonotonicClock();
  const std::lock_guard lock(mutex_);
  std::erase_if(channels_, [now](const auto& entry) { return now - entry.second.used > kChannelIdle; });
  PooledChannel& pooled = channels_[to];
  if (!pooled.channel) pooled.channel = FreshChannel(to, credentials_);
  pooled.used = now;
  return pooled.channel;
}

void PeerClient::DropChannel(const Endpoint& to, const std::shared_ptr<grpc::Channel>& channel) {
  const std::lock_guard lock(mutex_);
  const auto found = channels_.find(to);
  if (found != channels_.end() && found->second.channel == channel) channels_.erase(found);
}

bool PeerClient::Enter(grpc::ClientContext* context, std::shared_ptr<void> call) {
  const std::lock_guard lock(mutex_);
  if (ending_ || calls_.size() >= kMaxCalls) return false;
  calls_.emplace(context, std::move(call));
  return true;
}

void PeerClient::Leave(grpc::ClientContext* context) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(context);
  retired_.push_back(std::move(found->second));
  calls_.erase(found);
  left_.notify_all();
}

void PeerClient::FreeRetired() {
  std::vector<std::shared_ptr<void>> retired;  // freed without the mutex
  {
    const std::lock_guard lock(mutex_);
    retired.swap(retired_);
  }
}

// ------------------------------------------------------------------------------------------------------ requests

template <typename Request, typename Response>
struct PeerClient::Call {
  uint64_t id = 0;  // of the request or the dial
  Endpoint to;
  std::shared_ptr<grpc::Channel> channel;
  grpc::ClientContext context;
  CallProof proof;
  Request request;
  Response response;
};

template <typename Wire, typename Response, typename Request, typename Method>
void PeerClient::Begin(const election::SendRequest& envelope, const Request& from, Method method) {
  auto call = std::make_shared<Call<Wire, Response>>();
  if (!Enter(&call->context, call)) {
    inbox_.Post(election::CallFailed{envelope.id, Failure::kClosed});
    return;
  }
  Encode(from, &call->request);
  call->id = envelope.id;
  call->to = envelope.to;
  call->channel = ChannelTo(envelope.to);
  call->context.set_deadline(DeadlineIn(envelope.timeout));
  call->proof = guard_.Prove(call->context, MethodOf<Wire>(), envelope.to);
  v1::Election::Stub stub(call->channel);
  HandToGrpc(call.get());
  method(*stub.async(), &call->context, &call->request, &call->response,
         [this, call = call.get()](const grpc::Status& status) {
           TakeFromGrpc(call);
           if (!status.ok()) {
             DropChannel(call->to, call->channel);
             LogDebug("peers", "request failed", {{"peer", ToString(call->to)}, {"error", status.error_message()}});
             guard_.OnFailure(status, call->to);
             inbox_.Post(election::CallFailed{call->id, FailureOf(status)});
           } else if (!guard_.Answered(call->context, call->proof, call->to)) {
             inbox_.Post(election::CallFailed{call->id, Failure::kRejected});
           } else if (auto reply = Decode(call->response); reply.ok()) {
             inbox_.Post(election::ReplyReceived{call->id, *std::move(reply)});
           } else {
             guard_.refusals().Note(Refusals::Reason::kMalformed, call->to.ip, std::string(reply.status().message()));
             inbox_.Post(election::CallFailed{call->id, Failure::kClosed});
           }
           Leave(&call->context);
         });
}

void PeerClient::Send(election::SendRequest envelope) {
  FreeRetired();
  std::visit(
      [&](const auto& request) {
        using R = std::decay_t<decltype(request)>;
        if constexpr (std::is_same_v<R, election::GreetRequest>) {
          Begin<v1::GreetRequest, v1::GreetResponse>(envelope, request,
                                                     [](auto& stub, auto... a) { stub.Greet(a...); });
        } else if constexpr (std::is_same_v<R, election::CampaignRequest>) {
          Begin<v1::CampaignRequest, v1::CampaignResponse>(envelope, request,
                                                           [](auto& stub, auto... a) { stub.Campaign(a...); });
        } else if constexpr (std::is_same_v<R, election::PrepareRequest>) {
          Begin<v1::PrepareRequest, v1::PrepareResponse>(envelope, request,
                                                         [](auto& stub, auto... a) { stub.Prepare(a...); });
        } else if constexpr (std::is_same_v<R, election::LeadRequest>) {
          Begin<v1::LeadRequest, v1::LeadResponse>(envelope, request, [](auto& stub, auto... a) { stub.Lead(a...); });
        } else if constexpr (std::is_same_v<R, election::YieldRequest>) {
          Begin<v1::YieldRequest, v1::YieldResponse>(envelope, request,
                                                     [](auto& stub, auto... a) { stub.Yield(a...); });
        } else if constexpr (std::is_same_v<R, election::TakeOverRequest>) {
          Begin<v1::TakeOverRequest, v1::TakeOverResponse>(envelope, request,
                                                           [](auto& stub, auto... a) { stub.TakeOver(a...); });
        } else {
          static_assert(std::is_same_v<R, election::HandOverRequest>);
          Begin<v1::HandOverRequest, v1::HandOverResponse>(envelope, request,
                                                           [](auto& stub, auto... a) { stub.HandOver(a...); });
        }
      },
      envelope.request);
}

// --------------------------------------------------------------------------------------------------------- dials

void PeerClient::Dial(const election::Dial& dial) {
  FreeRetired();
  const Instant deadline = ReadMonotonicClock() + std::max(dial.window, kLeastDialWindow);
  Knock(dial, [this, dial, deadline] { Identify(dial, deadline); });
}

void PeerClient::Knock(const election::Dial& dial, std::function<void()> connected) {
  using Outcome = election::Dialled::Outcome;
  dialler_.Dial(dial.to, dial.window, [this, dial, connected = std::move(connected)](TcpOutcome outcome) {
    switch (outcome) {
      case TcpOutcome::kConnected:
        return connected();
      case TcpOutcome::kRefused:
        inbox_.Post(election::Dialled{dial.id, Outcome::kRefused, {}});
        return;
      case TcpOutcome::kUnreachable:
        inbox_.Post(election::Dialled{dial.id, Outcome::kUnreachable, {}});
        return;
      case TcpOutcome::kNoConnect:
        inbox_.Post(election::Dialled{dial.id, Outcome::kNoConnect, {}});
        return;
    }
  });
}

// Somebody listens: who?
void PeerClient::Identify(const election::Dial& dial, Instant deadline) {
  using Outcome = election::Dialled::Outcome;
  auto call = std::make_shared<Call<v1::GreetRequest, v1::GreetResponse>>();
  if (!Enter(&call->context, call)) {
    inbox_.Post(election::Dialled{dial.id, Outcome::kMute, {}});
    return;
  }
  Encode(header_, call->request.mutable_header());
  call->request.set_only_identify(true);
  call->id = dial.id;
  call->to = dial.to;
  call->channel = FreshChannel(dial.to, credentials_);
  call->context.set_deadline(DeadlineIn(deadline - ReadMonotonicClock()));
  call->proof = guard_.Prove(call->context, MethodOf<v1::GreetRequest>(), dial.to);
  v1::Election::Stub stub(call->channel);
  HandToGrpc(call.get());
  stub.async()->Greet(&call->context, &call->request, &call->response,
                      [this, call = call.get()](const grpc::Status& status) {
                        TakeFromGrpc(call);
                        election::Dialled dialled{call->id, Outcome::kMute, {}};
                        guard_.OnFailure(status, call->to);
                        // Of one who proves nothing nobody knows who it is: that is no proof that another has taken the
                        // member's place.
                        if (status.ok() && !guard_.Answered(call->context, call->proof, call->to)) {
                          dialled.outcome = Outcome::kRejected;
                        } else if (status.ok()) {
                          // Whatever answers without making sense is no member of ours: an identity of nobody.
                          dialled.outcome = Outcome::kAnswered;
                          if (auto header = Decode(call->response.header()); header.ok())
                            dialled.answered_by = header->self;
                        } else if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
                          dialled.outcome = Outcome::kAnswered;
                        } else if (FailureOf(status) == Failure::kRefused) {
                          dialled.outcome = Outcome::kRefused;  // it ended between the two connections
                        } else if (FailureOf(status) == Failure::kClosed || FailureOf(status) == Failure::kRejected) {
                          // Connected, and closed again without an answer: a process that is just dying does so, whose
                          // listening socket is the last to go; so does one that does not like us. Does anybody listen
                          // now?
                          dialled.outcome = Outcome::kRejected;
                          Knock({call->id, call->to, kLeastDialWindow}, [this, dialled] { inbox_.Post(dialled); });
                          return Leave(&call->context);
                        }
                        inbox_.Post(dialled);
                        Leave(&call->context);
                      });
}

// ------------------------------------------------------------------------------------------------------- streams

// This member's stream to a leader. Its state is guarded by the client's mutex.
class PeerClient::FollowStream final : public grpc::ClientBidiReactor<v1::FollowRequest, v1::FollowResponse> {
 public:
  FollowStream(PeerClient& client, StreamId stream_id, Endpoint to)
      : id(stream_id), client_(client), to_(std::move(to)), channel_(FreshChannel(to_, client.credentials_)) {}

  // With the client's mutex held.
  void Begin(const election::FollowerReport& first) {
    v1::Election::Stub stub(channel_);
    proof_ = client_.guard_.Prove(context_, "Follow", to_);
    stub.async()->Follow(&context_, this);
    AddHold();  // writes come from outside of reactions; let go when the reads end
    HandToGrpc(this);
    StartRead(&response_);
    Send(first);
    StartCall();
  }
  void Send(const election::FollowerReport& report) {
    waiting_ = report;
    Write();
  }
  void Close() {
    told_ = true;
    context_.TryCancel();
  }

  const StreamId id;

 private:
  // One write in flight; a report that waits is replaced by a newer one.
  void Write() {
    if (writing_ || over_ || !waiting_) return;
    request_.Clear();
    Encode(*waiting_, &request_);
    waiting_.reset();
    writing_ = true;
    StartWrite(&request_);
  }

  void OnReadDone(bool ok) override {
    TakeFromGrpc(this);
    absl::StatusOr<election::Beat> beat = absl::CancelledError();
    if (ok) beat = DecodeBeat();
    {
      const std::lock_guard lock(client_.mutex_);  // so that no beat follows CloseStream
      if (ok && !beat.ok()) context_.TryCancel();  // the next read fails
      if (ok) {
        if (!told_ && beat.ok()) (void)client_.inbox_.Offer(election::BeatReceived{id, *std::move(beat)});
        HandToGrpc(this);
        StartRead(&response_);
        return;
      }
      over_ = true;
    }
    RemoveHold();
  }

  // What has been read; a fault ends the stream.
  absl::StatusOr<election::Beat> DecodeBeat() {
    // The initial metadata has come before the first beat.
    if (!proven_ && !client_.guard_.Answered(context_, proof_, to_)) {
      return absl::UnauthenticatedError("whoever beats is no member");
    }
    proven_ = true;
    absl::StatusOr<election::Beat> beat = Decode(response_);
    if (!beat.ok()) {
      client_.guard_.refusals().Note(Refusals::Reason::kMalformed, to_.ip, std::string(beat.status().message()));
    }
    return beat;
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(client_.mutex_);
    writing_ = false;
    if (ok) Write();
  }

  void OnDone(const grpc::Status& status) override {
    LogDebug("peers", "stream to a leader is over", {{"peer", ToString(to_)}, {"status", status.error_message()}});
    client_.guard_.OnFailure(status, to_);
    {
      const std::lock_guard lock(client_.mutex_);
      if (!told_) client_.inbox_.Post(election::StreamClosed{id, FailureOf(status)});
      const auto found = client_.streams_.find(id);
      client_.retired_.push_back(std::move(found->second));
      client_.streams_.erase(found);
      client_.left_.notify_all();
    }
    // From here on, both this and the client may be gone.
  }

  PeerClient& client_;
  const Endpoint to_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  CallProof proof_;
  bool proven_ = false;          // by its first beat; of gRPC's reads alone
  v1::FollowRequest request_;    // of the write in progress
  v1::FollowResponse response_;  // of the read in progress
  std::optional<election::FollowerReport> waiting_;
  bool writing_ = false;
  bool over_ = false;  // nothing may be started any more
  bool told_ = false;  // the core has closed the stream: no more events
};

void PeerClient::OpenFollow(election::OpenFollow open) {
  FreeRetired();
  const std::lock_guard lock(mutex_);
  if (ending_ || streams_.contains(open.id)) return;
  auto stream = std::make_shared<FollowStream>(*this, open.id, open.to);
  streams_.emplace(open.id, stream);
  stream->Begin(open.first);
}

void PeerClient::SendReport(election::SendReport report) {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(report.id);
  if (found != streams_.end()) found->second->Send(report.report);
}

void PeerClient::CloseStream(StreamId id) {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  if (found != streams_.end()) found->second->Close();
}

PeerClient::~PeerClient() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  for (const auto& [context, call] : calls_) context->TryCancel();
  for (const auto& [id, stream] : streams_) stream->Close();
  left_.wait(lock, [this] { return calls_.empty() && streams_.empty(); });
}

}  // namespace hive::coordinator
