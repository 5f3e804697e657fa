// Finds where a server's replies begin and end, RESP2 and RESP3, without copying a byte and without recursion.
//
// As in request_scanner.h the caller owns the buffer, the scanner keeps offsets only, resumes where it stopped, and
// lets replies larger than the memory pass: see Release().
//
//   switch (scanner.Scan(buffer)) {
//     case ReplyStatus::kReply:      Use(scanner.reply(buffer)); buffer.remove_prefix(scanner.size()); break;
//     case ReplyStatus::kIncomplete: return;  // read more; or relay what is there and Release() it
//     case ReplyStatus::kError:      Log(scanner.error()); CutTheServer(); return;
//   }
//
// A boundary needs no stack: what counts is how many values are still to come. A value ends one; an aggregate of n ends
// one and begins n; an attribute begins 2n and ends none, since the value that it describes follows. So nesting is not
// limited here, and a scanner is a few dozen bytes whatever the server says.
//
// Streamed strings and aggregates (`$?`, `*?`), which RESP3 describes and redis never sends, are errors.
//
// Thread rule: one thread per scanner. Lifetime: views returned point into the caller's buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hive::resp {

// Values still to come in one reply. Far above what any server could send; below what would overflow the counter.
inline constexpr uint64_t kMaxPendingValues = uint64_t{1} << 48;

// Longest string in a reply. A server may be configured far above the usual 512 MiB, but a length beyond this is noise.
inline constexpr int64_t kMaxReplyBulk = int64_t{1} << 40;

// Longest line of a number, a length or a count. 64-bit numbers take 20 bytes, doubles under 400 as printed by redis.
inline constexpr size_t kMaxReplyNumberLine = 1024;

// Longest simple string, error or big number: scripts choose these freely, and redis' own limit is that of a string.
inline constexpr uint64_t kMaxReplyTextLine = 512ULL * 1024 * 1024;

enum class ReplyStatus {
  kIncomplete,  // more bytes are needed
  kReply,       // a whole reply lies at the front of the buffer, size() bytes long
  kError,       // not RESP: error() says why; final, the connection is of no use any more
};

// A whole reply.
class Reply {
 public:
  // As the server sent it, attributes in front included.
  std::string_view bytes() const { return bytes_; }
  // Without the attributes in front.
  std::string_view value() const { return value_; }
  // First byte of the value itself: one of + - : $ * _ , # ! = ( % ~ >
  char type() const { return type_; }
  // Out-of-band data (RESP3): answers no request.
  bool is_push() const { return type_ == '>'; }
  bool is_error() const { return type_ == '-' || type_ == '!'; }
  // The text of an error without its type byte and line end: "READONLY You can't write...". Empty when it is none.
  std::string_view error() const;
  // Its first word: READONLY, UNBLOCKED, MASTERDOWN, LOADING, EXECABORT, NOAUTH, MOVED, ERR. Empty when it is no error.
  std::string_view error_code() const;

 private:
  friend class ReplyScanner;
  std::string_view bytes_;
  std::string_view value_;  // bytes_ without attributes
  char type_ = 0;
};

class ReplyScanner {
 public:
  // Looks at `buffer`, which begins with the first byte (not yet released) of the present reply and holds at least what
  // it held at the last call. After kReply the next call begins a new reply at buffer[0].
  ReplyStatus Scan(std::string_view buffer);

  // After kReply: how many bytes at the front of the buffer (what was released not counted) it takes.
  size_t size() const { return static_cast<size_t>(position_ - released_); }

  // After kReply, when nothing of it was released. `buffer` as given to Scan().
  Reply reply(std::string_view buffer) const;

  // First byte of the value, behind attributes; 0 while it is not known. Also of a reply still incomplete, and of one
  // released in part.
  char type() const { return type_; }

  // After kIncomplete: this many bytes from the front of the buffer on belong to the present reply whatever they are;
  // more than the buffer holds when the body of a string is still to come.
  uint64_t known_size() const { return position_ - released_; }
  // The same, with what was released of it.
  uint64_t whole_known_size() const { return position_; }
  // The caller has relayed the first `bytes` of the buffer and drops them now. Only after kIncomplete, and at most
  // known_size().
  void Release(size_t bytes);
  // Whether a part of the present reply was released.
  bool released() const { return released_ > 0; }
  // Whether the server is in the middle of a reply: then its connection cannot be handed to somebody else.
  bool in_reply() const { return begun_ && !done_; }

  // After kError: what is wrong, as one clause for a log. A static string.
  std::string_view error() const { return error_; }

 private:
  // What stands at position_.
  enum class Part : uint8_t {
    kHead,     // a type byte
    kText,     // the middle of the text of a simple string, an error or a big number
    kBodyEnd,  // the line end behind the body of a string
  };
  enum class Step : uint8_t { kDone, kIncomplete, kFailed };

  void Begin();
  static size_t SizeOfShort(std::string_view buffer);
  Step ScanPart(std::string_view rest);
  Step ScanHead(std::string_view rest);
  Step ScanText(std::string_view rest);
  Step ScanBodyEnd(std::string_view rest);
  Step BeginBulk(char type, int64_t length);
  Step BeginAggregate(char type, int64_t length);
  Step EndValue();
  Step Fail(std::string_view why);

  uint64_t position_ = 0;    // next unscanned byte, from the reply's first byte; beyond the buffer within a body
  uint64_t released_ = 0;    // bytes of the reply no longer in the buffer
  uint64_t value_at_ = 0;    // where the value itself begins, behind attributes
  uint64_t pending_ = 1;     // values still to come
  uint64_t attributes_ = 0;  // those of them that belong to attributes in front of the reply
  uint64_t text_size_ = 0;   // bytes of the present text so far
  std::string_view error_;
  Part part_ = Part::kHead;
  char type_ = 0;
  bool begun_ = false;
  bool done_ = false;
};

// Walks the elements of an aggregate reply (`*`, `~`, `>`, or `%` as keys and values alternating) without allocating:
// what the session needs to read "message", "subscribe" and their channels.
//
//   ElementReader reader(reply);
//   ElementReader::Element element;
//   while (reader.Next(&element)) ...
class ElementReader {
 public:
  // `reply`: a whole reply. Of a reply that is no aggregate there are no elements.
  explicit ElementReader(const Reply& reply);

  struct Element {
    char type;              // first byte
    std::string_view text;  // of a string, number, boolean or error; empty for nulls and aggregates
    bool is_null;           // `$-1`, `*-1`, `_`
  };
  // The next element, nested aggregates as one; false at the end.
  bool Next(Element* element);
  // Elements in all, from the reply's header.
  uint64_t count() const { return count_; }

 private:
  std::string_view rest_;
  uint64_t count_ = 0;
  uint64_t left_ = 0;
};

}  // namespace hive::resp
