"""Random commands of one client: right ones of all data types, and wrong ones.

Only what redis answers in the same way each time is drawn here: nothing that asks for the time or rolls dice (`loose_command`
does), no time to live that could end within a test, no offset that would fill the memory. Nothing that the proxy refuses
(docs/proxy.md).
"""

from .wire import encode

_TYPES = "slhzSxgpb"  # string, list, hash, sorted set, set, stream, geo, HyperLogLog, bitmap

_SCRIPTS = [
    (b"return redis.call('GET', KEYS[1])", 1),
    (b"return redis.call('SET', KEYS[1], ARGV[1])", 1),
    (b"return redis.pcall('INCR', KEYS[1])", 1),
    (b"redis.setresp(3); return redis.call('HGETALL', KEYS[1])", 1),
    (b"redis.setresp(3); return redis.call('SMEMBERS', KEYS[1])", 1),
    (b"redis.setresp(3); return redis.call('ZSCORE', KEYS[1], ARGV[1])", 1),
    (b"redis.setresp(3); return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')", 1),
    (b"return {double=3.25}", 0),
    (b"redis.setresp(3); return {double=-1/0}", 0),
    (b"return {map={a=1}}", 0),
    (b"redis.setresp(3); return {map={one={1,2,{double=0.5}}}}", 0),
    (b"return {set={x=true}}", 0),
    (b"return {big_number='123456789012345678901234567890'}", 0),
    (b"return {verbatim_string={format='txt',string='some\\r\\ntext'}}", 0),
    (b"return {1,2,{3,'x',false,true,{}}}", 0),
    (b"return {}", 0),
    (b"return true", 0),
    (b"return false", 0),
    (b"return nil", 0),
    (b"return {ok='fine'}", 0),
    (b"return {err='OWN an error of a script'}", 0),
    (b"return redis.error_reply('OWN')", 0),
    (b"return 3.99", 0),
    (b"return ARGV", 0),
    (b"error('thrown')", 0),
    (b"return redis.call('NOSUCH')", 0),
    (b"this is no lua", 0),
    (b"return redis.sha1hex('')", 0),
    (b"return string.rep('x', 70000)", 0),
    (b"local t={} for i=1,3000 do t[i]=i end return t", 0),
    (b"#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])", 1),
    (b"#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 'x')", 1),
]
_LIBRARY = b"""#!lua name=lib%d
redis.register_function('f%d', function(keys, args) return {keys, args} end)
redis.register_function{function_name='g%d', callback=function(keys, args) redis.setresp(3)
return redis.call('HGETALL', keys[1]) end, flags={'no-writes'}}
"""
_GEO = ["Palermo", "Catania", "Rome", "Wien"]


