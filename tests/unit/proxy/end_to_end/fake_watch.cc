#include "tests/unit/proxy/end_to_end/fake_watch.h"

#include <cstdio>
#include <cstdlib>
#include <functional>

namespace hive::proxy {

class FakeWatch::Stream final : public grpc::ServerBidiReactor<hive::v1::WatchRequest, hive::v1::WatchResponse> {
 public:
  explicit Stream(FakeWatch& owner) : owner_(owner) {
    {
      const std::lock_guard lock(owner_.mutex_);
      owner_.streams_.insert(this);
      Say();
    }
    StartRead(&request_);
  }

  // Requires the owner's lock.
  void Say() {
    if (writing_) {
      again_ = true;
      return;
    }
    if (owner_.mute_ || over_) return;
    writing_ = true;
    again_ = false;
    response_ = owner_.state_;
    response_.set_echoed_sequence(owner_.echoing_ ? sequence_ : 0);
    written_version_ = owner_.version_;
    StartWrite(&response_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      {
        const std::lock_guard lock(owner_.mutex_);
        over_ = true;
      }
      Finish(grpc::Status::OK);
      return;
    }
    {
      const std::lock_guard lock(owner_.mutex_);
      sequence_ = request_.sequence();
      Say();
    }
    StartRead(&request_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(owner_.mutex_);
    writing_ = false;
    if (!ok) return;
    owner_.heard_version_ = std::max(owner_.heard_version_, written_version_);
    owner_.heard_.notify_all();
    if (again_) Say();
  }

  void OnDone() override {
    {
      const std::lock_guard lock(owner_.mutex_);
      owner_.streams_.erase(this);
    }
    delete this;
  }

  FakeWatch& owner_;
  hive::v1::WatchRequest request_;
  hive::v1::WatchResponse response_;
  uint64_t sequence_ = 0;
  uint64_t written_version_ = 0;
  bool writing_ = false;
  bool again_ = false;
  bool over_ = false;
};

class FakeWatch::Service final : public hive::v1::LeaderWatch::CallbackService {
 public:
  explicit Service(FakeWatch& owner) : owner_(owner) {}
  grpc::ServerBidiReactor<hive::v1::WatchRequest, hive::v1::WatchResponse>* Watch(
      grpc::CallbackServerContext*) override {
    return new Stream(owner_);  // deletes itself in OnDone
  }

 private:
  FakeWatch& owner_;
};

FakeWatch::FakeWatch(const Endpoint& listen, std::string hive) : service_(std::make_unique<Service>(*this)) {
  state_.set_hive(std::move(hive));
  state_.set_write_state(hive::v1::WRITE_STATE_NO_LEADER);
  state_.set_lease_ms(700);
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(ToString(listen), grpc::InsecureServerCredentials());
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  if (!server_) {
    std::fprintf(stderr, "cannot listen on %s\n", ToString(listen).c_str());
    std::abort();
  }
}

FakeWatch::~FakeWatch() { server_->Shutdown(std::chrono::system_clock::now()); }

void FakeWatch::Change(const std::function<void()>& change) {
  const std::lock_guard lock(mutex_);
  change();
  ++version_;
  for (Stream* stream : streams_) stream->Say();
}

void FakeWatch::SetLeader(uint64_t term, const Endpoint& redis, uint64_t incarnation) {
  Change([&] {
    state_.set_term(term);
    state_.set_leader_ip(redis.ip);
    state_.set_leader_incarnation(incarnation);
    state_.mutable_redis()->set_ip(redis.ip);
    state_.mutable_redis()->set_port(redis.port);
    state_.set_write_state(hive::v1::WRITE_STATE_OPEN);
  });
}

void FakeWatch::SetNoLeader() {
  Change([&] {
    state_.set_term(0);
    state_.clear_redis();
    state_.clear_leader_ip();
    state_.set_write_state(hive::v1::WRITE_STATE_NO_LEADER);
  });
}

void FakeWatch::SetWriteState(hive::v1::WriteState state) {
  Change([&] { state_.set_write_state(state); });
}

void FakeWatch::SetLease(Duration lease) {
  Change([&] { state_.set_lease_ms(static_cast<uint64_t>(ToMillis(lease))); });
}

void FakeWatch::SetCoordinators(const std::vector<Endpoint>& coordinators) {
  Change([&] {
    state_.clear_coordinators();
    for (const Endpoint& coordinator : coordinators) {
      hive::v1::SocketAddress* address = state_.add_coordinators();
      address->set_ip(coordinator.ip);
      address->set_port(coordinator.port);
    }
  });
}

void FakeWatch::SetMute(bool mute) {
  Change([&] { mute_ = mute; });
}

void FakeWatch::SetEchoing(bool echoing) {
  Change([&] { echoing_ = echoing; });
}

void FakeWatch::AwaitHeard() {
  std::unique_lock lock(mutex_);
  heard_.wait_for(lock, std::chrono::seconds(10), [this] { return heard_version_ >= version_; });
}

int FakeWatch::streams() {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(streams_.size());
}

}  // namespace hive::proxy
