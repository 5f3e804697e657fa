#include "coordinator/replication/info.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace hive::replication {
namespace {

// What redis says for "no second history".
constexpr std::string_view kNoReplicationId = "0000000000000000000000000000000000000000";

int64_t ToNumber(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// "keys=12,expires=0,avg_ttl=0" -> 12.
int64_t KeysOf(std::string_view keyspace) {
  constexpr std::string_view kKeys = "keys=";
  return keyspace.starts_with(kKeys) ? ToNumber(keyspace.substr(kKeys.size())) : 0;
}

// "db0", "db15": a line of the keyspace section.
bool NamesDatabase(std::string_view field) {
  return field.size() > 2 && field.starts_with("db") &&
         std::all_of(field.begin() + 2, field.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// What is gathered before it is known which fields count.
struct Gathered {
  RedisStatus status;
  bool has_role = false;
};

void TakeField(std::string_view field, std::string_view value, Gathered& out) {
  RedisStatus& status = out.status;
  if (field == "run_id") {
    status.run_id = value;
  } else if (field == "redis_version") {
    status.version = value;
  } else if (field == "uptime_in_seconds") {
    status.uptime = Seconds(std::max<int64_t>(0, ToNumber(value)));
  } else if (field == "loading") {
    status.loading = value == "1";
  } else if (field == "role") {
    out.has_role = true;
    status.is_master = value == "master";
  } else if (field == "master_host") {
    status.master.ip = CanonicalIp(value).value_or(std::string(value));
  } else if (field == "master_port") {
    status.master.port = static_cast<uint16_t>(ToNumber(value));
  } else if (field == "master_link_status") {
    status.link_up = value == "up";
  } else if (field == "master_sync_in_progress") {
    status.sync_in_progress = value == "1";
  } else if (field == "master_replid") {
    status.replication_id = value;
  } else if (field == "master_replid2") {
    if (value != kNoReplicationId) status.second_replication_id = value;
  } else if (field == "second_repl_offset") {
    status.second_offset = std::max<int64_t>(0, ToNumber(value));
  } else if (field == "master_repl_offset") {
    status.offset = std::max<int64_t>(0, ToNumber(value));
  } else if (field == "min_slaves_good_slaves") {
    status.fenced = true;  // shown only while min-replicas-to-write is set
  } else if (NamesDatabase(field)) {
    status.keys += KeysOf(value);
  }
}

}  // namespace

std::optional<RedisStatus> ParseInfo(std::string_view text) {
  Gathered gathered;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.starts_with('#')) continue;
    TakeField(line.substr(0, colon), line.substr(colon + 1), gathered);
  }
  RedisStatus& status = gathered.status;
  if (!gathered.has_role || status.run_id.empty()) return std::nullopt;
  if (status.is_master) {
    status.master = {};
    status.link_up = false;
    status.sync_in_progress = false;
  }
  return status;
}

int MajorVersion(std::string_view version) { return static_cast<int>(ToNumber(version)); }

bool IsAtLeast(std::string_view version, int major, int minor) {
  const int its_major = MajorVersion(version);
  if (its_major != major) return its_major > major;
  const size_t dot = version.find('.');
  return dot != std::string_view::npos && ToNumber(version.substr(dot + 1)) >= minor;
}

}  // namespace hive::replication
