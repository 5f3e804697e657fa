"""What the proxies are measured with, and one run of redis-benchmark."""

import csv
import resource
import subprocess
import time
from dataclasses import dataclass

KEY = "key:__rand_int__"  # what redis-benchmark writes and reads: one key, so that redis's own work stays the least
OPERATIONS = ("SET", "GET")
_PATIENCE = 120  # s that one run may take: thirty times what the slowest takes


@dataclass(frozen=True)
class Workload:
    """`requests`: how many make a run of about a second on a connection to redis itself, on a 2.4 GHz core."""
    name: str
    title: str
    clients: int
    pipeline: int
    value_bytes: int
    requests: int


WORKLOADS = {w.name: w for w in (
    Workload("1xP1", "1 client, P1", 1, 1, 64, 25_000),
    Workload("50xP1", "50 clients, P1", 50, 1, 64, 60_000),
    Workload("500xP1", "500 clients, P1", 500, 1, 64, 60_000),
    Workload("50xP16", "50 clients, pipeline 16", 50, 16, 64, 480_000),
    Workload("50x16KiB", "50 clients, 16 KiB", 50, 1, 16 * 1024, 25_000),
    Workload("1x1MiB", "1 client, 1 MiB", 1, 1, 1024 * 1024, 1_200),
)}


class RunFailed(Exception):
    """redis-benchmark got an error reply or none, or did not end; says from whom and what."""


@dataclass(frozen=True)
class Run:
    """Latencies in ms; `cpu`: seconds that redis-benchmark used; `wall`: its whole life in seconds."""
    requests_per_s: float
    p50: float
    p99: float
    cpu: float
    wall: float


def run_once(workload, operation, endpoint, cpus, scale=1.0):
    """One redis-benchmark on `cpus`. Raises RunFailed. No other child of this process may end meanwhile (its CPU would be counted)."""
    requests = scaled(workload, scale)
    argv = ["taskset", "-c", ",".join(map(str, sorted(cpus))), "redis-benchmark", "--csv", "-h", endpoint[0], "-p", str(endpoint[1]),
            "-c", str(workload.clients), "-P", str(workload.pipeline), "-d", str(workload.value_bytes), "-n", str(requests),
            "-t", operation.lower()]
    began, used = time.monotonic(), _children_cpu()
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{workload.title}, {operation} at {endpoint[0]}:{endpoint[1]} did not end within {_PATIENCE} s") from None
    wall, cpu = time.monotonic() - began, _children_cpu() - used
    rows = list(csv.DictReader(done.stdout.splitlines()))
    if done.returncode != 0 or len(rows) != 1:
        raise RunFailed(f"{workload.title}, {operation} at {endpoint[0]}:{endpoint[1]} failed: redis-benchmark exited with "
                        f"{done.returncode} and said {done.stdout.strip()[-300:]!r} {done.stderr.strip()[-300:]!r}")
    row = rows[0]
    return Run(float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), cpu, wall)


def scaled(workload, scale):
    """So many requests of a run; at least two batches of every client."""
    return max(int(workload.requests * scale), 2 * workload.clients * workload.pipeline)


def _children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
