# shellcheck shell=bash
# Sourced after support.sh.
needs fio
fio --enghelp 2>/dev/null | grep -w nbd >/dev/null || skip "this fio has no nbd engine"

run_fio() {
	fio --output=fio.out --ioengine=nbd --iodepth=16 --verify=crc32c --verify_interval=4k \
		--verify_fatal=1 --randseed="${SEED:-7}" "$@" >fio.err 2>&1 ||
		die "fio: $(cat fio.out fio.err)"
}

# fio_write SIZE: three jobs write all of a volume each, of SIZE, every 4 KiB with
# a header that tells what belongs there, and read it back.
fio_write() {
	run_fio --size="$1" \
		--name=small "--uri=$(uri a)" --rw=randwrite --bs=4k --fsync=64 \
		--name=large "--uri=$(uri b)" --rw=write --bs=192k \
		--name=mixed "--uri=$(uri c)" --rw=randwrite --bsrange=4k-128k
}

# fio_read SIZE: that is what is there.
fio_read() {
	run_fio --size="$1" --rw=read --bs=64k --name=small "--uri=$(uri a)" \
		--name=large "--uri=$(uri b)" --name=mixed "--uri=$(uri c)"
}
