// The inside of the core. Its functions are cut by what a member is doing:
//   core.cc       events in, actions out    admission.cc  who speaks, and is it to be believed
//   view.cc       what proxies, people and a restart see
//   peers.cc      who is there              contact.cc    greeting, dialling, rejection, proof of a loss
//   joining.cc    no leader is known        campaign.cc   a round of an election
//   promotion.cc  won: park, then promote   leading.cc    beats, followers, settling with another leader, orphans
//   following.cc  a leader is known                    doubt.cc      cut off? hold, fence
//   handover.cc   leaving on purpose                   discard.cc    what is dropped, measured
//   forced.cc     a person says: lead
// What each of these keeps is in role_state.h, and how long it waits in limits.h.
//
// The role changes in one place only: EnterRole.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "coordinator/election/claim.h"
#include "coordinator/election/core.h"
#include "coordinator/election/limits.h"
#include "coordinator/election/local_redis.h"
#include "coordinator/election/peers.h"
#include "coordinator/election/role_state.h"
#include "coordinator/election/standing.h"
#include "coordinator/replication/reconcile.h"

namespace hive::election {

class Core::Impl {
 public:
  explicit Impl(Config config);

  Actions Step(Instant now, WallMicros wall, const Event& event);
  Duration TickInterval() const;
  State GetState(Instant now) const;

 private:
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
  std::map<std::string, Instant> complaints_;
};

}  // namespace hive::election
