// What the coordinators say to one another, and what the election core hears and asks for. Pure values: the codec turns
// them into protobuf (protos/hive/v1/election.proto says the same in the wire's words), the simulator passes them as
// they are.
//
// Reading order: who (Identity, Claim), what data (Dataset, Lineage, Standing), the messages, the events into the core,
// the actions out of it. docs/election.md explains the protocol.
//
// Thread rule: value types.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "coordinator/replication/redis_status.h"

namespace hive::election {

using replication::RedisCommand;
using replication::RedisStatus;

// ---------------------------------------------------------------------------------------------------------- who

using Term = uint64_t;         // grows with every leadership; 0 = none
using Incarnation = uint64_t;  // random, drawn at process start; 0 = unknown

// One run of one coordinator. An IP alone is never an identity: pods restart, and IPs are reused.
struct Identity {
  std::string ip;
  Incarnation incarnation = 0;

  bool empty() const { return ip.empty(); }
  friend auto operator<=>(const Identity&, const Identity&) = default;
};

// What a leader holds. `started` is the wall clock at which that leader's candidacy began; it survives the rounds of
// one election. Clocks need not agree: skew changes who wins, never how many.
struct Claim {
  Term term = 0;
  WallMicros started = 0;
  Identity leader;
  Endpoint coordinator;  // where the leader's coordinator listens
  Endpoint redis;        // where the leader's redis listens, on the advertised IP

  bool empty() const { return term == 0; }
  friend bool operator==(const Claim&, const Claim&) = default;
};

// True when `a` is to be believed over `b`: the higher term; then the earlier start; then the alphabetically first IP
// (byte order of the canonical text); then the smaller incarnation, so that the order is total.
bool Beats(const Claim& a, const Claim& b);

// ---------------------------------------------------------------------------------------------------- what data

// Which data a redis holds, whoever leads it. `origin` is drawn when an empty redis is promoted; `age` is how long that
// dataset has been led so far, on the leaders' monotonic clocks.
struct Dataset {
  uint64_t origin = 0;  // 0 = none, or not known
  Duration age{0};

  friend bool operator==(const Dataset&, const Dataset&) = default;
};

// One promotion in a dataset's history.
struct Promotion {
  Term term = 0;
  std::string replication_id;  // what the promoted redis calls its history from here on
  int64_t offset = 0;          // replication offset at which it was promoted
  Term handed_over_by = 0;     // the leadership that handed over to it, with all it held; 0 = it was elected

  friend bool operator==(const Promotion&, const Promotion&) = default;
};

// A dataset's promotions, oldest first. At most kMaxLineage entries: the oldest are forgotten.
using Lineage = std::vector<Promotion>;

// How much of a dataset a redis holds. Ordered by HoldsLess (standing.h).
struct Standing {
  bool available = false;  // redis answers and is not loading; else the rest is what was last known
  bool empty = true;       // this redis run was never promoted, never completed a sync and loaded nothing
  Term term = 0;           // newest term of which it holds a byte beyond that leader's promotion offset; 0 = unknown
  int64_t offset = 0;      // replication offset in bytes; 0 = unknown (a master that never had a replica says 0)
  int64_t keys = 0;        // stands in for the offset where that is unknown

  friend bool operator==(const Standing&, const Standing&) = default;
};

// ------------------------------------------------------------------------------------------------- the messages

// What every request and reply carries.
struct Header {
  std::string hive;       // another hive's members are refused, even on a reused IP
  Identity self;          // who speaks
  Endpoint coordinator;   // where the speaker's coordinator listens
  Term highest_term = 0;  // the highest term the speaker has seen

  friend bool operator==(const Header&, const Header&) = default;
};

// What a member is doing.
enum class Role : uint8_t {
  kJoining,    // knows no leader and does not stand: starting, or has just lost one
  kElecting,   // stands, and asks the others
  kPromoting,  // has won; parks the others and promotes its redis
  kLeading,
  kFollowing,
};
const char* Name(Role role);

// Ordered by Better (claim.h): what a leader puts in the scales when it meets another.
struct LeaderKey {
  Claim claim;
  Dataset dataset;
  bool has_keys = false;            // its redis holds at least one key
  Duration open_for{0};             // how long ago it opened; nobody settles with a leader younger than 3 beats
  std::vector<Identity> followers;  // sorted
  int64_t offset = 0;  // of its redis, in bytes: between two leaders of one dataset, how much each has taken

  friend bool operator==(const LeaderKey&, const LeaderKey&) = default;
};

// Whether a member wants to lead.
struct Will {
  bool leaving = false;  // it ends on purpose (SIGTERM): nobody waits for it, and its silence is no doubt
  bool reluctant =
      false;  // leaving, or of priority 0: leads only while nobody else holds as much, and hands over at once

