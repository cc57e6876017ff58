#!/bin/bash
# Needs THINPOOL, the path of the thinpool command.
#
# What is no pool is refused by its name, as the tools of others made it, and
# nothing of it is changed.
. "$(dirname "$0")/support.sh"

truncate -s 1G data
size=320M # mkfs.xfs makes none on less
for tool in mkfs.ext4 mkfs.xfs mkswap qemu-img cache_restore era_restore; do
	command -v $tool >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done

# is NAME COMMAND...: what the command makes of ./device is called that.
is() {
	local name=$1 before
	shift
	rm -f device
	truncate -s $size device
	"$@" >made 2>&1 || die "'$*': $(cat made)"
	truncate -s $size device
	before=$(head -c 1M device | sha256sum)
	fails 1 "this is $name, not the metadata of a thin pool" status device,data
	same "$(head -c 1M device | sha256sum)" "$before"
}
puts() { printf "$2" | dd of=device conv=notrunc bs=1 seek="$1"; }
restores() { "$1" -i dump.xml -o device; }

is "an ext2, ext3 or ext4 file system" mkfs.ext4 -q device
is "an XFS file system" mkfs.xfs -q device
is "swap space" mkswap device
is "a qcow2 image" qemu-img create -q -f qcow2 device 1M
is "a boot sector or a disk with partitions" puts 510 '\125\252'
is "a disk with partitions" puts 510 '\125\252EFI PART'
is "a physical volume of LVM" puts 512 LABELONE

cat >dump.xml <<'XML'
<superblock uuid="" block_size="128" nr_cache_blocks="16" policy="smq" hint_width="4">
  <mappings></mappings>
  <hints></hints>
</superblock>
XML
is "a dump in XML, which thin_restore reads" cp dump.xml device
is "the metadata of a dm-cache" restores cache_restore
cat >dump.xml <<'XML'
<superblock uuid="" block_size="128" nr_blocks="16" current_era="1">
  <era_array></era_array>
</superblock>
XML
is "the metadata of a dm-era" restores era_restore

# Nothing that we know.
truncate -s 0 device
truncate -s 4M device
puts 0 something 2>made
fails 1 "block 0 says it is block 103: not a superblock" status device,data
puts 8 '\0\0' 2>made
fails 1 "no magic number of a thin pool" status device,data
