"""Network namespaces in the place of machines: one per pod, client group and DNS server, on a bridge in a namespace of its own.

Nothing of it is in the machine's own network: the bridge and every cable's end lie in namespaces that this process made, whose
names carry its number. They go with `close()`; what a process that was killed has left is swept by the next one.

Cuts are made in two places. Packets are *dropped* on the bridge, as by a network in between: neither side is told, and one
transaction makes or mends a whole partition. They are *rejected* where they leave a namespace, as by a firewall that answers:
the sender sees resets and refusals.
"""

import contextlib
import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

_PREFIX = "hive-chaos-"
_RUN_DIR = "/run/netns"
_NAME = re.compile(rf"{_PREFIX}(\d+)-(\d+)-")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """Network namespaces cannot be made here; the text is a sentence for the user."""


def require():
    """Raises Unavailable unless this process may make namespaces, cables, bridges and both kinds of rules. Leaves nothing."""
    if os.geteuid() != 0:
        raise Unavailable("network namespaces need root: run this as root, or in a privileged container.")
    try:
        with Network() as network:
            one = network.add("probe-one")
            other = network.add("probe-other")
            network.drop([(one, other)])
            network.reject([(one, other)])
            network.mend()
    except (OSError, subprocess.CalledProcessError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        raise Unavailable(f"network namespaces cannot be made here: {why}") from error


class Namespace:
    """A machine of the test: one address on the bridge, a loopback device, no way to anywhere else."""

    def __init__(self, network, name, port, ip):
        self.name = name
        self.ip = ip
        self.port = port  # the bridge's end of its cable
        self.full_name = network.prefix + name

    @contextlib.contextmanager
    def inside(self):
        """Sockets made and processes started within belong to this namespace. Only the calling thread goes there and comes back."""
        with open("/proc/thread-self/ns/net") as back, open(os.path.join(_RUN_DIR, self.full_name)) as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(back)

    def rules(self, text):
        """Feeds `text` to nft here."""
        with self.inside():
            _run("nft", "-f", "-", stdin=text)

    def kill_everything(self):
        """kill -9 of every process here, its children included; returns when they are gone."""
        deadline = time.monotonic() + 5
        while (pids := _processes(self.full_name)) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)


class Network:
    """The bridge and the namespaces on it, 10.77.0.0/16. Used in a `with`; from one thread."""

    def __init__(self):
        sweep()
        self.prefix = f"{_PREFIX}{os.getpid()}-{_start_time(os.getpid())}-"
        self.namespaces = []
        self._made = 0
        self._switch = self.prefix + "bridge"
        self._rejecting = set()
        _run("ip", "netns", "add", self._switch)
        try:
            _ip(self._switch, "link add br0 type bridge", "link set br0 up")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for namespace in list(self.namespaces):
            self.remove(namespace)
        _delete(self._switch)

    def add(self, name, ip=None):
        """A namespace with an address that this network has never used before; or with `ip`, which one had that is gone."""
        self._made += 1
        number = self._made
        namespace = Namespace(self, name, f"p{number}", ip or f"10.77.{number // 250}.{number % 250 + 2}")
        _run("ip", "netns", "add", namespace.full_name)
        self.namespaces.append(namespace)
        # The hardware address goes with the IP: nobody's ARP cache sends to one that is gone.
        hardware = "02:00:" + ":".join(f"{int(part):02x}" for part in namespace.ip.split("."))
        _ip(self._switch, f"link add {namespace.port} type veth peer name eth0 address {hardware} netns {namespace.full_name}",
            f"link set {namespace.port} master br0 up")
        _ip(namespace.full_name, "link set lo up", f"addr add {namespace.ip}/16 dev eth0", "link set eth0 up")
        return namespace

    def remove(self, namespace):
        """Kills what runs there, then takes it away: its peers see resets first, then silence."""
        namespace.kill_everything()
        self.namespaces.remove(namespace)
        self._rejecting.discard(namespace)
        _delete(namespace.full_name)

    # -- cuts. Each replaces the one before; mend() ends them all ---------------------------------------------------------

    def drop(self, pairs):
        """Packets of each (from, to) pair of namespaces vanish from now on, those of existing connections too."""
        self._on_bridge([f"iifname {one.port} ip daddr {other.ip} drop" for one, other in pairs])

    def lose(self, namespace, percent):
        """So many of the packets to and from this namespace vanish, at random."""
        self._on_bridge([f"{which} numgen random mod 100 < {percent} drop"
                         for which in (f"iifname {namespace.port}", f"ip daddr {namespace.ip}")])

    def silence(self, *namespaces):
        """Nothing reaches these namespaces or leaves them, not even ARP: as a node that lost its power or its cable."""
        self._on_bridge([f"iifname {n.port} drop" for n in namespaces] + [f"ip daddr {n.ip} drop" for n in namespaces])

    def reject(self, pairs):
        """Packets of each (from, to) pair are answered to their sender: TCP with a reset, anything else with "unreachable"."""
        for one in {one for one, _ in pairs}:
            rules = [f"ip daddr {other.ip} meta l4proto tcp reject with tcp reset; ip daddr {other.ip} reject"
                     for sender, other in pairs if sender is one]
            one.rules(_table("inet", "output", rules))
            self._rejecting.add(one)

    def mend(self):
        self._on_bridge([])
        for namespace in self._rejecting:
            namespace.rules(_table("inet", "output", []))
        self._rejecting.clear()

    def _on_bridge(self, rules):
        Namespace(self, "bridge", "", "").rules(_table("bridge", "prerouting", rules))


