// A leader that a live coordinator follows, and that then sends what no honest one sends: beats that are duplicates,
// out of order, in another's name, of lower or absurd terms, each of which says that it leads no more. At last, beats
// that say that all is well, but echo an old report: they might have lain in a buffer for a minute.
//
// Thread rule: gRPC's threads, one per stream.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "hive/v1/election.grpc.pb.h"
#include "tests/hostile/hostile_peer.h"

namespace hive::hostile {

class FalseLeader final : public v1::Election::Service {
 public:
  static constexpr std::chrono::milliseconds kBeat{30};
  // How long each bad beat comes between good ones; and how long old echoes are sent at most.
  static constexpr std::chrono::seconds kMixed{4};
  static constexpr std::chrono::seconds kStale{10};

  explicit FalseLeader(Forger forger, uint64_t term) : forger_(std::move(forger)), term_(term) {}

  grpc::Status Greet(grpc::ServerContext* context, const v1::GreetRequest* request,
                     v1::GreetResponse* response) override;
  grpc::Status Follow(grpc::ServerContext* context,
                      grpc::ServerReaderWriter<v1::FollowResponse, v1::FollowRequest>* stream) override;

  // Blocks until the first follower has gone. One line of JSON: beats sent, streams, and after how many milliseconds of
  // old echoes the follower left.
  std::string WaitForTheEnd();

 private:
  // Beats that must change nothing after the good one with this number.
  std::vector<v1::FollowResponse> BadBeats(const v1::FollowResponse& good) const;
  v1::FollowResponse GoodBeat(uint64_t number, uint64_t echo) const;

  const Forger forger_;
  const uint64_t term_;

  std::atomic<int> streams_ = 0;
  std::mutex mutex_;  // guards what follows
  std::condition_variable over_;
  bool done_ = false;
  uint64_t good_ = 0;
  uint64_t bad_ = 0;
  int64_t left_after_ms_ = -1;  // of old echoes; -1: earlier
};

}  // namespace hive::hostile
