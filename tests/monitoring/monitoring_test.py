"""Goal: an alert fires when it should, and not otherwise; the dashboard shows something; and neither asks for a metric that no binary has.
Method: promtool with made-up series (alerts_test.yaml), and Debian's Prometheus that scrapes hives of real processes while they are harmed.
A rule's `for` is shortened there. Two leaders are two hives in one namespace."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

import monitoring
from localhive import addresses, resp
from localhive.hive import LocalHive
from localhive.process import wait_until

sys.path.insert(0, os.path.join(monitoring.ROOT, "tests", "integration"))
import scenario

_HERE = os.path.dirname(os.path.abspath(__file__))
_HURRY = 60  # a minute is a second


def setUpModule():
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        raise unittest.SkipTest("no prometheus here: ./hive test takes it out of Debian's package")


class Alerts(unittest.TestCase):
    """promtool, with series that are made up."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hive-monitoring-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def promtool(self, *words):
        return subprocess.run(["promtool", *words], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)

    def promtool_on(self, groups):
        """What promtool says of these rules."""
        with open(os.path.join(self.folder, "rules.yml"), "w", encoding="utf-8") as out:
            json.dump({"groups": groups}, out)
        shutil.copy(os.path.join(_HERE, "alerts_test.yaml"), self.folder)
        return self.promtool("test", "rules", "alerts_test.yaml")

    def test_rules(self):
        run = self.promtool_on(monitoring.groups())
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_every_rule_is_tested_and_explains_itself(self):
        with open(os.path.join(_HERE, "alerts_test.yaml"), encoding="utf-8") as file:
            tested = set(re.findall(r"alertname: (\w+)\n", file.read()))  # those that fire; on one line are those that do not
        self.assertEqual(tested, {rule["alert"] for rule in monitoring.rules()})
        for rule in monitoring.rules():
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
            self.assertEqual(set(rule["annotations"]), {"summary", "description"})

    def test_rules_that_are_wrong_are_found(self):
        groups = monitoring.groups()
        for rule in groups[0]["rules"]:
            rule["expr"] = re.sub(r"\S+$", "99", rule["expr"])  # another threshold
        run = self.promtool_on(groups)
        self.assertEqual(set(re.findall(r"alertname: (\w+)", run.stdout + run.stderr)), {rule["alert"] for rule in monitoring.rules()})

    def test_without_the_operator(self):
        """docs/monitoring.md: the command that makes a rule file, and the configuration that goes with it; but Debian's Prometheus is
        built without Kubernetes."""
        with open(os.path.join(monitoring.ROOT, "docs", "monitoring.md"), encoding="utf-8") as manual:
            blocks = re.findall(r"^```\n(.*?)^```", manual.read(), re.MULTILINE | re.DOTALL)
        command = next(block for block in blocks if block.startswith("sed "))
        subprocess.run(command.replace("manifests/", f"{monitoring.ROOT}/manifests/"), shell=True, cwd=self.folder, check=True)
        config = yaml.safe_load(next(block for block in blocks if block.startswith("scrape_configs:")))
        self.assertEqual(config["scrape_configs"][0].pop("kubernetes_sd_configs"), [{"role": "pod"}])
        with open(os.path.join(self.folder, "prometheus.yml"), "w", encoding="utf-8") as out:
            yaml.safe_dump(config, out)
        run = self.promtool("check", "config", "prometheus.yml")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn(f"{len(monitoring.rules())} rules found", run.stdout)


