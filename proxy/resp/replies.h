// The few bytes that the proxy says itself: replies in the server's place, and requests of its own.
//
// Thread rule: free functions without state.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace hive::resp {

// The protocol version a connection speaks, as HELLO names it.
enum class Protocol : uint8_t { kResp2 = 2, kResp3 = 3 };

inline constexpr std::string_view kOk = "+OK\r\n";
inline constexpr std::string_view kQueued = "+QUEUED\r\n";
inline constexpr std::string_view kPong = "+PONG\r\n";

// "-<code> <text>\r\n". Line ends in the text become blanks, as in redis, so that nothing can break out of the line.
std::string ErrorReply(std::string_view code, std::string_view text);
// "-ERR <text>\r\n".
std::string ErrorReply(std::string_view text);

// "+<text>\r\n", line ends likewise.
std::string SimpleReply(std::string_view text);
std::string IntegerReply(int64_t value);
std::string BulkReply(std::string_view text);

// The null of a string ("$-1", RESP3 "_") and of an array ("*-1", RESP3 "_"): what EXEC says when a watched key
// changed.
std::string_view NullReply(Protocol protocol);
std::string_view NullArrayReply(Protocol protocol);

// In place of the reply to a write that too few replicas have confirmed. Not -NOREPLICAS: that means "not executed",
// and clients send such a command again.
std::string UnconfirmedReply(int confirmed, int wanted);

// A request as a multibulk: AppendRequest(&out, {"AUTH", user, password}).
void AppendRequest(std::string* out, std::span<const std::string_view> arguments);
void AppendRequest(std::string* out, std::initializer_list<std::string_view> arguments);
std::string MakeRequest(std::initializer_list<std::string_view> arguments);

}  // namespace hive::resp
