#!/usr/bin/env python3
"""What thinfs costs, as a ratio to a FUSE file system that only passes through.

    thinfs.py [--rounds N] [--seconds S] [--directory DIR] THINPOOL THINFS

The other one is passthrough_ll, libfuse's own example of its low-level
interface, as the package libfuse3-dev brings it: the same way through the
kernel, to a plain file instead of a pool.  Both keep their files in DIR, which
is in memory (/dev/shm) unless said otherwise, since thinfs too goes through the
host's page cache.  fio runs each job on one and on the other in turn, past
FUSE's own cache; what counts is the ratio within a round, of which the median
and the spread are printed.

It takes root, /dev/fuse, fio and gcc.
"""
import argparse
import contextlib
import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time

EXAMPLE = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c"
SIZE = 256 << 20

# What it is called, and how fio does it; to a file that is there, or a new one.
JOBS = (
    ("first write, 1 MiB", "write", "1M", True),
    ("write, 1 MiB", "write", "1M", False),
    ("read, 1 MiB", "read", "1M", False),
    ("random write, 4 KiB", "randwrite", "4k", False),
    ("random read, 4 KiB", "randread", "4k", False),
)


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def build_passthrough(directory):
    if not os.path.exists(EXAMPLE):
        raise SystemExit(f"there is no {EXAMPLE}: install libfuse3-dev, with its documentation")
    program = f"{directory}/passthrough_ll"
    flags = shlex.split(run("pkg-config", "fuse3", "--cflags", "--libs"))
    run("gcc", "-O2", "-w", EXAMPLE, "-o", program, *flags)
    return program


@contextlib.contextmanager
def mounted(mountpoint, *command):
    """The file system that stays in the foreground as this command."""
    os.mkdir(mountpoint)
    process = subprocess.Popen(command)
    try:
        while not os.path.ismount(mountpoint):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} has ended")
            time.sleep(0.05)
        yield mountpoint
    finally:
        subprocess.run(["fusermount3", "-u", mountpoint], check=False)
        process.wait()


def measure(path, job, seconds):
    """Bytes a second."""
    _, how, block, new = job
    if new and os.path.exists(path):
        os.unlink(path)
    words = ["fio", "--name=job", f"--filename={path}", f"--size={SIZE}", f"--rw={how}", f"--bs={block}",
             "--ioengine=libaio", "--iodepth=16", "--direct=1", "--fallocate=none", "--output-format=json"]
    if not new:
        words += ["--time_based", f"--runtime={seconds}"]
    result = json.loads(run(*words))["jobs"][0]
    return result["read"]["bw_bytes"] + result["write"]["bw_bytes"]


def compare(plain, thin, rounds, seconds):
    print(f"{'':22}{'passthrough':>14}{'thinfs':>14}   ratio (least, most)")
    for job in JOBS:
        pairs = [(measure(f"{plain}/file", job, seconds), measure(f"{thin}/file", job, seconds))
                 for _ in range(rounds)]
        ratios = [b / a for a, b in pairs]
        a, b = (statistics.median(rates) / 1e6 for rates in zip(*pairs))
        print(f"{job[0]:22}{a:9.0f} MB/s{b:9.0f} MB/s   {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f}, {max(ratios):.2f})", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--directory", default="/dev/shm")
    parser.add_argument("thinpool")
    parser.add_argument("thinfs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as top:
        os.mkdir(f"{top}/files")
        run(options.thinpool, "create", f"{top}/pool", "--size", str(2 * SIZE))
        passthrough = build_passthrough(top)
        with mounted(f"{top}/plain", passthrough, "-f", "-o", f"source={top}/files", f"{top}/plain") as plain, \
                mounted(f"{top}/thin", options.thinfs, "-f", f"{top}/pool", f"{top}/thin") as thin:
            compare(plain, thin, options.rounds, options.seconds)


main()
