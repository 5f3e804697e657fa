"""`./hive bench proxy`: what a proxy in front of redis costs, hive-proxy beside its rivals. docs/benchmarks.md, "Proxy".

    workloads.py    the workloads, and one run of redis-benchmark
    contenders.py   direct, hive-proxy, HAProxy, twemproxy: how each is started
    throughput.py   rounds of all contenders: requests/s, latency, CPU
    write_acks.py   what --write-acks 1 costs
    memory.py       memory per idle client
    leader_change.py, leader_clients.py   many clients while the leader changes
    bars.py         what is to be reached
    report.py       ratios, tables, verdicts
    plot.py         a bar chart of the throughput
    command.py      options, and the order of it all
"""
