#include "tests/fuzz/session_properties.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "proxy/resp/command_facts.h"
#include "proxy/resp/replies.h"
#include "proxy/resp/reply_scanner.h"
#include "proxy/resp/request_scanner.h"
#include "proxy/session/session.h"

namespace hive::proxy {
namespace {

enum class Kind : uint8_t {
  kRead,
  kWrite,
  kPop,
  kSelect,
  kHello,
  kMulti,
  kExec,
  kDiscard,
  kWatch,
  kUnwatch,
  kSubscribe,
  kUnsubscribe,
  kSetName,
  kWait,
  kReset,
  kRefused,
  kUnknown,
  kQuit,
};
constexpr int kKinds = static_cast<int>(Kind::kQuit) + 1;

// A command of the client's, in order. Its number is in its key, and in the reply to it.
struct Said {
  Kind kind;
  int parameter = 0;
};

// What became of a numbered command on servers.
struct Fate {
  bool may_have_run = false;  // it was sent, and no refusal has been heard since
  int database = -1;          // where it ran last
};

constexpr std::string_view kReadOnly = "-READONLY You can't write against a read only replica.\r\n";

class Driver {
 public:
  explicit Driver(std::string_view input) : input_(input) {}

  void Run() {
    while (!input_.empty() && !closed_ && said_.size() < 300) Event();
    Quiet();
  }

 private:
  // A connection as the server sees it.
  struct Connection {
    bool lane = false;
    int database = 0;
    int protocol = 2;
    int subscriptions = 0;
    bool multi = false;
    bool aborted = false;
    bool demoted = false;  // its server is a replica by now
    std::vector<int> queued;
    std::vector<int> queued_writes;
    std::string in;
    struct Answer {
      std::string bytes;
      std::vector<int> refused;  // the writes that it says were not executed
      bool of_write = false;
    };
    std::deque<Answer> out;
  };

  [[noreturn]] void Fail(const std::string& why) {
    std::fprintf(stderr, "session: %s\n", why.c_str());
    std::abort();
  }

