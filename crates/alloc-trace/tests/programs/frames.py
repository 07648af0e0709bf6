"""Asks for blocks again and again from places that are hard to tell apart, and tells by traceback how much was asked for from each stack."""

import asyncio
import sys
import threading
import traceback

# Bytes by thread and stack.
asked = {}
kept = []


def ask(size):
    block = bytearray(size)
    stack = traceback.extract_stack()
    names = [f"{frame.name}:{frame.lineno}" for frame in stack[:-1]] + [f"ask:{stack[-1].lineno - 1}"]
    key = (threading.get_ident(), " ".join(names))
    asked[key] = asked.get(key, 0) + size + 1
    kept.append(block)


def one_of_two_lines(size, first):
    if first:
        ask(size)
    else:
        ask(size)


def callers_differ(size):
    for turn in range(12):
        # Frames at the same addresses: another line below the same lines, then the same line below others.
        if turn % 3 == 0:
            one_of_two_lines(size, True)
        elif turn % 3 == 1:
            one_of_two_lines(size, True)
        else:
            one_of_two_lines(size, False)


def one(size):
    ask(size)


def other(size):
    ask(size)


def functions_differ(size):
    for turn in range(12):
        (one if turn // 2 % 2 else other)(size)


def generates(size):
    while True:
        ask(size)
        yield
        ask(size)
        yield


def generators_go_on_elsewhere(size):
    first, second = generates(size), generates(size)
    for turn in range(12):
        next(first)
        if turn % 2:
            next(second)
        for _ in zip(first, range(2)):
            next(second)


def delegates(size, depth):
    if depth:
        yield from delegates(size, depth - 1)
    ask(size)
    yield


def generators_that_delegate(size):
    for _ in range(4):
        for _ in delegates(size, 5):
            ask(size)


def recurses(size, depth):
    ask(size)
    if depth:
        recurses(size, depth - 1)
        ask(size)


def fails(size, depth):
    if depth == 0:
        ask(size)
        raise ValueError
    try:
        fails(size, depth - 1)
    except ValueError:
        ask(size)
        if depth % 2:
            raise
    finally:
        ask(size)


class Asks:
    """What the interpreter calls from C code."""

    def __init__(self, size):
        self.size = size

    def __lt__(self, other):
        ask(self.size)
        return self.size < other.size

    def __del__(self):
        ask(self.size)


def through_c(size):
    for turn in range(4):
        asks = [Asks(size) for _ in range(3)]
        (sorted if turn % 2 else max)(asks)
        del asks
        for call in (lambda: ask(size), lambda: list(map(ask, [size, size]))):
            call()


async def waits(size, turns):
    for turn in range(turns):
        ask(size)
        await asyncio.sleep(0)
        if turn % 2:
            ask(size)


async def tasks(size):
    await asyncio.gather(*(waits(size, 5) for _ in range(4)))
    await waits(size, 3)


def code_that_is_gone(size):
    for number in range(30):
        source = f"def own(size):\n{'    x = 1' + chr(10) if number % 2 else ''}    for _ in range(4):\n        ask(size)\n"
        space = {"ask": ask}
        exec(compile(source, f"module{number}.py", "exec"), space)
        space["own"](size)


def everything(size):
    callers_differ(size)
    functions_differ(size)
    generators_go_on_elsewhere(size)
    generators_that_delegate(size)
    for depth in (0, 3, 3, 12, 12, 11, 60, 60, 60, 3):
        recurses(size, depth)
    for _ in range(3):
        fails(size, 4)
        fails(size, 4)
    through_c(size)
    code_that_is_gone(size)


for _ in range(2):
    everything(2000)
    asyncio.run(tasks(2000))
# Threads are deeper in their own way; they take turns in the midst of each other's stacks.
sys.setswitchinterval(1e-5)
threads = [threading.Thread(target=lambda: [everything(3000), asyncio.run(tasks(3000))]) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for (_, stack), count in asked.items():
    print(count, stack)
