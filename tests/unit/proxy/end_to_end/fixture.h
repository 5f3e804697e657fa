// A proxy process between a test and two real redis-servers, led by a fake watch.
//
// Each test process has an address and ports of its own, so that tests may run side by side.
//
// With HIVE_TEST_TLS=clients all of it happens over TLS between clients and the proxy, with HIVE_TEST_TLS=redis between
// the proxy and redis, with HIVE_TEST_TLS=clients,redis over both.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/net/tls_context.h"
#include "tests/unit/common/app/certificates.h"
#include "tests/unit/proxy/end_to_end/child_process.h"
#include "tests/unit/proxy/end_to_end/fake_watch.h"
#include "tests/unit/proxy/end_to_end/resp_client.h"

namespace hive::proxy {

class ProxyTest : public testing::Test {
 protected:
  ProxyTest() {
    const int pid = getpid();
    const std::string ip = "127.0.32." + std::to_string(1 + pid % 250);
    const auto port = [pid](int i) { return static_cast<uint16_t>(10000 + pid % 1900 * 10 + i); };
    proxy_ = {ip, port(0)};
    health_ = {ip, port(1)};
    coordinator_ = {ip, port(2)};
    other_coordinator_ = {ip, port(3)};
    redis_a_ = {ip, port(4)};
    redis_b_ = {ip, port(5)};
    std::string pattern = std::filesystem::temp_directory_path() / "hive-proxy-test-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    const char* tls = getenv("HIVE_TEST_TLS");
    const std::string_view who = tls != nullptr ? tls : "";
    if (who.find("clients") != std::string_view::npos) UseTlsTowardsClients();
    if (who.find("redis") != std::string_view::npos) UseTlsTowardsRedis();
  }
  ~ProxyTest() override {
    if (HasFailure()) {
      for (const auto& file : std::filesystem::directory_iterator(folder_)) {
        if (file.path().extension() == ".log") std::system(("echo; tail -n 12 " + file.path().string()).c_str());
      }
    }
    proxy_process_.reset();
    a_.reset();
    b_.reset();
    std::filesystem::remove_all(folder_);
    for (const Endpoint& server : {proxy_, redis_a_, redis_b_}) RespClient::SpeakTlsTo(server, nullptr);
  }

  std::unique_ptr<ChildProcess> StartRedis(const Endpoint& endpoint, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {redis_server_,
                                          "--bind",
                                          endpoint.ip,
                                          redis_tls_flags_.empty() ? "--port" : "--tls-port",
                                          std::to_string(endpoint.port),
                                          "--save",
                                          "",
                                          "--dir",
                                          folder_,
                                          "--appendonly",
                                          "no",
                                          "--enable-debug-command",
                                          "yes",
                                          "--repl-diskless-sync-delay",
                                          "0"};
    if (!redis_tls_flags_.empty()) arguments.insert(arguments.end(), {"--port", "0"});
    arguments.insert(arguments.end(), redis_tls_flags_.begin(), redis_tls_flags_.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto process =
        std::make_unique<ChildProcess>(arguments, folder_ + "/redis-" + std::to_string(endpoint.port) + ".log");
    for (int i = 0; i < 5; ++i) {
      RespClient client(endpoint);  // waits until it listens
      if (!client.connected()) break;
      client.Send("PING\r\n");
      const std::string reply = client.Reply(1000);
      if (reply == "+PONG\r\n" || reply.starts_with("-NOAUTH")) return process;
      usleep(10000);
    }
    ADD_FAILURE() << "redis-server does not answer at " << ToString(endpoint);
    return process;
  }

  // The next proxy serves with TLS, with files that lie in folder_: tls.crt, tls.key, ca.crt. Clients show a
  // certificate, asked or not.
  void UseTlsTowardsClients() {
    if (!authority_) authority_ = std::make_unique<Authority>("hive");
    const Certificate own = authority_->Issue("proxy");
    proxy_tls_flags_ = {"--tls-cert=" + Put("tls.crt", own.pem), "--tls-key=" + Put("tls.key", own.key_pem),
                        "--tls-ca=" + Put("ca.crt", authority_->pem())};
    const Certificate client = authority_->Issue("client");
    client_tls_ = ClientTls(*authority_, &client);
    RespClient::SpeakTlsTo(proxy_, client_tls_);
  }
  // The next redis-servers speak nothing but TLS, among themselves, too, and ask for a certificate; the next proxy
  // speaks it to them. Files: redis.crt, redis.key, redis-ca.crt.
  void UseTlsTowardsRedis() {
    if (!authority_) authority_ = std::make_unique<Authority>("hive");
    const Certificate own = authority_->Issue("redis");
    const std::string certificate = Put("redis.crt", own.pem), key = Put("redis.key", own.key_pem);
    const std::string authority = Put("redis-ca.crt", authority_->pem());
    redis_tls_flags_ = {"--tls-cert-file",    certificate, "--tls-key-file",    key,
                        "--tls-ca-cert-file", authority,   "--tls-replication", "yes"};
    proxy_tls_flags_.insert(proxy_tls_flags_.end(), {"--redis-tls", "--redis-tls-cert=" + certificate,
                                                     "--redis-tls-key=" + key, "--redis-tls-ca=" + authority});
    for (const Endpoint& redis : {redis_a_, redis_b_}) RespClient::SpeakTlsTo(redis, ClientTls(*authority_, &own));
  }
  // What a client brings along: whom it trusts, and its certificate, which may be null.
  static std::shared_ptr<const TlsContext> ClientTls(const Authority& authority, const Certificate* certificate) {
    return *TlsContext::Make(TlsContext::Side::kClient,
                             {certificate != nullptr ? certificate->pem : "",
                              certificate != nullptr ? certificate->key_pem : "", authority.pem()},
                             TlsContext::PeerCertificate::kRequired);
  }
  // Writes a file, in one step as a Secret's volume does, and returns its path.
  std::string Put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name + ".new", std::ios::trunc) << text;
    std::filesystem::rename(folder_ + "/" + name + ".new", folder_ + "/" + name);
    return folder_ + "/" + name;
  }

