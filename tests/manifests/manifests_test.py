"""The manifests: as kustomize renders them, against the types of Kubernetes' API and against our own rules. And whether these
checks find mistakes: each that is planted here must be found.

Every component is rendered alone, with each other one that patches the pod, and all together.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
from concurrent.futures import ThreadPoolExecutor

import kubernetes_types
import render
import rules
from localhive import resp
from localhive.process import wait_until

sys.path.insert(0, os.path.join(render.ROOT, "tests", "integration"))
from scenario import leave_the_network

PATCH_THE_POD = ("auth", "valkey", "write-acks", "three-containers")  # so these may get in each other's way

# (file, what is written there, what is written instead, what must be said of it)
PLANTED_FOR_RULES = [
    ("base/deployment.yaml", "HIVE_STATE_DIR", "HIVE_STATE_FOLDER", "no flag --state-folder"),
    ("base/deployment.yaml", "command: [hive-proxy]", "command: [hive-proxy]\n          args: [--thread=2]", "did you mean --threads"),
    ("base/deployment.yaml", "value: dns:redis-hive-peers", "value: redis-hive-peers", "HIVE_PEERS=redis-hive-peers: must be"),
    ("base/deployment.yaml", "dns:redis-hive-peers", "dns:redis-hive", "no headless Service"),
    ("base/deployment.yaml", "$(POD_NAMESPACE)", "$(NAMESPACE)", "uses NAMESPACE, which is not set"),
    ("base/deployment.yaml", "containerPort: 6380", "containerPort: 6381", "proxy declares ports"),
    ("base/deployment.yaml", "port: 7402\n              service: readiness", "port: 7400\n              service: readiness",
     "not its health port"),
    ("base/deployment.yaml", "service: startup", "service: started", "which hive-coordinator does not know"),
    ("base/deployment.yaml", "port: 7401\n              service: readiness", "port: 7401\n              service: startup",
     "which hive-proxy does not know"),
    ("base/deployment.yaml", "service: liveness\n            periodSeconds: 10", "service: readiness\n            periodSeconds: 10",
     "livenessProbe asks for readiness"),
    ("base/deployment.yaml", "      labels:\n        app.kubernetes.io/name: redis-hive\n      annotations",
     "      labels:\n        app.kubernetes.io/name: hive\n      annotations", "Service redis-hive-peers selects"),
    ("base/deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "redis is not confined"),
    ("base/deployment.yaml", "mountPath: /data", "mountPath: /var/data", "where no volume is mounted"),
    ("base/deployment.yaml", "rm -rf /data/*", "true", "not cleared"),
    ("base/deployment.yaml", "- 64mb\n            - --busy", "- 1mb\n            - --busy", "repl-backlog-size"),
    ("base/deployment.yaml", "value: 512mb", "value: 768mb", "copies on write"),
    ("base/deployment.yaml", "- $(MAXMEMORY)", "- $(MAX_MEMORY)", "redis's arguments use MAX_MEMORY"),
    ("base/deployment.yaml", "cpu: 50m", "cpu: 600m", "coordinator's requests and limits of cpu"),
    ("base/deployment.yaml", "PeriodSeconds: 60", "PeriodSeconds: 30", "has 30 s to end"),
    ("base/deployment.yaml", "maxUnavailable: 0", "maxUnavailable: 1", "add a pod before"),
    ("base/deployment.yaml", "      containers:\n", "      containers:\n        - {name: exporter, image: \"exporter:1\"}\n",
     "containers are ['coordinator', 'exporter', 'proxy']"),
    ("base/deployment.yaml", "          restartPolicy: Always\n", "", "ends, not a sidecar"),
    ("base/deployment.yaml", "emptyDir:\n            sizeLimit: 2Gi", "persistentVolumeClaim:\n            claimName: data", "no emptyDir"),
    ("base/kustomization.yaml", "newTag: 0.1.0", "newTag: 0.1.1", "the version is"),
    ("base/kustomization.yaml", '    newTag: "7.2"', "    newTag: latest", "it wants a tag with a version"),
    ("base/kustomization.yaml", '  - name: docker.io/library/redis\n    newTag: "7.2"\n', "", "redis's image is docker.io/library/redis"),
    ("base/kustomization.yaml", "  - services.yaml", "  - services.yaml\n  - account.yaml", "ServiceAccount"),
    ("base/services.yaml", "targetPort: 6380", "targetPort: 6379", "Service redis-hive leads to [6379]"),
    ("base/services.yaml", "  publishNotReadyAddresses: true\n", "", "publishNotReadyAddresses"),
    ("base/services.yaml", "clusterIP: None", "clusterIP: 10.0.0.1", "no headless Service"),
    ("components/write-acks/kustomization.yaml", 'value: "2"', 'value: "1"', "not half"),
    ("components/write-acks/kustomization.yaml", 'value: "2"', "value: two", "HIVE_WRITE_ACKS=two: must be"),
    ("components/write-acks/kustomization.yaml", "HIVE_WRITE_ACKS", "HIVE_MIN_FOLLOWERS", "no flag --min-followers"),
    ("components/pdb/pdb.yaml", "matchLabels:\n      app.kubernetes.io/name: redis-hive", "matchLabels:\n      app: redis-hive",
     "PodDisruptionBudget selects"),
    ("components/network-policy/network-policy.yaml", "- port: 6380", "- port: 6381", "the Services need"),
    ("components/network-policy/network-policy.yaml", "        - port: 7400\n    # DNS", "    # DNS", "lets pods reach"),
    ("components/three-containers/kustomization.yaml", '"30"', '"20"', "the others need up to 25 s"),
    ("components/valkey/kustomization.yaml", "valkey-cli", "redis-cli", "another client asks"),
    ("components/auth/deployment.yaml", "- name: HIVE_REDIS_PASSWORD\n              valueFrom: *password\n        - name: proxy",
     "- name: OTHER\n              value: x\n        - name: proxy", "coordinator has no password"),
    ("components/auth/deployment.yaml", ' --aclfile /data/users.acl', "", "not told of the users"),
    ("components/monitoring/service-monitor.yaml", "targetPort: proxy-metrics", "targetPort: health", "the ServiceMonitor scrapes ports"),
    ("components/monitoring/service-monitor.yaml", "      app.kubernetes.io/component: peers\n", "", "the ServiceMonitor selects"),
    ("components/monitoring/service-monitor.yaml", "jobLabel", "joblabel", "fields that nobody here knows"),
]
PLANTED_FOR_TYPES = [
    ("base/deployment.yaml", "periodSeconds: 2", "periodsSeconds: 2", "'\"periodsSeconds\"' does not exist in type 'Probe'"),
    ("base/deployment.yaml", "minReadySeconds: 10", 'minReadySeconds: "10"', "not assignable to type 'number'"),
    ("base/deployment.yaml", "topologyKey: kubernetes.io/hostname", "topology: kubernetes.io/hostname", "'\"topology\"' does not exist"),
    ("base/services.yaml", "targetPort: 6379", "targetport: 6379", "'\"targetport\"' does not exist in type 'ServicePort'"),
    ("components/pdb/pdb.yaml", "maxUnavailable: 1", "maxUnavailabel: 1", "does not exist in type 'PodDisruptionBudgetSpec'"),
    ("components/network-policy/network-policy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: Ingress",
     "not assignable to type 'string[]'"),
]


def setUpModule():
    if not render.kubectl() or not os.path.exists(kubernetes_types.TSC):
        raise unittest.SkipTest("kubectl, TypeScript and Kubernetes' types come from npm: ./hive test installs them")
    leave_the_network()  # the binaries are started for what they say, on the ports that the manifests give


class Case(unittest.TestCase):
    """self.folder is a folder for the length of a test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hive-manifests-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name


