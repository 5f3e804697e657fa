#!/usr/bin/python3
"""Goal: redis-cli in each of its modes, and redis-benchmark, say through a proxy what they say to redis itself.
Method: each is run against the leader's redis and through another pod's proxy, on the same data, and its output compared; those
that run until they are ended are compared with their numbers masked. What a proxy refuses must be told in words."""

import os
import pty
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

import scenario
from localhive import addresses, resp

_DATA = [("SET", "k1", "v1"), ("SET", "k2", "v2"), ("RPUSH", "list", "a", "b", "c"), ("HSET", "hash", "field", "value"),
         ("SADD", "set", "member"), ("ZADD", "zset", 1.5, "member"), ("XADD", "stream", "1-1", "field", "value")]
_SCRIPT = b"""local value = redis.call('GET', KEYS[1])
value = value .. ARGV[1]
redis.call('SET', KEYS[2], value)
return {value, redis.call('GET', KEYS[2])}
"""
_SESSION = b"""SET key 1
GET key
no-such-command
MULTI
INCR key
SET key
EXEC
MULTI
INCR key
EXEC
SELECT 3
GET key
SELECT 99
SELECT 0
HELLO 3
HGETALL hash
CLIENT SETNAME me
CLIENT GETNAME
OBJECT HELP
RESET
CLIENT GETNAME
HGETALL hash
"""
_MASS = b"".join(resp.encode("SET", f"mass:{i}", "x") for i in range(5000))


@dataclass
class Said:
    """What one run came to."""
    code: int
    out: str
    errors: str


def _mode(*words, stdin=b""):
    return words, stdin


# {script}: a file with _SCRIPT. Words in front of the mode, -h and -p, are the test's.
_MODES = [
    _mode("GET", "k1"), _mode("LRANGE", "list", "0", "-1"), _mode("-3", "HGETALL", "hash"), _mode("-2", "HGETALL", "hash"),
    _mode("NO-SUCH-COMMAND"), _mode("-e", "NO-SUCH-COMMAND"), _mode("-n", "3", "GET", "k1"), _mode("-n", "99", "GET", "k1"),
    _mode("--raw", "GET", "k1"), _mode("--no-raw", "GET", "k1"), _mode("--csv", "LRANGE", "list", "0", "-1"),
    _mode("--json", "HGETALL", "hash"), _mode("-2", "--json", "HGETALL", "hash"),
    _mode("--quoted-json", "ZRANGE", "zset", "0", "-1", "WITHSCORES"),
    _mode("-d", ";", "MGET", "k1", "k2"), _mode("-D", "|", "GET", "k1"), _mode("--quoted-input", "GET", r'"k\x31"'),
    _mode("--show-pushes", "no", "-3", "GET", "k1"), _mode("-c", "GET", "k1"), _mode("-r", "3", "-i", "0.01", "RPUSH", "list", "d"),
    _mode("-x", "SET", "key", stdin=b"from\0stdin"), _mode("-X", "tag", "SET", "key", "tag", stdin=b"from stdin"),
    _mode(stdin=_SESSION), _mode("-3", stdin=_SESSION), _mode("HELP", "SET"), _mode("COMMAND", "DOCS", "GET"),
    _mode("--scan"), _mode("--scan", "--pattern", "k*"), _mode("--bigkeys"), _mode("--memkeys"), _mode("--memkeys-samples", "1"),
    _mode("--hotkeys"),  # an error: no LFU policy is set
    _mode("--pipe", stdin=_MASS), _mode("--pipe", stdin=_MASS + b"NO-SUCH-COMMAND\r\nSET inline 1\r\n"), _mode("--pipe"),
    _mode("--eval", "{script}", "k1", "k2", ",", "more"),
    _mode("--ldb", "--eval", "{script}", "k1", "k2", ",", "more", stdin=b"s\nprint\nredis GET k1\nc\n"),
    _mode("--ldb-sync-mode", "--eval", "{script}", "k1", "k2", ",", "more", stdin=b"s\nabort\n"),
    _mode("--cluster", "check", "{host}:{port}"), _mode("--cluster", "info", "{host}:{port}"),  # errors: not a cluster
    _mode("-a", "wrong", "GET", "k1"), _mode("--no-auth-warning", "-a", "wrong", "GET", "k1"),
    _mode("--user", "ann", "--pass", "secret", "GET", "k1"), _mode("--user", "ann", "--pass", "wrong", "GET", "k1"),
    _mode("--user", "ann", "--pass", "secret", "SET", "k1", "1"),  # an error: she may only read
    _mode("-u", "redis://ann:secret@{host}:{port}/0", "-3", "ACL", "WHOAMI"),
]

