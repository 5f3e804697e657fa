// Non-blocking TCP sockets. Every descriptor made here is close-on-exec and non-blocking.
//
// Thread rule: free functions without state; a descriptor belongs to one thread.
// Errors: an absl::Status whose message is a sentence for the user: what failed, at which address, why, and what to do.
#pragma once

#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/fd.h"

namespace hive {

// Connections that wait to be accepted. The kernel caps it at net.core.somaxconn (4096 on Linux 5.4 and later): a
// whole fleet of clients that reconnects at once after a failover must fit.
inline constexpr int kListenBacklog = 4096;

// Keepalive: a peer that has vanished without a word is found after kKeepAliveIdle + kKeepAliveProbes *
// kKeepAliveInterval = 30 s of silence.
inline constexpr Duration kKeepAliveIdle = Seconds(15);
inline constexpr Duration kKeepAliveInterval = Seconds(5);
inline constexpr int kKeepAliveProbes = 3;

struct ListenOptions {
  // SO_REUSEPORT: several sockets (one per event loop) listen on one port and the kernel spreads connections. Such a
  // bind also succeeds beside any other socket of this user that has the option, so find out first, with `only_bind`
  // and without it, whether another process holds the port.
  bool share_port = false;
  // Binds, and does not listen: whoever connects meanwhile is refused, and not reset when the socket is closed.
  bool only_bind = false;
};

// Listens. An empty IP means every address of both families through one socket (IPV6_V6ONLY off), or IPv4 alone on a
// machine without IPv6. SO_REUSEADDR is set, so that a restart is not refused because of old connections.
// Errors: "cannot listen on 10.0.0.1:6380: address already in use: stop whatever listens there, or choose another
// address"; a missing permission and an address that is not this machine's are told as plainly.
absl::StatusOr<Fd> ListenTcp(const ListenAddress& address, ListenOptions options = {});

// Where a bound socket really listens (the port that 0 became); an empty endpoint on error. The ip of a socket that
// listens on all addresses is "::" (or "0.0.0.0").
Endpoint LocalEndpoint(const Fd& socket);

// The peer of a connected socket; an empty endpoint when it is gone. IPv4 peers of a dual-stack listener are given as
// IPv4 ("10.0.0.1", not "::ffff:10.0.0.1").
Endpoint PeerEndpoint(const Fd& socket);

// One connection that waits on `listener`, with TCP_NODELAY set, or a not valid Fd and the reason in `error`:
// EAGAIN: none waits; ECONNABORTED: gone again, try the next; EMFILE, ENFILE, ENOBUFS, ENOMEM: the system is out of
// descriptors or memory: stop accepting for a while, since the listener stays readable.
Fd AcceptTcp(const Fd& listener, int& error);

// Begins to connect, with TCP_NODELAY set. The socket becomes writable when the outcome is known: then ask
// ConnectResult. Fails at once when the kernel can tell at once (no route), or when this host lacks something, which
// says nothing about the peer: kResourceExhausted (no descriptor, memory or local port is free). So it does when the
// descriptor would have a number from `below` on: numbers are given from the lowest on, so fewer than what is beyond
// `below` are free then.
absl::StatusOr<Fd> ConnectTcp(const Endpoint& endpoint, int below = std::numeric_limits<int>::max());

// The outcome of ConnectTcp once the socket has become writable: OK, or "cannot connect to 10.0.0.1:6379: connection
// refused". Reading it clears it.
absl::Status ConnectResult(const Fd& socket, const Endpoint& endpoint);

// Sends small segments at once. ConnectTcp and AcceptTcp have done this already.
void SetNoDelay(const Fd& socket);

// Keepalive probes as above. They run while nothing is unacknowledged, and do not cut a peer that merely reads slowly.
void SetKeepAlive(const Fd& socket);

// Of what is sent, the kernel keeps no more than about this much that has yet to go on its way: a peer that does not
// read costs less than the megabytes that a send buffer may grow to.
void SetUnsentLimit(const Fd& socket, int bytes);

// Bytes that may be sent before the kernel keeps as many as it wants to: about, since it counts what it spends on them,
// too. 0 when it does not say.
size_t SendRoom(const Fd& socket);

// While corked, the kernel keeps what is sent, up to a segment and for 200 ms at most, so that it goes on its way
// together with what follows: the end, too.
void SetCorked(const Fd& socket, bool corked);

// When it is closed, the connection is reset: the peer learns of it at once, and what it has not taken is dropped
// instead of being offered to it for minutes.
void SetResetOnClose(const Fd& socket);

// Cuts a peer that has acknowledged nothing of what was sent for so long (at least 1 ms), or, with its buffer full, has
// taken none of it: ETIMEDOUT.
void SetUnacknowledgedLimit(const Fd& socket, Duration limit);

// "connection refused", "address already in use": the meaning of an errno in plain lower-case words.
std::string ErrnoText(int error);

}  // namespace hive
