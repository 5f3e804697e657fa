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
        self.base = 10000 + os.getpid() % 1900 * 10
        self.redis = (self.ip, self.base + 3)
        self._binaries = binaries
        self._proxy_flags = [f"--threads={threads}", *proxy_flags]
        self._processes = []
        self.control = None
        folder = self._folder.name
        path = lambda name: os.path.join(folder, name)
        with open(path("peer-secret"), "w") as secret:
            secret.write("none\n")  # the watch proves none
        with open(path("users.acl"), "w") as users:
            for user in ("hive", "control"):
                users.write(f"user {user} on >{PASSWORD} ~* &* +@all\n")
            users.write("user default on nopass ~* &* +@all\n")
        with open(path("password"), "w") as password:
            password.write(PASSWORD + "\n")
        redis = [redis_server, "--bind", self.ip, "--port", str(self.redis[1]), "--save", "", "--dir", folder, "--appendonly", "no",
                 "--enable-debug-command", "yes", "--activerehashing", "no", "--aclfile", path("users.acl"), *redis_flags]
        try:
            self._start("redis", redis, self.redis)
            self.proxy = self.start_proxy(self.base, self.redis)
        except Exception:
            print(self.logs())
            self.close()
            raise
        self.control = Control(self.redis)
        self.control.ask("AUTH", "control", PASSWORD)

    def start_proxy(self, port, redis):
        """A proxy at `port`, and a watch that names `redis` to it; uses two ports behind. Returns its address."""
        address, health, watch = [f"{self.ip}:{port + i}" for i in range(3)]
        self._start(f"watch-{port}", [os.path.join(self._binaries, "fake-leader-watch"), watch, f"{redis[0]}:{redis[1]}"])
        path = lambda name: os.path.join(self._folder.name, name)
        self._start(f"proxy-{port}", [os.path.join(self._binaries, "hive-proxy"), f"--listen={address}", f"--health-listen={health}",
                                      "--metrics-listen=", f"--coordinator={watch}", "--redis-user=hive", f"--redis-password-file={path('password')}",
                                      f"--peer-secret-file={path('peer-secret')}", *self._proxy_flags], (self.ip, port))
        return (self.ip, port)

    def _start(self, name, argv, address=None):
        """... and, where it has an address, waits until it answers there."""
        self._processes.append(Process(name, argv, os.path.join(self._folder.name, f"{name}.log")))
        self._processes[-1].start()
        if address:
            wait_until(lambda: self._answers(address), 10, f"{name} to answer")

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
