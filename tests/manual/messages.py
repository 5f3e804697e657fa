"""What the two programs may say to a client or an operator, as their sources have it.

A message is one string literal, with what stands around it left out: "the local redis refuses " of `"the local redis refuses " +
command`. Of a call with several the longest counts.
"""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = ("common", "coordinator", "proxy")

_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_ADJACENT = re.compile(r'"\s*\n\s*"')  # "one " "literal" over two lines
_SHORTEST = 12  # shorter ones are names of fields, units, joints of sentences

# What a message is said with. Those of the election are a line in the log, and why `status` says that it waits.
LOGGED = r"\b(?:LogWarning|LogError|Complain|NoteLine)\("
AT_THE_START = r"\b(?:Fail|Refuse|refuse|InvalidArgumentError|UnavailableError)\("
REPLIED = re.compile(r'"-([A-Z]+ .*)"')


# Reasons that one member gives another in a handover; the other one's words for them are "could not hand over to".
YIELDED = {"it does not follow", "it is leaving itself", "it has not heard its leader of late", "it has promised itself to another winner",
           "it is in doubt", "its redis is not in sync"}


def literals(text):
    return _LITERAL.findall(text)


def calls(pattern):
    """(file, arguments) of each call that matches, in the sources."""
    for path, text in sources():
        for match in re.finditer(pattern, text):
            end = _closing(text, match.end())
            yield path, text[match.end():end]


def sources(ending=".cc"):
    """(path, text) of each file, adjacent literals made one."""
    for folder in SOURCES:
        for place, _, names in sorted(os.walk(os.path.join(ROOT, folder))):
            for name in sorted(names):
                if name.endswith(ending):
                    with open(os.path.join(place, name), encoding="utf-8") as source:
                        text = re.sub(r"^\s*//.*$", "", source.read(), flags=re.MULTILINE)
                    yield os.path.relpath(os.path.join(place, name), ROOT), _ADJACENT.sub("", text)


def longest(text):
    """The longest literal of a call's arguments, None where none is a message."""
    found = [plain(literal) for literal in literals(text) if " " in literal and len(literal) >= _SHORTEST]
    return max(found, key=len) if found else None


def plain(literal):
    return literal.replace('\\"', '"').replace("\\r\\n", "").replace("\\n", "").strip()


def logged():
    return {(path, message) for path, text in calls(LOGGED) if "kInfo" not in text and (message := longest(text))}


def at_the_start():
    """Why a program does not start: one line on stderr, and exit code 2."""
    elsewhere = ("replication", "resp", "upstream", "worker")  # their Fail says why something else failed
    return {(path, message) for path, text in calls(AT_THE_START) if path.split("/")[1] not in elsewhere and (message := longest(text))}


def replied():
    """Errors that hive-proxy gives to clients."""
    return {(path, plain(text)) for path, source in sources() if path.startswith("proxy/") for text in REPLIED.findall(source)}


def said_by_status():
    """Why the hive waits, or takes no writes: the words behind "waiting for" and "writes are"."""
    found = set()
    for path, text in sources():
        if path in ("coordinator/election/view.cc", "coordinator/election/doubt.cc"):
            bodies = re.findall(r"return [^;]*;", text)
            found |= {(path, message) for body in bodies if (message := longest(body))}
    return found


def refused():
    """Why messages of others are not taken, as the log tells it."""
    found = set()
    for path, text in sources():
        if path == "coordinator/election/forced.cc":
            bodies = re.findall(r"(?:return|Outcome::k(?:Refused|Late),) [^;]*;", text)
            found |= {(path, message) for body in bodies if (message := longest(body))}
        if path in ("coordinator/adapters/refusals.cc", "coordinator/election/admission.cc", "coordinator/election/handover.cc"):
            wanted = r"^(?:refused|ignored|it |its (?:identity|term)|another (?:incarnation|handover)|no follower|nobody leads|this leader)"
            found |= {(path, plain(literal)) for literal in literals(text) if len(literal) > 15 and re.match(wanted, literal)}
    return {(path, message) for path, message in found if message not in YIELDED}


def _closing(text, start):
    """Where the parenthesis that is open at `start` is closed; parentheses within literals do not count."""
    depth, at = 1, start
    while depth:
        literal = _LITERAL.match(text, at)
        if literal:
            at = literal.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at - 1
