#!/usr/bin/python3
"""Goal: a hive whose redises want a password works from the start, and its clients authenticate as with one redis.
Method: requirepass on every redis, the password file for coordinators and proxies, and the usual kill."""

import scenario
from localhive import faults, resp
from localhive.addresses import PROXY_PORT
from localhive.load import WriteLoad

_PASSWORD = "a secret with spaces"


class Password(scenario.Scenario):
    def test_hive_with_a_password(self):
        leader = self.start_hive(password=_PASSWORD)
        for i in range(100):
            leader.write(f"key:{i}", i)
        faults.kill_redis(self.hive, leader, 0.05)
        after = self.hive.wait_writable()
        self.assertEqual(after.read("key:99"), b"99")

    def test_load_survives_the_leaders_redis(self):
        leader = self.start_hive(password=_PASSWORD)
        with WriteLoad(lambda: [pod.ip for pod in self.hive.pods], password=_PASSWORD) as load:
            outcome = faults.observe(self.hive, load, "redis", lambda hive, pod: faults.kill_redis(hive, pod, 0.05))
        self.assertNotEqual(outcome.leader_after, leader.ip)
        self.assertLess(outcome.gap, 5)

    def test_client_without_the_password_gets_what_redis_says(self):
        leader = self.start_hive(password=_PASSWORD)
        with resp.Connection(leader.ip, PROXY_PORT) as proxy:
            with self.assertRaisesRegex(resp.ReplyError, "^NOAUTH"):
                proxy.command("SET", "key", "value")
            with self.assertRaisesRegex(resp.ReplyError, "^WRONGPASS"):
                proxy.command("AUTH", "wrong")
            self.assertEqual(proxy.command("AUTH", _PASSWORD), "OK")
            self.assertEqual(proxy.command("SET", "key", "value"), "OK")


scenario.main()
