// Gives a new leader's redis the scripts that clients have given the one before, while their commands wait for it.
//
// Thread rule: the poller's thread. One per event loop.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/poller.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/upstream/control_link.h"

namespace hive::proxy {

class ScriptLoader {
 public:
  // Clients wait for it no longer: what is missing then they are told with -NOSCRIPT, which they know how to handle. It
  // goes on with the rest ...
  static constexpr Duration kPatience = Millis(100);
  // ... but not for longer than this.
  static constexpr Duration kGivesUp = Seconds(2);

  // `done`: clients may go on; comes once for each Start, from the loop or from within it.
  ScriptLoader(const Transport& transport, ControlLink::Credentials credentials, std::function<void()> done);

  // `requests`: so many of them, each with one reply. Replaces what there was.
  void Start(const Endpoint& redis, std::string requests, size_t count);
  void Stop();
  // Whether `done` is yet to come.
  bool awaited() const { return awaited_; }

 private:
  void OnReply(const resp::Reply& reply);
  void OnTime();
  void End();

  ControlLink link_;
  const std::function<void()> done_;
  Timer timer_;
  Endpoint redis_;
  std::string requests_;
  size_t count_ = 0;
  size_t refused_ = 0;
  bool awaited_ = false;
};

}  // namespace hive::proxy
