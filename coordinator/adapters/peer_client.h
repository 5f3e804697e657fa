// Reaches other members: requests, dials and follow streams, over gRPC's callback API.
//
// Requests to one address share a channel, until a call on it fails: then it is thrown away, since a fresh one connects
// at once where an old one may sit out a reconnect backoff, or a TCP retransmission backoff after a partition. A follow
// stream and a dial have channels of their own for the same reason.
//
// Thread rule: the PeerSender members are the runtime's; events are posted from gRPC's threads. Calls and streams that
// are over are freed by the runtime's thread, at its next request: should the last channel of a process be freed on one
// of gRPC's own threads, gRPC 1.51 waits for that thread to end, on it, and aborts.
// Lifetime: outlived by the inbox. The destructor cancels everything and waits until gRPC has let go.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "coordinator/adapters/peer_guard.h"
#include "coordinator/adapters/tcp_dial.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/event_inbox.h"
#include "coordinator/runtime/ports.h"
#include "hive/v1/election.grpc.pb.h"

namespace hive::coordinator {

// What a failed call says of the peer. Not certain = kClosed, which proves nothing by itself.
election::Failure FailureOf(const grpc::Status& status);

// "ipv4:10.0.0.1:7400": never resolved.
std::string GrpcTarget(const Endpoint& endpoint);

// A channel to `to` that shares no connection with any other, and reconnects within tens of milliseconds.
std::shared_ptr<grpc::Channel> FreshChannel(
    const Endpoint& to,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials());

class PeerClient final : public PeerSender {
 public:
  // Calls and dials in flight: several to each of a hundred members. Beyond that they fail at once.
  static constexpr size_t kMaxCalls = 1024;
  // A channel unused for so long is dropped: its member is gone, or is heard by other means.
  static constexpr Duration kChannelIdle = Seconds(60);
  // A dial waits at least so long for the answer of a peer that has accepted its connection.
  static constexpr Duration kLeastDialWindow = Millis(100);

  // `header` is what this member's dials carry.
  PeerClient(election::Header header, EventInbox& inbox, PeerGuard& guard,
             std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials());
  ~PeerClient() override;

  void Send(election::SendRequest request) override;
  void Dial(const election::Dial& dial) override;
  void OpenFollow(election::OpenFollow open) override;
  void SendReport(election::SendReport report) override;
  void CloseStream(election::StreamId id) override;

 private:
  struct PooledChannel {
    std::shared_ptr<grpc::Channel> channel;
    Instant used;
  };
  template <typename Request, typename Response>
  struct Call;
  class FollowStream;

  std::shared_ptr<grpc::Channel> ChannelTo(const Endpoint& to);
  void DropChannel(const Endpoint& to, const std::shared_ptr<grpc::Channel>& channel);

  // Keeps a call (whose context is given) until it is over. False when there are too many, or the client is ending.
  bool Enter(grpc::ClientContext* context, std::shared_ptr<void> call);
  // The last thing that a callback does with its call: it may be freed at once.
  void Leave(grpc::ClientContext* context);
  void FreeRetired();

  template <typename Wire, typename Response, typename Request, typename Method>
  void Begin(const election::SendRequest& envelope, const Request& request, Method method);
  // Opens a TCP connection. Calls `connected` on the dialler's thread, or posts to the core why there is none.
  void Knock(const election::Dial& dial, std::function<void()> connected);
  void Identify(const election::Dial& dial, Instant deadline);

  const election::Header header_;
  EventInbox& inbox_;
  PeerGuard& guard_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;

  std::mutex mutex_;  // guards what follows, and the streams' state
  std::condition_variable left_;
  bool ending_ = false;
  std::map<Endpoint, PooledChannel> channels_;
  std::map<grpc::ClientContext*, std::shared_ptr<void>> calls_;  // in flight
  std::map<election::StreamId, std::shared_ptr<FollowStream>> streams_;
  std::vector<std::shared_ptr<void>> retired_;  // calls and streams that are over, to be freed

  TcpDialler dialler_;  // the last member: its thread ends first
};

}  // namespace hive::coordinator
