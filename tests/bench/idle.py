"""What a hive that nobody uses costs: CPU and memory of its processes, as the kernel counts them (/proc)."""

import os
import time

from localhive import addresses
from localhive.hive import LocalHive

from table import print_table, progress

_SECONDS = 30
_PODS = 3


def run(binaries):
    with LocalHive(addresses.claim_test_block(), binaries) as hive:
        hive.start(_PODS)
        leader = hive.wait_writable(30)
        follower = next(pod for pod in hive.pods if pod is not leader)
        processes = {
            "coordinator that leads": leader.coordinator, "coordinator that follows": follower.coordinator,
            "proxy": follower.proxy, "redis that leads, for comparison": leader.redis,
        }
        progress(f"watching an idle hive for {_SECONDS} s")
        time.sleep(2)
        before = {name: _cpu_seconds(process.pid) for name, process in processes.items()}
        time.sleep(_SECONDS)
        rows = []
        for name, process in processes.items():
            used = _cpu_seconds(process.pid) - before[name]
            rows.append((name, f"{used / _SECONDS * 100:.2f} %", f"{_memory_kib(process.pid, 'Rss') / 1024:.1f}",
                         f"{_memory_kib(process.pid, 'Pss') / 1024:.1f}", _threads(process.pid)))
    print_table(f"An idle hive of {_PODS} pods over {_SECONDS} s",
                ("process", "of one core", "resident (MiB)", "its share of it (PSS, MiB)", "threads"), rows)


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_kib(pid, what):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith(f"{what}:"))


def _threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))
