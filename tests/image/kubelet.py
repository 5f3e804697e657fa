"""Pods as a kubelet runs them: containers of a rendered pod template, in one network namespace.

What is taken from the template: images, commands, arguments, environment, mounts (an emptyDir is a folder), users, capabilities, the
read-only root, limits, the order of starting and ending, and probes with their periods. What is not: scheduling, restarts, Services (who
asks for endpoints takes the ready pods' addresses).
"""

import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

POD_USER_MODE = 0o770


class Pod:
    """One pod. `secrets`: name -> key -> value. `asker`: a binary and a namespace to ask health services with."""

    def __init__(self, podman, network, template, name, secrets, resolv_conf, asker):
        self.name = name
        self._podman = podman
        self._network = network
        self._spec = template["spec"]
        self._secrets = secrets
        self._resolv_conf = resolv_conf
        self._asker = asker
        self._folders = {}
        self.namespace = network.add(name)
        self.ip = self.namespace.ip
        self.sidecars = [c["name"] for c in self._spec.get("initContainers", [])]
        self.plain = [c["name"] for c in self._spec["containers"]]
        self._containers = {c["name"]: c for c in self._spec.get("initContainers", []) + self._spec["containers"]}
        self._due = {}
        self.ready = False
        self.leaving = False

    def start(self):
        user = self._spec["securityContext"]["runAsUser"]
        for volume in self._spec["volumes"]:
            memory = volume["emptyDir"].get("medium") == "Memory"
            folder = tempfile.mkdtemp(prefix="hive-image-volume-", dir="/dev/shm" if memory else None)
            os.chown(folder, user, user)
            os.chmod(folder, POD_USER_MODE)
            self._folders[volume["name"]] = folder
        for name in self.sidecars:
            self._run(self._containers[name])
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: self._run(self._containers[name]), self.plain))

    def probe(self):
        """Asks what is due by now; call it often. A pod is ready once each container's startup probe and then its readiness probe has
        succeeded; here it stays so."""
        if self.ready:
            return
        done = []
        for name, container in self._containers.items():
            kinds = [kind for kind in ("startupProbe", "readinessProbe") if kind in container]
            done.append(all(self._succeeded(name, kind) for kind in kinds))
        self.ready = all(done)

    def end(self):
        """As at deletion: all but the sidecars are told, after their preStop hooks, and the sidecars when those have ended. Returns how
        long it took (s); raises TimeoutError if the grace period is over before."""
        begun = time.monotonic()
        grace = self._spec["terminationGracePeriodSeconds"]
        for names in (self.plain, self.sidecars):
            with ThreadPoolExecutor() as pool:
                list(pool.map(self._tell_to_end, names))
            for name in names:
                left = begun + grace - time.monotonic()
                try:
                    code = self._podman("wait", "--interval=100ms", self.container(name), timeout=max(left, 0.1)).strip()
                except subprocess.TimeoutExpired as error:
                    raise TimeoutError(f"{self.container(name)} had not ended after {grace} s") from error
                if code != "0":
                    raise RuntimeError(f"{self.container(name)} ended with {code}: {self.log(name)}")
        return time.monotonic() - begun

    def remove(self):
        for name in self._containers:
            self._podman("rm", "--force", "--time=0", "--ignore", self.container(name))
        self._network.remove(self.namespace)
        self.remove_volumes()

    def remove_volumes(self):
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)

    def execute(self, container, *words):
        """`kubectl exec POD -c CONTAINER -- WORD...`: its stdout. Raises podman.Failed."""
        return self._podman("exec", self.container(container), *words)

    def pid(self, container):
        """Of its first process, as this machine counts."""
        return int(self._podman("inspect", "--format={{.State.Pid}}", self.container(container)))

    def log(self, container, lines=15):
        text = self._podman("logs", f"--tail={lines}", self.container(container))
        return text.strip()

    def container(self, name):
        return f"{self.name}-{name}"

    # -- one container ---------------------------------------------------------------------------------------------------------

    def _run(self, container):
        user = self._spec["securityContext"]
        confined = container["securityContext"]
        limits = container["resources"]["limits"]
        words = ["run", "--detach", "--pull=never", f"--name={self.container(container['name'])}",
                 f"--network=ns:/run/netns/{self.namespace.full_name}", f"--user={user['runAsUser']}:{user['runAsGroup']}",
                 f"--memory={_mebibytes(limits['memory'])}m", f"--cpus={limits['cpu']}" if "m" not in limits["cpu"] else
                 f"--cpus={int(limits['cpu'].rstrip('m')) / 1000}", f"--volume={self._resolv_conf}:/etc/resolv.conf:ro"]
        if confined["readOnlyRootFilesystem"]:
            words += ["--read-only", "--read-only-tmpfs=false"]
        if not confined["allowPrivilegeEscalation"]:
            words.append("--security-opt=no-new-privileges")
        words += [f"--cap-drop={capability}" for capability in confined["capabilities"]["drop"]]
        words += [f"--volume={self._folders[m['name']]}:{m['mountPath']}" for m in container.get("volumeMounts", [])]
        values = self._environment(container)
        words += [f"--env={name}={value}" for name, value in values.items()]
        program, *arguments = [_expanded(word, values) for word in container["command"] + container.get("args", [])]
        words += [f"--entrypoint={program}", container["image"], *arguments]
        self._podman(*words)

    def _tell_to_end(self, name):
        hook = self._containers[name].get("lifecycle", {}).get("preStop")
        if hook:
            self.execute(name, *hook["exec"]["command"])
        self._podman("kill", "--signal=TERM", self.container(name))

    def _environment(self, container):
        values = {}
        for entry in container.get("env", []):
            source = entry.get("valueFrom", {})
            if "fieldRef" in source:
                value = {"status.podIP": self.ip, "metadata.namespace": "default"}[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                value = self._secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
            else:
                value = _expanded(entry["value"], values)
            values[entry["name"]] = value
        return values

    def _succeeded(self, name, kind):
        """Whether this probe has succeeded, now or earlier."""
        due = self._due.get((name, kind), 0.0)
        now = time.monotonic()
        if due is not None and now >= due:
            probe = self._containers[name][kind]
            ok = self._asker.healthy(self.ip, probe["grpc"]["port"], probe["grpc"]["service"])
            self._due[name, kind] = due = None if ok else now + probe["periodSeconds"]
        return due is None


class Asker:
    """Asks health services from within a namespace, with the binary `hive-coordinator` of `folder`."""

    def __init__(self, namespace, folder):
        self._namespace = namespace
        self._binary = os.path.join(folder, "hive-coordinator")

    def healthy(self, ip, port, service):
        with self._namespace.inside():
            run = subprocess.run([self._binary, "health", service, f"--target={ip}:{port}"], capture_output=True, timeout=10, check=False)
        return run.returncode == 0


def _expanded(text, values):
    """$(NAME), as far as it is set."""
    for name, value in values.items():
        text = text.replace(f"$({name})", value)
    return text


def _mebibytes(quantity):
    number, unit = quantity[:-2], quantity[-2:]
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]
