// A connection of the proxy's own to a redis: authenticates, sends requests, hands replies out one by one.
//
// Thread rule: the poller's thread.
// Lifetime: may be closed, not destroyed, from within its callbacks. After Close nothing follows.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/base/endpoint.h"
#include "common/net/poller.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/upstream/link.h"

namespace hive::proxy {

class ControlLink final : private Link::Owner {
 public:
  struct Credentials {
    std::string user;      // empty: the default user
    std::string password;  // empty: AUTH is not sent
  };
  struct Callbacks {
    std::function<void()> up;
    // To each Send, in order.
    std::function<void(const resp::Reply&)> reply;
    // It could not be established, was refused, or broke; closed already.
    std::function<void(const std::string& why)> down;
  };

  ControlLink(const Transport& transport, Credentials credentials, Callbacks callbacks)
      : transport_(transport), credentials_(std::move(credentials)), callbacks_(std::move(callbacks)) {}

  // Begins to connect, after closing what there was: `up` or `down` follows, perhaps from within this call.
  void Connect(const Endpoint& redis);
  void Close();
  bool up() const { return link_ && link_->up(); }
  // One or more requests. What the socket does not take at once is kept until it does.
  void Send(std::string_view requests);

 private:
  void OnLinkUp() override;
  void OnLinkReadable() override;
  void OnLinkWritable() override;
  void OnLinkDown(const absl::Status& why) override;
  void Down(const std::string& why);

  const Transport transport_;
  const Credentials credentials_;
  const Callbacks callbacks_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Link> ended_;  // the one before, which may be in a callback; gone with the next one
  std::string unsent_;
  std::string received_;
  resp::ReplyScanner scanner_;
  bool authenticating_ = false;
};

}  // namespace hive::proxy
