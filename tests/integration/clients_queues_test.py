#!/usr/bin/python3
"""Goal: client libraries and job queues, unchanged and with no special setting, lose no job through leader changes, and see no error
when leadership moves on purpose.
Method: each library (tests/clients/) adds a job every 20 ms and does the jobs, in two processes, while leadership is handed over, the
leader's pod is ended by SIGTERM, or the leader's redis is killed. Afterwards each job that was added must have been done.
ONLY=celery,bullmq in the environment leaves the others out; ROUNDS=10 makes ten times the changes."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass

import scenario
from localhive import addresses, faults
from localhive.process import Process, wait_until

_PYTHON = "/usr/bin/python3"
_ROUNDS = int(os.environ.get("ROUNDS", "1"))
_JOBS_BETWEEN_CHANGES = 15  # of each library: so many are done before the first change, and after each


def _says(*argv):
    """What a command prints, empty where it is not installed or fails."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _node_has(package, oldest_node=18):
    version = re.match(r"v(\d+)", _says("node", "--version"))
    return version and int(version[1]) >= oldest_node and os.path.isdir(os.path.join(scenario.NODE_CLIENTS, "node_modules", package))


@dataclass
class Library:
    """`add` and `work`: argument vectors, run in tests/clients/ with "{host}" and "{port}" filled in and REDIS_URL set. `complaint`: what
    a line that tells of an error looks like. `may_lose`: how many jobs a worker loses for good when redis dies under it, hive or not,
    since it pops a job before it notes anywhere that it has it. `may_be_late`: how many it looks for only after more than 30 s."""
    name: str
    installed: bool
    add: list
    work: list
    complaint: str = r"^error"
    may_lose: int = 0
    may_be_late: int = 0


def _libraries():
    def script(name, installed, *argv, last=(), may_be_late=0):
        add, work = ([*argv, what, "{host}", "{port}", *last] for what in ("add", "work"))
        return Library(name, installed, add, work, may_be_late=may_be_late)

    return [
        script("redis-py", bool(_says(_PYTHON, "-c", "import redis; print(1)")), _PYTHON, "redis_py_queue.py"),
        script("php-redis", "redis" in _says("php", "-m").split(), "php", "queue.php"),
        script("ioredis 5", _node_has("ioredis"), "node", "ioredis_queue.js"),
        script("ioredis 6", _node_has("ioredis-6", 20), "node", "ioredis_queue.js", last=["ioredis-6"]),
        script("node-redis 5", _node_has("redis"), "node", "node_redis_queue.js"),
        script("node-redis 6", _node_has("redis-6", 20), "node", "node_redis_queue.js", last=["redis-6"]),
        script("bullmq", _node_has("bullmq"), "node", "bullmq_queue.js", may_be_late=1),  # one worker: a job that has stalled
        Library("celery", bool(_says(_PYTHON, "-c", "import celery; print(1)")), [_PYTHON, "celery_queue.py"],
                [_PYTHON, "-m", "celery", "-A", "celery_queue", "worker", "--concurrency=2"],
                complaint=r"^error|^\[.*(WARNING|ERROR|CRITICAL)/", may_lose=1),  # one connection that pops
        Library("sidekiq", shutil.which("sidekiq") is not None, ["ruby", "sidekiq_queue.rb"],
                ["sidekiq", "-r", "./sidekiq_queue.rb", "-c", "2"], complaint=r"^error|\b(WARN|ERROR|FATAL):", may_lose=2),
    ]


class Run:
    """One library at work. What it printed is read from its logs."""

    def __init__(self, library, folder, adds_at, works_at):
        self.library = library
        self._adder = self._process("add", library.add, folder, adds_at)
        self._worker = self._process("work", library.work, folder, works_at)
        self._complaints_begin = 0, 0

    def _process(self, what, argv, folder, pod):
        argv = [word.format(host=pod.ip, port=addresses.PROXY_PORT) for word in argv]
        name = f"{self.library.name} {what}"
        where = ["env", "-C", scenario.NODE_CLIENTS, f"REDIS_URL=redis://{pod.ip}:{addresses.PROXY_PORT}/0"]
        return Process(name, where + argv, os.path.join(folder, f"{name}.log"))

    def start(self):
        self._worker.start()
        self._adder.start()

    def stop_adding(self):
        self._adder.terminate()

    def end(self):
        self._adder.kill()
        self._worker.signal(signal.SIGINT)
        self._worker.ended_within(0.3)
        self._worker.kill()

    @staticmethod
    def _lines(process, begin=0):
        with open(process.log_path, errors="replace") as log:
            log.seek(begin)
            return log.read().splitlines()

    def added(self):
        return {int(line.split()[1]) for line in self._lines(self._adder) if re.fullmatch(r"added \d+", line)}

    def done(self):
        """How often each job was done."""
        return Counter(int(line.split()[1]) for line in self._lines(self._worker) if re.fullmatch(r"done \d+", line))

    def forget_complaints(self):
        self._complaints_begin = [os.path.getsize(process.log_path) for process in (self._adder, self._worker)]

    def complaints(self):
        """Lines of errors since forget_complaints()."""
        return [f"{process.name}: {line}" for process, begin in zip((self._adder, self._worker), self._complaints_begin)
                for line in self._lines(process, begin) if re.search(self.library.complaint, line)]

    def describe(self):
        return "".join(f"-- {process.name}, exit code {process.exit_code}:\n{process.log_tail(30)}"
                       for process in (self._adder, self._worker))


