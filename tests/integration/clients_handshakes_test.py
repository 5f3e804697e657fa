#!/usr/bin/python3
"""Goal: go-redis and Jedis, which Debian does not have, find behind a proxy what they find on redis itself when they connect, and find it
still after the leader has changed.
Method: what they write (tests/clients/handshakes.txt) is written to the leader's redis and to another pod's proxy, and all replies are
compared byte by byte, the connection's id excepted."""

import os
import re
import socket

import scenario
from localhive import addresses, resp

_PASSWORD = "secret"
_USER = "ann"
# What a connection is, asked in the middle of its life; not while it is subscribed with RESP2.
_STATE = [["client", "getname"], ["acl", "whoami"], ["get", "which"], ["hgetall", "hash"]]


def _streams():
    """(title, [[command of one write, ...], ...])"""
    streams = []
    with open(os.path.join(scenario.NODE_CLIENTS, "handshakes.txt")) as file:
        for line in file.read().splitlines():
            if line.startswith("== "):
                streams.append((line[3:], []))
            elif line and not line.startswith("#"):
                line = line.replace("{user}", _USER).replace("{password}", _PASSWORD)
                streams[-1][1].append([command.split() for command in line.split(" | ")])
    return streams


def _end_of_reply(data, at):
    """Where the RESP2 or RESP3 reply ends that begins at `at`; None if it is not all there."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return None
    kind, rest, at = data[at:at + 1], data[at + 1:line_end], line_end + 2
    if kind in b"$=!" and rest != b"-1":
        at += int(rest) + 2
        return at if at <= len(data) else None
    if kind in b"*~>%" and rest != b"-1":
        for _ in range(int(rest) * (2 if kind == b"%" else 1)):
            at = _end_of_reply(data, at)
            if at is None:
                return None
    return at


class _Client:
    """A connection that shows replies as they came."""

    def __init__(self, ip, port):
        self._socket = socket.create_connection((ip, port), 10)
        self._unread = b""

    def close(self):
        self._socket.close()

    def write(self, commands):
        """One write of several commands. Returns all that comes back, but for what differs from one time to the next."""
        self._socket.sendall(b"".join(resp.encode(*words) for words in commands))
        replies = []
        for words in commands:
            replies.append(self._reply())
            if words[0].lower() in ("subscribe", "psubscribe") and not replies[-1].startswith(b"-"):
                replies += [self._reply() for _ in words[2:]]  # each channel's
        said = re.sub(rb"(\$2\r\nid\r\n):\d+", rb"\1:N", b"".join(replies))  # HELLO's: of the proxy's own connection
        return re.sub(rb"\d{13}-\d", b"TIME", said)  # XADD's

    def _reply(self):
        while (end := _end_of_reply(self._unread, 0)) is None:
            data = self._socket.recv(65536)
            if not data:
                return b"(closed)"
            self._unread += data
        reply, self._unread = self._unread[:end], self._unread[end:]
        return reply


class ClientsHandshakes(scenario.Scenario):
    def start(self, **options):
        """Both servers' addresses, and in every redis the user of the streams."""
        leader = self.start_hive(**options)
        for pod in self.hive.pods:
            pod.redis.ask("ACL", "SETUSER", _USER, "on", f">{_PASSWORD}", "~*", "&*", "+@all")
        self.fill(leader)
        return (leader.ip, addresses.REDIS_PORT), (self.follower().ip, addresses.PROXY_PORT)

    @staticmethod
    def fill(leader):
        """What every stream finds."""
        with leader.connect(port=addresses.REDIS_PORT) as connection:
            connection.command("FLUSHALL")
            for database in (0, 5, 7):
                connection.command("SELECT", database)
                connection.command("SET", "which", database)
                connection.command("HSET", "hash", "field", "value")

    def replay(self, where, writes):
        """A new connection's client, and all that it was told."""
        client = _Client(*where)
        self.addCleanup(client.close)
        return client, [(commands, client.write(commands)) for commands in writes]

    def compare(self, direct, proxy):
        for title, writes in _streams():
            with self.subTest(title):
                said = []
                for where in (direct, proxy):
                    self.fill(self.hive.leader())
                    said.append(self.replay(where, writes)[1])
                self.assertEqual(said[1], said[0])

    def test_without_a_password(self):
        self.compare(*self.start())

    def test_with_a_password(self):
        self.compare(*self.start(password=_PASSWORD))

    def test_kept_when_the_leader_changes(self):
        direct, proxy = self.start(password=_PASSWORD)
        asked = []
        for title, writes in _streams():
            said = {words[0].lower() for commands in writes for words in commands}
            if not said & {"subscribe", "quit"} and "cache" not in title:
                before = self.replay(direct, writes)[0].write(_STATE)
                asked.append((title, before, self.replay(proxy, writes)[0]))
        old = self.hive.leader()
        run = old.coordinator_command("handover", f"--target={old.ip}:{addresses.COORDINATOR_PORT}")
        self.assertEqual(run.returncode, 0, run.stderr)
        for title, before, client in asked:
            with self.subTest(title):
                self.assertEqual(client.write(_STATE), before)


scenario.main()
