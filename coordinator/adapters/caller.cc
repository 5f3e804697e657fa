#include "coordinator/adapters/caller.h"

#include <grpc/grpc_security_constants.h>

#include <memory>
#include <vector>

#include "common/base/endpoint.h"

namespace hive::coordinator {
namespace {

constexpr std::string_view kMappedIpv4 = "::ffff:";

// gRPC escapes the brackets of IPv6 addresses, and only them: the text is part of a URI.
std::string_view WithoutBrackets(std::string_view host) {
  for (const std::string_view open : {"%5B", "%5b", "["}) {
    if (host.starts_with(open)) host.remove_prefix(open.size());
  }
  for (const std::string_view close : {"%5D", "%5d", "]"}) {
    if (host.ends_with(close)) host.remove_suffix(close.size());
  }
  return host;
}

std::string Property(const grpc::AuthContext& connection, const char* name) {
  const std::vector<grpc::string_ref> values = connection.FindPropertyValues(name);
  return values.empty() ? std::string() : std::string(values.front().data(), values.front().size());
}

}  // namespace

std::string PeerIp(std::string_view peer) {
  if (!peer.starts_with("ipv4:") && !peer.starts_with("ipv6:")) return {};
  peer.remove_prefix(std::string_view("ipv4:").size());
  const size_t colon = peer.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view host = WithoutBrackets(peer.substr(0, colon));
  host = host.substr(0, host.find('%'));  // the zone of a link-local address
  if (host.starts_with(kMappedIpv4) && host.find('.') != std::string_view::npos) {
    host.remove_prefix(kMappedIpv4.size());
  }
  return CanonicalIp(host).value_or("");
}

bool IsLocal(std::string_view peer) {
  if (peer.starts_with("unix:") || peer.starts_with("unix-abstract:")) return true;
  const std::string ip = PeerIp(peer);
  return ip == "::1" || ip.starts_with("127.");
}

bool HasVerifiedCertificate(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> connection = context.auth_context();
  if (connection == nullptr) return false;
  // "tls" is the name of gRPC's newer credentials, which we use; "ssl" that of the older ones.
  const std::string security = Property(*connection, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  return (security == GRPC_TLS_TRANSPORT_SECURITY_TYPE || security == GRPC_SSL_TRANSPORT_SECURITY_TYPE) &&
         !Property(*connection, GRPC_X509_PEM_CERT_PROPERTY_NAME).empty();
}

bool LocalOrAuthenticated(const grpc::ServerContextBase& context) {
  return IsLocal(context.peer()) || HasVerifiedCertificate(context);
}

}  // namespace hive::coordinator
