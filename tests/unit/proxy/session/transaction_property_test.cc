// Goal: whatever happens to its links, and whenever, a transaction is executed as a whole or not at all, never twice,
// and its client is told the truth: a result means that it was executed once; no change of leader makes EXEC fail.
// Method: sessions between a client that checks every reply and a model of redis's MULTI, over links that end, are
// demoted and deliver in pieces at random; seeded, so that a failure repeats.
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "tests/unit/proxy/session/harness.h"

namespace hive::proxy {
namespace {

// One connection to a redis that leads until told otherwise. Understands MULTI, EXEC, DISCARD and ADD <transaction>.
class Server {
 public:
  explicit Server(std::map<int, std::vector<int>>& executed) : executed_(executed) {}

  void Demote() { leads_ = false; }

  // Takes bytes, and appends to replies().
  void Take(std::string_view bytes) {
    input_ += bytes;
    resp::RequestScanner scanner;
    while (!input_.empty() && scanner.Scan(input_) == resp::RequestStatus::kCommand) {
      const resp::Request request = scanner.request(input_);
      const std::string argument = request.argument_count() > 1 ? std::string(request.argument(1)) : "";
      Run(std::string(request.argument(0)), argument);
      input_.erase(0, scanner.size());
    }
  }

  std::string& replies() { return replies_; }

 private:
  void Run(const std::string& command, const std::string& argument) {
    if (command == "MULTI") {
      multi_ = true;
      dirty_ = false;
      queued_.clear();
      replies_ += "+OK\r\n";
    } else if (command == "DISCARD") {
      multi_ = false;
      replies_ += "+OK\r\n";
    } else if (command == "EXEC") {
      Exec();
    } else if (!leads_) {
      dirty_ = true;
      replies_ += "-READONLY no\r\n";
    } else if (multi_) {
      queued_.push_back(std::stoi(argument));
      replies_ += "+QUEUED\r\n";
    } else {
      executed_[std::stoi(argument)].push_back(1);
      replies_ += ":1\r\n";
    }
  }

  void Exec() {
    ASSERT_TRUE(multi_);
    multi_ = false;
    if (dirty_) {
      replies_ += "-EXECABORT Transaction discarded because of previous errors.\r\n";
    } else if (!leads_ && !queued_.empty()) {
      replies_ += "-EXECABORT Transaction discarded because of: READONLY no\r\n";
    } else {
      replies_ += "*" + std::to_string(queued_.size()) + "\r\n";
      for (size_t i = 0; i < queued_.size(); ++i) replies_ += ":" + std::to_string(queued_.size()) + "\r\n";
      if (!queued_.empty()) executed_[queued_.front()].push_back(static_cast<int>(queued_.size()));
    }
  }

  std::map<int, std::vector<int>>& executed_;  // how many commands were executed at once, per time, by transaction
  std::string input_, replies_;
  std::vector<int> queued_;
  bool leads_ = true, multi_ = false, dirty_ = false;
};

struct Expected {
  int transaction = 0;
  std::string reply;
  bool is_result = false;
};

class History {
 public:
  explicit History(unsigned seed) : random_(seed) {}

  // False: the client was closed, which ends the run.
  bool Step() {
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2:
      case 3:
        Type();
        break;
      case 4:
      case 5:
      case 6:
        Send();
        break;
      case 7:
      case 8:
      case 9:
        return Deliver();
      case 10:
        if (server_) server_->Demote();
        break;
      default:
        return random_() % 3 != 0 || End(random_() % 2 == 0 ? LinkEnd::kCut : LinkEnd::kCrashed);
    }
    return true;
  }

  // Everything that was asked is answered, by a leader that stays.
  bool Finish() {
    if (open_) Type("EXEC");
    for (int i = 0; i < 1000 && (h_.session.has_in_flight() || h_.session.has_unsent()); ++i) {
      Send();
      if (!Deliver()) return false;
    }
    EXPECT_TRUE(expected_.empty()) << expected_.front().reply;
    return true;
  }

  void Check() {
    for (const auto& [transaction, sizes] : executed_) {
      EXPECT_EQ(sizes.size(), 1u) << "twice: " << transaction;
      EXPECT_EQ(sizes.front(), sizes_[transaction]) << "in part: " << transaction;
      EXPECT_TRUE(ended_[transaction]) << "discarded: " << transaction;
    }
    for (const int transaction : confirmed_) EXPECT_EQ(executed_[transaction].size(), 1u) << transaction;
  }