  friend bool operator==(const Will&, const Will&) = default;
};

// How one member sees itself: the body of a Greet and of its reply.
struct MemberReport {
  Role role = Role::kJoining;
  Will will;
  Standing standing;
  Dataset dataset;
  Claim leader;                  // whom it follows, or itself when it leads or promotes; empty = nobody
  Duration leader_heard_ago{0};  // how long ago it last heard that leader; 0 when it is itself
  Lineage lineage;               // of its dataset, as far as it knows; empty after a restart
  std::optional<LeaderKey> key;  // when leading

  friend bool operator==(const MemberReport&, const MemberReport&) = default;
};

struct GreetRequest {
  Header header;
  MemberReport report;
};
struct GreetReply {
  Header header;
  MemberReport report;
};

// Why a member stands.
enum class Evidence : uint8_t {
  kLeaderless,  // it has joined, has data, and finds no leader
  kBootstrap,   // everybody is empty: a new dataset begins
  kProof,       // the lost leader resigned, or its process is gone
  kSilence,     // the lost leader has not been heard for leader_timeout
};
const char* Name(Evidence evidence);

struct CampaignRequest {
  Header header;
  Term term = 0;           // proposed
  WallMicros started = 0;  // when this candidacy began
  Standing standing;       // of the candidate, frozen for the round
  Evidence evidence = Evidence::kLeaderless;
  bool reluctant = false;  // stands only because it holds most
  Identity lost;           // the leader that was lost; empty when leaderless
  Lineage lineage;         // as the candidate knows it, so that a restarted member can place its own redis in it
};

enum class CampaignVerdict : uint8_t {
  kCandidacy,  // stands itself, since `started`
  kDeferral,   // does not stand: empty, loading, its redis is down, or reluctant and holds no more
  kLeader,     // knows a leader that it still hears (or is one): the candidate stands back
};

struct CampaignReply {
  Header header;
  CampaignVerdict verdict = CampaignVerdict::kDeferral;
  WallMicros started = 0;  // kCandidacy
  bool reluctant = false;  // kCandidacy: stands only because it holds most
  Standing standing;       // read from redis, frozen for the round, the same to all
  Claim leader;            // kLeader
  Duration heard_ago{0};   // kLeader: how long ago that leader was heard
};

struct PrepareRequest {
  Header header;
  Claim claim;      // the winner's, PROMOTING
  Lineage lineage;  // as the winner knows it, as in CampaignRequest
};

enum class PrepareVerdict : uint8_t {
  kPrepared,  // redis is parked (or down): `standing` was read after that
  kRefused,   // another winner, `holder`, was answered first and is neither open nor gone
};

struct PrepareReply {
  Header header;
  PrepareVerdict verdict = PrepareVerdict::kRefused;
  Standing standing;
  Claim holder;
};

enum class LeadPhase : uint8_t {
  kPromoting,  // has won the round; sent at once and on every beat
  kOpen,       // leads, and its redis takes writes
  kReleased,   // gives up the promotion: whoever answered Prepare is free again, and `ceded_to` should stand
};

struct LeadRequest {
  Header header;
  LeadPhase phase = LeadPhase::kPromoting;
  Claim claim;
  Dataset dataset;    // kOpen
  Lineage lineage;    // kOpen
  Identity ceded_to;  // kReleased: who holds more; empty when the promotion failed
};
struct LeadReply {
  Header header;
};

// The worse of two leaders asks the better one to confirm before it steps down.
struct YieldRequest {
  Header header;
  LeaderKey key;  // the sender's own
};
struct YieldReply {
  Header header;
  bool confirmed = false;
  Claim claim;  // confirmed: the winner's new claim, with a term above both
};

// The right to lead, handed over by a leader whose redis is parked and whose writes have all reached the receiver: the
// receiver promotes its redis and leads at `term`, without an election. It refuses when it is not in sync, not heard by
// the leader of late, reluctant, or promised to another.
struct TakeOverRequest {
  Header header;
  Claim ending;        // the sender's
  Term term = 0;       // at which the receiver leads: above `ending`'s
  Dataset dataset;     // handed over
  Lineage lineage;     // up to the sender's own promotion
  int64_t offset = 0;  // of the sender's redis when it was parked: the receiver must hold all of it
};
struct TakeOverReply {
  Header header;
  bool accepted = false;  // it leads
  std::string reason;     // not accepted: one line
  Claim claim;            // accepted: the receiver's
};

// A member passes on to its leader what a person asked of it: lead no more.
struct HandOverRequest {
  Header header;
  std::string to;  // IP of the wanted successor; empty = the leader chooses
};
struct HandOverReply {
  Header header;
  bool done = false;
  std::string detail;  // one line: what was done, or why not
  Claim leader;        // who leads now
  bool late = false;   // not done: it was tried until the time was over
};

// What a leader lets be written.
enum class WriteState : uint8_t {
  kOpen,
  kHold,      // new writes wait: leadership is about to move, or the leader begins to doubt
  kFenced,    // none may be executed: the leader is in doubt, or has too few followers; its redis refuses them, too
  kNoLeader,  // of a view: there is no leader
};
const char* Name(WriteState state);

// The follow stream, follower to leader: answers each beat, and reports at once what changes.
struct FollowerReport {
  Header header;
  uint64_t sequence = 0;     // grows by one a report; the leader's beats echo it
  uint64_t echoed_beat = 0;  // newest beat number received on this stream; 0 = none
  Claim following;
  Will will;
  Standing standing;
  bool link_up = false;  // local redis's replication link to the leader's is up and in sync
  Claim introduces;      // another leader that this follower has met; empty = none
};

enum class LeaderState : uint8_t {
  kOpen,
  kResigned,  // last beat: leads no more; stand at once
  kYielded,   // last beat: it gave way to another leader, or handed over; follow `successor`
};

struct MemberView {
  Identity identity;
  Endpoint coordinator;
  Will will;
  Standing standing;
  bool link_up = false;
  Duration heard_ago{0};

