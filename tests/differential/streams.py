"""Random conversations of a few clients with one server: everything a client may do, in right and in wrong places."""

import random

from .commands import Commands
from .wire import encode, show_command

# Lengths at which the proxy treats a command or a reply in another way (docs/proxy.md, "Limits").
_BOUNDARIES = [16 << 10, 64 << 10, 256 << 10, 1 << 20]

_MALFORMED = [
    b"*abc\r\n", b"*1\r\n:3\r\n", b"*1\r\n$abc\r\n", b"*1\r\n$-1\r\n", b"*2\r\n$3\r\nGET\r\nk0\r\n", b"*99999999999\r\n", b"*2147483648\r\n",
    b"*1\r\n$536870913\r\n", b"*1\r\n$99999999999999999999\r\n", b'GET "unbalanced\r\n', b"GET 'abc\r\n", b'SET k "a"b\r\n', b"a" * 80000,
    b"*" + b"1" * 80000, b"*1\r\n$" + b"1" * 80000, b"*-1\r\n", b"*-5\r\n", b"*0\r\n", b"\r\n", b"\n", b"  \r\n", b"*1\r\n$4\r\nPINGxx", b"* 1\r\n",
    b"*+1\r\n$4\r\nPING\r\n", b"*01\r\n$4\r\nPING\r\n", b"*1\n$4\nPING\n", b"*\r\n", b"*1\r\n$\r\n", b"*1\r\n$04\r\nPING\r\n", b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$4\r\nPING\r\r*1\r\n$4\r\nPING\r\n", b"$4\r\nPING\r\n", b"+OK\r\n", b"\x00\r\n", b"GET \"\\x41\\n\\q\"\r\n", b"GET '\\'' \r\n", b"*1\r\r\n",
    b"*2\r\n$3\r\nGET\r\n$1048576", b"GET\x00k\r\n", b"PING\r\r\n", b"%1\r\n$1\r\na\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n", b"\"PING\"\r\n", b"'PI'NG\r\n",
]


class Step:
    """What one or several clients send at the same time, and whether they end with it.

    sends: [(client, [piece, ...])]: a piece is a command's bytes, or a part of them, or none at all
    ends: None; "half" - they close their direction behind it, and read on; "close" - they close, and connect anew
    loose: the answer cannot be foretold (masks.py)
    leave_blocked: a command blocks beyond this step
    closes_late: redis closes clients, and the proxy may do it when they next send something (masks.py)
    """

    def __init__(self, sends, ends=None, loose=False, leave_blocked=False, closes_late=False):
        self.sends = sends
        self.ends = ends
        self.loose = loose
        self.leave_blocked = leave_blocked
        self.closes_late = closes_late

    def show(self):
        lines = []
        words = [w for w in (self.ends and f"then {self.ends}", self.loose and "loose", self.leave_blocked and "leaves it blocked") if w]
        for client, pieces in self.sends:
            lines.append(f"  client {client}" + (f" ({', '.join(words)})" if words else ""))
            lines += [f"      {show_command(piece)}" for piece in pieces]
        return "\n".join(lines)


