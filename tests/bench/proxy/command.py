"""The command: what to measure, and where the results go."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time

from localhive import addresses
from localhive.hive import LocalHive
from table import print_table, progress

from . import contenders, report, throughput
from .contenders import DIRECT, HIVE, MAKERS
from .throughput import MODES
from .workloads import WORKLOADS, RunFailed

PARTS = ("throughput",)
_ROUNDS = 7
_QUICK_SCALE = 0.05  # of each run's requests


def run(binaries):
    """All of it, as `./hive bench` without a name does."""
    return main([], binaries)


def main(words, binaries):
    try:
        options = _options(words, binaries)
    except _Wrong as wrong:
        print(f"hive: {wrong}", file=sys.stderr)
        return 2
    for name in contenders.missing():
        if name in options.only:
            options.only.remove(name)
            progress(f"{name} is left out: Debian's package {contenders.RIVALS[name]} is not installed")
    results = {"environment": _environment(options)}
    verdicts = report.Verdicts()
    try:
        for part in options.parts:
            _MEASURE[part](options, results, verdicts)
    except RunFailed as failed:
        print(f"hive: {failed}", file=sys.stderr)
        return 1
    results["environment"]["load_average_after"] = os.getloadavg()
    results["bars"] = verdicts.records()
    if verdicts.all:
        print(verdicts.summary(), flush=True)
    if options.json:
        with open(options.json, "w") as out:
            json.dump(results, out, indent=1)
    return 0


class _Wrong(Exception):
    """An option that makes no sense; a sentence for the user."""


def _options(words, binaries):
    parser = argparse.ArgumentParser(
        prog="./hive bench proxy", description="What a proxy in front of redis costs: direct, hive-proxy, HAProxy and twemproxy in turn.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=None, metavar="N", help=f"default {_ROUNDS}")
    parser.add_argument("--mode", type=_list, default=list(MODES), metavar="NAME,...",
                        help="pinned (client, proxy and redis share one CPU), free, or both (default)")
    parser.add_argument("--workload", type=_list, default=None, metavar="NAME,...", help=f"of {', '.join(WORKLOADS)} (default all)")
    parser.add_argument("--only", type=_list, default=None, metavar="NAME,...", help=f"of {', '.join(MAKERS)} (default all)")
    parser.add_argument("--binaries", default=binaries, metavar="FOLDER", help="of hive-coordinator and hive-proxy")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FOLDER",
                        help="another build's hive-proxy in the same rounds; may be repeated")
    parser.add_argument("--scale", type=float, default=None, metavar="X", help="so many times the requests of each run (default 1)")
    parser.add_argument("--json", metavar="FILE", help="every sample, the environment and the verdicts")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that the tool works, measures nothing")
    options = parser.parse_args(words)
    for given, known, what in ((options.parts, PARTS, "part"), (options.mode, MODES, "mode"),
                               (options.workload or [], WORKLOADS, "workload"), (options.only or [], MAKERS, "contender")):
        for name in given:
            if name not in known:
                raise _Wrong(f"'{name}' is no {what}: there are {', '.join(known)}.")
    if not options.parts:
        options.parts = ["throughput"] if options.workload or options.only else list(PARTS)
    options.workloads = [WORKLOADS[name] for name in options.workload or WORKLOADS]
    options.only = options.only or list(MAKERS)
    options.rounds = options.rounds or (1 if options.quick else _ROUNDS)
    options.scale = options.scale or (_QUICK_SCALE if options.quick else 1.0)
    options.binaries = os.path.abspath(options.binaries)
    options.also = [_named_folder(text) for text in options.also]
    for folder in (options.binaries, *(folder for _, folder in options.also)):
        if not os.access(os.path.join(folder, "hive-proxy"), os.X_OK):
            raise _Wrong(f"there is no hive-proxy in {folder}.")
    for program in ("redis-server", "redis-benchmark", "dnsmasq", "taskset"):
        if not shutil.which(program):
            raise _Wrong(f"{program} is not in PATH; ./hive bench sees to that, by hand it is PATH=$PWD/build/tools:$PATH:/usr/sbin.")
    return options


def _list(text):
    return text.split(",")


def _named_folder(text):
    name, found, folder = text.partition("=")
    if not found or not name or name in MAKERS:
        raise _Wrong(f"--also wants NAME=FOLDER with a name of its own, not '{text}'.")
    return name, os.path.abspath(folder)


def _environment(options):
    """Whatever one needs to know to compare two files."""
    return {
        "began": time.strftime("%FT%TZ", time.gmtime()),
        "cpu": _cpu_model(), "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(),
        "redis": _first_line("redis-server", "--version"), "redis_benchmark": _first_line("redis-benchmark", "--version"),
        "haproxy": _first_line("haproxy", "-v"), "twemproxy": _first_line("nutcracker", "--version"),
        "hive": _first_line(os.path.join(options.binaries, "hive-proxy"), "--version"),
        "proxy_threads": 1, "rounds": options.rounds, "scale": options.scale, "contenders": options.only,
        "also": dict(options.also), "load_average_before": os.getloadavg(),
    }


def _cpu_model():
    with open("/proc/cpuinfo") as info:
        return next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())


def _first_line(*argv):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError:
        return None
    return done.stdout.partition("\n")[0]


def _throughput(options, results, verdicts):
    with LocalHive(addresses.claim_test_block(), options.binaries) as hive:
        hive.start(1)
        pod = hive.wait_writable(30)
        competing = [MAKERS[name](pod) for name in options.only]
        competing += [contenders.further_hive_proxy(name, pod, folder, i) for i, (name, folder) in enumerate(options.also)]
        samples = throughput.measure(pod, competing, options.mode, options.workloads, options.rounds, options.scale)
        for contender in competing:
            if contender.process and contender.process is not pod.proxy:
                contender.process.kill()
    results["throughput"] = [sample.record() for sample in samples]
    for mode in options.mode:
        _print_throughput(samples, mode, options.rounds, verdicts)
    share = report.share_of_cpu(samples)
    if share is not None:
        print(f"Those who shared one CPU got {share * 100:.0f} % of it (median).\n", flush=True)


def _print_throughput(samples, mode, rounds, verdicts):
    times = f"{mode}, {rounds} round{'s' if rounds > 1 else ''}: median (least..most)"
    for title, table in (
            ("Throughput over direct", report.throughput_table(samples, mode, verdicts)),
            ("Throughput over direct, from CPU clocks", report.total_cpu_table(samples, mode)),
            ("Latency over direct", report.latency_table(samples, mode, verdicts)),
            ("CPU of the proxy", report.proxy_cpu_table(samples, mode, verdicts)),
            ("CPU of redis", report.redis_cpu_table(samples, mode, verdicts))):
        print_table(f"{title}; {times}", *table)
        print()


_MEASURE = {"throughput": _throughput}
assert tuple(_MEASURE) == PARTS and DIRECT in MAKERS and HIVE in MAKERS
