#include "coordinator/options.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace hive::coordinator {
namespace {

// "127.0.0.1:6379", "[::1]:6379", "redis.example:6379".
bool ParseHostPort(std::string_view text, std::string& host, uint16_t& port) {
  if (const auto endpoint = ParseEndpoint(text)) {
    host = endpoint->ip;
    port = endpoint->port;
    return true;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || text.find(':') != colon) return false;
  const std::string_view digits = text.substr(colon + 1);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0) return false;
  host = text.substr(0, colon);
  port = number;
  return host.find_first_of("/@ []") == std::string::npos;
}

bool IsHiveName(std::string_view name) {
  return name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

void DeclareTimes(FlagSet& flags, Options& options) {
  flags.Add("beat-interval", &options.beat_interval, {Millis(10), Seconds(10)},
            "how often a leader beats, and how often redis is asked how it is");
  flags.Add("leader-timeout", &options.leader_timeout, {Millis(100), Seconds(60)}, "silence that ends a leader");
  flags.Add("election-window", &options.election_window, {Millis(20), Seconds(30)},
            "how long a candidate waits for answers");
  flags.Add("redis-timeout", &options.redis_timeout, {Millis(100), Seconds(60)},
            "how long the local redis may leave a command unanswered");
  flags.Add("dns-interval", &options.dns_interval, {Millis(100), Seconds(60)},
            "how often DNS is asked for the members");
  flags.Add("bootstrap-settle", &options.bootstrap_settle, {Duration(0), Seconds(600)},
            "at the first start: how long DNS must have listed the same members");
  flags.Add("empty-wait", &options.empty_wait, {Duration(0), Seconds(86400)},
            "how long empty members wait for a silent one that may hold the data");
  flags.Add("dial-window", &options.dial_window, {Millis(10), Seconds(10)},
            "how long a lost leader has to answer a new connection");
  flags.Add("doubt-timeout", &options.doubt_timeout, {Millis(100), Seconds(3600)},
            "how long a member that hears too few of the others holds itself for cut off, not them for dead");
  // Not longer than most grace periods: Kubernetes kills after 30 s.
  flags.Add("handover-timeout", &options.handover_timeout, {Millis(100), Seconds(25)},
            "how long a leader that leaves may take to hand over");
  flags.Add("takeover-timeout", &options.takeover_timeout, {Millis(20), Seconds(10)},
            "how long a new leader tries to save the last writes of a redis whose coordinator is gone");
}

}  // namespace

