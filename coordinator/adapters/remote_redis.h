// Commands to the redises of other members, at a switch of roles: a dozen in a row to one redis, while writes wait.
//
// Each redis has a thread of its own, with a connection that outlives the command: the next one takes a round trip. So
// a redis that says nothing delays nobody else's. No command goes out before redis has answered on the same connection,
// lately: at a stopped redis it would lie in a buffer, and take effect when redis wakes.
//
// Thread rule: Command from the runtime's thread.
// Lifetime: outlived by the inbox. The destructor interrupts whatever the threads wait for.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/fd.h"
#include "coordinator/adapters/redis_connection.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/event_inbox.h"

namespace hive::coordinator {

class RemoteRedis {
 public:
  // Redises that are spoken to at the same time. A switch speaks to one or two; beyond this a command fails at once.
  static constexpr size_t kMaxRedises = 16;
  // Commands that wait for one redis. The core asks for one at a time.
  static constexpr size_t kMaxWaiting = 16;
  // A connection without a command for so long is closed: the switch is over.
  static constexpr Duration kKeep = Seconds(5);
  // A redis that has answered within this time counts as awake. Shorter than any stall that an operator would notice.
  static constexpr Duration kFresh = Millis(100);

  // `credentials` is asked at each connection, on the threads: a Secret may change.
  RemoteRedis(std::function<RedisCredentials()> credentials, EventInbox& inbox, const TlsSource* tls = nullptr);
  ~RemoteRedis();
  RemoteRedis(const RemoteRedis&) = delete;
  RemoteRedis& operator=(const RemoteRedis&) = delete;

  // Answered by RemoteDone, exactly once, within the command's timeout, and in order for one redis. (A command whose
  // time is up before that of one ahead of it is answered right after that one.)
  void Command(const election::CommandRemote& command);

 private:
  class Visitor;

  // The one for this redis; null when there are too many.
  Visitor* VisitorOf(const Endpoint& redis);

  const std::function<RedisCredentials()> credentials_;
  const TlsSource* const tls_;  // null: plaintext
  EventInbox& inbox_;
  Fd interrupt_;  // readable at the end
  std::map<Endpoint, std::unique_ptr<Visitor>> visitors_;
};

}  // namespace hive::coordinator
