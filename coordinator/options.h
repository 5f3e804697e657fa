// The command line of hive-coordinator.
//
// Thread rule: main, before threads are started.
#pragma once

#include <optional>
#include <string>

#include "common/app/flags.h"
#include "common/app/member_tls.h"
#include "common/app/redis_tls.h"
#include "common/base/endpoint.h"
#include "common/base/time.h"
#include "coordinator/adapters/discovery.h"

namespace hive::coordinator {

// Where a coordinator serves.
inline constexpr uint16_t kElectionPort = Peers::kDefaultPort;
inline constexpr uint16_t kHealthPort = 7402;
inline constexpr uint16_t kMetricsPort = 7410;

// Defaults here are what --help shows; docs/election.md says what each duration is bound by.
struct Options {
  std::string hive;
  ListenAddress listen{"", kElectionPort};
  ListenAddress health_listen{"", kHealthPort};
  std::optional<ListenAddress> metrics_listen = ListenAddress{"", kMetricsPort};
  std::string advertise_ip;  // empty: the local address that DNS lists
  Peers peers;
  std::optional<Endpoint> dns_server;
  std::string redis_host = "127.0.0.1";
  uint16_t redis_port = 6379;
  int redis_announce_port = 0;  // 0: redis_port
  std::string redis_user;
  std::string redis_password_file;
  std::string peer_secret_file;  // empty: the secret is derived from the redis password
  std::string state_dir;
  bool defer_to_fresher = true;
  Duration beat_interval = Millis(200);
  Duration leader_timeout = Seconds(1);
  Duration election_window = Millis(300);
  Duration redis_timeout = Seconds(2);
  Duration dns_interval = Seconds(1);
  Duration bootstrap_settle = Seconds(2);
  Duration empty_wait = Seconds(60);
  Duration dial_window = Millis(100);
  Duration doubt_timeout = Seconds(30);
  Duration handover_timeout = Seconds(5);
  Duration takeover_timeout = Millis(300);
  int priority = 100;
  int min_followers = 0;
  RedisTls redis_tls;
  TlsFiles tls;  // of the member, and of the commands that ask one
  std::string log_format;
  std::string log_level = "info";

  // Of the commands.
  Endpoint status_target{"127.0.0.1", kElectionPort};
  Endpoint health_target{"127.0.0.1", kHealthPort};
  Endpoint handover_target{"127.0.0.1", kElectionPort};
  std::string handover_to;  // an IP; empty: whoever fits best
  Endpoint lead_target{"127.0.0.1", kElectionPort};
  bool lead_force = false;
  bool json = false;
  bool watch = false;
};

// Declares the flags; `options` outlives `flags`.
void DeclareFlags(FlagSet& flags, Options& options);

// Rules between flags, and values found elsewhere (POD_IP, the hive's name). Exits 2 where they do not fit.
void CheckFlags(const FlagSet& flags, Options& options);

}  // namespace hive::coordinator
