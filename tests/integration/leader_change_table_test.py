#!/usr/bin/python3
"""Goal: what docs/proxy.md says of a leader change holds on a whole hive, for whatever a client had. Method: a client in each of
the table's states at a follower's proxy, then a handover, or the death of the leader's redis."""

import signal
import socket
import threading
import time

import scenario
from localhive import addresses, resp
from localhive.process import wait_until

_LARGE = 300 * 1024  # bytes of an argument that is relayed as it comes


class _Blocked:
    """A command that is not answered at once."""

    def __init__(self, connection, *words):
        self.outcome = None
        self._connection = connection
        self._thread = threading.Thread(target=self._run, args=words, daemon=True)
        self._thread.start()

    def _run(self, *words):
        try:
            self.outcome = self._connection.command(*words)
        except resp.ConnectionLost:
            self.outcome = "closed"

    def join(self):
        self._thread.join(10)
        return self.outcome


class LeaderChangeTable(scenario.Scenario):
    def setUp(self):
        self.start_hive(3)
        self.pod = self.follower()

    def opened(self):
        connection = self.pod.connect(15)
        self.addCleanup(connection.close)
        connection.command("PING")
        return connection

    def raw(self, request, answer):
        """A socket that has sent this, and was answered something that ends so."""
        client = socket.create_connection((self.pod.ip, addresses.PROXY_PORT), 10)
        self.addCleanup(client.close)
        client.sendall(request)
        seen = b""
        while not seen.endswith(answer):
            seen += client.recv(65536)
        return client

    def assert_ends(self, client, what):
        try:
            while client.recv(65536):
                continue
        except ConnectionError:
            return
        except socket.timeout:
            self.fail(f"{what}: not closed")

    def states(self):
        """Clients that have nothing in flight, as a table from state to connection."""
        table = {name: self.opened() for name in ("nothing in flight", "transaction", "watching", "subscribed")}
        table["nothing in flight"].command("SET", "idle", 1)
        for name in ("transaction", "watching"):
            if name == "watching":
                table[name].command("WATCH", "watched")
            table[name].command("MULTI")
            table[name].command("INCR", name)
        table["subscribed"].command("SUBSCRIBE", "channel")
        return table

    def closed_states(self):
        half_sent = socket.create_connection((self.pod.ip, addresses.PROXY_PORT), 10)
        self.addCleanup(half_sent.close)
        half_sent.sendall(resp.encode("SET", "half", b"h" * _LARGE)[:-1000])
        return {"MONITOR": self.raw(b"MONITOR\r\n", b"+OK\r\n"),
                "TRACKING": self.raw(b"HELLO 3\r\nCLIENT TRACKING ON\r\n", b"+OK\r\n"),
                "REPLY": self.raw(b"PING\r\nCLIENT REPLY OFF\r\n", b"+PONG\r\n"),
                "half-sent": half_sent}

    def assert_went_on(self, table):
        """The rows that a crash and a handover have in common."""
        self.assertEqual(table["nothing in flight"].command("INCR", "idle"), 2)
        self.assertEqual(table["transaction"].command("EXEC"), [1])
        self.assertIsNone(table["watching"].command("EXEC"))
        redis = self.hive.wait_settled().redis
        wait_until(lambda: redis.ask("PUBSUB", "NUMSUB", "channel") == [b"channel", 1], 5, "the subscriber at the new leader")
        self.opened().command("PUBLISH", "channel", "news")
        self.assertEqual(table["subscribed"].read_reply(), [b"message", b"channel", b"news"])

    def blocked(self):
        return (_Blocked(self.opened(), "BLPOP", "queue", 10),
                _Blocked(self.opened(), "XREAD", "BLOCK", 10000, "STREAMS", "s", "$"))

    def await_blocked(self, leader, count):
        def blocked():
            info = leader.redis.ask("INFO", "clients").decode()
            return f"blocked_clients:{count}" in info
        wait_until(blocked, 5, f"{count} blocked clients")

    def test_handover(self):
        leader = self.hive.wait_settled()
        table, closed = self.states(), self.closed_states()
        popping, reading = self.blocked()
        self.await_blocked(leader, 2)
        counter, stop, counts = self.opened(), threading.Event(), []

        def count():  # new commands, and commands in flight, at every moment of it
            while not stop.is_set():
                counts.append((counter.command("INCR", "count"), int(counter.command("GET", "count"))))
        thread = threading.Thread(target=count)
        thread.start()
        run = leader.coordinator_command("handover", f"--target={leader.ip}:{addresses.COORDINATOR_PORT}")
        self.assertEqual(run.returncode, 0, run.stderr)
        new = self.hive.wait_settled()
        self.assertIsNot(new, leader)
        time.sleep(0.2)
        stop.set()
        thread.join(10)
        self.assertEqual(counts, [(n, n) for n in range(1, len(counts) + 1)])
        self.assert_went_on(table)
        self.await_blocked(new, 2)
        pusher = self.opened()
        pusher.command("RPUSH", "queue", "element")
        pusher.command("XADD", "s", "1-1", "f", "v")
        self.assertEqual(popping.join(), [b"queue", b"element"])
        self.assertEqual(reading.join(), [[b"s", [[b"1-1", [b"f", b"v"]]]]])
        for name, client in closed.items():
            with self.subTest(name):
                self.assert_ends(client, name)

    def test_crash(self):
        leader = self.hive.wait_settled()
        table, closed = self.states(), self.closed_states()
        table["nothing in flight"].command("SET", "read", "it")
        popping, reading = self.blocked()
        self.await_blocked(leader, 2)
        self.wait_replicated()
        writer, reader, newcomer = self.opened(), self.opened(), self.opened()
        leader.redis.signal(signal.SIGSTOP)  # so that what is sent now is in flight when it dies
        writing = _Blocked(writer, "SET", "written", 1)
        time.sleep(0.05)
        getting = _Blocked(reader, "GET", "read")
        time.sleep(0.05)
        leader.redis.kill()
        held = _Blocked(newcomer, "SET", "held", 1)
        leader.redis.start()
        self.assertEqual(held.join(), "OK")
        self.assertEqual(writing.join(), "closed")
        self.assertEqual(getting.join(), b"it")
        self.assertEqual(popping.join(), "closed")
        self.assert_went_on(table)
        pusher = self.opened()
        pusher.command("XADD", "s", "1-1", "f", "v")
        self.assertEqual(reading.join(), [[b"s", [[b"1-1", [b"f", b"v"]]]]])
        for name, client in closed.items():
            with self.subTest(name):
                self.assert_ends(client, name)


scenario.main()
