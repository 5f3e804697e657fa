#include "coordinator/adapters/peer_guard.h"

#include <utility>

#include "common/app/log.h"
#include "common/app/proof_metadata.h"
#include "common/net/local_addresses.h"
#include "coordinator/adapters/caller.h"

namespace hive::coordinator {
namespace {

using Reason = Refusals::Reason;

// What a caller that is turned away is told: enough to put it right, nothing to learn from.
constexpr char kTurnedAway[] =
    "this member does not know the secret of whoever calls: members and proxies of a hive have the same "
    "--peer-secret-file or redis password";

// Whom a line in the log is about: the address, whatever the port, since each try has another.
std::string PeerName(const std::string& peer) {
  std::string ip = PeerIp(peer);
  return ip.empty() ? peer : ip;
}

Reason ReasonOf(ProofVerdict::Outcome outcome) {
  switch (outcome) {
    case ProofVerdict::Outcome::kMalformed:
      return Reason::kMalformedProof;
    case ProofVerdict::Outcome::kWrong:
      return Reason::kWrongProof;
    case ProofVerdict::Outcome::kOtherReceiver:
      return Reason::kOtherReceiver;
    default:
      return Reason::kNoProof;
  }
}

}  // namespace

std::string SenderOf(const election::Identity& member) { return member.ip + "/" + std::to_string(member.incarnation); }

PeerGuard::PeerGuard(const PeerSecretSource& secrets, const election::Identity& self, Endpoint coordinator)
    : secrets_(secrets), sender_(SenderOf(self)), coordinator_(std::move(coordinator)) {}

// A pod with addresses of both families is dialled at either, and by its own proxy over loopback.
bool PeerGuard::IsOwn(const Endpoint& dialled) const {
  return dialled == coordinator_ || LocalAddresses::Read().Contains(dialled.ip);
}

PeerGuard::Caller PeerGuard::Admit(grpc::CallbackServerContext& context, std::string_view method) {
  ProofVerdict verdict = CheckProof(*secrets_.Current(), method, MetadataValue(context.client_metadata(), kProofKey),
                                    [this](const Endpoint& dialled) { return IsOwn(dialled); });
  if (!verdict.accepted()) {
    refusals_.Note(ReasonOf(verdict.outcome), PeerName(context.peer()), method);
    return {{grpc::StatusCode::UNAUTHENTICATED, kTurnedAway}, {}};
  }
  if (!verdict.answer.empty()) context.AddInitialMetadata(kProofAnswerKey, verdict.answer);
  return {grpc::Status::OK, std::move(verdict.sender)};
}

bool PeerGuard::Speaks(const std::string& sender, const election::Identity& claims, const std::string& peer) {
  if (sender.empty() || sender == SenderOf(claims)) return true;
  refusals_.Note(Reason::kOtherSender, PeerName(peer), sender + " speaks for " + SenderOf(claims));
  return false;
}

CallProof PeerGuard::Prove(grpc::ClientContext& context, std::string_view method, const Endpoint& to) const {
  CallProof proof(secrets_.Current(), method, sender_, to);
  if (!proof.value().empty()) context.AddMetadata(kProofKey, proof.value());
  return proof;
}

bool PeerGuard::Answered(const grpc::ClientContext& context, const CallProof& proof, const Endpoint& by) {
  if (proof.AnsweredBy(MetadataValue(context.GetServerInitialMetadata(), kProofAnswerKey))) return true;
  refusals_.Note(Reason::kUnprovenAnswer, by.ip, "its proof is missing or wrong");
  return false;
}

void PeerGuard::OnFailure(const grpc::Status& status, const Endpoint& by) {
  if (status.error_code() != grpc::StatusCode::UNAUTHENTICATED || !refusals_.MayLog(by.ip)) return;
  LogWarning("peers", "a member refuses this one", {{"peer", ToString(by)}, {"reason", status.error_message()}});
}

}  // namespace hive::coordinator
