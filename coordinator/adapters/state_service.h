// Serves hive.v1.Hive: what people and tools ask.
//
// Thread rule: gRPC's threads ask, the runtime's thread answers.
// Lifetime: outlived by the inbox, outlives the server. The runtime is stopped before the server is shut down.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>

#include "coordinator/adapters/handover_calls.h"
#include "coordinator/adapters/refusals.h"
#include "coordinator/runtime/event_inbox.h"
#include "hive/v1/hive.grpc.pb.h"

namespace hive::coordinator {

// The wire form of a snapshot.
v1::GetStateResponse Describe(const std::string& hive, const Snapshot& snapshot);

class StateService final : public v1::Hive::CallbackService {
 public:
  StateService(std::string hive, EventInbox& inbox, const Refusals& refusals, HandoverCalls& handovers)
      : hive_(std::move(hive)), inbox_(inbox), refusals_(refusals), handovers_(handovers) {}

  grpc::ServerUnaryReactor* GetState(grpc::CallbackServerContext* context, const v1::GetStateRequest* request,
                                     v1::GetStateResponse* response) override;
  grpc::ServerUnaryReactor* Handover(grpc::CallbackServerContext* context, const v1::HandoverRequest* request,
                                     v1::HandoverResponse* response) override;
  grpc::ServerUnaryReactor* LeadNow(grpc::CallbackServerContext* context, const v1::LeadNowRequest* request,
                                    v1::LeadNowResponse* response) override;

 private:
  const std::string hive_;
  EventInbox& inbox_;
  const Refusals& refusals_;
  HandoverCalls& handovers_;
};

}  // namespace hive::coordinator
