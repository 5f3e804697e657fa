#!/usr/bin/python3
"""Goal: what the checker must catch, it catches on real processes, through clients, history file and judge.
Method: a hive under load to which nothing happens, but that somebody deletes, appends and withholds behind its back. A machine that
cannot make network namespaces is told so, and the tests are skipped."""

import os
import sys
import unittest

from chaos import netns
from chaos.faults import NOTHING, Fault
from chaos.hive_stack import HiveStack
from chaos.runner import Session

BINARIES = os.environ["BINARIES"]


def run(do):
    """The record of one run in which `do` is the fault."""
    with Session(HiveStack, Fault("planted", "planted", do, may_lose=NOTHING), BINARIES, dataset_mb=0) as session:
        return session.run()


def newest(scene, client):
    """The number that the client has pushed last."""
    return int(scene.leader.redis("LRANGE", f"list:{scene.load.epoch}:{client}", -1, -1)[0])


def promises(record):
    return sorted(text.partition(":")[0] for text in record["broken"])


class Planted(unittest.TestCase):
    def test_each_plant_is_found_once(self):
        def behind_its_back(scene):
            scene.sleep(0.5)
            redis = scene.leader.redis
            self.assertEqual(redis("DEL", f"kv:1:{newest(scene, 1)}"), 1)
            twice = newest(scene, 2)
            redis("RPUSH", f"list:{scene.load.epoch}:2", twice)
            redis("DEL", "data:17")
            redis("RPUSH", f"list:{scene.load.epoch}:3", 0)
            scene.sleep(0.5)
        record = run(behind_its_back)
        self.assertEqual(promises(record), ["dataset lost", "duplicates", "invented", "writes lost"])
        self.assertEqual((record["lost"], record["dataset_missing"], record["errors"]), (1, 1, {}))

    def test_a_gap_is_measured(self):
        def pause(scene):
            scene.sleep(0.3)
            scene.leader.redis("CLIENT", "PAUSE", 400, "WRITE")
            scene.sleep(0.8)
        record = run(pause)
        self.assertEqual(record["broken"], [])
        self.assertAlmostEqual(record["gap"], 400, delta=150)

    def test_two_masters_are_found(self):
        """Not the hive's doing: the side that is cut off gets a redis in the place of its proxy that takes every write."""
        def second_master(scene):
            scene.cut_off = scene.followers[0]
            proxy, redis = scene.cut_off.parts["proxy"], scene.cut_off.parts["redis"]
            scene.stack.stop_serving(scene.cut_off)
            others = [pod for pod in scene.stack.pods if pod is not scene.cut_off]
            proxy.kill()
            impostor = type(proxy)("impostor", [
                "redis-server", "--bind", scene.cut_off.ip, "--port", str(scene.cut_off.endpoint[1]),
                "--protected-mode", "no", "--save", "", "--dir", scene.cut_off.folder,
            ], redis.log_path + ".impostor", scene.cut_off.namespace)
            impostor.start()
            scene.sleep(0.3)
            scene.load.spread({"a": [scene.cut_off.endpoint], "b": scene.stack.endpoints(others)})
            scene.sleep(0.3)
            scene.cut(netns.both_ways(*scene.sides()), reject=False)
            scene.sleep(3)
            scene.mend()
            impostor.kill()
            proxy.start()
            scene.sleep(2)
        record = run(second_master)
        self.assertIn("two writable leaders", promises(record))
        self.assertIn("writes lost", promises(record))
        self.assertGreater(record["overlap"], 500)


if __name__ == "__main__":
    try:
        netns.require()
    except netns.Unavailable as reason:
        print(f"hive: skipped: {reason}", file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=2)
