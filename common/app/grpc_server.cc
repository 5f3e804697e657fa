#include "common/app/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "common/net/socket.h"

namespace hive {
namespace {

// Settings of the process: a builder takes the plugins that are registered when it is constructed.
void SetUpProcessOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(false);  // ours serves: see health.h
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

// The reflection plugin registers itself for every server of the process; this takes it off one of them.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) { return plugin->name() == "proto_server_reflection"; });
  }
};

std::string GrpcAddress(const ListenAddress& address) {
  // gRPC serves both families on [::], and IPv4 alone on a machine without IPv6.
  return address.ip.empty() ? "[::]:" + std::to_string(address.port) : ToString(Endpoint{address.ip, address.port});
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options) {
  SetUpProcessOnce();
  // gRPC only logs why it cannot listen, so a socket of ours finds out first.
  for (const ListenAddress& address : options.listen) {
    const absl::StatusOr<Fd> probe = ListenTcp(address, {.only_bind = true});
    if (!probe.ok()) {
      return absl::Status(probe.status().code(),
                          std::string(probe.status().message()) + " (" + options.listen_flag + ")");
    }
  }

  std::unique_ptr<GrpcServer> server(new GrpcServer());
  server->ports_.resize(options.listen.size());
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // else two processes would share the port silently
  // Messages of a few hundred bytes need no window that is measured by pings: those cost a tenth of an idle pod's CPU.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.SetMaxReceiveMessageSize(GrpcServerOptions::kMaxReceiveBytes);
  if (!options.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
  const auto credentials = options.credentials ? options.credentials : grpc::InsecureServerCredentials();
  for (size_t i = 0; i < options.listen.size(); ++i) {
    builder.AddListeningPort(GrpcAddress(options.listen[i]), credentials, &server->ports_[i]);
  }
  for (grpc::Service* service : options.services) builder.RegisterService(service);
  server->server_ = builder.BuildAndStart();
  for (size_t i = 0; i < options.listen.size(); ++i) {
    if (server->server_ != nullptr && server->ports_[i] != 0) continue;
    return absl::UnavailableError("cannot serve gRPC on " + ToString(options.listen[i]) +
                                  ": something took the address just now: start again, or choose another address (" +
                                  options.listen_flag + ")");
  }
  return server;
}

GrpcServer::~GrpcServer() { Shutdown(Duration::zero()); }

void GrpcServer::Shutdown(Duration grace) {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + grace);
  server_->Wait();
  server_ = nullptr;
}

}  // namespace hive
