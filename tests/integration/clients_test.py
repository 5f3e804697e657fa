#!/usr/bin/python3
"""Goal: ordinary Redis clients need to know nothing of a hive.
Method: redis-cli, redis-py and ioredis write and read through proxies, also while the leader's redis is killed."""

import json
import os
import shutil
import subprocess
import time
import unittest

import redis

import scenario
from localhive import addresses, faults

_IOREDIS = os.path.join(scenario.NODE_CLIENTS, "node_modules", "ioredis")


class Clients(scenario.Scenario):
    def cli(self, pod, *words):
        run = subprocess.run(["redis-cli", "-h", pod.ip, "-p", str(addresses.PROXY_PORT), *words],
                             capture_output=True, text=True, timeout=20, check=True)
        return run.stdout.strip()

    def test_redis_cli(self):
        self.start_hive()
        follower = self.follower()
        self.assertEqual(self.cli(follower, "SET", "greeting", "hello"), "OK")
        self.assertEqual(self.cli(follower, "GET", "greeting"), "hello")
        self.assertEqual(self.cli(follower, "-3", "HSET", "h", "a", "1"), "1")
        # After its first synchronisation a replica of redis 7.0 gets nothing for up to a second.
        self.assertEqual(self.cli(follower, "WAIT", "2", "5000"), "2")
        faults.kill_redis(self.hive, self.hive.wait_settled(), 0.05)
        for pod in self.hive.pods:
            self.assertEqual(self.cli(pod, "GET", "greeting"), "hello")

    def test_redis_py(self):
        """With retries off, a client sees at most one error per connection: the write whose outcome nobody knows."""
        self.start_hive()
        client = redis.Redis(self.follower().ip, addresses.PROXY_PORT, socket_timeout=15)
        written, errors = [], []
        for i in range(1500):
            if i == 500:
                faults.kill_redis(self.hive, self.hive.leader(), 0.05)
            try:
                client.set(f"py:{i}", i)
                written.append(i)
            except redis.ConnectionError as error:
                errors.append(error)
        self.assertLessEqual(len(errors), 1)
        self.hive.wait_settled()
        pipeline = client.pipeline(transaction=True)
        pipeline.incr("counter").incr("counter")
        self.assertEqual(pipeline.execute(), [1, 2])
        self.assertEqual(client.mget([f"py:{i}" for i in written]), [str(i).encode() for i in written])

    @unittest.skipUnless(shutil.which("node") and os.path.isdir(_IOREDIS), "ioredis is not installed (tests/clients/README.md)")
    def test_ioredis(self):
        self.start_hive()
        node = subprocess.Popen(
            ["node", os.path.join(scenario.NODE_CLIENTS, "ioredis_writes.js"), self.follower().ip, str(addresses.PROXY_PORT), "1500"],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(node.kill)
        self.assertEqual(node.stdout.readline().strip(), "writing")
        time.sleep(0.2)
        faults.kill_redis(self.hive, self.hive.leader(), 0.05)
        outcome = json.loads(node.communicate(timeout=60)[0])
        self.assertLessEqual(len(outcome["errors"]), 1, outcome["errors"])
        self.assertGreaterEqual(outcome["acknowledged"], 1499)
        self.hive.wait_settled()
        self.assertEqual(outcome["readBack"], outcome["acknowledged"])


scenario.main()
