// What a restarted coordinator wants to know, kept in --state-dir: one small text file, replaced atomically.
//
// It only has to survive the process, not the machine (the pod's redis is gone then, too), so nothing is synced to
// disk. Writing happens on a thread of its own: the folder may turn out to be on a slow disk.
//
// Thread rule: Store from the runtime's thread; Load before the runtime starts.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/status.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/ports.h"

namespace hive::coordinator {

// The file's text, and back. Nothing when `text` is not what FormatMemory writes, to its last line.
std::string FormatMemory(const election::Memory& memory);
std::optional<election::Memory> ParseMemory(std::string_view text);

class StateFile final : public MemoryStore {
 public:
  static constexpr std::string_view kFileName = "hive-coordinator.state";
  // Far beyond the longest lineage.
  static constexpr size_t kMaxBytes = 1 << 20;

  // An empty folder: nothing is kept.
  explicit StateFile(std::string folder);
  ~StateFile() override;  // writes what still waits

  // Whether the folder can be written to; the error is one line for people.
  absl::Status Check() const;

  // What the last run left. Nothing, and a warning in the log, when the file makes no sense; nothing without one.
  std::optional<election::Memory> Load() const;

  void Store(election::Memory memory) override;

 private:
  void WriteForEver();
  void Write(const std::string& text);

  const std::string folder_;
  const std::string path_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;                      // guarded by mutex_
  std::optional<election::Memory> waiting_;  // guarded by mutex_; the newest
  std::optional<election::Memory> stored_;   // the runtime's: what was last passed in
  bool failing_ = false;                     // the writer's: has been told in the log
  std::thread writer_;
};

}  // namespace hive::coordinator
