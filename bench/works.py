"""The works that are compared, and how each of those who drive them is told."""
import random
from collections import namedtuple

from serving import timed

BLOCK = 65536

# @state: of the volume before.  fresh: nothing written; mapped: all of it;
# shared: all of it, and a snapshot was made.  What needs a fresh or a shared
# block of 64 KiB goes to each once; what is mapped, anywhere for some time.
Work = namedtuple("Work", "name title rw bytes depth state flushes", defaults=[False])

FILL = Work("first-write-64k", "64 KiB first write, in order, depth 32", "write", BLOCK, 32, "fresh")
SNAPSHOT = Work("snapshot", "snapshot", None, 0, 0, "mapped")
WORKS = [
    FILL,
    Work("read-1", "4 KiB random read, depth 1", "randread", 4096, 1, "mapped"),
    Work("read-32", "4 KiB random read, depth 32", "randread", 4096, 32, "mapped"),
    Work("write-1", "4 KiB random write, depth 1", "randwrite", 4096, 1, "mapped"),
    Work("write-32", "4 KiB random write, depth 32", "randwrite", 4096, 32, "mapped"),
    Work("write-and-flush", "4 KiB random write and flush", "randwrite", 4096, 1, "mapped", True),
    SNAPSHOT,
    Work("break-sharing-1", "4 KiB write breaks sharing, depth 1", "randwrite", 4096, 1, "shared"),
    Work("break-sharing-32", "4 KiB write breaks sharing, depth 32", "randwrite", 4096, 32, "shared"),
    Work("first-write-1", "4 KiB first write, depth 1", "randwrite", 4096, 1, "fresh"),
    Work("first-write-32", "4 KiB first write, depth 32", "randwrite", 4096, 32, "fresh"),
]


def goes_to_each_block(work):
    return work.state != "mapped"


#---------------------------- fio ---------------------------------------------

def write_log(path, target, size):
    """A 4 KiB write into each block, shuffled, for fio to replay."""
    blocks = list(range(size // BLOCK))
    random.Random(1).shuffle(blocks)
    with open(path, "w", encoding="ascii") as log:
        log.write(f"fio version 2 iolog\n{target} add\n{target} open\n")
        log.writelines(f"{target} write {block * BLOCK} 4096\n" for block in blocks)


def fio_work(work, seconds, log):
    words = [f"--iodepth={work.depth}"]
    if goes_to_each_block(work) and work.rw == "randwrite":
        return words + ["--read_iolog=" + log]
    words += ["--rw=" + work.rw, f"--bs={work.bytes}"]
    if not goes_to_each_block(work):
        words += timed(seconds)
    if work.flushes:
        words.append("--fsync=1")
    return words


# About as many as one after the other can be, where requests are counted.
DISK_A_SECOND, MEMORY_A_SECOND = 6000, 400000

#---------------------------- qemu-img bench ----------------------------------

# It knows no random places, but steps, around the end.  With a step near the
# golden section of the size, and odd, it comes to each place once and jumps.
def step_of(nr_places):
    return int(nr_places * 0.618) | 1


def how_many(work, seconds, a_second):
    """Requests, of what is not done to each block once."""
    return max(100, int(seconds * a_second * (0.3 if work.flushes else min(work.depth, 5))))


def qemu_work(work, size, seconds):
    """Its words, and how many requests they make.  It counts and takes no time."""
    unit = BLOCK if goes_to_each_block(work) else 4096
    nr_places = size // unit
    count = nr_places if goes_to_each_block(work) else how_many(work, seconds, DISK_A_SECOND)
    step = unit * step_of(nr_places) if work.rw.startswith("rand") else unit
    words = ["-c", str(count), "-d", str(work.depth), "-s", str(work.bytes), "-S", str(step)]
    if work.rw.endswith("write"):
        words.append("-w")
    if work.flushes:
        words.append("--flush-interval=1")
    return words, count


#---------------------------- thinpool-bench ----------------------------------

def bench_work(work, size, seconds, a_second):
    words = ["--rw", work.rw, "--bs", str(work.bytes), "--depth", str(work.depth),
             "--state", work.state, "--size", str(size >> 20), "--zeroing"]
    words += ["--flush"] if work.flushes else []
    if goes_to_each_block(work):
        return words + ["--seconds", "0"]
    return words + ["--operations", str(how_many(work, seconds, a_second))]
