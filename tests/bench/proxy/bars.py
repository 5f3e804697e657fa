"""What was set out to be reached, of hive-proxy with everything pinned to one CPU. Pure."""

import operator
import statistics
from dataclasses import dataclass

_COMPARE = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Bar:
    """`name`: what is measured; `unit` goes behind the limit; a `stretch` is hoped for rather than promised."""
    name: str
    comparison: str
    limit: float
    unit: str = ""
    stretch: bool = False
    every: bool = False  # run must keep it, not only the median

    def __str__(self):
        return f"{self.comparison} {self.limit:g}{self.unit}" + (" (stretch)" if self.stretch else "")

    def verdict(self, values):
        """Of what is judged()."""
        if not values:
            return "not measured"
        return "met" if _COMPARE[self.comparison](self.judged(values), self.limit) else "missed"

    def judged(self, values):
        """The median, or the worst."""
        if self.every:
            return max(values) if self.comparison == "<=" else min(values)
        return statistics.median(values)


def throughput(workload, operation):
    """Names of bars, as BARS has them and the JSON file, too."""
    return f"throughput {workload} {operation}"


def best_rival(workload, operation):
    return f"throughput to best rival {workload} {operation}"


def latency(workload, operation, percentile):
    return f"{percentile} {workload} {operation}"


def proxy_cpu(workload):
    return f"proxy CPU {workload}"


def redis_cpu(workload):
    return f"redis CPU {workload}"


def leader_change(fault):
    return f"all clients served after: {fault}"


MEMORY = "memory per idle client"
WRITE_ACKS = "throughput with --write-acks 1"


def _both(name, workload, *rest):
    return [Bar(name(workload, operation), *rest) for operation in ("SET", "GET")]


BARS = {bar.name: bar for bar in (
    *_both(throughput, "1xP1", ">=", 0.50),
    *_both(throughput, "50xP1", ">=", 0.95),
    *_both(throughput, "500xP1", ">=", 0.95),
    *_both(throughput, "50xP16", ">=", 0.90),
    Bar(throughput("50x16KiB", "SET"), ">=", 0.65, "", True),
    Bar(throughput("50x16KiB", "GET"), ">=", 0.78, "", True),
    *_both(throughput, "1x1MiB", ">=", 0.45),
    *_both(best_rival, "50xP1", ">=", 1.10),
    *_both(best_rival, "50xP16", ">=", 1.20),
    *(Bar(latency("1xP1", operation, "p50"), "<=", 2.1, "x") for operation in ("SET", "GET")),
    *(Bar(latency("50xP1", operation, "p99"), "<=", 1.0, "x", True) for operation in ("SET", "GET")),
    *(Bar(latency("50xP16", operation, "p99"), "<=", 1.3, "x") for operation in ("SET", "GET")),
    Bar(proxy_cpu("50xP1"), "<=", 7.2, " us"),
    Bar(proxy_cpu("50xP16"), "<=", 0.55, " us"),
    Bar(redis_cpu("50xP1"), "<=", 0.25),
    Bar(MEMORY, "<=", 512, " B"),
    Bar(WRITE_ACKS, ">=", 0.60),
    *(Bar(leader_change(fault), "<=", 100, " ms", every=True)
      for fault in ("handover", "leader's redis killed", "leader's pod killed and replaced")),
)}
