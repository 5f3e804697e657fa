"""`./hive up`: a hive to play with. Whatever is killed is started again, as the kubelet would."""

import shutil
import sys
import time

from . import addresses
from .hive import LocalHive

_REFRESH = 1.0  # s between two looks at the hive
_RESTART_DELAY = 1.0  # s before the first restart of a process, doubled with each death that follows soon, up to:
_RESTART_DELAY_MAX = 10.0
_SOON = 20.0  # s of running after which a process counts as well again


def run(binaries, pods):
    block = addresses.Block(*addresses.UP)
    with LocalHive(block, binaries) as hive:
        print(f"Starting {pods} pod(s) ...", flush=True)
        hive.start(pods)
        _wait_for_first_leader(hive)
        print(_how_to_connect(hive, binaries), flush=True)
        kept = [_Kept(p) for pod in hive.pods for p in pod.processes] + [_Kept(hive.dns.process)]
        screen = _Screen()
        while True:
            screen.show(_rows(hive), [news for k in kept if (news := k.look())])
            time.sleep(_REFRESH)


def _wait_for_first_leader(hive):
    began = time.monotonic()
    told = 0
    while not hive.settled():
        for pod in hive.pods:
            for process in pod.processes:
                if not process.alive():
                    raise RuntimeError(f"{process.name} ended at once:\n{process.log_tail(5)}")
        if time.monotonic() - began > told + 5:
            told += 5
            why = next((state.get("waitingFor") for pod in hive.pods if (state := pod.status())), None)
            print(f"... no leader yet after {told} s{': ' + why if why else ''}", flush=True)
        time.sleep(0.1)
    print(f"{hive.leader().ip} leads after {time.monotonic() - began:.1f} s.", flush=True)


def _how_to_connect(hive, binaries):
    first = hive.pods[0].ip
    every = ", ".join(pod.ip for pod in hive.pods)
    return f"""
Write and read through any pod's proxy ({every}):
    redis-cli -h {first} -p {addresses.PROXY_PORT} SET greeting hello
Ask any pod's coordinator for the state of the election:
    {binaries}/hive-coordinator status --target {first}:{addresses.COORDINATOR_PORT}
    grpcurl -plaintext {first}:{addresses.COORDINATOR_PORT} hive.v1.Hive/GetState
Kill what you like, the leader first; it is started again after a second, and the hive goes on:
    kill -9 PID     (PIDs are in the table; logs are in {hive.folder})
Ctrl-C ends all of it.
"""


class _Kept:
    """One process that is started again whenever it has ended."""

    def __init__(self, process):
        self._process = process
        self._delay = 0.0
        self._due = None  # when it starts again; None while it runs
        self._started = time.monotonic()

    def look(self):
        """One line about what was noticed or done, or None."""
        now = time.monotonic()
        if self._process.alive():
            return None
        if self._due is None:
            again = now - self._started < _SOON
            self._delay = min(2 * self._delay, _RESTART_DELAY_MAX) if self._delay and again else _RESTART_DELAY
            self._due = now + self._delay
            return f"{self._process.name} ended ({_ending(self._process.exit_code)}), starts again in {self._delay:g} s"
        if now < self._due:
            return None
        self._process.start()
        self._due = None
        self._started = now
        return f"{self._process.name} started again"


def _ending(exit_code):
    return f"signal {-exit_code}" if exit_code < 0 else f"exit {exit_code}"


def _rows(hive):
    """One row per pod: address, redis, coordinator, proxy, as they are now."""
    rows = [("POD", "REDIS", "COORDINATOR", "PROXY")]
    for pod in hive.pods:
        rows.append((pod.ip, f"{_redis(pod)} {_pid(pod.redis)}", f"{_coordinator(pod)} {_pid(pod.coordinator)}",
                     f"{'up' if pod.proxy.alive() else 'down'} {_pid(pod.proxy)}"))
    return rows


def _pid(process):
    return f"[{process.pid}]" if process.alive() else ""


def _redis(pod):
    role = pod.redis.role()
    if role is None:
        return "no answer" if pod.redis.alive() else "down"
    kind, master, link = role
    if kind == "master":
        return "MASTER"
    if master is None:
        return "parked"
    return f"replicates {master}" if link == "connected" else f"joins {master} ({link})"


def _coordinator(pod):
    if not pod.coordinator.alive():
        return "down"
    state = pod.status()
    if state is None:
        return "no answer"
    return f"{state['role'].removeprefix('ROLE_').lower()}, term {state.get('term', 0)}"


class _Screen:
    """The live table: redrawn in place on a terminal; elsewhere printed when something has changed."""

    def __init__(self):
        self._drawn = 0
        self._last = None

    def show(self, rows, news):
        for line in news:
            self._erase()
            print(time.strftime("%H:%M:%S"), line)
        if sys.stdout.isatty() or rows != self._last:
            self._erase()
            self._draw(rows)
            self._last = rows
        sys.stdout.flush()

    def _erase(self):
        if self._drawn and sys.stdout.isatty():
            print(f"\x1b[{self._drawn}A\x1b[J", end="")
        self._drawn = 0

    def _draw(self, rows):
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        columns = shutil.get_terminal_size().columns
        for row in rows:
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
            print(line[:columns - 1] if sys.stdout.isatty() else line)
        self._drawn = len(rows)
