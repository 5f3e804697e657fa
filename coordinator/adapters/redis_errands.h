// Short visits to redis-servers of other members, on a thread of their own so that they never delay the local redis.
//
// Thread rule: Probe and Demote from the runtime's thread.
// Lifetime: outlived by the inbox. The destructor interrupts the errand in progress; what waits is dropped.
#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <variant>

#include "common/base/time.h"
#include "common/net/fd.h"
#include "common/net/inbox.h"
#include "coordinator/adapters/redis_connection.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/event_inbox.h"

namespace hive::coordinator {

class RedisErrands {
 public:
  // Errands that wait: one for each of a hundred members. Beyond that they fail at once, and the core asks again.
  static constexpr size_t kMaxWaiting = 100;
  // For connecting, and for each reply: a few round trips within a cluster, with a stall.
  static constexpr Duration kWindow = Millis(300);

  // `credentials` is asked at each errand: a Secret may change.
  RedisErrands(std::function<RedisCredentials()> credentials, EventInbox& inbox, const TlsSource* tls = nullptr);
  ~RedisErrands();

  void Probe(const election::ProbeRedis& probe);
  void Demote(const election::DemoteOrphan& demote);

 private:
  using Errand = std::variant<election::ProbeRedis, election::DemoteOrphan>;

  void Run();
  election::RedisProbed::Outcome Carry(const election::ProbeRedis& probe);
  election::OrphanAnswered Carry(const election::DemoteOrphan& demote);

  const std::function<RedisCredentials()> credentials_;
  const TlsSource* const tls_;  // null: plaintext
  EventInbox& inbox_;
  Fd interrupt_;  // readable at the end
  Inbox<Errand> errands_;
  std::thread thread_;
};

}  // namespace hive::coordinator
