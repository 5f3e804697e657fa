#include "proxy/upstream/authentication_check.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "common/net/clock.h"

namespace hive::proxy {
namespace {

// Says nothing to anyone, and is refused exactly to who must authenticate first.
constexpr std::string_view kQuestion = "PING\r\n";

// Authentication is what redis looks at first, so any other error than NOAUTH tells that there is no need of it. But
// not those that come without the question having been looked at: the connection is one too many, or not wanted, or
// there is no PING.
Welcome Understand(const resp::Reply& reply) {
  const std::string_view error = reply.error();
  if (error.starts_with("NOAUTH")) return Welcome::kStranger;
  const bool unasked = reply.is_push() || error.starts_with("ERR") || error.starts_with("DENIED");
  return unasked ? Welcome::kUnclear : Welcome::kLetIn;
}

}  // namespace

AuthenticationCheck::AuthenticationCheck(const Transport& transport, std::function<void()> done)
    : transport_(transport),
      done_(std::move(done)),
      link_(transport, {},
            {[this] { link_.Send(kQuestion); }, [this](const resp::Reply& reply) { OnReply(reply); },
             [this](const std::string&) { Learn(Welcome::kUnclear); }}),
      timeout_(transport.poller, [this] { Learn(Welcome::kUnclear); }) {}

bool AuthenticationCheck::MayAsk(Instant now) const { return next_ - now <= (kBurst - 1) * kInterval; }

Welcome AuthenticationCheck::WelcomeOf(Instant since, const Endpoint& redis) {
  if (redis != redis_) {
    link_.Close();
    asking_ = false;
    learned_ = Welcome::kNotKnown;
    redis_ = redis;
  }
  const Instant now = ReadMonotonicClock();
  const bool crowded = !MayAsk(now) && now >= exact_until_;
  const auto covers = [&](Instant begun) { return begun >= since || (crowded && since - begun <= kInterval); };
  if (learned_ != Welcome::kNotKnown && covers(learned_of_)) return learned_;
  // One that was made too early ends first: the next is for everyone who has come by then.
  if (asking_) return Welcome::kNotKnown;

  next_ = std::min(std::max(next_, now) + kInterval, now + kBurst * kInterval);
  asking_ = true;
  asked_at_ = now;
  timeout_.StartIn(kAnswerTimeout);
  link_.Connect(redis_);  // may end at once
  return asking_ ? Welcome::kNotKnown : learned_;
}

void AuthenticationCheck::OnReply(const resp::Reply& reply) { Learn(Understand(reply)); }

void AuthenticationCheck::Learn(Welcome welcome) {
  link_.Close();
  timeout_.Stop();
  if (!std::exchange(asking_, false)) return;
  learned_ = welcome;
  learned_of_ = asked_at_;
  done_();
}

}  // namespace hive::proxy
