// Who is a member: proves this one to others, and lets nobody else's calls and answers in (common/app/peer_proof.h).
//
// Thread rule: any thread.
// Lifetime: outlived by the secrets, outlives the server and the clients that use it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <string_view>

#include "common/app/peer_proof.h"
#include "common/app/peer_secrets.h"
#include "common/base/endpoint.h"
#include "coordinator/adapters/refusals.h"
#include "coordinator/election/events.h"

namespace hive::coordinator {

class PeerGuard {
 public:
  // `self`, `coordinator`: this member, and where it is dialled.
  PeerGuard(const PeerSecretSource& secrets, const election::Identity& self, Endpoint coordinator);

  // A caller that was let in, or the status to end its call with.
  struct Caller {
    grpc::Status status;
    std::string sender;  // as it has proved; empty: it has proved nothing, and need not
  };

  // The server's side: first thing in a call. Adds our own proof to the initial metadata. `method`: "Greet".
  Caller Admit(grpc::CallbackServerContext& context, std::string_view method);
  // Is a message that `claims` to be of this member the caller's?
  bool Speaks(const std::string& sender, const election::Identity& claims, const std::string& peer);

  // The client's side: adds our proof to a call before it is started.
  CallProof Prove(grpc::ClientContext& context, std::string_view method, const Endpoint& to) const;
  // Once the initial metadata has come: is whoever answers a member?
  bool Answered(const grpc::ClientContext& context, const CallProof& proof, const Endpoint& by);
  // A call that has failed: a member that refuses this one is worth a line in the log.
  void OnFailure(const grpc::Status& status, const Endpoint& by);

  Refusals& refusals() { return refusals_; }

 private:
  bool IsOwn(const Endpoint& dialled) const;

  const PeerSecretSource& secrets_;
  const std::string sender_;
  const Endpoint coordinator_;
  Refusals refusals_;
};

// A member as a proof's sender: "10.0.0.1/1234567".
std::string SenderOf(const election::Identity& member);

}  // namespace hive::coordinator
