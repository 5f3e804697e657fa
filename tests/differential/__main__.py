"""Random conversations until the time is over; each that differs is shrunk and printed."""

import argparse
import os
import random
import sys
import time

from .compare import compare, report, shrink
from .passes import Redis
from .servers import Servers
from .streams import Conversation

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arguments():
    parser = argparse.ArgumentParser(prog="python3 -m differential", description=__doc__)
    parser.add_argument("--binaries", default=os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin")), help="folder of hive-proxy")
    parser.add_argument("--redis-server", default="redis-server", help="or a valkey-server")
    parser.add_argument("--seed", type=int, help="one conversation only: this one")
    parser.add_argument("--first-seed", type=int, help="where to begin; else drawn")
    parser.add_argument("--seconds", type=float, default=60, help="how long to go on (default 60)")
    parser.add_argument("--conversations", type=int, default=10**9, help="how many at most")
    parser.add_argument("--length", type=int, default=12, help="steps of a conversation")
    parser.add_argument("--only", help="names of scenes in streams.py, separated by commas")
    parser.add_argument("--without", default="", help="names of scenes to leave out")
    parser.add_argument("--threads", type=int, default=1, help="event loops of the proxy")
    parser.add_argument("--proxy-flag", action="append", default=[], help="passed on to hive-proxy")
    parser.add_argument("--shrink-seconds", type=float, default=40)
    parser.add_argument("--most", type=int, default=10**9, help="differences to end after")
    parser.add_argument("--twice-direct", action="store_true", help="both passes without the proxy: whatever differs is this test's own fault")
    return parser.parse_args()


def run(options, out=sys.stdout):
    """How many conversations differed."""
    servers = Servers(options.binaries, options.redis_server, options.threads, (), options.proxy_flag)
    found = done = 0
    try:
        redis = Redis(servers)
        first = options.seed if options.seed is not None else options.first_seed
        if first is None:
            first = random.SystemRandom().randrange(10**9)
        print(f"seeds from {first}", file=out, flush=True)
        end = time.monotonic() + options.seconds
        address = servers.redis if options.twice_direct else None
        only = options.only.split(",") if options.only else None
        while done < (1 if options.seed is not None else options.conversations) and time.monotonic() < end and found < options.most:
            conversation = Conversation(first + done, options.length, only, options.without.split(","))
            done += 1
            try:
                difference = compare(redis, conversation, address=address)
            except Exception:
                print(f"in seed {conversation.seed}:\n{servers.logs()}", file=out, flush=True)
                raise
            if not difference:
                continue
            found += 1
            print(f"\n#### {found}: seed {conversation.seed}", file=out)
            if not servers.alive():
                print(report(conversation, difference, False), "\nA PROCESS HAS ENDED:\n" + servers.logs(), file=out, flush=True)
                break
            again = False
            if options.shrink_seconds > 0:
                difference, again = shrink(redis, conversation, difference, options.shrink_seconds, address)
                if not again:
                    print("(not a second time)", file=out)
            print(report(conversation, difference, again), file=out, flush=True)
        print(f"{done} conversations, {found} differed", file=out, flush=True)
    finally:
        servers.close()
    return found


if __name__ == "__main__":
    sys.exit(1 if run(arguments()) else 0)
