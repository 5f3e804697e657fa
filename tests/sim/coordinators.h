// Every coordinator process of the hive: feeds its brain events and carries out its actions, as the real runtime and
// adapters do: calls, dials, follow streams, the agent at the local redis, DNS, the watch.
//
// A frozen process takes nothing in; what arrives waits in its buffers, and is seen, in order, when it wakes. What it
// sent before travels on.
//
// Thread rule: one thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "coordinator/election/events.h"
#include "tests/sim/brain.h"
#include "tests/sim/dns_model.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/planted.h"
#include "tests/sim/pods.h"
#include "tests/sim/redis_model.h"
#include "tests/sim/transcript.h"

namespace hive::sim {

class Judge;

// One run of one coordinator.
struct Coordinator {
  ProcessId id = kNoId;
  PodId pod = kNoId;
  election::Identity identity;
  bool alive = false;
  bool frozen = false;
  SimTime started{0};
  Duration clock_origin{0};  // its monotonic clock reads this plus the time of the simulation,
  int64_t clock_ppm = 0;     // and gains so many millionths
  bool leaving = false;      // was asked to
  bool has_left = false;
  std::map<election::RequestId, SimTime> handovers;  // asked of it by a person, unanswered: since when
  std::map<election::RequestId, SimTime> leads;      // likewise: to lead
  std::unique_ptr<Brain> brain;
  election::State state;      // after its last step
  election::LeaderView view;  // as last published
  SimTime view_at{0};
  std::vector<election::Event> inbox;  // while frozen
  PlantedNotes planted;
  SimTime last_step{0};
  SimTime tick_due{0};
  std::optional<SimTime> tick_waits;  // until when the one in the queue does

  struct Call {
    ProcessId callee = kNoId;  // once it has arrived there
    std::string to_ip;
  };
  std::map<election::CallId, Call> calls;                                       // awaiting an answer
  std::map<election::RequestId, std::pair<ProcessId, election::CallId>> asked;  // owed an answer
  uint64_t last_request = 0;
  uint64_t last_stream = 1;       // odd
  std::vector<uint32_t> streams;  // rows of those that it has an end of

  // The agent at the local redis.
  RedisId agent_run = kNoId;  // which run it is connected to, and has told the brain of
  bool agent_told_lost = false;
  bool agent_told_mute = false;
  SimTime agent_answered{0};  // when redis last answered anything
  bool agent_polling = false;
  SimTime agent_next{0};   // commands are carried out in order
  SimTime agent_reply{0};  // ... and answered in order
  std::vector<election::CallId> agent_pending;

  // Its connections to the redises of others.
  struct Remote {
    RedisId run = kNoId;                          // connected to; kNoId = not
    std::deque<election::CommandRemote> waiting;  // the first is being carried out
    bool sent = false;                            // ... and has been sent
  };
  std::map<Endpoint, Remote> remotes;

  bool resolving = false;

  Instant Local(SimTime now) const { return Instant(clock_origin + now + now / 1'000'000 * clock_ppm); }
};

class Coordinators {
 public:
  Coordinators(const Options& options, Pods& pods, Redises& redises, DnsModel& dns, Network& network, EventQueue& queue,
               Random& random, Transcript& transcript, Judge& judge, PlantedBug bug, BrainFactory factory);

  ProcessId Start(PodId pod);
  // `silently`: its node is gone; nobody sees a close.
  void Kill(ProcessId id, bool silently);
  void Freeze(ProcessId id) { rows_[id]->frozen = true; }
  void Thaw(ProcessId id);

  // The network's cuts have changed: connections across a reset break, what was held back flows again.
  void NetworkChanged();
  // The local redis of a pod was killed or started.
  void RedisChanged(PodId pod);

  Coordinator& at(ProcessId id) { return *rows_[id]; }
  const Coordinator& at(ProcessId id) const { return *rows_[id]; }
  // The living coordinator of a pod; null when there is none.
  Coordinator* OfPod(const Pod& pod) const;
  size_t runs() const { return rows_.size(); }

  // SIGTERM: the process is to end. `on_left` is called when it says that it may.
  void AskLeave(ProcessId id);
  // A person asks for a handover to the member at `to` (empty: to any).
  void AskHandover(ProcessId id, const std::string& to);

