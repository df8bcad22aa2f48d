#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""served.py serve | promtool | page: what the listener serves, and to whom.

  serve     every path, with curl's kind of client and with bad ones; nobody stops a worker
  promtool  the metrics as Prometheus' own checker sees them (skipped where there is none)
  page      the page in a headless Chromium (skipped where there is none): it shows the live picture
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from harness import OK, Broker, wait_for

SKIP = 77


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# Nobody listens there.
CLUSTER = "[remote]\nname = a\nsecurity = none\nmembers = b=127.0.0.1:1\n"


def start(listen=None, config=""):
    """A broker that serves on a port, which is remembered in it."""
    port = listen or free_port()
    broker = Broker(f"[metrics]\nlisten = {port}\n{config}")
    broker.port = port
    return broker


def get(broker, path, method="GET"):
    c = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=60)
    try:
        c.request(method, path)
        r = c.getresponse()
        return r.status, dict(r.getheaders()), r.read().decode()
    finally:
        c.close()


def metric(broker, line):
    """The value of one line of /metrics."""
    for got in get(broker, "/metrics")[2].splitlines():
        if got.startswith(line + " "):
            return float(got.rsplit(" ", 1)[1])
    raise AssertionError(f"there is no {line}")


def n_sockets(process):
    fds, n = f"/proc/{process.pid}/fd", 0
    for fd in os.listdir(fds):
        try:
            n += os.readlink(os.path.join(fds, fd)).startswith("socket:")
        except FileNotFoundError:
            pass
    return n


