// One connection to a redis-server: commands out, replies in, each with a deadline. The parsing is hiredis's; the
// socket is ours, since hiredis's own cannot be waited for together with anything else.
//
// Thread rule: one thread. Blocks, but never beyond the window given, and not once `interrupt` is readable.
#pragma once

#include <hiredis/hiredis.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/app/tls_source.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "common/net/fd.h"
#include "common/net/stream.h"
#include "coordinator/adapters/tcp_dial.h"

namespace hive::coordinator {

// Who we are to redis. An empty password: nobody; an empty user: the default one.
struct RedisCredentials {
  std::string user;
  std::string password;
};

struct RedisReply {
  enum class Kind : uint8_t { kText, kError, kInteger, kArray, kNil } kind = Kind::kNil;
  std::string text;  // kText, kError ("NOAUTH Authentication required."), which never tells what we sent
  int64_t integer = 0;
  std::vector<RedisReply> elements;

  bool is_error() const { return kind == Kind::kError; }
  // The first word of an error: "LOADING", "BUSY", "NOAUTH", "ERR".
  bool IsError(std::string_view code) const { return is_error() && text.starts_with(code); }
};

class RedisConnection {
 public:
  // Why a command has no reply.
  enum class Failure : uint8_t { kClosed, kTimeout, kInterrupted };

  // `interrupt`: a descriptor that, once readable, ends every wait; or -1. Not owned.
  // `tls`: null: plaintext. Outlives the connection.
  explicit RedisConnection(int interrupt, const TlsSource* tls = nullptr) : interrupt_(interrupt), tls_(tls) {}
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // Connects anew. With TLS, its handshake is part of the first command.
  TcpOutcome Connect(const Endpoint& to, Duration window);
  void Close();
  bool open() const { return stream_.valid(); }
  const Fd& socket() const { return stream_.fd(); }

  // Sends one command and waits for its reply. Nothing on failure(): the connection is closed then, since a late reply
  // would be taken for another command's.
  std::optional<RedisReply> Execute(const std::vector<std::string>& command, Duration window);
  // Several at once, in one write: a reply to each, in order, or nothing.
  std::optional<std::vector<RedisReply>> ExecuteAll(const std::vector<std::vector<std::string>>& commands,
                                                    Duration window);
  bool has_answered() const { return has_answered_; }  // since Connect
  Failure failure() const { return failure_; }         // of the last Execute without a reply
  // Why TLS has failed, if that was the reason of kClosed, or what kTimeout was waiting for; else empty.
  const std::string& tls_failure() const { return tls_failure_; }

  // True when the other side has closed, or has sent something that nobody asked for. Does not wait.
  bool Broken();

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };

  bool WaitFor(short events, Instant deadline);  // NOLINT(google-runtime-int): poll's type
  bool ShakeHands(Instant deadline);
  bool Write(const std::string& bytes, Instant deadline);
  bool ReadSome(Instant deadline);
  std::nullopt_t Fail(Failure failure);

  const int interrupt_;
  const TlsSource* const tls_;
  Stream stream_;
  bool ready_ = false;  // for commands
  bool has_answered_ = false;
  std::string tls_failure_;
  std::unique_ptr<redisReader, FreeReader> reader_;
  Failure failure_ = Failure::kClosed;
};

// AUTH, if there is a password. Nothing on success, else one clause that says what redis has against us.
// `needless`: redis has no password; that is no error.
struct AuthOutcome {
  std::optional<std::string> error;
  bool no_answer = false;  // see connection.failure()
  bool needless = false;
};
AuthOutcome Authenticate(RedisConnection& connection, const RedisCredentials& credentials, Duration window);

// "NOAUTH ...", "WRONGPASS ...": the password is at fault.
bool BlamesPassword(const RedisReply& reply);

}  // namespace hive::coordinator
