#!/usr/bin/python3
"""Goal: while no leader is known commands wait within bounds, each client's in its order; beyond --hold-memory they are refused in
words that say so; and their release starves nobody.
Method: a proxy whose watch is started late, or ended and started again."""

import collections
import select
import time

import rig
from localhive import resp
from localhive.process import wait_until
from rig import KIB, MIB

_REFUSED = b"-MASTERDOWN hive-proxy knows no leader, and holds as many commands as --hold-memory allows"


class HeldCommands(rig.Rig):
    def replies(self, clients, count, timeout):
        """`count` lines from each of the clients: [[line, ...], ...], and when the last of each came (s from now)."""
        begin = time.monotonic()
        received = {client: b"" for client in clients}
        last = dict.fromkeys(clients, 0.0)
        poll = select.epoll()
        by_number = {client.fileno(): client for client in clients}
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        missing = len(clients)
        while missing:
            events = poll.poll(max(0, begin + timeout - time.monotonic()))
            self.assertTrue(events, f"{missing} of {len(clients)} clients still wait after {timeout} s")
            for number, _ in events:
                client = by_number[number]
                piece = client.recv(MIB)
                self.assertTrue(piece, "closed")
                received[client] += piece
                if received[client].count(b"\r\n") >= count:
                    missing -= 1
                    last[client] = time.monotonic() - begin
                    poll.unregister(number)
        return [received[client].split(b"\r\n")[:-1] for client in clients], [last[client] for client in clients]

    def test_hold_memory_used_up(self):
        """What is held stays held, what comes then is refused at once, memory is bounded, and the held ones are executed."""
        hold_memory = MIB
        self.start(f"--hold-memory={hold_memory}", "--hold-timeout=60s", leader=False)
        before = self.proxy.memory()
        value = "h" * 10_000
        clients = [self.raw() for _ in range(400)]
        for i, client in enumerate(clients):
            client.sendall(resp.encode("RPUSH", "held", f"{i}:{value}"))
        time.sleep(0.3)
        refused = []
        for i, client in enumerate(clients):
            if select.select([client], [], [], 0)[0]:
                self.assertTrue(client.recv(1000).startswith(_REFUSED))
                refused.append(i)
        grown = self.proxy.memory() - before
        held = len(clients) - len(refused)
        rig.note(self, f"{held} of {len(clients)} held, {rig.in_mib(grown)}")
        self.assertGreater(held, hold_memory // 10_200 - 2)
        self.assertLess(held, hold_memory // 9_800 + 2)
        self.assertLess(grown, hold_memory * 3 + len(clients) * 4 * KIB)
        late = self.connect()
        with self.assertRaisesRegex(resp.ReplyError, "^MASTERDOWN"):
            late.command("SET", "late", 1)
        self.watch.start()
        waiting = [client for i, client in enumerate(clients) if i not in refused]
        lines, _ = self.replies(waiting, 1, 10)
        self.assertEqual(sorted(int(line[0][1:]) for line in lines), list(range(1, held + 1)))
        with self.direct() as redis:
            executed = [int(value.split(b":")[0]) for value in redis.command("LRANGE", "held", 0, -1)]
        self.assertEqual(sorted(executed), [i for i in range(len(clients)) if i not in refused], "what was refused was not executed")
        self.assertEqual(late.command("GET", "late"), None)
        self.assert_serves()

    def test_transaction_when_hold_memory_is_used_up(self):
        """An error in its midst would leave the rest of it to run without: it is ended as a whole."""
        self.start("--hold-memory=64KiB", "--hold-timeout=60s", leader=False)
        client = self.raw(timeout=2)
        client.sendall(resp.encode("MULTI") + resp.encode("SET", "in", "transaction"))
        time.sleep(0.1)
        fillers = [self.raw() for _ in range(10)]
        for filler in fillers:
            filler.sendall(resp.encode("SET", "filler", "f" * 10_000))
        self.assertTrue(fillers[-1].recv(1000).startswith(_REFUSED))
        client.sendall(resp.encode("SET", "behind", 1) + resp.encode("EXEC"))
        self.assertEqual(rig.read_until_closed(client), b"")
        self.watch.start()
        wait_until(self.takes_writes, 5, "the leader")
        with self.direct() as redis:
            self.assertEqual(redis.command("EXISTS", "in", "behind"), 0)

    def test_hold_timeout(self):
        """What has waited for so long is answered, and never executed."""
        self.start("--hold-timeout=500ms", leader=False)
        clients = [self.raw() for _ in range(100)]
        begin = time.monotonic()
        for client in clients:
            client.sendall(resp.encode("INCR", "expired") * 3)
        lines, _ = self.replies(clients, 3, 5)
        self.assertGreater(time.monotonic() - begin, 0.45)
        self.assertLess(time.monotonic() - begin, 1.5)
        for three in lines:
            self.assertTrue(all(line.startswith(b"-MASTERDOWN hive-proxy held this command") for line in three), three)
        self.watch.start()
        wait_until(self.takes_writes, 10, "the leader")
        with self.direct() as redis:
            self.assertEqual(redis.command("EXISTS", "expired"), 0)

    def takes_writes(self):
        try:
            return self.connect().command("SET", "now", 1) == "OK"
        except resp.ReplyError:
            return False

    def test_a_thousand_released(self):
        """Each client's commands in order, clients about in the order in which they came, nobody starved by anybody's pipeline."""
        count, each = 1000, 20
        self.start("--hold-timeout=60s", leader=False)
        greedy = self.raw(timeout=30)  # the first, with as much as is taken from one client
        greedy.sendall(resp.encode("RPUSH", "order", "greedy" + "g" * 50) * 10_000)
        clients = [self.raw(source=f"127.0.0.{1 + i % 4}") for i in range(count)]
        for i, client in enumerate(clients):
            client.sendall(b"".join(resp.encode("RPUSH", "order", f"{i}:{n}") for n in range(each)))
        gone = clients[::10]
        for client in gone:
            client.close()
        clients = [client for client in clients if client not in gone]
        time.sleep(0.3)
        cpu = self.proxy.cpu_share(0.5)
        self.watch.start()
        with self.bystander():
            lines, last = self.replies(clients, each, 20)
        for numbers in lines:
            positions = [int(line[1:]) for line in numbers]
            self.assertEqual(positions, sorted(positions))
        with self.direct() as redis:
            values = redis.command("LRANGE", "order", 0, -1)
        order = collections.defaultdict(list)
        for value in values:
            if not value.startswith(b"greedy"):
                owner, _, number = value.partition(b":")
                order[int(owner)].append(int(number))
        self.assertTrue(all(numbers == list(range(each)) for numbers in order.values()))
        self.assertFalse([i for i in range(0, count, 10) if i in order], "what its client no longer waits for is not sent")
        last.sort()
        rig.note(self, f"{len(clients)} clients with {each} commands each: first {last[0] * 1e3:.0f} ms, last {last[-1] * 1e3:.0f} ms after the "
                       f"watch began to start; {cpu:.0%} of a CPU while they waited")
        self.assertLess(last[-1] - last[0], 3)
        self.assertLess(cpu, 0.5)

    def test_lease_lost_and_regained(self):
        """A watch that is gone: reads go on, writes wait; none is lost, none is executed twice."""
        self.start("--hold-timeout=60s")
        reader = self.connect()
        writers = [self.raw() for _ in range(200)]
        for writer in writers:
            writer.sendall(resp.encode("INCR", "counted"))
        self.replies(writers, 1, 10)
        self.watch.kill()
        time.sleep(1)  # the lease is 0.7 s
        for writer in writers:
            writer.sendall(resp.encode("INCR", "counted") * 5)
        time.sleep(0.2)
        self.assertEqual(reader.command("GET", "counted"), b"200")
        self.watch.start()
        self.replies(writers, 5, 20)
        self.assertEqual(reader.command("GET", "counted"), b"1200")


rig.main()
