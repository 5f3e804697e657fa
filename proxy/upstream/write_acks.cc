#include "proxy/upstream/write_acks.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "common/app/log.h"
#include "proxy/resp/replies.h"

namespace hive::proxy {

WriteAcks::WriteAcks(Poller& poller, Options options, std::function<void()> leader_refused)
    : poller_(poller),
      options_(std::move(options)),
      leader_refused_(std::move(leader_refused)),
      begin_(poller, [this] { Begin(); }),
      guard_(poller, [this] { Broken("no answer"); }) {}

void WriteAcks::SetLeader(const Endpoint& redis) {
  redis_ = redis;
  if (link_) link_->Close();
  under_way_ = false;
  asked_.clear();
  guard_.Stop();
  broken_since_ = {};
  for (Waiter* waiter : current_) waiter->ack_list = &next_;
  next_.splice(next_.begin(), current_);
}

void WriteAcks::Join(Waiter& waiter) {
  if (waiter.ack_list != nullptr) return;
  waiter.ack_list = &next_;
  waiter.ack_at = next_.insert(next_.end(), &waiter);
  if (!under_way_ && !begin_.running()) begin_.Start(poller_.Now());
}

void WriteAcks::Leave(Waiter& waiter) {
  if (waiter.ack_list == nullptr) return;
  waiter.ack_list->erase(waiter.ack_at);
  waiter.ack_list = nullptr;
}

void WriteAcks::Begin() {
  if (under_way_ || next_.empty()) return;
  if (!link_ || !link_->up()) return Connect();
  for (Waiter* waiter : next_) {
    waiter->ack_list = &current_;
    waiter->OnAckRoundBegins();
  }
  current_.splice(current_.end(), next_);
  under_way_ = true;
  std::string request = resp::MakeRequest({sharded_publish_ ? "SPUBLISH" : "PUBLISH", kChannel, ""});
  resp::AppendRequest(&request, {"WAIT", std::to_string(options_.replicas),
                                 std::to_string(std::max<int64_t>(1, ToMillis(options_.timeout)))});
  asked_.push_back(Asked::kPublish);
  asked_.push_back(Asked::kWait);
  guard_.StartIn(options_.timeout + kAnswerGrace);
  // Some 100 bytes on a connection that owes nothing: the socket buffer takes them whole.
  if (link_->Write(request) != static_cast<ssize_t>(request.size())) Broken("the connection broke");
}

// The link before is not in a callback here, so it may go: only timers come this way.
void WriteAcks::Connect() {
  if (link_ && guard_.running()) return;  // it is being connected
  received_.clear();
  scanner_ = {};
  asked_.clear();
  link_ = std::make_unique<Link>(poller_, static_cast<Link::Owner&>(*this));
  guard_.StartIn(kAnswerGrace);
  if (const absl::Status status = link_->Connect(redis_); !status.ok()) Broken(std::string(status.message()));
}

void WriteAcks::OnLinkUp() {
  guard_.Stop();
  if (!options_.password.empty()) {
    const std::string request = options_.user.empty() ? resp::MakeRequest({"AUTH", options_.password})
                                                      : resp::MakeRequest({"AUTH", options_.user, options_.password});
    asked_.push_back(Asked::kAuth);
    if (link_->Write(request) != static_cast<ssize_t>(request.size())) return Broken("the connection broke");
  }
  Begin();
}

void WriteAcks::OnLinkDown(const absl::Status& why) { Broken(std::string(why.message())); }

void WriteAcks::OnLinkReadable() {
  char buffer[4096];
  const ssize_t n = link_->Read(buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return Broken("the server closed the connection");
  received_.append(buffer, static_cast<size_t>(n));
  while (!received_.empty()) {
    switch (scanner_.Scan(received_)) {
      case resp::ReplyStatus::kIncomplete:
        return;
      case resp::ReplyStatus::kError:
        return Broken("what listens there does not speak RESP");
      case resp::ReplyStatus::kReply:
        break;
    }
    const std::string reply = received_.substr(0, scanner_.size());
    const bool goes_on = OnReply(scanner_.reply(reply));
    if (!goes_on) return;
    received_.erase(0, reply.size());
  }
}

// False: the connection is no more.
bool WriteAcks::OnReply(const resp::Reply& reply) {
  if (asked_.empty()) {
    Broken("an answer that nobody asked for");
    return false;
  }
  const Asked asked = asked_.front();
  asked_.pop_front();
  if (!reply.error().empty()) {
    const std::string why(reply.error());
    // "-UNBLOCKED", or "-ERR WAIT cannot be used with replica instances": demoted.
    if (asked == Asked::kWait) leader_refused_();
    Broken(why);
    return false;
  }
  if (asked != Asked::kWait) return true;
  int confirmed = 0;
  const std::string_view bytes = reply.bytes();
  std::from_chars(bytes.data() + 1, bytes.data() + bytes.size(), confirmed);
  End({confirmed >= options_.replicas, confirmed});
  return true;
}

void WriteAcks::End(const AckResult& result) {
  guard_.Stop();
  broken_since_ = {};
  if (!result.given) Complain(std::to_string(result.confirmed) + " replicas confirmed");
  while (!current_.empty()) {
    Waiter& waiter = *current_.front();
    Leave(waiter);
    waiter.OnAckRoundEnds(result);
  }
  under_way_ = false;
  if (!next_.empty()) begin_.Start(poller_.Now());
}

// Nobody knows how the round under way would have ended: it is begun again on another connection, for as long as
// replicas have to confirm.
void WriteAcks::Broken(const std::string& why) {
  guard_.Stop();
  if (link_) link_->Close();
  asked_.clear();
  under_way_ = false;
  for (Waiter* waiter : current_) waiter->ack_list = &next_;
  next_.splice(next_.begin(), current_);
  if (next_.empty()) return;
  if (broken_since_ == Instant{}) broken_since_ = poller_.Now();
  if (poller_.Now() - broken_since_ >= options_.timeout) {
    Complain(why);
    GiveUp();
  } else {
    begin_.StartIn(kRetryDelay);
  }
}

void WriteAcks::GiveUp() {
  for (Waiter* waiter : next_) {
    waiter->ack_list = &current_;
    waiter->OnAckRoundBegins();
  }
  current_.splice(current_.end(), next_);
  End({});
}

void WriteAcks::Complain(const std::string& why) {
  if (poller_.Now() < next_complaint_) return;
  next_complaint_ = poller_.Now() + kComplaintInterval;
  LogWarning("acks", "writes are not confirmed: their clients are told -UNCONFIRMED",
             {{"why", why}, {"wanted", options_.replicas}, {"redis", ToString(redis_)}});
}

}  // namespace hive::proxy
