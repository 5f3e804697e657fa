"""What the tests of the proxy's bounds stand on: a real redis-server, the real hive-proxy, and a watch that names the one the
other's leader; measured from /proc while hostile clients do their worst.

A leader is named for as long as `rig.watch` runs: started late, or ended early, it is how a test has a proxy that knows none.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from localhive import addresses, resp
from localhive.process import Process, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARIES = os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin"))
WATCH = os.environ.get("FAKE_WATCH", os.path.join(BINARIES, "fake-leader-watch"))

KIB, MIB = 1 << 10, 1 << 20

# What a bystander may wait at worst, and in 99 of 100 cases, above what one at redis itself does; s.
WORST_BESIDE, P99_BESIDE = 1.0, 0.25

ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed ctest ends its test
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # unittest would take SystemExit for one test's failure, and go on


class Measured(Process):
    """A process whose memory and time are looked at."""

    def _status(self, name):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) * KIB for line in status if line.startswith(name + ":"))

    def memory(self):
        """Resident bytes now."""
        return self._status("VmRSS")

    def forget_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as file:
            file.write("5")

    def peak_memory(self):
        """Most resident bytes since the start, or forget_peak()."""
        return self._status("VmHWM")

    def cpu(self):
        """Seconds of CPU that it has used."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_share(self, seconds):
        """Of one CPU, within the next `seconds`."""
        before, begin = self.cpu(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu() - before) / (time.monotonic() - begin)


    def wait_quiet(self, timeout=20):
        """Until it has nothing to do."""
        wait_until(lambda: self.cpu_share(0.3) < 0.25, timeout, f"{self.name} to be quiet", 0)


