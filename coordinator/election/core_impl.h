// The inside of the core. Its functions are cut by what a member is doing:
//   core.cc       events in, actions out    admission.cc  who speaks, and is it to be believed
//   view.cc       what proxies, people and a restart see
//   peers.cc      who is there              contact.cc    greeting, dialling, rejection, proof of a loss
//   joining.cc    no leader is known        campaign.cc   a round of an election
//   promotion.cc  won: park, then promote   leading.cc    beats, followers, settling with another leader, orphans
//   following.cc  a leader is known                    doubt.cc      cut off? hold, fence
//   handover.cc   leaving on purpose                   discard.cc    what is dropped, measured
//   forced.cc     a person says: lead
//
// The role changes in one place only: EnterRole.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "coordinator/election/claim.h"
#include "coordinator/election/core.h"
#include "coordinator/election/local_redis.h"
#include "coordinator/election/peers.h"
#include "coordinator/election/standing.h"
#include "coordinator/replication/reconcile.h"
#include "coordinator/replication/switch.h"

namespace hive::election {

// Dials of a proof of loss: three, so that one lost packet deposes nobody, this far apart.
inline constexpr int kDialsOfProof = 3;
inline constexpr Duration kDialSpacing = Millis(20);

// How often a leader asks a listed member that does not follow it, and how often a member without a leader asks
// everyone.
inline constexpr Duration kSettleInterval = Seconds(1);
inline constexpr Duration kGreetInterval = Millis(100);

// Between two tries of what was in vain, or two asks of what was not answered: several round trips of a cluster.
inline constexpr Duration kRetryInterval = Millis(100);

// How often the core looks whether something is due while not all is well, at least.
inline constexpr Duration kLook = Millis(25);

// How long a member that stands with data waits for DNS to answer at all: whoever is alone with DNS silent is more
// likely cut off than the last survivor.
inline constexpr Duration kDnsPatience = Seconds(30);

// How long a member that DNS does not list is remembered after it was last heard, at least: whoever may be counted on,
// or against, is (doubt_timeout).
inline constexpr Duration kUnlistedPatience = Seconds(10);

// How often the same complaint is logged while it lasts.
inline constexpr Duration kComplaintInterval = Seconds(30);
// Clocks that differ by more are told of. NTP keeps them within milliseconds; keys that live for seconds only are rare.
inline constexpr Duration kClockTolerance = Seconds(2);

// A redis that has refused REPLICAOF can neither lead nor follow; it is tried again after so long.
inline constexpr Duration kRefusalPatience = Seconds(10);

// People are told of a redis that has gone without a link to its leader's for so long: it dials once per second.
inline constexpr Duration kLinkPatience = Seconds(5);

// Between two tries to make an orphan (the redis of a leader whose coordinator is gone) replicate us.
inline constexpr Duration kOrphanInterval = Millis(200);

// How far ahead a term may be in a message that nobody has asked for. Whoever is further ahead is asked, and then
// believed up to kMaxTermJump: so nobody who cannot answer at a member's address brings the end of the range near.
inline constexpr Term kMaxUnaskedTermJump = 1000;

// Whoever speaks without being known to DNS or met is asked who it is, so many in a second at most: each costs a
// connection. Real members get in by DNS, however many strangers there are.
inline constexpr int kStrangersAsked = 16;
inline constexpr Duration kStrangersInterval = Seconds(1);

// A member that rejects this one is known to be alive for so long after.
inline constexpr Duration kRejectionLasts = Seconds(10);

// The start of a candidacy that goes before all others of the same standing: a person's choice.
inline constexpr WallMicros kFirstOfAll = 1;

// No honest hive gets here: a term beyond is refused, so that terms never wrap.
inline constexpr Term kHighestTerm = Term{1} << 48;
// How far another member's term may be ahead: a leadership every second of a partition of eleven days.
inline constexpr Term kMaxTermJump = 1'000'000;

class Core::Impl {
 public:
  explicit Impl(Config config);

  Actions Step(Instant now, WallMicros wall, const Event& event);
  Duration TickInterval() const;
  State GetState(Instant now) const;

 private:
  // ------------------------------------------------------------------------------------- what each role keeps

