#include "tests/scripts/script_world.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

namespace hive::scripts {

using namespace election;  // NOLINT: the vocabulary of this file

namespace {

constexpr Duration kDelay = Millis(1);
constexpr Duration kDnsInterval = Seconds(1);
constexpr WallMicros kEpoch = 1'700'000'000'000'000;

Duration ParseSpan(const std::string& text) {
  const int64_t n = std::stoll(text);
  return text.ends_with("ms") ? Millis(n) : Seconds(n);
}

}  // namespace

World::Pod* World::PodAt(const Endpoint& endpoint) {
  for (auto& [name, pod] : pods_) {
    if (pod.coordinator == endpoint || pod.redis_endpoint == endpoint) return &pod;
  }
  return nullptr;
}

bool World::Passes(const std::string& a, const std::string& b) const {
  return !cuts_.contains({a, b}) && !cuts_.contains({b, a});
}

void World::Say(const Pod& pod, const std::string& text) {
  char stamp[32];
  std::snprintf(stamp, sizeof stamp, "%6lld ms  ", static_cast<long long>(ToMillis(now_.time_since_epoch())));
  said_ += stamp + pod.name + "  " + text + "\n";
}

void World::NewRedisRun(Pod& pod) {
  pod.redis = Redis{};
  pod.redis.run_id = "run" + std::to_string(++drawn_);
  pod.redis.id = "id" + std::to_string(++drawn_);
}

void World::Start(Pod& pod) {
  Config config;
  config.hive = "hive";
  pod.incarnation = 0x100 + ++drawn_;
  config.self = {pod.coordinator.ip, pod.incarnation};
  config.coordinator = pod.coordinator;
  config.redis = pod.redis_endpoint;
  config.seed = drawn_;
  pod.core = std::make_unique<Core>(std::move(config));
  pod.next_tick = pod.next_poll = now_;
  Step(pod, Tick{});
}

void World::KillCoordinator(Pod& pod) {
  pod.core.reset();
  pod.incarnation = 0;
  std::erase_if(streams_, [&](const Stream& stream) {
    if (stream.follower == pod.name) Later(stream.leader, StreamClosed{stream.at_leader, Failure::kClosed});
    if (stream.leader == pod.name) Later(stream.follower, StreamClosed{stream.at_follower, Failure::kClosed});
    return stream.follower == pod.name || stream.leader == pod.name;
  });
}

RedisStatus World::StatusOf(const Pod& pod) const {
  RedisStatus status;
  status.run_id = pod.redis.run_id;
  status.loading = pod.redis.loading;
  status.is_master = pod.redis.is_master;
  status.master = pod.redis.is_master ? Endpoint{} : pod.redis.master;
  status.replication_id = pod.redis.id;
  status.second_replication_id = pod.redis.second_id;
  status.offset = pod.redis.offset;
  status.fenced = pod.redis.fenced;
  status.keys = pod.redis.keys;
  status.uptime = now_.time_since_epoch();
  for (const auto& [name, other] : pods_) {
    status.link_up |= !pod.redis.is_master && other.redis_endpoint == pod.redis.master && other.redis.up &&
                      other.redis.is_master && other.redis.id == pod.redis.id;
  }
  return status;
}

// Every replica of a master has what the master has, at once.
void World::SyncReplicas() {
  for (auto& [name, pod] : pods_) {
    if (!pod.redis.up || pod.redis.is_master) continue;
    const Pod* master = PodAt(pod.redis.master);
    if (master == nullptr || !master->redis.up || !master->redis.is_master || !Passes(name, master->name)) continue;
    pod.redis.id = master->redis.id;
    pod.redis.second_id = master->redis.second_id;
    pod.redis.offset = master->redis.offset;
    pod.redis.keys = master->redis.keys;
  }
}

// What a redis does when it is told `command`.
void World::Obey(Pod& pod, const RedisCommand& command) {
  switch (command.kind) {
    case RedisCommand::Kind::kPark:
      pod.redis.is_master = false;
      pod.redis.master = replication::kNobody;
      break;
    case RedisCommand::Kind::kReplicate:
      pod.redis.is_master = false;
      pod.redis.master = command.master;
      break;
    case RedisCommand::Kind::kPromote:
      pod.redis.is_master = true;
      pod.redis.fenced = false;
      pod.redis.second_id = pod.redis.id;
      pod.redis.id = "id" + std::to_string(++drawn_);
      break;
    case RedisCommand::Kind::kRead:
    case RedisCommand::Kind::kServeStale:
    case RedisCommand::Kind::kPause:
    case RedisCommand::Kind::kUnpause:
      break;
    case RedisCommand::Kind::kFence:
    case RedisCommand::Kind::kUnfence:
      pod.redis.fenced = command.kind == RedisCommand::Kind::kFence;
      break;
  }
  SyncReplicas();
}

void World::CommandRedis(Pod& pod, const election::CommandRedis& action) {
  RedisDone done{action.id, pod.redis.up, pod.redis.up ? "" : "connection refused", {}};
  if (pod.redis.up && pod.redis.loading && action.command.kind != RedisCommand::Kind::kRead) {
    done.ok = false;
    done.error = "LOADING Redis is loading the dataset in memory";
  } else if (pod.redis.up) {
    Obey(pod, action.command);
    done.status = StatusOf(pod);
  }
  Later(pod.name, done);
}

void World::Later(const std::string& to, Event event) {
  deliveries_.push({now_ + kDelay, ++order_, to, pods_.at(to).incarnation, std::move(event)});
}

void World::Step(Pod& pod, const Event& event) {
  if (!pod.core) return;
  for (const Action& action : pod.core->Step(now_, kEpoch + now_.time_since_epoch().count() / 1000, event))
    Do(pod, action);
  pod.next_tick = now_ + pod.core->TickInterval();
}

void World::Do(Pod& pod, const Action& action) {
  const bool chatter = std::holds_alternative<PublishLeader>(action) || std::holds_alternative<Remember>(action) ||
                       std::holds_alternative<ResolveNow>(action) || std::holds_alternative<SendReport>(action);
  const auto* send = std::get_if<SendRequest>(&action);
  const auto* reply = std::get_if<SendReply>(&action);
  const auto* beat = std::get_if<SendBeat>(&action);
  const bool greeting = (send != nullptr && std::holds_alternative<GreetRequest>(send->request)) ||
                        (reply != nullptr && (std::holds_alternative<GreetReply>(reply->reply) ||
                                              std::holds_alternative<LeadReply>(reply->reply)));
  const bool routine_beat = beat != nullptr && beat->beat.state == LeaderState::kOpen;
  if (!chatter && !greeting && !routine_beat) Say(pod, ToString(action));

  if (send != nullptr) {
    Pod* to = PodAt(send->to);
    if (to == nullptr || !Passes(pod.name, to->name)) {
      deliveries_.push(
          {now_ + send->timeout, ++order_, pod.name, pod.incarnation, CallFailed{send->id, Failure::kTimeout}});
    } else if (!to->core) {
      Later(pod.name, CallFailed{send->id, Failure::kRefused});
    } else {
      requests_[++last_request_] = {pod.name, send->id};
      Later(to->name, RequestReceived{last_request_, send->request});
    }
  } else if (reply != nullptr) {
    const auto it = requests_.find(reply->id);
    if (it != requests_.end() && Passes(pod.name, it->second.first)) {
      Later(it->second.first, ReplyReceived{it->second.second, reply->reply});
    }
  } else if (const auto* dial = std::get_if<Dial>(&action)) {
    const Pod* to = PodAt(dial->to);
    Dialled dialled{dial->id, Dialled::Outcome::kNoConnect, {}};
    if (to != nullptr && Passes(pod.name, to->name)) {
      dialled.outcome = to->core ? Dialled::Outcome::kAnswered : Dialled::Outcome::kRefused;
      if (to->core) dialled.answered_by = {to->coordinator.ip, to->incarnation};
    }
    Later(pod.name, dialled);
  } else if (const auto* open = std::get_if<OpenFollow>(&action)) {
    Pod* to = PodAt(open->to);
    if (to == nullptr || !to->core || !Passes(pod.name, to->name)) {
      Later(pod.name, StreamClosed{open->id, to != nullptr && !to->core ? Failure::kRefused : Failure::kTimeout});
    } else {
      last_accepted_ += 2;
      streams_.push_back({pod.name, to->name, open->id, last_accepted_});
      Later(to->name, FollowOpened{last_accepted_});
      Later(to->name, ReportReceived{last_accepted_, open->first});
    }
  } else if (const auto* report = std::get_if<SendReport>(&action)) {
    for (const Stream& stream : streams_) {
      if (stream.follower != pod.name || stream.at_follower != report->id || !Passes(pod.name, stream.leader)) continue;
      Later(stream.leader, ReportReceived{stream.at_leader, report->report});
    }
  } else if (beat != nullptr) {
    for (const Stream& stream : streams_) {
      if (stream.leader != pod.name || stream.at_leader != beat->id || !Passes(pod.name, stream.follower)) continue;
      Later(stream.follower, BeatReceived{stream.at_follower, beat->beat});
    }
  } else if (const auto* close = std::get_if<CloseStream>(&action)) {
    std::erase_if(streams_, [&](const Stream& stream) {
      const bool by_follower = stream.follower == pod.name && stream.at_follower == close->id;
      const bool by_leader = stream.leader == pod.name && stream.at_leader == close->id;
      if (by_follower && Passes(pod.name, stream.leader))
        Later(stream.leader, StreamClosed{stream.at_leader, Failure::kClosed});
      if (by_leader && Passes(pod.name, stream.follower))
        Later(stream.follower, StreamClosed{stream.at_follower, Failure::kClosed});
      return by_follower || by_leader;
    });
  } else if (const auto* command = std::get_if<election::CommandRedis>(&action)) {
    CommandRedis(pod, *command);
  } else if (const auto* remote = std::get_if<CommandRemote>(&action)) {
    Pod* to = PodAt(remote->redis);
    RemoteDone done{remote->id, RemoteDone::Outcome::kUnreachable, "connection refused", {}};
    if (to != nullptr && to->redis.up && Passes(pod.name, to->name)) {
      Obey(*to, remote->command);
      done = {remote->id, RemoteDone::Outcome::kDone, "", StatusOf(*to)};
    }
    Later(pod.name, done);
  } else if (const auto* probe = std::get_if<ProbeRedis>(&action)) {
    const Pod* to = PodAt(probe->redis);
    RedisProbed probed{probe->id, RedisProbed::Outcome::kSilent};
    if (to != nullptr && Passes(pod.name, to->name)) {
      probed.outcome = !to->redis.up        ? RedisProbed::Outcome::kRefused
                       : to->redis.keys > 0 ? RedisProbed::Outcome::kHasData
                                            : RedisProbed::Outcome::kEmpty;
    }
    Later(pod.name, probed);
  } else if (const auto* orphan = std::get_if<DemoteOrphan>(&action)) {
    Pod* to = PodAt(orphan->redis);
    OrphanAnswered answered{orphan->id, OrphanAnswered::Outcome::kUnreachable, ""};
    if (to != nullptr && to->core && Passes(pod.name, to->name)) {
      answered.outcome = OrphanAnswered::Outcome::kCoordinatorAnswers;
    } else if (to != nullptr && to->redis.up && Passes(pod.name, to->name)) {
      answered.outcome = OrphanAnswered::Outcome::kObeyed;
      to->redis.is_master = false;
      to->redis.master = orphan->master;
      SyncReplicas();
    }
    Later(pod.name, answered);
  }
}

void World::Advance(Duration span) {
  const Instant end = now_ + span;
  while (now_ < end) {
    while (!deliveries_.empty() && deliveries_.top().at <= now_) {
      const Delivery delivery = deliveries_.top();
      deliveries_.pop();
      const auto it = pods_.find(delivery.to);
      if (it != pods_.end() && it->second.core && it->second.incarnation == delivery.incarnation)
        Step(it->second, delivery.event);
    }
    for (auto& [name, pod] : pods_) {
      if (!pod.core) continue;
      if (now_ >= pod.next_poll) {
        pod.next_poll = now_ + Millis(100);
        if (pod.redis.up) Step(pod, RedisReported{StatusOf(pod)});
        if (now_.time_since_epoch() % kDnsInterval == Duration{0} || now_ == Instant{}) {
          PeersListed dns;
          for (const std::string& listed : listed_) dns.listed.push_back(pods_.at(listed).coordinator);
          Step(pod, dns);
        }
      }
      if (now_ >= pod.next_tick) Step(pod, Tick{});
    }
    now_ += Millis(1);
  }
}

std::string World::Run(const std::string& command) {
  said_.clear();
  std::istringstream words(command);
  std::string verb;
  words >> verb;
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  const auto pod = [&](size_t i) -> Pod& { return pods_.at(arguments.at(i)); };

  if (verb == "member") {
    for (const std::string& name : arguments) {
      const std::string ip = "10.0.0." + std::to_string(pods_.size() + 1);
      Pod& added = pods_[name];
      added.name = name;
      added.coordinator = {ip, 7400};
      added.redis_endpoint = {ip, 6379};
      NewRedisRun(added);
      listed_.insert(name);
    }
  } else if (verb == "start") {
    for (size_t i = 0; i < arguments.size(); ++i) Start(pod(i));
  } else if (verb == "run") {
    Advance(ParseSpan(arguments.at(0)));
  } else if (verb == "write") {
    if (pod(0).redis.up && pod(0).redis.is_master) {
      pod(0).redis.offset += std::stoll(arguments.at(1));
      pod(0).redis.keys += 1;
      SyncReplicas();
    } else {
      said_ += "refused\n";
    }
  } else if (verb == "kill-redis") {
    pod(0).redis.up = false;
    Step(pod(0), RedisLost{"connection refused"});
  } else if (verb == "start-redis") {
    NewRedisRun(pod(0));
    Step(pod(0), RedisReported{StatusOf(pod(0))});
  } else if (verb == "kill-coordinator") {
    KillCoordinator(pod(0));
  } else if (verb == "cut") {
    cuts_.insert({arguments.at(0), arguments.at(1)});
  } else if (verb == "heal") {
    cuts_.clear();
    SyncReplicas();
  } else if (verb == "list") {
    listed_.insert(arguments.at(0));
  } else if (verb == "unlist") {
    listed_.erase(arguments.at(0));
  } else if (verb == "loading" || verb == "loaded") {
    pod(0).redis.loading = verb == "loading";
  } else if (verb == "adopt") {
    pod(0).redis.keys = std::stoll(arguments.at(1));
    pod(0).redis.is_master = true;
  } else if (verb == "lead") {
    Step(pod(0), LeadAsked{++last_request_, arguments.size() > 1});
  } else if (verb == "show") {
    for (auto& [name, shown] : pods_) {
      std::ostringstream line;
      line << name << "  ";
      if (shown.core) {
        const State state = shown.core->state(now_);
        line << Name(state.role) << ", " << Name(state.view.write_state) << ' ' << ToString(state.view.claim);
        if (!state.waiting_for.empty()) line << ", waiting for " << state.waiting_for;
      } else {
        line << "no coordinator";
      }
      const Redis& redis = shown.redis;
      line << "; redis "
           << (!redis.up                              ? "down"
               : redis.is_master                      ? "master"
               : redis.master == replication::kNobody ? "parked"
                                                      : "replica of " + redis.master.ip)
           << " offset " << redis.offset << " keys " << redis.keys;
      said_ += line.str() + "\n";
    }
  } else {
    said_ += "unknown command: " + verb + "\n";
  }
  return said_.empty() ? "ok\n" : said_;
}

}  // namespace hive::scripts
