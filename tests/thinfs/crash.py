#!/usr/bin/env python3
"""What was promised before thinfs was killed, and whether it was kept.

    crash.py write DIRECTORY JOURNAL SEED    until the file system goes away
    crash.py check DIRECTORY JOURNAL...

A writer notes in its journal what it is going to do, and when it was promised:
a write by the fsync after it, everything else when the call returned.  A byte
of a slot tells of which round it is, so each may be of the last promised round
or of one that was begun after it, and of none else.
"""
import mmap
import os
import random
import sys

SLOT, SLOTS = 70001, 12  # bytes, across sectors and blocks


def byte_of(round_):
    return 1 + round_ % 250


def write(directory, journal, seed):
    journal = os.path.abspath(journal)
    os.chdir(directory)  # not what will lie beneath when it was unmounted
    rng = random.Random(seed)
    name = f"slots.{seed}"
    fd = os.open(name, os.O_RDWR | os.O_CREAT)
    rounds = [0] * SLOTS
    begun = snapshots = 0
    with open(journal, "w", buffering=1) as log:
        log.write(f"file {name}\n")
        while True:
            slots = rng.sample(range(SLOTS), rng.randint(1, 4))
            for slot in slots:
                begun += 1
                rounds[slot] = begun
                log.write(f"begin {slot} {begun}\n")
                put(fd, slot, begun, rng.random() < 0.3)
            if rng.random() < 0.7:
                os.fsync(fd)
                for slot in range(SLOTS):
                    log.write(f"sync {slot} {rounds[slot]}\n")
            if rng.random() < 0.1:
                snapshots += 1
                os.fsync(fd)
                state = " ".join(map(str, rounds))
                os.setxattr(name, "user.thinpool.snapshot",
                            f"snap.{seed}.{snapshots}".encode())
                log.write(f"snapshot snap.{seed}.{snapshots} {state}\n")
            if rng.random() < 0.1:
                snapshots += 1
                copy(log, fd, f"copy.{seed}.{snapshots}", rounds)
            if rng.random() < 0.1:
                replace(log, seed, begun)


def put(fd, slot, round_, mapped):
    """By a write, or through a mapping where the file is long enough."""
    begin, content = slot * SLOT, bytes([byte_of(round_)]) * SLOT
    if mapped and os.fstat(fd).st_size >= begin + SLOT:
        with mmap.mmap(fd, begin + SLOT) as memory:
            memory[begin:] = content
    else:
        os.pwrite(fd, content, begin)


def copy(log, fd, name, rounds):
    """Whole sectors, so that it is a snapshot; promised by the fsync."""
    size = -(-os.fstat(fd).st_size // 512) * 512
    os.ftruncate(fd, size)
    new = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    at = 0
    while at < size:
        at += os.copy_file_range(fd, new, size - at, at, at)
    os.fsync(new)
    os.close(new)
    log.write(f"snapshot {name} {' '.join(map(str, rounds))}\n")


def replace(log, seed, begun):
    """The way to change a file at once: there is the old one or the new."""
    new = f"new.{seed}"
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.write(fd, bytes([byte_of(begun)]) * SLOT)
    os.fsync(fd)
    os.close(fd)
    log.write(f"replacing {begun}\n")
    os.rename(new, f"current.{seed}")
    log.write(f"replaced {begun}\n")


class Journal:
    def __init__(self, path):
        self.name, self.promised, self.begun = None, [0] * SLOTS, [[0] for _ in range(SLOTS)]
        self.snapshots, self.current, self.seed = [], [None], None
        for line in open(path):
            if line.endswith("\n"):
                self.take(*line.split())

    def take(self, what, *words):
        if what == "file":
            self.name, self.seed = words[0], words[0].split(".")[1]
        elif what == "begin":
            self.begun[int(words[0])].append(int(words[1]))
        elif what == "sync":
            self.promised[int(words[0])] = int(words[1])
        elif what == "snapshot":
            self.snapshots.append((words[0], list(map(int, words[1:]))))
        elif what == "replacing":
            self.current.append(int(words[0]))
        elif what == "replaced":
            self.current = [int(words[0])]

    def check(self, directory):
        for slot in range(SLOTS):
            allowed = [r for r in self.begun[slot] if r >= self.promised[slot]]
            check_slot(f"{directory}/{self.name}", slot, allowed)
        for name, rounds in self.snapshots:
            for slot, round_ in enumerate(rounds):
                check_slot(f"{directory}/{name}", slot, [round_])
        if self.current != [None]:
            check_current(f"{directory}/current.{self.seed}", self.current)


def check_slot(path, slot, rounds):
    with open(path, "rb") as file:
        data = os.pread(file.fileno(), SLOT, slot * SLOT)
    wrong = set(data) - {byte_of(r) if r else 0 for r in rounds}
    short = len(data) < SLOT and 0 not in rounds
    if wrong or short:
        sys.exit(f"{path}, slot {slot}: {len(data)} bytes with {wrong}, allowed are rounds {rounds}")


def check_current(path, rounds):
    if not os.path.exists(path):
        if None not in rounds:
            sys.exit(f"{path} is gone")
        return
    with open(path, "rb") as file:
        data = file.read()[:SLOT]
    if not any(r is not None and data == bytes([byte_of(r)]) * SLOT for r in rounds):
        sys.exit(f"{path} is neither the old nor the new: rounds {rounds}")


def main():
    if sys.argv[1] == "write":
        try:
            write(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        except OSError as error:
            if error.errno not in (107, 103, 5, 2):  # the file system has gone
                raise
    else:
        for path in sys.argv[3:]:
            Journal(path).check(sys.argv[2])


main()
