// hive-coordinator: wiring only.
//
// Threads: this one (watchdog), the runtime's, redis's two and one for each other redis at a switch of roles,
// discovery's two, the dialler's, the watch beat's, the state file's, the log's, the metrics', and gRPC's.
#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "common/app/flags.h"
#include "common/app/grpc_server.h"
#include "common/app/health.h"
#include "common/app/log.h"
#include "common/app/member_tls.h"
#include "common/app/metrics_server.h"
#include "common/app/peer_secrets.h"
#include "common/app/redis_password.h"
#include "common/app/redis_tls.h"
#include "common/app/shutdown.h"
#include "common/app/version.h"
#include "common/net/clock.h"
#include "coordinator/adapters/discovery.h"
#include "coordinator/adapters/handover_calls.h"
#include "coordinator/adapters/health_reporter.h"
#include "coordinator/adapters/metrics.h"
#include "coordinator/adapters/peer_client.h"
#include "coordinator/adapters/peer_service.h"
#include "coordinator/adapters/redis_agent.h"
#include "coordinator/adapters/state_file.h"
#include "coordinator/adapters/state_service.h"
#include "coordinator/adapters/watch_service.h"
#include "coordinator/election/config.h"
#include "coordinator/handover_command.h"
#include "coordinator/options.h"
#include "coordinator/runtime/event_inbox.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/status_command.h"

namespace hive::coordinator {
namespace {

constexpr int kExitUnusable = 2;  // waiting would not help
constexpr Duration kWatchdogInterval = Millis(500);
// A loop that has not turned for so long is stuck: liveness says so, and the kubelet restarts the container.
constexpr Duration kStuckAfter = Seconds(2);
constexpr Duration kHealthPatience = Seconds(1);
// Beyond --handover-timeout, by which the core lets go: so long may its loop take to say so.
constexpr Duration kLeaveMargin = Seconds(1);

// Why the process must end: one line for people.
int Fail(std::string_view reason) {
  WriteLastLine("hive-coordinator: " + std::string(reason));
  return kExitUnusable;
}

// Not 0, which means "unknown".
uint64_t DrawRandom() {
  uint64_t number = 0;
  while (number == 0) (void)!::getrandom(&number, sizeof number, 0);
  return number;
}

election::Config ConfigOf(const Options& options, const std::string& own_ip) {
  election::Config config;
  config.hive = options.hive;
  config.self = {own_ip, DrawRandom()};
  config.coordinator = {own_ip, options.listen.port};
  config.redis = {own_ip, static_cast<uint16_t>(options.redis_announce_port)};
  config.seed = DrawRandom();
  config.version = Version();
  config.beat_interval = options.beat_interval;
  config.leader_timeout = options.leader_timeout;
  config.election_window = options.election_window;
  config.redis_timeout = options.redis_timeout;
  config.bootstrap_settle = options.bootstrap_settle;
  config.empty_wait = options.empty_wait;
  config.dial_window = options.dial_window;
  config.doubt_timeout = options.doubt_timeout;
  config.handover_timeout = options.handover_timeout;
  config.takeover_timeout = options.takeover_timeout;
  config.priority = options.priority;
  config.min_followers = options.min_followers;
  config.defer_to_fresher = options.defer_to_fresher;
  return config;
}

// The runtime's thread. Stopped before anything that it drives.
class RunningRuntime {
 public:
  RunningRuntime(EventInbox& inbox, Decider& decider, Ports ports)
      : inbox_(inbox), runtime_(inbox, decider, std::move(ports)), thread_([this] { runtime_.Run(); }) {}
  ~RunningRuntime() {
    inbox_.Close();
    thread_.join();
  }

  bool turns() const { return ReadMonotonicClock() - runtime_.last_turn() < kStuckAfter; }

