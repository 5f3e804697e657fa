"""One process of clients, all in one thread and one namespace. Started by load.py:

    python3 -m chaos.client GROUP FIRST COUNT PAUSE TIMEOUT CONTROL HISTORY

A client behaves as one of a pool does. It keeps a connection, looks whether that was closed before it uses it, and then takes
another one. It never repeats an operation: what is refused or has an unknown outcome is recorded, and the next one has the next
number. When a connection breaks or cannot be had it goes on to the next endpoint.

Commands come as JSON lines through the pipe CONTROL:
    {"endpoints": ["ip:port", ...], "spread": true, "epoch": 3}   whom new connections may go to; spread: every client takes its
                                                               own of them between two operations; epoch: names the lists
    {"mark": "text"}   answered in the history, as "mark<TAB>text", when every operation now in flight has ended
It runs until it is killed.
"""

import errno
import heapq
import itertools
import json
import os
import selectors
import socket
import sys
import time

from localhive.resp import encode

from . import history
from .history import GET, GET_ELSEWHERE, PUSH, SET, Op

_CONNECT_TIMEOUT = 1.0  # s
_NEXT_TRY = 0.01  # s between a failed connection and the next one
_ELSEWHERE_EVERY = 4  # rounds
_FLUSH = 0.1  # s

_READABLE, _WRITABLE, _SLEEP = "readable", "writable", "sleep"


class _Failed(Exception):
    """An operation has no reply. `sent`: whether the endpoint may have executed it."""

    def __init__(self, why, sent):
        super().__init__(why)
        self.sent = sent


class _Loop:
    """Runs generators that yield (_SLEEP, None, until), or (_READABLE or _WRITABLE, socket, deadline) and get whether it became so."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self._timers = []
        self._order = itertools.count()
        self._waiting = {}  # generator: (token of its timer, socket or None)

    def start(self, generator):
        self._advance(generator, None)

    def every(self, seconds, action):
        def repeat():
            while True:
                yield (_SLEEP, None, time.monotonic() + seconds)
                action()
        self.start(repeat())

    def turn(self):
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, token, generator = heapq.heappop(self._timers)
            if self._waiting.get(generator, (None,))[0] == token:
                self._resume(generator, False)
        wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for key, _ in self.selector.select(wait):
            if callable(key.data):
                key.data()
            else:
                self._resume(key.data, True)

    def _resume(self, generator, happened):
        _, waited_for = self._waiting.pop(generator)
        if waited_for is not None:
            self.selector.unregister(waited_for)
        self._advance(generator, happened)

    def _advance(self, generator, happened):
        try:
            what, sock, until = generator.send(happened)
        except StopIteration:
            return
        if sock is not None:
            self.selector.register(sock, selectors.EVENT_READ if what == _READABLE else selectors.EVENT_WRITE, generator)
        token = next(self._order)
        self._waiting[generator] = (token, sock)
        heapq.heappush(self._timers, (until, token, generator))


class _Link:
    """One connection of a client's, made when it is needed."""

    def __init__(self, timeout):
        self.endpoint = ""
        self._timeout = timeout
        self._socket = None

    def drop(self):
        if self._socket:
            self._socket.close()
        self._socket = None

    def usable(self):
        """Whether there is a connection that the other side has neither closed nor sent anything on that nobody asked for."""
        if not self._socket:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        self.drop()
        return False

    def connect(self, endpoint):
        """Raises _Failed."""
        self.endpoint = endpoint
        ip, _, port = endpoint.rpartition(":")
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex((ip, int(port)))
        if code == errno.EINPROGRESS:
            done = yield (_WRITABLE, sock, time.monotonic() + _CONNECT_TIMEOUT)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if done else errno.ETIMEDOUT
        if code:
            sock.close()
            raise _Failed(errno.errorcode.get(code, str(code)), sent=False)
        self._socket = sock

    def ask(self, request):
        """One request's reply: bytes of its first line and, for a bulk string, its value. Raises _Failed."""
        deadline = time.monotonic() + self._timeout
        unread = b""
        try:
            self._socket.send(request)  # far smaller than any socket's buffer
            while (reply := _reply(unread)) is None:
                if not (yield (_READABLE, self._socket, deadline)):
                    raise _Failed("no reply in time", sent=True)
                received = self._socket.recv(65536)
                if not received:
                    raise _Failed("closed", sent=True)
                unread += received
            return reply
        except OSError as error:
            self.drop()
            raise _Failed(errno.errorcode.get(error.errno, str(error)), sent=True) from error
        except _Failed:
            self.drop()
            raise


