"""The file of results, one JSON object a line and run, and the table made of it."""

import json
import os
import statistics
from collections import Counter


class Results:
    """Appended to after every run, so that a command that was interrupted goes on where it was."""

    def __init__(self, path):
        self._path = path
        os.makedirs(os.path.dirname(path), exist_ok=True)

    def append(self, record):
        with open(self._path, "ab+") as file:
            file.seek(0, os.SEEK_END)
            end = file.tell()
            file.seek(max(0, end - 1))
            between = b"\n" if end and file.read() != b"\n" else b""  # the machine stopped while the last one was written
            file.write(between + json.dumps(record).encode() + b"\n")

    def of(self, stack, fault, build):
        """Records of one fault on one build of one stack, in the order they were made."""
        return [r for r in self._all() if (r["stack"], r["fault"], r["build"]) == (stack, fault, build)]

    def forget(self, stack, fault, build):
        kept = [r for r in self._all() if (r["stack"], r["fault"], r["build"]) != (stack, fault, build)]
        replacement = self._path + ".new"
        with open(replacement, "w") as file:
            file.writelines(json.dumps(r) + "\n" for r in kept)
        os.replace(replacement, self._path)

    def _all(self):
        try:
            with open(self._path) as file:
                lines = file.readlines()
        except FileNotFoundError:
            return []
        return [record for line in lines if (record := _parsed(line))]


def _parsed(line):
    try:
        return json.loads(line)
    except ValueError:  # half a line
        return None


HEADER = ("fault", "runs", "gap (ms, median / max)", "to reach", "acknowledged writes lost (all; most in a run)", "dataset lost",
          "stale reads", "errors clients saw", "broken promises", "settled after (ms, median / max)")


def row(fault, records):
    """A line of the table. A run in which nothing settled counts as broken, and has no numbers."""
    measured = [r for r in records if "gap" in r]
    gaps = [r["gap"] for r in measured]
    errors = sum((Counter(r["errors"]) for r in measured), Counter())
    broken = Counter(text.partition(":")[0] for r in records for text in r["broken"])
    lost = [r["lost"] for r in measured]
    return (
        f"{fault.title} (`{fault.name}`)", len(records), _median_and_most(gaps),
        f"{fault.bar[0]} / {fault.bar[1]}" if fault.bar else "-",
        f"{sum(lost)} of {sum(r['acknowledged'] for r in measured)}; {max(lost, default=0)}",
        f"{sum(r['dataset_missing'] > 0 for r in measured)} times",
        sum(r["stale_reads"] for r in measured),
        f"{errors.total()}" + (f" ({_most_common(errors)})" if errors else ""),
        ", ".join(f"{text} ({count})" for text, count in broken.most_common()) or "none",
        _median_and_most([r["settled_after"] for r in measured]),
    )


def table(rows):
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " --- |" * len(HEADER)]
    return "\n".join(lines + ["| " + " | ".join(map(str, cells)) + " |" for cells in rows])


def _most_common(errors):
    return "; ".join(f"{count} x {text}" for text, count in errors.most_common(2))


def _median_and_most(values):
    return f"{statistics.median(values):.0f} / {max(values):.0f}" if values else "-"
