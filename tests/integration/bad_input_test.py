#!/usr/bin/python3
"""Goal: what is wrong is said in one line: what happened, to whom, what to do. Waiting where waiting helps, exit 2 where not.
Method: each mistake once, on the real binaries; the whole of stderr (or the log) is looked at."""

import os
import socket
import subprocess
import tempfile
import threading
import time

import scenario
from localhive import addresses, dns, resp
from localhive.certificates import Authority
from localhive.process import wait_until

_COORDINATOR = os.path.join(scenario.BINARIES, "hive-coordinator")
_PROXY = os.path.join(scenario.BINARIES, "hive-proxy")


class BadFlags(scenario.Scenario):
    def refused(self, binary, *flags):
        """Runs it, expects exit 2 within seconds and exactly one line on stderr, and returns that line."""
        run = subprocess.run([binary, *flags], capture_output=True, text=True, timeout=10, check=False)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertEqual(run.stdout, "")
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        return run.stderr.strip()

    def test_unknown_flag(self):
        for binary in (_COORDINATOR, _PROXY):
            self.assertIn("--no-such-flag", self.refused(binary, "--no-such-flag=1"))

    def test_value_out_of_range(self):
        self.assertIn("--leader-timeout", self.refused(_COORDINATOR, "--peers=static:127.0.0.1:7400", "--leader-timeout=1000h"))
        self.assertIn("--beat-interval", self.refused(_COORDINATOR, "--peers=static:127.0.0.1:7400", "--beat-interval=soon"))
        self.assertIn("--threads", self.refused(_PROXY, "--threads=0"))
        self.assertIn("--listen", self.refused(_PROXY, "--listen=127.0.0.1:99999"))

    def test_times_that_do_not_fit_one_another(self):
        static = "--peers=static:127.0.0.1:7400"
        for flags, what in ((["--takeover-timeout=2s"], "--takeover-timeout=2s: must not be longer than --leader-timeout (1s)"),
                            (["--doubt-timeout=500ms"], "--doubt-timeout=500ms: must not be shorter than --leader-timeout (1s)"),
                            (["--leader-timeout=40s"], "--doubt-timeout"),
                            (["--handover-timeout=1h"], "--handover-timeout=1h"),
                            (["--priority=-1"], "--priority=-1"),
                            (["--min-followers=91"], "--min-followers=91")):
            self.assertIn(what, self.refused(_COORDINATOR, static, *flags))

    def test_missing_peers(self):
        self.assertIn("--peers", self.refused(_COORDINATOR))

    def test_password_file_that_is_not_there(self):
        for binary in (_COORDINATOR, _PROXY):
            line = self.refused(binary, "--redis-password-file=/no/such/file",
                                *(["--peers=static:127.0.0.1:7400"] if binary == _COORDINATOR else []))
            self.assertIn("/no/such/file", line)

    def test_port_in_use(self):
        hive = self.new_hive()
        hive.dns.start()
        pod = hive._make_pod(hive.block.take())
        for process, port in ((pod.coordinator, addresses.COORDINATOR_PORT), (pod.coordinator, addresses.COORDINATOR_METRICS_PORT),
                              (pod.proxy, addresses.PROXY_PORT), (pod.proxy, addresses.PROXY_METRICS_PORT)):
            with socket.create_server((pod.ip, port)):
                process.start()
                self.assertTrue(process.ended_within(10), f"{process.name} should have ended")
                self.assertEqual(process.exit_code, 2, process.log_tail())
                self.assertIn(f"{pod.ip}:{port}", process.log_tail(1))


