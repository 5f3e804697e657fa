// Goal: sockets come out as documented, and refusals as sentences. Method: real sockets on loopback, ports of the
// kernel's choice.
#include "common/net/socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "common/net/local_addresses.h"

namespace hive {
namespace {

int Option(const Fd& socket, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  getsockopt(socket.get(), level, name, &value, &length);
  return value;
}

bool Becomes(const Fd& socket, short events) {
  pollfd entry{socket.get(), events, 0};
  return poll(&entry, 1, 5000) == 1;
}

Fd MustListen(const ListenAddress& address, ListenOptions options = {}) {
  absl::StatusOr<Fd> socket = ListenTcp(address, options);
  EXPECT_TRUE(socket.ok()) << socket.status();
  return socket.ok() ? std::move(*socket) : Fd();
}

TEST(FdTest, ClosesOnceAndMoves) {
  int pair[2];
  ASSERT_EQ(pipe(pair), 0);
  Fd reader(pair[0]);
  {
    Fd writer(pair[1]);
    Fd moved = std::move(writer);
    EXPECT_EQ(moved.get(), pair[1]);
    reader = std::move(reader);  // NOLINT: onto itself
    EXPECT_TRUE(reader.valid());
  }
  char byte;
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);  // the writing end is closed
  const Fd owner(reader.Release());
  EXPECT_FALSE(reader.valid());
}

TEST(SocketTest, ConnectsAndAccepts) {
  const Fd listener = MustListen({"127.0.30.1", 0});
  const Endpoint server = LocalEndpoint(listener);
  EXPECT_EQ(server.ip, "127.0.30.1");
  int error = 0;
  EXPECT_FALSE(AcceptTcp(listener, error).valid());
  EXPECT_EQ(error, EAGAIN);

  absl::StatusOr<Fd> client = ConnectTcp(server);
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(Becomes(*client, POLLOUT));
  EXPECT_TRUE(ConnectResult(*client, server).ok());
  ASSERT_TRUE(Becomes(listener, POLLIN));
  const Fd accepted = AcceptTcp(listener, error);
  ASSERT_TRUE(accepted.valid());
  EXPECT_EQ(error, 0);
  EXPECT_EQ(PeerEndpoint(accepted), LocalEndpoint(*client));
  for (const Fd* socket : {std::as_const(client).operator->(), &accepted}) {
    EXPECT_NE(Option(*socket, IPPROTO_TCP, TCP_NODELAY), 0);
    char byte;
    EXPECT_EQ(recv(socket->get(), &byte, 1, 0), -1);
    EXPECT_EQ(errno, EAGAIN);
  }
}

TEST(SocketTest, ARefusedConnectionSaysSo) {
  Endpoint nobody;
  { nobody = LocalEndpoint(MustListen({"127.0.30.1", 0})); }
  absl::StatusOr<Fd> client = ConnectTcp(nobody);
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(Becomes(*client, POLLOUT));
  EXPECT_EQ(ConnectResult(*client, nobody).message(), "cannot connect to " + ToString(nobody) + ": connection refused");
}

TEST(SocketTest, AllAddressesMeansBothFamilies) {
  const Fd listener = MustListen({"", 0});
  const uint16_t port = LocalEndpoint(listener).port;
  const std::vector<std::string> local = LocalAddresses::Read().all();
  const bool has_v6 = std::find(local.begin(), local.end(), "::1") != local.end();
  std::vector<std::string> ips = {"127.0.30.2"};
  if (has_v6) ips.push_back("::1");
  for (const std::string& ip : ips) {
    const absl::StatusOr<Fd> client = ConnectTcp({ip, port});
    ASSERT_TRUE(client.ok()) << client.status();
    ASSERT_TRUE(Becomes(*client, POLLOUT));
    ASSERT_TRUE(ConnectResult(*client, {ip, port}).ok()) << ip;
    ASSERT_TRUE(Becomes(listener, POLLIN));
    int error = 0;
    // An IPv4 peer is shown as one, not as an IPv4-mapped IPv6 address.
    EXPECT_EQ(PeerEndpoint(AcceptTcp(listener, error)), LocalEndpoint(*client));
  }
}

TEST(SocketTest, APortInUseIsOneSentence) {
  const Fd holder = MustListen({"127.0.30.1", 0});
  const Endpoint held = LocalEndpoint(holder);
  const absl::StatusOr<Fd> second = ListenTcp({held.ip, held.port});
  EXPECT_EQ(second.status().message(),
            "cannot listen on " + ToString(held) +
                ": address already in use: stop whatever listens there, or choose another address");
  EXPECT_FALSE(ListenTcp({"", held.port}).ok());  // all addresses: this one too
}

TEST(SocketTest, ASharedPortIsSharedOnlyAmongThoseThatAgree) {
  const Fd first = MustListen({"127.0.30.1", 0}, {.share_port = true});
  const Endpoint shared = LocalEndpoint(first);
  const Fd second = MustListen({shared.ip, shared.port}, {.share_port = true});
  EXPECT_FALSE(ListenTcp({shared.ip, shared.port}).ok());
  EXPECT_FALSE(ListenTcp({shared.ip, shared.port}, {.only_bind = true}).ok());
}

// A client that comes while a port is probed would be reset when the probe ends.
TEST(SocketTest, AProbeOfAPortTakesNoClients) {
  const Fd probe = MustListen({"127.0.30.1", 0}, {.only_bind = true});
  const Fd client = *ConnectTcp(LocalEndpoint(probe));
  pollfd ready{client.get(), POLLOUT, 0};
  ASSERT_EQ(poll(&ready, 1, 1000), 1);
  EXPECT_NE(ready.revents & POLLERR, 0);
}

TEST(SocketTest, AForeignAddressIsOneSentence) {
  EXPECT_EQ(
      ListenTcp({"192.0.2.1", 7400}).status().message(),
      "cannot listen on 192.0.2.1:7400: not an address of this machine: choose an address of this machine, or only "
      "a port for all of them");
  EXPECT_FALSE(ListenTcp({"nonsense", 7400}).ok());
  EXPECT_FALSE(ConnectTcp({"nonsense", 7400}).ok());
}

TEST(SocketTest, KeepAliveFindsADeadPeerInThirtySeconds) {
  const Fd listener = MustListen({"127.0.30.1", 0});
  const absl::StatusOr<Fd> client = ConnectTcp(LocalEndpoint(listener));
  ASSERT_TRUE(client.ok());
  SetKeepAlive(*client);
  EXPECT_EQ(Option(*client, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(Option(*client, IPPROTO_TCP, TCP_KEEPIDLE) +
                Option(*client, IPPROTO_TCP, TCP_KEEPCNT) * Option(*client, IPPROTO_TCP, TCP_KEEPINTVL),
            30);
}

TEST(SocketTest, UnacknowledgedLimit) {
  const Fd listener = MustListen({"127.0.30.1", 0});
  const absl::StatusOr<Fd> client = ConnectTcp(LocalEndpoint(listener));
  ASSERT_TRUE(client.ok());
  SetUnacknowledgedLimit(*client, Seconds(10));
  EXPECT_EQ(Option(*client, IPPROTO_TCP, TCP_USER_TIMEOUT), 10000);
  SetUnacknowledgedLimit(*client, Duration::zero());
  EXPECT_EQ(Option(*client, IPPROTO_TCP, TCP_USER_TIMEOUT), 1);  // 0 would be the kernel's default
}

// Without, megabytes are taken.
TEST(SocketTest, UnsentLimitBoundsWhatAPeerThatDoesNotReadCosts) {
  const Fd listener = MustListen({"127.0.30.1", 0});
  const int small = 16 * 1024;
  setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const absl::StatusOr<Fd> client = ConnectTcp(LocalEndpoint(listener));
  ASSERT_TRUE(client.ok());
  int error = 0;
  ASSERT_TRUE(Becomes(listener, POLLIN));
  const Fd peer = AcceptTcp(listener, error);
  SetUnsentLimit(*client, 64 * 1024);
  const std::string piece(16 * 1024, 'x');
  size_t taken = 0;
  for (int i = 0; i < 50; ++i) {  // some of it goes on its way meanwhile
    ssize_t n = 0;
    while ((n = send(client->get(), piece.data(), piece.size(), MSG_NOSIGNAL)) > 0) taken += static_cast<size_t>(n);
    usleep(2000);
  }
  EXPECT_GE(taken, 64u * 1024);
  EXPECT_LT(taken, 512u * 1024);
}

TEST(SocketTest, SendRoomIsAboutWhatIsTaken) {
  const Fd listener = MustListen({"127.0.30.1", 0});
  const absl::StatusOr<Fd> client = ConnectTcp(LocalEndpoint(listener));
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(Becomes(*client, POLLOUT));
  const std::string piece(64 * 1024, 'x');
  EXPECT_GT(SendRoom(*client), 16u * 1024);
  for (int i = 0; i < 50; ++i) {  // until neither end takes any more
    while (send(client->get(), piece.data(), piece.size(), MSG_NOSIGNAL) > 0) continue;
    usleep(2000);
  }
  EXPECT_LT(SendRoom(*client), 64u * 1024);
  EXPECT_EQ(SendRoom(Fd()), 0u);
}

TEST(SocketTest, ResetOnCloseIsToldBehindWhatHasCome) {
  const Fd listener = MustListen({"127.0.30.1", 0});
  const absl::StatusOr<Fd> client = ConnectTcp(LocalEndpoint(listener));
  ASSERT_TRUE(client.ok());
  int error = 0;
  ASSERT_TRUE(Becomes(listener, POLLIN));
  Fd peer = AcceptTcp(listener, error);
  SetResetOnClose(peer);
  ASSERT_EQ(send(peer.get(), "x", 1, MSG_NOSIGNAL), 1);
  ASSERT_TRUE(Becomes(*client, POLLIN));
  peer.Close();
  ASSERT_TRUE(Becomes(*client, POLLERR));
  char byte;
  EXPECT_EQ(recv(client->get(), &byte, 1, 0), 1);
  EXPECT_EQ(recv(client->get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

// Numbers are given from the lowest on, and 0 to 2 are taken.
TEST(SocketTest, ADescriptorThatIsSetAsideIsNotTaken) {
  const Fd listener = MustListen({"127.0.30.1", 0});
  const absl::StatusOr<Fd> client = ConnectTcp(LocalEndpoint(listener), /*below=*/3);
  EXPECT_TRUE(absl::IsResourceExhausted(client.status())) << client.status();
  EXPECT_THAT(std::string(client.status().message()), testing::HasSubstr("too many open files"));
}

TEST(ErrnoTextTest, IsPlainAndNeverEmpty) {
  EXPECT_EQ(ErrnoText(ECONNREFUSED), "connection refused");
  EXPECT_EQ(ErrnoText(EACCES), "permission denied");
  EXPECT_THAT(ErrnoText(EPIPE), testing::HasSubstr("errno 32"));
  EXPECT_THAT(ErrnoText(99999), testing::HasSubstr("unknown"));
}

TEST(LocalAddressesTest, TheWholeLoopbackNetworkIsLocal) {
  const LocalAddresses local = LocalAddresses::Read();
  EXPECT_TRUE(local.Contains("127.0.0.1"));
  EXPECT_TRUE(local.Contains("127.0.30.9"));
  EXPECT_FALSE(local.Contains("192.0.2.1"));
  EXPECT_FALSE(local.Contains("2001:db8::1"));
  EXPECT_FALSE(local.Contains(""));
  EXPECT_TRUE(std::is_sorted(local.all().begin(), local.all().end()));
  EXPECT_THAT(local.Among({"192.0.2.1", "127.0.0.12", "127.0.0.11"}), testing::ElementsAre("127.0.0.12", "127.0.0.11"));
}

}  // namespace
}  // namespace hive
