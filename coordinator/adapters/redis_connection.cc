#include "coordinator/adapters/redis_connection.h"

#include <poll.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "common/app/redis_password.h"
#include "common/net/clock.h"

namespace hive::coordinator {
namespace {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

RedisReply Copy(const redisReply& from) {
  RedisReply to;
  switch (from.type) {
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_STRING:
      to.kind = RedisReply::Kind::kText;
      to.text.assign(from.str, static_cast<size_t>(from.len));
      break;
    case REDIS_REPLY_ERROR:
      to.kind = RedisReply::Kind::kError;
      to.text = WithoutArguments({from.str, static_cast<size_t>(from.len)});
      break;
    case REDIS_REPLY_INTEGER:
      to.kind = RedisReply::Kind::kInteger;
      to.integer = from.integer;
      break;
    case REDIS_REPLY_ARRAY:
      to.kind = RedisReply::Kind::kArray;
      for (size_t i = 0; i < from.elements; ++i) to.elements.push_back(Copy(*from.element[i]));
      break;
    default:
      break;
  }
  return to;
}

// A command as RESP spells it: an array of bulk strings.
std::string Spell(const std::vector<std::string>& command) {
  std::string bytes = "*" + std::to_string(command.size()) + "\r\n";
  for (const std::string& word : command) bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return bytes;
}

}  // namespace

TcpOutcome RedisConnection::Connect(const Endpoint& to, Duration window) {
  Close();
  tls_failure_.clear();
  has_answered_ = false;
  Fd socket;
  const TcpOutcome outcome = ConnectWithin(to, window, interrupt_, &socket);
  if (outcome != TcpOutcome::kConnected) return outcome;
  reader_.reset(redisReaderCreate());
  ready_ = tls_ == nullptr;
  stream_ = ready_ ? Stream(std::move(socket)) : Stream(std::move(socket), *tls_->Current());
  return outcome;
}

void RedisConnection::Close() {
  stream_.Close();
  reader_.reset();
}

std::nullopt_t RedisConnection::Fail(Failure failure) {
  failure_ = failure;
  if (failure == Failure::kClosed) {
    tls_failure_ = stream_.TlsFailureAtEnd();
  } else if (failure == Failure::kTimeout && !ready_) {
    tls_failure_ = "no answer to a handshake: does it speak TLS on this port?";
  }
  Close();
  return std::nullopt;
}

bool RedisConnection::WaitFor(short events, Instant deadline) {  // NOLINT(google-runtime-int)
  for (;;) {
    const Duration left = deadline - ReadMonotonicClock();
    if (left <= Duration(0)) {
      Fail(Failure::kTimeout);
      return false;
    }
    pollfd polled[2] = {{stream_.fd().get(), events, 0}, {interrupt_, POLLIN, 0}};
    const int ready = ::poll(polled, 2, static_cast<int>(ToMillis(left)) + 1);
    if (ready < 0 && errno != EINTR) {
      Fail(Failure::kClosed);
      return false;
    }
    if (ready <= 0) continue;
    if (polled[1].revents != 0) {
      Fail(Failure::kInterrupted);
      return false;
    }
    return true;
  }
}

bool RedisConnection::ShakeHands(Instant deadline) {
  while (!ready_) {
    switch (stream_.tls()->Handshake()) {
      case TlsStream::Progress::kDone:
        ready_ = true;
        break;
      case TlsStream::Progress::kUnderWay:
        if (!WaitFor(stream_.unsent() > 0 ? POLLIN | POLLOUT : POLLIN, deadline)) return false;
        break;
      case TlsStream::Progress::kFailed:
        Fail(Failure::kClosed);
        return false;
    }
  }
  return true;
}

bool RedisConnection::Write(const std::string& bytes, Instant deadline) {
  std::string_view rest = bytes;
  while (!rest.empty() || stream_.unsent() > 0) {
    const ssize_t n = stream_.Write(rest);
    if (n >= 0) {
      rest.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      if (!WaitFor(POLLOUT, deadline)) return false;
    } else if (errno != EINTR) {
      Fail(Failure::kClosed);
      return false;
    }
  }
  return true;
}

bool RedisConnection::ReadSome(Instant deadline) {
  char buffer[TlsStream::kLeastRead];
  for (;;) {
    if (!WaitFor(POLLIN, deadline)) return false;
    const ssize_t n = stream_.Read(buffer, sizeof buffer);
    if (n > 0 && redisReaderFeed(reader_.get(), buffer, static_cast<size_t>(n)) == REDIS_OK) return true;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    Fail(Failure::kClosed);
    return false;
  }
}

std::optional<RedisReply> RedisConnection::Execute(const std::vector<std::string>& command, Duration window) {
  auto replies = ExecuteAll({command}, window);
  if (!replies) return std::nullopt;
  return std::move(replies->front());
}

std::optional<std::vector<RedisReply>> RedisConnection::ExecuteAll(
    const std::vector<std::vector<std::string>>& commands, Duration window) {
  if (!open()) return Fail(Failure::kClosed);
  const Instant deadline = ReadMonotonicClock() + window;
  std::string bytes;
  for (const auto& command : commands) bytes += Spell(command);
  if (!ShakeHands(deadline) || !Write(bytes, deadline)) return std::nullopt;
  std::vector<RedisReply> replies;
  while (replies.size() < commands.size()) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) return Fail(Failure::kClosed);
    if (raw != nullptr) {
      const std::unique_ptr<redisReply, FreeReply> reply(static_cast<redisReply*>(raw));
      replies.push_back(Copy(*reply));
      has_answered_ = true;
    } else if (!ReadSome(deadline)) {
      return std::nullopt;
    }
  }
  return replies;
}

bool RedisConnection::Broken() {
  if (!open()) return true;
  char buffer[TlsStream::kLeastRead];
  const ssize_t n = stream_.Read(buffer, sizeof buffer);  // with TLS there may be something that is not for us
  return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

bool BlamesPassword(const RedisReply& reply) {
  // Redis 5 says "ERR invalid password".
  return reply.IsError("NOAUTH") || reply.IsError("WRONGPASS") || reply.IsError("ERR invalid password");
}

AuthOutcome Authenticate(RedisConnection& connection, const RedisCredentials& credentials, Duration window) {
  AuthOutcome outcome;
  if (credentials.password.empty()) return outcome;
  std::vector<std::string> command{"AUTH"};
  if (!credentials.user.empty()) command.push_back(credentials.user);
  command.push_back(credentials.password);
  const std::optional<RedisReply> reply = connection.Execute(command, window);
  if (!reply) {
    outcome.no_answer = true;
  } else if (reply->is_error()) {
    // "ERR Client sent AUTH, but no password is set", "ERR AUTH <password> called without any password configured"
    outcome.needless = reply->text.find("no password is set") != std::string::npos ||
                       reply->text.find("without any password configured") != std::string::npos;
    if (!outcome.needless) outcome.error = reply->text;
  }
  return outcome;
}

}  // namespace hive::coordinator