class Rig(unittest.TestCase):
    """A test has self.proxy, self.redis and self.watch after self.start()."""

    def run(self, result=None):
        begin = time.monotonic()
        super().run(result)
        note(self, f"took {time.monotonic() - begin:.1f} s")

    def start(self, *proxy_flags, redis=(), leader=True, redis_runs=True, descriptors=None, password=None):
        """`redis`: more arguments of redis-server; `descriptors`: the proxy's limit of open files; `leader`: whether the watch
        runs; `redis_runs`: False where the test plays redis itself, at self.redis_address."""
        self.block = addresses.claim_test_block()
        self.addCleanup(self.block.release)
        self.ip = self.block.take()
        self.redis_address = (self.ip, addresses.REDIS_PORT)
        self.proxy_address = (self.ip, addresses.PROXY_PORT)
        self.folder = tempfile.mkdtemp(prefix="redis-hive-bounds-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.password = password
        self.redis = self._process("redis", [
            "redis-server", "--bind", self.ip, "--port", str(addresses.REDIS_PORT), "--save", "", "--appendonly", "no",
            "--dir", self.folder, *redis, *(("--requirepass", password) if password else ())])
        self.watch = self._process("watch", [WATCH, f"{self.ip}:{addresses.COORDINATOR_PORT}", f"{self.ip}:{addresses.REDIS_PORT}"])
        secrets = []
        if password:
            secrets = [f"--redis-password-file={self._file('password', password)}",
                       f"--peer-secret-file={self._file('secrets', 'none')}"]  # the watch knows none
        limit = ["prlimit", f"--nofile={descriptors}:{descriptors}", "--"] if descriptors else []
        self.proxy = self._process("proxy", limit + [
            os.path.join(BINARIES, "hive-proxy"), f"--listen={self.ip}:{addresses.PROXY_PORT}",
            f"--health-listen={self.ip}:{addresses.PROXY_HEALTH_PORT}", f"--coordinator={self.ip}:{addresses.COORDINATOR_PORT}",
            "--metrics-listen=", "--threads=1", "--log-level=debug", *secrets, *proxy_flags])
        if redis_runs:
            self.redis.start()
            wait_until(lambda: self._answers(self.redis_address), 10, "redis-server to answer")
        if leader:
            self.watch.start()
        self.proxy.start()
        wait_until(lambda: self._answers(self.proxy_address, sends=leader and redis_runs), 10, "the proxy to answer")

    def _file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(text + "\n")
        return path

    def _process(self, name, argv):
        process = Measured(name, argv, os.path.join(self.folder, f"{name}.log"))
        self.addCleanup(self._end, process)
        return process

    def _end(self, process):
        failed = [test for test, _ in self._outcome.result.failures + self._outcome.result.errors]
        if any(self is getattr(test, "test_case", test) for test in failed):
            print(f"-- {process.name}, exit code {process.exit_code}:\n{process.log_tail(8)}", file=sys.stderr)
        process.thaw()
        process.kill()

    def _answers(self, address, sends=True):
        try:
            with socket.create_connection(address, 1) as probe:
                if not sends:
                    return True
                probe.settimeout(5)
                probe.sendall(b"PING\r\n")
                return probe.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    # -- clients ------------------------------------------------------------------------------------------------------

    def connect(self, timeout=10.0):
        """One client of the proxy."""
        connection = resp.Connection(*self.proxy_address, timeout, self.password)
        self.addCleanup(connection.close)
        return connection

    def direct(self, timeout=10.0):
        """One client of redis itself."""
        connection = resp.Connection(*self.redis_address, timeout, self.password)
        self.addCleanup(connection.close)
        return connection

    def raw(self, address=None, source=None, receive_buffer=None, timeout=10.0):
        """A bare socket to the proxy. `receive_buffer`: a small one makes a client that does not read a slow one soon."""
        client = socket.socket()
        self.addCleanup(client.close)
        client.settimeout(timeout)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            client.bind((source, 0))
        client.connect(address or self.proxy_address)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def assert_serves(self, within=1.0):
        """A new client is answered."""
        begin = time.monotonic()
        with resp.Connection(*self.proxy_address, 10.0, self.password) as client:
            self.assertEqual(client.command("SET", "rig:serves", "1"), "OK")
        self.assertLess(time.monotonic() - begin, within)

    @contextlib.contextmanager
    def bystander(self, direct=True):
        """Meanwhile another client of the proxy must be served as ever. Yields it; what it met is there afterwards.

        What redis itself is busy with delays everybody: a second one asks redis directly (unless `direct` is False), and the
        first may be slower by a margin only. The margins are far above what is seen on an idle machine (microseconds), and far
        below what a client would call a stall."""
        served = Bystander(self.proxy_address, self.password)
        control = Bystander(self.redis_address, self.password) if direct else None
        try:
            yield served
        finally:
            served.end()
            if control:
                control.end()
            note(self, f"bystander: {served}" + (f"\n   at redis: {control}" if control else ""))
        self.assertEqual(served.errors, 0, served.what)
        self.assertGreater(served.count, 0)
        self.assertLess(served.worst, WORST_BESIDE + 2 * (control.worst if control else 0), served)
        if served.count >= 200:  # of fewer it is nearly the worst
            self.assertLess(served.p99, P99_BESIDE + 3 * (control.p99 if control else 0), served)

    def assert_as_redis(self, request):
        """The same bytes to redis and to the proxy get the same bytes, and the same end. Returns what they get, and whether the
        connection is "open" or "closed" behind it."""
        for patience in (0.06, 1.0):  # a machine that is busy may take longer to say something
            answers = self._answers_of_both(request, patience)
            if answers[0] == answers[1]:
                return answers[0]
        self.fail(f"redis answers {answers[0]!r:.200}, the proxy {answers[1]!r:.200} to {request[:60]!r}")

    def _answers_of_both(self, request, patience):
        clients = [self.raw(address, timeout=5) for address in (self.redis_address, self.proxy_address)]
        for client in clients:
            with contextlib.suppress(OSError):  # closed while we are still sending
                client.sendall(request)
        answers = [_answer(client, patience) for client in clients]
        for client in clients:
            client.close()
        return answers

    # -- the log ------------------------------------------------------------------------------------------------------

    def logged(self, text):
        with open(self.proxy.log_path, errors="replace") as log:
            return [line for line in log if text in line]

    def wait_logged(self, text, timeout=10):
        return wait_until(lambda: self.logged(text), timeout, f"'{text}' in the proxy's log:\n{self.proxy.log_tail(5)}")


class Bystander:
    """A process that writes a small value every 2 ms, and reads it back: a thread of ours would wait for the tests' own Python."""

    def __init__(self, address, password=None):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bystander.py")
        self._child = subprocess.Popen([sys.executable, program, address[0], str(address[1]), *([password] if password else [])],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout.readline() == "ready\n"
        self.count = self.errors = 0
        self.what = ""
        self.p50 = self.p99 = self.worst = 0.0

    def end(self):
        answer, _ = self._child.communicate(timeout=30)
        self.count, self.errors, self.what, self.p50, self.p99, self.worst = json.loads(answer)

    def __str__(self):
        return (f"{self.count} requests, p50 {self.p50 * 1e6:.0f} us, p99 {self.p99 * 1e6:.0f} us, worst {self.worst * 1e3:.1f} ms, "
                f"{self.errors} errors{self.what and ': ' + self.what}")


def note(test, text):
    """What was measured, beside what is asserted."""
    print(f"{test._testMethodName}: {text}", file=sys.stderr)


def in_mib(size):
    return f"{size / MIB:.1f} MiB"


def gone(client, timeout):
    """Whether the proxy closes the connection within `timeout` s, without a byte of it being read."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(timeout * 1000))


def read_until_closed(client):
    """All that comes until the end of the connection, however it ends."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(MIB):
            received += piece
    return received


def _answer(client, patience):
    """All that comes until `patience` s of silence, or the end of the connection."""
    client.settimeout(patience)
    received = b""
    try:
        while piece := client.recv(MIB):
            received += piece
    except TimeoutError:
        return received, "open"
    except ConnectionError:
        pass
    return received, "closed"


def heavy(test):
    """Takes long, or much memory: runs when HIVE_HEAVY is set (`ctest -C heavy`)."""
    return unittest.skipUnless(os.environ.get("HIVE_HEAVY"), "heavy")(test)


def main():
    unittest.main(verbosity=2)
