#include "tests/sim/network.h"

#include <algorithm>

namespace hive::sim {

using std::chrono::microseconds;

Duration Network::Latency(const Pod& from, const Pod& to) {
  if (from.slot == to.slot) return microseconds(random_.Between(15, 90));
  const int64_t low = options_.latency_low.count();
  // Most messages are near the low end: the least of two draws.
  const int64_t a = random_.Between(low, options_.latency_high.count());
  const int64_t b = random_.Between(low, options_.latency_high.count());
  Duration latency{a < b ? a : b};
  if (!healed_ && options_.stall_per_mille > 0 &&
      random_.Below(1000) < static_cast<uint64_t>(options_.stall_per_mille)) {
    latency += Duration(random_.Between(0, options_.stall_high.count()));
  }
  return latency;
}

Passage Network::Send(const Pod& from, std::string_view to_ip, Port port, bool fresh) {
  Passage passage;
  const Pod* to = pods_.At(to_ip);
  if (to == nullptr) {
    passage.fate = options_.dead_ip_unreachable ? Fate::kUnreachable : Fate::kSilence;
    passage.delay = Millis(random_.Between(1, 5));
    return passage;
  }
  passage.delay = Latency(from, *to);
  passage.to = to->id;
  const Cut there = Between(from, *to, port);
  const Cut back = Between(*to, from, port);
  if (there == Cut::kReset || (fresh && back == Cut::kReset)) {
    passage.fate = Fate::kRefused;
    passage.delay *= 2;
  } else if (there == Cut::kSilent || (fresh && back == Cut::kSilent)) {
    passage.fate = Fate::kSilence;
  } else if (from.slot != to->slot && loss_percent_ > 0 && random_.Percent(static_cast<uint64_t>(loss_percent_))) {
    passage.fate = Fate::kSilence;
  } else {
    passage.fate = Fate::kArrives;
  }
  return passage;
}

Duration Network::Retransmission() {
  if (loss_percent_ == 0 || !random_.Percent(static_cast<uint64_t>(loss_percent_))) return Duration{0};
  return Millis(200 << random_.Below(3));
}

SimTime Network::DisturbedAt(const Pod& a, const Pod& b) const {
  for (const Port port : {Port::kCoordinator, Port::kRedis}) {
    if (Between(a, b, port) != Cut::kNone || Between(b, a, port) != Cut::kNone) return queue_.now();
  }
  if (loss_percent_ > 0) return queue_.now();
  return std::max({cut_at_[a.slot][b.slot], cut_at_[b.slot][a.slot], lossless_since_});
}

void Network::SetLossPercent(int percent) {
  loss_percent_ = percent;
  lossless_since_ = queue_.now();
}

void Network::SetCut(int from, int to, int ports, Cut cut) {
  if (from == to) return;
  cut_at_[from][to] = queue_.now();
  if ((ports & 1) != 0) cuts_[from][to][0] = cut;
  if ((ports & 2) != 0) cuts_[from][to][1] = cut;
}

void Network::Heal() {
  for (int from = 0; from < kMaxSlots; ++from) {
    for (int to = 0; to < kMaxSlots; ++to) {
      const bool was_cut = cuts_[from][to][0] != Cut::kNone || cuts_[from][to][1] != Cut::kNone;
      if (was_cut) SetCut(from, to, 3, Cut::kNone);
    }
  }
  SetLossPercent(0);
  healed_ = true;
}

}  // namespace hive::sim
