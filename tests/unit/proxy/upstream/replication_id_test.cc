// Goal: only a redis whose whole history is part of the leader's passes for one. Method: texts of INFO replication as
// redis 7.0 gives them.
#include "proxy/upstream/replication_id.h"

#include <gtest/gtest.h>

#include <string>

namespace hive::proxy {
namespace {

ReplicationId Of(const std::string& role, const std::string& id, const std::string& second) {
  return ReplicationId::FromInfo("$999\r\n# Replication\r\nrole:" + role +
                                 "\r\nconnected_slaves:1\r\nmaster_failover_state:no-failover\r\nmaster_replid:" + id +
                                 "\r\nmaster_replid2:" + second +
                                 "\r\nmaster_repl_offset:7\r\nsecond_repl_offset:5\r\n\r\n");
}

const std::string kNone(40, '0');

TEST(ReplicationIdTest, ReadsInfo) {
  const ReplicationId id = Of("master", "aa", "bb");
  EXPECT_TRUE(id.is_master);
  EXPECT_EQ(id.id, "aa");
  EXPECT_EQ(id.second, "bb");
  EXPECT_EQ(ReplicationId::FromInfo("").id, "");
  EXPECT_FALSE(ReplicationId::FromInfo("role:slave").is_master);
}

TEST(ReplicationIdTest, APartialResynchronisationProvesIt) {
  const ReplicationId leader = Of("master", "new", "old");
  EXPECT_TRUE(Of("slave", "new", "old").IsPartOf(leader, "old"));
  EXPECT_FALSE(Of("slave", "old", kNone).IsPartOf(leader, "old"));    // parked, not resynchronised yet
  EXPECT_FALSE(Of("slave", "new", kNone).IsPartOf(leader, "old"));    // fully: what it held is gone
  EXPECT_FALSE(Of("master", "new", "old").IsPartOf(leader, "old"));   // the leader itself
  EXPECT_FALSE(Of("slave", "new", "other").IsPartOf(leader, "old"));  // it had written under another id since
  EXPECT_FALSE(Of("slave", "third", "old").IsPartOf(leader, "old"));  // of another leader
  EXPECT_FALSE(Of("slave", "new", "old").IsPartOf(Of("slave", "new", "old"), "old"));
  EXPECT_FALSE(Of("slave", "", "").IsPartOf(Of("master", "", ""), ""));
}

}  // namespace
}  // namespace hive::proxy
