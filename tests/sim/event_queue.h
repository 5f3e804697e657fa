// The simulator's clock: what shall happen, ordered by (time, order of asking), and nothing else moves time.
//
// Thread rule: one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace hive::sim {

// Time since the schedule began.
using SimTime = Duration;

// A move-only callable. Small captures live inside it, so that most of a schedule's events cost no allocation.
class Task {
 public:
  Task() = default;

  template <typename F>
  requires(!std::is_same_v<std::decay_t<F>, Task>) Task(F&& function) {  // NOLINT: implicit, so that a lambda is a Task
    using Fn = std::decay_t<F>;
    if constexpr (sizeof(Fn) <= kInlineBytes && std::is_nothrow_move_constructible_v<Fn>) {
      ::new (static_cast<void*>(buffer_)) Fn(std::forward<F>(function));
      verbs_ = &kVerbs<Fn>;
    } else {
      *this = Task([boxed = std::make_unique<Fn>(std::forward<F>(function))] { (*boxed)(); });
    }
  }
  Task(Task&& other) noexcept { Take(other); }
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      Drop();
      Take(other);
    }
    return *this;
  }
  ~Task() { Drop(); }

  void operator()() { verbs_->call(buffer_); }

 private:
  static constexpr size_t kInlineBytes = 64;

  struct Verbs {
    void (*call)(void*);
    void (*move)(void* to, void* from) noexcept;
    void (*destroy)(void*) noexcept;
  };
  template <typename Fn>
  static constexpr Verbs kVerbs = {
      [](void* p) { (*static_cast<Fn*>(p))(); },
      [](void* to, void* from) noexcept { ::new (to) Fn(std::move(*static_cast<Fn*>(from))); },
      [](void* p) noexcept { static_cast<Fn*>(p)->~Fn(); },
  };

  void Take(Task& other) noexcept {
    verbs_ = other.verbs_;
    if (verbs_ != nullptr) verbs_->move(buffer_, other.buffer_);
  }
  void Drop() noexcept {
    if (verbs_ != nullptr) verbs_->destroy(buffer_);
    verbs_ = nullptr;
  }

  alignas(std::max_align_t) std::byte buffer_[kInlineBytes];
  const Verbs* verbs_ = nullptr;
};

class EventQueue {
 public:
  SimTime now() const { return now_; }
  size_t size() const { return heap_.size(); }

  // Runs `task` at `when`, or now if that has passed; tasks of one time run in the order of asking.
  void At(SimTime when, Task task) {
    uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(tasks_.size());
      tasks_.push_back(std::move(task));
    } else {
      slot = free_.back();
      free_.pop_back();
      tasks_[slot] = std::move(task);
    }
    heap_.push_back({std::max(when, now_), next_sequence_++, slot});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  void After(Duration delay, Task task) { At(now_ + delay, std::move(task)); }

  // Runs the next task if it is due by `until`; else moves the clock there and says false.
  bool RunNext(SimTime until) {
    if (heap_.empty() || heap_.front().when > until) {
      now_ = std::max(now_, until);
      return false;
    }
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Entry entry = heap_.back();
    heap_.pop_back();
    now_ = entry.when;
    Task task = std::move(tasks_[entry.slot]);
    free_.push_back(entry.slot);
    task();
    return true;
  }

 private:
  struct Entry {
    SimTime when;
    uint64_t sequence;
    uint32_t slot;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }

  SimTime now_{0};
  uint64_t next_sequence_ = 0;
  std::vector<Entry> heap_;
  std::vector<Task> tasks_;
  std::vector<uint32_t> free_;
};

}  // namespace hive::sim
