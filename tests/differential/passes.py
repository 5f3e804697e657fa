"""Holds a conversation with one side and notes what comes back.

Both sides are the same redis-server, the second time through the proxy: so what hangs on its hash seed (the order of a set) is
the same, too. It is emptied in between.

What redis does directly is known to be done once it has answered a later command of another connection. What comes through
the proxy is waited for: as many replies as came directly, and as many commands executed.
"""

import collections
import errno
import fcntl
import random
import re
import select
import socket
import struct
import termios
import time

from .masks import is_noise
from .wire import Splitter

PATIENCE = 5.0   # s, for what came directly to come through the proxy
_BLOCKED = 3.0   # s, for commands with a short time-out to end

_OWN_USERS = ("default", "hive", "control")
# Commands that the proxy asks of redis itself, or repeats on another connection.
_NOT_COUNTED = {"publish", "spublish", "role", "command", "hello", "auth", "select", "ping", "info", "client", "wait", "reset", "quit", "echo", "acl",
                "config", "multi", "exec", "discard", "watch", "unwatch", "script", "function", "debug", "flushall", "subscribe", "psubscribe", "ssubscribe",
                "unsubscribe", "punsubscribe", "sunsubscribe", "monitor", "pubsub"}

Heard = collections.namedtuple("Heard", "frames closed")  # of one client in one step
State = collections.namedtuple("State", "clients calls")  # of the server


class Redis:
    """What the test asks of redis-server beside the conversation."""

    def __init__(self, servers):
        self.servers = servers
        self.control = servers.control
        listing = self.control.text("COMMAND", "LIST")
        self.data_commands = {name for name in re.findall(r"^([a-z_0-9.|-]+)\r?$", listing, re.M)} - _NOT_COUNTED
        self.data_commands = {name for name in self.data_commands if "|" not in name}
        self.writes = set(self.control.text("COMMAND", "LIST", "FILTERBY", "ACLCAT", "write").split("\r\n")[1::2])

    def reset(self):
        """As if just started."""
        ask = self.control.ask
        users = self.control.text("ACL", "USERS").split("\r\n")[1::2]
        for user in users:
            if user not in _OWN_USERS:
                ask("ACL", "DELUSER", user)
        ask("ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all")
        ask("CONFIG", "SET", "notify-keyspace-events", "", "slowlog-max-len", "128")
        ask("FUNCTION", "FLUSH")
        ask("SCRIPT", "FLUSH")
        ask("FLUSHALL", "SYNC")
        ask("CONFIG", "RESETSTAT")

    def digest(self):
        return self.control.ask("DEBUG", "DIGEST")

    def calls(self):
        """How often each command of data was called, refused, or failed."""
        found = re.findall(r"cmdstat_([^:|]+):calls=(\d+),.*rejected_calls=(\d+),failed_calls=(\d+)", self.control.text("INFO", "commandstats"))
        return {name: tuple(map(int, numbers)) for name, *numbers in found if name in self.data_commands}

    def state(self):
        """What clients of it wait for or listen to, and what it has executed."""
        totals = collections.Counter()
        for line in self.control.text("CLIENT", "LIST").splitlines():
            fields = dict(word.split("=", 1) for word in line.split(" ") if "=" in word)
            if "flags" not in fields:
                continue
            totals.update(flag for flag in fields["flags"] if flag in "bOt")
            for name in ("sub", "psub", "ssub"):
                totals[name] += int(fields.get(name, 0))
            if fields.get("multi", "-1") != "-1":
                totals["multi"] += 1
        return State(+totals, self.calls())

    def done(self, wanted, now):
        """Whether the calls `now` are the ones that were wanted. A read may have been asked for more often."""
        return all(now.get(name) == wanted.get(name) if name in self.writes else now.get(name, (0,)) >= wanted.get(name, (0,))
                   for name in set(wanted) | set(now))

    def blocked(self):
        return int(re.search(r"blocked_clients:(\d+)", self.control.text("INFO", "clients"))[1])


