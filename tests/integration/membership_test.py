#!/usr/bin/python3
"""Goal: pods come and go, the dataset stays.
Method: replace, add and remove whole pods by kill -9 and DNS, as a Deployment does, and count the keys everywhere."""

import scenario
from localhive import faults


class Membership(scenario.Scenario):
    def test_leaders_pod_replaced_by_a_new_ip(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        faults.replace_pod(self.hive, leader)
        after = self.hive.wait_writable(20)
        self.assert_dataset_lives()
        self.assert_all_agree(after)

    def test_followers_pod_replaced_by_a_new_ip(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        faults.replace_pod(self.hive, self.follower())
        self.assertIs(self.hive.wait_writable(20), leader)
        self.assert_dataset_lives()

    def test_every_pod_replaced_one_after_the_other(self):
        self.write_dataset(self.start_hive())
        for pod in list(self.hive.pods):
            faults.replace_pod(self.hive, pod)
            self.hive.wait_writable(20)
            self.wait_replicated()
        self.assert_dataset_lives()

    def test_fourth_pod_joins(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        self.hive.add_pod()
        self.assertIs(self.hive.wait_writable(20), leader, "a joining pod never takes the lead")
        self.assert_dataset_lives()
        self.assert_all_agree(leader)

    def test_down_to_one_and_up_again(self):
        self.write_dataset(self.start_hive())
        for _ in range(2):
            self.hive.remove_pod(self.hive.wait_settled())
            self.hive.wait_writable(20)
            self.wait_replicated()
        self.assert_dataset_lives()
        for _ in range(2):
            self.hive.add_pod()
        self.hive.wait_writable(20)
        self.assert_dataset_lives()

    def test_two_pods_vanish_at_once(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        doomed = [leader, self.follower()]
        for pod in doomed:
            pod.kill()
        for pod in doomed:
            self.hive.pods.remove(pod)
        self.hive.dns.list(*(pod.ip for pod in self.hive.pods))
        self.hive.wait_writable(20)
        self.assert_dataset_lives()

    def test_full_restart(self):
        """All at once, empty: nobody has the data any more, and the hive begins anew."""
        self.start_hive().write("before", "1")
        for pod in self.hive.pods:
            pod.kill()
        for pod in self.hive.pods:
            pod.start()
        leader = self.hive.wait_writable(20)
        self.assertIsNone(leader.read("before"))

    def test_everyone_restarts_empty_but_one(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        keeper = self.follower()
        for pod in self.hive.pods:
            if pod is not keeper:
                pod.kill()
        for pod in self.hive.pods:
            if pod is not keeper:
                pod.start()
        self.assertIs(self.hive.wait_writable(20), keeper, "the only one with data leads")
        self.assert_dataset_lives()


scenario.main()
