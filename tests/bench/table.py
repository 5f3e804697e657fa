"""Markdown tables, and progress on stderr so that stdout can be pasted into docs/benchmarks.md."""

import statistics
import sys


def print_table(title, header, rows):
    print(f"### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def median_and_most(values, unit_factor=1000, digits=0):
    """ "12 / 40": of values in seconds, in ms unless told otherwise."""
    return f"{statistics.median(values) * unit_factor:.{digits}f} / {max(values) * unit_factor:.{digits}f}"


def progress(text):
    print(f"    {text}", file=sys.stderr, flush=True)