class Client:
    """A connection that neither waits nor loses anything."""

    def __init__(self, address, redis):
        self.socket = socket.create_connection(address, 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.frames = []
        self.closed = False
        self.fresh = True   # nothing was sent yet
        self._splitter = Splitter()
        self._redis = redis

    def receive(self):
        """Whether something came that counts."""
        came = False
        while not self.closed:
            try:
                received = self.socket.recv(1 << 18)
            except BlockingIOError:
                break
            except OSError:
                received = b""
            if not received:
                came = self.closed = True
                if self._splitter.rest():
                    self.frames.append(self._splitter.rest())
                break
            frames = [frame for frame in self._splitter.feed(received) if not is_noise(frame, self._redis.data_commands)]
            self.frames += frames
            came = came or bool(frames) or bool(self._splitter.rest())  # MONITOR tells of our own commands without end
        return came

    def send(self, data):
        """As much as goes now; returns how much that was. What goes to a closed connection is gone."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            assert error.errno in (errno.EPIPE, errno.ECONNRESET), error
            return len(data)

    def unsent(self):
        """Bytes that the other side's kernel has not taken yet."""
        return struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))[0]

    def take(self):
        frames, self.frames = self.frames, []
        return Heard(frames, self.closed)


class _Pass:
    def __init__(self, redis, address, conversation):
        self.redis = redis
        self.conversation = conversation
        self.address = address
        self.clients = [self.connect() for _ in range(conversation.clients)]

    def connect(self):
        return Client(self.address, self.redis)

    def run(self):
        """What was heard: per step, {client: Heard}, and the server's state where replies do not show it."""
        heard = []
        try:
            for number, step in enumerate(self.conversation.steps):
                heard.append(self._step(number, step))
                if heard[-1] is None:
                    return heard[:-1] + [self.partial]
            # Whatever is left over comes now: a reply too many, too.
            for client in self.clients:
                self._shut(client)
            heard.append(self._end(len(self.conversation.steps)))
        finally:
            for client in self.clients:
                client.socket.close()
        return heard

    def _step(self, number, step):
        self._renew_closed()
        sends = [(self.clients[name], b"".join(pieces)) for name, pieces in step.sends if name < len(self.clients)]
        self.send(number, sends)
        if step.ends == "half":
            for client, _ in sends:
                self._shut(client)
        result = self.gather(number, step)
        if step.ends == "close":
            for name, _ in step.sends:
                if name < len(self.clients):
                    self.clients[name].socket.close()
                    self.clients[name] = self.connect()
            if not self.settle(number, step):
                return None
        return result

    def _renew_closed(self):
        for name, client in enumerate(self.clients):
            if client.closed:
                client.socket.close()
                self.clients[name] = self.connect()

    @staticmethod
    def _shut(client):
        try:
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is closed already

    def receive_all(self):
        return any([client.receive() for client in self.clients])

    def take_all(self):
        return {name: client.take() for name, client in enumerate(self.clients)}


class DirectPass(_Pass):
    def __init__(self, redis, conversation):
        super().__init__(redis, redis.servers.redis, conversation)
        self.states = {}  # step: State, where needed
        self._stuck = 0  # clients that are still blocked when they should not be any more: their key has become another

    def send(self, _number, sends):
        rest = dict(sends)
        while any(rest.values()):
            for client, data in list(rest.items()):
                rest[client] = data[client.send(data):]
            self.receive_all()
        self._bytes = sum(len(data) for _, data in sends)

    def _quiet(self):
        """Until redis has read everything, answered, and all of it has come."""
        # It reads 16 KiB of a connection, or more, before it turns to the next, which is ours.
        rounds = self._bytes // 16384 + 2
        while True:
            self.redis.control.ask("PING", "hive-sync")
            came = self.receive_all()
            rounds -= 1
            if rounds <= 0 and not came and not any(not client.closed and client.unsent() for client in self.clients):
                return

    def gather(self, number, step):
        self._quiet()
        silent = step.ends or self.redis.blocked() or any(len(self.clients[name].frames) < len(pieces) for name, pieces in step.sends)
        if silent:
            deadline = time.monotonic() + _BLOCKED
            awaits = not step.leave_blocked and step.ends != "close"
            while awaits and self.redis.blocked() > self._stuck and time.monotonic() < deadline:
                time.sleep(0.002)
                self.receive_all()
            self._quiet()
            if awaits:
                self._stuck = self.redis.blocked()
            self.states[number] = self.redis.state()
        return self.take_all()

    def settle(self, number, _step):
        self.redis.control.ask("PING", "hive-sync")
        self.redis.control.ask("PING", "hive-sync")
        self._stuck = min(self._stuck, self.redis.blocked())
        self.states[number] = self.redis.state()
        return True

    def _end(self, _number):
        deadline = time.monotonic() + PATIENCE
        while not all(client.closed for client in self.clients) and time.monotonic() < deadline:
            self.receive_all()
        return self.take_all()


