"""`./hive compare [FAULT...]`: the same faults on Redis Hive and on redis with Sentinel and HAProxy, one fault after the other.

    python3 -m chaos.compare [check] [OPTION...] [FAULT...]

Results are those of `./hive chaos`: what is recorded of a stack's build counts, what is missing is run. docs/comparison.md.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from collections import Counter

from . import netns
from .faults import FAULTS
from .results import Results
from .runner import run_fault
from .stack import Unsupported
from .stacks import STACKS

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PAGE = os.path.join(_ROOT, "docs", "comparison.md")
_DEFAULT_STACKS = ("hive", "sentinel", "sentinel-defaults")
_VOLUME_MATTERS = ("redis-50ms", "redis-1s", "pod-replaced")  # there sentinel-pvc is the fourth, unless stacks are named
# What the numbers to reach are about.
_DEFAULT_FAULTS = (
    "control", "redis-50ms", "redis-1s", "coordinator", "pod-replaced", "two-pods", "node-silent", "redis-stopped", "handover", "pod-ended",
    "rolling", "follower-replaced", "follower-silent", "dns-down", "leader-cut", "leader-cut-acks", "follower-cut")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

HEADER = (
    "fault", "stack", "runs", "gap (ms, median / max)", "acknowledged writes lost (all; most in a run)",
    "errors clients saw, per run (median / max)", "dataset lost", "stale reads", "both sides of a partition wrote (ms, most)",
    "settled after (s, median / max)")


def main(words):
    check_only = words[:1] == ["check"]
    options = _options(words[check_only:])
    unknown = [f"'{name}' is not a fault; ./hive chaos --list names them." for name in options.faults if name not in FAULTS]
    unknown += [f"'{name}' is not a stack: there are {', '.join(STACKS)}." for name in options.stacks or () if name not in STACKS]
    if unknown:
        print(f"hive: {unknown[0]}", file=sys.stderr)
        return 2
    if options.runs:
        try:
            netns.require()
        except netns.Unavailable as reason:
            print(f"hive: {reason}", file=sys.stderr)
            return 2
    if check_only:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    text = _compare([FAULTS[name] for name in options.faults or _DEFAULT_FAULTS], options)
    print(text, flush=True)
    if options.write:
        write(_PAGE, text)
    return 0


def _options(words):
    parser = argparse.ArgumentParser(
        prog="./hive compare", description="The same faults on Redis Hive and on redis with Sentinel and HAProxy.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="those of the table in docs/comparison.md if none is named")
    parser.add_argument("--runs", type=int, default=3, metavar="N",
                        help="of each fault and stack (default 3); those already recorded count, and 0 only prints them")
    parser.add_argument("--stacks", type=lambda text: text.split(","), metavar="NAME,...",
                        help=f"of {', '.join(STACKS)} (default {','.join(_DEFAULT_STACKS)}; where a volume matters, sentinel-pvc, too)")
    parser.add_argument("--anew", action="store_true", help="forget what is recorded of these faults and stacks")
    parser.add_argument("--write", action="store_true", help="put the table into docs/comparison.md, too")
    parser.add_argument("--binaries", default=os.path.join(_ROOT, "build", "release", "bin"), metavar="FOLDER")
    parser.add_argument("--results", default=os.path.join(_ROOT, "build", "chaos"), metavar="FOLDER", help="default build/chaos")
    return parser.parse_args(words)


def _compare(faults, options):
    """Runs what is missing. The Markdown of it all."""
    results = Results(os.path.join(options.results, "results.jsonl"))
    rows, everything, versions = [], [], set()
    for fault in faults:
        for name in options.stacks or stacks_for(fault.name):
            stack = STACKS[name]
            versions.add(stack.versions(options.binaries))
            build = stack.build(options.binaries)
            if options.anew:
                results.forget(stack.name, fault.name, build)
            try:
                records = run_fault(stack, fault, options.binaries, build, options.runs, results, os.path.join(options.results, "logs"),
                                    dataset_mb=200)
                rows.append(row(fault, stack.title, records))
                everything += records
            except Unsupported as reason:
                rows.append(not_run(fault, stack.title, str(reason)))
    return conditions(everything, sorted(versions), os.cpu_count(), time.gmtime()) + "\n\n" + table(rows)


def stacks_for(fault):
    return _DEFAULT_STACKS + (("sentinel-pvc",) if fault in _VOLUME_MATTERS else ())


# -- the table: pure --------------------------------------------------------------------------------------------------------------


def conditions(records, versions, cores, today):
    loads = [record["machine_load"] for record in records if "machine_load" in record]
    load = f"load average while measuring {statistics.median(loads):.1f} (median), {max(loads):.1f} (most)" if loads else "nothing measured"
    return f"Printed on {time.strftime('%F', today)}. {cores} cores, {load}. {'; '.join(versions)}."


def row(fault, title, records):
    measured = [record for record in records if "gap" in record]
    if not records:
        return not_run(fault, title, "not measured yet")
    gaps = [record["gap"] for record in measured]
    lost = [record["lost"] for record in measured]
    errors = [sum(record["errors"].values()) for record in measured]
    stuck = len(records) - len(measured)
    return (
        fault, title, len(records),
        _median_and_most(gaps, ".0f") + (f"; {stuck} did not recover in a minute" if stuck else ""),
        f"{sum(lost)} of {sum(record['acknowledged'] for record in measured)}; {max(lost, default=0)}",
        f"{statistics.median(errors):.0f} / {max(errors)}{_what(measured)}" if errors else "-",
        _times(sum(record["dataset_missing"] > 0 for record in measured), len(measured)),
        sum(record["stale_reads"] for record in measured),
        f"{max((record['overlap'] for record in measured), default=0):.0f}" if fault.sides else "-",
        _median_and_most([record["settled_after"] / 1000 for record in measured], ".1f"),
    )


def not_run(fault, title, reason):
    return (fault, title, "-", f"- ({reason})") + ("-",) * (len(HEADER) - 4)


def table(rows):
    """Markdown; a fault is named in the first of its rows."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " --- |" * len(HEADER)]
    before = None
    for fault, *cells in rows:
        name = "" if fault is before else f"{fault.title} (`{fault.name}`)"
        before = fault
        lines.append("| " + " | ".join(map(str, (name, *cells))) + " |")
    return "\n".join(lines)


def write(path, text):
    """Replaces what stands between the marks of a page."""
    with open(path) as file:
        page = file.read()
    with open(path, "w") as file:
        file.write(replaced(page, text))


def replaced(page, text):
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def _median_and_most(values, form):
    return f"{statistics.median(values):{form}} / {max(values):{form}}" if values else "-"


def _times(count, of):
    return "no" if not count else f"**yes**, {count} of {of}"


def _what(measured):
    """The most frequent kind of error, cut to what it begins with: its first word in capitals, or how a connection ended."""
    kinds = sum((Counter({_kind(text): count for text, count in record["errors"].items()}) for record in measured), Counter())
    return f" ({', '.join(kind for kind, _ in kinds.most_common(2))})" if kinds else ""


def _kind(text):
    outcome, _, detail = text.partition(": ")
    return detail.split(" ")[0] if outcome == "error" else detail


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
