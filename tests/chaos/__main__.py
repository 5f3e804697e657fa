"""`./hive chaos [FAULT...]`: faults on real processes in network namespaces, and what clients see of them.

    python3 -m chaos [check] [OPTION...] [FAULT...]

`check` looks for what would stop the command (a wrong word, namespaces that cannot be made) and starts nothing.
"""

import argparse
import os
import signal
import sys

from . import netns
from .faults import FAULTS
from .results import Results, row, table
from .runner import missed_bar, run_fault
from .stack import Unsupported
from .stacks import STACKS

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SKIPPED = 77  # ctest's SKIP_RETURN_CODE
_SLACK = 3.0  # of --check: a test machine may be busy with other things


def main(words):
    check_only = words[:1] == ["check"]
    options = _options(words[check_only:])
    if options.list and not check_only:
        for fault in FAULTS.values():
            print(f"{fault.name:30}{fault.title}{' (only when named)' if fault.heavy else ''}")
        return 0
    unknown = [name for name in options.faults if name not in FAULTS]
    if unknown:
        print(f"hive: '{unknown[0]}' is not a fault; ./hive chaos --list names them.", file=sys.stderr)
        return 2
    if options.list:
        return 0
    try:
        netns.require()
    except netns.Unavailable as reason:
        print(f"hive: skipped: {reason}", file=sys.stderr)
        return _SKIPPED if options.check else 2
    if check_only:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    faults = [FAULTS[name] for name in options.faults] or [fault for fault in FAULTS.values() if not fault.heavy]
    return _run(options, faults)


def _options(words):
    parser = argparse.ArgumentParser(prog="./hive chaos", description="Faults on real processes, and what clients see of them.")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="all but the heavy ones if none is named")
    parser.add_argument("--list", action="store_true", help="name the faults and do nothing")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="of each fault (default 20); those already recorded count")
    parser.add_argument("--anew", action="store_true", help="forget what is recorded of these faults")
    parser.add_argument("--stack", choices=STACKS, default="hive", help="what is under test (default hive)")
    parser.add_argument("--dataset-mb", type=int, default=200, metavar="MB", help="of sync-storm (default 200)")
    parser.add_argument("--binaries", default=os.path.join(_ROOT, "build", "release", "bin"), metavar="FOLDER")
    parser.add_argument("--results", default=os.path.join(_ROOT, "build", "chaos"), metavar="FOLDER",
                        help="results.jsonl and the logs of runs that broke a promise (default build/chaos)")
    parser.add_argument("--check", action="store_true",
                        help=f"exit 1 if a promise was broken or a gap was over {_SLACK:g} times what is allowed, {_SKIPPED} if skipped; "
                             "of another stack than the hive, if it could not be judged")
    return parser.parse_args(words)


def _run(options, faults):
    stack = STACKS[options.stack]
    build = stack.build(options.binaries)
    results = Results(os.path.join(options.results, "results.jsonl"))
    rows, failed, skipped = [], False, 0
    for fault in faults:
        if options.anew:
            results.forget(stack.name, fault.name, build)
        try:
            records = run_fault(stack, fault, options.binaries, build, options.runs, results, os.path.join(options.results, "logs"),
                                options.dataset_mb)
        except Unsupported as reason:
            print(f"    {fault.name}: skipped: {reason}", file=sys.stderr, flush=True)
            skipped += 1
            continue
        rows.append(row(fault, records))
        failed |= _failed(stack, fault, records)
    if rows:
        print(table(rows), flush=True)
    if options.check:
        return 1 if failed else _SKIPPED if skipped == len(faults) else 0
    return 0


def _failed(stack, fault, records):
    if not stack.promises:
        return not all("gap" in record for record in records)
    missed = [text for record in records if (text := missed_bar(fault, record, _SLACK))]
    for text in missed:
        print(f"    {fault.name}: {text}", file=sys.stderr, flush=True)
    return bool(missed) or any(record["broken"] for record in records)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
