// A whole reply as a tree of values: for the proxy's own control connections (ROLE, INFO, HELLO, COMMAND), whose
// replies are small and must be understood. Clients' replies never come here: see reply_scanner.h.
//
// Thread rule: value types and free functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hive::resp {

struct ValueLimits {
  // Deepest nesting. COMMAND on redis 7 goes 8 deep; each level is a stack frame here.
  int max_depth = 32;
  // Bytes of the whole reply. COMMAND on redis 7 takes about 90 KiB, with every module of the day under 1 MiB.
  size_t max_bytes = size_t{16} * 1024 * 1024;
  // Values in all: one takes three bytes on the wire, but some seventy here. COMMAND on redis 7 has about 14,000.
  size_t max_values = size_t{256} * 1024;
};

struct Value {
  enum class Type : uint8_t {
    kNull,     // $-1, *-1, _
    kString,   // + $ =   (without the three letters and the colon of a verbatim string)
    kError,    // - !
    kInteger,  // :
    kNumber,   // , (     text as sent
    kBoolean,  // #       integer is 0 or 1
    kArray,    // *
    kSet,      // ~
    kMap,      // %       keys and values alternating
    kPush,     // >
  };

  Type type = Type::kNull;
  std::string text;
  int64_t integer = 0;
  std::vector<Value> elements;

  bool is_null() const { return type == Type::kNull; }
  bool is_error() const { return type == Type::kError; }
  bool is_string() const { return type == Type::kString; }
  bool is_integer() const { return type == Type::kInteger; }
  // An array, set or push; or a map, whose keys and values alternate as in its RESP2 form.
  bool is_aggregate() const { return type >= Type::kArray; }
};

enum class ValueStatus {
  kValue,       // *value is set, *consumed is its size in bytes, attributes in front included (and dropped)
  kIncomplete,  // more bytes are needed; nothing is set
  kError,       // not RESP, or beyond the limits
};

// Reads the value at the front of `bytes`. Parses from the start each time: for replies that arrive in pieces, ask a
// ReplyScanner first.
ValueStatus ParseValue(std::string_view bytes, const ValueLimits& limits, Value* value, size_t* consumed);
inline ValueStatus ParseValue(std::string_view bytes, Value* value, size_t* consumed) {
  return ParseValue(bytes, ValueLimits{}, value, consumed);
}

}  // namespace hive::resp
