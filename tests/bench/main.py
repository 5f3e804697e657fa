#!/usr/bin/python3
"""`./hive bench [NAME...]`: runs the named benchmarks (all without a name) and prints Markdown as docs/benchmarks.md has it.

`./hive bench proxy [OPTION...]` has options of its own; `--help` lists them.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import first_write  # noqa: E402
import idle  # noqa: E402
import kills  # noqa: E402
import messages  # noqa: E402
import proxy.command  # noqa: E402

BENCHMARKS = {"kills": kills.run, "first-write": first_write.run, "idle": idle.run, "messages": messages.run,
              "proxy": proxy.command.run}
BINARIES = os.environ.get("BINARIES", os.path.join(os.path.dirname(__file__), "..", "..", "build", "release", "bin"))


def main(names):
    if names[:1] == ["proxy"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return proxy.command.main(names[1:], BINARIES)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"hive: '{unknown[0]}' is not a benchmark; there are: {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in names or BENCHMARKS:
        BENCHMARKS[name](os.path.abspath(BINARIES))
        print(flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
