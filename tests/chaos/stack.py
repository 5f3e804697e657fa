"""What is under test, as the faults and the clients see it.

How to add a stack (say, redis with sentinels and HAProxy):

1. Write a module beside hive_stack.py with a class that derives from Stack and one that derives from Pod. All that a pod runs is
   started by localhive.process.Process with `where=` the pod's namespace, from the main thread. Give each process its part: REDIS
   (the data), COORDINATOR (what decides who leads: a sentinel) and PROXY (what clients connect to). A fault names parts, not
   programs.
2. Implement what raises NotImplementedError below. A stack that has no such thing as `hand_over` raises Unsupported, and the fault
   is reported as such.
3. Add it to STACKS in stacks.py: `./hive chaos --stack NAME [FAULT...]` then runs every fault against it, with the same clients,
   the same checker and results of its own in the same table.

A stack starts its pods, and does to them what the kubelet and the Deployment's controller would; it does no more by itself than
they do. It does not restart what a fault has killed: the fault says when. Everything is called from the main thread.
"""

import hashlib
import os
import signal
import time

from localhive import resp
from localhive.process import wait_until

REDIS, COORDINATOR, PROXY = "redis", "coordinator", "proxy"
PARTS = (REDIS, COORDINATOR, PROXY)

# How long after a pod's death, or after it was told to end, discovery and the list of endpoints still have it: the kubelet's report,
# the endpoints controller, kube-proxy and CoreDNS each take a part of it.
DISCOVERY_LAG = 0.5  # s
_STEP = 0.005  # s between two looks at what ends beside a fault


def digest_of(paths, text=""):
    """Ten hexadecimal digits that change with these files' content, and with `text`: a stack's build."""
    digest = hashlib.sha256(text.encode())
    for path in paths:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:10]


class Unsupported(Exception):
    """The stack has no such operation; the text says what is missing."""


class Pod:
    """One pod: a namespace, the processes in it, and a folder that goes with it."""

    def __init__(self, namespace, folder):
        self.namespace = namespace
        self.ip = namespace.ip
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    @property
    def parts(self):
        """{part: Process} of REDIS, COORDINATOR and PROXY."""
        raise NotImplementedError

    @property
    def endpoint(self):
        """(ip, port) that clients use."""
        raise NotImplementedError

    def start(self):
        """Starts everything, as on a new pod: with no data."""
        raise NotImplementedError

    def ready(self):
        """Whether every readiness probe of the pod would pass now."""
        raise NotImplementedError

    def terminate(self):
        """What the kubelet does with a pod that is deleted, preStop hooks included: SIGTERM to the processes in the order that their
        containers get it. A generator: it yields whenever it would wait, and ends when every process has."""
        raise NotImplementedError

    def redis(self, *words, timeout=1.0):
        """One command to the pod's redis itself, past every proxy: its reply, None if it does not answer. For the judge."""
        raise NotImplementedError

    # -- the same for every stack -------------------------------------------------------------------------------------------

    def role(self):
        """("master", None, None) or ("slave", its master's IP, link state) as the redis says, None without an answer."""
        try:
            answer = self.redis("ROLE")
        except resp.ReplyError:  # -LOADING, -BUSY
            return None
        if not answer:
            return None
        return ("master", None, None) if answer[0] == b"master" else ("slave", answer[1].decode(), answer[3].decode())

    def signal(self, number):
        for process in self.parts.values():
            process.signal(number)

    def kill(self):
        """kill -9 of every process at one moment."""
        self.signal(signal.SIGKILL)
        for process in self.parts.values():
            process.kill()


