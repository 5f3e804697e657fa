// Goal: who holds less is told right, in particular where the newest replication id is not the newest data.
// Method: lineages of two and three promotions, redises at and around the promotion offsets.

#include "coordinator/election/standing.h"

#include <gtest/gtest.h>

namespace hive::election {
namespace {

Standing Data(Term term, int64_t offset, int64_t keys = 1) { return {true, false, term, offset, keys}; }

RedisStatus Redis(const std::string& id, int64_t offset, const std::string& second = "") {
  RedisStatus status;
  status.replication_id = id;
  status.second_replication_id = second;
  status.offset = offset;
  return status;
}

const Lineage kLineage = {{1, "A", 0}, {2, "B", 90}, {3, "C", 200}};

TEST(HoldsLess, UnavailableThenEmptyThenTermThenOffset) {
  const Standing unavailable{false, false, 9, 900, 9};
  const Standing empty{true, true, 0, 0, 0};
  EXPECT_TRUE(HoldsLess(unavailable, empty));
  EXPECT_TRUE(HoldsLess(empty, Data(0, 0, 0)));  // zero keys is not empty
  EXPECT_TRUE(HoldsLess(Data(1, 500), Data(2, 100)));
  EXPECT_TRUE(HoldsLess(Data(2, 100), Data(2, 101)));
  EXPECT_FALSE(HoldsLess(Data(2, 100), Data(2, 100, 99)));  // keys say nothing where offsets do
}

TEST(HoldsLess, KeysStandInForAnUnknownOffset) {
  EXPECT_TRUE(HoldsLess(Data(1, 14, 1), Data(1, 0, 1000)));  // a master that never had a replica says offset 0
  EXPECT_FALSE(HoldsLess(Data(1, 0, 1000), Data(1, 14, 1)));
}

TEST(TermHeld, NeedsAByteBeyondThePromotion) {
  EXPECT_EQ(TermHeld(kLineage, Redis("C", 201)), 3u);
  EXPECT_EQ(TermHeld(kLineage, Redis("C", 200)), 2u);
  EXPECT_EQ(TermHeld(kLineage, Redis("B", 91)), 2u);
  EXPECT_EQ(TermHeld(kLineage, Redis("B", 90)), 1u);
}

// A replica that lags adopts the newest id at +CONTINUE, and must not look newer than a fresher one.
TEST(TermHeld, LaggingAdopterIsPlacedByItsOffset) {
  const RedisStatus adopter = Redis("B", 80, "A");
  const RedisStatus fresher = Redis("A", 85);
  EXPECT_EQ(TermHeld(kLineage, adopter), 1u);
  EXPECT_TRUE(HoldsLess(Data(TermHeld(kLineage, adopter), 80), Data(TermHeld(kLineage, fresher), 85)));
}

// An old master that went on writing after its successor's promotion has more bytes, of an older term.
TEST(TermHeld, ADivergedOldMasterStaysInItsTerm) {
  EXPECT_EQ(TermHeld(kLineage, Redis("A", 150)), 1u);
  EXPECT_TRUE(HoldsLess(Data(1, 150), Data(2, 120)));
}

TEST(TermHeld, UnknownHistoryIsZero) {
  EXPECT_EQ(TermHeld(kLineage, Redis("X", 1000)), 0u);
  EXPECT_EQ(TermHeld({}, Redis("A", 1)), 0u);
  EXPECT_EQ(TermHeld(kLineage, Redis("", 1)), 0u);
}

TEST(TermHeld, APromotedRedisIsFoundByItsSecondId) { EXPECT_EQ(TermHeld(kLineage, Redis("new", 201, "C")), 3u); }

TEST(Descends, ByEitherId) {
  EXPECT_TRUE(Descends(kLineage, Redis("B", 0)));
  EXPECT_TRUE(Descends(kLineage, Redis("new", 0, "B")));
  EXPECT_FALSE(Descends(kLineage, Redis("new", 0, "other")));
}

TEST(Append, ForgetsTheOldest) {
  Lineage lineage;
  for (Term term = 1; term <= kMaxLineage + 5; ++term) Append(lineage, {term, "id", 0});
  EXPECT_EQ(lineage.size(), kMaxLineage);
  EXPECT_EQ(lineage.front().term, 6u);
}

TEST(ExcessOver, IsWhatTheLineageHasNot) {
  EXPECT_FALSE(ExcessOver(kLineage, Redis("C", 500)).any());    // in step
  EXPECT_FALSE(ExcessOver(kLineage, Redis("B", 150)).any());    // behind
  const Excess beyond = ExcessOver(kLineage, Redis("B", 260));  // B wrote on after C was promoted at 200
  EXPECT_EQ(beyond.bytes, 60);
  EXPECT_EQ(beyond.from, 200);
}

TEST(ExcessOver, CountsFromAPromotionThatTheLineageDoesNotKnow) {
  RedisStatus redis = Redis("X", 260, "C");  // promoted by itself at 229, while C went on leading elsewhere
  redis.second_offset = 230;
  EXPECT_EQ(ExcessOver(kLineage, redis).bytes, 31);
  redis.second_replication_id = "B";  // and if it was B's before, all beyond C's promotion goes
  EXPECT_EQ(ExcessOver(kLineage, redis).bytes, 60);
}

TEST(ExcessOver, AStrangersKeysAllGo) {
  RedisStatus redis = Redis("Y", 10, "Z");
  EXPECT_FALSE(ExcessOver(kLineage, redis).any());  // it has none
  redis.keys = 7;
  EXPECT_TRUE(ExcessOver(kLineage, redis).foreign);
}

TEST(ExcessSinceFork, FindsWhereTwoHistoriesParted) {
  RedisStatus redis = Redis("Q", 260, "P");  // promoted twice: neither id is the leader's
  redis.keys = 3;
  ASSERT_TRUE(ExcessOver(kLineage, redis).foreign);
  const Lineage own = {{1, "A", 0}, {2, "B", 90}, {3, "P", 180}, {4, "Q", 190}};
  const Excess excess = ExcessSinceFork(own, kLineage, redis);
  EXPECT_EQ(excess.from, 180);
  EXPECT_EQ(excess.bytes, 80);
  EXPECT_TRUE(ExcessSinceFork({{1, "S", 0}}, kLineage, redis).foreign);  // nothing in common
}

TEST(ExcessOf, OneThatChangedSidesWhileItWasBehindDropsOnlyWhatTheOtherSideHasNot) {
  // It was at 75 when it went over to R, which had been promoted with all of A up to 88; the leader, B, has A up to 90.
  RedisStatus redis = Redis("R", 95, "A");
  redis.keys = 3;
  redis.second_offset = 76;  // as redis writes it at +CONTINUE: its own offset, not where R began
  const Lineage own = {{1, "A", 0}, {2, "R", 88}};
  EXPECT_EQ(ExcessOver(kLineage, redis).bytes, 20);
  EXPECT_EQ(ExcessOf(own, kLineage, redis).bytes, 7);
  EXPECT_EQ(ExcessOf(own, kLineage, redis).from, 88);
  // It has been a replica of B, of which its own history does not know.
  redis = Redis("T", 195, "B");
  redis.keys = 3;
  redis.second_offset = 191;
  EXPECT_EQ(ExcessOf({{1, "A", 0}, {2, "T", 190}}, kLineage, redis).bytes, 5);
  redis = Redis("R", 95, "A");
  redis.keys = 3;
  redis.second_offset = 76;
  // Nothing is known of its own history, or nothing of use: what its ids say.
  EXPECT_EQ(ExcessOf({}, kLineage, redis).bytes, 20);
  EXPECT_EQ(ExcessOf({{1, "S", 0}, {2, "R", 88}}, kLineage, redis).bytes, 20);
  // On the leader's own line the offset says it all.
  EXPECT_EQ(ExcessOf(own, kLineage, Redis("C", 210)).bytes, ExcessOver(kLineage, Redis("C", 210)).bytes);
}

}  // namespace
}  // namespace hive::election