class Rendered(Case):
    """The manifests as they are."""

    def test_base_and_components_in_all_useful_combinations(self):
        manifests = copy_of_manifests(self.folder)
        combinations = [(), *((c,) for c in render.COMPONENTS), *itertools.combinations(PATCH_THE_POD, 2), tuple(render.COMPONENTS)]
        with ThreadPoolExecutor(2) as pool:
            rendered = list(pool.map(lambda c: render.combination(manifests, c), combinations))
        for components, objects in zip(combinations, rendered):
            with self.subTest(components=components):
                self.assertEqual(rules.complaints(objects, components), [])
        named = {"-".join(["with", *c]): objects for c, objects in zip(combinations, rendered) if len(c) != 2}
        self.assertEqual(kubernetes_types.complaints(named, new_folder(self.folder)), {})

    def test_base_and_overlays_as_they_are(self):
        self.assertEqual(rules.complaints(render.build(os.path.join(render.MANIFESTS, "base"))), [])
        for overlay in os.listdir(os.path.join(render.MANIFESTS, "overlays")):
            objects = render.build(os.path.join(render.MANIFESTS, "overlays", overlay))
            self.assertEqual(rules.complaints(objects, ("auth", "write-acks", "pdb", "network-policy")), [])

    def test_the_manuals_kustomization(self):
        """docs/kubernetes.md: the overlay of the quickstart, with what is said to be changed in the same way."""
        with open(os.path.join(render.ROOT, "docs", "kubernetes.md")) as manual:
            blocks = [textwrap.dedent(block) for block in re.findall(r"^ *```\n(.*?)^ *```", manual.read(), re.MULTILINE | re.DOTALL)]
        overlay = next(block for block in blocks if block.startswith("apiVersion: kustomize"))
        settings, openshift = (block.removeprefix("patches:\n") for block in blocks if block.startswith("patches:"))
        copy_of_manifests(self.folder, "redis-hive")
        for patches in (settings, settings + openshift):
            folder = new_folder(self.folder)
            with open(os.path.join(folder, "kustomization.yaml"), "w") as out:
                out.write(f"{overlay}patches:\n{patches}")
            said = rules.complaints(render.build(folder), ("auth", "write-acks", "pdb"))
            self.assertEqual([line for line in said if patches is settings or "another user than root" not in line], [])

    def test_the_guest(self):
        """docs/moving.md: its overlay of manifests/guest."""
        with open(os.path.join(render.ROOT, "docs", "moving.md")) as manual:
            blocks = [textwrap.dedent(block) for block in re.findall(r"^ *```\n(.*?)^ *```", manual.read(), re.MULTILINE | re.DOTALL)]
        manifests = copy_of_manifests(self.folder, "redis-hive")
        folder = new_folder(self.folder)
        with open(os.path.join(folder, "kustomization.yaml"), "w") as out:
            out.write(next(block for block in blocks if block.startswith("apiVersion: kustomize")))
        objects = render.build(folder)
        self.assertEqual(kubernetes_types.complaints({"guest": objects}, new_folder(self.folder)), {})
        self.assertEqual(list(rules.unpinned(objects)), [])
        (pod,) = objects
        hive = rules.Objects(render.build(os.path.join(manifests, "base")))
        self.assertEqual(pod["metadata"]["labels"], hive.services["redis-hive-peers"]["selector"])
        containers = {c["name"]: c for c in pod["spec"]["containers"]}
        self.assertEqual(containers["coordinator"]["image"], "registry.example/redis-hive:" + rules.binaries.version())
        known = {e["name"]: e.get("value", "10.0.0.1" if e["name"] == "POD_IP" else "something") for e in containers["coordinator"]["env"]}
        entries = {name: {"value": value} for name, value in known.items()}
        settings = {name: rules.expanded([value], entries)[0] for name, value in known.items()}
        self.assertEqual(settings["HIVE_REDIS"], "my-redis-master:6379")
        self.assertEqual(settings["HIVE_PEERS"], rules.environment(hive.containers["coordinator"])["HIVE_PEERS"]["value"])
        self.assertIsNone(rules.binaries.refusal("hive-coordinator", (), tuple(sorted(settings.items()))))
        forwarder = containers["forwarder"]
        self.assertIn("tcp:my-redis-master:6379", rules.expanded(forwarder["args"], rules.environment(forwarder)))


