"""Many modules of one name and one first line, each gone before the next is there: they lie at the same addresses."""
import sys

kept = []
for number in range(60):
    source = f"def ask(size):\n{'    x = 1' + chr(10) if number % 2 else ''}    return bytearray(size)\nblock = ask({1_000_000 + number})\n"
    space = {}
    exec(compile(source, f"plugin{number:02}.py", "exec"), space)
    kept.append(space.pop("block"))
    space.clear()
print(len(kept))
