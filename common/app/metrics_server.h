// GET /metrics over plain HTTP/1.1, for Prometheus. Why not prometheus-cpp:
// docs/decisions/0013-metrics-without-a-library.md.
//
// One thread, which sleeps between scrapes. A connection is for one request. Whoever connects is bounded: kConnections
// at a time (the others wait in the kernel), kRequestBytes and kPatience for each.
//
// Thread rule: created and destroyed by one thread. `gather` is called on the server's own, one call at a time, and may
// block.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"

namespace hive {

class MetricsServer {
 public:
  static constexpr size_t kConnections = 8;
  static constexpr size_t kRequestBytes = 16 * 1024;
  // From a connection to its end.
  static constexpr Duration kPatience = Seconds(5);

  // The text of a page, or nothing when the program cannot say (503: Prometheus shows the target as down).
  using Gather = std::function<std::optional<std::string>()>;

  // Serves when it returns. The error is one line for stderr, after which the process exits 2: "cannot listen on
  // *:7410: address already in use: stop whatever listens there, or choose another address (--metrics-listen)".
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const ListenAddress& address, Gather gather);

  ~MetricsServer();  // returns when `gather` is called no more
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // What port 0 became.
  int port() const;

 private:
  class Loop;
  explicit MetricsServer(std::unique_ptr<Loop> loop);

  std::unique_ptr<Loop> loop_;
};

}  // namespace hive
