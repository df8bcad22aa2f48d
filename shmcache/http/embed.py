#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py FILE NAME: the bytes of a file as a C array."""
import sys

with open(sys.argv[1], "rb") as f:
    data = f.read()
print("/* Made from %s by embed.py. */" % sys.argv[1].rsplit("/", 1)[-1])
print("static const unsigned char %s[%d] = {" % (sys.argv[2], len(data)))
for i in range(0, len(data), 20):
    print("\t" + " ".join("%d," % b for b in data[i:i + 20]))
print("};")
