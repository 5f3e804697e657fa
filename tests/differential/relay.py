"""A wire between a client and redis-server, or between the proxy and redis-server, that does to the bytes what a test wants."""

import socket
import threading


class Relay:
    """Listens at `address`. The hooks get a whole chunk, and return the pieces in which it goes on, one by one."""

    def __init__(self, address, target, on_request=lambda data: [data], on_reply=lambda data: [data]):
        self._listener = socket.create_server(address)
        self.address = self._listener.getsockname()
        self._target = target
        self._hooks = (on_request, on_reply)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        """All clients have gone."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there = threading.Thread(target=self._carry, args=(client, server, self._hooks[0]), daemon=True)
            self._threads += [there, threading.Thread(target=self._carry, args=(server, client, self._hooks[1], there), daemon=True)]
            for thread in self._threads[-2:]:
                thread.start()

    @staticmethod
    def _carry(source, target, hook, other=None):
        try:
            while data := source.recv(1 << 16):
                for piece in hook(data):
                    target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, target):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        if other:
            other.join()
            source.close()
            target.close()
