"""What has to hold of the manifests, beyond being what Kubernetes takes. Each rule yields sentences about what is wrong.

A rule sees all objects of one rendering (Objects), and the real binaries (binaries.py).
"""

import json
import re
import tempfile

import binaries
from localhive.pod import REDIS_SETTINGS

PROGRAM_OF = {"coordinator": "hive-coordinator", "proxy": "hive-proxy"}
BASE_KINDS = {"Deployment", "Service"}
COMPONENT_KINDS = BASE_KINDS | {"PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule", "ConfigMap"}
# What a pod has beside the flags: the password has no flag, since command lines are public; POD_IP is --advertise-ip's default.
NOT_FLAGS = {"HIVE_REDIS_PASSWORD"}
_REDIS_SHUTDOWN_SECONDS = 10  # redis's default shutdown-timeout


class Objects:
    """One rendering, with the parts that rules ask for again and again."""

    def __init__(self, objects, components=()):
        self.objects = objects
        self.components = set(components)
        self.services = {s["metadata"]["name"]: s["spec"] for s in self.of_kind("Service")}
        self.deployment = self.of_kind("Deployment")[0]["spec"]
        self.template = self.deployment["template"]
        self.pod = self.template["spec"]
        self.plain = {c["name"]: c for c in self.pod["containers"]}
        self.sidecars = {c["name"]: c for c in self.pod.get("initContainers", [])}
        self.containers = {**self.plain, **self.sidecars}
        self.redis = self.containers.get("redis", {})

    def of_kind(self, kind):
        return [o for o in self.objects if o["kind"] == kind]

    def ours(self):
        """(container, its program) of the containers that run one of our binaries."""
        return [(c, PROGRAM_OF[name]) for name, c in self.containers.items() if name in PROGRAM_OF]

    def redis_options(self):
        """Option -> its words, as redis-server reads its command line."""
        options, words = {}, []
        for word in expanded(self.redis.get("args", []), environment(self.redis)):
            if word.startswith("--"):
                words = options.setdefault(word[2:], [])
            else:
                words.append(word)
        return options


def environment(container):
    return {e["name"]: e for e in container.get("env", [])}


def expanded(words, entries):
    """As the kubelet puts variables into arguments: $(NAME). One that is not set stays as it is."""
    return [re.sub(r"\$\((\w+)\)", lambda used: entries.get(used[1], {}).get("value", used[0]), word) for word in words]


def kinds(it):
    allowed = COMPONENT_KINDS if it.components else BASE_KINDS
    for thing in it.objects:
        if thing["kind"] not in allowed:
            yield f"{thing['kind']} {thing['metadata']['name']}: this kind has no place here"
    if len(it.of_kind("Deployment")) != 1:
        yield "there must be one Deployment"
    if set(it.services) != {"redis-hive", "redis-hive-read", "redis-hive-peers"}:
        yield f"the Services are {sorted(it.services)}"


def containers(it):
    three = "three-containers" in it.components
    if set(it.plain) != {"coordinator", "proxy"} | ({"redis"} if three else set()):
        yield f"the pod's containers are {sorted(it.plain)}"
    if set(it.sidecars) != (set() if three else {"redis"}):
        yield f"the pod's sidecars are {sorted(it.sidecars)}"
    for name, container in it.sidecars.items():
        if container.get("restartPolicy") != "Always":
            yield f"{name} is an init container that ends, not a sidecar"
    for container, program in it.ours():
        if container.get("command") != [program]:
            yield f"{container['name']} runs {container.get('command')}, not {program}"


def unpinned(objects):
    """Every image says which one it is, by a version or a digest: a pod that is replaced runs what the others run."""
    for thing in objects:
        for container in _containers(thing):
            name, _, digest = container["image"].partition("@")
            tag = name.rpartition("/")[2].partition(":")[2]
            if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) and not re.search(r"\d", tag):
                yield f"{container['name']}'s image is {container['image']}: it wants a tag with a version"


