"""Which of Python's requests come to the C library's malloc, seen by alloc-trace from outside; and what tracemalloc sees from inside.

    cargo xtask claims --only pymalloc-512,pymalloc-bypass,tracemalloc-native

It speaks the contender protocol; its argument is the program alloc-trace. Each figure is a process of its own: the calls of one that makes `n`
requests less those of one that makes none, as percent of `n`, in whole tens.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time

MASK = (1 << 64) - 1
KINDS = ("malloc", "calloc", "realloc")
# A program that makes so many requests of so many bytes, header and all, by Python or by the C library.
PROGRAM = """
import ctypes, sys
kind, n, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
malloc = ctypes.CDLL(None).malloc
malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
header = sys.getsizeof(b"")
kept = [None] * n
seen = lambda: 0
if kind.startswith("seen-"):
    import tracemalloc
    tracemalloc.start()
    seen = lambda: tracemalloc.get_traced_memory()[0]
before = seen()
if kind.endswith("native"):
    for _ in range(n):
        malloc(size)
else:
    for index in range(n):
        kept[index] = bytes(size - header)
print(seen() - before)
"""


def mix(seed, index):
    mixed = (seed + index * 0x9E3779B97F4A7C15) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


def printed(command):
    # Start-up does the same each time only with the same hashes, and without variables that have Python do more.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, env={**environment, "PYTHONHASHSEED": "0"}, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout


def calls(tracer, *words):
    """How often the program asked the C library for memory."""
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "trace")
        printed([tracer, "run", "-o", trace, "--", sys.executable, "-c", PROGRAM, *map(str, words)])
        lines = [line.split() for line in printed([tracer, "stats", trace]).splitlines()]
    return sum(int(words[1].replace(",", "")) for words in lines if len(words) > 1 and words[0] in KINDS)


def percent(share):
    return float(round(share * 10) * 10)


def found(tracer, n):
    def of_calls(kind, size):
        return percent((calls(tracer, kind, n, size) - calls(tracer, kind, 0, size)) / n)

    def of_bytes(kind, size):
        return percent(int(printed([sys.executable, "-c", PROGRAM, kind, str(n), str(size)])) / (n * size))

    return {
        "object_512_by_malloc_percent": of_calls("object", 512),
        "object_513_by_malloc_percent": of_calls("object", 513),
        "native_by_malloc_percent": of_calls("native", 64),
        "native_by_tracemalloc_percent": of_bytes("seen-native", 64),
        "object_by_tracemalloc_percent": of_bytes("seen-object", 512),
    }


def say(message):
    print(json.dumps(message), flush=True)


def refuse(kind, message):
    say({"error": {"kind": kind, "message": message}})


def prepare(wanted):
    n = wanted["params"].get("n", 0)
    if wanted["workload"] != "alloc/python":
        refuse("unsupported", "it does alloc/python and nothing else")
    elif not 1 <= n <= 1_000_000:
        refuse("bad_params", f"`n` is {n}: it has to be from 1 to 1000000")
    else:
        say({"ready": {"listen": None}})


def run(tracer, asked, wanted):
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    try:
        for _ in range(asked["iters"]):
            values = found(tracer, wanted["params"]["n"])
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or "").strip().splitlines()
        return refuse("failed", said[-1] if said else str(error))
    end = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    say({"done": {"block": asked["block"], "iters": asked["iters"], "t0_ns": begin, "t1_ns": end, "ops": asked["iters"],
                  "checksum": f"{mix(wanted['seed'], 0):016x}", "usage": {}, "values": values}})


def main(tracer):
    version = f"python {platform.python_version()}"
    say({"hello": {"proto": 0, "name": "python", "lang": version, "runtime": version, "workloads": ["alloc/python"],
                   "clock": "CLOCK_MONOTONIC", "threads": 1, "tags": []}})
    for line in sys.stdin:
        request = json.loads(line)
        if "bye" in request:
            break
        if "prepare" in request:
            wanted = request["prepare"]
            prepare(wanted)
        if "run" in request:
            run(tracer, request["run"], wanted)


if __name__ == "__main__":
    main(sys.argv[1])
