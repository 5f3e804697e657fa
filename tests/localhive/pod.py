"""One pod: redis, coordinator and proxy on an address of their own."""

import glob
import json
import os
import subprocess
import urllib.request

from . import addresses, dns, resp
from .binary import supported
from .process import HERE, Process

# docs/election.md, "Redis settings". Born parked: no redis serves or feeds anyone before its coordinator has decided.
REDIS_SETTINGS = {
    "save": "",
    "appendonly": "no",
    "replicaof": ("127.0.0.1", 1),
    "repl-diskless-sync": "yes",
    "repl-diskless-sync-delay": "0",
    "rdb-del-sync-files": "yes",
    "repl-backlog-size": "64mb",
    "busy-reply-threshold": "500",
    "replica-serve-stale-data": "no",
}


class Redis(Process):
    """A redis-server whose folder outlives it, as a container's emptyDir does, and is cleared as the manifests' command does."""

    def __init__(self, folder, ip, password=None, settings=None, where=HERE, tls=None):
        """`tls`: certificates.Files: it speaks nothing else, to its replicas, too."""
        self.ip = ip
        self.tls = tls and tls.context()
        self.folder = os.path.join(folder, "redis")
        self.password = password
        os.makedirs(self.folder, exist_ok=True)
        # On loopback a replica's connection would otherwise come from 127.0.0.1: its own address is bound and announced.
        options = {
            "bind": ip, "bind-source-addr": ip, "replica-announce-ip": ip, "port": addresses.REDIS_PORT,
            "dir": self.folder, "protected-mode": "no", "daemonize": "no", **REDIS_SETTINGS, **(settings or {}),
        }
        if tls:
            options |= {"port": 0, "tls-port": addresses.REDIS_PORT, "tls-replication": "yes", "tls-cert-file": tls.certificate,
                        "tls-key-file": tls.key, "tls-ca-cert-file": tls.authority}
        if password:
            options["requirepass"] = password
        argv = ["redis-server"]
        for name, value in options.items():
            argv += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
        super().__init__(f"redis {ip}", argv, os.path.join(folder, "redis.log"), where)

    def start(self):
        for leftover in glob.glob(os.path.join(self.folder, "*.rdb")) + glob.glob(os.path.join(self.folder, "*.aof")):
            os.remove(leftover)
        super().start()

    def ask(self, *words):
        """One command's reply, None if it does not answer."""
        with self.where.inside():
            return resp.ask(self.ip, addresses.REDIS_PORT, *words, password=self.password, tls=self.tls)

    def role(self):
        """("master", None) or ("slave", ip of its master or None while parked, state), or None if it does not answer."""
        try:
            answer = self.ask("ROLE")
        except resp.ReplyError:  # -LOADING, -BUSY
            return None
        if not answer:
            return None
        if answer[0] == b"master":
            return ("master", None, None)
        master = answer[1].decode()
        return ("slave", None if master == "127.0.0.1" else master, answer[3].decode())


