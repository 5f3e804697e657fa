#include "coordinator/replication/switch.h"

#include <utility>

namespace hive::replication {

using Kind = RedisCommand::Kind;
using Outcome = SwitchAnswer::Outcome;

void Switch::Fail(std::string why) {
  stage_ = Stage::kFailed;
  failure_ = std::move(why);
}

std::optional<Switch::Ask> Switch::Next(Instant now) {
  if (over()) return std::nullopt;
  if (now >= deadline_) {
    Fail("not done within " + std::to_string(ToMillis(limit_)) + " ms");
    return std::nullopt;
  }
  if (awaited_) return std::nullopt;
  Ask ask;
  switch (stage_) {
    case Stage::kReading:
      ask = {Side::kOld, {Kind::kRead, {}}, old_run_};
      break;
    case Stage::kPausing:
      paused_ = true;
      ask = {Side::kOld, {Kind::kPause, {}, deadline_ - now + kPauseMargin}, old_run_};
      break;
    case Stage::kParking:
      parked_ = true;
      ask = {Side::kOld, {Kind::kPark, {}}, old_run_};
      break;
    case Stage::kUnpausing:
      paused_ = false;
      ask = {Side::kOld, {Kind::kUnpause, {}}, old_run_};
      break;
    case Stage::kCatchingUp:
    case Stage::kConfirming:
      if (now < next_poll_) return std::nullopt;
      if (++polls_ > kQuickPolls) next_poll_ = now + kPollInterval;
      ask = {Side::kTarget, {Kind::kRead, {}}, target_run_};
      break;
    case Stage::kDone:
    case Stage::kFailed:
      return std::nullopt;
  }
  awaited_ = ask.side;
  return ask;
}

void Switch::OnAnswer(Instant now, const SwitchAnswer& answer) {
  if (!awaited_) return;
  const Side side = *std::exchange(awaited_, std::nullopt);
  if (over()) return;
  side == Side::kOld ? OnOld(answer) : OnTarget(now, answer);
}

void Switch::OnOld(const SwitchAnswer& answer) {
  const RedisStatus& status = answer.status;
  const bool done = answer.outcome == Outcome::kDone;
  if (stage_ == Stage::kUnpausing) {  // if it failed, the pause runs out by itself
    stage_ = Stage::kConfirming;
    return;
  }
  if (stage_ == Stage::kPausing && answer.outcome == Outcome::kRefused) {
    paused_ = false;  // renamed, or forbidden: parking stops the writes just as well, only for longer
    stage_ = Stage::kCatchingUp;
    return;
  }
  if (!done) return Fail("the old master: " + (answer.error.empty() ? "no answer" : answer.error));
  if (!old_run_.empty() && status.run_id != old_run_) return Fail("the old master was restarted");
  if (status.loading || status.busy) return Fail("the old master is busy");
  if (stage_ == Stage::kParking) {
    if (!status.parked()) return Fail("the old master did not park");
    offset_ = status.offset;
    stage_ = paused_ ? Stage::kUnpausing : Stage::kConfirming;
    polls_ = 0;
    next_poll_ = {};
    return;
  }
  if (!status.is_master) return Fail("the old master is a replica");
  old_run_ = status.run_id;
  offset_ = status.offset;
  stage_ = stage_ == Stage::kReading ? Stage::kPausing : Stage::kCatchingUp;
}

void Switch::OnTarget(Instant now, const SwitchAnswer& answer) {
  const RedisStatus& status = answer.status;
  if (answer.outcome == Outcome::kUnknown) {  // a reading: it has no effect, however late
    next_poll_ = now + kPollInterval;
    return;
  }
  if (answer.outcome != Outcome::kDone) {
    return Fail("the target: " + (answer.error.empty() ? "no answer" : answer.error));
  }
  if (!target_run_.empty() && status.run_id != target_run_) return Fail("the target was restarted");
  target_run_ = status.run_id;
  if (status.is_master || status.parked() || status.sync_in_progress || status.loading || status.busy) {
    return Fail("the target does not replicate the old master");
  }
  if (stage_ == Stage::kCatchingUp) {
    if (!status.link_up) return Fail("the target's replication link is down");
    if (status.offset >= offset_) stage_ = Stage::kParking;
    return;
  }
  // Parked, the old one still feeds its replicas their last bytes, and nothing after those.
  if (status.offset == offset_) stage_ = Stage::kDone;
  if (status.offset > offset_) Fail("the target holds more than the parked master: not the same history");
}

}  // namespace hive::replication
