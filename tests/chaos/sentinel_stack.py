"""redis-server, redis-sentinel and HAProxy behind the interface of stack.py: what a StatefulSet of three pods has today.

A pod has all three. It keeps its address when it is replaced: the redis-ha chart gives each ordinal a Service of its own and announces
that one's address, which outlives the pod. Two pods get a third sentinel in a namespace of its own, since two sentinels cannot
replace one another. docs/comparison.md says where this differs from the charts.
"""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from localhive import resp
from localhive.process import Process

from . import sentinel_config as config
from .stack import COORDINATOR, PROXY, REDIS, Pod, Stack, digest_of

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_SENTINELS = 3
_HOOK_PERIOD = 1.0  # s between two looks of a preStop hook, both charts'
_HOOK_PATIENCE = 20.0  # s; Bitnami's: the grace period less 10 s
_PROXY_SLEEP = 1.0  # s of HAProxy's preStop hook: until every list of endpoints is without the pod
_HAND_OVER_PATIENCE = 20.0  # s
_ASK_TIMEOUT = 0.5  # s


class SentinelPod(Pod):
    def __init__(self, namespace, folder, stack, slot):
        super().__init__(namespace, folder)
        self.slot = slot
        self._stack = stack
        self._data = stack.volume(slot) if stack.settings.persistent else os.path.join(folder, "data")
        os.makedirs(self._data, exist_ok=True)
        self._redis = Process(f"redis {self.ip}", ["sh", "-c", self._redis_command()], self._path("redis.log"), namespace)
        self._sentinel = _sentinel_process(namespace, folder, self._path("sentinel.conf"))
        self._proxy = Process(f"haproxy {self.ip}", [_program("haproxy"), "-db", "-f", self._path("haproxy.cfg")],
                              self._path("haproxy.log"), namespace)

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _redis_command(self):
        start = (f"PYTHONPATH={os.path.dirname(_FOLDER)} PYTHONDONTWRITEBYTECODE=1 {sys.executable} -m chaos.sentinel_start "
                 f"{self._path('pod.json')}")
        clear = "" if self._stack.settings.persistent else f"rm -f {self._data}/*.rdb; "
        return f"[ -e {self._path('redis.conf')} ] || {start} || exit 1; {clear}exec redis-server {self._path('redis.conf')}"

    @property
    def parts(self):
        return {REDIS: self._redis, COORDINATOR: self._sentinel, PROXY: self._proxy}

    @property
    def endpoint(self):
        return (self.ip, config.PROXY_PORT)

    def start(self):
        stack = self._stack
        with open(self._path("haproxy.cfg"), "w") as file:
            file.write(config.haproxy_config(stack.settings, stack.redis_ips(), stack.sentinel_ips()))
        with open(self._path("pod.json"), "w") as file:
            json.dump({"settings": stack.settings_name, "ip": self.ip, "slot": self.slot, "first": stack.redis_ips()[0],
                       "sentinels": stack.sentinel_ips(), "data": self._data, "redis_conf": self._path("redis.conf"),
                       "sentinel_conf": self._path("sentinel.conf")}, file)
        for process in self.parts.values():
            process.start()

    def ready(self):
        """The chart's probes (a redis that leads or follows with its link up, a sentinel that answers), and a HAProxy with a master."""
        role = self.role()
        try:
            return bool(role and (role[0] == "master" or role[2] == "connected") and self.sentinel("PING") == "PONG"
                        and self._ask(config.PROXY_PORT, "PING") == "PONG")
        except resp.ReplyError:  # -LOADING
            return False

    def redis(self, *words, timeout=1.0):
        with self.namespace.inside():
            return resp.ask(self.ip, config.REDIS_PORT, *words, timeout=timeout)

    def sentinel(self, *words):
        """One command to the pod's sentinel: its reply, or None."""
        return self._ask(config.SENTINEL_PORT, *words)

    def _ask(self, port, *words):
        return _ask(self.namespace, port, *words)

    def terminate(self):
        """The charts' preStop hooks: redis and sentinel end when another redis leads, HAProxy a moment after the Service has dropped
        the pod."""
        began = time.monotonic()
        hook = self._failover_hook(began)
        hooked = next(hook, None)
        proxy_told = False
        while self._proxy.alive() or self._redis.alive() or self._sentinel.alive():
            if not proxy_told and time.monotonic() - began >= _PROXY_SLEEP:
                self._proxy.signal(signal.SIGUSR1)  # the image's STOPSIGNAL: what is open may go on, until HARD_STOP
                proxy_told = True
            if hooked == "waits":
                hooked = next(hook, None)
                if hooked is None:
                    self._redis.signal(signal.SIGTERM)
                    self._sentinel.signal(signal.SIGTERM)
            yield

    def _failover_hook(self, began):
        """If this is the master, asks for a failover and yields "waits" until it has happened. Yields once at least."""
        next_look, until = began, began + _HOOK_PATIENCE
        if self._is_master():
            try:
                self.sentinel("SENTINEL", "FAILOVER", config.MASTER_NAME)
                next_look += _HOOK_PERIOD
            except resp.ReplyError:  # -NOGOODSLAVE, -INPROG: the hook fails, and its container ends all the same
                until = began
        yield "waits"
        while time.monotonic() < until:
            if time.monotonic() >= next_look:
                if not self._is_master():
                    return
                next_look += _HOOK_PERIOD
            yield "waits"

    def _is_master(self):
        role = self.role()
        return (role and role[0] == "master") or self.sentinel(*_GET_MASTER) == _address(self.ip)


