#include "proxy/session/feed_splice.h"

#include <algorithm>
#include <utility>

namespace hive::proxy {

void FeedSplice::OnFormer(std::string_view message) {
  if (!kept_.empty()) {
    // It is what the new feed began with, or stands in front of that.
    if (kept_.front() != message) return;
    kept_.pop_front();
    done_ = true;
    return;
  }
  passed_.emplace_back(message);
  bytes_ += message.size();
  while (bytes_ > kMostBytes) ForgetPassed(1);
}

void FeedSplice::ForgetPassed(size_t count) {
  for (; count > 0; --count) {
    bytes_ -= passed_.front().size();
    passed_.pop_front();
  }
}

bool FeedSplice::OnNew(std::string_view message) {
  if (done_) return true;
  if (kept_.empty()) {
    const auto same = std::ranges::find(passed_, message);
    if (same != passed_.end()) {
      ForgetPassed(static_cast<size_t>(same - passed_.begin()) + 1);
      found_ = true;
      done_ = passed_.empty();
      return false;
    }
    if (found_) {
      // What the former feed had passed on is behind.
      done_ = true;
      return true;
    }
  }
  kept_.emplace_back(message);
  bytes_ += message.size();
  done_ = bytes_ > kMostBytes;
  return false;
}

std::string FeedSplice::TakeKept() {
  std::string kept;
  for (const std::string& message : std::exchange(kept_, {})) kept += message;
  return kept;
}

}  // namespace hive::proxy
