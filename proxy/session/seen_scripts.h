// Bodies of scripts that clients have given the server, so that the next leader can be given them, too: redis does not
// replicate its cache of scripts, and a client that has loaded one goes on to name it by its hash alone. PURE.
//
// Bounded: the one that was seen the longest time ago makes room.
//
// Thread rule: one thread. Of an event loop: it knows what its own clients have said.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hive::proxy {

class SeenScripts {
 public:
  static constexpr size_t kMaxScripts = 1000;
  static constexpr size_t kMaxBytes = 1024 * 1024;  // of all bodies

  // The server has taken this script: by SCRIPT LOAD, or by EVAL, which keeps it likewise.
  void Seen(std::string_view body);
  // SCRIPT FLUSH.
  void Clear();

  size_t size() const { return by_age_.size(); }
  // A SCRIPT LOAD of each, to be sent as they are.
  std::string MakeRequests() const;

 private:
  std::list<std::string> by_age_;                                                   // the latest in front
  std::unordered_map<std::string_view, std::list<std::string>::iterator> by_body_;  // keys are views of those
  size_t bytes_ = 0;
};

}  // namespace hive::proxy
