// Goal: over TLS commands mean what they mean without; who has no right to be heard is not; certificates are replaced
// under load; who does not finish a handshake, or speaks no TLS, harms nobody.
// Method: the proxy with certificates of an authority that the test makes; redis's own tools, clients of ours, and
// sockets that misbehave. HIVE_TEST_TLS (fixture.h) runs all other tests of this folder over TLS.
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "common/net/socket.h"
#include "proxy/resp/replies.h"
#include "proxy/worker/limits.h"
#include "tests/unit/proxy/end_to_end/crowd.h"
#include "tests/unit/proxy/end_to_end/fixture.h"

namespace hive::proxy {
namespace {

class TlsTest : public ProxyTest {
 protected:
  TlsTest() {
    if (!authority_) UseTlsTowardsClients();
  }
  // A shell command's output, both streams, and its exit status if that is not 0.
  static std::string Run(const std::string& command) {
    std::string output;
    FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
    std::array<char, 4096> buffer;
    for (size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), n);
    const int status = pclose(pipe);
    return status == 0 ? output : output + "status " + std::to_string(WEXITSTATUS(status));
  }
  std::string ProxyLog() const {
    std::ostringstream text;
    text << std::ifstream(folder_ + "/proxy.log").rdbuf();
    return text.str();
  }
  bool LogSays(const std::string& what, int seconds = 5) const {
    for (int i = 0; i < seconds * 100; ++i) {
      if (ProxyLog().find(what) != std::string::npos) return true;
      usleep(10000);
    }
    return false;
  }
  // Connects and speaks no TLS.
  RespClient Plain() {
    RespClient::SpeakTlsTo(proxy_, nullptr);
    RespClient client(proxy_);
    RespClient::SpeakTlsTo(proxy_, client_tls_);
    return client;
  }
  // The reply to PING of a client like this; "<closed>" also when its handshake fails.
  std::string PingAs(std::shared_ptr<const TlsContext> tls) {
    RespClient::SpeakTlsTo(proxy_, std::move(tls));
    RespClient client(proxy_);
    return client.connected() ? client.Command({"PING"}) : "<closed>";
  }
};

TEST_F(TlsTest, RedisOwnTools) {
  StartAll();
  const Certificate client = authority_->Issue("client");
  const std::string flags = " -h " + proxy_.ip + " -p " + std::to_string(proxy_.port) + " --tls --cacert " + folder_ +
                            "/ca.crt --cert " + Put("client.crt", client.pem) + " --key " +
                            Put("client.key", client.key_pem) + " ";
  EXPECT_EQ(Run("redis-cli" + flags + "SET k v"), "OK\n");
  EXPECT_EQ(Run("redis-cli" + flags + "GET k"), "v\n");
  EXPECT_EQ(Run("printf 'MULTI\\nINCR n\\nINCR n\\nEXEC\\n' | redis-cli" + flags), "OK\nQUEUED\nQUEUED\n1\n2\n");
  EXPECT_EQ(Run("for i in $(seq 1000); do echo SET key:$i $i; done | redis-cli" + flags + "--pipe | tail -n 1"),
            "errors: 0, replies: 1000\n");
  EXPECT_EQ(Direct(redis_a_, {"GET", "key:1000"}), "$4\r\n1000\r\n");
  const std::string benchmark = Run("redis-benchmark" + flags + "-q -n 20000 -c 50 -P 16 -d 100 -t set,get");
  EXPECT_NE(benchmark.find("GET: "), std::string::npos) << benchmark;
  EXPECT_EQ(benchmark.find("rror"), std::string::npos) << benchmark;
}

TEST_F(TlsTest, PipelinesAndValuesOfAMebibyteBothWays) {
  StartAll();
  RespClient client(proxy_);
  std::string pipeline;
  const auto value = [](int i) { return std::string(1 << 20, static_cast<char>('a' + i)); };
  for (int i = 0; i < 8; ++i) {
    resp::AppendRequest(&pipeline, {"SET", "k" + std::to_string(i), value(i)});
    resp::AppendRequest(&pipeline, {"ECHO", std::to_string(i)});
  }
  client.Send(pipeline);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(client.Reply(), "+OK\r\n");
    EXPECT_EQ(client.Reply(), resp::BulkReply(std::to_string(i)));
  }
  for (int i = 0; i < 8; ++i) client.SendCommand({"GET", "k" + std::to_string(i)});
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(client.Reply() == resp::BulkReply(value(i)));
}

