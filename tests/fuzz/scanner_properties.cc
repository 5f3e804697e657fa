#include "tests/fuzz/scanner_properties.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "proxy/resp/command_facts.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/resp/resp_value.h"

namespace hive::resp {
namespace {

using Kind = ScanEvent::Kind;

// A buffer that is exactly as large as its content and moves with every read, so that a byte read outside of it and a
// view kept for too long are seen by AddressSanitizer.
class ExactBuffer {
 public:
  std::string_view view() const { return {bytes_.get(), size_}; }

  void Append(std::string_view more) { Assign(std::string(view()).append(more)); }
  void Drop(size_t count) { Assign(std::string(view().substr(count))); }

 private:
  void Assign(const std::string& content) {
    size_ = content.size();
    bytes_ = std::make_unique<char[]>(size_);
    std::copy(content.begin(), content.end(), bytes_.get());
  }

  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
};

[[noreturn]] void Violated(const char* property, const std::string& detail) {
  std::fprintf(stderr, "violated: %s\n%s\n", property, detail.c_str());
  std::abort();
}

// Adapts both scanners to one loop.
struct RequestSide {
  RequestScanner scanner;

  Kind Scan(std::string_view buffer) {
    switch (scanner.Scan(buffer)) {
      case RequestStatus::kCommand:
        return Kind::kWhole;
      case RequestStatus::kEmpty:
        return Kind::kEmpty;
      case RequestStatus::kIncomplete:
        return Kind::kIncomplete;
      case RequestStatus::kError:
        return Kind::kError;
    }
    return Kind::kError;
  }

  std::vector<std::string> Arguments(std::string_view buffer) const {
    const Request request = scanner.request(buffer);
    if (request.bytes().size() != scanner.size()) Violated("a whole request spans its size", "");
    if (request.arguments_seen() != request.argument_count()) Violated("a whole request has all its arguments", "");
    std::vector<std::string> arguments;
    ArgumentReader reader(request);
    for (std::string_view argument; reader.Next(&argument);) arguments.emplace_back(argument);
    const uint32_t last = request.argument_count() - 1;
    if (request.argument(last) != arguments.back()) Violated("reading and indexing agree", arguments.back());
    CommandTable::BuiltIn()->Classify(request);
    return arguments;
  }

  // What is in sight of a request that is not whole is to be safe to read.
  void LookAtIncomplete(std::string_view buffer) const {
    const Request request = scanner.request(buffer);
    if (request.arguments_seen() > request.argument_count()) Violated("no more arguments than announced", "");
    CommandTable::BuiltIn()->Classify(request);
  }

  std::string error() const { return scanner.error(); }
};

struct ReplySide {
  ReplyScanner scanner;

  Kind Scan(std::string_view buffer) {
    switch (scanner.Scan(buffer)) {
      case ReplyStatus::kReply:
        return Kind::kWhole;
      case ReplyStatus::kIncomplete:
        return Kind::kIncomplete;
      case ReplyStatus::kError:
        return Kind::kError;
    }
    return Kind::kError;
  }

  std::vector<std::string> Arguments(std::string_view buffer) const {
    const Reply reply = scanner.reply(buffer);
    if (reply.bytes().size() != scanner.size()) Violated("a whole reply spans its size", "");
    if (reply.type() != scanner.type()) Violated("reply and scanner agree on the type", "");
    ElementReader reader(reply);
    ElementReader::Element element;
    uint64_t elements = 0;
    while (reader.Next(&element)) ++elements;
    // (A push within an attribute within the reply, which no server sends, stops the reader.)
    const bool plain = reply.bytes().find('|') == std::string_view::npos;
    if (elements > reader.count() || (plain && elements != reader.count()))
      Violated("as many elements as announced", std::string(reply.bytes()));
    return {std::string(1, reply.type()), std::string(reply.error_code())};
  }

  void LookAtIncomplete(std::string_view) const {}

