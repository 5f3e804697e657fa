#include "proxy/upstream/leader_probe.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/app/log.h"
#include "common/app/redis_password.h"
#include "proxy/resp/integer.h"
#include "proxy/resp/replies.h"
#include "proxy/resp/resp_value.h"

namespace hive::proxy {

LeaderProbe::LeaderProbe(const Transport& transport, Credentials credentials, Callbacks callbacks)
    : transport_(transport),
      credentials_(std::move(credentials)),
      callbacks_(std::move(callbacks)),
      retry_(transport.poller, [this] { Attempt(); }),
      timeout_(transport.poller, [this] {
        const bool silent_to_tls = link_ && link_->shakes_hands();
        RetryLater(silent_to_tls ? "no answer to a TLS handshake: does it speak TLS on this port?" : "no answer");
      }) {}

void LeaderProbe::Start(const Endpoint& redis, bool read_commands) {
  Stop();
  running_ = true;
  is_master_ = false;
  if (redis != redis_) next_attempt_ = transport_.poller.Now();
  redis_ = redis;
  read_commands_ = read_commands;
  next_complaint_ = transport_.poller.Now() + Seconds(1);  // most promotions take milliseconds
  // From the loop, never from within the caller: a first attempt may fail at once.
  retry_.Start(std::max(transport_.poller.Now(), next_attempt_));
}

void LeaderProbe::Stop() {
  running_ = false;
  retry_.Stop();
  timeout_.Stop();
  link_.reset();
}

void LeaderProbe::Attempt() {
  next_attempt_ = transport_.poller.Now() + kRetryDelay;
  received_.clear();
  scanner_ = {};
  link_ = std::make_unique<Link>(transport_, static_cast<Link::Owner&>(*this));
  timeout_.StartIn(kAnswerTimeout);
  if (const absl::Status status = link_->Connect(redis_); !status.ok()) RetryLater(std::string(status.message()));
}

void LeaderProbe::OnLinkUp() { Ask(credentials_.password.empty() ? Asked::kRole : Asked::kAuth); }

void LeaderProbe::Ask(Asked what) {
  asked_ = what;
  timeout_.StartIn(kAnswerTimeout);
  std::string request;
  switch (what) {
    case Asked::kAuth:
      resp::AppendRequest(&request,
                          {"AUTH", credentials_.user.empty() ? "default" : credentials_.user, credentials_.password});
      if (credentials_.user.empty()) request = resp::MakeRequest({"AUTH", credentials_.password});
      break;
    case Asked::kRole:
      request = resp::MakeRequest({"ROLE"});
      break;
    case Asked::kCommand:
      request = resp::MakeRequest({"COMMAND"});
      break;
    case Asked::kLimits:
      request = resp::MakeRequest({"CONFIG", "GET", "proto-max-bulk-len"});
      break;
  }
  // A few bytes on an idle connection: the socket buffer takes them whole.
  if (link_->Write(request) != static_cast<ssize_t>(request.size())) RetryLater(link_->WhyItEnded());
}

// The link is not destroyed here: this may run within its callback. Attempt() replaces it.
void LeaderProbe::RetryLater(const std::string& why) {
  timeout_.Stop();
  if (link_) link_->Close();
  if (is_master_) return Finish();  // only the list of commands is missing: the one known is nearly the same
  if (transport_.poller.Now() >= next_complaint_) {
    LogWarning("leader", "the leader's redis is no master yet, commands wait",
               {{"redis", ToString(redis_)}, {"why", why}});
    next_complaint_ = transport_.poller.Now() + kComplaintInterval;
  }
  retry_.Start(std::max(transport_.poller.Now(), next_attempt_));
}

void LeaderProbe::Finish() {
  running_ = false;
  retry_.Stop();
  timeout_.Stop();
  std::string().swap(received_);  // of COMMAND's reply 100 KiB
  if (link_) link_->Close();
}

void LeaderProbe::OnLinkDown(const absl::Status& why) { RetryLater(std::string(why.message())); }

void LeaderProbe::OnLinkReadable() {
  char buffer[Link::kLeastRead];
  const ssize_t n = link_->Read(buffer, sizeof buffer);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return RetryLater(WhyItHungUp());
  received_.append(buffer, static_cast<size_t>(n));
  switch (scanner_.Scan(received_)) {
    case resp::ReplyStatus::kIncomplete:
      return;
    case resp::ReplyStatus::kError:
      return RetryLater("what listens there does not speak RESP");
    case resp::ReplyStatus::kReply:
      break;
  }
  const std::string reply = received_.substr(0, scanner_.size());
  received_.erase(0, scanner_.size());
  OnReply(reply);
}

// A redis that expects TLS hangs up on anything else, without a word.
std::string LeaderProbe::WhyItHungUp() {
  const Asked first = credentials_.password.empty() ? Asked::kRole : Asked::kAuth;
  const bool mute = asked_ == first && received_.empty() && transport_.tls == nullptr;
  return link_->WhyItEnded() +
         (mute ? " before it had answered anything: does it speak TLS on this port? Then set --redis-tls" : "");
}

void LeaderProbe::OnReply(std::string_view reply) {
  if (asked_ == Asked::kCommand) return OnCommands(reply);
  if (asked_ == Asked::kLimits) {
    Finish();
    return callbacks_.limits(ParseLimits(reply));
  }

  resp::Value value;
  size_t size = 0;
  if (resp::ParseValue(reply, &value, &size) != resp::ValueStatus::kValue) return RetryLater("a malformed reply");
  if (value.is_error()) {
    const bool unauthenticated = value.text.starts_with("NOAUTH");
    const std::string error = WithoutArguments(value.text);
    return RetryLater(unauthenticated ? error + " (see --redis-password-file)" : error);
  }
  if (asked_ == Asked::kAuth) return Ask(Asked::kRole);
  const bool master = !value.elements.empty() && value.elements[0].text == "master";
  if (!master) {
    return RetryLater("ROLE says " + (value.elements.empty() ? std::string("nothing") : value.elements[0].text));
  }
  is_master_ = true;
  if (read_commands_) {
    read_commands_ = false;
    Ask(Asked::kCommand);
  } else {
    Finish();
  }
  callbacks_.is_master();
}

void LeaderProbe::OnCommands(std::string_view reply) {
  std::string error;
  std::shared_ptr<const resp::CommandTable> commands = resp::CommandTable::FromCommandReply(reply, &error);
  Ask(Asked::kLimits);
  if (commands) {
    callbacks_.commands(std::move(commands));
  } else {
    LogWarning("leader", "the list of commands is not the server's own, but redis 7.0's",
               {{"redis", ToString(redis_)}, {"why", error}});
  }
}

// Who may not ask, or asks a server that does not know the setting, makes do with what redis has by default.
resp::RequestLimits LeaderProbe::ParseLimits(std::string_view reply) {
  resp::RequestLimits limits;
  resp::Value value;
  size_t size = 0;
  if (resp::ParseValue(reply, &value, &size) != resp::ValueStatus::kValue || value.elements.size() != 2) return limits;
  int64_t bytes = 0;
  if (resp::ParseInteger(value.elements[1].text, &bytes) && bytes > 0) limits.max_bulk_bytes = bytes;
  return limits;
}

}  // namespace hive::proxy
