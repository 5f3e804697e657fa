// Goal: each outcome of a question to DNS is told apart, in bounded time. Method: a DNS server written here, on
// loopback, that answers, denies, fails, refuses or keeps silent per name and record type, so nothing depends on a real
// one.
#include "common/net/dns.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstdlib>
#include <future>
#include <map>
#include <thread>

#include "common/net/clock.h"
#include "common/net/fd.h"

namespace hive {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Outcome = DnsAnswer::Outcome;

constexpr char kServerIp[] = "127.0.30.53";
constexpr int kTypeA = 1, kTypeAaaa = 28;

// What the server does with a question.
struct Script {
  int rcode = 0;                                               // 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
  std::vector<std::pair<std::string, uint32_t>> records = {};  // address, TTL in seconds
  bool silent = false;
};

// Serves UDP on a port of the kernel's choice. A question without a script gets NXDOMAIN.
class FakeDns {
 public:
  using Scripts = std::map<std::pair<std::string, int>, Script>;

  explicit FakeDns(Scripts scripts)
      : scripts_(std::move(scripts)), socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), stop_(eventfd(0, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, kServerIp, &address.sin_addr);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t length = sizeof address;
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length);
    endpoint_ = {kServerIp, ntohs(address.sin_port)};
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeDns() {
    eventfd_write(stop_.get(), 1);
    thread_.join();
  }

  const Endpoint& endpoint() const { return endpoint_; }

