"""What may differ between a redis-server and the same one behind the proxy. The whole list.

1. The number that HELLO names as the connection's id, and that CLIENT ID answers: they are the link's.
2. Times: TIME, the idle time of OBJECT, of CLIENT LIST, and of a stream's consumers; TTL and PTTL; ids that XADD * makes.
3. What redis draws by lot: RANDOMKEY, SRANDMEMBER, HRANDFIELD, ZRANDMEMBER, SPOP, ACL GENPASS.
4. CLIENT LIST, CLIENT INFO: addresses, ages and buffers of the proxy's connections.
5. MONITOR: the time and the address of a line; lines of the proxy's own commands, and of the test's, which nobody compares.
6. ACL DELUSER closes that user's clients at once; the proxy may do so when they next send something.

What is answered in 2 to 4 is asked for alone (a step that is `loose`), and then only the kind of the reply is compared.
"""

import re

_HELLO_ID = re.compile(rb"(\$2\r\nid\r\n:)\d+\r\n")
_STREAM_ID = re.compile(rb"\$15\r\n\d{13}-\d\r\n")
_MONITOR_LINE = re.compile(rb'\+\d{10}\.\d{6} \[(\d+) ([^\]]*)\] "([^"]*)"')


def masked(frame, loose):
    if loose:
        return frame[:1]
    frame = _HELLO_ID.sub(rb"\1N\r\n", frame)
    frame = _STREAM_ID.sub(rb"$15\r\nNOW\r\n", frame)
    line = _MONITOR_LINE.match(frame)
    if line:
        where = b"lua" if line[2] == b"lua" else b"ADDRESS"
        frame = b'+TIME [%s %s] "%s"' % (line[1], where, line[3]) + frame[line.end():]
    return frame


def is_noise(frame, data_commands):
    """A line of MONITOR that tells of a command which is no client's, or may be the proxy's."""
    line = frame[:1] == b"+" and _MONITOR_LINE.match(frame)
    return bool(line) and line[3].decode("latin-1").lower() not in data_commands
