// Goal: the table of members is what DNS and the members themselves say, bounded.

#include "coordinator/election/peers.h"

#include <gtest/gtest.h>

#include <vector>

namespace hive::election {
namespace {

const Endpoint kSelf{"10.0.0.1", 7400};
const Endpoint kB{"10.0.0.2", 7400};
const Endpoint kC{"10.0.0.3", 7400};

TEST(Peers, DnsAddsAndMarks) {
  Peers peers(kSelf);
  EXPECT_FALSE(peers.answered());
  EXPECT_TRUE(peers.OnListed({kSelf, kB}));
  EXPECT_TRUE(peers.self_listed());
  ASSERT_NE(peers.Find(kB), nullptr);
  EXPECT_TRUE(peers.Find(kB)->listed);
  EXPECT_FALSE(peers.OnListed({kB, kSelf}));  // the same set
  EXPECT_TRUE(peers.OnListed({kSelf}));
  EXPECT_FALSE(peers.Find(kB)->listed);
  EXPECT_TRUE(peers.Find(kB)->was_listed);
}

TEST(Peers, NeverHoldsItself) {
  Peers peers(kSelf);
  EXPECT_EQ(peers.Add(kSelf), nullptr);
  peers.OnListed({kSelf});
  EXPECT_TRUE(peers.all().empty());
}

TEST(Peers, ForgetsWhoIsNeitherListedNorHeard) {
  Peers peers(kSelf);
  const Instant start{};
  peers.Add(kB)->heard = start;
  peers.ForgetUnlisted(start + Seconds(5), Seconds(10));
  EXPECT_NE(peers.Find(kB), nullptr);
  peers.ForgetUnlisted(start + Seconds(11), Seconds(10));
  EXPECT_EQ(peers.Find(kB), nullptr);
}

// A DNS server that lags lists some of the members, not this one: whoever refuses may be behind a firewall as much as
// gone.
TEST(Peers, AListWithoutThisMemberDropsNobodyWhoRefuses) {
  Peers peers(kSelf);
  const Instant start{};
  peers.Add(kB)->heard = start;
  peers.Find(kB)->gone = true;
  peers.OnListed(std::vector{kC});
  peers.ForgetUnlisted(start + Seconds(1), Seconds(10));
  EXPECT_NE(peers.Find(kB), nullptr);
  peers.OnListed(std::vector{kSelf, kC});
  peers.ForgetUnlisted(start + Seconds(1), Seconds(10));
  EXPECT_EQ(peers.Find(kB), nullptr);
}

TEST(Peers, IsBounded) {
  Peers peers(kSelf);
  for (size_t i = 0; i < 2 * kMaxPeers; ++i) peers.Add({"10.1.0." + std::to_string(i), 7400});
  EXPECT_EQ(peers.all().size(), kMaxPeers);
}

}  // namespace
}  // namespace hive::election
