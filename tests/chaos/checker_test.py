#!/usr/bin/python3
"""Goal: every finding of the checker is found where it is, and nowhere else.
Method: a history without fault, in which one is planted at a time; and the other findings must stay empty."""

import os
import tempfile
import unittest

from chaos import checker, history, results
from chaos.checker import Final
from chaos.faults import FAULTS
from chaos.history import ERROR, GET, NIL, OK, PUSH, REFUSED, SET, UNKNOWN, WRONG, Op

FINDINGS = ("lost", "duplicates", "reordered", "resurrected", "invented", "stale_reads", "wrong_reads")


def op(client, kind, number, at, outcome=OK, detail="", group="a", took=0.001):
    return Op(group, client, 1, kind, number, at, at + took, outcome, detail, "10.77.0.2:6380")


class History:
    """Two clients that write, read and push ten rounds each; and the final state that follows from it."""

    def __init__(self):
        self.ops = [op(client, kind, number, number + client / 10 + i / 100)
                    for number in range(1, 11) for client in (1, 2) for i, kind in enumerate((SET, GET, PUSH))]
        self.final = Final({history.key_of(c, n): str(n) for c in (1, 2) for n in range(1, 11)},
                           {(c, 1): list(range(1, 11)) for c in (1, 2)})

    def change(self, client, kind, number, outcome, detail=""):
        i = next(i for i, o in enumerate(self.ops) if (o.client, o.kind, o.number) == (client, kind, number))
        self.ops[i] = self.ops[i]._replace(outcome=outcome, detail=detail)

    def judge(self):
        return checker.judge(self.ops, self.final)


class Planted(unittest.TestCase):
    def setUp(self):
        self.history = History()

    def assert_only(self, *names):
        findings = self.history.judge()
        self.assertEqual([name for name in FINDINGS if getattr(findings, name)], list(names))
        return findings

    def test_nothing(self):
        self.assertEqual(self.assert_only().acknowledged, 40)

    def test_lost_key(self):
        del self.history.final.values["kv:1:3"]
        lost = self.assert_only("lost").lost
        self.assertEqual([(o.client, o.kind, o.number) for o in lost], [(1, SET, 3)])

    def test_key_with_another_value_is_lost(self):
        self.history.final.values["kv:1:3"] = "4"
        self.assert_only("lost")

    def test_lost_element(self):
        self.history.final.lists[(2, 1)].remove(5)
        self.assertEqual([(o.client, o.kind, o.number) for o in self.assert_only("lost").lost], [(2, PUSH, 5)])

    def test_lost_list(self):
        del self.history.final.lists[(2, 1)]
        self.assertEqual(len(self.assert_only("lost").lost), 10)

    def test_unacknowledged_write_may_be_missing_or_there(self):
        self.history.change(1, SET, 3, UNKNOWN, "closed")
        self.history.change(1, PUSH, 4, UNKNOWN, "closed")
        del self.history.final.values["kv:1:3"]
        self.assertEqual(self.assert_only().errors, {"unknown: closed": 2})

    def test_duplicate(self):
        self.history.final.lists[(1, 1)].insert(3, 4)
        self.assertEqual(self.assert_only("duplicates").duplicates, [((1, 1), 4)])

    def test_duplicate_of_an_unknown_outcome(self):
        self.history.change(1, PUSH, 4, UNKNOWN, "closed")
        self.history.final.lists[(1, 1)].append(4)
        self.assert_only("duplicates")

    def test_reordered(self):
        self.history.final.lists[(1, 1)][3:5] = [5, 4]
        self.assertEqual(self.assert_only("reordered").reordered, [((1, 1), 4)])

    def test_unknown_outcome_may_arrive_late(self):
        self.history.change(1, PUSH, 4, UNKNOWN, "no reply in time")
        self.history.final.lists[(1, 1)].remove(4)
        self.history.final.lists[(1, 1)].append(4)
        self.assert_only()

    def test_refused_but_there(self):
        self.history.change(1, SET, 3, ERROR, "MASTERDOWN nobody leads")
        self.history.change(2, PUSH, 3, REFUSED, "ECONNREFUSED")
        self.assertEqual(len(self.assert_only("resurrected").resurrected), 2)

    def test_unconfirmed_may_be_there(self):
        self.history.change(1, SET, 3, ERROR, "UNCONFIRMED applied on the leader, 0 of 1 replicas confirmed")
        self.assert_only()

    def test_invented(self):
        self.history.final.lists[(1, 1)].insert(0, 0)
        self.assertEqual(self.assert_only("invented").invented, [((1, 1), 0)])

    def test_what_was_pushed_after_the_history_is_not_invented(self):
        self.history.ops.append(op(1, SET, 11, 20.0))
        self.history.final.values["kv:1:11"] = "11"
        self.history.final.lists[(1, 1)] += [11, 12]
        self.assert_only()

    def test_stale_read(self):
        self.history.change(1, GET, 3, NIL)
        self.assertEqual([o.number for o in self.assert_only("stale_reads").stale_reads], [3])

    def test_read_of_a_lost_write_is_not_stale(self):
        self.history.change(1, GET, 3, NIL)
        del self.history.final.values["kv:1:3"]
        self.assert_only("lost")

    def test_wrong_read(self):
        self.history.change(1, GET, 3, WRONG, "2")
        self.assert_only("wrong_reads")


