"""What can happen to a hive, and what clients see of it: for the demo and the benchmarks."""

import time
from dataclasses import dataclass, field
from collections import Counter


@dataclass
class Outcome:
    """Of one fault. Gaps in seconds; `lost`: keys that were acknowledged and are not there afterwards."""
    fault: str
    gap: float
    worst_client_gap: float
    lost: list
    errors: Counter = field(default_factory=Counter)
    leader_before: str = ""
    leader_after: str = ""


def kill_redis(hive, pod, back_after):
    """kill -9 of the redis; an empty one is back in the same folder after `back_after` s, as a restarted container."""
    pod.redis.kill()
    time.sleep(back_after)
    pod.redis.start()


def kill_coordinator(hive, pod, back_after):
    pod.coordinator.kill()
    time.sleep(back_after)
    pod.coordinator.start()


def replace_pod(hive, pod):
    """kill -9 of all of the pod; DNS drops it, and a new pod with a new IP is listed and started."""
    hive.remove_pod(pod)
    hive.add_pod()


_MARGIN = 1.0  # s before a fault whose acknowledged writes are judged, too: they may not have been replicated


def observe(hive, load, name, fault):
    """Runs `fault(hive, leader)` under `load` on a settled hive, and says what the clients saw until it is settled again."""
    leader = hive.wait_settled()
    time.sleep(_MARGIN)
    since = time.monotonic()
    fault(hive, leader)
    after = hive.wait_settled(30)
    time.sleep(0.5)
    until = time.monotonic()
    return Outcome(name, load.longest_gap(since, until), load.worst_client_gap(since, until),
                   load.lost(after.ip, since - _MARGIN), load.errors(since), leader.ip, after.ip)
