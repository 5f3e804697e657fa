"""One child process of a local hive."""

import contextlib
import os
import signal
import subprocess
import time


class StartFailed(Exception):
    """A process ended, or did not do what it must, while it was being started; says which and why."""


class Here:
    """Where a process runs and is spoken to: this machine's own network. chaos/netns.py has other places."""

    def inside(self):
        """A context: sockets made and processes started within belong to the place."""
        return contextlib.nullcontext()


HERE = Here()


class Process:
    """A command that can be started, killed, frozen and started again. Output is appended to `log_path`.

    It dies with us: setpriv asks the kernel to kill it when the *thread* that started it ends, however that happens.
    So start processes from the main thread. It has a session of its own: Ctrl-C at a terminal reaches us alone, and we
    decide in which order things stop.
    """

    def __init__(self, name, argv, log_path, where=HERE):
        self.name = name
        self.argv = argv
        self.log_path = log_path
        self.where = where
        self._child = None

    def start(self):
        assert not self.alive(), f"{self.name} runs already"
        # Every flag of the binaries can come from HIVE_*; what the user has exported is not meant for these.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HIVE_")}
        with open(self.log_path, "ab") as log, self.where.inside():
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment)

    @property
    def pid(self):
        return self._child.pid if self._child else None

    @property
    def exit_code(self):
        """None while it runs or was never started; negative for the signal that ended it."""
        return self._child.poll() if self._child else None

    def alive(self):
        return self._child is not None and self._child.poll() is None

    def signal(self, number):
        """Does nothing to a process that has ended: its number may be another's by now."""
        if self.alive():
            self._child.send_signal(number)

    def kill(self):
        """kill -9, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        if self._child:
            self._child.wait()

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def terminate(self, timeout=5.0):
        """SIGTERM, and kill -9 if it has not ended within `timeout` seconds. Returns whether it ended by itself."""
        self.signal(signal.SIGTERM)
        return self.ended_within(timeout) or bool(self.kill())

    def ended_within(self, timeout):
        if self._child is None:
            return True
        try:
            self._child.wait(timeout)
            return True
        except subprocess.TimeoutExpired:
            return False

    def log_tail(self, lines=15):
        try:
            with open(self.log_path, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except FileNotFoundError:
            return ""


def wait_until(condition, timeout, what, interval=0.02):
    """Polls until `condition()` is true and returns its value; raises TimeoutError naming `what` after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)
