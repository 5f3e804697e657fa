#include "coordinator/adapters/remote_redis.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>
#include <utility>
#include <vector>

#include "common/app/log.h"
#include "common/net/clock.h"
#include "common/net/inbox.h"
#include "coordinator/adapters/redis_orders.h"

namespace hive::coordinator {
namespace {

using election::CommandRemote;
using election::RemoteDone;
using Outcome = RemoteDone::Outcome;

}  // namespace

// One redis, its connection and its thread.
class RemoteRedis::Visitor {
 public:
  Visitor(Endpoint redis, const std::function<RedisCredentials()>& credentials, int interrupt, const TlsSource* tls,
          EventInbox& inbox)
      : redis_(std::move(redis)),
        credentials_(credentials),
        inbox_(inbox),
        connection_(interrupt, tls),
        orders_(kMaxWaiting),
        thread_([this] { Run(); }) {}
  ~Visitor() {
    orders_.Close();
    thread_.join();
  }

  // False when too many wait.
  bool Push(const CommandRemote& command) {
    ++waiting_;
    if (orders_.Push({command, ReadMonotonicClock() + command.timeout})) return true;
    --waiting_;
    return false;
  }
  // Has nothing to do, so that its thread ends at once.
  bool idle() const { return waiting_ == 0; }

 private:
  struct Order {
    CommandRemote command;
    Instant deadline;
  };

  void Run() {
    std::vector<Order> batch;
    while (orders_.WaitUntil(ReadMonotonicClock() + kKeep, batch)) {
      if (batch.empty()) connection_.Close();
      for (const Order& order : batch) {
        RemoteDone done{order.command.id, Outcome::kUnreachable, "", {}};
        done.outcome = Carry(order, done);
        Tell(order.command, done);
        --waiting_;
      }
    }
  }

  void Tell(const CommandRemote& command, const RemoteDone& done) {
    if (!done.error.empty()) {
      LogInfo("redis", "the redis of another member was given a command",
              {{"redis", ToString(redis_)}, {"command", ToString(command.command)}, {"answer", done.error}});
    }
    inbox_.Post(done);
  }

  Outcome Carry(const Order& order, RemoteDone& done) {
    if (ReadMonotonicClock() >= order.deadline) {
      done.error = "there was no time left for it";
      return Outcome::kUnreachable;
    }
    if (connection_.open() && connection_.Broken()) connection_.Close();
    const bool connected = connection_.open();
    if (!connected) {
      if (const auto failed = Connect(order, done)) return *failed;
    }
    if (!connected || ReadMonotonicClock() - answered_ > kFresh) {
      if (const auto failed = Look(order, done)) return *failed;
    }
    if (!order.command.run_id.empty() && order.command.run_id != status_.run_id) {
      done.error = status_.run_id.empty() ? "it cannot say which run it is" : "it was restarted meanwhile";
      return Outcome::kAnotherRun;
    }
    return Obey(order, done);
  }

  std::optional<Outcome> Connect(const Order& order, RemoteDone& done) {
    status_ = {};
    const TcpOutcome connected = connection_.Connect(redis_, Left(order));
    if (connected != TcpOutcome::kConnected) {
      done.error = connected == TcpOutcome::kRefused       ? "connection refused"
                   : connected == TcpOutcome::kUnreachable ? "it cannot be reached"
                                                           : "no answer";
      return Outcome::kUnreachable;
    }
    const AuthOutcome auth = Authenticate(connection_, credentials_(), Left(order));
    if (auth.no_answer) {
      done.error = "no answer to AUTH";
      return Outcome::kUnreachable;
    }
    if (auth.error) {
      connection_.Close();
      done.error = "AUTH: " + *auth.error;
      return Outcome::kRefused;
    }
    return std::nullopt;
  }

  // Is it awake, and who is it?
  std::optional<Outcome> Look(const Order& order, RemoteDone& done) {
    const auto info = connection_.Execute(InfoCommand(status_.version), Left(order));
    if (!info) {
      done.error = "no answer";
      return Outcome::kUnreachable;
    }
    answered_ = ReadMonotonicClock();
    if (TakeInfo(*info, status_)) return std::nullopt;
    connection_.Close();
    done.error = info->is_error() ? "INFO: " + info->text : "its INFO makes no sense";
    return Outcome::kRefused;
  }

  Outcome Obey(const Order& order, RemoteDone& done) {
    const Carried carried = CarryOut(connection_, order.command.command, status_, Left(order));
    if (!carried.answered) {
      done.error = ToString(order.command.command) + ": no answer";
      return order.command.command.kind == replication::RedisCommand::Kind::kRead ? Outcome::kUnreachable
                                                                                  : Outcome::kUnknown;
    }
    answered_ = ReadMonotonicClock();
    if (carried.refusal) {
      done.error = *carried.refusal;
      return Outcome::kRefused;
    }
    if (!TakeInfo(carried.info, status_)) {
      connection_.Close();
      done.error = "its INFO makes no sense";
      return Outcome::kUnknown;
    }
    done.error = carried.complaint;
    done.status = status_;
    return Outcome::kDone;
  }

  static Duration Left(const Order& order) { return order.deadline - ReadMonotonicClock(); }

  const Endpoint redis_;
  const std::function<RedisCredentials()>& credentials_;
  EventInbox& inbox_;
  std::atomic<int> waiting_ = 0;

  // The thread's own.
  RedisConnection connection_;
  replication::RedisStatus status_;  // what it last said on this connection
  Instant answered_;                 // when it last answered on this connection

  Inbox<Order> orders_;
  std::thread thread_;  // the last member
};

RemoteRedis::RemoteRedis(std::function<RedisCredentials()> credentials, EventInbox& inbox, const TlsSource* tls)
    : credentials_(std::move(credentials)),
      tls_(tls),
      inbox_(inbox),
      interrupt_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

RemoteRedis::~RemoteRedis() {
  const uint64_t one = 1;
  (void)!::write(interrupt_.get(), &one, sizeof one);
  visitors_.clear();
}

RemoteRedis::Visitor* RemoteRedis::VisitorOf(const Endpoint& redis) {
  const auto found = visitors_.find(redis);
  if (found != visitors_.end()) return found->second.get();
  if (visitors_.size() >= kMaxRedises) {
    std::erase_if(visitors_, [](const auto& entry) { return entry.second->idle(); });
  }
  if (visitors_.size() >= kMaxRedises) return nullptr;
  return visitors_.emplace(redis, std::make_unique<Visitor>(redis, credentials_, interrupt_.get(), tls_, inbox_))
      .first->second.get();
}

void RemoteRedis::Command(const CommandRemote& command) {
  Visitor* visitor = VisitorOf(command.redis);
  if (visitor != nullptr && visitor->Push(command)) return;
  inbox_.Post(RemoteDone{command.id, Outcome::kUnreachable, "too many commands wait", {}});
}

}  // namespace hive::coordinator