  // Joining: no leader, no candidacy.
  struct Joining {
    Instant since;
    Instant stand_not_before;    // pace after standing back, ceding, being refused
    bool patience_over = false;  // the empties begin without members that were silent for empty_wait
    bool foreign = false;        // a leader was found, of a dataset that this member's data is no part of
  };

  // What one member said in the round.
  struct Answer {
    CampaignVerdict verdict = CampaignVerdict::kDeferral;
    WallMicros started = 0;
    Standing standing;
    Identity identity;
    bool reluctant = false;
  };

  // A candidacy. `started` survives its rounds.
  struct Candidacy {
    Evidence evidence = Evidence::kLeaderless;
    Claim lost;  // empty when leaderless
    WallMicros started = 0;
    Instant began;        // the candidacy
    Instant round_began;  // this round
    Term term = 0;        // proposed
    bool asked = false;   // own standing is read: the others have been asked
    std::map<Endpoint, Answer> answers;
    std::map<Endpoint, Instant> asked_at;  // outstanding or lost questions
    std::optional<Instant> deferred;       // since when somebody else is awaited as the winner
    std::optional<Endpoint> deferred_to;   // who that is
    bool patience_over = false;            // bootstrap: empty_wait is over, silent members are left out
  };

  // The right to lead was handed over: no election, no Prepare.
  struct Inheritance {
    RequestId reply = 0;
    int64_t offset = 0;  // all of it must be here
    Term from = 0;       // the leadership that ends
  };

  // A round won.
  struct Winning {
    Claim claim;
    Evidence evidence = Evidence::kLeaderless;
    Claim lost;
    Claim orphaned;  // the leader lost on proof, if this member's data is its: the redis it may have left behind
    Instant began;
    Instant stage_began;
    bool patience_over = false;                   // bootstrap: as in the candidacy
    std::optional<replication::Switch> takeover;  // the lost leader's redis lives: under way, before its own is parked
    std::optional<Inheritance> inherits;
    bool parked = false;
    bool promoting = false;  // REPLICAOF NO ONE is under way
    Standing own;            // after parking
    struct Target {
      bool awaited = false;  // it answered the round
      bool answered = false;
      Standing standing;
      Identity identity;
      Instant asked;
    };
    std::map<Endpoint, Target> targets;
    Instant next_announcement;
  };

  struct Follower {
    StreamId stream = 0;
    Identity identity;
    Endpoint coordinator;
    std::string version;
    uint64_t sequence = 0;  // newest of its reports
    Instant reported;       // when that one came
    Will will;
    Standing standing;
    bool link_up = false;
    Instant heard;            // sending time of the newest beat that it has echoed
    Duration round_trip{-1};  // of that beat, to its first echo; negative = none yet
  };

  // The redis of a leader whose coordinator was proved gone.
  struct Orphan {
    Claim claim;
    std::optional<CallId> call;
    Instant next;
    bool complained = false;
  };

  // What a leader lets be written, and why not everything.
  struct Verdict {
    WriteState state = WriteState::kOpen;
    std::string reason;
  };

  // Whom we answered Prepare to: no other winner until it opens, cedes, is proved gone or silent.
  struct Promise {
    Claim claim;
    Instant heard;
  };

  // A message says that its sender leads or is about to, and its sender has yet to confirm it.
  struct Assertion {
    Claim claim;
    Instant heard;
    bool holds = false;  // writes wait for the answer
  };

  struct Leading {
    Claim claim;
    Instant opened;
    uint64_t beat = 0;
    Instant next_beat;
    std::map<uint64_t, Instant> beats_sent;               // for `heard`, newest kBeatsRemembered
    std::map<StreamId, Follower> followers;               // identity empty until the first report
    std::optional<std::pair<CallId, Identity>> yielding;  // our Yield is out, to this leader
    std::vector<Orphan> orphans;
    Verdict writes;                // as told
    bool fence = false;            // its redis is to refuse writes
    std::optional<Promise> rival;  // another member claims, or is about to claim, the leadership: its own answer
    std::map<Endpoint, Assertion> assertions;  // the same, from a message that anybody may have sent: it is being asked
    std::optional<Instant> asks_since;         // its loop stood still: what was heard before counts for nothing
    bool isolated = false;                     // the last follower was lost by silence, and nobody has answered since
    Instant next_reluctant;
  };

