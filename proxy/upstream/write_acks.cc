#include "proxy/upstream/write_acks.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/app/log.h"
#include "proxy/resp/replies.h"

namespace hive::proxy {
namespace {

const std::string& InfoRequest() {
  static const std::string request = resp::MakeRequest({"INFO", "replication"});
  return request;
}

}  // namespace

WriteAcks::WriteAcks(const Transport& transport, Options options, std::function<void()> leader_refused)
    : transport_(transport),
      options_(std::move(options)),
      leader_refused_(std::move(leader_refused)),
      link_(transport, options_.credentials,
            {[this] { OnUp(); }, [this](const resp::Reply& reply) { OnReply(reply); },
             [this](const std::string& why) { Broken(why); }}),
      former_(transport, options_.credentials,
              {[this] { AskFormer(); }, [this](const resp::Reply& reply) { OnFormerReply(reply); },
               [this](const std::string& why) {
                 LogDebug("acks", "the former leader's redis says no more", {{"why", why}});
                 ForgetFormer();
               }}),
      begin_(transport.poller, [this] { Begin(); }),
      guard_(transport.poller, [this] { Broken("no answer"); }),
      ask_former_(transport.poller, [this] { AskFormer(); }) {}

// ---------------------------------------------------------------------------------------------------------------------
// Waiters

void WriteAcks::Add(std::list<Waiter*>& list, Waiter& waiter) {
  if (waiter.ack_list != nullptr) return;
  waiter.ack_list = &list;
  waiter.ack_at = list.insert(list.end(), &waiter);
  if (&list == &next_) BeginSoon();
}

void WriteAcks::Leave(Waiter& waiter) {
  if (waiter.ack_list == nullptr) return;
  waiter.ack_list->erase(waiter.ack_at);
  waiter.ack_list = nullptr;
}

void WriteAcks::MoveAll(std::list<Waiter*>& from, std::list<Waiter*>& to) {
  for (Waiter* waiter : from) waiter->ack_list = &to;
  to.splice(to.end(), from);
}

// ---------------------------------------------------------------------------------------------------------------------
// Rounds

void WriteAcks::BeginSoon() {
  if (!under_way_ && !begin_.running()) begin_.Start(transport_.poller.Now());
}

void WriteAcks::Begin() {
  if (under_way_ || connecting_ || next_.empty()) return;
  if (asks_since_ == Instant{}) asks_since_ = transport_.poller.Now();
  if (!link_.up()) {
    connecting_ = true;
    guard_.StartIn(kAnswerGrace);
    return link_.Connect(redis_);
  }
  for (Waiter* waiter : next_) waiter->OnAckRoundBegins();
  MoveAll(next_, current_);
  under_way_ = true;
  guard_.StartIn(options_.timeout + kAnswerGrace);
  std::string requests;
  if (transport_.poller.Now() - history_read_ >= kHistoryAge) AskHistory(&requests);
  asked_.push_back(Asked::kPublish);
  asked_.push_back(Asked::kWait);
  resp::AppendRequest(&requests, {sharded_publish_ ? "SPUBLISH" : "PUBLISH", kChannel, ""});
  resp::AppendRequest(&requests, {"WAIT", std::to_string(options_.replicas),
                                  std::to_string(std::max<int64_t>(1, ToMillis(options_.timeout)))});
  link_.Send(requests);  // last: it may end in Broken
}

void WriteAcks::OnUp() {
  std::string request;
  AskHistory(&request);
  link_.Send(request);
}

void WriteAcks::AskHistory(std::string* requests) {
  history_read_ = transport_.poller.Now();
  asked_.push_back(Asked::kInfo);
  *requests += InfoRequest();
}

void WriteAcks::OnReply(const resp::Reply& reply) {
  if (asked_.empty()) return Broken("an answer that nobody asked for");
  const Asked asked = asked_.front();
  asked_.pop_front();
  if (!reply.error().empty()) {
    // "-UNBLOCKED", or "-ERR WAIT cannot be used with replica instances": demoted.
    if (asked == Asked::kWait) leader_refused_();
    return Broken(std::string(reply.error()));
  }
  switch (asked) {
    case Asked::kInfo:
      // Asked in the moment of its demotion it tells of what it is now; what counts is what it wrote under.
      if (ReplicationId read = ReplicationId::FromInfo(reply.bytes()); read.is_master) history_ = std::move(read);
      if (!connecting_) return;
      connecting_ = false;
      guard_.Stop();
      return Begin();
    case Asked::kPublish:
      return;
    case Asked::kWait: {
      int confirmed = 0;
      const std::string_view bytes = reply.bytes();
      std::from_chars(bytes.data() + 1, bytes.data() + bytes.size(), confirmed);
      return End({confirmed >= options_.replicas, confirmed});
    }
  }
}

void WriteAcks::End(const AckResult& result) {
  guard_.Stop();
  rounds_.Observe(transport_.poller.Now() - std::exchange(asks_since_, {}));
  if (!result.given) Complain(std::to_string(result.confirmed) + " replicas confirmed");
  while (!current_.empty()) {
    Waiter& waiter = *current_.front();
    Leave(waiter);
    waiter.OnAckRoundEnds(result);
  }
  under_way_ = false;
  if (!next_.empty()) BeginSoon();
}

// Nobody knows how the round under way would have ended: it is begun again on another connection, for as long as
// replicas have to confirm.
void WriteAcks::Broken(const std::string& why) {
  guard_.Stop();
  link_.Close();
  asked_.clear();
  under_way_ = connecting_ = false;
  if (current_.empty() && next_.empty()) {
    asks_since_ = {};  // the next round is another one
    return;
  }
  if (asks_since_ == Instant{}) asks_since_ = transport_.poller.Now();
  if (transport_.poller.Now() - asks_since_ >= options_.timeout) {
    Complain(why);
    GiveUp();
  } else {
    MoveAll(current_, next_);
    begin_.StartIn(kRetryDelay);
  }
}

// Whoever has joined since that round began has a round to come yet. Without a round, nobody could be asked about.
void WriteAcks::GiveUp() {
  if (current_.empty()) {
    for (Waiter* waiter : next_) waiter->OnAckRoundBegins();
    MoveAll(next_, current_);
  }
  End({});
}

void WriteAcks::Complain(const std::string& why) {
  if (transport_.poller.Now() < next_complaint_) return;
  next_complaint_ = transport_.poller.Now() + kComplaintInterval;
  LogWarning("acks", "writes are not confirmed: their clients are told -UNCONFIRMED",
             {{"why", why}, {"wanted", options_.replicas}, {"redis", ToString(redis_)}});
}

// ---------------------------------------------------------------------------------------------------------------------
// Leaders

void WriteAcks::SetLeader(const Endpoint& redis, bool handed_over) {
  ForgetFormer();
  inherits_ = false;
  MoveAll(current_, inherited_);
  MoveAll(next_, inherited_);
  written_under_ = std::exchange(history_, {}).id;
  link_.Close();
  asked_.clear();
  guard_.Stop();
  under_way_ = false;
  asks_since_ = {};
  // The former one's link may be stuck behind a PUBLISH that its pause has caught: it is asked on another.
  if (handed_over && !written_under_.empty()) former_.Connect(redis_);
  redis_ = redis;
  // The new one's history must be known before anybody can be asked about.
  connecting_ = true;
  guard_.StartIn(kAnswerGrace);
  link_.Connect(redis_);
}

void WriteAcks::ForgetFormer() {
  ask_former_.Stop();
  former_.Close();
}

void WriteAcks::AskFormer() { former_.Send(InfoRequest()); }

void WriteAcks::OnFormerReply(const resp::Reply& reply) {
  if (!reply.error().empty()) return ForgetFormer();
  const ReplicationId former = ReplicationId::FromInfo(reply.bytes());
  if (!former.IsPartOf(history_, written_under_)) {
    LogDebug("acks", "the former leader's redis is not part of the new one's history yet",
             {{"id", former.id}, {"second", former.second}, {"leader", history_.id}, {"wrote", written_under_}});
    return ask_former_.StartIn(kFormerDelay);
  }
  ForgetFormer();
  inherits_ = true;
  if (inherited_.empty()) return;
  LogInfo("acks", "writes to the former leader are in the new one's history", {{"waiting", inherited_.size()}});
  MoveAll(inherited_, next_);
  BeginSoon();
}

}  // namespace hive::proxy
