"""Goal: docs/messages.md lists every message of the sources, and none that is not there; docs/reference.md has the flags and ports of the
binaries.
Method: string literals of the calls that say something, against the tables; --help, against the page. To write the generated part of
reference.md anew: BINARIES=build/dev/bin python3 tests/manual/reference.py"""

import os
import re
import unittest

import messages
import reference


def page(name):
    with open(os.path.join(messages.ROOT, "docs", name), encoding="utf-8") as file:
        return file.read()


def words(text):
    return re.sub(r"\s+", " ", text.replace("`", ""))


class Messages(unittest.TestCase):
    def assert_listed(self, found):
        self.assertGreater(len(found), 5, "the sources were not understood")
        listed = words(page("messages.md"))
        missing = sorted(f"{path}: {message}" for path, message in found if words(message).strip(" :(,") not in listed)
        self.assertEqual(missing, [], "say in docs/messages.md what they mean, and what to do")

    def test_a_message_that_is_not_listed_is_found(self):
        found = messages.replied() | {("proxy/new.cc", "ERR a message that nobody has explained")}
        with self.assertRaisesRegex(AssertionError, "nobody has explained"):
            self.assert_listed(found)

    def test_errors_to_clients(self):
        self.assert_listed(messages.replied())

    def test_warnings(self):
        self.assert_listed(messages.logged())

    def test_refusals(self):
        self.assert_listed(messages.refused())

    def test_why_a_program_does_not_start(self):
        self.assert_listed(messages.at_the_start())

    def test_what_status_says(self):
        self.assert_listed(messages.said_by_status())

    def test_nothing_is_listed_that_is_not_said(self):
        said = words("\n".join(text.replace('\\"', '"') for ending in (".cc", ".h") for _, text in messages.sources(ending)))
        for row in re.findall(r"^\| (.*?) \|", page("messages.md"), re.MULTILINE):
            for message in re.findall(r"`([^`]+)`", row):
                for part in message.split("..."):
                    part = part.strip(" :;,()'\"").removeprefix("UNCONFIRMED ")
                    if len(part) < 12:
                        continue
                    # What is put together from several literals is looked for piece by piece.
                    pieces = [part] if part in said else re.split(r"[:;,(] ?", part)
                    for piece in filter(lambda p: len(p) > 12, map(str.strip, pieces)):
                        with self.subTest(message=message):
                            self.assertTrue(piece in said, f"no source has '{piece}'")


class Reference(unittest.TestCase):
    maxDiff = None

    def test_flags_and_ports_are_those_of_the_binaries(self):
        text = page("reference.md")
        self.assertEqual(reference.generated_part(text), reference.generate(), "write it anew: python3 tests/manual/reference.py")


if __name__ == "__main__":
    unittest.main()
