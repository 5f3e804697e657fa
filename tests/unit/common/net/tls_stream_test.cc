// Goal: what is written at one end is read at the other, whatever the sizes and however slowly; who must not be
// believed is not; what a peer does wrong ends its connection and nothing else.
// Method: two streams, or a stream and OpenSSL itself, at the ends of a socket pair; certificates that the test makes.
#include "common/net/tls_stream.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "common/base/random.h"
#include "common/net/poller.h"
#include "common/net/stream.h"
#include "tests/unit/common/app/certificates.h"

namespace hive {
namespace {

using Side = TlsContext::Side;
using PeerCertificate = TlsContext::PeerCertificate;
using Progress = TlsStream::Progress;

std::array<Fd, 2> SocketPair() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

class TlsStreamTest : public testing::Test {
 protected:
  std::shared_ptr<const TlsContext> Context(Side side, const Certificate* certificate, const std::string& authority,
                                            PeerCertificate peer) {
    auto made = TlsContext::Make(
        side, {certificate ? certificate->pem : "", certificate ? certificate->key_pem : "", authority}, peer);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : nullptr;
  }
  // `client_certificate` may be null.
  void Connect(const Certificate& server_certificate, const Certificate* client_certificate,
               PeerCertificate asked = PeerCertificate::kNotAsked) {
    auto [a, b] = SocketPair();
    server = Stream(std::move(a), *Context(Side::kServer, &server_certificate, ours.pem(), asked));
    client = Stream(std::move(b), *Context(Side::kClient, client_certificate, ours.pem(), PeerCertificate::kRequired));
  }
  // As far as it goes; {server, client}.
  std::pair<Progress, Progress> ShakeHands() {
    std::pair<Progress, Progress> progress = {Progress::kUnderWay, Progress::kUnderWay};
    for (int i = 0; i < 10; ++i) {
      if (progress.second == Progress::kUnderWay) progress.second = client.tls()->Handshake();
      if (progress.first == Progress::kUnderWay) progress.first = server.tls()->Handshake();
    }
    return progress;
  }
  void Establish() {
    const Certificate certificate = ours.Issue("server");
    Connect(certificate, nullptr);
    ASSERT_EQ(ShakeHands(), std::pair(Progress::kDone, Progress::kDone));
  }
  // What can be read now; `result`: of the last Read.
  static std::string ReadAll(Stream& stream, ssize_t* result = nullptr) {
    std::string all;
    std::vector<char> buffer(64 * 1024);
    for (;;) {
      const ssize_t n = stream.Read(buffer.data(), buffer.size());
      if (n > 0) all.append(buffer.data(), static_cast<size_t>(n));
      if (result != nullptr) *result = n;
      if (n <= 0) return all;
    }
  }

