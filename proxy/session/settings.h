// What a client has told the server about its connection, so that another connection can be made the same. PURE.
//
// Only what the server has agreed to is remembered. Credentials are kept in memory, for as long as the client lives,
// and never logged.
//
// Thread rule: value type.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "proxy/resp/command_facts.h"
#include "proxy/resp/replies.h"
#include "proxy/resp/request_scanner.h"

namespace hive::proxy {

class Settings {
 public:
  // The server has answered `request` without an error.
  void Agreed(resp::ConnectionCommand command, const resp::Request& request);

  // RESET was answered: as if new, subscriptions included.
  void Clear();
  // How often.
  uint32_t resets() const { return resets_; }

  // (UN)SUBSCRIBE and the like were confirmed for one channel or pattern. `kind`: the confirmation's first word.
  void Subscribed(std::string_view kind, std::string_view channel);

  resp::Protocol protocol() const { return protocol_; }
  size_t subscriptions() const;
  // How many channels, patterns or shard channels an UNSUBSCRIBE of that kind without arguments would end.
  size_t SubscriptionsOf(resp::ConnectionCommand unsubscribe) const;

  // How many replies of which kind a replay brings.
  struct Replay {
    std::string requests;    // to be sent on a new connection before anything else
    uint32_t replies = 0;    // to as many commands, in order
    uint32_t essential = 0;  // the first so many of them must not be errors: who the client is, and its database
    uint32_t channels = 0;   // confirmations of subscriptions behind them
  };
  Replay MakeReplay() const;

  // What clients that may share a connection must have in common, who they are, their database and protocol: nothing
  // else of the settings matters to the server's answers.
  bool MeansTheSame(const Settings& other) const;
  // To be sent on a new connection for such clients: all of its replies are essential.
  Replay MakeLaneReplay() const;
  // A copy of that much.
  Settings ForLane() const;
  // False: they cannot share one at all (CLIENT NO-EVICT, NO-TOUCH).
  bool shareable() const { return !more_ || (!IsOn(more_->no_evict) && !IsOn(more_->no_touch)); }
  bool authenticated() const { return more_ && more_->authenticated; }
  // As CLIENT SETNAME or HELLO set it; empty: none.
  std::string_view name() const { return more_ ? std::string_view(more_->name) : std::string_view(); }

 private:
  // What most clients never set lives apart, so that an idle client is small.
  struct More {
    bool authenticated = false;
    std::string user;  // empty: AUTH password
    std::string password;
    std::string database;
    std::string name;
    std::string library_name;
    std::string library_version;
    std::string no_evict;
    std::string no_touch;
    std::set<std::string, std::less<>> channels;
    std::set<std::string, std::less<>> patterns;
    std::set<std::string, std::less<>> shard_channels;
  };
  More& more();
  static bool IsOn(std::string_view word);
  std::string_view database() const;
  void AgreedHello(const resp::Request& request);
  void ReplayHello(Replay& replay) const;

  resp::Protocol protocol_ = resp::Protocol::kResp2;
  uint32_t resets_ = 0;
  std::unique_ptr<More> more_;
};

// Whether two command words are the same, in any case.
bool SameWord(std::string_view a, std::string_view b);

}  // namespace hive::proxy
