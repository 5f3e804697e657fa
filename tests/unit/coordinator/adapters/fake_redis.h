// A redis-server that says what the test wants: it reads commands and answers each with what a function makes of it.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/net/socket.h"

namespace hive::coordinator {

class FakeRedis {
 public:
  // The answer to a command whose words are joined by blanks ("CONFIG SET masterauth x"), as RESP; nothing = silence.
  // Called on the server's thread.
  using Answer = std::function<std::optional<std::string>(const std::string& command)>;

  explicit FakeRedis(Answer answer) : answer_(std::move(answer)) { Start(0); }
  ~FakeRedis() { Stop(); }

  // Closes everything, as a killed process does.
  void Stop() {
    if (!thread_.joinable()) return;
    ending_ = true;
    thread_.join();
  }
  // Again on the same port.
  void Restart() { Start(port_); }
  uint16_t port() const { return port_; }

  static std::string Bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  }
  // An INFO that says this.
  static std::string Info(const std::string& run_id, const std::string& rest, const std::string& version = "7.0.15") {
    return Bulk("redis_version:" + version + "\r\nrun_id:" + run_id + "\r\n" + rest);
  }

 private:
  struct Client {
    Fd socket;
    std::string bytes;
  };

  void Start(uint16_t port) {
    auto listener = ListenTcp({"127.0.0.1", port});
    if (!listener.ok()) std::abort();
    listener_ = *std::move(listener);
    port_ = LocalEndpoint(listener_).port;
    ending_ = false;
    thread_ = std::thread([this] { Run(); });
  }

  void Run() {
    std::list<Client> clients;
    while (!ending_) {
      std::vector<pollfd> polled{{listener_.get(), POLLIN, 0}};
      for (const Client& client : clients) polled.push_back({client.socket.get(), POLLIN, 0});
      ::poll(polled.data(), polled.size(), 5);
      int error = 0;
      if (Fd socket = AcceptTcp(listener_, error); socket.valid()) clients.push_back({std::move(socket), ""});
      clients.remove_if([this](Client& client) { return !Serve(client); });
    }
    listener_.Close();
  }

  // False when the client is gone.
  bool Serve(Client& client) {
    char buffer[4096];
    const ssize_t n = ::recv(client.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0) return false;
    if (n > 0) client.bytes.append(buffer, static_cast<size_t>(n));
    while (const auto command = Parse(client.bytes)) {
      const auto answer = answer_(*command);
      if (answer) (void)!::send(client.socket.get(), answer->data(), answer->size(), MSG_NOSIGNAL);
    }
    return true;
  }

  // One whole command off the front of `bytes`. The words hold no CRLF here.
  static std::optional<std::string> Parse(std::string& bytes) {
    size_t at = 0;
    const auto next = [&]() -> std::optional<std::string> {
      const size_t begin = at;
      const size_t end = bytes.find("\r\n", begin);
      if (end == std::string::npos) return std::nullopt;
      at = end + 2;
      return bytes.substr(begin, end - begin);
    };
    const auto count = next();
    if (!count) return std::nullopt;
    std::string command;
    for (int i = 0; i < std::stoi(count->substr(1)); ++i) {
      if (!next()) return std::nullopt;  // the length
      const auto word = next();
      if (!word) return std::nullopt;
      command += (i == 0 ? "" : " ") + *word;
    }
    bytes.erase(0, at);
    return command;
  }

  const Answer answer_;
  Fd listener_;
  uint16_t port_ = 0;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace hive::coordinator
