#include "proxy/upstream/lane.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/app/log.h"
#include "common/net/clock.h"

namespace hive::proxy {
namespace {

// Says nothing to anyone, and is refused exactly to who must authenticate first.
constexpr std::string_view kAuthenticationQuestion = "PING\r\n";

bool IsOutOfTheOrdinary(char type) { return type == '-' || type == '!' || type == '>'; }

// The server closes the connection for a reason of its own, which will pass.
bool SaysTryAgain(std::string_view error) {
  return error.starts_with("ERR max number of clients") || error.starts_with("LOADING") ||
         error.starts_with("MASTERDOWN");
}

}  // namespace

Lane::Lane(const Transport& transport, Host& host, Options options)
    : transport_(transport), host_(host), options_(std::move(options)) {}

Lane::~Lane() { assert(riders_ == 0); }

void Lane::Join(Rider& rider) {
  assert(rider.lane_in_flight == 0 && !rider.lane_queued);
  ++riders_;
  (void)rider;
}

void Lane::Leave(Rider& rider) {
  --riders_;
  if (std::exchange(rider.lane_queued, false))
    std::replace(pending_.begin(), pending_.end(), &rider, static_cast<Rider*>(nullptr));
  if (std::exchange(rider.lane_in_flight, 0) == 0) return;
  for (Entry& entry : fifo_) {
    if (entry.rider == &rider) entry.rider = nullptr;
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Sending

void Lane::Enqueue(Rider& rider) {
  if (former_ || std::exchange(rider.lane_queued, true)) return;
  pending_.push_back(&rider);
  FlushSoon();
}

void Lane::FlushSoon() {
  if (!std::exchange(dirty_, true)) host_.OnLaneDirty(*this);
}

void Lane::Flush() {
  dirty_ = false;
  if (!link_) {
    if (pending_.empty()) return;
    // They will be resumed when there is a master, and come back.
    if (!host_.LaneMayConnect()) return EmptyQueue();
    return Connect();
  }
  if (!ready()) return;
  // Connected when it was in doubt to whom.
  if (!proven_ && !pending_.empty()) {
    if (!host_.LaneMayConnect()) return EmptyQueue();
    proven_ = true;
  }
  while (FlushTail() && !pending_.empty()) {
    if (!FlushSome()) return;
  }
}

void Lane::Connect() {
  made_at_ = ReadMonotonicClock();
  wants_authentication_.reset();
  link_ = std::make_unique<Link>(transport_, static_cast<Link::Owner&>(*this));
  if (const absl::Status status = link_->Connect(options_.redis, options_.descriptors_below); !status.ok()) {
    return Broken(status);
  }
  link_->SetUnacknowledgedLimit(options_.unacknowledged_limit);
}

void Lane::OnLinkUp() {
  proven_ = host_.LaneMayConnect();
  tail_ = options_.preamble;
  preamble_left_ = options_.preamble_replies;
  if (options_.anonymous) {
    tail_ += kAuthenticationQuestion;
    ++preamble_left_;
  }
  if (FlushTail()) FlushSoon();
}

// False: there is still some of it, or the lane has ended.
bool Lane::FlushTail() {
  if (tail_.empty()) return true;
  const ssize_t n = link_->Write(tail_);
  if (n < 0) {
    if (errno != EAGAIN) Broken(absl::ErrnoToStatus(errno, "write"));
    return false;
  }
  tail_.erase(0, static_cast<size_t>(n));
  return tail_.empty();
}

// Writes what the first riders of the queue have, with one call. False: the kernel takes no more, or the lane has
// ended.
bool Lane::FlushSome() {
  std::array<iovec, kPiecesPerWrite> pieces;
  std::array<Rider*, kPiecesPerWrite> owners;
  size_t count = 0;
  size_t looked_at = 0;
  size_t total = 0;
  for (; looked_at < pending_.size() && count < pieces.size(); ++looked_at) {
    Rider* rider = pending_[looked_at];
    if (rider == nullptr) continue;
    const std::string_view bytes = rider->LaneBytes();
    if (bytes.empty()) {
      rider->lane_queued = false;
      flushed_.push_back(rider);
      continue;
    }
    pieces[count] = {const_cast<char*>(bytes.data()), bytes.size()};
    owners[count++] = rider;
    total += bytes.size();
  }

  ssize_t n = 0;
  if (count > 0) n = link_->WriteAll(std::span(pieces.data(), count), total);
  if (n < 0 && errno != EAGAIN) {
    flushed_.clear();
    Broken(absl::ErrnoToStatus(errno, "write"));
    return false;
  }
  // Whose bytes the kernel has begun to take is sent whole, the rest of it from tail_: between its first byte and its
  // last nobody else may speak.
  size_t left = n < 0 ? 0 : static_cast<size_t>(n);
  size_t sent = 0;
  for (; sent < count && left > 0; ++sent) {
    const std::string_view bytes(static_cast<const char*>(pieces[sent].iov_base), pieces[sent].iov_len);
    const size_t taken = std::min(left, bytes.size());
    left -= taken;
    tail_.append(bytes.substr(taken));
    NoteSent(*owners[sent], bytes.size());
    owners[sent]->lane_queued = false;
    flushed_.push_back(owners[sent]);
  }
  // Who was not reached stays in front.
  const auto kept = std::copy(owners.begin() + static_cast<std::ptrdiff_t>(sent),
                              owners.begin() + static_cast<std::ptrdiff_t>(count), pending_.begin());
  pending_.erase(kept, pending_.begin() + static_cast<std::ptrdiff_t>(looked_at));
  for (Rider* rider : std::exchange(flushed_, {})) rider->OnLaneFlushed();
  return sent == count && tail_.empty();
}

void Lane::NoteSent(Rider& rider, size_t bytes) {
  const uint32_t replies = rider.OnLaneSent(bytes);
  if (replies == 0) return;
  rider.lane_in_flight += replies;
  if (!fifo_.empty() && fifo_.back().rider == &rider) {
    fifo_.back().count += replies;
  } else {
    fifo_.push_back({&rider, replies});
  }
}

void Lane::EmptyQueue() {
  for (Rider* rider : std::exchange(pending_, {})) {
    if (rider == nullptr) continue;
    rider->lane_queued = false;
    rider->OnLaneFlushed();
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Replies

void Lane::OnLinkReadable() {
  const std::span<char> buffer = host_.lane_buffer();
  const size_t kept = kept_.size();
  std::memcpy(buffer.data(), kept_.data(), kept);
  const ssize_t n = link_->Read(buffer.data() + kept, buffer.size() - kept);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return Broken(absl::UnavailableError(link_->WhyItEnded()));
  host_.OnLaneAnswered(*this);
  kept_.clear();
  const std::string_view bytes(buffer.data(), kept + static_cast<size_t>(n));
  const size_t used = Distribute(bytes);
  if (!link_) return;
  kept_ = bytes.substr(used);
}

// Hands each rider the replies that are its; returns how many bytes need not be kept.
size_t Lane::Distribute(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (preamble_left_ > 0 || fifo_.empty()) {
      const size_t taken = TakeUnasked(bytes.substr(at));
      if (!link_ || taken == 0) return at;
      at += taken;
      continue;
    }
    Entry& entry = fifo_.front();
    const size_t begin = at;
    uint32_t replies = 0;
    bool plain = !scanner_.in_reply();
    bool partial = false;
    while (replies < entry.count && at < bytes.size() && !partial) {
      const std::string_view rest = bytes.substr(at);
      switch (scanner_.Scan(rest)) {
        case resp::ReplyStatus::kReply:
          at += scanner_.size();
          reply_bytes_ = 0;
          plain = plain && !IsOutOfTheOrdinary(scanner_.type());
          if (scanner_.type() != '>') ++replies;
          break;
        case resp::ReplyStatus::kIncomplete: {
          const size_t known = std::min<uint64_t>(scanner_.known_size(), rest.size());
          reply_bytes_ = scanner_.whole_known_size();
          scanner_.Release(known);
          at += known;
          partial = true;
          break;
        }
        case resp::ReplyStatus::kError:
          Broken(absl::InternalError("redis does not speak RESP: " + std::string(scanner_.error())));
          return bytes.size();
      }
    }
    Rider* const rider = entry.rider;
    entry.count -= replies;
    if (rider != nullptr) rider->lane_in_flight -= replies;
    if (entry.count == 0) fifo_.pop_front();
    if (rider != nullptr && at > begin) {
      rider->OnLaneReplies(bytes.substr(begin, at - begin), plain && !partial ? replies : 0);
    }
    if (!link_ || partial) return at;
  }
  return at;
}

// A reply to the preamble, or to nothing: then the server says why it is about to close.
size_t Lane::TakeUnasked(std::string_view bytes) {
  switch (scanner_.Scan(bytes)) {
    case resp::ReplyStatus::kReply:
      TakePreambleReply(scanner_.reply(bytes));
      return scanner_.size();
    case resp::ReplyStatus::kIncomplete:
      return 0;
    case resp::ReplyStatus::kError:
      Broken(absl::InternalError("redis does not speak RESP: " + std::string(scanner_.error())));
      return 0;
  }
  return 0;
}

void Lane::TakePreambleReply(const resp::Reply& reply) {
  if (preamble_left_ == 0 || reply.is_push()) return;
  const std::string_view error = reply.error();
  if (options_.anonymous && preamble_left_ == 1) {
    wants_authentication_ = error.starts_with("NOAUTH");
    host_.OnLaneLearnedAuthentication(*this);
  } else if (reply.is_error()) {
    if (SaysTryAgain(error)) return Broken(absl::UnavailableError(std::string(error)));
    return Refused(error);
  }
  if (--preamble_left_ == 0) FlushSoon();
}

// ---------------------------------------------------------------------------------------------------------------------
// The end

void Lane::BecomeFormer() {
  former_ = true;
  EmptyQueue();
}

void Lane::Cut() {
  former_ = true;
  End(/*crashed=*/false);
}

void Lane::Broken(const absl::Status& why) {
  LogDebug("lane", "its connection is down",
           {{"redis", ToString(options_.redis)}, {"why", std::string(why.message())}});
  // First, so that nobody whom the end sets free is sent there before it has shown itself a master again.
  if (!former_) host_.OnLaneBroken(why);
  End(/*crashed=*/true);
}

void Lane::Disconnect() {
  if (link_) {
    link_->Close();
    ended_ = std::move(link_);
  }
  scanner_ = {};
  reply_bytes_ = 0;
  kept_.clear();
  tail_.clear();
  preamble_left_ = 0;
  proven_ = false;
}

void Lane::End(bool crashed) {
  Disconnect();
  std::deque<Entry> entries = std::exchange(fifo_, {});
  bool oldest = true;
  for (const Entry& entry : entries) {
    const bool first = std::exchange(oldest, false);
    // Told once: another entry may be its, too; and who is told may leave, but not be destroyed.
    if (entry.rider != nullptr && std::exchange(entry.rider->lane_in_flight, 0) > 0)
      entry.rider->OnLaneEnded(crashed, first);
  }
  EmptyQueue();
}

void Lane::Refused(std::string_view error) {
  const std::string text(error);
  Disconnect();
  for (Rider* rider : std::exchange(pending_, {})) {
    if (rider == nullptr) continue;
    rider->lane_queued = false;
    rider->OnLaneRefused(text);
  }
}

}  // namespace hive::proxy
