"""Both passes of a conversation, what differs between them, and the shortest conversation that still differs."""

import time

from .masks import masked
from .passes import DirectPass, ProxiedPass, _difference
from .wire import show


class Difference:
    """Where a conversation came apart: `step` of it, and a text for people."""

    def __init__(self, step, text):
        self.step = step
        self.text = text


def compare(redis, conversation, patience=5.0, address=None):
    """None, or the first Difference. `address`: of what is compared, in place of the proxy."""
    redis.reset()
    direct = DirectPass(redis, conversation)
    heard = direct.run()
    digest, calls = redis.digest(), redis.calls()
    redis.reset()
    proxied = ProxiedPass(redis, conversation, direct, heard, patience, address)
    answers = proxied.run()
    for number, (wanted, got) in enumerate(zip(heard, answers)):
        step = conversation.steps[number] if number < len(conversation.steps) else None
        text = _differs(wanted, got, bool(step and step.loose), bool(step and step.closes_late))
        if text:
            return Difference(number, text + (f"\n  waited in vain for {proxied.trouble}" if proxied.trouble else ""))
    if proxied.trouble:
        return Difference(len(answers) - 1, f"  waited in vain for {proxied.trouble}")
    if redis.digest() != digest:
        return Difference(len(conversation.steps), "  the data that is left differs")
    now = redis.calls()
    if not redis.done(calls, now):
        wanted, now = type("C", (), {"clients": {}, "calls": calls}), type("C", (), {"clients": {}, "calls": now})
        return Difference(len(conversation.steps), f"  redis executed something else: directly {_difference(wanted, now)}")
    return None


def _differs(wanted, got, loose, closes_late):
    for client in sorted(wanted):
        there, here = wanted[client], got.get(client)
        if here is None:
            continue
        for i in range(max(len(there.frames), len(here.frames))):
            a = masked(there.frames[i], loose) if i < len(there.frames) else None
            b = masked(here.frames[i], loose) if i < len(here.frames) else None
            if a != b:
                return (f"  client {client}, reply {i + 1} of this step:\n    directly: {_around(a, b)}\n    proxied:  {_around(b, a)}")
        if there.closed != here.closed and not closes_late:
            return f"  client {client}: directly {'closed' if there.closed else 'open'}, proxied {'closed' if here.closed else 'open'}"
    return None


def _around(data, other):
    if data is None:
        return "none"
    if other is None or len(data) < 400:
        return show(data, 600)
    same = next((i for i, (x, y) in enumerate(zip(data, other)) if x != y), min(len(data), len(other)))
    return f"{len(data)} bytes, from byte {max(0, same - 40)}: {show(data[max(0, same - 40):same + 200], 400)}"


def shrink(redis, conversation, difference, seconds=60, address=None):
    """Takes away steps and commands for as long as something differs. Returns what is left, with its Difference."""
    end = time.monotonic() + seconds
    conversation.steps = conversation.steps[:difference.step + 1]
    wanted = _kind(difference)
    best, again = difference, compare(redis, conversation, 0.8, address)
    if not again:
        return best, False

    def differs(steps):
        kept, conversation.steps = conversation.steps, steps
        found = compare(redis, conversation, 0.8, address)
        if not found or _kind(found) != wanted:
            conversation.steps = kept
            return None
        return found

    best, progress, width = again, True, max(1, len(conversation.steps) // 2)
    while (progress or width > 1) and time.monotonic() < end:
        if not progress:
            width //= 2
        progress = False
        at = 0
        while at < len(conversation.steps) and time.monotonic() < end:
            found = differs(conversation.steps[:at] + conversation.steps[at + width:])
            if found:
                best, progress = found, True
            else:
                at += width
    for number in range(len(conversation.steps) - 1, -1, -1):
        for part in range(len(conversation.steps[number].sends) - 1, -1, -1):
            width = max(1, len(conversation.steps[number].sends[part][1]) // 2)
            while width >= 1:
                at = 0
                while time.monotonic() < end and at < len(conversation.steps[number].sends[part][1]):
                    client, pieces = conversation.steps[number].sends[part]
                    found = differs(_replaced(conversation.steps, number, part, (client, pieces[:at] + pieces[at + width:])))
                    if found:
                        best = found
                    else:
                        at += width
                width //= 2
    return best, True


def _kind(difference):
    """Begins alike for differences of one cause: what is shrunk shall not turn into something else."""
    return [line[:24] for line in difference.text.splitlines()[1:]] or difference.text


def _replaced(steps, number, part, send):
    step = steps[number]
    copy = type(step)(step.sends[:part] + [send] + step.sends[part + 1:], step.ends, step.loose, step.leave_blocked, step.closes_late)
    return steps[:number] + [copy] + steps[number + 1:]


def report(conversation, difference, shrunk):
    """The conversation, or the last steps of one that could not be shrunk."""
    lines = [f"seed {conversation.seed}: {conversation.clients} clients; {'what is left of the' if shrunk else 'the last steps of a long'} conversation:"]
    for number, step in enumerate(conversation.steps[:difference.step + 1]):
        if not shrunk and number < difference.step - 1:
            continue
        lines.append(f"step {number}:\n{step.show()}")
    where = f"at step {difference.step}" if difference.step < len(conversation.steps) else "at the end"
    return "\n".join([*lines, f"DIFFERS {where}:", difference.text])