class Conversation:
    """The steps that `seed` draws."""

    def __init__(self, seed, length=12, only=None, without=()):
        self.seed = seed
        self.rng = random.Random(seed)
        self.clients = self.rng.randrange(2, 6)
        self.steps = []
        scenes = {
            self.pipeline: 14, self.crowd: 10, self.mixture: 4, self.loose: 4, self.transaction: 6, self.blocked: 6, self.messages: 6, self.shard_messages: 2,
            self.tracking: 5, self.monitor: 2, self.replies_off: 4, self.users: 5, self.password: 3, self.big: 3, self.malformed: 6,
            self.quit: 2, self.half_closed: 3, self.cut_in_two: 3, self.many_words: 2, self.notifications: 2, self.protocols: 5,
            self.deep: 1, self.browser: 1, self.renew: 3,
        }
        # Who of several was first decides the order of all keys, which KEYS and SCAN tell.
        self.ordered = self.rng.random() < 0.4
        if self.ordered:
            del scenes[self.crowd], scenes[self.mixture]
        if only:
            scenes = {scene: weight for scene, weight in scenes.items() if scene.__name__ in only}
        scenes = {scene: weight for scene, weight in scenes.items() if scene.__name__ not in without}
        while len(self.steps) < length:
            self.rng.choices(list(scenes), list(scenes.values()))[0]()

    # -- small words --------------------------------------------------------------------------------------------------

    def one(self):
        return self.rng.randrange(self.clients)

    def two(self):
        return self.rng.sample(range(self.clients), 2)

    def send(self, client, *pieces, **options):
        self.steps.append(Step([(client, list(pieces))], **options))

    def say(self, client, *words, **options):
        self.send(client, encode(*words), **options)

    def close(self, *clients):
        self.steps.append(Step([(client, []) for client in clients], ends="close"))

    def draw(self, most, connection=0.1, prefix="", alone=True):
        """Up to `most` commands of a pipeline."""
        r = self.rng
        commands = Commands(r, prefix, alone, self.ordered)
        return [commands.connection() if r.random() < connection else commands.command() for _ in range(r.randrange(1, most + 1))]

    def plain(self, most):
        """The same, without what blocks, ends, silences or subscribes."""
        commands = Commands(self.rng, ordered=self.ordered)
        families = [commands.strings, commands.lists, commands.hashes, commands.sets, commands.sorted_sets, commands.generic]
        return [encode(*self.rng.choice(families)()) for _ in range(self.rng.randrange(1, most + 1))]

    # -- scenes -------------------------------------------------------------------------------------------------------

    def pipeline(self):
        r = self.rng
        self.send(self.one(), *self.draw(r.choice([1, 3, 10, 50]), r.choice([0, 0.05, 0.3])))

    def crowd(self):
        """Several at the same time, on keys of their own: they share what the proxy shares between clients."""
        r = self.rng
        count = r.randrange(2, self.clients + 1)
        depth, connection = r.choice([1, 5, 20, 60]), r.choice([0, 0.03, 0.15])
        for _ in range(r.randrange(1, 4)):
            self.steps.append(Step([(c, self.draw(depth, connection, f"c{c}:", alone=False))
                                    for c in r.sample(range(self.clients), count)]))

    def mixture(self):
        """A crowd of different users in different databases that speak different protocols, and change all that as they go."""
        r = self.rng
        a = self.one()
        self.send(a, encode("RESET"), encode("ACL", "SETUSER", "m0", "on", ">pw0", "~*", "&*", "+@all"),
                  encode("ACL", "SETUSER", "m1", "on", ">pw1", "~*", "&*", "+@all", "-@list", "-select"))
        for _ in range(r.randrange(1, 6)):
            sends = []
            for client in r.sample(range(self.clients), r.randrange(2, self.clients + 1)):
                commands = Commands(r, f"c{client}:", False)
                pieces = []
                for _ in range(r.randrange(1, 8)):
                    change = r.choice([("AUTH", "m0", "pw0"), ("AUTH", "m1", "pw1"), ("AUTH", "default", "any"), ("HELLO", 3, "AUTH", "m1", "pw1"), ("SELECT", 0),
                                       ("HELLO", 2, "AUTH", "m0", "pw0"), ("HELLO", 2), ("HELLO", 3), ("SELECT", 1), ("SELECT", 2), ("RESET",), ("AUTH", "m0", "pw1"),
                                       ("BLPOP", f"c{client}:nokey", "0.01"), ("MULTI",), ("EXEC",), ("WATCH", f"c{client}:s0"), ("SUBSCRIBE", f"c{client}:ch"),
                                       ("UNSUBSCRIBE",), ("CLIENT", "SETNAME", f"n{client}"), ("CLIENT", "GETNAME"), ("ACL", "WHOAMI"), ("XREAD", "BLOCK", 10, "STREAMS",
                                                                                                                                    f"c{client}:x0", "$")])
                    pieces.append(encode(*change))
                    pieces += [commands.command() for _ in range(r.randrange(6))]
                sends.append((client, pieces))
            self.steps.append(Step(sends))
        self.close(*range(self.clients))

    def loose(self):
        if self.rng.random() < 0.1:
            self.send(self.one(), encode("XADD", "now", "*", "f", "v"), encode("DEL", "now"), loose=True)
        else:
            self.send(self.one(), Commands(self.rng).loose_command(), loose=True)

    def deep(self):
        commands = Commands(self.rng, "d:", alone=False)
        self.send(self.one(), *[encode(*commands.strings()) for _ in range(1500)])

    def renew(self):
        self.close(self.one())

    def transaction(self):
        r = self.rng
        a, b = self.two()
        commands = Commands(r, ordered=self.ordered)
        key = commands.key("s")
        pieces = []
        if r.random() < 0.5:
            self.say(a, "WATCH", key)
            if r.random() < 0.5:
                self.say(r.choice([a, b]), "SET", key, "changed")
            if r.random() < 0.2:
                self.say(a, "UNWATCH")
        pieces.append(encode("MULTI"))
        for _ in range(r.randrange(5)):
            pieces.append(commands.connection() if r.random() < 0.15 else commands.command())
        pieces.append(encode(r.choice(["EXEC", "EXEC", "EXEC", "EXEC", "DISCARD"])))
        if r.random() < 0.3:
            pieces += self.plain(3)
        if r.random() < 0.5:
            self.send(a, *pieces)
        else:
            at = r.randrange(len(pieces))
            self.send(a, *pieces[:at], encode("PING"))
            if r.random() < 0.5:
                self.send(b, *self.plain(3))
            self.send(a, *pieces[at:])
        if r.random() < 0.3:
            self.close(a)

    def blocked(self):
        r = self.rng
        a, b = self.two()
        number = r.randrange(100)
        key = f"q{number}"
        self.say(b, "DEL", key, key + "to")
        if r.random() < 0.3:
            self.say(a, "HELLO", 3)
        blocking, serve = r.choice([
            (("BLPOP", key, 20), ("RPUSH", key, "a", "b")), (("BRPOP", "nokey", key, "0"), ("RPUSH", key, "a", "b")),
            (("BLMOVE", key, key + "to", "LEFT", "LEFT", 20), ("LPUSH", key, "a")), (("BZPOPMIN", key, 20), ("ZADD", key, 1, "m")),
            (("BLMPOP", 20, 2, "nokey", key, "LEFT", "COUNT", 2), ("RPUSH", key, 1, 2, 3)), (("BZMPOP", 0, 1, key, "MAX"), ("ZADD", key, 2, "x")),
            (("XREAD", "BLOCK", 20000, "STREAMS", key, "$"), ("XADD", key, "5-5", "f", "v")), (("BRPOPLPUSH", key, key + "to", 20), ("RPUSH", key, "z")),
            (("XREAD", "COUNT", 1, "BLOCK", 0, "STREAMS", key, "0"), ("XADD", key, "1-1", "f", "v")),
        ])
        self.send(a, *(self.plain(3) if r.random() < 0.3 else []), encode(*blocking),
                  *(self.draw(5, 0) if r.random() < 0.5 else []), leave_blocked=True)
        others = [client for client in range(self.clients) if client != a]
        for _ in range(r.randrange(3)):
            self.send(r.choice(others), *self.plain(4), leave_blocked=True)
        if r.random() < 0.2:
            self.send(a, *self.plain(3), leave_blocked=True)
        roll = r.random()
        if roll < 0.6:
            self.send(b, *(self.plain(2) if r.random() < 0.3 else []), encode(*serve))  # last: what the other one sent behind is executed then
        elif roll < 0.7:
            self.send(b, encode("MULTI"), encode("DEL", key), encode(*serve), encode("EXEC"))
        elif roll < 0.8:
            self.say(b, "SET", key, "of another type", leave_blocked=True)
            self.say(b, "DEL", key, leave_blocked=True)
            self.say(b, *serve)
        elif roll < 0.9:
            self.steps.append(Step([(a, [])], ends="half"))
        else:
            self.close(a)
        if r.random() < 0.7:
            self.close(a)

    def messages(self):
        r = self.rng
        a, b = self.two()
        if r.random() < 0.5:
            self.say(a, "HELLO", 3)
        channels = [f"ch{i}" for i in range(r.randrange(1, 4))]
        self.send(a, *(self.plain(3) if r.random() < 0.3 else []), encode("SUBSCRIBE", *channels), *self.draw(3, 0.3) if r.random() < 0.4 else [])
        if r.random() < 0.5:
            self.say(a, "PSUBSCRIBE", "ch*", *(["news.?"] if r.random() < 0.5 else []))
        if r.random() < 0.4:
            c = r.choice([client for client in range(self.clients) if client != a])
            self.say(c, "SUBSCRIBE", "ch0", "ch0")
        for _ in range(r.randrange(1, 5)):
            size = r.choice([1, 10, 1000, 70000, 300000])
            roll = r.random()
            if roll < 0.5:
                self.say(b, "PUBLISH", r.choice(["ch0", "ch1", "ch2", "news.x", "nobody"]), "m" * size)
            elif roll < 0.7:
                self.send(b, *[encode("PUBLISH", "ch0", f"m{i}") for i in range(r.randrange(1, 30))], encode("GET", "s0"))
            elif roll < 0.8:
                self.send(a, encode("PING"), encode("PING", "x"), encode("GET", "s0"))
            elif roll < 0.9:
                self.send(a, *self.draw(3, 0.5))
            else:
                self.send(b, encode("MULTI"), encode("PUBLISH", "ch0", "in EXEC"), encode("EXEC"))
        self.send(a, *r.choice([[encode("UNSUBSCRIBE"), encode("PUNSUBSCRIBE")], [encode("UNSUBSCRIBE", *channels)], [encode("RESET")],
                                [encode("UNSUBSCRIBE", "ch0"), encode("GET", "s0")], [encode("QUIT")]]), *self.plain(3))
        self.say(b, "PUBLISH", "ch0", "late")
        if r.random() < 0.6:
            self.close(a)

    def shard_messages(self):
        r = self.rng
        a, b = self.two()
        if r.random() < 0.5:
            self.say(a, "HELLO", 3)
        self.say(a, "SSUBSCRIBE", "sh1", "sh2")
        if r.random() < 0.3:
            self.say(a, "SUBSCRIBE", "ch1")
        for _ in range(r.randrange(1, 4)):
            self.say(b, "SPUBLISH", r.choice(["sh1", "sh2", "sh3"]), "message")
        self.send(a, encode("SUNSUBSCRIBE", *r.choice([[], ["sh1"], ["sh3"]])), *self.plain(2))
        self.say(b, "SPUBLISH", "sh1", "late")
        self.close(a)

    def notifications(self):
        a, b = self.two()
        self.say(b, "CONFIG", "SET", "notify-keyspace-events", "KEA")
        if self.rng.random() < 0.5:
            self.say(a, "HELLO", 3)
        self.say(a, "PSUBSCRIBE", "__key*__:*")
        self.send(b, *self.plain(10))
        self.send(b, encode("MULTI"), *self.plain(4), encode("EXEC"))
        self.say(b, "CONFIG", "SET", "notify-keyspace-events", "")
        self.close(a)

    def tracking(self):
        r = self.rng
        a, b = self.two()
        commands = Commands(r, ordered=self.ordered)
        if r.random() < 0.9:
            self.say(a, "HELLO", 3)
        broadcast = r.random() < 0.25  # told at the end of a turn of redis's loop: only one command at a time can be compared
        options = r.choice([["BCAST"], ["BCAST", "PREFIX", "s", "PREFIX", "l"], ["BCAST", "PREFIX", "s", "PREFIX", "s0"]]) if broadcast else \
            r.choice([[], [], [], ["OPTIN"], ["OPTOUT"], ["NOLOOP"], ["OPTIN", "OPTOUT"], ["REDIRECT", 99999999], ["NOSUCH"], ["PREFIX", "a"]])
        self.say(a, "CLIENT", "TRACKING", r.choice(["ON", "ON", "ON", "ON", "OFF", "x"]), *options)
        self.send(a, encode("CLIENT", "TRACKINGINFO"), encode("CLIENT", "GETREDIR"))
        for _ in range(r.randrange(1, 6)):
            keys = [commands.key("s") for _ in range(r.randrange(1, 4))]
            roll = r.random()
            if broadcast:
                self.say(r.choice([a, b]), r.choice(["INCR", "GET", "SET"]), *(keys[:1] if roll < 0.5 else keys[:1] + ["v"]))
            elif roll < 0.4:
                self.send(a, *(encode("CLIENT", "CACHING", r.choice(["YES", "NO"])) for _ in range(r.randrange(2))),
                          *[encode("GET", key) for key in keys], encode("MGET", *keys))
            elif roll < 0.7:
                self.send(b, *[encode("SET", key, "new") for key in keys], *self.plain(2))
            elif roll < 0.8:
                self.send(a, encode("GET", keys[0]), encode("SET", keys[0], "mine"), encode("GET", keys[0]), encode("INCR", keys[0]), encode("PING"))
            elif roll < 0.9:
                self.send(a, encode("MULTI"), encode("GET", keys[0]), encode("SET", keys[0], 5), encode("EXEC"), encode("GET", keys[0]))
            else:
                self.say(b, "FLUSHALL")
        if r.random() < 0.5:
            self.send(a, encode("CLIENT", "TRACKING", "OFF"), encode("CLIENT", "GETREDIR"), encode("GET", "s0"))
            self.say(b, "SET", "s0", "not told")
        if broadcast or r.random() < 0.7:
            self.close(a)

    def monitor(self):
        r = self.rng
        a, b = self.two()
        self.send(a, *(self.plain(2) if r.random() < 0.5 else []), encode("MONITOR"))
        for _ in range(r.randrange(1, 5)):
            self.send(b, encode(*r.choice([("SET", "s0", "x\r\n\"y\""), ("GET", "s0"), ("EVAL", "return redis.call('GET', 's0')", 0), ("INCR", "s1"),
                                           ("GETT", "x"), ("SET", "x" * 300, "y" * 5000), ("SELECT", 1), ("LPUSH", "l0", "a", "b")])))
        if r.random() < 0.4:
            self.send(a, encode("GET", "s0"))
        if r.random() < 0.4:
            self.send(a, encode("RESET"), encode("GET", "s0"))
            self.say(b, "SET", "s0", 1)
        self.close(a)

    def replies_off(self):
        r = self.rng
        a = self.one()
        pieces = []
        for _ in range(r.randrange(1, 4)):
            roll = r.random()
            if roll < 0.5:
                pieces += [encode("CLIENT", "REPLY", "OFF"), *self.plain(5), encode("CLIENT", "REPLY", "ON"), *self.plain(2)]
            elif roll < 0.8:
                pieces += [encode("CLIENT", "REPLY", "SKIP"), *self.plain(2)]
            else:
                pieces += [encode("client", "reply", r.choice(["on", "x", "skip"])), encode("GET", "s0")]
        if r.random() < 0.5:
            self.send(a, *pieces)
        else:
            at = r.randrange(len(pieces))
            self.send(a, *pieces[:at])
            self.send(a, *pieces[at:])
        if r.random() < 0.5:
            self.close(a)

    def users(self):
        r = self.rng
        a, b = self.two()
        user, password = f"u{r.randrange(2)}", r.choice(["pw1", "pw2"])
        rules = r.choice([["~*", "&*", "+@all"], ["~s*", "+@read", "+ping"], ["~s*", "%R~l*", "+@all", "-@dangerous", "resetchannels"],
                          ["allkeys", "+get", "+set", "-set|x"], ["~*", "&ch1", "+@all", "-select", "-flushall", "-multi"], ["~*", "+@all", "-hello", "-client"],
                          ["nocommands"], ["~*", "&*", "+@all", "-@scripting", "-client|setname", "-ping", "-auth"]])
        self.say(a, "ACL", "SETUSER", user, "on", ">" + password, *rules)
        login = lambda: r.choice([encode("AUTH", user, password), encode("AUTH", user, password), encode("HELLO", 3, "AUTH", user, password),
                                  encode("HELLO", 2, "AUTH", user, password, "SETNAME", "me"), encode("AUTH", user, "wrong"), encode("AUTH", "nosuch", "x"),
                                  encode("AUTH", "default", "any"), encode("HELLO", 3, "AUTH", user, "wrong")])
        for _ in range(r.randrange(1, 5)):
            pieces = []
            for _ in range(r.randrange(1, 4)):
                pieces += [login(), *self.draw(6, 0.15)] if r.random() < 0.6 else self.draw(6, 0.1)
            self.send(b, *pieces)
            if r.random() < 0.3 and not self.ordered:
                clients = r.sample(range(self.clients), 2)
                self.steps.append(Step([(c, [login(), encode("ACL", "WHOAMI"), *self.draw(8, 0.1, f"c{c}:", alone=False), encode("ACL", "WHOAMI")])
                                        for c in clients]))
        roll = r.random()
        if roll < 0.25:
            self.send(b, encode("RESET"), encode("ACL", "WHOAMI"), encode("GET", "s0"))
        elif roll < 0.5:
            self.say(a, "ACL", "SETUSER", user, "off")
            self.send(b, encode("GET", "s0"), encode("AUTH", user, password), encode("PING"))
        elif roll < 0.8:
            self.steps.append(Step([(c, [encode("ACL", "DELUSER", user)] if c == a else []) for c in range(self.clients)], ends="close", closes_late=True))
        if r.random() < 0.6:
            self.close(b)

    def password(self):
        """The default user has a password; clients that connect now have not said it."""
        r = self.rng
        a, b = self.two()
        # A client that has sent nothing yet is known to the proxy alone, and to redis as of its first command.
        self.steps.append(Step([(c, [encode("ACL", "SETUSER", "default", "resetpass", ">secret")] if c == a else []) for c in range(self.clients)],
                               ends="close"))
        too_much = [  # redis closes
            [encode("ECHO", "x" * 16385), encode("PING")], [encode("DEL", *range(11)), encode("PING")],
        ]
        for _ in range(r.randrange(1, 4)):
            self.send(b, *r.choice(too_much + [
                [encode("GET", "s0"), encode("PING"), encode("NOSUCH"), encode("GET")], [encode("HELLO", 3)], [encode("HELLO")], [encode("RESET"), encode("PING")],
                [encode("AUTH", "wrong"), encode("GET", "s0")], [encode("MULTI"), encode("EXEC")], [encode("SUBSCRIBE", "ch1")],
                [encode("HELLO", 3, "AUTH", "default", "wrong")], [encode("QUIT"), encode("PING")], [encode("CLIENT", "SETNAME", "x"), encode("SELECT", 1)],
                [encode("AUTH", "secret"), *self.draw(5)], [encode("HELLO", 3, "AUTH", "default", "secret"), *self.draw(5)], [encode("MONITOR")],
                [encode("ECHO", "x" * 16384)],
                [encode("DEL", *range(9)), encode("PING")], [encode("AUTH", "default", "secret"), encode("ECHO", "x" * 20000), encode("DEL", *range(20))],
                [b"*1\r\n$4\r\nPING\r\nGET s0\r\nAUTH secret\r\nGET s0\r\n"], [encode("AUTH", "secret"), encode("RESET"), encode("GET", "s0")],
                [encode("EVAL", "return 1", 0), encode("BLPOP", "l0", "0.01"), encode("WAIT", 0, 0)],
            ]))
        self.steps.append(Step([(c, [encode("AUTH", "secret"), encode("ACL", "SETUSER", "default", "nopass")] if c == a else [])
                                for c in range(self.clients)], ends="close"))

    def big(self):
        r = self.rng
        a, b = self.two()
        size = max(0, r.choice(_BOUNDARIES) + r.choice([-40, -30, -2, -1, 0, 1, 2, 100])) if r.random() < 0.8 else r.choice([3 << 20, 5 << 20])
        value = r.choice([b"v", b"\r\n", b"\0"])
        value = value * (size // len(value))
        key = f"v{r.randrange(3)}"  # of which no other scene knows: LCS of two of them would take minutes
        pieces = r.choice([
            lambda: [encode("SET", key, value), encode("GET", key)], lambda: [encode("ECHO", value), encode("PING")],
            lambda: [encode("SET", key, value), encode("APPEND", key, "x"), encode("GETRANGE", key, 0, 70000), encode("STRLEN", key)],
            lambda: [encode("MULTI"), encode("SET", key, value), encode("GET", key), encode("EXEC")], lambda: [encode("LPUSH", "vl", value, "x"), encode("LRANGE", "vl", 0, -1), encode("DEL", "vl")],
            lambda: [encode("EVAL", "return ARGV[1]", 0, value)], lambda: [encode("NOSUCH", value), encode("GET", value)], lambda: [encode(value), encode("PING")],
            lambda: [encode("PUBLISH", "ch1", value)], lambda: [encode("MSET", *[w for i in range(4) for w in (f"v{i}", value)]), encode("MGET", "v0", "v1", "v2", "v3")],
            lambda: [encode("GET", value), encode("SET", value, 1)], lambda: [encode("HSET", "vh", "f", value), encode("HGETALL", "vh"), encode("DEL", "vh")],
            lambda: [encode("SET", key, value, "NOSUCH"), encode("GETSET", key, value), encode("GETDEL", key)],
            lambda: [encode("SELECT", 1), encode("SET", key, value), encode("SELECT", 0), encode("GET", key)],
            lambda: [encode("CLIENT", "SETNAME", value), encode("PING")], lambda: [encode("SUBSCRIBE", value[:300000]), encode("UNSUBSCRIBE", value[:300000]), encode("PING")],
            lambda: [encode("BLPOP", value, "0.01"), encode("PING")], lambda: [encode("AUTH", value), encode("PING")],
            lambda: [encode("HELLO", 3, "SETNAME", value), encode("PING")], lambda: [encode("SET", key, value), encode("QUIT"), encode("PING")],
        ])()
        before, after = self.plain(3), self.plain(3)
        self.send(a, *before, *pieces, *after)
        if r.random() < 0.5:
            self.say(b, "GET", key)
        if r.random() < 0.2 and not self.ordered:
            self.steps.append(Step([(c, [encode("SET", f"c{c}:v", value), *self.draw(10, 0.05, f"c{c}:", alone=False), encode("GET", f"c{c}:v")])
                                    for c in range(self.clients)]))

    def malformed(self):
        r = self.rng
        a = self.one()
        wrong = r.choice(_MALFORMED)
        roll = r.random()
        if roll < 0.15:
            wrong = bytes(r.randrange(256) for _ in range(r.randrange(1, 30))) + b"\r\n"
        elif roll < 0.3:  # a right command with one byte changed
            command = bytearray(b"".join(self.plain(2)))
            command[r.randrange(len(command))] = r.choice(b"*$\r\n0179-x \x00\"'")
            wrong = bytes(command)
        # Whether a line that is too long has an end, redis sees only if it has not given up before.
        self.send(a, *(self.draw(5, 0.1) if r.random() < 0.6 else []), wrong, *(self.plain(3) if r.random() < 0.5 and len(wrong) < 65536 else []))
        if r.random() < 0.4:
            self.send(a, *self.plain(2))
        if r.random() < 0.7:
            self.close(a)

    def browser(self):
        """Redis hangs up on what a browser sends, at once: replies that are under way may be lost."""
        a = self.one()
        self.close(a)
        self.send(a, self.rng.choice([b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"Host: localhost\r\n", encode("post"), encode("HOST:", "x")]))
        self.close(a)

    def quit(self):
        a = self.one()
        self.send(a, *self.draw(3), encode("QUIT", *(["x"] if self.rng.random() < 0.2 else [])), *self.plain(3))
        self.close(a)

    def half_closed(self):
        a = self.one()
        self.steps.append(Step([(a, self.plain(20))], ends="half"))

    def cut_in_two(self):
        """A command, the end of which comes after others have spoken."""
        a, b = self.two()
        data = b"".join(self.plain(3))
        at = self.rng.randrange(1, len(data))
        self.send(a, data[:at])
        self.send(b, *self.plain(3))
        if self.rng.random() < 0.8:
            self.send(a, data[at:])
        else:
            self.close(a)

    def many_words(self):
        r = self.rng
        count = r.choice([100, 1000, 1024 * 16, 30000])
        self.send(self.one(), *r.choice([
            lambda: [encode("DEL", *range(count)), encode("PING")], lambda: [encode("MSET", *range(count)), encode("MGET", *range(count))],
            lambda: [encode("RPUSH", "l0", *range(count)), encode("LRANGE", "l0", 0, -1), encode("DEL", "l0")], lambda: [encode("GET", *range(count))],
            lambda: [encode("NOSUCH", *range(count)), encode("PING")], lambda: [encode("SADD", "S0", *range(count)), encode("SMEMBERS", "S0"), encode("DEL", "S0")],
            lambda: [encode("HELLO", 3), encode("HSET", "h0", *range(count)), encode("HGETALL", "h0"), encode("DEL", "h0"), encode("HELLO", 2)],
            lambda: [encode("MULTI"), *[encode("INCR", "s0")] * min(count, 5000), encode("EXEC")], lambda: [encode("SUBSCRIBE", *range(min(count, 1000))), encode("RESET")],
            lambda: [encode("WATCH", *range(min(count, 1000))), encode("MULTI"), encode("EXEC")], lambda: [encode("BLPOP", *range(count), "0.01"), encode("PING")],
            lambda: [("GET " + "a " * count)[:60000].encode() + b"\r\n", encode("PING")],
            lambda: [encode("EVAL", "return #ARGV", 0, *range(count))],
        ])())

    def protocols(self):
        """RESP2 and RESP3 in turn, on typed replies."""
        r = self.rng
        a = self.one()
        typed = [("HGETALL", "h0"), ("SMEMBERS", "S0"), ("ZRANGE", "z0", 0, -1, "WITHSCORES"), ("ZSCORE", "z0", "a"), ("GET", "nosuch"), ("EXEC",),
                 ("CONFIG", "GET", "maxmemory"), ("CLIENT", "TRACKINGINFO"), ("LRANGE", "nosuch", 0, -1), ("GEOPOS", "g0", "nosuch"), ("BLPOP", "nosuch", "0.01"),
                 ("EVAL", "return {map={a={double=1.5}}}", 0), ("EVAL", "redis.setresp(3); return {big_number='12345678901234567890'}", 0),
                 ("EVAL", "return {verbatim_string={format='mkd',string='# x'}}", 0), ("EVAL", "return {set={a=true}}", 0), ("EVAL", "redis.setresp(3); return true", 0),
                 ("EVAL", "redis.setresp(3); return redis.call('HGETALL','h0')", 0), ("XREAD", "STREAMS", "x0", 0), ("ZRANDMEMBER", "nosuch", 2), ("COMMAND", "DOCS", "get"),
                 ("LATENCY", "DOCTOR"), ("ZADD", "z0", "INCR", "1.5", "a"), ("SPOP", "nosuch", 2), ("ZMPOP", 1, "z0", "MIN"), ("LMPOP", 1, "nosuch", "LEFT"), ("ACL", "GETUSER", "default")]
        self.send(a, encode("HSET", "h0", "f", "v", "g", "w"), encode("SADD", "S0", "a", "b"), encode("ZADD", "z0", 1, "a", "2.5", "b"))
        pieces = []
        for _ in range(r.randrange(1, 4)):
            pieces.append(encode("HELLO", r.choice([2, 3, 3])))
            pieces += [encode(*r.choice(typed)) for _ in range(r.randrange(1, 5))]
        if r.random() < 0.3:
            pieces = [encode("MULTI"), *pieces, encode("EXEC"), encode("HGETALL", "h0")]
        self.send(a, *pieces)
        if r.random() < 0.3:
            self.send(a, encode("RESET"), encode("HGETALL", "h0"))
