"""What the real binaries say of themselves: their flags, their ports, their health services, and what they refuse."""

import contextlib
import functools
import os
import re
import socket
import subprocess

from localhive.process import wait_until

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
    """What a program says when it refuses these words and this environment (both tuples), None if it takes them: it is started, and
    then either ends or answers on its health port. This needs a network in which its ports are free."""
    with _started(program, arguments, environment) as process:
        return process.stderr.read().strip() if process.poll() is not None else None


@functools.cache
def has_health_service(program, service):
    """Whether the program, started and asked, knows a health service of that name."""
    words = ("--peers=static:127.0.0.1:7400",) if program == "hive-coordinator" else ()
    with _started(program, words) as process:
        assert process.poll() is None, f"{program} does not start: {process.stderr.read()}"
        said = subprocess.run([_path("hive-coordinator"), "health", service, f"--target=127.0.0.1:{_health_port(program)}"], env={},
                              capture_output=True, text=True, timeout=10, check=False).stdout
        assert "no answer" not in said, said
        return "no such health service" not in said


@contextlib.contextmanager
def _started(program, arguments, environment=()):
    """The process, which has ended or listens on its health port."""
    with subprocess.Popen([_path(program), *arguments], env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            wait_until(lambda: process.poll() is not None or _listens(_health_port(program)), 20, f"{program} to listen or to refuse")
            yield process
        finally:
            process.kill()


def _health_port(program):
    return default_port(program, "health-listen")


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _path(program):
    return os.path.join(BINARIES, program)
