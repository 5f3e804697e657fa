"""Faults on real processes, and what clients see of them: `./hive chaos`. docs/chaos.md says how to use and extend it.

    netns.py       network namespaces in the place of machines; cuts between them
    stack.py       what is under test, as the faults and the clients see it: the interface to implement for another one
    hive_stack.py  Redis Hive behind that interface
    sentinel_stack.py  redis with Sentinel and HAProxy behind it; sentinel_config.py: its files, sentinel_start.py: its start script
    stacks.py      all of them by name
    client.py      one process of clients: they write, read, and record every operation
    load.py        the clients' processes, as the runner sees them
    history.py     a recorded operation
    checker.py     what a history and the final state prove: pure functions
    faults.py      the faults: how each is done, what it may cost
    runner.py      runs a fault many times on one stack, and judges each run
    results.py     the file of results, and the table made of it
    __main__.py    the command
    compare.py     `./hive compare`: the same faults on several stacks, and one table
"""
