#include "common/net/socket.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>

namespace hive {
namespace {

// A socket address of either family, with its length.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

// `ip` in canonical text. Family AF_UNSPEC when it is no address.
SocketAddress MakeAddress(const std::string& ip, uint16_t port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof(sockaddr_in);
    return address;
  }
  address = SocketAddress();
  if (inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof(sockaddr_in6);
    return address;
  }
  return SocketAddress();
}

Endpoint ReadAddress(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN];
  if (address.family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    return {inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text), ntohs(v4->sin_port)};
  }
  if (address.family() != AF_INET6) return {};
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  const uint16_t port = ntohs(v6->sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    return {inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text), port};
  }
  return {inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text), port};
}

void SetOption(const Fd& socket, int level, int name, int value) {
  // Cannot fail for the options used here on a TCP socket; were it to, the connection works without.
  setsockopt(socket.get(), level, name, &value, sizeof value);
}

// What to do about a refused bind or listen.
std::string_view ListenAdvice(int error) {
  switch (error) {
    case EADDRINUSE:
      return ": stop whatever listens there, or choose another address";
    case EACCES:
    case EPERM:
      return ": ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher port";
    case EADDRNOTAVAIL:
      return ": choose an address of this machine, or only a port for all of them";
    case EMFILE:
    case ENFILE:
      return ": raise the limit of open files (ulimit -n)";
    default:
      return "";
  }
}

absl::Status ListenError(const ListenAddress& address, int error) {
  return absl::Status(absl::ErrnoToStatusCode(error), "cannot listen on " + ToString(address) + ": " +
                                                          ErrnoText(error) + std::string(ListenAdvice(error)));
}

absl::Status ConnectError(const Endpoint& endpoint, int error) {
  absl::StatusCode code = absl::ErrnoToStatusCode(error);
  std::string why = ErrnoText(error);
  switch (error) {
    case EADDRNOTAVAIL:
      why = "no local port is free";
      [[fallthrough]];
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      code = absl::StatusCode::kResourceExhausted;
      break;
    default:
      break;
  }
  return absl::Status(code, "cannot connect to " + ToString(endpoint) + ": " + why);
}

constexpr int kSocketType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

// 0, or an errno.
int BindAndListen(const Fd& socket, const SocketAddress& where, const ListenOptions& options) {
  SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.share_port) SetOption(socket, SOL_SOCKET, SO_REUSEPORT, 1);
  if (where.family() == AF_INET6) SetOption(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (bind(socket.get(), where.get(), where.length) != 0) return errno;
  if (!options.only_bind && listen(socket.get(), kListenBacklog) != 0) return errno;
  return 0;
}

}  // namespace

absl::StatusOr<Fd> ListenTcp(const ListenAddress& address, ListenOptions options) {
  SocketAddress where = MakeAddress(address.ip.empty() ? "::" : address.ip, address.port);
  if (where.family() == AF_UNSPEC) return ListenError(address, EINVAL);
  Fd socket(::socket(where.family(), kSocketType, 0));
  int error = socket.valid() ? BindAndListen(socket, where, options) : errno;
  // A machine without IPv6 refuses the family, or (disable_ipv6) has no address of it.
  if (address.ip.empty() && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL)) {
    where = MakeAddress("0.0.0.0", address.port);
    socket = Fd(::socket(AF_INET, kSocketType, 0));
    error = socket.valid() ? BindAndListen(socket, where, options) : errno;
  }
  if (error != 0) return ListenError(address, error);
  return socket;
}

Endpoint LocalEndpoint(const Fd& socket) {
  SocketAddress address;
  if (getsockname(socket.get(), address.get(), &address.length) != 0) return {};
  return ReadAddress(address);
}

Endpoint PeerEndpoint(const Fd& socket) {
  SocketAddress address;
  if (getpeername(socket.get(), address.get(), &address.length) != 0) return {};
  return ReadAddress(address);
}

Fd AcceptTcp(const Fd& listener, int& error) {
  Fd socket;
  do {
    socket = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    error = socket.valid() ? 0 : errno;
  } while (error == EINTR);
  if (socket.valid()) SetNoDelay(socket);
  return socket;
}

absl::StatusOr<Fd> ConnectTcp(const Endpoint& endpoint, int below) {
  const SocketAddress where = MakeAddress(endpoint.ip, endpoint.port);
  if (where.family() == AF_UNSPEC) return ConnectError(endpoint, EINVAL);
  Fd socket(::socket(where.family(), kSocketType, 0));
  if (!socket.valid()) return ConnectError(endpoint, errno);
  if (socket.get() >= below) return ConnectError(endpoint, EMFILE);
  SetNoDelay(socket);
  // EINTR: a non-blocking connect goes on by itself, as with EINPROGRESS.
  if (connect(socket.get(), where.get(), where.length) != 0 && errno != EINPROGRESS && errno != EINTR) {
    return ConnectError(endpoint, errno);
  }
  return socket;
}

absl::Status ConnectResult(const Fd& socket, const Endpoint& endpoint) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  return error == 0 ? absl::OkStatus() : ConnectError(endpoint, error);
}

void SetNoDelay(const Fd& socket) { SetOption(socket, IPPROTO_TCP, TCP_NODELAY, 1); }

void SetKeepAlive(const Fd& socket) {
  const auto seconds = [](Duration d) { return static_cast<int>(ToMillis(d) / 1000); };
  SetOption(socket, IPPROTO_TCP, TCP_KEEPIDLE, seconds(kKeepAliveIdle));
  SetOption(socket, IPPROTO_TCP, TCP_KEEPINTVL, seconds(kKeepAliveInterval));
  SetOption(socket, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
  SetOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void SetUnacknowledgedLimit(const Fd& socket, Duration limit) {
  const int64_t milliseconds = std::clamp<int64_t>(ToMillis(limit), 1, std::numeric_limits<int>::max());
  SetOption(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(milliseconds));
}

void SetUnsentLimit(const Fd& socket, int bytes) { SetOption(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes); }

void SetCorked(const Fd& socket, bool corked) { SetOption(socket, IPPROTO_TCP, TCP_CORK, corked ? 1 : 0); }

size_t SendRoom(const Fd& socket) {
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof memory;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_MEMINFO, memory, &size) != 0) return 0;
  const uint32_t most = memory[SK_MEMINFO_SNDBUF];
  return most - std::min(most, memory[SK_MEMINFO_WMEM_QUEUED]);
}

void SetResetOnClose(const Fd& socket) {
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

std::string ErrnoText(int error) {
  switch (error) {  // the common ones in plain words, the rest as libc has them
    case EACCES:
    case EPERM:
      return "permission denied";
    case EADDRINUSE:
      return "address already in use";
    case EADDRNOTAVAIL:
      return "not an address of this machine";
    case EAFNOSUPPORT:
      return "address family not supported here";
    case ECONNREFUSED:
      return "connection refused";
    case ECONNRESET:
      return "connection reset by peer";
    case EHOSTUNREACH:
      return "no route to host";
    case EINVAL:
      return "not a valid IP address or argument";
    case EMFILE:
    case ENFILE:
      return "too many open files";
    case ENETUNREACH:
      return "network unreachable";
    case ETIMEDOUT:
      return "timed out";
    default:
      return std::string(strerrordesc_np(error) != nullptr ? strerrordesc_np(error) : "unknown error") + " (errno " +
             std::to_string(error) + ")";
  }
}

}  // namespace hive
