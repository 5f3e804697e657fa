#!/usr/bin/python3
"""Goal: what docs/moving.md says about moving a redis into a hive, and out of one, is true.
Method: its commands as they stand there, and the guest that manifests/guest describes as processes; a redis-server that is no hive's, under
clients that write."""

import os
import re
import shutil
import subprocess
import time
import unittest

import scenario
import yaml
from localhive import addresses, resp
from localhive.process import Process, wait_until

_PASSWORD = "the same in both, which nobody guesses"
_KEYS = 5000


def block_with(word):
    """The block of commands of docs/moving.md that has this word."""
    with open(os.path.join(scenario.ROOT, "docs", "moving.md"), encoding="utf-8") as manual:
        blocks = re.findall(r"^```\n(.*?)^```", manual.read(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


class OldRedis:
    """A redis-server as people have one: its own master, with keys of several kinds, in two databases, and a function."""

    def __init__(self, ip, folder, password=None):
        self.ip = ip
        self.password = password
        words = ["redis-server", "--bind", ip, "--dir", folder, "--save", "", "--protected-mode", "no", "--enable-debug-command", "yes"]
        if password:
            words += ["--requirepass", password]
        self.process = Process("old redis", words, os.path.join(folder, "old-redis.log"))
        self.process.start()
        wait_until(lambda: self.ask("PING") == "PONG", 10, "the old redis to answer")
        self.ask("DEBUG", "POPULATE", _KEYS)
        self.ask("SET", "it's an \"odd\" key", "\0\r\n\xff")
        self.ask("SET", "for an hour", "x", "EX", "3600")
        self.ask("FUNCTION", "LOAD", "#!lua name=old\nredis.register_function('answer', function() return 42 end)")
        with self.connect() as client:
            client.command("SELECT", 3)
            client.command("RPUSH", "list", *range(1000))

    def connect(self):
        return resp.Connection(self.ip, addresses.REDIS_PORT, 10.0, self.password)

    def ask(self, *words):
        return resp.ask(self.ip, addresses.REDIS_PORT, *words, password=self.password)


class Writer(scenario.Background):
    """Writes to one address, one key after the other, and remembers what was acknowledged and what was said instead."""

    def __init__(self, connect, name):
        super().__init__()
        self.acknowledged, self.errors = [], []
        self._connect, self._name = connect, name

    def _run(self):
        number = 0
        with self._connect() as client:
            while not self._stop.is_set():
                number += 1
                try:
                    client.command("SET", f"{self._name}:{number}", number)
                    self.acknowledged.append(f"{self._name}:{number}")
                except resp.ReplyError as error:
                    self.errors.append(str(error).split()[0])
                time.sleep(0.001)


class Moving(scenario.Scenario):
    def old_redis(self, password=None):
        old = OldRedis(self.hive.block.take(), self.hive.folder, password)
        self.addCleanup(old.process.kill)
        return old

    def run_as_written(self, block, **variables):
        """A block of the manual, with its first lines of variables replaced by these."""
        commands = re.sub(r"\A(?:(?:export )?\w+=.*\n)+", "", block)
        return subprocess.run(["bash", "-euo", "pipefail", "-c", commands], check=True, capture_output=True, text=True, timeout=60,
                              env={**os.environ, **{name: str(value) for name, value in variables.items()}}).stdout

    def assert_all_there(self, connect, kept=()):
        with connect() as client:
            self.assertEqual(client.command("MGET", f"key:{_KEYS - 1}", "it's an \"odd\" key")[1], b"\0\r\n\xc3\xbf")
            self.assertGreaterEqual(client.command("DBSIZE"), _KEYS + 2)
            self.assertAlmostEqual(client.command("TTL", "for an hour"), 3600, delta=60)
            self.assertEqual(client.command("FCALL", "answer", 0), 42)
            self.assertEqual([key for key in kept if client.command("EXISTS", key) != 1], [])
            client.command("SELECT", 3)
            self.assertEqual(client.command("LLEN", "list"), 1000)

    # -- as a guest -----------------------------------------------------------------------------------------------------

    def start_guest(self, old):
        """manifests/guest as processes, on an address of its own."""
        with open(os.path.join(scenario.ROOT, "manifests", "guest", "pod.yaml"), encoding="utf-8") as file:
            containers = {c["name"]: c for c in yaml.safe_load(file)["spec"]["containers"]}
        settings = {e["name"]: e.get("value") for e in containers["coordinator"]["env"]}
        self.assertEqual((settings["HIVE_REDIS"], settings["HIVE_REDIS_ANNOUNCE_PORT"]), ("$(OLD_REDIS)", "6379"))
        guest = self.hive._make_pod(self.hive.block.take())
        address = f"{old.ip}:{addresses.REDIS_PORT}"
        guest.coordinator.argv = [f"--redis={address}" if word.startswith("--redis=") else word for word in guest.coordinator.argv]
        guest.coordinator.argv.append("--redis-announce-port=6379")
        listen, target = containers["forwarder"]["args"]
        self.assertEqual(target, "tcp:$(OLD_REDIS)")
        forwarder = Process("forwarder", ["socat", f"{listen},bind={guest.ip}", f"tcp:{address}"],
                            os.path.join(self.hive.folder, "socat.log"))
        self.addCleanup(forwarder.kill)
        self.addCleanup(guest.kill)
        self.hive.dns.list(guest.ip)
        forwarder.start()
        guest.coordinator.start()
        return guest

    def status(self, pod):
        return pod.coordinator_command("status", f"--target={pod.ip}:{addresses.COORDINATOR_PORT}").stdout

    @unittest.skipUnless(shutil.which("socat"), "socat is not installed")
    def test_guest_under_load_with_a_password(self):
        hive = self.new_hive(password=_PASSWORD)
        hive.dns.start()
        old = self.old_redis(_PASSWORD)
        with Writer(old.connect, "old") as old_client:
            guest = self.start_guest(old)
            wait_until(lambda: f"{guest.ip} leads" in self.status(guest), 10, "the guest to lead")
            pods = [hive._make_pod(hive.block.take()) for _ in range(2)]
            hive.pods += pods
            hive.dns.list(guest.ip, *(pod.ip for pod in pods))
            for pod in pods:
                pod.start()
            wait_until(lambda: self.status(guest).count("in sync") == 2, 20, "two followers in sync")
            with Writer(pods[0].connect, "new") as new_client:
                time.sleep(0.5)
                self.assertEqual(pods[1].read("old:1"), b"1")
                told = set(old_client.errors)
                self.assertLessEqual(len(old_client.errors), 30)
                old_client.__exit__()  # no client is left at the old address
                answer = guest.coordinator_command("handover", f"--target={guest.ip}:{addresses.COORDINATOR_PORT}")
                self.assertEqual(answer.returncode, 0, answer.stderr)
                time.sleep(0.5)
        self.assertLessEqual(told, {"READONLY"})
        self.assertEqual(new_client.errors, [])
        self.assertIn(hive.leader(), pods)
        with self.assertRaisesRegex(resp.ReplyError, "^READONLY"):
            old.ask("SET", "too", "late")
        back = guest.coordinator_command("handover", f"--to={guest.ip}", f"--target={guest.ip}:{addresses.COORDINATOR_PORT}")
        self.assertEqual(back.returncode, 0, back.stderr)
        old.ask("SET", "back", "again")
        answer = guest.coordinator_command("handover", f"--target={guest.ip}:{addresses.COORDINATOR_PORT}")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        guest.coordinator.terminate(8)
        hive.dns.list(*(pod.ip for pod in pods))
        old.process.kill()
        hive.wait_settled()
        self.wait_replicated()
        kept = old_client.acknowledged + new_client.acknowledged + ["back"]
        self.assertGreater(len(kept), 500)
        for pod in pods:
            self.assert_all_there(pod.connect, kept)

    # -- by copying -----------------------------------------------------------------------------------------------------

    def test_copy_with_passwords(self):
        leader = self.start_hive(2, password=_PASSWORD)
        old = self.old_redis("another one")
        variables = {"old_host": old.ip, "old_port": addresses.REDIS_PORT, "new_host": leader.ip, "new_port": addresses.PROXY_PORT,
                     "REDISCLI_AUTH": old.password, "new_password": _PASSWORD}
        for db in (0, 3):
            said = self.run_as_written(block_with("MIGRATE"), db=db, **variables)
            self.assertLessEqual(set(said.split()), {"OK", "NOKEY"})
        self.assertEqual(self.run_as_written(block_with("FUNCTION"), **variables).strip(), "OK")
        self.assert_all_there(leader.connect)
        for line in self.run_as_written(block_with("INFO keyspace"), db=0, **variables).splitlines():
            if line.startswith("db3:"):
                self.assertIn("keys=1,", line)

    # -- away -----------------------------------------------------------------------------------------------------------

    def test_away(self):
        leader = self.start_hive(1, password=_PASSWORD)
        with Writer(leader.connect, "w") as writer:
            time.sleep(0.5)
        new = self.old_redis(_PASSWORD)
        commands = block_with("REPLICAOF").splitlines()
        variables = {"new_host": new.ip, "new_port": addresses.REDIS_PORT, "REDISCLI_AUTH": _PASSWORD, "leader_ip": leader.ip}
        self.run_as_written("\n".join(commands[:2]), **variables)
        wait_until(lambda: "master_link_status:up" in self.run_as_written(commands[2], **variables), 10, "the copy to be there")
        self.run_as_written(commands[3], **variables)
        self.assertEqual(new.ask("EXISTS", *writer.acknowledged), len(writer.acknowledged))


scenario.main()
