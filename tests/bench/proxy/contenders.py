"""The proxies that are compared, all in front of one redis: that of a hive of one pod, or of more where replicas matter."""

import os
import shutil
import time

from localhive import addresses, resp
from localhive.binary import supported
from localhive.process import Process, StartFailed, wait_until

DIRECT, HIVE, HAPROXY, TWEMPROXY = "direct", "hive", "haproxy", "twemproxy"
RIVALS = {HAPROXY: "haproxy", TWEMPROXY: "nutcracker"}  # and the program, which is the Debian package's name, too

# Ports on the pod's own address, beside those of the pod.
_HAPROXY_PORT, _TWEMPROXY_PORT, _TWEMPROXY_STATS_PORT = 6390, 6391, 6392
_FIRST_EXTRA_PORT = 6400  # of further hive-proxies; each takes two


class Contender:
    """A way to redis: `endpoint` for clients, and the process in between (None for the direct way)."""

    def __init__(self, name, endpoint, process=None):
        self.name = name
        self.endpoint = endpoint
        self.process = process

    def start(self):
        """Starts the process, if it is not running already, and waits until a command is answered through it."""
        if self.process and not self.process.alive():
            self.process.start()

        def answers():
            if self.process and not self.process.alive():
                raise StartFailed(f"{self.name} ended at once: {self.process.log_tail(3).strip()}")
            try:
                return resp.ask(*self.endpoint, "SET", "contender", self.name) == "OK"
            except resp.ReplyError:  # no leader yet
                return False
        wait_until(answers, 15, f"a write through {self.name}")

    def cpu(self):
        """Seconds of CPU that it has used so far."""
        return cpu_seconds(self.process.pid) if self.process else 0.0


def direct(pod):
    return Contender(DIRECT, (pod.ip, addresses.REDIS_PORT))


def of_pod(pod, name=HIVE):
    """The pod's own proxy."""
    return Contender(name, (pod.ip, addresses.PROXY_PORT), pod.proxy)


def further_hive_proxy(name, pod, binaries, number, flags=()):
    """One more hive-proxy in the pod: another build, or with other flags."""
    port = _FIRST_EXTRA_PORT + 2 * number
    return Contender(name, (pod.ip, port), Process(name, [
        os.path.join(binaries, "hive-proxy"), f"--listen={pod.ip}:{port}", f"--health-listen={pod.ip}:{port + 1}",
        *supported(binaries, "hive-proxy", {"metrics-listen": ""}),
        f"--coordinator={pod.ip}:{addresses.COORDINATOR_PORT}", "--threads=1", *flags,
    ], os.path.join(pod.folder, f"{name}.log")))


def haproxy(pod):
    """As one puts it in front of redis: TCP, one thread as the others have, no log, no health check that would add traffic. Buffers of 16
    KiB, the default; 64 KiB would gain a tenth with large values. Splicing would gain nothing here."""
    config = os.path.join(pod.folder, "haproxy.cfg")
    with open(config, "w") as out:
        out.write("\n".join((
            "global", "  nbthread 1", "  maxconn 5000",
            "defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 1h", "  timeout server 1h",
            "frontend clients", f"  bind {pod.ip}:{_HAPROXY_PORT}", "  maxconn 5000", "  default_backend redis",
            "backend redis", f"  server redis {pod.ip}:{addresses.REDIS_PORT}",
        )) + "\n")
    return Contender(HAPROXY, (pod.ip, _HAPROXY_PORT), Process(
        HAPROXY, ["haproxy", "-db", "-f", config], os.path.join(pod.folder, "haproxy.log")))


def twemproxy(pod):
    """One pool of one server with one connection, as is its nature. Buffers of 16 KiB, the default: smaller ones take a third of the
    throughput or more from large values, larger ones gain nothing."""
    config = os.path.join(pod.folder, "nutcracker.yml")
    with open(config, "w") as out:
        out.write("\n".join((
            "redis:", f"  listen: {pod.ip}:{_TWEMPROXY_PORT}", "  redis: true", "  hash: fnv1a_64", "  distribution: modula",
            "  auto_eject_hosts: false", "  preconnect: true", "  server_connections: 1", "  backlog: 1024",
            "  servers:", f"   - {pod.ip}:{addresses.REDIS_PORT}:1",
        )) + "\n")
    return Contender(TWEMPROXY, (pod.ip, _TWEMPROXY_PORT), Process(
        TWEMPROXY, ["nutcracker", "-c", config, "-m", "16384", "-v", "3", "-o", os.path.join(pod.folder, "nutcracker-own.log"),
                    "-a", pod.ip, "-s", str(_TWEMPROXY_STATS_PORT)],
        os.path.join(pod.folder, "nutcracker.log")))


MAKERS = {DIRECT: direct, HIVE: of_pod, HAPROXY: haproxy, TWEMPROXY: twemproxy}


def missing():
    """Rivals that are not installed here."""
    return [name for name, program in RIVALS.items() if not shutil.which(program)]


# -- what the kernel says of a process ------------------------------------------------------------------------------------------------


def cpu_seconds(pid):
    """Of all its threads, those that have ended, too, to the nanosecond: the process's CPU clock, as clock_getcpuclockid(3) names it."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def resident_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))


def pin(pid, cpus):
    """All its threads; threads that it starts later inherit it."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(thread), cpus)
        except ProcessLookupError:  # it ended just now
            pass
