"""A client that minds its own business: `bystander.py IP PORT [PASSWORD]` sets a small value every 2 ms and reads it back, until its
input ends, and prints as JSON how many requests it made, how many went wrong, how the last of them did, and the median, the 99th
percentile and the longest of its waits (s)."""

import json
import os
import select
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from localhive import resp  # pylint: disable=wrong-import-position


def connect():
    return resp.Connection(sys.argv[1], int(sys.argv[2]), 20.0, sys.argv[3] if len(sys.argv) > 3 else None)


def main():
    waits, errors, what = [], 0, ""
    connection = connect()
    connection.command("PING")
    print("ready", flush=True)
    key, number = f"bystander:{sys.argv[2]}:{os.getpid()}", 0
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        number += 1
        begin = time.monotonic()
        try:
            connection.send_raw(resp.encode("SET", key, number) + resp.encode("GET", key))
            answers = [connection.read_reply(), connection.read_reply()]
            if answers != ["OK", str(number).encode()]:
                raise resp.ConnectionLost(f"another's replies: {answers}")
        except resp.ReplyError as error:
            errors, what = errors + 1, str(error)
            connection = connect()
        except resp.ConnectionLost as error:
            errors, what = errors + 1, str(error)
            connection = connect()
        waits.append(time.monotonic() - begin)
    waits.sort()
    median, most, longest = ([waits[int(share * (len(waits) - 1))] for share in (0.5, 0.99, 1)] if waits else (0, 0, 0))
    print(json.dumps([len(waits), errors, what, median, most, longest]))


main()
