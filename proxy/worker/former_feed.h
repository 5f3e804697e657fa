// A subscriber's connection to the redis of a leader that has handed over, kept for as long as its subscriptions at the
// new leader are not in force: nothing that is published meanwhile is lost. Only messages are taken from it.
//
// Thread rule: its event loop's thread.
// Lifetime: Retire-d by the client, since it may be let go of from within `ready`.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/net/poller.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/session/byte_queue.h"
#include "proxy/session/feed_splice.h"
#include "proxy/upstream/link.h"

namespace hive::proxy {

class FormerFeed final : private Link::Owner {
 public:
  // `begun`: what has come of its next reply. `ready`: called when there is something to Read.
  FormerFeed(std::unique_ptr<Link> link, std::string_view begun, std::function<void()> ready);
  FormerFeed(const FormerFeed&) = delete;
  FormerFeed& operator=(const FormerFeed&) = delete;

  // The messages that the subscriber gets, read with that buffer.
  std::string Read(std::span<char> buffer);
  // A message of the new connection, whose subscriptions are all in force. True: the subscriber gets it now.
  [[nodiscard]] bool OnNew(std::string_view message) { return splice_.OnNew(message); }
  // It is of no more use: TakeKept, and Close.
  bool over() const { return ended_ || splice_.done(); }
  std::string TakeKept() { return splice_.TakeKept(); }
  void Close() { link_->Close(); }

 private:
  void OnLinkUp() override {}
  void OnLinkReadable() override { ready_(); }
  void OnLinkWritable() override {}
  void OnLinkDown(const absl::Status&) override;

  std::unique_ptr<Link> link_;
  resp::ReplyScanner scanner_;
  ByteQueue unread_;  // the beginning of a reply
  FeedSplice splice_;
  bool ended_ = false;
  const std::function<void()> ready_;
};

}  // namespace hive::proxy
