// A running runtime whose decider writes down what happens and decides nothing: the test drives the adapters itself,
// and waits for the events they post.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "coordinator/runtime/runtime.h"

namespace hive::coordinator {

class Recorder final : public Decider,
                       public PeerSender,
                       public PeerAnswerer,
                       public RedisPort,
                       public Discovery,
                       public MemoryStore,
                       public HandoverDesk {
 public:
  // Far beyond what a loaded machine takes; a test that waits so long has failed.
  static constexpr std::chrono::seconds kPatience{20};

  Recorder()
      : runtime_(inbox, *this,
                 {.peers = *this,
                  .answers = *this,
                  .redis = *this,
                  .discovery = *this,
                  .watchers = {},
                  .memory = *this,
                  .handovers = *this}),
        thread_([this] { runtime_.Run(); }) {}
  ~Recorder() override {
    inbox.Close();
    thread_.join();
  }

  // Waits for the next event of this kind and takes it out. Nothing when it does not come.
  template <typename E>
  std::optional<E> Await() {
    std::unique_lock lock(mutex_);
    std::optional<E> found;
    arrived_.wait_for(lock, kPatience, [&] {
      for (auto it = events_.begin(); it != events_.end(); ++it) {
        if (!std::holds_alternative<E>(*it)) continue;
        found = std::get<E>(std::move(*it));
        events_.erase(it);
        return true;
      }
      return false;
    });
    return found;
  }

  // How many of this kind have come and not been awaited.
  template <typename E>
  size_t Count() {
    const std::lock_guard lock(mutex_);
    return static_cast<size_t>(
        std::count_if(events_.begin(), events_.end(), [](const auto& e) { return std::holds_alternative<E>(e); }));
  }

  EventInbox inbox;

 private:
  election::Actions Step(Instant, WallMicros, const election::Event& event) override {
    if (std::holds_alternative<election::Tick>(event)) return {};
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    arrived_.notify_all();
    return {};
  }
  Duration TickInterval() const override { return Seconds(1); }
  election::State state(Instant) const override { return {}; }

  void Send(election::SendRequest) override {}
  void Dial(const election::Dial&) override {}
  void OpenFollow(election::OpenFollow) override {}
  void SendReport(election::SendReport) override {}
  void CloseStream(election::StreamId) override {}
  void Reply(election::SendReply) override {}
  void SendBeat(election::SendBeat) override {}
  void Command(const election::CommandRedis&) override {}
  void Probe(const election::ProbeRedis&) override {}
  void Demote(const election::DemoteOrphan&) override {}
  void Remote(const election::CommandRemote&) override {}
  void Answer(const election::AnswerHandover&) override {}
  void Answer(const election::AnswerLead&) override {}
  void Left() override {}
  void ResolveNow() override {}
  void Store(election::Memory) override {}

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<election::Event> events_;
  Runtime runtime_;
  std::thread thread_;
};

}  // namespace hive::coordinator
