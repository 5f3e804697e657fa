// Goal: what the proxy says itself is RESP that nothing can break out of, and small replies are understood as a tree.
#include "proxy/resp/replies.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "proxy/resp/resp_value.h"

namespace hive::resp {
namespace {

TEST(Replies, AreOneLineEach) {
  EXPECT_EQ(ErrorReply("MASTERDOWN", "no leader"), "-MASTERDOWN no leader\r\n");
  EXPECT_EQ(ErrorReply("a\r\n+OK"), "-ERR a  +OK\r\n");
  EXPECT_EQ(SimpleReply("a\nb"), "+a b\r\n");
  EXPECT_EQ(IntegerReply(std::numeric_limits<int64_t>::min()), ":-9223372036854775808\r\n");
  EXPECT_EQ(BulkReply("a\r\nb"), "$4\r\na\r\nb\r\n");
}

TEST(Replies, KnowTheNullsOfBothProtocols) {
  EXPECT_EQ(NullReply(Protocol::kResp2), "$-1\r\n");
  EXPECT_EQ(NullArrayReply(Protocol::kResp2), "*-1\r\n");
  EXPECT_EQ(NullReply(Protocol::kResp3), "_\r\n");
  EXPECT_EQ(NullArrayReply(Protocol::kResp3), "_\r\n");
}

TEST(Replies, BuildRequests) { EXPECT_EQ(MakeRequest({"GET", ""}), "*2\r\n$3\r\nGET\r\n$0\r\n\r\n"); }

Value Parsed(std::string_view bytes) {
  Value value;
  size_t consumed = 0;
  EXPECT_EQ(ParseValue(bytes, &value, &consumed), ValueStatus::kValue) << bytes;
  EXPECT_EQ(consumed, bytes.size()) << bytes;
  return value;
}

TEST(ParseValue, ReadsTheAnswerToRole) {
  const Value role =
      Parsed("*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$1\r\n5\r\n");
  ASSERT_EQ(role.type, Value::Type::kArray);
  ASSERT_EQ(role.elements.size(), 3u);
  EXPECT_EQ(role.elements[0].text, "master");
  EXPECT_EQ(role.elements[1].integer, 3129659);
  EXPECT_EQ(role.elements[2].elements[0].elements[1].text, "9001");
}

TEST(ParseValue, KnowsEveryType) {
  EXPECT_TRUE(Parsed("$-1\r\n").is_null());
  EXPECT_TRUE(Parsed("*-1\r\n").is_null());
  EXPECT_TRUE(Parsed("_\r\n").is_null());
  EXPECT_EQ(Parsed("+OK\r\n").text, "OK");
  EXPECT_EQ(Parsed("=7\r\ntxt:abc\r\n").text, "abc");
  EXPECT_EQ(Parsed("!5\r\nERR x\r\n").type, Value::Type::kError);
  EXPECT_EQ(Parsed("#t\r\n").integer, 1);
  EXPECT_EQ(Parsed(",1.5\r\n").text, "1.5");
  EXPECT_EQ(Parsed("(12\r\n").type, Value::Type::kNumber);
  EXPECT_EQ(Parsed("~1\r\n:1\r\n").type, Value::Type::kSet);
  EXPECT_EQ(Parsed("%1\r\n+a\r\n:1\r\n").elements.size(), 2u);
  EXPECT_EQ(Parsed(">1\r\n:1\r\n").type, Value::Type::kPush);
  EXPECT_EQ(Parsed("|1\r\n+a\r\n*1\r\n:1\r\n*1\r\n|1\r\n+a\r\n:1\r\n:7\r\n").elements[0].integer, 7);
}

TEST(ParseValue, KeepsItsLimits) {
  Value value;
  size_t consumed = 0;
  EXPECT_EQ(ParseValue("*2\r\n:1\r\n", &value, &consumed), ValueStatus::kIncomplete);
  EXPECT_EQ(ParseValue("", &value, &consumed), ValueStatus::kIncomplete);
  EXPECT_EQ(ParseValue("?", &value, &consumed), ValueStatus::kError);
  EXPECT_EQ(ParseValue("$100000000\r\n", &value, &consumed), ValueStatus::kError);
  ValueLimits limits;
  limits.max_depth = 3;
  EXPECT_EQ(ParseValue("*1\r\n*1\r\n:1\r\n", limits, &value, &consumed), ValueStatus::kValue);
  EXPECT_EQ(ParseValue("*1\r\n*1\r\n*1\r\n:1\r\n", limits, &value, &consumed), ValueStatus::kError);
  limits.max_values = 3;
  EXPECT_EQ(ParseValue("*2\r\n:1\r\n:2\r\n", limits, &value, &consumed), ValueStatus::kValue);
  EXPECT_EQ(ParseValue("*3\r\n:1\r\n:2\r\n:3\r\n", limits, &value, &consumed), ValueStatus::kError);
}

}  // namespace
}  // namespace hive::resp
