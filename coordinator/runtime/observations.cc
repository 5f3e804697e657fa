#include "coordinator/runtime/observations.h"

#include <variant>

namespace hive::coordinator {

void Observations::Heard(const election::Event& event) {
  if (std::holds_alternative<election::PeersUnlisted>(event)) ++dns_failures_;
}

void Observations::Published(const election::LeaderView& view, Instant now) {
  if (view.claim.empty()) {
    if (!leaderless_since_) leaderless_since_ = now;
    return;
  }
  leaderless_ = Leaderless(now);
  leaderless_since_.reset();
}

Duration Observations::Leaderless(Instant now) const {
  return leaderless_ + (leaderless_since_ ? now - *leaderless_since_ : Duration(0));
}

}  // namespace hive::coordinator
