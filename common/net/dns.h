// Addresses of a name, asked of DNS (A and AAAA) on a thread of its own. No cache and no /etc/hosts: discovery wants to
// know what DNS says now.
//
// Each question has its own c-ares channel, hence its own sockets and a fresh look at resolv.conf, so a question that
// hangs (a lost conntrack entry, a server that moved) never infects the next one.
//
// Thread rule: Resolve from any thread; callbacks run on the resolver's thread, must be short, may call Resolve.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"

namespace hive {

struct DnsAnswer {
  enum class Outcome {
    kAddresses,   // the name exists and has at least one address
    kNoSuchName,  // a server said so: NXDOMAIN, or a name without A and AAAA records
    kNoAnswer,    // nobody knows: timed out, SERVFAIL, refused, no server reached. Keep what was known before.
  };
  Outcome outcome = Outcome::kNoAnswer;
  std::vector<std::string> addresses;  // canonical text, sorted, without duplicates; only with kAddresses
  // With kAddresses: false when one of the two questions (A, AAAA) got no answer, so addresses of that family may be
  // missing. Absence from an incomplete answer proves nothing.
  bool complete = true;
  Duration min_ttl{};  // with kAddresses: the shortest time to live among the records
  std::string text;    // a clause for people: "DNS lists 10.0.0.1, 10.0.0.2 for hive.test"
};

struct ResolverOptions {
  std::optional<Endpoint> server = {};  // --dns-server; else resolv.conf, read anew for each question
  Duration timeout = Seconds(1);        // per question, all tries and search domains together
};

class Resolver {
 public:
  // Questions in flight at once. Discovery asks one per second; beyond this a question is answered kNoAnswer at once.
  static constexpr size_t kMaxQuestions = 64;

  using Callback = std::function<void(DnsAnswer)>;

  explicit Resolver(ResolverOptions options);  // starts the thread
  ~Resolver();  // joins it; questions in flight are dropped, their callbacks destroyed uncalled
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Never blocks. `done` is called exactly once, at most `timeout` from now (unless the resolver is destroyed first).
  // A relative name is completed with the search domains of resolv.conf; an IP address is its own answer.
  void Resolve(std::string name, Callback done);

 private:
  class Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace hive
