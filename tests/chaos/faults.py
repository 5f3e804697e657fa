"""The faults: how each is done, and what it may cost.

A fault's `do` gets a Scene with a settled stack under load. It injects, holds, and heals, and returns when the last thing that it
does is done; the runner waits until all is settled again. To add one, write a function and a row of FAULTS.
"""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import Callable

from localhive import resp

from . import netns
from .stack import COORDINATOR, PARTS, PROXY, REDIS, Unsupported

LEADER, FOLLOWER = "leader", "follower"

LEADER_TIMEOUT = 1000  # ms; the hive's defaults, which the bars are made of
REDIS_TIMEOUT = 2000
CUT = 15.0  # s that a partition lasts
HOLD_TIMEOUT = 10.0  # s; the proxy answers -MASTERDOWN then

# What may be lost of acknowledged writes.
UNREPLICATED = "what replication had not carried"
NOTHING = "0"
HALF_TIMEOUT = "leader_timeout / 2 of writes"


@dataclass(frozen=True)
class Fault:
    name: str
    title: str  # a row of the table
    do: Callable
    bar: tuple = None  # (median, maximum) of the gap in ms; None: no promise
    may_lose: str = UNREPLICATED
    no_errors: bool = False  # clients may not see any
    may_overlap: float = 0  # ms in which both sides of a partition may have writes acknowledged
    may_read_stale: bool = False  # those who reach the old leader alone read what it has, until it learns of the new one
    pods: int = 3
    sides: str = None  # LEADER or FOLLOWER: clients "a" use only that pod, clients "b" the others, and the gap is that of "b"
    options: dict = field(default_factory=dict)  # of the stack: see Stack.unavailable_options
    patience: float = 5.0  # s that a client waits for a reply
    converges: float = 2600 + 3000  # ms after the heal: promise 4, and one resync with redis's own second between two tries
    heavy: bool = False  # only when named


class Scene:
    """What a fault acts upon."""

    def __init__(self, stack, load, cut_off=None, dataset_mb=200):
        self.stack = stack
        self.network = stack.network
        self.leader = stack.leader()
        self.followers = [pod for pod in stack.pods if pod is not self.leader]
        self.load = load
        self.dataset_mb = dataset_mb
        self.cut_off = cut_off  # the pod that clients "a" use
        self.began = time.monotonic()
        self.cut_span = None  # (from, until) when no packet passed between the sides

    def begins(self):
        """Called by a fault that takes long to prepare: gaps count from here."""
        self.began = time.monotonic()

    def sleep(self, seconds):
        self.stack.sleep(seconds)

    def sides(self):
        """The namespaces of the pod that is cut off, with its clients; and all others, but for discovery's."""
        a = [self.cut_off.namespace, self.load.groups["a"].namespace]
        b = [pod.namespace for pod in self.stack.pods if pod is not self.cut_off] + [self.load.groups["b"].namespace]
        return a, b

    def cut(self, pairs, reject):
        (self.network.reject if reject else self.network.drop)(pairs)
        self.cut_span = (time.monotonic(), None)

    def mend(self):
        self.cut_span = (self.cut_span[0], time.monotonic())
        self.network.mend()


# -- one process ----------------------------------------------------------------------------------------------------------------


def _pod(scene, whose):
    return scene.leader if whose == LEADER else scene.followers[0]


def kill(whose, part, back_after):
    """kill -9 and a new process after `back_after` s: a redis is empty then."""
    def do(scene):
        process = _pod(scene, whose).parts[part]
        process.kill()
        scene.sleep(back_after)
        process.start()
    return do


def terminate(whose, part, back_after=1.0):
    """SIGTERM, as of a container that is restarted by itself; started again when it has ended."""
    def do(scene):
        process = _pod(scene, whose).parts[part]
        process.signal(signal.SIGTERM)
        scene.stack.wait(lambda: not process.alive(), 40, f"{process.name} to end", 0.005)
        scene.sleep(back_after)
        process.start()
    return do


