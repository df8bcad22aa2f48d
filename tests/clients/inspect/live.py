#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The inspector on real brokers: one that works, one that is stopped, one that is dead."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "cli"))
import harness  # noqa: E402

INSPECT = os.environ["SHMCACHE_INSPECT"]
FINE, USAGE, FINDINGS = range(3)


def inspect(*args, program=INSPECT, **kwargs):
    return subprocess.run([program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=harness.PATIENCE, **kwargs)


def seen(*args, **kwargs):
    """The JSON of a run that has to succeed."""
    done = inspect(*args, "--json", **kwargs)
    if done.returncode != FINE:
        raise AssertionError(f"{args}: {done.returncode}: {done.stdout} {done.stderr}")
    return json.loads(done.stdout)


def without_times(value):
    """What does not change while nothing moves but the clock."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items()
                if not k.endswith("age_ms") and k not in ("time_ms", "uptime_ms", "ttl_ms")}
    if isinstance(value, list):
        return [without_times(v) for v in value]
    return re.sub(r"for [0-9.]+ s$", "", value) if isinstance(value, str) else value


def stop(process):
    """SIGSTOP, and wait until all of it stands."""
    process.send_signal(signal.SIGSTOP)

    def is_stopped():
        with open(f"/proc/{process.pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "T"
    harness.wait_for("the stop", is_stopped)


class Stopped(unittest.TestCase):
    """A broker with two entries, stopped, with a put that waits for it."""

    @classmethod
    def setUpClass(cls):
        cls.broker = harness.Broker()
        for key, value in (("alpha", "one"), ("beta", "two")):
            assert cls.broker.run("put", key, "--value", value).returncode == harness.OK
        # A client that is attached, has a lane, and goes on when it is told to.
        cls.client = harness.start(
            cls.broker.args("--timeout", "never", "bench", "--time", "1h", "--only", "put"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for("puts", lambda: seen(cls.broker.name)["numbers"]
                         ["shmcache_puts_total"] > 100)
        harness.wait_for("a request that waits", cls.stop_with_a_request)

    @classmethod
    def stop_with_a_request(cls):
        """The stop may fall between an answer and the doorbell that tells of it: then none comes."""
        stop(cls.broker.process)
        for _ in range(20):
            if cls.waiting() is not None:
                return True
            time.sleep(0.05)
        cls.broker.process.send_signal(signal.SIGCONT)
        return False

    @classmethod
    def tearDownClass(cls):
        cls.client.kill()
        cls.client.wait()
        cls.broker.close()

    @classmethod
    def waiting(cls):
        for session in seen(cls.broker.name)["sessions"]:
            if session["n_waiting"]:
                return session
        return None

    def test_summary(self):
        state = seen(self.broker.name)
        self.assertEqual(state["broker"]["state"], "stopped")
        self.assertEqual(state["broker"]["pid"], self.broker.process.pid)
        self.assertEqual(state["unseen"], [])
        self.assertTrue(any("is stopped" in a for a in state["alerts"]))
        session = self.waiting()
        self.assertEqual(session["process"]["pid"], self.client.pid)
        self.assertEqual(session["process"]["state"], "runs")
        text = inspect(self.broker.name)
        self.assertEqual(text.returncode, FINE)
        self.assertIn(b"is stopped: kill -CONT", text.stdout)

    def test_the_stuck_request(self):
        session = self.waiting()
        ring = seen("--ring", str(session["id"]), self.broker.name)
        slots = [s for lane in ring["lanes"] for s in lane["slots"]]
        stuck = [s for s in slots if s["state"] == "next"]
        self.assertEqual(len(stuck), 1)
        self.assertEqual(stuck[0]["operation"], "put")
        self.assertIn("key", stuck[0])
        self.assertEqual(stuck[0]["flaw"], "none")
        text = inspect("--ring", f"{session['id']}.0", self.broker.name)
        self.assertEqual(text.returncode, FINE)

    def test_its_age_grows(self):
        first = self.waiting()["oldest_age_ms"]
        harness.wait_for("time", lambda: self.waiting()["oldest_age_ms"] >= first + 100)
        harness.wait_for("the alert", lambda: any(
            "without an answer" in a for a in seen(self.broker.name)["alerts"]))

    def test_key(self):
        entry = seen("--key", "alpha", self.broker.name)
        self.assertEqual((entry["tier"], entry["value_size"]), ("dram", 3))
        entry = seen("--key-hex", "616c706861", self.broker.name)
        self.assertEqual(entry["key"], "alpha")
        self.assertEqual(inspect("--key", "gamma", self.broker.name).returncode, USAGE)

    def test_check(self):
        done = inspect("--check", self.broker.name)
        self.assertEqual((done.returncode, done.stderr), (FINE, b""), done.stdout)

    def test_offline_is_the_same(self):
        session = str(self.waiting()["id"])
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "snapshot")
            self.assertEqual(inspect("--save", path, self.broker.name).returncode, FINE)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            for view in ([], ["--ring", session], ["--key", "alpha"], ["--holders"], ["--check"]):
                self.assertEqual(without_times(seen(*view, "--offline", path)),
                                 without_times(seen(*view, self.broker.name)), view)

    def test_map(self):
        with tempfile.TemporaryDirectory() as folder:
            for color in ("class", "age", "session"):
                path = os.path.join(folder, color + ".svg")
                done = inspect("--map", path, "--color", color, self.broker.name)
                self.assertEqual(done.returncode, FINE, done.stderr)
                root = xml.dom.minidom.parse(path).documentElement
                self.assertEqual(root.tagName, "svg")
                self.assertGreater(len(root.getElementsByTagName("rect")), 5)

    def test_it_goes_on(self):
        """Being looked at has changed nothing: let go on, the broker answers as if nothing was."""
        before = self.waiting()["lanes"]
        self.broker.process.send_signal(signal.SIGCONT)

        def has_moved():
            lanes = {s["id"]: s["lanes"] for s in seen(self.broker.name)["sessions"]}
            now = lanes[session["id"]]
            return sum(x["answered"] for x in now) > sum(x["answered"] for x in before) + 10
        session = {"id": next(s["id"] for s in seen(self.broker.name)["sessions"]
                              if s["process"]["pid"] == self.client.pid)}
        harness.wait_for("answers", has_moved)
        stop(self.broker.process)
        harness.wait_for("a request that waits", lambda: self.waiting() is not None)


class Holding(unittest.TestCase):
    def test_who_keeps_it(self):
        """A value that is viewed and deleted: who holds it, how much that keeps, and since when."""
        broker = harness.Broker(dram="64MiB")
        put = broker.run("put", "large", input=b"x" * (8 << 20))
        self.assertEqual(put.returncode, harness.OK, put.stderr)
        # It holds the value while it writes, to a pipe that nobody reads.
        read_end, write_end = os.pipe()
        holder = harness.start(broker.args("get", "large"), stdin=subprocess.DEVNULL,
                               stdout=write_end, stderr=subprocess.DEVNULL)
        try:
            harness.wait_for("the hold", lambda: any(
                s["holds"]["n_holds"] for s in seen(broker.name)["sessions"]))
            held = seen("--key", "large", broker.name)["holders"]
            self.assertEqual([h["pid"] for h in held], [holder.pid])
            self.assertEqual(held[0]["kind"], "published")
            worst = seen("--holders", broker.name)["holders"][0]
            self.assertEqual((worst["held_size"], worst["kept_size"]), (8 << 20, 0))
            self.assertEqual(broker.run("del", "large").returncode, harness.OK)
            worst = seen("--holders", broker.name)["holders"][0]
            self.assertEqual(worst["process"]["pid"], holder.pid)
            self.assertEqual((worst["n_kept"], worst["kept_size"]), (1, 8 << 20))
            self.assertEqual(worst["n_standing"], 1)
            self.assertGreater(worst["standing_age_ms"], 0)
            self.assertTrue(any("keep 8.0 MiB" in a for a in seen(broker.name)["alerts"]))
            # The broker looks once a second, and so tells how old a hold is at least.
            harness.wait_for("a look", lambda: any(
                s["held_age_ms"] > 1000 for s in seen(broker.name)["sessions"]))
            screen = inspect(broker.name).stdout.decode()
            self.assertRegex(screen, r"(?m)^holds      1 on 8\.0 MiB, keeping 8\.0 MiB; "
                             r"oldest \d.* s or more, session \d+$")
            self.assertEqual(inspect("--check", broker.name).returncode, FINE)
        finally:
            holder.kill()
            holder.wait()
            os.close(read_end)
            os.close(write_end)
            broker.close()


class Dead(unittest.TestCase):
    def test_killed(self):
        """kill -9: plane, index and tiers are left, and the client, which shows its regions."""
        broker = harness.Broker(persist=True)
        self.assertEqual(broker.run("put", "alpha", "--value", "one").returncode, harness.OK)
        client = harness.start(broker.args("--timeout", "never", "bench", "--time", "1h"),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        try:
            harness.wait_for("puts", lambda: seen(broker.name)["numbers"]
                             ["shmcache_puts_total"] > 100)
            # So that it does not hang up, or find another broker.
            stop(client)
            broker.stop(signal.SIGKILL)
            state = seen(broker.name)
            self.assertEqual(state["broker"]["state"], "gone")
            self.assertTrue(any("is gone" in a for a in state["alerts"]))
            self.assertEqual(seen("--key", "alpha", broker.name)["value_size"], 3)
            done = inspect("--check", broker.name)
            self.assertEqual(done.returncode, FINE, done.stdout)
            session = [s for s in state["sessions"] if s["process"]["pid"] == client.pid]
            self.assertEqual(len(session), 1)
            self.assertEqual(session[0]["process"]["state"], "stopped")
            # Seen or not, it is said which.
            if not session[0]["lanes"] or not session[0]["lanes"][0]["is_seen"]:
                self.assertTrue(any("its regions" in u for u in state["unseen"]))
        finally:
            client.kill()
            client.wait()
            broker.close()

    def test_stopped_cleanly(self):
        broker = harness.Broker(persist=True)
        self.assertEqual(broker.run("put", "alpha", "--value", "one").returncode, harness.OK)
        broker.stop()
        state = seen(broker.name)
        self.assertEqual(state["broker"]["serves"], "stopped")
        self.assertEqual(state["alerts"], [])
        self.assertEqual(inspect("--check", broker.name).returncode, FINE)
        broker.close()

    def test_nothing_there(self):
        done = inspect("no-such-cache-here")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(b"there is no cache", done.stderr)


class NotPermitted(unittest.TestCase):
    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_another_user(self):
        """The plane is everybody's; what is not seen is named, with the reason."""
        broker = harness.Broker()
        self.assertEqual(broker.run("put", "alpha", "--value", "one").returncode, harness.OK)
        client = harness.start(broker.args("bench", "--time", "1h"), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        folder = tempfile.mkdtemp(dir="/tmp")
        try:
            harness.wait_for("a session", lambda: seen(broker.name)["sessions"])
            # A copy of its own: the build tree may be closed to others.
            os.chmod(folder, 0o755)
            program = shutil.copy(INSPECT, folder)
            as_nobody = {"program": program, "user": 65534, "group": 65534, "extra_groups": [],
                         "env": dict(os.environ, ASAN_OPTIONS="detect_leaks=0")}
            state = seen(broker.name, **as_nobody)
            self.assertEqual(state["broker"]["state"], "runs")
            self.assertGreater(state["numbers"]["shmcache_entries"], 0)
            self.assertTrue(any("the index" in u and "not permitted" in u for u in state["unseen"]))
            self.assertTrue(any("its regions" in u and "not permitted" in u
                                for u in state["unseen"]))
            done = inspect("--check", broker.name, **as_nobody)
            self.assertEqual(done.returncode, FINE, done.stdout)
            self.assertIn(b"not seen", done.stdout)
            done = inspect("--key", "alpha", broker.name, **as_nobody)
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(b"not permitted", done.stderr)
        finally:
            client.kill()
            client.wait()
            shutil.rmtree(folder)
            broker.close()


class Elsewhere(unittest.TestCase):
    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", "true"], stderr=subprocess.DEVNULL,
        check=False).returncode == 0, "no PID namespace can be made here")
    def test_other_namespace(self):
        """A broker whose number means nothing here is not called dead."""
        broker = harness.Broker()
        done = subprocess.run(["unshare", "-p", "-f", "--mount-proc", INSPECT, "--json",
                               broker.name],
                              stdout=subprocess.PIPE, timeout=harness.PATIENCE, check=True)
        state = json.loads(done.stdout)
        self.assertEqual(state["broker"]["state"], "unknown")
        self.assertEqual(state["alerts"], [])
        self.assertTrue(any("PID namespace" in u for u in state["unseen"]))
        broker.close()


