// The judge: looks at everything that happens in a simulated hive, and objects when a promise of docs/election.md is
// broken. It knows the truth of the world (what every redis holds, what the network does) and what any outsider could
// see of a coordinator: its events, its actions, its state(). Of how the core decides it knows nothing.
//
// What it checks, after every step:
//   1  an empty redis is never promoted while a listed member, not proved gone, has data (but after empty_wait, with a
//      warning); a redis with data is never told to replicate one without; no resync ever replaces data by nothing, or
//      an older dataset by a younger one; nobody is promoted behind a fresher member that it can reach
//   2  (lease half) a proxy writes only to a redis whose leader itself stood by the claim within 0.7 x leader_timeout
//   3  a member follows one leader at most, points its redis there and nowhere else, and goes over only to claims that
//   beat
//      the one it follows, unless that one was lost or yielded
//   2  (fencing) in the first doubt_timeout of a partition only one side executes writes, after half a leader_timeout;
//      two on one side never; a leader with fewer than min_followers is fenced
//   4  (liveness phase) one leader, everyone in sync with it, after one resync, within the bound; and it stays so
//   5  one fault loses no write that enough replicas have confirmed; what is done on purpose loses none at all, and no
//      client notices it
//   forced: whom a person tells to lead says first whom it gives up; and it waits for nobody longer than that takes
//   6  what a redis is about to drop was reported by its coordinator
//   and the sane: terms never fall, leaders' redises are masters, each request is answered once, no storm of messages.
//
// Thread rule: one thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/leader/leader_view.h"
#include "tests/sim/coordinators.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/pods.h"
#include "tests/sim/redis_model.h"

namespace hive::sim {

struct Violation {
  SimTime at{0};
  std::string rule;  // "promise 1", ..., "sanity"
  std::string text;
};

class Judge {
 public:
  Judge(const Options& options, const Pods& pods, const Redises& redises, const Network& network,
        const EventQueue& queue)
      : options_(options), pods_(pods), redises_(redises), network_(network), queue_(queue) {}

  void OnStart(const Coordinator& c);
  void OnKill(const Coordinator& c);
  void OnLeaveAsked(const Coordinator& c);
  // After the step, before its actions are carried out.
  void OnStep(const Coordinator& c, const election::Event& event, const election::Actions& actions);
  void OnProxyWrites(const Pod& pod, const proxy::Leadership& leader, WriteId write);
  void OnExecuted(const Redis& redis, WriteId write);
  void OnFault();
  void OnPartition(uint32_t mask);
  // The hive stands, in a world where more is demanded of it.
  void OnBegin() { began_ = true; }
  void OnAcknowledged(WriteId write) { acknowledged_.push_back(write); }
  // A client was not served. `told`: by an error that says what became of the write.
  void OnClientError(const Pod& pod, const char* what, bool told);
  // A full resync is about to replace what `replica` holds.
  void OnReplace(const Redis& replica, const Redis& source, const Content& incoming);

  // Everything has healed; from here on promise 4 runs.
  void OnHeal();
  // Promise 4's state is reached: else why not.
  std::optional<std::string> NotConverged() const;
  // To be asked once converged, and again at the end: that it stayed so.
  void OnConverged();
  void OnDeadline();  // the bound has passed without convergence
  void OnEnd();

  bool objects() const { return violation_.has_value(); }
  const std::optional<Violation>& violation() const { return violation_; }

  uint64_t elections() const { return elections_; }
  uint64_t acknowledged_and_lost() const { return lost_; }
  // How many of the acknowledged writes `redis` does not hold.
  size_t Missing(const Redis& redis) const;
  uint64_t client_errors() const { return client_errors_; }
  uint64_t handovers() const { return handovers_; }
  uint64_t takeovers() const { return takeovers_; }
  uint64_t fences() const { return fences_; }
  uint64_t drops() const { return drops_; }
  uint64_t forced() const { return forced_; }

