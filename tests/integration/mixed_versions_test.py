#!/usr/bin/python3
"""Goal: members of two versions make one hive, as during an upgrade, and clients notice nothing of it.
Method: the real binaries, and the same ones as a newer version may be, whose messages all have a field more (tests/newer/)."""

import os
import subprocess
import time

import scenario
from localhive import addresses
from localhive.load import WriteLoad
from localhive.process import wait_until

_NEWER = os.path.join(scenario.BINARIES, "newer")
HIVE_VERSION = subprocess.run([os.path.join(scenario.BINARIES, "hive-coordinator"), "--version"], capture_output=True, text=True,
                              check=True).stdout.split()[-1]


class MixedVersions(scenario.Scenario):
    def replace(self, pod, binaries):
        """As a rolling update does: a new pod is in sync before the old one is told to end, its redis last."""
        self.hive.binaries = binaries
        new = self.hive.add_pod()
        self.wait_healthy(new, "readiness")
        self.wait_healthy(new, "readiness", addresses.PROXY_HEALTH_PORT)
        self.ips = [p.ip for p in self.hive.pods if p is not pod]  # endpoints follow
        pod.proxy.signal(15)
        self.assertTrue(pod.coordinator.terminate(8))
        self.assertTrue(pod.proxy.ended_within(8))
        self.hive.remove_pod(pod)
        self.hive.wait_settled()

    def assert_each_knows_the_versions_of_all(self):
        wanted = {pod.ip: "99.0.0" if pod.binaries == _NEWER else HIVE_VERSION for pod in self.hive.pods}

        def known():
            said = [{m["coordinator"]["ip"]: m["version"] for m in pod.status()["members"] if not m["gone"]} for pod in self.hive.pods]
            return all(versions == wanted for versions in said) or None
        wait_until(known, 5, f"each member to know who runs what: {wanted}")
        for pod in self.hive.pods:
            table = pod.coordinator_command("status", f"--target={pod.ip}:{addresses.COORDINATOR_PORT}").stdout
            self.assertEqual("versions differ: " in table, len(set(wanted.values())) > 1, table)

    def test_rolling_update_to_a_newer_version_and_back(self):
        leader = self.start_hive(2, proxy_flags=["--drain-timeout=2s"])
        self.write_dataset(leader)
        self.ips = [pod.ip for pod in self.hive.pods]
        with WriteLoad(lambda: self.ips) as load:
            time.sleep(0.5)
            for pod in list(self.hive.pods):  # each version has led the other by then
                self.replace(pod, _NEWER)
            self.replace(self.hive.leader(), scenario.BINARIES)
            time.sleep(0.5)
            load.stop()
        self.assertEqual(load.errors(), {})
        self.wait_replicated()
        self.assertEqual(load.lost(self.hive.wait_settled().ip), [])
        self.assertGreater(load.acknowledged, 1000)
        self.assert_dataset_lives()

    def test_leader_of_either_version_dies(self):
        self.new_hive()
        self.hive.binaries = _NEWER
        self.hive.start(2)
        self.hive.binaries = scenario.BINARIES
        self.hive.add_pod()
        self.hive.wait_writable(20)
        self.assert_each_knows_the_versions_of_all()
        for _ in range(2):
            leader = self.hive.wait_writable(20)
            leader.kill()
            wait_until(lambda: self.hive.leader() not in (None, leader), 10, "another leader")
            self.hive.remove_pod(leader)
        self.hive.wait_writable()
        self.assert_each_knows_the_versions_of_all()
        for pod in self.hive.pods:
            self.assertNotIn("malformed", str(pod.status().get("refused")))


scenario.main()
