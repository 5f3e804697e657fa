"""Which loopback addresses a local hive lives on.

All of 127.0.0.0/8 is this machine, so every pod can have an address and use the same ports as in a cluster.
"""

import errno
import os
import socket

REDIS_PORT = 6379
PROXY_PORT = 6380
COORDINATOR_PORT = 7400
PROXY_HEALTH_PORT = 7401
COORDINATOR_HEALTH_PORT = 7402
COORDINATOR_METRICS_PORT = 7410
PROXY_METRICS_PORT = 7411
DNS_PORT = 5300
POD_PORTS = (REDIS_PORT, PROXY_PORT, COORDINATOR_PORT, PROXY_HEALTH_PORT, COORDINATOR_HEALTH_PORT,
             COORDINATOR_METRICS_PORT, PROXY_METRICS_PORT)

_CLAIM_PORT = 5299  # bound on a block's DNS address for as long as a test owns the block


class Busy(Exception):
    """Somebody else listens where a pod should; the text is a sentence for the user."""


class Block:
    """One address for DNS and up to `size` consecutive ones for pods, handed out in order and never twice."""

    def __init__(self, prefix, dns_host, size):
        self.dns_ip = f"{prefix}.{dns_host}"
        self.pod_ips = [f"{prefix}.{dns_host + 1 + i}" for i in range(size)]
        self._next = 0
        self._claim = None

    def claim(self):
        """Keeps other tests away until release(); False if one is here already."""
        claim = socket.socket()
        try:
            claim.bind((self.dns_ip, _CLAIM_PORT))
        except OSError:
            claim.close()
            return False
        self._claim = claim
        return True

    def release(self):
        if self._claim:
            self._claim.close()

    def take(self):
        ip = self.pod_ips[self._next]
        self._next += 1
        return ip

    def require_free(self, pods):
        """Raises Busy if a port that the first `pods` pods or the DNS server need is taken."""
        wanted = [(self.dns_ip, DNS_PORT, socket.SOCK_DGRAM), (self.dns_ip, DNS_PORT, socket.SOCK_STREAM)]
        wanted += [(ip, port, socket.SOCK_STREAM) for ip in self.pod_ips[:pods] for port in POD_PORTS]
        for ip, port, kind in wanted:
            if not _free(ip, port, kind):
                protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
                raise Busy(f"port {port} ({protocol}) on {ip} is in use by {_user_of(ip, port, protocol)}: stop it, and run "
                           "this again.")


# What `./hive up` and `./hive demo` use; apart, so that a demo can run beside a hive that is up.
UP = ("127.0.0", 10, 9)
DEMO = ("127.0.0", 20, 9)


def claim_test_block():
    """A block that no other test on this machine uses, so that tests run side by side. LocalHive.close() releases it."""
    for number in range(1, 255):
        block = Block(f"127.20.{number}", 10, 200)
        if block.claim():
            return block
    raise Busy("all 254 address blocks for tests are in use: tests of an earlier run may still be running.")


def _free(ip, port, kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections in TIME_WAIT are no obstacle
        try:
            probe.bind((ip, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
            return True
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise


def _user_of(ip, port, protocol):
    """Who has the port open at this address, or at all, as far as /proc lets us see: other users' processes are hidden from all
    but root."""
    with open(f"/proc/net/{protocol}") as table:
        rows = [line.split() for line in table]
    taken = {f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}" for address in (ip, "0.0.0.0")}
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1] in taken and row[3] in ("0A", "07")}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") in sockets for fd in os.listdir(f"/proc/{pid}/fd")):
                with open(f"/proc/{pid}/comm") as name:
                    return f"{name.read().strip()} (process {pid})"
        except OSError:
            continue
    return "another program"
