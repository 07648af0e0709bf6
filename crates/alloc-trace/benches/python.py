"""What Python programs do that allocate: `python.py json|calls|sqlite ROUNDS` prints the seconds of the fastest round.

json: documents to text and back. calls: functions that call functions, and hardly allocate. sqlite: rows into a table in memory and out again.
"""

import json
import sqlite3
import sys
import time


def of_json():
    data = [{"name": f"n{i}", "values": [i * 0.5] * 10, "text": "x" * 40, "deep": {"a": i, "b": None}} for i in range(2000)]
    for _ in range(10):
        assert len(json.loads(json.dumps(data))) == len(data)


def of_calls():
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(24) == 46368


def of_sqlite():
    base = sqlite3.connect(":memory:")
    base.execute("create table t (a integer primary key, b text, c real)")
    base.executemany("insert into t values (?, ?, ?)", ((i, f"text {i}" * 4, i / 3) for i in range(20000)))
    assert sum(1 for _ in base.execute("select a, b, c from t order by b")) == 20000
    base.close()


work = {"json": of_json, "calls": of_calls, "sqlite": of_sqlite}[sys.argv[1]]
best = float("inf")
for _ in range(int(sys.argv[2])):
    begin = time.perf_counter()
    work()
    best = min(best, time.perf_counter() - begin)
print(f"{best:.6f}")
