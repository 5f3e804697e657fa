"""What a history and the final state prove. Pure functions: no clock, no connection, no file.

Each operation is of one client, who has one in flight at a time, writes every key once, and pushes growing numbers onto a list of
its own. So every finding below is certain, and needs no search through possible orders:

    lost           acknowledged, and not there afterwards
    duplicates     a list has an element twice, though nobody sent it twice
    reordered      of two acknowledged elements of a list the later one stands first
    resurrected    answered with an error that says "not executed" or never sent, and there all the same
    invented       in a list and never pushed by its client, who has gone on beyond that number
    stale reads    a client did not find what it had been told is written, though it was not lost
    wrong reads    a client found a value that nobody wrote to that key
    overlap        two sides of a partition had writes acknowledged in the same span of time: two writable leaders
    gap            the longest time without an acknowledged write
"""

from collections import Counter
from dataclasses import dataclass, field

from . import history

# Error replies after which a write may be in the dataset: the proxy's answer when too few replicas confirmed.
MAY_BE_EXECUTED = ("UNCONFIRMED",)


@dataclass
class Final:
    """What the leader has when all is settled: values of keys that were written, and the lists."""
    values: dict  # key: value as str; absent keys are absent
    lists: dict  # (client, epoch): [number, ...]


@dataclass
class Findings:
    acknowledged: int = 0
    lost: list = field(default_factory=list)  # the operations
    duplicates: list = field(default_factory=list)
    reordered: list = field(default_factory=list)
    resurrected: list = field(default_factory=list)
    invented: list = field(default_factory=list)
    stale_reads: list = field(default_factory=list)
    wrong_reads: list = field(default_factory=list)
    errors: Counter = field(default_factory=Counter)  # what clients saw instead of a result

    def broken(self):
        """Names of the findings that no fault excuses."""
        return [name for name in ("duplicates", "reordered", "resurrected", "invented", "wrong_reads")
                if getattr(self, name)]


def judge(ops, final):
    """Findings of one epoch's operations, all of them up to some moment, before which each had ended and after which `final` was
    read: so what a client has done since may be there, too."""
    found = Findings()
    found.acknowledged = sum(op.acknowledged_write for op in ops)
    lists = {name: Counter(numbers) for name, numbers in final.lists.items()}
    for op in ops:
        if op.acknowledged_write and not _there(op, final, lists):
            found.lost.append(op)
        if op.kind in history.WRITES and _not_executed(op) and _there(op, final, lists):
            found.resurrected.append(op)
        if op.outcome in (history.ERROR, history.UNKNOWN, history.REFUSED):
            found.errors[f"{op.outcome}: {op.detail}"] += 1
    _judge_reads(ops, final, found)
    _judge_lists(ops, final, lists, found)
    return found


def _there(op, final, lists):
    if op.kind == history.SET:
        return final.values.get(op.key) == str(op.number)
    return lists.get((op.client, op.epoch), {}).get(op.number, 0) > 0


def _not_executed(op):
    return op.outcome == history.REFUSED or (op.outcome == history.ERROR and not op.detail.startswith(MAY_BE_EXECUTED))


def _judge_reads(ops, final, found):
    acknowledged = {op.key for op in ops if op.kind == history.SET and op.acknowledged_write}
    for op in ops:
        if op.kind in history.READS and op.outcome == history.WRONG:
            found.wrong_reads.append(op)
        elif op.kind in history.READS and op.outcome == history.NIL:
            if op.key in acknowledged and final.values.get(op.key) == str(op.number):  # else it counts as lost
                found.stale_reads.append(op)


def _judge_lists(ops, final, lists, found):
    pushed, acknowledged, last = {}, {}, {}
    for op in ops:
        last[op.client] = max(op.number, last.get(op.client, 0))
        if op.kind == history.PUSH:
            pushed.setdefault((op.client, op.epoch), set()).add(op.number)
            if op.acknowledged_write:
                acknowledged.setdefault((op.client, op.epoch), set()).add(op.number)
    for name, numbers in final.lists.items():
        found.duplicates += [(name, number) for number, times in lists[name].items() if times > 1]
        found.invented += [(name, number) for number in lists[name]
                           if number not in pushed.get(name, ()) and number < last.get(name[0], 0)]
        # One with an unknown outcome may arrive behind later ones: it sat in a connection that its client had given up.
        known = [number for number in dict.fromkeys(numbers) if number in acknowledged.get(name, ())]
        found.reordered += [(name, later) for earlier, later in zip(known, known[1:]) if later < earlier]


# -- time ---------------------------------------------------------------------------------------------------------------------


def longest_gap(ops, since, until, group=None):
    """The longest time (s) within [since, until] without an acknowledged write, of `group`'s clients only if given. The window's
    edges count as acknowledgements: a gap that begins before it is measured from its beginning."""
    times = sorted(op.ended for op in ops if op.acknowledged_write and since < op.ended < until and group in (None, op.group))
    edges = [since, *times, until]
    return max(later - earlier for earlier, later in zip(edges, edges[1:]))


@dataclass
class Overlap:
    """Of two sides of a partition."""
    seconds: float = 0.0
    writes: int = 0  # acknowledged within it, on both sides


def overlap(ops, since, until):
    """When both sides had writes acknowledged that were sent and acknowledged within [since, until], in which no packet passes
    between them: so each was executed on its own side. The span in which both sides were writable is what lies between the first
    and the last of each."""
    sides = {}
    for op in ops:
        if op.acknowledged_write and since <= op.began and op.ended <= until:
            sides.setdefault(op.group, []).append(op.ended)
    if len(sides) < 2:
        return Overlap()
    begin = max(min(times) for times in sides.values())
    end = min(max(times) for times in sides.values())
    if end < begin:
        return Overlap()
    return Overlap(end - begin, sum(begin <= t <= end for times in sides.values() for t in times))
