// A coordinator that is nothing but its LeaderWatch service, and says what the test tells it to say.
//
// Thread rule: any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "hive/v1/leader_watch.grpc.pb.h"

namespace hive::proxy {

class FakeWatch {
 public:
  // Listens at once. The leader is nobody until SetLeader.
  explicit FakeWatch(const Endpoint& listen, std::string hive = "test");
  ~FakeWatch();
  FakeWatch(const FakeWatch&) = delete;
  FakeWatch& operator=(const FakeWatch&) = delete;

  void SetLeader(uint64_t term, const Endpoint& redis, uint64_t incarnation = 1);
  void SetNoLeader();
  void SetWriteState(hive::v1::WriteState state);
  void SetLease(Duration lease);
  void SetCoordinators(const std::vector<Endpoint>& coordinators);
  // Streams stay open, and nothing is said.
  void SetMute(bool mute);
  // Questions are not echoed: leases are not renewed.
  void SetEchoing(bool echoing);

  // Waits until some stream has been answered with the present state.
  void AwaitHeard();
  int streams();

 private:
  class Stream;
  class Service;
  void Change(const std::function<void()>& change);

  std::mutex mutex_;
  std::condition_variable heard_;
  hive::v1::WatchResponse state_;  // guarded by mutex_, like all below
  uint64_t version_ = 1;
  uint64_t heard_version_ = 0;
  bool mute_ = false;
  bool echoing_ = true;
  std::set<Stream*> streams_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace hive::proxy