class ProxiedPass(_Pass):
    """`reference`: the direct pass, `heard`: what it heard. Stops at the step of which less comes."""

    def __init__(self, redis, conversation, reference, heard, patience=PATIENCE, address=None):
        super().__init__(redis, address or redis.servers.proxy, conversation)
        self.reference = reference
        self.heard = heard
        self.patience = patience
        self.trouble = None  # what was waited for in vain
        self.partial = None
        self._rng = random.Random(conversation.seed)

    def send(self, number, sends):
        """In pieces of all sizes, the clients in turn."""
        parts = [(client, self._cut(data)) for client, data in sends]
        pauses = 40
        deadline = time.monotonic() + self.patience
        while parts and time.monotonic() < deadline:
            position = self._rng.randrange(len(parts))
            client, chunks = parts[position]
            chunk = chunks.pop()
            taken = client.send(chunk)
            if taken < len(chunk):
                chunks.append(chunk[taken:])
                self.receive_all()
                select.select([client.socket], [client.socket], [], 0.05)
            if not chunks:
                parts.pop(position)
            elif pauses > 0:
                pauses -= 1
                time.sleep(0.0002)

    def _cut(self, data):
        """From the end, so that pop() gives the first."""
        roll, length = self._rng.random(), len(data)
        if not data:
            return [b""]
        if roll < 0.45:
            return [data]
        if roll < 0.6 and length <= 600:
            sizes = [1] * length
        else:
            most = self._rng.choice([7, 40, 300]) if length < 4000 else self._rng.choice([1000, 5000, 20000, 100000])
            sizes, left = [], length
            while left > 0 and len(sizes) < 400:
                sizes.append(self._rng.randrange(1, most + 1))
                left -= sizes[-1]
        chunks, at = [], 0
        for size in sizes:
            chunks.append(data[at:at + size])
            at += size
        if at < length:
            chunks.append(data[at:])
        return chunks[::-1]

    def _wait(self, done, what):
        deadline = time.monotonic() + self.patience
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                self.trouble = what()
                return False
            open_sockets = [client.socket for client in self.clients if not client.closed]
            select.select(open_sockets, [], [], min(left, 0.01))
            self.receive_all()
        return True

    def _came(self, wanted, closes_late=False):
        return lambda: all(len(self.clients[name].frames) >= len(heard.frames) and (closes_late or self.clients[name].closed >= heard.closed)
                           for name, heard in wanted.items())

    def gather(self, number, step):
        wanted = self.heard[number]
        came = self._wait(self._came(wanted, step.closes_late), lambda: "replies" if any(
            len(self.clients[name].frames) < len(heard.frames) for name, heard in wanted.items()) else "the connection's end")
        if came and number in self.reference.states and step.ends != "close" and not step.closes_late:
            came = self.settle(number, step)
        result = self.take_all()
        if not came:
            self.partial = result
            return None
        return result

    def settle(self, number, _step):
        """Until redis has executed the same, and the same clients wait."""
        wanted = self.reference.states[number]
        deadline = time.monotonic() + self.patience
        while True:
            now = self.redis.state()
            if now.clients == wanted.clients and self.redis.done(wanted.calls, now.calls):
                return True
            if time.monotonic() > deadline:
                self.trouble = f"the server to have done the same: directly {_difference(wanted, now)}"
                self.partial = self.partial or {}
                return False
            time.sleep(0.001)
            self.receive_all()

    def _end(self, number):
        wanted = self.heard[number]
        self._wait(self._came(wanted), lambda: "the end of all connections")
        return self.take_all()


def _difference(wanted, now):
    words = []
    for name in sorted(set(wanted.clients) | set(now.clients)):
        if wanted.clients[name] != now.clients[name]:
            words.append(f"clients with {name}: {wanted.clients[name]}, now {now.clients[name]}")
    for name in sorted(set(wanted.calls) | set(now.calls)):
        if wanted.calls.get(name) != now.calls.get(name):
            words.append(f"{name} (calls, rejected, failed) {wanted.calls.get(name)}, now {now.calls.get(name)}")
    return "; ".join(words)
