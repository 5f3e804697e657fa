#!/usr/bin/python3
"""Goal: leadership moves on purpose without losing a write and without an error: by `hive-coordinator handover`, asked of any member,
and by SIGTERM; where it cannot, people read why. Method: a real hive under load."""

import time

import scenario
from localhive import addresses
from localhive.load import WriteLoad
from localhive.process import wait_until

GAP_S = 1.0  # what a loaded machine may take; docs/benchmarks.md says what an idle one takes


class Handover(scenario.Scenario):
    def ask(self, pod, *words):
        return pod.coordinator_command("handover", f"--target={pod.ip}:{addresses.COORDINATOR_PORT}", *words)

    def load(self):
        return WriteLoad(lambda: [pod.ip for pod in self.hive.pods])

    def assert_moved(self, load, begun, old):
        """Another one leads, nobody noticed, nothing is lost. Returns the new leader."""
        time.sleep(0.5)
        ended = time.monotonic()
        load.stop()
        leader = self.hive.wait_writable()
        self.assertIsNot(leader, old)
        self.assertEqual(load.errors(), {})
        self.assertEqual(load.lost(leader.ip), [])
        self.assertLess(load.longest_gap(begun, ended), GAP_S)
        return leader

    def test_asked_of_the_leader_under_load(self):
        old = self.start_hive()
        with self.load() as load:
            time.sleep(0.5)
            begun = time.monotonic()
            run = self.ask(old)
            self.assertEqual(run.returncode, 0, run.stderr)
            leader = self.assert_moved(load, begun, old)
        self.assertRegex(run.stdout, rf"^{leader.ip} leads, term [0-9]+")

    def test_asked_of_a_follower_for_a_certain_one(self):
        old = self.start_hive()
        first, second = self.follower(0), self.follower(1)
        for wanted in (second, first, old):
            run = self.ask(first, f"--to={wanted.ip}")
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIn(wanted.ip, run.stdout)
            self.assertIs(self.hive.wait_writable(), wanted)
            self.hive.wait_settled()

    def test_says_in_one_line_why_it_cannot(self):
        leader = self.start_hive()
        for words, code in ((["--to=127.200.200.200"], 1), (["--to=nobody"], 2), (["--to"], 2)):
            run = self.ask(leader, *words)
            self.assertEqual(run.returncode, code, words)
            self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        run = leader.coordinator_command("handover", "--target=127.0.0.1:1")
        self.assertEqual(run.returncode, 1)
        self.assertIn("127.0.0.1:1", run.stderr)
        self.assertIs(self.hive.wait_writable(), leader)

    def test_nobody_to_hand_over_to(self):
        leader = self.start_hive(1)
        run = self.ask(leader)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        self.assertIs(self.hive.wait_writable(), leader)

    def test_sigterm_of_the_leader_hands_over_first(self):
        old = self.start_hive()
        with self.load() as load:
            time.sleep(0.5)
            begun = time.monotonic()
            self.assertTrue(old.coordinator.terminate(10))
            self.assertEqual(old.coordinator.exit_code, 0)
            self.assertLess(time.monotonic() - begun, 5, "it does not wait for what has happened already")
            self.assert_moved(load, begun, old)
        self.wait_logged(old.coordinator, "has left")

    def test_sigterm_of_a_follower_disturbs_nobody(self):
        leader = self.start_hive()
        follower = self.follower()
        with self.load() as load:
            time.sleep(0.3)
            begun = time.monotonic()
            self.assertTrue(follower.coordinator.terminate(10))
            self.assertLess(time.monotonic() - begun, 2)
            time.sleep(1)
            load.stop()
            self.assertEqual(load.errors(), {})
            self.assertIs(self.hive.leader(), leader)

    def test_sigterm_of_the_only_one_ends_it(self):
        leader = self.start_hive(1)
        begun = time.monotonic()
        self.assertTrue(leader.coordinator.terminate(10))
        self.assertEqual(leader.coordinator.exit_code, 0)
        self.assertLess(time.monotonic() - begun, 7)

    def test_a_second_signal_ends_it_at_once(self):
        leader = self.start_hive(1)
        leader.redis.freeze()
        leader.coordinator.signal(15)
        time.sleep(0.1)
        leader.coordinator.signal(15)
        self.assertTrue(leader.coordinator.ended_within(2))

    def test_redis_that_refuses_client_and_config_is_told(self):
        """Renamed commands: the hive goes on with what it has, and GetState, `status` and the log name them."""
        old = self.start_hive(redis_settings={"rename-command": ("CLIENT", "")})
        with self.load() as load:
            time.sleep(0.3)
            self.ask(old)
            load.stop()
            leader = self.hive.wait_writable()
            self.assertEqual(load.lost(leader.ip), [])
        refused = wait_until(lambda: old.status()["redis"]["refusedCommands"], 5, "the refused command in GetState")
        self.assertEqual([r["command"] for r in refused], ["CLIENT"])
        self.assertIn("unknown command", refused[0]["error"])
        run = old.coordinator_command("status", f"--target={old.ip}:{addresses.COORDINATOR_PORT}")
        self.assertIn("its redis refuses CLIENT: ", run.stdout)


scenario.main()