  // A leader that said its lineage.
  struct Teacher {
    Endpoint redis;
    Instant heard;
  };

  struct Following {
    Claim claim;
    std::optional<StreamId> stream;
    WriteState write_state = WriteState::kOpen;  // as its newest beat says
    uint64_t told_leaving = 0;                   // the report that said that this member leaves; 0 = none yet
    bool knows_leaving = false;                  // a beat has echoed it
    bool unplaced = false;   // redis was not available when the leader was found: does it hold foreign data?
    bool confirmed = false;  // a beat has echoed a report of ours: the claim is alive now
    Instant confirmed_at;    // since when
    uint64_t sequence = 0;
    uint64_t beat = 0;  // newest received on this stream
    std::map<uint64_t, Instant> reports_sent;
    Instant heard;      // when the newest beat was made at the earliest: its report's sending, and how long that waited
    Instant next_open;  // when to open the stream again
    Claim introduces;
    Instant reported;
    Standing reported_standing;
    bool reported_link_up = false;
  };

  // A person has told this member to lead without those that are silent.
  struct Forced {
    RequestId id = 0;
    Instant deadline;
  };

  // Leadership is to move to another member.
  struct Handover {
    std::string why;
    std::string wanted;              // IP; empty = whoever fits best
    std::vector<RequestId> people;   // who asked here
    std::vector<RequestId> members;  // who asked through their own coordinators
    Instant deadline;
    std::set<Identity> failed;
    std::string failure;  // of the newest try
    Instant next_try;
    // The try under way.
    Identity target;
    Endpoint target_coordinator;
    Endpoint target_redis;
    std::optional<replication::Switch> change;
    std::optional<CallId> offered;  // the right to lead is out
    Term offered_term = 0;
    bool taking_back = false;  // it was refused: the parked redis is being promoted again
  };

  struct Leaving {
    Instant deadline;
    bool left = false;   // said so
    bool tried = false;  // to hand over
  };

  struct OffsetSample {
    Instant read;
    int64_t offset = 0;
  };

  // An answer that waits for a reading of redis, or for a proof.
  struct Owed {
    RequestId id = 0;
    enum class Kind : uint8_t { kCampaign, kPrepare } kind = Kind::kCampaign;
    Claim claim;            // kPrepare
    bool on_proof = false;  // kCampaign: waits for our own proof of our leader's loss
  };

  enum class CallKind : uint8_t {
    kGreet,
    kCampaign,
    kPrepare,
    kLead,
    kYield,
    kTakeOver,
    kHandOver,
    kDial,
    kReadForRound,
    kReadForAnswer,
    kPark,
    kPromote,
    kReconcile,
    kServeStale,
    kProbe,
    kOrphan,
    kSwitch,  // local
    kSwitchRemote,
    kTakeBack,
    kInherit,
  };
  struct Call {
    CallKind kind = CallKind::kGreet;
    Endpoint to;
    Instant sent;
    uint64_t epoch = 0;  // of the role that asked: an answer from an earlier one is only listened to for what it tells
    std::optional<LeaderKey> key;       // what a leader's greeting declared
    std::optional<RequestId> asked_by;  // kHandOver: the person's request that was passed on
    std::string command;                // to the local redis: its first word
    bool fences = false;                // kFence: is it fenced then?
  };

  // ----------------------------------------------------------------------------------------------------- core.cc
  void On(const Tick&);
  void On(const PeersListed& event);
  void On(const PeersUnlisted& event);
  void On(const RedisReported& event);
  void On(const RedisLost& event);
  void On(const RedisMute& event);
  void On(const RedisRefuses& event);
  void On(const RedisDone& event);
  void On(const RequestReceived& event);
  void On(const ReplyReceived& event);
  void On(const CallFailed& event);
  void On(const Dialled& event);
  void On(const FollowOpened& event);
  void On(const ReportReceived& event);
  void On(const StreamClosed& event);
  void On(const BeatReceived& event);
  void On(const RedisProbed& event);
  void On(const OrphanAnswered& event);
  void On(const RemoteDone& event);
  void On(const LeaveAsked& event);
  void On(const HandoverAsked& event);
  void On(const LeadAsked& event);

