// What a redis says of the history that it holds (INFO replication), and what follows from it. PURE.
//
// A history has an id, drawn at each promotion. A redis that is promoted, or whose master is, continues under a new id
// and remembers the one before as its second. A replica that resynchronises *partially* with a promoted master takes
// over its id and remembers its own one as its second: which redis permits only when all that it holds is a part of the
// master's history. After a full one, which throws away what it held, it remembers none.
//
// Thread rule: value types.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace hive::proxy {

struct ReplicationId {
  bool is_master = false;
  std::string id;      // master_replid
  std::string second;  // master_replid2

  // Of the text of INFO replication; empty where it does not say.
  static ReplicationId FromInfo(std::string_view info) {
    return {Field(info, "role") == "master", Field(info, "master_replid"), Field(info, "master_replid2")};
  }

  // Whether all that was written to this redis while its history's id was `written_under` is in the history of
  // `leader`.
  bool IsPartOf(const ReplicationId& leader, std::string_view written_under) const {
    return !is_master && leader.is_master && !leader.id.empty() && id == leader.id && !written_under.empty() &&
           second == written_under;
  }

 private:
  static std::string Field(std::string_view info, std::string_view name) {
    for (size_t at = 0; at < info.size();) {
      const size_t end = std::min(info.find('\n', at), info.size());
      std::string_view line = info.substr(at, end - at);
      at = end + 1;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':') {
        return std::string(line.substr(name.size() + 1));
      }
    }
    return "";
  }
};

}  // namespace hive::proxy
