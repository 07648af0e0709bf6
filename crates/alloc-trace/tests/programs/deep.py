# Two blocks, one below a hundred calls, one below more than stacks have room for.
def deep(calls, size):
    return bytearray(size) if calls == 0 else deep(calls - 1, size)


deep(100, 100_000)
deep(500, 200_000)
