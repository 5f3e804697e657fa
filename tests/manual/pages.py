"""The commands that stand in the pages of the manual."""

import glob
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# For who runs a hive: each of these commands is run, as far as there is something to run it against.
FOR_OPERATORS = ("README.md", "docs/kubernetes.md", "docs/operating.md", "docs/troubleshooting.md", "docs/messages.md", "docs/reference.md",
                 "docs/proxy.md", "docs/election.md", "docs/security.md", "docs/faq.md", "docs/metrics.md", "docs/monitoring.md",
                 "docs/moving.md")
# For who works on it.
FOR_DEVELOPERS = tuple(sorted(
    page for path in glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True)
    if (page := os.path.relpath(path, ROOT)) not in FOR_OPERATORS))
PROGRAMS = ("apt-get", "buf", "build/dev/bin/hive_hostile_peer", "build/dev/bin/hive_sim", "cmake", "ctest", "curl", "export", "git", "grpcurl",
            "helm", "hive-coordinator", "hive-proxy", "./hive", "kubectl", "ninja", "openssl", "podman", "/usr/bin/python3", "redis-cli",
            "redis-server", "sed", "unshare", "xargs")


def text_of(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def commands(page):
    """In a page's blocks and between its backquotes, in order. A name alone is no command."""
    text = text_of(page)
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    spans = re.findall(r"`([^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in lines + [" ".join(span.split()) for span in spans]:
        line = re.sub(r"\s+#.*", "", line.strip().removeprefix("$ "))
        if line.split(" ")[0] in PROGRAMS and (" " in line or line in lines):
            yield line
