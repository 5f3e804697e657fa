// Structured log lines on stderr: text for people, or one JSON object per line for machines.
//
//   LogInfo("election", "leads", {{"term", 7}, {"member", "10.0.0.1"}});
//   2026-01-31T12:00:00.123Z info    election: leads term=7 member=10.0.0.1
//   {"time":"2026-01-31T12:00:00.123Z","level":"info","component":"election","message":"leads","term":7,"member":"10.0.0.1"}
//
// Lines are formatted by the caller and written by a thread of their own, so a stuck reader of stderr never holds up
// an election; at most kMaxQueuedLines wait, then the oldest are dropped. Still not for hot paths: each line allocates.
//
// Thread rule: any thread.
// Before StartLogging, and after its result is gone, warnings and errors are written as text, by the caller.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace hive {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// A key (a lower-case word, not one of time, level, component, message) and a value. Lives for one call: it refers
// to its strings.
struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  LogField(std::string_view k, std::unsigned_integral auto v) : key(k), value(static_cast<uint64_t>(v)) {}
  LogField(std::string_view k, std::signed_integral auto v) : key(k), value(static_cast<int64_t>(v)) {}

  std::string_view key;
  std::variant<std::string_view, bool, double, uint64_t, int64_t> value;
};
using LogFields = std::initializer_list<LogField>;

enum class LogFormat { kAuto, kText, kJson };  // kAuto: text when stderr is a terminal, else JSON

// Of --log-format (text, json; empty = kAuto) and --log-level (debug, info, warning, error). The flags' choices are
// checked by FlagSet::AddChoice: an unknown word is a bug and gives the default.
LogFormat ParseLogFormat(std::string_view text);
LogLevel ParseLogLevel(std::string_view text);

struct LogOptions {
  LogFormat format = LogFormat::kAuto;
  LogLevel level = LogLevel::kInfo;
  bool grpc_errors = true;  // route gRPC's own errors here, as component "grpc", and drop what else it says
};

// Logging runs while this lives; its destructor writes what still waits.
class Logging {
 public:
  // Lines that may wait for a slow stderr: a second of the busiest log. spdlog takes the memory for all of them at
  // once, 400 bytes each.
  static constexpr size_t kMaxQueuedLines = 1024;

  virtual ~Logging() = default;
};
[[nodiscard]] std::unique_ptr<Logging> StartLogging(const LogOptions& options);

void Log(LogLevel level, std::string_view component, std::string_view message, LogFields fields = {});

inline void LogDebug(std::string_view component, std::string_view message, LogFields fields = {}) {
  Log(LogLevel::kDebug, component, message, fields);
}
inline void LogInfo(std::string_view component, std::string_view message, LogFields fields = {}) {
  Log(LogLevel::kInfo, component, message, fields);
}
inline void LogWarning(std::string_view component, std::string_view message, LogFields fields = {}) {
  Log(LogLevel::kWarning, component, message, fields);
}
inline void LogError(std::string_view component, std::string_view message, LogFields fields = {}) {
  Log(LogLevel::kError, component, message, fields);
}

// Why the process must end, where people look for it: the line as it is, behind whatever was logged before.
void WriteLastLine(std::string_view line);

// Would a line of this level be written? For callers that build costly fields.
bool LogEnabled(LogLevel level);

// One line without its newline, as it would be written. Pure; `micros`: wall-clock time since the Unix epoch.
// Control characters, quotes and bytes that are not UTF-8 are escaped, in both forms: a line stays a line.
std::string FormatLogText(int64_t micros, LogLevel level, std::string_view component, std::string_view message,
                          LogFields fields);
std::string FormatLogJson(int64_t micros, LogLevel level, std::string_view component, std::string_view message,
                          LogFields fields);

}  // namespace hive
