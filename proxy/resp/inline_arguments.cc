// The quoting rules of inline commands, as redis' sdssplitargs has them.
#include <string>
#include <string_view>
#include <vector>

#include "proxy/resp/request_scanner.h"

namespace hive::resp {
namespace {

// As isspace in the C locale: separates arguments, and is what may stand behind a closing quote.
bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// What ends an unquoted word. Narrower than IsBlank: a vertical tab within a word belongs to it.
bool EndsWord(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Both read behind the opening quote and take the closing one; false when there is none.
bool ReadDoubleQuoted(std::string_view* text, std::string* word) {
  while (!text->empty()) {
    const char c = text->front();
    if (c == '"') {
      text->remove_prefix(1);
      return true;
    }
    if (c == '\\' && text->size() >= 4 && (*text)[1] == 'x' && HexDigit((*text)[2]) >= 0 && HexDigit((*text)[3]) >= 0) {
      word->push_back(static_cast<char>(HexDigit((*text)[2]) * 16 + HexDigit((*text)[3])));
      text->remove_prefix(4);
    } else if (c == '\\' && text->size() >= 2) {
      word->push_back(Unescaped((*text)[1]));
      text->remove_prefix(2);
    } else {
      word->push_back(c);
      text->remove_prefix(1);
    }
  }
  return false;
}

bool ReadSingleQuoted(std::string_view* text, std::string* word) {
  while (!text->empty()) {
    const char c = text->front();
    if (c == '\'') {
      text->remove_prefix(1);
      return true;
    }
    if (text->starts_with("\\'")) text->remove_prefix(1);
    word->push_back(text->front());
    text->remove_prefix(1);
  }
  return false;
}

bool ReadWord(std::string_view* text, std::string* word) {
  while (!text->empty() && !EndsWord(text->front())) {
    const char c = text->front();
    text->remove_prefix(1);
    if (c != '"' && c != '\'') {
      word->push_back(c);
      continue;
    }
    const bool closed = c == '"' ? ReadDoubleQuoted(text, word) : ReadSingleQuoted(text, word);
    // A closing quote ends the word, and a blank must follow.
    return closed && (text->empty() || IsBlank(text->front()));
  }
  return true;
}

}  // namespace

bool SplitInlineArguments(std::string_view line, std::vector<std::string>* arguments) {
  for (;;) {
    while (!line.empty() && IsBlank(line.front())) line.remove_prefix(1);
    if (line.empty()) return true;
    std::string word;
    if (!ReadWord(&line, &word)) return false;
    arguments->push_back(std::move(word));
  }
}

}  // namespace hive::resp
