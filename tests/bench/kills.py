"""What clients see of kills: longest time without an acknowledged write, acknowledged writes lost, errors."""

from localhive import addresses, demo, faults
from localhive.hive import LocalHive
from localhive.load import WriteLoad

from table import median_and_most, print_table, progress

_TIMES = 20
_CLIENTS = 4
_FAULTS = {
    "redis, back empty after 50 ms": lambda hive, pod: faults.kill_redis(hive, pod, 0.05),
    "redis, back empty after 1 s": lambda hive, pod: faults.kill_redis(hive, pod, 1.0),
    "coordinator, back after 1 s": lambda hive, pod: faults.kill_coordinator(hive, pod, 1.0),
    "whole pod, replaced by a new IP": faults.replace_pod,
}


def run(binaries):
    rows = []
    for name, fault in _FAULTS.items():
        outcomes, acknowledged, keys = _observe(binaries, name, fault)
        rows.append((
            name,
            median_and_most([o.gap for o in outcomes]),
            median_and_most([o.worst_client_gap for o in outcomes]),
            f"{sum(len(o.lost) for o in outcomes)} of {acknowledged} (most in one kill: {max(len(o.lost) for o in outcomes)})",
            sum(sum(o.errors.values()) for o in outcomes),
            f"{keys} of 5000",
        ))
    print_table(
        f"Kills (-9) at the leader, {_TIMES} each: three pods, {_CLIENTS} clients writing all the time",
        ("killed at the leader", "no write acknowledged for (ms, median / max)", "the same for the worst client",
         "acknowledged writes lost", "errors clients saw", "keys from before the kills"), rows)


def _observe(binaries, name, fault):
    with LocalHive(addresses.claim_test_block(), binaries) as hive:
        hive.start(3)
        demo.write_keys(hive.wait_writable(30))
        outcomes = []
        with WriteLoad(lambda: [pod.ip for pod in hive.pods], _CLIENTS) as load:
            for i in range(_TIMES):
                outcome = faults.observe(hive, load, name, fault)
                outcomes.append(outcome)
                progress(f"{name}, {i + 1}: {outcome.gap * 1000:.0f} ms, {len(outcome.lost)} lost, {dict(outcome.errors)}")
            load.stop()
        return outcomes, load.acknowledged, demo.count_keys(hive.wait_settled())
