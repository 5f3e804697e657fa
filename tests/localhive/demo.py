"""`./hive demo`: three faults under load, and what the clients saw."""

from . import addresses, faults
from .hive import LocalHive
from .load import WriteLoad

_FAULTS = [
    ("the leader's redis (-9), back empty after 50 ms", lambda hive, pod: faults.kill_redis(hive, pod, 0.05)),
    ("the leader's coordinator (-9), back after 1 s", lambda hive, pod: faults.kill_coordinator(hive, pod, 1.0)),
    ("the leader's whole pod (-9), replaced by one with a new IP", faults.replace_pod),
]
_KEYS = 5000


def run(binaries):
    with LocalHive(addresses.Block(*addresses.DEMO), binaries) as hive:
        print("Starting three pods, each a redis-server, a hive-coordinator and a hive-proxy ...", flush=True)
        hive.start(3)
        leader = hive.wait_writable(30)
        follower = next(pod for pod in hive.pods if pod is not leader)
        print(f"{leader.ip} leads. Writing {_KEYS} keys through the proxy of {follower.ip} ...", flush=True)
        write_keys(follower)
        with WriteLoad(lambda: [pod.ip for pod in hive.pods]) as load:
            for name, fault in _FAULTS:
                print(f"\nKilling {name} ...", flush=True)
                _tell(faults.observe(hive, load, name, fault))
            load.stop()
            leader = hive.wait_settled()
            print(f"\nIn all: {load.acknowledged} writes acknowledged, {len(load.lost(leader.ip))} of them lost; "
                  f"of the {_KEYS} keys from before, {count_keys(leader)} are there.")


def write_keys(pod, count=_KEYS):
    """MSET of data:0 .. through the pod's proxy."""
    with pod.connect(15) as proxy:
        proxy.command("MSET", *(word for i in range(count) for word in (f"data:{i}", i)))


def count_keys(pod, count=_KEYS):
    """How many of data:0 .. the pod's redis has."""
    return pod.redis.ask("EXISTS", *(f"data:{i}" for i in range(count)))


def _tell(outcome):
    print(f"  leader: {outcome.leader_before} -> {outcome.leader_after}")
    print(f"  longest time without an acknowledged write: {outcome.gap * 1000:.0f} ms"
          f" (for the client that waited longest: {outcome.worst_client_gap * 1000:.0f} ms)")
    print(f"  acknowledged writes lost: {len(outcome.lost)}")
    for text, count in outcome.errors.items():
        print(f"  clients saw {count} x {text}")
    if not outcome.errors:
        print("  clients saw no error")
