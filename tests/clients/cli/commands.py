#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands about keys and about the cache as a whole, and the command line's own manners."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

from harness import ATTACH, ERROR, MISS, OK, REFUSED, USAGE, Broker, run, wait_for

MiB = 1 << 20
COMMANDS = ("put", "get", "prefetch", "del", "exists", "stat", "keys", "touch", "pin", "flush", "usage", "stats",
            "events", "ping", "bench", "reload", "drain", "pki")


class Case(unittest.TestCase):
    config = ""

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(cls.config)

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def setUp(self):
        self.broker.run("flush", "--yes")

    def check(self, done, status, stdout=None):
        self.assertEqual(done.returncode, status, done.stderr)
        if stdout is not None:
            self.assertEqual(done.stdout, stdout)

    def put(self, *keys, size=1):
        for key in keys:
            self.check(self.broker.run("put", "--", key, input=b"v" * size), OK)


class Keys(Case):
    def listed(self, *args):
        done = self.broker.run("keys", *args)
        self.check(done, OK)
        return sorted(done.stdout.decode().splitlines())

    def test_any_bytes(self):
        keys = {"00": b"null", "ff00fe": b"binary", "0a": b"newline", "2d78": b"dash",
                "c3bc": b"umlaut", "ab" * 1024: b"longest"}
        for key, value in keys.items():
            self.check(self.broker.run("put", "-x", key, input=value), OK)
        for key, value in keys.items():
            self.check(self.broker.run("get", "-x", key.upper()), OK, value)
        self.assertEqual(self.listed("--hex"), sorted(keys))
        self.check(self.broker.run("get", "--", "-x"), OK, b"dash")
        self.check(self.broker.run("get", "ü"), OK, b"umlaut")
        self.check(self.broker.run("get", "\n"), OK, b"newline")

    def test_wrong_keys(self):
        for args in (("",), ("x" * 1025,), ("-x", "0"), ("-x", "0g"), ("-x", ""),
                     ("-x", "00" * 1025)):
            for command in ("get", "del", "exists", "stat"):
                self.check(self.broker.run(command, *args), USAGE)
        # one wrong key, and none is dealt with
        self.put("k")
        self.check(self.broker.run("del", "k", ""), USAGE)
        self.check(self.broker.run("exists", "k"), OK)

    def test_escapes(self):
        self.put("a\tb\nc\\d", "ü", "\x1b[2J")
        self.broker.run("put", "-x", "61ff", "--value", "x")
        self.assertEqual(self.listed(), sorted(
            ["a\\tb\\nc\\\\d", "ü", "\\x1b[2J", "a\\xff"]))
        page = self.broker.json("keys")
        self.assertEqual(page["cursor"], "0")
        self.assertEqual(sorted(entry.get("key") or entry["key_hex"] for entry in page["keys"]),
                         sorted(["a\tb\nc\\d", "ü", "\x1b[2J", "61ff"]))

    def test_prefix(self):
        self.put("a/1", "a/2", "b/1", "a")
        self.assertEqual(self.listed("a/"), ["a/1", "a/2"])
        self.assertEqual(self.listed("c"), [])
        self.assertEqual(self.listed("-x", "622f"), ["b/1"])
        self.assertEqual(self.listed(""), ["a", "a/1", "a/2", "b/1"])
        self.assertEqual(self.broker.json("keys", "c"), {"keys": [], "cursor": "0"})

    def test_long(self):
        self.put("small")
        self.put("large", size=3 * MiB)
        self.broker.run("touch", "large", "--ttl", "1h")
        lines = self.broker.run("keys", "-l").stdout.decode().splitlines()
        fields = {line.split("  ")[-1]: line.split() for line in lines}
        self.assertEqual(fields["small"], ["1", "B", "dram", "-", "small"])
        self.assertEqual(fields["large"][:3], ["3.0", "MiB", "dram"])
        self.assertRegex(fields["large"][3], r"^(1h00m|59m\d\ds)$")
        entries = {entry["key"]: entry for entry in self.broker.json("keys")["keys"]}
        self.assertEqual(entries["large"]["value_size"], 3 * MiB)

    def test_pages(self):
        keys = [f"page/{i:04}" for i in range(300)]
        self.put(*keys)
        self.put("other")
        for limit in (1, 7, 100, 300, 1000):
            with self.subTest(limit=limit):
                seen, cursor, n_pages = [], "0", 0
                while n_pages == 0 or cursor != "0":
                    page = self.broker.json("keys", "page/", "--limit", str(limit),
                                            "--cursor", cursor)
                    self.assertLessEqual(len(page["keys"]), limit)
                    seen += [entry["key"] for entry in page["keys"]]
                    cursor = page["cursor"]
                    n_pages += 1
                    self.assertLessEqual(n_pages, 301)
                self.assertEqual(sorted(seen), keys)
                # all pages are full but the last, which may be empty
                self.assertIn(n_pages - -(-300 // limit), (0, 1))

    def test_page_as_text(self):
        self.put(*(f"k{i}" for i in range(40)))
        first = self.broker.run("keys", "--limit", "10")
        cursor = re.search(rb"--cursor (\d+)", first.stderr).group(1)
        rest = self.broker.run("keys", "--cursor", cursor)
        self.assertEqual(rest.stderr, b"")
        both = first.stdout.split() + rest.stdout.split()
        self.assertEqual(len(both), 40)
        self.assertEqual(len(set(both)), 40)
        self.check(self.broker.run("keys", "--limit", "x"), USAGE)

    def test_del(self):
        self.put("a", "b", "c")
        self.check(self.broker.run("del", "a"), OK, b"")
        done = self.broker.run("del", "a", "b", "nothing")
        self.check(done, MISS, b"")
        self.assertEqual(done.stderr.count(b"no such key"), 2)
        self.assertEqual(self.listed(), ["c"])
        done = self.broker.run("del", "--json", "b", "c")
        self.check(done, MISS)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()],
                         [{"key": "b", "deleted": False}, {"key": "c", "deleted": True}])

    def test_fetch(self):
        """Of a broker that has nobody to ask: what is here is here, and the rest is off."""
        self.put("a")
        self.check(self.broker.run("get", "--fetch", "a"), OK)
        self.check(self.broker.run("get", "b", "--write-back", "off"), MISS, b"")
        done = self.broker.run("get", "b", "--fetch")
        self.assertIn(b"not fetched: off (this broker has no others", done.stderr)
        self.assertTrue(done.stderr.endswith(b": b\n"))
        self.assertEqual(done.stderr.count(b"\n"), 1)
        self.check(self.broker.run("get", "b", "--fetch", "-q"), MISS, b"")
        self.check(self.broker.run("get", "b", "--write-back", "never"), USAGE)
        self.check(self.broker.run("prefetch", "a"), OK, b"")
        done = self.broker.run("prefetch", "a", "b", "--write-back", "second-hit")
        self.check(done, MISS, b"")
        self.assertTrue(done.stderr.endswith(b": b\n"))
        self.check(self.broker.run("prefetch", "a", "--write-back", "never"), USAGE)
        self.assertEqual(self.broker.json("prefetch", "a"), {"key": "a", "here": True})
        self.check(self.broker.run("del", "--cluster", "a"), OK, b"")
        self.check(self.broker.run("del", "--cluster", "a"), MISS, b"")
        self.assertEqual(json.loads(self.broker.run("del", "--cluster", "--json", "a").stdout),
                         {"key": "a", "deleted": False, "told": 0, "untold": 0})

    def test_exists(self):
        self.put("a", "b")
        self.check(self.broker.run("exists", "a", "b"), OK, b"yes a\nyes b\n")
        self.check(self.broker.run("exists", "a", "no"), MISS, b"yes a\nno  no\n")
        self.check(self.broker.run("exists", "-q", "no"), MISS, b"")
        self.assertEqual(self.broker.json("exists", "a"), {"key": "a", "exists": True})

    def test_stat(self):
        self.put("a", size=2048)
        done = self.broker.run("stat", "a")
        self.check(done, OK)
        self.assertIn(b"2048 B (2.0 KiB)", done.stdout)
        self.assertIn(b"expires   never", done.stdout)
        self.assertNotIn(b"group", done.stdout)
        self.check(self.broker.run("stat", "nothing"), MISS, b"")

    def test_xargs(self):
        self.put("tmp/1", "tmp/2", "tmp/\n3", "keep")
        script = '"$@" keys tmp/ --hex | xargs "$@" del -x'
        done = subprocess.run(["sh", "-c", script, "sh", *self.broker.args()])
        self.assertEqual(done.returncode, OK)
        self.assertEqual(self.listed(), ["keep"])


