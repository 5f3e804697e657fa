"""A whole hive on one machine, made of the real parts.

Each pod is a real redis-server, hive-coordinator and hive-proxy on a loopback address of its own, and dnsmasq stands for
the headless service's DNS. `./hive up`, `./hive demo`, the integration tests and the benchmarks all start it here.

    process.py    one child process: start, signals, logs; nothing outlives this one
    addresses.py  which loopback addresses a hive may use, and whether they are free
    dns.py        dnsmasq as the headless service
    pod.py        redis + coordinator + proxy of one pod
    hive.py       LocalHive: pods come and go, what the redises say of themselves, waiting for it
    resp.py       the little RESP that the above speak
    load.py       clients that write and remember what was acknowledged, and the judge of what was lost
    faults.py     what the demo and the benchmarks do to a hive
    up.py, demo.py, __main__.py   the commands

Only Python's standard library: `./hive up` must run on a bare Debian.
"""
