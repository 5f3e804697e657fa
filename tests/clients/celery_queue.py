"""A Celery application with redis as broker and for results: `celery -A celery_queue worker` does its tasks ("done N"),
`celery_queue.py` adds tasks 0, 1, 2, ... until it is ended ("added N"). REDIS_URL says where redis is."""

import os
import time

from celery import Celery

app = Celery("celery_queue", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])


def say(*words):
    """Past Celery, which takes a worker's standard output for its log."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


@app.task
def job(number):
    say("done", number)
    return number


def add():
    number = 0
    while True:
        try:
            job.delay(number)
            say("added", number)
            number += 1
        except Exception as error:  # pylint: disable=broad-except
            say("error", repr(error))
        time.sleep(0.02)


if __name__ == "__main__":
    add()
