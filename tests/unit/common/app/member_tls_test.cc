// Goal: a connection needs certificates of one authority at both ends, whatever their names; files that are replaced
// take effect without a restart; a mistake in the flags is one line that names the flag.
// Method: real servers and channels over loopback, certificates of authorities that the test makes.
#include "common/app/member_tls.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "common/app/grpc_server.h"
#include "common/app/health.h"
#include "common/app/log.h"
#include "common/net/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/unit/common/app/certificates.h"

namespace hive {
namespace {

using testing::HasSubstr;

constexpr Duration kPatience = Seconds(20);

class MemberTlsTest : public testing::Test {
 protected:
  MemberTlsTest() { health.SetServing(kHealthLiveness, true); }
  ~MemberTlsTest() override {
    if (server) server->Shutdown(Duration(0));
  }

  // Writes the three files of one process and returns their names.
  TlsFiles Files(const std::string& who, const Certificate& certificate, const std::string& authorities) {
    return {folder.Put(who + ".crt", certificate.pem), folder.Put(who + ".key", certificate.key_pem),
            folder.Put(who + "-ca.crt", authorities)};
  }
  static MemberTls Load(const TlsFiles& files) {
    auto tls = MemberTls::Load(files, "tls");
    EXPECT_TRUE(tls.ok()) << tls.status();
    return tls.ok() ? *tls : MemberTls();
  }
  void Serve(const MemberTls& tls) {
    auto started =
        GrpcServer::Start({.listen = {{"127.0.0.1", 0}}, .services = {health.service()}, .credentials = tls.server()});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }
  // One call over a connection of its own.
  grpc::Status Call(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto stub = grpc::health::v1::Health::NewStub(
        grpc::CreateCustomChannel("ipv4:127.0.0.1:" + std::to_string(server->port()), credentials, arguments));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(std::string(kHealthLiveness));
    grpc::health::v1::HealthCheckResponse response;
    return stub->Check(&context, request, &response);
  }
  bool Reaches(const std::shared_ptr<grpc::ChannelCredentials>& credentials) { return Call(credentials).ok(); }
  bool ReachesSoon(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    const Instant end = ReadMonotonicClock() + kPatience;
    while (ReadMonotonicClock() < end) {
      if (Reaches(credentials)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  static uint64_t WaitForFailures(uint64_t more_than) {
    const Instant end = ReadMonotonicClock() + kPatience;
    while (FailedTlsHandshakes() <= more_than && ReadMonotonicClock() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return FailedTlsHandshakes();
  }

  const std::unique_ptr<Logging> logging = StartLogging({});  // counts failed handshakes
  const Authority ours{"ours"};
  const Authority other{"other"};
  CertificateFolder folder;
  HealthService health;
  std::unique_ptr<GrpcServer> server;
};

TEST_F(MemberTlsTest, MembersReachOneAnotherWhateverTheirNames) {
  Serve(Load(Files("server", ours.Issue("some-pod"), ours.pem())));
  EXPECT_TRUE(Reaches(Load(Files("client", ours.Issue("another-pod"), ours.pem())).channel()));
}

TEST_F(MemberTlsTest, WithoutFilesItIsPlaintext) {
  const MemberTls plain = Load({});
  EXPECT_FALSE(plain.on());
  Serve(plain);
  EXPECT_TRUE(Reaches(plain.channel()));
}

TEST_F(MemberTlsTest, StrangersAreTurnedAwayAndCounted) {
  Serve(Load(Files("server", ours.Issue("server"), ours.pem())));
  uint64_t before = FailedTlsHandshakes();
  const auto expect_counted = [&before](const char* who) {
    const uint64_t now = WaitForFailures(before);
    EXPECT_GT(now, before) << who;
    before = now;
  };

  EXPECT_FALSE(Reaches(grpc::InsecureChannelCredentials()));
  expect_counted("plaintext");

  grpc::SslCredentialsOptions no_certificate;
  no_certificate.pem_root_certs = ours.pem();
  EXPECT_FALSE(Reaches(grpc::SslCredentials(no_certificate)));
  expect_counted("no certificate");

  // Trusts us, but is signed by somebody else.
  EXPECT_FALSE(Reaches(Load(Files("stranger", other.Issue("server"), ours.pem())).channel()));
  expect_counted("another authority");

  EXPECT_FALSE(Reaches(Load(Files("late", ours.Issue("server", std::chrono::seconds(-60)), ours.pem())).channel()));
  expect_counted("expired");

  // An authority of the same name is another one.
  const Authority impostor("ours");
  EXPECT_FALSE(Reaches(Load(Files("impostor", impostor.Issue("server"), ours.pem())).channel()));
  expect_counted("impostor");

  // A member's certificate is no authority.
  EXPECT_TRUE(Reaches(Load(Files("member", ours.Issue("member"), ours.pem())).channel()));
}

TEST_F(MemberTlsTest, AMemberCallsNoStranger) {
  const MemberTls member = Load(Files("client", ours.Issue("client"), ours.pem()));
  Serve(Load(Files("stranger", other.Issue("server"), ours.pem() + other.pem())));  // lets everybody in
  EXPECT_FALSE(Reaches(member.channel()));
  server->Shutdown(Duration(0));
  Serve(MemberTls());  // plaintext
  EXPECT_FALSE(Reaches(member.channel()));
}

TEST_F(MemberTlsTest, ReplacedFilesTakeEffectAtBothEnds) {
  Serve(Load(Files("server", ours.Issue("server"), ours.pem())));
  const MemberTls client = Load(Files("client", ours.Issue("client"), ours.pem()));
  ASSERT_TRUE(Reaches(client.channel()));

  // To another authority, one step after the other, as docs/security.md has it.
  const MemberTls next = Load(Files("next", other.Issue("client"), ours.pem() + other.pem()));
  EXPECT_FALSE(Reaches(next.channel()));
  folder.Put("server-ca.crt", ours.pem() + other.pem());
  EXPECT_TRUE(ReachesSoon(next.channel()));
  folder.Put("client-ca.crt", ours.pem() + other.pem());
  Files("server", other.Issue("server"), ours.pem() + other.pem());
  EXPECT_TRUE(ReachesSoon(client.channel()));
  EXPECT_TRUE(ReachesSoon(next.channel()));
}

TEST_F(MemberTlsTest, MistakesInTheFlagsAreOneLine) {
  const TlsFiles good = Files("good", ours.Issue("good"), ours.pem());
  const auto refusal = [](TlsFiles files) {
    const auto tls = MemberTls::Load(files, "coordinator-tls");
    EXPECT_FALSE(tls.ok());
    const std::string line(tls.status().message());
    EXPECT_EQ(line.find('\n'), std::string::npos);
    return line;
  };
  EXPECT_THAT(refusal({good.certificate, "", ""}), HasSubstr("--coordinator-tls-key is missing"));
  EXPECT_THAT(refusal({"", good.key, good.authority}), HasSubstr("--coordinator-tls-cert is missing"));
  EXPECT_THAT(refusal({good.certificate, good.key, ""}), HasSubstr("--coordinator-tls-ca is missing"));
  EXPECT_THAT(refusal({good.certificate, good.key, "/no/such"}), HasSubstr("--coordinator-tls-ca=/no/such: no such"));
  EXPECT_THAT(refusal({good.key, good.key, good.authority}), HasSubstr("holds no certificate"));
  EXPECT_THAT(refusal({good.certificate, good.certificate, good.authority}), HasSubstr("holds no private key"));
  EXPECT_THAT(refusal({good.certificate, good.key, folder.Put("empty", "")}), HasSubstr("holds no certificate"));
  const std::string wrong_key = folder.Put("wrong.key", ours.Issue("wrong").key_pem);
  EXPECT_THAT(refusal({good.certificate, wrong_key, good.authority}), HasSubstr("is not the key of the certificate"));
  EXPECT_THAT(refusal({good.certificate, good.key, folder.path("")}), HasSubstr("cannot be read: "));
}

}  // namespace
}  // namespace hive
