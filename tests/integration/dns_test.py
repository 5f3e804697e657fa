#!/usr/bin/python3
"""Goal: DNS says who might exist; losing it, or having it late, harms nobody.
Method: stop and start dnsmasq around the lives of pods."""

import time

import scenario
from localhive import dns, faults


class DnsServer(scenario.Scenario):
    def test_down_for_a_while_changes_nothing(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        term = leader.status()["term"]
        self.hive.dns.process.kill()
        time.sleep(4)
        self.assertIs(self.hive.wait_writable(), leader)
        self.hive.dns.start()
        time.sleep(2)
        self.assertIs(self.hive.wait_writable(), leader)
        self.assertEqual(leader.status()["term"], term)

    def test_leader_lost_while_dns_is_down(self):
        leader = self.start_hive()
        self.write_dataset(leader)
        self.hive.dns.process.kill()
        time.sleep(1.5)
        faults.kill_redis(self.hive, leader, 0.05)
        self.hive.wait_writable()
        self.assert_dataset_lives()
        self.hive.dns.start()
        self.hive.wait_writable()

    def test_comes_after_the_coordinators(self):
        hive = self.new_hive()
        hive.pods += [hive._make_pod(hive.block.take()) for _ in range(3)]
        for pod in hive.pods:
            pod.start()
        self.wait_logged(hive.pods[0].coordinator, dns.NAME)
        time.sleep(2)
        self.assertIsNone(hive.leader())
        hive.dns.list(*(pod.ip for pod in hive.pods))
        hive.dns.start()
        hive.wait_writable(20)

    def test_lists_a_dead_ip(self):
        """A pod that died stays listed for a while, and must not stop anybody."""
        leader = self.start_hive()
        self.write_dataset(leader)
        leader.kill()
        self.hive.pods.remove(leader)
        self.hive.wait_writable()
        self.assert_dataset_lives()


scenario.main()
