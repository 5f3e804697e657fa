#!/usr/bin/python3
"""Goal: a crowd of hostile clients does not keep the others from the new leader when the old one dies.
Method: a hive of two pods. One proxy has the crowd; its bystander's wait through the change is compared with that of a bystander at
the other one."""

import time

import rig
from localhive import addresses, faults, resp
from localhive.hive import LocalHive
from localhive.process import wait_until
from rig import KIB, MIB, Bystander

_CROWD = 400


class LeaderChange(rig.Rig):
    def setUp(self):
        hive = LocalHive(addresses.claim_test_block(), rig.BINARIES)
        self.addCleanup(hive.close)
        hive.start(2)
        self.hive, self.leader = hive, hive.wait_writable(20)
        self.follower = next(pod for pod in hive.pods if pod is not self.leader)
        self.proxy_address = (self.follower.ip, addresses.PROXY_PORT)
        self.proxy, self.password = self.follower.proxy, None

    def crowd(self):
        """What each of them sends is answered slowly, never, or not taken; or it is half a command."""
        requests = (resp.encode("GET", "big") * 20, resp.encode("BLPOP", "nothing", 0), resp.encode("SUBSCRIBE", "nobody"),
                    resp.encode("MONITOR"), resp.encode("SET", "half", "h" * 200 * KIB)[:-1], resp.encode("SET", "half", "h" * MIB)[:-1],
                    resp.encode("MULTI") + resp.encode("SET", "never", 1), resp.encode("WATCH", "big"),
                    resp.encode("INCR", "much") * 50, resp.encode("EVAL", "return 1", 0) * 50)
        crowd = []
        for i in range(_CROWD):
            client = self.raw(receive_buffer=16 * KIB)
            client.settimeout(0.5)
            try:
                client.sendall(requests[i % len(requests)])
            except OSError:
                pass
            crowd.append(client)
        return crowd

    def test_hostile_crowd_while_the_leaders_redis_dies(self):
        self.leader.write("big", "b" * 200 * KIB)
        crowd = self.crowd()
        served, control = Bystander(self.proxy_address), Bystander((self.leader.ip, addresses.PROXY_PORT))
        time.sleep(0.5)
        faults.kill_redis(self.hive, self.leader, 0.05)
        wait_until(lambda: self.hive.leader() not in (None, self.leader), 15, "another leader")
        time.sleep(1)
        served.end()
        control.end()
        rig.note(self, f"beside the crowd: {served}\n   at the other proxy: {control}")
        self.assertGreater(served.count, 50)
        self.assertLessEqual(served.errors, 1, f"the write in flight: {served.what}")
        self.assertLess(served.worst, control.worst + 2)
        del crowd
        self.hive.wait_settled()


rig.main()
