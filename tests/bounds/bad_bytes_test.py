#!/usr/bin/python3
"""Goal: bytes that are no commands, or hardly, get what redis gives for them, byte for byte, and disturb nobody.
Method: the same bytes to redis and through the proxy, and to the proxy alone by the thousand beside a bystander."""

import os
import random
import time

import rig
from localhive import resp
from rig import KIB, MIB

_TLS_CLIENT_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) + b"\x00\x2f\x00\x35" + bytes(240)
_HTTP = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:6380\r\nUser-Agent: curl\r\n\r\n"
_HTTP_POST = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 12\r\n\r\nSET a b\r\n\r\n\r\n"

_AS_REDIS = {
    "TLS": _TLS_CLIENT_HELLO,
    "HTTP POST": _HTTP_POST,
    "Host alone": b"Host: x\r\nSET a b\r\n",
    "POST as an array": resp.encode("post", "x") + resp.encode("PING"),
    "NUL at the front": b"\0PING\r\n",
    "NUL within an inline command": b"SET a\0b c\r\nPING\r\n",
    "NUL within an array's words": resp.encode("SET", b"a\0b", b"\0") + resp.encode("GET", b"a\0b"),
    "NUL within a name": resp.encode(b"PI\0NG") + resp.encode("PING"),
    "NUL within a count": b"*\x001\r\n$4\r\nPING\r\n",
    "no name": resp.encode(b"") + resp.encode("PING"),
    "a name of 1 KiB": resp.encode(b"n" * KIB) + resp.encode("PING"),
    "binary name": resp.encode(bytes(range(256))) + resp.encode("PING"),
    "line ends in a name": resp.encode(b"a\r\nb") + resp.encode("PING"),
    "expected dollar": b"*1\r\n!4\r\nPING\r\n",
    "negative length": b"*1\r\n$-1\r\n",
    "length with a sign": b"*1\r\n$+4\r\nPING\r\n",
    "length with a blank": b"*1\r\n$ 4\r\nPING\r\n",
    "length that overflows": b"*1\r\n$99999999999999999999\r\n",
    "count that overflows": b"*99999999999999999999\r\n",
    "count too large": b"*2147483648\r\n",
    "empty commands": b"*0\r\n*-1\r\n\r\n\r\n   \r\nPING\r\n",
    "no CRLF behind a body": b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    "unbalanced quotes": b"SET a \"b\r\nPING\r\n",
    "quotes": b"SET 'a' \"\\x41\\n\"\r\nGET a\r\n",
    "a line behind good commands": b"PING\r\nPING\r\n*1\r\n:1\r\nPING\r\n",
    "endless count": b"*" + b"1" * (65 * KIB),
    "endless length": b"*1\r\n$" + b"1" * (65 * KIB),
    "100,000 arguments": resp.encode("DEL", *range(100_000)) + resp.encode("PING"),
    "100,000 empty arguments": b"*100001\r\n$3\r\nDEL\r\n" + b"$0\r\n\r\n" * 100_000,
    "100,000 arguments to who takes one": resp.encode("GET", *range(100_000)) + resp.encode("PING"),
    "100,000 arguments to nobody": resp.encode("nosuchcommand", *range(100_000)) + resp.encode("PING"),
    "100,000 channels": resp.encode("UNSUBSCRIBE", *range(1000)) + resp.encode("PING"),
    "a reply in place of a command": b"+OK\r\n:1\r\n$2\r\nhi\r\n-ERR x\r\n",
    "RESP3 in place of a command": b">2\r\n+a\r\n+b\r\nPING\r\n",
}


class BadBytes(rig.Rig):
    def test_as_redis(self):
        self.start()
        for name, request in _AS_REDIS.items():
            with self.subTest(name):
                self.assert_as_redis(request)

    def test_http(self):
        """`Host:` makes redis close at once, before it sends its error to the line before. Here that may have come already."""
        self.start()
        client = self.raw()
        client.sendall(_HTTP)
        self.assertIn(rig.read_until_closed(client), (b"", b"-ERR wrong number of arguments for 'get' command\r\n"))
        self.assert_serves()

    def test_inline_commands_at_the_limit(self):
        """64 KiB: below, it is a command; above, without an end in sight, it is told so."""
        self.start()
        for size in (64 * KIB - 64, 64 * KIB - 2):
            self.assertEqual(self.assert_as_redis(b"ECHO " + b"i" * (size - 5) + b"\r\n")[1], "open")
        for size in (64 * KIB + 1, 65 * KIB, 200 * KIB):
            self.assertEqual(self.assert_as_redis(b"i" * size), (b"-ERR Protocol error: too big inline request\r\n", "closed"))

    def test_inline_command_in_pieces(self):
        """The limit does not depend on how the bytes arrive."""
        self.start()
        client = self.raw()
        for _ in range(64):
            client.sendall(b"i" * KIB)
            time.sleep(0.001)
        self.assertFalse(rig.gone(client, 0.1))
        client.sendall(b"ii")
        self.assertEqual(rig.read_until_closed(client), b"-ERR Protocol error: too big inline request\r\n")

    def test_strangers_by_the_thousand(self):
        """Whatever they send, including what makes redis close: the bystander's connection lasts, and its waits stay short."""
        dice = random.Random(7)
        self.start()
        before = self.proxy.memory()
        requests = [*_AS_REDIS.values(), os.urandom(4 * KIB), os.urandom(64 * KIB), b"\r\n" * 10000, b"\0" * 70000]
        requests = [request for request in requests if len(request) < 200 * KIB]
        with self.bystander():
            for _ in range(800):
                client = self.raw()
                try:
                    client.sendall(dice.choice(requests))
                except OSError:
                    pass
                if dice.random() < 0.5:
                    client.close()
        self.assertTrue(self.proxy.alive())
        grown = self.proxy.memory() - before
        rig.note(self, f"{rig.in_mib(grown)} more")
        self.assertLess(grown, 16 * MIB)

    # -- who has not authenticated ------------------------------------------------------------------------------------

    def test_unauthenticated(self):
        """10 arguments and 16 KiB: strangers cannot fill the memory."""
        self.start(password="secret of the bounds")
        for request in (resp.encode("SET", *"abcdefghij"), resp.encode("SET", "a", "x" * 16385), resp.encode("SET", "a", "x" * 16384),
                        b"*11\r\n", b"*1\r\n$16385\r\n", b"*1000000\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n",
                        resp.encode("GET", "a"), b"GET a\r\n", resp.encode("AUTH", "wrong"), resp.encode("HELLO", 3)):
            with self.subTest(request=request[:30]):
                self.assert_as_redis(request)

    def test_unauthenticated_by_the_hundred(self):
        """Large requests of strangers cost neither the proxy memory nor others their service."""
        self.start(password="secret of the bounds")
        before = self.proxy.memory()
        strangers = [self.raw() for _ in range(200)]
        with self.bystander():
            for stranger in strangers:
                stranger.settimeout(0.02)
                try:
                    stranger.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$250000\r\n" + b"s" * 240_000)
                except OSError:
                    pass
            time.sleep(0.3)
            grown = self.proxy.memory() - before
        rig.note(self, f"{rig.in_mib(grown)} for {rig.in_mib(len(strangers) * 240_000)} sent")
        self.assertLess(grown, 16 * MIB)


rig.main()
