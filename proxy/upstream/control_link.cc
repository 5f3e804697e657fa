#include "proxy/upstream/control_link.h"

#include <cerrno>
#include <utility>

#include "proxy/resp/replies.h"

namespace hive::proxy {

void ControlLink::Connect(const Endpoint& redis) {
  Close();
  unsent_.clear();
  received_.clear();
  scanner_ = {};
  link_ = std::make_unique<Link>(transport_, static_cast<Link::Owner&>(*this));
  if (const absl::Status status = link_->Connect(redis); !status.ok()) Down(std::string(status.message()));
}

void ControlLink::Close() {
  if (!link_) return;
  link_->Close();
  ended_ = std::move(link_);
}

void ControlLink::Send(std::string_view requests) {
  if (!up()) return;
  if (unsent_.empty()) {
    const ssize_t n = link_->Write(requests);
    if (n < 0 && errno != EAGAIN) return Down(link_->WhyItEnded());
    if (n > 0) requests.remove_prefix(static_cast<size_t>(n));
  }
  unsent_ += requests;
}

void ControlLink::OnLinkWritable() { Send(std::exchange(unsent_, {})); }

void ControlLink::OnLinkUp() {
  authenticating_ = !credentials_.password.empty();
  if (authenticating_) {
    Send(credentials_.user.empty() ? resp::MakeRequest({"AUTH", credentials_.password})
                                   : resp::MakeRequest({"AUTH", credentials_.user, credentials_.password}));
  }
  if (up()) callbacks_.up();
}

void ControlLink::OnLinkDown(const absl::Status& why) { Down(std::string(why.message())); }

void ControlLink::Down(const std::string& why) {
  Close();
  callbacks_.down(why);
}

void ControlLink::OnLinkReadable() {
  char buffer[Link::kLeastRead];
  const ssize_t n = link_->Read(buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return Down(link_->WhyItEnded());
  received_.append(buffer, static_cast<size_t>(n));
  while (!received_.empty()) {
    switch (scanner_.Scan(received_)) {
      case resp::ReplyStatus::kIncomplete:
        return;
      case resp::ReplyStatus::kError:
        return Down("what listens there does not speak RESP");
      case resp::ReplyStatus::kReply:
        break;
    }
    const std::string bytes = received_.substr(0, scanner_.size());
    const resp::Reply reply = scanner_.reply(bytes);
    received_.erase(0, bytes.size());
    if (std::exchange(authenticating_, false)) {
      if (!reply.error().empty()) return Down(std::string(reply.error()) + " (see --redis-password-file)");
      continue;
    }
    callbacks_.reply(reply);
    if (!up()) return;
  }
}

}  // namespace hive::proxy