 private:
  // What process A knows of the member at an IP, by the events it was given.
  struct Contact {
    SimTime heard{-1};
    SimTime coordinator_gone{-1};  // a dial was refused or unreachable, or nothing connected after a close
    SimTime redis_gone{-1};        // probed: refused, or empty
    SimTime closed{-1};            // its stream was closed from its side
  };
  struct Watched {
    const Coordinator* c = nullptr;
    std::map<std::string, Contact> contacts;
    std::map<election::CallId, std::string> targets;    // of calls, dials, probes
    std::map<election::StreamId, std::string> follows;  // open, begun by it
    std::map<election::StreamId, std::string> accepted;
    std::vector<Endpoint> listed;
    election::Claim claim;
    election::Role role = election::Role::kJoining;
    election::Term term = 0;
    SimTime opened{-1};
    std::optional<SimTime> leave_asked;
    bool fenced = false;
    SimTime last_step{0};
    std::optional<SimTime> slept_at;
    size_t keys_read = 0;               // in its redis, as it was last told
    size_t keys_known = 0;              // ... when it last pointed it at a master
    election::Discarded discards_seen;  // what it had said when it last dropped something
    bool warned = false;
    std::string refused;  // what its redis said when it last did not know a command
    SimTime second_began{0};
    int sent = 0;
    bool would = false;          // asked, it has said that it would lead by force: it does not yet
    bool forced = false;         // told to, and at it
    std::set<std::string> told;  // the IPs that it has said it would give up, when it was last asked
  };
  struct Assertion {
    election::Term term = 0;
    election::Identity leader;
    SimTime at{0};
  };

  // judge_evidence.cc
  void Learn(Watched& w, const election::Event& event);
  void Learn(Watched& w, const election::Action& action);
  bool ProvedGone(const Watched& w, const std::string& ip) const;

  // A redis that takes writes, since it was last promoted.
  struct Tenure {
    int promotions = 0;
    SimTime first{0};
    SimTime last{0};
    std::optional<SimTime> short_since;  // fewer than min_followers in sync
  };
  struct Partition {
    SimTime since{0};
    uint32_t mask = 0;
    int leader_side = 0;
    int writing_side = 0;  // the one with more than half; the leader's, if they are equal
  };

  // judge_writes.cc
  void CheckSides(const Redis& redis, WriteId write);
  void CheckOneSide(const Redis& redis, const Tenure& tenure);
  void CheckFollowers(const Redis& redis, Tenure& tenure);
  void CheckAcknowledged(const std::set<WriteId>& kept);
  void CheckDiscard(const Redis& replica, const Redis& source, const Content& incoming);
  void CheckLeaving(Watched& w);
  void CheckForced(Watched& w, const election::AnswerLead& answer);
  void CheckRemote(const Watched& w, const election::CommandRemote& remote);

  // judge.cc
  void CheckState(Watched& w, const election::Event& event);
  void CheckBelief(Watched& w, const election::Event& event);
  void CheckAction(Watched& w, const election::Action& action);
  void CheckPromotion(const Watched& w);
  void CheckEmptyPromotion(const Watched& w);
  void CheckBehind(const Watched& w, const Redis& redis);
  void CheckReplicate(const Watched& w, const Redis* redis, const Endpoint& master);
  void CheckForeign(const Redis& replica);
  bool HasPriority0(const Watched& w) const;
  void CheckTraffic(Watched& w, const election::Actions& actions);
  void CountAge(const Coordinator& c);
  void Object(std::string rule, std::string text);
  std::string Who(const Watched& w) const;

  const Options& options_;
  const Pods& pods_;
  const Redises& redises_;
  const Network& network_;
  const EventQueue& queue_;

  std::map<ProcessId, Watched> watched_;
  std::vector<Assertion> assertions_;
  std::map<uint32_t, Duration> age_;  // of datasets, by root: how long they have been led
  std::map<ProcessId, SimTime> age_counted_;
  struct Replacement {
    SimTime at{0};
    RedisId replica = kNoId;
    RedisId source = kNoId;
  };
  std::vector<Replacement> replaced_;
  std::vector<WriteId> acknowledged_;
  std::optional<SimTime> healed_;
  bool data_at_heal_ = false;
  std::optional<election::Claim> converged_;
  bool moving_ = false;  // somebody has asked for a handover that was not over when all had converged
  std::optional<Violation> violation_;
  std::vector<SimTime> sent_;  // by WriteId: when a proxy last sent it
  std::map<RedisId, Tenure> tenures_;
  std::optional<Partition> partition_;
  std::optional<SimTime> last_fault_;
  std::optional<SimTime> fault_before_;  // the one before that
  bool began_ = false;
  uint64_t elections_ = 0;
  uint64_t lost_ = 0;
  uint64_t client_errors_ = 0;
  uint64_t handovers_ = 0;
  uint64_t takeovers_ = 0;
  uint64_t fences_ = 0;
  uint64_t drops_ = 0;
  uint64_t forced_ = 0;  // leaderships
};

}  // namespace hive::sim