  friend bool operator==(const MemberView&, const MemberView&) = default;
};

// The follow stream, leader to follower: once per beat_interval, and at once on a change.
struct Beat {
  Header header;
  uint64_t number = 0;           // grows by one a beat; reports echo it
  uint64_t echoed_sequence = 0;  // newest report sequence received on this stream: the follower counts "heard" from
                                 // when it *sent* that report, so what sat in a buffer proves nothing
  LeaderState state = LeaderState::kOpen;
  WriteState write_state = WriteState::kOpen;
  Claim claim;
  Claim successor;  // kYielded
  Dataset dataset;
  Lineage lineage;
  int64_t offset = 0;               // of the leader's redis
  std::vector<MemberView> members;  // the leader and its followers
};

using Request = std::variant<GreetRequest, CampaignRequest, PrepareRequest, LeadRequest, YieldRequest, TakeOverRequest,
                             HandOverRequest>;
// Another hive's, malformed or impossible request gets a Refusal.
struct Refusal {
  Header header;
  std::string reason;  // one line for the other side's log
};
using Reply =
    std::variant<GreetReply, CampaignReply, PrepareReply, LeadReply, YieldReply, TakeOverReply, HandOverReply, Refusal>;

const Header& HeaderOf(const Request& request);
const Header& HeaderOf(const Reply& reply);

// ------------------------------------------------------------------------------------------------ events (in)

using CallId = uint64_t;     // drawn by the core for what it asks; unique within a run
using RequestId = uint64_t;  // drawn by the runtime for what others ask
using StreamId = uint64_t;   // follow streams: even = opened by the core (as follower), odd = accepted by the runtime

// Time has passed. Sent at least every TickInterval().
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
// A connection that closed and reopened to the same run is not reported; to another run, RedisReported tells by run_id.
struct RedisLost {
  std::string detail;
};
// No answer to anything for redis_timeout, the connection still open.
struct RedisMute {};
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

using Event =
    std::variant<Tick, PeersListed, PeersUnlisted, RedisReported, RedisLost, RedisMute, RedisDone, RequestReceived,
                 ReplyReceived, CallFailed, Dialled, FollowOpened, ReportReceived, StreamClosed, BeatReceived,
                 RedisProbed, OrphanAnswered, RemoteDone, LeaveAsked, HandoverAsked>;

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

// What LeaveAsked waited for: this process may end.
struct Left {};

// Ask DNS now rather than at the next interval.
struct ResolveNow {};

// What proxies, probes and people see. Sent at every change, and at every beat.
struct LeaderView {
  Claim claim;  // empty = no leader
  WriteState write_state = WriteState::kNoLeader;
  Instant heard;  // when the claim was last heard (sent time of the echoed report); now when leading
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

using Action =
    std::variant<SendRequest, SendReply, Dial, OpenFollow, SendReport, SendBeat, CloseStream, CommandRedis, ProbeRedis,
                 DemoteOrphan, CommandRemote, AnswerHandover, Left, ResolveNow, PublishLeader, Remember, Note>;
using Actions = std::vector<Action>;

// One line each, for transcripts and logs.
std::string ToString(const Identity& identity);
std::string ToString(const Claim& claim);
std::string ToString(const Standing& standing);
std::string ToString(const Event& event);
std::string ToString(const Action& action);

}  // namespace hive::election
