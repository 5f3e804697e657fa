// Goal: what is kept on disk comes back, or is ignored; what people ask for says what the core knows.
// Method: a folder of its own for the file; a snapshot made by hand for the description.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "coordinator/adapters/discovery.h"
#include "coordinator/adapters/state_file.h"
#include "coordinator/adapters/state_service.h"

namespace hive::coordinator {
namespace {

using election::Memory;

const Memory kMemory{
    std::string(40, 'a'), true, 7, {0xfeedfeedfeedfeed, Seconds(90)}, {{6, std::string(40, 'b'), 100}}};

class StateFileTest : public testing::Test {
 protected:
  StateFileTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hive-state-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
  }
  ~StateFileTest() override { std::filesystem::remove_all(folder); }

  void Put(const std::string& text) {
    std::ofstream(folder + "/" + std::string(StateFile::kFileName), std::ios::trunc) << text;
  }

  std::string folder;
};

TEST_F(StateFileTest, WhatWasStoredComesBack) {
  {
    StateFile file(folder);
    EXPECT_TRUE(file.Check().ok());
    EXPECT_FALSE(file.Load());
    file.Store({});
    file.Store(kMemory);
  }
  EXPECT_EQ(StateFile(folder).Load(), kMemory);
}

TEST_F(StateFileTest, IgnoresWhatMakesNoSense) {
  const std::string whole = FormatMemory(kMemory);
  for (size_t length = 0; length + 1 < whole.size(); ++length) EXPECT_FALSE(ParseMemory(whole.substr(0, length)));
  for (const char* text : {"", "\n", "hive-coordinator-state 2\nend\n", "hive-coordinator-state 1\nterm x\nend\n",
                           "hive-coordinator-state 1\nfoo 1\nend\n", "hive-coordinator-state 1\ndataset 1 -1\nend\n"}) {
    Put(text);
    EXPECT_FALSE(StateFile(folder).Load()) << text;
  }
}

TEST_F(StateFileTest, SaysWhatIsWrongWithTheFolder) {
  StateFile file(folder + "/missing");
  EXPECT_THAT(std::string(file.Check().message()), testing::HasSubstr("No such file or directory"));
}

TEST(StateFile, WithoutAFolderNothingIsKept) {
  StateFile file("");
  EXPECT_TRUE(file.Check().ok());
  file.Store(kMemory);
  EXPECT_FALSE(file.Load());
}

TEST(Describe, SaysWhoLeadsAndWhoLagsBehind) {
  Snapshot snapshot;
  snapshot.now = Instant(Seconds(100));
  snapshot.uptime = Seconds(60);
  election::State& state = snapshot.state;
  state.self = {"10.0.0.2", 2};
  state.role = election::Role::kFollowing;
  state.term = 5;
  state.view.claim = {5, 1, {"10.0.0.1", 1}, {"10.0.0.1", 7400}, {"10.0.0.1", 6379}};
  state.view.heard = Instant(Seconds(99));
  state.view.write_state = election::WriteState::kOpen;
  state.members.resize(3);
  state.members[0].identity = state.self;
  state.members[0].standing = {true, false, 5, 900, 1};
  state.members[1].identity = {"10.0.0.1", 1};
  state.members[1].standing = {true, false, 5, 1000, 1};
  state.members[1].heard_ago = Millis(20);
  state.members[2].coordinator = {"10.0.0.3", 7400};  // never met
  state.last_election =
      election::LastElection{election::Evidence::kProof, Millis(12), {state.self, {"10.0.0.1", 1}}, {"10.0.0.1", 1}, 5};

  const v1::GetStateResponse said = Describe("hive", snapshot);
  EXPECT_EQ(said.hive(), "hive");
  EXPECT_EQ(said.role(), v1::ROLE_FOLLOWING);
  EXPECT_EQ(said.leader().term(), 5u);
  EXPECT_EQ(said.leader_heard_ago_ms(), 1000u);
  EXPECT_EQ(said.write_state(), v1::WRITE_STATE_OPEN);
  ASSERT_EQ(said.members_size(), 3);
  EXPECT_EQ(said.members(0).lag_bytes(), 100u);
  EXPECT_FALSE(said.members(0).has_heard_ago_ms());
  EXPECT_TRUE(said.members(1).leads());
  EXPECT_EQ(said.members(1).lag_bytes(), 0u);
  EXPECT_EQ(said.members(1).heard_ago_ms(), 20u);
  EXPECT_EQ(said.members(2).role(), v1::ROLE_UNSPECIFIED);
  EXPECT_FALSE(said.members(2).has_lag_bytes());
  EXPECT_FALSE(said.members(2).has_heard_ago_ms());
  EXPECT_EQ(said.last_election().evidence(), v1::EVIDENCE_PROOF);
  EXPECT_EQ(said.last_election().stood_size(), 2);
  EXPECT_EQ(said.messages_size(), static_cast<int>(kMessageKinds));
}

TEST(Describe, SaysWhatIsNotAsItShouldBe) {
  Snapshot snapshot;
  election::State& state = snapshot.state;
  state.view.write_state = election::WriteState::kHold;
  v1::GetStateResponse said = Describe("hive", snapshot);
  EXPECT_EQ(said.write_state(), v1::WRITE_STATE_HOLD);
  EXPECT_FALSE(said.in_doubt());
  EXPECT_EQ(said.write_reason(), "");
  EXPECT_FALSE(said.has_discarded());
  EXPECT_EQ(said.refused_size(), 0);
  EXPECT_EQ(said.redis().refused_commands_size(), 0);

  state.view.write_state = election::WriteState::kFenced;
  state.in_doubt = true;
  state.write_reason = "in doubt";
  state.discarded = {3, 4096, Millis(250), 1, 17, "dropped for 10.0.0.1"};
  state.refused_commands = {{"CONFIG", "CONFIG SET min-replicas-to-write 99: ERR unknown command"}};
  state.refused_messages = {{"another hive", 5}, {"malformed", 2}, {"stranger", 0}};
  state.redis.fenced = true;
  state.redis_trouble = "connection refused";
  state.members.resize(2);
  state.members[1].will = {true, true};
  state.members[1].clock_ahead = Seconds(-7200);
  state.members[1].version = "0.1.0";
  said = Describe("hive", snapshot);
  AddRefused("malformed", 40, &said);  // the edge's
  EXPECT_EQ(said.write_state(), v1::WRITE_STATE_FENCED);
  EXPECT_TRUE(said.in_doubt());
  EXPECT_EQ(said.write_reason(), "in doubt");
  EXPECT_EQ(said.discarded().times(), 3u);
  EXPECT_EQ(said.discarded().bytes(), 4096);
  EXPECT_EQ(said.discarded().span_ms(), 250u);
  EXPECT_EQ(said.discarded().foreign_datasets(), 1u);
  EXPECT_EQ(said.discarded().foreign_keys(), 17);
  EXPECT_EQ(said.discarded().last(), "dropped for 10.0.0.1");
  ASSERT_EQ(said.redis().refused_commands_size(), 1);
  EXPECT_EQ(said.redis().refused_commands(0).command(), "CONFIG");
  EXPECT_THAT(said.redis().refused_commands(0).error(), testing::HasSubstr("unknown command"));
  EXPECT_TRUE(said.redis().fenced());
  EXPECT_EQ(said.redis().trouble(), "connection refused");
  EXPECT_EQ(said.members(1).clock_ahead_ms(), -7'200'000);
  EXPECT_EQ(said.members(1).version(), "0.1.0");
  ASSERT_EQ(said.refused_size(), 2);  // one entry for each reason, whoever refused
  EXPECT_EQ(said.refused(0).count(), 5u);
  EXPECT_EQ(said.refused(1).reason(), "malformed");
  EXPECT_EQ(said.refused(1).count(), 42u);
  EXPECT_FALSE(said.members(0).has_will());
  EXPECT_TRUE(said.members(1).will().leaving());
}

TEST(Peers, Forms) {
  const auto dns = ParsePeers("dns:redis.default.svc");
  ASSERT_TRUE(dns);
  EXPECT_EQ(dns->name, "redis.default.svc");
  EXPECT_EQ(dns->port, 7400);
  EXPECT_EQ(dns->HiveName(), "redis.default.svc");
  EXPECT_EQ(ParsePeers("dns:redis:7500")->port, 7500);

  const auto list = ParsePeers("static:10.0.0.2:7400,10.0.0.1:7400,[fd00:0::1]:7400,10.0.0.2:7400");
  ASSERT_TRUE(list);
  EXPECT_EQ(list->listed, (std::vector<Endpoint>{{"10.0.0.1", 7400}, {"10.0.0.2", 7400}, {"fd00::1", 7400}}));
  EXPECT_EQ(list->HiveName(), "redis-hive");

  for (const char* text : {"", "dns:", "dns:a b", "dns:a:0", "dns:a:70000", "dns:a:b", "static:", "static:10.0.0.1",
                           "static:10.0.0.1:7400,", "static:name:7400", "10.0.0.1:7400"}) {
    EXPECT_FALSE(ParsePeers(text)) << text;
  }
}

}  // namespace
}  // namespace hive::coordinator
