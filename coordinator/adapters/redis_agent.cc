#include "coordinator/adapters/redis_agent.h"

#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "coordinator/adapters/redis_orders.h"
#include "coordinator/replication/info.h"

namespace hive::coordinator {
namespace {

using replication::RedisCommand;

constexpr const char* kLog = "redis";
constexpr std::string_view kPasswordAdvice = ": set --redis-password-file or HIVE_REDIS_PASSWORD to redis's password";

// Redis's own words, ready to be gone on with: without its full stop.
std::string Clause(std::string text) {
  while (text.ends_with('.')) text.pop_back();
  return text;
}

bool Readable(const Fd& fd) {
  pollfd polled{fd.get(), POLLIN, 0};
  return ::poll(&polled, 1, 0) > 0;
}

void Signal(const Fd& event) {
  const uint64_t one = 1;
  (void)!::write(event.get(), &one, sizeof one);
}

// An IP is its own answer; a name is looked up as any program does it, /etc/hosts included. Blocks.
std::optional<Endpoint> Lookup(const std::string& host, uint16_t port) {
  if (auto ip = CanonicalIp(host)) return Endpoint{*ip, port};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &raw) != 0 || raw == nullptr) return std::nullopt;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(raw, ::freeaddrinfo);
  char ip[NI_MAXHOST];
  if (::getnameinfo(found->ai_addr, found->ai_addrlen, ip, sizeof ip, nullptr, 0, NI_NUMERICHOST) != 0) {
    return std::nullopt;
  }
  return Endpoint{CanonicalIp(ip).value_or(ip), port};
}

}  // namespace

RedisAgent::RedisAgent(RedisAgentOptions options, EventInbox& inbox)
    : options_(std::move(options)),
      inbox_(inbox),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      interrupt_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      connection_(interrupt_.get(), options_.tls.get()),
      errands_([this] { return Credentials(); }, inbox, options_.tls.get()),
      remote_([this] { return Credentials(); }, inbox, options_.tls.get()),
      thread_([this] { Run(); }) {}

RedisAgent::~RedisAgent() {
  Signal(interrupt_);
  thread_.join();
}

RedisCredentials RedisAgent::Credentials() const { return {options_.user, options_.password().value_or("")}; }

std::string RedisAgent::Name() const { return options_.host + ":" + std::to_string(options_.port); }

// ----------------------------------------------------------------------------------------------------- the thread

void RedisAgent::Run() {
  while (!Readable(interrupt_)) {
    if (connection_.open() || Reconnect()) Serve();
  }
}

// One round with an open connection: commands, INFO if it is due, then sleep.
void RedisAgent::Serve() {
  for (const election::CommandRedis& command : TakeCommands()) inbox_.Post(Execute(command));
  if (connection_.open() && ReadMonotonicClock() >= next_read_) {
    if (const auto trouble = ReadStatus(); trouble && trouble->mute) TellMute(trouble->detail);
    if (connection_.open()) ReportStatus();
  }
  if (!connection_.open()) return;
  Sleep(next_read_, true);
  if (Readable(connection_.socket()) && connection_.Broken()) connection_.Close();
}

// Opens a connection that is closed. False after a pause, when that was in vain.
bool RedisAgent::Reconnect() {
  std::optional<Trouble> trouble;
  for (int attempt = 0; attempt < kQuickAttempts; ++attempt) {
    trouble = Connect();
    if (!trouble) {
      TellBack();
      ReportStatus();
      return true;
    }
    if (!trouble->closed) break;
  }
  if (Readable(interrupt_)) return false;
  ++failed_attempts_;
  if (trouble->mute) {
    TellMute(trouble->detail);
  } else {
    TellLost(*trouble);
  }
  RefuseCommands(trouble->detail);
  Sleep(ReadMonotonicClock() + RetryDelay(*trouble), false);
  return false;
}

Duration RedisAgent::RetryDelay(const Trouble& trouble) {
  if (trouble.password) return kPasswordRetry;
  return failed_attempts_ <= kShortRetries ? kRetry : kLongRetry;
}

