#!/usr/bin/python3
"""Goal: a client that does not take its replies costs no memory beyond --client-output-limit, and nobody else anything; one that
takes them slowly gets all of them.
Method: clients with small receive buffers ask for much and read nothing, or little at a time, while a bystander is served."""

import threading
import time

import rig
from localhive import resp
from localhive.process import wait_until
from rig import KIB, MIB

_LIMIT = 8 * MIB  # --client-output-limit of these tests
_GRACE = 5  # s without a byte taken: kSlowReaderGrace of proxy/worker/limits.h

# What the proxy may hold for a client above the limit: one more reply of 1 MiB, what the allocator keeps, growth by doubling.
_ABOVE = 2


class SlowReader(threading.Thread):
    """Sends requests, and takes so many seconds for the replies, of which it knows the size. `left`: bytes that did not come."""

    def __init__(self, client, requests, size, seconds):
        super().__init__(daemon=True)
        self.left = size
        self._client, self._requests, self._size, self._seconds = client, requests, size, seconds

    def run(self):
        self._client.sendall(self._requests)
        begin = time.monotonic()
        while self.left and (piece := self._client.recv(64 * KIB)):
            self.left -= len(piece)
            time.sleep(max(0.0, begin + self._seconds * (1 - self.left / self._size) - time.monotonic()))