class Commands:
    """Draws commands of one client from `rng`. `prefix` is in front of all keys: clients that send at the same time have keys
    of their own. With `alone`, nobody else sends meanwhile, and what depends on all keys may be asked for; with `ordered`, nobody
    ever does, and their order, too."""

    def __init__(self, rng, prefix="", alone=True, ordered=False):
        self.rng = rng
        self.ordered = ordered
        self.prefix = prefix
        self.alone = alone

    # -- arguments ----------------------------------------------------------------------------------------------------

    def key(self, kind=None):
        r = self.rng
        if kind is None or r.random() < 0.08:
            kind = r.choice(_TYPES)
        return f"{self.prefix}{kind}{r.randrange(3)}"

    def value(self):
        r = self.rng
        roll = r.random()
        if roll < 0.35:
            return str(r.randrange(-20, 1000))
        if roll < 0.8:
            return r.choice(["", "x", "hello", "a b", "\r\n", "+OK\r\n", "$5\r\nwrong\r\n", "*1\r\n", "naïve", "x" * 45, "1.5"])
        if roll < 0.97:
            return bytes(r.randrange(256) for _ in range(r.randrange(40)))
        return r.choice([b"y", b"zz", b"\0"]) * r.choice([100, 1000, 4096, 16384, 20000])

    def number(self):
        r = self.rng
        if r.random() < 0.06:
            return r.choice(["abc", "1.5", "", " 1", "9223372036854775807", "-9223372036854775808", "9223372036854775808"])
        return r.choice([-3, -2, -1, 0, 0, 1, 1, 2, 3, 5, 10, 100])

    def count(self):
        return self.rng.choice([0, 1, 1, 2, 3, 10, "x"] if self.rng.random() < 0.1 else [1, 2, 3, 10])

    def score(self):
        return self.rng.choice(["1", "2", "3.5", "-1", "0", "1e3", "inf", "-inf", "7.25", "nan" if self.rng.random() < 0.2 else "4"])

    def bound(self):
        return self.rng.choice(["-inf", "+inf", "(1", "2", "3.5", "0", "(x" if self.rng.random() < 0.1 else "5"])

    def lex(self):
        return self.rng.choice(["-", "+", "[a", "(b", "[m1", "[x", "c" if self.rng.random() < 0.1 else "[z"])

    def member(self):
        return self.rng.choice(["a", "b", "c", "m1", "m2", "5", "17", self.value()])

    def far(self):
        """A moment or a length of time that does not end within a test."""
        return self.rng.choice([100000, 200000, 4102444800, "abc"] if self.rng.random() < 0.1 else [100000, 4102444800])

    def stream_id(self):
        return self.rng.choice(["1-1", "2-1", "3-0", "5", "7-7", "9-1", "100-1", "0-0" if self.rng.random() < 0.2 else "50-2"])

    def short_timeout(self):
        return self.rng.choice(["0.01", "0.02", "0.03", "-1" if self.rng.random() < 0.3 else "0.01", "x" if self.rng.random() < 0.3
                                else "0.015"])

    def some(self, draw, most=3):
        return [draw() for _ in range(self.rng.randrange(1, most + 1))]

    def maybe(self, *words, chance=0.3):
        return list(words) if self.rng.random() < chance else []

    # -- commands -----------------------------------------------------------------------------------------------------

    def words(self):
        """One command's words, mostly right."""
        families = [self.strings, self.keys, self.lists, self.hashes, self.sets, self.sorted_sets, self.streams, self.others,
                    self.scripts, self.generic]
        weights = [6, 5, 4, 4, 4, 5, 4, 3, 2, 2]
        return self.rng.choices(families, weights)[0]()

    def command(self):
        """One command's bytes: sometimes spoilt, sometimes inline."""
        r = self.rng
        roll = r.random()
        if roll < 0.04:
            return encode(*self.wrong())
        words = self.words()
        if roll < 0.10:
            words = self.misshapen(words)
        if roll > 0.97 and all(isinstance(w, (str, int)) for w in words):
            return self.inline(words)
        if r.random() < 0.3:
            words = [r.choice([str.lower, str.title])(str(words[0]))] + words[1:]
        return encode(*words)

    def misshapen(self, words):
        r = self.rng
        if words[0] in ("BLPOP", "BRPOP", "BLMOVE", "BZPOPMIN", "BLMPOP", "XREAD", "XREADGROUP", "WAIT"):
            return words[:r.randrange(1, len(words))]
        if words[0] == "COMMAND":  # of all commands: in an order that changes while a table of redis grows
            return words + ["nosuch"]
        if r.random() < 0.6 and len(words) > 1:
            return words[:r.randrange(1, len(words))]
        return words + [r.choice(["extra", "", "WITHSCORES", "abc"])] * r.choice([1, 1, 2, 60])

    def wrong(self):
        r = self.rng
        return r.choice([
            ["NOSUCHCOMMAND"], ["nosuch", "with", "arguments", "'quoted'", "\r\n"], ["GETT", self.key()], [""], ["", "x"], ["\0"],
            ["A" * 150, "b" * 150, "c" * 150], ["X\r\nY", "z"], ["nosuch"] + ["a"] * 300, ["CLIENT", "NOSUCH"], ["OBJECT"],
            ["XINFO", "NOSUCH", "k"], ["CONFIG", "NOSUCH"], ["SCRIPT", "NOSUCH", "x"], ["CLIENT"], ["COMMAND", "NOSUCH"],
            ["ACL", "NOSUCH"], ["FUNCTION", "NOSUCH"], ["get|set", "x"], ["config|get", "x"], ["PUBSUB", "NOSUCH"],
            ["get", "a", "b"], ["GET"], ["SeT", "x"], ["MEMORY"], ["SELECT"], ["AUTH"], ["HELLO", "x"],
        ])

    def inline(self, words):
        """The same as an inline command. Words that quotes cannot carry in any case are escaped."""
        r = self.rng
        out = []
        for word in map(str, words):
            plain = word and all(33 <= ord(c) < 127 and c not in "\"'\\" for c in word)
            if plain and r.random() < 0.7:
                out.append(word)
            elif r.random() < 0.3 and all(32 <= ord(c) < 127 and c not in "'\\" for c in word):
                out.append(f"'{word}'")
            else:
                out.append('"' + "".join(c if 32 <= ord(c) < 127 and c not in "\"\\" else "".join(
                    f"\\x{b:02x}" for b in c.encode()) for c in word) + '"')
        blank = r.choice([" ", " ", "  ", "\t"])
        return (r.choice(["", "", " "]) + blank.join(out) + r.choice(["\r\n", "\r\n", "\n", " \r\n"])).encode()

    def strings(self):
        r, k = self.rng, lambda: self.key("s")
        return r.choice([
            lambda: ["GET", k()], lambda: ["SET", k(), self.value()],
            lambda: ["SET", k(), self.value()] + r.choice([["NX"], ["XX"], ["GET"], ["EX", self.far()], ["KEEPTTL"], ["NX", "GET"],
                                                           ["NX", "XX"], ["EX"], ["PXAT", 4102444800000], ["EX", 0]]),
            lambda: ["SETNX", k(), self.value()], lambda: ["SETEX", k(), r.choice([100000, 0, -1, "x"]), self.value()],
            lambda: ["PSETEX", k(), 100000000, self.value()], lambda: ["GETSET", k(), self.value()], lambda: ["GETDEL", k()],
            lambda: ["GETEX", k()] + self.maybe("EX", self.far()) + self.maybe("PERSIST", chance=0.2),
            lambda: ["GETRANGE", k(), self.number(), self.number()], lambda: ["SUBSTR", k(), self.number(), self.number()],
            lambda: ["SETRANGE", k(), r.choice([0, 1, 5, 100, -1, "x"]), self.value()], lambda: ["STRLEN", k()],
            lambda: ["APPEND", k(), self.value()], lambda: ["INCR", k()], lambda: ["DECR", k()],
            lambda: ["INCRBY", k(), self.number()], lambda: ["DECRBY", k(), self.number()],
            lambda: ["INCRBYFLOAT", k(), r.choice(["1.5", "-0.25", "3e2", "x", "inf"])], lambda: ["MGET"] + self.some(k),
            lambda: ["MSET"] + [w for _ in range(r.randrange(1, 4)) for w in (k(), self.value())], lambda: ["MSET", k()],
            lambda: ["MSETNX", k(), self.value(), k(), self.value()],
            lambda: ["LCS", self.key("b"), self.key("b")] + r.choice([[], ["LEN"], ["IDX"], ["IDX", "WITHMATCHLEN"], ["LEN", "IDX"]]),
        ])()

    def keys(self):
        r, k = self.rng, self.key
        ordered = [
            lambda: ["KEYS", r.choice(["*", "s*", "[hl]*", "nosuch", "?0"])],
            lambda: ["SCAN", r.choice([0, 0, 1, 5, "x", 7])] + self.maybe("COUNT", self.count()) + self.maybe("MATCH", "s*")
            + self.maybe("TYPE", "string", chance=0.2),
        ] if self.ordered else []
        shared = [
            lambda: ["DBSIZE"], lambda: ["FLUSHDB"] + self.maybe("ASYNC"), lambda: ["FLUSHALL"] + self.maybe("SYNC"),
            lambda: ["SWAPDB", r.randrange(3), r.randrange(3)], lambda: ["MOVE", k(), r.choice([0, 1, 2, 99])],
            lambda: ["COPY", k(), k(), "DB", r.choice([0, 1, 99])],
        ] if self.alone else []
        return r.choice(ordered + shared + [
            lambda: ["DEL"] + self.some(k), lambda: ["UNLINK"] + self.some(k), lambda: ["EXISTS"] + self.some(k),
            lambda: ["TYPE", k()], lambda: ["TOUCH"] + self.some(k),
            lambda: ["EXPIRE", k(), self.far()] + self.maybe(r.choice(["NX", "XX", "ZZ"])),
            lambda: ["EXPIREAT", k(), r.choice([4102444800, 4202444800]), r.choice(["GT", "LT"])],
            lambda: ["PEXPIRE", k(), 100000000], lambda: ["EXPIRE", k(), r.choice([0, -1, "x"])],
            lambda: ["EXPIREAT", k(), 4102444800], lambda: ["PEXPIREAT", k(), 4102444800000], lambda: ["EXPIREAT", k(), 1],
            lambda: ["EXPIRETIME", "nosuch"], lambda: ["PERSIST", k()], lambda: ["RENAME", k(), k()], lambda: ["RENAMENX", k(), k()],
            lambda: ["COPY", k(), k()] + self.maybe("REPLACE"), lambda: ["RESTORE", k(), 0, "no dump"],
            lambda: ["OBJECT", "ENCODING", k()], lambda: ["OBJECT", "REFCOUNT", k()], lambda: ["OBJECT", "FREQ", k()],
            lambda: ["OBJECT", "HELP"], lambda: ["SORT", self.key("l")] + self.maybe("ALPHA", chance=0.6) + self.maybe("DESC"),
            lambda: ["SORT", self.key("S"), "ALPHA", "LIMIT", 0, self.count()],
            lambda: ["SORT", self.key("l"), "ALPHA", "STORE", self.key("l")], lambda: ["SORT_RO", self.key("l"), "BY", "nosort"],
            lambda: ["SORT", self.key("z"), "BY", self.prefix + "s*", "GET", "#", "ALPHA"],
        ])()

    def lists(self):
        r, k = self.rng, lambda: self.key("l")
        side = lambda: r.choice(["LEFT", "RIGHT", "left", "up" if r.random() < 0.2 else "RIGHT"])
        return r.choice([
            lambda: ["LPUSH", k()] + self.some(self.value), lambda: ["RPUSH", k()] + self.some(self.value, 8),
            lambda: ["LPUSHX", k(), self.value()], lambda: ["RPUSHX", k(), self.value()],
            lambda: [r.choice(["LPOP", "RPOP"]), k()] + self.maybe(self.count()), lambda: ["LLEN", k()],
            lambda: ["LRANGE", k(), self.number(), self.number()], lambda: ["LRANGE", k(), 0, -1],
            lambda: ["LINDEX", k(), self.number()],
            lambda: ["LINSERT", k(), r.choice(["BEFORE", "AFTER", "x"]), self.member(), self.value()],
            lambda: ["LREM", k(), self.number(), self.member()], lambda: ["LSET", k(), self.number(), self.value()],
            lambda: ["LTRIM", k(), self.number(), self.number()],
            lambda: ["LPOS", k(), self.member()] + self.maybe("COUNT", self.count()) + self.maybe("RANK", self.number()),
            lambda: ["LMOVE", k(), k(), side(), side()], lambda: ["RPOPLPUSH", k(), k()],
            lambda: ["LMPOP", 2, k(), k(), side()] + self.maybe("COUNT", self.count()),
        ])()

    def hashes(self):
        r, k, f = self.rng, lambda: self.key("h"), self.member
        return r.choice([
            lambda: ["HSET", k()] + [w for _ in range(r.randrange(1, 5)) for w in (f(), self.value())],
            lambda: ["HSET", k(), f()], lambda: ["HMSET", k(), f(), self.value()], lambda: ["HGET", k(), f()],
            lambda: ["HMGET", k()] + self.some(f), lambda: ["HGETALL", k()], lambda: ["HDEL", k()] + self.some(f),
            lambda: ["HLEN", k()], lambda: ["HKEYS", k()], lambda: ["HVALS", k()], lambda: ["HEXISTS", k(), f()],
            lambda: ["HINCRBY", k(), f(), self.number()], lambda: ["HINCRBYFLOAT", k(), f(), "0.5"],
            lambda: ["HSETNX", k(), f(), self.value()], lambda: ["HSTRLEN", k(), f()],
            lambda: ["HSCAN", k(), 0] + self.maybe("COUNT", self.count()),
        ])()

    def sets(self):
        r, k, m = self.rng, lambda: self.key("S"), self.member
        return r.choice([
            lambda: ["SADD", k()] + self.some(m, 6), lambda: ["SADD", k()] + [r.randrange(50) for _ in range(4)],
            lambda: ["SREM", k()] + self.some(m), lambda: ["SMEMBERS", k()], lambda: ["SISMEMBER", k(), m()],
            lambda: ["SMISMEMBER", k()] + self.some(m), lambda: ["SCARD", k()], lambda: ["SMOVE", k(), k(), m()],
            lambda: [r.choice(["SINTER", "SUNION", "SDIFF"])] + self.some(k),
            lambda: [r.choice(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), k()] + self.some(k),
            lambda: ["SINTERCARD", 2, k(), k()] + self.maybe("LIMIT", self.count()),
            lambda: ["SSCAN", k(), 0] + self.maybe("MATCH", "m*"), lambda: ["SPOP", self.prefix + "nosuch"],
        ])()

    def sorted_sets(self):
        r, k, m = self.rng, lambda: self.key("z"), self.member
        with_scores = lambda: self.maybe("WITHSCORES", chance=0.5)
        return r.choice([
            lambda: ["ZADD", k()] + self.maybe(r.choice(["NX", "XX", "GT", "LT", "CH"]))
            + [w for _ in range(r.randrange(1, 5)) for w in (self.score(), m())],
            lambda: ["ZADD", k(), "INCR", self.score(), m()], lambda: ["ZINCRBY", k(), self.score(), m()],
            lambda: ["ZSCORE", k(), m()], lambda: ["ZMSCORE", k()] + self.some(m), lambda: ["ZCARD", k()],
            lambda: ["ZCOUNT", k(), self.bound(), self.bound()], lambda: ["ZRANK", k(), m()], lambda: ["ZREVRANK", k(), m()],
            lambda: ["ZRANGE", k(), self.number(), self.number()] + with_scores(), lambda: ["ZRANGE", k(), 0, -1] + with_scores(),
            lambda: ["ZRANGE", k(), self.bound(), self.bound(), "BYSCORE"] + self.maybe("LIMIT", 0, 2),
            lambda: ["ZREVRANGE", k(), self.number(), self.number()] + with_scores(),
            lambda: ["ZRANGEBYSCORE", k(), self.bound(), self.bound()] + with_scores(),
            lambda: ["ZREVRANGEBYSCORE", k(), self.bound(), self.bound()], lambda: ["ZRANGEBYLEX", k(), self.lex(), self.lex()],
            lambda: ["ZLEXCOUNT", k(), self.lex(), self.lex()], lambda: ["ZREM", k()] + self.some(m),
            lambda: ["ZREMRANGEBYRANK", k(), self.number(), self.number()],
            lambda: ["ZREMRANGEBYSCORE", k(), self.bound(), self.bound()],
            lambda: [r.choice(["ZPOPMIN", "ZPOPMAX"]), k()] + self.maybe(self.count()),
            lambda: ["ZMPOP", 1, k(), r.choice(["MIN", "MAX", "MID"])] + self.maybe("COUNT", self.count()),
            lambda: [r.choice(["ZUNION", "ZINTER", "ZDIFF"]), 2, k(), k()] + with_scores(),
            lambda: ["ZUNIONSTORE", k(), 2, k(), self.key("S"), "WEIGHTS", 2, "0.5"], lambda: ["ZINTERCARD", 2, k(), k()],
            lambda: ["ZINTERSTORE", k(), 2, k(), k(), "AGGREGATE", r.choice(["MIN", "MAX", "SUM", "AVG"])],
            lambda: ["ZRANGESTORE", k(), k(), 0, 2], lambda: ["ZSCAN", k(), 0], lambda: ["ZDIFFSTORE", k(), 2, k(), k()],
        ])()

    def streams(self):
        r, k, i = self.rng, lambda: self.key("x"), self.stream_id
        group, consumer = lambda: r.choice(["g1", "g2"]), lambda: r.choice(["c1", "c2"])
        return r.choice([
            lambda: ["XADD", k(), i(), "f", self.value()], lambda: ["XADD", k(), "MAXLEN", "~", 100, i(), "f", "v", "g", "w"],
            lambda: ["XADD", k(), "NOMKSTREAM", i(), "f", "v"], lambda: ["XADD", k(), i(), "odd"], lambda: ["XLEN", k()],
            lambda: ["XADD", k(), r.choice(["1000000-*", "2000000-*"]), "f", "v"],
            lambda: [r.choice(["XRANGE", "XREVRANGE"]), k()] + r.choice([["-", "+"], ["+", "-"], [i(), i()]])
            + self.maybe("COUNT", self.count()),
            lambda: ["XREAD"] + self.maybe("COUNT", self.count()) + ["STREAMS", k(), k(), r.choice(["0", "2-1"]), "0"],
            lambda: ["XREAD", "STREAMS", k(), "$"], lambda: ["XREAD", "STREAMS", k()], lambda: ["XDEL", k(), i()],
            lambda: ["XTRIM", k(), "MAXLEN", self.count()], lambda: ["XSETID", k(), "999-1"],
            lambda: ["XGROUP", "CREATE", k(), group(), r.choice(["0", "$", "2-1"])] + self.maybe("MKSTREAM", chance=0.7),
            lambda: ["XGROUP", "DESTROY", k(), group()], lambda: ["XGROUP", "CREATECONSUMER", k(), group(), consumer()],
            lambda: ["XGROUP", "DELCONSUMER", k(), group(), consumer()], lambda: ["XGROUP", "SETID", k(), group(), "0"],
            lambda: ["XREADGROUP", "GROUP", group(), consumer()] + self.maybe("COUNT", self.count()) + self.maybe("NOACK")
            + ["STREAMS", k(), r.choice([">", "0"])],
            lambda: ["XACK", k(), group(), i()], lambda: ["XPENDING", k(), group()], lambda: ["XINFO", "GROUPS", k()],
            lambda: ["XAUTOCLAIM", k(), group(), consumer(), 0, "0"] + self.maybe("JUSTID"), lambda: ["XINFO", "HELP"],
            lambda: ["XCLAIM", k(), group(), consumer(), 0, i(), i()],
        ])()

    def others(self):
        r = self.rng
        g, p, b = lambda: self.key("g"), lambda: self.key("p"), lambda: self.key("b")
        return r.choice([
            lambda: ["GEOADD", g(), r.choice(["13.361389", "15.1", "200"]), "38.115556", r.choice(_GEO)],
            lambda: ["GEODIST", g(), r.choice(_GEO), r.choice(_GEO), r.choice(["km", "m", "parsec"])],
            lambda: ["GEOHASH", g()] + self.some(lambda: r.choice(_GEO)), lambda: ["GEOPOS", g(), r.choice(_GEO), "nosuch"],
            lambda: ["GEOSEARCH", g(), "FROMLONLAT", 15, 37, "BYRADIUS", 400, "km", "ASC", "WITHCOORD", "WITHDIST"],
            lambda: ["GEORADIUS", g(), 15, 37, 200, "km", "ASC"], lambda: ["GEOSEARCHSTORE", g(), g(), "FROMMEMBER", "Rome",
                                                                           "BYBOX", 900, 900, "km"],
            lambda: ["PFADD", p()] + self.some(self.member), lambda: ["PFCOUNT"] + self.some(p), lambda: ["PFMERGE", p(), p()],
            lambda: ["SETBIT", b(), r.choice([0, 1, 7, 100, 4001, -1]), r.choice([0, 1, 1, 2])],
            lambda: ["GETBIT", b(), r.choice([0, 1, 7, 100])], lambda: ["BITCOUNT", b()] + self.maybe(0, -1),
            lambda: ["BITPOS", b(), r.choice([0, 1])], lambda: ["BITOP", r.choice(["AND", "OR", "XOR", "NOT"]), b(), b(), b()],
            lambda: ["BITFIELD", b(), "INCRBY", "u8", 0, 200, "GET", "i4", 2, "OVERFLOW", "FAIL", "INCRBY", "u2", 100, 3],
            lambda: ["BITFIELD_RO", b(), "GET", "u4", 0],
            lambda: [r.choice(["BLPOP", "BRPOP"]), self.key("l"), self.key("l"), self.short_timeout()],
            lambda: ["BLMOVE", self.key("l"), self.key("l"), "LEFT", "RIGHT", self.short_timeout()],
            lambda: ["BZPOPMIN", self.key("z"), self.short_timeout()],
            lambda: ["BLMPOP", self.short_timeout(), 1, self.key("l"), "LEFT"],
            lambda: ["XREAD", "BLOCK", r.choice([10, 20]), "STREAMS", self.key("x"), r.choice(["$", "0", "99999"])],
            lambda: ["XREADGROUP", "GROUP", "g1", "c1", "BLOCK", 10, "STREAMS", self.key("x"), ">"],
            lambda: ["WAIT", 0, 0], lambda: ["WAIT", r.choice([1, 2, -1, "x"]), r.choice([10, 20, -1])],
        ])()

    def scripts(self):
        r = self.rng
        script, keys = r.choice(_SCRIPTS)
        number = r.randrange(2)
        key = self.key(r.choice("shSz"))
        shared = [
            lambda: ["SCRIPT", "FLUSH"] + self.maybe(r.choice(["SYNC", "ASYNC", "X"])), lambda: ["FUNCTION", "LIST"],
            lambda: ["FUNCTION", "LOAD"] + self.maybe("REPLACE", chance=0.6) + [_LIBRARY % (number, number, number)],
            lambda: ["FUNCTION", "DELETE", f"lib{number}"], lambda: ["FUNCTION", "FLUSH"], lambda: ["FUNCTION", "DUMP"],
            lambda: ["FUNCTION", "LIST", "WITHCODE"], lambda: ["FCALL", f"f{number}", 1, key, self.value()],
            lambda: ["FCALL_RO", f"g{number}", 1, self.key("h")], lambda: ["FCALL_RO", f"f{number}", 0],
            lambda: ["SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "x"],
            lambda: ["EVALSHA", "fd758d1589d044dd850a6f05d52f2eefd27f033f", 1, key, "v"],
        ] if self.alone else [lambda: ["FCALL", "nosuch", 0]]
        return r.choice(shared + [
            lambda: ["EVAL", script, keys] + [key] * keys + self.some(self.value),
            lambda: ["EVAL", script, keys] + [key] * keys,
            lambda: ["EVAL_RO", script, keys] + [key] * keys + ["a"],
            lambda: ["SCRIPT", "LOAD", script], lambda: ["EVALSHA", "0" * 40, 0], lambda: ["EVALSHA", "short", 0],
            lambda: ["EVAL", "return 1", r.choice(["x", -1, 5])],
        ])()

    def generic(self):
        r = self.rng
        shared = [
            lambda: ["PUBLISH", r.choice(["ch1", "ch2", "news.a"]), self.value()], lambda: ["SPUBLISH", "shard1", self.value()],
            lambda: ["PUBSUB", "CHANNELS"], lambda: ["PUBSUB", "NUMSUB", "ch1", "ch2"], lambda: ["PUBSUB", "NUMPAT"],
            lambda: ["PUBSUB", "SHARDNUMSUB", "shard1"], lambda: ["ACL", "USERS"], lambda: ["ACL", "LIST"],
        ] if self.alone else []
        return r.choice(shared + [
            lambda: ["PING"], lambda: ["PING", self.value()], lambda: ["ECHO", self.value()], lambda: ["ECHO"],
            lambda: ["COMMAND", "COUNT"], lambda: ["COMMAND", "INFO", "get", "nosuch", "eval"],
            lambda: ["COMMAND", "GETKEYS", "MSET", "a", "b", "c", "d"], lambda: ["COMMAND", "DOCS", "get"],
            lambda: ["CONFIG", "GET", "maxmemory*"], lambda: ["CONFIG", "GET", "nosuch"], lambda: ["CONFIG", "SET", "nosuch", "1"],
            lambda: ["CONFIG", "SET", "slowlog-max-len", "100"], lambda: ["ACL", "WHOAMI"], lambda: ["ACL", "CAT", "geo"],
            lambda: ["READONLY"], lambda: ["CLUSTER", "INFO"], lambda: ["MODULE", "LIST"], lambda: ["ACL", "GETUSER", "default"],
            lambda: ["CLIENT", "GETNAME"], lambda: ["CLIENT", "GETREDIR"], lambda: ["CLIENT", "TRACKINGINFO"],
            lambda: ["ACL", "DRYRUN", "default", "get", "k"], lambda: ["CLIENT", "HELP"], lambda: ["ASKING"],
            lambda: ["CLIENT", "UNBLOCK", 999999999], lambda: ["CLIENT", "KILL", "ID", 999999999], lambda: ["LATENCY", "HELP"],
        ])()

    def connection(self):
        """What changes the meaning of the connection."""
        r = self.rng
        if r.random() < 0.05:
            return encode("CLIENT", "REPLY", r.choice(["SKIP", "ON", "x"]))
        channel = lambda: r.choice([self.prefix + "ch1", self.prefix + "ch2"])
        return encode(*r.choice([
            lambda: ["SELECT", r.choice([0, 0, 1, 2, 3, 15, 16, -1, "x"])], lambda: ["SELECT", r.choice([0, 1])],
            lambda: ["HELLO", 2], lambda: ["HELLO", 3], lambda: ["HELLO", 3], lambda: ["HELLO"], lambda: ["HELLO", r.choice([1, 4, "x"])],
            lambda: ["HELLO", 3, "SETNAME", r.choice(["n1", "bad name"])], lambda: ["HELLO", 2, "AUTH", "default", "wrong"],
            lambda: ["HELLO", 3, "NOSUCH"], lambda: ["HELLO", 3, "SETNAME"], lambda: ["HELLO", 3, "AUTH", "x"],
            lambda: ["CLIENT", "SETNAME", r.choice(["n2", "n3", "", "bad name", "n\n"])], lambda: ["CLIENT", "GETNAME"],
            lambda: ["CLIENT", "SETINFO", r.choice(["LIB-NAME", "LIB-VER", "x"]), r.choice(["lib", "1.0", "a b"])],
            lambda: ["CLIENT", "NO-EVICT", r.choice(["ON", "OFF", "x"])], lambda: ["CLIENT", "NO-TOUCH", r.choice(["ON", "OFF", "x"])],
            lambda: ["MULTI"], lambda: ["MULTI"], lambda: ["EXEC"], lambda: ["EXEC"], lambda: ["EXEC"], lambda: ["DISCARD"],
            lambda: ["WATCH", self.key()], lambda: ["WATCH", self.key(), self.key()], lambda: ["WATCH"], lambda: ["UNWATCH"],
            lambda: ["MULTI", "x"], lambda: ["SUBSCRIBE", channel()], lambda: ["UNSUBSCRIBE"] + self.maybe(channel(), chance=0.5),
            lambda: ["UNSUBSCRIBE"], lambda: ["PUNSUBSCRIBE"], lambda: ["SUNSUBSCRIBE"], lambda: ["SSUBSCRIBE", channel()],
            lambda: ["PSUBSCRIBE", self.prefix + "ch*"], lambda: ["RESET"], lambda: ["RESET"], lambda: ["RESET", "x"],
            lambda: ["AUTH", "wrong"], lambda: ["AUTH", "default", "wrong"],
            lambda: ["AUTH", "nosuch", "pw"], lambda: ["AUTH", "a", "b", "c"], lambda: ["CLIENT", "CACHING", "YES"],
            lambda: ["CLIENT", "TRACKING", "OFF"], lambda: ["QUIT"] if r.random() < 0.1 else ["PING"],
        ])())

    def loose_command(self):
        """One whose answer nobody can foretell."""
        r = self.rng
        k = self.key
        return encode(*r.choice([
            ["TIME"], ["CLIENT", "ID"], ["CLIENT", "INFO"], ["CLIENT", "LIST"], ["RANDOMKEY"], ["TTL", k()], ["PTTL", k()],
            ["SRANDMEMBER", k("S")], ["SRANDMEMBER", k("S"), 3], ["HRANDFIELD", k("h"), -5, "WITHVALUES"], ["ZRANDMEMBER", k("z"), 2],
            ["OBJECT", "IDLETIME", k()], ["MEMORY", "USAGE", k()], ["ACL", "GENPASS"], ["DUMP", k()],
            ["XINFO", "STREAM", k("x"), "FULL"], ["XINFO", "CONSUMERS", k("x"), "g1"], ["XPENDING", k("x"), "g1", "-", "+", 10],
            ["INFO"], ["LASTSAVE"], ["SLOWLOG", "LEN"], ["EXPIRETIME", k()], ["ROLE"],
        ]))
