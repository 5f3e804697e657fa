#!/usr/bin/python3
"""Goal: a pod whose secret or CA is not its hive's neither begins a dataset nor becomes ready, however long it waits, and says what
is wrong; so a rolling update stops at the first such pod, and no pod with data is ended for it.
Method: real pods; the stranger's --empty-wait is far shorter than the time for which it is watched."""

import os
import time

import scenario
from localhive import addresses
from localhive.certificates import Authority
from localhive.process import wait_until

_SECRET = "the hive's own secret, which nobody guesses"
_OTHER = "another secret, which nobody guesses either"
_WATCHED_S = 6  # --bootstrap-settle (2 s) and --empty-wait (1 s), and as much again


class Outcast(scenario.Scenario):
    def start_with_secret(self, pods=2):
        hive = self.new_hive()
        self.secret = self.put("secret", _SECRET)
        hive._pod_options.update(coordinator_flags=[f"--peer-secret-file={self.secret}"],
                                 proxy_flags=[f"--peer-secret-file={self.secret}"])
        hive.start(pods)
        return hive.wait_writable(20)

    def start_with_tls(self, pods=2):
        hive = self.new_hive()
        files = Authority(os.path.join(hive.folder, "ca")).issue("member")
        hive._pod_options.update(coordinator_flags=files.flags(), proxy_flags=files.flags("coordinator-tls"), command_flags=files.flags())
        hive.start(pods)
        return hive.wait_writable(20)

    def put(self, name, text):
        path = os.path.join(self.hive.folder, name)
        with open(path + ".new", "w") as out:
            out.write(text + "\n")
        os.rename(path + ".new", path)
        return path

    def add_outcast(self, flags, proxy_flags, command_flags=()):
        """One more pod, listed in DNS, with flags of its own in place of the hive's. It is not one of hive.pods."""
        options = dict(self.hive._pod_options)
        self.hive._pod_options.update(coordinator_flags=[*flags, "--empty-wait=1s"], proxy_flags=list(proxy_flags),
                                      command_flags=list(command_flags))
        try:
            pod = self.hive._make_pod(self.hive.block.take())
        finally:
            self.hive._pod_options.clear()
            self.hive._pod_options.update(options)
        self.addCleanup(pod.kill)
        self.hive.dns.list(*(pod.ip for pod in self.hive.pods), pod.ip)
        pod.start()
        return pod

    def assert_waits(self, outcast, leader):
        """It leads nothing, is not ready, and tells its log and whoever asks what to put right; the hive goes on."""
        end = time.monotonic() + _WATCHED_S
        while time.monotonic() < end:
            role = outcast.redis.role()
            self.assertFalse(role and role[0] == "master", f"the outcast's redis: {role}")
            self.assertFalse(outcast.healthy("readiness"), "it must not be ready")
            self.assertIs(self.hive.settled(), leader)
            time.sleep(0.1)
        waits = outcast.status()["waitingFor"]
        for words in ("--peer-secret-file", "--tls-ca", "alive"):
            self.assertIn(words, waits)
        self.assertTrue(any(f"{pod.ip}:" in waits for pod in self.hive.pods), waits)
        self.assertIn("--peer-secret-file", self.wait_logged(outcast.coordinator, "do not believe one another"))
        rejecting = [member["coordinator"]["ip"] for member in leader.status()["members"] if member.get("rejects")]
        self.assertEqual(rejecting, [outcast.ip])
        run = leader.coordinator_command("status", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
        self.assertRegex(run.stdout, rf"(?m)^{outcast.ip} .*another secret or CA", run.stderr)

    def test_another_secret(self):
        """Once its file is right it joins, without a restart."""
        leader = self.start_with_secret()
        other = self.put("other", _OTHER)
        outcast = self.add_outcast([f"--peer-secret-file={other}"], [f"--peer-secret-file={other}"])
        self.assert_waits(outcast, leader)
        self.put("other", _SECRET)
        wait_until(lambda: outcast.healthy("readiness"), 15, "the pod to join, once its secret is right")
        self.assertEqual(outcast.redis.role()[:2], ("slave", leader.ip))

    def test_no_secret(self):
        leader = self.start_with_secret()
        self.assert_waits(self.add_outcast([], []), leader)

    def test_two_at_once(self):
        """They believe one another, as two new pods of a rolling update do."""
        leader = self.start_with_secret()
        other = self.put("other", _OTHER)
        flags = [f"--peer-secret-file={other}"]
        first = self.add_outcast(flags, flags)
        second = self.add_outcast(flags, flags)
        self.hive.dns.list(*(pod.ip for pod in self.hive.pods), first.ip, second.ip)
        end = time.monotonic() + _WATCHED_S
        while time.monotonic() < end:
            for outcast in (first, second):
                role = outcast.redis.role()
                self.assertFalse(role and role[0] == "master", f"an outcast's redis: {role}")
                self.assertFalse(outcast.healthy("readiness"), "it must not be ready")
            time.sleep(0.1)
        self.assertIs(self.hive.settled(), leader)

    def test_coordinator_restarted_with_another_secret(self):
        """Its redis holds the whole dataset; it does not lead that either."""
        leader = self.start_with_secret(3)
        follower = self.follower()
        other = self.put("other", _OTHER)
        follower.coordinator.kill()
        follower.coordinator.argv[:] = [word.replace(self.secret, other) for word in follower.coordinator.argv]
        follower.coordinator.start()
        end = time.monotonic() + _WATCHED_S
        while time.monotonic() < end:
            self.assertNotEqual(follower.redis.role()[0], "master")
            self.assertEqual(leader.redis.role()[0], "master")
            time.sleep(0.05)
        self.assertFalse(follower.healthy("readiness"), "it must not be ready")
        self.assertIn("--peer-secret-file", follower.status()["waitingFor"])

    def test_another_authority(self):
        leader = self.start_with_tls()
        files = Authority(os.path.join(self.hive.folder, "other")).issue("member")
        self.assert_waits(self.add_outcast(files.flags(), files.flags("coordinator-tls"), files.flags()), leader)

    def test_plaintext_among_members_with_tls(self):
        leader = self.start_with_tls()
        self.assert_waits(self.add_outcast([], []), leader)

    def test_tls_among_members_without(self):
        leader = self.start_hive(2)
        files = Authority(os.path.join(self.hive.folder, "other")).issue("member")
        self.assert_waits(self.add_outcast(files.flags(), files.flags("coordinator-tls"), files.flags()), leader)


if __name__ == "__main__":
    scenario.main()