  // A person reads what leading by force would give up, and then tells it to.
  void ForceLead(ProcessId id);

  // Called with every published view.
  std::function<void(const Coordinator&)> on_publish;
  std::function<void(const Coordinator&)> on_left;
  // Called when a process has ended, its sockets closed.
  std::function<void(const Coordinator&)> on_closed;

  uint64_t steps() const { return steps_; }

 private:
  struct End {
    ProcessId process = kNoId;
    election::StreamId id = 0;
    bool open = false;
    SimTime next_arrival{0};            // at this end: a stream keeps its order
    std::vector<election::Event> held;  // for this end, while packets to it vanish
    bool held_close = false;
  };
  struct Stream {
    End ends[2];  // follower, leader
    bool vanished = false;
    bool done() const { return !ends[0].open && !ends[1].open; }
  };

  // coordinators.cc
  void Deliver(ProcessId id, election::Event event);
  void Step(Coordinator& c, election::Event event);
  void Carry(Coordinator& c, election::Action& action);
  void TickLater(Coordinator& c);
  void WaitForTick(Coordinator& c);
  void Resolve(ProcessId id, bool repeat);
  void Log(const Coordinator& c, const std::string& what);

  // calls.cc
  void SendCall(Coordinator& c, election::SendRequest& send);
  void CallArrives(ProcessId from, election::CallId id, PodId to, election::Request request);
  void FailCall(ProcessId from, election::CallId id, election::Failure failure, Duration after);
  void SendAnswer(Coordinator& c, election::SendReply& send);
  void DialOut(Coordinator& c, const election::Dial& dial);
  void Probe(Coordinator& c, const election::ProbeRedis& probe);
  void Demote(Coordinator& c, const election::DemoteOrphan& demote);
  // remote.cc
  using Remote = Coordinator::Remote;
  void CommandOther(Coordinator& c, const election::CommandRemote& command);
  Remote* RemoteOf(ProcessId id, election::CallId call);
  void RemoteExpires(ProcessId id, election::CallId call);
  void RemoteNext(ProcessId id, const Endpoint& redis);
  void RemoteHasRead(ProcessId id, const election::CommandRemote& command, RedisId run);
  void RemoteTravels(ProcessId id, const election::CommandRemote& command, RedisId run, SimTime until);
  void RemoteAnswer(ProcessId id, election::CallId call, election::RemoteDone::Outcome outcome, std::string error,
                    election::RedisStatus status);
  bool Unheard(PodId redis_pod, PodId coordinator_pod) const;

  // calls.cc, too
  void DropCallsTo(Coordinator& dead, bool silently);
  void BreakCallsAcrossResets(Coordinator& c);

  // streams.cc
  void OpenStream(Coordinator& c, election::OpenFollow& open);
  void Transmit(Coordinator& c, election::StreamId id, election::Event event);
  void TransmitTo(uint32_t row, int end, election::Event event);
  void CloseFrom(uint32_t row, int end);
  void ArriveClose(uint32_t row, int end, election::Failure failure);
  void StreamsChanged(uint32_t row);
  std::pair<uint32_t, int> FindStream(const Coordinator& c, election::StreamId id) const;
  Cut StreamCut(const Stream& stream, int to_end) const;

  // agent.cc
  void AgentConnect(ProcessId id);
  void AgentPoll(ProcessId id);
  void AgentReport(ProcessId id, RedisId run, election::Event event);
  void Command(Coordinator& c, const election::CommandRedis& command);
  void AgentSend(Coordinator& c, RedisId run, Task execute);
  SimTime AgentReplyTime(Coordinator& c);
  void AgentFailPending(ProcessId id);
  void CommandDone(ProcessId id, election::CallId call, bool ok, std::string error, RedisId run);

  const Options& options_;
  Pods& pods_;
  Redises& redises_;
  DnsModel& dns_;
  Network& network_;
  EventQueue& queue_;
  Random& random_;
  Transcript& transcript_;
  Judge& judge_;
  PlantedBug bug_;
  BrainFactory factory_;
  std::vector<std::unique_ptr<Coordinator>> rows_;
  std::vector<Stream> streams_;
  uint64_t steps_ = 0;
};

}  // namespace hive::sim
