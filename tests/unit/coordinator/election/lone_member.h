// One election core for tests: a redis that obeys at once, a clock that the test moves, and other members that do what
// the test says.
//
// Thread rule: one thread.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/election/core.h"

namespace hive::election {

class LoneMember {
 public:
  static inline const Endpoint kSelf{"10.0.0.1", 7400};

  // A redis with so many keys; without any it is empty and parked.
  explicit LoneMember(int64_t keys) : core_(MakeConfig()) {
    redis_.run_id = "run";
    redis_.replication_id = "A";
    redis_.keys = keys;
    redis_.master = replication::kNobody;
    redis_.is_master = keys > 0;
  }

  // What becomes of a request: the events that follow at once. Unless set, nothing ever comes back.
  std::function<std::optional<Event>(const SendRequest&)> on_request;
  std::function<std::optional<Dialled::Outcome>(const Endpoint&)> on_dial;
  std::function<void(const Action&)> on_action;  // sees them all

  void List(std::vector<Endpoint> others) {
    others.push_back(kSelf);
    Step(PeersListed{others});
    Step(RedisReported{redis_});
  }

  void Run(Duration span) {
    for (const Instant end = now_ + span; now_ < end;) {
      now_ += Millis(25);
      Step(Tick{});
      led_ |= state().role == Role::kLeading;
    }
  }

  // The longest that it would have slept in between.
  Duration LongestSleep(Duration span) {
    Duration longest{0};
    for (const Instant end = now_ + span; now_ < end; Run(Millis(25)))
      longest = std::max(longest, core_.TickInterval());
    return longest;
  }

  // Takes in the event, and whatever follows from it at once.
  Actions Step(const Event& event) {
    Actions all = core_.Step(now_, 0, event);
    const Actions first = all;
    for (const Action& action : first) {
      for (Action& more : Follow(action)) all.push_back(std::move(more));
    }
    return all;
  }

  // What it answers to this request; nothing when it has yet to answer.
  std::optional<Reply> Ask(Request request) {
    const RequestId id = ++last_request_;
    const Actions actions = Step(RequestReceived{id, std::move(request)});
    for (const Action& action : actions) {
      const auto* sent = std::get_if<SendReply>(&action);
      if (sent != nullptr && sent->id == id) return sent->reply;
    }
    return std::nullopt;
  }

  State state() const { return core_.state(now_); }
  Instant now() const { return now_; }
  RedisStatus& redis() { return redis_; }  // a change counts from the next RedisReported
  uint64_t refused(const std::string& reason) const {
    const State now = state();
    const auto it = now.refused_messages.find(reason);
    return it == now.refused_messages.end() ? 0 : it->second;
  }
  bool led() const { return led_; }
  const std::optional<AnswerHandover>& handover() const { return handover_; }
  const std::optional<AnswerLead>& lead() const { return lead_; }
  int64_t said(const std::string& words) const {
    return std::count_if(notes_.begin(), notes_.end(),
                         [&](const std::string& note) { return note.find(words) != std::string::npos; });
  }

 private:
  static Config MakeConfig() {
    Config config;
    config.hive = "hive";
    config.self = {kSelf.ip, 11};
    config.coordinator = kSelf;
    config.redis = {kSelf.ip, 6379};
    return config;
  }

  Actions Follow(const Action& action) {
    if (on_action) on_action(action);
    if (const auto* note = std::get_if<Note>(&action)) notes_.push_back(note->text);
    if (const auto* answer = std::get_if<AnswerHandover>(&action)) handover_ = *answer;
    if (const auto* answer = std::get_if<AnswerLead>(&action)) lead_ = *answer;
    if (const auto* command = std::get_if<CommandRedis>(&action)) return Step(Obey(*command));
    if (const auto* probe = std::get_if<ProbeRedis>(&action)) {
      return Step(RedisProbed{probe->id, RedisProbed::Outcome::kRefused});
    }
    if (const auto* sent = std::get_if<SendRequest>(&action); sent != nullptr && on_request) {
      if (const std::optional<Event> event = on_request(*sent)) return Step(*event);
    }
    if (const auto* dial = std::get_if<Dial>(&action); dial != nullptr && on_dial) {
      if (const auto outcome = on_dial(dial->to)) return Step(Dialled{dial->id, *outcome, {}});
    }
    return {};
  }

  RedisDone Obey(const CommandRedis& command) {
    if (command.command.kind == RedisCommand::Kind::kPark) {
      redis_.is_master = false;
      redis_.master = replication::kNobody;
    }
    if (command.command.kind == RedisCommand::Kind::kReplicate) {
      redis_.is_master = false;
      redis_.master = command.command.master;
    }
    if (command.command.kind == RedisCommand::Kind::kFence) redis_.fenced = true;
    if (command.command.kind == RedisCommand::Kind::kUnfence) redis_.fenced = false;
    if (command.command.kind == RedisCommand::Kind::kPromote) {
      redis_.is_master = true;
      redis_.second_replication_id = redis_.replication_id;
      redis_.replication_id += "+";
    }
    return {command.id, true, "", redis_};
  }

  Core core_;
  RedisStatus redis_;
  Instant now_{};
  RequestId last_request_ = 0;
  std::vector<std::string> notes_;
  std::optional<AnswerHandover> handover_;
  std::optional<AnswerLead> lead_;
  bool led_ = false;
};

}  // namespace hive::election
