#!/usr/bin/env python3
"""A random walk over the exports of a server, beside a model of their content.

    walk.py SOCKET SEED SECONDS VOLUME...    VOLUME.model has what a volume holds,
                                             before (none: zeroes) and after

Requests go out in batches, over several connections to a volume, and overlap in
time but not in place.  Sometimes a volume is looked at as it is now, while a batch
is in flight: what was answered before is in, and each request of the batch wholly
or not at all (B-SNAP-3); and that does not change while the walk goes on.
"""
import os
import random
import sys
import time

import nbd

SECTOR, BLOCK = 512, 64 << 10
CONNECTIONS, BATCH, INSTANTS = 3, 8, 3
HOLE = nbd.STATE_HOLE | nbd.STATE_ZERO


def connect(socket, export):
    handle = nbd.NBD()
    handle.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    handle.set_export_name(export)
    handle.connect_unix(socket)
    return handle


def content(handle):
    size, piece = handle.get_size(), 1 << 20
    return b"".join(handle.pread(min(piece, size - at), at) for at in range(0, size, piece))


def same(found, wanted, what):
    if found != wanted:
        at = next(i for i, (a, b) in enumerate(zip(found, wanted)) if a != b)
        sys.exit(f"{what}: byte {at} is {found[at]}, and not {wanted[at]}")


class Request:
    """One that is in flight; what its range holds before and after."""

    def __init__(self, rng, model):
        self.kind = rng.choice(["read", "read", "write", "write", "write", "zero", "trim",
                                "flush", "cache"])
        unit = rng.choice([SECTOR, SECTOR, 4096, BLOCK])
        most = rng.choice([1, 8, 64, 1024]) * SECTOR // unit + 1
        self.begin = rng.randrange(len(model) // unit) * unit
        self.end = min(self.begin + rng.randint(1, most) * unit, len(model))
        if self.kind == "flush":
            self.begin = self.end = 0
        self.before = bytes(model[self.begin:self.end])
        self.after = self.make_after(rng)
        self.flags = nbd.CMD_FLAG_FUA if rng.random() < 0.2 else 0
        self.keeps_blocks = nbd.CMD_FLAG_NO_HOLE if rng.random() < 0.3 else 0

    def make_after(self, rng):
        length = self.end - self.begin
        if self.kind == "write":
            return rng.randbytes(length)
        if self.kind == "zero":
            return bytes(length)
        if self.kind == "trim":  # whole data blocks
            first, last = -(-self.begin // BLOCK) * BLOCK, self.end // BLOCK * BLOCK
            if first < last:
                return (self.before[:first - self.begin] + bytes(last - first) +
                        self.before[last - self.begin:])
        return self.before

    def meets(self, other):
        return self.begin < other.end and other.begin < self.end

    def send(self, handle):
        self.handle = handle
        length = self.end - self.begin
        if self.kind == "read":
            self.buffer = nbd.Buffer(length)
            self.cookie = handle.aio_pread(self.buffer, self.begin)
        elif self.kind == "write":
            self.buffer = nbd.Buffer.from_bytearray(bytearray(self.after))
            self.cookie = handle.aio_pwrite(self.buffer, self.begin, flags=self.flags)
        elif self.kind == "zero":
            self.cookie = handle.aio_zero(length, self.begin, flags=self.flags | self.keeps_blocks)
        elif self.kind == "trim":
            self.cookie = handle.aio_trim(length, self.begin, flags=self.flags)
        elif self.kind == "cache":
            self.cookie = handle.aio_cache(length, self.begin)
        else:
            self.cookie = handle.aio_flush()

    def wait(self):
        while not self.handle.aio_command_completed(self.cookie):
            self.handle.poll(-1)
        if self.kind == "read":
            same(bytes(self.buffer.to_bytearray()), self.before, f"a read at {self.begin}")

    def is_half_done(self, found):
        """Zeroing is two steps: of each sector, before or after."""
        return self.kind == "zero" and all(
            found[i:i + SECTOR] in (self.before[i:i + SECTOR], self.after[i:i + SECTOR])
            for i in range(0, len(found), SECTOR))


class Volume:
    def __init__(self, socket, name):
        self.socket, self.name = socket, name
        self.handles = [connect(socket, name) for _ in range(CONNECTIONS)]
        self.model = bytearray(self.handles[0].get_size())
        self.instants = []
        self.nr_instants = 0
        if os.path.exists(f"{name}.model"):
            with open(f"{name}.model", "rb") as file:
                self.model = bytearray(file.read())
        self.verify()

    def verify(self):
        same(content(self.handles[0]), bytes(self.model), self.name)

    def batch(self, rng):
        requests = []
        for _ in range(rng.randint(1, BATCH)):
            request = Request(rng, self.model)
            if not any(request.meets(other) for other in requests):
                request.send(rng.choice(self.handles))
                requests.append(request)
        if rng.random() < 0.03:
            self.take_instant(requests)
        for request in requests:
            request.wait()
            self.model[request.begin:request.end] = request.after

    def take_instant(self, requests):
        handle = connect(self.socket, f"{self.name}@now")
        found = content(handle)
        wanted = bytearray(self.model)
        for request in requests:
            part = found[request.begin:request.end]
            if part == request.after or request.is_half_done(part):
                wanted[request.begin:request.end] = part
        same(found, bytes(wanted), f"{self.name}@now")
        self.instants.append((handle, found))
        self.nr_instants += 1
        if len(self.instants) > INSTANTS:
            self.leave_instant()

    def leave_instant(self):
        handle, found = self.instants.pop(0)
        same(content(handle), found, f"{self.name}@now, later")
        handle.shutdown()

    def verify_holes(self):
        def extents(context, at, entries, error):
            for length, state in zip(entries[::2], entries[1::2]):
                if state == HOLE and any(self.model[at:at + length]):
                    sys.exit(f"{self.name}: {length} bytes at {at} are no hole")
                at += length
            return 0
        self.handles[0].block_status(len(self.model), 0, extents)

    def end(self, rng):
        """All that was answered is flushed; on one connection, for all."""
        while self.instants:
            self.leave_instant()
        self.verify()
        rng.choice(self.handles).flush()
        with open(f"{self.name}.model", "wb") as file:
            file.write(self.model)


def main():
    socket, seed, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    rng = random.Random(seed)
    volumes = [Volume(socket, name) for name in sys.argv[4:]]
    nr, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        volume = rng.choice(volumes)
        volume.batch(rng)
        if nr % 50 == 0:
            volume.verify_holes()
        nr += 1
    for volume in volumes:
        volume.end(rng)
    print(nr, "batches,", sum(volume.nr_instants for volume in volumes), "instants")


main()