def both_ways(some, others):
    """Pairs for a cut between two groups of namespaces."""
    return [(one, other) for one in some for other in others] + [(other, one) for one in some for other in others]


def one_way(senders, receivers):
    """Pairs for a cut in which only `receivers` stop hearing."""
    return [(one, other) for one in senders for other in receivers]


def _table(family, hook, rules):
    """One transaction: whatever was there is replaced."""
    body = "\n".join(f"    {rule}" for rule in rules)
    return (f"add table {family} chaos\ndelete table {family} chaos\ntable {family} chaos {{\n  chain cut {{\n"
            f"    type filter hook {hook} priority 0; policy accept;\n{body}\n  }}\n}}\n")


def sweep():
    """Takes away what processes have left that were killed before they could: namespaces, with what still runs in them, and
    folders whose names begin with Network.prefix."""
    names = os.listdir(_RUN_DIR) if os.path.isdir(_RUN_DIR) else []
    for name in names:
        owner = _NAME.match(name)
        if owner and _start_time(owner[1]) != owner[2]:
            Namespace.kill_everything(_Leftover(name))
            with contextlib.suppress(subprocess.CalledProcessError):  # another sweeper was faster
                _delete(name)
    for path in glob.glob(os.path.join(tempfile.gettempdir(), f"{_PREFIX}*")):
        owner = _NAME.match(os.path.basename(path))
        if owner and _start_time(owner[1]) != owner[2]:
            shutil.rmtree(path, ignore_errors=True)


class _Leftover:
    def __init__(self, full_name):
        self.full_name = full_name


def _start_time(pid):
    """In clock ticks since boot: a number used again belongs to another process. "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _processes(full_name):
    try:
        here = os.stat(os.path.join(_RUN_DIR, full_name))
    except OSError:
        return []
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            theirs = os.stat(f"/proc/{pid}/ns/net")
            if (theirs.st_dev, theirs.st_ino) == (here.st_dev, here.st_ino) and not _ended(pid):
                found.append(int(pid))
    return found


def _ended(pid):
    """Also its last thread: a process whose first one has ended looks like a zombie, while the others hold its sockets open."""
    with open(f"/proc/{pid}/stat") as stat:
        zombie = stat.read().rpartition(")")[2].split()[0] == "Z"
    return zombie and len(os.listdir(f"/proc/{pid}/task")) == 1


def _delete(full_name):
    _run("ip", "netns", "delete", full_name)


def _ip(full_name, *lines):
    _run("ip", "-n", full_name, "-batch", "-", stdin="\n".join(lines) + "\n")


def _run(*argv, stdin=None):
    subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True)


def _enter(namespace):
    if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
