// Whoever waits for leadership to move: people who have asked for it (Hive.Handover, Hive.LeadNow), until the core says
// what it came to; and main, which has told the core that this process is to end, until it may.
//
// Thread rule: Begin from gRPC's threads, Answer and Left from the runtime's, the rest from main's.
// Lifetime: outlived by the inbox, outlives the server.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <variant>

#include "common/base/time.h"
#include "coordinator/election/events.h"
#include "coordinator/runtime/event_inbox.h"
#include "coordinator/runtime/ports.h"
#include "hive/v1/hive.grpc.pb.h"

namespace hive::coordinator {

class HandoverCalls final : public HandoverDesk {
 public:
  // Calls that wait: one handover runs at a time, and nobody needs many of them.
  static constexpr size_t kMaxWaiting = 16;
  // A call that the core has not answered for so long is answered DEADLINE_EXCEEDED when the next one comes. The core
  // gives up long before: after --handover-timeout.
  static constexpr Duration kAnswerLimit = Seconds(90);

  explicit HandoverCalls(EventInbox& inbox) : inbox_(inbox) {}

  // A call of Hive.Handover: refused here, or passed to the core. The caller may give up at any time; the handover then
  // goes on.
  grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext* context, const v1::HandoverRequest& request,
                                  v1::HandoverResponse* response);

  // A call of Hive.LeadNow, likewise.
  grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext* context, const v1::LeadNowRequest& request,
                                  v1::LeadNowResponse* response);

  // HandoverDesk
  void Answer(const election::AnswerHandover& answer) override;
  void Answer(const election::AnswerLead& answer) override;
  void Left() override;

  // Blocks until Left, or for `at_most`. Returns whether it has left.
  bool WaitUntilLeft(Duration at_most);
  // The runtime is gone: whoever still waits is told that there will be no answer.
  void Close();

 private:
  class Call;
  // Where the answer goes: gRPC's; valid until the call is finished.
  using Response = std::variant<v1::HandoverResponse*, v1::LeadNowResponse*>;

  // Has the call wait for the core's answer to the event that `ask` makes of its id.
  grpc::ServerUnaryReactor* Wait(grpc::CallbackServerContext* context, Response response,
                                 const std::function<election::Event(election::RequestId)>& ask);
  // Takes the call out of the waiting ones; whoever gets it finishes it. Null: somebody else already has.
  Call* Take(election::RequestId id);
  void FinishOverdue();

  EventInbox& inbox_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable has_left_;
  bool left_ = false;
  bool closed_ = false;
  // Apart from the ids of other members' requests, which count from 1.
  election::RequestId next_id_ = election::RequestId{1} << 62;
  std::map<election::RequestId, Call*> waiting_;  // owned by gRPC until they are finished
};

}  // namespace hive::coordinator
