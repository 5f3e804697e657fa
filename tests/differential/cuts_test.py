#!/usr/bin/python3
"""Goal: where the network cuts the bytes makes no difference. Method: transcripts of everything that a client may do, each sent in two
parts, cut at every byte in turn, by a client of its own per cut; the replies must be those that redis gives directly. Then all of them
once more with a redis whose replies come byte by byte.

{n} in a transcript becomes the client's number, always four bytes long: keys and channels of its own.
"""

import os
import select
import time
import unittest

from differential.__main__ import ROOT
from differential.masks import masked
from differential.passes import Client, Redis
from differential.relay import Relay
from differential.servers import Servers
from differential.wire import encode, show

BINARIES = os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin"))


_NUMBER = "#NNN"


def lines(text):
    """A transcript of commands, one a line."""
    return b"".join(encode(*line.replace("{n}", _NUMBER).split(" ")) for line in text.strip().split("\n"))


TRANSCRIPTS = {
    "data": lines("""SET k{n} 1
INCR k{n}
LPUSH k{n} x
GET k{n} extra
NOSUCH a b
RPUSH l{n} a b c
LRANGE l{n} 0 -1
HSET h{n} f v g w
HGETALL h{n}
ZADD z{n} 1.5 m
ZRANGE z{n} 0 -1 WITHSCORES
XADD x{n} 1-1 f v
XRANGE x{n} - +
SSCAN s{n} 0
DEL k{n} l{n} h{n} z{n} x{n}"""),
    "protocols": lines("""HELLO 3
HSET h{n} f v
HGETALL h{n}
GET none{n}
HELLO 2
HGETALL h{n}
GET none{n}
HELLO 4
HELLO 3 SETNAME n{n}
CLIENT GETNAME""") + b"".join(encode("EVAL", script, 0) for script in (
        "return {double=3.5}", "redis.setresp(3); return {map={a={1,true}}}", "return {big_number='12345678901234567890'}",
        "return {verbatim_string={format='txt',string='a\\r\\nb'}}", "return {set={x=true}}")) + lines("DEL h{n}"),
    "transactions": lines("""WATCH k{n}
SET k{n} 1
MULTI
GET k{n}
EXEC
EXEC
MULTI
MULTI
INCR k{n}
NOSUCH
EXEC
MULTI
INCR k{n}
WATCH k{n}
SELECT 1
SELECT 0
EXEC
DISCARD
MULTI
SET k{n} 5
DISCARD
GET k{n}
DEL k{n}"""),
    "inline": b"PING\r\nSET k{n} \"a \\x41\\n\"\n  GET   k{n}\r\n\r\n\n'ECHO' 'x y'\r\nGET k{n} extra\r\nnosuch\r\n*1\r\n$4\r\nPING\r\nDEL k{n}\n",
    "messages": lines("""SUBSCRIBE ch{n} other{n}
PING
GET k
UNSUBSCRIBE ch{n}
UNSUBSCRIBE
SSUBSCRIBE sh{n}
SUNSUBSCRIBE
HELLO 3
SUBSCRIBE ch{n}
PUBLISH ch{n} hello
GET none{n}
MULTI
PUBLISH ch{n} inside
EXEC
UNSUBSCRIBE
GET none{n}"""),
    "blocking": lines("""BLPOP none{n} 0.01
RPUSH l{n} a b
BLPOP l{n} 0
BRPOP l{n} 1
XREAD BLOCK 10 STREAMS x{n} $
BLPOP l{n} x
WAIT 0 0
WAIT 1 10
GET none{n}"""),
    "settings": lines("""CLIENT SETNAME n{n}
CLIENT GETNAME
SELECT 3
SET k{n} 1
SELECT 99
DEL k{n}
SELECT 0
RESET
CLIENT GETNAME
AUTH wrong
AUTH cuts pw
ACL WHOAMI
GET k{n}
FLUSHALL
HELLO 3 AUTH cuts pw
ACL WHOAMI
RESET
ACL WHOAMI"""),
    "silence": lines("""CLIENT REPLY SKIP
SET k{n} 1
GET k{n}
CLIENT REPLY OFF
SET k{n} 2
GET k{n}
CLIENT REPLY ON
GET k{n}
DEL k{n}"""),
    "tracking": lines("""HELLO 3
CLIENT TRACKING ON
GET k{n}
SET k{n} 1
GET k{n}
CLIENT TRACKINGINFO
DEL k{n}
CLIENT TRACKING OFF
SET k{n} 2
DEL k{n}"""),
    "quit": lines("SET k{n} 1\nDEL k{n}\nQUIT\nGET k{n}"),
    "no length": lines("ECHO {n}") + b"*x\r\nPING\r\n",
    "no string": lines("ECHO {n}") + b"*1\r\n:4\r\nPING\r\n",
    "impossible string": lines("ECHO {n}") + b"*1\r\n$99999999999\r\nPING\r\n",
    "quotes": b"ECHO {n}\r\nECHO \"{n}\r\nPING\r\n",
    "in MULTI": lines("MULTI\nECHO {n}") + b"*-x\r\n",
}

