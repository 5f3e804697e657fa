"""Clients that write without pause and remember what was acknowledged, and the judge of what became of it."""

import threading
import time
from collections import Counter

from . import resp
from .addresses import PROXY_PORT, REDIS_PORT

_BATCH = 1000  # keys per MGET of the judge


class WriteLoad:
    """`clients` threads, each writing keys of its own one after the other through the proxies in `ips()`.

    A client behaves as a pooled one does: it looks whether its connection was closed before it uses it, and then takes
    another; it never repeats a write whose outcome it does not know, but goes on with the next key. Each begins at another
    proxy, and moves to the next one when a connection breaks or is refused.
    """

    def __init__(self, ips, clients=4, pause=0.001, password=None, tls=None):
        """`tls`: an ssl.SSLContext, where proxies and redis speak it to everybody."""
        self._ips = ips
        self._pause = pause
        self._password = password
        self._tls = tls
        self._stop = threading.Event()
        self._clients = [_Client(self, number) for number in range(clients)]
        self._threads = [threading.Thread(target=client.run, daemon=True) for client in self._clients]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, error, *_):
        self._stop.set()
        if error is None:  # else a client may be waiting for a hive that is being torn down
            self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self):
        return sum(len(client.acks) for client in self._clients)

    def longest_gap(self, since, until):
        """The longest time (s) within [since, until] (time.monotonic) in which no client's write was acknowledged."""
        return _longest_gap(sorted(t for client in self._clients for t, _ in list(client.acks)), since, until)

    def worst_client_gap(self, since, until):
        """The same for the one client that waited longest between two acknowledgements of its own."""
        return max(_longest_gap([t for t, _ in list(client.acks)], since, until) for client in self._clients)

    def errors(self, since=0.0):
        """What clients were told instead of an acknowledgement, counted by text."""
        return Counter(text for client in self._clients for t, text in list(client.errors) if t >= since)

    def lost(self, leader_ip, since=0.0):
        """Keys acknowledged after `since` that the leader's redis does not have. Call it when the hive is settled."""
        keys = [key for client in self._clients for t, key in list(client.acks) if t >= since]
        missing = []
        with resp.Connection(leader_ip, REDIS_PORT, 30.0, self._password, self._tls) as redis:
            for i in range(0, len(keys), _BATCH):
                batch = keys[i:i + _BATCH]
                missing += [key for key, value in zip(batch, redis.command("MGET", *batch)) if value != key.encode()]
        return missing


class _Client:
    """One thread's part. `acks` and `errors` only grow; others read copies of them."""

    def __init__(self, load, number):
        self._load = load
        self._number = number
        self._proxy = number
        self._connection = None
        self.acks = []  # (when, key)
        self.errors = []  # (when, text)

    def run(self):
        count = 0
        while not self._load._stop.is_set():
            if not self._connected():
                time.sleep(0.005)
                continue
            count += 1
            self._write(f"load:{self._number}:{count}")
            time.sleep(self._load._pause)
        self._drop()

    def _connected(self):
        if self._connection and self._connection.closed_by_peer():
            self._drop()
        if self._connection:
            return True
        ips = self._load._ips()
        if not ips:
            return False
        try:
            self._connection = resp.Connection(ips[self._proxy % len(ips)], PROXY_PORT, 20.0, self._load._password, self._load._tls)
            return True
        except (OSError, resp.ConnectionLost, resp.ReplyError):
            self._proxy += 1
            return False

    def _write(self, key):
        try:
            self._connection.command("SET", key, key)
            self.acks.append((time.monotonic(), key))
        except resp.ReplyError as error:
            self.errors.append((time.monotonic(), str(error)))
        except resp.ConnectionLost:
            self.errors.append((time.monotonic(), "connection closed, outcome unknown"))
            self._drop()
            self._proxy += 1

    def _drop(self):
        if self._connection:
            self._connection.close()
        self._connection = None


def _longest_gap(times, since, until):
    """The window's edges count as acknowledgements: a gap that began before it is measured from its beginning."""
    inside = [since] + [t for t in times if since < t < until] + [until]
    return max(later - earlier for earlier, later in zip(inside, inside[1:]))