class ClientsQueues(scenario.Scenario):
    def start_libraries(self, adds_at, works_at):
        """All that are installed, once each of them has done some jobs."""
        only = os.environ.get("ONLY")
        wanted = [library for library in _libraries() if not only or library.name in only.split(",")]
        missing = [library.name for library in wanted if not library.installed]
        if missing:
            print(f"not installed, so left out (tests/clients/README.md): {', '.join(missing)}")
        self.runs = [Run(library, self.hive.folder, adds_at, works_at) for library in wanted if library.installed]
        if not self.runs:
            self.skipTest("no client library is installed")
        for run in self.runs:
            self.addCleanup(run.end)
            run.start()
        self.wait_for_jobs(30)
        for run in self.runs:
            run.forget_complaints()

    def wait_for_jobs(self, timeout=15):
        """Until every library has done some more."""
        for run, enough in [(run, len(run.done()) + _JOBS_BETWEEN_CHANGES) for run in self.runs]:
            try:
                wait_until(lambda: len(run.done()) >= enough, timeout, f"{run.library.name} to do jobs", 0.1)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{run.describe()}") from None

    def assert_every_job_done(self, timeout, crashes=0):
        """Within `timeout` seconds; prints what became of them. Those that may be late are waited for where ROUNDS asks for more."""
        for run in self.runs:
            run.stop_adding()
        deadline = time.monotonic() + timeout
        for run in self.runs:
            with self.subTest(run.library.name):
                added, library = run.added(), run.library
                missing = crashes * (library.may_lose + (library.may_be_late if _ROUNDS == 1 else 0))
                try:
                    wait_until(lambda: len(added - set(run.done())) <= missing,
                               max(0.0, deadline - time.monotonic()), "all jobs to be done", 0.1)
                except TimeoutError:
                    self.fail(f"of {len(added)} jobs, these were added and never done: {sorted(added - set(run.done()))}\n{run.describe()}")
                finally:
                    if not added <= set(run.done()):
                        time.sleep(1)  # those that may be lost may also be late
                    done, complaints = run.done(), run.complaints()
                    print(f"{run.library.name}: {len(added)} jobs added, {len(added - set(done))} never done, "
                          f"{sum(count > 1 for count in done.values())} done twice or more, {len(complaints)} errors told {complaints[:1]}")

    def hand_over_to(self, pod):
        asked = self.hive.pods[0]

        def handed_over():
            words = "handover", f"--to={pod.ip}", f"--target={asked.ip}:{addresses.COORDINATOR_PORT}"
            return asked.coordinator_command(*words).returncode == 0
        if self.hive.wait_settled() is not pod:
            wait_until(handed_over, 10, f"leadership to move to {pod.ip}", 0.2)
        self.wait_for_jobs()

    def end_pod(self, pod):
        """As the kubelet does with a deleted pod: SIGTERM to coordinator and proxy, and, when they have ended, to redis."""
        for process in (pod.coordinator, pod.proxy):
            process.signal(signal.SIGTERM)
        for process in (pod.coordinator, pod.proxy):
            self.assertTrue(process.ended_within(15), process.name)
        pod.redis.terminate()
        self.hive.remove_pod(pod)

    def test_planned_changes(self):
        self.start_hive()
        first, second, third = self.hive.pods
        self.hive.wait_settled()
        self.start_libraries(first, second)
        for pod in ((first, second) if self.hive.leader() is not first else (second, first)) * _ROUNDS:
            self.hand_over_to(pod)
        self.hand_over_to(third)
        self.end_pod(third)
        self.hive.add_pod()
        self.wait_for_jobs()
        self.hand_over_to(self.hive.pods[-1])
        self.assert_every_job_done(10)
        for run in self.runs:
            with self.subTest(run.library.name):
                self.assertEqual(run.complaints(), [])

    def test_crashes(self):
        # Without it, a job that was acknowledged may be gone with the leader: replication is asynchronous.
        self.start_hive(proxy_flags=("--write-acks=1",))
        self.start_libraries(*self.hive.pods[:2])
        crashes = 2 * _ROUNDS
        for _ in range(crashes):
            faults.kill_redis(self.hive, self.hive.wait_settled(), 0.05)
            self.wait_for_jobs(60)
        self.assert_every_job_done(70 if _ROUNDS > 1 else 10, crashes)  # BullMQ takes up to 60 s to find what has stalled


scenario.main()
