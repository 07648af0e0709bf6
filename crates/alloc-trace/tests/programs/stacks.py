"""Asks for blocks of told sizes from many a place, and tells by traceback which functions and lines those were."""

import asyncio
import functools
import sys
import threading
import traceback


def ask(size):
    block, stack = bytearray(size), traceback.extract_stack()
    names = [f"{frame.name}:{frame.lineno}" for frame in stack]
    print(size, *(name.replace(" ", "_") for name in names))
    return block


class Asking:
    def method(self, size):
        return [ask(size + number) for number in range(1)]

    @functools.lru_cache
    def cached(self, size):
        return ask(
            size,
        )


def asking(size):
    yield ask(size)


def deep(size, depth):
    if depth == 0:
        return ask(size)
    return deep(size, depth - 1)


async def later(size):
    await asyncio.sleep(0)
    return ask(size)


def größe(size):
    return sorted([2, 1], key=lambda number: number or ask(size)) and (lambda: ask(size))()


kept = [
    Asking().method(100_001),
    Asking().cached(200_001),
    list(asking(300_001)),
    deep(400_001, 40),
    asyncio.run(later(500_001)),
    größe(600_001),
    eval("ask(700_001)"),
]
thread = threading.Thread(target=lambda: kept.append(ask(800_001)))
thread.start()
thread.join()
sys.stdout.flush()
