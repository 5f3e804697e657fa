#!/usr/bin/python3
"""The include lint must catch what it is for: each wrong arrow here is one that the real tree must never have."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import includes  # noqa: E402


class Complaint(unittest.TestCase):
    def assert_wrong(self, path, quote, included):
        self.assertIsNotNone(includes.complaint(includes.folder_of(path), quote, included), f"{path} -> {included}")

    def assert_right(self, path, quote, included):
        self.assertIsNone(includes.complaint(includes.folder_of(path), quote, included), f"{path} -> {included}")

    def test_arrows_point_down(self):
        self.assert_right("coordinator/adapters/a.cc", '"', "coordinator/runtime/runtime.h")
        self.assert_wrong("coordinator/runtime/a.cc", '"', "coordinator/adapters/redis_agent.h")
        self.assert_wrong("common/base/a.h", '"', "common/net/fd.h")

    def test_the_binaries_do_not_know_each_other(self):
        self.assert_wrong("proxy/main.cc", '"', "coordinator/election/claim.h")
        self.assert_wrong("coordinator/main.cc", '"', "proxy/resp/replies.h")

    def test_pure_folders_see_neither_world_nor_clock(self):
        for path in ("coordinator/election/core.cc", "proxy/resp/a.cc", "proxy/session/a.h"):
            self.assert_wrong(path, '"', "hive/v1/election.pb.h")
            self.assert_wrong(path, '"', "common/net/socket.h")
            for header in ("grpcpp/grpcpp.h", "sys/socket.h", "hiredis/hiredis.h", "spdlog/spdlog.h", "mutex", "thread"):
                self.assert_wrong(path, "<", header)
            self.assert_right(path, "<", "vector")
            self.assert_right(path, '"', "absl/container/flat_hash_map.h")
            self.assert_wrong(path, '"', "absl/synchronization/mutex.h")

    def test_nothing_includes_tests(self):
        self.assert_wrong("coordinator/election/core.cc", '"', "tests/sim/world.h")

    def test_clock_reads_are_seen(self):
        self.assertTrue(includes.CLOCK_READ.search("auto now = std::chrono::steady_clock::now();"))


if __name__ == "__main__":
    unittest.main()
