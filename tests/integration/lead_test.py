#!/usr/bin/python3
"""Goal: `hive-coordinator lead` says what it would give up, and with --force does so, where a hive would go on waiting; nowhere else.
Method: real pods; disasters; what the command prints, its exit code, and who serves which data afterwards."""

import time

import scenario
from localhive import addresses
from localhive.process import wait_until


class Lead(scenario.Scenario):
    def lead(self, pod, *words):
        return pod.coordinator_command("lead", f"--target={pod.ip}:{addresses.COORDINATOR_PORT}", *words)

    def assert_refused(self, pod, *reasons):
        """With --force as without: one line, and nothing is done."""
        for words in ((), ("--force",)):
            run = self.lead(pod, *words)
            self.assertEqual((run.returncode, run.stdout), (1, ""), run.stderr)
            self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
            for reason in reasons:
                self.assertIn(reason, run.stderr)

    def write_known_dataset(self, leader):
        """A dataset that every member has heard of: they tell one another what they hold in every report and beat."""
        self.write_dataset(leader)
        time.sleep(1)

    def waiting_for(self, pod):
        return (pod.status() or {}).get("waitingFor", "")

    def test_last_of_three_whose_dns_is_dead_leads_with_its_data(self):
        leader = self.start_hive()
        survivor, other = self.follower(0), self.follower(1)
        self.write_known_dataset(leader)
        self.assert_refused(survivor, f"{leader.ip} leads, and is heard", f"handover --to={survivor.ip}")
        self.hive.dns.process.kill()
        for pod in (leader, other):
            pod.coordinator.signal(9)  # before either can say that it resigns: who has said so is not missed
        for pod in (leader, other):
            pod.kill()
        wait_until(lambda: "may be cut off" in self.waiting_for(survivor), 10, "the last one to doubt itself")

        asked = self.lead(survivor)
        self.assertEqual((asked.returncode, asked.stdout), (1, ""), asked.stderr)
        self.assertIn("nothing was done. With --force it would lead, with term", asked.stderr)
        for ip in (leader.ip, other.ip):
            self.assertRegex(asked.stderr, rf"(?m)^  {ip}, last heard [0-9]+ s ago: term [0-9]+ offset [0-9]+ keys 500[0-9]")
        self.assertIn("it led, and may lead yet", asked.stderr)
        self.assertIn("may be cut off", self.waiting_for(survivor))

        begun = time.monotonic()
        told = self.lead(survivor, "--force")
        self.assertEqual((told.returncode, told.stderr), (0, ""))
        self.assertLess(time.monotonic() - begun, 5, "far from the 30 s of doubt")
        self.assertRegex(told.stdout, rf"^{survivor.ip} leads, term [0-9]+: by force, with term [0-9]+ offset [0-9]+ keys 500[0-9]\n")
        self.assertEqual(len(told.stdout.splitlines()), 4, told.stdout)
        self.assertEqual(survivor.write("after", "1"), "OK")
        for text in ("told to lead by force", "leads by force; has given up"):
            self.wait_logged(survivor.coordinator, text)
        again = self.lead(survivor, "--force")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("it led already", again.stdout)

    def test_empty_one_does_not_wait_for_the_silent_and_gives_way_when_they_come_back(self):
        leader = self.start_hive(2)
        silent = self.follower()
        self.write_known_dataset(leader)
        for process in silent.processes:
            process.freeze()
        self.hive.remove_pod(leader)
        empty = self.hive.add_pod()
        wait_until(lambda: f"{silent.ip}:7400, which DNS lists and which is silent" in self.waiting_for(empty), 10,
                   "the empty one to wait for the silent one")

        asked = self.lead(empty)
        self.assertEqual(asked.returncode, 1)
        self.assertIn("it would begin a new, empty dataset", asked.stderr)
        self.assertIn(f"\n  {silent.ip}, never heard: it may hold anything\n", asked.stderr)
        told = self.lead(empty, "--force")
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn(f"  {silent.ip}, never heard", told.stdout)
        self.assertEqual(empty.write("meanwhile", "1"), "OK")

        for process in silent.processes:
            process.thaw()
        self.assertIs(self.hive.wait_settled(), silent, "the older dataset stays")
        self.assert_dataset_lives()
        self.wait_logged(empty.coordinator, "drops a whole dataset that is not")

    def test_one_that_cannot_lead_says_why(self):
        alone = self.start_hive(1)
        alone.redis.freeze()
        wait_until(lambda: "mute" in self.waiting_for(alone), 10, "its redis to be missed")
        self.assert_refused(alone, "its redis cannot lead", "mute")
        run = self.hive.pods[0].coordinator_command("lead", "--force", "--target=127.0.0.1:1")
        self.assertEqual(run.returncode, 1)
        self.assertIn("no answer from the coordinator at 127.0.0.1:1", run.stderr)


scenario.main()
