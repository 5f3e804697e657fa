#!/usr/bin/python3
"""Goal: pods that start for the first time agree on one leader, however they come, and take writes through every proxy.
Method: start them at once or one by one on empty redises, and watch all redises meanwhile: only one may ever be master."""

import scenario


class FirstStart(scenario.Scenario):
    def first_start(self, pods, one_by_one=0.0):
        hive = self.new_hive()
        with scenario.MasterWatch(hive) as watch:
            hive.start(pods, one_by_one)
            leader = hive.wait_writable(20)
        self.assertEqual(watch.masters, {leader.ip}, "redises that were a master at some time")
        self.assert_all_agree(leader)
        for pod in hive.pods:
            self.assertEqual(pod.write(f"from:{pod.ip}", pod.ip), "OK")
        for pod in hive.pods:
            self.assertEqual(pod.read(f"from:{hive.pods[0].ip}"), hive.pods[0].ip.encode())
            self.wait_healthy(pod, "readiness")
            self.wait_healthy(pod, "startup")

    def test_one_pod(self):
        self.first_start(1)

    def test_two_at_once(self):
        self.first_start(2)

    def test_three_at_once(self):
        self.first_start(3)

    def test_five_at_once(self):
        self.first_start(5)

    def test_two_one_by_one(self):
        self.first_start(2, one_by_one=1.0)

    def test_three_one_by_one(self):
        self.first_start(3, one_by_one=1.0)

    def test_five_one_by_one(self):
        self.first_start(5, one_by_one=1.0)

    def test_three_one_by_one_slowly(self):
        self.first_start(3, one_by_one=3.0)


scenario.main()
