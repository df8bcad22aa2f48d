#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Add up what meson's test logs say: tally.py [--strict] LABEL=BUILD:STATUS...

Each argument is one run: its label, the build tree with meson-logs/testlog.json, and the exit status
of its build and tests. The last line printed is "N passed, N failed, N skipped", alone.

A run that ended badly though no test of it failed (it did not build, or meson itself gave up), or that
ran no test at all, counts as one failure: else a broken build would look like a clean one.

With --strict, a skipped test counts as failed as well, unless tools/skips names it with a reason.
The exit status is 0 only if nothing failed.
"""
import json
import os
import sys

PASSED = ("OK", "EXPECTEDFAIL")


def allowed_skips():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "skips")
    with open(path) as f:
        lines = [line.strip() for line in f if line.strip() and line[0] != "#"]
    names = set()
    for line in lines:
        name, _, reason = line.partition(": ")
        if not reason:
            sys.exit(f"tools/skips: no reason in '{line}'")
        names.add(name)
    return names


def records(build):
    try:
        with open(os.path.join(build, "meson-logs", "testlog.json")) as f:
            return [json.loads(line) for line in f]
    except FileNotFoundError:
        return []


def main(args):
    strict = "--strict" in args
    allowed = allowed_skips() if strict else set()
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for arg in args:
        if arg == "--strict":
            continue
        label, _, rest = arg.partition("=")
        build, _, status = rest.rpartition(":")
        n = dict.fromkeys(total, 0)
        for record in records(build):
            name, result = record["name"], record["result"]
            if result in PASSED:
                n["passed"] += 1
            elif result == "SKIP" and (not strict or name.split(" / ")[-1] in allowed):
                n["skipped"] += 1
                print(f"{label}: skipped: {name}")
            else:
                n["failed"] += 1
                print(f"{label}: {result}: {name}")
        if status != "0" and not n["failed"]:
            n["failed"] += 1
            print(f"{label}: FAIL: the build, or meson itself (exit status {status})")
        elif not any(n.values()):
            n["failed"] += 1
            print(f"{label}: FAIL: no test was run")
        print(f"{label:6} {n['passed']:5} passed, {n['failed']} failed, {n['skipped']} skipped")
        for key in total:
            total[key] += n[key]
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
