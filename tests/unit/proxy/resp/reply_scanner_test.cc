// Goal: replies of every type of RESP2 and RESP3 end where they end, however they arrive; what is not RESP is noticed.
#include "proxy/resp/reply_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/scanner_properties.h"

namespace hive::resp {
namespace {

using Kind = ScanEvent::Kind;

// One reply of each kind, redis' own RESP2 subset first.
const std::vector<std::string>& OneOfEach() {
  static const std::vector<std::string> replies = {
      "+OK\r\n",
      "+\r\n",
      "+with a lone \r in it\r\n",
      "-READONLY You can't write against a read only replica.\r\n",
      ":0\r\n",
      ":-9223372036854775808\r\n",
      "$0\r\n\r\n",
      "$5\r\na\r\nb\r\r\n",
      "$12\r\nhello\r\nworld\r\n",
      "$-1\r\n",
      "*0\r\n",
      "*-1\r\n",
      "*3\r\n$1\r\na\r\n*2\r\n:1\r\n*-1\r\n+x\r\n",
      "_\r\n",
      "#t\r\n",
      "#f\r\n",
      ",3.25\r\n",
      ",-inf\r\n",
      ",nan\r\n",
      "(-3492890328409238509324850943850943825024385\r\n",
      "=8\r\ntxt:text\r\n",
      "!9\r\nERR a\r\nbc\r\n",
      "~2\r\n:1\r\n:2\r\n",
      "%2\r\n+a\r\n:1\r\n+b\r\n~0\r\n",
      ">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhello\r\n",
      "|1\r\n+ttl\r\n:3600\r\n$3\r\nabc\r\n",
      "|1\r\n+a\r\n*1\r\n|1\r\n+b\r\n:1\r\n:2\r\n*2\r\n|1\r\n+c\r\n+d\r\n:1\r\n:2\r\n",
  };
  return replies;
}

Reply Whole(std::string_view bytes) {
  ReplyScanner scanner;
  EXPECT_EQ(scanner.Scan(bytes), ReplyStatus::kReply) << bytes;
  return scanner.reply(bytes);
}

TEST(ReplyScanner, FindsTheEndOfEveryType) {
  for (const std::string& reply : OneOfEach()) {
    for (size_t size = 0; size < reply.size(); ++size) {
      ReplyScanner part;
      EXPECT_EQ(part.Scan(std::string_view(reply).substr(0, size)), ReplyStatus::kIncomplete) << reply << " " << size;
      EXPECT_EQ(part.in_reply(), size > 0);
    }
    ReplyScanner scanner;
    const std::string followed = reply + "+next\r\n";
    EXPECT_EQ(scanner.Scan(followed), ReplyStatus::kReply) << reply;
    EXPECT_EQ(scanner.size(), reply.size()) << reply;
    EXPECT_EQ(scanner.reply(followed).bytes(), reply);
    EXPECT_FALSE(scanner.in_reply());
  }
}

// Method: all of them in one stream, by reads of one byte, of random sizes, and with parts released as they come.
TEST(ReplyScanner, SeesTheSameBoundariesWhereverTheStreamIsCut) {
  std::string stream;
  for (const std::string& reply : OneOfEach()) stream += reply;
  const std::vector<ScanEvent> expected = ScanReplies(stream, {});
  ASSERT_EQ(expected.size(), OneOfEach().size() + 1);
  EXPECT_EQ(ScanReplies(stream, Feeding{1}), expected);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(ScanReplies(stream, Feeding{7, false, Random(seed)}), expected) << "seed " << seed;
    const std::vector<ScanEvent> released = ScanReplies(stream, Feeding{7, true, Random(seed)});
    ASSERT_EQ(released.size(), expected.size());
    for (size_t i = 0; i < released.size(); ++i) EXPECT_EQ(released[i].end, expected[i].end) << "seed " << seed;
  }
}

TEST(ReplyScanner, SeesTheSameBoundariesWithEverySingleCut) {
  std::string stream;
  for (const std::string& reply : OneOfEach()) stream += reply;
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    ReplyScanner scanner;
    std::string_view buffer(stream.data(), cut);
    size_t begin = 0;
    for (size_t i = 0; i < OneOfEach().size();) {
      if (scanner.Scan(buffer) == ReplyStatus::kIncomplete) {
        buffer = std::string_view(stream).substr(begin);
        continue;
      }
      ASSERT_EQ(scanner.size(), OneOfEach()[i].size()) << "cut at " << cut;
      begin += scanner.size();
      buffer.remove_prefix(scanner.size());
      ++i;
    }
  }
}

