// The values of flags as text.
#include <charconv>
#include <limits>

#include "absl/time/time.h"
#include "common/app/flags.h"

namespace hive {
namespace {

struct Unit {
  std::string_view suffix;
  uint64_t bytes;
};
constexpr Unit kUnits[] = {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}};  // largest first

}  // namespace

std::string ToString(ByteCount count) {
  for (const Unit& unit : kUnits) {
    if (unit.bytes == 1 || count.bytes < unit.bytes || count.bytes % unit.bytes != 0) continue;
    return std::to_string(count.bytes / unit.bytes) + std::string(unit.suffix);
  }
  return std::to_string(count.bytes);
}

std::optional<ByteCount> ParseByteCount(std::string_view text) {
  uint64_t bytes_per_unit = 1;
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.suffix)) continue;
    text.remove_suffix(unit.suffix.size());
    bytes_per_unit = unit.bytes;
    break;
  }
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number > std::numeric_limits<uint64_t>::max() / bytes_per_unit) return std::nullopt;
  return ByteCount{number * bytes_per_unit};
}

std::string ToString(Duration duration) { return absl::FormatDuration(absl::FromChrono(duration)); }

std::optional<Duration> ParseDuration(std::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(std::string(text), &duration)) return std::nullopt;
  const absl::Duration largest = absl::FromChrono(Duration::max());
  if (duration > largest || duration < -largest) return std::nullopt;  // "inf", or more than nanoseconds can count
  return absl::ToChronoNanoseconds(duration);
}

}  // namespace hive
