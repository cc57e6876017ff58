"""The works that are compared, and how each of those who drive them is told."""
import random
from collections import namedtuple

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
        words += ["--time_based", f"--runtime={seconds}"]
    if work.flushes:
        words.append("--fsync=1")
    return words


#---------------------------- qemu-img bench ----------------------------------

# It knows no random places, but steps, around the end.  With a step near the
# golden section of the size, and odd, it comes to each place once and jumps.
def step_of(nr_places):
    return int(nr_places * 0.618) | 1


def qemu_work(work, size, seconds):
    """Its words, and how many requests they make.  It counts and takes no time."""
    unit = BLOCK if goes_to_each_block(work) else 4096
    nr_places = size // unit
    count = nr_places
    if not goes_to_each_block(work):
        a_second = 2000 if work.flushes else 6000 if work.depth == 1 else 30000
        count = max(100, int(a_second * seconds))
    step = unit * step_of(nr_places) if work.rw.startswith("rand") else unit
    words = ["-c", str(count), "-d", str(work.depth), "-s", str(work.bytes), "-S", str(step)]
    if work.rw.endswith("write"):
        words.append("-w")
    if work.flushes:
        words.append("--flush-interval=1")
    return words, count


#---------------------------- thinpool-bench ----------------------------------

def bench_work(work, size, seconds):
    seconds = max(1, round(seconds))   # it knows whole ones only
    words = ["--rw", work.rw, "--bs", str(work.bytes), "--depth", str(work.depth),
             "--state", work.state, "--size", str(size >> 20), "--zeroing",
             "--seconds", "0" if goes_to_each_block(work) else str(seconds)]
    if work.flushes:
        words.append("--flush")
    return words
