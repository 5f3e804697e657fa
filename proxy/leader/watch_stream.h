// One LeaderWatch.Watch stream to one coordinator, over a channel of its own.
//
// Each answer is followed by the next question at once, without waking the thread that uses the stream: the coordinator
// answers when it has heard from the leader again, so the two keep its pace. Ask() is for the first question, and for
// when no answer comes.
//
// Thread rule: Open, Ask and Cut from one thread. Events are delivered on gRPC's threads: they must only enqueue.
// Lifetime: the stream keeps itself alive until gRPC has done with it; after its end `on_event` is called no more.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "common/app/peer_secrets.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "hive/v1/leader_watch.grpc.pb.h"

namespace hive::proxy {

class WatchStream {
 public:
  struct Answer {
    hive::v1::WatchResponse response;
    std::optional<Instant> asked;  // when the question that it answers was sent; nothing if it answers none
  };
  struct Ended {
    std::string why;        // for the log
    bool distrust = false;  // one of the two does not prove the members' secret to the other
  };
  using Event = std::variant<Answer, Ended>;
  using EventSink = std::function<void(Event)>;

  virtual ~WatchStream() = default;

  // Two questions are at least so far apart, if an answer comes sooner than that.
  static constexpr Duration kLeastBetweenQuestions = Millis(50);

  // Sends a question, unless the last one is still being written: then nothing, since a question that waits in a buffer
  // is of no use. `hive`: what this and the following questions expect the coordinator to be of; empty = any.
  virtual void Ask(const std::string& hive) = 0;
  // Ends the stream; an Ended event follows unless it has come.
  virtual void Cut() = 0;

  static std::shared_ptr<WatchStream> Open(const Endpoint& coordinator,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                           const std::shared_ptr<const PeerSecrets>& secrets, EventSink on_event);
};

}  // namespace hive::proxy