class Serve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = start()
        cls.rest = n_sockets(cls.broker.process)
        for i in range(5):
            assert cls.broker.run("put", f"key{i}", input=bytes(100000)).returncode == OK
        assert cls.broker.run("get", "key1").returncode == OK
        cls.broker.run("get", "none")

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def test_metrics(self):
        status, headers, text = get(self.broker, "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("text/plain; version=0.0.4", headers["Content-Type"])
        # Each sample behind its HELP and TYPE, no metric twice, no line that is something else.
        seen, name = set(), None
        for line in text.splitlines():
            m = re.match(r"# (HELP|TYPE) (\w+) .+", line)
            if m and m[1] == "HELP":
                name = m[2]
                self.assertNotIn(name, seen)
                seen.add(name)
            elif not m:
                self.assertRegex(line, rf"^{name}(_bucket|_sum|_count)?(\{{.*\}})? [0-9.e+-]+$")
        self.assertEqual(metric(self.broker, "shmcache_puts_total"), 5)
        self.assertEqual(metric(self.broker, "shmcache_entries"), 5)
        self.assertGreaterEqual(
            metric(self.broker, 'shmcache_requests_total{operation="reserve"}'), 5)
        wait_for("the misses of a client that left", lambda: metric(
            self.broker, 'shmcache_misses_by_reason_total{reason="absent"}') == 1)

    def test_histograms(self):
        """Buckets grow, the last is the count, and large puts are counted one by one."""
        text = get(self.broker, "/metrics")[2]
        name, kind = "shmcache_operation_duration_seconds", 'operation="reserve"'
        buckets = [int(v) for v in re.findall(
            rf"{name}_bucket{{{kind},le=\"[^\"]+\"}} (\d+)", text)]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], metric(self.broker, f"{name}_count{{{kind}}}"))
        self.assertEqual(buckets[-1], 5)
        self.assertGreater(metric(self.broker, f"{name}_sum{{{kind}}}"), 0)

    def test_status(self):
        status = json.loads(get(self.broker, "/status.json")[2])
        self.assertEqual(status["name"], self.broker.name)
        self.assertEqual(status["pid"], self.broker.process.pid)
        self.assertEqual(status["shmcache_entries"], 5)
        self.assertGreater(status["operations"]["reserve"]["p99_ns"], 0)
        reader = self.broker.start_cli("pin", "key1", "--", "cat", stdin=subprocess.PIPE)
        try:
            wait_for("the session", lambda: reader.pid in [
                s["pid"] for s in json.loads(get(self.broker, "/status.json")[2])["session_list"]])
        finally:
            reader.stdin.close()
            reader.wait()

    def test_operations(self):
        """What the page makes its rates and times of: every request, and all buckets of its times."""
        def looked():
            return json.loads(get(self.broker, "/status.json")[2])["operations"]

        def begin(i):
            return 2 ** (6 + (i - 1) // 2) * (2 + (i - 1) % 2) // 2 if i else 0

        def quantile(buckets, q):
            want, below = q * sum(buckets), 0
            for i, n in enumerate(buckets):
                if n and below + n >= want:
                    return begin(i) + (begin(i + 1) - begin(i)) * (want - below) / n
                below += n
            return 0

        before = looked()
        for i in range(7):
            # Large enough to be timed one by one.
            self.assertEqual(self.broker.run("put", f"more{i}", input=bytes(40000)).returncode, OK)
        for i in range(7):
            self.assertEqual(self.broker.run("del", f"more{i}").returncode, OK)
        after = looked()
        grown = {name: after[name]["requests"] - before[name]["requests"] for name in after}
        self.assertEqual(grown["delete"], 7)
        self.assertEqual(grown["put"] + grown["reserve"], 7)
        self.assertEqual(grown["flush"], 0)
        self.assertGreaterEqual(sum(after[name]["n"] - before[name]["n"]
                                    for name in ("put", "commit")), 7)
        for name, t in after.items():
            self.assertEqual(sum(t["buckets"]), t["n"], name)
            self.assertNotEqual(t["buckets"][-1:], [0], name)
            for q, ns in ((0.5, t["p50_ns"]), (0.99, t["p99_ns"])):
                self.assertAlmostEqual(min(quantile(t["buckets"], q), t["max_ns"]), ns, delta=2)

    def test_dashboard(self):
        """Every metric that the dashboard draws and the alarms name is there."""
        there = set(re.findall(r"^# TYPE (\w+) ", get(self.broker, "/metrics")[2], re.M))
        docs = os.path.join(os.environ["SHMCACHE_SOURCE"], "docs")
        for name in ("grafana.json", "operations.md"):
            with open(os.path.join(docs, name), encoding="utf-8") as f:
                text = f.read()
            named = {re.sub("_bucket$", "", n) for n in re.findall(r"\bshmcache_\w+", text)}
            self.assertGreater(len(named), 20)
            self.assertEqual(named - there, set(), name)

    def test_map(self):
        """As many bytes on the map as there are in the tier."""
        parts = json.loads(get(self.broker, "/map.json")[2])["dram"]
        self.assertEqual(len(parts), 512)
        used = sum(parts) / 1000 * (64 << 20) / 512
        self.assertGreater(used, 490000)
        self.assertLess(used, 520000)

    def test_page(self):
        status, headers, text = get(self.broker, "/")
        self.assertEqual(status, 200)
        self.assertIn("text/html", headers["Content-Type"])
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        # Nothing is fetched from elsewhere.
        self.assertEqual(re.findall(r"(?:src|href|url|import)\s*[=(]", text), [])
        self.assertNotIn("://", text)

    def test_others(self):
        self.assertEqual(get(self.broker, "/healthz")[0::2], (200, "ok\n"))
        self.assertEqual(get(self.broker, "/none")[0], 404)
        self.assertEqual(get(self.broker, "/../etc/passwd")[0], 404)
        self.assertEqual(get(self.broker, "/", "POST")[0], 405)
        self.assertEqual(get(self.broker, "/", "HEAD")[0::2], (200, ""))

    def test_names(self):
        """On the loopback, a name that is not this host's own is a page's from elsewhere."""
        def status(host, version="1.1"):
            with socket.create_connection(("127.0.0.1", self.broker.port), timeout=60) as s:
                line = f"Host: {host}\r\n" if host is not None else ""
                s.sendall(f"GET /healthz HTTP/{version}\r\n{line}Connection: close\r\n\r\n"
                          .encode())
                return int(s.makefile("rb").readline().split()[1])
        port = self.broker.port
        for host in ("localhost", f"localhost:{port}", "LocalHost", f"127.0.0.1:{port}", "127.0.0.1",
                     "10.1.2.3", f"[::1]:{port}", "[::1]"):
            self.assertEqual(status(host), 200, host)
        self.assertEqual(status(None, "1.0"), 200)
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil",
                     "[evil]", "[", "]", ":", "x" * 300, "127.0.0.1x", "localhostx:1"):
            self.assertEqual(status(host), 403, host)

    def test_bad_clients(self):
        """Who says nothing, nonsense, or does not read, takes nothing from workers or from others."""
        bad = [socket.create_connection(("127.0.0.1", self.broker.port)) for _ in range(20)]
        try:
            for i, s in enumerate(bad):
                s.setblocking(False)
                if i % 4 == 1:
                    s.send(b"\0\xff nonsense\r\n\r\n" * 100)
                if i % 4 == 2:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
                    s.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
                if i % 4 == 3:
                    s.send(b"GET / HTTP/1.1\r\nX: " + b"a" * 30000)
            self.assertEqual(get(self.broker, "/healthz")[0], 200)
            self.assertEqual(self.broker.run("ping", "-q").returncode, OK)
        finally:
            for s in bad:
                s.close()
        self.assertEqual(get(self.broker, "/healthz")[0], 200)

    def test_too_many(self):
        """Beyond the limit none is taken, and there is room again when others leave, all at once."""
        process = self.broker.process

        def is_stopped():
            with open(f"/proc/{process.pid}/stat", encoding="utf-8") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "T"
        # What a session or a connection before has left open for a moment is not at rest.
        rest = min(self.rest, n_sockets(process))
        many = [socket.socket() for _ in range(100)]
        for s in many:
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.broker.port))
        wait_for("the limit", lambda: n_sockets(process) >= rest + 30)
        self.assertEqual(self.broker.run("ping", "-q").returncode, OK)
        # In one look of the listener: nothing comes after it that would have it look again.
        process.send_signal(signal.SIGSTOP)
        wait_for("the stop", is_stopped)
        for s in many:
            s.close()
        process.send_signal(signal.SIGCONT)

        def answers():
            try:
                return get(self.broker, "/healthz")[0] == 200
            except (OSError, http.client.HTTPException):
                return False
        wait_for("room", answers)


