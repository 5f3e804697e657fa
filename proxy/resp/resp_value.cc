#include "proxy/resp/resp_value.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proxy/resp/integer.h"
#include "proxy/resp/reply_scanner.h"

namespace hive::resp {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

// Smallest value on the wire: "_\r\n".
constexpr size_t kSmallestValue = 3;

// "txt:" or "mkd:" before a verbatim string.
constexpr size_t kVerbatimPrefix = 4;

// Builds the tree of bytes that a ReplyScanner has found to be whole, so that only the limits can fail.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view bytes, const ValueLimits& limits) : rest_(bytes), limits_(limits) {}

  bool Build(Value* value, int depth) {
    if (depth > limits_.max_depth || ++values_ > limits_.max_values) return false;
    const char type = rest_.front();
    const size_t end = rest_.find(kLineEnd);
    const std::string_view line = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + kLineEnd.size());
    switch (type) {
      case '$':
      case '=':
      case '!':
        return BuildString(value, type, line);
      case '*':
      case '~':
      case '%':
      case '>':
        return BuildAggregate(value, type, line, depth);
      case '|': {
        // The attribute's content is dropped; the value that it describes follows.
        Value attribute;
        return BuildAggregate(&attribute, '%', line, depth) && Build(value, depth + 1);
      }
      default:
        return BuildScalar(value, type, line);
    }
  }

 private:
  static bool BuildScalar(Value* value, char type, std::string_view line) {
    switch (type) {
      case '+':
        value->type = Value::Type::kString;
        break;
      case '-':
        value->type = Value::Type::kError;
        break;
      case ':':
        value->type = Value::Type::kInteger;
        if (!ParseInteger(line, &value->integer)) return false;
        break;
      case '#':
        value->type = Value::Type::kBoolean;
        value->integer = line == "t" ? 1 : 0;
        break;
      case '_':
        return true;
      default:
        value->type = Value::Type::kNumber;
    }
    value->text = line;
    return true;
  }

  bool BuildString(Value* value, char type, std::string_view line) {
    int64_t length = 0;
    if (!ParseInteger(line, &length)) return false;
    if (length < 0) return true;
    value->type = type == '!' ? Value::Type::kError : Value::Type::kString;
    const std::string_view body = rest_.substr(0, static_cast<size_t>(length));
    value->text = type == '=' && body.size() >= kVerbatimPrefix ? body.substr(kVerbatimPrefix) : body;
    rest_.remove_prefix(body.size() + kLineEnd.size());
    return true;
  }

  bool BuildAggregate(Value* value, char type, std::string_view line, int depth) {
    int64_t length = 0;
    if (!ParseInteger(line, &length)) return false;
    if (length < 0) return true;
    value->type = type == '*'   ? Value::Type::kArray
                  : type == '~' ? Value::Type::kSet
                  : type == '%' ? Value::Type::kMap
                                : Value::Type::kPush;
    const uint64_t count = static_cast<uint64_t>(length) * (type == '%' ? 2 : 1);
    if (count > limits_.max_values) return false;
    value->elements.reserve(std::min<size_t>(count, rest_.size() / kSmallestValue));
    for (uint64_t i = 0; i < count; ++i) {
      if (!Build(&value->elements.emplace_back(), depth + 1)) return false;
    }
    return true;
  }

  std::string_view rest_;
  const ValueLimits& limits_;
  size_t values_ = 0;
};

}  // namespace

ValueStatus ParseValue(std::string_view bytes, const ValueLimits& limits, Value* value, size_t* consumed) {
  ReplyScanner scanner;
  const ReplyStatus status = scanner.Scan(bytes);
  if (status == ReplyStatus::kError) return ValueStatus::kError;
  if (scanner.known_size() > limits.max_bytes) return ValueStatus::kError;
  if (status == ReplyStatus::kIncomplete) {
    return bytes.size() > limits.max_bytes ? ValueStatus::kError : ValueStatus::kIncomplete;
  }

  Value built;
  TreeBuilder builder(bytes.substr(0, scanner.size()), limits);
  if (!builder.Build(&built, 1)) return ValueStatus::kError;
  *value = std::move(built);
  *consumed = scanner.size();
  return ValueStatus::kValue;
}

}  // namespace hive::resp
