// A redis client as plain as can be: sends bytes, reads replies, notices the end. Blocking, with a deadline.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/net/stream.h"
#include "common/net/tls_context.h"
#include "proxy/resp/reply_scanner.h"

namespace hive::proxy {

class RespClient {
 public:
  static constexpr int kDeadlineSeconds = 15;

  // From now on every client of that server speaks TLS; null: no more. Before threads are started.
  static void SpeakTlsTo(const Endpoint& server, std::shared_ptr<const TlsContext> tls);

  // Tries to connect, `attempts` times, 10 ms apart.
  explicit RespClient(const Endpoint& server, int attempts = 500);

  // False also when the handshake has failed.
  bool connected() const { return stream_.valid(); }
  void Send(std::string_view bytes);
  // Sends a command and returns its reply.
  std::string Command(std::initializer_list<std::string_view> arguments);
  void SendCommand(std::initializer_list<std::string_view> arguments);

  // The next reply as it came; "<closed>" at the end of the connection, "<nothing>" after the deadline.
  std::string Reply(int deadline_ms = kDeadlineSeconds * 1000);
  // True when nothing comes for `ms`.
  bool Quiet(int ms);
  // Reads and drops what comes until the connection ends; true if it does within the deadline.
  bool Closes(int deadline_ms = kDeadlineSeconds * 1000);
  // Whether the server's end is there to be seen, as a pool looks before it uses a connection.
  bool SeesEnd();
  void HalfClose();
  void Close() { stream_.Close(); }

 private:
  bool ShakeHands();
  enum class Event { kBytes, kNothing, kEnd };
  // Appends to received_ what comes next; kNothing: nothing does before the deadline.
  Event Receive(int64_t deadline_ms);

  Stream stream_;
  std::string received_;
  resp::ReplyScanner scanner_;
};

}  // namespace hive::proxy