  void EnterRole(Role role, std::string why);
  void NoteLine(Note::Level level, std::string text);
  void Complain(const std::string& topic, std::string text);  // a warning, at most once per kComplaintInterval
  // A peer's wall clock, as a message says that was sent at most `before` ago.
  void CompareClocks(Peer& peer, WallMicros theirs, Duration before);
  Header MakeHeader() const;
  MemberReport MakeReport() const;
  Standing OwnStanding() const;
  Dataset CurrentDataset() const;  // with the age of now
  CallId NewCall(CallKind kind, const Endpoint& to);
  void Ask(CallKind kind, const Endpoint& to, Request request, Duration timeout);
  void Respond(RequestId id, Reply reply);
  CallId Command(CallKind kind, RedisCommand command);
  void NoteOutcome(const Call& call, const RedisDone& event);
  bool Outstanding(CallKind kind) const;
  void RedisRoleCheck();
  void WatchLink(Duration since_last_reading);
  void ReconcileRedis();
  bool AtRest() const;
  Instant NextWord() const;
  replication::Goal RedisGoal() const;

  // ------------------------------------------------------------------------------------------------ admission.cc
  std::string RefusalOf(const Header& header, bool asked);  // empty when acceptable; else counted
  bool Absurd(Term term, bool asked) const;
  std::string WhyRefused(const Header& header, bool asked, RefusedFor& kind) const;
  void NoteRefused(RefusedFor reason) { ++refused_messages_[static_cast<size_t>(reason)]; }
  Peer* Meet(const Header& header, std::optional<Instant> asked_at);
  bool MayAskStranger();
  bool IsAsked(const Peer* peer, const Identity& identity) const;
  void OnUnknown(RequestId id, const Request& request);
  Peer* MeetIdentity(const Identity& identity, const Endpoint& coordinator, std::optional<Instant> asked_at);
  bool MayReplace(Peer& peer, const Identity& identity, std::optional<Instant> asked_at);
  void OnReplaced(Peer& peer, const Identity& before);
  void LearnLineage(const Lineage& lineage);
  void HearOfMembers(const std::vector<MemberView>& members, Instant as_of);

  // ----------------------------------------------------------------------------------------------------- view.cc
  LeaderView MakeView() const;
  void Publish(bool even_if_same);
  void RememberIfChanged();
  std::string WaitingFor() const;

  // -------------------------------------------------------------------------------------------------- contact.cc
  void GreetPeers();
  void Greet(Peer& peer);
  void OnGreetReport(Peer& peer, const MemberReport& report, const Call* asked);
  void NoteRejection(Peer& peer);
  bool Rejects(const Peer& peer) const;
  bool IsOutcast() const;
  std::string Outcasting() const;
  void BeginProof(Peer& peer);
  void DriveProofs();
  void OnProvedGone(Peer& peer);
  void ProbeRedisOf(const Peer& peer);
  void OnProvedAlive(Peer& peer);

  // -------------------------------------------------------------------------------------------------- joining.cc
  void EnterJoining(std::string why, Instant stand_not_before);
  void DriveJoining();
  void ConsiderLeader(const Claim& claim, const Dataset& dataset, const Lineage& lineage);
  bool IsForeign(const Claim& claim, const Dataset& dataset, const Lineage& lineage) const;
  bool EveryoneAnsweredSince(Instant since) const;
  bool ProvedEmptyHanded(const Peer& peer) const;
  bool BootstrapAllowed();
  bool Promised() const;
  bool ProvedLately() const;
  bool MayStand() const;
  bool DemotedBySwitch() const;

  // ------------------------------------------------------------------------------------------------- campaign.cc
  void Stand(Evidence evidence, Claim lost);
  void BeginRound();
  void OnRoundReading(const RedisDone& event);
  void DriveElecting();
  void AskCampaign(Peer& peer);
  void OnCampaign(RequestId id, const CampaignRequest& request);
  void OnCampaignReply(Peer& peer, const CampaignReply& reply);
  void TakeAnswer(Peer& peer, Answer answer);
  void StandBack(const Claim& leader);
  bool RoundClosed() const;
  void CloseRound();
  bool Wins(const Answer& candidate, const Answer& other) const;
  void OweCampaign(RequestId id, bool on_proof);
  void FreezeForAnswer();
  void PayOwedCampaigns();
  void AnswerOnProof(bool leader_lives);
  std::optional<Claim> LiveLeader() const;
  void ReplyLeader(RequestId id, const Claim& leader, Duration heard_ago);