class Waits(scenario.Scenario):
    def one_coordinator(self, start_redis=True, listed=True, **options):
        """A pod of which the coordinator runs, and the redis unless said otherwise; DNS lists it unless said otherwise."""
        hive = self.new_hive(**options)
        hive.dns.start()
        pod = hive._make_pod(hive.block.take())
        hive.pods.append(pod)
        if listed:
            hive.dns.list(pod.ip)
        if start_redis:
            pod.redis.start()
        pod.coordinator.start()
        return pod

    @staticmethod
    def status_table(pod):
        return pod.coordinator_command("status", f"--target={pod.ip}:{addresses.COORDINATOR_PORT}").stdout

    def assert_status_says(self, pod, text):
        def said():
            self.table = self.status_table(pod)
            return text in self.table
        try:
            wait_until(said, 5, text)
        except TimeoutError:
            self.fail(f"status does not say '{text}', but:\n{self.table}")

    def assert_leads_soon(self, pod):
        wait_until(lambda: self.hive.leader() is pod, 10, f"{pod.ip} to lead")

    def test_redis_that_speaks_no_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            files = Authority(folder).issue("member")
            pod = self.one_coordinator(coordinator_flags=["--redis-tls", *files.flags("redis-tls"), "--redis-timeout=200ms"])
            self.assert_status_says(pod, "the local redis: mute for 200 ms: no TLS with it: no answer to a handshake: does it speak TLS")

    def test_redis_that_speaks_nothing_but_tls(self):
        """It hangs up without a word; so coordinator and proxy can only guess, and do."""
        with tempfile.TemporaryDirectory() as folder:
            files = Authority(folder).issue("member")
            pod = self.one_coordinator(start_redis=False)
            pod.redis.argv += ["--port", "0", "--tls-port", str(addresses.REDIS_PORT), "--tls-cert-file", files.certificate,
                               "--tls-key-file", files.key, "--tls-ca-cert-file", files.authority]
            pod.redis.start()
            guess = "before it had answered anything: does it speak TLS on this port? Then set --redis-tls"
            self.assert_status_says(pod, f"the local redis: it closed the connection {guess}")
            self.wait_logged(pod.coordinator, guess)
            pod.coordinator.kill()
            pod.coordinator.argv += ["--redis-tls", *files.flags("redis-tls")]  # it leads now, and its proxy cannot ask that leader
            pod.coordinator.start()
            pod.proxy.start()
            self.wait_logged(pod.proxy, f"the server closed the connection {guess}", 20)

    def test_redis_without_a_link_to_its_leaders(self):
        """As where a user of redis may not replicate, a disk is full, or versions do not fit: only redis itself knows why."""
        hive = self.new_hive(redis_settings={"rename-command": ("PING", "")})  # with which a replica introduces itself
        hive.start(2)
        said = "its redis gets no link to the leader's: for "
        follower = wait_until(lambda: next((pod for pod in hive.pods if said in self.status_table(pod)), None), 20, said)
        self.wait_logged(follower.coordinator, "the local redis gets no link to its leader's, ")
        self.assertNotIn(said, self.status_table(hive.leader()))

    def test_name_that_does_not_resolve(self):
        pod = self.one_coordinator(listed=False)
        self.wait_logged(pod.coordinator, dns.NAME)
        self.assertTrue(pod.coordinator.alive())
        self.hive.dns.list(pod.ip)
        self.assert_leads_soon(pod)

    def test_dns_lists_others_but_not_this_member(self):
        pod = self.one_coordinator(listed=False)
        self.hive.dns.list(self.hive.block.take())
        line = self.wait_logged(pod.coordinator, "POD_IP")
        self.assertIn(pod.ip, line)
        self.assertIsNone(self.hive.leader())
        self.hive.dns.list(pod.ip)
        self.assert_leads_soon(pod)

    def test_unreachable_redis(self):
        pod = self.one_coordinator(start_redis=False)
        self.wait_logged(pod.coordinator, f"{pod.ip}:{addresses.REDIS_PORT}")
        self.assert_status_says(pod, "waiting for: the local redis: connection refused")
        pod.redis.start()
        self.assert_leads_soon(pod)

    def test_password_protected_redis_without_the_password(self):
        pod = self.one_coordinator(redis_settings={"requirepass": "secret"})
        self.wait_logged(pod.coordinator, "--redis-password-file")
        self.assert_status_says(pod, "NOAUTH Authentication required: set --redis-password-file or HIVE_REDIS_PASSWORD")
        self.assertIsNone(self.hive.leader())

    def test_wrong_password(self):
        pod = self.one_coordinator(start_redis=False, password="one")
        pod.redis.argv += ["--requirepass", "another"]
        pod.redis.start()
        self.wait_logged(pod.coordinator, "WRONGPASS")
        self.assert_status_says(pod, "its redis cannot be used: WRONGPASS")

    def test_redis_without_a_wanted_command(self):
        """An image whose configuration renames commands: what is refused is named, with redis's words."""
        for command, said in (("INFO", "its redis cannot be used: INFO: ERR unknown command"),
                              ("REPLICAOF", "its redis refuses REPLICAOF: REPLICAOF 127.0.0.1 1: ERR unknown command"),
                              ("ROLE", "waiting for: the local redis to answer ROLE, which it refuses\nits redis refuses ROLE: ROLE: ERR")):
            with self.subTest(command=command):
                pod = self.one_coordinator(redis_settings={"rename-command": (command, "")})
                self.wait_logged(pod.coordinator, f"ERR unknown command '{command}'")
                self.assert_status_says(pod, said)
                self.assertFalse(pod.healthy("readiness"))
                self.hive.close()

    def test_redis_that_does_not_take_its_leaders_password(self):
        """Without CONFIG it replicates no leader that has a password. Redis's own words would repeat that password."""
        pod = self.one_coordinator(password="not-to-be-told", redis_settings={"rename-command": ("CONFIG", "")})
        self.wait_logged(pod.coordinator, "redis does not let us set what it needs to replicate a leader")
        self.assert_status_says(pod, "its redis refuses CONFIG SET masterauth: ERR unknown command 'CONFIG'\n")
        self.assert_nobody_tells(pod, "not-to-be-told")

    def test_redis_without_auth(self):
        pod = self.one_coordinator(password="not-to-be-told", redis_settings={"rename-command": ("AUTH", "")})
        pod.proxy.start()
        self.wait_logged(pod.coordinator, "ERR unknown command 'AUTH'")
        self.assert_status_says(pod, "the local redis: ERR unknown command 'AUTH'")
        self.assert_nobody_tells(pod, "not-to-be-told")

    def assert_nobody_tells(self, pod, secret):
        self.assertNotIn(secret, self.status_table(pod))
        for process in (pod.coordinator, pod.proxy):
            if os.path.exists(process.log_path):
                with open(process.log_path, encoding="utf-8", errors="replace") as log:
                    self.assertNotIn(secret, log.read())

    def test_redis_older_than_5(self):
        pod = self.one_coordinator(start_redis=False)
        with OldRedis(pod.ip):
            line = self.wait_logged(pod.coordinator, "4.0.14")
        self.assertIn("5", line)

    def test_peer_of_another_hive(self):
        """One DNS name lists the pods of two hives: each keeps to its own, and says whom it refuses."""
        hive = self.new_hive()
        hive.dns.start()
        mine, foreign = (hive._make_pod(hive.block.take()) for _ in range(2))
        foreign.coordinator.argv.append("--hive=another")
        hive.pods += [mine, foreign]
        hive.dns.list(mine.ip, foreign.ip)
        mine.start()
        foreign.start()
        self.wait_logged(mine.coordinator, "another")
        time.sleep(1)
        self.assertNotEqual(mine.redis.role(), ("slave", foreign.ip, "connected"))
        self.assertNotEqual(foreign.redis.role(), ("slave", mine.ip, "connected"))