class Flush(Case):
    def test_all(self):
        self.put("a", "b")
        self.check(self.broker.run("flush"), OK, b"2 entries deleted\n")
        self.check(self.broker.run("flush"), OK, b"0 entries deleted\n")

    def test_prefix(self):
        self.put("a/1", "a/2", "b/1")
        self.assertEqual(self.broker.json("flush", "a/"), {"n_deleted": 2})
        self.check(self.broker.run("exists", "b/1"), OK)
        self.check(self.broker.run("flush", "-x", "622f"), OK, b"1 entry deleted\n")

    def ask(self, answer):
        """Flush at a terminal: the status, and what stood there."""
        ours, theirs = pty.openpty()
        cli = self.broker.start_cli("flush", stdin=theirs, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        os.close(theirs)
        os.write(ours, answer)
        _, asked = cli.communicate(timeout=60)
        os.close(ours)
        self.assertIn(f"'{self.broker.name}'? [y/N]".encode(), asked)
        return cli.returncode

    def test_asks(self):
        self.put("a")
        for answer in (b"n\n", b"\n", b"no, y\n", b"\x04"):
            self.assertEqual(self.ask(answer), REFUSED)
            self.check(self.broker.run("exists", "-q", "a"), OK)
        self.assertEqual(self.ask(b"y\n"), OK)
        self.check(self.broker.run("exists", "-q", "a"), MISS)

    def test_yes(self):
        self.put("a")
        ours, theirs = pty.openpty()
        self.check(self.broker.run("flush", "--yes", stdin=theirs), OK)
        os.close(theirs)
        os.close(ours)


class Pin(Case):
    config = "[session]\npinned_max = 20%"

    def pinned(self):
        return self.broker.json("usage")["pinned_size"]

    def start_pin(self, *args):
        cli = self.broker.start_cli("pin", *args, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        self.assertIn(b"Ctrl-C", cli.stderr.readline())
        return cli

    def finish(self, cli):
        out, err = cli.communicate(timeout=60)
        return cli.returncode, err

    def test_time(self):
        self.put("k", size=MiB)
        begin = time.monotonic()
        cli = self.start_pin("k", "--for", "4s")
        self.assertGreaterEqual(self.pinned(), MiB)
        self.assertEqual(self.finish(cli)[0], OK)
        self.assertGreaterEqual(time.monotonic() - begin, 3.9)
        wait_for("the pin to be dropped", lambda: self.pinned() == 0)

    def test_interrupt(self):
        self.put("k", "l")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            cli = self.start_pin("k", "l")
            self.assertGreater(self.pinned(), 0)
            cli.send_signal(number)
            self.assertEqual(self.finish(cli)[0], OK)
            wait_for("the pin to be dropped", lambda: self.pinned() == 0)

    def test_death(self):
        """The broker drops what a process held that can't say goodbye."""
        self.put("k")
        cli = self.start_pin("k")
        cli.kill()
        self.finish(cli)
        wait_for("the pin to be dropped", lambda: self.pinned() == 0)

    def test_keeps_from_eviction(self):
        self.put("kept", "lost", size=4 * MiB)
        cli = self.start_pin("kept")
        for i in range(30):
            self.put(f"filler/{i}", size=4 * MiB)
        cli.send_signal(signal.SIGINT)
        self.assertEqual(self.finish(cli)[0], OK)
        self.check(self.broker.run("exists", "-q", "kept"), OK)
        self.check(self.broker.run("exists", "-q", "lost"), MISS)

    def test_command(self):
        self.put("k")
        usage = " ".join(self.broker.args("usage", "--json"))
        done = self.broker.run("pin", "k", "--", "sh", "-c", f"{usage}; exit 7")
        self.check(done, 7)
        self.assertGreater(json.loads(done.stdout)["pinned_size"], 0)
        self.check(self.broker.run("pin", "k", "--", "sh", "-c", "kill -TERM $$"), 128 + 15)
        self.check(self.broker.run("pin", "k", "--", "true"), OK, b"")
        done = self.broker.run("pin", "k", "--", "/nowhere/at-all")
        self.check(done, ERROR)
        self.assertIn(b"/nowhere/at-all", done.stderr)
        wait_for("the pin to be dropped", lambda: self.pinned() == 0)

    def test_command_outlasts_the_time(self):
        self.put("k")
        usage = " ".join(self.broker.args("usage", "--json"))
        done = self.broker.run("pin", "k", "--for", "300ms", "--", "sh", "-c",
                               f"sleep 1; {usage}")
        self.check(done, OK)
        self.assertEqual(json.loads(done.stdout)["pinned_size"], 0)

    def test_command_gets_signals(self):
        self.put("k")
        cli = self.broker.start_cli("pin", "k", "--", "sh", "-c",
                                    "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done",
                                    stdout=subprocess.PIPE)
        self.assertEqual(cli.stdout.readline(), b"up\n")
        cli.send_signal(signal.SIGTERM)
        self.assertEqual(cli.wait(60), 9)
        cli.stdout.close()

    def test_gone(self):
        self.check(self.broker.run("pin", "nothing"), MISS)
        self.put("k")
        cli = self.start_pin("k")
        self.broker.run("del", "k")
        status, err = self.finish(cli)
        self.assertEqual(status, MISS)
        self.assertIn(b"no such key", err)

    def test_quota(self):
        self.put("k", size=20 * MiB)
        self.check(self.broker.run("pin", "k"), REFUSED)

    def test_json(self):
        self.put("k")
        done = self.broker.run("pin", "k", "--for", "100ms", "--json")
        self.check(done, OK, b'{"n_pinned":1}\n')

    def test_usage(self):
        for args in ((), ("k", "--"), ("k", "--for", "0"), ("k", "--for", "10"), ("--", "true")):
            self.check(self.broker.run("pin", *args), USAGE)


class PinAcrossRestart(unittest.TestCase):
    def test_restart(self):
        """A broker that comes back finds the pin renewed."""
        broker = Broker(persist=True)
        broker.run("put", "k", "--value", "x")
        cli = broker.start_cli("pin", "k", stderr=subprocess.PIPE)
        cli.stderr.readline()
        broker.stop(signal.SIGKILL)
        self.assertIn(b"away", cli.stderr.readline())
        broker.start()
        wait_for("the pin to be back", lambda: broker.json("usage")["pinned_size"] > 0)
        cli.send_signal(signal.SIGINT)
        self.assertEqual(cli.wait(60), OK)
        cli.stderr.close()
        broker.close()


class Numbers(Case):
    def test_usage(self):
        self.put("k", size=MiB)
        usage = self.broker.json("usage")
        self.assertEqual(usage["name"], self.broker.name)
        self.assertEqual(usage["dram"]["size"], 64 * MiB)
        self.assertEqual(usage["cxl"]["size"], 0)
        self.assertEqual(usage["n_entries"], 1)
        self.assertGreaterEqual(usage["dram"]["used"], MiB)
        self.assertLess(usage["dram"]["used"], 2 * MiB)
        self.assertEqual(usage["broker_pid"], self.broker.process.pid)
        # earlier ones may take the broker a moment
        wait_for("only this session", lambda: self.broker.json("usage")["n_sessions"] == 1)
        text = self.broker.run("usage").stdout.decode()
        self.assertRegex(text, r"(?m)^entries   1$")
        self.assertRegex(text, r"(?m)^dram      1\.\d MiB of 64\.0 MiB \(1\.\d %\), 1 entries")
        self.assertRegex(text, r"(?m)^cxl       none$")

    def test_stats(self):
        before = self.broker.json("stats")
        self.put("k")
        after = self.broker.json("stats")
        self.assertEqual(list(before), list(after))
        self.assertTrue(all(isinstance(v, int) and v >= 0 for v in after.values()))
        grown = [name for name in after if after[name] > before[name]]
        self.assertTrue(any("put" in name for name in grown), grown)
        lines = self.broker.run("stats").stdout.decode().splitlines()
        self.assertEqual([line.rsplit(None, 1)[0] for line in lines], list(after))
        long = self.broker.run("stats", "-l").stdout.decode().splitlines()
        self.assertTrue(all(len(line.split()) > 2 for line in long))
        prefix = grown[0][:-2]
        self.assertEqual(list(self.broker.json("stats", prefix)),
                         [name for name in after if name.startswith(prefix)])

    def kinds(self, prefix):
        """Of what is counted in kinds: the number of each."""
        numbers = self.broker.json("stats", prefix)
        return {re.fullmatch(r'.+\{\w+="(.+)"\}', name)[1]: n for name, n in numbers.items()}

    def test_stats_by_kind(self):
        before = [self.kinds(f"shmcache_{name}_total{{")
                  for name in ("requests", "answers", "misses_by_reason", "faults", "refusals")]
        self.assertTrue(all(len(kinds) > 2 for kinds in before), before)
        self.put("k")
        self.check(self.broker.run("touch", "none", "--ttl", "1h"), MISS)
        self.check(self.broker.run("get", "none"), MISS)
        grown = {kind: n - before[0][kind] for kind, n in self.kinds("shmcache_requests").items()}
        self.assertEqual((grown["put"], grown["touch"], grown["delete"]), (1, 1, 0))
        self.assertEqual(self.kinds("shmcache_answers")["miss"], before[1]["miss"] + 1)
        # What a client counted is known when it has left, at the latest.
        wait_for("its miss", lambda: self.kinds("shmcache_misses_by_reason")["absent"] ==
                 before[2]["absent"] + 1)
        self.assertEqual(self.kinds("shmcache_faults"), before[3])
        self.assertEqual(self.kinds("shmcache_refusals"), before[4])

    def test_prometheus(self):
        text = self.broker.run("stats", "--prometheus").stdout.decode()
        names = list(self.broker.json("stats"))
        pattern = re.compile(r"# HELP (\S+) .+\n# TYPE (\S+) (?:counter|gauge)\n"
                             r"((?:[a-z_]+(?:\{[a-z]+=\"[\w -]+\"\})? \d+\n)+)")
        found = pattern.findall(text)
        self.assertEqual(pattern.sub("", text), "")
        self.assertEqual(len({name for name, _, _ in found}), len(found))
        self.assertTrue(all(a == b for a, b, _ in found))
        samples = [(name, line.rsplit(" ", 1)[0]) for name, _, lines in found
                   for line in lines.splitlines()]
        self.assertEqual([sample for _, sample in samples], names)
        self.assertTrue(all(sample.partition("{")[0] == name for name, sample in samples))

    def test_ping(self):
        done = self.broker.run("ping")
        self.check(done, OK)
        self.assertIn(b"role writer", done.stdout)
        self.check(self.broker.run("ping", "-q"), OK, b"")
        ping = self.broker.json("ping", "--timeout", "never")
        self.assertEqual(ping["role"], "writer")
        self.assertGreater(ping["first_ns"], 0)
        self.assertLessEqual(ping["best_ns"], 60 * 10**9)

    def test_bench(self):
        done = self.broker.run("bench", "--time", "200ms", "--keys", "50", "--size", "4KiB",
                               "--threads", "2", "--json")
        self.check(done, OK)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([row["name"] for row in rows], ["put", "get"])
        for row in rows:
            self.assertEqual((row["value_size"], row["n_keys"], row["n_threads"]), (4096, 50, 2))
            self.assertGreater(row["n_operations"], 0)
            self.assertEqual(row["n_missed"], 0)
            self.assertLessEqual(row["p50_ns"], row["p99_ns"])
            self.assertLessEqual(row["p99_ns"], row["max_ns"])
            self.assertGreaterEqual(row["time_ms"], 190)
            rate = row["n_operations"] * 1000 / row["time_ms"]
            self.assertAlmostEqual(row["per_second"] / rate, 1, delta=0.02)
        self.assertEqual(self.broker.json("keys")["keys"], [])

    def test_bench_as_text(self):
        done = self.broker.run("bench", "--time", "50ms", "--only", "get", "--size", "1")
        self.check(done, OK)
        self.assertRegex(done.stdout, rb"^get  1 B, 1 thread: \d+/s, .*, p50 \d+.*, p99 .*\n$")

    def test_bench_larger_than_the_cache(self):
        """Misses are told, and no error."""
        done = self.broker.run("bench", "--time", "200ms", "--only", "get", "--size", "1MiB",
                               "--keys", "100", "--json")
        self.check(done, OK)
        self.assertGreater(json.loads(done.stdout)["n_missed"], 0)

    def test_bench_interrupted(self):
        cli = self.broker.start_cli("bench", "--time", "1h", stdout=subprocess.PIPE)
        wait_for("entries", lambda: self.broker.json("usage")["n_entries"] > 100)
        cli.send_signal(signal.SIGINT)
        out, _ = cli.communicate(timeout=60)
        self.assertEqual(cli.returncode, OK)
        self.assertEqual(self.broker.json("keys")["keys"], [])

    def test_bench_usage(self):
        for args in (("--size", "0"), ("--size", "2GiB"), ("--time", "5"), ("--threads", "257"),
                     ("--only", "both"), ("--keys", "0"), ("more",)):
            self.check(self.broker.run("bench", *args), USAGE)


class Manners(unittest.TestCase):
    """None of these needs a broker."""

    def check(self, args, status, words, where="stderr"):
        done = run(*args)
        self.assertEqual(done.returncode, status, args)
        self.assertIn(words, getattr(done, where).decode(), args)
        self.assertEqual(done.stdout if where == "stderr" else done.stderr, b"")

    def test_help(self):
        self.check(("--help",), OK, "Commands:", "stdout")
        self.check(("help",), OK, "Commands:", "stdout")
        listed = run("--help").stdout.decode()
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", listed)
            for args in ((command, "--help"), (command, "-h"), ("help", command)):
                self.check(args, OK, f"usage: shmcache [OPTION...] {command}", "stdout")
            self.assertIn("Example", run(command, "--help").stdout.decode())
        self.check(("help", "nothing"), USAGE, "nothing")

    def test_version(self):
        for args in (("--version",), ("get", "--version")):
            self.assertRegex(run(*args).stdout, rb"^shmcache \d+\.\d+\.\d+\n$")

    def test_wrong_command(self):
        self.check((), USAGE, "no command given")
        self.check(("fulsh",), USAGE, "did you mean 'flush'")
        self.check(("exist",), USAGE, "did you mean 'exists'")
        self.check(("puts",), USAGE, "did you mean 'put'")
        self.assertNotIn(b"did you mean", run("frobnicate").stderr)
        self.assertNotIn(b"did you mean", run("xy").stderr)

    def test_wrong_option(self):
        self.check(("--frob", "get", "k"), USAGE, "--frob is no option")
        self.check(("get", "k", "--frob"), USAGE, "--frob is no option")
        self.check(("get", "k", "--json=1"), USAGE, "--json does not take an argument")
        self.check(("get", "k", "-Z"), USAGE, "-Z is no option")
        self.check(("get", "--json", "-qZ", "k"), USAGE, "-Z is no option")
        self.check(("get", "k", "-o"), USAGE, "--output needs an argument")
        self.check(("get", "k", "--output"), USAGE, "--output needs an argument")
        self.check(("put", "k", "--ttl", "60"), USAGE, "'60' is no time")
        self.check(("put", "k", "--ttl", "99999999999999999d"), USAGE, "too long")
        for timeout in ("0", "0s", "5", "soon", "100d"):
            self.check(("--timeout", timeout, "ping"), USAGE, "--timeout")

    def test_wrong_operands(self):
        for command in ("put", "get", "del", "exists", "stat", "touch", "pin"):
            self.check((command,), USAGE, "missing")
        self.check(("get", "k", "l"), USAGE, "'l' is one argument too many")
        self.check(("usage", "k"), USAGE, "'k' is one argument too many")

    def test_options_before_and_behind(self):
        """-n counts wherever it stands; the last one wins."""
        name = f"none-{os.getpid()}"
        for args in (("-n", name, "get", "k"), ("get", "-n", name, "k"), ("get", "k", "-n", name),
                     ("-n", "other", "get", "k", f"--name={name}")):
            self.check(args, ATTACH, f"'{name}'")


class Events(Case):
    def listen(self, *args):
        """The command, once it hears: what is put before may go by unheard."""
        listener = self.broker.start_cli("events", *args, stdout=subprocess.PIPE, text=True)
        self.addCleanup(listener.stdout.close)
        self.addCleanup(listener.wait)
        self.addCleanup(listener.kill)

        def hears():
            self.put("m/first")
            return select.select([listener.stdout], [], [], 0.1)[0]
        wait_for("an event", hears)
        return listener

    def test_json(self):
        listener = self.listen("--json", "--prefix", "m/", "--kinds", "stored,deleted")
        self.put("n/other", "m/a", size=7)
        self.check(self.broker.run("del", "m/a"), OK)
        told = []
        while not told or told[-1]["event"] != "deleted":
            told.append(json.loads(listener.stdout.readline()))
        told = [event for event in told if event["key"] != "m/first"]
        self.assertEqual([(e["event"], e["key"], e["value_size"], e["tier"]) for e in told],
                         [("stored", "m/a", 7, "dram"), ("deleted", "m/a", 7, "dram")])
        self.assertEqual([told[0]["replaced"], told[1]["expired"]], [False, False])
        self.assertLess(abs(told[0]["time_ms"] / 1000 - time.time()), 600)

    def test_text_and_count(self):
        listener = self.broker.start_cli("events", "--count", "2", "--kinds=stored",
                                         stdout=subprocess.PIPE, text=True)
        while listener.poll() is None:
            self.put("m/a\tb")
        lines = listener.stdout.read().splitlines()
        listener.stdout.close()
        self.assertEqual((listener.returncode, len(lines)), (OK, 2))
        self.assertRegex(lines[0], r"^\d\d:\d\d:\d\d\.\d{3}  stored  +1 B +dram  m/a\\tb$")

    def test_usage(self):
        self.check(self.broker.run("events", "--kinds", "stored,found"), USAGE)
        self.check(self.broker.run("events", "key"), USAGE)


if __name__ == "__main__":
    unittest.main()
