#include "proxy/leader/watch_stream.h"

#include <grpcpp/grpcpp.h>

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "common/app/peer_proof.h"
#include "common/app/proof_metadata.h"
#include "common/net/clock.h"
#include "proxy/leader/lease.h"

namespace hive::proxy {
namespace {

// What this end's proof says.
constexpr char kWatch[] = "Watch";
constexpr char kSender[] = "proxy";

// "ipv4:10.0.0.1:7400" and "ipv6:[fd00::1]:7400": names that gRPC does not try to resolve.
std::string Target(const Endpoint& endpoint) {
  return (endpoint.ip.find(':') == std::string::npos ? "ipv4:" : "ipv6:") + ToString(endpoint);
}

std::shared_ptr<grpc::Channel> FreshChannel(const Endpoint& endpoint,
                                            const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  // Not shared with an earlier attempt, which may rest after a failure.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // as GrpcServer
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  return grpc::CreateCustomChannel(Target(endpoint), credentials, arguments);
}

// Owned by its user and, from Start() to OnDone(), by itself.
class Stream final : public WatchStream,
                     public grpc::ClientBidiReactor<hive::v1::WatchRequest, hive::v1::WatchResponse>,
                     public std::enable_shared_from_this<Stream> {
 public:
  Stream(const Endpoint& coordinator, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
         std::shared_ptr<const PeerSecrets> secrets, EventSink on_event)
      : on_event_(std::move(on_event)),
        proof_(std::move(secrets), kWatch, kSender, coordinator),
        stub_(hive::v1::LeaderWatch::NewStub(FreshChannel(coordinator, credentials))) {
    if (!proof_.value().empty()) context_.AddMetadata(kProofKey, proof_.value());
  }

  void Start() {
    self_ = shared_from_this();
    stub_->async()->Watch(&context_, this);
    // Ask() writes from outside of gRPC's callbacks: the hold keeps the call from being over in the middle of that.
    AddHold();
    StartRead(&response_);
    StartCall();
  }

  void Ask(const std::string& hive) override {
    const std::lock_guard lock(mutex_);
    request_hive_ = hive;
    Write(ReadMonotonicClock());
  }

  void Cut() override {
    context_.TryCancel();
    Release();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Release();
    if (!proven_ && !proof_.AnsweredBy(MetadataValue(context_.GetServerInitialMetadata(), kProofAnswerKey))) {
      impostor_ = true;
      context_.TryCancel();  // the next read fails
    } else {
      proven_ = true;
      const Instant now = ReadMonotonicClock();
      std::optional<Instant> asked;
      {
        const std::lock_guard lock(mutex_);
        asked = sent_.At(response_.echoed_sequence());
        if (now - newest_ >= kLeastBetweenQuestions) Write(now);
      }
      on_event_(Answer{response_, asked});
    }
    StartRead(&response_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    // A failed write means that the call is over: OnDone says why.
    (void)ok;
  }

  void OnDone(const grpc::Status& status) override {
    Ended ended{status.error_message(), status.error_code() == grpc::StatusCode::UNAUTHENTICATED};
    if (ended.why.empty()) ended.why = "the stream ended";
    if (impostor_) ended = {"whoever answers does not prove the members' secret", true};
    on_event_(std::move(ended));
    const std::shared_ptr<Stream> self = std::move(self_);
  }

  // Requires the lock.
  void Write(Instant now) {
    if (writing_ || !held_) return;
    writing_ = true;
    newest_ = now;
    request_.set_sequence(sent_.Next(now));
    request_.set_hive(request_hive_);
    StartWrite(&request_);
  }

  // Nothing is asked any more; the call may end.
  void Release() {
    {
      const std::lock_guard lock(mutex_);
      if (!held_) return;
      held_ = false;
    }
    RemoveHold();
  }

  const EventSink on_event_;
  const CallProof proof_;
  bool proven_ = false;    // so is the answering end; of gRPC's reads alone
  bool impostor_ = false;  // it is not
  const std::unique_ptr<hive::v1::LeaderWatch::Stub> stub_;
  grpc::ClientContext context_;
  hive::v1::WatchResponse response_;  // gRPC's, between StartRead and OnReadDone
  std::mutex mutex_;
  hive::v1::WatchRequest request_;  // gRPC's, while writing_
  bool writing_ = false;            // guarded by mutex_
  bool held_ = true;                // guarded by mutex_
  std::string request_hive_;        // guarded by mutex_
  SentTimes sent_;                  // guarded by mutex_
  Instant newest_{};                // when the newest question was sent; guarded by mutex_
  std::shared_ptr<Stream> self_;
};

}  // namespace

std::shared_ptr<WatchStream> WatchStream::Open(const Endpoint& coordinator,
                                               const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                               const std::shared_ptr<const PeerSecrets>& secrets, EventSink on_event) {
  auto stream = std::make_shared<Stream>(coordinator, credentials, secrets, std::move(on_event));
  stream->Start();
  return stream;
}

}  // namespace hive::proxy