class Time(unittest.TestCase):
    def test_gap_is_between_acknowledgements(self):
        ops = [op(1, SET, n, at, took=0) for n, at in enumerate((1.0, 2.0, 2.5))]
        ops.append(op(1, GET, 1, 3.0))  # reads do not count, nor do writes without an acknowledgement
        ops.append(op(1, SET, 9, 3.2, UNKNOWN, "closed"))
        self.assertEqual(checker.longest_gap(ops, 1.5, 3.5), 1.0)
        self.assertEqual(checker.longest_gap([], 1.0, 3.0), 2.0)
        self.assertEqual(checker.longest_gap(ops, 0.5, 2.6, group="b"), 2.1)

    def test_overlap_of_two_sides(self):
        def side(group, *times):
            return [op(1, SET, n, at, group=group, took=0) for n, at in enumerate(times)]
        old_leader, new_leader = side("a", 1.0, 1.4), side("b", 2.3, 2.6, 9.0)
        self.assertEqual(checker.overlap(old_leader + new_leader, 1.0, 9.5), checker.Overlap(0, 0))
        late = side("a", 1.0, 1.4, 2.5)
        found = checker.overlap(late + new_leader, 1.0, 9.5)
        self.assertAlmostEqual(found.seconds, 0.2)
        self.assertEqual(found.writes, 2)
        self.assertEqual(checker.overlap(side("a", 1.0, 9.9) + new_leader, 1.0, 9.5).writes, 0)  # after the heal

    def test_a_write_begun_before_the_cut_proves_nothing(self):
        crossing = [op(1, SET, 1, 0.9, group="a", took=4.0), op(1, SET, 2, 1.1, group="a", took=0)]
        self.assertEqual(checker.overlap(crossing + [op(2, SET, 1, 2.0, group="b")], 1.0, 9.0).writes, 0)


class Lines(unittest.TestCase):
    def test_an_operation_survives_its_line(self):
        one = op(3, PUSH, 17, 12.5, ERROR, "ERR tabs\tand\nlines")
        self.assertEqual(history.from_line(history.to_line(one)), one._replace(detail="ERR tabs and lines"))


class ResultsFile(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "deeper", "results.jsonl")
        self.results = results.Results(self.path)

    @staticmethod
    def record(fault="proxy", build="one", gap=20.0, **more):
        return {"stack": "hive", "fault": fault, "build": build, "run": 1, "gap": gap, "acknowledged": 100, "lost": 0,
                "dataset_missing": 0, "stale_reads": 0, "errors": {}, "settled_after": 5.0, "broken": [], **more}

    def test_what_is_done_is_found_again(self):
        self.results.append(self.record())
        self.results.append(self.record(build="two"))
        self.results.append(self.record(fault="redis-1s"))
        self.assertEqual(len(self.results.of("hive", "proxy", "one")), 1)
        self.results.forget("hive", "proxy", "one")
        self.assertEqual(len(self.results.of("hive", "proxy", "one")), 0)
        self.assertEqual(len(self.results.of("hive", "proxy", "two")), 1)
        self.assertEqual(len(self.results.of("hive", "redis-1s", "one")), 1)

    def test_half_a_line_is_not_a_run(self):
        self.results.append(self.record())
        with open(self.path, "a") as file:
            file.write('{"stack": "hi')
        self.assertEqual(len(self.results.of("hive", "proxy", "one")), 1)
        self.results.append(self.record(gap=21.0))
        self.assertEqual([r["gap"] for r in self.results.of("hive", "proxy", "one")], [20.0, 21.0])

    def test_row(self):
        unsettled = {"stack": "hive", "fault": "redis-1s", "build": "one", "run": 3, "broken": ["did not settle: two lead"]}
        cells = results.row(FAULTS["redis-1s"], [self.record(gap=20.0), self.record(gap=40.0, lost=2, errors={"unknown: closed": 3}),
                                                 unsettled])
        self.assertEqual(cells[1:6], (3, "30 / 40", "30 / 150", "2 of 200; 2", "0 times"))
        self.assertEqual(cells[6:9], (0, "3 (3 x unknown: closed)", "did not settle (1)"))


if __name__ == "__main__":
    unittest.main()
