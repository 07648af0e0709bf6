"""A contender in Python: the whole protocol in forty lines.

It does the fixture's workload `spin`, to the same checksum. Try it from the command line:
    cargo xtask compare-runtimes --contender 'python3 tests/contender.py'
(its cells then say that it has none of the other workloads).
"""

import json
import os
import platform
import sys
import time

MASK = (1 << 64) - 1


def spin(seed, units):
    total = seed
    for unit in range(units):
        total = ((total ^ unit) * 0x9E3779B97F4A7C15) & MASK
        total = ((total << 7) | (total >> 57)) & MASK
    return total


def say(message):
    print(json.dumps(message), flush=True)


say({"hello": {"proto": 0, "name": "py-example", "lang": f"python {platform.python_version()}",
               "runtime": f"cpython {platform.python_version()}", "workloads": ["spin"],
               "clock": "CLOCK_MONOTONIC", "threads": 1, "tags": ["gil"]}})
for line in sys.stdin:
    request = json.loads(line)
    if "bye" in request:
        break
    if "prepare" in request:
        wanted = request["prepare"]
        if wanted["workload"] == "spin":
            say({"ready": {"listen": None}})
        else:
            say({"error": {"kind": "unsupported", "message": f"this example has no {wanted['workload']}"}})
    if "run" in request:
        run, units = request["run"], wanted["params"]["units"]
        cpu, begin = os.times(), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        for _ in range(run["iters"]):
            checksum = spin(wanted["seed"], units)
        end, after = time.clock_gettime_ns(time.CLOCK_MONOTONIC), os.times()
        usage = {"user_ns": round((after.user - cpu.user) * 1e9), "system_ns": round((after.system - cpu.system) * 1e9),
                 "voluntary_switches": None, "involuntary_switches": None, "minor_faults": None, "major_faults": None}
        say({"done": {"block": run["block"], "iters": run["iters"], "t0_ns": begin, "t1_ns": end,
                      "ops": units * run["iters"], "checksum": f"{checksum:016x}", "usage": usage}})
