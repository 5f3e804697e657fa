// The headless service's name: which IPs it lists to whom, and when it does not answer. Lists every pod, ready or not.
//
// Thread rule: one thread.
#pragma once

#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/options.h"

namespace hive::sim {

class DnsModel {
 public:
  explicit DnsModel(const EventQueue& queue) : queue_(queue) {}

  void Add(const std::string& ip) { records_.push_back({ip, queue_.now(), SimTime::max()}); }
  // No longer listed from `when` on.
  void Remove(const std::string& ip, SimTime when) {
    for (Record& record : records_) {
      if (record.ip == ip && record.until == SimTime::max()) record.until = when;
    }
  }

  struct Outage {
    SimTime until{0};
    bool no_such_name = false;
  };
  void Fail(Duration lasts, bool no_such_name) { outage_ = {queue_.now() + lasts, no_such_name}; }
  bool failing() const { return outage_.until > queue_.now(); }
  bool says_no_such_name() const { return outage_.no_such_name; }

  // Member `slot` is answered as of `lag` ago from here on.
  void SetLag(int slot, Duration lag) { lag_[slot] = lag; }
  // Member `slot` is told nothing of the IPs whose turn is in `mask`, until `until`.
  void Hide(int slot, uint32_t mask, SimTime until) {
    hidden_[slot] = mask;
    hidden_until_[slot] = until;
  }
  // Every answer is true, complete and prompt from here on.
  void Heal() {
    outage_ = {};
    for (Duration& lag : lag_) lag = Duration{0};
    for (uint32_t& mask : hidden_) mask = 0;
    for (Record& record : records_) {
      if (record.until != SimTime::max() && record.until > queue_.now()) record.until = queue_.now();
    }
  }

  // What member `slot` is told now.
  std::vector<Endpoint> Answer(int slot, uint16_t port) const {
    const SimTime as_of = queue_.now() > lag_[slot] ? queue_.now() - lag_[slot] : SimTime{0};
    const uint32_t mask = queue_.now() < hidden_until_[slot] ? hidden_[slot] : 0;
    std::vector<Endpoint> answer;
    uint32_t turn = 0;
    for (const Record& record : records_) {
      if (record.from > as_of || record.until <= as_of) continue;
      if ((mask >> (turn++ % 32) & 1u) == 0) answer.push_back({record.ip, port});
    }
    return answer;
  }

 private:
  struct Record {
    std::string ip;
    SimTime from{0};
    SimTime until{0};
  };

  const EventQueue& queue_;
  std::vector<Record> records_;
  Outage outage_;
  Duration lag_[kMaxSlots] = {};
  uint32_t hidden_[kMaxSlots] = {};
  SimTime hidden_until_[kMaxSlots] = {};
};

}  // namespace hive::sim
