#include "coordinator/runtime/runtime.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "common/app/log.h"
#include "common/net/clock.h"

namespace hive::coordinator {
namespace {

using namespace election;  // NOLINT: the actions and events

LogLevel LevelOf(Note::Level level) {
  switch (level) {
    case Note::Level::kDebug:
      return LogLevel::kDebug;
    case Note::Level::kInfo:
      return LogLevel::kInfo;
    case Note::Level::kWarning:
      return LogLevel::kWarning;
    case Note::Level::kError:
      return LogLevel::kError;
  }
  return LogLevel::kError;
}

// Streams accepted by this member have odd ids, those it opened even ones.
bool AcceptedHere(StreamId id) { return id % 2 == 1; }

}  // namespace

Clocks Clocks::Real() { return {ReadMonotonicClock, ReadWallClock}; }

Runtime::Runtime(EventInbox& inbox, Decider& decider, Ports ports, Clocks clocks)
    : inbox_(inbox),
      decider_(decider),
      ports_(std::move(ports)),
      clocks_(std::move(clocks)),
      begun_(clocks_.monotonic()),
      last_step_(begun_),
      observations_(begun_),
      last_turn_(begun_.time_since_epoch().count()) {}

Runtime::~Runtime() {
  inbox_.Close();
  while (inbox_.inbox_.WaitUntil(begun_, batch_)) DropWaiting();
}

void Runtime::Run() {
  while (Turn()) {
  }
}

bool Runtime::Turn() {
  const Instant wake_at = std::min(last_step_ + decider_.TickInterval(), clocks_.monotonic() + kLongestSleep);
  const bool open = inbox_.inbox_.WaitUntil(wake_at, batch_);
  last_turn_.store(clocks_.monotonic().time_since_epoch().count(), std::memory_order_relaxed);
  if (!open) return false;
  for (EventInbox::Item& item : batch_) Take(item);
  TickIfDue();
  return true;
}

void Runtime::Take(EventInbox::Item& item) {
  if (const auto* event = std::get_if<Event>(&item)) {
    Step(*event);
  } else if (const auto* offered = std::get_if<EventInbox::Offered>(&item)) {
    inbox_.offered_.fetch_sub(1);
    Step(offered->event);
  } else {
    inbox_.questions_.fetch_sub(1);
    Answer(std::get<Question>(item));
  }
}

void Runtime::Step(const Event& event) {
  traffic_.CountReceived(event);
  observations_.Heard(event);
  last_step_ = clocks_.monotonic();
  Actions actions = decider_.Step(last_step_, clocks_.wall(), event);
  for (Action& action : actions) Execute(action);
}

void Runtime::TickIfDue() {
  if (clocks_.monotonic() >= last_step_ + decider_.TickInterval()) Step(Event(Tick{}));
}

void Runtime::Answer(const Question& question) {
  const Instant now = clocks_.monotonic();
  const Snapshot snapshot{decider_.state(now), traffic_, observations_, now, now - begun_};
  question(&snapshot);
}

void Runtime::Execute(Action& action) {
  traffic_.CountSent(action);
  std::visit(
      [this](auto& what) {
        using A = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<A, SendRequest>) {
          ports_.peers.Send(std::move(what));
        } else if constexpr (std::is_same_v<A, SendReply>) {
          ports_.answers.Reply(std::move(what));
        } else if constexpr (std::is_same_v<A, Dial>) {
          ports_.peers.Dial(what);
        } else if constexpr (std::is_same_v<A, OpenFollow>) {
          ports_.peers.OpenFollow(std::move(what));
        } else if constexpr (std::is_same_v<A, SendReport>) {
          ports_.peers.SendReport(std::move(what));
        } else if constexpr (std::is_same_v<A, SendBeat>) {
          ports_.answers.SendBeat(std::move(what));
        } else if constexpr (std::is_same_v<A, CloseStream>) {
          AcceptedHere(what.id) ? ports_.answers.CloseStream(what.id) : ports_.peers.CloseStream(what.id);
        } else if constexpr (std::is_same_v<A, CommandRedis>) {
          ports_.redis.Command(what);
        } else if constexpr (std::is_same_v<A, ProbeRedis>) {
          ports_.redis.Probe(what);
        } else if constexpr (std::is_same_v<A, DemoteOrphan>) {
          ports_.redis.Demote(what);
        } else if constexpr (std::is_same_v<A, CommandRemote>) {
          ports_.redis.Remote(what);
        } else if constexpr (std::is_same_v<A, AnswerHandover> || std::is_same_v<A, AnswerLead>) {
          ports_.handovers.Answer(what);
        } else if constexpr (std::is_same_v<A, Left>) {
          ports_.handovers.Left();
        } else if constexpr (std::is_same_v<A, ResolveNow>) {
          ports_.discovery.ResolveNow();
        } else if constexpr (std::is_same_v<A, PublishLeader>) {
          observations_.Published(what.view, clocks_.monotonic());
          for (WatchSink* watcher : ports_.watchers) watcher->Publish(what.view);
        } else if constexpr (std::is_same_v<A, Remember>) {
          ports_.memory.Store(std::move(what.memory));
        } else {
          static_assert(std::is_same_v<A, Note>);
          Log(LevelOf(what.level), "election", what.text);
        }
      },
      action);
}

void Runtime::DropWaiting() {
  for (EventInbox::Item& item : batch_) {
    if (const auto* question = std::get_if<Question>(&item)) (*question)(nullptr);
  }
}

}  // namespace hive::coordinator
