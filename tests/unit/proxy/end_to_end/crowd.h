// Clients on threads of their own. Each runs until told to stop, and says what it saw that it should not have seen.
//
// Thread rule: the test's thread adds and stops; clients look and complain.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hive::proxy {

class Crowd {
 public:
  ~Crowd() { Stop(); }

  void Add(std::function<void()> client) { threads_.emplace_back(std::move(client)); }
  bool stopping() const { return stop_; }
  void Stop() {
    stop_ = true;
    Join();
  }
  // Waits for clients that end by themselves.
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // False: not what was expected.
  bool Expect(const std::string& who, const std::string& seen, const std::string& expected) {
    if (seen == expected) return true;
    const std::lock_guard lock(mutex_);
    complaints_ += who + " saw " + seen + " instead of " + expected + "\n";
    return false;
  }
  std::string complaints() {
    const std::lock_guard lock(mutex_);
    return complaints_;
  }

 private:
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::string complaints_;  // guarded by mutex_
};

}  // namespace hive::proxy
