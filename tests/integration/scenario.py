"""What every integration test stands on: a local hive of its own, ended and explained when the test fails."""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
import time
import unittest

from localhive import addresses, demo, resp
from localhive.hive import LocalHive
from localhive.process import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARIES = os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin"))
NODE_CLIENTS = os.path.join(ROOT, "tests", "clients")

_PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # a killed ctest ends its test
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # unittest would take SystemExit for one test's failure, and go on

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _LOOPBACK_UP = 0x8914, 0x49  # IFF_UP | IFF_LOOPBACK | IFF_RUNNING


def leave_the_network():
    """Puts this process, and all it starts from now on, into a network of its own that has a loopback device and nothing else.
    For tests in which addresses are made up: whoever is told one dials it. Call it before anything is started; raises
    unittest.SkipTest where the system does not allow it."""
    kinds = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    if ctypes.CDLL(None, use_errno=True).unshare(kinds) != 0:
        raise unittest.SkipTest(f"no network of its own: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _LOOPBACK_UP))


KEYS = 5000  # of the dataset that must survive


class Scenario(unittest.TestCase):
    """A test has self.hive after self.start_hive(); its processes end with the test, and a failure tells what they said."""

    def new_hive(self, **pod_options):
        """A hive of which nothing runs yet."""
        self.hive = LocalHive(addresses.claim_test_block(), BINARIES, **pod_options)
        self.addCleanup(self.hive.close)
        self.addCleanup(self._explain, self.hive)
        return self.hive

    def start_hive(self, pods=3, **pod_options):
        """A hive that takes writes. Returns its leader."""
        self.new_hive(**pod_options).start(pods)
        return self.hive.wait_writable(20)

    def _explain(self, hive):
        result = self._outcome.result
        failed = [test for test, _ in result.failures + result.errors]  # the test itself, or one of its subtests
        if any(self is getattr(test, "test_case", test) for test in failed):
            print(hive.describe(), file=sys.stderr)

    def follower(self, number=0):
        leader = self.hive.wait_settled()
        return [pod for pod in self.hive.pods if pod is not leader][number]

    # -- the dataset --------------------------------------------------------------------------------------------------

    def write_dataset(self, pod):
        """KEYS keys through the pod's proxy, replicated everywhere before this returns."""
        demo.write_keys(pod, KEYS)
        self.wait_replicated()

    def wait_replicated(self):
        """Until every follower has what the leader has written."""
        leader = self.hive.wait_settled()

        def caught_up():
            try:
                return len({pod.redis.ask("DBSIZE") for pod in self.hive.pods}) == 1 and self.hive.settled() is leader
            except resp.ReplyError:  # -MASTERDOWN: has not begun yet
                return False
        wait_until(caught_up, 10, "every follower to have the whole dataset")

    def assert_dataset_lives(self):
        """On every redis of a settled hive."""
        self.hive.wait_settled()
        for pod in self.hive.pods:
            self.assertEqual(demo.count_keys(pod, KEYS), KEYS, f"keys of the dataset on {pod.ip}")

    # -- what coordinators and logs say -------------------------------------------------------------------------------

    def assert_all_agree(self, leader):
        """Every coordinator's GetState names this leader, and itself in its proper role."""
        def agreed():
            states = [pod.status() for pod in self.hive.pods]
            return all(s and s.get("leader", {}).get("leader", {}).get("ip") == leader.ip for s in states)
        wait_until(agreed, 5, f"every coordinator to name {leader.ip} as the leader", 0.1)

    def wait_healthy(self, pod, service, port=addresses.COORDINATOR_HEALTH_PORT):
        """Until a probe would be told SERVING: a coordinator looks at its redis once per beat, so it may say so a beat late."""
        wait_until(lambda: pod.healthy(service, port), 5, f"'{service}' of {pod.ip}:{port}")

    def wait_logged(self, process, text, timeout=10):
        """Waits until the process's log has `text` and returns its line."""
        def line():
            with open(process.log_path, errors="replace") as log:
                return next((entry for entry in log if text in entry), None)
        return wait_until(line, timeout, f"'{text}' in the log of {process.name}, which has:\n{process.log_tail(5)}")


class Background:
    """What runs beside a test, within `with`: _run(), on a thread of its own, until self._stop is set."""

    def __init__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        raise NotImplementedError


class MasterWatch(Background):
    """Looks at every redis all the time, and remembers who was seen as a master, and any two at once."""

    def __init__(self, hive):
        super().__init__()
        self.masters = set()
        self.two_at_once = []
        self._hive = hive

    def _run(self):
        last = False
        while not last:
            last = self._stop.is_set()  # one more look at what the test has waited for
            now = [pod.ip for pod in list(self._hive.pods) if (role := pod.redis.role()) and role[0] == "master"]
            self.masters.update(now)
            if len(now) > 1:
                self.two_at_once.append(now)
            time.sleep(0.005)


def main():
    unittest.main(verbosity=2)
