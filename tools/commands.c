/*
 * commands.c - the table of commands, by which they are found, checked and
 * explained.
 */
#include "command.h"

#include <stddef.h>

/*---------------------------- in more words --------------------------------*/

#define NAMING                                                                 \
	"\n"                                                                   \
	"NAME is the volume's name.  With --id ID instead of it, the volume\n" \
	"with that number is meant, which need not have a name; that ends\n"   \
	"after its highest mapped block, unless --size says otherwise.\n"

#define LOOKING_BACK                                                                  \
	"\n"                                                                          \
	"  --metadata-snapshot  look at what the pool's metadata snapshot holds,\n"   \
	"                       whoever uses the pool: volumes and what they map\n"   \
	"                       are those of then.  A volume that is written may\n"   \
	"                       show what was written since; a snapshot of it does\n" \
	"                       not.\n"

static const char help_create[] =
	"Makes the directory POOL and in it the sparse files 'metadata' and\n"
	"'data', the latter SIZE long.  Files and block devices that are there\n"
	"already are used as they are (then leave out --size), but nothing that\n"
	"holds something is overwritten.\n"
	"\n"
	"  --size SIZE           of the data file\n"
	"  --block-size SIZE     the unit of allocation: 64K to 1G, a multiple\n"
	"                        of 64K; default 64K\n"
	"  --metadata-size SIZE  default: 64 bytes for each data block, 4M at\n"
	"                        least\n";

static const char help_status[] =
	"The mode is the one that the pool will be in when it is opened to be\n"
	"used.  Works on files that cannot be written.\n" LOOKING_BACK;

static const char help_list[] =
	"MAPPED is what a volume shows of the data device, EXCLUSIVE what no\n"
	"other volume has: deleting it gives that back (but for what a metadata\n"
	"snapshot holds).  Works on files that cannot be written.\n" LOOKING_BACK;

static const char help_volume_create[] =
	"It takes no space until it is written, and may be larger than the\n"
	"pool.  A name has 1 to 255 bytes of UTF-8, no '/' and no control\n"
	"characters.\n";

static const char help_volume_delete[] =
	"What only this volume used is free again.\n";

static const char help_volume_rename[] =
	"With --id, a volume without a name gets one, and a size: SIZE, or up\n"
	"to its highest mapped block.\n";

static const char help_volume_resize[] =
	"What lies beyond a smaller end is hidden, not freed: discard it\n"
	"before.\n";

static const char help_snapshot[] =
	"It is a volume like any other, can be written and snapshotted itself,\n"
	"and takes space only as the two become different.\n";

static const char help_import[] =
	"Makes the volume if there is none, as large as FILE or as --size says.\n"
	"Holes and zeroes take no space; a volume that was there reads as FILE\n"
	"and then zeroes.  FILE - is standard input.\n" NAMING;

static const char help_export[] =
	"FILE gets holes where the volume is unmapped or zero.  FILE - is\n"
	"standard output.  Works on pool files that cannot be written.\n" NAMING
		LOOKING_BACK;

static const char help_read[] =
	"OFFSET and LENGTH are multiples of 512.  Works on pool files that\n"
	"cannot be written.\n" NAMING LOOKING_BACK;

static const char help_write[] =
	"OFFSET and the length of the input are multiples of 512.  What was\n"
	"written is durable when the command ends.\n" NAMING;

static const char help_discard[] =
	"Whole data blocks inside the range are unmapped and read as zeroes;\n"
	"what is left of it at its ends stays as it is.\n" NAMING;

static const char help_map[] =
	"A line for each run that is mapped, all figures in bytes.  SHARED 'no'\n"
	"is sure; 'yes' may be out of date.  Works on files that cannot be\n"
	"written.\n" NAMING "\n"
	"  --picture FILE  draws the data device instead, as SVG: who uses what,\n"
	"                  and what is shared; FILE - is standard output\n" LOOKING_BACK;

static const char help_check[] =
	"Reads all metadata of a pool that nobody uses, works out again every\n"
	"reference to every block, and tells what is not as it should be: how\n"
	"bad it is (a warning is harmless, a leak costs space, a corruption\n"
	"what volumes hold), where, and what.  POOL may be a metadata file or\n"
	"device by itself.  Exit status 1 if there is more than warnings.\n"
	"\n"
	"  --repair              of leaks only: count right what was counted too\n"
	"                        high, if nothing is worse than that\n"
	"  --clear-needs-check   if nothing is worse than a warning, then: the\n"
	"                        pool can be written again\n"
	"  --quiet               the exit status says it all\n";

static const char help_grow[] =
	"Makes the files as long as said, then uses all of both; without\n"
	"sizes, it uses what files and devices have become.  A pool never\n"
	"shrinks.\n";

static const char help_trim[] =
	"Has the data device discard every block that no volume uses: a sparse\n"
	"data file gets holes there, a disk may use them for itself.  What\n"
	"volumes hold stays as it is.\n";

/*---------------------------- the table ------------------------------------*/

