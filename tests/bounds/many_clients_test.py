#!/usr/bin/python3
"""Goal: however many clients come, those that are there are served; what there is no room for is refused in redis's words or waits
to be accepted, and nothing spins.
Method: thousands of idle clients; a proxy that may open few files; --max-clients reached; clients that come, ask and vanish."""

import random
import resource
import socket
import struct
import time

import rig
from localhive import resp
from localhive.process import wait_until
from rig import KIB, MIB

_IDLE_CPU = 0.15  # of one CPU, at most, for a proxy that has nothing to do; a spinning one uses all of it


class ManyClients(rig.Rig):
    def idle(self, count):
        """So many connect; memory of each; each is served; and once more, all at once."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = count + 200
        if hard < room:
            self.skipTest(f"needs {room} open files, may have {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, room), hard))
        self.start("--max-clients=20000", redis=("--maxclients", str(min(2 * count, hard - 100))))
        before = self.proxy.memory()
        begin = time.monotonic()
        # Of several addresses, since one has some 28,000 ports, and those of earlier tests are not free at once.
        clients = [self.raw(source=f"127.0.0.{1 + i % 8}", timeout=20) for i in range(count)]
        taken = time.monotonic() - begin
        wait_until(lambda: self.proxy.descriptors() >= count, 10, "all clients to be accepted")
        connected = self.proxy.memory() - before
        with self.bystander():
            cpu = self.proxy.cpu_share(0.5)
            for client in clients:
                client.sendall(b"PING\r\n")
                self.assertEqual(client.recv(100), b"+PONG\r\n")
        served = self.proxy.memory() - before
        begin = time.monotonic()
        for client in clients:
            client.sendall(b"PING\r\n")
        for client in clients:
            self.assertEqual(client.recv(100), b"+PONG\r\n")
        all_at_once = time.monotonic() - begin
        rig.note(self, f"{count} clients in {taken:.2f} s: {connected / count:.0f} bytes each once connected, {served / count:.0f} "
                       f"once served; all at once in {all_at_once * 1e3:.0f} ms; {cpu:.0%} of a CPU while idle with a bystander")
        self.assertLess(cpu, 0.5)
        self.assertLess(served, count * 8 * KIB)
        for client in clients:
            client.close()
        wait_until(lambda: self.proxy.descriptors() < 100, 10, "the descriptors to be given back")

    def test_idle_clients(self):
        self.idle(2000)

    @rig.heavy
    def test_ten_thousand_idle_clients(self):
        self.idle(10000)

    def exhausted(self, clients_have_sent):
        """A proxy that may open 100 files, and 200 clients that connect."""
        self.start(descriptors=100)
        early = self.connect()
        if clients_have_sent:
            self.assertEqual(early.command("PING"), "PONG")
        crowd = [self.raw(timeout=0.2) for _ in range(200)]
        wait_until(lambda: self.logged("no new clients for the moment"), 5, "the proxy to complain")
        cpu = self.proxy.cpu_share(0.5)
        rig.note(self, f"{cpu:.0%} of a CPU, {self.proxy.descriptors()} descriptors")
        self.assertLess(cpu, _IDLE_CPU)
        self.assertLessEqual(len(self.logged("no new clients for the moment")), 2)
        begin = time.monotonic()
        for i in range(100):
            self.assertEqual(early.command("SET", "early", i), "OK")
        self.assertLess(time.monotonic() - begin, 2)
        for client in crowd[20:]:  # the later ones wait to be accepted
            client.close()
        wait_until(self.serves_new, 5, "new clients to be accepted again")
        for client in crowd[:20]:
            client.settimeout(5)
            client.sendall(b"PING\r\n")
            self.assertEqual(client.recv(100), b"+PONG\r\n")

    def serves_new(self):
        try:
            with resp.Connection(*self.proxy_address, 1.0) as client:
                return client.command("PING") == "PONG"
        except (OSError, resp.ConnectionLost, resp.ReplyError):
            return False

    def test_descriptors_exhausted(self):
        self.exhausted(clients_have_sent=True)

    def test_descriptors_exhausted_before_a_client_has_asked_anything(self):
        """It was accepted, so it must be served, though what it asks takes a connection to redis."""
        self.exhausted(clients_have_sent=False)

    def test_descriptors_exhausted_by_connections_to_redis(self):
        """Subscribers need one each, beside their client's: those for which there is none wait, or are turned away; nobody else is
        kept from the leader."""
        self.start(descriptors=100)
        early = self.connect()
        self.assertEqual(early.command("PING"), "PONG")
        crowd = [self.raw(timeout=0.2) for _ in range(200)]
        for client in crowd:
            client.sendall(resp.encode("SUBSCRIBE", "channel"))
        wait_until(lambda: self.logged("no new clients for the moment"), 5, "the proxy to complain")
        time.sleep(0.3)
        begin = time.monotonic()
        for i in range(100):
            self.assertEqual(early.command("SET", "early", i), "OK")
            time.sleep(0.005)
        self.assertLess(time.monotonic() - begin, 2.5)
        self.assertLess(self.proxy.cpu_share(0.5), _IDLE_CPU)
        for client in crowd:
            client.close()
        wait_until(self.serves_new, 5, "new clients to be accepted again")

    def test_leader_comes_back_while_descriptors_are_exhausted(self):
        """The proxy needs some itself, to find out whether the leader leads: they are set aside."""
        self.start(descriptors=100)
        early = self.connect()
        self.assertEqual(early.command("PING"), "PONG")
        crowd = [self.raw(timeout=0.2) for _ in range(200)]
        wait_until(lambda: self.logged("no new clients for the moment"), 5, "the proxy to complain")
        with self.direct() as redis:
            redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.assertEqual(early.command("SET", "early", 1), "OK")
        del crowd

    def test_max_clients(self):
        """In redis's words, at once; and whoever has left makes room."""
        self.start("--max-clients=20")
        wait_until(lambda: not self.connected_clients(), 5, "the clients of the start to be gone")
        clients = [self.connect() for _ in range(20)]
        for client in clients:
            self.assertEqual(client.command("PING"), "PONG")
        for _ in range(200):
            late = self.raw(timeout=5)
            self.assertEqual(rig.read_until_closed(late), b"-ERR max number of clients reached\r\n")
            self.assertEqual(clients[0].command("SET", "early", 1), "OK")
        clients[7].close()
        wait_until(self.serves_new, 5, "room for one more")
        self.assertLess(self.proxy.cpu_share(0.3), _IDLE_CPU)

    def connected_clients(self):
        """Connections to the proxy's port that it has not closed."""
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        address = f"{struct.unpack('=I', socket.inet_aton(self.ip))[0]:08X}:{self.proxy_address[1]:04X}"
        return [row for row in rows if row[1] == address and row[3] in ("01", "08")]  # established, close-wait

    def test_churn(self):
        """Clients that come, send something and go, politely or not, before, within or behind the answer."""
        rounds, dice = 1000, random.Random(4)
        self.start()
        with self.direct() as redis:
            redis.command("SET", "big", b"v" * MIB)
        wait_until(lambda: self.proxy.descriptors() < 60, 5, "the start to be over")
        descriptors, memory = self.proxy.descriptors(), self.proxy.memory()
        requests = (resp.encode("INCR", "churn") * 50, resp.encode("GET", "big") * 3, resp.encode("BLPOP", "none", 0),
                    resp.encode("SUBSCRIBE", "c"), resp.encode("MULTI") + resp.encode("INCR", "churn"),
                    resp.encode("SET", "half", "x" * 300_000)[:-1000], resp.encode("MONITOR"), b"QUIT\r\n", b"*1\r\n$-5\r\n", b"",
                    resp.encode("EVAL", "return 1", 0)[:-5], resp.encode("WATCH", "churn") + resp.encode("GET", "churn"))
        with self.bystander():
            for _ in range(rounds):
                client = socket.create_connection(self.proxy_address, 5)
                client.settimeout(5)
                try:
                    client.sendall(dice.choice(requests))
                    if dice.random() < 0.3:
                        client.settimeout(0.002)
                        client.recv(100)
                except OSError:
                    pass
                if dice.random() < 0.5:  # a reset instead of an end
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            wait_until(lambda: self.proxy.descriptors() <= descriptors + 3, 10, "the descriptors to be given back")
        grown = self.proxy.memory() - memory
        rig.note(self, f"{rig.in_mib(grown)} more than before {rounds} clients")
        self.assertLess(grown, 24 * MIB)
        self.assertLess(self.proxy.cpu_share(0.3), _IDLE_CPU)


rig.main()