def images(it):
    yield from unpinned(it.objects)
    ours = {container["image"] for container, _ in it.ours()}
    version = binaries.version()
    if len(ours) != 1:
        yield f"our containers have different images: {sorted(ours)}"
    if any(image.rpartition(":")[2] != version for image in ours):
        yield f"our image is {sorted(ours)}, and the version is {version}"
    server = "valkey" if "valkey" in it.components else "redis"
    if not re.fullmatch(rf"docker\.io/\w+/{server}:[\d.]+", it.redis["image"]):
        yield f"redis's image is {it.redis['image']}"
    started = environment(it.redis)["REDIS_SERVER"]["value"]
    if started != f"{server}-server" or it.redis["livenessProbe"]["exec"]["command"][0] != f"{server}-cli":
        yield f"the image is {server}'s, but {started} is started or another client asks it"


def settings(it):
    """Every setting of our binaries exists, and is taken."""
    for container, program in it.ours():
        values = {}
        for name, entry in environment(container).items():
            if name.startswith("HIVE_") and name not in NOT_FLAGS and _flag(name) not in binaries.flags(program):
                yield f"{container['name']} sets {name}, and {program} has no flag --{_flag(name)}"
            values[name] = entry.get("value", "10.0.0.1" if name == "POD_IP" else "something")
            if values[name] in [mount["mountPath"] for mount in container.get("volumeMounts", [])]:
                values[name] = tempfile.gettempdir()  # here, too, a folder that can be written to
        for i, entry in enumerate(container.get("env", [])):
            for used in re.findall(r"\$\((\w+)\)", entry.get("value", "")):
                if used not in [e["name"] for e in container["env"][:i]]:
                    yield f"{container['name']}: {entry['name']} uses {used}, which is not set before it"
        refusal = binaries.refusal(program, tuple(container.get("args", ())), tuple(sorted(values.items())))
        if refusal:
            yield f"{container['name']}: {refusal}"
    peers = environment(it.containers["coordinator"])["HIVE_PEERS"].get("value", "")
    service = it.services.get(peers.removeprefix("dns:"))
    if not service or service.get("clusterIP") != "None":
        yield f"HIVE_PEERS={peers} names no headless Service of ours"


def ports(it):
    listens = {
        "coordinator": {binaries.default_port("hive-coordinator", f) for f in ("listen", "health-listen", "metrics-listen")},
        "proxy": {binaries.default_port("hive-proxy", f) for f in ("listen", "health-listen", "metrics-listen")},
        "redis": {6379},
    }
    names = []
    for name, container in it.containers.items():
        declared = {port["containerPort"] for port in container.get("ports", [])}
        if declared != listens.get(name):
            yield f"{name} declares ports {sorted(declared)}, and listens on {sorted(listens.get(name, []))}"
        names += [port["name"] for port in container.get("ports", [])]
    if len(set(names)) != len(names) or any(len(name) > 15 for name in names):
        yield f"port names must differ, and have at most 15 letters: {names}"
    reached = {
        "redis-hive": binaries.default_port("hive-proxy", "listen"),
        "redis-hive-read": 6379,
        "redis-hive-peers": binaries.default_port("hive-coordinator", "listen"),
    }
    for name, service in it.services.items():
        targets = [port["targetPort"] for port in service["ports"]]
        if targets != [reached.get(name)]:
            yield f"Service {name} leads to {targets} instead of {reached.get(name)}"
        peers = name == "redis-hive-peers"
        if service.get("type") != "ClusterIP" or (service.get("clusterIP") == "None") != peers:
            yield f"Service {name}: type or clusterIP"
        if service.get("publishNotReadyAddresses", False) != peers:
            yield f"Service {name}: publishNotReadyAddresses"
    if it.services["redis-hive-peers"].get("ipFamilyPolicy") != "SingleStack":
        yield "Service redis-hive-peers must list one address a pod"


def probes(it):
    for container, program in it.ours():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            grpc = container.get(kind, {}).get("grpc")
            if not grpc:
                yield f"{container['name']} has no {kind} over gRPC"
                continue
            if grpc["port"] != binaries.default_port(program, "health-listen"):
                yield f"{container['name']}'s {kind} asks port {grpc['port']}, which is not its health port"
            if not binaries.has_health_service(program, grpc["service"]):
                yield f"{container['name']}'s {kind} asks for {grpc['service']}, which {program} does not know"
            meant = {"readinessProbe": "readiness", "livenessProbe": "liveness"}.get(kind, grpc["service"])
            if grpc["service"] != meant:
                yield f"{container['name']}'s {kind} asks for {grpc['service']}"


