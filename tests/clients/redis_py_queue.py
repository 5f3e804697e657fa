"""A queue in plain commands, as many applications write their own, with redis-py as it comes: `redis_py_queue.py add|work HOST PORT`.

`add` adds jobs 0, 1, 2, ... until it is ended, and says "added N" once the server has said so. `work` takes each into a list of what is
under way, does it ("done N"), and takes it out of there; with nothing to do it looks for a job that was left there. Each error that
redis-py lets out is told ("error ..."), and answered by trying again.
"""

import sys
import time

import redis


def say(*words):
    print(*words, flush=True)


def add(client):
    number = 0
    while True:
        try:
            client.lpush("redis-py:jobs", number)
            say("added", number)
            number += 1
        except redis.RedisError as error:
            say("error", repr(error))
        time.sleep(0.02)


def work(client):
    while True:
        try:
            job = client.blmove("redis-py:jobs", "redis-py:underway", 1, "RIGHT", "LEFT")
            if job is not None:
                say("done", int(job))
                client.lrem("redis-py:underway", 1, job)
            else:
                client.lmove("redis-py:underway", "redis-py:jobs", "LEFT", "RIGHT")
        except redis.RedisError as error:
            say("error", repr(error))


what, host, port = sys.argv[1:]
{"add": add, "work": work}[what](redis.Redis(host, int(port)))