# Until SIGINT, on a terminal: what its screen must show before that.
_ENDLESS = [
    (("--stat", "-i", "0.1"), r"(?s)keys.*\d+\s+\d+\.\d+[KM].*\n.*\n.*\n"),
    (("--latency",), r"min: \d+, max: \d+, avg: "),
    (("--latency-history", "-i", "0.2"), r"(?s)seconds range.*seconds range"),
    (("--latency-dist", "-i", "0.2"), r"(?s)\n.*\n.*\n"),
    (("--lru-test", "1000"), r"Gets/sec \| Hits: \d+"),
    (("MONITOR",), r'"INFO"'),
    (("SUBSCRIBE", "channel", "other"), r"(?s)subscribe.*other.*\n.*2\r"),
    (("-3", "PSUBSCRIBE", "ch*"), r"(?s)psubscribe.*ch\*.*\n.*1\r"),
    (("SSUBSCRIBE", "shard"), r"ssubscribe"),
]


class ClientsCli(scenario.Scenario):
    def start(self, **options):
        self.start_hive(pods=2, **options)
        leader = self.hive.wait_settled()
        self.redis = leader.connect(port=addresses.REDIS_PORT)
        self.addCleanup(self.redis.close)
        self.direct = leader.ip, addresses.REDIS_PORT
        self.proxy = self.follower().ip, addresses.PROXY_PORT
        folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.script = os.path.join(self.folder, "script.lua")
        with open(self.script, "wb") as file:
            file.write(_SCRIPT)

    def argv(self, where, words):
        host, port = where
        return ["redis-cli", "-h", host, "-p", str(port), *(word.format(host=host, port=port, script=self.script) for word in words)]

    @staticmethod
    def masked(text, where):
        host, port = where
        text = text.replace(f"{host}:{port}", "HOST:PORT").replace(host, "HOST")
        return re.sub(r"\bid(\W+(\(integer\) )?)\d+", r"id\1N", text)  # HELLO's: of the proxy's own connection

    def run_once(self, where, words, stdin=b"", **environment):
        run = subprocess.run(self.argv(where, words), input=stdin, capture_output=True, timeout=30, check=False,
                             env={**os.environ, **environment})
        return Said(run.returncode, *(self.masked(text.decode(errors="replace"), where) for text in (run.stdout, run.stderr)))

    def load(self):
        self.redis.command("FLUSHALL")
        for words in _DATA:
            self.redis.command(*words)

    def test_modes(self):
        self.start()
        self.redis.command("ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@read", "+@connection", "+acl|whoami", "+command")
        for words, stdin in _MODES:
            with self.subTest(" ".join(words)):
                said = []
                for where in (self.direct, self.proxy):
                    self.load()
                    said.append(self.run_once(where, words, stdin))
                self.assertEqual(said[1], said[0])
        # Those that imitate a replica are refused: each ends at once, and the user reads why.
        for words in (["--rdb", os.path.join(self.folder, "dump.rdb")], ["--functions-rdb", os.path.join(self.folder, "functions.rdb")],
                      ["--replica"], ["--slave"]):
            with self.subTest(words[0]):
                said = self.run_once(self.proxy, words)
                self.assertEqual(said.code, 1)
                self.assertIn("refused by hive-proxy", said.out + said.errors)

    def screen(self, where, words, shown):
        """Runs it on a terminal until its screen shows `shown`, then presses Ctrl-C. Returns the screen, and the exit code."""
        ours, its = pty.openpty()
        process = subprocess.Popen(self.argv(where, words), stdin=its, stdout=its, stderr=its, start_new_session=True,
                                   env={**os.environ, "TERM": "dumb"})
        os.close(its)
        text = ""
        try:
            deadline = time.monotonic() + 15
            while not re.search(shown, text):
                self.assertLess(time.monotonic(), deadline, f"{words} shows only {text!r}")
                text += os.read(ours, 65536).decode(errors="replace")
            process.send_signal(signal.SIGINT)
            return self.masked(text, where), process.wait(5)
        finally:
            process.kill()
            process.wait()
            os.close(ours)

    def prompt(self, where):
        """What a person sees who types _SESSION at the prompt."""
        ours, its = pty.openpty()
        process = subprocess.Popen(self.argv(where, []), stdin=its, stdout=its, stderr=its, start_new_session=True,
                                   env={**os.environ, "TERM": "dumb", "HOME": self.folder})
        self.addCleanup(process.kill)
        os.close(its)
        os.write(ours, _SESSION + b"quit\n")
        text = b""
        try:
            while True:
                text += os.read(ours, 65536)
        except OSError:  # EIO: it has ended
            pass
        os.close(ours)
        self.assertEqual(process.wait(5), 0)
        return self.masked(text.decode(), where)

    def test_on_a_terminal(self):
        self.start()
        screens = []
        for where in (self.direct, self.proxy):
            self.load()
            screens.append(self.prompt(where))
        self.assertEqual(screens[1], screens[0])
        self.assertIn("HOST:PORT(TX)>", screens[1])
        self.assertIn("HOST:PORT[3]>", screens[1])
        for words, shown in _ENDLESS:
            with self.subTest(" ".join(words)):
                _, direct = self.screen(self.direct, words, shown)
                _, through_proxy = self.screen(self.proxy, words, shown)
                self.assertEqual(through_proxy, direct)
        self.assertEqual(self.run_once(self.proxy, ["--intrinsic-latency", "1"]).code, 0)

    def test_password(self):
        self.start(password="let me in")
        for words, environment in ((["-a", "let me in"], {}), (["-a", "wrong"], {}), ([], {}), ([], {"REDISCLI_AUTH": "let me in"}),
                                   (["--user", "default", "--pass", "let me in", "--no-auth-warning"], {}),
                                   (["-u", "redis://:let%20me%20in@{host}:{port}/1"], {})):
            with self.subTest(f"{words} {environment}"):
                said = [self.run_once(where, [*words, "CLIENT", "GETNAME"], **environment) for where in (self.direct, self.proxy)]
                self.assertEqual(said[1], said[0])

    def test_benchmark(self):
        """All of redis-benchmark's default tests, one by one, pipelined, on many connections, and in its other ways to ask."""
        self.start()
        for words in (["-n", "200", "-c", "10"], ["-n", "2000", "-P", "16", "-t", "ping,set,get,lpush,mset"],
                      ["-n", "500", "-3", "-t", "get,set", "-r", "100"], ["-n", "500", "--dbnum", "5", "-t", "incr"],
                      ["-n", "500", "-k", "0", "-t", "get"], ["-n", "500", "--threads", "2", "-t", "set"],
                      ["-n", "500", "eval", "return redis.call('INCR', KEYS[1])", "1", "n"], ["-n", "1", "--cluster"]):
            with self.subTest(" ".join(words)):
                tests, codes, errors = [], [], []
                for host, port in (self.direct, self.proxy):
                    run = subprocess.run(["redis-benchmark", "-h", host, "-p", str(port), "--csv", *words], capture_output=True, text=True,
                                         timeout=60, check=False)
                    tests.append([line.split(",")[0] for line in run.stdout.splitlines()])
                    codes.append(run.returncode)
                    errors.append(self.masked(run.stderr, (host, port)))
                self.assertEqual((tests[1], codes[1], errors[1]), (tests[0], codes[0], errors[0]))
                self.assertNotIn("CONFIG", errors[1])  # which it asks first of all


scenario.main()
