"""Configuration files of redis with Sentinel and HAProxy: pure functions. docs/comparison.md says where each value is from."""

from dataclasses import dataclass, field

REDIS_PORT = 6379
SENTINEL_PORT = 26379
PROXY_PORT = 6380
MASTER_NAME = "mymaster"
QUORUM = 2
HARD_STOP = "3s"  # of a HAProxy that was told to end: as long as the hive's proxy gets to drain in the same runs


@dataclass(frozen=True)
class Settings:
    down_after: int  # ms
    failover_timeout: int  # ms
    parallel_syncs: int
    redis: dict  # beside what every redis here gets
    check: str  # of HAProxy's server lines: how it looks for the master
    connect_timeout: str
    check_timeout: str
    persistent: bool = False  # data survive their redis and their pod, as on a PersistentVolume
    same_for_all: dict = field(default_factory=lambda: {"protected-mode": "no", "repl-diskless-sync": "yes"})


_NO_PERSISTENCE = {"save": '""', "appendonly": "no", "rdb-del-sync-files": "yes"}
_TUNED_REDIS = {"min-replicas-to-write": 1, "min-replicas-max-lag": 2, "repl-diskless-sync-delay": 0, "repl-backlog-size": "64mb"}
_TUNED = {"down_after": 1000, "failover_timeout": 5000, "parallel_syncs": 1,
          "check": "check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions", "connect_timeout": "500ms", "check_timeout": "500ms"}

TUNED = Settings(redis={**_NO_PERSISTENCE, **_TUNED_REDIS}, **_TUNED)
TUNED_PVC = Settings(redis={"save": '""', "appendonly": "yes", "appendfsync": "everysec", **_TUNED_REDIS}, persistent=True, **_TUNED)
DEFAULTS = Settings(
    down_after=10000, failover_timeout=180000, parallel_syncs=5,
    redis={**_NO_PERSISTENCE, "min-replicas-to-write": 1, "min-replicas-max-lag": 5},
    check="check inter 1s fall 1 rise 1", connect_timeout="4s", check_timeout="2s")


def redis_config(settings, ip, folder, master):
    """Of the redis with address `ip`; `master` is its master's address, its own if it is to be one."""
    options = {
        "port": REDIS_PORT, "dir": folder, "replica-announce-ip": ip, **settings.same_for_all, **settings.redis,
        **({} if master == ip else {"replicaof": f"{master} {REDIS_PORT}"}),
    }
    return "".join(f"{name} {value}\n" for name, value in options.items())


def sentinel_config(settings, ip, slot, folder, master):
    """Its identity goes with the slot, as the charts' does: a sentinel never forgets another one, so a replaced one must not count
    twice towards the majority."""
    return "".join(f"{line}\n" for line in (
        f"port {SENTINEL_PORT}",
        f"dir {folder}",
        "protected-mode no",
        f"sentinel myid {slot + 1:040x}",
        f"sentinel announce-ip {ip}",
        f"sentinel monitor {MASTER_NAME} {master} {REDIS_PORT} {QUORUM}",
        f"sentinel down-after-milliseconds {MASTER_NAME} {settings.down_after}",
        f"sentinel failover-timeout {MASTER_NAME} {settings.failover_timeout}",
        f"sentinel parallel-syncs {MASTER_NAME} {settings.parallel_syncs}",
    ))


def haproxy_config(settings, redises, sentinels):
    """For the addresses of all redises and all sentinels. Connections go to the redis that says "role:master", the one that two
    sentinels name if there are several: as the redis-ha chart has it."""
    lines = [
        "global",
        "  nbthread 1",
        f"  hard-stop-after {HARD_STOP}",
        "  log stdout format raw local0 notice",
        "defaults",
        "  mode tcp",
        "  log global",
        f"  timeout connect {settings.connect_timeout}",
        "  timeout client 330s",
        "  timeout server 330s",
        "  timeout tunnel 1h",
        f"  timeout check {settings.check_timeout}",
        "frontend clients",
        f"  bind :{PROXY_PORT}",
        "  default_backend master",
        "backend master",
        "  option tcp-check",
        *_asks("PING", "+PONG"), *_asks("INFO replication", "role:master"), *_asks("QUIT", "+OK"),
    ]
    for i, ip in enumerate(redises):
        lines += [f"  use-server R{i} if {{ srv_is_up(R{i}) }} {{ nbsrv(sentinels_say_{i}) ge {QUORUM} }}",
                  f"  server R{i} {ip}:{REDIS_PORT} {settings.check}"]
    for i, ip in enumerate(redises):
        lines += [f"backend sentinels_say_{i}", "  option tcp-check", *_asks("PING", "+PONG"),
                  *_asks(f"SENTINEL get-master-addr-by-name {MASTER_NAME}", ip), *_asks("QUIT")]
        lines += [f"  server S{n} {sentinel}:{SENTINEL_PORT} {settings.check}" for n, sentinel in enumerate(sentinels)]
    return "\n".join(lines) + "\n"


def _asks(command, expected=None):
    escaped = command.replace(" ", "\\ ")
    return [f"  tcp-check send {escaped}\\r\\n"] + ([f"  tcp-check expect string {expected}"] if expected else [])
