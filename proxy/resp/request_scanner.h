// Finds where a client's commands begin and end, and what they are called, without copying a byte.
//
// The caller owns one contiguous buffer per client and appends what it reads. The scanner keeps offsets only, so the
// buffer may move between calls, and it goes on where it stopped, so a command that arrives in a thousand pieces is
// looked at once. It accepts and rejects exactly what redis-server 7.0 does (networking.c, processMultibulkBuffer and
// processInlineBuffer): a proxy that saw other boundaries than the server could be made to smuggle commands.
//
//   RequestScanner scanner(limits);
//   for (;;) {
//     switch (scanner.Scan(buffer)) {
//       case RequestStatus::kCommand:    Use(scanner.request(buffer));  // views into `buffer`
//                                        buffer.remove_prefix(scanner.size());
//                                        break;
//       case RequestStatus::kEmpty:      buffer.remove_prefix(scanner.size()); break;  // no reply, as redis
//       case RequestStatus::kIncomplete: return;  // read more, behind what is there
//       case RequestStatus::kError:      Send(ErrorReply(scanner.error())); CloseAfterwards(); return;
//     }
//   }
//
// A command too large to be kept (a 512 MiB value) is relayed as it comes. While Scan() says kIncomplete,
// request(buffer) shows the arguments that are there already, known_size() how many bytes from the front of the buffer
// on certainly belong to this command (it may reach far beyond the buffer), and after Release(n) the caller drops the
// first n of them from the buffer. What was released may still turn out to be the beginning of a malformed request:
// then the connection it was relayed to must be cut.
//
// Thread rule: one thread per scanner. Lifetime: views returned point into the caller's buffer (or, for an inline
// command, partly into the scanner) and last until the buffer changes or Scan() is called again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hive::resp {

// How many leading arguments' places a scanner remembers; further ones are found by walking. Four hold the name, the
// subcommand and what AUTH, SELECT, SET, WAIT and most others say, at 64 bytes per client.
inline constexpr uint32_t kHeadArguments = 4;

// Longest inline command, and longest line that announces a count or a length: redis' PROTO_INLINE_MAX_SIZE.
inline constexpr size_t kMaxRequestLine = size_t{64} * 1024;

// Most arguments in one command: INT_MAX, as redis 7.0.
inline constexpr int64_t kMaxArguments = 2147483647;

// What a client that has yet to authenticate may send, so that strangers cannot fill the memory (redis since 6.2.6).
inline constexpr int64_t kMaxUnauthenticatedArguments = 10;
inline constexpr int64_t kMaxUnauthenticatedBulk = 16384;  // bytes

struct RequestLimits {
  // Longest single argument in bytes: the server's proto-max-bulk-len.
  int64_t max_bulk_bytes = 512LL * 1024 * 1024;
};

enum class RequestStatus {
  kIncomplete,  // more bytes are needed
  kCommand,     // a whole command lies at the front of the buffer, size() bytes long
  kEmpty,       // `*0`, `*-1` or a blank line of size() bytes: redis skips it without a reply
  kError,       // malformed: error() says how; final, the connection is to be closed behind that reply
};

// Arguments of an inline command, unquoted: they cannot be views of the client's bytes.
struct InlineArguments {
  std::vector<std::string> arguments;
};

// Splits a line as redis' sdssplitargs does: blanks separate; "..." knows \n \r \t \b \a \xHH and \<any>; '...' knows
// \'. False on unbalanced quotes, or when a closing quote is not followed by a blank.
bool SplitInlineArguments(std::string_view line, std::vector<std::string>* arguments);

// A command, or the beginning of one. A light view: copy it freely, but see the lifetime rule above.
class Request {
 public:
  // The command as the client sent it, to be relayed as it is. Of an incomplete one: what is there of it.
  std::string_view bytes() const { return bytes_; }
  bool is_inline() const { return inline_ != nullptr; }

  // How many arguments the client announced, the name included; at least 1 for a complete command.
  uint32_t argument_count() const { return argument_count_; }
  // How many of them are in the buffer, whole. Equal to argument_count() for a complete command (0 once Release() was
  // called: they are gone).
  uint32_t arguments_seen() const { return arguments_seen_; }

  // Requires index < arguments_seen(). Constant time up to kHeadArguments, behind that a walk from there.
  std::string_view argument(uint32_t index) const;
  // The command's name as sent, in any case. Requires arguments_seen() > 0.
  std::string_view name() const { return argument(0); }

 private:
  friend class RequestScanner;

