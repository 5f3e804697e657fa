// A world of a few pods whose coordinators say what a test puts into their mouths.
//
// Thread rule: one thread. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/sim/scripted_brain.h"
#include "tests/sim/world.h"

namespace hive::sim {

inline constexpr const char* kA = "10.0.0.1";
inline constexpr const char* kB = "10.0.0.2";

class WorldTest : public ::testing::Test {
 protected:
  WorldTest() : WorldTest(Calm()) {}
  explicit WorldTest(const Options& options) : world_(options, MakeScripted, transcript_) {
    for (int slot = 0; slot < options.members; ++slot) world_.StartPod(slot);
    world_.RunFor(Millis(500));
  }
  static Options Calm() {
    Options options;
    options.seed = 3;
    options.members = 2;
    options.beat_interval = Millis(100);
    options.expect.handover = false;  // whoever says only what a test tells it to does not leave in time
    return options;
  }
  void Say(const char* ip, election::Action action) {
    script_.members[ip].next.push_back(std::move(action));
    world_.RunFor(Millis(30));  // its next tick takes it along
  }
  election::Header From(const char* ip) { return {kHive, script_.members[ip].config.self, {ip, kCoordinatorPort}, 0}; }
  void Call(election::CallId id) {
    Say(kA, election::SendRequest{id, {kB, kCoordinatorPort}, election::GreetRequest{From(kA), {}}, Millis(300)});
  }
  void DialB(election::CallId id) { Say(kA, election::Dial{id, {kB, kCoordinatorPort}, Millis(100)}); }
  void ExpectObjection(const std::string& rule) {
    ASSERT_TRUE(world_.judge().objects());
    EXPECT_EQ(world_.judge().violation()->rule, rule) << world_.judge().violation()->text;
  }
  void ExpectNone() {
    if (world_.judge().objects()) {
      ADD_FAILURE() << world_.judge().violation()->rule << ": " << world_.judge().violation()->text;
    }
  }
  election::Claim ClaimOf(const char* ip, election::Term term) {
    return {term, 1, script_.members[ip].config.self, {ip, kCoordinatorPort}, {ip, kRedisPort}};
  }
  void Believe(const char* ip, const election::Claim& claim) { script_.members[ip].state.view.claim = claim; }

  Script script_;
  Transcript transcript_;
  World world_;
};

// B leads; everybody else follows, its redis too.
class LedTest : public WorldTest {
 protected:
  LedTest() : LedTest(Calm()) {}
  explicit LedTest(const Options& options) : WorldTest(options), leader_(ClaimOf(kB, 1)) {
    Say(kB, Tell(election::RedisCommand::Kind::kPromote));
    for (auto& [ip, member] : script_.members) {
      member.state.role = ip == kB ? election::Role::kLeading : election::Role::kFollowing;
      member.state.view.claim = leader_;
      if (ip != kB) Say(ip.c_str(), Replicate(kB));
    }
    Publish(election::WriteState::kOpen, Seconds(2));
  }

  static election::CommandRedis Tell(election::RedisCommand::Kind kind, Duration limit = Duration{0}) {
    return {7, {kind, {}, limit}, {}};
  }
  static election::CommandRedis Replicate(const char* ip) {
    return {7, {election::RedisCommand::Kind::kReplicate, {ip, kRedisPort}}, {}};
  }
  // Everybody says so, again and again.
  void Publish(election::WriteState state, Duration span) {
    const SimTime until = world_.now() + span;
    while (world_.now() < until && !world_.judge().objects()) {
      for (auto& [ip, member] : script_.members) {
        const Pod* pod = world_.pods().At(ip);
        if (pod == nullptr || world_.CoordinatorOf(pod->slot) == nullptr) continue;
        election::LeaderView view;
        view.claim = member.state.view.claim;
        view.write_state = member.state.view.write_state = state;
        view.heard = world_.CoordinatorOf(pod->slot)->Local(world_.now());
        member.next = {election::PublishLeader{view}};
      }
      world_.RunFor(Millis(50));
    }
  }
  uint64_t Acknowledged() const { return world_.clients().counts().acknowledged; }
  Fault PartitionAt(uint32_t mask) const {
    Fault fault;
    fault.kind = FaultKind::kPartition;
    fault.mask = mask;
    fault.lasts = Seconds(60);
    return fault;
  }

  election::Claim leader_;
};

}  // namespace hive::sim
