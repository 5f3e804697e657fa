"""What the real binaries say of themselves: their flags, their ports, their health services, and what they refuse."""

import functools
import os
import re
import subprocess
import time

BINARIES = os.environ["BINARIES"]
PROGRAMS = ("hive-coordinator", "hive-proxy")

_FLAG = re.compile(r"^  --([a-z-]+)(?:=\S+)?\n      .*\n      (default: ([^;\n]*)|required)", re.MULTILINE)
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


@functools.cache
def flags(program):
    """Flag -> its default as --help words it, None where it must be given."""
    text = subprocess.run([_path(program), "--help"], capture_output=True, text=True, timeout=10, check=True).stdout
    return {name: default or None for name, _, default in _FLAG.findall(text)}


@functools.cache
def version():
    said = {subprocess.run([_path(p), "--version"], capture_output=True, text=True, timeout=10, check=True).stdout for p in PROGRAMS}
    numbers = {text.split()[-1] for text in said}
    assert len(numbers) == 1, f"the binaries are of different versions: {numbers}"
    return numbers.pop()


def default_port(program, flag):
    return int(re.search(r"\d+$", flags(program)[flag].split(",")[0])[0])


def default_seconds(program, flag):
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", flags(program)[flag]).groups()
    return float(number) * _UNITS[unit]


@functools.cache
def refusal(program, arguments, environment):
    """The line with which a program refuses these words and this environment (both tuples), else None. It is started for it, so
    this needs a network in which its ports are free."""
    process = subprocess.Popen([_path(program), *arguments], env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)
    try:
        _, said = process.communicate(timeout=0.3)
        return said.strip()
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None


@functools.cache
def has_health_service(program, service):
    """Whether the program, started and asked, knows a health service of that name."""
    port, words = {
        "hive-coordinator": (default_port("hive-coordinator", "health-listen"), ["--peers=static:127.0.0.1:7400"]),
        "hive-proxy": (default_port("hive-proxy", "health-listen"), []),
    }[program]
    process = subprocess.Popen([_path(program), *words], env={}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(50):
            said = subprocess.run([_path("hive-coordinator"), "health", service, f"--target=127.0.0.1:{port}"], env={},
                                  capture_output=True, text=True, timeout=10, check=False).stdout
            if "no answer" not in said:
                return "no such health service" not in said
            time.sleep(0.1)
        raise TimeoutError(f"{program} answers no health question on port {port}: {said}")
    finally:
        process.kill()
        process.wait()


def _path(program):
    return os.path.join(BINARIES, program)
