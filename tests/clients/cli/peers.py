#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The other brokers as `peers` and `stats` show them: of a real cluster, and by brokers that lie."""
import array
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import unittest

from harness import ATTACH, ERROR, OK, REFUSED, USAGE, Broker, run, wait_for

# As ipc/wire.h has them.
TOLD, PEERS = 7, 13
DONE, FAILED = 1, 2
HEAD, LINE = "=IIIIIIQ64s64s128s", "=64s128s320sII14Q"
UNKNOWN = 2**64 - 1


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def cluster(*known, config=""):
    """Brokers a, b, ...: for each, the names of those that it knows as members."""
    names = "abcdef"[:len(known)]
    ports = dict(zip(names, free_ports(len(known))))
    return [Broker(f"[remote]\nname = {name}\nlisten = {ports[name]}\nsecurity = none\n"
                   f"members = {','.join(f'{m}=127.0.0.1:{ports[m]}' for m in members)}\n{config}")
            for name, members in zip(names, known)]


def peer(broker, name):
    return next(p for p in broker.json("peers")["peers"] if p["name"] == name)


def rows(broker):
    """The lines of the table as dicts, by where the heads stand."""
    lines = broker.run("peers").stdout.decode().splitlines()[1:]
    ends = [m.end() for m in re.finditer(r"\S+", lines[0])]
    heads = lines[0].split()
    out = []
    for line in lines[1:]:
        # Two blanks divide the columns; one may be in a cell.
        cells = re.split(r"  +", line.strip())
        out.append(dict(zip(heads, cells)))
        out[-1]["rest"] = cells[len(heads):]
        assert len(line) >= ends[-1], line
    return out


def wait_for_value(get, is_right):
    got = []
    wait_for("a value", lambda: got.append(get()) or is_right(got[-1]))
    return got[-1]


def has_socket(process):
    folder = f"/proc/{process.pid}/fd"
    try:
        return any(os.readlink(f"{folder}/{fd}").startswith("socket:") for fd in os.listdir(folder))
    except OSError:  # one was closed meanwhile
        return False


