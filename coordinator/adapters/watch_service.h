// Serves hive.v1.LeaderWatch: proxies watch who leads. Each watcher has one write in flight and then gets the newest
// state, never a queue. It is written to whenever the leader is published, which is at each change and each time that
// its claim was heard anew, once per beat; and also after two beats without, 300 ms at most, so that silence means
// trouble.
//
// Thread rule: Publish from the runtime's thread; the rest is gRPC's and a beat thread of its own. One mutex guards all
// watchers, for the reason that peer_service.h gives.
// Lifetime: outlives the server.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "common/base/time.h"
#include "coordinator/adapters/peer_guard.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/ports.h"
#include "hive/v1/leader_watch.grpc.pb.h"

namespace hive::coordinator {

class WatchService final : public v1::LeaderWatch::CallbackService, public WatchSink {
 public:
  // Watchers at a time. Each member's proxy watches one coordinator; all of them may watch one.
  static constexpr size_t kMaxWatchers = 1000;

  // A proxy's lease, of leader_timeout: in a partition it ends before the other side can have promoted.
  static constexpr Duration LeaseOf(Duration leader_timeout) { return leader_timeout * 7 / 10; }

  struct Options {
    std::string hive;
    Duration beat_interval{0};
    Duration lease{0};
  };
  WatchService(Options options, PeerGuard& guard);
  ~WatchService() override;  // after the server has been shut down

  void Publish(const election::LeaderView& view) override;

  grpc::ServerBidiReactor<v1::WatchRequest, v1::WatchResponse>* Watch(grpc::CallbackServerContext* context) override;

  size_t watchers() const;

 private:
  class Watcher;

  // `arrived`: when the echoed question did. With the mutex held, as TellAll().
  v1::WatchResponse Response(uint64_t echoed_sequence, Instant arrived) const;
  void TellAll();
  void Beat();

  const Options options_;
  PeerGuard& guard_;
  mutable std::mutex mutex_;  // guards what follows, and the watchers' state
  std::condition_variable wake_;
  bool ending_ = false;
  election::LeaderView view_;
  Instant told_;                 // when all watchers were told last
  std::set<Watcher*> watchers_;  // delete themselves
  std::thread beat_;             // the last member
};

}  // namespace hive::coordinator
