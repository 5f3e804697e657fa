#include "proxy/resp/request_scanner.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "proxy/resp/integer.h"

namespace hive::resp {
namespace {

// Redis reads a carriage return and skips the byte behind it, whatever it is.
constexpr size_t kLineEnd = 2;

// The body behind "$<length>\r\n" at the front of `text`, which was scanned before.
std::string_view ReadScannedBulk(std::string_view text) {
  int64_t length = 0;
  size_t head = ParseShortCount(text.substr(1), &length);
  if (head == 0) {
    head = text.find('\r') - 1;
    ParseInteger(text.substr(1, head), &length);
  }
  return text.substr(1 + head + kLineEnd, static_cast<size_t>(length));
}

}  // namespace

std::string_view Request::argument(uint32_t index) const {
  assert(index < arguments_seen_);
  if (inline_ != nullptr) return inline_->arguments[index];
  if (index < kHeadArguments) return head_[index];
  ArgumentReader reader(*this);
  std::string_view argument;
  for (uint32_t i = 0; i <= index; ++i) reader.Next(&argument);
  return argument;
}

bool ArgumentReader::Next(std::string_view* argument) {
  if (index_ >= request_.arguments_seen()) return false;
  if (index_ < kHeadArguments || request_.is_inline()) {
    *argument = request_.argument(index_);
  } else {
    const std::string_view bytes = request_.bytes();
    const char* next = previous_.data() + previous_.size() + kLineEnd;
    *argument = ReadScannedBulk(bytes.substr(static_cast<size_t>(next - bytes.data())));
  }
  previous_ = *argument;
  ++index_;
  return true;
}

// The common case at once: a multibulk of few arguments that is all there. False: nothing is known, and nothing
// changed.
bool RequestScanner::ScanWhole(std::string_view buffer) {
  constexpr size_t kHeader = 4;  // "*3\r\n"
  if (buffer.size() < kHeader || buffer[0] != '*' || buffer[2] != '\r' || authentication_required_) return false;
  const unsigned count = static_cast<unsigned char>(buffer[1]) - unsigned{'0'};
  if (count < 1 || count > 9) return false;
  size_t at = kHeader;
  for (unsigned i = 0; i < count; ++i) {
    if (at >= buffer.size() || buffer[at] != '$') return false;
    int64_t length = 0;
    const size_t digits = ParseShortCount(buffer.substr(at + 1), &length);
    if (digits == 0 || length > limits_.max_bulk_bytes) return false;
    at += 1 + digits + kLineEnd;
    if (i < kHeadArguments) head_[i] = {at, static_cast<uint64_t>(length)};
    at += static_cast<size_t>(length) + kLineEnd;
    if (at > buffer.size()) return false;
  }
  Begin();
  argument_count_ = count;
  position_ = searched_ = at;
  state_ = State::kDone;
  return true;
}

RequestStatus RequestScanner::Scan(std::string_view buffer) {
  if (state_ == State::kDone || state_ == State::kStart) {
    if (ScanWhole(buffer)) return RequestStatus::kCommand;
    if (state_ == State::kDone) Begin();
  }
  if (state_ == State::kFailed) return RequestStatus::kError;
  if (state_ == State::kStart) {
    if (buffer.empty()) return RequestStatus::kIncomplete;
    if (buffer.front() != '*') {
      state_ = State::kInline;
    } else {
      const RequestStatus status = ScanMultibulkHeader(buffer);
      if (status != RequestStatus::kCommand) return status;
      state_ = State::kArguments;
    }
  }
  return state_ == State::kInline ? ScanInline(buffer) : ScanArguments(buffer);
}

void RequestScanner::Begin() {
  position_ = 0;
  searched_ = 0;
  released_ = 0;
  argument_count_ = 0;
  arguments_left_ = 0;
  exceeds_unauthenticated_ = false;
  inline_.reset();
  state_ = State::kStart;
}

// kCommand: the header is whole, arguments follow.
RequestStatus RequestScanner::ScanMultibulkHeader(std::string_view buffer) {
  int64_t count = 0;
  size_t end = 0;  // of the line
  if (const size_t digits = ParseShortCount(buffer.substr(1), &count); digits > 0) {
    end = 1 + digits;
  } else {
    const Line line = FindLine(buffer, '\r', &end);
    if (line == Line::kTooLong) return Fail(Error::kMultibulkCountTooBig);
    if (line == Line::kMissing) return RequestStatus::kIncomplete;
    if (!ParseInteger(buffer.substr(1, end - 1), &count)) return Fail(Error::kMultibulkLength);
  }
  if (count > kMaxArguments) return Fail(Error::kMultibulkLength);
  if (count > kMaxUnauthenticatedArguments) {
    if (authentication_required_) return Fail(Error::kUnauthenticatedMultibulk);
    exceeds_unauthenticated_ = true;
  }

  position_ = searched_ = end + kLineEnd;
  if (count <= 0) {
    state_ = State::kDone;
    return RequestStatus::kEmpty;
  }
  argument_count_ = arguments_left_ = static_cast<uint32_t>(count);
  return RequestStatus::kCommand;
}

RequestStatus RequestScanner::ScanArguments(std::string_view buffer) {
  while (arguments_left_ > 0) {
    const uint64_t begin = position_ - released_;
    if (begin >= buffer.size()) return RequestStatus::kIncomplete;
    const std::string_view rest = buffer.substr(begin);

    int64_t length = 0;
    size_t end = 0;  // of the line, within rest
    const size_t digits = rest.front() == '$' ? ParseShortCount(rest.substr(1), &length) : 0;
    if (digits > 0) {
      end = 1 + digits;
    } else {
      const Line line = FindLine(buffer, '\r', &end);
      if (line == Line::kTooLong) return Fail(Error::kBulkCountTooBig);
      if (line == Line::kMissing) return RequestStatus::kIncomplete;
      end -= begin;
    }
    if (rest.front() != '$') return Fail(Error::kExpectedDollar, rest.front());
    const bool parsed = digits > 0 || ParseInteger(rest.substr(1, end - 1), &length);
    if (!parsed || length < 0 || length > limits_.max_bulk_bytes) return Fail(Error::kBulkLength);
    if (length > kMaxUnauthenticatedBulk) {
      if (authentication_required_) return Fail(Error::kUnauthenticatedBulk);
      exceeds_unauthenticated_ = true;
    }

    const uint64_t body = position_ + end + kLineEnd;
    const uint32_t index = argument_count_ - arguments_left_;
    if (index < kHeadArguments) head_[index] = {body, static_cast<uint64_t>(length)};
    position_ = searched_ = body + static_cast<uint64_t>(length) + kLineEnd;
    --arguments_left_;
  }
  if (position_ - released_ > buffer.size()) return RequestStatus::kIncomplete;
  state_ = State::kDone;
  return RequestStatus::kCommand;
}

RequestStatus RequestScanner::ScanInline(std::string_view buffer) {
  size_t end = 0;
  const Line found = FindLine(buffer, '\n', &end);
  if (found == Line::kTooLong) return Fail(Error::kInlineTooBig);
  if (found == Line::kMissing) return RequestStatus::kIncomplete;

  std::string_view line = buffer.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto words = std::make_unique<InlineArguments>();
  if (!SplitInlineArguments(line, &words->arguments)) return Fail(Error::kUnbalancedQuotes);

  position_ = end + 1;
  state_ = State::kDone;
  if (words->arguments.empty()) return RequestStatus::kEmpty;
  argument_count_ = static_cast<uint32_t>(words->arguments.size());
  inline_ = std::move(words);
  return RequestStatus::kCommand;
}

// Finds the end of the line that begins at position_, as redis does with strchr: behind a NUL there is none. A line end
// of '\r' counts once the byte behind it is there. *end is relative to the buffer.
//
// Redis looks for the end in whatever one read brought, so a line somewhat above the limit passes there if it comes in
// one piece. Here the limit does not depend on how the bytes arrive.
RequestScanner::Line RequestScanner::FindLine(std::string_view buffer, char terminator, size_t* end) {
  const size_t begin = position_ - released_;
  const size_t from = searched_ - released_;
  const size_t limit = std::min(buffer.size(), begin + kMaxRequestLine + 1);
  const std::string_view text = buffer.substr(from, limit - from);
  const size_t found = text.find(terminator);
  const size_t searched = std::min(text.substr(0, found).find('\0'), std::min(found, text.size()));
  searched_ += searched;
  if (searched == found) {
    const size_t line_end = from + found;
    if (terminator == '\n' || line_end + kLineEnd <= buffer.size()) {
      *end = line_end;
      return Line::kFound;
    }
    return Line::kMissing;
  }
  return buffer.size() - begin > kMaxRequestLine ? Line::kTooLong : Line::kMissing;
}

Request RequestScanner::request(std::string_view buffer) const {
  Request request;
  const uint64_t known = state_ == State::kDone ? size() : known_size();
  request.bytes_ = buffer.substr(0, static_cast<size_t>(std::min<uint64_t>(known, buffer.size())));
  request.argument_count_ = argument_count_;
  request.inline_ = inline_.get();
  if (released_ > 0) return request;

  const bool last_is_whole = position_ <= buffer.size();
  request.arguments_seen_ = argument_count_ - arguments_left_;
  if (!last_is_whole && request.arguments_seen_ > 0) --request.arguments_seen_;
  if (inline_ != nullptr) return request;
  const uint32_t head = std::min(request.arguments_seen_, kHeadArguments);
  for (uint32_t i = 0; i < head; ++i) request.head_[i] = buffer.substr(head_[i].offset, head_[i].size);
  return request;
}

uint64_t RequestScanner::known_size() const { return state_ == State::kArguments ? position_ - released_ : 0; }

void RequestScanner::Release(size_t bytes) {
  assert(bytes <= known_size());
  released_ += bytes;
}

RequestStatus RequestScanner::Fail(Error error, char got) {
  state_ = State::kFailed;
  error_ = error;
  got_ = got;
  return RequestStatus::kError;
}

std::string RequestScanner::error() const {
  switch (error_) {
    case Error::kNone:
      return "";
    case Error::kMultibulkLength:
      return "Protocol error: invalid multibulk length";
    case Error::kBulkLength:
      return "Protocol error: invalid bulk length";
    case Error::kExpectedDollar: {
      // Redis keeps line ends out of its error lines.
      const char shown = got_ == '\r' || got_ == '\n' ? ' ' : got_;
      return std::string("Protocol error: expected '$', got '") + shown + "'";
    }
    case Error::kInlineTooBig:
      return "Protocol error: too big inline request";
    case Error::kMultibulkCountTooBig:
      return "Protocol error: too big mbulk count string";
    case Error::kBulkCountTooBig:
      return "Protocol error: too big bulk count string";
    case Error::kUnbalancedQuotes:
      return "Protocol error: unbalanced quotes in request";
    case Error::kUnauthenticatedMultibulk:
      return "Protocol error: unauthenticated multibulk length";
    case Error::kUnauthenticatedBulk:
      return "Protocol error: unauthenticated bulk length";
  }
  return "";
}

}  // namespace hive::resp