  // ------------------------------------------------------------------------------------------------ promotion.cc
  void Win(const std::map<Endpoint, Answer>& answers);
  void DrivePromoting();
  void SendPrepare(const Endpoint& to, Winning::Target& target);
  void Announce();
  void OnParked(const RedisDone& event);
  void OnPromoted(const RedisDone& event);
  void DecidePromotion();
  void Release(const Identity& ceded_to, std::string why, Duration pause);
  Duration RankPause() const;
  void OnPrepare(RequestId id, const PrepareRequest& request);
  void OnPrepareReply(Peer& peer, const PrepareReply& reply);
  void PayOwedPrepares(const Standing& standing);
  void OnLead(RequestId id, const LeadRequest& request);
  void DrivePromise();
  bool BeginTakeover();
  void DriveTakeover();
  void Park();

  // -------------------------------------------------------------------------------------------------- leading.cc
  void Open(const RedisStatus& promoted);
  void RecallHistory(const RedisStatus& promoted);
  void Resign(std::string why);
  void LeaveLeadership(LeaderState state, const Claim& successor);
  void DriveLeading();
  void AnnounceOpen();
  void SendBeats(LeaderState state, const Claim& successor);
  void SendBeatTo(Follower& follower, LeaderState state, const Claim& successor);
  LeaderKey MakeKey() const;
  void Settle(Peer& peer, const LeaderKey& own, const LeaderKey& other);
  void OnYield(RequestId id, const YieldRequest& request);
  void OnYieldReply(Peer& peer, CallId id, const YieldReply& reply);
  void DriveOrphans();
  void DropOrphansOf(const std::string& ip);
  bool Follows(const Peer& peer) const;

  // ------------------------------------------------------------------------------------------------- handover.cc
  Will OwnWill() const;
  void DriveSwitch(replication::Switch& change, bool old_is_local, const Endpoint& remote);
  void OnSwitchAnswer(CallId id, const replication::SwitchAnswer& answer);
  void BeginHandover(std::string why, std::string wanted);
  std::string JoinHandover(const std::string& wanted);
  void OnHandOver(RequestId id, const HandOverRequest& request);
  void OnHandOverReply(const Call& call, const HandOverReply& reply);
  void EndHandover(bool done, std::string detail, const Claim& leader);
  const Follower* BestTarget(bool willing, bool& waiting) const;
  bool ChooseTarget(bool& hopeless);
  void DriveHandover();
  void OfferTakeOver();
  void OnTakeOverReply(CallId id, const TakeOverReply& reply);
  void OnTakeOverFailed(CallId id, Failure failure);
  void HandedOver(const Claim& successor, const std::string& but);
  void FailTry(const std::string& why);
  void OnTakenBack(const RedisDone& event);
  void OnTakeOver(RequestId id, const TakeOverRequest& request);
  std::string WhyNotTakeOver(const TakeOverRequest& request) const;
  void OnInheritRead(const RedisDone& event);
  void DriveLeaving();

  // --------------------------------------------------------------------------------------------------- forced.cc
  std::string WhyNotLead() const;
  std::vector<std::string> GivenUp() const;
  std::string WhatItHolds() const;
  bool WritesWaitForTheSilent() const;
  void StandForced();
  void DriveForced();
  void EndForced(AnswerLead::Outcome outcome, std::string detail);

  // ---------------------------------------------------------------------------------------------------- doubt.cc
  bool IsMember(const Peer& peer) const;
  bool Counts(const Peer& peer) const;
  bool HearsTooFew(Duration patience) const;
  bool InDoubt() const;
  void DriveDoubt();
  bool AloneInTheDark() const;
  int FollowersInSync() const;
  void NoteRival(const Claim& claim);
  bool IsRival(const Claim& claim) const;
  void CheckRival(const Claim& claim, const Endpoint& sender);
  void SettleAssertion(const Endpoint& sender, Instant asked_at, bool confirmed);
  void DriveAssertions();
  void ForgetRival(const Identity& identity);
  void SuspendAfterStall();
  bool StillAsking() const;
  Verdict JudgeWrites() const;
  void DriveWriteState();