# Relayed as it comes: cut in its heads, at its end, and where buffers end.
LARGE = lines("ECHO {n}") + encode("SET", "k#NNN", "v" * 300000) + lines("STRLEN k{n}\nGETRANGE k{n} 0 5\nDEL k{n}")
LARGE_CUTS = [*range(0, 90), *range(65530, 65540), *range(262140, 262180, 3), *range(len(LARGE) - 130, len(LARGE))]


def byte_by_byte(data):
    # What is read at start-up, once and long (COMMAND), is not what this is about.
    return [bytes([byte]) for byte in data] if len(data) < 8192 else [data]


class Cuts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = Servers(BINARIES)
        cls.redis = Redis(cls.servers)
        cls.redis.control.ask("ACL", "SETUSER", "cuts", "on", ">pw", "~*", "+@all", "-flushall")

    @classmethod
    def tearDownClass(cls):
        cls.servers.close()

    def ask(self, address, parts, count=None, closes=False, patience=10):
        """Sends each client's two parts, and gathers `count` frames of each, or what comes until redis has nothing more to say."""
        clients = [Client(address, self.redis) for _ in parts]
        try:
            for half in range(2):
                for client, halves in zip(clients, parts):
                    rest = halves[half]
                    while rest and not client.closed:
                        rest = rest[client.send(rest):]
                        if rest:
                            client.receive()
                time.sleep(0.005)  # the first parts are read, and waited behind
            if count is None:
                time.sleep(0.5)
            deadline = time.monotonic() + patience
            waiting = list(clients)
            while waiting and time.monotonic() < deadline:
                for client in waiting:
                    client.receive()
                if count is None:
                    break
                waiting = [client for client in waiting if len(client.frames) < count or client.closed < closes]
                if waiting:
                    select.select([], [], [], 0.002)
            return [client.take() for client in clients]
        finally:
            for client in clients:
                client.socket.close()

    @staticmethod
    def numbered(transcript, number):
        return transcript.replace(b"{n}", _NUMBER.encode()).replace(_NUMBER.encode(), b"#%03d" % number)

    def check(self, name, transcript, cuts, address=None, least=1):
        address = address or self.servers.proxy
        wanted = self.ask(self.servers.redis, [(self.numbered(transcript, 0), b"")])[0]
        self.assertGreaterEqual(len(wanted.frames), least, name)
        for begin in range(0, len(cuts), 250):
            some = cuts[begin:begin + 250]
            texts = [self.numbered(transcript, 1 + i) for i in range(len(some))]
            parts = [(text[:cut], text[cut:]) for text, cut in zip(texts, some)]
            answers = self.ask(address, parts, len(wanted.frames), wanted.closed)
            for i, (cut, answer) in enumerate(zip(some, answers)):
                expected = [masked(frame, False).replace(b"#000", b"#%03d" % (1 + i)) for frame in wanted.frames]
                got = [masked(frame, False) for frame in answer.frames]
                if got != expected or answer.closed != wanted.closed:
                    same = next((j for j, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
                    self.fail(f"{name}, cut at byte {cut} of {len(transcript)}: {show(texts[i][max(0, cut - 30):cut])} | {show(texts[i][cut:cut + 30])}\n"
                              f"reply {same + 1}: directly {show(b''.join(expected[same:same + 1]), 400)}, proxied {show(b''.join(got[same:same + 1]), 400)}\n"
                              f"closed: directly {wanted.closed}, proxied {answer.closed}")

    def test_commands_cut_at_every_byte(self):
        for name, transcript in TRANSCRIPTS.items():
            with self.subTest(name):
                begun = time.monotonic()
                self.check(name, transcript, list(range(len(self.numbered(transcript, 0)))))
                print(f"{name}: {len(transcript)} cuts, {time.monotonic() - begun:.1f} s", flush=True)

    def test_a_large_command(self):
        self.check("large", LARGE, [cut for cut in LARGE_CUTS if cut <= len(LARGE)])

    def test_replies_byte_by_byte(self):
        relay = (self.servers.ip, self.servers.base + 4)
        Relay(relay, self.servers.redis, on_reply=byte_by_byte)
        proxy = self.servers.start_proxy(self.servers.base + 5, relay)
        for name, transcript in TRANSCRIPTS.items():
            with self.subTest(name):
                self.check(name, transcript, [0] * 5, proxy)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
