"""The clients' processes, as the runner sees them."""

import json
import os
import sys

from localhive.process import Process

from . import history

_PAUSE = 0.0035  # s after each operation: 8 clients then write about 850 times a second, with reads between
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Load:
    """`clients` clients in as many processes as `groups` has names, each in a namespace of its own: the sides of a partition."""

    def __init__(self, network, folder, groups=("a", "b"), clients=8, timeout=5.0):
        """`timeout`: s that a client waits for a reply."""
        self.epoch = 0
        self._marks = 0
        each = clients // len(groups)
        self.groups = {name: _Group(network, folder, name, 1 + i * each, each, timeout) for i, name in enumerate(groups)}

    def start(self):
        for group in self.groups.values():
            group.process.start()

    def spread(self, endpoints):
        """Begins a new epoch, in which each client takes a new connection: {group: [(ip, port)]}."""
        self.epoch += 1
        for name, group in self.groups.items():
            group.tell(endpoints=_words(endpoints[name]), spread=True, epoch=self.epoch)

    def allow(self, endpoints):
        """From now on new connections go to these; what is open stays: {group: [(ip, port)]}."""
        for name, group in self.groups.items():
            group.tell(endpoints=_words(endpoints[name]))

    def collect(self, wait):
        """Every operation that has not been collected yet. Those in flight now are waited for: at most as long as a client waits
        for a reply. `wait(condition, timeout, what)` does the waiting."""
        self._marks += 1
        text = str(self._marks)
        for group in self.groups.values():
            group.tell(mark=text)
        for group in self.groups.values():
            wait(lambda group=group: group.read(text), group.timeout + 10, f"the clients' process {group.process.name}")
        return [op for group in self.groups.values() for op in group.take()]

    def stop(self):
        for group in self.groups.values():
            group.process.kill()


class _Group:
    def __init__(self, network, folder, name, first, count, timeout):
        self.timeout = timeout
        self.namespace = network.add(f"clients-{name}")
        self._control = os.path.join(folder, f"clients-{name}.control")
        self._path = os.path.join(folder, f"clients-{name}.history")
        os.mkfifo(self._control)
        with open(self._path, "w"):
            pass
        self._file = open(self._path)
        self._partial = ""
        self._ops = []
        self._marks = set()
        self.process = Process(f"clients {name}", [
            "env", f"PYTHONPATH={_PACKAGE_ROOT}", "PYTHONDONTWRITEBYTECODE=1", sys.executable, "-m", "chaos.client",
            name, str(first), str(count), str(_PAUSE), str(timeout), self._control, self._path,
        ], os.path.join(folder, f"clients-{name}.log"), self.namespace)

    def tell(self, **command):
        with open(os.open(self._control, os.O_RDWR), "w") as pipe:  # O_RDWR: does not wait for the reader
            pipe.write(json.dumps(command) + "\n")

    def read(self, mark):
        """Takes in what was written since; whether the mark is among it. Raises RuntimeError if the process has ended."""
        if not self.process.alive():
            raise RuntimeError(f"{self.process.name} ended: {self.process.log_tail()}")
        *lines, self._partial = (self._partial + self._file.read()).split("\n")
        for line in lines:
            if line.startswith("mark\t"):
                self._marks.add(line.partition("\t")[2])
            else:
                self._ops.append(history.from_line(line))
        return mark in self._marks

    def take(self):
        ops, self._ops = self._ops, []
        return ops


def _words(endpoints):
    return [f"{ip}:{port}" for ip, port in endpoints]