  void StartProxy(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {HIVE_PROXY_BINARY,
                                          "--listen=" + ToString(proxy_),
                                          "--health-listen=" + ToString(health_),
                                          "--metrics-listen=",
                                          "--coordinator=" + ToString(coordinator_),
                                          "--threads=1",
                                          "--log-level=debug"};
    arguments.insert(arguments.end(), proxy_tls_flags_.begin(), proxy_tls_flags_.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    if (open_files_ > 0) {
      const std::string limit = std::to_string(open_files_);
      arguments.insert(arguments.begin(), {"prlimit", "--nofile=" + limit + ":" + limit});
    }
    proxy_process_ = std::make_unique<ChildProcess>(arguments, folder_ + "/proxy.log");
  }

  // Redis A leads, and the proxy serves.
  void StartAll(std::vector<std::string> proxy_flags = {}) {
    a_ = StartRedis(redis_a_);
    b_ = StartRedis(redis_b_);
    watch_ = std::make_unique<FakeWatch>(coordinator_);
    watch_->SetLeader(1, redis_a_);
    StartProxy(std::move(proxy_flags));
    RespClient first(proxy_);
    EXPECT_EQ(first.Command({"PING"}), "+PONG\r\n");
  }

  // A leads, B replicates it.
  void StartPair(std::vector<std::string> proxy_flags = {}) {
    StartAll(std::move(proxy_flags));
    Replicate(redis_b_, redis_a_);
    AwaitInSync(redis_a_, redis_b_);
    // After a first sync the master streams nothing before the replica's first acknowledgement, up to a second later.
    Direct(redis_a_, {"PUBLISH", "first", "of all"});
    const std::string offset = Info(redis_a_, "master_repl_offset");
    for (int i = 0; i < 3000 && Info(redis_a_, "slave0").find(",offset=" + offset + ",") == std::string::npos; ++i)
      usleep(1000);
  }

  void Replicate(const Endpoint& replica, const Endpoint& master) {
    EXPECT_EQ(Direct(replica, {"REPLICAOF", master.ip, std::to_string(master.port)}), "+OK\r\n");
  }
  std::string Info(const Endpoint& redis, const std::string& field) {
    RespClient client(redis);
    return Info(client, field);
  }
  static std::string Info(RespClient& redis, const std::string& field) {
    const std::string info = redis.Command({"INFO", "replication"});
    const size_t at = info.find("\n" + field + ":");
    if (at == std::string::npos) return "";
    const size_t begin = at + field.size() + 2;
    return info.substr(begin, info.find('\r', begin) - begin);
  }
  void AwaitInSync(const Endpoint& master, const Endpoint& replica) {
    // On connections that are there: under load the two are never equal to who takes long between the looks.
    RespClient from(master), to(replica);
    for (int i = 0; i < 5000; ++i) {
      if (Info(to, "master_link_status") == "up" && Info(to, "slave_repl_offset") == Info(from, "master_repl_offset")) {
        return;
      }
      usleep(1000);
    }
    ADD_FAILURE() << ToString(replica) << " does not catch up with " << ToString(master);
  }

  // Redis B leads from now on; A stays as it is.
  void Switch(uint64_t term = 2) { watch_->SetLeader(term, redis_b_, term); }

  // Waits until the proxy has surely heard what the watch says: longer than a hop between threads takes.
  void AwaitHeard() {
    watch_->AwaitHeard();
    usleep(100000);
  }

  // A command straight to a redis.
  std::string Direct(const Endpoint& redis, std::initializer_list<std::string_view> arguments) {
    return RespClient(redis).Command(arguments);
  }

  Endpoint proxy_, health_, coordinator_, other_coordinator_, redis_a_, redis_b_;
  std::unique_ptr<Authority> authority_;  // with TLS: of all certificates
  std::shared_ptr<const TlsContext> client_tls_;
  std::vector<std::string> proxy_tls_flags_, redis_tls_flags_;
  int open_files_ = 0;                         // not 0: as many may the proxy have
  std::string redis_server_ = "redis-server";  // or another server of that kind, in PATH
  std::string folder_;
  std::unique_ptr<ChildProcess> a_, b_, proxy_process_;
  std::unique_ptr<FakeWatch> watch_;
};

}  // namespace hive::proxy
