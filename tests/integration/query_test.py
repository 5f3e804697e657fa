#!/usr/bin/python3
"""Goal: people and tools can ask any pod who leads, with the binary alone or with any gRPC tool through reflection.
Method: hive-coordinator status and health; buf curl without a schema."""

import json
import os
import subprocess
import unittest

import scenario
from localhive import addresses

_BUF = os.path.join(scenario.NODE_CLIENTS, "node_modules", ".bin", "buf")
needs_buf = unittest.skipUnless(os.path.exists(_BUF), "buf is not installed (tests/clients/README.md)")


class Query(scenario.Scenario):
    def run_coordinator(self, *words):
        return subprocess.run([os.path.join(scenario.BINARIES, "hive-coordinator"), *words],
                              capture_output=True, text=True, timeout=15, check=False)

    def buf_curl(self, pod, what, port=addresses.COORDINATOR_PORT, data=None):
        words = [_BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", f"http://{pod.ip}:{port}{what}"]
        run = subprocess.run(words + (["-d", json.dumps(data)] if data is not None else []),
                             capture_output=True, text=True, timeout=30, check=False, cwd=self.hive.folder)
        self.assertEqual(run.returncode, 0, run.stderr)
        return json.loads(run.stdout)

    def test_status_prints_a_table(self):
        leader = self.start_hive()
        for pod in self.hive.pods:
            run = self.run_coordinator("status", f"--target={pod.ip}:{addresses.COORDINATOR_PORT}")
            self.assertEqual(run.returncode, 0, run.stderr)
            for member in self.hive.pods:
                self.assertIn(member.ip, run.stdout)
            self.assertRegex(run.stdout, rf"(?m)^{leader.ip} \*? +leading")

    def test_status_as_json(self):
        leader = self.start_hive()
        for pod in self.hive.pods:
            state = pod.status()
            self.assertEqual(state["leader"]["leader"]["ip"], leader.ip)
            self.assertEqual(state["self"]["ip"], pod.ip)
            self.assertEqual({m["identity"]["ip"] for m in state["members"]}, {p.ip for p in self.hive.pods})

    def test_status_is_watched(self):
        """Again every second, through a restart of the one that is asked; on a terminal or, as here, in a pipe."""
        leader = self.start_hive(1)
        words = [os.path.join(scenario.BINARIES, "hive-coordinator"), "status", "--watch",
                 f"--target={leader.ip}:{addresses.COORDINATOR_PORT}"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watch:
            self.addCleanup(watch.kill)

            def read_table():
                for line in watch.stdout:
                    if line.startswith(leader.ip):
                        return line
                return self.fail("the watch ended")
            self.assertIn("leading", read_table())
            leader.coordinator.kill()
            leader.coordinator.start()
            for _ in range(3):
                table = read_table()
            self.assertIn("leading", table)
            watch.kill()

    def test_status_is_watched_as_json(self):
        leader = self.start_hive(1)
        words = [os.path.join(scenario.BINARIES, "hive-coordinator"), "status", "--watch", "--json",
                 f"--target={leader.ip}:{addresses.COORDINATOR_PORT}"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watch:
            self.addCleanup(watch.kill)
            said, decoder = "", json.JSONDecoder()
            for _ in range(2):
                while "\n}\n" not in said:
                    said += watch.stdout.readline()
                state, end = decoder.raw_decode(said)
                self.assertEqual(state["leader"]["leader"]["ip"], leader.ip)
                said = said[end:].lstrip()
            watch.kill()

    def test_status_of_nobody(self):
        run = self.run_coordinator("status", "--target=127.0.0.1:1")
        self.assertEqual(run.returncode, 1)
        self.assertIn("127.0.0.1:1", run.stderr)
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)

    def test_health(self):
        leader = self.start_hive()
        for pod in self.hive.pods:
            for service in ("", "liveness", "readiness", "startup"):
                for port in (addresses.COORDINATOR_PORT, addresses.COORDINATOR_HEALTH_PORT):
                    self.wait_healthy(pod, service, port)
            for service in ("", "liveness", "readiness"):
                self.wait_healthy(pod, service, addresses.PROXY_HEALTH_PORT)
            self.assertFalse(pod.healthy("no-such-service"))
        leader.coordinator.kill()
        self.assertFalse(leader.healthy("liveness"), "nobody answers")

    def test_not_ready_without_redis(self):
        self.start_hive()
        follower = self.follower()
        follower.redis.kill()
        scenario.wait_until(lambda: not follower.healthy("readiness"), 5, "readiness to end with the redis")
        self.assertTrue(follower.healthy("liveness"))
        follower.redis.start()
        scenario.wait_until(lambda: follower.healthy("readiness"), 10, "readiness to come back")

    @needs_buf
    def test_state_through_reflection(self):
        leader = self.start_hive()
        for pod in self.hive.pods:
            state = self.buf_curl(pod, "/hive.v1.Hive/GetState")
            self.assertEqual(state["leader"]["leader"]["ip"], leader.ip)

    @needs_buf
    def test_health_through_reflection(self):
        pod = self.start_hive()
        for port in (addresses.COORDINATOR_PORT, addresses.PROXY_HEALTH_PORT):
            answer = self.buf_curl(pod, "/grpc.health.v1.Health/Check", port, {"service": "readiness"})
            self.assertEqual(answer, {"status": "SERVING"})

    @needs_buf
    def test_services_through_reflection(self):
        pod = self.start_hive()
        run = subprocess.run([_BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-services",
                              f"http://{pod.ip}:{addresses.COORDINATOR_PORT}"],
                             capture_output=True, text=True, timeout=30, check=True)
        for service in ("hive.v1.Hive", "hive.v1.Election", "hive.v1.LeaderWatch", "grpc.health.v1.Health"):
            self.assertIn(service, run.stdout.split())


scenario.main()
