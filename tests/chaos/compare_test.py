#!/usr/bin/python3
"""Goal: the stack that the hive is compared with is configured as docs/comparison.md says, and what was measured is told as it was.
Method: configuration files and tables are text made by pure functions; HAProxy itself checks its file, where it is installed."""

import subprocess
import tempfile
import time
import unittest

from chaos import compare, sentinel_config as config, sentinel_start
from chaos.faults import FAULTS
from chaos.sentinel_stack import SentinelStack, _program
from chaos.stacks import STACKS

IPS = ["10.77.0.3", "10.77.0.4", "10.77.0.5"]


def words_of(text):
    return [line.split() for line in text.splitlines()]


class Configuration(unittest.TestCase):
    def test_redis(self):
        for settings in (config.TUNED, config.DEFAULTS):
            lines = words_of(config.redis_config(settings, IPS[1], "/data", IPS[0]))
            self.assertIn(["replicaof", IPS[0], "6379"], lines)
            self.assertIn(["replica-announce-ip", IPS[1]], lines)
            self.assertIn(["min-replicas-to-write", "1"], lines)
            self.assertIn(["save", '""'], lines)
            self.assertIn(["appendonly", "no"], lines)
        self.assertNotIn("replicaof", config.redis_config(config.TUNED, IPS[0], "/data", IPS[0]))
        self.assertIn(["appendonly", "yes"], words_of(config.redis_config(config.TUNED_PVC, IPS[0], "/data", IPS[0])))

    def test_sentinel(self):
        lines = words_of(config.sentinel_config(config.TUNED, IPS[2], 2, "/pod", IPS[0]))
        self.assertIn(["sentinel", "monitor", "mymaster", IPS[0], "6379", "2"], lines)
        self.assertIn(["sentinel", "down-after-milliseconds", "mymaster", "1000"], lines)
        self.assertIn(["sentinel", "announce-ip", IPS[2]], lines)
        identities = {tuple(words) for slot in range(4) for words in words_of(config.sentinel_config(config.TUNED, "x", slot, "y", "z"))
                      if words[1] == "myid"}
        self.assertEqual(len(identities), 4)
        self.assertTrue(all(len(words[2]) == 40 for words in identities))
        self.assertIn(["sentinel", "down-after-milliseconds", "mymaster", "10000"],
                      words_of(config.sentinel_config(config.DEFAULTS, IPS[2], 2, "/pod", IPS[0])))

    def test_haproxy(self):
        text = config.haproxy_config(config.TUNED, IPS, [*IPS, "10.77.0.9"])
        self.assertEqual(text.count("  server R"), 3)
        self.assertEqual(text.count("  server S"), 12)
        self.assertIn("tcp-check expect string role:master", text)
        self.assertEqual(text.count("on-marked-down shutdown-sessions"), 15)
        self.assertNotIn("shutdown-sessions", config.haproxy_config(config.DEFAULTS, IPS, IPS))

    @unittest.skipUnless(_program("haproxy"), "haproxy is not installed")
    def test_haproxy_takes_it(self):
        for settings in (config.TUNED, config.DEFAULTS):
            with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
                file.write(config.haproxy_config(settings, IPS, IPS))
                file.flush()
                run = subprocess.run([_program("haproxy"), "-c", "-f", file.name], capture_output=True, text=True, check=False)
                self.assertEqual(run.returncode, 0, run.stderr)

    def test_what_makes_no_sense_is_said(self):
        for name in SentinelStack.cannot:
            self.assertEqual(SentinelStack.unavailable("", FAULTS[name]), SentinelStack.cannot[name])
        if _program("haproxy"):
            self.assertIn("HAProxy cannot", SentinelStack.unavailable("", FAULTS["leader-cut-acks"]))
            self.assertIsNone(SentinelStack.unavailable("", FAULTS["redis-50ms"]))


class World:
    """Sentinels and redises as a new pod's start script sees them: {ip: master it names}, {redises that answer}; time passes in sleep()."""

    def __init__(self, named, alive):
        self.now = 0.0
        self.named = named
        self.alive = alive
        self.forced = []
        self.later = []  # (time, action)

    def find(self, own):
        return sentinel_start.find_master(own, IPS[0], IPS, self.ask, lambda: self.now, self.sleep)

    def ask(self, ip, port, *words):
        if words == ("PING",):
            return "PONG" if ip in self.alive else None
        if words[1] == "FAILOVER":
            self.forced.append(self.now)
            return "OK"
        return [self.named[ip].encode(), b"6379"] if ip in self.named else None

    def sleep(self, seconds):
        self.now += seconds
        assert self.now < 100, "it waits for ever"
        for when, action in list(self.later):
            if self.now >= when:
                self.later.remove((when, action))
                action()


