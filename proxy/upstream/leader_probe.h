// Sees with its own eyes that a redis is a master before any client's command is sent there: asks ROLE on a control
// connection, again and again, until the answer is "master". Then reads the server's list of commands, and its limit of
// what a command may be.
//
// Thread rule: the poller's thread. One probe per event loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/poller.h"
#include "proxy/resp/command_facts.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/upstream/link.h"

namespace hive::proxy {

class LeaderProbe final : private Link::Owner {
 public:
  // Between two questions. A leader is promoted within a millisecond or two of being announced; clients wait meanwhile.
  static constexpr Duration kRetryDelay = Millis(20);
  // A question unanswered for so long is asked again on a new connection.
  static constexpr Duration kAnswerTimeout = Millis(500);
  // Between two complaints about the same redis in the log.
  static constexpr Duration kComplaintInterval = Seconds(10);

  struct Credentials {
    std::string user;  // empty: the default user
    std::string password;
  };
  struct Callbacks {
    // ROLE was master at this moment.
    std::function<void()> is_master;
    // The server's commands; comes after is_master, once for each Start with `read_commands`.
    std::function<void(std::shared_ptr<const resp::CommandTable>)> commands;
    // The server's limits, or what is usual if it does not say; comes after the commands.
    std::function<void(const resp::RequestLimits&)> limits;
  };

  LeaderProbe(const Transport& transport, Credentials credentials, Callbacks callbacks);

  // Asks `redis` until it is a master. Replaces what was being asked. Of the same redis no oftener than every
  // kRetryDelay, even if it is suspected again and again.
  void Start(const Endpoint& redis, bool read_commands);
  void Stop();
  bool running() const { return running_; }
  // Whether is_master is yet to come. False while the list of commands is read: who suspects the redis then must ask
  // anew.
  bool seeks_master() const { return running_ && !is_master_; }

 private:
  enum class Asked { kAuth, kRole, kCommand, kLimits };

  void OnLinkUp() override;
  void OnLinkReadable() override;
  void OnLinkWritable() override {}
  void OnLinkDown(const absl::Status& why) override;

  void Attempt();
  void Ask(Asked what);
  void RetryLater(const std::string& why);
  std::string WhyItHungUp();
  void OnReply(std::string_view reply);
  void OnCommands(std::string_view reply);
  static resp::RequestLimits ParseLimits(std::string_view reply);
  void Finish();

  const Transport transport_;
  const Credentials credentials_;
  const Callbacks callbacks_;
  Endpoint redis_;
  bool running_ = false;
  bool read_commands_ = false;
  bool is_master_ = false;
  Asked asked_ = Asked::kRole;
  std::unique_ptr<Link> link_;
  std::string received_;
  resp::ReplyScanner scanner_;
  Timer retry_;
  Timer timeout_;
  Instant next_attempt_{};
  Instant next_complaint_{};
};

}  // namespace hive::proxy