  const Authority ours{"ours"};
  const Authority other{"other"};
  Stream server, client;
};

TEST_F(TlsStreamTest, BytesOfAllSizesComeAsTheyWereSent) {
  Establish();
  Random random(7);
  for (int round = 0; round < 60; ++round) {
    Stream& from = round % 2 == 0 ? client : server;
    Stream& to = round % 2 == 0 ? server : client;
    std::string sent(static_cast<size_t>(random.Below(round < 50 ? 40000 : 3000000)) + 1, '\0');
    for (size_t i = 0; i < sent.size(); i += 7) sent[i] = static_cast<char>(random.Below(256));
    std::string got;
    for (size_t at = 0; got.size() < sent.size();) {
      // In pieces, some of them empty.
      std::vector<iovec> pieces;
      size_t end = at;
      for (int i = 0; i < 5 && end < sent.size(); ++i) {
        const size_t size = std::min<size_t>(random.Below(30000), sent.size() - end);
        pieces.push_back({sent.data() + end, size});
        end += size;
      }
      const ssize_t n = from.Write(std::span(pieces));
      if (n >= 0) {
        at += static_cast<size_t>(n);
      } else {
        ASSERT_EQ(errno, EAGAIN);
      }
      got += ReadAll(to);
      from.OnReady(Poller::kWritable);
      got += ReadAll(to);
    }
    ASSERT_TRUE(got == sent) << round;
    EXPECT_EQ(from.unsent(), 0u);
  }
}

TEST_F(TlsStreamTest, WhatWasNotTakenMayBeSomethingElseNextTime) {
  Establish();
  std::string expected;
  const std::string first(100000, 'a');
  for (ssize_t n = 0; (n = server.Write(first)) >= 0;) expected.append(static_cast<size_t>(n), 'a');
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GT(server.unsent(), 0u);
  EXPECT_LE(server.unsent(), TlsStream::kMostUnsent);
  EXPECT_EQ(server.InterestFor(0), Poller::kWritable);
  EXPECT_EQ(server.OnReady(Poller::kWritable), 0u) << "the kernel takes nothing yet";
  std::string got = ReadAll(client);
  EXPECT_EQ(server.OnReady(Poller::kWritable), Poller::kWritable);
  EXPECT_EQ(server.unsent(), 0u);
  EXPECT_EQ(server.InterestFor(0), 0u);
  EXPECT_EQ(server.Write("bb"), 2);
  got += ReadAll(client);
  EXPECT_TRUE(got == expected + "bb");
}

TEST_F(TlsStreamTest, AnEndBehindBytesIsToldBehindThem) {
  Establish();
  EXPECT_EQ(client.Write("last words"), 10);
  client.EndWriting();
  char buffer[TlsStream::kLeastRead];
  ASSERT_EQ(server.Read(buffer, sizeof buffer), 10);
  // Whoever does not want to read now is told when it does.
  EXPECT_EQ(server.InterestFor(0), 0u);
  EXPECT_EQ(server.OnReady(Poller::kPeerClosed), Poller::kPeerClosed);
  EXPECT_EQ(server.InterestFor(Poller::kReadable), Poller::kReadable | Poller::kWritable);
  EXPECT_NE(server.OnReady(Poller::kWritable) & Poller::kReadable, 0u);
  EXPECT_EQ(server.Read(buffer, sizeof buffer), 0);
  // Only one direction has ended.
  EXPECT_EQ(server.Write("an answer"), 9);
  EXPECT_EQ(ReadAll(client), "an answer");
  server.Close();
  ssize_t result = -1;
  EXPECT_EQ(ReadAll(client, &result), "");
  EXPECT_EQ(result, 0);
}

TEST_F(TlsStreamTest, TheEndWaitsForWhatIsUnsent) {
  Establish();
  const std::string some(100000, 'a');
  size_t taken = 0;
  for (ssize_t n = 0; (n = server.Write(some)) >= 0;) taken += static_cast<size_t>(n);
  server.EndWriting();
  std::string got;
  ssize_t result = -1;
  while (result != 0) {
    got += ReadAll(client, &result);
    server.OnReady(Poller::kWritable);
  }
  EXPECT_EQ(got.size(), taken);
}

TEST_F(TlsStreamTest, WhoWaitsToWriteLearnsThatNothingIsTakenAnyMore) {
  Establish();
  client.Close();
  EXPECT_EQ(server.Write("x"), -1);
  EXPECT_EQ(errno, EPIPE);
  server.InterestFor(Poller::kWritable);
  EXPECT_EQ(server.OnReady(Poller::kWritable), Poller::kWritable);
}

TEST_F(TlsStreamTest, WhoIsBelieved) {
  const Certificate good = ours.Issue("any name");
  const Certificate strange = other.Issue("any name");
  const Certificate expired = ours.Issue("any name", std::chrono::seconds(-60));
  const struct {
    const char* what;
    const Certificate& server;
    const Certificate* client;
    PeerCertificate asked;
    const char* server_says;  // null: it is content
    const char* client_says;  // as far as the handshake shows it
  } kTable[] = {
      {"nothing asked", good, nullptr, PeerCertificate::kNotAsked, nullptr, nullptr},
      {"shown unasked", good, &strange, PeerCertificate::kNotAsked, nullptr, nullptr},
      {"optional and missing", good, nullptr, PeerCertificate::kIfGiven, nullptr, nullptr},
      {"optional and good", good, &good, PeerCertificate::kIfGiven, nullptr, nullptr},
      {"optional and strange", good, &strange, PeerCertificate::kIfGiven, "its certificate: unable to get local",
       nullptr},
      {"required and good", good, &good, PeerCertificate::kRequired, nullptr, nullptr},
      {"required and missing", good, nullptr, PeerCertificate::kRequired, "peer did not return a certificate", nullptr},
      {"required and strange", good, &strange, PeerCertificate::kRequired, "its certificate: unable to get", nullptr},
      {"required and expired", good, &expired, PeerCertificate::kRequired, "its certificate: certificate has", nullptr},
      {"a strange server", strange, nullptr, PeerCertificate::kNotAsked, "unknown ca",
       "its certificate: unable to get"},
      {"an expired server", expired, nullptr, PeerCertificate::kNotAsked, "expired",
       "its certificate: certificate has"},
  };
  for (const auto& row : kTable) {
    Connect(row.server, row.client, row.asked);
    const auto [server_progress, client_progress] = ShakeHands();
    EXPECT_EQ(server_progress, row.server_says ? Progress::kFailed : Progress::kDone) << row.what;
    EXPECT_EQ(client_progress, row.client_says ? Progress::kFailed : Progress::kDone) << row.what;
    if (row.server_says) {
      EXPECT_NE(server.tls()->failure().find(row.server_says), std::string::npos)
          << row.what << ": " << server.tls()->failure();
    }
    if (row.client_says) {
      EXPECT_NE(client.tls()->failure().find(row.client_says), std::string::npos)
          << row.what << ": " << client.tls()->failure();
    } else if (row.server_says) {
      // In TLS 1.3 a client learns of it when it reads.
      char buffer[TlsStream::kLeastRead];
      EXPECT_EQ(client.Read(buffer, sizeof buffer), -1) << row.what;
      EXPECT_EQ(errno, EPROTO);
      EXPECT_NE(client.tls()->failure().find("alert"), std::string::npos) << client.tls()->failure();
    }
    EXPECT_EQ(ERR_peek_error(), 0u) << row.what;
  }
}

TEST_F(TlsStreamTest, WhatIsNoTlsFails) {
  const Certificate certificate = ours.Issue("server");
  for (const std::string_view bytes : {"*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff"}) {
    Connect(certificate, nullptr);
    ASSERT_EQ(send(client.fd().get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(server.tls()->Handshake(), Progress::kFailed) << bytes;
    EXPECT_NE(server.tls()->failure(), "");
  }
  Connect(certificate, nullptr);
  EXPECT_EQ(server.tls()->Handshake(), Progress::kUnderWay) << "nothing has come";
  client.Close();
  EXPECT_EQ(server.tls()->Handshake(), Progress::kFailed);
  EXPECT_EQ(server.tls()->failure(), "closed by the peer");
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(TlsStreamTest, WhatWasChangedOnTheWayEndsTheConnection) {
  Establish();
  ASSERT_EQ(client.Write("some bytes"), 10);
  char record[256];
  const ssize_t n = recv(server.fd().get(), record, sizeof record, 0);
  ASSERT_GT(n, 10);
  record[n - 1] = static_cast<char>(record[n - 1] ^ 1);
  ASSERT_EQ(send(client.fd().get(), record, static_cast<size_t>(n), 0), n);
  char buffer[TlsStream::kLeastRead];
  EXPECT_EQ(server.Read(buffer, sizeof buffer), -1);
  EXPECT_EQ(errno, EPROTO);
  EXPECT_EQ(server.Read(buffer, sizeof buffer), -1);
  EXPECT_NE(server.tls()->failure(), "");
  EXPECT_EQ(ERR_peek_error(), 0u);
}

// OpenSSL's own client, for what a stream does not do.
struct RawClient {
  explicit RawClient(const Fd& socket) : context(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_security_level(context, 0);
    ssl = SSL_new(context);
    SSL_set_fd(ssl, socket.get());
  }
  ~RawClient() {
    SSL_free(ssl);
    SSL_CTX_free(context);
    ERR_clear_error();
  }
  SSL_CTX* context;
  SSL* ssl = nullptr;
};

TEST_F(TlsStreamTest, OldVersionsAreRefused) {
  const Certificate certificate = ours.Issue("server");
  const auto outcome = [&](int version) {
    Connect(certificate, nullptr);
    RawClient raw(client.fd());
    SSL_set_min_proto_version(raw.ssl, version);
    SSL_set_max_proto_version(raw.ssl, version);
    Progress progress = Progress::kUnderWay;
    for (int i = 0; i < 10; ++i) {
      SSL_connect(raw.ssl);
      ERR_clear_error();
      if (progress == Progress::kUnderWay) progress = server.tls()->Handshake();
    }
    return progress;
  };
  EXPECT_EQ(outcome(TLS1_1_VERSION), Progress::kFailed);
  EXPECT_EQ(outcome(TLS1_2_VERSION), Progress::kDone);
  EXPECT_EQ(outcome(TLS1_3_VERSION), Progress::kDone);
}

TEST_F(TlsStreamTest, WhoAsksForNewKeysAndDoesNotReadIsCut) {
  const Certificate certificate = ours.Issue("server");
  Connect(certificate, nullptr);
  RawClient raw(client.fd());
  Progress progress = Progress::kUnderWay;
  for (int i = 0; i < 10; ++i) {
    SSL_connect(raw.ssl);
    if (progress == Progress::kUnderWay) progress = server.tls()->Handshake();
  }
  ASSERT_EQ(progress, Progress::kDone);
  const auto ask = [&] {
    SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(raw.ssl);
    return SSL_write(raw.ssl, "x", 1);
  };
  ASSERT_EQ(ask(), 1);
  EXPECT_EQ(ReadAll(server), "x");
  EXPECT_EQ(server.Write("y"), 1);
  char y = 0;
  EXPECT_EQ(SSL_read(raw.ssl, &y, 1), 1);
  EXPECT_EQ(y, 'y');

  ssize_t result = -1;
  for (int i = 0; i < 200000; ++i) {
    errno = 0;
    ask();
    ReadAll(server, &result);
    ASSERT_LE(server.unsent(), TlsStream::kMostUnsent);
    if (errno != EAGAIN) break;
  }
  EXPECT_EQ(result, -1);
  EXPECT_EQ(errno, EPROTO);
}

TEST_F(TlsStreamTest, WithoutTlsItIsTheSocket) {
  auto [a, b] = SocketPair();
  Stream one(std::move(a));
  Stream two(std::move(b));
  EXPECT_EQ(one.tls(), nullptr);
  EXPECT_EQ(one.Write("hello"), 5);
  EXPECT_EQ(one.InterestFor(Poller::kReadable), Poller::kReadable);
  char buffer[16];
  EXPECT_EQ(two.Read(buffer, sizeof buffer), 5);
  one.EndWriting();
  EXPECT_EQ(two.Read(buffer, sizeof buffer), 0);
}

TEST_F(TlsStreamTest, AContextSaysWhatIsWrong) {
  const Certificate certificate = ours.Issue("server");
  const auto error = [](const TlsPem& pem) {
    return std::string(TlsContext::Make(Side::kServer, pem, PeerCertificate::kRequired).status().message());
  };
  EXPECT_EQ(error({certificate.pem, certificate.key_pem, ours.pem()}), "");
  EXPECT_EQ(error({"", certificate.key_pem, ours.pem()}), "there is no certificate in PEM form");
  EXPECT_EQ(error({certificate.pem, certificate.key_pem, ""}), "there is no authority's certificate in PEM form");
  EXPECT_EQ(error({certificate.pem, ours.Issue("server").key_pem, ours.pem()}),
            "the key is not usable: key values mismatch");
  EXPECT_EQ(ERR_peek_error(), 0u);
}

}  // namespace
}  // namespace hive
