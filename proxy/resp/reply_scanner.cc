#include "proxy/resp/reply_scanner.h"

#include <algorithm>
#include <cassert>
#include <string_view>

#include "proxy/resp/integer.h"

namespace hive::resp {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

// The likeliest first.
constexpr std::string_view kTypes = "$+:*-_>%~,#=!(|";

bool IsAggregate(char type) { return type == '*' || type == '~' || type == '>' || type == '%' || type == '|'; }
bool IsBulk(char type) { return type == '$' || type == '=' || type == '!'; }
bool IsText(char type) { return type == '+' || type == '-' || type == '('; }

// A push within a reply is one of its elements when it confirms a SUBSCRIBE that was queued, and none when it brings a
// message that the same client has published: "message", "pmessage" and "smessage" are told by their length.
constexpr std::string_view kMessageWord = "$7\r\n";
bool MayBeMessage(std::string_view begin) {
  if (begin.size() > 1 && begin[1] == '8')
    return begin.front() == '$' && kMessageWord.substr(2).starts_with(begin.substr(2));
  return kMessageWord.starts_with(begin);
}

// The first line of a scanned value, without its type byte and line end.
std::string_view FirstLine(std::string_view value) { return value.substr(1, value.find(kLineEnd) - 1); }

// The body of a scanned string of the types $ = !; empty for null.
std::string_view Body(std::string_view value) {
  const size_t head = value.find(kLineEnd) + kLineEnd.size();
  if (head >= value.size()) return {};
  return value.substr(head, value.size() - head - kLineEnd.size());
}

}  // namespace

std::string_view Reply::error() const {
  if (type_ == '-') return FirstLine(value_);
  if (type_ == '!') return Body(value_);
  return {};
}

std::string_view Reply::error_code() const {
  const std::string_view text = error();
  return text.substr(0, text.find(' '));
}

// The size of a short reply that lies whole at the front of the buffer, of the kinds that nearly all are of; 0: it may
// be any.
size_t ReplyScanner::SizeOfShort(std::string_view buffer) {
  if (buffer.size() < 4) return 0;
  switch (buffer[0]) {
    case '$': {
      if (buffer.starts_with("$-1\r\n")) return 5;
      int64_t length = 0;
      const size_t digits = ParseShortCount(buffer.substr(1), &length);
      if (digits == 0 || buffer[digits + 2] != '\n') return 0;
      const size_t end = 1 + digits + kLineEnd.size() + static_cast<size_t>(length);
      if (end + kLineEnd.size() > buffer.size() || buffer[end] != '\r' || buffer[end + 1] != '\n') return 0;
      return end + kLineEnd.size();
    }
    case '+':
      return buffer.starts_with("+OK\r\n") ? 5 : 0;
    case ':': {
      int64_t number = 0;
      const size_t digits = ParseShortCount(buffer.substr(1), &number);
      return digits == 0 || buffer[digits + 2] != '\n' ? 0 : 1 + digits + kLineEnd.size();
    }
    default:
      return 0;
  }
}

ReplyStatus ReplyScanner::Scan(std::string_view buffer) {
  if (done_ || !begun_) {
    if (const size_t size = SizeOfShort(buffer); size > 0) {
      position_ = size;
      released_ = value_at_ = pending_ = attributes_ = 0;
      type_ = buffer[0];
      begun_ = done_ = true;
      return ReplyStatus::kReply;
    }
  }
  if (done_) Begin();
  if (!error_.empty()) return ReplyStatus::kError;
  begun_ = begun_ || !buffer.empty();
  while (pending_ > 0) {
    const uint64_t at = position_ - released_;
    if (at >= buffer.size()) return ReplyStatus::kIncomplete;
    const Step step = ScanPart(buffer.substr(at));
    if (step == Step::kIncomplete) return ReplyStatus::kIncomplete;
    if (step == Step::kFailed) return ReplyStatus::kError;
  }
  done_ = true;
  return ReplyStatus::kReply;
}

void ReplyScanner::Begin() { *this = ReplyScanner(); }

// `rest`: the buffer from position_ on; never empty.
ReplyScanner::Step ReplyScanner::ScanPart(std::string_view rest) {
  switch (part_) {
    case Part::kHead:
      return ScanHead(rest);
    case Part::kText:
      return ScanText(rest);
    case Part::kBodyEnd:
      return ScanBodyEnd(rest);
  }
  return Step::kFailed;
}

