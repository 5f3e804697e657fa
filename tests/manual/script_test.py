"""Goal: the commands of the pages for developers are ones that the script, its tools and ctest know.
Method: none is run, for they take minutes or hours; each word is looked for in what `./hive help`, the tools' --help and --list, and
ctest -N say. And every file that a page names is there."""

import glob
import json
import os
import re
import shlex
import subprocess
import unittest

import pages

BINARIES = os.environ.get("BINARIES", os.path.join(pages.ROOT, "build", "dev", "bin"))
BUILD = os.path.dirname(BINARIES)
PYTHON = "/usr/bin/python3"
# What explains a command of the script, and what names the things that it may be given.
TOOLS = {
    "bench": [[PYTHON, "tests/bench/main.py", "?"], [PYTHON, "tests/bench/main.py", "proxy", "--help"]],
    "chaos": [[PYTHON, "-m", "chaos", "--help"], [PYTHON, "-m", "chaos", "--list"]],
    "compare": [[PYTHON, "-m", "chaos.compare", "--help"], [PYTHON, "-m", "chaos", "--list"]],
    "differential": [[PYTHON, "-m", "differential", "--help"]],
    "image-test": [[PYTHON, "-m", "image", "--help"]],
    "sim": [[os.path.join(BINARIES, "hive_sim"), "--help"]],
}
_FILES = re.compile(r"(?<![\w./-])((?:cmake|common|coordinator|docs|manifests|protos|proxy|tests)/[\w./*-]*\w)")


def said(*words):
    run = subprocess.run(words, cwd=pages.ROOT, env={**os.environ, "PYTHONPATH": "tests"}, capture_output=True, text=True, timeout=60,
                         check=False)
    return run.stdout + run.stderr


def has_word(text, word):
    return bool(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text))


class Known:
    """What the tools say of themselves, each asked once."""

    def __init__(self):
        self._help = said("./hive", "help")
        self._tools = {}
        with open(os.path.join(pages.ROOT, "CMakePresets.json"), encoding="utf-8") as file:
            self._presets = {preset["name"] for preset in json.load(file)["configurePresets"]}

    def complaints(self, command):
        for part in re.split(r" && |; ", command):
            words = shlex.split(part)
            if words[0] == "./hive":
                yield from self._script(words[1:])
            elif words[0].endswith("/hive_sim"):
                yield from self._words_of("sim", words[1:])
            elif words[0].startswith("build/dev/bin/"):
                yield from self._binary(words)
            elif words[0] in ("cmake", "ctest", "ninja"):
                yield from self._build(words)

    def _script(self, words):
        name, rest = words[0], words[1:]
        if not re.search(rf"^  {re.escape(name)} ", self._help, re.MULTILINE):
            yield f"./hive help does not list {name}"
        elif name == "test":
            yield from self._ctest(rest)
        elif name in TOOLS:
            yield from self._words_of(name, rest)
        else:
            line = re.search(rf"^  {re.escape(name)} (.*?)  ", self._help, re.MULTILINE)
            for word in rest:
                if not word.isdigit() and not word.isupper() and not has_word(line[1] if line else "", word):
                    yield f"./hive {name} does not take {word}"

    def _words_of(self, tool, words):
        if tool not in self._tools:
            self._tools[tool] = "\n".join(said(*question) for question in TOOLS[tool])
        text = self._tools[tool]
        takes_a_file = False
        for word in words:
            for part in re.split(r"[,=]", word):
                if not (has_word(text, part) or takes_a_file or part.replace(".", "").isdigit() or part.isupper()):
                    yield f"{tool} does not know {part}"
            takes_a_file = bool(re.search(rf"{re.escape(word)} (FILE|FOLDER|NAME=FOLDER)", text)) if word.startswith("--") else False

    @staticmethod
    def _binary(words):
        if words[1:] != ["--help"]:
            yield f"{words} is not run here"
        elif "usage" not in said(os.path.join(BINARIES, os.path.basename(words[0])), "--help").lower():
            yield f"{words[0]} does not say how it is used"

    def _build(self, words):
        for i, word in enumerate(words[:-1]):
            preset = words[i + 1] if word == "--preset" else os.path.relpath(words[i + 1], "build") if word in ("-C", "--test-dir") else None
            if preset and words[i + 1] != "heavy" and preset not in self._presets:
                yield f"there is no preset {preset}"

    @staticmethod
    def _ctest(words):
        for word in words:
            if word.startswith("-") and word not in ("-R", "-C", "-L", "-LE", "-E"):
                yield f"nobody here knows ctest's {word}"
        if words and "Total Tests: 0" in (out := said("ctest", "--test-dir", BUILD, "-N", *words)) or words and "Total Tests" not in out:
            yield f"no test matches {words}"


class Script(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(os.path.join(BINARIES, "hive_sim")):
            raise unittest.SkipTest("the simulator is not built")
        cls.known = Known()

    def test_every_command(self):
        checked = 0
        for page in ("README.md", *pages.FOR_OPERATORS, *pages.FOR_DEVELOPERS):
            for command in pages.commands(page):
                with self.subTest(page=page, command=command):
                    self.assertEqual(list(self.known.complaints(command)), [])
                    checked += command.startswith("./hive ")
        self.assertGreater(checked, 40)

    def test_mistakes_are_found(self):
        for command, wanted in (("./hive simulate", "does not list simulate"), ("./hive sim --seed 1 --profile sunshine", "know sunshine"),
                                ("./hive chaos redis-50m", "know redis-50m"), ("./hive bench idles", "know idles"),
                                ("./hive bench proxy --workloads 50xP16", "know --workloads"), ("./hive up --pod 3", "take --pod"),
                                ("./hive test -R integration.dnss", "no test matches"), ("cmake --preset tsna && ninja -C build/tsan", "tsna"),
                                ("build/dev/bin/hive_sim --plant no-such-bug", "know no-such-bug")):
            with self.subTest(command=command):
                self.assertIn(wanted, " ".join(self.known.complaints(command)))


class Files(unittest.TestCase):
    def test_each_that_a_page_names_is_there(self):
        for page in ("CHANGELOG.md", *pages.FOR_OPERATORS, *pages.FOR_DEVELOPERS):
            for name in _FILES.findall(pages.text_of(page)):
                with self.subTest(page=page, name=name):
                    path = os.path.join(pages.ROOT, name)
                    self.assertTrue(glob.glob(path) or glob.glob(path + ".*"), "no such file")


if __name__ == "__main__":
    unittest.main()