 private:
  void Serve() {
    for (;;) {
      pollfd entries[] = {{stop_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
      poll(entries, 2, -1);
      if (entries[0].revents != 0) return;
      sockaddr_in from{};
      socklen_t length = sizeof from;
      char packet[512];
      const ssize_t size =
          recvfrom(socket_.get(), packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (size < 17) continue;
      const std::string reply = Reply(std::string(packet, static_cast<size_t>(size)));
      if (reply.empty()) continue;
      sendto(socket_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }

  std::string Reply(const std::string& question) const {
    std::string name;
    size_t at = 12;
    for (size_t label; at < question.size() && (label = static_cast<unsigned char>(question[at])) != 0;) {
      name += (name.empty() ? "" : ".") + question.substr(at + 1, label);
      at += 1 + label;
    }
    const int type = static_cast<unsigned char>(question[at + 2]);
    const auto found = scripts_.find({name, type});
    const Script script = found == scripts_.end() ? Script{.rcode = 3} : found->second;
    if (script.silent) return "";
    std::string reply = question.substr(0, at + 5);
    const auto u16 = [](size_t n) { return std::string{static_cast<char>(n >> 8), static_cast<char>(n)}; };
    // Response, recursion desired and available; one question, the answers, nothing else.
    reply.replace(2, 10,
                  std::string{'\x81', static_cast<char>(0x80 | script.rcode)} + u16(1) + u16(script.records.size()) +
                      u16(0) + u16(0));
    for (const auto& [ip, ttl] : script.records) {
      char bits[16];
      const size_t size = type == kTypeA ? 4 : 16;
      EXPECT_EQ(inet_pton(type == kTypeA ? AF_INET : AF_INET6, ip.c_str(), bits), 1);
      reply += "\xc0\x0c" + u16(static_cast<size_t>(type)) + u16(1) + u16(ttl >> 16) + u16(ttl & 0xffff) + u16(size) +
               std::string(bits, size);
    }
    return reply;
  }

  const Scripts scripts_;
  const Fd socket_;
  const Fd stop_;
  Endpoint endpoint_;
  std::thread thread_;
};

DnsAnswer Ask(Resolver& resolver, const std::string& name) {
  std::promise<DnsAnswer> promise;
  resolver.Resolve(name, [&](DnsAnswer answer) { promise.set_value(std::move(answer)); });
  return promise.get_future().get();
}

DnsAnswer AskFake(FakeDns::Scripts scripts, const std::string& name, Duration timeout = Seconds(5)) {
  const FakeDns server(std::move(scripts));
  Resolver resolver({.server = server.endpoint(), .timeout = timeout});
  return Ask(resolver, name);
}

TEST(DnsTest, AddressesOfBothFamiliesSortedWithTheShortestTtl) {
  const DnsAnswer answer =
      AskFake({{{"hive.test", kTypeA}, {.records = {{"10.0.0.2", 9}, {"10.0.0.1", 5}, {"10.0.0.2", 9}}}},
               {{"hive.test", kTypeAaaa}, {.records = {{"fd00:0::1", 30}}}}},
              "hive.test");
  EXPECT_EQ(answer.outcome, Outcome::kAddresses);
  EXPECT_THAT(answer.addresses, ElementsAre("10.0.0.1", "10.0.0.2", "fd00::1"));
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.min_ttl, Seconds(5));
  EXPECT_EQ(answer.text, "DNS lists 10.0.0.1, 10.0.0.2, fd00::1 for hive.test");
}

TEST(DnsTest, OneFamilyIsEnough) {
  const DnsAnswer answer =
      AskFake({{{"hive.test", kTypeA}, {.records = {{"10.0.0.1", 5}}}}, {{"hive.test", kTypeAaaa}, {}}}, "hive.test");
  EXPECT_EQ(answer.outcome, Outcome::kAddresses);
  EXPECT_TRUE(answer.complete);
}

TEST(DnsTest, ManyMembersFit) {
  // 29 records: the largest reply that fits 512 bytes of UDP with this name.
  Script many;
  for (int i = 1; i < 30; ++i) many.records.push_back({"10.0.0." + std::to_string(i), 5});
  const DnsAnswer answer = AskFake({{{"hive.test", kTypeA}, many}, {{"hive.test", kTypeAaaa}, {}}}, "hive.test");
  EXPECT_EQ(answer.addresses.size(), 29U) << answer.text;
}

TEST(DnsTest, NoSuchNameAndNoRecordsAreSaidByTheServer) {
  const DnsAnswer nothing = AskFake({}, "gone.test");
  EXPECT_EQ(nothing.outcome, Outcome::kNoSuchName);
  EXPECT_THAT(nothing.text, HasSubstr("knows no address of gone.test"));
  EXPECT_EQ(AskFake({{{"empty.test", kTypeA}, {}}, {{"empty.test", kTypeAaaa}, {}}}, "empty.test").outcome,
            Outcome::kNoSuchName);
}

TEST(DnsTest, FailureAndRefusalAreNoAnswer) {
  for (const auto& [rcode, word] : std::map<int, std::string>{{2, "SERVFAIL"}, {5, "REFUSED"}}) {
    const DnsAnswer answer =
        AskFake({{{"hive.test", kTypeA}, {.rcode = rcode}}, {{"hive.test", kTypeAaaa}, {.rcode = rcode}}}, "hive.test");
    EXPECT_EQ(answer.outcome, Outcome::kNoAnswer);
    EXPECT_THAT(answer.text, HasSubstr(word));
  }
}

TEST(DnsTest, SilenceEndsAtTheTimeout) {
  const Instant start = ReadMonotonicClock();
  const DnsAnswer answer =
      AskFake({{{"hive.test", kTypeA}, {.silent = true}}, {{"hive.test", kTypeAaaa}, {.silent = true}}}, "hive.test",
              Millis(200));
  EXPECT_EQ(answer.outcome, Outcome::kNoAnswer);
  EXPECT_THAT(answer.text, HasSubstr("no reply in time"));
  EXPECT_GE(ReadMonotonicClock() - start, Millis(100));
  EXPECT_LT(ReadMonotonicClock() - start, Seconds(5));
}

TEST(DnsTest, AServerThatIsNotThereIsNoAnswer) {
  Endpoint nobody;
  { nobody = FakeDns({}).endpoint(); }
  Resolver resolver({.server = nobody, .timeout = Seconds(5)});
  const DnsAnswer answer = Ask(resolver, "hive.test");
  EXPECT_EQ(answer.outcome, Outcome::kNoAnswer);
  EXPECT_THAT(answer.text, HasSubstr(ToString(nobody)));
  EXPECT_THAT(answer.text, HasSubstr("nothing answers there"));
}

TEST(DnsTest, HalfAnAnswerSaysThatItIsHalf) {
  // Lost and failed: the time limit and the reply both end the question.
  for (const Script& broken : {Script{.silent = true}, Script{.rcode = 2}}) {
    const DnsAnswer answer =
        AskFake({{{"hive.test", kTypeA}, {.records = {{"10.0.0.1", 5}}}}, {{"hive.test", kTypeAaaa}, broken}},
                "hive.test", Millis(300));
    EXPECT_EQ(answer.outcome, Outcome::kAddresses);
    EXPECT_THAT(answer.addresses, ElementsAre("10.0.0.1"));
    EXPECT_FALSE(answer.complete);
  }
}

TEST(DnsTest, AFailureBesideAnEmptyReplyIsNoAnswer) {
  // The trap of asking for both families as one: the empty reply must not hide that the other is unknown.
  for (const auto& [failing, empty] : {std::pair(kTypeA, kTypeAaaa), std::pair(kTypeAaaa, kTypeA)}) {
    EXPECT_EQ(AskFake({{{"hive.test", failing}, {.rcode = 2}}, {{"hive.test", empty}, {}}}, "hive.test").outcome,
              Outcome::kNoAnswer);
  }
}

TEST(DnsTest, SearchDomainsCompleteAShortName) {
  setenv("LOCALDOMAIN", "one.test two.test", 1);
  const FakeDns::Scripts scripts = {{{"hive.two.test", kTypeA}, {.records = {{"10.0.0.1", 5}}}},
                                    {{"hive.two.test", kTypeAaaa}, {}}};
  EXPECT_THAT(AskFake(scripts, "hive").addresses, ElementsAre("10.0.0.1"));
  // A complete name is not completed.
  EXPECT_EQ(AskFake(scripts, "hive.").outcome, Outcome::kNoSuchName);
  // A domain whose server fails ends the search: the name may well exist there.
  FakeDns::Scripts failing = scripts;
  failing[{"hive.one.test", kTypeA}] = {.rcode = 2};
  EXPECT_EQ(AskFake(failing, "hive").outcome, Outcome::kNoAnswer);
  unsetenv("LOCALDOMAIN");
}

TEST(DnsTest, AnAddressIsItsOwnAnswer) { EXPECT_THAT(AskFake({}, "fd00:0::1").addresses, ElementsAre("fd00::1")); }

TEST(DnsTest, QuestionsAreIndependent) {
  // Silent ones in flight delay no other, and beyond the limit a question is refused rather than queued.
  const FakeDns server({{{"mute.test", kTypeA}, {.silent = true}},
                        {{"mute.test", kTypeAaaa}, {.silent = true}},
                        {{"hive.test", kTypeA}, {.records = {{"10.0.0.1", 5}}}},
                        {{"hive.test", kTypeAaaa}, {}}});
  Resolver resolver({.server = server.endpoint(), .timeout = Seconds(30)});
  for (size_t i = 0; i + 1 < Resolver::kMaxQuestions; ++i) resolver.Resolve("mute.test", [](DnsAnswer) {});
  EXPECT_EQ(Ask(resolver, "hive.test").outcome, Outcome::kAddresses);
  resolver.Resolve("mute.test", [](DnsAnswer) {});
  EXPECT_THAT(Ask(resolver, "hive.test").text, HasSubstr("too many"));
}

TEST(DnsTest, DestructionDropsWhatIsInFlight) {
  const FakeDns server({{{"mute.test", kTypeA}, {.silent = true}}, {{"mute.test", kTypeAaaa}, {.silent = true}}});
  bool called = false;
  {
    Resolver resolver({.server = server.endpoint(), .timeout = Seconds(30)});
    resolver.Resolve("mute.test", [&](DnsAnswer) { called = true; });
  }
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace hive