TEST(ReplyScanner, TellsErrorsAndPushes) {
  const Reply error = Whole("-MOVED 1 10.0.0.1:6379\r\n");
  EXPECT_TRUE(error.is_error());
  EXPECT_EQ(error.error(), "MOVED 1 10.0.0.1:6379");
  EXPECT_EQ(error.error_code(), "MOVED");
  EXPECT_EQ(Whole("!13\r\nREADONLY no\r\n\r\n").error_code(), "READONLY");
  EXPECT_EQ(Whole("|1\r\n+a\r\n+b\r\n-UNBLOCKED x\r\n").error_code(), "UNBLOCKED");
  EXPECT_EQ(Whole("-ONEWORD\r\n").error_code(), "ONEWORD");
  EXPECT_EQ(Whole("+ERR\r\n").error_code(), "");
  EXPECT_TRUE(Whole(">1\r\n+x\r\n").is_push());
  EXPECT_FALSE(Whole("*1\r\n+x\r\n").is_push());
  // EXEC of a transaction with a SUBSCRIBE in it: the confirmation is its second element.
  const std::string_view exec = "*2\r\n+OK\r\n>3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n";
  EXPECT_EQ(Whole(exec).bytes(), exec);
  EXPECT_FALSE(Whole(exec).is_push());
  // A client that publishes to itself there gets the message in between.
  for (const std::string word : {"$7\r\nmessage", "$8\r\nsmessage", "$8\r\npmessage"}) {
    const std::string message = "*2\r\n>3\r\n" + word + "\r\n$2\r\nch\r\n$1\r\nx\r\n:1\r\n+OK\r\n";
    EXPECT_EQ(Whole(message).bytes(), message);
    for (size_t cut = 0; cut < message.size(); ++cut) {
      ReplyScanner scanner;
      EXPECT_EQ(scanner.Scan(std::string_view(message).substr(0, cut)), ReplyStatus::kIncomplete) << cut;
      EXPECT_EQ(scanner.Scan(message), ReplyStatus::kReply) << cut;
    }
  }
  EXPECT_EQ(Whole("*1\r\n>0\r\n").bytes(), "*1\r\n>0\r\n");
  EXPECT_EQ(Whole("*1\r\n>1\r\n+\r\n").bytes(), "*1\r\n>1\r\n+\r\n");
  EXPECT_EQ(Whole("|1\r\n+a\r\n-b\r\n:7\r\n").type(), ':');
  EXPECT_EQ(Whole("|1\r\n+a\r\n-b\r\n:7\r\n").value(), ":7\r\n");
}

