#!/usr/bin/python3
"""Goal: a pipeline of a million commands is answered in order, whether its client reads while it writes (as redis-cli --pipe does)
or writes all before it reads; one whose replies the client does not take in time is ended rather than dead-locked.
Method: each against the real proxy, every reply checked, memory watched."""

import subprocess
import time

import rig
from localhive import resp
from rig import KIB, MIB


class Pipelines(rig.Rig):
    def through_redis_cli(self, commands):
        self.start()
        before = self.proxy.memory()
        self.proxy.forget_peak()
        stream = b"".join(resp.encode("INCR", "piped") for _ in range(commands))
        with self.bystander():
            begin = time.monotonic()
            run = subprocess.run(["redis-cli", "-h", self.ip, "-p", str(self.proxy_address[1]), "--pipe"], input=stream,
                                 capture_output=True, timeout=120, check=False)
            taken = time.monotonic() - begin
        self.assertIn(b"errors: 0, replies: %d" % commands, run.stdout, run)
        with self.direct() as redis:
            self.assertEqual(redis.command("GET", "piped"), b"%d" % commands)
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{commands / taken / 1000:.0f}k commands/s, {rig.in_mib(grown)} at the peak")
        self.assertLess(grown, 16 * MIB)

    def test_redis_cli_pipe(self):
        self.through_redis_cli(100_000)

    @rig.heavy
    def test_redis_cli_pipe_of_a_million(self):
        self.through_redis_cli(1_000_000)

    def writes_all_before_it_reads(self, commands):
        self.start()
        before = self.proxy.memory()
        self.proxy.forget_peak()
        client = self.raw(timeout=60)
        with self.bystander():
            begin = time.monotonic()
            block = resp.encode("INCR", "written") * 1000
            for _ in range(commands // 1000):
                client.sendall(block)
            sent = time.monotonic()
            received = bytearray()
            expected = b"".join(b":%d\r\n" % i for i in range(1, commands + 1))
            while len(received) < len(expected):
                piece = client.recv(MIB)
                self.assertTrue(piece, f"closed after {len(received)} of {len(expected)} bytes")
                received += piece
            taken = time.monotonic() - begin
        self.assertTrue(received == expected, "replies in order")
        grown = self.proxy.peak_memory() - before
        rig.note(self, f"{commands / taken / 1000:.0f}k commands/s, written in {sent - begin:.1f} s, {rig.in_mib(grown)} at the peak")
        self.assertLess(grown, 16 * MIB + 2 * len(expected))

    def test_writes_all_before_it_reads(self):
        self.writes_all_before_it_reads(100_000)

    @rig.heavy
    def test_writes_a_million_before_it_reads(self):
        self.writes_all_before_it_reads(1_000_000)

    def test_writes_all_before_it_reads_within_the_limit(self):
        """40 MiB of replies, none of which is taken before all is written: the limit is 64."""
        self.start()
        client = self.raw(receive_buffer=64 * KIB, timeout=20)
        block, commands = resp.encode("ECHO", b"e" * KIB) * 100, 40_000
        with self.bystander():
            for _ in range(commands // 100):
                client.sendall(block)
            left = commands * len(b"$1024\r\n\r\n" + b"e" * KIB)
            while left and (piece := client.recv(MIB)):
                left -= len(piece)
        self.assertEqual(left, 0)

    def test_writes_all_before_it_reads_beyond_the_limit(self):
        """Its replies come to more than --client-output-limit, and it would take none of them before it has written everything:
        redis keeps them all, without a bound; here it is closed, as a client that does not read."""
        self.start("--client-output-limit=1MiB")
        client = self.raw(receive_buffer=64 * KIB, timeout=20)
        block = resp.encode("ECHO", b"e" * KIB) * 1000
        begin = time.monotonic()
        with self.bystander():
            try:
                for _ in range(100):
                    client.sendall(block)
                self.fail("100 MiB of replies were kept somewhere")
            except ConnectionError:
                pass
        taken = time.monotonic() - begin
        rig.note(self, f"closed after {taken:.1f} s")
        self.assertLess(taken, 12)
        self.assertEqual(len(self.logged("it does not read its replies")), 1)


rig.main()
