"""The command: what to measure, and where the results go."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time

from localhive import addresses
from localhive.hive import LocalHive
from localhive.process import StartFailed
from table import print_table, progress

from . import contenders, leader_change, memory, plot, report, throughput, write_acks
from .contenders import MAKERS
from .throughput import MODES, PINNED
from .workloads import WORKLOADS, RunFailed

PARTS = ("throughput", "memory", "write-acks", "leader-change")
_ROUNDS = 7
_QUICK_SCALE = 0.02  # of each run's requests
_IDLE_CLIENTS, _CHANGE_CLIENTS = 2000, 1000
_QUICK_CLIENTS = 100
_UNDISTURBED = 0.97


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
    except (RunFailed, leader_change.ChangeFailed, StartFailed, TimeoutError) as failed:
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
    parser.add_argument("--mode", type=_list, default=None, metavar="NAME,...",
                        help="pinned (client, proxy and redis share one CPU), free, or both (default; with --quick pinned)")
    parser.add_argument("--workload", type=_list, default=None, metavar="NAME,...", help=f"of {', '.join(WORKLOADS)} (default all)")
    parser.add_argument("--only", type=_list, default=None, metavar="NAME,...", help=f"of {', '.join(MAKERS)} (default all)")
    parser.add_argument("--binaries", default=binaries, metavar="FOLDER", help="of hive-coordinator and hive-proxy")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=FOLDER",
                        help="another build's hive-proxy in the same rounds; may be repeated")
    parser.add_argument("--scale", type=float, default=None, metavar="X", help="so many times the requests of each run (default 1)")
    parser.add_argument("--json", metavar="FILE", help="every sample, the environment and the verdicts")
    parser.add_argument("--plot", metavar="FILE", help="a bar chart (SVG) of the throughput over direct")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that the tool works, measures nothing")
    options = parser.parse_args(words)
    for given, known, what in ((options.parts, PARTS, "part"), (options.mode or [], MODES, "mode"),
                               (options.workload or [], WORKLOADS, "workload"), (options.only or [], MAKERS, "contender")):
        for name in given:
            if name not in known:
                raise _Wrong(f"'{name}' is no {what}: there are {', '.join(known)}.")
    if not options.parts:
        options.parts = ["throughput"] if options.workload or options.only else list(PARTS)
    options.workloads = [WORKLOADS[name] for name in options.workload or WORKLOADS]
    options.only = options.only or list(MAKERS)
    options.mode = options.mode or ([PINNED] if options.quick else list(MODES))
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
    with _hive(options, 1) as (_, pod):
        competing = [MAKERS[name](pod) for name in options.only]
        competing += [contenders.further_hive_proxy(name, pod, folder, i) for i, (name, folder) in enumerate(options.also)]
        samples = throughput.measure(pod, competing, options.mode, options.workloads, options.rounds, options.scale)
        for contender in competing:
            if contender.process and contender.process is not pod.proxy:
                contender.process.kill()
    results["throughput"] = [sample.record() for sample in samples]
    for mode in options.mode:
        _print_throughput(samples, mode, options, verdicts)
    if options.plot:
        with open(options.plot, "w") as out:
            out.write(plot.draw(samples, options.mode[0]))
    share = report.share_of_cpu(samples)
    if share is not None:
        doubt = " Something else ran there: ratios from CPU clocks are the ones to believe." if share < _UNDISTURBED else ""
        print(f"Those who shared one CPU got {share * 100:.0f} % of it (median).{doubt}\n", flush=True)


def _print_throughput(samples, mode, options, verdicts):
    for title, table in (
            ("Throughput over direct", report.throughput_table(samples, mode, verdicts)),
            ("Throughput over direct, from CPU clocks", report.total_cpu_table(samples, mode)),
            ("Latency over direct", report.latency_table(samples, mode, verdicts)),
            ("CPU of the proxy", report.proxy_cpu_table(samples, mode, verdicts)),
            ("CPU of redis", report.redis_cpu_table(samples, mode, verdicts))):
        print_table(f"{title}; {mode}, {_times(options)}", *table)
        print()


def _memory(options, results, verdicts):
    clients = _QUICK_CLIENTS if options.quick else _IDLE_CLIENTS
    with _hive(options, 1) as (hive, pod):
        competing = [MAKERS[name](pod) for name in options.only]
        competing += [contenders.further_hive_proxy(name, pod, folder, i) for i, (name, folder) in enumerate(options.also)]
        samples = memory.measure(competing, clients, options.rounds, 0.1 if options.quick else 5.0)
    results["memory"] = [sample.record() for sample in samples]
    print_table(f"Memory of the proxy per idle client, {samples[0].clients} clients, {_times(options)}",
                *report.memory_table(samples, verdicts))
    print()


def _write_acks(options, results, verdicts):
    with _hive(options, 2) as (hive, leader):
        followers = [pod for pod in hive.pods if pod is not leader]
        loads = write_acks.LOADS[:1] if options.quick else write_acks.LOADS
        samples = write_acks.measure(leader, followers, options.binaries, options.mode, loads, options.rounds, options.scale)
    results["write-acks"] = [sample.record() for sample in samples]
    for mode in options.mode:
        print_table(f"Throughput with --write-acks 1; {mode}, {_times(options)}", *report.write_acks_table(samples, mode, verdicts))
        print()


def _leader_change(options, results, verdicts):
    clients = _QUICK_CLIENTS if options.quick else _CHANGE_CLIENTS
    names = list(leader_change.FAULTS)[:2 if options.quick else None]
    with _hive(options, 3) as (hive, _):
        samples = leader_change.measure(hive, names, clients, options.rounds)
    results["leader-change"] = [sample.record() for sample in samples]
    print_table(f"A leader change under {clients} connected clients; three pods, {_times(options)}",
                *report.leader_change_table(samples, verdicts))
    print()


@contextlib.contextmanager
def _hive(options, pods):
    """A hive that takes writes, and its leader. Members that begin a new dataset need not wait long: all of them are there."""
    with LocalHive(addresses.claim_test_block(), options.binaries, coordinator_flags=("--bootstrap-settle=500ms",)) as hive:
        hive.start(pods)
        yield hive, hive.wait_writable(30)


def _times(options):
    return f"{options.rounds} round{'s' if options.rounds > 1 else ''}: median (least..most)"


_MEASURE = {"throughput": _throughput, "memory": _memory, "write-acks": _write_acks, "leader-change": _leader_change}
assert tuple(_MEASURE) == PARTS
