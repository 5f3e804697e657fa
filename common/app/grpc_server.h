// A gRPC server on given addresses, in plaintext or with mutual TLS, with the limits every server of ours has.
//
// Thread rule: created and shut down by one thread; gRPC serves on threads of its own.
// Lifetime: the services outlive the server.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"

namespace hive {

struct GrpcServerOptions {
  // The largest message taken in. The largest that a peer sends, the list of a hundred members, is some 20 KiB.
  static constexpr int kMaxReceiveBytes = 1 << 20;

  std::vector<ListenAddress> listen = {};
  std::string listen_flag = "--listen";  // named in the error when an address is taken
  std::vector<grpc::Service*> services = {};
  std::shared_ptr<grpc::ServerCredentials> credentials = nullptr;  // null: plaintext
  bool reflection = true;  // lets grpcurl and buf curl list and describe the services
};

class GrpcServer {
 public:
  // Serves when it returns. The error is one line for stderr, after which the process exits 2: "cannot listen on
  // *:7400: address already in use: stop whatever listens there, or choose another address (--listen)".
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options);

  ~GrpcServer();  // Shutdown(0) if it has not been called
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // The port of the i-th listen address (what port 0 became).
  int port(size_t i = 0) const { return ports_[i]; }

  // Takes no more calls, lets those in progress end for `grace`, cancels the rest, and returns when all callbacks are
  // done. Streams never end by themselves: give them a grace of 0 or end them first.
  void Shutdown(Duration grace);

 private:
  GrpcServer() = default;

  std::unique_ptr<grpc::Server> server_;
  std::vector<int> ports_;
};

}  // namespace hive
