"""The time from starting DNS and pods on nothing to the first acknowledged write through any proxy."""

import time

from localhive import addresses, resp
from localhive.hive import LocalHive

from table import median_and_most, print_table, progress

_TIMES = 5
_PODS = (1, 3, 5)


def run(binaries):
    rows = []
    for pods in _PODS:
        took = [_once(binaries, pods) for _ in range(_TIMES)]
        rows.append((pods, median_and_most(took, 1, 2)))
    print_table(f"From start to the first acknowledged write, {_TIMES} times each",
                ("pods, started at once", "s, median / max"), rows)


def _once(binaries, pods):
    with LocalHive(addresses.claim_test_block(), binaries) as hive:
        began = time.monotonic()
        hive.start(pods)
        while True:
            try:
                hive.pods[0].write("first", "write", timeout=30)
                break
            except (OSError, resp.ReplyError, resp.ConnectionLost):
                time.sleep(0.005)
        took = time.monotonic() - began
        progress(f"{pods} pods: {took:.2f} s")
        return took
