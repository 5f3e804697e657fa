"""The little RESP (https://redis.io/docs/reference/protocol-spec/) that tests need: one request, one reply."""

import select
import socket


class ReplyError(Exception):
    """An error reply, e.g. "READONLY You can't write against a read only replica."."""


class ConnectionLost(Exception):
    """The connection broke after a request was sent: whether it was executed is unknown."""


class Connection:
    """One blocking connection. `timeout` (s) bounds connecting and each reply; `tls`: an ssl.SSLContext."""

    def __init__(self, ip, port, timeout=5.0, password=None, tls=None):
        self._socket = socket.create_connection((ip, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            try:
                self._socket = tls.wrap_socket(self._socket)
            except Exception:
                self.close()
                raise
        self._unread = b""
        if password:
            try:
                self.command("AUTH", password)
            except Exception:
                self.close()
                raise

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def closed_by_peer(self):
        """Whether the other side has closed, or sent what nobody asked for: what a pool checks before it lends one."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def command(self, *words):
        """Sends one command and returns its reply; raises ReplyError or ConnectionLost."""
        self.send_raw(encode(*words))
        return self.read_reply()

    def send_raw(self, request):
        try:
            self._socket.sendall(request)
        except OSError as error:
            raise ConnectionLost(f"sending failed: {error}") from error

    def read_reply(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._element() for _ in range(int(rest))]
        raise ConnectionLost(f"this is no RESP2 reply: {line!r}")

    def _element(self):
        try:
            return self.read_reply()
        except ReplyError as error:  # inside an array (EXEC) an error is a value
            return error

    def at_end(self):
        """Whether the peer has closed and everything it sent was read. Waits at most the timeout."""
        return not self._unread and self._receive() == b""

    def _line(self):
        while b"\r\n" not in self._unread:
            self._more()
        line, self._unread = self._unread.split(b"\r\n", 1)
        return line

    def _exactly(self, count):
        while len(self._unread) < count:
            self._more()
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def _more(self):
        received = self._receive()
        if not received:
            raise ConnectionLost("closed by the other side before a reply")
        self._unread += received

    def _receive(self):
        try:
            return self._socket.recv(65536)
        except socket.timeout as error:
            raise ConnectionLost("no reply in time") from error
        except OSError:
            return b""


def encode(*words):
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def ask(ip, port, *words, timeout=1.0, password=None, tls=None):
    """One command on a connection of its own; None if nobody answers."""
    try:
        with Connection(ip, port, timeout, password, tls) as connection:
            return connection.command(*words)
    except (OSError, ConnectionLost):
        return None
