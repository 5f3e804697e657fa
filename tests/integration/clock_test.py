#!/usr/bin/python3
"""Goal: clocks need not agree. A pod whose clock is hours off takes its part like any other; what differs is only when keys expire, since
redis replicates the moment of expiry, and each redis goes by its own clock.
Method: tests/localhive/skewed_clock.cc preloaded into all processes of a pod; other clocks, by which time-outs go, are left alone."""

import os
import re
import time

import scenario
from localhive import addresses
from localhive.load import WriteLoad
from localhive.process import wait_until

_LIBRARY = os.path.join(scenario.BINARIES, "libskewed_clock.so")
_HOUR = 3600


class Clock(scenario.Scenario):
    def start_skewed(self, *skews):
        """A hive with one pod for each skew, in seconds, all of which replicate the first one."""
        hive = self.new_hive()
        hive.dns.start()
        for number, skew in enumerate(skews):
            pod = hive._make_pod(hive.block.take())
            for process in pod.processes:
                process.argv[:0] = ["env", f"LD_PRELOAD={_LIBRARY}", f"SKEW_SECONDS={skew}"]
            hive.pods.append(pod)
            hive.dns.list(*(pod.ip for pod in hive.pods))
            pod.start()
            if number == 0:
                hive.wait_writable(20)
        self.assertIs(hive.wait_writable(20), hive.pods[0])
        return hive.pods

    def hand_over(self, to):
        leader = self.hive.wait_settled()
        answer = leader.coordinator_command("handover", f"--to={to.ip}", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIs(self.hive.wait_settled(), to)

    def assert_told(self, pod, other, text):
        """By pod's `status`, in the line of the other."""
        def said():
            table = pod.coordinator_command("status", f"--target={pod.ip}:{addresses.COORDINATOR_PORT}").stdout
            return any(line.startswith(other.ip) and re.search(f"clock (5h|4h59m59s|5h0m1s) {text.split()[1]}", line)
                       for line in table.splitlines())
        wait_until(said, 5, f"{pod.ip} to say that the clock of {other.ip} is {text}")

    def test_hours_ahead_and_hours_behind(self):
        right, ahead, behind = self.start_skewed(0, 5 * _HOUR, -5 * _HOUR)
        self.assert_told(right, ahead, "5h ahead")
        self.assert_told(right, behind, "5h behind")
        self.assert_told(ahead, right, "5h behind")
        self.wait_logged(right.coordinator, f"the clock of {ahead.ip} is ")
        self.write_dataset(right)
        ips = [pod.ip for pod in self.hive.pods]
        with WriteLoad(lambda: ips) as load:
            time.sleep(0.3)
            for pod in (ahead, behind):
                self.hand_over(pod)
            time.sleep(0.3)
            load.stop()
        self.assertEqual(load.errors(), {})
        self.wait_replicated()
        self.assertEqual(load.lost(behind.ip), [])
        behind.kill()  # an election, whose candidates' clocks are five hours apart
        self.hive.remove_pod(behind)
        self.hive.wait_writable()
        self.assert_dataset_lives()

    def test_keys_expire_by_the_clock_of_whoever_leads(self):
        right, ahead = self.start_skewed(0, 5 * _HOUR)
        with right.connect() as client:
            client.command("SET", "for an hour", "x", "EX", "3600")
            client.command("SET", "for a day", "x", "EX", "86400")
            client.command("SET", "for good", "x")
        self.wait_replicated()
        self.hand_over(ahead)
        with right.connect() as client:
            self.assertIsNone(client.command("GET", "for an hour"))
            self.assertAlmostEqual(client.command("TTL", "for a day"), 86400 - 5 * _HOUR, delta=30)
            self.assertEqual(client.command("GET", "for good"), b"x")


scenario.main()
