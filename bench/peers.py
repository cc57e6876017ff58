"""Those that bench/compare compares: each beside what it lies on itself.

A contender measures all works, several rounds of both, and answers for each
work with the ratios and the two rates of the rounds (class Figure).
"""
import fcntl
import json
import os
import shutil
import socket
import statistics
import subprocess
import time

from serving import (BUILD, FuseRaw, FuseThin, Nbd, NbdRaw, NbdThin, Server, Trouble, built,
                     contents, fio_result, fio_words, run)
from works import (DISK_A_SECOND, FILL, MEMORY_A_SECOND, SNAPSHOT, bench_work, fio_work,
                   goes_to_each_block, qemu_work, write_log)

NR_SNAPSHOTS = 5   # of which the median counts
NR_VOLUMES = 4     # room for what breaks sharing, twice, and for the metadata of others

SOURCE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
KERNEL = os.path.join(SOURCE, "tests/oracles/kernel-dm-thin")


class Absent(Trouble):
    """It cannot be measured here; not a failure."""


class Figure:
    """Of one work: raw and own, operations a second, by rounds; of snapshots
    there are seconds, and nothing raw."""

    def __init__(self, own, raw=None, ratios=None):
        self.own, self.raw = own, raw
        self.ratios = ratios or [o / r for o, r in zip(own, raw or [])]

    def as_json(self):
        if not self.raw:
            return {"seconds": statistics.median(self.own)}
        return {"ratio": statistics.median(self.ratios), "least": min(self.ratios),
                "most": max(self.ratios), "raw": statistics.median(self.raw),
                "own": statistics.median(self.own)}


#---------------------------- fio, on a server or a file ------------------------

class FioRate:
    """A mixin: the rate of a work by fio."""
    replay_target = "volume"   # what fio calls it when it replays
    nr_volumes = NR_VOLUMES

    def rate(self, work, seconds):
        log = self.path("writes.log")
        if goes_to_each_block(work):
            write_log(log, self.replay_target, self.size)
        return self.fio(*fio_work(work, seconds, log))["iops"]


class PeerNbdRaw(FioRate, NbdRaw):
    pass


class PeerNbdThin(FioRate, NbdThin):
    has_snapshots = False   # not while it serves

    def snapshot(self, name):
        self.stop()
        run(built("tools/thinpool"), "snapshot", self.path("pool"), "volume", name)
        self.serve_pool()


class MountedRate(FioRate):
    @property
    def replay_target(self):
        return self.path("mnt/volume")


class PeerFuseRaw(MountedRate, FuseRaw):
    pass


