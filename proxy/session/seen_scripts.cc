#include "proxy/session/seen_scripts.h"

#include "proxy/resp/replies.h"

namespace hive::proxy {

void SeenScripts::Seen(std::string_view body) {
  if (!by_age_.empty() && by_age_.front() == body) return;  // mostly
  if (body.size() > kMaxBytes) return;
  if (const auto known = by_body_.find(body); known != by_body_.end()) {
    by_age_.splice(by_age_.begin(), by_age_, known->second);
    return;
  }
  while (by_age_.size() >= kMaxScripts || bytes_ + body.size() > kMaxBytes) {
    bytes_ -= by_age_.back().size();
    by_body_.erase(by_age_.back());
    by_age_.pop_back();
  }
  by_age_.emplace_front(body);
  by_body_.emplace(by_age_.front(), by_age_.begin());
  bytes_ += body.size();
}

void SeenScripts::Clear() {
  by_body_.clear();
  by_age_.clear();
  bytes_ = 0;
}

std::string SeenScripts::MakeRequests() const {
  std::string requests;
  requests.reserve(bytes_ + by_age_.size() * 48);
  for (const std::string& body : by_age_) resp::AppendRequest(&requests, {"SCRIPT", "LOAD", body});
  return requests;
}

}  // namespace hive::proxy