  // -------------------------------------------------------------------------------------------------- discard.cc
  void SampleOffset();
  void MeasureDiscard(const Claim& leader);
  void MeasureSilentDiscard();

  // ------------------------------------------------------------------------------------------------ following.cc
  void StartFollowing(const Claim& claim, std::string why);
  void OpenStream();
  void CloseFollowStream();
  void Report();
  void DriveFollowing();
  Instant ReportDue() const;
  void LoseLeader(Evidence evidence, std::string why);
  bool HearsLeader() const;
  bool LeavesForeignLeader();
  void LearnLeadersId();

  // ------------------------------------------------------------------------------------------------------- state
  const Config config_;
  Random random_;
  Instant now_;
  Instant last_step_;
  bool stalled_ = false;  // this step came more than leader_timeout / 2 after the last one
  WallMicros wall_ = 0;
  Actions out_;

  Role role_ = Role::kJoining;
  uint64_t epoch_ = 0;  // grows with every change of role
  Term highest_term_ = 0;
  Dataset dataset_;
  Instant dataset_as_of_;
  Lineage lineage_;
  Teacher taught_by_;  // whose beat said the lineage last; empty when it was its last one
  LocalRedis redis_;
  Peers peers_;
  Instant listed_since_;  // DNS has listed the same set since
  Instant started_at_;
  bool has_stepped_ = false;
  bool dns_silent_ = false;
  bool has_joined_ = false;
  std::string stale_reads_on_;  // run_id that was told to serve stale data

  Joining joining_;
  std::optional<Candidacy> candidacy_;  // while electing, and between the rounds of one election
  std::optional<Winning> winning_;
  std::optional<Leading> leading_;
  std::optional<Following> following_;
  std::optional<Promise> promise_;
  std::optional<Promise> promoting_heard_;  // another winner announces itself

  struct Frozen {
    Standing standing;
    Instant read;
  };
  std::optional<Frozen> frozen_;  // what this member answers while it has no leader
  Claim proved_lost_;             // the leader that we lost on proof: its own word, arriving late, revives nothing
  Instant proved_lost_at_;
  std::optional<Instant> left_alone_at_;  // when it last lost a leader that it followed
  Instant redis_read_at_;                 // when the newest reading of the local redis arrived
  Endpoint pointed_at_;                   // whom this process last told the local redis to replicate
  std::vector<Owed> owed_;
  std::map<CallId, Call> calls_;
  CallId last_call_ = 0;
  StreamId last_stream_ = 0;

  std::optional<Handover> handover_;  // while leading
  std::optional<Leaving> leaving_;
  std::optional<Forced> forced_;       // until it leads, or cannot
  std::optional<CallId> switch_call_;  // of the switch under way, if one is: its newest command
  Identity last_leader_;               // whom this member followed last, or itself
  bool doubts_ = false;
  bool has_doubted_ = false;  // since it last followed or led undisturbed
  bool demoted_ = false;      // its redis was made a replica by another member while it led
  Instant dns_answered_at_;
  std::deque<OffsetSample> offsets_;  // of the local redis, oldest first
  struct {
    std::string run_id;
    Identity leader;
    int64_t offset = 0;
  } measured_;  // the newest that was looked at for what is dropped
  struct {
    Dataset dataset;
    Lineage lineage;
  } held_;  // what the local redis was part of when this member began to follow its leader
  Discarded discarded_;
  Tally tally_;
  std::string redis_trouble_ = "has not answered yet";  // why the local redis cannot be used; old while it can
  std::map<std::string, std::string> refused_commands_;
  // How long the local redis ought to have had a link to its leader's, and neither had one nor copied.
  Duration unlinked_{0};
  std::optional<Instant> replicaof_refused_;
  Instant next_reconcile_;
  std::array<uint64_t, kReasonsToRefuse> refused_messages_{};
  Instant strangers_since_;  // this count of strangers
  int strangers_asked_ = 0;

  std::optional<LastElection> last_election_;
  LeaderView published_;
  std::optional<Memory> remembered_;
  Instant remembered_at_;
  std::map<std::string, Instant> complaints_;
};

// How many beats or reports are remembered to date an echo: those of several leader_timeouts.
inline constexpr size_t kEchoesRemembered = 256;

}  // namespace hive::election