class Planted(Case):
    """The manifests with one mistake."""

    def test_rules_find_it(self):
        with ThreadPoolExecutor(2) as pool:
            rendered = pool.map(lambda plant: planted(self.folder, *plant[:3]), PLANTED_FOR_RULES)
            for (file, was, now, wanted), (objects, components) in zip(PLANTED_FOR_RULES, rendered):
                with self.subTest(file=file, was=was, now=now):
                    said = rules.complaints(objects, components)
                    self.assertTrue(any(wanted in line for line in said), f"not found; what was said: {said}")

    def test_types_find_it(self):
        rendered = {f"plant{i}": planted(self.folder, *plant[:3])[0] for i, plant in enumerate(PLANTED_FOR_TYPES)}
        said = kubernetes_types.complaints(rendered, new_folder(self.folder))
        for i, (file, was, now, wanted) in enumerate(PLANTED_FOR_TYPES):
            with self.subTest(file=file, was=was, now=now):
                self.assertTrue(any(wanted in line for line in said.get(f"plant{i}", [])), said.get(f"plant{i}"))

    def test_an_image_that_is_not_pinned_is_found_in_the_guest(self):
        manifests = copy_of_manifests(self.folder)
        replace(os.path.join(manifests, "guest", "kustomization.yaml"), "newTag: 1.8.0.3", "newName: docker.io/alpine/socat")
        said = list(rules.unpinned(render.build(os.path.join(manifests, "guest"))))
        self.assertEqual(said, ["forwarder's image is docker.io/alpine/socat: it wants a tag with a version"])

    def test_kustomize_refuses_it(self):
        for file, was, now in (("components/write-acks/kustomization.yaml", "name: redis-hive", "name: redis-hives"),
                               ("components/three-containers/kustomization.yaml", "/initContainers/0", "/initContainers/1"),
                               ("base/deployment.yaml", "replicas: 3", "replicas: 3\n  replicas: 4")):
            with self.subTest(file=file, now=now), self.assertRaises(render.Refused):
                planted(self.folder, file, was, now)


