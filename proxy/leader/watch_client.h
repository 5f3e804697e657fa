// Watches who leads: a stream to this pod's coordinator, and while that one does not answer, or knows of no leader (or
// of an older one than this proxy), to another member's. One that knows none either is left for the next.
//
// Each stream asks a numbered question whenever it was answered, else after kAskPatience, and is cut when it has been
// silent for kSilence: a coordinator that is stopped keeps its connections open, and gRPC's own keepalive would take a
// second to notice. Every attempt uses a channel of its own, since gRPC lets a channel that has failed rest for
// seconds.
//
// Threads: gRPC's callbacks only put events into an inbox; one thread of this class takes them out, keeps the view and
// calls the listener.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "common/app/peer_secrets.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "proxy/leader/leader_view.h"

namespace hive::proxy {

class WatchClient {
 public:
  // Without an answer for so long, it is asked again. Coordinators answer once per beat (200 ms), so that a lease of
  // 0.7 x leader_timeout is renewed several times over; this is for those that answer each question at once and then
  // rest.
  static constexpr Duration kAskPatience = Millis(300);
  // Between two looks at what has become due, while not all is well.
  static constexpr Duration kTick = Millis(25);
  // A stream that has said nothing for so long is cut, and another member asked: two beats, and what they may be late.
  // Enough of a lease is left then to hear that other one.
  static constexpr Duration kSilence = Millis(450);
  // Between two attempts to reach the same coordinator.
  static constexpr Duration kRetryDelay = Millis(100);
  // Between a member that could not be reached and the next one.
  static constexpr Duration kNextOtherDelay = Millis(20);
  // This pod's own coordinator may know no leader for so long before others are asked, too: most elections and all
  // handovers are over by then. Not before there has been a leader: a hive is born within its coordinators.
  static constexpr Duration kOwnMayNotKnow = Millis(200);
  // ... and for so long when its last word was HOLD: somebody leads all but surely, whom a leader that has handed over
  // hears of as late as its followers do, or later.
  static constexpr Duration kOwnMayNotKnowAfterHold = Millis(20);
  // Any other member, while the leases run that were heard before: it is told of a new leader within milliseconds.
  // Doubled whenever all have been asked in vain, since they may be leaderless for long.
  static constexpr Duration kOtherMayNotKnow = Millis(50);
  static constexpr Duration kOtherMayNotKnowAtMost = Seconds(1);
  // Between two complaints about coordinators that do not know this proxy's secret, or it theirs.
  static constexpr Duration kDistrustInterval = Seconds(30);
  // Events that may wait for the thread: some per stream and second are usual, with two streams at most.
  static constexpr size_t kMaxEvents = 4096;

  struct Options {
    Endpoint coordinator;                                                                        // this pod's own
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();  // towards all of them
    // What they must prove to this proxy, and it to them.
    std::shared_ptr<const PeerSecretSource> secrets = std::make_shared<PeerSecretSource>();
  };
  // What the listener is told, on the watch's thread, at every change; a renewed lease is one.
  struct News {
    LeaderSnapshot snapshot;
    bool connected = false;  // some coordinator answers
  };
  using Listener = std::function<void(const News&)>;

  // Starts at once. `listener` must not block.
  WatchClient(Options options, Listener listener);
  // Returns when nothing calls the listener any more.
  ~WatchClient();
  WatchClient(const WatchClient&) = delete;
  WatchClient& operator=(const WatchClient&) = delete;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace hive::proxy
