// What the election core hears (events), and what it asks for (actions). Pure values: the runtime carries the actions
// out, the simulator plays them.
//
// Thread rule: value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "coordinator/election/messages.h"
#include "coordinator/replication/redis_status.h"

namespace hive::election {

// ------------------------------------------------------------------------------------------------ events (in)

using CallId = uint64_t;     // drawn by the core for what it asks; unique within a run
using RequestId = uint64_t;  // drawn by the runtime for what others ask
using StreamId = uint64_t;   // follow streams: even = opened by the core (as follower), odd = accepted by the runtime

// Time has passed: nothing else has come for TickInterval().
struct Tick {};

// DNS answered with these members' coordinators (self among them, or not).
struct PeersListed {
  std::vector<Endpoint> listed;
};
// DNS did not answer, or says that there is no such name. What was last listed stays in force.
struct PeersUnlisted {
  bool no_such_name = false;
  std::string detail;
};

// The local redis answered INFO: a poll, once per beat_interval.
struct RedisReported {
  RedisStatus status;
};
// The connection to the local redis closed and could not be opened again, or it was never there.
// Told again when the reason is another one.
// A connection that closed and reopened to the same run is not reported; to another run, RedisReported tells by run_id.
struct RedisLost {
  std::string detail;
};
// No answer to anything for redis_timeout, the connection still open.
struct RedisMute {
  std::string detail = "no answer";
};
// It refuses a command that its agent sent of its own accord. Nothing is decided by it; people are told. An empty
// error: it has obeyed.
struct RedisRefuses {
  std::string command;  // "CONFIG SET masterauth"
  std::string error;    // redis's own words
};
// What a CommandRedis came to. `status` was read after the command, on the same connection.
struct RedisDone {
  CallId id = 0;
  bool ok = false;
  std::string error;   // redis's own words
  RedisStatus status;  // when ok
};

struct RequestReceived {
  RequestId id = 0;
  Request request;
};
struct ReplyReceived {
  CallId id = 0;
  Reply reply;
};

enum class Failure : uint8_t {
  kRefused,      // nothing listens there
  kUnreachable,  // no route, host down
  kClosed,       // the connection broke before an answer
  kTimeout,      // no answer in time: the connection attempt, or the call
  kRejected,     // somebody answers, but does not believe that this one is a member, or does not prove to be one itself
};
const char* Name(Failure failure);

// A SendRequest that got no reply.
struct CallFailed {
  CallId id = 0;
  Failure failure = Failure::kTimeout;
};

// What a Dial found. Connected but mute is silence, not proof.
struct Dialled {
  CallId id = 0;
  enum class Outcome : uint8_t {
    kAnswered,
    kRefused,
    kUnreachable,
    kNoConnect,
    kMute,
    kRejected,  // somebody lives there: as Failure::kRejected, or it closes the connection, as one with TLS does
  } outcome = Outcome::kMute;
  Identity answered_by;  // kAnswered
};

// At the leader: a follower opened a stream, sent a report, or is gone.
struct FollowOpened {
  StreamId id = 0;
};
struct ReportReceived {
  StreamId id = 0;
  FollowerReport report;
};
// Either side: the stream is over; it is not reported for a stream that the core itself has closed.
struct StreamClosed {
  StreamId id = 0;
  Failure failure = Failure::kClosed;
};
// At the follower.
struct BeatReceived {
  StreamId id = 0;
  Beat beat;
};

// What a ProbeRedis found at another member's redis port.
struct RedisProbed {
  CallId id = 0;
  enum class Outcome : uint8_t { kRefused, kEmpty, kHasData, kSilent } outcome = Outcome::kSilent;
};

// What a DemoteOrphan came to.
struct OrphanAnswered {
  CallId id = 0;
  enum class Outcome : uint8_t {
    kObeyed,              // it replicates the new leader now
    kCoordinatorAnswers,  // its coordinator lives: hands off, for good
    kUnreachable,         // its redis cannot be reached: try again
    kRefused,             // its redis refused the command
  } outcome = Outcome::kUnreachable;
  std::string detail;
};

// What a CommandRemote came to. Nothing was executed unless `ok`, or the outcome is kUnknown.
struct RemoteDone {
  CallId id = 0;
  enum class Outcome : uint8_t {
    kDone,
    kRefused,      // redis refused the command: `error`
    kAnotherRun,   // another run than the one meant
    kUnreachable,  // not connected, or mute before the command was sent
    kUnknown,      // sent, and not answered in time: it may take effect yet
  } outcome = Outcome::kUnreachable;
  std::string error;   // redis's own words, or one clause
  RedisStatus status;  // kDone: read after the command, on the same connection
};

// This process is to end (SIGTERM): a leader hands over first. Answered by Left, at the latest after handover_timeout.
struct LeaveAsked {};

// A person asks (on loopback, or with a certificate) for the leader to hand over: to the member at IP `to`, or to
// whoever fits best. Answered by AnswerHandover.
struct HandoverAsked {
  RequestId id = 0;
  std::string to;
};

// A person asks (on loopback) this member to lead now, without those that are silent. Answered by AnswerLead.
struct LeadAsked {
  RequestId id = 0;
  bool force = false;  // false: only to say what would be given up
};

using Event =
    std::variant<Tick, PeersListed, PeersUnlisted, RedisReported, RedisLost, RedisMute, RedisRefuses, RedisDone,
                 RequestReceived, ReplyReceived, CallFailed, Dialled, FollowOpened, ReportReceived, StreamClosed,
                 BeatReceived, RedisProbed, OrphanAnswered, RemoteDone, LeaveAsked, HandoverAsked, LeadAsked>;

// ------------------------------------------------------------------------------------------------ actions (out)
// The order of actions is part of the contract: they are carried out in it.

struct SendRequest {
  CallId id = 0;
  Endpoint to;
  Request request;
  Duration timeout{0};
};
struct SendReply {
  RequestId id = 0;
  Reply reply;
};
// Connect anew and ask who is there: within `window`, on a connection of its own.
struct Dial {
  CallId id = 0;
  Endpoint to;
  Duration window{0};
};
struct OpenFollow {
  StreamId id = 0;
  Endpoint to;
  FollowerReport first;
};
struct SendReport {
  StreamId id = 0;
  FollowerReport report;
};
struct SendBeat {
  StreamId id = 0;
  Beat beat;
};
// Close after what was sent has been written.
struct CloseStream {
  StreamId id = 0;
};

struct CommandRedis {
  CallId id = 0;
  RedisCommand command;
  std::string run_id{};  // carried out on this run only: a redis that was restarted meanwhile is another one, and empty
};
// Ask the redis at `redis`, whose coordinator refuses: does it hold data? Answered by RedisProbed.
struct ProbeRedis {
  CallId id = 0;
  Endpoint redis;
};
// Send REPLICAOF `master` to `redis`, whose coordinator was proved gone: connect to redis, dial `coordinator` again,
// and only if that refuses, send. Answered by OrphanAnswered.
struct DemoteOrphan {
  CallId id = 0;
  Endpoint redis;
  Endpoint coordinator;
  Endpoint master;
};

// Carry out `command` on the redis of another member: at a switch of roles only. On the run `run_id`, if given; after a
// reply of that redis on the same connection, since a command queued at a stopped one would take effect when it wakes.
// The connection is kept for the next command. Answered by RemoteDone, within `timeout`.
struct CommandRemote {
  CallId id = 0;
  Endpoint redis;
  RedisCommand command;
  std::string run_id{};
  Duration timeout{0};
};

struct AnswerHandover {
  RequestId id = 0;
  bool done = false;
  std::string detail;  // one line: what was done, or why not
  Claim leader;        // who leads now; empty = nobody
  bool late = false;   // not done: it was tried until the time was over, or nobody has answered
};

struct AnswerLead {
  RequestId id = 0;
  enum class Outcome : uint8_t {
    kLeads,    // it leads
    kWould,    // nothing was done: it was asked without `force`
    kRefused,  // something must change first: `detail`
    kLate,     // it was tried until the time was over
  } outcome = Outcome::kRefused;
  std::string detail;                 // one line
  std::vector<std::string> given_up;  // kLeads, kWould: one clause for each, beginning with its IP
  Claim leader;                       // who leads now; empty = nobody
};

// What LeaveAsked waited for: this process may end.
struct Left {};

// Ask DNS now rather than at the next interval.
struct ResolveNow {};

// What proxies, probes and people see. Sent at every change, and at every beat.
struct LeaderView {
  Claim claim;  // empty = no leader
  WriteState write_state = WriteState::kNoLeader;
  Instant heard;                       // when the claim was last heard, by the echoed report; now when leading
  std::vector<Endpoint> coordinators;  // every member known, self included
  bool in_sync = false;                // local redis leads, or replicates the leader with its link up
  bool has_joined = false;             // has been in sync once
  Term handed_over_by = 0;             // which leadership ended by handing over to this one; 0 = it was elected

  friend bool operator==(const LeaderView&, const LeaderView&) = default;
};
struct PublishLeader {
  LeaderView view;
};

// What a restarted coordinator wants to know; kept with --state-dir.
struct Memory {
  std::string run_id;  // of the redis that it speaks of: worthless with another run
  bool has_data = false;
  Term term = 0;  // highest seen
  Dataset dataset;
  Lineage lineage;

  friend bool operator==(const Memory&, const Memory&) = default;
};
struct Remember {
  Memory memory;
};

// A line for the log.
struct Note {
  enum class Level : uint8_t { kDebug, kInfo, kWarning, kError } level = Level::kInfo;
  std::string text;
};

using Action = std::variant<SendRequest, SendReply, Dial, OpenFollow, SendReport, SendBeat, CloseStream, CommandRedis,
                            ProbeRedis, DemoteOrphan, CommandRemote, AnswerHandover, AnswerLead, Left, ResolveNow,
                            PublishLeader, Remember, Note>;
using Actions = std::vector<Action>;

// One line each, for transcripts and logs.
std::string ToString(const Event& event);
std::string ToString(const Action& action);

}  // namespace hive::election
