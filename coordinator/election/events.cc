#include "coordinator/election/events.h"

#include <sstream>
#include <type_traits>

namespace hive::election {

const char* Name(Failure failure) {
  switch (failure) {
    case Failure::kRefused:
      return "refused";
    case Failure::kUnreachable:
      return "unreachable";
    case Failure::kClosed:
      return "closed";
    case Failure::kTimeout:
      return "timeout";
    case Failure::kRejected:
      return "rejected";
  }
  return "?";
}

namespace {

const char* Name(CampaignVerdict verdict) {
  switch (verdict) {
    case CampaignVerdict::kCandidacy:
      return "candidacy";
    case CampaignVerdict::kDeferral:
      return "deferral";
    case CampaignVerdict::kLeader:
      return "leader";
  }
  return "?";
}

const char* Name(LeadPhase phase) {
  switch (phase) {
    case LeadPhase::kPromoting:
      return "promoting";
    case LeadPhase::kOpen:
      return "open";
    case LeadPhase::kReleased:
      return "released";
  }
  return "?";
}

const char* Name(LeaderState state) {
  switch (state) {
    case LeaderState::kOpen:
      return "open";
    case LeaderState::kResigned:
      return "resigned";
    case LeaderState::kYielded:
      return "yielded";
  }
  return "?";
}

struct Printer {
  std::ostringstream& out;

  void operator()(const MemberReport& report) const {
    out << Name(report.role) << ", " << ToString(report.standing);
    if (!report.leader.empty()) out << ", leader " << ToString(report.leader);
  }
  void operator()(const GreetRequest& m) const { out << "Greet(", (*this)(m.report), out << ')'; }
  void operator()(const GreetReply& m) const { out << "Greeted(", (*this)(m.report), out << ')'; }
  void operator()(const CampaignRequest& m) const {
    out << "Campaign(term " << m.term << ", " << ToString(m.standing) << ", " << Name(m.evidence);
    if (!m.lost.empty()) out << ", lost " << ToString(m.lost);
    out << ')';
  }
  void operator()(const CampaignReply& m) const {
    out << "Campaign answered(" << Name(m.verdict);
    if (m.verdict == CampaignVerdict::kLeader) {
      out << ' ' << ToString(m.leader) << ')';
    } else {
      out << ", " << ToString(m.standing) << ')';
    }
  }
  void operator()(const PrepareRequest& m) const { out << "Prepare(" << ToString(m.claim) << ')'; }
  void operator()(const PrepareReply& m) const {
    if (m.verdict == PrepareVerdict::kPrepared) {
      out << "Prepared(" << ToString(m.standing) << ')';
    } else {
      out << "Prepare refused(holder " << ToString(m.holder) << ')';
    }
  }
  void operator()(const LeadRequest& m) const {
    out << "Lead(" << Name(m.phase) << ", " << ToString(m.claim);
    if (!m.ceded_to.empty()) out << ", ceded to " << ToString(m.ceded_to);
    out << ')';
  }
  void operator()(const LeadReply&) const { out << "Lead heard"; }
  void operator()(const YieldRequest& m) const { out << "Yield(" << ToString(m.key.claim) << ')'; }
  void operator()(const YieldReply& m) const {
    out << "Yield " << (m.confirmed ? "confirmed(" + ToString(m.claim) + ")" : "not confirmed");
  }
  void operator()(const TakeOverRequest& m) const {
    out << "TakeOver(" << ToString(m.ending) << ", then term " << m.term << ", offset " << m.offset << ')';
  }
  void operator()(const TakeOverReply& m) const {
    out << "TakeOver " << (m.accepted ? "accepted(" + ToString(m.claim) + ")" : "refused(" + m.reason + ")");
  }
  void operator()(const HandOverRequest& m) const { out << "HandOver(to " << (m.to.empty() ? "anyone" : m.to) << ')'; }
  void operator()(const HandOverReply& m) const {
    out << (m.done ? "HandOver done(" : "HandOver not done(") << m.detail << ')';
  }
  void operator()(const Refusal& m) const { out << "Refused(" << m.reason << ')'; }

  void operator()(const RedisStatus& status) const {
    out << (status.is_master ? "master" : status.parked() ? "parked" : "replica of " + hive::ToString(status.master));
    if (!status.is_master && !status.parked()) out << (status.link_up ? ", link up" : ", link down");
    if (status.sync_in_progress) out << ", syncing";
    if (status.loading) out << ", loading";
    out << ", offset " << status.offset << ", keys " << status.keys << ", run " << status.run_id.substr(0, 6);
  }

