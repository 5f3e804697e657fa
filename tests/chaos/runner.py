"""Runs a fault many times on one stack, one after the other, and judges each run.

The stack is used again for the next run when it has settled. One that does not settle is thrown away with its logs kept, and the
next run has a new one.
"""

import os
import shutil
import sys
import tempfile
import time

from localhive import resp
from localhive.process import StartFailed

from . import checker, history, netns
from .checker import Final
from .faults import FOLLOWER, HALF_TIMEOUT, LEADER, LEADER_TIMEOUT, NOTHING, Broken, Scene
from .load import Load
from .stack import Unsupported

KEYS = 5000  # of the dataset that must survive everything
_MARGIN = 1.0  # s under load before a fault: writes so close before it are judged, too, since they may not have been replicated
_AFTER = 0.5  # s after all is settled: belongs to the window that is judged
_SETTLE_PATIENCE = 60.0  # s
_BATCH = 1000  # keys per MGET
_UNSETTLED = (TimeoutError, RuntimeError, OSError, StartFailed, resp.ConnectionLost, resp.ReplyError)


class Session:
    """A stack under load, for consecutive runs of one fault. Used in a `with`."""

    def __init__(self, stack_type, fault, binaries, dataset_mb):
        self._fault = fault
        self._dataset_mb = dataset_mb
        self._network = netns.Network()
        self.folder = tempfile.mkdtemp(prefix=self._network.prefix)
        self._stack = self._load = None
        try:
            self._stack = stack_type(self._network, self.folder, binaries, **fault.options)
            self._load = Load(self._network, self.folder, timeout=fault.patience)
            self._stack.endpoints_changed = self._tell_clients
            self._cut_off = None
            self._dataset_lost = False
            self._stack.start(fault.pods)
            self._stack.wait_rested(_SETTLE_PATIENCE)
            self._write_dataset()
            self._load.start()
            self._load.spread(self._endpoints())
            self._stack.sleep(1)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._load:
            self._load.stop()
        if self._stack:
            self._stack.close()
        self._network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def rest(self):
        """Before every run: waits until nothing of the one before is left; what that one has lost is written again."""
        self._stack.wait_rested(_SETTLE_PATIENCE)
        if self._dataset_lost:
            self._write_dataset()
            self._dataset_lost = False

    def run(self):
        """One run: what was measured, as results.py keeps it. Raises what _UNSETTLED lists, or Unsupported."""
        stack, fault = self._stack, self._fault
        stack.wait_settled(_SETTLE_PATIENCE)
        scene = self._prepare()
        stack.sleep(_MARGIN)
        scene.begins()
        broken = []
        try:
            fault.do(scene)
        except Broken as what:
            broken.append(str(what))
        healed = time.monotonic()
        leader = stack.wait_settled(_SETTLE_PATIENCE)
        settled_after = time.monotonic() - healed
        stack.sleep(_AFTER)
        until = time.monotonic()
        ops = [op for op in self._load.collect(stack.wait) if op.epoch == self._load.epoch]
        leader = stack.wait_settled(_SETTLE_PATIENCE)
        findings = checker.judge(ops, self._final(leader, ops))
        missing = self._missing(leader)
        self._dataset_lost = missing > 0
        return self._record(scene, ops, findings, scene.began, until, settled_after, broken, missing)

    def _prepare(self):
        """Every client on a fresh connection to where it may go, so that all runs begin alike."""
        leader = self._stack.leader()
        followers = [pod for pod in self._stack.pods if pod is not leader]
        self._cut_off = {LEADER: leader, FOLLOWER: followers[0] if followers else None, None: None}[self._fault.sides]
        self._load.spread(self._endpoints())
        return Scene(self._stack, self._load, self._cut_off, self._dataset_mb)

    def _endpoints(self):
        if not self._cut_off:
            everywhere = self._stack.endpoints()
            return {name: everywhere for name in self._load.groups}
        others = [pod for pod in self._stack.pods if pod is not self._cut_off]
        return {"a": self._stack.endpoints([self._cut_off]), "b": self._stack.endpoints(others)}

    def _tell_clients(self):
        self._load.allow(self._endpoints())

    # -- the truth afterwards -------------------------------------------------------------------------------------------------

    def _write_dataset(self):
        leader = self._stack.wait_settled(_SETTLE_PATIENCE)
        words = [word for i in range(KEYS) for word in (f"data:{i}", i)]
        if leader.redis("MSET", *words, timeout=10) != "OK":
            raise RuntimeError(f"the redis of {leader.ip} leads and takes no dataset")
        self._stack.wait(lambda: all(pod.redis("EXISTS", "data:0", f"data:{KEYS - 1}") == 2 for pod in self._stack.pods), 10,
                         "the dataset to be everywhere")

    @staticmethod
    def _missing(leader):
        return KEYS - _ask(leader, "EXISTS", *(f"data:{i}" for i in range(KEYS)))

    def _final(self, leader, ops):
        keys = [op.key for op in ops if op.kind == history.SET]
        values = {}
        for i in range(0, len(keys), _BATCH):
            batch = keys[i:i + _BATCH]
            values.update((k, v.decode()) for k, v in zip(batch, _ask(leader, "MGET", *batch)) if v is not None)
        epoch = self._load.epoch
        lists = {(client, epoch): [int(n) for n in _ask(leader, "LRANGE", history.list_of(client, epoch), 0, -1)]
                 for client in {op.client for op in ops}}
        return Final(values, lists)

    def _record(self, scene, ops, findings, since, until, settled_after, broken, missing):
        fault = self._fault
        gaps = {name: checker.longest_gap(ops, since, until, name) * 1000 for name in self._load.groups}
        gap = gaps["b"] if fault.sides else checker.longest_gap(ops, since, until) * 1000
        overlap = checker.overlap(ops, *scene.cut_span) if scene.cut_span else checker.Overlap()
        fault_at = scene.cut_span[0] if scene.cut_span else since
        lost_until = max(((op.ended - fault_at) * 1000 for op in findings.lost), default=0.0)
        broken += [f"{name}: {getattr(findings, name)[:3]}" for name in findings.broken()]
        broken += _broken_promises(fault, findings, missing, lost_until, overlap, settled_after * 1000)
        return {
            "fault_at": _log_time(fault_at), "gap": round(gap, 1), "gap_by_side": {name: round(value, 1) for name, value in gaps.items()},
            "acknowledged": findings.acknowledged, "seconds": round(until - since, 2),
            "lost": len(findings.lost), "lost_until": round(lost_until, 1), "dataset_missing": missing,
            "stale_reads": len(findings.stale_reads),
            "errors": dict(findings.errors), "overlap": round(overlap.seconds * 1000, 1), "overlap_writes": overlap.writes,
            "settled_after": round(settled_after * 1000, 1), "broken": broken, "machine_load": round(os.getloadavg()[0], 1),
        }