 private:
  EventInbox& inbox_;
  Runtime runtime_;
  std::thread thread_;
};

// Told to end: a leader hands over first, and everybody learns that this member leaves on purpose. Whoever cannot wait
// sends a second signal, which ends the process at once.
void Leave(EventInbox& inbox, HandoverCalls& handovers, Duration handover_timeout, const std::function<void()>& watch) {
  LogInfo("coordinator", "told to end: leaves the hive first", {{"at_most", ToString(handover_timeout)}});
  const Instant begun = ReadMonotonicClock();
  const Instant deadline = begun + handover_timeout + kLeaveMargin;
  if (!inbox.Post(election::LeaveAsked{})) return;
  while (!handovers.WaitUntilLeft(std::min(kWatchdogInterval, deadline - ReadMonotonicClock()))) {
    watch();
    if (ReadMonotonicClock() < deadline) continue;
    LogWarning("coordinator", "has not left in time: ends nevertheless");
    return;
  }
  LogInfo("coordinator", "has left", {{"after_ms", ToMillis(ReadMonotonicClock() - begun)}});
}

// One that has found its address, until it is told to end.
int RunMember(const Options& options, const DiscoveryOptions& discovery_options, const MemberTls& tls,
              const std::shared_ptr<TlsSource>& redis_tls, PeerSecretSource& secrets, election::Config config,
              HealthService& health, const ShutdownSignals& shutdown) {
  StateFile state_file(options.state_dir);
  if (const absl::Status status = state_file.Check(); !status.ok())
    return Fail("--state-dir: " + std::string(status.message()));
  config.memory = state_file.Load();

  EventInbox inbox;
  const election::Header header{config.hive, config.self, config.coordinator, 0, config.version};
  PeerGuard guard(secrets, config.self, config.coordinator);
  PeerService peer_service(header, inbox, guard);
  WatchService watch_service({config.hive, config.beat_interval, WatchService::LeaseOf(config.leader_timeout)}, guard);
  HandoverCalls handovers(inbox);
  StateService state_service(config.hive, inbox, guard.refusals(), handovers);
  HealthReporter health_reporter(health);
  auto server = GrpcServer::Start({.listen = {options.listen},
                                   .services = {&peer_service, &watch_service, &state_service, health.service()},
                                   .credentials = tls.server()});
  if (!server.ok()) return Fail(std::string(server.status().message()));

  Metrics metrics(inbox, guard.refusals());
  std::unique_ptr<MetricsServer> metrics_server;
  if (options.metrics_listen) {
    auto started = MetricsServer::Start(*options.metrics_listen, [&metrics] { return metrics.Gather(); });
    if (!started.ok()) return Fail(std::string(started.status().message()));
    metrics_server = *std::move(started);
  }

  std::atomic<bool> fatal = false;
  PeerClient peer_client(header, inbox, guard, tls.channel());
  RedisAgent redis_agent({.host = options.redis_host,
                          .port = options.redis_port,
                          .user = options.redis_user,
                          .password = [&options] { return ReadRedisPassword(options.redis_password_file); },
                          .tls = redis_tls,
                          .beat_interval = options.beat_interval,
                          .redis_timeout = options.redis_timeout,
                          .on_fatal =
                              [&fatal](const std::string& reason) {
                                Fail(reason);
                                fatal = true;
                              }},
                         inbox);
  PeerDiscovery discovery(discovery_options, config.self.ip, inbox);
  LogInfo("coordinator", "starts",
          {{"version", Version()},
           {"hive", config.hive},
           {"member", ToString(config.coordinator)},
           {"incarnation", config.self.incarnation},
           {"tls", tls.on()},
           {"redis", ToString(config.redis)}});

  const std::unique_ptr<Decider> decider = MakeCoreDecider(std::move(config));
  {
    const RunningRuntime runtime(inbox, *decider,
                                 {.peers = peer_client,
                                  .answers = peer_service,
                                  .redis = redis_agent,
                                  .discovery = discovery,
                                  .watchers = {&watch_service, &health_reporter},
                                  .memory = state_file,
                                  .handovers = handovers});
    const auto watch = [&] {
      health.SetServing(kHealthProcess, runtime.turns());
      health.SetServing(kHealthLiveness, runtime.turns());
      secrets.Refresh(ReadMonotonicClock());
      if (redis_tls) redis_tls->Refresh(ReadMonotonicClock());
    };
    while (!fatal && !shutdown.Wait(kWatchdogInterval)) watch();
    if (!fatal) Leave(inbox, handovers, options.handover_timeout, watch);
  }
  handovers.Close();
  LogInfo("coordinator", "stops");
  // Only now: until it has left, this member may be the leader, and its redis the one that takes writes. Were it not
  // ready, Services would stop sending clients to the one pod that can serve them, before another one can.
  health.SetServing(kHealthReadiness, false);
  (*server)->Shutdown(Duration(0));  // first the listener, then the streams: whoever sees a reset finds a refusal
  return fatal ? kExitUnusable : 0;
}

int Run(const Options& options) {
  const ShutdownSignals shutdown;
  const auto logging =
      StartLogging({.format = ParseLogFormat(options.log_format), .level = ParseLogLevel(options.log_level)});
  if (const auto password = ReadRedisPassword(options.redis_password_file); !password.ok()) {
    return Fail(std::string(password.status().message()));
  }
  const auto tls = MemberTls::Load(options.tls, "tls");
  if (!tls.ok()) return Fail(std::string(tls.status().message()));
  const auto redis_tls = OpenRedisTls(options.redis_tls);
  if (!redis_tls.ok()) return Fail(std::string(redis_tls.status().message()));
  const auto secrets = PeerSecretSource::Open(options.peer_secret_file, options.redis_password_file);
  if (!secrets.ok()) return Fail(std::string(secrets.status().message()));
  if ((*secrets)->Current()->accepts_unproven && !tls->on()) {
    LogWarning("security", "whoever reaches port " + std::to_string(options.listen.port) +
                               " is believed to be a member: give all members and proxies the same --peer-secret-file");
  }

  // Probes are answered from the beginning: a member that waits for DNS is alive.
  HealthService health;
  health.SetServing(kHealthProcess, true);
  health.SetServing(kHealthLiveness, true);
  health.SetServing(kHealthReadiness, false);
  health.SetServing(kHealthStartup, false);
  auto health_server = GrpcServer::Start({.listen = {options.health_listen},
                                          .listen_flag = "--health-listen",
                                          .services = {health.service()},
                                          .reflection = false});
  if (!health_server.ok()) return Fail(std::string(health_server.status().message()));

  const DiscoveryOptions discovery{options.peers, options.dns_server, options.dns_interval};
  std::string own_ip = options.advertise_ip;
  if (own_ip.empty()) {
    const OwnAddress::Answer answer =
        OwnAddress::Find(discovery, [&shutdown](Duration at_most) { return shutdown.Wait(at_most); });
    if (answer.outcome == OwnAddress::Outcome::kInterrupted) return 0;
    if (answer.outcome == OwnAddress::Outcome::kAmbiguous) return Fail(answer.text);
    own_ip = answer.ip;
  }
  return RunMember(options, discovery, *tls, *redis_tls, **secrets, ConfigOf(options, own_ip), health, shutdown);
}

// One that asks a member, and prints.
int RunCommand(const CommandLine& line, const Options& options) {
  const auto logging = StartLogging({.level = LogLevel::kError});  // else gRPC writes on stderr, too
  const auto tls = MemberTls::Load(options.tls, "tls");
  if (!tls.ok()) return Fail(std::string(tls.status().message()));
  if (line.command == "status") return PrintStatus(options.status_target, *tls, options.json, options.watch);
  if (line.command == "handover") return AskForHandover(options.handover_target, *tls, options.handover_to);
  if (line.command == "lead") return AskToLead(options.lead_target, *tls, options.lead_force);
  const HealthAnswer answer =
      AskHealth(options.health_target, line.arguments.front(), kHealthPatience, tls->on() ? tls->channel() : nullptr);
  std::printf("%s\n", answer.text.c_str());
  return answer.status == HealthAnswer::Status::kServing ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  FlagSet flags("hive-coordinator", "elects the leader of a hive of redis-servers, one beside each");
  DeclareFlags(flags, options);
  const CommandLine line = flags.ParseOrExit(argc, argv);
  if (!line.command.empty()) return RunCommand(line, options);
  CheckFlags(flags, options);
  return Run(options);
}

}  // namespace
}  // namespace hive::coordinator

int main(int argc, char** argv) { return hive::coordinator::Main(argc, argv); }
