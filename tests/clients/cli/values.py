#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Values in and out of the command line: sizes, files, pipes, descriptors, hints, expiry."""
import fcntl
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from harness import ATTACH, ERROR, MISS, OK, REFUSED, USAGE, Broker, run, start, wait_for

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


def pattern(size, seed=0):
    """Bytes that differ at each place within 64 KiB, and between seeds."""
    block = b"".join((i * 2654435761 + seed & 0xffffffff).to_bytes(4, "little")
                     for i in range(16 * KiB))
    return (block * (size // len(block) + 1))[:size]


class Values(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.broker.run("flush", "--yes")

    def path(self, name, data=None):
        path = os.path.join(self.folder.name, name)
        if data is not None:
            with open(path, "wb") as f:
                f.write(data)
        return path

    def check(self, done, status, stdout=None):
        self.assertEqual(done.returncode, status, done.stderr)
        if stdout is not None:
            # not assertEqual: it would print megabytes
            self.assertTrue(done.stdout == stdout, f"{len(done.stdout)} bytes differ from "
                                                   f"the {len(stdout)} expected")

    SIZES = (1, 7, 64, 4 * KiB, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, MiB + 1, 20 * MiB)

    def test_file(self):
        for size in self.SIZES:
            with self.subTest(size=size):
                data = pattern(size, size)
                self.check(self.broker.run("put", "k", self.path("in", data)), OK, b"")
                self.check(self.broker.run("get", "k"), OK, data)
                self.check(self.broker.run("get", "k", "-o", self.path("out")), OK, b"")
                with open(self.path("out"), "rb") as f:
                    self.assertTrue(f.read() == data)

    def test_pipe(self):
        for size in self.SIZES:
            with self.subTest(size=size):
                data = pattern(size, size)
                self.check(self.broker.run("put", "k", input=data), OK)
                self.check(self.broker.run("get", "k"), OK, data)
                self.check(self.broker.run("put", "k", "-", input=data[::-1]), OK)
                self.check(self.broker.run("get", "k"), OK, data[::-1])

    def test_redirected_file_from_its_offset(self):
        path = self.path("in", pattern(3 * MiB))
        fd = os.open(path, os.O_RDONLY)
        os.lseek(fd, MiB, os.SEEK_SET)
        self.check(self.broker.run("put", "k", stdin=fd), OK)
        os.close(fd)
        self.check(self.broker.run("get", "k"), OK, pattern(3 * MiB)[MiB:])

    def test_value_argument(self):
        self.check(self.broker.run("put", "k", "--value", "a b"), OK)
        self.check(self.broker.run("get", "k"), OK, b"a b")
        self.check(self.broker.run("put", "k", "f", "--value", "x"), USAGE)

    def test_replace(self):
        self.broker.run("put", "k", "--value", "one")
        self.check(self.broker.run("put", "k", "--value", "two"), OK)
        self.check(self.broker.run("get", "k"), OK, b"two")

    def test_size_unknown_to_stat(self):
        """Files of /proc say that they are empty."""
        with open("/proc/self/status") as f:
            self.assertEqual(os.fstat(f.fileno()).st_size, 0)
        self.check(self.broker.run("put", "k", "/proc/version"), OK)
        with open("/proc/version", "rb") as f:
            self.check(self.broker.run("get", "k"), OK, f.read())

    def test_json(self):
        stored = self.broker.json("put", "k", "--value", "text")
        self.assertEqual(stored, {"key": "k", "value_size": 4})
        self.assertEqual(self.broker.json("get", "k"),
                         {"key": "k", "value_size": 4, "value": "text"})
        self.broker.run("put", "-x", "00ff", input=b"\xff\x00")
        self.assertEqual(self.broker.json("get", "-x", "00ff"),
                         {"key_hex": "00ff", "value_size": 2, "value_hex": "ff00"})
        self.broker.run("put", "k", input=b'a\0"\\\n/\x7f')
        self.assertEqual(self.broker.json("get", "k")["value"], 'a\0"\\\n/\x7f')
        out = self.path("out")
        self.assertEqual(self.broker.json("get", "k", "-o", out)["file"], out)

    # what can't be stored

    def test_empty(self):
        for args in (("--value", ""), ("/dev/null",), ("-",)):
            done = self.broker.run("put", "k", *args)
            self.check(done, USAGE)
            self.assertIn(b"empty", done.stderr)
        self.check(self.broker.run("exists", "-q", "k"), MISS)

    def test_no_file(self):
        done = self.broker.run("put", "k", self.path("none"))
        self.check(done, ERROR)
        self.assertIn(self.path("none").encode(), done.stderr)
        self.assertIn(b"No such file", done.stderr)
        self.check(self.broker.run("put", "k", self.folder.name), ERROR)

    def test_larger_than_the_tier(self):
        path = self.path("sparse")
        with open(path, "wb") as f:
            f.truncate(80 * MiB)
        self.check(self.broker.run("put", "k", path), REFUSED)
        with open(path, "rb") as f:
            self.check(self.broker.run("put", "k", input=f.read()), REFUSED)

    def test_larger_than_a_value(self):
        path = self.path("sparse")
        with open(path, "wb") as f:
            f.truncate(GiB + 1)
        self.check(self.broker.run("put", "k", path), REFUSED)

    def put_growing(self):
        """Put a file that another process appends to. What came of it."""
        path = self.path("growing", pattern(20 * MiB))
        writer = start(["dd", "if=/dev/zero", "of=" + path, "bs=1", "oflag=append",
                        "conv=notrunc"], stderr=subprocess.DEVNULL)
        try:
            size = os.stat(path).st_size
            wait_for("the file to grow", lambda: os.stat(path).st_size > size)
            return self.broker.run("put", "k", path)
        finally:
            writer.kill()
            writer.wait()

    def test_file_that_grows(self):
        """What is appended while it is read would make a torn value: nothing is stored."""
        for _ in range(50):
            done = self.put_growing()
            if done.returncode != OK:
                break
            # the writer did not get to run meanwhile
            self.broker.run("del", "k")
        self.check(done, ERROR)
        self.assertIn(b"changed", done.stderr)
        self.check(self.broker.run("exists", "-q", "k"), MISS)
        wait_for("the reservation to be given back",
                 lambda: self.broker.json("usage")["reserved_size"] == 0)

    # first writer wins

    def test_if_absent(self):
        for size in (3, MiB):
            with self.subTest(size=size):
                self.broker.run("del", "k")
                first, second = pattern(size, 1), pattern(size, 2)
                path = self.path("second", second)
                self.check(self.broker.run("put", "k", "--if-absent", input=first), OK)
                done = self.broker.run("put", "k", path, "--if-absent")
                self.check(done, MISS)
                self.assertIn(b"there already", done.stderr)
                done = self.broker.run("put", "-q", "k", "--if-absent", input=second)
                self.check(done, MISS)
                self.assertEqual(done.stderr, b"")
                self.check(self.broker.run("get", "k"), OK, first)

    # descriptors

    def test_miss_leaves_the_file(self):
        path = self.path("out", b"as it was")
        done = self.broker.run("get", "nothing", "-o", path)
        self.check(done, MISS, b"")
        self.assertIn(b"no such key: nothing", done.stderr)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"as it was")
        self.assertEqual(self.broker.run("get", "-q", "nothing").stderr, b"")

    def test_output_file_that_cannot_be(self):
        self.broker.run("put", "k", "--value", "x")
        self.check(self.broker.run("get", "k", "-o", self.folder.name), ERROR)
        self.check(self.broker.run("get", "k", "-o", "/dev/full"), ERROR)

    def test_full_disk(self):
        self.broker.run("put", "k", "--value", "x")
        for args in (("get", "k"), ("keys",), ("usage",), ("stats", "--json")):
            with self.subTest(args=args), open("/dev/full", "wb") as full:
                done = self.broker.run(*args, stdout=full)
                self.assertEqual(done.returncode, ERROR, done.stderr)
                self.assertIn(b"No space left", done.stderr)

    def test_full_pipe(self):
        """A reader that takes its time gets all of it, and the broker does not wait for it."""
        data = pattern(8 * MiB)
        self.broker.run("put", "k", input=data)
        cli = self.broker.start_cli("get", "k", stdout=subprocess.PIPE)
        first = os.read(cli.stdout.fileno(), 1)
        time.sleep(0.2)
        self.assertIsNone(cli.poll())
        self.check(self.broker.run("put", "other", "--value", "x"), OK)
        # deleting it does not take it away from who is reading it
        self.check(self.broker.run("del", "k"), OK)
        self.check(self.broker.run("put", "filler", input=pattern(40 * MiB)), OK)
        rest = cli.stdout.read()
        cli.stdout.close()
        self.assertEqual(cli.wait(), OK)
        self.assertTrue(first + rest == data)

    def test_reader_that_leaves(self):
        self.broker.run("put", "k", input=pattern(8 * MiB))
        cli = self.broker.start_cli("get", "k", stdout=subprocess.PIPE)
        os.read(cli.stdout.fileno(), 1)
        cli.stdout.close()
        self.assertIn(cli.wait(), (-signal.SIGPIPE, ERROR))
        self.check(self.broker.run("ping"), OK)

    def test_nonblocking_output(self):
        data = pattern(4 * MiB)
        self.broker.run("put", "k", input=data)
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        cli = self.broker.start_cli("get", "k", stdout=writer)
        os.close(writer)
        time.sleep(0.1)
        with open(reader, "rb") as f:
            self.assertTrue(f.read() == data)
        self.assertEqual(cli.wait(), OK)

    def test_closed_descriptors(self):
        """Nothing that is opened later may be taken for standard output."""
        self.broker.run("put", "k", "--value", "x")
        for script, status in (('"$@" get k >&-', ERROR), ('"$@" put k <&-', ERROR),
                               ('"$@" get k 2>&-', OK), ('"$@" get nothing 2>&-', MISS)):
            with self.subTest(script=script):
                done = subprocess.run(["sh", "-c", script, "sh", *self.broker.args()],
                                      capture_output=True)
                self.assertEqual(done.returncode, status, done.stderr)
        self.check(self.broker.run("get", "k"), OK, b"x")

    def test_binary_value_on_a_terminal(self):
        """As cat does: the bytes, unasked."""
        self.broker.run("put", "k", input=b"\x01\xff\xfe")
        ours, theirs = pty.openpty()
        done = self.broker.run("get", "k", stdout=theirs)
        os.close(theirs)
        self.assertEqual(done.returncode, OK)
        self.assertEqual(os.read(ours, 100), b"\x01\xff\xfe")
        os.close(ours)

    def progress(self, *options):
        """What a person sees of a transfer that takes a while."""
        ours, theirs = pty.openpty()
        cli = self.broker.start_cli("put", "k", *options, stdin=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        for _ in range(6):
            cli.stdin.write(b"x" * KiB)
            cli.stdin.flush()
            time.sleep(0.1)
        cli.stdin.close()
        self.assertEqual(cli.wait(), OK)
        seen = b""
        try:
            while chunk := os.read(ours, 1000):
                seen += chunk
        except OSError:  # what a terminal says when its other end is closed
            pass
        os.close(ours)
        return seen

    def test_progress(self):
        self.assertIn(b"reading 6.0 KiB", self.progress())
        self.assertEqual(self.progress("--quiet"), b"")

    # expiry and hints

    def test_ttl(self):
        self.check(self.broker.run("put", "k", "--value", "x", "--ttl", "1h"), OK)
        left = self.broker.json("stat", "k")["ttl_ms"]
        self.assertTrue(3500000 < left <= 3600000, left)
        self.check(self.broker.run("touch", "k", "--ttl", "3s"), OK)
        touched = time.monotonic()
        self.assertTrue(0 < self.broker.json("stat", "k")["ttl_ms"] <= 3000)
        wait_for("the entry to expire",
                 lambda: self.broker.run("exists", "-q", "k").returncode == MISS)
        self.assertGreater(time.monotonic() - touched, 2)
        for command in ("get", "exists", "stat"):
            self.check(self.broker.run(command, "k"), MISS)
        self.check(self.broker.run("touch", "k", "--ttl", "1h"), MISS)

    def test_touch_for_ever(self):
        self.broker.run("put", "k", "--value", "x", "--ttl", "1h")
        self.check(self.broker.run("touch", "k", "--ttl", "0"), OK)
        self.assertEqual(self.broker.json("stat", "k")["ttl_ms"], 0)
        self.check(self.broker.run("touch", "k"), USAGE)

    def test_hints(self):
        path = self.path("in", pattern(MiB))
        for source in (("--value", "x"), (path,)):
            with self.subTest(source=source):
                self.check(self.broker.run(
                    "put", "k", *source, "--tier", "dram", "--priority", "2", "--group",
                    "0xfedcba9876543210", "--position", "4294967295"), OK)
                entry = self.broker.json("stat", "k")
                self.assertEqual(entry, {
                    "key": "k", "value_size": 1 if source[0] == "--value" else MiB,
                    "tier": "dram", "priority": 2, "ttl_ms": 0,
                    "group": 0xfedcba9876543210, "position": 4294967295})
        text = self.broker.run("stat", "k").stdout.decode()
        self.assertIn("1048576 B (1.0 MiB)", text)
        self.assertIn("group     0xfedcba9876543210, position 4294967295", text)
        for wrong in (("--tier", "hbm"), ("--priority", "256"), ("--group", "-1"),
                      ("--position", "4294967296"), ("--ttl", "60"), ("--ttl", "1.5h")):
            self.check(self.broker.run("put", "k", "--value", "x", *wrong), USAGE)


class Roles(unittest.TestCase):
    def test_reader(self):
        broker = Broker("[access]\nowner = reader")
        self.assertEqual(broker.run("put", "k", "--value", "x").returncode, REFUSED)
        self.assertEqual(broker.run("put", "k", sys.executable).returncode, REFUSED)
        self.assertEqual(broker.run("del", "k").returncode, REFUSED)
        self.assertEqual(broker.run("flush", "--yes").returncode, REFUSED)
        self.assertEqual(broker.run("get", "k").returncode, MISS)
        self.assertEqual(broker.json("ping")["role"], "reader")
        broker.close()

    def test_stager(self):
        """It can't fill a block in place, and so puts the same file another way."""
        broker = Broker("[access]\nowner = stager")
        data = pattern(3 * MiB)
        with tempfile.NamedTemporaryFile() as f:
            f.write(data)
            f.flush()
            done = broker.run("put", "k", f.name)
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertTrue(broker.run("get", "k").stdout == data)
        self.assertEqual(broker.json("ping")["role"], "stager")
        broker.close()

    def test_nobody(self):
        broker = Broker("[access]\nowner = none")
        done = broker.run("get", "k")
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn(broker.name.encode(), done.stderr)
        broker.close()


class NoBroker(unittest.TestCase):
    def test_no_such_cache(self):
        for args in (("get", "k"), ("put", "k", "--value", "x"), ("usage",), ("ping",)):
            done = run("-n", f"none-{os.getpid()}", *args)
            self.assertEqual(done.returncode, ATTACH)
            self.assertIn(b"none-", done.stderr)

    def test_wrong_name(self):
        for name in ("", "a/b", "a.b", "x" * 49, "../x"):
            self.assertEqual(run("-n", name, "get", "k").returncode, USAGE, name)

    def test_name_from_the_environment(self):
        broker = Broker()
        env = {"SHMCACHE_NAME": broker.name}
        self.assertEqual(run("put", "k", "--value", "x", env=env).returncode, OK)
        self.assertEqual(run("get", "k", env=env).stdout, b"x")
        self.assertEqual(run("get", "k", "-n", "other", env=env).returncode, ATTACH)
        broker.close()

    def test_broker_gone(self):
        """The memory is there, and nobody serves it; then somebody does, and it is warm."""
        broker = Broker(persist=True)
        broker.run("put", "k", "--value", "x")
        for number in (signal.SIGTERM, signal.SIGKILL):
            broker.stop(number)
            self.assertTrue(broker.left_in_shm())
            done = broker.run("get", "k")
            self.assertEqual(done.returncode, ATTACH, done.stderr)
            broker.start()
            self.assertEqual(broker.run("get", "k").stdout, b"x")
        broker.close()

    def test_broker_that_does_not_answer(self):
        broker = Broker()
        os.kill(broker.process.pid, signal.SIGSTOP)
        begin = time.monotonic()
        done = broker.run("ping", "--timeout", "300ms")
        self.assertEqual(done.returncode, ATTACH, done.stderr)
        self.assertLess(time.monotonic() - begin, 10)
        os.kill(broker.process.pid, signal.SIGCONT)
        self.assertEqual(broker.run("ping").returncode, OK)
        broker.close()

    def test_nothing_left(self):
        broker = Broker()
        broker.run("put", "k", "--value", "x")
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.left_in_shm(), [])
        broker.close()


if __name__ == "__main__":
    unittest.main()
