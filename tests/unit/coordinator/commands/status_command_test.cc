// Goal: whoever reads `hive-coordinator status` sees at once what is not as it should be, and nothing else when all is
// well.
// Method: answers of GetState by hand.

#include "coordinator/status_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "hive/v1/hive.pb.h"

namespace hive::coordinator {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

v1::MemberState* AddMember(v1::GetStateResponse& state, const std::string& ip, v1::Role role) {
  v1::MemberState* member = state.add_members();
  member->mutable_identity()->set_ip(ip);
  member->mutable_identity()->set_incarnation(state.members_size());
  member->mutable_coordinator()->set_ip(ip);
  member->set_role(role);
  member->set_listed(true);
  member->set_link_up(true);
  return member;
}

// A leader and its follower, all well.
v1::GetStateResponse Well() {
  v1::GetStateResponse state;
  state.set_hive("shop");
  state.set_term(7);
  state.mutable_self()->set_ip("10.0.0.1");
  state.mutable_self()->set_incarnation(1);
  state.mutable_leader()->set_term(7);
  state.mutable_leader()->mutable_leader()->set_ip("10.0.0.1");
  state.set_write_state(v1::WRITE_STATE_OPEN);
  state.set_uptime_ms(61'000);
  state.mutable_redis()->set_up(true);
  state.mutable_redis()->set_role(v1::REDIS_ROLE_MASTER);
  AddMember(state, "10.0.0.1", v1::ROLE_LEADING)->set_leads(true);
  AddMember(state, "10.0.0.2", v1::ROLE_FOLLOWING)->set_heard_ago_ms(40);
  return state;
}

TEST(FormatState, AHiveThatIsWellSaysWhoLeadsAndNoMore) {
  const std::string text = FormatState(Well());
  EXPECT_THAT(text, HasSubstr("hive shop: 10.0.0.1 leads, term 7, writes open; seen by 10.0.0.1"));
  EXPECT_THAT(text, HasSubstr("10.0.0.1 *"));
  EXPECT_THAT(text, HasSubstr("following"));
  for (const char* trouble :
       {"waiting for", "writes are", "in doubt", "discarded", "refuses", "cannot be used", "another secret"}) {
    EXPECT_THAT(text, Not(HasSubstr(trouble)));
  }
}

TEST(FormatState, WritesThatAreHeldSayWhy) {
  v1::GetStateResponse state = Well();
  state.set_write_state(v1::WRITE_STATE_HOLD);
  state.set_write_reason("fewer than half of the members were heard of late");
  const std::string text = FormatState(state);
  EXPECT_THAT(text, HasSubstr("term 7, writes held;"));
  EXPECT_THAT(text, HasSubstr("\nwrites are held: fewer than half of the members were heard of late\n"));
}

TEST(FormatState, WritesThatAreFencedInDoubtSayBoth) {
  v1::GetStateResponse state = Well();
  state.set_write_state(v1::WRITE_STATE_FENCED);
  state.set_write_reason("in doubt: fewer than half of the members are heard");
  state.set_in_doubt(true);
  const std::string text = FormatState(state);
  EXPECT_THAT(text, HasSubstr("\nwrites are fenced: in doubt: fewer than half of the members are heard\n"));
  EXPECT_THAT(text, HasSubstr("\nin doubt: it hears too few of the others"));
}

TEST(FormatState, WhatWasDiscardedIsSummed) {
  v1::GetStateResponse state = Well();
  v1::Discarded* discarded = state.mutable_discarded();
  discarded->set_times(2);
  discarded->set_bytes(4711);
  discarded->set_span_ms(250);
  EXPECT_THAT(FormatState(state), HasSubstr("\ndiscarded: 2 times, 4711 bytes written over 250ms\n"));
  discarded->set_foreign_datasets(1);
  discarded->set_foreign_keys(12);
  discarded->set_last("drops a whole dataset");
  EXPECT_THAT(FormatState(state), HasSubstr("written over 250ms, and 1 datasets of another origin with 12 keys; the "
                                            "last: drops a whole dataset\n"));
}

TEST(FormatState, ARedisThatRefusesACommandIsNamed) {
  v1::GetStateResponse state = Well();
  v1::RefusedCommand* refused = state.mutable_redis()->add_refused_commands();
  refused->set_command("CONFIG");
  refused->set_error("NOPERM this user has no permissions");
  EXPECT_THAT(FormatState(state), HasSubstr("\nits redis refuses CONFIG: NOPERM this user has no permissions\n"));
}

TEST(FormatState, ARedisThatCannotBeUsedSaysWhy) {
  v1::GetStateResponse state = Well();
  state.mutable_redis()->set_up(false);
  state.mutable_redis()->set_trouble("connection refused");
  EXPECT_THAT(FormatState(state), HasSubstr("\nits redis cannot be used: connection refused\n"));
}

TEST(FormatState, ARedisWithoutALinkSaysSinceWhen) {
  v1::GetStateResponse state = Well();
  state.mutable_redis()->set_unlinked_ms(12'345);
  EXPECT_THAT(FormatState(state),
              HasSubstr("\nits redis gets no link to the leader's: for 12s, its own log says why\n"));
}

TEST(FormatState, WithoutALeaderItSaysWhatItWaitsFor) {
  v1::GetStateResponse state = Well();
  state.clear_leader();
  state.set_write_state(v1::WRITE_STATE_NO_LEADER);
  state.set_waiting_for("DNS to answer");
  const std::string text = FormatState(state);
  EXPECT_THAT(text, HasSubstr("hive shop: no leader, term 7"));
  EXPECT_THAT(text, HasSubstr("\nwaiting for: DNS to answer\n"));
}

TEST(FormatState, NotesOfAMember) {
  v1::GetStateResponse state = Well();
  v1::MemberState* member = state.mutable_members(1);
  member->set_rejects(true);
  EXPECT_THAT(FormatState(state), HasSubstr("another secret or CA"));
  member->set_rejects(false);
  member->set_gone(true);
  member->set_listed(false);
  member->mutable_will()->set_leaving(true);
  EXPECT_THAT(FormatState(state), HasSubstr("leaving gone not listed"));
  member->set_clock_ahead_ms(18'000'250);
  EXPECT_THAT(FormatState(state), HasSubstr("not listed clock 5h ahead"));
  member->set_clock_ahead_ms(-61'000);
  EXPECT_THAT(FormatState(state), HasSubstr("not listed clock 1m1s behind"));
}

// Lines of the table, its heading first.
std::vector<std::string> Table(const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text.substr(text.find("\n\n") + 2), '\n', absl::SkipEmpty());
  return lines;
}

TEST(FormatState, VersionsAreNamedWhileTheyDiffer) {
  v1::GetStateResponse state = Well();
  for (v1::MemberState& member : *state.mutable_members()) member.set_version("0.1.0");
  EXPECT_THAT(FormatState(state), Not(HasSubstr("0.1.0")));

  AddMember(state, "10.0.0.3", v1::ROLE_FOLLOWING)->set_version("0.2.0");
  AddMember(state, "10.0.0.4", v1::ROLE_FOLLOWING);  // of a version that does not say
  v1::MemberState* never_met = AddMember(state, "10.0.0.5", v1::ROLE_UNSPECIFIED);
  never_met->mutable_identity()->set_incarnation(0);
  const std::string text = FormatState(state);
  EXPECT_THAT(text, HasSubstr("\nversions differ: 0.1.0 (2), 0.2.0 (1), unknown (1)\n"));
  const std::vector<std::string> table = Table(text);
  ASSERT_EQ(table.size(), 6u);
  EXPECT_THAT(table[0], EndsWith("  HEARD     VERSION"));
  EXPECT_THAT(table[2], EndsWith("  0.1.0"));
  EXPECT_THAT(table[3], EndsWith("  0.2.0"));
  EXPECT_THAT(table[4], EndsWith("  unknown"));
  EXPECT_THAT(table[5], EndsWith("  -"));
}

TEST(FormatState, WhoIsGoneHasNoSayInWhetherVersionsDiffer) {
  v1::GetStateResponse state = Well();
  for (v1::MemberState& member : *state.mutable_members()) member.set_version("0.2.0");
  state.mutable_members(1)->set_version("0.1.0");
  state.mutable_members(1)->set_gone(true);
  EXPECT_THAT(FormatState(state), Not(HasSubstr("0.2.0")));
}

TEST(FormatState, ACoordinatorThatKnowsNoVersionsIsNotReadAsIfTheyDiffered) {
  v1::GetStateResponse state = Well();
  state.set_version("0.1.0");
  EXPECT_THAT(FormatState(state), Not(HasSubstr("ersion")));
}

TEST(FormatState, TheTableFitsAHundredColumns) {
  v1::GetStateResponse state = Well();
  state.mutable_members(0)->set_version("0.10.0");
  v1::MemberState* member = AddMember(state, "255.255.255.255", v1::ROLE_PROMOTING);
  member->set_link_up(false);
  member->mutable_standing()->set_available(true);
  member->mutable_standing()->set_offset(999'999'999'999);
  member->mutable_standing()->set_keys(99'999'999);
  member->set_lag_bytes(999'999'999);
  member->set_heard_ago_ms(999);
  for (const std::string& line : Table(FormatState(state))) EXPECT_LE(line.size(), 100u) << line;
}

}  // namespace
}  // namespace hive::coordinator
