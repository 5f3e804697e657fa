#include <time.h>

#include <charconv>
#include <cmath>
#include <cstdio>

#include "common/app/log.h"

namespace hive {
namespace {

constexpr std::string_view kReplacement = "\\ufffd";  // JSON for U+FFFD, which stands for what is not UTF-8

// The length of the UTF-8 character that `text` begins with; 0 when it begins with none (RFC 3629: no overlong forms,
// no surrogates, nothing above U+10FFFF).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&byte](size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void AppendHex(std::string& out, const char* form, unsigned char byte) {
  char text[8];
  std::snprintf(text, sizeof text, form, byte);
  out += text;
}

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const char c = text[0];
    if (length == 0) {
      out += kReplacement;
    } else if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      AppendHex(out, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

// For people: what would break the line, or a terminal, is shown as \n or \x1b.
void AppendPlain(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    // U+0080 to U+009f, c2 80 to c2 9f, are control characters too, which terminals obey.
    const bool c1 = length == 2 && c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (c == '\n') {
      out += "\\n";
    } else if (length == 0 || c < 0x20 || c == 0x7f) {
      AppendHex(out, "\\x%02x", c);
    } else if (c1) {
      AppendHex(out, "\\x%02x", static_cast<unsigned char>(text[1]));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

void AppendTextValue(std::string& out, std::string_view text) {
  const bool bare = !text.empty() && text.find_first_of(" \"=") == std::string_view::npos;
  if (bare) return AppendPlain(out, text);
  out += '"';
  for (size_t quote; (quote = text.find('"')) != std::string_view::npos; text.remove_prefix(quote + 1)) {
    AppendPlain(out, text.substr(0, quote));
    out += "\\\"";
  }
  AppendPlain(out, text);
  out += '"';
}

std::string DoubleText(double value, bool json) {
  if (json && !std::isfinite(value)) return "null";
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void AppendValue(std::string& out, const LogField& field, bool json) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    json ? AppendJsonString(out, *text) : AppendTextValue(out, *text);
  } else if (const auto* flag = std::get_if<bool>(&field.value)) {
    out += *flag ? "true" : "false";
  } else if (const auto* real = std::get_if<double>(&field.value)) {
    out += DoubleText(*real, json);
  } else if (const auto* natural = std::get_if<uint64_t>(&field.value)) {
    out += std::to_string(*natural);
  } else {
    out += std::to_string(std::get<int64_t>(field.value));
  }
}

// RFC 3339, UTC, milliseconds.
void AppendTime(std::string& out, int64_t micros) {
  const time_t seconds = static_cast<time_t>(micros / 1'000'000);
  tm utc;
  gmtime_r(&seconds, &utc);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(micros / 1000 % 1000));
  out += text;
}

std::string_view LevelName(LogLevel level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
  return kNames[static_cast<int>(level)];
}

}  // namespace

std::string FormatLogText(int64_t micros, LogLevel level, std::string_view component, std::string_view message,
                          LogFields fields) {
  std::string out;
  AppendTime(out, micros);
  const std::string_view name = LevelName(level);
  ((out += ' ') += name).append(sizeof("warning") - name.size(), ' ');  // columns line up
  AppendPlain(out, component);
  out += ": ";
  AppendPlain(out, message);
  for (const LogField& field : fields) {
    out += ' ';
    AppendPlain(out, field.key);
    out += '=';
    AppendValue(out, field, false);
  }
  return out;
}

std::string FormatLogJson(int64_t micros, LogLevel level, std::string_view component, std::string_view message,
                          LogFields fields) {
  std::string out = "{\"time\":\"";
  AppendTime(out, micros);
  ((out += "\",\"level\":\"") += LevelName(level)) += "\",\"component\":";
  AppendJsonString(out, component);
  out += ",\"message\":";
  AppendJsonString(out, message);
  for (const LogField& field : fields) {
    out += ',';
    AppendJsonString(out, field.key);
    out += ':';
    AppendValue(out, field, true);
  }
  out += '}';
  return out;
}

}  // namespace hive
