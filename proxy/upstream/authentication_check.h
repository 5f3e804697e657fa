// Whether the server lets in a client that has not authenticated, and connects now.
//
// Redis decides that once, when a connection is made: one that was made while the default user had no password may go
// on when it has got one. A lane is such a connection, and older than most of its riders. So who has not authenticated
// rides on an older one only after the server has said of a connection made since that client's what it says there:
// this class makes one, asks, and closes it.
//
// One at a time; what it learns holds for all clients that had come before it was made. When so many come that one each
// would be more than kInterval permits, it holds for those as well that came within that much after.
//
// Thread rule: the poller's thread. One per event loop.
#pragma once

#include <cstdint>
#include <functional>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/poller.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/upstream/control_link.h"

namespace hive::proxy {

enum class Welcome : uint8_t {
  kNotKnown,  // yet: it is being asked
  kLetIn,     // the default user has no password
  kStranger,  // it must authenticate first
  kUnclear,   // the server did not say: a connection of the client's own will show
};

class AuthenticationCheck {
 public:
  // The server is asked kBurst times as clients come, and then no oftener than every kInterval.
  static constexpr int kBurst = 4;
  static constexpr Duration kInterval = Millis(25);
  // A question unanswered for so long will not be: whoever waits for it is better off on a connection of its own.
  static constexpr Duration kAnswerTimeout = Millis(500);

  // `done`: ask again; from the loop, or from within WelcomeOf.
  AuthenticationCheck(const Transport& transport, std::function<void()> done);

  // Of a client that has connected at `since`, by ReadMonotonicClock(). Asks `redis` if need be; `done` follows.
  Welcome WelcomeOf(Instant since, const Endpoint& redis);

  // A client is about to change who may do what: for kExact nobody is answered by what is older than itself.
  static constexpr Duration kExact = Millis(100);
  void BeExact() { exact_until_ = transport_.poller.Now() + kExact; }

 private:
  void OnReply(const resp::Reply& reply);
  void Learn(Welcome welcome);
  bool MayAsk(Instant now) const;

  const Transport transport_;
  const std::function<void()> done_;
  ControlLink link_;
  Timer timeout_;
  Endpoint redis_;
  bool asking_ = false;
  Instant asked_at_{};  // when the connection was begun that is being asked, or was last
  Welcome learned_ = Welcome::kNotKnown;
  Instant learned_of_{};  // when the connection was begun from which that is known
  Instant exact_until_{};
  Instant next_{};  // when the next is due, were they asked in even steps: kBurst of them may be ahead of it
};

}  // namespace hive::proxy
