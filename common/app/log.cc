#include "common/app/log.h"

#include <grpc/support/log.h>
#include <unistd.h>

// spdlog and its formatter as headers: Debian has neither as a static library, and ThreadSanitizer then sees the queue.
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdio>
#include <mutex>
#include <utility>

#include "common/app/member_tls.h"
#include "common/net/clock.h"

namespace hive {
namespace {

// Before StartLogging: what a unit test, or a program that only prints a table, should still show.
constexpr LogLevel kLevelWithoutLogging = LogLevel::kWarning;

constexpr Duration kTlsFailureInterval = Seconds(30);
constexpr std::string_view kTlsFailure =
    "a TLS handshake failed, with a member or with somebody else: is its certificate of the same --tls-ca as this "
    "one's, and has none of them expired?";

std::atomic<LogLevel> threshold = kLevelWithoutLogging;

// Passes the first, and then one per interval.
class OncePerWhile {
 public:
  explicit OncePerWhile(Duration interval) : interval_(interval.count()) {}

  bool Passes(Instant now) {
    const int64_t at = now.time_since_epoch().count();
    int64_t last = last_.load();
    return (last == 0 || at - last >= interval_) && last_.compare_exchange_strong(last, at);
  }

 private:
  const int64_t interval_;         // nanoseconds
  std::atomic<int64_t> last_ = 0;  // on the monotonic clock
};

// The logger that runs, if one does.
struct Current {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> logger;  // guarded by mutex
  bool json = false;                       // guarded by mutex
};

Current& GetCurrent() {
  static auto* current = new Current;  // never destroyed: gRPC's threads may log while the process exits
  return *current;
}

void LogForGrpc(gpr_log_func_args* args) {
  if (args->severity < GPR_LOG_SEVERITY_ERROR) return;
  // What it says of every connection to an IP, which is a name in no certificate: nobody here looks at names.
  if (std::string_view(args->message).starts_with("No match found for server name")) return;
  // A member without the right certificate tries again every second or faster: told once in a while, counted always.
  if (CountIfTlsFailure(args->message)) {
    static OncePerWhile tls_failure(kTlsFailureInterval);
    if (!tls_failure.Passes(ReadMonotonicClock())) return;
    return Log(LogLevel::kWarning, "tls", kTlsFailure, {{"error", args->message}, {"failed", FailedTlsHandshakes()}});
  }
  Log(LogLevel::kError, "grpc", args->message, {{"file", args->file}, {"line", args->line}});
}

// With its mutex held.
void Write(const Current& current, std::string_view line) {
  if (current.logger != nullptr) {
    current.logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  } else {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  }
}

class RunningLog final : public Logging {
 public:
  explicit RunningLog(const LogOptions& options)
      : pool_(std::make_shared<spdlog::details::thread_pool>(kMaxQueuedLines, 1)) {
    auto logger = std::make_shared<spdlog::async_logger>("hive", std::make_shared<spdlog::sinks::stderr_sink_mt>(),
                                                         pool_, spdlog::async_overflow_policy::overrun_oldest);
    logger->set_pattern("%v");  // the line is complete: spdlog's own JSON pattern would not escape
    logger->set_level(spdlog::level::trace);
    Current& current = GetCurrent();
    const std::lock_guard lock(current.mutex);
    current.logger = std::move(logger);
    current.json = options.format == LogFormat::kJson || (options.format == LogFormat::kAuto && isatty(2) == 0);
    threshold = options.level;
  }

  ~RunningLog() override {
    Current& current = GetCurrent();
    {
      const std::lock_guard lock(current.mutex);
      current.logger = nullptr;
      threshold = kLevelWithoutLogging;
    }
    pool_ = nullptr;  // writes what waits, and joins
  }

 private:
  std::shared_ptr<spdlog::details::thread_pool> pool_;
};

}  // namespace

LogFormat ParseLogFormat(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  return text == "json" ? LogFormat::kJson : LogFormat::kAuto;
}

LogLevel ParseLogLevel(std::string_view text) {
  if (text == "debug") return LogLevel::kDebug;
  if (text == "warning") return LogLevel::kWarning;
  return text == "error" ? LogLevel::kError : LogLevel::kInfo;
}

std::unique_ptr<Logging> StartLogging(const LogOptions& options) {
  if (options.grpc_errors) {
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    gpr_set_log_function(&LogForGrpc);
  }
  return std::make_unique<RunningLog>(options);
}

bool LogEnabled(LogLevel level) { return level >= threshold.load(std::memory_order_relaxed); }

void Log(LogLevel level, std::string_view component, std::string_view message, LogFields fields) {
  if (!LogEnabled(level)) return;
  const int64_t now = ReadWallClock();
  Current& current = GetCurrent();
  // Held until the line is queued: spdlog throws when the queue goes away under a logger in use. Queueing never waits.
  const std::lock_guard lock(current.mutex);
  const bool json = current.logger != nullptr && current.json;
  const std::string line = json ? FormatLogJson(now, level, component, message, fields)
                                : FormatLogText(now, level, component, message, fields);
  Write(current, line);
}

void WriteLastLine(std::string_view line) {
  Current& current = GetCurrent();
  const std::lock_guard lock(current.mutex);
  Write(current, line);
}

}  // namespace hive