class PeerFuseThin(MountedRate, FuseThin):
    has_snapshots = True

    def snapshot(self, name):
        begun = time.monotonic()
        os.setxattr(self.path("mnt/volume"), "user.thinpool.snapshot", name.encode())
        directory = os.open(self.path("mnt"), os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        return time.monotonic() - begun


#---------------------------- qcow2 --------------------------------------------

class QemuNbd(FioRate, Nbd):
    """qemu-storage-daemon with a file, in one format or another."""

    def serve_file(self, *layers):
        layers = ("driver=file,node-name=file,aio=io_uring,filename=" + self.path("file"),) + layers
        self.start(self.path("socket"), "qemu-storage-daemon",
                   *(word for layer in layers for word in ("--blockdev", layer)),
                   "--chardev", "socket,id=control,server=on,wait=off,path=" + self.path("control"),
                   "--monitor", "chardev=control",
                   "--nbd-server", "addr.type=unix,addr.path=" + self.path("socket"),
                   "--export", "type=nbd,id=export,name=,writable=on,node-name=" +
                   ("disk" if len(layers) > 1 else "file"))

    def tell(self, command, **arguments):
        """A command to its control socket."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(self.path("control"))
            with control.makefile("rw") as lines:
                lines.readline()   # its greeting
                for name, words in (("qmp_capabilities", {}), (command, arguments)):
                    lines.write(json.dumps({"execute": name, "arguments": words}) + "\n")
                    lines.flush()
                    answer = json.loads(lines.readline())
                    while "event" in answer:
                        answer = json.loads(lines.readline())
                    if "error" in answer:
                        raise Trouble(f"qemu-storage-daemon: {name}: {answer['error']['desc']}")


class QemuNbdRaw(QemuNbd):
    def begin(self):
        self.make_file()
        self.serve_file()


class QemuNbdQcow2(QemuNbd):
    has_snapshots = True

    def begin(self):
        run("qemu-img", "create", "-q", "-f", "qcow2", self.path("file"), str(self.size))
        self.serve_file("driver=qcow2,node-name=disk,file=file")

    def snapshot(self, name):
        begun = time.monotonic()
        self.tell("blockdev-snapshot-internal-sync", device="disk", name=name)
        return time.monotonic() - begun


class QemuImg(Server):
    """A file on the disk, by 'qemu-img bench', which has the format in itself."""

    def write_whole(self, size):
        """From where it ends; so that no file system provides blocks later."""
        with open(self.path("file"), "r+b") as file:
            file.seek(0, os.SEEK_END)
            while file.tell() < size:
                file.write(bytes(1 << 20))
            os.fsync(file.fileno())

    def rate(self, work, seconds):
        words, count = qemu_work(work, self.size, seconds)
        said = run("qemu-img", "bench", "-f", self.format, "-t", "none", "-i", "io_uring",
                   *words, self.path("file"))
        return count / float(said.split("Run completed in ")[1].split()[0])


class QemuImgRaw(QemuImg):
    format = "raw"

    def begin(self):
        with open(self.path("file"), "wb"):
            pass
        self.write_whole(self.size)


class QemuImgQcow2(QemuImg):
    format = "qcow2"
    has_snapshots = False   # another process makes them

    def begin(self):
        run("qemu-img", "create", "-q", "-f", "qcow2", self.path("file"), str(self.size))
        self.write_whole(self.size * NR_VOLUMES)

    def snapshot(self, name):
        run("qemu-img", "snapshot", "-c", name, self.path("file"))


#---------------------------- file systems --------------------------------------

class Loop(Server):
    """A loop device over a file."""
    FICLONE = 0x40049409
    loop = None

    def attach(self):
        with open(self.path("file"), "wb") as file:
            file.truncate(max(self.size * NR_VOLUMES, 1 << 30))
        try:
            self.loop = run("losetup", "--find", "--show", self.path("file")).strip()
        except Trouble as trouble:
            raise Absent(f"no loop device: {trouble}") from trouble

    def stop(self):
        if self.loop:
            run("losetup", "--detach", self.loop)
            self.loop = None


class LoopRaw(FioRate, Loop):
    @property
    def replay_target(self):
        return self.loop

    def begin(self):
        self.attach()

    def target(self):
        return ["--ioengine=libaio", "--direct=1", "--filename=" + self.loop]


class LoopFiles(MountedRate, Loop):
    has_snapshots = True
    is_mounted = False

    def begin(self):
        self.attach()
        run(*self.mkfs, self.loop)
        os.mkdir(self.path("mnt"))
        try:
            run("mount", self.loop, self.path("mnt"))
        except Trouble as trouble:
            raise Absent(f"cannot be mounted: {trouble}") from trouble
        self.is_mounted = True
        with open(self.path("mnt/volume"), "wb") as file:
            file.truncate(self.size)

    def target(self):
        return ["--ioengine=libaio", "--direct=1", "--filename=" + self.path("mnt/volume")]

    def snapshot(self, name):
        """What 'cp --reflink' does; durable."""
        begun = time.monotonic()
        with open(self.path("mnt/volume"), "rb") as origin, \
             open(self.path("mnt/" + name), "wb") as clone:
            fcntl.ioctl(clone.fileno(), self.FICLONE, origin.fileno())
            os.fsync(clone.fileno())
        return time.monotonic() - begun

    def stop(self):
        if self.is_mounted:
            run("umount", self.path("mnt"))
            self.is_mounted = False
        super().stop()


class Xfs(LoopFiles):
    mkfs = ["mkfs.xfs", "-q", "-m", "reflink=1"]


class Btrfs(LoopFiles):
    mkfs = ["mkfs.btrfs", "-q"]


#---------------------------- contenders ----------------------------------------

class Contender:
    """@short heads its column; @needs: commands; @needs_root: to mount."""

    def __init__(self, name, short, title, needs=(), needs_root=False):
        self.name, self.short, self.title = name, short, title
        self.needs, self.needs_root = needs, needs_root

    def check(self):
        for tool in self.needs:
            if not shutil.which(tool):
                raise Absent(f"there is no {tool} here")
        if self.needs_root and os.geteuid() != 0:
            raise Absent("only root may mount")


class Pair(Contender):
    """Two servers, or what is like one, that take turns.  @on_disk: where."""

    def __init__(self, *words, raw, own, on_disk=False, **more):
        super().__init__(*words, **more)
        self.kinds, self.on_disk = (raw, own), on_disk

    def measure(self, works, settings, tell):
        rates = [[], []]
        for number in range(settings.rounds):
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                tell(f"round {number + 1} of {settings.rounds}, {'own' if which else 'raw'}")
                rates[which].append(self.sit(self.kinds[which], works, settings))
        return {work: Figure([rate[work] for rate in rates[1]],
                             [rate[work] for rate in rates[0]] if work in rates[0][0] else None)
                for work in rates[1][0]}

    def sit(self, kind, works, settings):
        """All works of one round, of one of the two."""
        directory = settings.disk if self.on_disk else settings.memory
        rates, server, is_filled = {}, None, False
        try:
            for work in works:
                if work.state == "fresh" or not server:
                    if server:
                        server.end()
                    server, is_filled = kind(os.path.join(directory, self.name), settings.size), False
                    server.begin()
                if work.state != "fresh" and not is_filled:
                    server.rate(FILL, settings.seconds)
                    is_filled = True
                self.do(server, work, settings, rates)
                is_filled |= work == FILL
        finally:
            if server:
                server.end()
        return rates

    @staticmethod
    def do(server, work, settings, rates):
        is_thin = hasattr(server, "snapshot")
        if work == SNAPSHOT:
            if is_thin and server.has_snapshots:
                rates[work.name] = statistics.median(
                    server.snapshot(f"timed-{number}") for number in range(NR_SNAPSHOTS))
            return
        if work.state == "shared" and is_thin:
            server.snapshot("before-" + work.name)
        rates[work.name] = server.rate(work, settings.seconds)


class InProcess(Contender):
    """thinpool-bench, which takes turns itself."""

    def __init__(self, *words, device):
        super().__init__(*words)
        self.device = device

    def check(self):
        if not os.path.exists(os.path.join(BUILD, "bench/thinpool-bench")):
            raise Absent("thinpool-bench was not built: it needs liburing")

    def measure(self, works, settings, tell):
        figures, a_second = {}, DISK_A_SECOND
        if self.device == "memory":
            works, a_second = Kernel.works(works), MEMORY_A_SECOND
        for work in works:
            tell(work.name)
            if work == SNAPSHOT:
                self.measure_snapshots(figures)
                continue
            row, = self.bench("--rounds", str(settings.rounds), "--dir", settings.disk,
                              "--device", self.device,
                              *bench_work(work, settings.size, settings.seconds, a_second))
            figures[work.name] = Figure([row["job"]["iops"]], [row["base"]["iops"]],
                                        [row["least"], row["median"], row["most"]])
        return figures

    def measure_snapshots(self, figures):
        if self.device == "memory":
            row, = self.bench("--rounds", "1", "--mappings", "10000", "big/snapshot-batches")
            figures[SNAPSHOT.name] = Figure([1 / row["median"]])

    @staticmethod
    def bench(*words):
        return json.loads(run(built("bench/thinpool-bench"), "--json", *words))


class Kernel(Contender):
    """dm-thin in a kernel that is a process, over a disk in its memory, by fio
    in there.  A system call costs so much in it that only many requests in one
    tell something: what goes one by one is left out."""
    SIZE = 256 << 20
    BATCHES = ("--ioengine=libaio", "--direct=1", "--gtod_reduce=1", "--clocksource=cpu",
               "--iodepth_batch_submit=32", "--iodepth_batch_complete_min=32")
    DEVICES = {"raw": "/dev/ram0", "own": "/dev/mapper/thin-1"}

    # All memory of the disks is there before anything is timed.
    BEGIN = """
"$busybox" insmod "$(find $modules -name brd.ko)" rd_nr=3 rd_size={kib}
dd if=/dev/zero of=/dev/ram0 bs=1M count={mib} oflag=direct status=none
dd if=/dev/zero of=/dev/ram1 bs=1M count={room} oflag=direct status=none
dmsetup create metadata --table "0 32768 linear /dev/ram2 0"
METADATA=/dev/mapper/metadata DATA=/dev/ram1
fresh() {{
	pool_remove
	dd if=/dev/zero of=$METADATA bs=64K count=1 oflag=direct status=none
	pool_create
	thin_create 1
	thin_activate 1 {sectors}
}}
now() {{ date +%s.%N; }}
snapshots() {{	# FIRST COUNT: in a batch; how long they take
	local begun
	seq $1 $(($1 + $2 - 1)) | sed 's/.*/create_snap & 1/' >/run/messages
	begun=$(now)
	pool_messages </run/messages
	pool_commit
	echo "$begun $(now)" | "$busybox" awk '{{ print $2 - $1 }}'
}}
"""

    @staticmethod
    def works(works):
        return [work for work in works if work.depth == 32 or work == SNAPSHOT]

    def measure(self, works, settings, tell):
        works = self.works(works)
        top = os.path.join(settings.memory, self.name)
        os.makedirs(os.path.join(top, "out"))
        for side, device in self.DEVICES.items():
            write_log(os.path.join(top, "out", side + ".log"), device, self.SIZE)
        for name in ("metadata", "data"):   # it wants two; they are left alone
            with open(os.path.join(top, name), "wb") as image:
                image.truncate(1 << 20)
        with open(os.path.join(top, "script"), "w", encoding="ascii") as script:
            script.write(self.script(works, settings))
        tell(f"all {settings.rounds} rounds, in one go")
        try:
            self.boot(top)
            return self.figures(works, settings, os.path.join(top, "out"))
        finally:
            shutil.rmtree(top)

    @staticmethod
    def boot(top):
        guest = subprocess.Popen([KERNEL, "--mem", "1600M", "--timeout", "240", "--out", top + "/out",
                                  top + "/metadata", top + "/data", "128", top + "/script"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        try:
            said = guest.communicate()[0].strip()
        finally:
            guest.terminate()   # it cleans up, unlike when it is killed
            guest.wait()
        if guest.returncode == 77:
            raise Absent(said)
        if guest.returncode:
            raise Trouble(said.splitlines()[-1] if said else f"status {guest.returncode}")

    def script(self, works, settings):
        room = self.SIZE * NR_VOLUMES
        lines = [self.BEGIN.format(kib=room >> 10, room=room >> 20, mib=self.SIZE >> 20,
                                   sectors=self.SIZE >> 9)]
        for number in range(settings.rounds):
            for side in ("raw", "own") if number % 2 == 0 else ("own", "raw"):
                for work in works:
                    lines += self.lines(work, side, number, settings.seconds)
        return "\n".join(lines) + "\n"

    def lines(self, work, side, number, seconds):
        if work == SNAPSHOT:
            if side == "own":
                yield f"{{ snapshots 1000 1; snapshots 2000 1001; }} >$OUT/snapshot.{number}"
            return
        if side == "own" and work.state == "fresh":
            yield "fresh"
        if side == "own" and work.state == "shared":
            yield f"thin_snap {work.depth + 2} 1"
        yield " ".join(fio_words(f"$OUT/{work.name}.{side}.{number}", self.SIZE, *self.BATCHES,
                                 "--filename=" + self.DEVICES[side],
                                 *fio_work(work, seconds, f"$OUT/{side}.log")))

    @staticmethod
    def figures(works, settings, out):
        def rates(work, side):
            return [fio_result(os.path.join(out, f"{work.name}.{side}.{number}"))["iops"]
                    for number in range(settings.rounds)]

        figures = {}
        for work in works:
            if work != SNAPSHOT:
                figures[work.name] = Figure(rates(work, "own"), rates(work, "raw"))
                continue
            times = [contents(os.path.join(out, f"snapshot.{number}")).split()
                     for number in range(settings.rounds)]
            figures[work.name] = Figure([(float(many) - float(one)) / 1000 for one, many in times])
        return figures


CONTENDERS = [
    InProcess("thin", "thin", "libthinpool in process, on a disk, beside the file", device="disk"),
    Pair("qcow2", "qcow2", "qcow2 in 'qemu-img bench', on a disk, beside the file",
         raw=QemuImgRaw, own=QemuImgQcow2, on_disk=True, needs=["qemu-img"]),
    Pair("nbd-thin", "thin, NBD", "a volume behind nbdkit, beside a file behind it",
         raw=PeerNbdRaw, own=PeerNbdThin, needs=["fio", "nbdkit"]),
    Pair("nbd-qcow2", "qcow2, NBD", "qcow2 behind qemu-storage-daemon, beside a file behind it",
         raw=QemuNbdRaw, own=QemuNbdQcow2, needs=["fio", "qemu-img", "qemu-storage-daemon"]),
    Pair("thinfs", "thinfs", "a volume in thinfs, beside a file in passthrough",
         raw=PeerFuseRaw, own=PeerFuseThin, needs=["fio", "fusermount3"], needs_root=True),
    Pair("xfs", "xfs", "a file that is cloned on xfs, beside the loop device beneath",
         raw=LoopRaw, own=Xfs, needs=["fio", "losetup", "mkfs.xfs"], needs_root=True),
    Pair("btrfs", "btrfs", "a file that is cloned on btrfs, beside the loop device beneath",
         raw=LoopRaw, own=Btrfs, needs=["fio", "losetup", "mkfs.btrfs"], needs_root=True),
    Kernel("kernel", "dm-thin", "the kernel's dm-thin in user-mode Linux, beside its disk in memory",
           needs=["fio"]),
    InProcess("memory", "thin, memory", "libthinpool in process, beside its disk in memory",
              device="memory"),
]