class Cluster(unittest.TestCase):
    def setUp(self):
        self.brokers = []

    def tearDown(self):
        for broker in self.brokers:
            broker.close()

    def start(self, *known, **kwargs):
        self.brokers = cluster(*known, **kwargs)
        return self.brokers

    def test_none(self):
        self.brokers = [Broker()]
        done = self.brokers[0].run("peers")
        self.assertEqual((done.returncode, done.stdout.decode()), (OK, (
            f"{self.brokers[0].name} knows no other brokers: its configuration has no [remote]\n")))
        told = self.brokers[0].json("peers")
        self.assertEqual((told["is_joined"], told["peers"]), (False, []))
        self.assertNotIn(b"other broker,", self.brokers[0].run("stats").stdout)
        self.assertEqual(self.brokers[0].run("peers", "all").returncode, USAGE)

    def test_alone(self):
        self.start("")
        done = self.brokers[0].run("peers").stdout.decode()
        self.assertRegex(done, r"^a of shmcache, listens on \d+\nthere are no other members\n$")

    def test_two(self):
        a, b = self.start("ab", "ab")
        wait_for("both", lambda: [peer(a, "b")["state"], peer(b, "a")["state"]] == ["up", "up"])
        self.assertEqual(a.run("put", "key", input=bytes(100000)).returncode, OK)
        self.assertEqual(b.run("get", "key", "--fetch").stdout, bytes(100000))
        self.assertNotEqual(b.run("prefetch", "none").returncode, OK)
        wait_for("what was served",
                 lambda: (peer(a, "b")["sent_bytes"], peer(a, "b")["n_served"]) == (100000, 1))
        # Free is what a's value has left.
        seen = wait_for_value(lambda: peer(b, "a"), lambda p: p["received_bytes"] and p["rtt_ns"] and
                              p.get("free", UNKNOWN) <= (64 << 20) - 100000)
        self.assertEqual(seen["received_bytes"], 100000)
        self.assertGreaterEqual(seen["n_fetches"], 1 + seen["n_misses"])
        self.assertEqual((seen["n_failures"], seen["n_served"], seen["why"]), (0, 0, ""))
        self.assertEqual(seen["capacity"], 64 << 20)
        self.assertLess(60 << 20, seen["free"])
        self.assertLess(0, seen["p50_ns"])
        self.assertLessEqual(seen["p50_ns"], seen["p99_ns"])
        row, = rows(b)
        self.assertEqual((row["peer"], row["state"], row["fetched"]), ("a", "up", "97.7 KiB"))
        self.assertEqual(int(row["lanes"]), seen["n_lanes"])
        last = b.run("stats").stdout.decode().splitlines()[-1]
        self.assertEqual(last, "1 other broker, 1 up; values fetched: 1 (97.7 KiB), failed: 0, "
                               "served: 0 (0 B)")
        # With a beginning of names, or for programs, there are names alone.
        for args in (["shmcache_"], ["-p"], ["--json"]):
            self.assertNotIn(b"1 other broker", b.run("stats", *args).stdout)
        # One that is gone stays a member, and its counts are what they were.
        a.stop(signal.SIGKILL)
        wait_for("its end", lambda: peer(b, "a")["state"] == "connecting")
        seen = peer(b, "a")
        self.assertEqual((seen["received_bytes"], seen["n_lanes"], seen["capacity"]), (100000, 0, 0))
        self.assertNotIn("free", seen)
        wait_for("the reason", lambda: peer(b, "a")["why"] == "Connection refused")
        wait_for("a row of it", lambda: rows(b)[0]["rest"] == ["Connection refused"])

    def test_refused(self):
        a, b = self.start("ab", "b")
        def told():
            return peer(a, "b")["state"], peer(a, "b")["why"]

        wait_for("the refusal",
                 lambda: told() == ("refused", "it refuses: a is no member of shmcache"))
        self.assertEqual(b.json("peers")["peers"], [])
        # It is tried again and again, and that is no other state meanwhile.
        wait_for("time to go by",
                 lambda: told()[0] == "refused" and peer(a, "b")["state_ms"] > 3000)

    def test_directory(self):
        a, b = self.start("ab", "ab", config="locate = directory")
        wait_for("both", lambda: peer(b, "a")["state"] == "up")
        for i in range(40):
            self.assertEqual(a.run("put", f"key{i}", "--value", "1").returncode, OK)
        wait_for("the records", lambda: peer(b, "a")["n_records"] > 5)
        told = b.json("peers")
        self.assertTrue(told["is_shard"])
        self.assertLess(told["peers"][0]["n_records"], 40)
        self.assertRegex(b.run("peers").stdout.decode().splitlines()[0],
                         r"^b of shmcache, listens on \d+, is a shard of the directory: \d+ records$")
        self.assertEqual(a.run("flush", "--yes").returncode, OK)
        wait_for("their end", lambda: peer(b, "a")["n_records"] == 0)

    def test_ends_meanwhile(self):
        """It hangs up with nothing said: an answer was asked for, and none came."""
        broker, = self.start("a")
        broker.process.send_signal(signal.SIGSTOP)
        cli = broker.start_cli("peers", "--timeout", "1h", stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        wait_for("the question", lambda: has_socket(cli))
        broker.process.kill()
        out, err = cli.communicate(timeout=60)
        self.assertEqual((cli.returncode, out), (ATTACH, b""))
        self.assertTrue(err)
        self.assertEqual(broker.run("peers").returncode, ATTACH)
        self.assertEqual(run("-n", "shmcache-test-none", "peers").returncode, ATTACH)


class Liar(unittest.TestCase):
    """Answers in the place of a broker that is stopped, on a socket of the same name."""

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker("[remote]\nname = a\nsecurity = none\nmembers = b=127.0.0.1:1\n")
        cls.broker.process.send_signal(signal.SIGSTOP)
        path = f"/dev/shm/{cls.broker.name}.sock"
        os.unlink(path)
        cls.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        cls.socket.bind(path)
        cls.socket.listen()

    @classmethod
    def tearDownClass(cls):
        cls.socket.close()
        cls.broker.close()

    def ask(self, message, files=(), *args):
        """What the command line makes of that answer."""
        def answer():
            with self.socket.accept()[0] as c:
                self.asked = c.recv(4096)
                if message is not None:
                    c.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array(
                        "i", files))] if files else [])

        thread = threading.Thread(target=answer)
        thread.start()
        done = self.broker.run("peers", *args)
        thread.join()
        return done

    @staticmethod
    def head(n, line_size=struct.calcsize(LINE), flags=1, name=b"a", cluster=b"c", listen=b"7400"):
        return struct.pack(HEAD, PEERS, struct.calcsize(HEAD), n, line_size, flags, 0, 7, name, cluster,
                           listen)

    @staticmethod
    def line(name=b"b", address=b"h:1", why=b"", state=1, numbers=(1,) * 14):
        return struct.pack(LINE, name, address, why, state, 2, *numbers)

    def table(self, content):
        fd = os.memfd_create("table")
        self.addCleanup(os.close, fd)
        os.write(fd, content)
        return fd

    def test_as_it_should_be(self):
        done = self.ask(self.head(2), [self.table(self.line() + self.line(b"d"))], "--json")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual([p["name"] for p in json.loads(done.stdout)["peers"]], ["b", "d"])
        self.assertEqual(self.asked, struct.pack("=IIII", 6, 16, 3, 0))
        # Lines of a later version have more behind what we know.
        done = self.ask(self.head(2, 700), [self.table(self.line().ljust(700, b"x") + self.line(b"d"))],
                        "--json")
        self.assertEqual([p["name"] for p in json.loads(done.stdout)["peers"]], ["b", "d"])

    def test_odd_bytes(self):
        odd = b"\x1b[2Jx\ny\t\"]}\\\xff\xc2\x9b"
        table = self.line(odd, odd, odd, 99, (UNKNOWN,) * 14)
        done = self.ask(self.head(1, name=odd, cluster=odd, listen=odd), [self.table(table)])
        self.assertEqual((done.returncode, done.stderr), (OK, b""))
        self.assertEqual(done.stdout.count(b"\n"), 3)
        self.assertIsNone(re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", done.stdout))
        self.assertIn(b"\\x1b[2Jx\\ny\\t", done.stdout)
        done = self.ask(self.head(1, name=odd), [self.table(table)], "--json")
        peer, = json.loads(done.stdout)["peers"]
        self.assertEqual((peer["name_hex"], peer["state"]), (odd.hex(), "?"))
        self.assertNotIn("free", peer)
        self.assertEqual(peer["capacity"], UNKNOWN)

    def test_without_an_end(self):
        """Strings that fill their place end where it does."""
        done = self.ask(self.head(1, name=b"n" * 64, cluster=b"c" * 64, listen=b"l" * 128), [self.table(
            self.line(b"N" * 64, b"A" * 128, b"W" * 320, 0, (0,) * 14))], "--json")
        told = json.loads(done.stdout)
        peer, = told["peers"]
        self.assertEqual([told["name"], told["cluster"], told["listen"]], ["n" * 63, "c" * 63, "l" * 127])
        self.assertEqual([peer["name"], peer["address"], peer["why"]], ["N" * 63, "A" * 127, "W" * 319])

    def test_nonsense(self):
        whole = self.table(self.line() * 300)
        pipe = os.pipe()
        for fd in pipe:
            self.addCleanup(os.close, fd)
        for what, message, files in (
                ("no table", self.head(1), []),
                ("a shorter table", self.head(2), [self.table((self.line() * 2)[:-1])]),
                ("an empty one", self.head(1), [self.table(b"")]),
                ("a pipe that nobody writes to", self.head(1), [pipe[0]]),
                ("too many lines", self.head(257), [whole]),
                ("far too many", self.head(2**32 - 1), [whole]),
                ("lines too short", self.head(1, 631), [whole]),
                ("lines of nothing", self.head(1, 0), [whole]),
                ("two tables", self.head(1), [whole, whole]),
                ("a message cut short", self.head(1)[:-1], [whole]),
                ("a message of another kind", struct.pack("=III252s", 5, 264, 1, b""), [whole])):
            with self.subTest(what):
                done = self.ask(message, files)
                self.assertEqual((done.returncode, done.stdout), (ERROR, b""), done.stderr)
                self.assertTrue(done.stderr)

    def test_refusal(self):
        """A broker that knows no such command, or won't tell."""
        text = b"this broker knows no command 3"
        done = self.ask(struct.pack("=III252s", TOLD, 264, FAILED, text))
        self.assertEqual((done.returncode, done.stdout), (REFUSED, b""))
        self.assertIn(text, done.stderr)
        done = self.ask(struct.pack("=III252s", 3, 264, 2, b"only root may do that"))
        self.assertEqual((done.returncode, done.stdout), (REFUSED, b""))
        self.assertIn(b"only root may do that", done.stderr)

    def test_hang_up(self):
        done = self.ask(None)
        self.assertEqual((done.returncode, done.stdout), (ATTACH, b""))
        self.assertIn(b"went away without an answer", done.stderr)


if __name__ == "__main__":
    unittest.main()
