"""Redis Hive behind the interface of stack.py: localhive's pod in a namespace, dnsmasq in another as the headless service."""

import os
import signal

from localhive import addresses, pod as localpod, resp
from localhive.binary import help_of, supported
from localhive.dns import Dns

from .stack import COORDINATOR, PROXY, REDIS, Pod, Stack, Unsupported, digest_of

_DRAIN = "3s"  # of a terminated proxy; long beside DISCOVERY_LAG, short beside the default, so that a rolling replacement is quick


class HivePod(Pod):
    def __init__(self, namespace, folder, binaries, dns_endpoint, proxy_flags):
        super().__init__(namespace, folder)
        self._local = localpod.Pod(self.ip, folder, binaries, dns_endpoint, proxy_flags=proxy_flags, where=namespace)

    @property
    def parts(self):
        return {REDIS: self._local.redis, COORDINATOR: self._local.coordinator, PROXY: self._local.proxy}

    @property
    def endpoint(self):
        return (self.ip, addresses.PROXY_PORT)

    def start(self):
        self._local.start()

    def ready(self):
        return (self._local.healthy("readiness", addresses.PROXY_HEALTH_PORT)
                and self._local.healthy("readiness", addresses.COORDINATOR_HEALTH_PORT))

    def terminate(self):
        """Coordinator and proxy are the main containers and get SIGTERM at one moment; redis, a native sidecar, when both have ended."""
        for part in (COORDINATOR, PROXY):
            self.parts[part].signal(signal.SIGTERM)
        while self.parts[COORDINATOR].alive() or self.parts[PROXY].alive():
            yield
        self.parts[REDIS].signal(signal.SIGTERM)
        while self.parts[REDIS].alive():
            yield

    def redis(self, *words, timeout=1.0):
        with self.namespace.inside():
            return resp.ask(self.ip, addresses.REDIS_PORT, *words, timeout=timeout)

    def status(self):
        """What its coordinator says, None without an answer."""
        return self._local.status()

    def hand_over(self):
        return self._local.coordinator_command("handover")  # of the coordinator on this pod's loopback: it obeys no one else


class HiveStack(Stack):
    name = "hive"
    title = "Redis Hive"

    def __init__(self, network, folder, binaries, write_acks=0):
        super().__init__(network, folder, binaries)
        self._proxy_flags = supported(binaries, "hive-proxy", {"drain-timeout": _DRAIN})
        if write_acks:
            self._proxy_flags.append(f"--write-acks={write_acks}")
        namespace = network.add("dns")
        self.discovery = [namespace]
        self._dns = Dns(folder, namespace.ip, namespace)

    @staticmethod
    def unavailable_options(binaries, options):
        if options.get("write_acks") and not supported(binaries, "hive-proxy", {"write-acks": 1}):
            return "hive-proxy has no --write-acks"
        return None

    @classmethod
    def build(cls, binaries):
        return digest_of(os.path.join(binaries, name) for name in ("hive-coordinator", "hive-proxy"))

    @classmethod
    def versions(cls, binaries):
        return f"Redis Hive (build {cls.build(binaries)})"

    def make_pod(self, namespace, folder):
        return HivePod(namespace, folder, self.binaries, self._dns.endpoint, self._proxy_flags)

    def start_discovery(self):
        self._dns.start()

    def stop_discovery(self):
        self._dns.process.kill()

    def list_pods(self, ips):
        self._dns.list(*ips)

    def hand_over(self):
        answer = self.leader().hand_over()
        if answer.returncode == 0:
            return
        if "handover" not in help_of(self.binaries, "hive-coordinator"):
            raise Unsupported("hive-coordinator has no handover")
        raise RuntimeError(f"hive-coordinator handover: exit {answer.returncode}: {answer.stderr.strip() or answer.stdout.strip()}")

    def close(self):
        super().close()
        self._dns.process.kill()
