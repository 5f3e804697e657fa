#!/usr/bin/python3
"""Goal: a peer that vanished, stands still, hangs up in mid-word or talks nonsense costs those whom it concerned, and only them.
Method: keep-alive timers as the kernel shows them; a redis that is stopped; and a made-up redis that misbehaves as told."""

import socket
import socketserver
import struct
import threading
import time

import rig
from localhive import resp
from localhive.process import wait_until
from rig import MIB

_KEEPALIVE = "02"  # column "tr" of /proc/net/tcp: the timer that runs is the keep-alive's


def kernel_address(ip, port):
    return f"{struct.unpack('=I', socket.inet_aton(ip))[0]:08X}:{port:04X}"


def connections():
    """(local, remote, timer, inode) of every established TCP connection over IPv4."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return [(row[1], row[2], row[5].split(":")[0], row[9]) for row in rows if row[3] == "01"]


class FakeRedis:
    """Leads, as far as a proxy asks; commands named in `tricks` it answers as they say: tricks[name](socket, words) -> bytes or None,
    after which the connection is closed. Anything else gets +OK."""

    def __init__(self, address, tricks):
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                outer.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # the proxy has hung up
        self._tricks = tricks
        self._server = Server(address, Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def serve(self, client):
        stream = client.makefile("rb")
        while line := stream.readline():
            if line[:1] == b"*":
                words = []
                for _ in range(int(line[1:])):
                    words.append(stream.read(int(stream.readline()[1:]) + 2)[:-2])
            else:
                words = line.split()
            if not words:
                continue
            name = words[0].upper().decode(errors="replace")
            if name == "ROLE":
                client.sendall(b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n")
            elif name == "COMMAND":
                client.sendall(b"-ERR unknown command\r\n")
            elif name == "PING":
                client.sendall(b"+PONG\r\n")
            elif name in self._tricks:
                answer = self._tricks[name](client, words)
                if answer is None:
                    return
                client.sendall(answer)
            else:
                client.sendall(b"+OK\r\n")


class DeadPeers(rig.Rig):
    def test_keepalive_on_both_sides(self):
        self.start()
        client = self.raw()
        client.sendall(b"PING\r\n")
        self.assertEqual(client.recv(100), b"+PONG\r\n")
        proxy, redis = kernel_address(*self.proxy_address), kernel_address(*self.redis_address)
        time.sleep(0.3)  # until nothing is unacknowledged: else another timer runs, and this one behind it
        to_clients = [row for row in connections() if row[0] == proxy]
        to_redis = [row for row in connections() if row[1] == redis]
        self.assertTrue(to_clients and to_redis)
        self.assertEqual({row[2] for row in to_clients}, {_KEEPALIVE}, to_clients)
        self.assertEqual({row[2] for row in to_redis}, {_KEEPALIVE}, to_redis)

    def test_redis_that_is_stopped(self):
        """Its clients wait, within bounds; whoever asks nothing of it is served; when it goes on, so does everybody, in order."""
        self.start()
        clients = [self.connect() for _ in range(50)]
        for client in clients:
            client.command("PING")
        before = self.proxy.memory()
        self.redis.freeze()
        for i, client in enumerate(clients):
            client.send_raw(resp.encode("INCR", f"stopped:{i}") * 100)
        writer = self.raw(timeout=0.5)
        sent, value = 0, resp.encode("SET", "flood", "f" * 10_000)
        try:
            while sent < 100 * MIB:
                writer.sendall(value * 10)
                sent += 10 * len(value)
        except TimeoutError:
            pass
        cpu = self.proxy.cpu_share(0.5)
        grown = self.proxy.memory() - before
        rig.note(self, f"{rig.in_mib(sent)} taken, {rig.in_mib(grown)} more, {cpu:.0%} of a CPU")
        self.assertLess(sent, 100 * MIB)
        self.assertLess(grown, 16 * MIB)
        self.assertLess(cpu, 0.15)
        self.redis.thaw()
        for client in clients:
            self.assertEqual([client.read_reply() for _ in range(100)], list(range(1, 101)))

    def misbehaving(self, **tricks):
        """A proxy in front of a made-up redis. Returns a client that has been served."""
        self.start(redis_runs=False)
        fake = FakeRedis(self.redis_address, tricks)
        self.addCleanup(fake.close)
        client = self.connect()
        wait_until(lambda: client.command("PING") == "PONG", 10, "the proxy to find the made-up redis")
        return client

    def serves(self):
        try:
            with resp.Connection(*self.proxy_address, 5.0) as client:
                return client.command("SET", "a", "b") == "OK"
        except resp.ConnectionLost:
            return False

    def test_redis_that_hangs_up_within_a_reply(self):
        """Half a reply has been relayed: its client is closed. Nobody is sent the rest of it as something else."""
        def half(client, _):
            client.sendall(b"$1000000\r\n" + b"h" * 500_000)
        client = self.misbehaving(GET=half)
        self.assertEqual(client.command("SET", "a", "b"), "OK")
        client.send_raw(resp.encode("GET", "a"))
        received = rig.read_until_closed(client._socket)
        self.assertTrue(b"$1000000\r\n".startswith(received[:10]))
        self.assertLess(len(received), 500_100)
        wait_until(self.serves, 5, "the proxy to serve on")

    def test_redis_that_hangs_up_within_a_reply_with_others_behind(self):
        """Who was promised the rest of a reply, or has a write in flight, is closed; reads that wait behind are read again, and who
        had nothing in flight notices nothing."""
        hung_up = threading.Event()

        def get(client, words):
            if words[1] != b"half" or hung_up.is_set():
                return b"$4\r\nread\r\n"
            time.sleep(0.3)  # the others' commands come
            hung_up.set()
            client.sendall(b"$1000\r\nhalf")
        idle = self.misbehaving(GET=get)
        half, reader, writer = self.connect(), self.connect(), self.connect()
        half.send_raw(resp.encode("GET", "half"))
        time.sleep(0.1)
        reader.send_raw(resp.encode("GET", "other"))
        writer.send_raw(resp.encode("INCR", "other"))
        self.assertEqual(rig.read_until_closed(half._socket), b"$1000\r\nhalf")
        self.assertEqual(reader.read_reply(), b"read")
        if rig.gone(writer._socket, 0.5):  # it shared the connection
            self.assertEqual(rig.read_until_closed(writer._socket), b"")
        else:
            self.assertEqual(writer.read_reply(), "OK")
        self.assertEqual(idle.command("SET", "a", "b"), "OK")

    def test_redis_that_hangs_up_before_a_reply(self):
        """A write: closed. A read is sent again once, unless it may be what killed redis: closed, too."""
        client = self.misbehaving(INCR=lambda *_: None, GET=lambda *_: None)
        for request in (resp.encode("INCR", "a"), resp.encode("GET", "a")):
            client.send_raw(request)
            self.assertEqual(rig.read_until_closed(client._socket), b"")
            wait_until(self.serves, 5, "the proxy to serve on")
            client = self.connect()

    def test_redis_that_talks_nonsense(self):
        """Nonsense is not relayed, nor answered to somebody else; the client is closed and the proxy lives."""
        nonsense = (b"\0\0\0\0\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-5\r\n", b"*9999999999999999999\r\n", b":abc\r\n", b"$99999999999\r\n",
                    b"+" + b"n" * (3 * MIB), b"%-1\r\n", b"\x16\x03\x01\r\n")
        queue = list(nonsense)

        def babble(*_):
            return queue.pop(0) if queue else None
        self.misbehaving(GET=babble)
        before = self.proxy.memory()
        for text in nonsense:
            client = self.raw(timeout=0.7)
            client.sendall(resp.encode("GET", "a"))
            try:
                self.assertLessEqual(len(rig.read_until_closed(client)), len(text))
            except TimeoutError:  # may be the beginning of something: waits for the rest of it
                client.close()
            wait_until(self.serves, 5, f"the proxy to serve on after {text[:20]}")
        self.assertLess(self.proxy.memory() - before, 16 * MIB)

    def test_redis_that_answers_what_nobody_asked(self):
        """Nobody gets it in the place of a reply."""
        def twice(client, _):
            client.sendall(b"$3\r\none\r\n")
            time.sleep(0.2)
            return b"$3\r\ntwo\r\n"
        client = self.misbehaving(GET=twice)
        for _ in range(3):
            self.assertEqual(client.command("GET", "a"), b"one")
            time.sleep(0.4)
            try:
                self.assertEqual(client.command("SET", "a", "b"), "OK")
            except resp.ConnectionLost:
                client = self.connect()

    def test_nested_without_end(self):
        """An array in an array in an array, for ever: as deep as the proxy follows, or closed; and no stack overflows."""
        def nested(client, _):
            client.sendall(b"*1\r\n" * 500_000)
            time.sleep(0.5)
        client = self.misbehaving(GET=nested)
        client.send_raw(resp.encode("GET", "a"))
        rig.read_until_closed(client._socket)
        wait_until(self.serves, 5, "the proxy to serve on")


rig.main()
