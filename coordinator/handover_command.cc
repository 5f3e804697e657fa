#include "coordinator/handover_command.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "coordinator/adapters/peer_client.h"
#include "coordinator/status_command.h"
#include "hive/v1/hive.grpc.pb.h"

namespace hive::coordinator {
namespace {

// Beyond the longest --handover-timeout that a member may have.
constexpr std::chrono::seconds kPatience{40};

// The words are gRPC's own, not a coordinator's.
bool NeverArrived(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return false;
  for (const char* words : {"failed to connect", "Socket closed", "onnection", "andshake"}) {
    if (status.error_message().find(words) != std::string::npos) return true;
  }
  return false;
}

// One line on stderr. Returns 1.
int Fail(const grpc::Status& status, const Endpoint& target, const MemberTls& tls, const char* failure) {
  const std::string& error = status.error_message();
  if (NeverArrived(status)) {
    std::fprintf(stderr, "hive-coordinator: no answer from the coordinator at %s: %s%s\n", ToString(target).c_str(),
                 error.c_str(), ConnectionHint(error, tls.on()));
  } else {
    std::fprintf(stderr, "hive-coordinator: %s: %s\n", failure, error.c_str());
  }
  return 1;
}

void PrintLeader(const v1::Claim& leader, const std::string& detail) {
  std::printf("%s leads, term %llu%s%s\n", leader.leader().ip().c_str(),
              static_cast<unsigned long long>(leader.term()),  // NOLINT(google-runtime-int): printf's
              detail.empty() ? "" : ": ", detail.c_str());
}

}  // namespace

int AskForHandover(const Endpoint& target, const MemberTls& tls, const std::string& to) {
  const std::unique_ptr<v1::Hive::Stub> stub = v1::Hive::NewStub(FreshChannel(target, tls.channel()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::HandoverRequest request;
  request.set_to_ip(to);
  v1::HandoverResponse response;
  const grpc::Status status = stub->Handover(&context, request, &response);
  if (!status.ok()) return Fail(status, target, tls, "leadership was not handed over");
  PrintLeader(response.leader(), response.detail());
  return 0;
}

int AskToLead(const Endpoint& target, const MemberTls& tls, bool force) {
  const std::unique_ptr<v1::Hive::Stub> stub = v1::Hive::NewStub(FreshChannel(target, tls.channel()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::LeadNowRequest request;
  request.set_force(force);
  v1::LeadNowResponse response;
  const grpc::Status status = stub->LeadNow(&context, request, &response);
  if (!status.ok()) return Fail(status, target, tls, "this member was not made the leader");
  const bool nothing = response.given_up().empty();
  if (response.leads()) {
    PrintLeader(response.leader(), response.detail());
    if (!nothing) std::printf("given up, with whatever only they hold:\n");
  } else {
    std::fprintf(stderr, "hive-coordinator: nothing was done. With --force %s%s\n", response.detail().c_str(),
                 nothing ? ", and give up nobody that is known" : ", and give up, with whatever only they hold:");
  }
  for (const std::string& clause : response.given_up()) {
    std::fprintf(response.leads() ? stdout : stderr, "  %s\n", clause.c_str());
  }
  return response.leads() ? 0 : 1;
}

}  // namespace hive::coordinator
