// Goal: exactly the scripts that the server has taken are remembered, and no more than their bound. Method: as for the
// session (harness.h), and SeenScripts by itself.
#include "proxy/session/seen_scripts.h"

#include "proxy/resp/replies.h"
#include "tests/unit/proxy/session/harness.h"

namespace hive::proxy {
namespace {

std::string Load(std::string_view body) { return resp::MakeRequest({"SCRIPT", "LOAD", body}); }

TEST(SeenScriptsTest, EachOnce) {
  SeenScripts scripts;
  scripts.Seen("a");
  scripts.Seen("b");
  scripts.Seen("b");
  scripts.Seen("a");
  EXPECT_EQ(scripts.size(), 2u);
  EXPECT_EQ(scripts.MakeRequests(), Load("a") + Load("b"));
  scripts.Clear();
  EXPECT_EQ(scripts.MakeRequests(), "");
}

TEST(SeenScriptsTest, TheLatestOfManyStay) {
  SeenScripts scripts;
  for (size_t i = 0; i < SeenScripts::kMaxScripts; ++i) scripts.Seen(std::to_string(i));
  scripts.Seen("0");
  scripts.Seen("new");
  EXPECT_EQ(scripts.size(), SeenScripts::kMaxScripts);
  const std::string requests = scripts.MakeRequests();
  EXPECT_NE(requests.find(Load("0")), std::string::npos);
  EXPECT_NE(requests.find(Load("new")), std::string::npos);
  EXPECT_EQ(requests.find(Load("1")), std::string::npos);
}

TEST(SeenScriptsTest, TheLatestOfLargeOnesStay) {
  SeenScripts scripts;
  const std::string half(SeenScripts::kMaxBytes / 2, 'x');
  scripts.Seen("1" + half);
  scripts.Seen("2" + half);
  EXPECT_EQ(scripts.MakeRequests(), Load("2" + half));
  scripts.Seen("small");
  scripts.Seen(half + half + "x");  // which alone is too large
  EXPECT_EQ(scripts.size(), 2u);
}

TEST(SeenScriptsTest, WhatTheServerHasTaken) {
  SeenScripts scripts;
  Harness h(&scripts);
  h.Client("SCRIPT LOAD loaded\r\nEVAL evaluated 0\r\nSCRIPT LOAD wrong\r\nEVALSHA hash 0\r\n");
  h.Sent();
  EXPECT_EQ(scripts.size(), 0u);
  h.Server("$4\r\nhash\r\n:1\r\n-ERR Error compiling script\r\n-NOSCRIPT\r\n");
  EXPECT_EQ(scripts.MakeRequests(), Load("evaluated") + Load("loaded"));
  // What is only queued has not been looked at.
  h.Client("MULTI\r\nEVAL queued 0\r\nEXEC\r\n");
  h.Sent();
  h.Server("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
  EXPECT_EQ(scripts.size(), 2u);
  h.Client("SCRIPT FLUSH\r\n");
  h.Sent();
  h.Server("+OK\r\n");
  EXPECT_EQ(scripts.size(), 0u);
}

}  // namespace
}  // namespace hive::proxy
