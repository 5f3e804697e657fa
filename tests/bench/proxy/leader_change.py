"""A leader change under many connected clients: how soon after the new leader's announcement each of them is served again.

The announcement is the log line of the new leader's coordinator that it leads now: it tells members and proxies right then. A client's
time counts from there, or from its own next command if that comes later; a client whose connection was closed is served again once a
command on its new connection is answered. The clients send a command every 100 ms each, so that everybody has one under way within 100
ms of the announcement, and pods, proxies and clients leave the machine air: it is not throughput that is measured here.
"""

import datetime
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass

from localhive import addresses, faults
from localhive.process import wait_until
from table import progress

_INTERVAL = 0.1  # s between a reply and the client's next command
_BEFORE, _AFTER = 0.5, 2.0  # s of load around a change
_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leader_clients.py")


def _hand_over(_, leader):
    run = leader.coordinator_command("handover", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
    if run.returncode != 0:
        raise ChangeFailed(f"the handover was refused: {run.stdout.strip()} {run.stderr.strip()}")


FAULTS = {
    "handover": _hand_over,
    "leader's redis killed": lambda hive, leader: faults.kill_redis(hive, leader, 0.05),
    "leader's pod killed and replaced": faults.replace_pod,
}


class ChangeFailed(Exception):
    """There was no change of leader to measure; says why."""


@dataclass(frozen=True)
class Sample:
    """All in ms. `announced`: from the fault on; `slowest`: the client that was served again last, after the announcement;
    `longest_wait`: of any client for one command, from the fault on; `own_delay`: by how much the clients' own process was late, at
    most."""
    fault: str
    round: int
    clients: int
    announced: float
    slowest: float
    longest_wait: float
    errors: int
    own_delay: float

    def record(self):
        return asdict(self)


def measure(hive, names, clients, rounds):
    """Samples of the faults, in turn within each round. `hive`: started, with three pods; `names`: of FAULTS."""
    samples = []
    for number in range(rounds):
        for fault in names:
            samples.append(_once(hive, fault, FAULTS[fault], clients, number))
            s = samples[-1]
            progress(f"round {number + 1}, {fault}: announced after {s.announced:.0f} ms, everybody served {s.slowest:.0f} ms later "
                     f"({s.errors} errors; clients' own delay at most {s.own_delay:.0f} ms)")
    return samples


def _once(hive, fault, make, count, number):
    leader = hive.wait_settled(30)
    load = _Load(count, [pod.ip for pod in hive.pods])
    try:
        time.sleep(_BEFORE)
        wall_ahead = time.time() - time.monotonic()
        began = time.monotonic()
        make(hive, leader)
        announced = wait_until(lambda: _announced(hive, leader, began + wall_ahead), 15, "a new leader's announcement") - wall_ahead
        time.sleep(max(0.0, announced + _AFTER - time.monotonic()))
        seen = load.end()
    finally:
        load.kill()
    return digest(fault, number, count, began, announced, seen)


def digest(fault, number, count, began, announced, seen):
    """The sample of what the clients have `seen` (the JSON of leader_clients.py), of a fault at `began`. Pure."""
    again, longest = {}, 0.0
    for client, wanted, when in seen["served"]:
        if when > announced:
            again.setdefault(client, when - max(announced, wanted))
        if when > began:
            longest = max(longest, when - wanted)
    if len(again) < count:
        raise ChangeFailed(f"{fault}: {count - len(again)} of {count} clients were not served again within {_AFTER:g} s")
    return Sample(fault, number, count, (announced - began) * 1000, max(again.values()) * 1000, longest * 1000,
                  sum(when >= began for when, _, _ in seen["errors"]),
                  max((late for when, late in seen["own_delay"] if when >= began), default=0.0) * 1000)


def _announced(hive, old_leader, since):
    """When (time.time()) the first coordinator but the old leader's said that it leads, after `since`. None if none did."""
    moments = []
    for pod in hive.pods:
        if pod is old_leader:
            continue
        with open(pod.coordinator.log_path, errors="replace") as log:
            for line in log:
                if '"message":"leading: ' not in line:
                    continue
                moment = datetime.datetime.fromisoformat(json.loads(line)["time"].replace("Z", "+00:00")).timestamp()
                if moment >= since - 0.001:  # the log has whole milliseconds
                    moments.append(moment)
    return min(moments, default=None)


class _Load:
    """leader_clients.py, from the moment on at which every client was served."""

    def __init__(self, count, ips):
        self._child = subprocess.Popen(
            [sys.executable, _PROGRAM, str(count), str(_INTERVAL), ",".join(f"{ip}:{addresses.PROXY_PORT}" for ip in ips)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        watchdog = threading.Timer(60, self._child.kill)
        watchdog.start()
        ready = self._child.stdout.readline()
        watchdog.cancel()
        if ready != b"ready\n":
            self.kill()
            raise ChangeFailed(f"not all of {count} clients were served within 60 s")

    def end(self):
        """What they have seen."""
        seen, _ = self._child.communicate(timeout=60)
        return json.loads(seen)

    def kill(self):
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()