def selectors(it):
    labels = it.template["metadata"]["labels"]
    found = [("Deployment redis-hive", it.deployment["selector"]["matchLabels"])]
    found += [(f"Service {name}", service.get("selector")) for name, service in it.services.items()]
    found += [("a topology spread", spread["labelSelector"]["matchLabels"]) for spread in it.pod["topologySpreadConstraints"]]
    found += [("the PodDisruptionBudget", o["spec"]["selector"]["matchLabels"]) for o in it.of_kind("PodDisruptionBudget")]
    for policy in it.of_kind("NetworkPolicy"):
        found.append(("the NetworkPolicy", policy["spec"]["podSelector"].get("matchLabels")))
        for rule in policy["spec"]["ingress"] + policy["spec"]["egress"]:
            for peer in rule.get("from", []) + rule.get("to", []):
                if peer.get("podSelector"):
                    found.append(("a rule of the NetworkPolicy", peer["podSelector"]["matchLabels"]))
    for who, selector in found:
        if not selector or not selector.items() <= labels.items():
            yield f"{who} selects {selector}, and the pods have {labels}"


def confinement(it):
    pod = it.pod["securityContext"]
    if not pod.get("runAsNonRoot") or not pod.get("runAsUser") or pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "the pod must run as another user than root, under the runtime's seccomp profile"
    if it.pod.get("automountServiceAccountToken") is not False:
        yield "the pod is given a token of the Kubernetes API"
    for name, container in it.containers.items():
        if container.get("securityContext") != {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}:
            yield f"{name} is not confined"


def storage(it):
    volumes = {volume["name"]: volume for volume in it.pod["volumes"]}
    for name, volume in volumes.items():
        if "emptyDir" not in volume:
            yield f"volume {name} is no emptyDir"
    mounted = {name: {m["mountPath"]: m["name"] for m in c.get("volumeMounts", [])} for name, c in it.containers.items()}
    for name, mounts in mounted.items():
        if not set(mounts.values()) <= set(volumes):
            yield f"{name} mounts {sorted(mounts.values())}, and the volumes are {sorted(volumes)}"
    folder = it.redis_options()["dir"][0]
    if folder not in mounted["redis"]:
        yield f"redis writes to {folder}, where no volume is mounted"
    script = it.redis["command"][2]
    if f"rm -rf {folder}/*" not in script or script.index("rm -rf") > script.index("exec "):
        yield f"{folder} is not cleared before redis starts"
    if environment(it.containers["coordinator"]).get("HIVE_STATE_DIR", {}).get("value") not in mounted["coordinator"]:
        yield "the coordinator's --state-dir is on no volume"


def redis_settings(it):
    options = it.redis_options()
    unset = re.findall(r"\$\((\w+)\)", " ".join(word for words in options.values() for word in words))
    if unset:
        yield f"redis's arguments use {', '.join(unset)}, which is not set"
        return
    for name, value in REDIS_SETTINGS.items():
        wanted = [str(v) for v in (value if isinstance(value, tuple) else (value,))]
        if options.get(name) != wanted:
            yield f"redis's {name} is {options.get(name)} instead of {wanted}"
    replica = options["client-output-buffer-limit"]
    used = _bytes(options["maxmemory"][0]) + _bytes(replica[1])
    limit = _bytes(it.redis["resources"]["limits"]["memory"])
    if replica[0] != "replica" or used > limit * 3 / 4:
        yield f"maxmemory and a replica's buffer take {used} of {limit} bytes: a quarter must be left for copies on write"
    if "auth" in it.components and "--aclfile" not in it.redis["command"][2]:
        yield "redis is not told of the users"


def resources(it):
    for name, container in it.containers.items():
        asked, limits = (container.get("resources", {}).get(key, {}) for key in ("requests", "limits"))
        for what in ("cpu", "memory"):
            if what not in asked or what not in limits or _amount(asked[what]) > _amount(limits[what]):
                yield f"{name}'s requests and limits of {what} do not fit"