TEST_F(TlsTest, WhoseCertificateIsAskedFor) {
  StartAll();
  const Authority other("other");
  const Certificate ours = authority_->Issue("client");
  const Certificate strange = other.Issue("client");
  const struct {
    const char* auth;
    const char* with;
    const char* without;
    const char* with_a_strange_one;
  } kTable[] = {
      {nullptr, "+PONG\r\n", "<closed>", "<closed>"},  // since there is --tls-ca
      {"yes", "+PONG\r\n", "<closed>", "<closed>"},
      {"optional", "+PONG\r\n", "+PONG\r\n", "<closed>"},
      {"no", "+PONG\r\n", "+PONG\r\n", "+PONG\r\n"},
  };
  for (const auto& row : kTable) {
    proxy_process_.reset();
    StartProxy(row.auth == nullptr ? std::vector<std::string>()
                                   : std::vector<std::string>{std::string("--tls-client-auth=") + row.auth});
    EXPECT_EQ(PingAs(ClientTls(*authority_, &ours)), row.with) << row.auth;
    EXPECT_EQ(PingAs(ClientTls(*authority_, nullptr)), row.without) << row.auth;
    EXPECT_EQ(PingAs(ClientTls(*authority_, &strange)), row.with_a_strange_one) << row.auth;
    EXPECT_EQ(PingAs(ClientTls(other, &ours)), "<closed>") << "whom the client does not trust";
    EXPECT_EQ(PingAs(ClientTls(*authority_, &ours)), "+PONG\r\n");
  }
  EXPECT_TRUE(LogSays("a TLS handshake failed"));
  EXPECT_TRUE(LogSays("peer did not return a certificate"));
}

TEST_F(TlsTest, WhoSpeaksNoTlsIsClosedAndHarmsNobody) {
  StartAll();
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", "v"}), "+OK\r\n");
  for (const std::string_view said :
       {"PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x10"}) {
    RespClient plain = Plain();
    plain.Send(said);
    if (said.size() > 4) {  // else more could come
      EXPECT_TRUE(plain.Closes(2000)) << said;
    }
    EXPECT_EQ(client.Command({"GET", "k"}), "$1\r\nv\r\n");
  }
  EXPECT_TRUE(LogSays("a TLS handshake failed"));
}

TEST_F(TlsTest, HandshakesAreBoundedInTimeAndNumber) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < kMostHandshakes + 200) GTEST_SKIP() << "too few open files";
  StartAll();
  RespClient there(proxy_);
  EXPECT_EQ(there.Command({"PING"}), "+PONG\r\n");
  RespClient first = Plain();
  const auto milliseconds = [start = std::chrono::steady_clock::now()] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
  };
  // More of those who say nothing than are taken in: who speaks gets in all the same.
  std::vector<RespClient> silent;
  for (size_t i = 0; i < kMostHandshakes + 100; ++i) silent.push_back(Plain());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(RespClient(proxy_).Command({"PING"}), "+PONG\r\n");
  EXPECT_LT(milliseconds(), ToMillis(kHandshakeTimeout));
  EXPECT_TRUE(first.Closes(ToMillis(kHandshakeTimeout)));
  EXPECT_TRUE(silent.back().Quiet(100));
  EXPECT_TRUE(silent.back().Closes(static_cast<int>(ToMillis(kHandshakeTimeout)) + 2000));
  EXPECT_GE(milliseconds(), ToMillis(kHandshakeTimeout));
  EXPECT_EQ(there.Command({"PING"}), "+PONG\r\n");
}

TEST_F(TlsTest, AHandshakeInPiecesOfOneByte) {
  StartAll();
  // A relay that passes on what the client says byte by byte, and everything else as it comes.
  const Fd listener = *ListenTcp({proxy_.ip, 0});
  const Endpoint relay = LocalEndpoint(listener);
  Crowd crowd;
  crowd.Add([&] {
    int error = EAGAIN;
    Fd client;
    while (!client.valid() && !crowd.stopping()) client = AcceptTcp(listener, error);
    Fd server = *ConnectTcp(proxy_);
    char buffer[65536];
    while (!crowd.stopping()) {
      usleep(200);
      const ssize_t up = recv(client.get(), buffer, 1, 0);
      if (up == 0) break;
      if (up > 0) (void)!send(server.get(), buffer, 1, MSG_NOSIGNAL);
      const ssize_t down = recv(server.get(), buffer, sizeof buffer, 0);
      if (down == 0) break;
      if (down > 0) (void)!send(client.get(), buffer, static_cast<size_t>(down), MSG_NOSIGNAL);
    }
  });
  const Certificate certificate = authority_->Issue("client");
  RespClient::SpeakTlsTo(relay, ClientTls(*authority_, &certificate));
  RespClient client(relay);
  EXPECT_EQ(client.Command({"SET", "k", std::string(2000, 'v')}), "+OK\r\n");
  EXPECT_EQ(client.Command({"GET", "k"}), resp::BulkReply(std::string(2000, 'v')));
}

