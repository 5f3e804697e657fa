"""The images, made without a registry: Debian from its mirror, a stand-in for redis's official image, ours from the Dockerfile."""

import os
import subprocess
import tempfile

from .podman import Failed

DEBIAN = "docker.io/library/debian:12"

_SERVER = f"""FROM {DEBIAN}
RUN apt-get update && apt-get install -y --no-install-recommends redis-tools
RUN ln -s redis-check-rdb /usr/bin/redis-server
"""


def provide_debian(podman, mirror):
    if podman.has_image(DEBIAN):
        return
    print("==> Debian 12, by debootstrap", flush=True)
    with tempfile.TemporaryDirectory(prefix="hive-image-") as folder:
        root, archive = os.path.join(folder, "root"), os.path.join(folder, "root.tar")
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root, mirror], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        podman("import", archive, DEBIAN)


def provide_server(podman, name):
    """Under the name that the manifest gives: Debian's redis-server, called as the official image calls it."""
    if "/redis:" not in name:
        raise Failed(f"there is no stand-in for {name} here, only for redis")
    if not podman.has_image(name):
        print(f"==> {name}: Debian's redis-server in its place", flush=True)
        _build(podman, name, "-f", "-", stdin=_SERVER)


def build_ours(podman, name, root):
    print(f"==> {name}: the Dockerfile (minutes, unless its layers are there already)", flush=True)
    _build(podman, name, root)


def _build(podman, name, *words, stdin=None):
    arguments = ["build", "--quiet", "--pull=never", "--network=host", "--isolation=chroot", "--tag", name, *words]
    if stdin is None:
        podman.aloud(*arguments)
    else:
        podman(*arguments, stdin=stdin, timeout=600)


def take_file(podman, name, path, folder):
    """Copies a file out of an image into `folder`."""
    container = podman("create", name).strip()
    try:
        podman("cp", f"{container}:{path}", folder)
    finally:
        podman("rm", container)
