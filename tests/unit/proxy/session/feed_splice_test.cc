#include "proxy/session/feed_splice.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/random.h"

namespace hive::proxy {
namespace {

// A subscriber, and what it was given.
struct Subscriber {
  FeedSplice splice;
  std::string got;

  void Former(const std::string& messages) {
    for (const char message : messages) {
      if (splice.done()) return;
      splice.OnFormer({&message, 1});
      got += message;
      if (splice.done()) got += splice.TakeKept();
    }
  }
  void New(const std::string& messages) {
    for (const char message : messages) {
      if (splice.OnNew({&message, 1})) got += message;
      if (splice.done()) got += splice.TakeKept();
    }
  }
};

TEST(FeedSplice, TheFormerFeedGoesOnUntilItBringsWhatTheNewOneBeganWith) {
  Subscriber subscriber;
  subscriber.Former("ab");
  subscriber.New("de");
  subscriber.Former("cd");
  EXPECT_TRUE(subscriber.splice.done());
  subscriber.New("f");
  EXPECT_EQ(subscriber.got, "abcdef");
}

TEST(FeedSplice, WhatTheFormerFeedHasBroughtIsNotRepeated) {
  Subscriber subscriber;
  subscriber.Former("abcd");
  subscriber.New("bc");
  EXPECT_FALSE(subscriber.splice.done());
  subscriber.New("de");
  EXPECT_TRUE(subscriber.splice.done());
  EXPECT_EQ(subscriber.got, "abcde");
}

TEST(FeedSplice, WhatWasKeptIsGivenWhenTheFormerFeedEnds) {
  Subscriber subscriber;
  subscriber.Former("a");
  subscriber.New("bc");
  EXPECT_EQ(subscriber.splice.TakeKept(), "bc");
}

TEST(FeedSplice, IsBounded) {
  FeedSplice splice;
  const std::string large(FeedSplice::kMostBytes / 4, 'x');
  for (char c = 'a'; c < 'z'; ++c) splice.OnFormer(large + c);
  EXPECT_FALSE(splice.OnNew("new"));
  for (char c = 'a'; !splice.done(); ++c) EXPECT_FALSE(splice.OnNew(large + c));
  EXPECT_TRUE(splice.TakeKept().starts_with("new"));
  EXPECT_TRUE(splice.OnNew("newer"));
}

// What has been found in both is forgotten, and counts no more.
TEST(FeedSplice, TheNewFeedMayStayBehindForAnyTime) {
  FeedSplice splice;
  const std::string large(FeedSplice::kMostBytes / 4, 'x');
  splice.OnFormer(large + "0");
  for (int i = 1; i < 100; ++i) {
    splice.OnFormer(large + std::to_string(i));
    EXPECT_FALSE(splice.OnNew(large + std::to_string(i - 1)));
    ASSERT_FALSE(splice.done());
  }
  EXPECT_FALSE(splice.OnNew(large + "99"));
  EXPECT_TRUE(splice.done());
}

// Whatever the order in which two feeds of different messages are read, each one arrives once and in order.
TEST(FeedSplice, EachMessageOnce) {
  std::string all;
  for (char c = '0'; c <= 'z'; ++c) all += c;
  for (uint64_t seed = 0; seed < 10000; ++seed) {
    Random random(seed);
    Subscriber subscriber;
    size_t former = 0;
    size_t next = random.Below(all.size());
    while (former < all.size() || next < all.size()) {
      if (former < all.size() && random.Below(2) == 0) {
        subscriber.Former(all.substr(former++, 1));
      } else if (next < all.size()) {
        subscriber.New(all.substr(next++, 1));
      }
    }
    ASSERT_EQ(subscriber.got, all) << "seed " << seed;
  }
}

}  // namespace
}  // namespace hive::proxy