def stop(whose, parts, seconds):
    """SIGSTOP, and SIGCONT after `seconds`."""
    def do(scene):
        processes = [_pod(scene, whose).parts[part] for part in parts]
        for process in processes:
            process.freeze()
        try:
            scene.sleep(seconds)
        finally:
            for process in processes:
                process.thaw()
    return do


# -- a pod ----------------------------------------------------------------------------------------------------------------------


def replace(whose):
    """kill -9 of everything, the network gone; an empty pod with a new IP."""
    def do(scene):
        scene.stack.crash_pod(_pod(scene, whose))
        scene.stack.wait_ready(scene.stack.add_pod())
    return do


def silence(whose, seconds):
    """Every packet to and from the node is dropped; it comes back as it was."""
    def do(scene):
        scene.network.silence(_pod(scene, whose).namespace)
        scene.sleep(seconds)
        scene.network.mend()
    return do


def silence_for_good(scene):
    """The node never comes back: after 5 s the pod is given up, and another one takes its place."""
    scene.network.silence(scene.leader.namespace)
    scene.sleep(5)
    scene.stack.forget(scene.leader)
    scene.stack.wait_ready(scene.stack.add_pod())
    scene.leader.kill()
    scene.network.mend()
    scene.network.remove(scene.leader.namespace)


def hand_over(scene):
    scene.stack.hand_over()


def end_leader(surge_first):
    """The leader's pod is deleted; its replacement is ready beforehand, as in a rollout, or made afterwards, as in a drain."""
    def do(scene):
        if surge_first:
            scene.stack.wait_ready(scene.stack.add_pod())
        scene.stack.begin_termination(scene.leader)
        if not surge_first:
            if not scene.stack.surges:
                _wait_ended(scene)
            scene.stack.wait_ready(scene.stack.add_pod())
        _wait_ended(scene)
    return do


def roll(scene):
    """What a Deployment does with maxSurge 1 and maxUnavailable 0: it counts a pod out as soon as it is told to end. A StatefulSet
    ends a pod, and makes its successor when it is gone: the last one first. Its charts' probes begin half a minute late, which is
    time enough for all to learn of the new one; so that is waited for."""
    for old in list(scene.stack.pods) if scene.stack.surges else reversed(list(scene.stack.pods)):
        if scene.stack.surges:
            scene.stack.wait_ready(scene.stack.add_pod())
            scene.stack.begin_termination(old)
        else:
            scene.stack.begin_termination(old)
            _wait_ended(scene)
            scene.stack.wait_ready(scene.stack.add_pod())
            scene.stack.wait(scene.stack.rested, 60, "all that decides to know of the new pod", 0.1)
    _wait_ended(scene)


def _wait_ended(scene):
    scene.stack.wait(lambda: not any(map(scene.stack.terminating, scene.stack.pods)), 60, "terminated pods to end")


# -- the network ----------------------------------------------------------------------------------------------------------------


def cut(make_pairs, reject=False, seconds=CUT, discovery_too=False):
    """Between the two sides, clients included. Both reach discovery, unless the side that is cut off loses that, too."""
    def do(scene):
        a, b = scene.sides()
        scene.cut(make_pairs(a, b + (scene.stack.discovery if discovery_too else [])), reject)
        scene.sleep(seconds)
        scene.mend()
    return do


def cut_from_one_follower(scene):
    """Leader and one follower cannot hear each other; everyone else hears both."""
    scene.network.drop(netns.both_ways([scene.leader.namespace], [scene.followers[0].namespace]))
    scene.sleep(CUT)
    scene.network.mend()


def flap(scene):
    """The leader's node is silent for 0.6 s, and again after 0.6 s, ten times: less than leader_timeout each."""
    for _ in range(10):
        scene.network.silence(scene.leader.namespace)
        scene.sleep(0.6)
        scene.network.mend()
        scene.sleep(0.6)


def lossy(scene):
    """Every tenth packet to and from the leader's node is lost for 10 s."""
    try:
        scene.network.lose(scene.leader.namespace, 10)
    except subprocess.CalledProcessError as error:
        raise Unsupported(f"nftables of this kernel loses nothing at random: {error.stderr.strip().splitlines()[0]}") from error
    scene.sleep(10)
    scene.network.mend()


