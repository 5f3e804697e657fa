"""Goal: every command of the manual does what it is there for.
Method: each is taken out of the pages and run as written: what speaks to a hive against one of real processes, of `kubectl exec POD --
COMMAND` the part behind the dashes, which a pod would run. Other words for kubectl are checked as far as kubectl itself does without a
cluster: it must fail for want of one, and not because it does not know the words. Whatever is not run stands in NOT_RUN, with the reason."""

import os
import re
import shutil
import subprocess
import time
import unittest

from localhive import addresses
from localhive.hive import LocalHive

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARIES = os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin"))
_OWN_KUBECTL = os.path.join(ROOT, "build", "tools", "kubectl")
KUBECTL = _OWN_KUBECTL if os.path.exists(_OWN_KUBECTL) else shutil.which("kubectl")
PAGES = ("README.md", "docs/kubernetes.md", "docs/operating.md", "docs/troubleshooting.md", "docs/security.md", "docs/faq.md",
         "docs/metrics.md", "docs/monitoring.md", "docs/moving.md")
PROGRAMS = ("apt-get", "buf", "cmake", "curl", "export", "git", "grpcurl", "helm", "hive-coordinator", "hive-proxy", "./hive", "kubectl",
            "openssl", "podman", "redis-cli", "redis-server", "xargs")
# The beginning of a command, and why it is not run here.
NOT_RUN = {
    "./hive": "the script that runs these tests; up, demo and image-test by hand",
    "apt-get install": "the machine has them, or there would be no test",
    "buf curl": "tests/integration/query_test.py",
    "git clone": "the repository is here",
    "grpcurl": "Debian has none; buf curl does the same in tests/integration/query_test.py",
    "hive-coordinator ...": "flags that go with others: tests/integration/tls_test.py",
    "hive-coordinator handover --to IP": "tests/integration/moving_test.py",
    "hive-proxy ...": "flags that go with others: tests/integration/tls_test.py",
    "podman": "./hive image-test builds the image; nothing is pushed",
    "redis-cli -h $": "tests/integration/moving_test.py",
    "redis-cli --": "modes that tests/integration/clients_cli_test.py runs",
    "redis-cli -p 6379 --latency": "runs until it is stopped",
    "redis-server --dir FOLDER": "tests/integration/moving_test.py starts one",
    "export REDISCLI_AUTH": "tests/integration/moving_test.py",
    "xargs": "tests/integration/moving_test.py",
}


def commands(page):
    """In a page's blocks and between its backquotes, in order. A name alone is no command."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        text = file.read()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    spans = re.findall(r"`([^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in lines + [" ".join(span.split()) for span in spans]:
        line = re.sub(r"\s+#.*", "", line.strip().removeprefix("$ "))
        if line.split(" ")[0] in PROGRAMS and (" " in line or line in lines):
            yield line


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hive = cls.enterClassContext(LocalHive(addresses.claim_test_block(), BINARIES))
        cls.hive.start(3)
        cls.hive.wait_writable(60)

    def test_every_command(self):
        run = 0
        for page in PAGES:
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

    def test_nothing_is_excused_that_is_not_there(self):
        everything = [command for page in PAGES for command in commands(page)]
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
        if command.startswith("hive-coordinator status"):
            self.assertIn(pod.ip, done.stdout)
        if command.startswith("redis-cli"):
            self.assertRegex(done.stdout, "OK|PONG")
        if command.startswith("hive-coordinator handover"):
            self.hive.wait_settled(60)

    def check_kubectl(self, command):
        words, _, inside = command.partition(" -- ")
        if " exec " in f"{words} " and inside.split(" ")[0] in PROGRAMS:
            self.run_in_a_pod(inside)
        if not KUBECTL or len(words.split()) < 3:
            return  # a word for the reader, such as `kubectl exec`
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
