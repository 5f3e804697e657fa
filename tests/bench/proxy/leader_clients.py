"""Many clients in one process, each sending a command every so often: what they see of a leader change. A program of its own, so that
nothing else of the benchmark delays it.

    leader_clients.py CLIENTS INTERVAL_S IP:PORT,...

says "ready" once every client was served, and at the end of its standard input prints one JSON object and exits. It writes and reads in
turn. A client whose connection is closed, or refused, takes the next endpoint and goes on with its next command at once.
"""

import gc
import heapq
import json
import os
import select
import socket
import sys
import time

_RETRY = 0.005  # s before an endpoint that refuses is tried again, or the next one
_PRIORITY = -15  # in life clients have machines of their own
_STDIN = 0
_OK, _VALUE = b"+OK\r\n", b"$2\r\nv1\r\n"


class Clients:
    """`served`: (client, since when it had wanted to be, when it was), in order of the latter, in seconds of time.monotonic()."""

    def __init__(self, count, interval, endpoints):
        self._count = count
        self._interval = interval
        self._endpoints = endpoints
        self._epoll = select.epoll()
        self._epoll.register(_STDIN, select.EPOLLIN)
        self._sockets = [None] * count
        self._by_fd = {}
        self._wanted = [None] * count  # since when; None while it pauses
        self._turn = [i % 2 for i in range(count)]  # 0 writes, 1 reads
        self._endpoint = list(range(count))
        self._requests = [(_request("SET", f"client:{i}", "v1"), _request("GET", f"client:{i}")) for i in range(count)]
        self._due = []  # heap of (when, client)
        self.served = []
        self.errors = []  # (when, client, text)
        self.own_delay = []  # (when, how late it was with a command that was due, s)

    def run(self):
        began = time.monotonic()
        for i in range(self._count):  # spread over one interval
            self._turn[i] = 0
            heapq.heappush(self._due, (began + self._interval * i / self._count, i))
        waiting_for = set(range(self._count))
        while True:
            now = time.monotonic()
            wait = max(0.0, self._due[0][0] - now) if self._due else 1.0
            for fd, _ in self._epoll.poll(wait):
                if fd == _STDIN:
                    if not sys.stdin.buffer.raw.read(64):
                        return
                    continue
                i = self._by_fd.get(fd)
                if i is not None and self._receive(i) and waiting_for:
                    waiting_for.discard(i)
                    if not waiting_for:
                        print("ready", flush=True)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                when, i = heapq.heappop(self._due)
                self.own_delay.append((now, now - when))
                self._send(i, when)
                now = time.monotonic()

    def _send(self, i, when):
        """`when` it was due counts, not when we came to it."""
        if self._wanted[i] is None:
            self._wanted[i] = when
        if self._sockets[i] is None and not self._connect(i):
            return
        try:
            self._sockets[i].send(self._requests[i][self._turn[i]])
        except OSError as error:
            self._fail(i, type(error).__name__)

    def _connect(self, i):
        connection = socket.socket()
        try:
            connection.connect(self._endpoints[self._endpoint[i] % len(self._endpoints)])  # loopback: answered at once
        except OSError as error:
            connection.close()
            self._fail(i, type(error).__name__)
            return False
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[i] = connection
        self._by_fd[connection.fileno()] = i
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        return True

    def _receive(self, i):
        """Whether the client was served. Replies are short enough to come whole, on loopback."""
        try:
            reply = self._sockets[i].recv(4096)
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(i, type(error).__name__)
            return False
        if not reply:
            self._fail(i, "closed")
            return False
        now = time.monotonic()
        if reply != (_VALUE if self._turn[i] else _OK):
            self._fail(i, reply.decode(errors="replace").strip())
            return False
        self.served.append((i, self._wanted[i], now))
        self._wanted[i] = None
        self._turn[i] = 1 - self._turn[i]
        heapq.heappush(self._due, (now + self._interval, i))
        return True

    def _fail(self, i, text):
        now = time.monotonic()
        self.errors.append((now, i, text))
        if self._sockets[i] is not None:
            del self._by_fd[self._sockets[i].fileno()]
            self._sockets[i].close()  # epoll forgets it, too
            self._sockets[i] = None
        idle = self._wanted[i] is None  # closed in a pause: the next command is in the heap already
        self._endpoint[i] += 1
        if not idle:
            heapq.heappush(self._due, (now + (0.0 if text == "closed" else _RETRY), i))


def _request(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)


def main(words):
    count, interval = int(words[0]), float(words[1])
    endpoints = [(ip, int(port)) for ip, port in (text.split(":") for text in words[2].split(","))]
    gc.disable()  # its pauses would be measured
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    except PermissionError:  # not root: what it costs is seen in own_delay
        pass
    clients = Clients(count, interval, endpoints)
    clients.run()
    json.dump({"served": clients.served, "errors": clients.errors, "own_delay": clients.own_delay}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
