"""Makes objects whose number and size it tells: `line, kind of call, how many, bytes, how many of them are left`."""

import os
import sys

COUNT = 5_000


class Point:
    __slots__ = ("x", "y")


kept = [None] * COUNT
dropped = [None] * COUNT


def here():
    return sys._getframe(1).f_lineno


def fill():
    for index in range(COUNT):
        kept[index] = Point()
    return here() - 1


def fill_and_empty():
    for index in range(COUNT):
        dropped[index] = Point()
    line = here() - 1
    for index in range(COUNT):
        dropped[index] = None
    return line


def grow_and_shrink():
    """Lists from a few bytes to more than Python serves itself, and back."""
    for _ in range(50):
        some = []
        for _ in range(1000):
            some.append(None)
        while some:
            some.pop()


size = sys.getsizeof(Point())
lines = [fill(), fill_and_empty()]
grow_and_shrink()
print("fill", lines[0], COUNT, COUNT * size, COUNT)
print("fill_and_empty", lines[1], COUNT, COUNT * size, 0)
# What is left is left: Python's own end would give it back.
sys.stdout.flush()
os._exit(0)
