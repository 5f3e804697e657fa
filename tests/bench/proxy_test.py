"""The proxy benchmark itself: that its arithmetic is right on samples made up here, and that the whole tool runs, in its shortest form.

What a short run measures means nothing, so of that only what must hold on any machine is looked at: that every contender was run with
every workload, that CPU was found where it must be, and that the results are written as they are promised. Without the rivals' packages
the tool's test is skipped.
"""

import contextlib
import io
import json
import os
import tempfile
import unittest
import xml.etree.ElementTree

from proxy import bars, command, contenders, leader_change, memory, plot, report, throughput
from proxy.contenders import DIRECT, HAPROXY, HIVE, TWEMPROXY
from proxy.throughput import FREE, PINNED

_BINARIES = os.environ.get("BINARIES", "")


def _sample(contender, requests_per_s, number=0, operation="SET", mode=PINNED, workload="50xP1", proxy_cpu=0.0, redis_cpu=0.5, p99=1.0):
    return throughput.Sample(mode, workload, operation, number, contender, 100_000, requests_per_s, 0.5, p99, 1.0, 0.25, proxy_cpu, redis_cpu)


def _cell(table, column, row=0):
    header, rows = table
    return rows[row][header.index(column)]


class Arithmetic(unittest.TestCase):
    def test_ratios_are_taken_within_rounds(self):
        """A machine that is twice as fast in the second round changes no ratio."""
        samples = [_sample(DIRECT, 100), _sample(HIVE, 90), _sample(DIRECT, 200, 1), _sample(HIVE, 180, 1)]
        self.assertEqual(_cell(report.throughput_table(samples, PINNED, report.Verdicts()), HIVE), "0.90 (0.90..0.90)")

    def test_median_and_range(self):
        samples = [s for i, rate in enumerate((50, 70, 60)) for s in (_sample(DIRECT, 100, i), _sample(HIVE, rate, i))]
        self.assertEqual(_cell(report.throughput_table(samples, PINNED, report.Verdicts()), HIVE), "0.60 (0.50..0.70)")

    def test_best_rival_is_that_of_the_round(self):
        samples = [_sample(HIVE, 100), _sample(HAPROXY, 50), _sample(TWEMPROXY, 80), _sample(HIVE, 100, 1), _sample(HAPROXY, 100, 1)]
        self.assertEqual(report.to_best_rival(report.by_round(samples, PINNED, "50xP1", "SET")), [1.25, 1.0])

    def test_cpu_clocks_give_the_same_ratio_as_a_shared_cpu(self):
        """direct 7.5 us a request, the proxy 15 us."""
        samples = [_sample(DIRECT, 133_333), _sample(HIVE, 66_666, proxy_cpu=0.75)]
        self.assertEqual(_cell(report.total_cpu_table(samples, PINNED), HIVE), "0.50 (0.50..0.50)")

    def test_cpu_per_request_is_judged_by_the_mean_of_set_and_get(self):
        samples = [_sample(HIVE, 1, operation="SET", proxy_cpu=0.8), _sample(HIVE, 1, operation="GET", proxy_cpu=0.6)]
        verdicts = report.Verdicts()
        table = report.proxy_cpu_table(samples, PINNED, verdicts)
        self.assertEqual(_cell(table, HIVE), "8.00 / 6.00")
        self.assertEqual([(bar.name, values, verdict) for bar, values, verdict in verdicts.all],
                         [(bars.proxy_cpu("50xP1"), [7.0], "met")])

    def test_redis_cpu_is_a_ratio_to_direct(self):
        samples = [_sample(name, 1, operation=operation, redis_cpu=cpu)
                   for operation in ("SET", "GET") for name, cpu in ((DIRECT, 1.0), (HIVE, 0.4))]
        verdicts = report.Verdicts()
        self.assertEqual(_cell(report.redis_cpu_table(samples, PINNED, verdicts), "hive / direct"), "0.40 (0.40..0.40) / 0.40 (0.40..0.40)")
        self.assertEqual(verdicts.all[0][2], "missed")

    def test_bars(self):
        """At the bar is met; the median counts, or every run where the bar says so."""
        self.assertEqual(bars.BARS[bars.throughput("50xP1", "SET")].verdict([0.95, 0.1, 0.99]), "met")
        self.assertEqual(bars.BARS[bars.throughput("50xP1", "SET")].verdict([0.94, 0.1, 0.99]), "missed")
        self.assertEqual(bars.BARS[bars.leader_change("handover")].verdict([1, 100, 2]), "met")
        self.assertEqual(bars.BARS[bars.leader_change("handover")].verdict([1, 101, 2]), "missed")
        self.assertEqual(bars.BARS[bars.MEMORY].verdict([]), "not measured")

    def test_only_a_shared_cpu_is_judged(self):
        samples = [_sample(DIRECT, 100, mode=FREE), _sample(HIVE, 10, mode=FREE)]
        verdicts = report.Verdicts()
        report.throughput_table(samples, FREE, verdicts)
        self.assertEqual(verdicts.all, [])

    def test_every_bar_has_something_that_is_measured(self):
        """A bar whose name no table asks for would never be missed."""
        asked = {make(w, *rest) for w in command.WORKLOADS for make, *rest in (
            *((make, o) for make in (bars.throughput, bars.best_rival) for o in ("SET", "GET")),
            *((bars.latency, o, p) for o in ("SET", "GET") for p in ("p50", "p99")), (bars.proxy_cpu,), (bars.redis_cpu,))}
        asked |= {bars.MEMORY, bars.WRITE_ACKS, *map(bars.leader_change, leader_change.FAULTS)}
        self.assertLessEqual(set(bars.BARS), asked)

    def test_plot_is_well_formed(self):
        samples = [_sample(DIRECT, 100), _sample(HIVE, 90), _sample("a <build>", 180)]
        root = xml.etree.ElementTree.fromstring(plot.draw(samples, PINNED))
        self.assertTrue(root.tag.endswith("svg"))