void DeclareFlags(FlagSet& flags, Options& options) {
  flags.Add("hive", &options.hive, "name of this hive: members of other hives are refused")
      .DefaultText("the service name in --peers");
  flags.Add("listen", &options.listen, "where members, proxies and people reach this coordinator (gRPC)");
  flags.Add("health-listen", &options.health_listen, "where probes ask for its health (gRPC, plaintext)");
  flags.Add("metrics-listen", &options.metrics_listen, "where Prometheus scrapes /metrics (HTTP); empty: nowhere");
  flags.AddIp("advertise-ip", &options.advertise_ip, "this member's IP, as others reach it")
      .DefaultText("POD_IP, else the local address that DNS lists");
  flags
      .AddParsed(
          "peers", "dns:NAME[:PORT] or static:IP:PORT,IP:PORT,...",
          [&options](std::string_view text) {
            const auto peers = ParsePeers(text);
            if (peers) options.peers = *peers;
            return peers.has_value();
          },
          "who the members are: a headless service's name, or a list")
      .Required();
  flags
      .AddParsed(
          "dns-server", "IP:PORT",
          [&options](std::string_view text) {
            options.dns_server = ParseEndpoint(text);
            return options.dns_server.has_value();
          },
          "the DNS server to ask")
      .DefaultText("resolv.conf's");
  flags
      .AddParsed(
          "redis", "HOST:PORT",
          [&options](std::string_view text) { return ParseHostPort(text, options.redis_host, options.redis_port); },
          "the local redis")
      .DefaultText("127.0.0.1:6379");
  flags
      .Add("redis-announce-port", &options.redis_announce_port, {0, 65535},
           "the port at which others reach it on the advertised IP")
      .DefaultText("that of --redis");
  flags.Add("redis-user", &options.redis_user, "this member's user in redis's ACL").DefaultText("the default user");
  flags.Add("redis-password-file", &options.redis_password_file, "a file with redis's password")
      .DefaultText("HIVE_REDIS_PASSWORD, else none");
  DeclareRedisTlsFlags(flags, options.redis_tls);
  flags
      .Add("peer-secret-file", &options.peer_secret_file,
           "a file with what members and proxies must prove they know, one secret per line: the first is used, all are "
           "accepted")
      .DefaultText("derived from the redis password");
  flags.Add("state-dir", &options.state_dir, "where term and dataset survive a restart of this process")
      .DefaultText("none");
  flags.Add("defer-to-fresher", &options.defer_to_fresher,
            "a member that holds less than another does not stand; false: only empty ones do not, and even writes that "
            "replicas have confirmed can be lost");
  flags.Add("priority", &options.priority, {0, 1000}, "0: does not lead while another member can");
  flags.Add("min-followers", &options.min_followers, {0, 90},
            "writes are refused while fewer followers are in sync with the leader");
  DeclareTimes(flags, options);
  DeclareTlsFlags(flags, "tls", options.tls, "mutual TLS towards members and proxies");
  flags.AddChoice("log-format", &options.log_format, {"text", "json"}, "form of the log lines on stderr")
      .DefaultText("text on a terminal, else json");
  flags.AddChoice("log-level", &options.log_level, {"debug", "info", "warning", "error"}, "the least that is logged");

  FlagSet& status = flags.AddCommand("status", "", "prints the hive as a coordinator sees it");
  status.Add("target", &options.status_target, "the coordinator to ask");
  DeclareTlsFlags(status, "tls", options.tls, "mutual TLS towards it");
  status.Add("json", &options.json, "print all that it says, as JSON");
  status.Add("watch", &options.watch, "print it again every second");
  FlagSet& handover = flags.AddCommand("handover", "", "moves leadership to another member, without losing a write");
  handover.AddIp("to", &options.handover_to, "the IP of the member that is to lead").DefaultText("whoever fits best");
  handover.Add("target", &options.handover_target, "the coordinator to ask, leader or not");
  DeclareTlsFlags(handover, "tls", options.tls, "mutual TLS towards it");
  FlagSet& lead = flags.AddCommand("lead", "", "makes this pod's member lead, without those that are silent");
  lead.Add("force", &options.lead_force, "do it; without, only say what may be lost, and exit 1").OnlyTyped();
  lead.Add("target", &options.lead_target, "the coordinator to ask, on this pod's loopback");
  DeclareTlsFlags(lead, "tls", options.tls, "mutual TLS towards it");
  FlagSet& health = flags.AddCommand("health", "SERVICE", "asks for a health service: exit 0 when SERVING, else 1");
  health.Add("target", &options.health_target, "the coordinator or proxy to ask");
  DeclareTlsFlags(health, "tls", options.tls,
                  "mutual TLS towards a coordinator's port 7400; ports without TLS are asked without");
}

void CheckFlags(const FlagSet& flags, Options& options) {
  if (!flags.given("advertise-ip")) {
    const char* pod_ip = std::getenv("POD_IP");
    if (pod_ip != nullptr && *pod_ip != '\0') {
      const auto ip = CanonicalIp(pod_ip);
      if (!ip)
        flags.Refuse("advertise-ip", "the environment's POD_IP, \"" + std::string(pod_ip) + "\", is no IP address");
      options.advertise_ip = *ip;
    }
  }
  if (options.hive.empty()) options.hive = options.peers.HiveName();
  if (!IsHiveName(options.hive)) flags.Refuse("hive", "must be 1 to 253 printable characters without blanks");
  if (options.redis_announce_port == 0) options.redis_announce_port = options.redis_port;
  if (!options.peers.name.empty() && options.peers.port != options.listen.port) {
    flags.Refuse("peers", "says that members listen on port " + std::to_string(options.peers.port) +
                              ", but this one listens on " + std::to_string(options.listen.port) +
                              " (--listen): make them equal");
  }
  if (options.leader_timeout < 3 * options.beat_interval) {
    flags.Refuse("leader-timeout", "must be at least 3 times --beat-interval (" + ToString(options.beat_interval) +
                                       "): a leader must not be lost by two late beats");
  }
  if (options.election_window > options.leader_timeout) {
    flags.Refuse("election-window",
                 "must not be longer than --leader-timeout (" + ToString(options.leader_timeout) + ")");
  }
  if (options.takeover_timeout > options.leader_timeout) {
    flags.Refuse("takeover-timeout",
                 "must not be longer than --leader-timeout (" + ToString(options.leader_timeout) + ")");
  }
  if (options.doubt_timeout < options.leader_timeout) {
    flags.Refuse("doubt-timeout",
                 "must not be shorter than --leader-timeout (" + ToString(options.leader_timeout) + ")");
  }
  if (options.dial_window > options.leader_timeout) {
    flags.Refuse("dial-window", "must not be longer than --leader-timeout (" + ToString(options.leader_timeout) + ")");
  }
}

}  // namespace hive::coordinator