class SentinelStack(Stack):
    """Tuned for a quick failover, as its users do."""

    name = "sentinel"
    settings_name = "TUNED"
    title = "Sentinel, tuned"
    promises = False
    surges = False
    cannot = {
        "dns-down": "nothing of it asks DNS once it runs",
        "pod-ended-surge": "a StatefulSet makes no surge pod",
        "node-replaced": "a StatefulSet does not replace a pod whose node is only silent",
    }

    def __init__(self, network, folder, binaries):
        super().__init__(network, folder, binaries)
        self.settings = getattr(config, self.settings_name)
        self._addresses = {}  # slot: IP, once one was given to it
        self._slots = {}  # slot: its pod, the newest one
        self._witness = None

    @classmethod
    def unavailable_options(cls, binaries, options):
        if not _program("haproxy"):
            return "there is no haproxy here: apt-get install haproxy"
        if options.get("write_acks"):
            return "HAProxy cannot hold a reply back until a replica has the write"
        return None

    @classmethod
    def build(cls, binaries):
        """Other versions, or another setup, are another stack."""
        sources = ("sentinel_config.py", "sentinel_start.py", "sentinel_stack.py")
        return digest_of((os.path.join(_FOLDER, name) for name in sources), cls.versions(binaries))

    @classmethod
    def versions(cls, binaries):
        return f"redis {_version('redis-server', '--version', 2).removeprefix('v=')}, HAProxy {_version('haproxy', '-v', 2)}"

    def make_pod(self, namespace, folder):
        slot = self._free_slot()
        self._addresses[slot] = namespace.ip
        self._slots[slot] = SentinelPod(namespace, folder, self, slot)
        return self._slots[slot]

    def new_address(self):
        return self._addresses.get(self._free_slot())

    def _free_slot(self):
        return next(slot for slot in range(len(self._slots) + 1) if self._slots.get(slot) not in self.pods)

    def volume(self, slot):
        return os.path.join(self.folder, f"volume-{slot}")

    def redis_ips(self):
        return [self._addresses[slot] for slot in sorted(self._addresses)]

    def sentinel_ips(self):
        return self.redis_ips() + ([self._witness.ip] if self._witness else [])

    # -- discovery: fixed addresses, nothing is looked up -------------------------------------------------------------------

    def start_discovery(self):
        """The addresses are known by now. Where there are too few pods, one sentinel more."""
        if len(self.pods) < _SENTINELS and not self._witness:
            self._witness = _Witness(self)
            self._witness.process.start()

    def stop_discovery(self):
        raise NotImplementedError(self.cannot["dns-down"])

    def list_pods(self, ips):
        pass

    # -- operations ---------------------------------------------------------------------------------------------------------

    def hand_over(self):
        old = self.leader()
        try:
            answer = old.sentinel("SENTINEL", "FAILOVER", config.MASTER_NAME)
        except resp.ReplyError as error:
            answer = error
        if answer != "OK":
            raise RuntimeError(f"SENTINEL FAILOVER: {answer}")
        self.wait(lambda: self.leader() not in (None, old), _HAND_OVER_PATIENCE, "another master after SENTINEL FAILOVER")

    def rested(self):
        """Every sentinel names the leader and knows all others and every replica; the leader takes writes. They learn of replicas
        once in ten seconds: a fault that came before would meet them unprepared."""
        leader = self.leader()
        if not leader or b"min_slaves_good_slaves:0" in leader.redis("INFO", "replication").split():
            return False
        asks = [pod.sentinel for pod in self.pods] + ([self._witness.ask] if self._witness else [])
        return all(self._knows_all(ask, leader, len(asks) - 1) for ask in asks)

    def _knows_all(self, ask, leader, others):
        try:
            master = _fields(ask("SENTINEL", "MASTER", config.MASTER_NAME))
            replicas = ask("SENTINEL", "REPLICAS", config.MASTER_NAME) or []
        except resp.ReplyError:
            return False
        up = {fields[b"ip"].decode() for fields in map(_fields, replicas) if fields[b"flags"] == b"slave"}
        return (master.get(b"flags") == b"master" and master[b"ip"].decode() == leader.ip
                and int(master[b"num-other-sentinels"]) == others and up == {pod.ip for pod in self.pods if pod is not leader})


