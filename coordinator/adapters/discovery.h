// Who might be a member: the headless service's name, asked of DNS, or a fixed list.
//
// Thread rule: ResolveNow from the runtime's thread; answers come on the resolver's thread, the interval on a thread of
// its own.
// Lifetime: outlived by the inbox.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/dns.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/event_inbox.h"
#include "coordinator/runtime/ports.h"

namespace hive::coordinator {

// --peers: exactly one of the two is set.
struct Peers {
  static constexpr uint16_t kDefaultPort = 7400;

  std::string name;  // dns:NAME[:PORT]
  uint16_t port = kDefaultPort;
  std::vector<Endpoint> listed;  // static:IP:PORT,...: sorted, without duplicates

  // What the hive is called unless --hive says so: the name; of a list, "redis-hive".
  std::string HiveName() const { return name.empty() ? "redis-hive" : name; }
};
// Nothing when `text` has neither form.
std::optional<Peers> ParsePeers(std::string_view text);

struct DiscoveryOptions {
  Peers peers;
  std::optional<Endpoint> dns_server;  // --dns-server; else resolv.conf
  Duration dns_interval = Seconds(1);
};

// Which of the listed members is this one? Asked before anything else, since a member without an address has nothing
// to say. Asks DNS once per interval, logs one line when it has to wait, and again every half minute.
//
// Nothing: `interrupted` said so. An error is one line for people, after which the process exits 2: several of this
// machine's addresses are listed.
class OwnAddress {
 public:
  enum class Outcome { kFound, kAmbiguous, kInterrupted };
  struct Answer {
    Outcome outcome = Outcome::kInterrupted;
    std::string ip;    // kFound
    std::string text;  // kAmbiguous: one line for people
  };
  // `wait` sleeps for at most the given time and says whether to give up.
  static Answer Find(const DiscoveryOptions& options, const std::function<bool(Duration)>& wait);
};

class PeerDiscovery final : public Discovery {
 public:
  // DNS that lists others but not this member: told after so long, then again each so often.
  static constexpr Duration kUnlistedPatience = Seconds(5);
  static constexpr Duration kRemindEvery = Seconds(30);

  // However often it is wanted. DNS servers have better things to do.
  static constexpr Duration kAtMostEvery = Millis(50);

  // `own_ip`: this member's.
  PeerDiscovery(DiscoveryOptions options, std::string own_ip, EventInbox& inbox);
  ~PeerDiscovery() override;

  // Asks now. A question that is already under way is enough.
  void ResolveNow() override;

 private:
  void Run();
  void Ask();
  void Answer(const DnsAnswer& answer);
  void Tell(std::vector<Endpoint> listed);
  void TellIfUnlisted(const std::vector<std::string>& addresses);

  const DiscoveryOptions options_;
  const std::string own_ip_;
  EventInbox& inbox_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;  // guarded by mutex_
  bool wanted_ = false;  // guarded by mutex_: ask now
  bool asking_ = false;  // guarded by mutex_: a question is under way

  // Of whoever handles an answer; answers come one at a time.
  std::vector<Endpoint> listed_;               // by the last answer that lists anybody
  std::optional<std::vector<Endpoint>> told_;  // the same, if it was the last of all
  std::optional<Instant> unlisted_since_;
  std::optional<Instant> reminded_;

  std::thread thread_;
  std::unique_ptr<Resolver> resolver_;  // none with a fixed list; its thread ends before the rest goes
};

}  // namespace hive::coordinator
