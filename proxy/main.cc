// hive-proxy: wiring only. One watch of the leader, event loops that serve clients, health for the kubelet.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/app/container_limits.h"
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
#include "common/app/tls_source.h"
#include "common/app/version.h"
#include "common/net/clock.h"
#include "common/net/descriptors.h"
#include "common/net/socket.h"
#include "proxy/leader/watch_client.h"
#include "proxy/worker/drain.h"
#include "proxy/worker/event_loop.h"
#include "proxy/worker/metrics.h"

namespace hive::proxy {
namespace {

// How often the main thread looks at the state of health: probes ask every few seconds...
constexpr Duration kHealthTick = Millis(250);
// ... and at how a shutdown proceeds.
constexpr Duration kDrainTick = Millis(100);

struct Options {
  ListenAddress listen = {"", 6380};
  ListenAddress health_listen = {"", 7401};
  std::optional<ListenAddress> metrics_listen = ListenAddress{"", 7411};
  Endpoint coordinator = {"127.0.0.1", 7400};
  TlsFiles coordinator_tls;
  TlsFiles tls;
  std::string tls_client_auth;
  RedisTls redis_tls;
  int threads = 1;
  std::string redis_password_file;
  std::string peer_secret_file;
  ByteCount hold_memory;
  ByteCount client_output_limit = {64ull << 20};
  Duration drain_timeout = Seconds(25);
  std::string log_format;
  std::string log_level = "info";
  WorkerOptions worker;
};

ByteCount DefaultHoldMemory(const ContainerLimits& limits) {
  constexpr uint64_t kMost = 256ull << 20;
  return {limits.memory_bytes ? std::max<uint64_t>(1 << 20, std::min(kMost, *limits.memory_bytes / 4)) : kMost};
}

void AddFlags(FlagSet& flags, Options& options) {
  flags.Add("listen", &options.listen, "where clients connect").DefaultText("port 6380, all addresses");
  flags.Add("coordinator", &options.coordinator, "this pod's coordinator");
  DeclareTlsFlags(flags, "coordinator-tls", options.coordinator_tls, "mutual TLS towards coordinators");
  flags.Add("threads", &options.threads, {1, 256}, "event loops").DefaultText("the container's CPU limit");
  flags.Add("redis-user", &options.worker.redis_user, "user of the proxy's own connections to redis");
  flags.Add("redis-password-file", &options.redis_password_file,
            "file with that user's password; else the variable HIVE_REDIS_PASSWORD");
  DeclareRedisTlsFlags(flags, options.redis_tls);
  flags
      .Add("peer-secret-file", &options.peer_secret_file,
           "file with what this proxy and coordinators prove to one another that they know; as the coordinators'")
      .DefaultText("derived from the redis password");
  flags.Add("hold-timeout", &options.worker.hold_timeout, {Millis(0), Seconds(3600)},
            "how long a new command waits for a leader");
  flags.Add("write-acks", &options.worker.write_acks, {0, 100},
            "replicas that must confirm a write before its client is told; fewer: -UNCONFIRMED");
  flags.Add("write-acks-timeout", &options.worker.write_acks_timeout, {Millis(1), Seconds(3600)},
            "how long they have for it");
  flags.Add("max-clients", &options.worker.max_clients, {1, 1000000}, "clients at a time");
  flags.Add("hold-memory", &options.hold_memory, {{64 << 10}, {1ull << 40}}, "memory for what waits, of all clients")
      .DefaultText("256MiB, or a quarter of the container's memory");
  flags.Add("client-output-limit", &options.client_output_limit, {{64 << 10}, {1ull << 40}},
            "replies that may wait for one client");
  flags.Add("allow-admin", &options.worker.allow_admin,
            "pass on commands that would break the hive: REPLICAOF, SHUTDOWN, DEBUG, CLIENT PAUSE, ...");
  DeclareTlsFlags(flags, "tls", options.tls, "TLS towards clients");
  flags
      .AddChoice("tls-client-auth", &options.tls_client_auth, {"no", "optional", "yes"},
                 "whether a client must show a certificate")
      .DefaultText("yes with --tls-ca, else no");
  flags.Add("drain-timeout", &options.drain_timeout, {Millis(0), Seconds(3600)}, "time to end after SIGTERM");
  flags.Add("health-listen", &options.health_listen, "grpc.health.v1, plaintext")
      .DefaultText("port 7401, all addresses");
  flags.Add("metrics-listen", &options.metrics_listen, "where Prometheus scrapes /metrics (HTTP); empty: nowhere")
      .DefaultText("port 7411, all addresses");
  flags.AddChoice("log-format", &options.log_format, {"text", "json"}, "form of the log")
      .DefaultText("text on a terminal, else json");
  flags.AddChoice("log-level", &options.log_level, {"debug", "info", "warning", "error"}, "what is logged");
}

// TLS towards clients; null: plaintext.
absl::StatusOr<std::shared_ptr<TlsSource>> OpenClientTls(const Options& options) {
  const bool names_authority = !options.tls.authority.empty();
  const std::string& auth = options.tls_client_auth;
  if (options.tls.empty() && auth.empty()) return nullptr;
  if (options.tls.certificate.empty())
    return absl::InvalidArgumentError("--tls-cert is missing: TLS needs --tls-cert and --tls-key");
  TlsSource::Options source = {.files = options.tls,
                               .flag_prefix = "tls",
                               .side = TlsContext::Side::kServer,
                               .peer = TlsContext::PeerCertificate::kNotAsked};
  if (auth == "optional") source.peer = TlsContext::PeerCertificate::kIfGiven;
  if (auth == "yes" || (auth.empty() && names_authority)) source.peer = TlsContext::PeerCertificate::kRequired;
  if (source.peer != TlsContext::PeerCertificate::kNotAsked && !names_authority) {
    return absl::InvalidArgumentError("--tls-client-auth=" + auth +
                                      ": needs --tls-ca, the authority that signs clients' certificates");
  }
  return TlsSource::Open(std::move(source));
}

// What is read again when it changes.
struct Secrets {
  std::shared_ptr<PeerSecretSource> of_members;
  std::vector<std::shared_ptr<TlsSource>> tls;

