#include "tests/sim/planted.h"

#include <algorithm>
#include <iterator>

namespace hive::sim {

using namespace election;  // NOLINT: the whole file speaks of its messages

namespace {

struct Plant {
  const char* name;
  const char* rule;  // the first one that it breaks
};
// In the enumerators' order.
constexpr Plant kPlants[] = {
    {"none", ""},
    {"restarted-looks-full", "promise 1"},
    {"others-look-empty", "promise 1"},
    {"proxy-ignores-lease", "promise 2"},
    {"heard-is-now", "promise 2"},
    {"follows-any-claim", "promise 3"},
    {"yield-is-deaf", "promise 4"},
    {"others-look-behind", "promise 5"},
    {"ignores-doubt", "promise 2"},
    {"ignores-fence", "promise 2"},
    {"no-hold", "handover"},
    {"leaves-at-once", "handover"},
    {"takes-over-behind", "promise 5"},
    {"takeover-no-catch-up", "promise 5"},
    {"key-inverts-age", "promise 1"},
    {"lineage-forgotten", "promise 5"},
    {"lease-from-receipt", "promise 2"},
    {"buffered-beats-renew", "promise 2"},
    {"forgets-discards", "promise 6"},
    {"followers-uncounted", "promise 2"},
    {"priority-unknown", "promise 4"},
    {"any-hive", "promise 1"},
    {"hides-refusals", "sanity"},
    {"hides-given-up", "forced"},
};
static_assert(std::size(kPlants) == static_cast<size_t>(kPlantedBugs));

}  // namespace

const char* Name(PlantedBug bug) { return kPlants[static_cast<size_t>(bug)].name; }

const char* BrokenRule(PlantedBug bug) { return kPlants[static_cast<size_t>(bug)].rule; }

namespace {

constexpr int64_t kFarAhead = int64_t{1} << 50;

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

// The standings of others, wherever they are spoken of.
void OthersLookEmpty(Event& event) {
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

void OthersLookBehind(Event& event) {
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

// Of the redises of a switch: the successor's replicates, the old one does not.
void SwitchLooksComplete(PlantedBug bug, Event& event) {
  auto* done = std::get_if<RemoteDone>(&event);
  if (done != nullptr && done->outcome == RemoteDone::Outcome::kDone) {
    if (bug == PlantedBug::kTakesOverBehind && done->status.link_up) done->status.offset = kFarAhead;
    if (bug == PlantedBug::kTakeoverNoCatchUp && !done->status.link_up) done->status.offset = 0;
  }
  auto* received = std::get_if<RequestReceived>(&event);
  auto* take = received == nullptr ? nullptr : std::get_if<TakeOverRequest>(&received->request);
  if (bug == PlantedBug::kTakesOverBehind && take != nullptr) take->offset = 0;
}

// Another's dataset looks ancient while it is new, and new when it is old.
void InvertAge(Dataset& dataset) { dataset.age = dataset.age < Seconds(5) ? Seconds(100'000) : Duration{0}; }

void InvertAge(MemberReport& report) {
  InvertAge(report.dataset);
  if (report.key) InvertAge(report.key->dataset);
}

void KeysInvertAge(Event& event) {
  if (auto* received = std::get_if<RequestReceived>(&event)) {
    if (auto* greet = std::get_if<GreetRequest>(&received->request)) InvertAge(greet->report);
    if (auto* yield = std::get_if<YieldRequest>(&received->request)) InvertAge(yield->key.dataset);
  }
  if (auto* received = std::get_if<ReplyReceived>(&event)) {
    if (auto* greet = std::get_if<GreetReply>(&received->reply)) InvertAge(greet->report);
  }
}

void Shorten(Lineage& lineage) {
  if (lineage.size() > 1) lineage.resize(1);
}

void ForgetLineage(Event& event) {
  if (auto* beat = std::get_if<BeatReceived>(&event)) Shorten(beat->beat.lineage);
  if (auto* received = std::get_if<RequestReceived>(&event)) {
    if (auto* greet = std::get_if<GreetRequest>(&received->request)) Shorten(greet->report.lineage);
    if (auto* campaign = std::get_if<CampaignRequest>(&received->request)) Shorten(campaign->lineage);
    if (auto* prepare = std::get_if<PrepareRequest>(&received->request)) Shorten(prepare->lineage);
    if (auto* lead = std::get_if<LeadRequest>(&received->request)) Shorten(lead->lineage);
    if (auto* take = std::get_if<TakeOverRequest>(&received->request)) Shorten(take->lineage);
  }
  if (auto* received = std::get_if<ReplyReceived>(&event)) {
    if (auto* greet = std::get_if<GreetReply>(&received->reply)) Shorten(greet->report.lineage);
  }
}

void IgnoreHive(const Config& config, Event& event) {
  const auto adopt = [&](auto& message) { message.header.hive = config.hive; };
  if (auto* beat = std::get_if<BeatReceived>(&event)) adopt(beat->beat);
  if (auto* report = std::get_if<ReportReceived>(&event)) adopt(report->report);
  if (auto* received = std::get_if<RequestReceived>(&event)) std::visit(adopt, received->request);
  if (auto* received = std::get_if<ReplyReceived>(&event)) std::visit(adopt, received->reply);
}

}  // namespace

void MutateConfig(PlantedBug bug, Config& config) {
  if (bug == PlantedBug::kIgnoresDoubt) config.doubt_timeout = Millis(1);
  if (bug == PlantedBug::kFollowersUncounted) config.min_followers = 0;
  if (bug == PlantedBug::kPriorityUnknown) config.priority = 100;
}

void MutateState(PlantedBug bug, State& state) {
  if (bug == PlantedBug::kForgetsDiscards) state.discarded = {};
  if (bug == PlantedBug::kHidesRefusals) state.refused_commands.clear();
}

void MutateEvent(PlantedBug bug, const Config& config, const PlantedNotes& notes, Event& event) {
  switch (bug) {
    case PlantedBug::kRestartedLooksFull:
      if (auto* reported = std::get_if<RedisReported>(&event)) LookFull(reported->status);
      if (auto* done = std::get_if<RedisDone>(&event); done != nullptr && done->ok) LookFull(done->status);
      return;
    case PlantedBug::kOthersLookEmpty:
      return OthersLookEmpty(event);
    case PlantedBug::kOthersLookBehind:
      return OthersLookBehind(event);
    case PlantedBug::kYieldIsDeaf:
      if (auto* received = std::get_if<ReplyReceived>(&event)) {
        if (auto* yield = std::get_if<YieldReply>(&received->reply)) yield->confirmed = false;
      }
      return;
    case PlantedBug::kTakesOverBehind:
    case PlantedBug::kTakeoverNoCatchUp:
      return SwitchLooksComplete(bug, event);
    case PlantedBug::kKeyInvertsAge:
      return KeysInvertAge(event);
    case PlantedBug::kLineageForgotten:
      return ForgetLineage(event);
    case PlantedBug::kBufferedBeatsRenew:
      if (auto* beat = std::get_if<BeatReceived>(&event)) beat->beat.echoed_sequence = notes.last_report;
      return;
    case PlantedBug::kAnyHive:
      return IgnoreHive(config, event);
    default:
      return;
  }
}

namespace {

void IgnoreFence(Actions& actions) {
  std::erase_if(actions, [](const Action& action) {
    const auto* command = std::get_if<CommandRedis>(&action);
    return command != nullptr && command->command.kind == RedisCommand::Kind::kFence;
  });
}

// Whoever is shut out, or kept waiting, is let in.
void SayOpen(WriteState& state, bool holds_only) {
  if (state == WriteState::kHold || (state == WriteState::kFenced && !holds_only)) state = WriteState::kOpen;
}

void SayOpen(Actions& actions, bool holds_only) {
  for (Action& action : actions) {
    if (auto* publish = std::get_if<PublishLeader>(&action)) SayOpen(publish->view.write_state, holds_only);
    if (auto* beat = std::get_if<SendBeat>(&action)) SayOpen(beat->beat.write_state, holds_only);
  }
}

}  // namespace

void MutateActions(PlantedBug bug, const Config& config, Instant now, const Event& event, PlantedNotes& notes,
                   Actions& actions) {
  for (const Action& action : actions) {
    if (const auto* report = std::get_if<SendReport>(&action)) notes.last_report = report->report.sequence;
    if (const auto* open = std::get_if<OpenFollow>(&action)) notes.last_report = open->first.sequence;
  }
  if (bug == PlantedBug::kHeardIsNow) {
    for (Action& action : actions) {
      if (auto* publish = std::get_if<PublishLeader>(&action)) publish->view.heard = now;
    }
  } else if (bug == PlantedBug::kFollowsAnyClaim) {
    const auto* received = std::get_if<RequestReceived>(&event);
    const auto* lead = received == nullptr ? nullptr : std::get_if<LeadRequest>(&received->request);
    if (lead != nullptr && lead->phase == LeadPhase::kOpen && lead->claim.leader != config.self) {
      actions.push_back(CommandRedis{1ull << 60, {RedisCommand::Kind::kReplicate, lead->claim.redis}});
    }
  } else if (bug == PlantedBug::kIgnoresFence) {
    IgnoreFence(actions);
    SayOpen(actions, /*holds_only=*/false);
  } else if (bug == PlantedBug::kNoHold) {
    SayOpen(actions, /*holds_only=*/true);
    for (Action& action : actions) {
      if (auto* publish = std::get_if<PublishLeader>(&action)) publish->view.handed_over_by = 0;
    }
  } else if (bug == PlantedBug::kLeavesAtOnce) {
    if (std::holds_alternative<LeaveAsked>(event)) actions.push_back(Left{});
  } else if (bug == PlantedBug::kHidesGivenUp) {
    for (Action& action : actions) {
      if (auto* lead = std::get_if<AnswerLead>(&action)) lead->given_up.clear();
    }
  }
}

}  // namespace hive::sim