def discovery_down(scene):
    scene.stack.stop_discovery()
    scene.sleep(20)
    scene.stack.start_discovery()


def sync_storm(scene):
    """Both followers are lost at once; two empty pods want everything from a leader that holds a large dataset."""
    _fill(scene)
    scene.begins()
    before, promotion = scene.leader, _replication_id(scene.leader)
    for pod in scene.followers:
        scene.stack.crash_pod(pod)
    new = [scene.stack.add_pod() for _ in scene.followers]
    for pod in new:
        scene.stack.wait_ready(pod, 300)
    if scene.stack.leader() is not before or _replication_id(before) != promotion:
        raise Broken(f"the full syncs deposed {before.ip}")


def _replication_id(pod):
    """Another one after every promotion."""
    return next(line for line in pod.redis("INFO", "replication").split() if line.startswith(b"master_replid:"))


class Broken(Exception):
    """A fault saw that something happened which may not; says what."""


_BLOCK = 100_000  # bytes of a value in the large dataset


def _fill(scene):
    """`dataset_mb` of values that do not compress; once per stack, past the proxies so that the load is not disturbed for long."""
    have = scene.leader.redis("EXISTS", "large:0", f"large:{scene.dataset_mb * 10 - 1}")
    for i in range(0 if have != 2 else scene.dataset_mb * 10, scene.dataset_mb * 10):
        if scene.leader.redis("SET", f"large:{i}", os.urandom(_BLOCK), timeout=10) != "OK":
            raise resp.ConnectionLost("the leader's redis did not take the large dataset")
        if i % 50 == 0:
            scene.stack.step()
    scene.stack.wait_settled(300)


def nothing(scene):
    scene.sleep(5)


# -- the table --------------------------------------------------------------------------------------------------------------------

# Gaps to reach, in ms: median and maximum.
_UNNOTICED = (50, 50)  # comes without any fault on a busy machine ("control")
_AT_ONCE = (30, 150)  # a death that is seen, redis or coordinator
_POD = (200, 350)
_SILENCE = (LEADER_TIMEOUT + 300, LEADER_TIMEOUT + 800)
_REDIS_SILENCE = (REDIS_TIMEOUT + 300, REDIS_TIMEOUT + 800)
_PLANNED = (20, 100)
_ROLLING = (50, 200)
_SYNC = (50, 500)
# A redis that is told to end takes no writes until its replicas have acknowledged all, which they do once a second.
_ENDED = {REDIS: _SILENCE, COORDINATOR: _AT_ONCE, PROXY: _UNNOTICED}


def _unnoticed(name, title, do, **more):
    return Fault(name, title, do, _UNNOTICED, NOTHING, **more)


def _planned(name, title, do, bar=_PLANNED):
    return Fault(name, title, do, bar, NOTHING, no_errors=True)


def _leader_cut(name, title, do, may_lose=HALF_TIMEOUT, **more):
    return Fault(name, title, do, _SILENCE, may_lose, sides=LEADER, may_read_stale=True, patience=HOLD_TIMEOUT + 2, **more)


def _follower_cut(name, title, do, **more):
    return _unnoticed(name, title, do, sides=FOLLOWER, patience=HOLD_TIMEOUT + 2, **more)


