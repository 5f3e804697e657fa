// Follow streams: ordered and reliable while up. Silence breaks none: what is sent meanwhile arrives, in order, once
// packets pass again. Resets and dead processes close them.
#include <algorithm>

#include "tests/sim/coordinators.h"

namespace hive::sim {

using election::Event;
using election::Failure;
using election::StreamClosed;
using election::StreamId;
using std::chrono::microseconds;

namespace {

// Beats and reports are states: of those that cannot be sent, senders keep the newest few (buffers of the kernel).
constexpr size_t kMaxHeld = 8;

bool IsLastBeat(const Event& event) {
  const auto* beat = std::get_if<election::BeatReceived>(&event);
  return beat != nullptr && beat->beat.state != election::LeaderState::kOpen;
}

void SetStream(Event& event, StreamId id) {
  if (auto* beat = std::get_if<election::BeatReceived>(&event)) beat->id = id;
  if (auto* report = std::get_if<election::ReportReceived>(&event)) report->id = id;
  if (auto* opened = std::get_if<election::FollowOpened>(&event)) opened->id = id;
}

}  // namespace

std::pair<uint32_t, int> Coordinators::FindStream(const Coordinator& c, StreamId id) const {
  for (auto row = c.streams.rbegin(); row != c.streams.rend(); ++row) {
    for (const int end : {0, 1}) {
      const End& e = streams_[*row].ends[end];
      if (e.process == c.id && e.id == id) return {*row, end};
    }
  }
  return {kNoId, 0};
}

// What stands in the way of packets towards `to_end`.
Cut Coordinators::StreamCut(const Stream& stream, int to_end) const {
  const Pod& to = pods_[at(stream.ends[to_end].process).pod];
  const Pod& from = pods_[at(stream.ends[1 - to_end].process).pod];
  return network_.Between(from, to, Port::kCoordinator);
}

void Coordinators::OpenStream(Coordinator& c, election::OpenFollow& open) {
  const uint32_t row = static_cast<uint32_t>(streams_.size());
  Stream& stream = streams_.emplace_back();
  stream.ends[0] = {c.id, open.id, true, {}, {}, false};
  std::erase_if(c.streams, [this](uint32_t old) { return streams_[old].done(); });
  c.streams.push_back(row);
  const ProcessId from = c.id;
  const auto fail = [this, row](Duration after, Failure failure) {
    queue_.After(after, [this, row, failure] { ArriveClose(row, 0, failure); });
  };
  const Passage passage = network_.Send(pods_[c.pod], open.to.ip, Port::kCoordinator, true);
  if (passage.fate == Fate::kRefused) return fail(passage.delay, Failure::kRefused);
  if (passage.fate == Fate::kUnreachable) return fail(passage.delay, Failure::kUnreachable);
  if (passage.fate == Fate::kSilence) return fail(options_.leader_timeout, Failure::kTimeout);
  queue_.After(passage.delay * 2, [this, row, from, to = passage.to, fail, first = std::move(open.first)]() mutable {
    if (!streams_[row].ends[0].open) return;
    const Coordinator* target = OfPod(pods_[to]);
    if (target == nullptr) return fail(Millis(1), pods_[to].alive ? Failure::kRefused : Failure::kTimeout);
    Coordinator& leader = at(target->id);
    leader.last_stream += 2;
    streams_[row].ends[1] = {leader.id, leader.last_stream, true, {}, {}, false};
    std::erase_if(leader.streams, [this](uint32_t old) { return streams_[old].done(); });
    leader.streams.push_back(row);
    TransmitTo(row, 1, election::FollowOpened{leader.last_stream});
    TransmitTo(row, 1, election::ReportReceived{leader.last_stream, std::move(first)});
  });
}

void Coordinators::Transmit(Coordinator& c, StreamId id, Event event) {
  const auto [row, end] = FindStream(c, id);
  if (row == kNoId || !streams_[row].ends[end].open) return;
  Stream& stream = streams_[row];
  if (stream.ends[1 - end].process == kNoId) return;  // still connecting: the first report is under way
  const Pod& other = pods_[at(stream.ends[1 - end].process).pod];
  if (stream.vanished) {
    // Nobody is there any more; if the IP has a new owner, that one answers with a reset.
    if (pods_.At(other.ip) != nullptr && StreamCut(stream, 1 - end) == Cut::kNone) {
      queue_.After(Millis(1), [this, row, end] { ArriveClose(row, end, Failure::kClosed); });
    }
    return;
  }
  TransmitTo(row, 1 - end, std::move(event));
}

void Coordinators::TransmitTo(uint32_t row, int to_end, Event event) {
  Stream& stream = streams_[row];
  End& to = stream.ends[to_end];
  if (StreamCut(stream, to_end) != Cut::kNone || !to.held.empty()) {
    if (to.held.size() >= kMaxHeld && !IsLastBeat(to.held.back())) to.held.pop_back();
    to.held.push_back(std::move(event));
    return;
  }
  const Pod& from_pod = pods_[at(stream.ends[1 - to_end].process).pod];
  const Pod& to_pod = pods_[at(to.process).pod];
  const Duration delay = network_.Latency(from_pod, to_pod) + network_.Retransmission();
  to.next_arrival = std::max(to.next_arrival + microseconds(1), queue_.now() + delay);
  queue_.At(to.next_arrival, [this, row, to_end, event = std::move(event)]() mutable {
    const End& end = streams_[row].ends[to_end];
    if (!end.open) return;
    SetStream(event, end.id);
    Deliver(end.process, std::move(event));
  });
}

// The process at `end` closes, or dies: the other end hears of it after all that was sent before.
void Coordinators::CloseFrom(uint32_t row, int end) {
  Stream& stream = streams_[row];
  if (!stream.ends[end].open) return;
  stream.ends[end].open = false;
  End& other = stream.ends[1 - end];
  if (other.process == kNoId || !other.open || stream.vanished) return;
  if (StreamCut(stream, 1 - end) != Cut::kNone || !other.held.empty()) {
    other.held_close = true;
    return;
  }
  const Duration delay = network_.Latency(pods_[at(stream.ends[end].process).pod], pods_[at(other.process).pod]);
  other.next_arrival = std::max(other.next_arrival + microseconds(1), queue_.now() + delay);
  queue_.At(other.next_arrival, [this, row, end] { ArriveClose(row, 1 - end, Failure::kClosed); });
}

void Coordinators::ArriveClose(uint32_t row, int end, Failure failure) {
  End& e = streams_[row].ends[end];
  if (!e.open) return;
  e.open = false;
  e.held.clear();
  Deliver(e.process, StreamClosed{e.id, failure});
}

void Coordinators::StreamsChanged(uint32_t row) {
  if (streams_[row].ends[1].process == kNoId || streams_[row].vanished) return;
  const bool reset = StreamCut(streams_[row], 0) == Cut::kReset || StreamCut(streams_[row], 1) == Cut::kReset;
  for (const int end : {0, 1}) {
    if (reset) {
      if (!streams_[row].ends[end].open) continue;
      queue_.After(microseconds(random_.Between(200, 5000)),
                   [this, row, end] { ArriveClose(row, end, Failure::kClosed); });
      continue;
    }
    End& to = streams_[row].ends[end];
    if (StreamCut(streams_[row], end) != Cut::kNone || (to.held.empty() && !to.held_close)) continue;
    // The next retransmission comes up to half a second after the heal.
    SimTime arrival = std::max(to.next_arrival, queue_.now() + Millis(random_.Between(1, 500)));
    for (Event& event : to.held) {
      arrival += microseconds(1);
      queue_.At(arrival, [this, row, end, event = std::move(event)]() mutable {
        const End& late = streams_[row].ends[end];
        if (!late.open) return;
        SetStream(event, late.id);
        Deliver(late.process, std::move(event));
      });
    }
    to.held.clear();
    to.next_arrival = arrival + microseconds(1);
    if (to.held_close) {
      queue_.At(to.next_arrival, [this, row, end] { ArriveClose(row, end, Failure::kClosed); });
    }
    to.held_close = false;
  }
}

}  // namespace hive::sim
