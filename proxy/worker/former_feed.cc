#include "proxy/worker/former_feed.h"

#include <cerrno>
#include <utility>

#include "proxy/session/session.h"

namespace hive::proxy {

FormerFeed::FormerFeed(std::unique_ptr<Link> link, std::string_view begun, std::function<void()> ready)
    : link_(std::move(link)), ready_(std::move(ready)) {
  unread_.Append(begun);
  link_->SetOwner(*this);
  link_->SetReading(true);
}

void FormerFeed::OnLinkDown(const absl::Status&) {
  ended_ = true;
  ready_();
}

std::string FormerFeed::Read(std::span<char> buffer) {
  std::string messages;
  const ssize_t n = link_->up() ? link_->Read(buffer.data(), buffer.size()) : 0;
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return messages;
  if (n <= 0) {
    ended_ = true;
    return messages;
  }
  unread_.Append({buffer.data(), static_cast<size_t>(n)});
  while (!unread_.empty() && !over()) {
    switch (scanner_.Scan(unread_.view())) {
      case resp::ReplyStatus::kReply: {
        const std::string_view reply = unread_.view().substr(0, scanner_.size());
        if (IsMessage(reply)) {
          splice_.OnFormer(reply);
          messages += reply;
        }
        unread_.Consume(scanner_.size());
        break;
      }
      case resp::ReplyStatus::kIncomplete:
        ended_ = unread_.size() > FeedSplice::kMostBytes;
        return messages;
      case resp::ReplyStatus::kError:
        ended_ = true;
        break;
    }
  }
  return messages;
}

}  // namespace hive::proxy
