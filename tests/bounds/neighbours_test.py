#!/usr/bin/python3
"""Goal: clients that may share a connection to redis notice nothing of one another: neither whose turn it is, nor who leaves in
mid-word, nor what another is closed for.
Method: clients of the same user and database, of others, and hostile ones beside them; every reply that the well-behaved get is
checked to be theirs."""

import random
import socket
import struct
import threading
import time

import rig
from localhive import resp
from localhive.process import wait_until
from rig import KIB, MIB, Bystander


def reset(client):
    """Ends the connection as a killed client with unread replies does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class Neighbours(rig.Rig):
    def writer(self, stop, problems, depth=100):
        """Keeps `depth` writes in flight, and checks that each reply is its own."""
        key, count = f"writer:{threading.get_ident()}", 0
        try:
            with resp.Connection(*self.proxy_address, 20.0, self.password) as client:
                while not stop.is_set():
                    client.send_raw(resp.encode("INCR", key) * depth)
                    for _ in range(depth):
                        count += 1
                        answer = client.read_reply()
                        if answer != count:
                            problems.append(f"{answer} in place of {count}")
                            return
        except (resp.ReplyError, resp.ConnectionLost, OSError) as error:
            problems.append(f"after {count}: {error}")

    def beside_writers(self, hostile):
        """Runs hostile() beside a bystander and four clients that always have writes in flight."""
        stop, problems = threading.Event(), []
        writers = [threading.Thread(target=self.writer, args=(stop, problems)) for _ in range(4)]
        for writer in writers:
            writer.start()
        try:
            with self.bystander():
                hostile()
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        self.assertEqual(problems, [])

    def test_who_leaves_with_thousands_of_commands_in_flight(self):
        """Their replies are nobody's."""
        self.start()

        def hostile():
            for i in range(40):
                client = self.raw()
                try:
                    client.sendall((resp.encode("INCR", "left") + resp.encode("ECHO", "not yours" * 20)) * 2000)
                except OSError:
                    pass
                if i % 2:
                    reset(client)
                else:
                    client.close()
        self.beside_writers(hostile)

    def test_who_leaves_within_a_command(self):
        """Of any size, at any byte, and with commands in flight before it."""
        dice = random.Random(11)
        self.start()
        requests = (resp.encode("SET", "within", "w" * 100), resp.encode("SET", "within", "w" * 100 * KIB),
                    resp.encode("SET", "within", "w" * 600 * KIB), resp.encode("MSET", "a", "w" * 300 * KIB, "b", "w" * 300 * KIB),
                    resp.encode("EVAL", "return ARGV[1]", 0, "w" * 300 * KIB))

        def hostile():
            for _ in range(100):
                client = self.raw()
                request = dice.choice(requests)
                client.sendall(resp.encode("INCR", "left") * dice.randrange(50) + request[:dice.randrange(1, len(request))])
                if dice.random() < 0.3:
                    time.sleep(0.002)
                reset(client)
        self.beside_writers(hostile)
        with self.direct() as redis:
            self.assertIn(redis.command("STRLEN", "within"), (0,), "a command that never came in full was executed")

    def test_what_redis_hangs_up_for(self):
        """Words and lengths for which redis closes a connection cost their sender's alone."""
        self.start(redis=("--proto-max-bulk-len", "1mb"))
        requests = (b"POST / HTTP/1.1\r\n\r\n", b"Host: x\r\n", resp.encode("POST", "x"), resp.encode("host:", "x"),
                    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2000000\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2000000\r\n" + b"x" * 400 * KIB,
                    b"*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$400000\r\n" + b"a" * 400_000 + b"\r\n!1\r\nb\r\n", b"QUIT\r\n",
                    resp.encode("GET", "x") + b"*1\r\n$-5\r\n", resp.encode("MULTI") + resp.encode("SUBSCRIBE", "x") + resp.encode("QUIT"))

        def hostile():
            for i in range(60):
                client = self.raw()
                try:
                    client.sendall(requests[i % len(requests)])
                    client.settimeout(0.01)
                    client.recv(1000)
                except OSError:
                    pass
                client.close()
        self.beside_writers(hostile)

    def test_who_makes_redis_hang_up_again_and_again(self):
        """That redis has closed one client's connection says nothing about the others': they do not wait for the leader to prove
        itself each time."""
        self.start()
        control = Bystander(self.redis_address)
        with self.bystander() as served:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                client = self.raw()
                client.sendall(b"Host: x\r\n")
                rig.read_until_closed(client)
                client.close()
                time.sleep(0.002)
            control.end()
        self.assertGreater(served.count, control.count / 3)

    def test_redis_has_no_room(self):
        """Connections of their own for some use up redis's maxclients: those for whom there is none get redis's words, or wait; who
        shares one is served on, though nobody can open another."""
        self.start(redis=("--maxclients", "40"))
        early = self.connect()
        early.command("PING")
        with self.bystander():
            crowd = [self.raw() for _ in range(80)]
            for client in crowd:
                client.sendall(resp.encode("SUBSCRIBE", "room"))
            time.sleep(0.5)
            for i in range(20):
                self.assertEqual(early.command("SET", "early", i), "OK")
            other = self.raw(timeout=0.5)
            other.sendall(resp.encode("SELECT", 7) + resp.encode("GET", "a"))  # that would take one more
            time.sleep(0.3)
            self.assertEqual(early.command("GET", "early"), b"19")
        subscribed = 0
        for client in crowd:
            client.settimeout(0.01)
            try:
                answer = client.recv(100)
            except TimeoutError:
                continue
            subscribed += answer.startswith(b"*3")
            self.assertTrue(answer.startswith((b"*3", b"-ERR max number of clients reached")), answer)
            client.close()
        self.assertGreater(subscribed, 20)
        wait_until(lambda: self.connect().command("SELECT", 7) == "OK", 10, "room again")

    def test_who_does_not_read(self):
        """Replies of any size that are not taken hold nobody up, not for the seconds until their client is closed."""
        self.start("--client-output-limit=4MiB")
        with self.direct() as redis:
            redis.command("SETRANGE", "huge", 40 * MIB, "x")
            redis.command("SET", "big", b"b" * MIB)
            redis.command("SET", "small", b"s" * 100)

        def hostile():
            clients = [self.raw(receive_buffer=16 * KIB) for _ in range(3)]
            clients[0].sendall(resp.encode("GET", "huge"))
            clients[1].sendall(resp.encode("GET", "big") * 20)
            clients[2].settimeout(0.5)
            try:
                clients[2].sendall(resp.encode("GET", "small") * 50_000)
            except OSError:
                pass
            time.sleep(1)
        self.beside_writers(hostile)

    def test_large_reply_to_one(self):
        """Others wait for no more of it than for redis's own work."""
        size = 100 * MIB
        self.start()
        with self.direct() as redis:
            redis.command("SETRANGE", "huge", size - 1, "x")

        def hostile():
            client = self.raw(timeout=30)
            client.sendall(resp.encode("GET", "huge"))
            left = size + len(b"$%d\r\n\r\n" % size)
            while left:
                piece = client.recv(4 * MIB)
                self.assertTrue(piece)
                left -= len(piece)
        self.beside_writers(hostile)

    def test_deep_pipelines_do_not_starve_others(self):
        self.start()
        stop, problems = threading.Event(), []
        greedy = [threading.Thread(target=self.writer, args=(stop, problems, 5000)) for _ in range(3)]
        for thread in greedy:
            thread.start()
        with self.bystander():
            time.sleep(1)
        stop.set()
        for thread in greedy:
            thread.join()
        self.assertEqual(problems, [])

    def test_everyone_has_his_own_connection_state(self):
        """Databases, protocol versions, names and transactions of clients that come and go at random."""
        dice = random.Random(3)
        self.start()
        with self.direct() as redis:
            for database in range(4):
                redis.command("SELECT", database)
                redis.command("SET", "database", database)
                redis.command("HSET", "hash", "field", database)
        clients = []
        with self.bystander():
            for _ in range(1000):
                if len(clients) < 40 and dice.random() < 0.2 or not clients:
                    client = {"socket": self.connect(), "database": 0, "name": b"", "resp3": False}
                    clients.append(client)
                    continue
                client = dice.choice(clients)
                connection, choice = client["socket"], dice.randrange(7)
                if choice == 0:
                    client["database"] = dice.randrange(4)
                    self.assertEqual(connection.command("SELECT", client["database"]), "OK")
                elif choice == 1:
                    client["name"] = b"n%d" % dice.randrange(1000)
                    self.assertEqual(connection.command("CLIENT", "SETNAME", client["name"]), "OK")
                elif choice == 2:
                    self.assertEqual(connection.command("CLIENT", "GETNAME") or b"", client["name"])
                elif choice == 3:
                    connection.send_raw(resp.encode("MULTI") + resp.encode("GET", "database") + resp.encode("EXEC"))
                    self.assertEqual([connection.read_reply() for _ in range(3)],
                                     ["OK", "QUEUED", [b"%d" % client["database"]]])
                elif choice == 4 and dice.random() < 0.3:
                    clients.remove(client)
                    connection.close()
                else:
                    self.assertEqual(connection.command("GET", "database"), b"%d" % client["database"])

    def test_protocol_versions_beside_each_other(self):
        self.start()
        with self.direct() as redis:
            redis.command("HSET", "hash", "field", "value")
        pairs = []
        for _ in range(20):
            two, three = self.raw(), self.raw()
            three.sendall(resp.encode("HELLO", 3))
            greeting = b""
            while not greeting.endswith((b"modules\r\n*0\r\n",)):
                greeting += three.recv(10_000)
            pairs.append((two, three))
        for _ in range(20):
            for client in sum(pairs, ()):
                client.sendall(resp.encode("HGETALL", "hash"))
            for two, three in pairs:
                self.assertEqual(two.recv(1000), b"*2\r\n$5\r\nfield\r\n$5\r\nvalue\r\n")
                self.assertEqual(three.recv(1000), b"%1\r\n$5\r\nfield\r\n$5\r\nvalue\r\n")

    # -- users --------------------------------------------------------------------------------------------------------

    def test_user_that_is_deleted(self):
        """Its clients are cut as redis cuts them; nothing of theirs is executed any more, least of all as somebody else; others of
        the proxy notice nothing."""
        self.start()
        admin = self.direct()
        admin.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
        clients = [self.connect() for _ in range(20)]
        for client in clients:
            self.assertEqual(client.command("AUTH", "app", "secret"), "OK")
            self.assertEqual(client.command("INCR", "app") > 0, True)

        def hostile():
            time.sleep(0.3)
            admin.command("ACL", "DELUSER", "app")
            before = int(admin.command("GET", "app"))
            for client in clients:
                with self.assertRaises((resp.ConnectionLost, resp.ReplyError)) as caught:
                    client.command("INCR", "app")
                if isinstance(caught.exception, resp.ReplyError):
                    self.assertRegex(str(caught.exception), "^(NOAUTH|WRONGPASS|NOPERM)")
            self.assertEqual(int(admin.command("GET", "app")), before)
            late = self.connect()
            with self.assertRaisesRegex(resp.ReplyError, "^WRONGPASS"):
                late.command("AUTH", "app", "secret")
        self.beside_writers(hostile)

    def test_user_whose_rights_or_password_change(self):
        """Rights hold from the next command on, as on redis; a connection that has authenticated stays so when the password
        changes; and whoever comes with the old one is refused."""
        self.start()
        admin = self.direct()
        admin.command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
        clients = [self.connect() for _ in range(5)]
        for client in clients:
            client.command("AUTH", "app", "secret")
            client.command("SET", "app", 1)
        admin.command("ACL", "SETUSER", "app", "-set")
        for client in clients:
            with self.assertRaisesRegex(resp.ReplyError, "^NOPERM"):
                client.command("SET", "app", 2)
        admin.command("ACL", "SETUSER", "app", "+set", "<secret", ">another")
        for client in clients:
            self.assertEqual(client.command("SET", "app", 3), "OK")
        late = self.connect()
        with self.assertRaisesRegex(resp.ReplyError, "^WRONGPASS"):
            late.command("AUTH", "app", "secret")
        self.assertEqual(late.command("AUTH", "app", "another"), "OK")

    def test_users_are_kept_apart(self):
        """Each of five users may touch keys of its own only: nothing of one's runs as another, whoever comes and goes."""
        dice = random.Random(5)
        self.start()
        admin = self.direct()
        for i in range(5):
            admin.command("ACL", "SETUSER", f"user{i}", "on", f">password{i}", f"~user{i}:*", "+@all")
        clients = []
        for _ in range(600):
            if len(clients) < 25 or dice.random() < 0.05:
                user = dice.randrange(5)
                client = self.connect()
                self.assertEqual(client.command("AUTH", f"user{user}", f"password{user}"), "OK")
                clients.append((client, user))
            at = dice.randrange(len(clients))
            client, user = clients[at]
            target = dice.randrange(5)
            if target == user:
                self.assertEqual(client.command("SET", f"user{target}:key", 1), "OK")
                self.assertEqual(client.command("ACL", "WHOAMI"), b"user%d" % user)
            else:
                with self.assertRaisesRegex(resp.ReplyError, "^NOPERM"):
                    client.command("GET", f"user{target}:key")
            if dice.random() < 0.1:
                clients.pop(at)[0].close()


rig.main()
