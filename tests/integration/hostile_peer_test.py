#!/usr/bin/python3
"""Goal: what no honest member sends changes nothing, and is counted: bytes that are no message, absurd values, lies,
thousands of strangers, stale and duplicate reports. Nor does the hive fare worse afterwards.
Method: real pods under load; hive_hostile_peer (tests/hostile) attacks each of them, as a stranger in a hive that has a
secret, and as a member gone mad in one that has none. Then the leader's redis is killed, and a pod joins."""

import json
import os
import subprocess
import threading
import time

import scenario
from localhive import addresses, faults
from localhive.load import WriteLoad
from localhive.process import wait_until

_HOSTILE = os.path.join(scenario.BINARIES, "hive_hostile_peer")
_SECRET = "a secret that nobody guesses"


class HostilePeer(scenario.Scenario):
    @classmethod
    def setUpClass(cls):
        scenario.leave_the_network()  # members dial the addresses that they are told, and a spoiled one may be anybody's

    def attack(self, pod, case, *flags):
        """What became of the messages, by kind of answer."""
        # What protobuf says of bad bytes is not looked at: it depends on where the bits were turned over.
        run = subprocess.run([_HOSTILE, f"--target={pod.ip}:{addresses.COORDINATOR_PORT}", f"--mask={self.mask}",
                              f"--case={case}", *flags], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def refused(self, pod):
        return {r["reason"]: int(r["count"]) for r in pod.status().get("refused", [])}

    def leaders(self):
        """Whom each member believes in. Not with which term: a leader takes a new one when another yields to it."""
        return {pod.ip: pod.status()["leader"]["leader"] for pod in self.hive.pods}

    def under_attack(self, case, *flags):
        """Attacks every member under load, and returns what became of the messages, by member."""
        leader, before = self.hive.wait_settled(), self.leaders()
        self.mask = self.hive.block.take()
        outcomes = {}
        with WriteLoad(lambda: [pod.ip for pod in self.hive.pods]) as load, scenario.MasterWatch(self.hive) as masters:
            for pod in self.hive.pods:
                outcomes[pod.ip] = self.attack(pod, case, *flags)
                self.assertIs(self.hive.settled(), leader, f"{case} at {pod.ip}: {outcomes}")
        self.assertEqual(self.leaders(), before)
        self.assertEqual(masters.masters, {leader.ip})
        self.assertEqual((load.errors(), load.lost(leader.ip)), ({}, []))
        self.assertTrue(all(pod.coordinator.alive() for pod in self.hive.pods))
        return outcomes

    def assert_unharmed(self):
        """It elects and takes in members as before."""
        leader = self.hive.wait_settled()
        faults.kill_redis(self.hive, leader, 0.05)
        self.hive.wait_writable(10)
        self.hive.add_pod()
        self.hive.wait_writable(10)
        self.hive.remove_pod(self.hive.wait_settled())
        self.hive.wait_writable(10)

    # -- a stranger, where there is a secret ----------------------------------------------------------------------------

    def test_stranger(self):
        """Its messages never reach the election: even the highest term that members have seen stays."""
        self.new_hive()
        secret = os.path.join(self.hive.folder, "secret")
        with open(secret, "w") as out:
            out.write(_SECRET + "\n")
        self.hive._pod_options.update(coordinator_flags=[f"--peer-secret-file={secret}"], proxy_flags=[f"--peer-secret-file={secret}"])
        self.hive.start(3)
        self.hive.wait_writable(20)
        before = {pod.ip: (pod.status()["term"], len(pod.status()["members"])) for pod in self.hive.pods}
        sent = dict.fromkeys(before, 0)
        for case in ("lies", "absurd", "garbage", "flood", "streams"):
            for ip, outcome in self.under_attack(case).items():
                self.assertNotIn("answered", outcome)
                sent[ip] += outcome["sent"]
        self.assertEqual({pod.ip: (pod.status()["term"], len(pod.status()["members"])) for pod in self.hive.pods}, before)
        for pod in self.hive.pods:
            self.assertGreater(self.refused(pod)["no_proof"], sent[pod.ip] / 2, "what gRPC itself refuses is not counted here")
        self.assert_unharmed()

    # -- a member gone mad, or a stranger where there is no secret ------------------------------------------------------

    def attacked(self, case):
        self.start_hive()
        before = {pod.ip: (pod.status()["term"], len(pod.status()["members"])) for pod in self.hive.pods}
        outcomes = self.under_attack(case)
        leader = self.hive.wait_settled()
        self.assertEqual({pod.ip: (pod.status()["term"], len(pod.status()["members"])) for pod in self.hive.pods}, before)
        for pod in self.hive.pods:
            # Whoever does not lead closes a stream at once, often before it has read what makes no sense.
            if case in ("garbage", "absurd") or (case == "streams" and pod is leader):
                self.assertGreater(self.refused(pod)["malformed"], 3)
        self.assert_unharmed()
        return outcomes

    def test_in_a_members_name(self):
        """The same under the identity of a real follower."""
        self.start_hive()
        for case in ("lies", "streams"):
            self.under_attack(case, f"--mask-member={self.follower().ip}")
        self.assert_unharmed()

    def test_lies(self):
        self.attacked("lies")

    def test_stale_and_foreign_reports(self):
        self.attacked("streams")

    def test_garbage(self):
        self.attacked("garbage")

    def test_absurd_values(self):
        """The codec catches half of them. The rest is impossible only to the election, or to nobody: an IP that no pod has."""
        self.attacked("absurd")

    def test_thousands_of_strangers(self):
        """None of them is met: they do not count as members, neither now nor in the elections that follow."""
        outcomes = self.attacked("flood")
        for ip, outcome in outcomes.items():
            self.assertGreater(outcome.get("refused", 0), outcome["sent"] / 2, f"{ip}: {outcome}")

    def test_terms_cannot_be_used_up(self):
        self.attacked("terms")

    # -- a leader gone mad ----------------------------------------------------------------------------------------------

    def test_stale_and_foreign_beats(self):
        """A follower stays with its leader whatever arrives out of order, twice, or in another's name; and leaves it after
        leader_timeout when the beats go on, but echo nothing that it has sent of late."""
        hive = self.new_hive()
        hive.dns.start()
        victim, false = (hive._make_pod(hive.block.take()) for _ in range(2))
        hive.pods.append(victim)
        hive.dns.list(victim.ip, false.ip)
        self.mask = false.ip
        self.addCleanup(false.kill)
        for process in (victim.redis, false.redis, victim.coordinator):
            process.start()
        wait_until(lambda: victim.status() and false.redis.role(), 10, "processes to answer")
        false.redis.ask("REPLICAOF", "NO", "ONE")
        false.redis.ask("SET", "the", "dataset")

        outcome, seen = {}, []
        attacker = threading.Thread(target=lambda: outcome.update(self.attack(victim, "leader")))
        attacker.start()
        wait_until(lambda: victim.redis.role() == ("slave", false.ip, "connected"), 10, "the victim to follow")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            state = victim.status()
            seen.append((state["role"], state["leader"]["leader"]["ip"], state["leader"]["term"]))
        attacker.join()
        self.assertEqual(set(seen), {("ROLE_FOLLOWING", false.ip, "50")})
        self.assertTrue(outcome["left"], outcome)
        self.assertGreater(outcome["bad"], 60, outcome)
        self.assertGreater(outcome["left_after_ms"], 800, outcome)
        self.assertLess(outcome["left_after_ms"], 3000, outcome)


if __name__ == "__main__":
    scenario.main()
