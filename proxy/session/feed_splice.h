// Two feeds of the same messages, spliced so that a subscriber gets each one once. PURE.
//
// When leadership has been handed over, the old leader's redis follows the new one, and hears of everything that is
// published there: so the subscriber's connection to it brings all messages until its subscriptions at the new leader
// are in force. From then on the new connection brings the same ones; the first of them marks the place at which the
// subscriber changes over: it has come on the former connection, or still will.
//
// Messages are told apart by their bytes alone. Where the very same message is published twice within the milliseconds
// of a handover, it may be delivered once; and where one feed is further ahead of the other than is remembered, what
// lies between twice.
//
// Thread rule: value type.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

namespace hive::proxy {

class FeedSplice {
 public:
  // What is remembered and kept, in bytes. Beyond it the oldest is forgotten, or the new feed takes over at once.
  static constexpr size_t kMostBytes = 256 * 1024;

  // The former connection has brought a message, which the subscriber gets.
  void OnFormer(std::string_view message);
  // The new one has, all of its subscriptions in force. True: the subscriber gets it; false: it has it already, will
  // get it from the former one, or gets it with TakeKept.
  [[nodiscard]] bool OnNew(std::string_view message);

  // The new feed has taken over: the former one is of no more use, and TakeKept follows.
  bool done() const { return done_; }
  // What the new feed has brought and the subscriber lacks, should the former one bring no more.
  std::string TakeKept();

 private:
  void ForgetPassed(size_t count);

  std::deque<std::string> passed_;  // by the former feed; once the place is found, what the new one will repeat
  std::deque<std::string> kept_;    // of the new feed
  size_t bytes_ = 0;                // of both
  bool found_ = false;              // the place at which the new feed begins, in passed_
  bool done_ = false;
};

}  // namespace hive::proxy