class Peers(unittest.TestCase):
    def test_peers(self):
        """A line for each member; none of the kind where there is no cluster."""
        broker = start(config=CLUSTER)
        try:
            self.assertEqual(metric(broker, 'shmcache_peer_up{peer="b"}'), 0)
            # It is there from the first look on.
            peer, = json.loads(get(broker, "/status.json")[2])["peers"]
            self.assertEqual((peer["name"], peer["address"], peer["state"]), ("b", "127.0.0.1:1", 0))
            self.assertEqual(peer.keys() & {"free", "rtt_ns", "records"}, {"rtt_ns", "records"})
            wait_for("the reason", lambda: json.loads(
                get(broker, "/status.json")[2])["peers"][0]["why"] == "Connection refused")
        finally:
            broker.close()
        broker = start()
        try:
            self.assertNotIn("peers", json.loads(get(broker, "/status.json")[2]))
        finally:
            broker.close()


class Held(unittest.TestCase):
    def test_gauges(self):
        """A value that is viewed counts as a hold; deleted meanwhile, as held bytes, until it is let go."""
        broker = start()
        read_end, write_end = os.pipe()
        holder = None
        try:
            self.assertEqual(broker.run("put", "large", input=bytes(1 << 20)).returncode, OK)
            # It holds the value while it writes, to a pipe that nobody reads.
            holder = broker.start_cli("get", "large", stdin=subprocess.DEVNULL, stdout=write_end)
            wait_for("the hold", lambda: metric(broker, "shmcache_holds") == 1)
            self.assertEqual(metric(broker, "shmcache_held_bytes"), 0)
            self.assertEqual(broker.run("del", "large").returncode, OK)
            wait_for("a round", lambda: metric(broker, "shmcache_held_bytes") == 1 << 20)
            self.assertEqual(metric(broker, "shmcache_limbo_bytes"), 1 << 20)
            holder.kill()
            holder.wait()
            wait_for("another", lambda: metric(broker, "shmcache_held_bytes") == 0)
            wait_for("the last look", lambda: metric(broker, "shmcache_holds") == 0)
        finally:
            os.close(read_end)
            os.close(write_end)
            if holder:
                holder.kill()
                holder.wait()
            broker.close()