FAULTS = {fault.name: fault for fault in [
    _unnoticed("control", "nothing", nothing, no_errors=True),

    Fault("redis-50ms", "leader's redis killed, back empty in 50 ms", kill(LEADER, REDIS, 0.05), _AT_ONCE),
    Fault("redis-1s", "leader's redis killed, back empty in 1 s", kill(LEADER, REDIS, 1.0), _AT_ONCE),
    Fault("coordinator", "leader's coordinator killed, back in 1 s", kill(LEADER, COORDINATOR, 1.0), _AT_ONCE, NOTHING),
    _unnoticed("proxy", "leader's proxy killed, back in 1 s", kill(LEADER, PROXY, 1.0)),
    Fault("pod-replaced", "leader's pod killed, replaced by an empty one with a new IP", replace(LEADER), _POD),
    Fault("node-silent", "leader's node silent for 6 s", silence(LEADER, 6.0), _SILENCE, may_read_stale=True),
    Fault("node-replaced", "leader's node silent for good, its pod replaced", silence_for_good, _SILENCE, may_read_stale=True),
    Fault("redis-stopped", "leader's redis stopped (SIGSTOP) for 10 s", stop(LEADER, [REDIS], 10.0), _REDIS_SILENCE),
    Fault("coordinator-stopped", "leader's coordinator stopped for 10 s", stop(LEADER, [COORDINATOR], 10.0), _SILENCE, NOTHING),
    _unnoticed("proxy-stopped", "leader's proxy stopped for 3 s", stop(LEADER, [PROXY], 3.0)),
    Fault("pod-stopped", "leader's pod stopped for 10 s", stop(LEADER, PARTS, 10.0), _SILENCE, may_read_stale=True),

    _planned("handover", "planned handover", hand_over),
    _planned("pod-ended-surge", "SIGTERM of the leader's pod, its replacement ready before", end_leader(True)),
    _planned("pod-ended", "SIGTERM of the leader's pod, its replacement made afterwards", end_leader(False)),
    _planned("rolling", "rolling replacement of all pods", roll, _ROLLING),

    _unnoticed("follower-replaced", "a follower's pod killed and replaced", replace(FOLLOWER)),
    _unnoticed("follower-silent", "a follower's node silent for 6 s", silence(FOLLOWER, 6.0)),
    _unnoticed("dns-down", "DNS down for 20 s", discovery_down, no_errors=True),
    Fault("two-pods", "two pods: the leader's pod killed and replaced", replace(LEADER), _POD, pods=2),

    _leader_cut("leader-cut", "leader cut off for 15 s, clients on both sides", cut(netns.both_ways)),
    _leader_cut("leader-cut-acks", "leader cut off for 15 s, --write-acks 1", cut(netns.both_ways), NOTHING,
                options={"write_acks": 1}),
    _leader_cut("leader-cut-rejected", "leader cut off for 15 s by a firewall that rejects", cut(netns.both_ways, reject=True),
                may_overlap=LEADER_TIMEOUT / 2),  # promise 2: resets are taken for a crash, whose leader writes no more
    _leader_cut("leader-deaf", "leader hears nobody for 15 s", cut(lambda a, b: netns.one_way(b, a))),
    _leader_cut("leader-mute", "nobody hears the leader for 15 s", cut(netns.one_way)),
    _leader_cut("leader-cut-dns", "leader cut off for 15 s, from DNS, too", cut(netns.both_ways, discovery_too=True)),
    _unnoticed("leader-half-cut", "leader and one follower cannot hear each other for 15 s", cut_from_one_follower,
               patience=HOLD_TIMEOUT + 2),
    _follower_cut("follower-cut", "one follower cut off for 15 s, clients on both sides", cut(netns.both_ways)),
    _follower_cut("follower-cut-rejected", "one follower cut off for 15 s by a firewall that rejects",
                  cut(netns.both_ways, reject=True)),

    _follower_cut("follower-cut-dns", "one follower cut off for 15 s, from DNS, too", cut(netns.both_ways, discovery_too=True)),
    Fault("leader-flaps", "leader's node silent for 0.6 s, ten times", flap, may_read_stale=True),
    Fault("leader-lossy", "leader's node loses every tenth packet for 10 s", lossy, may_read_stale=True),

    *[Fault(f"{part}-ended", f"leader's {part} ended by SIGTERM, back in 1 s", terminate(LEADER, part), _ENDED[part])
      for part in PARTS],
    *[_unnoticed(f"follower-{part}", f"a follower's {part} killed, back in 1 s", kill(FOLLOWER, part, 1.0)) for part in PARTS],
    *[_unnoticed(f"follower-{part}-stopped", f"a follower's {part} stopped for 3 s", stop(FOLLOWER, [part], 3.0))
      for part in PARTS],
    _unnoticed("follower-stopped", "a follower's pod stopped for 10 s", stop(FOLLOWER, PARTS, 10.0)),
    Fault("sync-storm", "both followers replaced at a large dataset", sync_storm, _SYNC, NOTHING, converges=60000, heavy=True),
]}
