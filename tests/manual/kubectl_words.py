"""Whether what a kubectl command names is in the manifests: folders, workloads, containers and the programs in them, Services, labels,
the Secret. What becomes of the command only a cluster can show; that a name is wrong shows here.
"""

import os
import re
import shlex
import sys

from pages import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "manifests"))
import render

OWN_FOLDER = "my-hive"  # the reader's own: its kustomization stands in docs/kubernetes.md, and tests/manifests renders it
OURS = {"hive-coordinator", "hive-proxy"}  # all that our image has
REDIS_HAS = {"redis-cli", "redis-server", "sh"}
KINDS = {"pod", "pods", "endpointslices", "events", "deployment", "service"}
_PLACEHOLDER = re.compile(r"[A-Z_]+$")


class Manifests:
    """Base with every component, and the guest. Needs kubectl."""

    def __init__(self):
        objects = render.build(os.path.join(render.MANIFESTS, "overlays", "production"))
        objects += render.build(os.path.join(render.MANIFESTS, "guest"))
        self._names = {(o["kind"].lower(), o["metadata"]["name"]) for o in objects}
        deployment = next(o for o in objects if o["kind"] == "Deployment")
        guest = next(o for o in objects if o["kind"] == "Pod")
        self._pod = deployment["spec"]["template"]
        self._guest = guest
        self._secrets = {}
        for container in _containers(self._pod):
            for entry in container.get("env", []):
                if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                    self._secrets.setdefault(reference["name"], set()).add(reference["key"])

    def complaints(self, command):
        """A sentence for each name that is not there."""
        outside, _, inside = command.partition(" -- ")
        words = shlex.split(outside)[1:]
        verb, words = words[0], words[1:]
        options, plain = _options(words)
        for folder in options.get("-k", []):
            if folder != OWN_FOLDER and not os.path.exists(os.path.join(ROOT, folder, "kustomization.yaml")):
                yield f"there is no kustomization in {folder}"
        for label in options.get("-l", []):
            yield from self._label(label)
        if verb == "create":
            yield from self._secret(plain, options)
        elif verb in ("rollout", "scale"):
            named = plain[1:] if verb == "rollout" else plain
            if not named or not all(name.startswith("deployment/") for name in named):
                yield f"{verb} is for a deployment, and is given {named}"
            yield from self._exist(named)
        elif verb in ("exec", "logs"):
            yield from self._exist(plain)
            yield from self._container(plain[0] if plain else "", options, inside.split(" ")[0] if verb == "exec" else "")
        elif verb in ("get", "describe", "delete", "top"):
            if plain and "/" not in plain[0] and plain[0] not in KINDS:
                yield f"nobody here has heard of the kind {plain[0]}"
            yield from self._exist([plain[0] + "/" + name for name in plain[1:]])
        elif verb not in ("apply", "drain"):
            yield f"nobody here knows what kubectl {verb} is for"

    def _exist(self, names):
        for name in names:
            kind, _, name = name.rpartition("/")
            if not _PLACEHOLDER.match(name) and (kind or "pod", name) not in self._names:
                yield f"there is no {kind or 'pod'} {name}"

    def _container(self, target, options, program):
        template = self._guest if target.endswith(self._guest["metadata"]["name"]) else self._pod
        found = {container["name"]: container for container in _containers(template)}
        default = template["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/default-container", next(iter(found)))
        name = options.get("-c", [default])[0]
        if name not in found:
            yield f"there is no container {name} in {target}"
        elif program and program != "..." and not _PLACEHOLDER.match(program):
            has = OURS if found[name].get("command", [""])[0] in OURS else REDIS_HAS
            if program not in has:
                yield f"the container {name} has no {program}"

    def _label(self, label):
        key, _, value = label.partition("=")
        if key == "kubernetes.io/service-name":
            if ("service", value) not in self._names:
                yield f"there is no Service {value}"
        elif self._pod["metadata"]["labels"].get(key) != value:
            yield f"no pod has the label {label}"

    def _secret(self, plain, options):
        name = plain[-1]
        keys = {literal.partition("=")[0] for literal in options.get("--from-literal", [])}
        if self._secrets.get(name) != keys:
            yield f"the manifests ask for {self._secrets}, and {name} with {sorted(keys)} is made"


def _containers(template):
    return template["spec"]["containers"] + template["spec"].get("initContainers", [])


def _options(words):
    """Option -> its values; and the other words. Of the options only those that name something take a word of their own."""
    options, plain, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        if word.startswith("--") and "=" in word:
            name, _, value = word.partition("=")
            options.setdefault(name, []).append(value)
        elif word in ("-k", "-l", "-c", "-o"):
            options.setdefault(word, []).append(words.pop(0) if words else "")
        elif not word.startswith("-"):
            plain.append(word)
    return options, plain
