"""Podman with a store, a configuration and images of its own: nothing of it is in the machine's. Needs root."""

import fcntl
import json
import os
import subprocess

# crun, podman's first choice, wants cgroups v2; systemd need not be there; a container must not inherit limits that are higher than
# the kernel lets it ask for.
_CONFIGURATION = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "none"
"""


class Failed(Exception):
    """A podman command did; the text is podman's."""


# What podman keeps of running containers. The store remembers where that is, so it stays the same.
_RUN_ROOT = "/run/redis-hive-image-test"


class Podman:
    """Its images lie in `store`, which outlives this process, for the layers. One process at a time: raises Failed otherwise."""

    def __init__(self, store):
        os.makedirs(store, exist_ok=True)
        self._lock = open(os.path.join(store, "hive.lock"), "w")  # until this process ends
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Failed(f"another image-test is using {store}") from error
        configuration = os.path.join(store, "containers.conf")
        with open(configuration, "w") as out:
            out.write(_CONFIGURATION)
        self._argv = ["podman", f"--root={store}", f"--runroot={_RUN_ROOT}", "--log-level=error"]
        self._environment = {**os.environ, "CONTAINERS_CONF": configuration}

    def __call__(self, *words, stdin=None, timeout=120):
        """stdout of `podman WORD...`. Raises Failed."""
        run = subprocess.run([*self._argv, *words], env=self._environment, input=stdin, capture_output=True, text=True, timeout=timeout,
                             check=False)
        if run.returncode != 0:
            raise Failed(f"podman {' '.join(words[:2])}: {run.stderr.strip()}")
        return run.stdout

    def aloud(self, *words):
        """The same for what takes minutes: what it says on stderr is the user's to see."""
        if subprocess.run([*self._argv, *words], env=self._environment, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            raise Failed(f"podman {words[0]} failed: its message is above")

    def has_image(self, name):
        return subprocess.run([*self._argv, "image", "exists", name], env=self._environment, check=False).returncode == 0

    def image_bytes(self, name):
        """Of the files in it, uncompressed."""
        return json.loads(self("image", "inspect", name))[0]["Size"]

    def remove_all(self):
        self("rm", "--all", "--force", "--time=0")