  void operator()(const Tick&) const { out << "tick"; }
  void operator()(const PeersListed& e) const {
    out << "DNS lists";
    for (const Endpoint& endpoint : e.listed) out << ' ' << endpoint.ip;
  }
  void operator()(const PeersUnlisted& e) const { out << (e.no_such_name ? "DNS: no such name" : "DNS: no answer"); }
  void operator()(const RedisReported& e) const { out << "redis: ", (*this)(e.status); }
  void operator()(const RedisLost& e) const { out << "redis lost: " << e.detail; }
  void operator()(const RedisMute&) const { out << "redis mute"; }
  void operator()(const RedisRefuses& e) const { out << "redis refuses " << e.command << ": " << e.error; }
  void operator()(const RedisDone& e) const {
    out << "redis done #" << e.id << ": ";
    if (e.ok) {
      (*this)(e.status);
    } else {
      out << "error " << e.error;
    }
  }
  void operator()(const RequestReceived& e) const {
    out << "from " << ToString(HeaderOf(e.request).self) << ": ";
    std::visit(*this, e.request);
  }
  void operator()(const ReplyReceived& e) const {
    out << "from " << ToString(HeaderOf(e.reply).self) << ": ";
    std::visit(*this, e.reply);
  }
  void operator()(const CallFailed& e) const { out << "call #" << e.id << " failed: " << election::Name(e.failure); }
  void operator()(const Dialled& e) const {
    static constexpr const char* kOutcomes[] = {"answered",      "refused", "unreachable",
                                                "no connection", "mute",    "rejected"};
    out << "dialled #" << e.id << ": " << kOutcomes[static_cast<int>(e.outcome)];
    if (!e.answered_by.empty()) out << " by " << ToString(e.answered_by);
  }
  void operator()(const FollowOpened& e) const { out << "stream " << e.id << " opened"; }
  void operator()(const ReportReceived& e) const {
    out << "stream " << e.id << ": report " << e.report.sequence << " of " << ToString(e.report.header.self) << ", "
        << ToString(e.report.standing) << (e.report.link_up ? ", link up" : ", link down")
        << (e.report.will.leaving ? ", leaving" : "");
  }
  void operator()(const StreamClosed& e) const { out << "stream " << e.id << " closed: " << election::Name(e.failure); }
  void operator()(const BeatReceived& e) const { out << "stream " << e.id << ": ", (*this)(e.beat); }
  void operator()(const Beat& beat) const {
    out << "beat " << beat.number << ' ' << Name(beat.state) << ' ' << ToString(beat.claim);
    if (beat.write_state != WriteState::kOpen) out << ", writes " << election::Name(beat.write_state);
    if (!beat.successor.empty()) out << ", successor " << ToString(beat.successor);
  }
  void operator()(const RedisProbed& e) const {
    static constexpr const char* kOutcomes[] = {"refused", "empty", "has data", "silent"};
    out << "probed #" << e.id << ": redis " << kOutcomes[static_cast<int>(e.outcome)];
  }
  void operator()(const OrphanAnswered& e) const {
    static constexpr const char* kOutcomes[] = {"obeyed", "coordinator answers", "unreachable", "refused"};
    out << "orphan #" << e.id << ": " << kOutcomes[static_cast<int>(e.outcome)];
  }

  void operator()(const RemoteDone& e) const {
    static constexpr const char* kOutcomes[] = {"done", "refused", "another run", "unreachable", "unknown"};
    out << "remote redis #" << e.id << ": " << kOutcomes[static_cast<int>(e.outcome)];
    if (e.outcome == RemoteDone::Outcome::kDone) {
      out << ", ", (*this)(e.status);
    } else if (!e.error.empty()) {
      out << ", " << e.error;
    }
  }
  void operator()(const LeaveAsked&) const { out << "asked to leave"; }
  void operator()(const HandoverAsked& e) const { out << "asked to hand over to " << (e.to.empty() ? "anyone" : e.to); }

  void operator()(const LeadAsked& e) const { out << "asked to lead" << (e.force ? " by force" : ""); }

  void operator()(const SendRequest& a) const {
    out << "to " << hive::ToString(a.to) << " #" << a.id << ": ";
    std::visit(*this, a.request);
  }
  void operator()(const SendReply& a) const {
    out << "answer: ";
    std::visit(*this, a.reply);
  }
  void operator()(const Dial& a) const { out << "dial " << hive::ToString(a.to) << " #" << a.id; }
  void operator()(const OpenFollow& a) const { out << "open stream " << a.id << " to " << hive::ToString(a.to); }
  void operator()(const SendReport& a) const {
    out << "stream " << a.id << ": send report " << a.report.sequence << ", " << ToString(a.report.standing)
        << (a.report.link_up ? ", link up" : ", link down");
  }
  void operator()(const SendBeat& a) const { out << "stream " << a.id << ": send ", (*this)(a.beat); }
  void operator()(const CloseStream& a) const { out << "close stream " << a.id; }
  void operator()(const CommandRedis& a) const { out << "redis #" << a.id << ": " << replication::ToString(a.command); }
  void operator()(const ProbeRedis& a) const { out << "probe redis " << hive::ToString(a.redis) << " #" << a.id; }
  void operator()(const DemoteOrphan& a) const {
    out << "demote orphan " << hive::ToString(a.redis) << " to " << hive::ToString(a.master) << " #" << a.id;
  }
  void operator()(const CommandRemote& a) const {
    out << "redis of " << hive::ToString(a.redis) << " #" << a.id << ": " << replication::ToString(a.command);
  }
  void operator()(const AnswerHandover& a) const {
    out << "handover " << (a.done ? "done: " : "not done: ") << a.detail;
  }
  void operator()(const AnswerLead& a) const {
    static constexpr const char* kOutcomes[] = {"leads: ", "would lead: ", "refused: ", "late: "};
    out << "asked to lead: " << kOutcomes[static_cast<size_t>(a.outcome)] << a.detail;
    for (const std::string& clause : a.given_up) out << "; gives up " << clause;
  }
  void operator()(const Left&) const { out << "has left"; }
  void operator()(const ResolveNow&) const { out << "resolve now"; }
  void operator()(const PublishLeader& a) const {
    out << "publish " << election::Name(a.view.write_state) << ' ' << ToString(a.view.claim)
        << (a.view.in_sync ? ", in sync" : "");
  }
  void operator()(const Remember& a) const {
    out << "remember term " << a.memory.term << (a.memory.has_data ? ", data" : ", no data");
  }
  void operator()(const Note& a) const { out << "note: " << a.text; }
};

template <typename T>
std::string Print(const T& variant) {
  std::ostringstream out;
  std::visit(Printer{out}, variant);
  return out.str();
}

}  // namespace

std::string ToString(const Event& event) { return Print(event); }
std::string ToString(const Action& action) { return Print(action); }

}  // namespace hive::election
