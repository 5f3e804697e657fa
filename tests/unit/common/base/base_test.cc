// Goal: the value types everything else is built on. Method: tables of text and meaning; known numbers of the
// generator.
#include <gtest/gtest.h>

#include <set>

#include "common/base/endpoint.h"
#include "common/base/random.h"
#include "common/base/time.h"

namespace hive {
namespace {

TEST(TimeTest, MillisRoundTowardsZero) {
  EXPECT_EQ(ToMillis(Millis(250)), 250);
  EXPECT_EQ(ToMillis(std::chrono::microseconds(1999)), 1);
  EXPECT_EQ(Seconds(2), Millis(2000));
}

TEST(EndpointTest, ReadsAndWritesBothFamilies) {
  EXPECT_EQ(ParseEndpoint("10.0.0.1:7400"), (Endpoint{"10.0.0.1", 7400}));
  EXPECT_EQ(ParseEndpoint("[FD00:0:0::1]:7400"), (Endpoint{"fd00::1", 7400}));
  EXPECT_EQ(ToString(Endpoint{"10.0.0.1", 7400}), "10.0.0.1:7400");
  EXPECT_EQ(ToString(Endpoint{"fd00::1", 7400}), "[fd00::1]:7400");
}

TEST(EndpointTest, RefusesWhatIsNone) {
  for (const char* text : {"", ":", "7400", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:-1",
                           "10.0.0.1: 1", "10.0.0.1:1x", "fd00::1:7400", "[fd00::1]", "localhost:7400", "10.0.0:1"}) {
    EXPECT_EQ(ParseEndpoint(text), std::nullopt) << text;
  }
}

TEST(EndpointTest, CanonicalIpsAreEqualTexts) {
  EXPECT_EQ(CanonicalIp("2001:DB8:0:0:0:0:0:1"), "2001:db8::1");
  EXPECT_EQ(CanonicalIp("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(CanonicalIp("10.0.0.01"), std::nullopt);  // octal or decimal? readers differ, so it is refused
  EXPECT_EQ(CanonicalIp(""), std::nullopt);
}

TEST(ListenAddressTest, NoHostIsEveryAddress) {
  for (const char* text : {"7400", ":7400", "*:7400"}) {
    EXPECT_EQ(ParseListenAddress(text), (ListenAddress{"", 7400})) << text;
  }
  EXPECT_EQ(ParseListenAddress("127.0.0.11:6380"), (ListenAddress{"127.0.0.11", 6380}));
  EXPECT_EQ(ParseListenAddress("[::1]:6380"), (ListenAddress{"::1", 6380}));
  for (const char* text : {"", "*", "*7400", ":", "0", "*:0", "65536", "::", "::1:7400", "any:7400", "127.0.0.1"}) {
    EXPECT_EQ(ParseListenAddress(text), std::nullopt) << text;
  }
  EXPECT_EQ(ToString(ListenAddress{"", 7400}), "*:7400");
  EXPECT_EQ(ToString(ListenAddress{"::1", 7400}), "[::1]:7400");
}

TEST(RandomTest, TheSameSeedDrawsTheSameNumbersEverywhere) {
  // The state after splitmix64(0) is e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec, as its
  // authors publish; the first number of xoshiro256** follows from the second word.
  const auto rotate = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
  Random random(0);
  EXPECT_EQ(random.Next(), rotate(0x6e789e6aa1b965f4ULL * 5, 7) * 9);

  Random a(42), b(42), c(43);
  EXPECT_EQ(a.Next(), b.Next());
  EXPECT_NE(a.Next(), c.Next());
}

TEST(RandomTest, StaysWithinBoundsAndReachesThem) {
  Random random(7);
  std::set<uint64_t> below;
  std::set<int64_t> between;
  for (int i = 0; i < 1000; ++i) {
    below.insert(random.Below(4));
    between.insert(random.Between(-1, 1));
    EXPECT_FALSE(random.Percent(0));
    EXPECT_TRUE(random.Percent(100));
  }
  EXPECT_EQ(below, (std::set<uint64_t>{0, 1, 2, 3}));
  EXPECT_EQ(between, (std::set<int64_t>{-1, 0, 1}));
  EXPECT_EQ(random.Below(0), 0U);
  EXPECT_EQ(random.Between(5, 5), 5);
}

}  // namespace
}  // namespace hive
