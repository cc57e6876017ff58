"""What served and compare share: volumes behind servers, and fio on them.

A server is made, begun, worked on and ended, by end() whatever happened.  What
is wrong is raised as Trouble, in a sentence.
"""
import json
import os
import shutil
import subprocess
import time

BUILD = os.environ.get("BUILD_ROOT", "build")


class Trouble(Exception):
    pass


def built(path):
    path = os.path.realpath(os.path.join(BUILD, path))
    if not os.path.exists(path):
        raise Trouble(f"{path} is not there: its library is missing, or ./dev build was not run")
    return path


def run(*words):
    """Its standard output."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Trouble(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def contents(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()


class Server:
    """A volume of @size bytes, in a directory of its own, that fio can work on."""

    def __init__(self, where, size):
        self.where, self.size, self.process = where, size, None
        os.mkdir(where)

    def path(self, name):
        return os.path.join(self.where, name)

    def make_file(self):
        with open(self.path("file"), "wb") as file:
            file.truncate(self.size)

    def make_pool(self, nr_volumes=1):
        """With room for so many volumes, and some more."""
        thinpool = built("tools/thinpool")
        room = self.size * nr_volumes + self.size // 4
        run(thinpool, "create", self.path("pool"), "--size", str(room))
        run(thinpool, "volume", "create", self.path("pool"), "volume", "--size", str(self.size))

    def start(self, appears, *words):
        """Until the path @appears is there.  What the server says is kept, and
        told if it does not come up."""
        with open(self.path("log"), "wb") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(1000):
            if os.path.exists(appears):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise Trouble(f"{words[0]} does not come up: {contents(self.path('log'))}")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def end(self):
        self.stop()
        shutil.rmtree(self.where, ignore_errors=True)

    def fio(self, *words):
        """What fio found out about one job, read or write."""
        run(*fio_words(self.path("fio.json"), self.size, *self.target(), *words))
        return fio_result(self.path("fio.json"))


def fio_words(output, size, *words):
    return ("fio", "--name=job", "--output-format=json", "--output=" + output, f"--size={size}",
            "--randrepeat=1", "--randseed=1", "--fallocate=none", "--thread") + words


def timed(seconds):
    return ["--time_based", f"--runtime={int(seconds * 1000)}ms"]   # it knows no half seconds


def fio_result(output):
    text = contents(output)
    job = json.loads(text[text.index("{"):])["jobs"][0]
    return job["read" if job["read"]["io_bytes"] else "write"]


class Fuse(Server):
    def mount(self, *words):
        os.makedirs(self.path("mnt"), exist_ok=True)
        self.start(self.path("mnt/volume"), *words)

    def target(self):
        return ["--ioengine=libaio", "--direct=1", "--filename=" + self.path("mnt/volume")]

    def stop(self):
        if self.process:
            subprocess.run(["fusermount3", "-u", "-q", self.path("mnt")], check=False)
        super().stop()


class FuseRaw(Fuse):
    def begin(self):
        self.make_file()
        self.mount(built("bench/passthrough"), self.path("file"), self.path("mnt"))


class FuseThin(Fuse):
    nr_volumes = 1

    def begin(self):
        self.make_pool(self.nr_volumes)
        self.mount(built("examples/thinfs/thinfs"), "-f", self.path("pool"), self.path("mnt"))


class Nbd(Server):
    def serve(self, *words):
        self.start(self.path("socket"), "nbdkit", "-f", "-U", self.path("socket"), *words)

    def target(self):
        return ["--ioengine=nbd", "--uri=nbd+unix:///?socket=" + self.path("socket")]

    def stop(self):
        super().stop()
        if os.path.exists(self.path("socket")):
            os.unlink(self.path("socket"))


class NbdRaw(Nbd):
    def begin(self):
        self.make_file()
        self.serve("file", self.path("file"))


class NbdThin(Nbd):
    nr_volumes = 1

    def serve_pool(self):
        self.serve(built("examples/nbd/nbdkit-thinpool-plugin.so"),
                   "pool=" + self.path("pool"), "volume=volume")

    def begin(self):
        self.make_pool(self.nr_volumes)
        self.serve_pool()