// Connects, authenticates, and reads INFO.
std::optional<RedisAgent::Trouble> RedisAgent::Connect() {
  const std::optional<Endpoint> redis = Lookup(options_.host, options_.port);
  if (!redis) return Trouble{.detail = "the name does not resolve"};
  switch (connection_.Connect(*redis, options_.redis_timeout)) {
    case TcpOutcome::kConnected:
      break;
    case TcpOutcome::kRefused:
      return Trouble{.detail = "connection refused", .refused = true};
    case TcpOutcome::kUnreachable:
      return Trouble{.detail = "no route to it"};
    case TcpOutcome::kNoConnect:
      return Trouble{.detail = "no answer"};
  }
  const absl::StatusOr<std::string> password = options_.password();
  if (!password.ok()) {
    connection_.Close();
    return Trouble{.detail = std::string(password.status().message()), .password = true};
  }
  const AuthOutcome auth = Authenticate(connection_, {options_.user, *password}, options_.redis_timeout);
  authenticated_ = !password->empty() && !auth.needless && !auth.error;
  if (auth.no_answer) return NoAnswer("AUTH");
  if (auth.error) {
    connection_.Close();
    return Trouble{.detail = Clause(*auth.error) + std::string(kPasswordAdvice), .password = true};
  }
  return ReadStatus();
}

// INFO -> status_. On trouble the connection is closed.
std::optional<RedisAgent::Trouble> RedisAgent::ReadStatus() {
  const std::optional<RedisReply> reply = connection_.Execute(InfoCommand(status_.version), options_.redis_timeout);
  return reply ? TakeStatus(*reply) : NoAnswer("INFO");
}

// The connection has just been closed for want of an answer to `command`. A redis that expects TLS hangs up on anything
// else, without a word.
RedisAgent::Trouble RedisAgent::NoAnswer(const std::string& command) const {
  const bool mute = connection_.failure() == RedisConnection::Failure::kTimeout;
  Trouble trouble{.detail = "no answer to " + command, .closed = !mute, .mute = mute};
  if (const std::string& tls = connection_.tls_failure(); !tls.empty()) {
    trouble.detail = "no TLS with it: " + tls;
  } else if (!mute) {
    trouble.detail = "it closed the connection";
    if (!options_.tls && !connection_.has_answered()) {
      trouble.detail += " before it had answered anything: does it speak TLS on this port? Then set --redis-tls";
    }
  }
  return trouble;
}

// The same, of an answer that has come.
std::optional<RedisAgent::Trouble> RedisAgent::TakeStatus(const RedisReply& info) {
  next_read_ = ReadMonotonicClock() + options_.beat_interval;
  if (!TakeInfo(info, status_)) {
    Trouble trouble{.detail = info.is_error() ? "INFO: " + Clause(info.text) : "its INFO makes no sense"};
    if (BlamesPassword(info)) {
      trouble.detail += kPasswordAdvice;
      trouble.password = true;
    }
    connection_.Close();
    return trouble;
  }
  if (status_.busy || status_.loading) return std::nullopt;
  const int major = replication::MajorVersion(status_.version);
  if (major > 0 && major < kOldestVersion && !std::exchange(fatal_told_, true)) {
    options_.on_fatal("redis at " + Name() + " is version " + status_.version +
                      ": a hive needs 5.0 or newer; run a newer redis-server");
  }
  if (configured_run_ != status_.run_id && ReadMonotonicClock() >= next_configuring_) ConfigureNewRun();
  return std::nullopt;
}

// What is refused is tried again: a user's rights may be corrected while we wait.
void RedisAgent::ConfigureNewRun() {
  std::vector<std::vector<std::string>> settings;
  if (authenticated_) {
    settings.push_back({"CONFIG", "SET", "masterauth", options_.password().value_or("")});
    if (!options_.user.empty()) settings.push_back({"CONFIG", "SET", "masteruser", options_.user});
  } else {
    for (const auto& [command, error] : refused_settings_) TellSetting(command, "");  // not wanted any more
  }
  bool all_set = true;
  for (const auto& setting : settings) {
    const auto reply = connection_.Execute(setting, options_.redis_timeout);
    if (!reply) return;  // the next connection's affair
    TellSetting("CONFIG SET " + setting[2], reply->is_error() ? reply->text : "");
    all_set = all_set && !reply->is_error();
  }
  if (all_set) configured_run_ = status_.run_id;
  next_configuring_ = ReadMonotonicClock() + (all_set ? Duration(0) : kPasswordRetry);
}

void RedisAgent::TellSetting(const std::string& command, const std::string& error) {
  std::string& told = refused_settings_[command];
  if (told == error) return;
  told = error;
  inbox_.Post(election::RedisRefuses{command, error});
  if (error.empty()) return;
  LogWarning(kLog, "redis does not let us set what it needs to replicate a leader that has a password",
             {{"redis", Name()}, {"refused", command}, {"error", error}});
}

