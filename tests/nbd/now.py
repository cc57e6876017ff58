#!/usr/bin/env python3
"""A volume is written round by round, in order; a copy of it is of one instant.

    now.py write URI BYTES    each sector gets the number of the round; until the
                              server goes away
    now.py check FILE BYTES   each number is N + 1 or N, and the N + 1 come first
"""
import sys
from array import array

import nbd

PIECE = 16 << 10


def write(uri, size):
    handle = nbd.NBD()
    handle.connect_uri(uri)
    round_ = 0
    try:
        while True:
            round_ += 1
            piece = array("Q", [round_] * (PIECE // 8)).tobytes()
            for at in range(0, size, PIECE):
                handle.pwrite(piece, at)
            print(round_, flush=True)
    except nbd.Error:
        if not handle.aio_is_dead() and not handle.aio_is_closed():
            raise


def check(path, size):
    with open(path, "rb") as file:
        numbers = array("Q", file.read(size))
        rest = file.read()
    first, last = numbers[0], numbers[-1]
    if first - last not in (0, 1) or sorted(numbers, reverse=True) != list(numbers):
        sys.exit(f"it is of several instants: {sorted(set(numbers))}")
    if any(rest):
        sys.exit("there is something in a hole")
    print(last)


if sys.argv[1] == "write":
    write(sys.argv[2], int(sys.argv[3]))
else:
    check(sys.argv[2], int(sys.argv[3]))
