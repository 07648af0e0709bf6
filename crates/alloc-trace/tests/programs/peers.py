# Blocks that come to malloc, as many as asked for: the first argument's count, of 1,000 bytes and of 100,000.
import sys

kept = [bytearray(1000) for _ in range(int(sys.argv[1]))]
large = [bytearray(100_000) for _ in range(int(sys.argv[1]) // 10)]