def updates(it):
    rolling = it.deployment["strategy"].get("rollingUpdate")
    if rolling != {"maxSurge": 1, "maxUnavailable": 0} or not it.deployment.get("minReadySeconds"):
        yield "an update must add a pod before it takes one away, and wait for it"
    drain = binaries.default_seconds("hive-proxy", "drain-timeout")
    leave = binaries.default_seconds("hive-coordinator", "handover-timeout")
    ended = max(drain, leave)
    if "three-containers" in it.components:
        words = it.redis.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        if float(words[1]) < ended + 2:
            yield f"redis is told to end after {words}, and the others need up to {ended:g} s"
        ended = float(words[1])
    if it.pod["terminationGracePeriodSeconds"] < ended + _REDIS_SHUTDOWN_SECONDS + 5:
        yield f"a pod has {it.pod['terminationGracePeriodSeconds']} s to end, and may need {ended + _REDIS_SHUTDOWN_SECONDS:g} s"
    acks = environment(it.containers["proxy"]).get("HIVE_WRITE_ACKS")
    if acks and acks["value"] != str((it.deployment["replicas"] + rolling["maxSurge"]) // 2):
        yield f"HIVE_WRITE_ACKS={acks['value']} is not half of the pods that there may be"


def passwords(it):
    for name, container in it.containers.items():
        secret = [e for e in container.get("env", []) if "secretKeyRef" in e.get("valueFrom", {})]
        if bool(secret) != ("auth" in it.components):
            yield f"{name} has {'a' if secret else 'no'} password"


def policy(it):
    for spec in (o["spec"] for o in it.of_kind("NetworkPolicy")):
        opened = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
        needed = {port["targetPort"] for service in it.services.values() for port in service["ports"]}
        if opened != needed:
            yield f"the NetworkPolicy opens {sorted(opened)}, and the Services need {sorted(needed)}"
        way_out = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
        if not {53, 6379, binaries.default_port("hive-coordinator", "listen")} <= way_out:
            yield f"the NetworkPolicy lets pods reach {sorted(way_out)} only"


def monitoring(it):
    """What the Prometheus operator is to scrape is there: every port for metrics, of every pod, once."""
    for spec in (o["spec"] for o in it.of_kind("ServiceMonitor")):
        chosen = [s["metadata"]["name"] for s in it.of_kind("Service")
                  if spec["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()]
        if chosen != ["redis-hive-peers"]:
            yield f"the ServiceMonitor selects {chosen}: only redis-hive-peers has every pod, ready or not"
        numbers = {port["name"]: port["containerPort"] for c, _ in it.ours() for port in c["ports"]}
        scraped = sorted(str(numbers.get(endpoint["targetPort"])) for endpoint in spec["endpoints"])
        wanted = sorted(str(binaries.default_port(program, "metrics-listen")) for program in binaries.PROGRAMS)
        if scraped != wanted:
            yield f"the ServiceMonitor scrapes ports {scraped}, and metrics are at {wanted}"
        if set(spec) != {"jobLabel", "selector", "endpoints"} or any(set(e) != {"targetPort", "interval"} for e in spec["endpoints"]):
            yield "the ServiceMonitor has fields that nobody here knows"
    for config in it.of_kind("ConfigMap"):
        for name, content in config["data"].items():
            if json.loads(content)["uid"] != name.removesuffix(".json"):
                yield f"the dashboard's uid is not that of its file, {name}"
    if bool(it.of_kind("ServiceMonitor")) != ("monitoring" in it.components):
        yield "there is a ServiceMonitor without the component, or a component without it"


RULES = (kinds, containers, images, settings, ports, probes, selectors, confinement, storage, redis_settings, resources, updates,
         passwords, policy, monitoring)


def complaints(objects, components=()):
    it = Objects(objects, components)
    return [f"{rule.__name__}: {what}" for rule in RULES for what in rule(it)]


def _containers(thing):
    """Of a Pod, or of anything with a template of one."""
    spec = thing.get("spec", {})
    pod = spec.get("template", {}).get("spec", {}) if thing["kind"] != "Pod" else spec
    return pod.get("initContainers", []) + pod.get("containers", [])


def _flag(variable):
    return variable.removeprefix("HIVE_").lower().replace("_", "-")


def _amount(quantity):
    """A Kubernetes quantity, of the forms that we use."""
    number, suffix = re.fullmatch(r"([\d.]+)(m|Mi|Gi|)", quantity).groups()
    return float(number) * {"m": 0.001, "": 1, "Mi": 2**20, "Gi": 2**30}[suffix]


def _bytes(text):
    """Of a Kubernetes quantity, or of redis's words."""
    return _amount(text.replace("mb", "Mi").replace("gb", "Gi"))