  std::string_view bytes_;
  uint32_t argument_count_ = 0;
  uint32_t arguments_seen_ = 0;
  std::array<std::string_view, kHeadArguments> head_;
  const InlineArguments* inline_ = nullptr;
};

// Walks all arguments of a request that are in sight, in linear time: for SUBSCRIBE with its thousands of channels.
//
//   ArgumentReader reader(request);
//   std::string_view argument;
//   while (reader.Next(&argument)) ...
class ArgumentReader {
 public:
  explicit ArgumentReader(const Request& request) : request_(request) {}
  // The next argument, the name first; false at the end.
  bool Next(std::string_view* argument);

 private:
  Request request_;
  uint32_t index_ = 0;
  std::string_view previous_;
};

class RequestScanner {
 public:
  explicit RequestScanner(const RequestLimits& limits = {}) : limits_(limits) {}

  // Looks at `buffer`, which begins with the first byte (not yet released) of the present command and holds at least
  // what it held at the last call. After kCommand or kEmpty the next call begins a new command at buffer[0].
  RequestStatus Scan(std::string_view buffer);

  // After kCommand, when nothing of it was released: the command's name; empty for an inline command. As
  // request().name(), for who needs no more.
  std::string_view name(std::string_view buffer) const {
    return inline_ ? std::string_view() : buffer.substr(head_[0].offset, head_[0].size);
  }

  // After kCommand and kEmpty: how many bytes at the front of the buffer (what was released not counted) it takes.
  size_t size() const { return static_cast<size_t>(position_ - released_); }

  // After kCommand, or the beginning of a command after kIncomplete. `buffer` as given to Scan().
  Request request(std::string_view buffer) const;

  // After kIncomplete: this many bytes from the front of the buffer on belong to the present command whatever they are;
  // more than the buffer holds when the body of an argument is still to come. 0 when nothing is certain, as within an
  // inline command.
  uint64_t known_size() const;

  // The caller has relayed the first `bytes` of the buffer and drops them now. Only after kIncomplete, and at most
  // known_size(). Arguments are no longer accessible until the next command.
  void Release(size_t bytes);
  // Whether a part of the present command was released.
  bool released() const { return released_ > 0; }

  // After kError: the text behind "-ERR ", byte for byte what redis says: "Protocol error: ...".
  std::string error() const;

  // A client that the server would ask to authenticate first gets the smaller limits above. Default: no such limits.
  void set_authentication_required(bool required) { authentication_required_ = required; }
  // After kCommand or kIncomplete: whether the present command is more than these limits allow, were they to hold.
  bool exceeds_unauthenticated() const { return exceeds_unauthenticated_; }
  // Takes effect with the next argument scanned.
  void set_limits(const RequestLimits& limits) { limits_ = limits; }

 private:
  enum class State : uint8_t { kStart, kArguments, kInline, kDone, kFailed };
  enum class Error : uint8_t {
    kNone,
    kMultibulkLength,
    kBulkLength,
    kExpectedDollar,
    kInlineTooBig,
    kMultibulkCountTooBig,
    kBulkCountTooBig,
    kUnbalancedQuotes,
    kUnauthenticatedMultibulk,
    kUnauthenticatedBulk,
  };
  enum class Line : uint8_t { kFound, kMissing, kTooLong };

  void Begin();
  bool ScanWhole(std::string_view buffer);
  RequestStatus ScanMultibulkHeader(std::string_view buffer);
  RequestStatus ScanArguments(std::string_view buffer);
  RequestStatus ScanInline(std::string_view buffer);
  RequestStatus Fail(Error error, char got = 0);
  Line FindLine(std::string_view buffer, char terminator, size_t* end);

  struct Span {
    uint64_t offset;  // from the command's first byte
    uint64_t size;
  };

  RequestLimits limits_;
  uint64_t position_ = 0;  // next unscanned byte, from the command's first byte; beyond the buffer within a body
  uint64_t searched_ = 0;  // where the search for the end of the present line goes on
  uint64_t released_ = 0;  // bytes of the command no longer in the buffer
  uint32_t argument_count_ = 0;
  uint32_t arguments_left_ = 0;
  std::array<Span, kHeadArguments> head_{};
  std::unique_ptr<InlineArguments> inline_;
  State state_ = State::kStart;
  Error error_ = Error::kNone;
  char got_ = 0;  // the byte that stands where a '$' should
  bool authentication_required_ = false;
  bool exceeds_unauthenticated_ = false;
};

}  // namespace hive::resp
