"""A recorded operation, and its line in a history file. Times are those of time.monotonic(): the same in every process."""

from typing import NamedTuple

SET = "set"  # a key of its own per operation, never written again
GET = "get"  # the key that this client has just been told is set, through the same connection
GET_ELSEWHERE = "get-elsewhere"  # the same through another pod
PUSH = "push"  # the number onto the end of the client's own list of this epoch
WRITES = (SET, PUSH)
READS = (GET, GET_ELSEWHERE)

# Kinds of outcomes. What follows is said in `detail`.
OK = "ok"  # acknowledged; a read returned what was written
NIL = "nil"  # a read found nothing
WRONG = "wrong"  # a read found this other value
ERROR = "error"  # an error reply of this text: it was not executed, unless the text says otherwise (see checker.MAY_BE_EXECUTED)
UNKNOWN = "unknown"  # sent, and no reply: closed, or not in time
REFUSED = "refused"  # no connection could be had: nothing was sent


class Op(NamedTuple):
    group: str  # which clients' process: its side of a partition
    client: int  # unique among all groups
    epoch: int  # which run of a fault; names the list
    kind: str
    number: int  # grows with each operation of a client's; key and value
    began: float
    ended: float
    outcome: str
    detail: str
    endpoint: str  # ip:port it was sent to

    @property
    def acknowledged_write(self):
        return self.outcome == OK and self.kind in WRITES

    @property
    def key(self):
        return key_of(self.client, self.number)


def key_of(client, number):
    return f"kv:{client}:{number}"


def list_of(client, epoch):
    return f"list:{epoch}:{client}"


def to_line(op):
    return "\t".join(str(field).replace("\t", " ").replace("\n", " ") for field in op) + "\n"


def from_line(line):
    group, client, epoch, kind, number, began, ended, outcome, detail, endpoint = line.rstrip("\n").split("\t")
    return Op(group, int(client), int(epoch), kind, int(number), float(began), float(ended), outcome, detail, endpoint)