class Pod:
    """Everything of one pod lies in `folder`. The three processes are there from the start, and run when started."""

    def __init__(self, ip, folder, binaries, dns_endpoint, password=None, coordinator_flags=(), proxy_flags=(), redis_settings=None,
                 command_flags=(), where=HERE, redis_tls=None, client_tls=None):
        """`command_flags`: of `hive-coordinator status` and the like, where they need some to be answered. `redis_tls`,
        `client_tls`: certificates.Files, for redis and those who speak to it; for the proxy's clients."""
        self.ip = ip
        self.where = where
        self.folder = folder
        self.state_dir = os.path.join(folder, "state")
        self.binaries = binaries
        self._command_flags = command_flags
        os.makedirs(self.state_dir, exist_ok=True)
        listen = f"{ip}:" if where is HERE else ""  # a pod in a network of its own listens on all addresses, as in a cluster
        secret = []
        if password:
            file = os.path.join(folder, "password")
            with open(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
                out.write(password + "\n")
            secret = [f"--redis-password-file={file}"]
        self.redis = Redis(folder, ip, password, redis_settings, where, redis_tls)
        self._client_tls = client_tls and client_tls.context()
        tls_flags = ["--redis-tls", *redis_tls.flags("redis-tls")] if redis_tls else []
        self.coordinator = Process(f"coordinator {ip}", [
            os.path.join(binaries, "hive-coordinator"),
            f"--listen={listen}{addresses.COORDINATOR_PORT}",
            f"--health-listen={listen}{addresses.COORDINATOR_HEALTH_PORT}",
            *supported(binaries, "hive-coordinator", {"metrics-listen": f"{listen}{addresses.COORDINATOR_METRICS_PORT}"}),
            f"--advertise-ip={ip}",
            f"--peers=dns:{dns.NAME}:{addresses.COORDINATOR_PORT}",
            f"--dns-server={dns_endpoint}",
            f"--redis={ip}:{addresses.REDIS_PORT}",
            f"--state-dir={self.state_dir}",
            *secret, *tls_flags, *coordinator_flags,
        ], os.path.join(folder, "coordinator.log"), where)
        self.proxy = Process(f"proxy {ip}", [
            os.path.join(binaries, "hive-proxy"),
            f"--listen={listen}{addresses.PROXY_PORT}",
            f"--health-listen={listen}{addresses.PROXY_HEALTH_PORT}",
            *supported(binaries, "hive-proxy", {"metrics-listen": f"{listen}{addresses.PROXY_METRICS_PORT}"}),
            f"--coordinator={ip}:{addresses.COORDINATOR_PORT}",
            "--threads=1",
            *secret, *tls_flags, *(client_tls.flags() if client_tls else ()), *proxy_flags,
        ], os.path.join(folder, "proxy.log"), where)

    @property
    def processes(self):
        return (self.redis, self.coordinator, self.proxy)

    def start(self):
        for process in self.processes:
            process.start()

    def kill(self):
        """The whole pod at one moment, as a node's crash takes it."""
        for process in self.processes:
            process.signal(9)
        for process in self.processes:
            process.kill()

    def write(self, key, value, timeout=15.0):
        """SET through this pod's proxy. Raises what resp.Connection raises."""
        with self.connect(timeout) as connection:
            return connection.command("SET", key, value)

    def read(self, key):
        """GET through this pod's proxy."""
        with self.connect() as connection:
            return connection.command("GET", key)

    def connect(self, timeout=15.0, port=addresses.PROXY_PORT):
        """A connection to this pod's proxy (or another of its ports), made where the pod is."""
        with self.where.inside():
            tls = self._client_tls if port == addresses.PROXY_PORT else self.redis.tls
            return resp.Connection(self.ip, port, timeout, self.redis.password, tls)

    def status(self):
        """hive.v1.Hive/GetState of this pod's coordinator as `hive-coordinator status --json` prints it, None without an answer."""
        run = self.coordinator_command("status", "--json", f"--target={self.ip}:{addresses.COORDINATOR_PORT}")
        return json.loads(run.stdout) if run.returncode == 0 else None

    def metrics(self, port=addresses.COORDINATOR_METRICS_PORT):
        """The text that Prometheus would get from the coordinator, or the proxy."""
        with self.where.inside(), urllib.request.urlopen(f"http://{self.ip}:{port}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def healthy(self, service, port=addresses.COORDINATOR_HEALTH_PORT):
        """Whether grpc.health.v1 says SERVING for `service`, as an exec probe would ask."""
        return self.coordinator_command("health", service, f"--target={self.ip}:{port}").returncode == 0

    def coordinator_command(self, *words):
        """`hive-coordinator WORD...` run where the pod is: a subprocess.CompletedProcess."""
        with self.where.inside():
            return subprocess.run([os.path.join(self.binaries, "hive-coordinator"), *words, *self._command_flags],
                                  capture_output=True, text=True, timeout=10, check=False)
