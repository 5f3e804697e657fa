// Goal: what redis says in INFO becomes the right RedisStatus, for each role and version.
// Method: texts as redis 7.0 and redis 5 print them, cut to the fields that matter, with others in between.
#include "coordinator/replication/info.h"

#include <gtest/gtest.h>

namespace hive::replication {
namespace {

constexpr std::string_view kServer =
    "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
    "uptime_in_seconds:17\r\n\r\n# Persistence\r\nloading:0\r\nasync_loading:0\r\n\r\n";

std::string With(std::string_view rest) { return std::string(kServer) + std::string(rest); }

TEST(Info, Master) {
  const auto status =
      ParseInfo(With("# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
                     "slave0:ip=10.0.0.2,port=6379,state=online,offset=50,lag=0\r\n"
                     "master_replid:105ec4f99c4e33d58cf4bee4a9821351a4b075af\r\n"
                     "master_replid2:0000000000000000000000000000000000000000\r\nmaster_repl_offset:50\r\n"
                     "# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\ndb11:keys=4,expires=1,avg_ttl=0\r\n"));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->is_master);
  EXPECT_TRUE(status->master.empty());
  EXPECT_EQ(status->run_id, std::string(40, 'a'));
  EXPECT_EQ(status->version, "7.0.15");
  EXPECT_EQ(status->uptime, Seconds(17));
  EXPECT_EQ(status->replication_id, "105ec4f99c4e33d58cf4bee4a9821351a4b075af");
  EXPECT_EQ(status->second_replication_id, "");
  EXPECT_EQ(status->offset, 50);
  EXPECT_EQ(status->keys, 7);
  EXPECT_FALSE(status->loading);
}

TEST(Info, ReplicaInSync) {
  const auto status =
      ParseInfo(With("role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
                     "master_sync_in_progress:0\r\nslave_read_repl_offset:123\r\nslave_repl_offset:123\r\n"
                     "master_replid:bbbb\r\nmaster_replid2:cccc\r\nmaster_repl_offset:123\r\n"));
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->is_master);
  EXPECT_EQ(status->master, (Endpoint{"10.0.0.1", 6379}));
  EXPECT_TRUE(status->link_up);
  EXPECT_EQ(status->second_replication_id, "cccc");
  EXPECT_EQ(status->offset, 123);
}

// What redis 7.0.15 says when it is born with `replicaof 127.0.0.1 1`: slave_repl_offset 1, although it holds nothing.
TEST(Info, BornParkedHoldsNothing) {
  const auto status =
      ParseInfo(With("role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1\r\nmaster_link_status:down\r\n"
                     "slave_repl_offset:1\r\nmaster_replid:bbbb\r\nmaster_repl_offset:0\r\n"));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->parked());
  EXPECT_EQ(status->offset, 0);
  EXPECT_EQ(status->keys, 0);
}

TEST(Info, FullResyncAndLoading) {
  const auto status = ParseInfo(
      "redis_version:5.0.14\nrun_id:x\nuptime_in_seconds:1\nloading:1\nrole:slave\nmaster_host:fd00:0::1\n"
      "master_port:6379\nmaster_link_status:down\nmaster_sync_in_progress:1\nmaster_repl_offset:0\n");
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->loading);
  EXPECT_TRUE(status->sync_in_progress);
  EXPECT_EQ(status->master.ip, "fd00::1");  // canonical, so that it compares
}

TEST(Info, NotAnInfo) {
  EXPECT_FALSE(ParseInfo(""));
  EXPECT_FALSE(ParseInfo("PONG"));
  EXPECT_FALSE(ParseInfo("role:master\r\n"));
  EXPECT_FALSE(ParseInfo("run_id:x\r\n"));
  EXPECT_TRUE(ParseInfo("run_id:x\r\nrole:master\r\nmaster_repl_offset:99999999999999999999\r\ndb:\r\ndbx:keys=1"));
}

TEST(Info, MajorVersion) {
  EXPECT_EQ(MajorVersion("7.0.15"), 7);
  EXPECT_EQ(MajorVersion("10.2"), 10);
  EXPECT_EQ(MajorVersion(""), 0);
  EXPECT_EQ(MajorVersion("unstable"), 0);
}

TEST(Info, IsAtLeast) {
  EXPECT_TRUE(IsAtLeast("6.2.0", 6, 2));
  EXPECT_TRUE(IsAtLeast("6.10", 6, 2));
  EXPECT_TRUE(IsAtLeast("10.0.1", 6, 2));
  EXPECT_FALSE(IsAtLeast("6.0.16", 6, 2));
  EXPECT_FALSE(IsAtLeast("6", 6, 2));
  EXPECT_FALSE(IsAtLeast("5.9.9", 6, 2));
  EXPECT_FALSE(IsAtLeast("", 6, 2));
}

TEST(RedisCommand, AsEachVersionUnderstandsIt) {
  using Kind = RedisCommand::Kind;
  using Words = std::vector<std::string>;
  const RedisCommand pause{.kind = Kind::kPause, .master = {}, .limit = Millis(500)};
  EXPECT_EQ(Spell(pause, "7.0.15"), (Words{"CLIENT", "PAUSE", "500", "WRITE"}));
  EXPECT_EQ(Spell({Kind::kPause, {}}, "7.0.15"), (Words{"CLIENT", "PAUSE", "1", "WRITE"}));
  EXPECT_EQ(Spell({Kind::kUnpause, {}}, "6.2.14"), (Words{"CLIENT", "UNPAUSE"}));
  EXPECT_EQ(Spell(pause, "6.0.16"), (Words{"CONFIG", "SET", "min-replicas-to-write", "99"}));
  EXPECT_EQ(Spell({Kind::kUnpause, {}}, "6.0.16"), (Words{"CONFIG", "SET", "min-replicas-to-write", "0"}));
  EXPECT_EQ(Spell({Kind::kFence, {}}, ""), (Words{"CONFIG", "SET", "min-replicas-to-write", "99"}));
  EXPECT_EQ(Spell({Kind::kUnfence, {}}, ""), (Words{"CONFIG", "SET", "min-replicas-to-write", "0"}));
  EXPECT_EQ(Spell({Kind::kRead, {}}, "7.0.15"), Words{});
}

TEST(RedisCommand, AsRedisSpellsIt) {
  EXPECT_EQ(ToString(RedisCommand{RedisCommand::Kind::kPark, {}}), "REPLICAOF 127.0.0.1 1");
  EXPECT_EQ(ToString(RedisCommand{RedisCommand::Kind::kPromote, {}}), "REPLICAOF NO ONE");
  EXPECT_EQ(ToString(RedisCommand{RedisCommand::Kind::kReplicate, {"10.0.0.1", 6379}}), "REPLICAOF 10.0.0.1 6379");
  EXPECT_EQ(ToString(RedisCommand{RedisCommand::Kind::kRead, {}}), "INFO");
}

}  // namespace
}  // namespace hive::replication
