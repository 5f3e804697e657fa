"""Faults on real processes, and what clients see of them.

    netns.py       network namespaces in the place of machines; cuts between them
    stack.py       what is under test, as the faults and the clients see it: the interface to implement for another one
    hive_stack.py  Redis Hive behind that interface
"""
