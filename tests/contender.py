"""A contender in Python, asyncio: the whole protocol in one page.

    cargo xtask contender check python3 tests/contender.py
    cargo xtask compare-runtimes --only yield/one --contender 'python3 tests/contender.py'

`yield/one` is the lab's; `spin` is that of the harness's own tests.
"""

import asyncio
import json
import platform
import resource
import sys
import time

MASK = (1 << 64) - 1


def mix(seed, index):
    mixed = (seed + index * 0x9E3779B97F4A7C15) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


async def yields(seed, n):
    total = 0
    for index in range(n):
        await asyncio.sleep(0)
        total = (total + mix(seed, index)) & MASK
    return total


async def spin(seed, units):
    total = seed
    for unit in range(units):
        total = ((total ^ unit) * 0x9E3779B97F4A7C15) & MASK
        total = ((total << 7) | (total >> 57)) & MASK
    return total


WORKLOADS = {"yield/one": (yields, "n"), "spin": (spin, "units")}


def say(message):
    print(json.dumps(message), flush=True)


def refuse(kind, message):
    say({"error": {"kind": kind, "message": message}})


def prepare(wanted):
    if wanted["workload"] not in WORKLOADS:
        return refuse("unsupported", f"this example has no {wanted['workload']}")
    size = WORKLOADS[wanted["workload"]][1]
    if not 1 <= wanted["params"].get(size, 0) <= 10_000_000:
        return refuse("bad_params", f"`{size}` is {wanted['params'].get(size)}: it has to be from 1 to 10000000")
    say({"ready": {"listen": None}})


async def run(asked, wanted):
    work, size = WORKLOADS[wanted["workload"]]
    size = wanted["params"][size]
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    for _ in range(asked["iters"]):
        checksum = await work(wanted["seed"], size)
    end, after = time.clock_gettime_ns(time.CLOCK_MONOTONIC), resource.getrusage(resource.RUSAGE_SELF)
    usage = {name: round((getattr(after, field) - getattr(before, field)) * factor) for name, field, factor in (
        ("user_ns", "ru_utime", 1e9), ("system_ns", "ru_stime", 1e9), ("voluntary_switches", "ru_nvcsw", 1),
        ("involuntary_switches", "ru_nivcsw", 1), ("minor_faults", "ru_minflt", 1), ("major_faults", "ru_majflt", 1))}
    say({"done": {"block": asked["block"], "iters": asked["iters"], "t0_ns": begin, "t1_ns": end,
                  "ops": size * asked["iters"], "checksum": f"{checksum:016x}", "usage": usage}})


say({"hello": {"proto": 0, "name": "py-asyncio", "lang": f"python {platform.python_version()}",
               "runtime": f"cpython {platform.python_version()}", "workloads": list(WORKLOADS),
               "clock": "CLOCK_MONOTONIC", "threads": 1, "tags": ["gil"]}})
for line in sys.stdin:
    request = json.loads(line)
    if "bye" in request:
        break
    if "prepare" in request:
        wanted = request["prepare"]
        prepare(wanted)
    if "run" in request:
        asyncio.run(run(request["run"], wanted))
