"""What a client that has been served and is idle now holds of a proxy's memory."""

import resource
import socket
import time
from dataclasses import asdict, dataclass

from localhive import resp

from table import progress

from .contenders import resident_bytes

USES = {"64 B": 64, "16 KiB": 16 * 1024}  # every client has written and read a value of that size, one client after the other
JUDGED = "64 B"


@dataclass(frozen=True)
class Sample:
    """`per_client`: bytes that the process grew by for each of `clients` more, with half as many there already; `used`: a key of USES, the
    largest so far."""
    contender: str
    round: int
    clients: int
    used: str
    per_client: float

    def record(self):
        return asdict(self)


def measure(competing, clients, rounds, settle):
    """Samples of every contender that is a process. Each is started anew for each round, since a proxy may keep for new clients what old
    ones had. `settle`: seconds between the last reply and the look at the process; what is freed late is freed by then."""
    clients = min(clients, _clients_that_fit())
    samples = []
    for number in range(rounds):
        for contender in competing:
            if contender.process:
                contender.process.kill()
                contender.start()
                samples += _with_clients(contender, clients, number, settle)
                progress(f"round {number + 1}, {contender.name}: " + "; ".join(
                    f"{s.per_client:.0f} B after {s.used}" for s in samples[-len(USES):]))
                contender.process.kill()
    return samples


def _with_clients(contender, clients, number, settle):
    """The first clients live in what the process had allocated and freed while it started: hundreds of KiB that are resident already.
    They are not counted."""
    connections, samples = [], []
    try:
        _connect(contender, clients // 2, connections)
        for size in USES.values():
            _use(connections, size)
        time.sleep(settle)
        before = resident_bytes(contender.process.pid)
        _connect(contender, clients, connections)
        for used, size in USES.items():
            _use(connections, size)
            time.sleep(settle)
            grown = resident_bytes(contender.process.pid) - before
            samples.append(Sample(contender.name, number, clients, used, grown / clients))
    finally:
        for connection in connections:
            connection.close()
    return samples


def _connect(contender, count, connections):
    for _ in range(count):
        connections.append(socket.create_connection(contender.endpoint, 10))


def _use(connections, size):
    for connection in connections:
        _write_and_read(connection, f"memory:{size}", b"x" * size)


def _write_and_read(connection, key, value):
    _expect(connection, resp.encode("SET", key, value), b"+OK\r\n")
    _expect(connection, resp.encode("GET", key), b"$%d\r\n%s\r\n" % (len(value), value))


def _expect(connection, request, reply):
    connection.sendall(request)
    got = b""
    while len(got) < len(reply):
        more = connection.recv(65536)
        if not more:
            raise resp.ConnectionLost("closed by the other side before a reply")
        got += more
    assert got == reply, got[:100]


def _clients_that_fit():
    """A proxy may need two descriptors for each; it inherits our limit, which we raise as far as we may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(2, (hard - 200) // 4)
