// Keeps this member's own redis-server in view and tells it what the core decides.
//
// A thread of its own holds one connection and sleeps in poll() on it and on a wake-up, so that a killed redis is seen
// within milliseconds:
//  - INFO once per beat interval, and after every command: RedisReported, RedisDone.
//  - The connection closes: it is opened again at once. The same run answers: nothing has happened. Nobody answers:
//    RedisLost, once for each reason, and it tries on until somebody does.
//  - Open, but mute for redis_timeout: RedisMute, once, until it answers. -BUSY and -LOADING are answers.
// People read about all of it in the log: one line when redis is lost, one when it is back.
//
// With a password, each new run of redis is also told masterauth (and masteruser), so that it can replicate the others.
//
// Thread rule: the RedisPort members are the runtime's.
// Lifetime: outlived by the inbox. The destructor interrupts whatever the thread waits for.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/time.h"
#include "common/net/fd.h"
#include "coordinator/adapters/redis_connection.h"
#include "coordinator/adapters/redis_errands.h"
#include "coordinator/adapters/remote_redis.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/event_inbox.h"
#include "coordinator/runtime/ports.h"

namespace hive::coordinator {

struct RedisAgentOptions {
  std::string host = "127.0.0.1";  // an IP or a name
  uint16_t port = 6379;
  std::string user;
  // Asked at each connection: a Secret may be corrected while we wait.
  std::function<absl::StatusOr<std::string>()> password;
  std::shared_ptr<const TlsSource> tls;  // null: plaintext
  Duration beat_interval = Millis(200);  // between two readings
  Duration redis_timeout = Seconds(2);
  // Called, once, when there is no use in waiting: a redis that is too old. One line for people.
  std::function<void(std::string)> on_fatal;
};

class RedisAgent final : public RedisPort {
 public:
  // Commands that wait. The core asks for one at a time; a few may pile up behind a slow redis.
  static constexpr size_t kMaxCommands = 64;
  // Between attempts to connect: short, since a container's redis is back within tens of milliseconds...
  static constexpr Duration kRetry = Millis(20);
  // ...and longer once it has not come back for so many attempts, 1 s.
  static constexpr int kShortRetries = 50;
  static constexpr Duration kLongRetry = Millis(100);
  // After a wrong password, or a refusal to take it as masterauth.
  static constexpr Duration kPasswordRetry = Seconds(1);
  // A redis that accepts and closes again may be in the middle of ending: asked again so often before it counts as
  // lost.
  static constexpr int kQuickAttempts = 3;
  // The oldest redis with REPLICAOF.
  static constexpr int kOldestVersion = 5;

  RedisAgent(RedisAgentOptions options, EventInbox& inbox);
  ~RedisAgent() override;

  void Command(const election::CommandRedis& command) override;
  void Probe(const election::ProbeRedis& probe) override { errands_.Probe(probe); }
  void Demote(const election::DemoteOrphan& demote) override { errands_.Demote(demote); }
  void Remote(const election::CommandRemote& command) override { remote_.Command(command); }

 private:
  // What an attempt to reach redis came to.
  struct Trouble {
    std::string detail;     // one clause
    bool refused = false;   // nobody listens
    bool closed = false;    // accepted, then closed again
    bool mute = false;      // accepted, but no answer for redis_timeout
    bool password = false;  // our password is at fault
  };

  void Run();
  void Serve();
  bool Reconnect();
  std::optional<Trouble> Connect();
  std::optional<Trouble> ReadStatus();
  Trouble NoAnswer(const std::string& command) const;
  std::optional<Trouble> TakeStatus(const RedisReply& info);
  void TellLost(const Trouble& trouble);
  void TellMute(const std::string& detail);
  void TellBack();
  void ReportStatus();
  void ConfigureNewRun();
  void TellSetting(const std::string& command, const std::string& error);
  Duration RetryDelay(const Trouble& trouble);

  std::vector<election::CommandRedis> TakeCommands();
  election::RedisDone Execute(const election::CommandRedis& command);
  void Obey(const replication::RedisCommand& command, election::RedisDone& done);
  void RefuseCommands(const std::string& why);
  void Sleep(Instant until, bool watch_redis);
  std::string Name() const;
  RedisCredentials Credentials() const;

  const RedisAgentOptions options_;
  EventInbox& inbox_;
  Fd wake_;       // readable while commands wait
  Fd interrupt_;  // readable at the end

  std::mutex mutex_;
  std::vector<election::CommandRedis> commands_;  // guarded by mutex_

  // The thread's own.
  RedisConnection connection_;
  replication::RedisStatus status_;    // the newest
  replication::RedisStatus reported_;  // the newest that the inbox was told, since redis was lost or mute
  std::string configured_run_;         // that knows masterauth
  Instant next_configuring_;
  std::map<std::string, std::string> refused_settings_;  // command -> redis's error, as told; empty where it obeys
  std::string greeted_run_;                              // that the log has been told of
  bool authenticated_ = false;                           // with a password that redis wanted
  bool lost_told_ = false;
  bool mute_told_ = false;
  bool fatal_told_ = false;
  std::string last_trouble_;  // that log and core have been told
  int failed_attempts_ = 0;   // in a row
  Instant next_read_;

  RedisErrands errands_;
  RemoteRedis remote_;
  std::thread thread_;  // the last member
};

}  // namespace hive::coordinator