class Stack:
    """`pods` that find one another through `discovery`, in a Network. Leaving its `with` ends every process."""

    name = ""  # of the stack, on the command line and in results
    title = ""  # the same for a reader of tables
    promises = True  # whether it is what the faults' bars and excuses are made for; others are only measured
    surges = True  # whether a rollout may start a pod before another one has ended: a Deployment's may, a StatefulSet's may not
    cannot = {}  # fault: why it makes no sense here
    grace = 30.0  # s that a terminated pod gets

    def __init__(self, network, folder, binaries):
        self.network = network
        self.folder = folder
        self.binaries = binaries
        self.pods = []
        self.discovery = []  # namespaces of what pods find one another with
        self.endpoints_changed = lambda: None  # called when endpoints() gives another answer
        self._serving = []  # pods that the Service sends clients to
        self._terminating = []
        self._made = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- to implement ------------------------------------------------------------------------------------------------------

    def make_pod(self, namespace, folder):
        """A Pod of which nothing runs yet."""
        raise NotImplementedError

    def start_discovery(self):
        """(Again) starts what pods find one another with, listing the pods that it is told to."""
        raise NotImplementedError

    def stop_discovery(self):
        """It answers nobody any more, until start_discovery()."""
        raise NotImplementedError

    def list_pods(self, ips):
        """Discovery lists exactly these from now on."""
        raise NotImplementedError

    def hand_over(self):
        """An operator asks that leadership moves to another pod; returns when that is done. Raises Unsupported, or
        RuntimeError with what was answered."""
        raise NotImplementedError

    @staticmethod
    def unavailable_options(binaries, options):
        """Why the stack cannot be made with a fault's options, the keywords of its constructor ({"write_acks": 1}); None if it can."""
        raise NotImplementedError

    @classmethod
    def build(cls, binaries):
        """What tells this stack from an earlier one of the same name in the results: a short text."""
        raise NotImplementedError

    @classmethod
    def versions(cls, binaries):
        """Of what it is made of, for a reader."""
        raise NotImplementedError

    def close(self):
        """Ends every process that is not in a pod's namespace, and calls this one for the rest."""
        for pod in list(self.pods):
            pod.kill()

    def new_address(self):
        """The address that the next pod gets; None for one that was never used."""
        return None

    def rested(self):
        """Whether what decides has learnt of all that has happened, and the next fault meets it prepared. Asked when settled."""
        return True

    # -- the same for every stack -------------------------------------------------------------------------------------------

    @classmethod
    def unavailable(cls, binaries, fault):
        """Why the fault cannot be run on this stack; None if it can."""
        return cls.cannot.get(fault.name) or cls.unavailable_options(binaries, fault.options)

    def start(self, count):
        """Discovery, then `count` pods at once. Returns the leader when everyone follows it and every pod is ready."""
        new = [self._new_pod() for _ in range(count)]
        self.list_pods([pod.ip for pod in self.pods])
        self.start_discovery()
        for pod in new:
            pod.start()
        leader = self.wait_settled(60)
        for pod in new:
            self.wait_ready(pod)
        return leader

    def add_pod(self):
        """One more, with a new IP and no data, listed before it is ready (not-ready addresses are published) and started."""
        pod = self._new_pod()
        self.list_pods([p.ip for p in self.pods])
        pod.start()
        return pod

    def wait_ready(self, pod, timeout=60.0):
        """Until its probes pass. From then on clients are sent to it."""
        self.wait(pod.ready, timeout, f"{pod.ip} to become ready", 0.05)
        if pod not in self._serving:
            self._serving.append(pod)
            self.endpoints_changed()

    def crash_pod(self, pod):
        """kill -9 of everything in it, then its network is gone: peers see their connections reset, and silence after that.
        Discovery notices DISCOVERY_LAG later, and this returns then."""
        pod.kill()
        self.network.remove(pod.namespace)
        self.sleep(DISCOVERY_LAG)
        self.forget(pod)

    def forget(self, pod):
        """Discovery and Service drop the pod, whatever has become of it."""
        self.pods.remove(pod)
        self.stop_serving(pod)
        self.list_pods([p.ip for p in self.pods])

    def stop_serving(self, pod):
        """The Service sends it no new clients; those it has keep their connections."""
        if pod in self._serving:
            self._serving.remove(pod)
            self.endpoints_changed()

    def begin_termination(self, pod):
        """The pod is deleted in the API. step() does the rest: the Service drops it DISCOVERY_LAG later, while it ends; discovery,
        which publishes not-ready addresses, when it has ended or its grace is over; then its network goes, too."""
        self._terminating.append(_Termination(self, pod))

    def terminating(self, pod):
        return any(termination.pod is pod for termination in self._terminating)

    def step(self):
        """What goes on beside a fault. Every wait here and in the faults calls it."""
        for termination in list(self._terminating):
            if termination.step():
                self._terminating.remove(termination)

    def sleep(self, seconds):
        """time.sleep() with step()."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.step()
            time.sleep(min(left, _STEP))

    def wait(self, condition, timeout, what, interval=0.02):
        """wait_until() with step()."""
        def stepped():
            self.step()
            return condition()
        return wait_until(stepped, timeout, what, interval)

    def endpoints(self, pods=None):
        """[(ip, port)] to which the Service sends new clients, of `pods` only if given."""
        return [pod.endpoint for pod in self._serving if pods is None or pod in pods]

    def masters(self):
        return [pod for pod in self.pods if (role := pod.role()) and role[0] == "master"]

    def leader(self):
        """The one pod whose redis is a master, None if there is none or more than one."""
        masters = self.masters()
        return masters[0] if len(masters) == 1 else None

    def settled(self):
        """The leader, if every other redis replicates it with the link up; else None."""
        roles = {pod: pod.role() for pod in self.pods}
        masters = [pod for pod, role in roles.items() if role and role[0] == "master"]
        if len(masters) != 1:
            return None
        others = [role for pod, role in roles.items() if pod is not masters[0]]
        return masters[0] if all(role == ("slave", masters[0].ip, "connected") for role in others) else None

    def wait_rested(self, timeout):
        self.wait_settled(timeout)
        self.wait(self.rested, timeout, "all that decides to know of all that is there", 0.1)

    def wait_settled(self, timeout):
        """Waits for settled(); TimeoutError tells what every redis says."""
        try:
            return self.wait(self.settled, timeout, "one leader whom every other redis replicates")
        except TimeoutError as error:
            says = "; ".join(f"{pod.ip}: {pod.role()}" for pod in self.pods)
            raise TimeoutError(f"{error}: {says}") from None

    def _new_pod(self):
        self._made += 1
        name = f"pod{self._made}"
        pod = self.make_pod(self.network.add(name, self.new_address()), os.path.join(self.folder, name))
        self.pods.append(pod)
        return pod


class _Termination:
    """One pod on its way out."""

    def __init__(self, stack, pod):
        self.pod = pod
        self._stack = stack
        self._began = time.monotonic()
        self._rest = pod.terminate()
        next(self._rest, None)

    def step(self):
        """Returns whether the pod is gone."""
        age = time.monotonic() - self._began
        if age >= DISCOVERY_LAG:
            self._stack.stop_serving(self.pod)
        ended = next(self._rest, "ended") == "ended"
        if not ended and age < self._stack.grace:
            return False
        self.pod.kill()
        self._stack.network.remove(self.pod.namespace)
        self._stack.forget(self.pod)
        return True
