#!/usr/bin/python3
"""Goal: a redis that is killed and comes back empty, as a restarted container does, never costs the hive its dataset.
Method: kill -9 the redis, start it again in the same folder after 50 ms or 1 s, and count the keys everywhere; often."""

import time

import scenario
from localhive import faults

_TIMES = 10


class RedisKilled(scenario.Scenario):
    def kill_leaders_redis_again_and_again(self, back_after):
        self.write_dataset(self.start_hive())
        for i in range(_TIMES):
            with self.subTest(kill=i):
                before = self.hive.wait_settled()
                faults.kill_redis(self.hive, before, back_after)
                after = self.hive.wait_writable()
                self.assertIsNot(after, before, "an empty redis leads")
                self.assert_dataset_lives()
                self.wait_replicated()

    def test_leader_back_after_50_ms_10_times(self):
        self.kill_leaders_redis_again_and_again(0.05)

    def test_leader_back_after_1_s_10_times(self):
        self.kill_leaders_redis_again_and_again(1.0)

    def test_leader_back_at_once_10_times(self):
        self.kill_leaders_redis_again_and_again(0.0)

    def test_follower_back_after_50_ms(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        faults.kill_redis(self.hive, self.follower(), 0.05)
        self.assertIs(self.hive.wait_writable(), leader, "the leader stays when a follower's redis dies")
        self.assert_dataset_lives()

    def test_leader_of_two(self):
        self.write_dataset(self.start_hive(2))
        faults.kill_redis(self.hive, self.hive.wait_settled(), 0.05)
        self.hive.wait_writable()
        self.assert_dataset_lives()

    def test_only_pod_starts_anew(self):
        """With nobody left who has the data, the hive goes on empty instead of not at all."""
        leader = self.start_hive(1)
        leader.write("before", "1")
        faults.kill_redis(self.hive, leader, 0.05)
        self.hive.wait_writable(20)
        self.assertIsNone(leader.read("before"))

    def test_redis_stays_away(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        leader.redis.kill()
        time.sleep(3)
        others = [pod for pod in self.hive.pods if pod is not leader]
        self.assertEqual(leader.write("through-the-pod-without-redis", "1"), "OK")
        self.assertEqual(len([p for p in others if p.redis.role()[0] == "master"]), 1)
        leader.redis.start()
        self.hive.wait_writable()
        self.assert_dataset_lives()


scenario.main()
