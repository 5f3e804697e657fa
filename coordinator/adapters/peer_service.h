// Serves hive.v1.Election: what other members ask of this one, and the streams of its followers.
//
// Reactors only enqueue events; the answers come back from the runtime's thread as Reply, SendBeat and CloseStream.
// A call is pending until it is replied to, cancelled by the caller, or too old. A stream has one write in flight and
// at most one beat waiting: the newest, except that a last beat (resigned, yielded) is never replaced.
//
// Thread rule: the PeerAnswerer members are the runtime's; the rest is gRPC's threads. One mutex guards all calls and
// streams: they are few, and a reactor may be deleted by gRPC the moment it has been finished, so that it could not
// hold a mutex of its own.
// Lifetime: outlived by the inbox, outlives the server.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <map>
#include <mutex>

#include "common/base/time.h"
#include "coordinator/adapters/peer_guard.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/event_inbox.h"
#include "coordinator/runtime/ports.h"
#include "hive/v1/election.grpc.pb.h"

namespace hive::coordinator {

class PeerService final : public v1::Election::CallbackService, public PeerAnswerer {
 public:
  // Requests that wait for an answer: some from each of a hundred members.
  static constexpr size_t kMaxPending = 1024;
  // Followers with a stream.
  static constexpr size_t kMaxStreams = 1000;
  // A request that nobody has answered for so long is answered DEADLINE_EXCEEDED. Callers give up long before.
  static constexpr Duration kAnswerLimit = Seconds(30);

  // `header` is what identifies this member to a dial; its highest_term is left at 0.
  PeerService(election::Header header, EventInbox& inbox, PeerGuard& guard);
  ~PeerService() override;  // after the server has been shut down

  // PeerAnswerer
  void Reply(election::SendReply reply) override;
  void SendBeat(election::SendBeat beat) override;
  void CloseStream(election::StreamId id) override;

  // hive.v1.Election
  grpc::ServerUnaryReactor* Greet(grpc::CallbackServerContext* context, const v1::GreetRequest* request,
                                  v1::GreetResponse* response) override;
  grpc::ServerUnaryReactor* Campaign(grpc::CallbackServerContext* context, const v1::CampaignRequest* request,
                                     v1::CampaignResponse* response) override;
  grpc::ServerUnaryReactor* Prepare(grpc::CallbackServerContext* context, const v1::PrepareRequest* request,
                                    v1::PrepareResponse* response) override;
  grpc::ServerUnaryReactor* Lead(grpc::CallbackServerContext* context, const v1::LeadRequest* request,
                                 v1::LeadResponse* response) override;
  grpc::ServerUnaryReactor* Yield(grpc::CallbackServerContext* context, const v1::YieldRequest* request,
                                  v1::YieldResponse* response) override;
  grpc::ServerUnaryReactor* TakeOver(grpc::CallbackServerContext* context, const v1::TakeOverRequest* request,
                                     v1::TakeOverResponse* response) override;
  grpc::ServerUnaryReactor* HandOver(grpc::CallbackServerContext* context, const v1::HandOverRequest* request,
                                     v1::HandOverResponse* response) override;
  grpc::ServerBidiReactor<v1::FollowRequest, v1::FollowResponse>* Follow(grpc::CallbackServerContext* context) override;

 private:
  class PendingCall;
  template <typename Response>
  class TypedCall;
  class FollowStream;

  // Decodes, enqueues, and returns the reactor that waits for the core's reply.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Receive(const char* rpc, grpc::CallbackServerContext* context, const Request* request,
                                    Response* response);
  // Takes the call out of the pending ones; whoever gets it finishes it. Null: somebody else already has.
  PendingCall* Take(election::RequestId id);
  void FinishOverdue();

  const election::Header header_;
  EventInbox& inbox_;
  PeerGuard& guard_;

  std::mutex mutex_;  // guards what follows, and the streams' state
  election::RequestId next_request_ = 1;
  election::StreamId next_stream_ = 1;                   // odd: accepted here
  std::map<election::RequestId, PendingCall*> pending_;  // owned by gRPC until they are finished
  std::map<election::StreamId, FollowStream*> streams_;  // likewise
};

}  // namespace hive::coordinator