class Elsewhere(unittest.TestCase):
    def test_unix(self):
        folder = tempfile.mkdtemp(prefix="shmcache-http-")
        path = os.path.join(folder, "metrics")
        # A socket that a killed broker left is replaced.
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
        broker = start(path)
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                s.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                self.assertIn(b"200 OK", s.recv(4096))
            self.assertEqual(broker.stop(), 0)
            self.assertFalse(os.path.exists(path))
        finally:
            broker.close()
            shutil.rmtree(folder)

    def test_reload(self):
        """The listener moves with the configuration; where it can't, all stays as it was."""
        broker = start()
        try:
            old, new = broker.port, free_port()

            def edit(port):
                with open(broker.config, encoding="utf-8") as f:
                    text = re.sub(r"listen = .*", f"listen = {port}", f.read())
                with open(broker.config, "w", encoding="utf-8") as f:
                    f.write(text)
            edit(new)
            self.assertEqual(broker.run("reload").returncode, OK)
            broker.port = new
            self.assertEqual(get(broker, "/healthz")[0], 200)
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", old)).close()
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                edit(taken.getsockname()[1])
                done = broker.run("reload")
                self.assertNotEqual(done.returncode, OK)
                self.assertIn(b"can't serve metrics", done.stdout)
            self.assertEqual(get(broker, "/healthz")[0], 200)
            edit("")
            self.assertEqual(broker.run("reload").returncode, OK)
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", new)).close()
        finally:
            broker.close()

    def test_off(self):
        """Nothing listens unless it was asked for."""
        broker = Broker()
        try:
            with open("/proc/net/tcp", encoding="utf-8") as f:
                inodes = {line.split()[9] for line in f.readlines()[1:]}
            fds = f"/proc/{broker.process.pid}/fd"
            links = {os.readlink(os.path.join(fds, fd)) for fd in os.listdir(fds)}
            self.assertFalse({f"socket:[{i}]" for i in inodes} & links)
        finally:
            broker.close()


def promtool():
    if not shutil.which("promtool"):
        print("there is no promtool (Debian package prometheus)")
        sys.exit(SKIP)
    broker = start()
    broker.run("put", "key", "--value", "1")
    done = subprocess.run(["promtool", "check", "metrics"], input=get(broker, "/metrics")[2],
                          text=True, capture_output=True, check=False)
    print(done.stdout, done.stderr)
    broker.close()
    sys.exit(1 if done.returncode or done.stdout or done.stderr else 0)


def chromium(browser, profile, *args):
    return subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={profile}", "--virtual-time-budget=5000", *args],
        capture_output=True, text=True, timeout=120, check=False)


def page():
    browser = shutil.which("chromium")
    if not browser:
        print("there is no chromium")
        sys.exit(SKIP)
    broker = start(config=CLUSTER)
    for i in range(40):
        broker.run("put", f"key{i}", input=bytes(1 << 20))
    load = broker.start_cli("bench", "--only", "put", "--time", "1h", stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL)
    wait_for("puts", lambda: metric(broker, "shmcache_puts_total") > 100)
    url = f"http://127.0.0.1:{broker.port}/"
    with tempfile.TemporaryDirectory(prefix="shmcache-page-") as folder:
        dom = chromium(browser, folder, "--dump-dom", url).stdout
        picture = os.path.join(os.environ.get("SHMCACHE_PICTURES", folder), "page.png")
        chromium(browser, folder, "--window-size=390,1400", f"--screenshot={picture}", url)
        size = os.path.getsize(picture)
    load.kill()
    load.wait()
    broker.close()
    wrong = [text for text in (f"shmcache {broker.name}", "serving for", ">reserve<", "DRAM: 40 MiB of",
                               "largest free block", '<div id="peers-box">', ">127.0.0.1:1<",
                               ">connecting<", ">Connection refused<") if text not in dom]
    # Of what happens now, too: a rate, a half and the worst hundredth, and the same for all the time.
    now = re.search(r"<td>put</td><td>([\d.]+[kMG]?)</td>(<td>[\d.]+ (ns|µs|ms|s)</td>){2}"
                    r"<td>[\d.]+[kMG]?</td>(<td>[\d.]+ (ns|µs|ms|s)</td>){3}", dom)
    if not now or now[1] == "0":
        wrong.append("the rate and the times of puts")
    if wrong or size < 10000:
        sys.exit(f"not on the page: {wrong}; picture of {size} bytes\n{dom}")


if __name__ == "__main__":
    what = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    {"serve": unittest.main, "promtool": promtool, "page": page}.get(
        what, lambda: sys.exit(__doc__))()