class Scraped(scenario.Scenario):
    """Prometheus, and hives of real processes."""

    def start_prometheus(self, pods):
        folder = tempfile.mkdtemp(prefix="hive-monitoring-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.prometheus = monitoring.Prometheus(self.hive.block.dns_ip, folder, pods, monitoring.groups(), _HURRY)
        self.addCleanup(self.prometheus.process.kill)
        self.prometheus.start()

    def wait_firing(self, *wanted):
        """Until these, and nothing else, fire: (alert, pod or None)."""
        try:
            wait_until(lambda: self.prometheus.firing() == set(wanted), 20, "alerts", 0.1)
        except Exception as error:
            raise AssertionError(f"these should fire: {set(wanted)}; these do: {self.prometheus.firing()}") from error

    def test_a_healthy_hive_and_its_dashboard_and_what_is_killed_then(self):
        leader = self.start_hive(2, coordinator_flags=["--min-followers=1"])
        self.start_prometheus(self.hive.pods)
        wait_until(lambda: self.prometheus.query("sum(hive_redis_in_sync)") == [({}, 2)], 15, "both to be in sync")
        run = leader.coordinator_command("handover", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
        self.assertEqual(run.returncode, 0, run.stderr)
        leader = self.hive.wait_writable()
        wait_until(lambda: self.prometheus.query("sum(hive_handovers_total) > 0"), 10, "the handover to be scraped")
        for expression in [rule["expr"] for rule in monitoring.rules()] + monitoring.dashboard_expressions():
            self.prometheus.query(expression)  # it is one
            for selector in monitoring.selectors(expression):
                with self.subTest(selector=selector, expression=expression):
                    # On the leader alone, and once it has heard from a follower.
                    wait_until(lambda s=selector: self.prometheus.query(s), 5, f"{selector} to have samples")
        shown = [expression for expression in monitoring.dashboard_expressions() if self.prometheus.query(expression)]
        self.assertGreater(len(shown), len(monitoring.dashboard_expressions()) * 2 / 3)
        self.wait_firing()

        follower = self.follower()
        follower.redis.kill()
        follower.coordinator.kill()
        follower.proxy.kill()
        gone = {("RedisHiveCoordinatorUnreachable", follower.ip), ("RedisHiveProxyUnreachable", follower.ip)}
        self.wait_firing(*gone, ("RedisHiveWritesHeldBack", None))
        leader.coordinator.kill()
        self.wait_firing(*gone, ("RedisHiveCoordinatorUnreachable", leader.ip), ("RedisHiveProxyWithoutCoordinator", leader.ip))

    def test_redises_that_go_and_come_back(self):
        leader = self.start_hive(3)
        follower, other = (pod for pod in self.hive.pods if pod is not leader)
        self.start_prometheus(self.hive.pods)
        wait_until(lambda: self.prometheus.query("sum(hive_redis_in_sync)") == [({}, 3)], 15, "all to be in sync")
        self.wait_firing()

        follower.redis.kill()
        self.wait_firing(("RedisHiveRedisOutOfSync", follower.ip))
        follower.redis.start()
        self.wait_firing(("RedisHiveEmptyRedisDeferred", follower.ip))

        # What a leader has taken before its redis stood still is discarded. Then nobody has a redis at all.
        with leader.connect() as client:
            client.command("SET", "k", "v")
            self.wait_replicated()
            leader.redis.freeze()
            client.send_raw(resp.encode("SET", "k", "w"))
            with self.assertRaises(resp.ConnectionLost):
                client.read_reply()
        leader.redis.thaw()
        past = {("RedisHiveEmptyRedisDeferred", follower.ip), ("RedisHiveWritesDiscarded", leader.ip)}
        self.wait_firing(*past)
        for pod in self.hive.pods:
            pod.redis.kill()
        with other.connect() as client:
            client.send_raw(resp.encode("SET", "k", "x"))
            self.wait_firing(*past, ("RedisHiveNoLeader", None), ("RedisHiveCommandsHeld", other.ip),
                             *(("RedisHiveRedisOutOfSync", pod.ip) for pod in self.hive.pods))

    def test_two_leaders(self):
        self.start_hive(1)
        second = LocalHive(addresses.claim_test_block(), scenario.BINARIES)
        self.addCleanup(second.close)
        second.start(1)
        second.wait_writable(20)
        self.start_prometheus(self.hive.pods + second.pods)
        self.wait_firing(("RedisHiveTwoLeaders", None))


if __name__ == "__main__":
    unittest.main()
