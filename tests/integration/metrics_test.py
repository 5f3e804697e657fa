#!/usr/bin/python3
"""Goal: Prometheus learns from any pod what happens in the hive; and docs/metrics.md describes exactly what there is.
Method: the real binaries scraped over HTTP, before and after changes of leader; a page compared with the document, and, where it is
installed, given to promtool."""

import os
import re
import shutil
import subprocess
import unittest

import scenario
from localhive import addresses, resp
from localhive.process import wait_until

_DOCUMENT = os.path.join(scenario.ROOT, "docs", "metrics.md")
_PORTS = {"hive-coordinator": addresses.COORDINATOR_METRICS_PORT, "hive-proxy": addresses.PROXY_METRICS_PORT}


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
            # Those refused by who reads the message, and by who judges it: a rate must see the first one.
            self.assertEqual(said['hive_refused_messages_total{reason="wrong_proof"}'], 0)
            self.assertEqual(said['hive_refused_messages_total{reason="another hive"}'], 0)
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

    def test_a_leaders_redis_that_comes_back_empty_is_counted(self):
        leader = self.start_hive(2)
        wait_until(lambda: self.total("hive_redis_in_sync") == 2, 15, "both redises to be in sync")
        leader.redis.kill()
        leader.redis.start()
        wait_until(lambda: values(leader.metrics())["hive_empty_redis_deferred_total"] == 1, 15, "the restart to be counted")
        self.assertIsNot(self.hive.wait_settled(), leader)
        self.assertEqual(self.total("hive_empty_redis_deferred_total"), 1)

    # -- hive-proxy ---------------------------------------------------------------------------------------------------

    def proxy(self, pod):
        return values(pod.metrics(addresses.PROXY_METRICS_PORT))

    def test_a_proxy_counts_commands_and_connections(self):
        pod = self.start_hive(1)
        before = self.proxy(pod)
        with pod.connect() as client, pod.connect() as waiter:
            for words in (("SET", "k", "v"), ("SET", "k", "w"), ("GET", "k"), ("CLIENT", "SETNAME", "me"), ("SET", "big", "x" * 300_000)):
                client.command(*words)
            waiter.send_raw(resp.encode("BLPOP", "list", "0"))
            wait_until(lambda: self.proxy(pod)['hive_proxy_upstream_connections{kind="own"}'] >= 1, 5, "a connection of its own")
            during = self.proxy(pod)
            self.assertEqual(during["hive_proxy_clients"] - before["hive_proxy_clients"], 2)
            self.assertEqual(during['hive_proxy_upstream_connections{kind="shared"}'], 1)
            client.command("RPUSH", "list", "x")
            waiter.read_reply()
        after = self.proxy(pod)
        grown = {name: after[name] - before[name] for name in before}
        self.assertEqual(grown['hive_proxy_commands_total{effect="write"}'], 5)  # BLPOP and RPUSH, too
        self.assertEqual(grown['hive_proxy_commands_total{effect="read"}'], 1)
        self.assertEqual(grown['hive_proxy_commands_total{effect="connection"}'], 1)
        self.assertEqual(grown["hive_proxy_command_duration_seconds_count"], 6)  # all but BLPOP
        self.assertLess(grown["hive_proxy_command_duration_seconds_sum"], 5)
        wait_until(lambda: self.proxy(pod)["hive_proxy_clients"] == before["hive_proxy_clients"], 5, "both to be counted no more")

    def test_a_proxy_counts_what_it_holds(self):
        pod = self.start_hive(1)
        self.assertEqual(self.proxy(pod)["hive_proxy_watch_connected"], 1)
        pod.redis.kill()
        with pod.connect() as client:
            for i in range(3):
                client.send_raw(resp.encode("SET", "k", i))
            wait_until(lambda: self.proxy(pod)["hive_proxy_held_commands"] == 3, 5, "three held commands")
            pod.redis.start()
            for _ in range(3):
                self.assertEqual(client.read_reply(), "OK")
        self.assertEqual(self.proxy(pod)["hive_proxy_held_commands"], 0)
        pod.coordinator.kill()
        wait_until(lambda: self.proxy(pod)["hive_proxy_watch_connected"] == 0, 5, "the watch to be gone")

    def test_a_proxy_counts_what_leader_changes_cost(self):
        leader = self.start_hive(2)
        other = self.follower()
        self.assertEqual(self.proxy(other)["hive_proxy_leader_switch_seconds_count"], 0)
        other.write("k", "v")
        run = leader.coordinator_command("handover", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
        self.assertEqual(run.returncode, 0, run.stderr)
        wait_until(lambda: self.proxy(other)["hive_proxy_leader_switch_seconds_count"] == 1, 5, "a switch to be counted")
        self.assertLess(self.proxy(other)["hive_proxy_leader_switch_seconds_sum"], 1)
        self.assertEqual(self.proxy(other)["hive_proxy_closed_unknown_outcome_total"], 0)

        # A redis that stands still has a write and, behind it, a read of another client. Who knows about the write?
        self.hive.wait_settled()
        with leader.connect() as writer, leader.connect() as reader:
            for client in (writer, reader):
                client.command("GET", "k")
            other.redis.freeze()
            writer.send_raw(resp.encode("SET", "k", "w"))
            wait_until(lambda: self.proxy(leader)['hive_proxy_commands_total{effect="write"}'] >= 1, 5, "the write to be sent")
            reader.send_raw(resp.encode("GET", "k"))
            with self.assertRaises(resp.ConnectionLost):
                writer.read_reply()
            self.assertEqual(reader.read_reply(), b"v")
        other.redis.thaw()
        said = self.proxy(leader)
        self.assertEqual(said["hive_proxy_closed_unknown_outcome_total"], 1)
        self.assertEqual(said["hive_proxy_retried_total"], 1)
        self.assertEqual(said["hive_proxy_leader_switch_seconds_count"], 2)

    def test_a_proxy_measures_acknowledgements(self):
        leader = self.start_hive(2, proxy_flags=["--write-acks=1"])
        before = self.proxy(leader)["hive_proxy_write_ack_duration_seconds_count"]
        leader.write("k", "v")
        self.assertEqual(self.proxy(leader)["hive_proxy_write_ack_duration_seconds_count"] - before, 1)

    def test_turned_off(self):
        leader = self.start_hive(1, coordinator_flags=["--metrics-listen="], proxy_flags=["--metrics-listen="])
        for port in _PORTS.values():
            with self.assertRaises(OSError):
                leader.metrics(port)


if __name__ == "__main__":
    unittest.main()