 private:
  // The client says the next word of its transaction.
  void Type() {
    if (!open_) return Type("MULTI");
    const unsigned what = random_() % 6;
    Type(what == 0 && sizes_[transaction_] > 0 ? "EXEC" : what == 1 && random_() % 3 == 0 ? "DISCARD" : "ADD");
  }
  void Type(const std::string& word) {
    std::string line = word;
    if (word == "MULTI") {
      ++transaction_;
      expected_.push_back({transaction_, "+OK\r\n"});
    } else if (word == "ADD") {
      line += " " + std::to_string(transaction_);
      ++sizes_[transaction_];
      expected_.push_back({transaction_, "+QUEUED\r\n"});
    } else if (word == "DISCARD") {
      expected_.push_back({transaction_, "+OK\r\n"});
    } else {
      const int size = sizes_[transaction_];
      std::string result = "*" + std::to_string(size) + "\r\n";
      for (int i = 0; i < size; ++i) result += ":" + std::to_string(size) + "\r\n";
      expected_.push_back({transaction_, result, true});
      ended_[transaction_] = true;
    }
    open_ = word == "MULTI" || word == "ADD";
    h_.Client(line + "\r\n");
    See();
  }

  // Some of what may be sent goes out.
  void Send() {
    if (!server_) {
      if (h_.session.NextRoute() == Route::kNone) return;
      server_.emplace(executed_);
      h_.Link();
    }
    const Gates gates = random_() % 4 == 0 ? Harness::kHold : Harness::kOpen;
    const std::string_view bytes = h_.session.ToSend(gates);
    if (bytes.empty()) return;
    const size_t some = random_() % 3 == 0 ? 1 + random_() % bytes.size() : bytes.size();
    server_->Take(bytes.substr(0, some));
    h_.session.Sent(some, h_.now);
  }

  // One of the replies arrives.
  bool Deliver() {
    if (!server_ || server_->replies().empty()) return true;
    resp::ReplyScanner scanner;
    EXPECT_EQ(scanner.Scan(server_->replies()), resp::ReplyStatus::kReply);
    const std::string reply = server_->replies().substr(0, scanner.size());
    server_->replies().erase(0, scanner.size());
    if (h_.Server(reply)) {
      See();
      return true;
    }
    if (h_.last.action == ReplyAction::kDropLink) return End(LinkEnd::kDemoted);
    // An empty transaction was executed behind one that was refused.
    EXPECT_EQ(reply, "*0\r\n") << "closed by a reply";
    return false;
  }

  bool End(LinkEnd end) {
    if (!server_) return true;
    server_.reset();
    const bool lives = h_.End(end);
    See();
    return lives;
  }

  // The client reads, and compares.
  void See() {
    std::string seen = h_.Out();
    while (!seen.empty() && !expected_.empty()) {
      const Expected& next = expected_.front();
      if (!seen.starts_with(next.reply)) break;
      if (next.is_result && sizes_[next.transaction] > 0) confirmed_.push_back(next.transaction);
      seen.erase(0, next.reply.size());
      expected_.pop_front();
    }
    EXPECT_EQ(seen, "") << "instead of " << (expected_.empty() ? "nothing" : expected_.front().reply);
  }

  std::mt19937 random_;
  Harness h_;
  std::map<int, std::vector<int>> executed_;
  std::optional<Server> server_{std::in_place, executed_};
  std::deque<Expected> expected_;
  std::map<int, int> sizes_;
  std::map<int, bool> ended_;
  std::vector<int> confirmed_;
  int transaction_ = 0;
  bool open_ = false;
};

TEST(TransactionProperty, ExecutedWholeOnceOrNotAtAll) {
  int closed = 0, finished = 0;
  for (unsigned seed = 0; seed < 4000 && !::testing::Test::HasFailure(); ++seed) {
    History history(seed);
    bool lives = true;
    for (int i = 0; i < 150 && lives; ++i) lives = history.Step();
    if (lives) lives = history.Finish();
    (lives ? finished : closed) += 1;
    history.Check();
    if (::testing::Test::HasFailure()) ADD_FAILURE() << "seed " << seed;
  }
  EXPECT_GT(closed, 100);  // EXEC was in flight
  EXPECT_GT(finished, 100);
}

}  // namespace
}  // namespace hive::proxy
