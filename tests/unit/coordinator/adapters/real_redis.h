// A redis-server process of a test's own, on a loopback port that was free: started, stopped, killed and restarted.
//
// Thread rule: the test's thread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/net/clock.h"
#include "common/net/socket.h"
#include "coordinator/adapters/redis_connection.h"

namespace hive::coordinator {

class RealRedis {
 public:
  // `options`: more of redis-server's command line ("--requirepass", "x").
  explicit RealRedis(std::vector<std::string> options = {}) : options_(std::move(options)) {
    auto listener = ListenTcp({"127.0.0.1", 0});
    if (!listener.ok()) std::abort();
    endpoint_ = {"127.0.0.1", LocalEndpoint(*listener).port};
    listener->Close();
    std::string pattern = (std::filesystem::temp_directory_path() / "hive-redis-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    Start();
  }
  ~RealRedis() {
    Kill();
    std::filesystem::remove_all(folder_);
  }
  RealRedis(const RealRedis&) = delete;
  RealRedis& operator=(const RealRedis&) = delete;

  // Is there a redis-server in PATH?
  static bool Installed() { return std::system("command -v redis-server > /dev/null") == 0; }

  const Endpoint& endpoint() const { return endpoint_; }
  void Signal(int signal) const { ::kill(pid_, signal); }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  void Restart() {
    Kill();
    Start();
  }

  // On a connection of its own, so that it cannot be confused with what is tested.
  RedisReply Ask(const std::vector<std::string>& command, const std::string& password = "") const {
    RedisConnection connection(-1);
    connection.Connect(endpoint_, Seconds(5));
    Authenticate(connection, {"", password}, Seconds(5));
    return connection.Execute(command, Seconds(5)).value_or(RedisReply{RedisReply::Kind::kError, "no answer", 0, {}});
  }

 private:
  void Start() {
    std::vector<std::string> words{"redis-server", "--bind", endpoint_.ip,   "--port", std::to_string(endpoint_.port),
                                   "--save",       "",       "--appendonly", "no",     "--dir",
                                   folder_};
    words.insert(words.end(), options_.begin(), options_.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
      ::dup2(null, 1);
      ::dup2(null, 2);
      ::close_range(3, ~0u, 0);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    const Instant deadline = ReadMonotonicClock() + Seconds(20);
    for (RedisConnection connection(-1); ReadMonotonicClock() < deadline; ::usleep(2000)) {
      if (connection.Connect(endpoint_, Seconds(1)) != TcpOutcome::kConnected) continue;
      if (connection.Execute({"PING"}, Seconds(1))) return;  // an error is an answer
    }
    ADD_FAILURE() << "redis-server does not answer at " << ToString(endpoint_);
  }

  const std::vector<std::string> options_;
  Endpoint endpoint_;
  std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace hive::coordinator
