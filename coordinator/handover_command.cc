#include "coordinator/handover_command.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <memory>

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

}  // namespace

int AskForHandover(const Endpoint& target, const MemberTls& tls, const std::string& to) {
  const std::unique_ptr<v1::Hive::Stub> stub = v1::Hive::NewStub(FreshChannel(target, tls.channel()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::HandoverRequest request;
  request.set_to_ip(to);
  v1::HandoverResponse response;
  const grpc::Status status = stub->Handover(&context, request, &response);
  if (!status.ok()) {
    const std::string& error = status.error_message();
    if (NeverArrived(status)) {
      std::fprintf(stderr, "hive-coordinator: no answer from the coordinator at %s: %s%s\n", ToString(target).c_str(),
                   error.c_str(), ConnectionHint(error, tls.on()));
    } else {
      std::fprintf(stderr, "hive-coordinator: leadership was not handed over: %s\n", error.c_str());
    }
    return 1;
  }
  std::printf("%s leads, term %llu%s%s\n", response.leader().leader().ip().c_str(),
              static_cast<unsigned long long>(response.leader().term()),  // NOLINT(google-runtime-int): printf's
              response.detail().empty() ? "" : ": ", response.detail().c_str());
  return 0;
}

}  // namespace hive::coordinator