class SlowReaders(rig.Rig):
    def flood(self, stop):
        """Publishes without pause to whoever listens; MONITOR sees it, too."""
        message = b"m" * (100 * KIB)
        with resp.Connection(*self.redis_address, 10.0) as publisher:
            while not stop.is_set():
                publisher.command("PUBLISH", "flood", message)
                time.sleep(0.01)

    def wait_closed(self, clients):
        """Until the proxy has closed so many, each for not reading."""
        wait_until(lambda: len(self.logged("it does not read its replies")) >= clients, _GRACE + 15,
                   "clients that do not read to be closed")

    def test_who_reads_nothing_and_who_reads_slowly(self):
        """Pipelines of large replies, subscribers and MONITOR, not read: closed in time, at bounded cost. One reply larger than the
        limit, not read: redis has it, and the proxy a window of it; read at last, it is all there, or its client was closed. And
        one who takes its replies more slowly than they come is never closed."""
        huge = 64 * MIB
        self.start(f"--client-output-limit={_LIMIT}")
        with self.direct() as redis:
            redis.command("SET", "big", b"v" * MIB)
            redis.command("SETRANGE", "huge", huge - 1, "x")
        before = self.proxy.memory()
        self.proxy.forget_peak()
        stop = threading.Event()
        hostile, slow = [], SlowReader(self.raw(receive_buffer=64 * KIB), resp.encode("GET", "big") * 20,
                                       20 * len(b"$%d\r\n\r\n" % MIB) + 20 * MIB, seconds=_GRACE + 1)
        unread = self.raw(receive_buffer=64 * KIB, timeout=20)
        flooder = threading.Thread(target=self.flood, args=(stop,))
        with self.bystander():
            slow.start()
            unread.sendall(resp.encode("GET", "huge"))
            for requests in (resp.encode("GET", "big") * 30, resp.encode("SUBSCRIBE", "flood"), resp.encode("MONITOR")):
                for _ in range(3):
                    hostile.append(self.raw(receive_buffer=64 * KIB))
                    hostile[-1].sendall(requests)
            flooder.start()
            try:
                self.wait_closed(len(hostile))
                slow.join()
            finally:
                stop.set()
                flooder.join()
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{len(hostile)} clients that do not read, and two slow ones: {rig.in_mib(grown)} at the peak")
        self.assertLess(grown, (len(hostile) + 2) * _LIMIT * _ABOVE)
        self.assertEqual(slow.left, 0, "closed, though it has read all the time")
        for client in hostile:  # what was on its way is there, and then the end
            rig.read_until_closed(client)
        closed = len(self.logged("it does not read its replies")) > len(hostile)
        received = rig.read_until_closed(unread) if closed else self.read_huge(unread, huge)
        self.assertTrue(received.startswith(b"$%d\r\n\0\0" % huge))

    def read_huge(self, client, size):
        """All of it, to the last byte; returns the first piece."""
        first, left, last = b"", len(b"$%d\r\n\r\n" % size) + size, b""
        with self.bystander():
            while left > 0:
                last = client.recv(MIB)
                self.assertTrue(last, f"closed with {left} bytes to come")
                first = first or last
                left -= len(last)
        self.assertEqual(left, 0)
        self.assertTrue(last.endswith(b"x\r\n"))
        return first

    def test_reply_larger_than_the_limit_to_a_client_that_reads(self):
        """Of several replies, each beyond the limit, to a client that reads as fast as Python does: all bytes, little memory."""
        size, times = 32 * MIB, 4
        self.start(f"--client-output-limit={MIB}")
        with self.direct() as redis:
            redis.command("SETRANGE", "huge", size - 1, "x")
        self.proxy.forget_peak()
        before = self.proxy.memory()
        with self.bystander():
            client = self.raw(timeout=30)
            client.sendall(resp.encode("GET", "huge") * times + resp.encode("PING"))
            left, last = times * (len(b"$%d\r\n" % size) + size + 2) + len(b"+PONG\r\n"), b""
            while left:
                last = client.recv(MIB)
                self.assertTrue(last, f"closed with {left} bytes to come")
                left -= len(last)
            self.assertTrue(last.endswith(b"x\r\n+PONG\r\n"))
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{rig.in_mib(grown)} at the peak")
        self.assertLess(grown, 8 * MIB)

    def test_large_replies_to_who_reads_slowly(self):
        """With the default limit, and more than it on its way: of reads, and of what may write and so cannot be asked again."""
        self.start()
        with self.direct() as redis:
            redis.command("SET", "big", b"v" * MIB)
            redis.command("SETRANGE", "huge", 100 * MIB - 1, "x")
        whole = 100 * MIB + len(b"$%d\r\n\r\n" % (100 * MIB))
        readers = [SlowReader(self.raw(receive_buffer=64 * KIB), requests, size, seconds=2) for requests, size in (
            (resp.encode("GET", "big") * 100, 100 * (MIB + len(b"$%d\r\n\r\n" % MIB))),
            (resp.encode("GET", "huge"), whole),
            (resp.encode("EVAL", "return redis.call('GET', KEYS[1])", 1, "huge"), whole))]
        with self.bystander():
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
        self.assertEqual([reader.left for reader in readers], [0, 0, 0])

    def test_replies_behind_a_write_that_waits(self):
        """With --write-acks nothing behind a write is told before the write is: kept within the limit, and told in the end."""
        clients, replies, size = 5, 200, 250_000
        self.start(f"--client-output-limit={_LIMIT}", "--write-acks=1", "--write-acks-timeout=2s")
        with self.direct() as redis:
            redis.command("SET", "large", b"v" * size)
        before = self.proxy.memory()
        self.proxy.forget_peak()
        waiting = [self.raw(timeout=20) for _ in range(clients)]
        for client in waiting:
            client.sendall(resp.encode("SET", "written", 1) + resp.encode("GET", "large") * replies)
        time.sleep(1.5)
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{clients} clients: {rig.in_mib(grown)} while they wait")
        self.assertLess(grown, clients * _LIMIT * _ABOVE)
        for client in waiting:
            unconfirmed = b"-UNCONFIRMED applied on the leader, 0 of 1 replicas confirmed\r\n"
            left, first = len(unconfirmed) + replies * (size + len(b"$%d\r\n\r\n" % size)), b""
            while left and (piece := client.recv(MIB)):
                first = first or piece
                left -= len(piece)
            self.assertEqual(left, 0)
            self.assertTrue(first.startswith(unconfirmed))

    def test_many_at_once_are_bounded_together(self):
        """Below each one's own limit, so none is closed for it: the process's memory is bounded all the same."""
        clients, hold_memory = 40, 16 * MIB
        self.start(f"--hold-memory={hold_memory}", f"--client-output-limit={_LIMIT}")
        with self.direct() as redis:
            redis.command("SET", "big", b"v" * (256 * KIB))
        before = self.proxy.memory()
        self.proxy.forget_peak()
        with self.bystander():
            hostile = [self.raw(receive_buffer=64 * KIB) for _ in range(clients)]
            for client in hostile:
                client.sendall(resp.encode("GET", "big") * 24)
            self.redis.wait_quiet()
            self.proxy.wait_quiet()
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{clients} clients: {rig.in_mib(grown)} at the peak")
        self.assertLess(grown, hold_memory * 2 + clients * MIB)
        for client in hostile:
            client.close()
        wait_until(lambda: self.proxy.memory() - before < 16 * MIB, 5, "the memory to be given back")


rig.main()
