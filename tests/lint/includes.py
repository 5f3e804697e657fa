#!/usr/bin/python3
"""Fails when a file includes what its folder may not know.

The table is the picture in docs/architecture.md: inclusion points down only, and pure folders see neither the world nor
the clock. CMake links by the same arrows; this catches what links by luck (a header, a standard library type).
"""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Folder -> our folders that it may include from. A folder may always include from itself.
MAY_INCLUDE = {
    "common/base": [],
    "common/net": ["common/base"],
    "common/app": ["common/base", "common/net", "grpc/health"],
    "coordinator/replication": ["common/base"],
    "coordinator/election": ["common/base", "coordinator/replication"],
    "coordinator/runtime": ["common", "coordinator/election", "coordinator/replication"],
    "coordinator/adapters": ["common", "coordinator/election", "coordinator/replication", "coordinator/runtime", "protos"],
    "coordinator": ["common", "coordinator", "protos"],
    "proxy/resp": ["common/base"],
    "proxy/session": ["common/base", "proxy/resp"],
    "proxy/upstream": ["common", "proxy/resp", "proxy/session"],
    "proxy/leader": ["common", "proxy/session", "protos"],
    "proxy/worker": ["common", "proxy/resp", "proxy/session", "proxy/upstream", "proxy/leader"],
    "proxy": ["common", "proxy", "protos"],
    "tests": ["common", "coordinator", "proxy", "protos", "grpc/health"],
}

# Their decisions must be repeatable: no socket, clock, lock, thread, log, random device, gRPC, protobuf or hiredis.
PURE = ["common/base", "coordinator/election", "coordinator/replication", "proxy/resp", "proxy/session"]
PURE_ABSL = ("absl/algorithm/", "absl/base/", "absl/container/", "absl/functional/", "absl/strings/", "absl/types/")
IMPURE_STANDARD = {
    "atomic", "barrier", "condition_variable", "ctime", "filesystem", "fstream", "future", "iostream", "latch", "mutex",
    "random", "semaphore", "shared_mutex", "stop_token", "syncstream", "thread",
}
PURE_EXCEPTIONS = {
    ("common/base", "arpa/inet.h"),  # inet_pton and inet_ntop compute; they touch nothing
    ("common/base", "netinet/in.h"),  # the types of the same
    ("common/base", "sys/socket.h"),  # AF_INET
}
CLOCK_READ = re.compile(r"\b(steady_clock|system_clock|high_resolution_clock)::now\b|\bclock_gettime\b|\bstd::rand\b")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    """The folder of MAY_INCLUDE that a file of ours belongs to: the longest one that its path begins with."""
    parts = os.path.dirname(path).split("/")
    while parts:
        if "/".join(parts) in MAY_INCLUDE:
            return "/".join(parts)
        parts.pop()
    return None


def complaint(folder, quote, included):
    """Why a file of `folder` may not include this, or None."""
    if included.startswith(("hive/v1/", "grpc/health/")):
        target = "protos" if included.startswith("hive/") else "grpc/health"
    elif quote == '"' and included.split("/")[0] in ("common", "coordinator", "proxy", "tests"):
        target = folder_of(included)
    else:
        return impurity(folder, quote, included)
    if target == folder or any(target == a or target.startswith(a + "/") for a in MAY_INCLUDE[folder]):
        return None
    return f"{folder} may not know {target}"


def impurity(folder, quote, included):
    if folder not in PURE or (folder, included) in PURE_EXCEPTIONS:
        return None
    if included.startswith("absl/"):
        return None if included.startswith(PURE_ABSL) else f"{folder} is pure: of Abseil only {', '.join(PURE_ABSL)}"
    if quote == '"':
        return "includes of ours are relative to the repository's root"
    if "." in included or "/" in included:
        return f"{folder} is pure: the C++ standard library, small Abseil types and {MAY_INCLUDE[folder]} only"
    return f"{folder} is pure: no <{included}>" if included in IMPURE_STANDARD else None


def check(path):
    folder = folder_of(path)
    if folder is None:
        yield f"{path}: its folder is not in the table of tests/lint/includes.py"
        return
    with open(os.path.join(ROOT, path), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            match = INCLUDE.match(line)
            if match and (why := complaint(folder, *match.groups())):
                yield f"{path}:{number}: {why} (it includes {match.group(2)})"
            if folder in PURE and CLOCK_READ.search(line.partition("//")[0]):
                yield f"{path}:{number}: {folder} is pure: time and randomness are arguments"


def sources():
    for top in ("common", "coordinator", "proxy", "tests"):
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for file in files:
                if file.endswith((".h", ".cc")):
                    yield os.path.relpath(os.path.join(folder, file), ROOT)


def main():
    found = [line for path in sorted(sources()) for line in check(path)]
    print("\n".join(found) if found else "every include points down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