TEST_F(TlsTest, CertificatesAreReplacedUnderLoad) {
  StartAll();
  const Authority next("next");
  const Certificate client = authority_->Issue("client");
  const auto trusts_both =
      *TlsContext::Make(TlsContext::Side::kClient, {client.pem, client.key_pem, authority_->pem() + next.pem()},
                        TlsContext::PeerCertificate::kRequired);
  RespClient::SpeakTlsTo(proxy_, trusts_both);
  Crowd crowd;
  std::atomic<int> connections = 0;
  for (int i = 0; i < 4; ++i) {
    crowd.Add([&, key = "kept" + std::to_string(i)] {
      RespClient kept(proxy_);
      for (int n = 1; !crowd.stopping(); ++n) {
        if (!crowd.Expect(key, kept.Command({"INCR", key}), ":" + std::to_string(n) + "\r\n")) return;
      }
    });
    crowd.Add([&, key = "fresh" + std::to_string(i)] {
      for (int n = 1; !crowd.stopping(); ++n) {
        RespClient fresh(proxy_);
        if (!crowd.Expect(key, fresh.Command({"INCR", key}), ":" + std::to_string(n) + "\r\n")) return;
        ++connections;
      }
    });
  }
  usleep(300000);

  // One that makes no sense: the old one serves on.
  Put("tls.crt", "nothing");
  EXPECT_TRUE(LogSays("TLS files cannot be used: those of before stay in use"));
  EXPECT_TRUE(LogSays("/tls.crt: holds no certificate in PEM form"));
  const Certificate own = next.Issue("proxy");
  Put("tls.key", own.key_pem);
  Put("tls.crt", own.pem);
  EXPECT_TRUE(LogSays("TLS files have changed"));
  usleep(300000);
  crowd.Stop();
  EXPECT_EQ(crowd.complaints(), "");
  EXPECT_GT(connections, 20);
  EXPECT_EQ(PingAs(ClientTls(next, &client)), "+PONG\r\n");
  EXPECT_EQ(PingAs(ClientTls(*authority_, &client)), "<closed>");
}

