"""The part of docs/reference.md that is made from `--help`. As a program it writes that part anew."""

import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "reference.md")
BINARIES = os.environ.get("BINARIES", os.path.join(ROOT, "build", "dev", "bin"))
_BEGIN, _END = "<!-- from --help: begin -->\n", "<!-- from --help: end -->\n"
_FLAG = re.compile(r"^  --([a-z-]+)(?:=(\S+))?\n      (.*)\n      (?:default: ([^;\n]*)|(required))(?:; (.*))?$", re.MULTILINE)

# In the page's order: words of the command line, and a sentence.
COMMANDS = (
    (("hive-coordinator",), "One in every pod, beside its redis."),
    (("hive-coordinator", "status"), "Prints the hive as a coordinator sees it."),
    (("hive-coordinator", "handover"), "Moves leadership to another member, without losing a write."),
    (("hive-coordinator", "lead"), "Makes the member of this pod lead, without those that are silent; without `--force`, says what that may lose."),
    (("hive-coordinator", "health"), "`hive-coordinator health SERVICE` asks either program for a health service: exit code 0 when SERVING, else 1."),
    (("hive-proxy",), "One in every pod, for clients."),
)


def generate():
    return "\n".join(_section(words, sentence) for words, sentence in COMMANDS)


def generated_part(text):
    return text.split(_BEGIN)[1].split(_END)[0]


def _section(words, sentence):
    text = subprocess.run([os.path.join(BINARIES, words[0]), *words[1:], "--help"], capture_output=True, text=True, timeout=10,
                          check=True, env={}).stdout
    rows = [f"| `--{name}` | {_cell(default or required or '')} | {_cell(meaning)} | {_cell(form or '')} |"
            for name, _, meaning, default, required, form in _FLAG.findall(text)]
    declared = re.findall(r"^  --([a-z-]+)", text, re.MULTILINE)
    assert len(rows) == len([name for name in declared if name not in ("help", "version")]), f"--help of {words} is not understood"
    return "\n".join([f"## {' '.join(words)}", "", sentence, "", "| flag | default | | may be |", "| --- | --- | --- | --- |", *rows, ""])


def _cell(text):
    return text.replace("|", "\\|")


if __name__ == "__main__":
    with open(PAGE, encoding="utf-8") as file:
        before = file.read()
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before.replace(_BEGIN + generated_part(before), _BEGIN + generate()))