  std::string error() const { return std::string(scanner.error()); }
};

// Ends with kIncomplete or kError, since a stream may always go on.
template <typename Side>
std::vector<ScanEvent> ScanAll(Side side, std::string_view stream, Feeding feeding) {
  std::vector<ScanEvent> events;
  ExactBuffer buffer;
  uint64_t dropped = 0;
  for (;;) {
    const Kind kind = side.Scan(buffer.view());
    if (kind == Kind::kError) {
      events.push_back({kind, 0, {}, side.error()});
      return events;
    }
    if (kind != Kind::kIncomplete) {
      std::vector<std::string> arguments;
      if (kind == Kind::kWhole && !side.scanner.released()) arguments = side.Arguments(buffer.view());
      const size_t size = side.scanner.size();
      if (size > buffer.view().size()) Violated("nothing ends beyond the buffer", "");
      dropped += size;
      buffer.Drop(size);
      events.push_back({kind, dropped, std::move(arguments), ""});
      continue;
    }

    side.LookAtIncomplete(buffer.view());
    if (feeding.releases && feeding.random.Percent(50)) {
      const uint64_t known = std::min<uint64_t>(side.scanner.known_size(), buffer.view().size());
      const size_t count = static_cast<size_t>(feeding.random.Below(known + 1));
      side.scanner.Release(count);
      dropped += count;
      buffer.Drop(count);
    }
    if (stream.empty()) {
      events.push_back({kind, 0, {}, ""});
      return events;
    }
    const size_t largest = feeding.largest_read == 0 ? stream.size() : feeding.largest_read;
    const size_t drawn = feeding.largest_read == 0 ? largest : static_cast<size_t>(1 + feeding.random.Below(largest));
    const size_t read = std::min(drawn, stream.size());
    buffer.Append(stream.substr(0, read));
    stream.remove_prefix(read);
  }
}

std::string Describe(const std::vector<ScanEvent>& events) {
  std::string text;
  for (const ScanEvent& event : events) text += Describe(event) + "\n";
  return text;
}

// A request or reply that was released in part shows no arguments.
void ExpectSame(const char* property, const std::vector<ScanEvent>& expected, std::vector<ScanEvent> actual) {
  for (size_t i = 0; i < std::min(expected.size(), actual.size()); ++i) {
    if (actual[i].arguments.empty()) actual[i].arguments = expected[i].arguments;
  }
  if (expected != actual) Violated(property, "at once:\n" + Describe(expected) + "otherwise:\n" + Describe(actual));
}

template <typename Scan>
void CheckAllFeedings(uint64_t seed, const Scan& scan) {
  constexpr size_t kLargestReads[] = {1, 3, 16, 4096};
  const std::vector<ScanEvent> expected = scan(Feeding{});
  for (const size_t largest_read : kLargestReads) {
    ExpectSame("boundaries do not depend on the cuts", expected, scan(Feeding{largest_read, false, Random(seed)}));
    ExpectSame("boundaries do not depend on releases", expected, scan(Feeding{largest_read, true, Random(seed)}));
  }
}

// Beyond this the quadratic cost of exact buffers fed byte by byte buys nothing.
constexpr size_t kMaxInput = 4096;

constexpr size_t kInputHead = 2;

}  // namespace

std::vector<ScanEvent> ScanRequests(std::string_view stream, const ClientRules& rules, Feeding feeding) {
  RequestSide side{RequestScanner(rules.limits)};
  side.scanner.set_authentication_required(rules.authentication_required);
  return ScanAll(std::move(side), stream, feeding);
}

std::vector<ScanEvent> ScanReplies(std::string_view stream, Feeding feeding) {
  return ScanAll(ReplySide{}, stream, feeding);
}

std::string Describe(const ScanEvent& event) {
  constexpr std::string_view kNames[] = {"whole", "empty", "incomplete", "error"};
  std::string text(kNames[static_cast<size_t>(event.kind)]);
  text += " end " + std::to_string(event.end) + " " + event.error;
  for (const std::string& argument : event.arguments) text += " [" + argument + "]";
  return text;
}

void CheckRequestScanner(std::string_view input) {
  if (input.size() < kInputHead || input.size() > kMaxInput) return;
  const auto seed = static_cast<unsigned char>(input[0]);
  const auto options = static_cast<unsigned char>(input[1]);
  ClientRules rules;
  rules.authentication_required = (options & 1) != 0;
  if ((options & 2) != 0) rules.limits.max_bulk_bytes = 64;
  const std::string_view stream = input.substr(kInputHead);
  CheckAllFeedings(seed, [&](const Feeding& feeding) { return ScanRequests(stream, rules, feeding); });
}

void CheckReplyScanner(std::string_view input) {
  if (input.size() < kInputHead || input.size() > kMaxInput) return;
  const auto seed = static_cast<unsigned char>(input[0]);
  std::string_view stream = input.substr(kInputHead);
  CheckAllFeedings(seed, [&](const Feeding& feeding) { return ScanReplies(stream, feeding); });

  // The tree reader sees the boundaries that the scanner sees, as long as its limits allow.
  uint64_t end = 0;
  for (const ScanEvent& event : ScanReplies(stream, Feeding{})) {
    if (event.kind != ScanEvent::Kind::kWhole) break;
    const std::string whole(stream.substr(end, event.end - end));
    Value value;
    size_t consumed = 0;
    const ValueStatus status = ParseValue(whole, &value, &consumed);
    if (status == ValueStatus::kIncomplete) Violated("a whole reply is a whole value", whole);
    if (status == ValueStatus::kValue && consumed != whole.size()) Violated("a value takes all of its reply", whole);
    std::string error;
    CommandTable::FromCommandReply(whole, &error);
    end = event.end;
  }
}

}  // namespace hive::resp
