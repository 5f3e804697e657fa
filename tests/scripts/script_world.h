// A few election cores in one process, for transcripts: a constant network delay, redises that obey at once, and a line
// of text for everything that happens. Deterministic; the simulator (tests/sim) is the place for chance and faults of
// every kind.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/election/core.h"

namespace hive::scripts {

class World {
 public:
  // Runs one command of a script and returns the lines that it led to:
  //   member NAME...            adds pods: an empty, parked redis and a coordinator that is not started yet
  //   start NAME...             starts their coordinators
  //   run DURATION              lets time pass: "250ms", "2s"
  //   write NAME BYTES          a client writes to that redis, if it is a master
  //   loading NAME | loaded NAME  that redis begins to load data, and is done with it
  //   kill-redis NAME           the redis dies
  //   start-redis NAME          it comes back empty and parked
  //   kill-coordinator NAME     the coordinator dies; its redis lives
  //   cut NAME NAME             nothing passes between the two (silence, no reset)
  //   heal                      everything passes again
  //   unlist NAME | list NAME   DNS
  //   adopt NAME KEYS           that redis has loaded data by itself
  //   lead NAME [--force]       a person tells it to lead
  //   show                      one line a member
  std::string Run(const std::string& command);

 private:
  struct Redis {
    bool up = true;
    bool loading = false;
    std::string run_id;
    bool is_master = false;
    bool fenced = false;
    Endpoint master = replication::kNobody;
    std::string id;
    std::string second_id;
    int64_t offset = 0;
    int64_t keys = 0;
  };
  struct Stream {
    std::string follower;
    std::string leader;
    election::StreamId at_follower = 0;
    election::StreamId at_leader = 0;
  };
  struct Pod {
    std::string name;
    Endpoint coordinator;
    Endpoint redis_endpoint;
    Redis redis;
    std::unique_ptr<election::Core> core;
    election::Incarnation incarnation = 0;
    Instant next_tick;
    Instant next_poll;
  };
  struct Delivery {
    Instant at;
    uint64_t order = 0;
    std::string to;
    election::Incarnation incarnation = 0;
    election::Event event;
    bool operator<(const Delivery& other) const { return std::pair(at, order) > std::pair(other.at, other.order); }
  };

  void Start(Pod& pod);
  void KillCoordinator(Pod& pod);
  void NewRedisRun(Pod& pod);
  void Advance(Duration span);
  void Step(Pod& pod, const election::Event& event);
  void Do(Pod& pod, const election::Action& action);
  void Later(const std::string& to, election::Event event);
  void SyncReplicas();
  void Obey(Pod& pod, const replication::RedisCommand& command);
  void CommandRedis(Pod& pod, const election::CommandRedis& action);
  election::RedisStatus StatusOf(const Pod& pod) const;
  bool Passes(const std::string& a, const std::string& b) const;
  Pod* PodAt(const Endpoint& endpoint);
  void Say(const Pod& pod, const std::string& text);

  std::map<std::string, Pod> pods_;
  std::set<std::string> listed_;
  std::set<std::pair<std::string, std::string>> cuts_;
  std::vector<Stream> streams_;
  std::map<election::RequestId, std::pair<std::string, election::CallId>> requests_;
  std::priority_queue<Delivery> deliveries_;
  uint64_t order_ = 0;
  uint64_t drawn_ = 0;
  election::RequestId last_request_ = 0;
  election::StreamId last_accepted_ = 1;
  Instant now_{};
  std::string said_;
};

}  // namespace hive::scripts
