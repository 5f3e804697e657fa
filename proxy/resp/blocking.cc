#include "proxy/resp/blocking.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <vector>

#include "proxy/resp/integer.h"
#include "proxy/resp/replies.h"

namespace hive::resp {
namespace {

// Longer waits are as good as this one, and do not overflow nanoseconds: a hundred years.
constexpr double kLongestSeconds = 100.0 * 365 * 86400;

}  // namespace

std::optional<Duration> BlockingTimeout(const Request& request, const CommandFacts& facts) {
  if (facts.timeout_argument == 0 || facts.timeout_argument >= request.arguments_seen()) return std::nullopt;
  const std::string_view text = request.argument(facts.timeout_argument);
  double seconds = 0;
  if (facts.timeout_unit == TimeoutUnit::kMilliseconds) {
    int64_t milliseconds = 0;
    if (!ParseInteger(text, &milliseconds)) return std::nullopt;
    seconds = static_cast<double>(milliseconds) / 1000;
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  }
  if (!(seconds >= 0)) return std::nullopt;
  // Redis counts whole milliseconds, rounded up, so that a tiny wait does not become one for ever.
  return Millis(static_cast<int64_t>(std::ceil(std::min(seconds, kLongestSeconds) * 1000)));
}

std::string WithTimeout(const Request& request, const CommandFacts& facts, Duration left) {
  const int64_t milliseconds = std::max<int64_t>(1, ToMillis(left + Millis(1) - Duration(1)));
  std::string timeout = std::to_string(milliseconds);
  if (facts.timeout_unit == TimeoutUnit::kSeconds) {
    const std::string fraction = std::to_string(1000 + milliseconds % 1000).substr(1);
    timeout = std::to_string(milliseconds / 1000) + "." + fraction;
  }

  std::vector<std::string_view> arguments;
  arguments.reserve(request.arguments_seen());
  ArgumentReader reader(request);
  for (std::string_view argument; reader.Next(&argument);) arguments.push_back(argument);
  arguments[facts.timeout_argument] = timeout;
  std::string out;
  AppendRequest(&out, arguments);
  return out;
}

}  // namespace hive::resp
