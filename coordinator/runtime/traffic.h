// How many messages of each kind a coordinator has sent and received: what a benchmark divides by time.
//
// Thread rule: value type; counted by the runtime's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "coordinator/election/events.h"

namespace hive::coordinator {

// Requests are counted together with their replies.
enum class MessageKind : uint8_t {
  kGreet,
  kCampaign,
  kPrepare,
  kLead,
  kYield,
  kTakeOver,
  kHandOver,
  kBeat,
  kReport,
  kDial
};
inline constexpr size_t kMessageKinds = 10;
const char* Name(MessageKind kind);

class Traffic {
 public:
  struct Count {
    uint64_t sent = 0;
    uint64_t received = 0;
  };

  // Only those that are, or carry, messages between members are counted.
  void CountReceived(const election::Event& event);
  void CountSent(const election::Action& action);

  const Count& operator[](MessageKind kind) const { return counts_[static_cast<size_t>(kind)]; }

 private:
  Count& At(MessageKind kind) { return counts_[static_cast<size_t>(kind)]; }

  std::array<Count, kMessageKinds> counts_{};
};

}  // namespace hive::coordinator