def _reply(unread):
    """(line, value) of a complete reply, or None."""
    line, end, rest = unread.partition(b"\r\n")
    if not end:
        return None
    if line[:1] != b"$" or line == b"$-1":
        return line, None
    length = int(line[1:])
    return (line, rest[:length]) if len(rest) >= length + 2 else None


class _Client:
    def __init__(self, group, number):
        self.busy = False
        self._group = group
        self._number = number
        self._turn = number  # which of the endpoints
        self._count = 0
        self._main = _Link(group.timeout)
        self._elsewhere = _Link(group.timeout)
        self._spread_seen = 0

    def run(self):
        group = self._group
        while True:
            if self._spread_seen != group.spreads:
                self._spread_seen = group.spreads
                self._turn = self._number
                self._main.drop()
                self._elsewhere.drop()
            self._count += 1
            kinds = [SET, GET, PUSH] + ([GET_ELSEWHERE] if self._count % _ELSEWHERE_EVERY == 0 else [])
            for kind in kinds:
                done = yield from self._perform(kind)
                yield (_SLEEP, None, time.monotonic() + (group.pause if done else _NEXT_TRY))
                if not done:
                    break

    def _perform(self, kind):
        """One operation, recorded. Returns whether it was acknowledged."""
        group, number, epoch = self._group, self._count, self._group.epoch
        link = self._elsewhere if kind == GET_ELSEWHERE else self._main
        self.busy = True
        began = time.monotonic()
        try:
            if not link.usable():
                yield from link.connect(self._endpoint(kind))
            outcome, detail = _outcome(kind, number, (yield from link.ask(self._request(kind, number, epoch))))
        except _Failed as failure:
            outcome, detail = (history.UNKNOWN if failure.sent else history.REFUSED), str(failure)
            self._turn += 1
        group.record(Op(group.name, self._number, epoch, kind, number, began, time.monotonic(), outcome, detail, link.endpoint))
        self.busy = False
        group.ended(self)
        return outcome == history.OK

    def _endpoint(self, kind):
        endpoints = self._group.endpoints
        if not endpoints:
            raise _Failed("no endpoint", sent=False)
        if kind == GET_ELSEWHERE:
            endpoints = [e for e in endpoints if e != self._main.endpoint] or endpoints
        return endpoints[self._turn % len(endpoints)]

    def _request(self, kind, number, epoch):
        if kind == SET:
            return encode("SET", history.key_of(self._number, number), number)
        if kind == PUSH:
            return encode("RPUSH", history.list_of(self._number, epoch), number)
        return encode("GET", history.key_of(self._number, number))


def _outcome(kind, number, reply):
    line, value = reply
    if line[:1] == b"-":
        return history.ERROR, line[1:].decode(errors="replace")
    if kind in history.WRITES:
        return history.OK, ""
    if value is None:
        return history.NIL, ""
    return (history.OK, "") if value == str(number).encode() else (history.WRONG, value.decode(errors="replace"))


class _Group:
    """All clients of this process, and what they were told."""

    def __init__(self, name, first, count, pause, timeout, control, path):
        self.name = name
        self.pause = pause
        self.timeout = timeout
        self.endpoints = []
        self.epoch = 0
        self.spreads = 0
        self._marks = []  # (text, clients whose operation it waits for)
        self._history = open(path, "a", buffering=1 << 20)
        self._commands = os.open(control, os.O_RDWR | os.O_NONBLOCK)  # also for writing: no end of file between two writers
        self._unread = b""
        self._loop = _Loop()
        self._loop.selector.register(self._commands, selectors.EVENT_READ, self._obey)
        self._loop.every(_FLUSH, self._history.flush)
        self._clients = [_Client(self, first + i) for i in range(count)]

    def run(self):
        while not self.endpoints:
            self._loop.turn()
        for client in self._clients:
            self._loop.start(client.run())
        while True:
            self._loop.turn()

    def record(self, op):
        self._history.write(history.to_line(op))

    def ended(self, client):
        for mark in list(self._marks):
            mark[1].discard(client)
            self._answer(mark)

    def _answer(self, mark):
        if not mark[1]:
            self._marks.remove(mark)
            self._history.write(f"mark\t{mark[0]}\n")
            self._history.flush()

    def _obey(self):
        self._unread += os.read(self._commands, 65536)
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            command = json.loads(line)
            self.endpoints = command.get("endpoints", self.endpoints)
            self.epoch = command.get("epoch", self.epoch)
            self.spreads += command.get("spread", False)
            if "mark" in command:
                mark = (command["mark"], {client for client in self._clients if client.busy})
                self._marks.append(mark)
                self._answer(mark)


def main(group, first, count, pause, timeout, control, path):
    _Group(group, int(first), int(count), float(pause), float(timeout), control, path).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