class RedisContainer(Case):
    """Its command, run here as the manifest has it; only /data is another folder, and the address loopback's alone."""

    PASSWORDS = {"PASSWORD": """it's "$HOME" #1\\""", "READ_PASSWORD": "for readers"}

    def start(self, *components, server=None):
        self.data = new_folder(self.folder)
        for leftover in ("dump.rdb", "temp-1.rdb"):
            with open(os.path.join(self.data, leftover), "w") as out:
                out.write("no data of ours")
        container = rules.Objects(render.combination(copy_of_manifests(self.folder), components)).redis
        words = rules.expanded(container["command"] + container["args"], rules.environment(container))
        words = [word.replace("/data", self.data) for word in words]
        values = {name: e.get("value", self.PASSWORDS.get(name)) for name, e in rules.environment(container).items()}
        if server:
            values["REDIS_SERVER"] = server
        elif not shutil.which(values["REDIS_SERVER"]):
            self.skipTest(f"there is no {values['REDIS_SERVER']} here")
        self.process = subprocess.Popen([*words, "--bind", "127.0.0.1"], env={"PATH": os.environ["PATH"], **values},
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        wait_until(lambda: self.process.poll() is not None or self.listens(), 20, "redis to listen")

    def ask(self, *words):
        with resp.Connection("127.0.0.1", 6379, 20.0) as connection:
            return connection.command(*words)

    def listens(self):
        try:
            resp.Connection("127.0.0.1", 6379).close()
            return True
        except OSError:
            return False

    def check_is_parked_and_starts_from_nothing(self):
        self.assertEqual(os.listdir(self.data), [])
        self.assertEqual(self.ask("ROLE")[:2], [b"slave", b"127.0.0.1"])
        self.assertEqual(self.ask("CONFIG", "GET", "maxmemory")[1], b"536870912")

    def test_redis(self):
        self.start()
        self.check_is_parked_and_starts_from_nothing()

    def test_valkey(self):
        self.start("valkey")
        self.check_is_parked_and_starts_from_nothing()

    def test_users(self):
        self.start("auth")
        with resp.Connection("127.0.0.1", 6379, password=self.PASSWORDS["PASSWORD"]) as owner:
            owner.command("REPLICAOF", "NO", "ONE")
            owner.command("SET", "greeting", "hello")
        with resp.Connection("127.0.0.1", 6379) as anybody, resp.Connection("127.0.0.1", 6379) as reader:
            with self.assertRaisesRegex(resp.ReplyError, "NOAUTH"):
                anybody.command("GET", "greeting")
            reader.command("AUTH", "reader", self.PASSWORDS["READ_PASSWORD"])
            self.assertEqual(reader.command("GET", "greeting"), b"hello")
            self.assertIn(b"role:master", reader.command("INFO", "replication"))
            for refused in (["SET", "greeting", "bye"], ["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["EVAL", "return 1", "0"],
                            ["REPLICAOF", "NO", "ONE"], ["PSYNC", "?", "-1"], ["SHUTDOWN"], ["ACL", "LIST"]):
                with self.assertRaisesRegex(resp.ReplyError, "NOPERM", msg=refused):
                    reader.command(*refused)

    def test_image_without_the_server_is_told(self):
        for components in ((), ("auth",)):
            self.start(*components, server="no-such-server")
            self.assertIn("no-such-server: not found", self.process.stdout.read())

    def test_empty_password_is_told(self):
        self.PASSWORDS = {"PASSWORD": "", "READ_PASSWORD": "x"}
        self.start("auth")
        self.assertIn("PASSWORD: is empty in the Secret redis-hive-auth", self.process.stdout.read())


def new_folder(parent):
    return tempfile.mkdtemp(dir=parent)


def copy_of_manifests(parent, name=None):
    """A copy in a folder of its own, or in one of that name."""
    folder = os.path.join(parent, name) if name else new_folder(parent)
    return shutil.copytree(render.MANIFESTS, os.path.join(folder, "manifests"))


def replace(path, was, now):
    """In the file, where it stands first."""
    with open(path) as source:
        text = source.read()
    assert was in text, f"{path} does not have {was!r}"
    with open(path, "w") as out:
        out.write(text.replace(was, now, 1))


def planted(parent, file, was, now):
    """A rendering with one mistake, and the components that are in it: the one in whose folder the mistake was made, if any."""
    manifests = copy_of_manifests(parent)
    replace(os.path.join(manifests, file), was, now)
    with open(os.path.join(manifests, "base", "account.yaml"), "w") as out:  # for a plant that lists it
        out.write("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: redis-hive}\n")
    folder, component = file.split("/")[:2]
    components = (component,) if folder == "components" else ()
    return render.combination(manifests, components), components


if __name__ == "__main__":
    unittest.main()
