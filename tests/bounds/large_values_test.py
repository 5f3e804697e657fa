#!/usr/bin/python3
"""Goal: values up to the server's own limit go through the proxy both ways, in commands of any shape, without being held there.
Method: each shape once, its bytes compared, the proxy's memory watched, a bystander served meanwhile; and what is beyond a limit
gets what redis says, byte for byte."""

import hashlib
import os
import time

import rig
from localhive import resp
from localhive.process import wait_until
from rig import KIB, MIB

# What the proxy may grow by, whatever goes through it: windows of both directions, and what sockets' buffers make wait.
_GROWTH = 8 * MIB


class LargeValues(rig.Rig):
    def assert_streamed(self, before):
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{rig.in_mib(grown)} at the peak")
        self.assertLess(grown, _GROWTH)

    def measured(self, *flags, **options):
        self.start(*flags, **options)
        self.proxy.forget_peak()
        return self.proxy.memory()

    @staticmethod
    def pieces(size):
        """`size` bytes that repeat nowhere near a buffer's size."""
        block = os.urandom(997 * 1009)
        while size > 0:
            yield block[:min(size, len(block))]
            size -= len(block)

    def set_and_get(self, size):
        before = self.measured()
        sent, received = hashlib.sha256(), hashlib.sha256()
        client = self.raw(timeout=60)
        with self.bystander():
            begin = time.monotonic()
            client.sendall(b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n" % size)
            for piece in self.pieces(size):
                sent.update(piece)
                client.sendall(piece)
            client.sendall(b"\r\n")
            self.assertEqual(client.recv(100), b"+OK\r\n")
            middle = time.monotonic()
            client.sendall(resp.encode("GET", "large") + resp.encode("PING"))
            head = b"$%d\r\n" % size
            left = len(head) + size + len(b"\r\n+PONG\r\n")
            unread = b""
            while len(unread) < len(head):
                unread += client.recv(MIB)
            self.assertEqual(unread[:len(head)], head)
            body, left = unread[len(head):], left - len(unread)
            tail = size
            while True:
                received.update(body[:tail])
                tail -= min(tail, len(body))
                if not left:
                    break
                body = client.recv(4 * MIB)
                self.assertTrue(body, f"closed with {left} bytes to come")
                left -= len(body)
            rig.note(self, f"SET {size / MIB / (middle - begin):.0f} MiB/s, GET {size / MIB / (time.monotonic() - middle):.0f} MiB/s")
        self.assertEqual(sent.digest(), received.digest())
        self.assertTrue(body.endswith(b"\r\n+PONG\r\n"))
        self.assert_streamed(before)

    def test_value_of_64_mib(self):
        self.set_and_get(64 * MIB)

    @rig.heavy
    def test_value_of_512_mib(self):
        """The largest that redis takes, unless it is told otherwise."""
        self.set_and_get(512 * MIB)

    def test_several_large_arguments(self):
        before = self.measured()
        with self.bystander(), self.connect(30) as client:
            a, b, c = (os.urandom(6 * MIB) for _ in range(3))
            self.assertEqual(client.command("MSET", "a", a, "b", b, "c", c), "OK")
            self.assertEqual(client.command("APPEND", "a", b), 12 * MIB)
            self.assertEqual(client.command("STRLEN", "b"), 6 * MIB)
            self.assertEqual(client.command("EVAL", "return #ARGV[1] + #ARGV[2] + redis.call('STRLEN', KEYS[1])", 1, "a", b, c),
                             24 * MIB)
            self.assertEqual(client.command("SETRANGE", "c", 3, b), 6 * MIB + 3)
            self.assertEqual(client.command("LPUSH", "list", a, b, c, "small"), 4)
            self.assertEqual(client.command("EVAL", "return redis.call('SET', KEYS[1], '" + "x" * MIB + "')", 1, "d"), "OK")
            self.assertEqual(client.command("HSET", "hash", *(w for i in range(20000) for w in (f"field:{i}", "v" * 100))), 20000)
            self.assertEqual(client.command("ECHO", a[:MIB]), a[:MIB])
            client.send_raw(resp.encode("MGET", "a", "b", "c"))
        with self.direct() as redis:
            for key, value in (("a", a + b), ("b", b), ("c", c[:3] + b), ("d", b"x" * MIB)):
                self.assertEqual(hashlib.sha256(redis.command("GET", key)).digest(), hashlib.sha256(value).digest(), key)
        self.assert_streamed(before)

    def test_large_commands_in_a_pipeline_keep_their_order(self):
        """Small commands before, between and behind those that are relayed as they come."""
        self.start()
        large = b"l" * (300 * KIB)
        with self.connect(30) as client:
            client.send_raw(b"".join(resp.encode("RPUSH", "order", i) + resp.encode("SET", f"large:{i}", large)
                                     + resp.encode("GETRANGE", f"large:{i}", 0, 1) for i in range(30)))
            for i in range(30):
                self.assertEqual(client.read_reply(), i + 1)
                self.assertEqual(client.read_reply(), "OK")
                self.assertEqual(client.read_reply(), b"ll")
            self.assertEqual(client.command("LRANGE", "order", 0, -1), [str(i).encode() for i in range(30)])

    def test_many_clients_with_large_values(self):
        """A stream each, none of which is read or written as fast as it might be."""
        before = self.measured()
        clients = [self.raw(timeout=30) for _ in range(20)]
        size = 2 * MIB
        request = resp.encode("SET", "many", os.urandom(size))
        with self.bystander():
            for at in range(0, len(request), 64 * KIB):
                for client in clients:
                    client.sendall(request[at:at + 64 * KIB])
            for client in clients:
                self.assertEqual(client.recv(100), b"+OK\r\n")
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{rig.in_mib(grown)} at the peak for {len(clients)} streams")
        self.assertLess(grown, len(clients) * MIB)

    # -- at the limits ------------------------------------------------------------------------------------------------

    def test_beyond_the_servers_limit(self):
        """512 MiB by default."""
        self.start()
        answer = self.assert_as_redis(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\n")
        self.assertEqual(answer, (b"-ERR Protocol error: invalid bulk length\r\n", "closed"))

    def test_beyond_a_lower_limit_of_the_server(self):
        self.start(redis=("--proto-max-bulk-len", "1mb"))
        self.assertEqual(self.assert_as_redis(resp.encode("SET", "fits", b"x" * MIB))[0], b"+OK\r\n")
        self.assertEqual(self.assert_as_redis(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n"),
                         (b"-ERR Protocol error: invalid bulk length\r\n", "closed"))
        self.assert_as_redis(b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2000000\r\n")
        self.assert_serves()

    def test_within_a_higher_limit_of_the_server(self):
        """Only announced: what is tried is whether it is refused."""
        self.start(redis=("--proto-max-bulk-len", "1gb"))
        self.assertEqual(self.assert_as_redis(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000000\r\n"), (b"", "open"))

    # -- a command that is kept, so that it may be sent again ---------------------------------------------------------

    def test_leader_lost_within_a_command(self):
        """Below 256 KiB it is kept and its client notices nothing; above, it has been relayed in part, and its client is closed."""
        self.start()
        for size, survives in ((200 * KIB, True), (300 * KIB, False)):
            with self.subTest(size=size):
                client = self.raw()
                client.sendall(b"PING\r\n")
                self.assertEqual(client.recv(100), b"+PONG\r\n")
                request = resp.encode("SET", "cut", b"c" * size)
                client.sendall(request[:-1000])
                time.sleep(0.2)
                with self.direct() as redis:
                    redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                if survives:
                    self.assertFalse(rig.gone(client, 0.3))
                    client.sendall(request[-1000:])
                    self.assertEqual(client.recv(100), b"+OK\r\n")
                else:
                    self.assertTrue(rig.gone(client, 5))
                    with self.direct() as redis:
                        self.assertNotEqual(redis.command("STRLEN", "cut"), size)
        wait_until(lambda: self.connect().command("PING") == "PONG", 5, "the proxy to serve on")


rig.main()
