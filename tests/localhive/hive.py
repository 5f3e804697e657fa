"""LocalHive: pods that come and go behind one DNS name."""

import glob
import os
import shutil
import tempfile
import time

from . import resp
from .dns import Dns
from .pod import Pod
from .process import wait_until

_PREFIX = "redis-hive-run-"


class LocalHive:
    """A hive on one block of loopback addresses. Use it in a `with`: leaving it ends every process and removes its folder.

    Nothing runs until asked: `start(n)` is the usual beginning, `add_pod()` and `remove_pod()` change the hive later.
    """

    def __init__(self, block, binaries, **pod_options):
        """`binaries`: folder of hive-coordinator and hive-proxy; `pod_options`: see Pod."""
        self.block = block
        self.binaries = binaries
        self.pods = []
        self._pod_options = pod_options
        _sweep()
        self.folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        self.dns = Dns(self.folder, block.dns_ip)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends everything: politely within 2 s, then not. The run folder goes, too."""
        running = [p for pod in self.pods for p in reversed(pod.processes)] + [self.dns.process]
        for process in running:
            process.signal(15)
            process.thaw()
        deadline = time.monotonic() + 2
        for process in running:
            process.ended_within(max(0.0, deadline - time.monotonic()))
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.block.release()

    # -- coming and going ---------------------------------------------------------------------------------------------

    def start(self, pods, one_by_one=0.0):
        """DNS, then `pods` pods: listed and started all at once, or each `one_by_one` seconds after the one before."""
        self.dns.start()
        new = [self._make_pod(self.block.take()) for _ in range(pods)]
        if not one_by_one:
            self.pods += new
            self.dns.list(*(pod.ip for pod in self.pods))
        for pod in new:
            if one_by_one:
                self.pods.append(pod)
                self.dns.list(*(p.ip for p in self.pods))
            pod.start()
            time.sleep(one_by_one)

    def add_pod(self):
        """One more pod with an address never used before, listed in DNS (not-ready addresses are published) and started."""
        pod = self._make_pod(self.block.take())
        self.pods.append(pod)
        self.dns.list(*(p.ip for p in self.pods))
        pod.start()
        return pod

    def remove_pod(self, pod):
        """Kills the pod and drops it from DNS."""
        pod.kill()
        self.pods.remove(pod)
        self.dns.list(*(p.ip for p in self.pods))

    def _make_pod(self, ip):
        return Pod(ip, os.path.join(self.folder, f"pod-{ip}"), self.binaries, self.dns.endpoint, **self._pod_options)

    # -- what the redises say of themselves: the truth that the coordinators' words are compared with -------------------

    def leader(self):
        """The one pod whose redis is a master, None if there is none or more than one."""
        masters = [pod for pod in self.pods if (role := pod.redis.role()) and role[0] == "master"]
        return masters[0] if len(masters) == 1 else None

    def settled(self):
        """The leader, if every other pod's redis replicates it with the link up; else None."""
        leader = self.leader()
        if leader and all(pod.redis.role() == ("slave", leader.ip, "connected") for pod in self.pods if pod is not leader):
            return leader
        return None

    def wait_settled(self, timeout=15.0):
        """Waits for settled(). On failure the error tells what every pod says and what its coordinator logged last."""
        try:
            return wait_until(self.settled, timeout, "one leader whom every other redis replicates")
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.describe()}") from None

    def wait_writable(self, timeout=15.0):
        """Waits for one write through every pod's proxy, then for the hive to be settled. Returns the leader."""
        for pod in self.pods:
            try:
                wait_until(lambda: self._takes_a_write(pod), timeout, f"a write through the proxy of {pod.ip}")
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.describe()}") from None
        return self.wait_settled(timeout)

    @staticmethod
    def _takes_a_write(pod):
        try:
            return pod.write("hive-writable", pod.ip) == "OK"
        except (OSError, resp.ReplyError, resp.ConnectionLost):  # not listening yet, or about to change its leader
            return False

    def describe(self):
        parts = []
        for pod in self.pods:
            parts.append(f"-- {pod.ip}: redis says {pod.redis.role()}; exit codes (redis, coordinator, proxy): "
                         f"{[p.exit_code for p in pod.processes]}")
            parts += [f"   last of the {p.name} log:\n{p.log_tail()}" for p in pod.processes]
        return "\n".join(parts)


def _sweep():
    """Removes the run folders of processes that were killed before they could."""
    for path in glob.glob(os.path.join(tempfile.gettempdir(), f"{_PREFIX}*")):
        owner = os.path.basename(path).removeprefix(_PREFIX).partition("-")[0]
        if not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(path, ignore_errors=True)
