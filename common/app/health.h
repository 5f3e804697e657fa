// grpc.health.v1, our own implementation: gRPC's built-in one carries no descriptor that reflection could show.
//
// Thread rule: any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/base/time.h"

namespace hive {

// The service names of both binaries (the empty name is the process as a whole, as the protocol has it).
inline constexpr std::string_view kHealthProcess = "";
inline constexpr std::string_view kHealthLiveness = "liveness";
inline constexpr std::string_view kHealthReadiness = "readiness";
inline constexpr std::string_view kHealthStartup = "startup";

// The server's side. Check of a service that was never set is NOT_FOUND; Watch of one streams SERVICE_UNKNOWN until it
// is set. A slow watcher has one message in flight and then gets the newest state, never a queue.
class HealthService {
 public:
  HealthService();
  ~HealthService();  // after the server it is registered with has been shut down
  HealthService(const HealthService&) = delete;
  HealthService& operator=(const HealthService&) = delete;

  // Sets the state and tells the watchers. Cheap when nothing changes.
  void SetServing(std::string_view service, bool serving);

  // What to register with a server; may be registered with several. Owned by this object.
  grpc::Service* service();

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

struct HealthAnswer {
  enum class Status { kServing, kNotServing, kUnknownService, kNoAnswer };
  Status status = Status::kNoAnswer;
  std::string text;  // one line for people: "readiness at 127.0.0.1:7400: NOT_SERVING"
};

// Asks once, blocking for at most `timeout`. For the command line, not for event loops. With `credentials`, a port that
// does not take them is asked again in plaintext: the same environment serves for probes of both kinds of port, and the
// answer is no secret.
HealthAnswer AskHealth(const Endpoint& target, std::string_view service, Duration timeout,
                       const std::shared_ptr<grpc::ChannelCredentials>& credentials = nullptr);

}  // namespace hive
