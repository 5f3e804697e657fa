"""From samples to Markdown: ratios within each round, their medians and spread, and whether the bars were met. Pure."""

import statistics
from collections import defaultdict

from . import bars, memory, write_acks
from .bars import BARS
from .contenders import DIRECT, HIVE, RIVALS
from .throughput import PINNED
from .workloads import OPERATIONS, WORKLOADS

_MICRO = 1e6


class Verdicts:
    """What was measured against which bar, in the order in which it was asked."""

    def __init__(self):
        self.all = []  # (Bar, values, verdict)

    def judge(self, name, values):
        """The two cells of a table: the bar, and met or missed. ("", "") where there is no such bar."""
        if name not in BARS:
            return "", ""
        verdict = BARS[name].verdict(values)
        self.all.append((BARS[name], values, verdict))
        return str(BARS[name]), verdict

    def summary(self):
        missed = [f"{bar.name} ({bar.judged(values):.4g}{bar.unit}, bar {bar})"
                  for bar, values, verdict in self.all if verdict == "missed"]
        met = sum(verdict == "met" for _, _, verdict in self.all)
        return f"{met} of {len(self.all)} bars met." + (f" Missed: {'; '.join(missed)}." if missed else "")

    def records(self):
        return [{"name": bar.name, "bar": str(bar), "values": values, "verdict": verdict} for bar, values, verdict in self.all]


def by_round(samples, mode, workload, operation):
    """[{contender: sample}], a round each."""
    rounds = defaultdict(dict)
    for sample in samples:
        if (sample.mode, sample.workload, sample.operation) == (mode, workload, operation):
            rounds[sample.round][sample.contender] = sample
    return list(rounds.values())


def ratios(rounds, contender, value, to=DIRECT):
    """`value(sample)` of the contender over that of `to`, for each round that has both."""
    return [value(of[contender]) / value(of[to]) for of in rounds if contender in of and to in of and value(of[to]) > 0]


def to_best_rival(rounds):
    """hive-proxy's throughput over that of the round's fastest rival."""
    return [of[HIVE].requests_per_s / max(of[r].requests_per_s for r in RIVALS if r in of)
            for of in rounds if HIVE in of and any(r in of for r in RIVALS)]


def spread(values, digits=2):
    """ "0.52 (0.50..0.55)": median and range."""
    if not values:
        return "-"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def measured(samples, mode):
    """(workload, operation) pairs that were run, in the order of WORKLOADS."""
    ran = {(s.workload, s.operation) for s in samples if s.mode == mode}
    return [(w, o) for w in WORKLOADS.values() for o in OPERATIONS if (w.name, o) in ran]


def proxies(samples):
    """Contenders but for the direct way, in the order in which they were given."""
    return [name for name in dict.fromkeys(s.contender for s in sorted(samples, key=lambda s: s.round)) if name != DIRECT]


def throughput_table(samples, mode, verdicts):
    """Rows of requests/s over direct. Bars are those of PINNED."""
    names = proxies(samples)
    judged = mode == PINNED and HIVE in names
    rivalled = judged and any(rival in names for rival in RIVALS)
    header = ("workload", "direct, requests/s", *names, *(("bar", "") if judged else ()),
              *(("to best rival", "bar", "") if rivalled else ()))
    rows = []
    for workload, operation in measured(samples, mode):
        rounds = by_round(samples, mode, workload.name, operation)
        row = [f"{workload.title}, {operation}", _median_of(rounds, DIRECT, lambda s: s.requests_per_s, 0)]
        row += [spread(ratios(rounds, name, lambda s: s.requests_per_s)) for name in names]
        if judged:
            row += verdicts.judge(bars.throughput(workload.name, operation), ratios(rounds, HIVE, lambda s: s.requests_per_s))
        if rivalled:
            row += (spread(to_best_rival(rounds)), *verdicts.judge(bars.best_rival(workload.name, operation), to_best_rival(rounds)))
        rows.append(row)
    return header, rows


def total_cpu_table(samples, mode):
    """The same ratio as the pinned throughput's, from CPU clocks: direct's CPU per request of all three over the contender's."""
    names = proxies(samples)
    rows = []
    for workload, operation in measured(samples, mode):
        rounds = by_round(samples, mode, workload.name, operation)
        rows.append([f"{workload.title}, {operation}", _median_of(rounds, DIRECT, lambda s: s.cpu_per_request * _MICRO, 2)]
                    + [spread([1 / r for r in ratios(rounds, name, lambda s: s.cpu_per_request)]) for name in names])
    return ("workload", "direct, CPU of client and redis per request (us)", *names), rows


def latency_table(samples, mode, verdicts):
    names = proxies(samples)
    judged = mode == PINNED and HIVE in names
    rows = []
    for workload, operation in measured(samples, mode):
        rounds = by_round(samples, mode, workload.name, operation)
        for percentile in ("p50", "p99"):
            value = lambda s, of=percentile: getattr(s, of)  # noqa: E731
            rows.append([f"{workload.title}, {operation}, {percentile}", _median_of(rounds, DIRECT, value, 3)]
                        + [spread(ratios(rounds, name, value)) for name in names]
                        + (list(verdicts.judge(bars.latency(workload.name, operation, percentile), ratios(rounds, HIVE, value)))
                           if judged else []))
    return ("latency", "direct (ms)", *names, *(("bar", "") if judged else ())), rows


