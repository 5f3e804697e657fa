#!/usr/bin/python3
"""Goal: a client cannot tell the proxy from redis-server by any byte that it gets. Method: random conversations, always the same
ones, held with both (`./hive differential` holds others, for long).

The judge is judged first: something stands in the proxy's place that changes, loses, doubles or repeats something, once, and
the judge must find it; and nothing stands there, and it must find nothing.
"""

import argparse
import os
import random
import unittest

from differential import compare, streams, wire
from differential.__main__ import ROOT, run
from differential.passes import Redis
from differential.relay import Relay
from differential.servers import Servers

BINARIES = os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin"))


class Splitting(unittest.TestCase):
    FRAMES = [b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"$4\r\na\r\nb\r\n", b"*-1\r\n", b"*0\r\n", b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", b"_\r\n",
              b"%1\r\n+a\r\n%1\r\n+b\r\n,1.5\r\n", b"~2\r\n#t\r\n(123\r\n", b"=7\r\ntxt:a\r\n\r\n", b">2\r\n+invalidate\r\n*1\r\n+k\r\n", b"|1\r\n+a\r\n+b\r\n*1\r\n:5\r\n",
              b"*2\r\n|1\r\n+a\r\n:1\r\n:2\r\n:3\r\n", b"*1\r\n%0\r\n", b"-ERR x\r\n",
              b"*2\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n:1\r\n+OK\r\n", b"*1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"]

    def test_frames_at_every_cut(self):
        data = b"".join(self.FRAMES)
        for cut in range(len(data)):
            splitter = wire.Splitter()
            self.assertEqual(splitter.feed(data[:cut]) + splitter.feed(data[cut:]), self.FRAMES)
            self.assertEqual(splitter.rest(), b"")


class Once:
    """Replaces one piece of what passes, in the first chunk that has it."""

    def __init__(self, old, new):
        self.old, self.new, self.done = old, new, False

    def __call__(self, data):
        if self.done or self.old not in data:
            return [data]
        self.done = True
        return [data.replace(self.old, self.new, 1)]


class OneConversation:
    """The same few commands of two clients."""

    seed = 1
    clients = 2

    def __init__(self, *steps):
        self.steps = [streams.Step([(client, [wire.encode(*words) for words in commands])]) for client, *commands in steps]


class Judge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = Servers(BINARIES)
        cls.redis = Redis(cls.servers)

    @classmethod
    def tearDownClass(cls):
        cls.servers.close()

    def judge(self, conversation, **spoil):
        relay = Relay((self.servers.ip, 0), self.servers.redis, **spoil)
        try:
            return compare.compare(self.redis, conversation, 0.5, relay.address)
        finally:
            relay.close()

    def test_faults_of_a_wire_are_found(self):
        talk = lambda: OneConversation((0, ("SET", "k", "1"), ("GET", "k")), (1, ("INCR", "k"),), (0, ("GET", "k"),))
        self.assertIsNone(self.judge(talk()))
        incr = wire.encode("INCR", "k")
        for what, spoil in {
            "a reply changed": {"on_reply": Once(b"+OK", b"+ok")}, "a reply lost": {"on_reply": Once(b":2\r\n", b"")},
            "a reply doubled": {"on_reply": Once(b":2\r\n", b":2\r\n:2\r\n")}, "a push in front": {"on_reply": Once(b":2\r\n", b">1\r\n+x\r\n:2\r\n")},
            "a command lost": {"on_request": Once(incr, b"")}, "a command repeated": {"on_request": Once(incr, incr * 2)},
            "one that says nothing repeated": {"on_request": Once(incr, wire.encode("CLIENT", "REPLY", "SKIP") + incr * 2)},
            "half a reply": {"on_reply": Once(b"$1\r\n2\r\n", b"$1\r\n2")},
        }.items():
            with self.subTest(what):
                self.assertIsNotNone(self.judge(talk(), **spoil))

    def test_it_finds_nothing_where_there_is_nothing(self):
        for seed in range(1, 11):
            conversation = streams.Conversation(seed)
            difference = compare.compare(self.redis, conversation, address=self.servers.redis)
            self.assertIsNone(difference, difference and compare.report(conversation, difference, False))

    def test_what_differs_is_shrunk(self):
        steps = [(i % 2, ("SET", f"k{i}", i), ("GET", f"k{i}"), ("ECHO", "needle" if i == 5 else "hay")) for i in range(8)]
        conversation = OneConversation(*steps)
        conversation.rng = random.Random(1)
        relay = Relay((self.servers.ip, 0), self.servers.redis, on_reply=lambda data: [data.replace(b"needle", b"noodle")])
        try:
            difference = compare.compare(self.redis, conversation, 0.5, relay.address)
            difference, again = compare.shrink(self.redis, conversation, difference, 20, relay.address)
        finally:
            relay.close()
        self.assertTrue(again)
        self.assertIn("noodle", difference.text)
        self.assertEqual([pieces for step in conversation.steps for _, pieces in step.sends if pieces], [[wire.encode("ECHO", "needle")]])


class Proxy(unittest.TestCase):
    def test_conversations(self):
        options = argparse.Namespace(binaries=BINARIES, redis_server="redis-server", threads=1, proxy_flag=[], seed=None, first_seed=1, seconds=12,
                                     conversations=120, length=12, only=None, without="", shrink_seconds=15, most=1, twice_direct=False)
        self.assertEqual(run(options), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
