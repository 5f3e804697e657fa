// Goal: Prometheus can read what is written, and nobody who connects costs more than the bounds say.
// Method: pages compared as text; a server on loopback, spoken to through plain sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "common/app/metrics_page.h"
#include "common/app/metrics_server.h"
#include "common/net/socket.h"

namespace hive {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(MetricsPage, IsPrometheusText) {
  MetricsPage page;
  page.Gauge("a_seconds", "How long", 0.25);
  page.Begin("b_total", MetricType::kCounter, "A \\ and a\nline");
  page.Add("who", "a \"b\"\\\n", 12345678901234.0);
  EXPECT_EQ(page.text(),
            "# HELP a_seconds How long\n# TYPE a_seconds gauge\na_seconds 0.25\n"
            "# HELP b_total A \\\\ and a\\nline\n# TYPE b_total counter\n"
            "b_total{who=\"a \\\"b\\\"\\\\\\n\"} 12345678901234\n");
}

TEST(MetricsPage, HistogramsAreCumulated) {
  DurationHistogram histogram;
  histogram.Observe(Duration(-5));  // a clock that went backwards
  histogram.Observe(Millis(5));     // a bound is included
  histogram.Observe(Seconds(1000));
  DurationHistogram other;
  other.Observe(Millis(6));
  histogram.Add(other);
  MetricsPage page;
  page.Histogram("h_seconds", "How long", histogram);
  EXPECT_THAT(page.text(), HasSubstr("h_seconds_bucket{le=\"0.0001\"} 1\n"));
  EXPECT_THAT(page.text(), HasSubstr("h_seconds_bucket{le=\"0.0025\"} 1\n"));
  EXPECT_THAT(page.text(), HasSubstr("h_seconds_bucket{le=\"0.005\"} 2\n"));
  EXPECT_THAT(page.text(), HasSubstr("h_seconds_bucket{le=\"0.01\"} 3\n"));
  EXPECT_THAT(page.text(), HasSubstr("h_seconds_bucket{le=\"60\"} 3\n"));
  EXPECT_THAT(page.text(), HasSubstr("h_seconds_bucket{le=\"+Inf\"} 4\nh_seconds_sum 1000.011"));
  EXPECT_TRUE(page.text().ends_with("\nh_seconds_count 4\n"));
}

class MetricsServerTest : public testing::Test {
 protected:
  MetricsServerTest() {
    server = *MetricsServer::Start({"127.0.0.1", 0}, [this]() -> std::optional<std::string> {
      ++gathered;
      return fails ? std::nullopt : std::optional(page);
    });
  }

  Fd Connect() const {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval patience{10, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return socket;
  }
  static std::string ReadToEnd(const Fd& socket) {
    std::string all;
    char buffer[4096];
    for (ssize_t n; (n = ::recv(socket.get(), buffer, sizeof buffer, 0)) > 0;)
      all.append(buffer, static_cast<size_t>(n));
    return all;
  }
  std::string Ask(const std::string& request) const {
    const Fd socket = Connect();
    EXPECT_EQ(::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    return ReadToEnd(socket);
  }

  std::string page = "# HELP a A\n# TYPE a gauge\na 1\n";
  std::atomic<bool> fails = false;
  std::atomic<int> gathered = 0;
  std::unique_ptr<MetricsServer> server;
};

TEST_F(MetricsServerTest, AnswersWithThePage) {
  const std::string answer = Ask("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + page)) << answer;
  EXPECT_TRUE(Ask("HEAD /metrics HTTP/1.0\r\n\r\n").ends_with("\r\n\r\n"));
}

TEST_F(MetricsServerTest, ALargePageComesWhole) {
  page = std::string(4 << 20, '#') + "\n";
  EXPECT_TRUE(Ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n" + page));
}

TEST_F(MetricsServerTest, WhatIsNoScrapeIsRefusedAndNothingGathered) {
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Ask("POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask("\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("PRI * HTTP/2.0\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("GET /metrics\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Ask("GET /" + std::string(2 * MetricsServer::kRequestBytes, 'a')), StartsWith("HTTP/1.1 431"));
  EXPECT_EQ(gathered, 0);
}

TEST_F(MetricsServerTest, AProgramThatDoesNotAnswerIsUnavailable) {
  fails = true;
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 503"));
}

// Those that only connect are let go after kPatience; nobody else is turned away meanwhile, only kept waiting.
TEST_F(MetricsServerTest, ThoseThatSayNothingAreBounded) {
  std::vector<Fd> mute;
  for (size_t i = 0; i < MetricsServer::kConnections; ++i) mute.push_back(Connect());
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  for (const Fd& socket : mute) EXPECT_EQ(ReadToEnd(socket), "");
}

TEST_F(MetricsServerTest, APortInUseIsToldInOneLine) {
  const auto second = MetricsServer::Start({"127.0.0.1", static_cast<uint16_t>(server->port())}, nullptr);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("already in use"));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("(--metrics-listen)"));
  const auto foreign = MetricsServer::Start({"192.0.2.1", 7410}, nullptr);
  ASSERT_FALSE(foreign.ok());
  EXPECT_THAT(std::string(foreign.status().message()), HasSubstr("192.0.2.1:7410"));
}

}  // namespace
}  // namespace hive
