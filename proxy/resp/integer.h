// Decimal integers as redis' string2ll takes them: an optional '-', no '+', no blanks, no leading zeros, 64 bits.
//
// Thread rule: free functions.
#pragma once

#include <charconv>
#include <cstdint>
#include <string_view>

namespace hive::resp {

// False when `text` is not exactly one such integer; then *value is untouched.
inline bool ParseInteger(std::string_view text, int64_t* value) {
  if (text.empty()) return false;
  const bool negative = text.front() == '-';
  const std::string_view digits = negative ? text.substr(1) : text;
  if (digits.empty() || digits.front() < '0' || digits.front() > '9') return false;
  if (digits.front() == '0' && text.size() > 1) return false;

  int64_t parsed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  *value = parsed;
  return true;
}

// The common case by hand: 1 to 9 digits without a leading zero (or a lone 0), ended by '\r' and one more byte. Returns
// the number of digits; 0 when the text is anything else, incomplete included, and wants a closer look.
inline size_t ParseShortCount(std::string_view text, int64_t* value) {
  constexpr size_t kMaxDigits = 9;  // cannot overflow, and counts above it are rare
  const size_t limit = text.size() < kMaxDigits + 1 ? text.size() : kMaxDigits + 1;
  int64_t parsed = 0;
  for (size_t i = 0; i < limit; ++i) {
    const unsigned digit = static_cast<unsigned char>(text[i]) - unsigned{'0'};
    if (digit > 9) {
      if (text[i] != '\r' || i == 0 || i + 1 >= text.size()) return 0;
      if (i > 1 && text[0] == '0') return 0;
      *value = parsed;
      return i;
    }
    parsed = parsed * 10 + digit;
  }
  return 0;
}

}  // namespace hive::resp
