#!/usr/bin/env python3
"""A random walk over files in a directory, beside a model in memory.

    walk.py DIRECTORY STEPS SEED

Writes, maps, truncates, punches, zeroes, copies, snapshots, renames, unlinks
and reopens; every file is compared as a whole now and then, snapshots with
what their origin was.  At the end sizes are made multiples of 512, which is
what a pool keeps.

The names begin with the seed: several may walk in one directory.
"""
import ctypes
import mmap
import os
import random
import sys

LIMIT = 3 << 20  # bytes of a file
PUNCH, ZERO, KEEP = 2, 16, 1  # fallocate(2)
libc = ctypes.CDLL(None, use_errno=True)


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def rounded(size):
    return -(-size // 512) * 512


def difference(name, found, data):
    """Where a file is not what it should be, and whether the cache is to blame."""
    places = [i for i, (a, b) in enumerate(zip(found, data)) if a != b]
    fd = os.open(name, os.O_RDONLY | os.O_DIRECT)
    below = mmap.mmap(-1, 2 * LIMIT)
    length = os.preadv(fd, [below], 0)
    os.close(fd)
    return (f"{name}: {len(found)} bytes, not {len(data)}; "
            f"{len(places)} differ, {places[:1]} to {places[-1:]}; "
            f"beneath the cache it is {'right' if below[:length] == data else 'wrong'}")


class Walk:
    def __init__(self, directory, seed):
        os.chdir(directory)
        self.rng, self.prefix = random.Random(seed), f"{seed}."
        self.files, self.names = {}, 0  # name: [fd, bytearray]
        self.steps = [self.write] * 6 + [self.mapped, self.truncate, self.read, self.read, self.fall,
                                         self.fall, self.copy, self.snapshot, self.rename, self.unlink,
                                         self.reopen, self.compare, self.sync, self.direct]

    def new_name(self):
        self.names += 1
        return f"{self.prefix}{self.names}"

    def create(self):
        name = self.new_name()
        self.files[name] = [os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL), bytearray()]
        return name

    def pick(self):
        name = self.rng.choice(sorted(self.files))
        return name, *self.files[name]

    def place(self, limit):
        """A range, often at edges of sectors and blocks."""
        at = self.rng.randrange(limit)
        if self.rng.random() < 0.5:
            unit = self.rng.choice((512, 4096, 65536))
            at -= at % unit
        length = self.rng.choice((1, 100, 512, 4096, 65536, 200000, self.rng.randrange(1, 400000)))
        return at, min(length, LIMIT - at)

    def put(self, data, at, content):
        end = at + len(content)
        assert end <= LIMIT
        if end > len(data):
            data.extend(bytes(end - len(data)))
        data[at:end] = content

    def write(self):
        _, fd, data = self.pick()
        at, length = self.place(LIMIT)
        content = self.rng.randbytes(length)
        assert os.pwrite(fd, content, at) == length
        self.put(data, at, content)

    def direct(self):
        name, _, data = self.pick()
        length = 8192
        at, _ = self.place(LIMIT - length)
        at -= at % 4096
        buffer = mmap.mmap(-1, length)
        buffer[:] = content = self.rng.randbytes(length)
        fd = os.open(name, os.O_RDWR | os.O_DIRECT)
        assert os.pwritev(fd, [buffer], at) == length
        os.close(fd)
        self.put(data, at, content)

    def mapped(self):
        _, fd, data = self.pick()
        if not data:
            return
        at, length = self.place(len(data))
        length = min(length, len(data) - at)
        content = self.rng.randbytes(length)
        with mmap.mmap(fd, len(data)) as memory:
            memory[at:at + length] = content
            memory.flush()
        data[at:at + length] = content

    def truncate(self):
        name, fd, data = self.pick()
        size = self.rng.randrange(LIMIT)
        os.truncate(name if self.rng.random() < 0.5 else fd, size)
        data.extend(bytes(max(0, size - len(data))))
        del data[size:]

    def read(self):
        _, fd, data = self.pick()
        at, length = self.place(LIMIT)
        assert os.pread(fd, length, at) == data[at:at + length], (at, length)

    def fall(self):
        _, fd, data = self.pick()
        at, length = self.place(LIMIT)
        mode = self.rng.choice((PUNCH | KEEP, ZERO | KEEP, ZERO, 0, KEEP))
        fallocate(fd, mode, at, length)
        if not mode & KEEP and at + length > len(data):
            data.extend(bytes(at + length - len(data)))
        if mode & (PUNCH | ZERO):
            end = min(at + length, len(data))
            if at < end:
                data[at:end] = bytes(end - at)

    def copy(self):
        """A whole file to a new one in pieces, or any range to any place."""
        _, source, origin = self.pick()
        if self.rng.random() < 0.5:
            fd, data = self.files[self.create()]
            end = len(origin) if self.rng.random() < 0.7 else self.rng.randrange(len(origin) + 1)
            self.copy_range(source, origin, 0, fd, data, 0, end, self.rng.choice((1 << 30, 262144, 100000)))
        else:
            _, fd, data = self.pick()
            at, length = self.place(LIMIT)
            to, _ = self.place(LIMIT - length + 1)
            if fd != source or abs(at - to) >= length:
                self.copy_range(source, origin, at, fd, data, to, length, 1 << 30)

    def copy_range(self, source, origin, at, fd, data, to, length, piece):
        while length:
            n = os.copy_file_range(source, fd, min(length, piece), at, to)
            if not n:
                assert at >= len(origin)
                return
            self.put(data, to, bytes(origin[at:at + n]))
            at, to, length = at + n, to + n, length - n
            if self.rng.random() < 0.2:  # between two pieces
                self.rng.choice((self.write, self.fall, self.truncate))()

    def snapshot(self):
        name, _, data = self.pick()
        new = self.new_name()
        os.setxattr(name, "user.thinpool.snapshot", new.encode())
        copy = data + bytes(rounded(len(data)) - len(data))
        self.files[new] = [os.open(new, os.O_RDWR), copy]

    def rename(self):
        name, fd, data = self.pick()
        to = self.rng.choice((self.new_name(), self.pick()[0]))
        os.rename(name, to)
        if to != name:
            if to in self.files:
                os.close(self.files[to][0])
            del self.files[name]
            self.files[to] = [fd, data]

    def unlink(self):
        name, fd, data = self.pick()
        os.unlink(name)
        assert os.pread(fd, 4096, 0) == data[:4096]
        os.close(fd)
        del self.files[name]

    def reopen(self):
        name, fd, _ = self.pick()
        os.close(fd)
        self.files[name][0] = os.open(name, os.O_RDWR)

    def sync(self):
        os.fsync(self.pick()[1])

    def compare(self):
        for name, (fd, data) in self.files.items():
            assert os.stat(name).st_size == len(data), (name, os.stat(name).st_size, len(data))
            found = os.pread(fd, 2 * LIMIT, 0)
            assert found == data, difference(name, found, data)
        ours = (name for name in os.listdir(".") if name.startswith(self.prefix))
        assert sorted(ours) == sorted(self.files)

    def step(self):
        while len(self.files) < 3:
            self.create()
        while len(self.files) > 8:
            self.unlink()
        self.rng.choice(self.steps)()


def main():
    walk = Walk(sys.argv[1], int(sys.argv[3]))
    for _ in range(int(sys.argv[2])):
        walk.step()
    walk.compare()
    for fd, data in walk.files.values():
        os.truncate(fd, rounded(len(data)))


main()