class LeaderChange(unittest.TestCase):
    """digest(): a fault at 10.0, announced at 10.5."""

    def _digest(self, served, errors=(), clients=1):
        return leader_change.digest("handover", 0, clients, 10.0, 10.5, {"served": served, "errors": errors, "own_delay": [(10.4, 0.002)]})

    def test_who_waited_through_it_counts_from_the_announcement(self):
        sample = self._digest([(0, 9.0, 9.1), (0, 10.2, 10.53)])
        self.assertAlmostEqual(sample.slowest, 30)
        self.assertAlmostEqual(sample.longest_wait, 330)
        self.assertAlmostEqual(sample.announced, 500)
        self.assertAlmostEqual(sample.own_delay, 2)

    def test_who_paused_counts_from_its_own_command(self):
        self.assertAlmostEqual(self._digest([(0, 10.58, 10.6)]).slowest, 20)

    def test_only_the_first_time_counts(self):
        self.assertAlmostEqual(self._digest([(0, 10.58, 10.6), (0, 10.7, 10.9)]).slowest, 20)

    def test_the_slowest_client_counts(self):
        self.assertAlmostEqual(self._digest([(0, 10.2, 10.51), (1, 10.2, 10.56)], clients=2).slowest, 60)

    def test_who_was_never_served_again_is_told(self):
        with self.assertRaises(leader_change.ChangeFailed):
            self._digest([(0, 10.2, 10.51), (1, 9.0, 10.49)], clients=2)

    def test_errors_before_the_fault_are_not_the_faults(self):
        self.assertEqual(self._digest([(0, 10.2, 10.51)], [(9.9, 0, "closed"), (10.1, 0, "closed")]).errors, 1)


class Tool(unittest.TestCase):
    @unittest.skipIf(contenders.missing(), f"not installed here: {', '.join(contenders.missing())}")
    def test_quick_run(self):
        with tempfile.TemporaryDirectory() as folder:
            file, picture = os.path.join(folder, "samples.json"), os.path.join(folder, "plot.svg")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                self.assertEqual(command.main(["--quick", "--json", file, "--plot", picture], _BINARIES), 0)
            with open(file) as results:
                results = json.load(results)
            xml.etree.ElementTree.parse(picture)
        runs = [throughput.Sample(**record) for record in results["throughput"]]
        self.assertEqual(sorted((s.workload, s.operation, s.contender) for s in runs), sorted(
            (w, o, c) for w in command.WORKLOADS for o in ("SET", "GET") for c in contenders.MAKERS))
        for s in runs:
            self.assertGreater(s.requests_per_s, 0, s)
            self.assertTrue(0 < s.p50 <= s.p99, s)
            self.assertGreater(s.redis_cpu, 0, s)
            self.assertGreater(s.client_cpu, 0, s)
            self.assertEqual(s.proxy_cpu > 0, s.contender != DIRECT, s)
            self.assertLess(s.client_cpu + s.proxy_cpu + s.redis_cpu, 1.05 * s.wall, f"more than one CPU was used: {s}")
        self.assertEqual({(r["contender"], r["used"]) for r in results["memory"]},
                         {(c, used) for c in contenders.MAKERS if c != DIRECT for used in memory.USES})
        self.assertEqual(len(results["write-acks"]), 6)
        self.assertEqual([r["clients"] for r in results["leader-change"]], [100, 100])
        self.assertTrue({"began", "cpu", "cpus", "kernel", "redis", "haproxy", "twemproxy", "hive", "proxy_threads"}
                        <= set(results["environment"]))
        self.assertIn("| 50 clients, P1, SET |", printed.getvalue())

    def test_what_makes_no_sense_is_told(self):
        for words in (["--workload", "60xP1"], ["idle"], ["--only", "envoy"], ["--also", "hive=/nowhere"], ["--binaries", "/nowhere"]):
            with contextlib.redirect_stderr(io.StringIO()) as told:
                self.assertEqual(command.main(words, _BINARIES), 2, words)
            self.assertTrue(told.getvalue().startswith("hive: "), told.getvalue())


if __name__ == "__main__":
    unittest.main()
