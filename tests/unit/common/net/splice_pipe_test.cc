// Goal: what goes through a pipe comes out as it went in, however little the receiver takes. Method: real sockets on
// loopback.
#include "common/net/splice_pipe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "common/net/local_addresses.h"
#include "common/net/socket.h"

namespace hive {
namespace {

// The two ends of a connection, which do not block.
struct Connection {
  Connection() {
    const absl::StatusOr<Fd> listener = ListenTcp({"127.0.30.3", 0}, {});
    EXPECT_TRUE(listener.ok()) << listener.status();
    absl::StatusOr<Fd> socket = ConnectTcp(LocalEndpoint(*listener));
    EXPECT_TRUE(socket.ok()) << socket.status();
    near = *std::move(socket);
    while (!far.valid()) far = Fd(::accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }

  Fd near;
  Fd far;
};

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 251);
  return text;
}

// Writes as much of it as the kernel takes, and forgets that.
void WriteSome(const Fd& socket, std::string_view& bytes) {
  const ssize_t n = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
}

void ReadSome(const Fd& socket, std::string& bytes) {
  std::array<char, 65536> buffer;
  const ssize_t n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
  if (n > 0) bytes.append(buffer.data(), static_cast<size_t>(n));
}

TEST(SplicePipeTest, PassesOnWhatComes) {
  const Connection from, to;
  SplicePipe pipe;
  ASSERT_TRUE(pipe.valid());
  const std::string sent = Pattern(5'000'001);
  std::string_view rest = sent;
  std::string received;
  while (received.size() < sent.size()) {
    WriteSome(from.near, rest);
    if (pipe.size() == 0) pipe.Fill(from.far, SIZE_MAX);
    pipe.Drain(to.near);
    ReadSome(to.far, received);
  }
  EXPECT_EQ(received, sent);
  EXPECT_EQ(pipe.size(), 0u);
}

TEST(SplicePipeTest, TakesNoMoreThanItIsTold) {
  const Connection from;
  SplicePipe pipe;
  ASSERT_EQ(::send(from.near.get(), "inside+behind", 13, 0), 13);
  ssize_t n = -1;
  while (n < 0) n = pipe.Fill(from.far, 6);
  EXPECT_EQ(n, 6);
  EXPECT_EQ(pipe.size(), 6u);
  std::string behind;
  while (behind.empty()) ReadSome(from.far, behind);
  EXPECT_EQ(behind, "+behind");
}

TEST(SplicePipeTest, TellsTheEndAndThatThereIsNothing) {
  Connection from;
  SplicePipe pipe;
  EXPECT_EQ(pipe.Fill(from.far, 100), -1);
  EXPECT_EQ(errno, EAGAIN);
  from.near.Close();
  ssize_t n = -1;
  while (n < 0) n = pipe.Fill(from.far, 100);
  EXPECT_EQ(n, 0);
}

TEST(SplicePipeTest, WhatIsNotTakenIsTakenBack) {
  const Connection from, to;
  SplicePipe pipe;
  const std::string sent = Pattern(32 << 20);
  std::string_view rest = sent;
  std::string kept, received;
  size_t taken = 0;
  std::array<char, 1000> buffer;
  while (kept.empty()) {  // until nobody takes any more
    WriteSome(from.near, rest);
    pipe.Fill(from.far, SIZE_MAX);
    const ssize_t n = pipe.Drain(to.near);
    if (n > 0) taken += static_cast<size_t>(n);
    if (n < 0 && pipe.size() > 0) {
      EXPECT_EQ(errno, EAGAIN);
    }
    while (pipe.size() > 0) kept += pipe.Take(buffer);
  }
  EXPECT_EQ(pipe.size(), 0u);
  while (received.size() < taken) ReadSome(to.far, received);
  EXPECT_EQ(received + kept, sent.substr(0, taken + kept.size()));
}

TEST(SplicePipeTest, ABrokenReceiverIsAnError) {
  std::signal(SIGPIPE, SIG_IGN);
  const Connection from;
  Connection to;
  SplicePipe pipe;
  SetResetOnClose(to.far);
  to.far.Close();
  ssize_t n = 1;
  while (n > 0 || errno == EAGAIN) {
    ASSERT_EQ(::send(from.near.get(), "x", 1, 0), 1);
    while (pipe.size() == 0) pipe.Fill(from.far, 1);
    n = pipe.Drain(to.near);
  }
  EXPECT_TRUE(errno == EPIPE || errno == ECONNRESET) << errno;
  EXPECT_EQ(pipe.size(), 1u);
}

}  // namespace
}  // namespace hive
