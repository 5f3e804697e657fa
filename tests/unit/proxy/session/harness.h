// A session with everything around it played by the test: the client's bytes, the server's replies, the gates, the
// clock. Reads like a transcript.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "proxy/resp/command_facts.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/resp/request_scanner.h"
#include "proxy/session/session.h"

namespace hive::proxy {

class Harness {
 public:
  static constexpr Gates kOpen{.leader = true, .writes = true, .reads = true};
  static constexpr Gates kNoWrites{.leader = true, .writes = false, .reads = true};
  static constexpr Gates kHold{.leader = true, .writes = false, .reads = false};
  static constexpr Gates kClosed{};

  explicit Harness(SeenScripts* scripts = nullptr) : session(scripts) { Link(); }

  void Pass(Duration time) { now += time; }

  // The client sends inline commands, each ending in \r\n.
  void Client(std::string_view lines, bool memory_left = true) {
    resp::RequestScanner scanner;
    while (!lines.empty()) {
      ASSERT_EQ(scanner.Scan(lines), resp::RequestStatus::kCommand);
      const resp::Request request = scanner.request(lines);
      session.Add(request, commands->Classify(request), memory_left, now);
      lines.remove_prefix(scanner.size());
    }
    Collect();
  }

  bool MaySendAtOnce(std::string_view line, Gates gates) {
    resp::RequestScanner scanner;
    EXPECT_EQ(scanner.Scan(line), resp::RequestStatus::kCommand);
    return session.MaySendAtOnce(commands->Classify(scanner.request(line)), gates);
  }

  // A link comes up, and everything that may be sent goes out.
  void Link() { session.LinkOpened(); }
  std::string Sent(Gates gates = kOpen) {
    std::string sent;
    for (std::string_view bytes; !(bytes = session.ToSend(gates)).empty();) {
      sent += bytes;
      session.Sent(bytes.size(), now);
    }
    Collect();
    return sent;
  }

  // The server answers; what the client is given is collected. False: it was told to stop (see `last`).
  bool Server(std::string_view replies, bool may_confirm) {
    return Server(replies, may_confirm ? Confirmation::kGiven : Confirmation::kNoLease);
  }
  bool Server(std::string_view replies, Confirmation confirmation = Confirmation::kGiven) {
    resp::ReplyScanner scanner;
    while (!replies.empty()) {
      EXPECT_EQ(scanner.Scan(replies), resp::ReplyStatus::kReply) << replies;
      const resp::Reply reply = scanner.reply(replies);
      last = session.OnReply({reply.type(), reply.bytes(), reply.error(), true}, confirmation);
      switch (last.action) {
        case ReplyAction::kRelay:
          out += reply.bytes();
          break;
        case ReplyAction::kReplace:
          out += session.replacement();
          break;
        case ReplyAction::kUnconfirmed:
          out += "<unconfirmed>";
          break;
        case ReplyAction::kSwallow:
          break;
        default:
          return false;
      }
      Collect();
      replies.remove_prefix(scanner.size());
    }
    return true;
  }

  // False: the client is closed.
  bool End(LinkEnd end) {
    const bool lives = session.LinkEnded(end, last_answer, now).has_value();
    Collect();
    return lives;
  }

  // What the client was given since the last call.
  std::string Out() {
    Collect();
    return std::exchange(out, {});
  }

  Instant now{Seconds(1000)};
  Instant last_answer{};
  Session session;
  ReplyDecision last;
  std::string out;
  std::shared_ptr<const resp::CommandTable> commands = resp::CommandTable::BuiltIn();

 private:
  void Collect() {
    out += session.local_replies().view();
    session.local_replies().Clear();
  }
};

}  // namespace hive::proxy
