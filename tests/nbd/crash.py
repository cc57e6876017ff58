#!/usr/bin/env python3
"""What was promised before the server was killed, and whether it was kept.

    crash.py write URI JOURNAL SEED    until the server goes away
    crash.py check URI JOURNAL

Several connections write slots of an export at once, as a client does that
spreads its requests.  A byte of a slot tells of which round it is.  The journal
has what was begun, and what a flush on any one of the connections, or FUA,
promised: so each byte of a slot may be of the last promised round or of one that
was begun after it, and of none else.
"""
import random
import sys
import threading

import nbd

SLOT, SLOTS, THREADS = 70144, 48, 4  # bytes, across data blocks


def byte_of(round_):
    return 1 + round_ % 250


class Journal:
    """Lines as they are written: a crash of the server is none of ours."""

    def __init__(self, path):
        self.file = open(path, "w", buffering=1)
        self.lock = threading.Lock()
        self.begun, self.done = [0] * SLOTS, [0] * SLOTS

    def begin(self, slot):
        with self.lock:
            self.begun[slot] += 1
            self.file.write(f"begin {slot} {self.begun[slot]}\n")
            return self.begun[slot]

    def end(self, slot, round_, durable):
        with self.lock:
            self.done[slot] = round_
            if durable:
                self.file.write(f"promised {slot} {round_}\n")

    def answered(self):
        with self.lock:
            return list(self.done)

    def promise(self, rounds):
        with self.lock:
            for slot, round_ in enumerate(rounds):
                self.file.write(f"promised {slot} {round_}\n")


def write_slots(handle, journal, rng, slots):
    while True:
        slot = rng.choice(slots)  # its own: a slot's rounds follow each other
        round_ = journal.begin(slot)
        durable = rng.random() < 0.1
        handle.pwrite(bytes([byte_of(round_)]) * SLOT, slot * SLOT,
                      nbd.CMD_FLAG_FUA if durable else 0)
        journal.end(slot, round_, durable)
        if rng.random() < 0.1:
            rounds = journal.answered()  # on all connections
            handle.flush()
            journal.promise(rounds)


def write(uri, path, seed):
    journal = Journal(path)

    def until_it_is_gone(nr):
        handle = nbd.NBD()
        handle.connect_uri(uri)
        try:
            write_slots(handle, journal, random.Random(seed * THREADS + nr),
                        range(nr, SLOTS, THREADS))
        except nbd.Error as error:
            if not handle.aio_is_dead() and not handle.aio_is_closed():
                failed.append(error)

    failed = []
    threads = [threading.Thread(target=until_it_is_gone, args=(nr,)) for nr in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(f"{failed}" if failed else 0)


def check(uri, path):
    promised, begun = [0] * SLOTS, [[0] for _ in range(SLOTS)]
    for line in open(path):
        if line.endswith("\n"):
            what, slot, round_ = line.split()
            if what == "begin":
                begun[int(slot)].append(int(round_))
            else:
                promised[int(slot)] = max(promised[int(slot)], int(round_))
    handle = nbd.NBD()
    handle.connect_uri(uri)
    for slot in range(SLOTS):
        allowed = [r for r in begun[slot] if r >= promised[slot]]
        found = set(handle.pread(SLOT, slot * SLOT))
        if not found <= {byte_of(r) if r else 0 for r in allowed}:
            sys.exit(f"slot {slot} has bytes {found}, allowed are rounds {allowed}")
    handle.shutdown()
    print(sum(promised), "rounds promised,", sum(map(len, begun)), "begun")


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    check(sys.argv[2], sys.argv[3])