TEST(ReplyScanner, NoticesWhatIsNotResp) {
  for (const std::string_view bytes : {
           "OK\r\n",
           "\r\n",
           ";4\r\n",
           ".\r\n",  // unknown types
           "$?\r\n",
           "*?\r\n",
           "%?\r\n",  // streamed, which redis never sends
           "$x\r\n",
           "$\r\n",
           "$-2\r\n",
           "$01\r\n",
           "*-2\r\n",  // lengths
           "~-1\r\n",
           "%-1\r\n",
           ">-1\r\n",
           "=-1\r\n",  // nulls that are none
           "$3\r\nabcd\r\n",
           "$3\r\nabc\rx",
           "$1099511627777\r\n",  // bodies
           ":1\rx",
           ":x\r\n",
           ":\r\n",
           "#x\r\n",
           "_x\r\n",
           ",\r\n",         // scalars
           "|1\r\n>0\r\n",  // a push within an attribute
           "*281474976710657\r\n",
           "%281474976710656\r\n",
           "*1000000\r\n%140737488355329\r\n",
       }) {
    ReplyScanner scanner;
    EXPECT_EQ(scanner.Scan(bytes), ReplyStatus::kError) << bytes;
    EXPECT_FALSE(scanner.error().empty());
    EXPECT_EQ(scanner.Scan("+OK\r\n"), ReplyStatus::kError) << "errors are final";
  }
  ReplyScanner scanner;
  EXPECT_EQ(scanner.Scan(":" + std::string(kMaxReplyNumberLine, '1')), ReplyStatus::kError);
}

TEST(ReplyScanner, NestsWithoutEnd) {
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += "*1\r\n";
  deep += ":1\r\n";
  EXPECT_EQ(Whole(deep).bytes().size(), deep.size());
}

// Method: 600 MiB in 64 KiB pieces.
TEST(ReplyScanner, LetsAHugeReplyPass) {
  constexpr uint64_t kString = 600ULL * 1024 * 1024;
  std::string buffer = "*2\r\n$" + std::to_string(kString) + "\r\n";
  ReplyScanner scanner;
  ASSERT_EQ(scanner.Scan(buffer), ReplyStatus::kIncomplete);
  EXPECT_EQ(scanner.type(), '*');
  EXPECT_EQ(scanner.known_size(), buffer.size() + kString);
  scanner.Release(buffer.size());
  buffer.assign(64 * 1024, 'v');
  for (uint64_t passed = 0; passed < kString; passed += buffer.size()) {
    ASSERT_EQ(scanner.Scan(buffer), ReplyStatus::kIncomplete);
    scanner.Release(buffer.size());
  }
  EXPECT_EQ(scanner.Scan("\r\n:1\r\n+next\r\n"), ReplyStatus::kReply);
  EXPECT_EQ(scanner.size(), 6u);
  EXPECT_EQ(scanner.Scan("+next\r\n"), ReplyStatus::kReply);
  EXPECT_FALSE(scanner.released());
}

TEST(ReplyScanner, LetsALongErrorPass) {
  ReplyScanner scanner;
  const std::string part = "-ERR " + std::string(100'000, 'x') + "\r";
  ASSERT_EQ(scanner.Scan(part), ReplyStatus::kIncomplete);
  EXPECT_EQ(scanner.known_size(), part.size() - 1);  // the carriage return may be the end
  scanner.Release(part.size() - 1);
  EXPECT_EQ(scanner.Scan("\r\n"), ReplyStatus::kReply);
  EXPECT_EQ(scanner.type(), '-');
}

TEST(ElementReader, WalksAnAggregate) {
  const Reply reply = Whole("|1\r\n+a\r\n+b\r\n>5\r\n$7\r\nmessage\r\n*2\r\n:1\r\n:2\r\n$-1\r\n:42\r\n_\r\n");
  ElementReader reader(reply);
  EXPECT_EQ(reader.count(), 5u);
  std::vector<std::string> seen;
  for (ElementReader::Element element; reader.Next(&element);) {
    seen.push_back(std::string(1, element.type) + std::string(element.text) + (element.is_null ? "null" : ""));
  }
  EXPECT_THAT(seen, testing::ElementsAre("$message", "*", "$null", ":42", "_null"));

  ElementReader none(Whole("+OK\r\n"));
  ElementReader::Element element;
  EXPECT_FALSE(none.Next(&element));
  ElementReader null_array(Whole("*-1\r\n"));
  EXPECT_FALSE(null_array.Next(&element));
  EXPECT_EQ(ElementReader(Whole("%1\r\n+a\r\n+b\r\n")).count(), 2u);
}

}  // namespace
}  // namespace hive::resp
