// SIGTERM and SIGINT as an event. The first asks for an orderly end; a second one ends the process at once, with
// status 128 + signal. SIGPIPE is ignored from here on: a write to a closed socket returns EPIPE.
//
// Thread rule: one object per process, made by main before other threads start; its members may be used by any thread.
#pragma once

#include <optional>

#include "common/base/time.h"
#include "common/net/fd.h"

namespace hive {

class ShutdownSignals {
 public:
  ShutdownSignals();
  ~ShutdownSignals();  // the signals' default actions are back
  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;

  // Readable, for ever, once a signal has come: add it to a Poller. Not to be read.
  const Fd& fd() const { return event_; }

  bool requested() const;

  // Blocks until a signal has come, or for `at_most`. Returns requested().
  bool Wait(std::optional<Duration> at_most = std::nullopt) const;

 private:
  Fd event_;
};

}  // namespace hive
