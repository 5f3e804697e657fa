"""What `--write-acks 1` costs: two proxies of one pod that leads another, one with it and one without, in turn within each round."""

from . import contenders, throughput
from .contenders import HIVE
from .workloads import WORKLOADS

ACKS = "hive, --write-acks 1"
LOADS = ("50xP1", "50xP16")  # the first is the one that is judged


def measure(leader, followers, binaries, modes, loads, rounds, scale):
    """Samples as throughput.measure has them. The followers stay away from the one CPU of the pinned mode: in life they have their own."""
    without = contenders.of_pod(leader, HIVE)
    acks = contenders.further_hive_proxy("hive-acks", leader, binaries, 0, ("--write-acks=1",))
    acks.name = ACKS
    bystanders = [process for pod in followers for process in pod.processes]
    try:
        return throughput.measure(leader, [contenders.direct(leader), without, acks], modes, [WORKLOADS[name] for name in loads], rounds,
                                  scale, bystanders)
    finally:
        acks.process.kill()