TEST_F(TlsTest, TowardsRedisEverythingIsEncrypted) {
  UseTlsTowardsRedis();
  StartPair({"--write-acks=1"});
  RespClient client(proxy_);
  EXPECT_EQ(client.Command({"SET", "k", std::string(3 << 20, 'v')}), "+OK\r\n");            // of its own
  EXPECT_TRUE(client.Command({"GET", "k"}) == resp::BulkReply(std::string(3 << 20, 'v')));  // a lane's
  EXPECT_EQ(client.Command({"EVAL", "return 7", "0"}), ":7\r\n");
  client.Send("MULTI\r\nINCR n\r\nEXEC\r\n");
  for (const char* reply : {"+OK\r\n", "+QUEUED\r\n", "*1\r\n:1\r\n"}) EXPECT_EQ(client.Reply(), reply);
  RespClient subscriber(proxy_);
  EXPECT_TRUE(subscriber.Command({"SUBSCRIBE", "news"}).ends_with(":1\r\n"));
  // To the next leader, with the script and the subscriber.
  EXPECT_EQ(Direct(redis_b_, {"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  Replicate(redis_a_, redis_b_);
  Switch();
  AwaitHeard();
  EXPECT_EQ(client.Command({"EVALSHA", "59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9", "0"}), ":7\r\n");
  AwaitInSync(redis_b_, redis_a_);
  EXPECT_EQ(client.Command({"INCR", "n"}), ":2\r\n");
  EXPECT_EQ(client.Command({"PUBLISH", "news", "good"}), ":1\r\n");
  EXPECT_TRUE(subscriber.Reply().ends_with("good\r\n"));
}

TEST_F(TlsTest, ARedisThatIsNotBelievedIsNotUsed) {
  UseTlsTowardsRedis();
  StartAll();
  proxy_process_.reset();
  const Authority other("other");
  Put("redis-ca.crt", other.pem());
  StartProxy({"--hold-timeout=500ms"});
  EXPECT_TRUE(RespClient(proxy_).Command({"SET", "k", "v"}).starts_with("-MASTERDOWN"));
  EXPECT_TRUE(
      LogSays("no TLS with " + ToString(redis_a_) + ": its certificate: self-signed certificate in certificate chain"));
  // It is put right while the proxy runs.
  Put("redis-ca.crt", other.pem() + authority_->pem());
  EXPECT_TRUE(LogSays("TLS files have changed"));
  EXPECT_EQ(RespClient(proxy_).Command({"SET", "k", "v"}), "+OK\r\n");
  // Redis asks for a certificate.
  proxy_process_.reset();
  std::erase_if(proxy_tls_flags_, [](const std::string& flag) {
    return flag.starts_with("--redis-tls-cert") || flag.starts_with("--redis-tls-key");
  });
  StartProxy({"--hold-timeout=500ms"});
  EXPECT_TRUE(RespClient(proxy_).Command({"SET", "k", "v"}).starts_with("-MASTERDOWN"));
  EXPECT_TRUE(LogSays("certificate required"));
}

// As a redis without TLS, which waits for the end of a line.
TEST_F(TlsTest, ARedisThatDoesNotAnswerAHandshakeMaySpeakNoTls) {
  UseTlsTowardsRedis();
  StartAll();
  b_.reset();
  const Fd silent = *ListenTcp({redis_b_.ip, redis_b_.port});
  Switch();
  EXPECT_TRUE(LogSays("no answer to a TLS handshake: does it speak TLS on this port?", 10));
}

TEST_F(TlsTest, HandshakesCountForMaxClients) {
  StartAll({"--max-clients=1"});
  usleep(100000);  // the fixture's own client is gone
  RespClient silent = Plain();
  usleep(100000);
  EXPECT_FALSE(RespClient(proxy_).connected());
  silent.Close();
  usleep(100000);
  EXPECT_EQ(RespClient(proxy_).Command({"PING"}), "+PONG\r\n");
}

TEST_F(TlsTest, WrongFilesAreOneLineAndNoStart) {
  const std::string cert = "--tls-cert=" + folder_ + "/tls.crt", key = "--tls-key=" + folder_ + "/tls.key";
  const std::string ca = "--tls-ca=" + folder_ + "/ca.crt", other = Put("other.key", authority_->Issue("x").key_pem);
  const std::string text = Put("text", "nothing");
  const struct {
    std::string flags;
    std::string said;
  } kTable[] = {
      {key, "--tls-cert is missing"},
      {ca, "--tls-cert is missing"},
      {"--tls-client-auth=no", "--tls-cert is missing"},
      {cert, "--tls-key is missing"},
      {cert + " --tls-key=" + other, "--tls-key=" + other + ": is not the key of the certificate in "},
      {"--tls-cert=" + text + " " + key, "--tls-cert=" + text + ": holds no certificate in PEM form"},
      {cert + " --tls-key=" + text, "--tls-key=" + text + ": holds no private key in PEM form"},
      {cert + " " + key + " --tls-ca=" + text, "--tls-ca=" + text + ": holds no certificate in PEM form"},
      {cert + "x " + key, "/tls.crtx: no such file"},
      {cert + " " + key + " --tls-client-auth=yes", "--tls-client-auth=yes: needs --tls-ca"},
      {cert + " " + key + " " + ca + " --tls-client-auth=perhaps", "--tls-client-auth=perhaps"},
      {"--redis-tls", "--redis-tls-ca is missing"},
      {"--redis-tls-ca=" + text, "--redis-tls is missing"},
      {"--redis-tls --redis-tls-ca=" + text, "--redis-tls-ca=" + text + ": holds no certificate in PEM form"},
  };
  for (const auto& row : kTable) {
    const std::string output = Run(std::string(HIVE_PROXY_BINARY) + " " + row.flags);
    EXPECT_NE(output.find(row.said), std::string::npos) << output;
    EXPECT_TRUE(output.ends_with("\nstatus 2")) << output;
    EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 1) << output;
  }
}

}  // namespace
}  // namespace hive::proxy
