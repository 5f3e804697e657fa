// What the coordinators say to one another. Pure values: the codec turns them into protobuf
// (protos/hive/v1/election.proto says the same in the wire's words), the simulator passes them as they are.
//
// Reading order: who (Identity, Claim), what data (Dataset, Lineage, Standing), the messages. events.h has what the
// election core hears and asks for; docs/election.md explains the protocol.
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
  std::string version{};  // of the speaker's binary, for people; empty = it does not say

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
inline constexpr size_t kEvidences = 4;
const char* Name(Evidence evidence);

// Why a message of a peer is refused, as it is counted.
enum class RefusedFor : uint8_t {
  kAnotherHive,
  kOwnAddress,          // it is this member's own, or claims to be
  kIncompleteIdentity,  // no address or incarnation of its sender
  kAbsurdTerm,          // far ahead of all that was seen
  kStranger,            // its sender was never met, and is not asked, or does not answer
  kUnsoundYield,        // handed over by one that cannot have led
  kUnconfirmedClaim,    // of a leader that does not confirm it at its own address
};
inline constexpr size_t kReasonsToRefuse = 7;
const char* Name(RefusedFor reason);

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
  WallMicros wall = 0;   // its clock at the sending; 0 = it does not say
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
  std::string version{};  // as its Header has it

  friend bool operator==(const MemberView&, const MemberView&) = default;
};

// The follow stream, leader to follower: once per beat_interval, and at once on a change.
struct Beat {
  Header header;
  uint64_t number = 0;           // grows by one a beat; reports echo it
  uint64_t echoed_sequence = 0;  // newest report sequence received on this stream: the follower counts "heard" from
                                 // when it *sent* that report, so what sat in a buffer proves nothing...
  Duration held{0};              // ... plus for how long that report had waited here for this beat
  LeaderState state = LeaderState::kOpen;
  WriteState write_state = WriteState::kOpen;
  Claim claim;
  Claim successor;  // kYielded
  Dataset dataset;
  Lineage lineage;
  int64_t offset = 0;               // of the leader's redis
  std::vector<MemberView> members;  // the leader and its followers
  WallMicros wall = 0;              // its clock at the sending; 0 = it does not say
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

// One line each, for transcripts and logs.
std::string ToString(const Identity& identity);
std::string ToString(const Claim& claim);
std::string ToString(const Standing& standing);

}  // namespace hive::election
