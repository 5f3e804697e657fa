// What the runtime drives: one small interface per kind of action. The adapters implement them with gRPC, hiredis, DNS
// and files; tests implement them with vectors.
//
// Thread rule: every member is called by the runtime's thread only, and must neither block nor call back into the
// runtime: outcomes come as events, through the EventInbox.
#pragma once

#include <vector>

#include "coordinator/election/events.h"

namespace hive::coordinator {

// Reaches other members: what this member begins.
class PeerSender {
 public:
  virtual ~PeerSender() = default;

  // Answered by ReplyReceived or CallFailed, exactly once, at most `timeout` after the call.
  virtual void Send(election::SendRequest request) = 0;
  // Answered by Dialled, exactly once.
  virtual void Dial(const election::Dial& dial) = 0;
  // Then BeatReceived for each beat, and StreamClosed once, unless CloseStream came first.
  virtual void OpenFollow(election::OpenFollow open) = 0;
  // A report that waits unsent is replaced by a newer one: reports are states, not increments.
  virtual void SendReport(election::SendReport report) = 0;
  // Of a stream opened here (an even id), at once: a report that waits is of no use to a leader that is left. Unknown
  // ids are ignored, since a stream may have just broken.
  virtual void CloseStream(election::StreamId id) = 0;
};

// Answers other members: what they began.
class PeerAnswerer {
 public:
  virtual ~PeerAnswerer() = default;

  // Unknown ids are ignored: the caller may have given up.
  virtual void Reply(election::SendReply reply) = 0;
  // A beat that waits unsent is replaced by a newer one, except that a last beat (resigned, yielded) never is.
  virtual void SendBeat(election::SendBeat beat) = 0;
  // Of a stream accepted here (an odd id), after what was sent has been written.
  virtual void CloseStream(election::StreamId id) = 0;
};

// The local redis, and those of others.
class RedisPort {
 public:
  virtual ~RedisPort() = default;

  // Carried out in order; answered by RedisDone, exactly once.
  virtual void Command(const election::CommandRedis& command) = 0;
  // Answered by RedisProbed, exactly once.
  virtual void Probe(const election::ProbeRedis& probe) = 0;
  // Answered by OrphanAnswered, exactly once.
  virtual void Demote(const election::DemoteOrphan& demote) = 0;
  // Answered by RemoteDone, exactly once, at most `timeout` after the call. Those to one redis are carried out in
  // order.
  virtual void Remote(const election::CommandRemote& command) = 0;
};

class Discovery {
 public:
  virtual ~Discovery() = default;

  // Answered by PeersListed or PeersUnlisted, soon; asked again before that, it is one question.
  virtual void ResolveNow() = 0;
};

// Whoever wants to know who leads: proxies, probes.
class WatchSink {
 public:
  virtual ~WatchSink() = default;

  virtual void Publish(const election::LeaderView& view) = 0;
};

// What a restarted coordinator wants to know.
class MemoryStore {
 public:
  virtual ~MemoryStore() = default;

  // Newer memory replaces older that is not written yet.
  virtual void Store(election::Memory memory) = 0;
};

// Whoever has asked for a handover, for this member to lead, or for this process to end.
class HandoverDesk {
 public:
  virtual ~HandoverDesk() = default;

  // Unknown ids are ignored: the caller may have given up.
  virtual void Answer(const election::AnswerHandover& answer) = 0;
  virtual void Answer(const election::AnswerLead& answer) = 0;
  // The process may end.
  virtual void Left() = 0;
};

// The ports of one runtime; all outlive it.
struct Ports {
  PeerSender& peers;
  PeerAnswerer& answers;
  RedisPort& redis;
  Discovery& discovery;
  std::vector<WatchSink*> watchers;
  MemoryStore& memory;
  HandoverDesk& handovers;
};

}  // namespace hive::coordinator