class SentinelDefaultsStack(SentinelStack):
    """With the values that the redis-ha chart comes with."""

    name = "sentinel-defaults"
    settings_name = "DEFAULTS"
    title = "Sentinel, chart's defaults"


class SentinelPvcStack(SentinelStack):
    """Tuned, and with an append-only file on a volume that outlives the pod: what its makers ask for."""

    name = "sentinel-pvc"
    settings_name = "TUNED_PVC"
    title = "Sentinel, tuned, with AOF on a volume"


class _Witness:
    """A sentinel by itself."""

    def __init__(self, stack):
        self._namespace = stack.network.add("witness")
        self.ip = self._namespace.ip
        folder = os.path.join(stack.folder, "witness")
        os.makedirs(folder)
        with open(os.path.join(folder, "sentinel.conf"), "w") as file:
            file.write(config.sentinel_config(stack.settings, self.ip, _SENTINELS, folder, stack.redis_ips()[0]))
        # Not before the first pod has found that there is no sentinel, and so begins as the master.
        self.process = _sentinel_process(self._namespace, folder, os.path.join(stack.pods[0].folder, "redis.conf"))

    def ask(self, *words):
        return _ask(self._namespace, config.SENTINEL_PORT, *words)


_GET_MASTER = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", config.MASTER_NAME)


def _address(ip):
    return [ip.encode(), str(config.REDIS_PORT).encode()]


def _sentinel_process(namespace, folder, wait_for):
    """It starts once the file `wait_for` is there."""
    path = os.path.join(folder, "sentinel.conf")
    return Process(f"sentinel {namespace.ip}",
                   ["sh", "-c", f"until [ -e {wait_for} ]; do sleep 0.05; done; exec redis-server {path} --sentinel"],
                   os.path.join(folder, "sentinel.log"), namespace)


def _ask(namespace, port, *words):
    with namespace.inside():
        return resp.ask(namespace.ip, port, *words, timeout=_ASK_TIMEOUT)


def _fields(answer):
    """A dictionary of a flat list of names and values."""
    return dict(zip(answer[::2], answer[1::2])) if answer else {}


@functools.cache
def _program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@functools.cache
def _version(program, flag, word):
    if not _program(program):
        return "(not installed)"
    run = subprocess.run([_program(program), flag], capture_output=True, text=True, timeout=10, check=True)
    return run.stdout.split()[word]