  void Refresh(Instant now) {
    of_members->Refresh(now);
    for (const std::shared_ptr<TlsSource>& source : tls) source->Refresh(now);
  }
};

// One socket per loop on the same port. The first is bound without SO_REUSEPORT, and let go again, to find out whether
// another process holds the port: with it, both would get a share of the clients. A port 0 becomes the one that
// the kernel chose.
absl::StatusOr<std::vector<Fd>> ListenForLoops(ListenAddress& address, int loops) {
  {
    absl::StatusOr<Fd> first = ListenTcp(address, {.only_bind = true});
    if (!first.ok()) return first.status();
    address.port = LocalEndpoint(*first).port;
  }
  std::vector<Fd> listeners;
  for (int i = 0; i < loops; ++i) {
    absl::StatusOr<Fd> listener = ListenTcp(address, {.share_port = true});
    if (!listener.ok()) return listener.status();
    listeners.push_back(std::move(*listener));
  }
  return listeners;
}

// Whether the kubelet may send clients here: a leader is known, or one is being elected and commands are held.
class Readiness {
 public:
  explicit Readiness(Duration hold_timeout) : hold_timeout_(hold_timeout) {}

  void OnNews(const WatchClient::News& news) {
    const Instant now = ReadMonotonicClock();
    if (!news.snapshot.leader.empty()) last_leader_.store(now.time_since_epoch().count());
    has_leader_.store(!news.snapshot.leader.empty());
  }
  bool Ready(Instant now) const {
    if (has_leader_.load()) return true;
    const int64_t last = last_leader_.load();
    return last != 0 && now - Instant(Duration(last)) < hold_timeout_;
  }

