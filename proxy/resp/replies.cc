#include "proxy/resp/replies.h"

#include <charconv>

namespace hive::resp {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

void AppendLine(std::string* out, std::string_view text) {
  for (const char c : text) out->push_back(c == '\r' || c == '\n' ? ' ' : c);
  out->append(kLineEnd);
}

void AppendNumber(std::string* out, char type, int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out->push_back(type);
  out->append(digits, end);
  out->append(kLineEnd);
}

void AppendBulk(std::string* out, std::string_view text) {
  AppendNumber(out, '$', static_cast<int64_t>(text.size()));
  out->append(text);
  out->append(kLineEnd);
}

}  // namespace

std::string ErrorReply(std::string_view code, std::string_view text) {
  std::string out = "-";
  out.append(code);
  out.push_back(' ');
  AppendLine(&out, text);
  return out;
}

std::string ErrorReply(std::string_view text) { return ErrorReply("ERR", text); }

std::string SimpleReply(std::string_view text) {
  std::string out = "+";
  AppendLine(&out, text);
  return out;
}

std::string IntegerReply(int64_t value) {
  std::string out;
  AppendNumber(&out, ':', value);
  return out;
}

std::string BulkReply(std::string_view text) {
  std::string out;
  AppendBulk(&out, text);
  return out;
}

std::string UnconfirmedReply(int confirmed, int wanted) {
  return ErrorReply("UNCONFIRMED", "applied on the leader, " + std::to_string(confirmed) + " of " +
                                       std::to_string(wanted) + " replicas confirmed");
}

std::string_view NullReply(Protocol protocol) { return protocol == Protocol::kResp3 ? "_\r\n" : "$-1\r\n"; }
std::string_view NullArrayReply(Protocol protocol) { return protocol == Protocol::kResp3 ? "_\r\n" : "*-1\r\n"; }

void AppendRequest(std::string* out, std::span<const std::string_view> arguments) {
  AppendNumber(out, '*', static_cast<int64_t>(arguments.size()));
  for (const std::string_view argument : arguments) AppendBulk(out, argument);
}

void AppendRequest(std::string* out, std::initializer_list<std::string_view> arguments) {
  AppendRequest(out, std::span(arguments.begin(), arguments.size()));
}

std::string MakeRequest(std::initializer_list<std::string_view> arguments) {
  std::string out;
  AppendRequest(&out, arguments);
  return out;
}

}  // namespace hive::resp
