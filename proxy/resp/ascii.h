// Names of commands, options and settings compare without case, as in redis: ASCII only, whatever the locale.
//
// Thread rule: free functions.
#pragma once

#include <algorithm>
#include <string_view>

namespace hive::resp {

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// `lower` is in lower case.
inline bool StartsWithIgnoringCase(std::string_view any_case, std::string_view lower) {
  return any_case.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), any_case.begin(), [](char a, char b) { return a == Lower(b); });
}

inline bool EqualsIgnoringCase(std::string_view any_case, std::string_view lower) {
  return any_case.size() == lower.size() && StartsWithIgnoringCase(any_case, lower);
}

}  // namespace hive::resp
