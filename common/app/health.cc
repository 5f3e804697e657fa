#include "common/app/health.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"

namespace hive {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ServingStatus = HealthCheckResponse::ServingStatus;

}  // namespace

class HealthService::Implementation final : public Health::CallbackService {
 public:
  void Set(std::string_view service, bool serving);

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const HealthCheckRequest* request,
                                  HealthCheckResponse* response) override;
  grpc::ServerWriteReactor<HealthCheckResponse>* Watch(grpc::CallbackServerContext* context,
                                                       const HealthCheckRequest* request) override;

 private:
  class Watcher;

  // SERVICE_UNKNOWN for a service that was never set. Requires mutex_.
  ServingStatus StatusOf(const std::string& service) const {
    const auto found = states_.find(service);
    return found == states_.end() ? HealthCheckResponse::SERVICE_UNKNOWN : found->second;
  }

  std::mutex mutex_;                             // also guards the state of each watcher
  std::map<std::string, ServingStatus> states_;  // guarded by mutex_
  std::vector<Watcher*> watchers_;               // guarded by mutex_; each owns itself until OnDone
};

// One Watch stream: at most one message in flight; when it has left, the newest state follows if it differs.
// Its members are guarded by the service's mutex_. gRPC calls the reactions on its own threads, never from within
// StartWrite or Finish, so both may be called under the lock.
class HealthService::Implementation::Watcher final : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(Implementation& owner, std::string service) : owner_(owner), service_(std::move(service)) {
    const std::lock_guard lock(owner_.mutex_);
    owner_.watchers_.push_back(this);
    WriteNewest();
  }

  const std::string& service() const { return service_; }

  // Requires mutex_.
  void WriteNewest() {
    const ServingStatus newest = owner_.StatusOf(service_);
    if (finished_ || in_flight_ || (told_ && response_.status() == newest)) return;
    response_.set_status(newest);
    told_ = in_flight_ = true;
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(owner_.mutex_);
    in_flight_ = false;
    if (!ok) return FinishOnce();
    WriteNewest();
  }

  void OnCancel() override {
    const std::lock_guard lock(owner_.mutex_);
    FinishOnce();
  }

  void OnDone() override {
    {
      const std::lock_guard lock(owner_.mutex_);
      std::erase(owner_.watchers_, this);
    }
    delete this;
  }

 private:
  void FinishOnce() {
    if (!std::exchange(finished_, true)) Finish(grpc::Status::CANCELLED);
  }

  Implementation& owner_;
  const std::string service_;
  HealthCheckResponse response_;  // the state last written
  bool told_ = false;
  bool in_flight_ = false;
  bool finished_ = false;
};

void HealthService::Implementation::Set(std::string_view service, bool serving) {
  const ServingStatus status = serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  const std::string name(service);
  const std::lock_guard lock(mutex_);
  const auto [state, is_new] = states_.try_emplace(name, status);
  if (!is_new && std::exchange(state->second, status) == status) return;
  for (Watcher* watcher : watchers_) {
    if (watcher->service() == name) watcher->WriteNewest();
  }
}

grpc::ServerUnaryReactor* HealthService::Implementation::Check(grpc::CallbackServerContext* context,
                                                               const HealthCheckRequest* request,
                                                               HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::lock_guard lock(mutex_);
  const ServingStatus status = StatusOf(request->service());
  if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
    reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "no health service \"" + request->service() + "\" here"));
  } else {
    response->set_status(status);
    reactor->Finish(grpc::Status::OK);
  }
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Implementation::Watch(
    grpc::CallbackServerContext* /*context*/, const HealthCheckRequest* request) {
  return new Watcher(*this, request->service());  // owns itself: deleted in OnDone
}

HealthService::HealthService() : implementation_(std::make_unique<Implementation>()) {}

HealthService::~HealthService() = default;

void HealthService::SetServing(std::string_view service, bool serving) { implementation_->Set(service, serving); }

grpc::Service* HealthService::service() { return implementation_.get(); }

namespace {

HealthAnswer AskOnce(const Endpoint& target, std::string_view service, Duration timeout,
                     const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const bool v6 = target.ip.find(':') != std::string::npos;
  const std::unique_ptr<Health::Stub> stub =
      Health::NewStub(grpc::CreateChannel((v6 ? "ipv6:" : "ipv4:") + ToString(target), credentials));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  HealthCheckRequest request;
  request.set_service(std::string(service));
  HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, request, &response);

  const std::string subject =
      (service.empty() ? "the process" : std::string(service)) + " at " + ToString(target) + ": ";
  using Status = HealthAnswer::Status;
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
    return {Status::kUnknownService, subject + "no such health service there"};
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return {Status::kNoAnswer, subject + "whatever listens there has no grpc.health.v1.Health"};
  }
  if (!status.ok()) return {Status::kNoAnswer, subject + "no answer: " + status.error_message()};
  return {response.status() == HealthCheckResponse::SERVING ? Status::kServing : Status::kNotServing,
          subject + HealthCheckResponse::ServingStatus_Name(response.status())};
}

}  // namespace

HealthAnswer AskHealth(const Endpoint& target, std::string_view service, Duration timeout,
                       const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  if (credentials != nullptr) {
    HealthAnswer answer = AskOnce(target, service, timeout / 2, credentials);
    if (answer.status != HealthAnswer::Status::kNoAnswer) return answer;
    timeout /= 2;
  }
  return AskOnce(target, service, timeout, grpc::InsecureChannelCredentials());
}

}  // namespace hive