def _log_time(moment):
    """A moment of time.monotonic() as the logs have it."""
    wall = time.time() - time.monotonic() + moment
    return time.strftime("%FT%T", time.gmtime(wall)) + f".{int(wall % 1 * 1000):03}Z"


def _ask(leader, *words):
    answer = leader.redis(*words, timeout=20)
    if answer is None:
        raise resp.ConnectionLost(f"the redis of {leader.ip} leads and does not answer the judge")
    return answer


def _broken_promises(fault, findings, missing, lost_until, overlap, settled_after):
    """Names first: the table counts by what stands before the colon."""
    if missing:
        yield f"dataset lost: {missing} of {KEYS} keys"
    if fault.may_lose == NOTHING and findings.lost:
        yield f"writes lost: {len(findings.lost)}, first {findings.lost[0]}"
    if fault.may_lose == HALF_TIMEOUT and lost_until > LEADER_TIMEOUT / 2:
        yield f"writes lost too late: the last was acknowledged {lost_until:.0f} ms after the cut"
    if overlap.writes and overlap.seconds * 1000 > fault.may_overlap:
        yield f"two writable leaders: for {overlap.seconds * 1000:.0f} ms, {overlap.writes} writes"
    if findings.stale_reads and not fault.may_read_stale:
        yield f"stale reads: {len(findings.stale_reads)}, first {findings.stale_reads[0]}"
    if fault.no_errors and findings.errors:
        yield f"client errors: {dict(findings.errors)}"
    if settled_after > fault.converges:
        yield f"settled late: {settled_after:.0f} ms after the heal"


def missed_bar(fault, record, slack=1.0):
    """A sentence if the run's gap exceeds `slack` times the fault's maximum; None if it does not."""
    if not fault.bar or "gap" not in record or record["gap"] <= slack * fault.bar[1]:
        return None
    return f"gap of {record['gap']:.0f} ms, where {slack * fault.bar[1]:.0f} ms are allowed"


def run_fault(stack_type, fault, binaries, build, runs, results, kept_logs, dataset_mb):
    """Brings the number of recorded runs to `runs`. Returns all records. Raises Unsupported if the fault makes no sense there."""
    if reason := stack_type.unavailable(binaries, fault):
        raise Unsupported(reason)
    records = results.of(stack_type.name, fault.name, build)
    session = None
    try:
        while len(records) < runs:
            if session and not _rests(session, fault):
                session.close()
                session = None
            record = {"stack": stack_type.name, "fault": fault.name, "build": build, "run": len(records) + 1, "broken": []}
            try:
                session = session or Session(stack_type, fault, binaries, dataset_mb)
                record.update(session.run())
            except _UNSETTLED as error:
                record["broken"].append(f"did not settle: {error}")
            if session and (record["broken"] or (stack_type.promises and missed_bar(fault, record))):
                record["logs"] = _keep(session.folder, kept_logs, record)
            if session and "gap" not in record:
                session.close()
                session = None
            results.append(record)
            records.append(record)
            _progress(fault, record)
    finally:
        if session:
            session.close()
    return records


def _rests(session, fault):
    try:
        session.rest()
        return True
    except _UNSETTLED as error:
        print(f"    {fault.name}: the next run gets a new stack: {error}", file=sys.stderr, flush=True)
        return False


def _keep(folder, kept_logs, record):
    where = os.path.join(kept_logs, f"{record['stack']}-{record['fault']}-{record['build']}-{record['run']}")
    shutil.rmtree(where, ignore_errors=True)
    shutil.copytree(folder, where, ignore=lambda path, names: [n for n in names if n.endswith((".control", ".rdb"))])
    return where


def _progress(fault, record):
    if "gap" in record:
        text = (f"gap {record['gap']:.0f} ms {record['gap_by_side']}, {record['lost']} of {record['acknowledged']} lost, "
                f"{sum(record['errors'].values())} errors, settled after {record['settled_after']:.0f} ms")
    else:
        text = "no numbers"
    broken = f"; BROKEN: {record['broken']}; logs in {record.get('logs')}" if record["broken"] else ""
    print(f"    {record['stack']}: {fault.name} {record['run']}: {text}{broken}", file=sys.stderr, flush=True)


__all__ = ["Session", "Unsupported", "missed_bar", "run_fault"]