def proxy_cpu_table(samples, mode, verdicts):
    """CPU of the proxy per request; the mean of SET and GET is what is judged."""
    names = proxies(samples)
    judged = mode == PINNED and HIVE in names
    rows = []
    for workload in dict.fromkeys(w for w, _ in measured(samples, mode)):
        row = [workload.title] + [_set_get(samples, mode, workload, name, lambda s: s.proxy_cpu / s.requests * _MICRO) for name in names]
        if judged:
            both = [by_round(samples, mode, workload.name, operation) for operation in OPERATIONS]
            means = [statistics.mean(of[HIVE].proxy_cpu / of[HIVE].requests * _MICRO for of in rounds if HIVE in of)
                     for rounds in zip(*both) if any(HIVE in of for of in rounds)]
            row += verdicts.judge(bars.proxy_cpu(workload.name), means)
        rows.append(row)
    return ("SET / GET, CPU per request (us)", *names, *(("bar (mean)", "") if judged else ())), rows


def redis_cpu_table(samples, mode, verdicts):
    """CPU of redis per request over direct; the mean of SET and GET is what is judged."""
    names = proxies(samples)
    judged = mode == PINNED and HIVE in names
    value = lambda s: s.redis_cpu / s.requests  # noqa: E731
    rows = []
    for workload in dict.fromkeys(w for w, _ in measured(samples, mode)):
        both = [by_round(samples, mode, workload.name, operation) for operation in OPERATIONS]
        row = [workload.title, _set_get(samples, mode, workload, DIRECT, lambda s: value(s) * _MICRO)]
        row += [" / ".join(spread(ratios(rounds, name, value)) for rounds in both) for name in names]
        if judged:
            row += verdicts.judge(bars.redis_cpu(workload.name), [statistics.mean(pair) for pair in
                                                                  zip(*(ratios(rounds, HIVE, value) for rounds in both))])
        rows.append(row)
    return ("SET / GET, CPU of redis per request", "direct (us)", *(f"{name} / direct" for name in names),
            *(("bar (mean)", "") if judged else ())), rows


def memory_table(samples, verdicts):
    rows = []
    for used in dict.fromkeys(s.used for s in samples):
        for name in dict.fromkeys(s.contender for s in samples):
            values = [s.per_client for s in samples if (s.used, s.contender) == (used, name)]
            bar = bars.MEMORY if (used, name) == (memory.JUDGED, HIVE) else None
            rows.append((name, used, spread(values, 0), *verdicts.judge(bar, values)))
    return ("proxy", "each client has written and read", "B per client", "bar", ""), rows


def write_acks_table(samples, mode, verdicts):
    """Throughput with --write-acks 1 over that without, through proxies of the same pod; and the same from CPU clocks, as above."""
    rows = []
    for workload, operation in measured(samples, mode):
        rounds = by_round(samples, mode, workload.name, operation)
        values = ratios(rounds, write_acks.ACKS, lambda s: s.requests_per_s, to=HIVE)
        by_cpu = [1 / r for r in ratios(rounds, write_acks.ACKS, lambda s: s.cpu_per_request, to=HIVE)]
        judged = (mode, workload.name, operation) == (PINNED, write_acks.LOADS[0], "SET")
        rows.append((f"{workload.title}, {operation}", _median_of(rounds, HIVE, lambda s: s.requests_per_s, 0),
                     _median_of(rounds, write_acks.ACKS, lambda s: s.requests_per_s, 0), spread(values),
                     *verdicts.judge(bars.WRITE_ACKS if judged else None, values), spread(by_cpu)))
    return ("workload", "without, requests/s", "with", "with / without", "bar", "", "from CPU clocks"), rows


def leader_change_table(samples, verdicts):
    rows = []
    for fault in dict.fromkeys(s.fault for s in samples):
        those = [s for s in samples if s.fault == fault]
        slowest = [s.slowest for s in those]
        rows.append((fault, len(those), spread([s.announced for s in those], 0), spread(slowest, 0),
                     *verdicts.judge(bars.leader_change(fault), slowest), spread([s.longest_wait for s in those], 0),
                     spread([s.errors for s in those], 0), f"{max(s.own_delay for s in those):.0f}"))
    return ("what happened", "times", "announced after (ms)", "slowest client served, after the announcement (ms)", "bar (every run)", "",
            "longest wait for a command (ms)", "connections closed", "clients' own delay, most (ms)"), rows


def share_of_cpu(samples):
    """How much of their one CPU those who were pinned to it got: below about .95 somebody else was there. None if none was pinned."""
    shares = [(s.client_cpu + s.proxy_cpu + s.redis_cpu) / s.wall for s in samples if s.mode == PINNED]
    return statistics.median(shares) if shares else None


def _set_get(samples, mode, workload, contender, value):
    return " / ".join(_median_of(by_round(samples, mode, workload.name, operation), contender, value, 2) for operation in OPERATIONS)


def _median_of(rounds, contender, value, digits):
    values = [value(of[contender]) for of in rounds if contender in of]
    return f"{statistics.median(values):.{digits}f}" if values else "-"