class Busy(unittest.TestCase):
    def test_no_false_findings(self):
        """Evictions, replacements, expiry, large blocks, a growing table, while it is checked."""
        self.check_busy("")

    def test_two_tiers(self):
        """The same while entries move between two tiers."""
        self.check_busy("[cxl]\nbackend = shm\nsize = 4MiB\n")

    def check_busy(self, config):
        broker = harness.Broker(dram="4MiB", config="[broker]\nworkers = 2\n" + config)
        loads = [harness.start(broker.args("bench", "--timeout", "2m", "--time", "1h", "--only",
                                           *args),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
                 for args in (("put", "--size", "100", "--keys", "20000"),
                              ("put", "--size", "100KiB", "--keys", "100"),
                              ("get", "--size", "2KiB", "--keys", "300", "--threads", "2"))]
        rounds = int(os.environ.get("SHMCACHE_CHECK_ROUNDS", "15"))
        try:
            harness.wait_for("evictions", lambda: seen(broker.name)["numbers"]
                             ["shmcache_evictions_total"] > 1000)
            for i in range(rounds):
                broker.run("put", f"short-{i}", "--value", "x" * 300, "--ttl", "50ms")
                done = inspect("--check", broker.name)
                self.assertEqual(done.returncode, FINE, done.stdout.decode())
            for load in loads:
                if load.poll() is not None:
                    self.fail(load.stderr.read().decode() + broker.log())
        finally:
            for load in loads:
                load.kill()
                load.wait()
                load.stderr.close()
        # All is quiet soon, and then everything has to fit exactly.
        harness.wait_for("the end of the sessions", lambda: not seen(broker.name)["sessions"])
        done = inspect("--check", broker.name)
        self.assertEqual(done.returncode, FINE, done.stdout.decode())
        broker.close()

    def test_pages(self):
        broker = harness.Broker()
        done = inspect("--watch", "--count", "3", "--interval", "50ms", broker.name)
        self.assertEqual(done.returncode, FINE, done.stderr)
        self.assertEqual(done.stdout.count(b"cache      " + broker.name.encode()), 3)
        self.assertEqual(done.stdout.count(b"rates      "), 3)
        lines = inspect("--watch", "--json", "--count", "2", "--interval", "50ms",
                        broker.name).stdout.decode().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("p99_ns", json.loads(lines[1])["rates"]["operations"]["put"])
        broker.close()


class Usage(unittest.TestCase):
    def test_wrong(self):
        for args in ([], ["--ring", "x", "n"], ["--ring", "1.x", "n"],
                     ["--check", "--holders", "n"],
                     ["--nonsense", "n"], ["a", "b"], ["--offline", "f", "n"], ["--key", "", "n"],
                     ["--watch", "--interval", "0", "n"], ["--color", "red", "n"],
                     ["--watch", "--offline", "f"], ["--offline", "/dev/null"],
                     ["--offline", __file__], ["bad name"], ["--save"]):
            done = inspect(*args)
            self.assertEqual(done.returncode, USAGE, args)
            self.assertEqual(done.stdout, b"", args)
            self.assertTrue(done.stderr.startswith(b"shmcache-inspect: "), args)

    def test_help(self):
        self.assertIn(b"--offline FILE", inspect("--help").stdout)
        self.assertTrue(inspect("--version").stdout.startswith(b"shmcache-inspect "))


if __name__ == "__main__":
    unittest.main(verbosity=2)
