"""dnsmasq in the role of a headless service: one name that lists the pods' addresses."""

import os
import signal
import socket
import struct

from . import addresses
from .process import HERE, Process, StartFailed, wait_until

NAME = "hive-peers.test"


class Dns:
    """Answers `name` with `ips`; while that list is empty, with "no such name", as a headless service without pods does."""

    def __init__(self, folder, ip, where=HERE, name=NAME, port=addresses.DNS_PORT):
        self.endpoint = f"{ip}:{port}"
        self.ips = []
        self._ip = ip
        self._name = name
        self._port = port
        self._hosts = os.path.join(folder, "hosts")
        self._write()
        self.process = Process("dnsmasq", [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll",
            f"--addn-hosts={self._hosts}", f"--local=/{name.rpartition('.')[2]}/", f"--listen-address={ip}",
            "--bind-interfaces", f"--port={port}", "--pid-file=", "--log-facility=-",
            *(["--user=root", "--group=root"] if os.geteuid() == 0 else []),
        ], os.path.join(folder, "dnsmasq.log"), where)

    def start(self):
        self.process.start()

        def answers():
            if not self.process.alive():
                raise StartFailed(f"dnsmasq ended at once: {self.process.log_tail(3).strip()}")
            return self._lists()
        wait_until(answers, 5, f"dnsmasq to answer on {self.endpoint}")

    def list(self, *ips):
        """Makes the name list exactly `ips`. A running dnsmasq answers so before this returns."""
        self.ips = list(ips)
        self._write()
        if self.process.alive():
            self.process.signal(signal.SIGHUP)
            wait_until(self._lists, 5, f"dnsmasq to list {ips}")

    def resolve(self):
        """What the server answers now, asked as a resolver would; None if it does not answer."""
        question = b"".join(bytes([len(label)]) + label.encode() for label in self._name.split(".")) + b"\0"
        query = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + question + struct.pack(">2H", 1, 1)
        try:  # over TCP: thirty addresses do not fit into a UDP answer
            with self.process.where.inside():
                s = socket.create_connection((self._ip, self._port), 0.5)
            with s, s.makefile("rb") as answers:
                s.sendall(struct.pack(">H", len(query)) + query)
                answer = answers.read(struct.unpack(">H", answers.read(2))[0])
        except (OSError, struct.error):
            return None
        count = struct.unpack(">H", answer[6:8])[0]
        record = 12 + len(question) + 4
        found = []
        for _ in range(count):  # each: pointer to the name, type, class, TTL, length, address
            found.append(socket.inet_ntoa(answer[record + 12:record + 16]))
            record += 16
        return found

    def _lists(self):
        found = self.resolve()
        return found is not None and sorted(found) == sorted(self.ips)

    def _write(self):
        with open(self._hosts, "w") as hosts:
            hosts.writelines(f"{ip} {self._name}\n" for ip in self.ips)
