"""Throughput, latency and CPU per request: every contender in turn within each round, each workload, SET and GET.

Two modes. `pinned`: client, proxy and redis share one CPU, so that requests/s is one over the CPU that all three use per request; such
ratios repeat on a busy machine, too. `free`: the kernel places them.
"""

import os
from dataclasses import asdict, dataclass

from localhive import resp
from localhive.addresses import REDIS_PORT

from table import progress

from . import contenders
from .workloads import KEY, OPERATIONS, run_once, scaled

PINNED, FREE = "pinned", "free"
MODES = (PINNED, FREE)


@dataclass(frozen=True)
class Sample:
    """One run. Latencies in ms; CPU in seconds over the run."""
    mode: str
    workload: str
    operation: str
    round: int
    contender: str
    requests: int
    requests_per_s: float
    p50: float
    p99: float
    wall: float
    client_cpu: float
    proxy_cpu: float
    redis_cpu: float

    @property
    def cpu_per_request(self):
        """Of client, proxy and redis together, in seconds."""
        return (self.client_cpu + self.proxy_cpu + self.redis_cpu) / self.requests

    def record(self):
        return asdict(self)


def measure(pod, competing, modes, workloads, rounds, scale=1.0, bystanders=()):
    """Samples of every workload and contender, round by round. All run on `pod`'s redis; `bystanders`: other processes of the hive."""
    placement = _Placement(pod, competing, bystanders)
    for contender in competing:
        contender.start()
    samples = []
    try:
        for mode in modes:
            for number in range(rounds):
                samples += _round(pod, competing, placement, mode, workloads, number, scale)
    finally:
        placement.release()
    return samples


def _round(pod, competing, placement, mode, workloads, number, scale):
    """Whoever was first in a round is last in the next one. Workload by workload, so that what is compared is close in time."""
    turn = number % len(competing)
    order = competing[turn:] + competing[:turn]
    samples = []
    for workload in workloads:
        resp.ask(pod.ip, REDIS_PORT, "SET", KEY, b"x" * workload.value_bytes, timeout=5)
        for contender in order:
            cpus = placement.place(contender, mode)
            for operation in OPERATIONS:
                before = contender.cpu(), contenders.cpu_seconds(pod.redis.pid)
                run = run_once(workload, operation, contender.endpoint, cpus, scale)
                samples.append(Sample(
                    mode, workload.name, operation, number, contender.name, scaled(workload, scale), run.requests_per_s, run.p50, run.p99,
                    run.wall, run.cpu, contender.cpu() - before[0], contenders.cpu_seconds(pod.redis.pid) - before[1]))
        here = samples[-len(OPERATIONS) * len(order):]
        progress(f"{mode}, round {number + 1}, {workload.title}, requests/s of SET and GET: " + "; ".join(
            f"{c.name} " + " ".join(f"{s.requests_per_s:.0f}" for s in here if s.contender == c.name) for c in competing))
    return samples


class _Placement:
    """Which CPUs everybody runs on. Whoever is not measured is kept away from the CPU that is, where there are two."""

    def __init__(self, pod, competing, bystanders):
        self._all = os.sched_getaffinity(0)
        self._one = {max(self._all)}
        self._pod = pod
        self._processes = [c.process for c in competing if c.process] + [pod.coordinator, pod.proxy, *bystanders]

    def place(self, contender, mode):
        """Everybody where `contender` is to be measured; the CPUs for the client."""
        measured = self._one if mode == PINNED else self._all
        others = (self._all - self._one or self._all) if mode == PINNED else self._all
        os.sched_setaffinity(0, others)
        for process in self._processes:
            if process is not contender.process:
                contenders.pin(process.pid, others)
        for process in (self._pod.redis, contender.process):
            if process:
                contenders.pin(process.pid, measured)
        return measured

    def release(self):
        os.sched_setaffinity(0, self._all)
        for process in [*self._processes, self._pod.redis]:
            if process.alive():
                contenders.pin(process.pid, self._all)