class StartScript(unittest.TestCase):
    def test_without_sentinels_the_first_pod_begins(self):
        self.assertEqual(World({}, set()).find(IPS[0]), IPS[0])

    def test_the_others_wait_for_it(self):
        """Else their sentinels would name it before it runs, and it would wait for itself."""
        world = World({}, set())
        world.later.append((5.0, lambda: world.alive.add(IPS[0])))
        self.assertEqual(world.find(IPS[1]), IPS[0])
        self.assertGreaterEqual(world.now, 5.0)

    def test_a_master_that_answers(self):
        self.assertEqual(World({IPS[1]: IPS[2]}, {IPS[2]}).find(IPS[0]), IPS[2])

    def test_a_dead_master_is_waited_for_until_the_sentinels_have_replaced_it(self):
        """Its own address, too: the pod was the master, and is empty now."""
        world = World({IPS[1]: IPS[0], IPS[2]: IPS[0]}, {IPS[1], IPS[2]})
        world.later.append((3.0, lambda: world.named.update({IPS[1]: IPS[1], IPS[2]: IPS[1]})))
        self.assertEqual(world.find(IPS[0]), IPS[1])
        self.assertEqual(world.forced, [])

    def test_a_failover_is_forced_in_the_end(self):
        world = World({IPS[1]: IPS[0]}, {IPS[1]})
        world.later.append((17.0, lambda: world.named.update({IPS[1]: IPS[1]})))
        self.assertEqual(world.find(IPS[0]), IPS[1])
        self.assertEqual(len(world.forced), 1)


def record(gap, **more):
    return {"gap": gap, "lost": 0, "acknowledged": 1000, "errors": {}, "dataset_missing": 0, "stale_reads": 0, "overlap": 0.0,
            "settled_after": 500.0, "machine_load": 0.5, "broken": [], **more}


class Table(unittest.TestCase):
    def test_a_row(self):
        records = [record(10.0), record(30.0, lost=7, dataset_missing=5000, stale_reads=2, overlap=350.4,
                                        errors={"error: NOREPLICAS Not enough": 4, "unknown: closed": 3})]
        cells = compare.row(FAULTS["leader-cut"], "A", records)[1:]
        self.assertEqual(cells, ("A", 2, "20 / 30", "7 of 2000; 7", "4 / 7 (NOREPLICAS, closed)", "**yes**, 1 of 2", 2, "350", "0.5 / 0.5"))

    def test_a_run_that_never_recovered_is_not_hidden(self):
        cells = compare.row(FAULTS["redis-1s"], "A", [record(10.0), {"broken": ["did not settle: x"]}])
        self.assertEqual(cells[2:4], (2, "10 / 10; 1 did not recover in a minute"))
        self.assertEqual(compare.row(FAULTS["redis-1s"], "A", [{"broken": ["x"]}])[3], "-; 1 did not recover in a minute")

    def test_the_whole(self):
        fault = FAULTS["dns-down"]
        lines = compare.table([compare.row(fault, "A", [record(1.0)]), compare.not_run(fault, "B", "no DNS")]).splitlines()
        self.assertEqual({line.count("|") for line in lines}, {len(compare.HEADER) + 1})
        self.assertTrue(lines[2].startswith("| DNS down for 20 s (`dns-down`) | A | 1 | 1 / 1 |"))
        self.assertTrue(lines[3].startswith("|  | B | - | - (no DNS) | - |"))

    def test_conditions(self):
        text = compare.conditions([record(1.0), record(1.0, machine_load=2.5), {"broken": []}], ["x 1", "y 2"], 2, time.gmtime(0))
        self.assertEqual(text, "Printed on 1970-01-01. 2 cores, load average while measuring 1.5 (median), 2.5 (most). x 1; y 2.")

    def test_only_what_is_between_the_marks_is_replaced(self):
        page = f"a\n{compare.BEGIN}\nold\n{compare.END}\nb\n"
        self.assertEqual(compare.replaced(page, "new"), f"a\n{compare.BEGIN}\nnew\n{compare.END}\nb\n")
        with self.assertRaises(ValueError):
            compare.replaced("a\nb\n", "new")

    def test_the_page_has_the_marks(self):
        with open(compare._PAGE) as file:
            compare.replaced(file.read(), "new")

    def test_every_fault_and_stack_exists(self):
        self.assertLessEqual(set(compare._DEFAULT_FAULTS), set(FAULTS))
        for fault in compare._DEFAULT_FAULTS:
            self.assertLessEqual(set(compare.stacks_for(fault)), set(STACKS))
        self.assertIn("sentinel-pvc", compare.stacks_for("redis-1s"))
        self.assertNotIn("sentinel-pvc", compare.stacks_for("handover"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
