#!/usr/bin/python3
"""Goal: with a secret, whoever does not know it is kept out, changes nothing and is counted; a secret is changed, and turned
on, under load.
Method: real pods; strangers are whole pods, too, listed in DNS like the others."""

import os
import subprocess
import tempfile
import time

import scenario
from localhive.load import WriteLoad
from localhive.process import wait_until

_COORDINATOR = os.path.join(scenario.BINARIES, "hive-coordinator")
_PROXY = os.path.join(scenario.BINARIES, "hive-proxy")
_OLD = "an old secret that nobody guesses"
_NEW = "a new secret that nobody guesses"


class PeerSecret(scenario.Scenario):
    def new_secret_hive(self, text=_OLD):
        """A hive whose members and proxies read self.secret; nothing runs yet."""
        hive = self.new_hive()
        self.secret = os.path.join(hive.folder, "secret")
        put(self.secret, text)
        hive._pod_options.update(coordinator_flags=[f"--peer-secret-file={self.secret}"],
                                 proxy_flags=[f"--peer-secret-file={self.secret}"])
        return hive

    def start_secret_hive(self, text=_OLD):
        self.new_secret_hive(text).start(3)
        return self.hive.wait_writable(20)

    def refused(self, pod):
        return {r["reason"]: int(r["count"]) for r in pod.status().get("refused", [])}

    def assert_stranger_is_kept_out(self, stranger_flags, reason):
        """A whole pod with these flags joins DNS, for some seconds under load: nothing changes, and it is counted."""
        self.start_secret_hive()
        leader, term = self.hive.settled(), self.hive.pods[0].status()["term"]
        options = dict(self.hive._pod_options)
        self.hive._pod_options.update(coordinator_flags=stranger_flags, proxy_flags=stranger_flags)
        stranger = self.hive._make_pod(self.hive.block.take())
        self.hive._pod_options.update(options)
        self.addCleanup(stranger.kill)
        with WriteLoad(lambda: [pod.ip for pod in self.hive.pods]) as load:
            self.hive.dns.list(*(pod.ip for pod in self.hive.pods), stranger.ip)
            stranger.start()
            end = time.monotonic() + 4
            while time.monotonic() < end:
                role = stranger.redis.role()
                self.assertTrue(role is None or role == ("slave", None, role[2]), f"a stranger's redis: {role}")
                self.assertIs(self.hive.settled(), leader)
                time.sleep(0.05)
        self.assertEqual(load.errors(), {})
        self.assertEqual({pod.status()["term"] for pod in self.hive.pods}, {term})
        for pod in self.hive.pods:
            self.assertGreater(self.refused(pod).get(reason, 0), 0, self.refused(pod))
        line = self.wait_logged(leader.coordinator, "refused a call")
        self.assertIn("--peer-secret-file", line)
        with open(leader.coordinator.log_path) as log:
            told = [entry for entry in log if "refused a call" in entry]
        self.assertEqual(len(told), 1, "one line per peer and 30 s; on loopback all callers are 127.0.0.1")
        self.wait_logged(stranger.coordinator, "a member refuses this one")
        self.assertEqual(self.refused(stranger).get("unproven_answer", 0), 0, "it never got as far as an answer")

    def test_member_without_the_secret(self):
        self.assert_stranger_is_kept_out([], "no_proof")

    def test_member_with_another_secret(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        other = os.path.join(folder, "secret")
        put(other, _NEW)
        self.assert_stranger_is_kept_out([f"--peer-secret-file={other}"], "wrong_proof")

    def rotate(self, steps):
        """Puts one text after the other into everybody's file, under load. Nobody restarts, nothing is noticed."""
        term = self.hive.pods[0].status()["term"]
        with WriteLoad(lambda: [pod.ip for pod in self.hive.pods]) as load:
            for text in steps:
                put(self.secret, text)
                time.sleep(2)
                self.assertIsNotNone(self.hive.settled())
        self.assertGreater(load.acknowledged, 100)
        self.assertEqual((load.lost(self.hive.settled().ip), load.errors()), ([], {}))
        self.assertEqual({pod.status()["term"] for pod in self.hive.pods}, {term})
        for pod in self.hive.pods:
            self.assertEqual(self.refused(pod), {})

    def test_secret_is_rotated(self):
        self.start_secret_hive()
        self.rotate([f"{_OLD}\n{_NEW}\n", f"{_NEW}\n{_OLD}\n", f"{_NEW}\n"])
        self.hive.add_pod()  # knows the new one alone
        self.hive.wait_writable()

    def test_secret_is_turned_on(self):
        self.start_secret_hive("none")
        self.rotate([f"none\n{_NEW}\n", f"{_NEW}\nnone\n", f"{_NEW}\n"])
        self.hive.remove_pod(self.hive.wait_settled())  # all streams are opened anew, with proofs
        self.hive.wait_writable()
        for pod in self.hive.pods:
            self.assertEqual(self.refused(pod), {})

    def test_members_restart_in_the_middle_of_a_rotation(self):
        """Each step reaches the members one after the other, as a Secret's volume does, and some restart in between."""
        hive = self.new_hive()
        hive.dns.start()
        files = []
        for _ in range(3):
            pod = hive._make_pod(hive.block.take())
            files.append(os.path.join(pod.folder, "secret"))
            put(files[-1], _OLD)
            for process in (pod.coordinator, pod.proxy):
                process.argv.append(f"--peer-secret-file={files[-1]}")
            hive.pods.append(pod)
        hive.dns.list(*(pod.ip for pod in hive.pods))
        for pod in hive.pods:
            pod.start()
        hive.wait_writable(20)
        with WriteLoad(lambda: [pod.ip for pod in hive.pods]) as load:
            for text in (f"{_OLD}\n{_NEW}", f"{_NEW}\n{_OLD}", _NEW):
                for file, pod in zip(files, hive.pods):
                    put(file, text)
                    time.sleep(1.5)
                    if pod is not hive.settled():
                        pod.coordinator.kill()
                        pod.coordinator.start()
                    wait_until(hive.settled, 5, "one leader whom every other redis replicates")
        self.assertEqual(load.lost(hive.wait_settled().ip), [])
        for pod in hive.pods:
            self.assertEqual(self.refused(pod), {})

    def test_without_a_secret_a_warning(self):
        leader = self.start_hive(1)
        self.assertIn("--peer-secret-file", self.wait_logged(leader.coordinator, "is believed to be a member"))
        with open(leader.coordinator.log_path) as log:
            self.assertEqual(log.read().count("is believed to be a member"), 1)

    def test_wrong_files_are_one_line(self):
        hive = self.new_hive()
        short = os.path.join(hive.folder, "short")
        put(short, "short\n")
        for binary, rest in ((_COORDINATOR, ["--peers=static:127.0.0.1:7400"]), (_PROXY, [])):
            for file, said in ((short, "line 1 is shorter than 16 bytes"), ("/no/such", "no such file")):
                run = subprocess.run([binary, *rest, f"--peer-secret-file={file}"],
                                     capture_output=True, text=True, timeout=10, check=False)
                self.assertEqual((run.returncode, run.stderr.count("\n")), (2, 1), run.stderr)
                self.assertIn(f"--peer-secret-file={file}: {said}", run.stderr)


def put(path, text):
    """As a Secret's volume does it: all at once."""
    with open(os.open(path + ".new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    os.rename(path + ".new", path)


if __name__ == "__main__":
    scenario.main()
