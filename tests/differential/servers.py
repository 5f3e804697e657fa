"""The redis-server and the proxy that are compared, on an address of their own; they end with this process."""

import os
import socket
import tempfile

from localhive.process import Process, wait_until

from .wire import Splitter, encode

PASSWORD = "of-the-tests-own-users"


class Control:
    """A connection of the test's own to redis, for what is no part of a conversation. Its user is nobody's else."""

    def __init__(self, address):
        self._socket = socket.create_connection(address, 5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._splitter = Splitter()

    def close(self):
        self._socket.close()

    def ask(self, *words):
        """The reply's bytes."""
        self._socket.sendall(encode(*words))
        while True:
            received = self._socket.recv(1 << 16)
            if not received:
                raise ConnectionError("redis-server has ended")
            frames = self._splitter.feed(received)
            if frames:
                return frames[0]

    def text(self, *words):
        """A bulk reply's text, or an array's words."""
        frame = self.ask(*words)
        return frame.split(b"\r\n", 1)[1].decode(errors="replace")


class Servers:
    """redis-server, the proxy in front of it, and a watch that names it as the leader for ever."""

    def __init__(self, binaries, redis_server="redis-server", threads=1, redis_flags=(), proxy_flags=()):
        self._folder = tempfile.TemporaryDirectory(prefix="hive-differential-")
        self.ip = f"127.0.33.{1 + os.getpid() % 250}"
        base = 10000 + os.getpid() % 1900 * 10
        self.proxy, health, watch, self.redis = [(self.ip, base + i) for i in range(4)]
        folder = self._folder.name
        path = lambda name: os.path.join(folder, name)
        endpoint = lambda address: f"{address[0]}:{address[1]}"
        with open(path("peer-secret"), "w") as secret:
            secret.write("none\n")  # the watch proves none
        with open(path("users.acl"), "w") as users:
            for user in ("hive", "control"):
                users.write(f"user {user} on >{PASSWORD} ~* &* +@all\n")
            users.write("user default on nopass ~* &* +@all\n")
        with open(path("password"), "w") as password:
            password.write(PASSWORD + "\n")
        self._processes = [
            Process("redis", [redis_server, "--bind", self.ip, "--port", str(self.redis[1]), "--save", "", "--dir", folder, "--appendonly", "no",
                              "--enable-debug-command", "yes", "--activerehashing", "no", "--aclfile", path("users.acl"), *redis_flags], path("redis.log")),
            Process("watch", [os.path.join(binaries, "fake-leader-watch"), endpoint(watch), endpoint(self.redis)], path("watch.log")),
            Process("proxy", [os.path.join(binaries, "hive-proxy"), f"--listen={endpoint(self.proxy)}", f"--health-listen={endpoint(health)}",
                              f"--coordinator={endpoint(watch)}", f"--threads={threads}", "--redis-user=hive", f"--redis-password-file={path('password')}",
                              f"--peer-secret-file={path('peer-secret')}", *proxy_flags], path("proxy.log")),
        ]
        self.control = None
        try:
            for process in self._processes:
                process.start()
            wait_until(lambda: self._answers(self.redis), 10, "redis-server to answer")
            wait_until(lambda: self._answers(self.proxy), 10, "the proxy to answer")
        except Exception:
            print(self.logs())
            self.close()
            raise
        self.control = Control(self.redis)
        self.control.ask("AUTH", "control", PASSWORD)

    def _answers(self, address):
        try:
            control = Control(address)
        except OSError:
            return False
        try:
            return control.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False
        finally:
            control.close()

    def alive(self):
        return all(process.alive() for process in self._processes)

    def logs(self):
        return "\n".join(f"{process.name}:\n{process.log_tail(20)}" for process in self._processes)

    def close(self):
        if self.control:
            self.control.close()
        for process in reversed(self._processes):
            process.kill()
        self._folder.cleanup()