// ------------------------------------------------------------------------------------------------- what is told

void RedisAgent::TellLost(const Trouble& trouble) {
  const bool known = std::exchange(last_trouble_, trouble.detail) == trouble.detail;
  if (!known) {
    LogWarning(kLog, "cannot use the local redis: waiting for it", {{"redis", Name()}, {"reason", trouble.detail}});
  }
  if (std::exchange(lost_told_, true) && known) return;
  reported_ = {};
  inbox_.Post(election::RedisLost{trouble.detail});
}

void RedisAgent::TellMute(const std::string& detail) {
  if (std::exchange(mute_told_, true)) return;
  LogWarning(kLog, "the local redis does not answer",
             {{"redis", Name()}, {"for_ms", ToMillis(options_.redis_timeout)}, {"reason", detail}});
  reported_ = {};
  inbox_.Post(election::RedisMute{detail});
}

void RedisAgent::TellBack() {
  failed_attempts_ = 0;
  last_trouble_.clear();
  const bool new_run = std::exchange(greeted_run_, status_.run_id) != status_.run_id;
  const bool was_lost = std::exchange(lost_told_, false);
  const bool was_mute = std::exchange(mute_told_, false);
  if (new_run || was_lost || was_mute) {
    LogInfo(kLog, "the local redis answers",
            {{"redis", Name()}, {"version", status_.version}, {"run_id", status_.run_id}});
  }
}

// A run that has answered nothing but -BUSY yet cannot be told apart from another: nothing to report.
void RedisAgent::ReportStatus() {
  if (status_.run_id.empty()) return;
  replication::RedisStatus as_before = std::exchange(reported_, status_);
  as_before.uptime = status_.uptime;
  if (as_before == status_) {
    inbox_.PostWithoutHurry(election::RedisReported{status_});
  } else {
    inbox_.Post(election::RedisReported{status_});
  }
}

// ------------------------------------------------------------------------------------------------------ commands

void RedisAgent::Command(const election::CommandRedis& command) {
  {
    const std::lock_guard lock(mutex_);
    if (commands_.size() < kMaxCommands) {
      commands_.push_back(command);
      Signal(wake_);
      return;
    }
  }
  inbox_.Post(election::RedisDone{command.id, false, "too many commands wait for it", {}});
}

std::vector<election::CommandRedis> RedisAgent::TakeCommands() {
  const std::lock_guard lock(mutex_);
  uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  return std::exchange(commands_, {});
}

void RedisAgent::RefuseCommands(const std::string& why) {
  for (const election::CommandRedis& command : TakeCommands()) {
    inbox_.Post(election::RedisDone{command.id, false, why, {}});
  }
}

election::RedisDone RedisAgent::Execute(const election::CommandRedis& command) {
  election::RedisDone done{command.id, false, "", {}};
  if (!command.run_id.empty() && command.run_id != status_.run_id) {
    done.error = "redis was restarted meanwhile";
  } else {
    Obey(command.command, done);
  }
  if (!connection_.open() && connection_.failure() == RedisConnection::Failure::kTimeout) {
    TellMute("no answer to a command");
  }
  return done;
}

// Errors are redis's own words, with the command: "REPLICAOF NO ONE: NOPERM ...".
void RedisAgent::Obey(const RedisCommand& command, election::RedisDone& done) {
  const Carried carried = CarryOut(connection_, command, status_, options_.redis_timeout);
  if (!carried.answered) {
    done.error = ToString(command) + ": no answer";
    return;
  }
  const auto trouble = TakeStatus(carried.info);
  if (carried.refusal) {
    done.error = *carried.refusal;
  } else if (trouble) {
    done.error = trouble->detail;
  } else {
    done.ok = true;
    done.status = status_;
    done.error = carried.complaint;
  }
}

// Sleeps until a command, the end, `until`, or (if watched) a byte or an end from redis.
void RedisAgent::Sleep(Instant until, bool watch_redis) {
  const Duration left = until - ReadMonotonicClock();
  if (left <= Duration(0)) return;
  pollfd polled[3] = {{wake_.get(), POLLIN, 0},
                      {interrupt_.get(), POLLIN, 0},
                      {watch_redis ? connection_.socket().get() : -1, POLLIN, 0}};
  (void)::poll(polled, 3, static_cast<int>(ToMillis(left)) + 1);
}

}  // namespace hive::coordinator
