#include "tests/unit/proxy/end_to_end/resp_client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "proxy/resp/replies.h"

namespace hive::proxy {
namespace {

int64_t NowMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

RespClient::RespClient(const Endpoint& server, int attempts) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port);
  inet_pton(AF_INET, server.ip.c_str(), &address.sin_addr);
  for (int i = 0; i < attempts; ++i) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      fd_ = std::move(fd);
      return;
    }
    usleep(10000);
  }
}

void RespClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void RespClient::SendCommand(std::initializer_list<std::string_view> arguments) { Send(resp::MakeRequest(arguments)); }

std::string RespClient::Command(std::initializer_list<std::string_view> arguments) {
  SendCommand(arguments);
  return Reply();
}

std::string RespClient::Reply(int deadline_ms) {
  const int64_t end = NowMillis() + deadline_ms;
  std::string chunk(1 << 20, '\0');
  for (;;) {
    if (!received_.empty() && scanner_.Scan(received_) == resp::ReplyStatus::kReply) {
      std::string reply = received_.substr(0, scanner_.size());
      received_.erase(0, scanner_.size());
      return reply;
    }
    pollfd poll_fd{fd_.get(), POLLIN, 0};
    const int64_t left = end - NowMillis();
    if (left <= 0 || poll(&poll_fd, 1, static_cast<int>(left)) <= 0) return "<nothing>";
    const ssize_t n = recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (n <= 0) return "<closed>";
    received_.append(chunk.data(), static_cast<size_t>(n));
  }
}

bool RespClient::Quiet(int ms) {
  if (!received_.empty()) return false;
  pollfd poll_fd{fd_.get(), POLLIN, 0};
  return poll(&poll_fd, 1, ms) == 0;
}

bool RespClient::Closes(int deadline_ms) {
  const int64_t end = NowMillis() + deadline_ms;
  for (;;) {
    pollfd poll_fd{fd_.get(), POLLIN, 0};
    const int64_t left = end - NowMillis();
    if (left <= 0 || poll(&poll_fd, 1, static_cast<int>(left)) <= 0) return false;
    char buffer[65536];
    if (recv(fd_.get(), buffer, sizeof buffer, 0) <= 0) return true;
  }
}

bool RespClient::SeesEnd() const {
  char byte;
  const ssize_t n = recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

void RespClient::HalfClose() { shutdown(fd_.get(), SHUT_WR); }

}  // namespace hive::proxy
