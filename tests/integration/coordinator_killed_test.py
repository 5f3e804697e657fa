#!/usr/bin/python3
"""Goal: losing coordinators costs neither data nor the way to the leader.
Method: kill -9 coordinators while their redises live, bring them back soon, late or all at once, and write meanwhile."""

import time

import scenario
from localhive import faults
from localhive.load import WriteLoad


class CoordinatorKilled(scenario.Scenario):
    def test_of_the_leader_back_after_1_s(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        faults.kill_coordinator(self.hive, leader, 1.0)
        self.hive.wait_writable()
        self.assert_dataset_lives()

    def test_of_the_leader_stays_away(self):
        """The pod's proxy finds the new leader through another member's coordinator, and the old redis is demoted."""
        leader = self.start_hive()
        self.write_dataset(leader)
        leader.coordinator.kill()
        time.sleep(1)
        self.assertEqual(leader.write("through-the-pod-without-coordinator", "1"), "OK")
        after = self.hive.wait_settled(20)
        self.assertIsNot(after, leader)
        self.assert_dataset_lives()
        leader.coordinator.start()
        self.hive.wait_writable()
        self.assert_dataset_lives()

    def test_of_a_follower(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        faults.kill_coordinator(self.hive, self.follower(), 0.5)
        self.assertIs(self.hive.wait_writable(), leader)
        self.assert_dataset_lives()

    def test_of_everyone_while_redis_lives(self):
        self.write_dataset(self.start_hive())
        for pod in self.hive.pods:
            pod.coordinator.kill()
        for pod in self.hive.pods:
            pod.coordinator.start()
        self.hive.wait_writable(20)
        self.assert_dataset_lives()

    def test_frozen_for_three_seconds(self):
        """SIGSTOP is silence, not proof: another leads after leader_timeout, and one leader remains after SIGCONT."""
        leader = self.start_hive()
        self.write_dataset(leader)
        leader.coordinator.freeze()
        time.sleep(3)
        leader.coordinator.thaw()
        self.hive.wait_writable(20)
        self.assert_dataset_lives()

    def test_restarted_politely_under_load(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        with WriteLoad(lambda: [pod.ip for pod in self.hive.pods]) as load:
            time.sleep(0.5)
            self.assertTrue(leader.coordinator.terminate(10), "the coordinator ends by itself on SIGTERM")
            leader.coordinator.start()
            time.sleep(1)
            load.stop()
            self.hive.wait_writable()
        self.assert_dataset_lives()
        self.assertGreater(load.acknowledged, 100)


scenario.main()
