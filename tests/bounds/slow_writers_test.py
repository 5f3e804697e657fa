#!/usr/bin/python3
"""Goal: a client that sends slowly, or half a command and no more, or announces what never comes, is served as redis would, and
costs no more than what it has sent.
Method: hundreds and thousands of such clients at once; memory and time of the proxy, and what a bystander meets."""

import time

import rig
from localhive import resp
from localhive.process import wait_until
from rig import KIB, MIB

# What a client that is there costs, its beginning of a command not counted: objects, the kernel's not.
_PER_CLIENT = 4 * KIB


class SlowWriters(rig.Rig):
    def crowd(self, count):
        return [self.raw() for _ in range(count)]

    def test_byte_by_byte(self):
        """Every 10 ms each of 200 clients sends one byte more."""
        self.start()
        clients = self.crowd(200)
        request = resp.encode("SET", "slow", "value") + b"GET slow\r\n"
        with self.bystander():
            for i in range(len(request)):
                begin = time.monotonic()
                for client in clients:
                    client.sendall(request[i:i + 1])
                time.sleep(max(0.0, begin + 0.01 - time.monotonic()))
            for client in clients:
                received = b""
                while len(received) < len(b"+OK\r\n$5\r\nvalue\r\n"):
                    received += client.recv(100)
                self.assertEqual(received, b"+OK\r\n$5\r\nvalue\r\n")

    def test_half_a_command_each(self):
        """2,000 clients; then the other half, and every one of them is answered."""
        self.start()
        request = resp.encode("SET", "half", "a value that is cut in two")
        before, cpu = self.proxy.memory(), None
        clients = self.crowd(2000)
        with self.bystander():
            for client in clients:
                client.sendall(request[:-12])
            time.sleep(0.3)
            grown = self.proxy.memory() - before
            cpu = self.proxy.cpu_share(0.5)
        rig.note(self, f"{grown / len(clients):.0f} bytes per client, {cpu:.0%} of a CPU with a bystander")
        self.assertLess(grown, len(clients) * _PER_CLIENT)
        for client in clients:
            client.sendall(request[-12:])
        for client in clients:
            self.assertEqual(client.recv(100), b"+OK\r\n")

    def test_announced_and_never_sent(self):
        """Nothing is set aside for what is only announced."""
        self.start()
        announcements = (b"*1000000\r\n", b"*2147483647\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n", b"*1\r\n$536870912\r\n",
                         b"*2\r\n$4\r\nECHO\r\n$536870912\r\n", b"*1000000\r\n$3\r\nDEL\r\n$1\r\na\r\n")
        before = self.proxy.memory()
        clients = self.crowd(600)
        with self.bystander():
            for i, client in enumerate(clients):
                client.sendall(announcements[i % len(announcements)])
            time.sleep(0.5)
        grown = self.proxy.memory() - before
        rig.note(self, f"{grown / len(clients):.0f} bytes per client")
        self.assertLess(grown, len(clients) * _PER_CLIENT)
        self.assertLess(self.proxy.cpu_share(0.3), 0.2)
        for client in clients:
            self.assertFalse(rig.gone(client, 0))

    def test_many_unfinished_commands_are_bounded_together(self):
        """Each below the size from which a command is relayed as it comes, all of them above --hold-memory: nobody else is told
        that memory is used up, and it is bounded."""
        hold_memory, clients, size = 16 * MIB, 400, 250_000
        self.start(f"--hold-memory={hold_memory}")
        half = b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$%d\r\n" % size + b"h" * (size - 1000)
        before = self.proxy.memory()
        hostile = self.crowd(clients)
        with self.bystander():
            for client in hostile:
                client.settimeout(0.05)
                try:
                    client.sendall(half)
                except TimeoutError:
                    pass  # it is not read any more
            time.sleep(0.5)
            grown = self.proxy.memory() - before
        rig.note(self, f"{rig.in_mib(grown)} for {rig.in_mib(clients * size)} sent")
        self.assertLess(grown, 2 * hold_memory + clients * 64 * KIB)
        for client in hostile:
            client.close()
        wait_until(lambda: self.proxy.memory() - before < 8 * MIB, 5, "the memory to be given back")

    def test_commands_of_one_client_that_wait(self):
        """Beyond 1 MiB no more is read from it; once there is a leader, all that it has sent is executed in order."""
        self.start("--hold-timeout=60s", leader=False)
        client = self.raw(timeout=1)
        before = self.proxy.memory()
        request = b"".join(resp.encode("RPUSH", "waits", "%06d" % i + "p" * 1000) for i in range(20000))
        sent = 0
        try:
            while sent < len(request):
                sent += client.send(request[sent:sent + 256 * KIB])
        except TimeoutError:
            pass
        grown = self.proxy.memory() - before
        rig.note(self, f"{rig.in_mib(sent)} sent, {rig.in_mib(grown)} held")
        self.assertLess(sent, len(request), "the kernel must have refused to take it all")
        self.assertLess(grown, 4 * MIB)
        self.watch.start()
        client.settimeout(10)
        replies = bytearray()

        def expected(i):
            return b"".join(b":%d\r\n" % n for n in range(1, i + 1))
        client.setblocking(False)
        deadline = time.monotonic() + 20
        while len(replies) < len(expected(20000)):
            self.assertLess(time.monotonic(), deadline, f"{sent} of {len(request)} bytes taken, {len(replies)} bytes of replies")
            try:
                sent += client.send(request[sent:sent + 256 * KIB]) if sent < len(request) else 0
            except BlockingIOError:
                pass
            try:
                replies += client.recv(MIB)
            except BlockingIOError:
                time.sleep(0.001)
        self.assertEqual(replies, expected(20000))


rig.main()
