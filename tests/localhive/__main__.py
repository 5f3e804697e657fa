"""The commands behind ./hive up and ./hive demo.

    python3 -m localhive [check] up [--pods N] | demo

`check` looks for what would stop the command (a wrong option, another one running, a port in use) and starts nothing.
"""

import fcntl
import os
import signal
import sys
import tempfile

from . import addresses, demo, process, up

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARIES = os.path.join(ROOT, "build", "release", "bin")
_MOST_PODS = addresses.UP[2]
_DEMO_PODS = 4  # three, and the one that replaces the killed one


class Refused(Exception):
    """The command cannot be done; the text is the sentence for the user."""


def main(words):
    check_only = words[:1] == ["check"]
    command, *options = words[check_only:] or [""]
    if command not in ("up", "demo"):
        raise Refused(f"'{command}' is not a command; there are up and demo.")
    pods = _pods(command, options)
    lock = _lock(command)
    block = addresses.Block(*(addresses.UP if command == "up" else addresses.DEMO))
    block.require_free(pods)
    if check_only:
        return 0
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    try:
        if command == "up":
            up.run(BINARIES, pods)
        else:
            demo.run(BINARIES)
    except KeyboardInterrupt:
        print("\nAll of it has ended.", flush=True)
        return 130
    finally:
        lock.close()
    return 0


def _stop(number, _frame):
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _pods(command, options):
    if command == "demo":
        if options:
            raise Refused(f"demo takes no options, and was given '{options[0]}'.")
        return _DEMO_PODS
    words = " ".join(options).replace("=", " ").split()
    if not words:
        return 3
    if len(words) == 2 and words[0] == "--pods" and words[1].isdecimal() and 1 <= int(words[1]) <= _MOST_PODS:
        return int(words[1])
    raise Refused(f"up takes --pods N with N from 1 to {_MOST_PODS}, and was given '{' '.join(options)}'.")


def _lock(command):
    """Held until this process ends; a second `up` of the same user learns about the first one."""
    path = os.path.join(tempfile.gettempdir(), f"redis-hive-{command}-{os.getuid()}.lock")
    lock = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"./hive {command} runs already, as process {lock.read().strip()}: use that one, or end it "
                      f"with Ctrl-C there (or kill that process) and run this again.") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Refused, addresses.Busy) as refusal:
        print(f"hive: {refusal}", file=sys.stderr)
        sys.exit(2)
    except (RuntimeError, TimeoutError, process.StartFailed) as failure:
        print(f"hive: the hive did not come up: {failure}", file=sys.stderr)
        sys.exit(1)
