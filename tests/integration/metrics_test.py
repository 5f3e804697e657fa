#!/usr/bin/python3
"""Goal: Prometheus learns from any pod what happens in the hive; and docs/metrics.md describes exactly what there is.
Method: the real coordinator scraped over HTTP, before and after changes of leader; a page compared with the document, and, where it is
installed, given to promtool."""

import os
import re
import shutil
import subprocess
import unittest

import scenario
from localhive import addresses
from localhive.process import wait_until

_DOCUMENT = os.path.join(scenario.ROOT, "docs", "metrics.md")
_PORTS = {"hive-coordinator": addresses.COORDINATOR_METRICS_PORT}


def values(page):
    """{'hive_write_state{state="open"}': 1.0, ...}"""
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def described(page):
    """{name: (type, meaning)} of a page."""
    meanings = dict(re.findall(r"^# HELP (\S+) (.+)$", page, re.M))
    return {name: (kind, meanings.get(name)) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M)}


def documented(binary):
    """The same of the document's table: | `name` or `name{label}` | type | meaning | what to do |"""
    with open(_DOCUMENT, encoding="utf-8") as document:
        section = document.read().split(f"\n## {binary}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)(?:\{[a-z]+\})?` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", section, re.M)
    assert rows and all(advice.strip() for *_, advice in rows)
    return {name: (kind, meaning) for name, kind, meaning, _ in rows}


class Metrics(scenario.Scenario):
    def total(self, name):
        """Of all coordinators that answer."""
        return sum(values(pod.metrics())[name] for pod in self.hive.pods if pod.coordinator.alive())

    def test_the_document_describes_what_there_is(self):
        leader = self.start_hive(2)
        for binary, port in _PORTS.items():
            with self.subTest(binary=binary):
                self.maxDiff = None
                self.assertEqual(described(leader.metrics(port)), documented(binary))

    @unittest.skipUnless(shutil.which("promtool"), "promtool (Debian's prometheus) is not installed")
    def test_promtool_has_no_complaints(self):
        leader = self.start_hive(2)
        for port in _PORTS.values():
            run = subprocess.run(["promtool", "check", "metrics"], input=leader.metrics(port),
                                 capture_output=True, text=True, timeout=10, check=False)
            self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_who_leads_and_why(self):
        leader = self.start_hive()
        wait_until(lambda: self.total("hive_redis_in_sync") == 3, 15, "all redises to be in sync")
        for pod in self.hive.pods:
            said = values(pod.metrics())
            self.assertEqual(said["hive_is_leader"], pod is leader)
            self.assertEqual(said["hive_members"], 3)
            self.assertEqual(said["hive_redis_in_sync"], 1)
            self.assertEqual(said['hive_write_state{state="open"}'], 1)
            self.assertEqual(said['hive_write_state{state="no_leader"}'], 0)
        self.assertEqual(self.total('hive_elections_total{reason="bootstrap"}'), 1)
        self.assertEqual(self.total("hive_election_duration_seconds_count"), 1)
        followers = {f'hive_peer_rtt_seconds{{peer="{pod.ip}"}}' for pod in self.hive.pods if pod is not leader}
        rtts = {name: value for name, value in values(leader.metrics()).items() if name.startswith("hive_peer_rtt_seconds")}
        self.assertEqual(set(rtts), followers)
        self.assertTrue(all(0 <= value < 1 for value in rtts.values()), rtts)

        # On purpose: handed over, no election.
        leader.coordinator_command("handover", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
        wait_until(lambda: self.total('hive_handovers_total{result="done"}') == 1, 15, "a handover to be counted")
        self.assertEqual(self.total('hive_elections_total{reason="proof"}'), 0)

        # By a crash: an election, and some time without a leader.
        leader = self.hive.wait_settled()
        term = values(leader.metrics())["hive_term"]
        leader.kill()
        survivors = [pod for pod in self.hive.pods if pod is not leader]
        before = {pod.ip: values(pod.metrics())["hive_leader_unavailable_seconds_total"] for pod in survivors}
        wait_until(lambda: self.total("hive_is_leader") == 1, 15, "a new leader")
        self.assertEqual(self.total('hive_elections_total{reason="proof"}') + self.total('hive_elections_total{reason="silence"}'), 1)
        for pod in survivors:
            said = values(pod.metrics())
            self.assertGreater(said["hive_term"], term)
            self.assertGreaterEqual(said["hive_leader_unavailable_seconds_total"], before[pod.ip])

    def test_a_redis_that_comes_back_empty_is_counted(self):
        self.start_hive(2)
        pod = self.follower()
        self.assertEqual(values(pod.metrics())["hive_empty_redis_deferred_total"], 0)
        pod.redis.kill()
        wait_until(lambda: values(pod.metrics())["hive_redis_in_sync"] == 0, 15, "a redis that is down to be out of sync")
        pod.redis.start()
        wait_until(lambda: values(pod.metrics())["hive_redis_in_sync"] == 1, 15, "the redis to be in sync again")
        self.assertEqual(values(pod.metrics())["hive_empty_redis_deferred_total"], 1)

    def test_turned_off(self):
        leader = self.start_hive(1, coordinator_flags=["--metrics-listen="])
        with self.assertRaises(OSError):
            leader.metrics()


if __name__ == "__main__":
    unittest.main()
