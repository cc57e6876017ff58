#!/usr/bin/env python3
"""What each request does, asked of one server over libnbd.

    requests.py URI    of an empty volume of 16 MiB, data blocks of 64 KiB
"""
import sys

import nbd

BLOCK = 64 << 10
DATA, HOLE = 0, nbd.STATE_HOLE | nbd.STATE_ZERO


def connect(uri):
    handle = nbd.NBD()
    handle.set_strict_mode(0)  # the server has to refuse, not the client
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    handle.connect_uri(uri)
    return handle


def extents(handle, offset, length, flags=0):
    found = []
    handle.block_status(length, offset, lambda context, at, entries, error:
                        found.extend(zip(entries[::2], entries[1::2])) or 0, flags)
    return found


def refused(code, call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as error:
        assert error.errno == code, (error.errno, code)
        return
    raise AssertionError(f"{call.__name__}{arguments} is not refused")


def reads_and_writes(one, other):
    assert one.pread(BLOCK, 0) == bytes(BLOCK)
    assert extents(one, 0, 16 << 20) == [(16 << 20, HOLE)]
    text = bytes(range(256)) * 512  # two blocks
    one.pwrite(text, BLOCK)
    assert other.pread(2 * BLOCK, BLOCK) == text, "what was answered is there for all"
    other.pwrite(text[512:1024], 512, nbd.CMD_FLAG_FUA)
    assert one.pread(1536, 0) == bytes(512) + text[512:1024] + bytes(512)
    one.flush()
    assert extents(one, 0, 16 << 20) == [(3 * BLOCK, DATA), (253 * BLOCK, HOLE)]
    assert extents(one, 3 * BLOCK - 100, 1000, nbd.CMD_FLAG_REQ_ONE) == [(100, DATA)]
    one.cache(3 * BLOCK, 0)


def what_is_not_whole_sectors(one):
    refused("EINVAL", one.pread, 100, 0)
    refused("EINVAL", one.pwrite, bytes(512), 7)
    refused("EINVAL", one.zero, 100, 512)
    refused("EINVAL", one.trim, 100, 512)


def zeroes_and_trims(one, other):
    ones = b"\1" * BLOCK
    one.pwrite(ones * 8, 0)

    one.zero(2 * BLOCK, 0)  # may become a hole
    one.zero(BLOCK, 2 * BLOCK, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
    one.zero(1024, 4 * BLOCK - 512)  # the end of a block, the start of the next
    assert other.pread(3 * BLOCK, 0) == bytes(3 * BLOCK)
    assert other.pread(2 * BLOCK, 3 * BLOCK) == \
        ones[512:] + bytes(1024) + ones[512:]
    assert extents(one, 0, 8 * BLOCK) == [(2 * BLOCK, HOLE), (6 * BLOCK, DATA)]

    # Only where it is no writing of zeroes.
    fast = nbd.CMD_FLAG_FAST_ZERO
    refused("ENOTSUP", one.zero, BLOCK, 5 * BLOCK, fast | nbd.CMD_FLAG_NO_HOLE)
    refused("ENOTSUP", one.zero, BLOCK, 5 * BLOCK + 512, fast)
    assert other.pread(2 * BLOCK, 5 * BLOCK) == ones * 2
    one.zero(2 * BLOCK, 5 * BLOCK - 512, fast)
    assert other.pread(3 * BLOCK, 4 * BLOCK + 512) == \
        ones[1024:] + bytes(2 * BLOCK) + ones[:1024]

    # A trim gives back whole blocks and leaves the rest alone.
    one.trim(BLOCK + 1024, 6 * BLOCK - 512, nbd.CMD_FLAG_FUA)
    assert extents(one, 5 * BLOCK, 3 * BLOCK) == [(2 * BLOCK, HOLE), (BLOCK, DATA)]
    assert other.pread(BLOCK, 7 * BLOCK) == ones
    one.trim(16 << 20, 0)
    assert extents(other, 0, 16 << 20) == [(16 << 20, HOLE)]


def main():
    one, other = connect(sys.argv[1]), connect(sys.argv[1])
    reads_and_writes(one, other)
    what_is_not_whole_sectors(one)
    zeroes_and_trims(one, other)
    one.shutdown()
    other.shutdown()


main()
