#!/usr/bin/python3
"""Goal: with mutual TLS, members of one authority make a hive, everybody else is kept out and counted, and certificates are
replaced while everything runs.
Method: real pods with certificates made by openssl; strangers are whole pods, too, listed in DNS like the others."""

import os
import shutil
import subprocess
import time

import scenario
from localhive import addresses, faults
from localhive.certificates import Authority
from localhive.load import WriteLoad
from localhive.process import wait_until

_COORDINATOR = os.path.join(scenario.BINARIES, "hive-coordinator")


class Tls(scenario.Scenario):
    def new_tls_hive(self):
        """A hive whose members share one certificate, of self.authority; nothing runs yet."""
        hive = self.new_hive()
        self.authority = Authority(os.path.join(hive.folder, "ca"))
        self.files = self.authority.issue("member")
        hive._pod_options.update(coordinator_flags=self.files.flags(), proxy_flags=self.files.flags("coordinator-tls"),
                                 command_flags=self.files.flags())
        return hive

    def start_tls_hive(self, pods=3):
        self.new_tls_hive().start(pods)
        return self.hive.wait_writable(20)

    def add_stranger(self, coordinator_flags, proxy_flags):
        """One more pod, listed in DNS, with flags of its own in place of the hive's. It is not one of hive.pods."""
        options = dict(self.hive._pod_options)
        self.hive._pod_options.update(coordinator_flags=coordinator_flags, proxy_flags=proxy_flags)
        try:
            stranger = self.hive._make_pod(self.hive.block.take())
        finally:
            self.hive._pod_options.update(options)
        self.addCleanup(stranger.kill)
        self.hive.dns.list(*(pod.ip for pod in self.hive.pods), stranger.ip)
        stranger.start()
        return stranger

    def assert_kept_out(self, stranger, term):
        """For some seconds: the stranger's redis neither leads nor replicates, and the hive does not even notice."""
        leader = self.hive.settled()
        with WriteLoad(lambda: [pod.ip for pod in self.hive.pods]):
            end = time.monotonic() + 4
            while time.monotonic() < end:
                role = stranger.redis.role()
                self.assertTrue(role is None or role == ("slave", None, role[2]), f"a stranger's redis: {role}")
                self.assertIs(self.hive.settled(), leader)
                time.sleep(0.05)
        for pod in self.hive.pods:
            status = pod.status()
            self.assertEqual(status["term"], term)
            self.assertGreater({r["reason"]: int(r["count"]) for r in status["refused"]}.get("tls_handshake", 0), 0)

    def test_hive_with_tls(self):
        leader = self.start_tls_hive()
        self.assert_all_agree(leader)
        self.write_dataset(leader)
        faults.kill_redis(self.hive, leader, 0.05)
        self.assert_dataset_lives()
        self.hive.wait_writable()
        faults.kill_coordinator(self.hive, self.hive.wait_settled(), 0.05)
        self.hive.wait_writable()
        self.assert_dataset_lives()

    def test_tls_everywhere(self):
        """Between members, to redis, between redises, and to clients: a port of any other kind there is not."""
        hive = self.new_tls_hive()
        hive._pod_options.update(redis_tls=self.files, client_tls=self.files)
        hive.start(3)
        leader = hive.wait_writable(20)
        run = subprocess.run(["redis-cli", "-h", leader.ip, "-p", str(addresses.REDIS_PORT), "PING"], capture_output=True, text=True,
                             timeout=10, check=False)
        self.assertNotIn("PONG", run.stdout)
        with WriteLoad(lambda: [pod.ip for pod in hive.pods], tls=self.files.context()) as load:
            time.sleep(0.5)
            wanted = self.follower()
            run = leader.coordinator_command("handover", f"--to={wanted.ip}", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIs(hive.wait_settled(), wanted)
            time.sleep(0.3)
        self.assertGreater(load.acknowledged, 100)
        self.assertEqual((load.lost(wanted.ip), load.errors()), ([], {}))
        self.write_dataset(wanted)
        faults.kill_redis(hive, wanted, 0.05)
        hive.wait_writable()
        self.assert_dataset_lives()

    def test_probes_and_people(self):
        """The health port speaks plaintext; port 7400 answers nobody without a certificate, and says in one line why."""
        pod = self.start_tls_hive(1)
        for flags in ([], self.files.flags()):
            for port in (addresses.COORDINATOR_HEALTH_PORT, addresses.PROXY_HEALTH_PORT):
                run = subprocess.run([_COORDINATOR, "health", "liveness", f"--target={pod.ip}:{port}", *flags],
                                     capture_output=True, text=True, timeout=15, check=False)
                self.assertEqual((run.returncode, run.stderr), (0, ""), run.stdout)
        target = f"--target={pod.ip}:{addresses.COORDINATOR_PORT}"
        self.assertTrue(pod.healthy("liveness", addresses.COORDINATOR_PORT))

        other = Authority(os.path.join(self.hive.folder, "other")).issue("other")
        for flags in ([], other.flags()):
            run = subprocess.run([_COORDINATOR, "status", target, *flags], capture_output=True, text=True, timeout=15, check=False)
            self.assertEqual(run.returncode, 1)
            self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
            self.assertIn("--tls-ca", run.stderr)
            run = subprocess.run([_COORDINATOR, "health", "readiness", target, *flags],
                                 capture_output=True, text=True, timeout=15, check=False)
            self.assertEqual((run.returncode, run.stderr), (1, ""))

    def test_handover_with_a_certificate(self):
        """From anywhere, as status: who has a certificate may ask; who has none learns in one line what is missing."""
        leader = self.start_tls_hive()
        target = f"--target={leader.ip}:{addresses.COORDINATOR_PORT}"
        run = subprocess.run([_COORDINATOR, "handover", target], capture_output=True, text=True, timeout=15, check=False)
        self.assertEqual((run.returncode, run.stderr.count("\n")), (1, 1), run.stderr)
        self.assertIn("--tls-ca", run.stderr)
        self.assertIs(self.hive.wait_settled(), leader)
        wanted = self.follower()
        run = leader.coordinator_command("handover", f"--to={wanted.ip}", target)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(wanted.ip, run.stdout)
        self.assertIs(self.hive.wait_settled(), wanted)

    def test_member_without_a_certificate(self):
        self.start_tls_hive()
        term = self.hive.pods[0].status()["term"]
        stranger = self.add_stranger([], [])  # plaintext
        self.assert_kept_out(stranger, term)

    def test_member_of_another_authority(self):
        self.start_tls_hive()
        term = self.hive.pods[0].status()["term"]
        files = Authority(os.path.join(self.hive.folder, "other")).issue("member")
        with open(self.files.authority) as ours, open(files.authority, "a") as theirs:
            theirs.write(ours.read())  # it would talk to us; whoever does not like us breaks off by itself, and nobody counts that
        stranger = self.add_stranger(files.flags(), files.flags("coordinator-tls"))
        self.assert_kept_out(stranger, term)
        self.wait_logged(self.hive.pods[0].coordinator, "--tls-ca")

    def test_certificates_are_replaced(self):
        """To another authority while clients write: trust both, present the new, trust the new alone. Nobody need restart, but a
        follower's coordinator may at every step; and a member that knows the new authority alone joins in the end."""
        self.start_tls_hive()
        term = self.hive.pods[0].status()["term"]
        other = Authority(os.path.join(self.hive.folder, "other"))
        new = other.issue("new")
        with WriteLoad(lambda: [pod.ip for pod in self.hive.pods]) as load:
            with open(self.files.authority) as old, open(other.certificate) as added:
                both = old.read() + added.read()
            replace(self.files.authority, both)
            self.settle_and_reconnect(term)
            for source, target in ((new.certificate, self.files.certificate), (new.key, self.files.key)):
                with open(source) as text:
                    replace(target, text.read())
            self.settle_and_reconnect(term)
            with open(other.certificate) as alone:
                replace(self.files.authority, alone.read())
            self.settle_and_reconnect(term)
        self.assertGreater(load.acknowledged, 100)
        self.assertEqual((load.lost(self.hive.settled().ip), load.errors()), ([], {}))
        self.hive._pod_options.update(coordinator_flags=new.flags(), proxy_flags=new.flags("coordinator-tls"))
        self.hive.add_pod()
        self.hive.wait_writable()
        self.assertEqual({pod.status()["term"] for pod in self.hive.pods}, {term})

    def settle_and_reconnect(self, term):
        """Once everybody has seen the new files: new connections in every direction."""
        time.sleep(2)
        follower = self.follower()
        follower.coordinator.kill()
        follower.coordinator.start()
        wait_until(lambda: all((state := pod.status()) and state.get("leader", {}).get("term") == term for pod in self.hive.pods),
                   10, "everybody to answer, and to know the leader")
        self.assertIsNotNone(self.hive.settled())

    def test_wrong_files_are_one_line(self):
        hive = self.new_tls_hive()
        missing = os.path.join(hive.folder, "missing.pem")
        shutil.copy(self.files.certificate, os.path.join(hive.folder, "copy.crt"))
        for binary, prefix, rest in ((_COORDINATOR, "tls", ["--peers=static:127.0.0.1:7400"]),
                                     (os.path.join(scenario.BINARIES, "hive-proxy"), "coordinator-tls", [])):
            for flags, said in (([f"--{prefix}-cert={self.files.certificate}"], f"--{prefix}-key is missing"),
                                ([f"--{prefix}-cert={missing}", f"--{prefix}-key={self.files.key}",
                                  f"--{prefix}-ca={self.files.authority}"], f"--{prefix}-cert={missing}: no such file"),
                                ([f"--{prefix}-cert={self.files.certificate}", f"--{prefix}-key={self.files.key}",
                                  f"--{prefix}-ca={self.files.key}"], "holds no certificate")):
                run = subprocess.run([binary, *rest, *flags], capture_output=True, text=True, timeout=10, check=False)
                self.assertEqual((run.returncode, run.stderr.count("\n")), (2, 1), run.stderr)
                self.assertIn(said, run.stderr)


def replace(path, text):
    """As a Secret's volume does it: all at once."""
    with open(path + ".new", "w") as out:
        out.write(text)
    os.rename(path + ".new", path)


if __name__ == "__main__":
    scenario.main()
