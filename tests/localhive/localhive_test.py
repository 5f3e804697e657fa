#!/usr/bin/python3
"""Goal: the judge of lost writes and gaps can be trusted, and what `./hive up` refuses is told.
Method: redises alone. One in the proxy's place takes the writes, one in the leader's place replicates it or does not:
so writes that are lost are planted, and must be counted."""

import socket
import subprocess
import time
import unittest

from localhive import addresses, load, pod, resp
from localhive.dns import Dns
from localhive.hive import LocalHive
from localhive.process import wait_until


class Judge(unittest.TestCase):
    def setUp(self):
        self.hive = LocalHive(addresses.claim_test_block(), "/nowhere")
        self.addCleanup(self.hive.close)
        self.ip = self.hive.block.take()

    def start_redis(self, folder, port, master):
        redis = pod.Redis(f"{self.hive.folder}/{folder}", self.ip, settings={"port": port, "replicaof": master})
        redis.start()
        self.addCleanup(redis.kill)
        wait_until(lambda: resp.ask(self.ip, port, "ROLE"), 5, "redis")

    def write_for_a_while(self):
        with load.WriteLoad(lambda: [self.ip], clients=2) as writes:
            time.sleep(0.3)
            writes.stop()
        self.assertGreater(writes.acknowledged, 20)
        return writes

    def test_finds_exactly_what_was_lost(self):
        self.start_redis("proxy", addresses.PROXY_PORT, ("no", "one"))
        self.start_redis("leader", addresses.REDIS_PORT, (self.ip, addresses.PROXY_PORT))
        wait_until(lambda: b"connected" in resp.ask(self.ip, addresses.REDIS_PORT, "ROLE"), 5, "the link")
        writes = self.write_for_a_while()
        wait_until(lambda: not writes.lost(self.ip), 2, "nothing to be missing")
        resp.ask(self.ip, addresses.PROXY_PORT, "DEL", "load:0:3", "load:1:5")
        resp.ask(self.ip, addresses.PROXY_PORT, "SET", "load:1:7", "another value")
        wait_until(lambda: sorted(writes.lost(self.ip)) == ["load:0:3", "load:1:5", "load:1:7"], 2, "the planted losses")

    def test_everything_is_lost_on_an_empty_redis(self):
        self.start_redis("proxy", addresses.PROXY_PORT, ("no", "one"))
        self.start_redis("leader", addresses.REDIS_PORT, ("no", "one"))
        writes = self.write_for_a_while()
        self.assertEqual(len(writes.lost(self.ip)), writes.acknowledged)

    def test_gaps(self):
        self.assertEqual(load._longest_gap([1.0, 2.0, 2.5], since=1.5, until=3.5), 1.0)
        self.assertEqual(load._longest_gap([], since=1.0, until=3.0), 2.0)
        self.assertEqual(load._longest_gap([1.0, 5.0], since=1.1, until=4.9), 3.8000000000000003)


class Addresses(unittest.TestCase):
    def test_busy_port_is_named_with_its_user(self):
        block = addresses.claim_test_block()
        self.addCleanup(block.release)
        block.require_free(3)
        with socket.create_server((block.pod_ips[1], addresses.PROXY_PORT)):
            with self.assertRaisesRegex(addresses.Busy, rf"{addresses.PROXY_PORT} .*{block.pod_ips[1]}.*python"):
                block.require_free(3)

    def test_who_has_the_same_port_elsewhere_is_not_blamed(self):
        block = addresses.claim_test_block()
        self.addCleanup(block.release)
        port = addresses.PROXY_PORT
        redis = subprocess.Popen(["redis-server", "--bind", block.pod_ips[1], "--port", str(port), "--save", ""], stdout=subprocess.DEVNULL)
        self.addCleanup(redis.wait)
        self.addCleanup(redis.kill)
        with socket.create_server((block.pod_ips[5], port)):
            wait_until(lambda: resp.ask(block.pod_ips[1], port, "PING"), 5, "redis")
            with self.assertRaisesRegex(addresses.Busy, rf"{port} .*{block.pod_ips[1]}.*redis"):
                block.require_free(3)

    def test_blocks_differ(self):
        one, other = addresses.claim_test_block(), addresses.claim_test_block()
        self.addCleanup(one.release)
        self.addCleanup(other.release)
        self.assertNotEqual(one.dns_ip, other.dns_ip)


class HeadlessService(unittest.TestCase):
    def test_lists_what_it_is_told(self):
        with LocalHive(addresses.claim_test_block(), "/nowhere") as hive:
            dns = Dns(hive.folder, hive.block.dns_ip)
            dns.list("127.0.0.1")
            dns.start()
            self.addCleanup(dns.process.kill)
            dns.list("127.0.0.2", "127.0.0.3")
            self.assertEqual(sorted(dns.resolve()), ["127.0.0.2", "127.0.0.3"])
            dns.process.kill()
            self.assertIsNone(dns.resolve())


if __name__ == "__main__":
    unittest.main()