class OldRedis:
    """Answers as a redis 4.0.14 would to whatever a coordinator asks first."""

    def __init__(self, ip):
        self._listener = socket.create_server((ip, addresses.REDIS_PORT))

    def __enter__(self):
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)  # ends accept(); closing alone would not
        self._thread.join()
        self._listener.close()

    def _serve(self):
        info = b"# Server\r\nredis_version:4.0.14\r\nrun_id:" + b"a" * 40 + b"\r\nrole:master\r\n"
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client, info), daemon=True).start()

    @staticmethod
    def _answer(client, info):
        with client:
            while received := client.recv(65536):
                for _ in range(received.count(b"*")):
                    client.sendall(b"$%d\r\n%s\r\n" % (len(info), info) if b"INFO" in received.upper() else b"+OK\r\n")


class MalformedRequests(scenario.Scenario):
    def test_protocol_errors(self):
        """As redis does: an error that begins with "ERR Protocol error", then the end of the connection."""
        leader = self.start_hive(1)
        for request in (b"*1\r\n$abc\r\n", b"*1\r\n:1\r\n", b"*9999999999\r\n", b"*1\r\n$-5\r\n", b"x" * 70000, b"*1\r\n$9999999999\r\n"):
            with self.subTest(request=request[:20]), resp.Connection(leader.ip, addresses.PROXY_PORT) as client:
                client.send_raw(request)
                with self.assertRaisesRegex(resp.ReplyError, "^ERR Protocol error"):
                    client.read_reply()
                self.assertTrue(client.at_end())
        self.assertEqual(leader.write("still", "there"), "OK")


scenario.main()
