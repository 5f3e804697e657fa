"""What the charts' init script does in a new pod: finds out who the master is, and writes the configuration of its redis and sentinel.

    python3 -m chaos.sentinel_start FILE

FILE is JSON: {"settings", "ip", "slot", "first", "sentinels", "data", "redis_conf", "sentinel_conf"}. `first`: the address of the pod
that begins as master where no sentinel runs yet. A container that starts again keeps its configuration, as redis and sentinel have
rewritten it: this is not run again.
"""

import json
import os
import sys
import time

from localhive import resp

from . import sentinel_config as config

_PATIENCE = 15.0  # s with a master that does not answer, before a failover is forced; the redis-ha chart pings it three times in 15 s
_AFTER_FORCING = 10.0  # s until the next one: the chart's, too
_BETWEEN = 0.2  # s
_NOBODY = 3  # rounds in which no sentinel listens: the stack is starting for the first time
_TIMEOUT = 0.3  # s


def find_master(own, first, sentinels, ask, clock=time.monotonic, sleep=time.sleep):
    """The address of a master that answers. Without sentinels it is `first`: at once for that pod itself, for the others when it
    answers, as a StatefulSet starts its pods in order. `ask(ip, port, *words)`: a reply, or None."""
    nobody, force_at = 0, clock() + _PATIENCE
    while nobody < _NOBODY or (own != first and ask(first, config.REDIS_PORT, "PING") != "PONG"):
        named = [answer[0].decode() for ip in sentinels if ip != own
                 if (answer := ask(ip, config.SENTINEL_PORT, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", config.MASTER_NAME))]
        for ip in dict.fromkeys(named):
            if ip != own and ask(ip, config.REDIS_PORT, "PING") == "PONG":
                return ip
        nobody = 0 if named else nobody + 1
        if named and clock() >= force_at:
            any(ask(ip, config.SENTINEL_PORT, "SENTINEL", "FAILOVER", config.MASTER_NAME) == "OK" for ip in sentinels if ip != own)
            force_at = clock() + _AFTER_FORCING
        sleep(_BETWEEN)
    return first


def _ask(ip, port, *words):
    try:
        return resp.ask(ip, port, *words, timeout=_TIMEOUT)
    except resp.ReplyError as error:  # -LOADING, -NOGOODSLAVE, -INPROG
        print(f"{ip}:{port} {words}: {error}", flush=True)
        return None


def _write(path, text):
    """At once: the sentinel's container waits for the file."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def main(path):
    with open(path) as file:
        pod = json.load(file)
    settings = getattr(config, pod["settings"])
    master = find_master(pod["ip"], pod["first"], pod["sentinels"], _ask)
    print(f"the master is {master}", flush=True)
    _write(pod["sentinel_conf"],
           config.sentinel_config(settings, pod["ip"], pod["slot"], os.path.dirname(pod["sentinel_conf"]), master))
    _write(pod["redis_conf"], config.redis_config(settings, pod["ip"], pod["data"], master))


if __name__ == "__main__":
    main(sys.argv[1])
