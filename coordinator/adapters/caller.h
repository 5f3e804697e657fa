// Who calls a service of port 7400, as far as its connection tells.
//
// Thread rule: any thread; the context belongs to a call in progress.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <string_view>

namespace hive::coordinator {

// The IP in what gRPC calls a peer ("ipv4:10.0.0.1:5000", "ipv6:%5Bfd00::1%5D:5000"), as canonical text; an IPv4
// address that arrives in IPv6 form is IPv4. Empty where there is none: a unix socket, or nothing that gRPC writes.
std::string PeerIp(std::string_view peer);

// True of a caller in this machine's (or pod's) own network namespace: 127.0.0.0/8, ::1 or a unix socket.
bool IsLocal(std::string_view peer);

// True when the connection carries a client certificate that was verified against --tls-ca. Sound only behind
// GrpcServer, which takes no TLS connection without such a certificate.
bool HasVerifiedCertificate(const grpc::ServerContextBase& context);

// For what only an operator or a member may ask, such as Handover.
bool LocalOrAuthenticated(const grpc::ServerContextBase& context);

}  // namespace hive::coordinator