const struct command commands[] = {
	{
		.name = "create",
		.synopsis = "POOL --size SIZE [--block-size SIZE] "
			    "[--metadata-size SIZE]",
		.summary = "make and format a pool",
		.help = help_create,
		.options = OPTION_SIZE | OPTION_BLOCK_SIZE |
			   OPTION_METADATA_SIZE,
		.run = run_create,
	},
	{
		.name = "status",
		.synopsis = "POOL [--metadata-snapshot] [--json]",
		.summary = "how a pool is: mode, usage, transaction id",
		.help = help_status,
		.options = OPTION_JSON | OPTION_METADATA_SNAPSHOT,
		.run = run_status,
	},
	{
		.name = "list",
		.synopsis = "POOL [--metadata-snapshot] [--json]",
		.summary = "the volumes of a pool, and what each takes",
		.help = help_list,
		.options = OPTION_JSON | OPTION_METADATA_SNAPSHOT,
		.run = run_list,
	},
	{
		.name = "volume create",
		.synopsis = "POOL NAME --size SIZE [--json]",
		.summary = "make an empty volume",
		.help = help_volume_create,
		.options = OPTION_SIZE | OPTION_JSON,
		.takes_name = true,
		.run = run_volume_create,
	},
	{
		.name = "volume delete",
		.synopsis = "POOL {NAME | --id ID}",
		.summary = "delete a volume; its snapshots stay whole",
		.help = help_volume_delete,
		.options = OPTION_ID,
		.takes_name = true,
		.run = run_volume_delete,
	},
	{
		.name = "volume rename",
		.synopsis = "POOL {NAME | --id ID} NEW-NAME [--size SIZE]",
		.summary = "give a volume another name, or a first one",
		.help = help_volume_rename,
		.options = OPTION_ID | OPTION_SIZE,
		.takes_name = true,
		.size_needs_id = true,
		.nr_operands = 1,
		.run = run_volume_rename,
	},
	{
		.name = "volume resize",
		.synopsis = "POOL {NAME | --id ID} --size SIZE",
		.summary = "make a volume larger or smaller",
		.help = help_volume_resize,
		.options = OPTION_ID | OPTION_SIZE,
		.takes_name = true,
		.run = run_volume_resize,
	},
	{
		.name = "snapshot",
		.synopsis = "POOL {ORIGIN | --id ID} NAME [--json]",
		.summary = "make a snapshot of a volume",
		.help = help_snapshot,
		.options = OPTION_ID | OPTION_JSON,
		.takes_name = true,
		.nr_operands = 1,
		.run = run_snapshot,
	},
	{
		.name = "import",
		.synopsis = "POOL {NAME | --id ID} FILE [--size SIZE]",
		.summary = "make a file the content of a volume",
		.help = help_import,
		.options = OPTION_ID | OPTION_SIZE,
		.takes_name = true,
		.nr_operands = 1,
		.run = run_import,
	},
	{
		.name = "export",
		.synopsis = "POOL {NAME | --id ID} FILE [--size SIZE] "
			    "[--metadata-snapshot]",
		.summary = "write the content of a volume to a file",
		.help = help_export,
		.options = OPTION_ID | OPTION_SIZE | OPTION_METADATA_SNAPSHOT,
		.takes_name = true,
		.size_needs_id = true,
		.nr_operands = 1,
		.run = run_export,
	},
	{
		.name = "read",
		.synopsis = "POOL {NAME | --id ID} OFFSET LENGTH [--size SIZE] "
			    "[--metadata-snapshot]",
		.summary = "bytes of a volume to standard output",
		.help = help_read,
		.options = OPTION_ID | OPTION_SIZE | OPTION_METADATA_SNAPSHOT,
		.takes_name = true,
		.size_needs_id = true,
		.nr_operands = 2,
		.run = run_read,
	},
	{
		.name = "write",
		.synopsis = "POOL {NAME | --id ID} OFFSET [--size SIZE]",
		.summary = "bytes from standard input into a volume",
		.help = help_write,
		.options = OPTION_ID | OPTION_SIZE,
		.takes_name = true,
		.size_needs_id = true,
		.nr_operands = 1,
		.run = run_write,
	},
	{
		.name = "discard",
		.synopsis = "POOL {NAME | --id ID} OFFSET LENGTH [--size SIZE]",
		.summary = "give back the space of a range",
		.help = help_discard,
		.options = OPTION_ID | OPTION_SIZE,
		.takes_name = true,
		.size_needs_id = true,
		.nr_operands = 2,
		.run = run_discard,
	},
	{
		.name = "map",
		.synopsis = "POOL {NAME | --id ID | --picture FILE} "
			    "[--size SIZE] [--metadata-snapshot] [--json]",
		.summary = "where a volume's bytes lie on the data device",
		.help = help_map,
		.options = OPTION_ID | OPTION_SIZE | OPTION_JSON |
			   OPTION_PICTURE | OPTION_METADATA_SNAPSHOT,
		.takes_name = true,
		.size_needs_id = true,
		.run = run_map,
	},
	{
		.name = "check",
		.synopsis = "POOL [--repair] [--clear-needs-check] [--quiet] "
			    "[--json]",
		.summary = "verify all metadata of a pool",
		.help = help_check,
		.options = OPTION_JSON | OPTION_REPAIR |
			   OPTION_CLEAR_NEEDS_CHECK | OPTION_QUIET,
		.run = run_check,
	},
	{
		.name = "grow",
		.synopsis = "POOL [--size SIZE] [--metadata-size SIZE]",
		.summary = "make a pool larger",
		.help = help_grow,
		.options = OPTION_SIZE | OPTION_METADATA_SIZE,
		.run = run_grow,
	},
	{
		.name = "trim",
		.synopsis = "POOL [--json]",
		.summary = "tell the data device what is free",
		.help = help_trim,
		.options = OPTION_JSON,
		.run = run_trim,
	},
	{ NULL },
};