ReplyScanner::Step ReplyScanner::ScanHead(std::string_view rest) {
  const char type = rest.front();
  if (kTypes.find(type) == std::string_view::npos) return Fail("an unknown type");
  if (type_ == 0 && attributes_ == 0 && type != '|') {
    type_ = type;
    value_at_ = position_;
  }
  if (type == '>' && attributes_ > 0) return Fail("a push within an attribute");
  if (IsText(type)) {
    part_ = Part::kText;
    text_size_ = 0;
    ++position_;
    return Step::kDone;
  }

  int64_t number = 0;
  const size_t digits = ParseShortCount(rest.substr(1), &number);
  size_t end = 1 + digits;  // of the line
  if (digits == 0) {
    const std::string_view line = rest.substr(0, kMaxReplyNumberLine);
    end = line.find('\r');
    if (end == std::string_view::npos && line.size() == kMaxReplyNumberLine) return Fail("an endless line");
    if (end == std::string_view::npos || end + 1 == rest.size()) return Step::kIncomplete;
  }
  if (rest[end + 1] != '\n') return Fail("a line that is not ended by CRLF");

  const std::string_view text = rest.substr(1, end - 1);
  const size_t head_size = end + kLineEnd.size();
  if (IsBulk(type) || IsAggregate(type)) {
    if (digits == 0 && !ParseInteger(text, &number)) return Fail("a length that is no number, or streamed");
    if (type == '>' && position_ != value_at_) {
      const std::string_view word = rest.substr(head_size, kMessageWord.size());
      if (word.size() < kMessageWord.size() && MayBeMessage(word) && number > 0) return Step::kIncomplete;
      if (pending_ == kMaxPendingValues) return Fail("a count that is impossible");
      if (word.size() == kMessageWord.size() && MayBeMessage(word)) ++pending_;
    }
    position_ += head_size;
    return IsBulk(type) ? BeginBulk(type, number) : BeginAggregate(type, number);
  }
  if (type == ':' && digits == 0 && !ParseInteger(text, &number)) return Fail("an integer that is no number");
  if (type == '#' && text != "t" && text != "f") return Fail("a boolean that is neither t nor f");
  if (type == '_' && !text.empty()) return Fail("a null with a content");
  if (type == ',' && text.empty()) return Fail("a double without digits");
  position_ += head_size;
  return EndValue();
}

ReplyScanner::Step ReplyScanner::ScanText(std::string_view rest) {
  size_t end = rest.find('\r');
  while (end != std::string_view::npos && end + 1 < rest.size() && rest[end + 1] != '\n')
    end = rest.find('\r', end + 1);
  // A carriage return at the very end is looked at again when the byte behind it is there.
  const size_t size = std::min(end, rest.size());
  text_size_ += size;
  position_ += size;
  if (text_size_ > kMaxReplyTextLine) return Fail("an endless line");
  if (size + 1 >= rest.size()) return Step::kIncomplete;
  position_ += kLineEnd.size();
  part_ = Part::kHead;
  return EndValue();
}

ReplyScanner::Step ReplyScanner::ScanBodyEnd(std::string_view rest) {
  if (rest.front() != '\r') return Fail("a string longer than it said");
  if (rest.size() < kLineEnd.size()) return Step::kIncomplete;
  if (rest[1] != '\n') return Fail("a string longer than it said");
  position_ += kLineEnd.size();
  part_ = Part::kHead;
  return EndValue();
}

// position_ is behind the head.
ReplyScanner::Step ReplyScanner::BeginBulk(char type, int64_t length) {
  if (length == -1 && type == '$') return EndValue();
  if (length < 0 || length > kMaxReplyBulk) return Fail("a string of impossible length");
  position_ += static_cast<uint64_t>(length);
  part_ = Part::kBodyEnd;
  return Step::kDone;
}

ReplyScanner::Step ReplyScanner::BeginAggregate(char type, int64_t length) {
  if (length == -1 && type == '*') return EndValue();
  if (length < 0 || static_cast<uint64_t>(length) > kMaxPendingValues) return Fail("a count that is impossible");
  const bool in_pairs = type == '%' || type == '|';
  const uint64_t begun = static_cast<uint64_t>(length) * (in_pairs ? 2 : 1);
  if (begun > kMaxPendingValues - pending_) return Fail("a count that is impossible");
  pending_ += begun;
  // What an attribute in front of the reply contains, it contains on all levels.
  const bool in_front = type_ == 0;
  if (in_front) attributes_ += begun;
  return type == '|' ? Step::kDone : EndValue();
}

ReplyScanner::Step ReplyScanner::EndValue() {
  --pending_;
  if (attributes_ > 0) --attributes_;
  return Step::kDone;
}

ReplyScanner::Step ReplyScanner::Fail(std::string_view why) {
  error_ = why;
  return Step::kFailed;
}

Reply ReplyScanner::reply(std::string_view buffer) const {
  assert(done_ && released_ == 0);
  Reply reply;
  reply.bytes_ = buffer.substr(0, size());
  reply.value_ = reply.bytes_.substr(value_at_);
  reply.type_ = type_;
  return reply;
}

void ReplyScanner::Release(size_t bytes) {
  assert(bytes <= known_size());
  released_ += bytes;
}

ElementReader::ElementReader(const Reply& reply) {
  if (!IsAggregate(reply.type())) return;
  int64_t count = 0;
  const std::string_view value = reply.value();
  if (!ParseInteger(FirstLine(value), &count) || count < 0) return;
  count_ = left_ = static_cast<uint64_t>(count) * (reply.type() == '%' ? 2 : 1);
  rest_ = value.substr(value.find(kLineEnd) + kLineEnd.size());
}

bool ElementReader::Next(Element* element) {
  if (left_ == 0) return false;
  ReplyScanner scanner;
  if (scanner.Scan(rest_) != ReplyStatus::kReply) return false;
  const Reply part = scanner.reply(rest_);
  const std::string_view value = part.value();
  *element = {part.type(), {}, false};
  if (IsBulk(part.type())) {
    element->text = Body(value);
  } else if (!IsAggregate(part.type())) {
    element->text = FirstLine(value);
  }
  const bool nullable = part.type() == '$' || part.type() == '*';
  element->is_null = part.type() == '_' || (nullable && FirstLine(value) == "-1");
  rest_.remove_prefix(scanner.size());
  --left_;
  return true;
}

}  // namespace hive::resp
