#include "tests/unit/proxy/end_to_end/resp_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <utility>

#include "common/net/poller.h"
#include "proxy/resp/replies.h"

namespace hive::proxy {
namespace {

int64_t NowMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::map<std::string, std::shared_ptr<const TlsContext>>& TlsServers() {
  static std::map<std::string, std::shared_ptr<const TlsContext>> servers;
  return servers;
}

}  // namespace

void RespClient::SpeakTlsTo(const Endpoint& server, std::shared_ptr<const TlsContext> tls) {
  TlsServers()[ToString(server)] = std::move(tls);
}

RespClient::RespClient(const Endpoint& server, int attempts) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port);
  inet_pton(AF_INET, server.ip.c_str(), &address.sin_addr);
  for (int i = 0; i < attempts; ++i) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      const auto tls = TlsServers().find(ToString(server));
      if (tls == TlsServers().end() || !tls->second) {
        stream_ = Stream(std::move(fd));
        return;
      }
      fcntl(fd.get(), F_SETFL, O_NONBLOCK);
      stream_ = Stream(std::move(fd), *tls->second);
      stream_.InterestFor(Poller::kReadable);
      if (!ShakeHands()) stream_.Close();
      return;
    }
    usleep(10000);
  }
}

bool RespClient::ShakeHands() {
  const int64_t end = NowMillis() + kDeadlineSeconds * 1000;
  for (;;) {
    const TlsStream::Progress progress = stream_.tls()->Handshake();
    if (progress != TlsStream::Progress::kUnderWay) return progress == TlsStream::Progress::kDone;
    pollfd poll_fd{stream_.fd().get(), POLLIN, 0};
    const int64_t left = end - NowMillis();
    if (left <= 0 || poll(&poll_fd, 1, static_cast<int>(left)) <= 0) return false;
  }
}

void RespClient::Send(std::string_view bytes) {
  while (!bytes.empty() || stream_.unsent() > 0) {
    const ssize_t n = stream_.Write(bytes);
    if (n < 0 && errno != EAGAIN) return;
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
    pollfd poll_fd{stream_.fd().get(), POLLOUT, 0};
    if (!bytes.empty() || stream_.unsent() > 0) poll(&poll_fd, 1, kDeadlineSeconds * 1000);
  }
}

void RespClient::SendCommand(std::initializer_list<std::string_view> arguments) { Send(resp::MakeRequest(arguments)); }

std::string RespClient::Command(std::initializer_list<std::string_view> arguments) {
  SendCommand(arguments);
  return Reply();
}

RespClient::Event RespClient::Receive(int64_t deadline_ms) {
  static thread_local std::string chunk(1 << 20, '\0');
  if (!connected()) return Event::kEnd;
  for (;;) {
    // TLS may know of the end already, which had come with what was read before.
    if (stream_.tls() != nullptr && stream_.OnReady(0) != 0) return Event::kEnd;
    pollfd poll_fd{stream_.fd().get(), POLLIN, 0};
    const int64_t left = std::max<int64_t>(0, deadline_ms - NowMillis());
    if (poll(&poll_fd, 1, static_cast<int>(left)) <= 0) return Event::kNothing;
    const ssize_t n = stream_.Read(chunk.data(), chunk.size());
    if (n < 0 && errno == EAGAIN) continue;  // TLS has news, the server has none
    if (n <= 0) return Event::kEnd;
    received_.append(chunk.data(), static_cast<size_t>(n));
    return Event::kBytes;
  }
}

std::string RespClient::Reply(int deadline_ms) {
  const int64_t end = NowMillis() + deadline_ms;
  for (;;) {
    if (!received_.empty() && scanner_.Scan(received_) == resp::ReplyStatus::kReply) {
      std::string reply = received_.substr(0, scanner_.size());
      received_.erase(0, scanner_.size());
      return reply;
    }
    const Event event = Receive(end);
    if (event != Event::kBytes) return event == Event::kEnd ? "<closed>" : "<nothing>";
  }
}

bool RespClient::Quiet(int ms) { return received_.empty() && Receive(NowMillis() + ms) == Event::kNothing; }

bool RespClient::Closes(int deadline_ms) {
  const int64_t end = NowMillis() + deadline_ms;
  for (;;) {
    const Event event = Receive(end);
    received_.clear();
    if (event != Event::kBytes) return event == Event::kEnd;
  }
}

bool RespClient::SeesEnd() {
  if (stream_.tls() != nullptr) return Receive(0) == Event::kEnd;  // what comes with TLS is not the end
  char byte;
  const ssize_t n = recv(stream_.fd().get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

void RespClient::HalfClose() { stream_.EndWriting(); }

}  // namespace hive::proxy
