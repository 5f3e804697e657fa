// The switch: leadership moves from a redis that lives to one that replicates it, and no write is lost. Pure; see
// docs/election.md, "The switch".
//
// On the old master writes are paused; when the target has caught up the old one is parked, which no write survives
// however late it arrives; both are read once more; and only if the target holds all that the parked one held may it be
// promoted, by whoever leads it. The pause makes the stall short; nothing relies on it: it may be refused, or run out.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/time.h"
#include "coordinator/replication/redis_status.h"

namespace hive::replication {

// What a command to one of the two redises came to.
struct SwitchAnswer {
  enum class Outcome : uint8_t {
    kDone,     // executed; `status` was read after it
    kRefused,  // redis said no: it is as it was
    kNothing,  // not executed: not reached, or another run of redis
    kUnknown,  // sent and unanswered: it may take effect yet
  } outcome = Outcome::kNothing;
  std::string error;
  RedisStatus status;
};

class Switch {
 public:
  enum class Side : uint8_t { kOld, kTarget };
  struct Ask {
    Side side = Side::kOld;
    RedisCommand command;
    std::string run_id;  // carried out on this run only; empty = the first reading, whichever run answers
  };
  enum class Stage : uint8_t {
    kReading,     // the old one: is it a master, and which run?
    kPausing,     // CLIENT PAUSE at the old one
    kCatchingUp,  // until the target's offset is the old one's
    kParking,     // the old one
    kUnpausing,   // it: what waited there is refused with -READONLY; and paused, it would not replicate either
    kConfirming,  // both offsets, once more
    kDone,        // the old one is parked, the target holds all of it and is not promoted yet
    kFailed,
  };

  // Gives up `limit` after `now`.
  Switch(Instant now, Duration limit) : began_(now), deadline_(now + limit), limit_(limit) {}

  // What to do next; nothing while an answer is awaited, between two polls, and at the end. Also how time passes: past
  // the deadline the stage is kFailed.
  std::optional<Ask> Next(Instant now);

  // The answer to the last Ask.
  void OnAnswer(Instant now, const SwitchAnswer& answer);

  Stage stage() const { return stage_; }
  bool over() const { return stage_ == Stage::kDone || stage_ == Stage::kFailed; }
  // CLIENT PAUSE was sent, and is not undone: CLIENT UNPAUSE is due.
  bool paused() const { return paused_; }
  // Parking was sent: after a failure the old one takes no writes until it is promoted again.
  bool parked() const { return parked_; }
  // kDone: what both hold, in bytes.
  int64_t offset() const { return offset_; }
  const std::string& target_run() const { return target_run_; }
  // kFailed: why, one clause.
  const std::string& failure() const { return failure_; }
  Instant began() const { return began_; }

 private:
  void Fail(std::string why);
  void OnOld(const SwitchAnswer& answer);
  void OnTarget(Instant now, const SwitchAnswer& answer);

  Instant began_;
  Instant deadline_;
  Duration limit_;
  Stage stage_ = Stage::kReading;
  std::optional<Side> awaited_;
  Instant next_poll_;
  int polls_ = 0;
  bool paused_ = false;
  bool parked_ = false;
  int64_t offset_ = 0;  // of the old one, as last read
  std::string old_run_;
  std::string target_run_;
  std::string failure_;
};

// The target is asked again at once so often, and every kPollInterval from then on: it is usually there within a few.
inline constexpr int kQuickPolls = 20;
inline constexpr Duration kPollInterval = Millis(5);
// How much longer than the switch may take writes stay paused: until CLIENT UNPAUSE, or until the old one is parked.
inline constexpr Duration kPauseMargin = Millis(200);

}  // namespace hive::replication