 private:
  const Duration hold_timeout_;
  std::atomic<bool> has_leader_ = false;
  std::atomic<int64_t> last_leader_ = 0;  // nanoseconds on the monotonic clock; 0: never
};

// Serves until SIGTERM, and then as proxy/worker/drain.h says.
void ServeUntilDrained(const Options& options, const ShutdownSignals& signals, const Readiness& readiness,
                       HealthService& health, const SharedCounters& counters, Secrets& secrets,
                       const std::vector<std::unique_ptr<EventLoop>>& loops) {
  while (!signals.Wait(kHealthTick)) {
    health.SetServing(kHealthReadiness, readiness.Ready(ReadMonotonicClock()));
    secrets.Refresh(ReadMonotonicClock());
  }

  health.SetServing(kHealthReadiness, false);
  Drain drain(ReadMonotonicClock(), options.drain_timeout);
  LogInfo("main", "drains", {{"clients", counters.clients.load()}, {"at_most", ToString(options.drain_timeout)}});
  DrainStage reached = DrainStage::kServing;
  for (;;) {
    const Instant now = ReadMonotonicClock();
    const DrainStage stage = drain.At(now, counters.clients.load(), counters.accepted.load());
    if (stage == DrainStage::kOver) break;
    if (stage != reached) {
      for (const std::unique_ptr<EventLoop>& loop : loops) loop->Part(stage);
    }
    reached = stage;
    secrets.Refresh(now);
    std::this_thread::sleep_for(std::min<Duration>(kDrainTick, drain.NextStageAt(now) - now));
  }
  LogInfo("main", "ends", {{"clients_left", counters.clients.load()}});
}

// A proxy whose limit of open files is too low for --max-clients says so before it is reached.
void TakeAllDescriptors(WorkerOptions& options) {
  const int limit = RaiseDescriptorLimit();
  options.link_descriptors_below = DescriptorsForLinks(limit);
  if (DescriptorsForClients(limit) >= options.max_clients) return;
  LogWarning("listen", "not all clients that --max-clients permits will be accepted: raise the limit of open files",
             {{"max_clients", options.max_clients}, {"accepted", DescriptorsForClients(limit)}, {"open_files", limit}});
}

// What clients have given back, the system gets. The allocator keeps what is free at the end of each heap up to a
// threshold, which it raises by itself when large buffers come and go; and small pieces for as long as they are small,
// so that nothing around them becomes a page.
void KeepLittleFreeMemory() {
  ::mallopt(M_TRIM_THRESHOLD, 128 * 1024);
  ::mallopt(M_TOP_PAD, 64 * 1024);
  ::mallopt(M_MXFAST, 0);
}

int Fail(const absl::Status& status) {
  WriteLastLine("hive-proxy: " + std::string(status.message()));
  return 2;
}

int Main(int argc, char** argv) {
  KeepLittleFreeMemory();
  Options options;
  const ContainerLimits limits = ReadContainerLimits();
  options.threads = DefaultThreads(limits);
  options.hold_memory = DefaultHoldMemory(limits);
  FlagSet flags("hive-proxy", "lets any redis client talk to the leader of a hive");
  AddFlags(flags, options);
  flags.ParseOrExit(argc, argv);
  absl::StatusOr<std::string> password = ReadRedisPassword(options.redis_password_file);
  if (!password.ok()) return Fail(password.status());
  const absl::StatusOr<MemberTls> coordinator_tls = MemberTls::Load(options.coordinator_tls, "coordinator-tls");
  if (!coordinator_tls.ok()) return Fail(coordinator_tls.status());
  auto opened = PeerSecretSource::Open(options.peer_secret_file, options.redis_password_file);
  if (!opened.ok()) return Fail(opened.status());
  Secrets secrets = {.of_members = *std::move(opened), .tls = {}};
  const absl::StatusOr<std::shared_ptr<TlsSource>> client_tls = OpenClientTls(options);
  if (!client_tls.ok()) return Fail(client_tls.status());
  const absl::StatusOr<std::shared_ptr<TlsSource>> redis_tls = OpenRedisTls(options.redis_tls);
  if (!redis_tls.ok()) return Fail(redis_tls.status());
  for (const std::shared_ptr<TlsSource>& source : {*client_tls, *redis_tls}) {
    if (source) secrets.tls.push_back(source);
  }
  options.worker.tls = *client_tls;
  options.worker.redis_tls = *redis_tls;
  options.worker.redis_password = std::move(*password);
  options.worker.client_output_limit = options.client_output_limit.bytes;
  options.worker.hold_memory = options.hold_memory.bytes / static_cast<uint64_t>(options.threads);

  const ShutdownSignals signals;
  const std::unique_ptr<Logging> logging =
      StartLogging({ParseLogFormat(options.log_format), ParseLogLevel(options.log_level)});
  TakeAllDescriptors(options.worker);
  HealthService health;
  health.SetServing(kHealthProcess, true);
  health.SetServing(kHealthLiveness, true);
  health.SetServing(kHealthReadiness, false);
  absl::StatusOr<std::unique_ptr<GrpcServer>> health_server = GrpcServer::Start(
      {.listen = {options.health_listen}, .listen_flag = "--health-listen", .services = {health.service()}});
  if (!health_server.ok()) return Fail(health_server.status());
  absl::StatusOr<std::vector<Fd>> listeners = ListenForLoops(options.listen, options.threads);
  if (!listeners.ok()) return Fail(listeners.status());

  SharedCounters counters;
  std::vector<std::unique_ptr<EventLoop>> loops;
  std::vector<std::thread> threads;
  for (Fd& listener : *listeners) {
    std::vector<Fd> own;
    own.push_back(std::move(listener));
    loops.push_back(std::make_unique<EventLoop>(options.worker, std::move(own), counters));
  }
  Metrics metrics(loops, counters);
  std::unique_ptr<MetricsServer> metrics_server;
  if (options.metrics_listen) {
    auto started = MetricsServer::Start(*options.metrics_listen, [&metrics] { return metrics.Gather(); });
    if (!started.ok()) return Fail(started.status());
    metrics_server = *std::move(started);
  }
  LogInfo(
      "listen", "serves redis clients",
      {{"address", ToString(options.listen)}, {"tls", options.worker.tls != nullptr}, {"threads", options.threads}});
  Readiness readiness(options.worker.hold_timeout);
  auto watch = std::make_unique<WatchClient>(
      WatchClient::Options{options.coordinator, coordinator_tls->channel(), secrets.of_members},
      [&](const WatchClient::News& news) {
        readiness.OnNews(news);
        metrics.SetWatchConnected(news.connected);
        for (auto& loop : loops) loop->SetLeader(news.snapshot);
      });
  for (auto& loop : loops) threads.emplace_back([&loop] { loop->Run(); });

  ServeUntilDrained(options, signals, readiness, health, counters, secrets, loops);

  watch.reset();
  metrics_server.reset();
  for (auto& loop : loops) loop->Stop();
  for (std::thread& thread : threads) thread.join();
  loops.clear();
  (*health_server)->Shutdown(Duration::zero());
  return 0;
}

}  // namespace
}  // namespace hive::proxy

int main(int argc, char** argv) { return hive::proxy::Main(argc, argv); }
