"""How many messages the coordinators of an idle hive send, as their own counters (GetState) say, while members grow."""

import time

from localhive import addresses
from localhive.hive import LocalHive

from table import print_table, progress

_SECONDS = 10
_MEMBERS = (3, 5, 10, 15, 20, 25, 30)


def run(binaries):
    rows = []
    with LocalHive(addresses.claim_test_block(), binaries) as hive:
        hive.start(_MEMBERS[0])
        for members in _MEMBERS:
            while len(hive.pods) < members:
                hive.add_pod()
            leader = hive.wait_settled(60)
            time.sleep(3)
            before, began = _sent(hive), time.monotonic()
            time.sleep(_SECONDS)
            after, took = _sent(hive), time.monotonic() - began
            rates = {ip: (after[ip] - before[ip]) / took for ip in after}
            others = [rate for ip, rate in rates.items() if ip != leader.ip]
            rows.append((members, f"{sum(rates.values()):.0f}", f"{rates[leader.ip]:.0f}", f"{sum(others) / len(others):.1f}"))
            progress(f"{members} members: {rows[-1][1]} messages/s")
    print_table(f"Messages that the coordinators of an idle hive send, per second, over {_SECONDS} s",
                ("members", "all together", "the leader", "a follower"), rows)


def _sent(hive):
    """Messages sent so far, by pod."""
    return {pod.ip: sum(int(kind.get("sent", 0)) for kind in pod.status().get("messages", [])) for pod in hive.pods}