  uint8_t Next() {
    if (input_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(input_.front());
    input_.remove_prefix(1);
    return byte;
  }

  void Event() {
    const uint8_t event = Next();
    switch (event % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
        Say(static_cast<Kind>(event / 16 % 16 == 15 ? Next() % kKinds : event / 16 % 8), true);
        break;
      case 4:
      case 5:
        Flush(static_cast<size_t>(-1));
        break;
      case 6:
        if (connection_ && !connection_->lane) Flush(1 + Next() % 64);
        break;
      case 7:
      case 8:
        Deliver(1 + event / 16, Confirmation::kGiven);
        break;
      case 9: {
        static constexpr Confirmation kAll[] = {Confirmation::kNoLease, Confirmation::kAwaited, Confirmation::kTooFew,
                                                Confirmation::kNeither};
        Deliver(1 + event / 16 / 4, kAll[event / 16 % 4]);
        break;
      }
      case 10:
        DeliverInParts(Next(), event / 16 % 2 == 1);
        break;
      case 11: {
        static constexpr Gates kAll[] = {{true, true, true}, {true, false, true}, {true, false, false}, {}};
        gates_ = kAll[event / 16 % 4];
        break;
      }
      case 12:
        if (connection_) {
          static constexpr LinkEnd kAll[] = {LinkEnd::kCrashed, LinkEnd::kCut};
          End(kAll[event / 16 % 2], event / 32 % 2 == 0);
        }
        break;
      case 13:
        ChooseConnection(event / 16 % 2 == 1);
        break;
      case 14:
        now_ += Millis(event / 16 * 400);
        if (session_.ExpireHeld(Seconds(3), now_) && connection_) End(LinkEnd::kDemoted, true);
        Collect();
        break;
      case 15:
        if (event / 16 % 2 == 0) {
          if (connection_) connection_->demoted = true;
        } else {
          Say(static_cast<Kind>(event / 16 % 2), false);
        }
        break;
    }
  }

  // The server does all that is left, until nothing more happens.
  void Quiet() {
    gates_ = {true, true, true};
    for (int i = 0; i < 1000 && !closed_ && !session_.idle(); ++i) {
      ChooseConnection(false);
      Flush(static_cast<size_t>(-1));
      Deliver(1000, Confirmation::kGiven);
      gates_ = {true, true, true};
    }
    if (closed_) return;
    if (!session_.idle()) {
      Fail("something is under way for ever: " + std::to_string(said_.size()) + " commands, " + std::to_string(heard_) +
           " replies, in flight " + std::to_string(session_.in_flight()));
    }
    if (heard_ != said_.size()) {
      Fail(std::to_string(said_.size()) + " commands, " + std::to_string(heard_) + " replies");
    }
  }

  // --- the client ---

  void Say(Kind kind, bool memory_left) {
    if (session_.last_command_taken() || session_.body_begun()) return;
    // Behind these within MULTI replies cannot be told apart, or another rule holds: transaction_property_test.
    const bool changes = kind == Kind::kSelect || kind == Kind::kHello || kind == Kind::kSubscribe ||
                         kind == Kind::kUnsubscribe || kind == Kind::kSetName || kind == Kind::kRefused ||
                         kind == Kind::kUnknown;
    if (multi_said_ && changes) kind = Kind::kWrite;
    const auto number = static_cast<int>(said_.size());
    const std::string key = "#" + std::to_string(number) + "#";
    Said said{kind, 0};
    std::string bytes;
    switch (kind) {
      case Kind::kRead:
        bytes = resp::MakeRequest({"GET", key});
        break;
      case Kind::kWrite:
        bytes = resp::MakeRequest({"INCR", key});
        break;
      case Kind::kPop:
        bytes = resp::MakeRequest({"BLPOP", key, "5"});
        break;
      case Kind::kSelect:
        said.parameter = Next() % 4;
        bytes = resp::MakeRequest({"SELECT", std::to_string(said.parameter)});
        break;
      case Kind::kHello:
        said.parameter = 2 + Next() % 2;
        bytes = resp::MakeRequest({"HELLO", std::to_string(said.parameter)});
        break;
      case Kind::kMulti:
        bytes = resp::MakeRequest({"MULTI"});
        multi_said_ = true;
        break;
      case Kind::kExec:
        bytes = resp::MakeRequest({"EXEC"});
        multi_said_ = false;
        break;
      case Kind::kDiscard:
        bytes = resp::MakeRequest({"DISCARD"});
        multi_said_ = false;
        break;
      case Kind::kWatch:
        bytes = resp::MakeRequest({"WATCH", "k"});
        break;
      case Kind::kUnwatch:
        bytes = resp::MakeRequest({"UNWATCH"});
        break;
      case Kind::kSubscribe:
        bytes = resp::MakeRequest({"SUBSCRIBE", "channel"});
        break;
      case Kind::kUnsubscribe:
        bytes = resp::MakeRequest({"UNSUBSCRIBE", "channel"});
        break;
      case Kind::kSetName:
        bytes = resp::MakeRequest({"CLIENT", "SETNAME", "name"});
        break;
      case Kind::kWait:
        bytes = resp::MakeRequest({"WAIT", "1", "10"});
        break;
      case Kind::kReset:
        bytes = resp::MakeRequest({"RESET"});
        multi_said_ = false;
        break;
      case Kind::kRefused:
        bytes = resp::MakeRequest({"REPLICAOF", "a", "1"});
        break;
      case Kind::kUnknown:
        bytes = resp::MakeRequest({"NOSUCH", key});
        break;
      case Kind::kQuit:
        bytes = resp::MakeRequest({"QUIT"});
        break;
    }
    said_.push_back(said);
    fates_.emplace_back();
    resp::RequestScanner scanner;
    if (scanner.Scan(bytes) != resp::RequestStatus::kCommand) Fail("not a command: " + bytes);
    const resp::Request request = scanner.request(bytes);
    session_.Add(request, commands_->Classify(request), memory_left, now_);
    Collect();
  }

  // What the session says in the server's place, and whether it ends the client.
  void Collect() {
    Hear(session_.local_replies().view());
    session_.local_replies().Clear();
    if (session_.broken() || session_.finished()) closed_ = true;
    if (session_.finished() && heard_ > 0 && said_[heard_ - 1].kind != Kind::kQuit) Fail("ended without QUIT");
  }

  void Hear(std::string_view bytes) {
    unheard_ += bytes;
    resp::ReplyScanner scanner;
    while (scanner.Scan(unheard_) == resp::ReplyStatus::kReply) {
      HearReply(std::string_view(unheard_).substr(0, scanner.size()));
      unheard_.erase(0, scanner.size());
    }
  }

  void HearReply(std::string_view reply) {
    if (heard_ == said_.size()) Fail("a reply to nothing: " + std::string(reply));
    const auto number = static_cast<int>(heard_);
    const Said& said = said_[heard_++];
    const bool error = reply.front() == '-';
    const bool queued = reply == "+QUEUED\r\n";
    const std::string key = "#" + std::to_string(number) + "#";
    const auto expect = [&](bool right) {
      if (!right) {
        Fail("the reply to command " + std::to_string(number) + " of kind " +
             std::to_string(static_cast<int>(said.kind)) + ": " + std::string(reply));
      }
    };
    if (queued) {
      expect(said.kind != Kind::kExec && said.kind != Kind::kMulti && said.kind != Kind::kDiscard);
      queued_heard_.push_back(number);
      return;
    }
    switch (said.kind) {
      case Kind::kRead:
      case Kind::kWrite:
      case Kind::kPop:
        expect(error || reply.find(key) != std::string_view::npos);
        if (!error && fates_[heard_ - 1].database != database_heard_) {
          Fail("command " + std::to_string(number) + " ran in database " + std::to_string(fates_[heard_ - 1].database) +
               ", the client had chosen " + std::to_string(database_heard_));
        }
        break;
      case Kind::kSelect:
        expect(error || reply == "+OK\r\n");
        if (!error) database_heard_ = said.parameter;
        break;
      case Kind::kHello:
        expect(error || reply.front() == (said.parameter == 3 ? '%' : '*'));
        break;
      case Kind::kExec:
        expect(error || reply.front() == '*' || reply.front() == '_');
        if (reply.front() == '*' && reply != "*-1\r\n") {
          size_t at = 0;
          for (const int each : queued_heard_) {
            const Kind kind = said_[static_cast<size_t>(each)].kind;
            if (kind != Kind::kRead && kind != Kind::kWrite && kind != Kind::kPop) continue;
            at = reply.find("#" + std::to_string(each) + "#", at);
            expect(at != std::string_view::npos);
          }
        }
        queued_heard_.clear();
        break;
      case Kind::kMulti:
        expect(error || reply == "+OK\r\n");
        break;
      case Kind::kDiscard:
        expect(error || reply == "+OK\r\n");
        queued_heard_.clear();
        break;
      case Kind::kWatch:
      case Kind::kUnwatch:
      case Kind::kSetName:
      case Kind::kQuit:
        expect(error || reply == "+OK\r\n");
        break;
      case Kind::kSubscribe:
      case Kind::kUnsubscribe:
        expect(error || reply.find("channel") != std::string_view::npos);
        break;
      case Kind::kWait:
        expect(error || reply == ":0\r\n");
        break;
      case Kind::kReset:
        expect(error || reply == "+RESET\r\n");
        if (!error) database_heard_ = 0;
        queued_heard_.clear();
        break;
      case Kind::kRefused:
      case Kind::kUnknown:
        expect(error);
        break;
    }
  }

  // --- connections, as proxy/worker/client_route.cc has them ---

  void ChooseConnection(bool own) {
    if (closed_) return;
    if (connection_ && session_.MayMove() && connection_->out.empty()) {
      const Route route = session_.NextRoute();
      if (connection_->lane ? route == Route::kOwn || own : route != Route::kOwn) {
        connection_.reset();
        session_.Left();
      }
    }
    if (connection_) return;
    const Route route = session_.NextRoute();
    if (route == Route::kNone || !gates_.leader) return;
    connection_ = std::make_unique<Connection>();
    connection_->lane = route == Route::kShared && !own;
    if (connection_->lane) {
      // A lane is what it must be by its own doing.
      connection_->protocol = session_.settings().protocol() == resp::Protocol::kResp3 ? 3 : 2;
      connection_->database = database_of_settings();
      session_.LaneJoined();
    } else {
      session_.LinkOpened();
    }
  }

  // What a lane for these settings selects.
  int database_of_settings() {
    const std::string requests = session_.settings().MakeLaneReplay().requests;
    const size_t at = requests.find("SELECT\r\n");
    return at == std::string::npos ? 0 : requests[requests.find("\r\n", at + 8) + 2] - '0';
  }

  void End(LinkEnd end, bool held_oldest) {
    const bool lane = connection_->lane;
    const bool in_reply = half_heard_;
    connection_.reset();
    if (!session_.LinkEnded(end, now_, now_, !lane || held_oldest)) {
      Collect();
      closed_ = true;
      return;
    }
    if (in_reply) Fail("the client lives behind half a reply");
    Collect();
  }

  void Flush(size_t most) {
    while (connection_ && !closed_) {
      const std::string_view bytes = session_.ToSend(gates_);
      if (bytes.empty()) return;
      const size_t size = std::min(most, bytes.size());
      Receive(bytes.substr(0, size));
      session_.Sent(size, now_);
      Collect();
      if (size < bytes.size()) return;
    }
  }

  // --- the server ---

  void Receive(std::string_view bytes) {
    bool begun_before = !connection_->in.empty();
    connection_->in += bytes;
    resp::RequestScanner scanner;
    while (!connection_->in.empty() && scanner.Scan(connection_->in) == resp::RequestStatus::kCommand) {
      const resp::Request request = scanner.request(connection_->in);
      std::vector<std::string> words;
      for (uint32_t i = 0; i < request.argument_count(); ++i) words.emplace_back(request.argument(i));
      connection_->in.erase(0, scanner.size());
      Execute(words, begun_before);
      begun_before = false;
    }
  }

  void Answer(std::string bytes, bool of_write = false, std::vector<int> refused = {}) {
    connection_->out.push_back({std::move(bytes), std::move(refused), of_write});
  }

  // What a numbered command answers.
  std::string Ran(int number) {
    fates_[static_cast<size_t>(number)].database = connection_->database;
    const std::string key = "#" + std::to_string(number) + "#";
    return "$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
  }

  void Execute(const std::vector<std::string>& words, bool begun_before) {
    Connection& c = *connection_;
    const std::string& name = words[0];
    const bool numbered = words.size() > 1 && words[1].starts_with("#");
    const int number = numbered ? std::atoi(words[1].c_str() + 1) : -1;
    const bool writes = name == "INCR" || name == "BLPOP";
    if (!begun_before && !gates_.writes && ((writes && !c.multi) || name == "EXEC"))
      Fail("sent without the right to write");
    if (writes && !c.multi) MustNotHaveRun(number);
    if (name == "EXEC") {
      for (const int each : c.queued_writes) MustNotHaveRun(each);
    }
    if (c.protocol == 2 && c.subscriptions > 0 && !name.ends_with("SUBSCRIBE") && name != "RESET" && name != "QUIT") {
      return Answer("-ERR Can't execute '" + name + "'\r\n", false,
                    numbered && writes ? std::vector{number} : std::vector<int>());
    }
    const bool ends_multi = name == "EXEC" || name == "DISCARD" || name == "RESET";
    if (c.multi && !ends_multi && name != "MULTI" && name != "WATCH") {
      if (writes && c.demoted) {
        c.aborted = true;
        return Answer(std::string(kReadOnly));
      }
      if (numbered) c.queued.push_back(number);
      if (numbered && writes) c.queued_writes.push_back(number);
      return Answer("+QUEUED\r\n");
    }
    if (name == "GET") return Answer(Ran(number));
    if (writes) {
      if (c.demoted) return Answer(std::string(kReadOnly), false, {number});
      return Answer(Ran(number), true);
    }
    if (name == "MULTI") {
      if (c.multi) return Answer("-ERR MULTI calls can not be nested\r\n");
      c.multi = true;
      return Answer("+OK\r\n");
    }
    if (name == "EXEC") return Exec();
    if (name == "DISCARD") {
      if (!c.multi) return Answer("-ERR DISCARD without MULTI\r\n");
      EndMulti();
      return Answer("+OK\r\n");
    }
    if (name == "WATCH") return Answer(c.multi ? "-ERR WATCH inside MULTI is not allowed\r\n" : "+OK\r\n");
    if (name == "SELECT") {
      c.database = std::atoi(words[1].c_str());
      return Answer("+OK\r\n");
    }
    if (name == "HELLO") {
      if (words.size() > 1) c.protocol = std::atoi(words[1].c_str());
      return Answer(c.protocol == 3 ? "%1\r\n+proto\r\n:3\r\n" : "*2\r\n+proto\r\n:2\r\n");
    }
    if (name == "RESET") {
      EndMulti();
      c.database = c.subscriptions = 0;
      c.protocol = 2;
      return Answer("+RESET\r\n");
    }
    if (name == "SUBSCRIBE" || name == "UNSUBSCRIBE") {
      c.subscriptions = name == "SUBSCRIBE" ? 1 : 0;
      const std::string kind = name == "SUBSCRIBE" ? "$9\r\nsubscribe\r\n" : "$11\r\nunsubscribe\r\n";
      return Answer((c.protocol == 3 ? ">3\r\n" : "*3\r\n") + kind +
                    "$7\r\nchannel\r\n:" + std::to_string(c.subscriptions) + "\r\n");
    }
    if (name == "WAIT" || name == "SPUBLISH") return Answer(":0\r\n");
    if (name == "NOSUCH") return Answer("-ERR unknown command\r\n");
    Answer("+OK\r\n");  // CLIENT SETNAME, UNWATCH
  }

  void MustNotHaveRun(int number) {
    Fate& fate = fates_[static_cast<size_t>(number)];
    if (fate.may_have_run) Fail("the write of command " + std::to_string(number) + " is sent again");
    fate.may_have_run = true;
  }

  void Exec() {
    Connection& c = *connection_;
    if (!c.multi) return Answer("-ERR EXEC without MULTI\r\n");
    const std::vector<int> queued = c.queued;
    const std::vector<int> writes = c.queued_writes;
    const bool aborted = c.aborted;
    EndMulti();
    if (aborted) {
      return Answer("-EXECABORT Transaction discarded because of previous errors.\r\n", false, writes);
    }
    if (c.demoted && !writes.empty()) {
      return Answer(
          "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n",
          false, writes);
    }
    std::string reply = "*" + std::to_string(queued.size()) + "\r\n";
    for (const int each : queued) reply += Ran(each);
    Answer(reply, true);  // to the session any transaction is a write
  }

  void EndMulti() {
    connection_->multi = connection_->aborted = false;
    connection_->queued.clear();
    connection_->queued_writes.clear();
  }

  // --- replies ---

  // False: stop here.
  bool Obey(const ReplyDecision& decision, const Connection::Answer& answer, std::string_view bytes) {
    if (decision.leader_refused) gates_ = {};
    switch (decision.action) {
      case ReplyAction::kRelay:
        Hear(bytes);
        return true;
      case ReplyAction::kSwallow:
        return true;
      case ReplyAction::kReplace:
        Hear(session_.replacement());
        return true;
      case ReplyAction::kUnconfirmed:
        if (!answer.of_write) Fail("unconfirmed, and no write: " + answer.bytes);
        Hear("-UNCONFIRMED\r\n");
        return true;
      case ReplyAction::kWithhold:
      case ReplyAction::kNeedMore:
        return false;
      case ReplyAction::kDropLink:
        End(LinkEnd::kDemoted, true);
        return false;
      case ReplyAction::kClose:
        closed_ = true;
        return false;
    }
    return false;
  }

  // The session has seen the answer: the writes that it refuses were not executed.
  void Seen(const Connection::Answer& answer) {
    for (const int number : answer.refused) fates_[static_cast<size_t>(number)].may_have_run = false;
  }

  void Deliver(int count, Confirmation confirmation) {
    for (; count > 0 && connection_ && !connection_->out.empty() && !closed_; --count) {
      const Connection::Answer answer = connection_->out.front();
      resp::ReplyScanner scanner;
      scanner.Scan(answer.bytes);
      const resp::Reply reply = scanner.reply(answer.bytes);
      if (confirmation == Confirmation::kGiven || !answer.of_write) Seen(answer);
      const ReplyDecision decision = session_.OnReply({reply.type(), reply.bytes(), reply.error(), true}, confirmation);
      CheckConfirmed(decision.action, answer, confirmation);
      if (decision.action == ReplyAction::kWithhold || decision.action == ReplyAction::kNeedMore) return;
      connection_->out.pop_front();
      const bool goes_on = Obey(decision, answer, answer.bytes);
      Collect();
      if (!goes_on) return;
    }
  }

  void CheckConfirmed(ReplyAction action, const Connection::Answer& answer, Confirmation confirmation) {
    if (answer.of_write && action == ReplyAction::kRelay && confirmation != Confirmation::kGiven) {
      Fail("a write's reply relayed, unconfirmed");
    }
  }

  // A reply that comes in two parts; or of which the second never comes.
  void DeliverInParts(size_t cut, bool crash) {
    if (!connection_ || connection_->out.empty() || closed_) return;
    const Connection::Answer answer = connection_->out.front();
    cut %= answer.bytes.size();
    const std::string_view part = std::string_view(answer.bytes).substr(0, cut);
    const char type = part.empty() ? '\0' : part.front();
    const ReplyDecision decision = session_.OnReply({type, part, {}, false}, Confirmation::kGiven);
    switch (decision.action) {
      case ReplyAction::kRelay:
      case ReplyAction::kSwallow:
      case ReplyAction::kReplace:
      case ReplyAction::kUnconfirmed:
        break;
      default:
        Obey(decision, answer, {});
        return Collect();
    }
    if (crash) {
      half_heard_ = decision.action == ReplyAction::kRelay;
      return End(LinkEnd::kCrashed, true);
    }
    Seen(answer);
    connection_->out.pop_front();
    Obey(decision, answer, answer.bytes);
    session_.ReplyEnded();
    Collect();
  }

  std::string_view input_;
  static inline const std::shared_ptr<const resp::CommandTable> commands_ = resp::CommandTable::BuiltIn();
  Session session_;
  Gates gates_{true, true, true};
  Instant now_{Seconds(1000)};
  std::unique_ptr<Connection> connection_;
  std::vector<Said> said_;
  std::vector<Fate> fates_;
  size_t heard_ = 0;
  std::string unheard_;
  int database_heard_ = 0;
  std::vector<int> queued_heard_;  // answered +QUEUED since MULTI
  bool multi_said_ = false;
  bool half_heard_ = false;
  bool closed_ = false;
};

}  // namespace

void CheckSession(std::string_view input) { Driver(input).Run(); }

}  // namespace hive::proxy
