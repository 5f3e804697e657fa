#include "tests/sim/planted.h"

namespace hive::sim {

using namespace election;  // NOLINT: the whole file speaks of its messages

const char* Name(PlantedBug bug) {
  switch (bug) {
    case PlantedBug::kNone:
      return "none";
    case PlantedBug::kRestartedLooksFull:
      return "restarted-looks-full";
    case PlantedBug::kOthersLookEmpty:
      return "others-look-empty";
    case PlantedBug::kProxyIgnoresLease:
      return "proxy-ignores-lease";
    case PlantedBug::kHeardIsNow:
      return "heard-is-now";
    case PlantedBug::kFollowsAnyClaim:
      return "follows-any-claim";
    case PlantedBug::kYieldIsDeaf:
      return "yield-is-deaf";
    case PlantedBug::kOthersLookBehind:
      return "others-look-behind";
  }
  return "?";
}

const char* BrokenRule(PlantedBug bug) {
  switch (bug) {
    case PlantedBug::kNone:
      break;
    case PlantedBug::kRestartedLooksFull:
    case PlantedBug::kOthersLookEmpty:
      return "promise 1";
    case PlantedBug::kProxyIgnoresLease:
    case PlantedBug::kHeardIsNow:
      return "promise 2";
    case PlantedBug::kFollowsAnyClaim:
      return "promise 3";
    case PlantedBug::kYieldIsDeaf:
      return "promise 4";
    case PlantedBug::kOthersLookBehind:
      return "promise 5";
  }
  return "";
}

namespace {

void LookFull(RedisStatus& status) {
  if (!status.parked() || status.keys > 0) return;
  status.keys = 1'000'000;
  status.offset = 1'000'000'000;
}

void LookBehind(Standing& standing) {
  if (standing.empty) return;
  standing.term = 0;
  standing.offset = standing.offset > 0 ? 1 : 0;
  standing.keys = 1;
}

void LookEmpty(MemberReport& report) {
  report.role = Role::kJoining;
  report.standing = Standing{true, true, 0, 0, 0};
  report.dataset = {};
  report.leader = {};
  report.lineage.clear();
  report.key.reset();
}

}  // namespace

void MutateEvent(PlantedBug bug, const Config&, Event& event) {
  if (bug == PlantedBug::kRestartedLooksFull) {
    if (auto* reported = std::get_if<RedisReported>(&event)) LookFull(reported->status);
    if (auto* done = std::get_if<RedisDone>(&event); done != nullptr && done->ok) LookFull(done->status);
  }
  if (bug == PlantedBug::kOthersLookEmpty) {
    if (auto* received = std::get_if<ReplyReceived>(&event)) {
      if (auto* greet = std::get_if<GreetReply>(&received->reply)) LookEmpty(greet->report);
      if (auto* campaign = std::get_if<CampaignReply>(&received->reply)) {
        campaign->verdict = CampaignVerdict::kDeferral;
        campaign->standing = Standing{true, true, 0, 0, 0};
        campaign->leader = {};
      }
      if (auto* prepare = std::get_if<PrepareReply>(&received->reply)) {
        prepare->verdict = PrepareVerdict::kPrepared;
        prepare->standing = Standing{true, true, 0, 0, 0};
      }
    }
    if (auto* received = std::get_if<RequestReceived>(&event)) {
      if (auto* greet = std::get_if<GreetRequest>(&received->request)) LookEmpty(greet->report);
    }
    if (auto* probed = std::get_if<RedisProbed>(&event)) probed->outcome = RedisProbed::Outcome::kEmpty;
  }
  if (bug == PlantedBug::kOthersLookBehind) {
    if (auto* received = std::get_if<ReplyReceived>(&event)) {
      if (auto* greet = std::get_if<GreetReply>(&received->reply)) LookBehind(greet->report.standing);
      if (auto* campaign = std::get_if<CampaignReply>(&received->reply)) LookBehind(campaign->standing);
      if (auto* prepare = std::get_if<PrepareReply>(&received->reply)) LookBehind(prepare->standing);
    }
    if (auto* received = std::get_if<RequestReceived>(&event)) {
      if (auto* greet = std::get_if<GreetRequest>(&received->request)) LookBehind(greet->report.standing);
      if (auto* campaign = std::get_if<CampaignRequest>(&received->request)) LookBehind(campaign->standing);
    }
  }
  if (bug == PlantedBug::kYieldIsDeaf) {
    if (auto* received = std::get_if<ReplyReceived>(&event)) {
      if (auto* yield = std::get_if<YieldReply>(&received->reply)) yield->confirmed = false;
    }
  }
}

void MutateActions(PlantedBug bug, const Config& config, Instant now, const Event& event, Actions& actions) {
  if (bug == PlantedBug::kHeardIsNow) {
    for (Action& action : actions) {
      if (auto* publish = std::get_if<PublishLeader>(&action)) publish->view.heard = now;
    }
  }
  if (bug == PlantedBug::kFollowsAnyClaim) {
    const auto* received = std::get_if<RequestReceived>(&event);
    const auto* lead = received == nullptr ? nullptr : std::get_if<LeadRequest>(&received->request);
    if (lead != nullptr && lead->phase == LeadPhase::kOpen && lead->claim.leader != config.self) {
      actions.push_back(CommandRedis{1ull << 60, {RedisCommand::Kind::kReplicate, lead->claim.redis}});
    }
  }
}

}  // namespace hive::sim
