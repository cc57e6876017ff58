/*
 * damage.c - metadata broken on purpose, the same way for the same seed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pool/mapping.h"
#include "pool/metadata-internal.h"
#include "support/damage.h"
#include "support/metadata-image.h"
#include "support/pattern.h"

struct damage {
	struct image image;
	uint64_t random;
	struct damage_report *report;
};

/* After what the report says already. */
__attribute__((format(printf, 2, 3))) static void say(struct damage *d,
						      const char *format, ...)
{
	size_t used = strlen(d->report->text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(d->report->text + used, sizeof(d->report->text) - used,
		  format, arguments);
	va_end(arguments);
}

static void say_block(struct damage *d, size_t i)
{
	const struct image_block *block = &d->image.blocks[i];

	say(d, "block %llu (%s)", (unsigned long long)block->number,
	    image_role_name(block->role));
}

/*---------------------------- chance ---------------------------------------*/

static uint64_t below(struct damage *d, uint64_t limit)
{
	return random_in(&d->random, 0, limit);
}

#define NR_TRIES 64

/* A block that is so (NULL: any); every role is as likely as any other.
 * SIZE_MAX: none was found. */
static size_t pick_block(struct damage *d,
			 bool (*is_so)(const struct image *, size_t))
{
	for (unsigned try = 0; try < NR_TRIES; try++) {
		enum image_role role = below(d, IMAGE_NR_ROLES);
		size_t nr = image_count(&d->image, role), i;

		if (!nr)
			continue;
		i = image_find(&d->image, role, below(d, nr));
		if (!is_so || is_so(&d->image, i))
			return i;
	}

	return is_so ? SIZE_MAX : 0;
}

static size_t pick_of_role(struct damage *d, enum image_role role)
{
	size_t nr = image_count(&d->image, role);

	return nr ? image_find(&d->image, role, below(d, nr)) : SIZE_MAX;
}

/* Half of the time one of the first, which are nearer to the superblock. */
static size_t pick_pointer(struct damage *d)
{
	size_t nr = d->image.nr_pointers;

	if (below(d, 2))
		nr = tpi_min(nr, 24);

	return below(d, nr);
}

/* Another number in the place of @old, of those that break things. */
static uint64_t odd_number(struct damage *d, uint64_t old, unsigned bits)
{
	uint64_t mask = UINT64_MAX >> (64 - bits), number;

	do {
		switch (below(d, 10)) {
		case 0:
			number = 0;
			break;
		case 1:
			number = old + 1;
			break;
		case 2:
			number = old - 1;
			break;
		case 3:
			number = UINT32_MAX;
			break;
		case 4:
			number = (uint64_t)1 << (bits - 1);
			break;
		case 5:
			number = UINT64_MAX;
			break;
		case 6:
			number = below(d, 2 * d->image.nr_mblocks);
			break;
		case 7:
			number = old * 2;
			break;
		case 8:
			number = old ^ (uint64_t)1 << below(d, bits);
			break;
		default:
			number = next_random(&d->random);
		}
		number &= mask;
	} while (number == old);

	return number;
}

static void spoil32(struct damage *d, const char *what, le32 *field)
{
	uint32_t old = le32_get(*field);

	*field = le32_make((uint32_t)odd_number(d, old, 32));
	say(d, ", %s %u -> %u", what, old, le32_get(*field));
}

static void spoil64(struct damage *d, const char *what, le64 *field)
{
	uint64_t old = le64_get(*field);

	*field = le64_make(odd_number(d, old, 64));
	say(d, ", %s %llu -> %llu", what, (unsigned long long)old,
	    (unsigned long long)le64_get(*field));
}

/*---------------------------- bytes ----------------------------------------*/

/* At @from or behind it.  An odd number of flips cannot undo itself. */
static size_t flip(struct damage *d, unsigned from)
{
	size_t i = pick_block(d, NULL);
	unsigned nr_bits = 1 + 2 * (unsigned)(below(d, 2) * below(d, 4));
	char *bytes = image_data(&d->image, i);

	say_block(d, i);
	for (unsigned bit = 0; bit < nr_bits; bit++) {
		/* What is in use lies at the start, mostly. */
		unsigned room = below(d, 2) ? 64 : TPI_MBLOCK_BYTES;
		unsigned at = from + (unsigned)below(d, room - from);

		bytes[at] ^= (char)(1 << below(d, 8));
		say(d, ", byte %u", at);
	}

	return i;
}

static bool do_flip(struct damage *d)
{
	flip(d, 0);

	return true;
}

static bool do_flip_sealed(struct damage *d)
{
	image_seal(&d->image, flip(d, sizeof(struct tpi_block_header)));

	return true;
}

static bool do_zero(struct damage *d)
{
	size_t i = pick_block(d, NULL);

	say_block(d, i);
	memset(image_data(&d->image, i), 0, TPI_MBLOCK_BYTES);

	return true;
}

static bool do_noise(struct damage *d)
{
	size_t i = pick_block(d, NULL);
	unsigned from = TP_SECTOR_SIZE * below(d, 8);

	say_block(d, i);
	say(d, ", from byte %u on", from);
	fill_pattern((char *)image_data(&d->image, i) + from,
		     TPI_MBLOCK_BYTES - from, 0, next_random(&d->random));

	return true;
}

static bool do_cut(struct damage *d)
{
	size_t i = pick_block(d, NULL);
	tp_mblock from = d->image.blocks[i].number;

	say(d, "from block %llu on", (unsigned long long)from);
	memset(d->image.bytes + from * TPI_MBLOCK_BYTES, 0,
	       (d->image.nr_mblocks - from) * TPI_MBLOCK_BYTES);

	return true;
}

static bool do_number(struct damage *d)
{
	size_t i = pick_block(d, NULL);
	const struct image_block *block = &d->image.blocks[i];
	tp_mblock number = odd_number(d, block->number, 64);

	say_block(d, i);
	say(d, " says that it is %llu", (unsigned long long)number);
	image_seal_as(&d->image, block->number, block->role, number);

	return true;
}

/*---------------------------- pointers -------------------------------------*/

static bool redirect(struct damage *d, size_t i, tp_mblock to)
{
	const struct image_pointer *pointer = &d->image.pointers[i];
	le64 *place = image_pointer(&d->image, i);

	if (le64_get(*place) == to)
		return false;
	say_block(d, pointer->from);
	say(d, ", byte %u: pointer %llu -> %llu", pointer->at,
	    (unsigned long long)le64_get(*place), (unsigned long long)to);
	*place = le64_make(to);
	image_seal(&d->image, pointer->from);

	return true;
}

static bool redirect_to_role(struct damage *d, bool same)
{
	for (unsigned try = 0; try < NR_TRIES; try++) {
		size_t i = pick_pointer(d), to = pick_block(d, NULL);
		bool is_same = d->image.blocks[to].role ==
			       d->image.pointers[i].role;

		if (is_same == same &&
		    redirect(d, i, d->image.blocks[to].number))
			return true;
	}

	return false;
}

static bool do_crossed(struct damage *d)
{
	return redirect_to_role(d, true);
}

static bool do_foreign(struct damage *d)
{
	return redirect_to_role(d, false);
}

static bool do_cycle(struct damage *d)
{
	size_t i = pick_pointer(d), to = d->image.pointers[i].from;

	for (uint64_t up = below(d, 3); up; up--)
		to = d->image.blocks[to].parent;

	return redirect(d, i, d->image.blocks[to].number);
}

static bool do_to_free(struct damage *d)
{
	for (unsigned try = 0; try < NR_TRIES; try++) {
		tp_mblock to = below(d, d->image.nr_mblocks);

		if (!d->image.is_used[to])
			return redirect(d, pick_pointer(d), to);
	}

	return false;
}

static bool do_beyond(struct damage *d)
{
	tp_mblock to = odd_number(d, 0, 64);

	if (to < d->image.nr_mblocks)
		to += d->image.nr_mblocks;

	return redirect(d, pick_pointer(d), to);
}

static bool do_to_block_0(struct damage *d)
{
	return redirect(d, pick_pointer(d), 0);
}

/*---------------------------- nodes ----------------------------------------*/

static bool has_entries(const struct image *image, size_t i)
{
	return image_is_node(image, i) && tpi_node_nr(image_data(image, i));
}

static bool is_leaf_with_entries(const struct image *image, size_t i)
{
	return has_entries(image, i) && tpi_node_is_leaf(image_data(image, i));
}

/* A node that is so and one of its entries. */
static struct tpi_node *pick_entry(struct damage *d, size_t i, uint32_t *entry)
{
	struct tpi_node *node;

	if (i == SIZE_MAX || !has_entries(&d->image, i))
		return NULL;
	node = image_data(&d->image, i);
	*entry = (uint32_t)below(d, tpi_node_nr(node));
	say_block(d, i);
	say(d, ", entry %u", *entry);

	return node;
}

static bool do_node_header(struct damage *d)
{
	size_t i = pick_block(d, image_is_node);
	struct tpi_node *node;

	if (i == SIZE_MAX)
		return false;
	node = image_data(&d->image, i);
	say_block(d, i);
	switch (below(d, 4)) {
	case 0:
		spoil32(d, "flags", &node->header.flags);
		break;
	case 1:
		spoil32(d, "nr_entries", &node->nr_entries);
		break;
	case 2:
		spoil32(d, "max_entries", &node->max_entries);
		break;
	default:
		spoil32(d, "value_size", &node->value_size);
	}
	image_seal(&d->image, i);

	return true;
}

static bool do_nr_entries(struct damage *d)
{
	size_t i = pick_block(d, image_is_node);
	struct tpi_node *node;
	uint32_t nr;

	if (i == SIZE_MAX)
		return false;
	node = image_data(&d->image, i);
	nr = (uint32_t)below(d, tpi_node_max(node) + 1);
	if (nr == tpi_node_nr(node))
		return false;
	say_block(d, i);
	say(d, ", %u entries -> %u", tpi_node_nr(node), nr);
	node->nr_entries = le32_make(nr);
	image_seal(&d->image, i);

	return true;
}

static bool do_key(struct damage *d)
{
	size_t i = pick_block(d, has_entries);
	uint32_t entry;
	struct tpi_node *node = pick_entry(d, i, &entry);

	if (!node)
		return false;
	spoil64(d, "key", &node->keys[entry]);
	image_seal(&d->image, i);

	return true;
}

static bool do_lost_entry(struct damage *d)
{
	size_t i = pick_block(d, is_leaf_with_entries);
	uint32_t entry;
	struct tpi_node *node = pick_entry(d, i, &entry);

	if (!node)
		return false;
	tpi_node_erase(node, entry, entry + 1);
	image_seal(&d->image, i);

	return true;
}

/*---------------------------- whole blocks ---------------------------------*/

/* @content, of the block @from, is now that of @to, sealed to be there. */
static void put_content(struct damage *d, size_t from, const void *content,
			size_t to)
{
	tp_mblock place = d->image.blocks[to].number;

	memcpy(image_data(&d->image, to), content, TPI_MBLOCK_BYTES);
	image_seal_as(&d->image, place, d->image.blocks[from].role, place);
}

static bool move_content(struct damage *d, bool swap)
{
	size_t a = pick_block(d, NULL), b = pick_block(d, NULL);
	char content_a[TPI_MBLOCK_BYTES], content_b[TPI_MBLOCK_BYTES];
	size_t header = sizeof(struct tpi_block_header);

	memcpy(content_a, image_data(&d->image, a), TPI_MBLOCK_BYTES);
	memcpy(content_b, image_data(&d->image, b), TPI_MBLOCK_BYTES);
	if (!memcmp(content_a + header, content_b + header,
		    TPI_MBLOCK_BYTES - header))
		return false;
	say_block(d, a);
	say(d, swap ? " and " : " is also in ");
	say_block(d, b);
	put_content(d, a, content_a, b);
	if (swap)
		put_content(d, b, content_b, a);

	return true;
}

static bool do_swap(struct damage *d)
{
	return move_content(d, true);
}

static bool do_copy(struct damage *d)
{
	return move_content(d, false);
}

/*---------------------------- mappings and details -------------------------*/

static size_t pick_leaf(struct damage *d, enum image_role role)
{
	for (unsigned try = 0; try < NR_TRIES; try++) {
		size_t i = pick_of_role(d, role);

		if (i != SIZE_MAX && is_leaf_with_entries(&d->image, i))
			return i;
	}

	return SIZE_MAX;
}

/* A mapping somewhere; its block, for sealing. */
static le64 *pick_mapping(struct damage *d, size_t *i)
{
	struct tpi_node *node;
	uint32_t entry;

	*i = pick_leaf(d, IMAGE_MAPPINGS);
	node = pick_entry(d, *i, &entry);

	return node ? tpi_node_values(node, entry) : NULL;
}

static bool remap(struct damage *d, size_t i, le64 *value, tpi_mapping mapping)
{
	tpi_mapping old = le64_get(*value);

	if (old == mapping)
		return false;
	say(d, ": data block %llu, time %u -> %llu, %u",
	    (unsigned long long)tpi_mapping_dblock(old), tpi_mapping_time(old),
	    (unsigned long long)tpi_mapping_dblock(mapping),
	    tpi_mapping_time(mapping));
	*value = le64_make(mapping);
	image_seal(&d->image, i);

	return true;
}

static bool do_mapped_twice(struct damage *d)
{
	size_t i, other;
	le64 *value = pick_mapping(d, &i);
	const le64 *taken = value ? pick_mapping(d, &other) : NULL;

	return taken && remap(d, i, value, le64_get(*taken));
}

static bool do_mapped_beyond(struct damage *d)
{
	const struct tpi_disk_superblock *sb = image_superblock(&d->image);
	size_t i;
	le64 *value = pick_mapping(d, &i);
	tp_dblock end = le64_get(sb->data_space_map.root.nr_blocks);
	tp_dblock dblock = odd_number(d, end - 1, 40);

	if (!value)
		return false;
	if (dblock < end)
		dblock = end + dblock % 2;

	return remap(d, i, value, tpi_mapping_make(dblock, 0));
}

static bool do_mapping_time(struct damage *d)
{
	size_t i;
	le64 *value = pick_mapping(d, &i);

	if (!value)
		return false;

	return remap(d, i, value,
		     tpi_mapping_make(tpi_mapping_dblock(le64_get(*value)),
				      (uint32_t)below(d, TPI_TIME_MAX)));
}

static bool do_details(struct damage *d)
{
	size_t i = pick_leaf(d, IMAGE_DETAILS);
	uint32_t entry;
	struct tpi_node *node = pick_entry(d, i, &entry);
	struct tpi_disk_details *details;

	if (!node)
		return false;
	details = tpi_node_values(node, entry);
	switch (below(d, 4)) {
	case 0:
		spoil64(d, "mapped_blocks", &details->mapped_blocks);
		break;
	case 1:
		spoil64(d, "transaction_id", &details->transaction_id);
		break;
	case 2:
		spoil32(d, "creation_time", &details->creation_time);
		break;
	default:
		spoil32(d, "snapshotted_time", &details->snapshotted_time);
	}
	image_seal(&d->image, i);

	return true;
}

/*---------------------------- space maps -----------------------------------*/

/* Every other time a block that is in use, and now is not. */
static bool do_count(struct damage *d)
{
	size_t i = pick_of_role(d, below(d, 2) ? IMAGE_DATA_BITMAP
					       : IMAGE_METADATA_BITMAP);
	struct tpi_disk_bitmap *bitmap;
	unsigned room = below(d, 8) ? 256 : TPI_BITMAP_ENTRIES, at, old, count;

	if (i == SIZE_MAX)
		return false;
	bitmap = image_data(&d->image, i);
	at = (unsigned)below(d, room);
	old = tpi_bitmap_get(bitmap, at);
	count = old && below(d, 2) ? 0 : (old + 1 + (unsigned)below(d, 3)) % 4;
	tpi_bitmap_set(bitmap, at, count);
	say_block(d, i);
	say(d, ", entry %u: %u -> %u", at, old, count);
	image_seal(&d->image, i);

	return true;
}

static bool do_overflow_count(struct damage *d)
{
	size_t i = pick_leaf(d, below(d, 2) ? IMAGE_DATA_OVERFLOW
					    : IMAGE_METADATA_OVERFLOW);
	uint32_t entry;
	struct tpi_node *node = pick_entry(d, i, &entry);

	if (!node)
		return false;
	spoil32(d, "count", tpi_node_values(node, entry));
	image_seal(&d->image, i);

	return true;
}

static struct tpi_disk_index_entry *pick_index_entry(struct damage *d,
						     size_t *i)
{
	struct tpi_disk_index *index;
	struct tpi_node *node;
	uint32_t entry;

	if (below(d, 2)) {
		*i = pick_leaf(d, IMAGE_DATA_INDEX);
		node = pick_entry(d, *i, &entry);
		return node ? tpi_node_values(node, entry) : NULL;
	}
	*i = pick_of_role(d, IMAGE_METADATA_INDEX);
	if (*i == SIZE_MAX)
		return NULL;
	index = image_data(&d->image, *i);
	say_block(d, *i);

	return &index->entries[below(d, 2)];
}

static bool do_index_figures(struct damage *d)
{
	size_t i;
	struct tpi_disk_index_entry *entry = pick_index_entry(d, &i);

	if (!entry)
		return false;
	if (below(d, 2))
		spoil32(d, "nr_free", &entry->nr_free);
	else
		spoil32(d, "none_free_before", &entry->none_free_before);
	image_seal(&d->image, i);

	return true;
}

static bool do_map_figures(struct damage *d)
{
	struct tpi_disk_superblock *sb = image_superblock(&d->image);
	bool of_data = below(d, 2);
	struct tpi_disk_space_map_root *root =
		of_data ? &sb->data_space_map.root
			: &sb->metadata_space_map.root;

	say(d, of_data ? "data space map" : "metadata space map");
	if (below(d, 2))
		spoil64(d, "nr_blocks", &root->nr_blocks);
	else
		spoil64(d, "nr_allocated", &root->nr_allocated);
	image_seal(&d->image, 0);

	return true;
}

/*---------------------------- superblock -----------------------------------*/

#define FIELD(field)                                                           \
	{                                                                      \
#field, offsetof(struct tpi_disk_superblock, field),           \
			sizeof(((struct tpi_disk_superblock *)0)->field) == 8  \
	}

static const struct {
	const char *name;
	size_t at;
	bool is_64_bits;
} superblock_fields[] = {
	FIELD(header.flags),
	FIELD(magic),
	FIELD(version),
	FIELD(time),
	FIELD(transaction_id),
	FIELD(held_root),
	FIELD(data_block_size),
	FIELD(metadata_block_size),
	FIELD(metadata_nr_blocks),
	FIELD(compat_flags),
	FIELD(compat_ro_flags),
	FIELD(incompat_flags),
};

static bool do_superblock_field(struct damage *d)
{
	size_t held = image_find(&d->image, IMAGE_HELD_SUPERBLOCK, 0);
	size_t i = held != SIZE_MAX && below(d, 2) ? held : 0;
	size_t field = below(d, TPI_ARRAY_SIZE(superblock_fields));
	void *place =
		(char *)image_data(&d->image, i) + superblock_fields[field].at;

	say_block(d, i);
	if (superblock_fields[field].is_64_bits)
		spoil64(d, superblock_fields[field].name, place);
	else
		spoil32(d, superblock_fields[field].name, place);
	image_seal(&d->image, i);

	return true;
}

/*---------------------------- all of them ----------------------------------*/

static const struct {
	const char *name;
	bool (*fn)(struct damage *d);
} kinds[DAMAGE_NR_KINDS] = {
	[DAMAGE_FLIP] = { "flipped bits", do_flip },
	[DAMAGE_ZERO] = { "zero", do_zero },
	[DAMAGE_NOISE] = { "noise", do_noise },
	[DAMAGE_CUT] = { "cut", do_cut },
	[DAMAGE_FLIP_SEALED] = { "flipped bits, sealed", do_flip_sealed },
	[DAMAGE_NUMBER] = { "number", do_number },
	[DAMAGE_CROSSED] = { "crossed pointer", do_crossed },
	[DAMAGE_FOREIGN] = { "foreign pointer", do_foreign },
	[DAMAGE_CYCLE] = { "cycle", do_cycle },
	[DAMAGE_TO_FREE] = { "pointer to a free block", do_to_free },
	[DAMAGE_BEYOND] = { "wild pointer", do_beyond },
	[DAMAGE_TO_BLOCK_0] = { "null pointer", do_to_block_0 },
	[DAMAGE_NODE_HEADER] = { "node header", do_node_header },
	[DAMAGE_NR_ENTRIES] = { "number of entries", do_nr_entries },
	[DAMAGE_KEY] = { "key", do_key },
	[DAMAGE_LOST_ENTRY] = { "lost entry", do_lost_entry },
	[DAMAGE_SWAP] = { "swapped blocks", do_swap },
	[DAMAGE_COPY] = { "copied block", do_copy },
	[DAMAGE_MAPPED_TWICE] = { "mapped twice", do_mapped_twice },
	[DAMAGE_MAPPED_BEYOND] = { "mapped beyond the end", do_mapped_beyond },
	[DAMAGE_MAPPING_TIME] = { "time of a mapping", do_mapping_time },
	[DAMAGE_DETAILS] = { "details", do_details },
	[DAMAGE_COUNT] = { "count", do_count },
	[DAMAGE_OVERFLOW_COUNT] = { "overflow count", do_overflow_count },
	[DAMAGE_INDEX_FIGURES] = { "figures of a bitmap", do_index_figures },
	[DAMAGE_MAP_FIGURES] = { "figures of a map", do_map_figures },
	[DAMAGE_SUPERBLOCK_FIELD] = { "field", do_superblock_field },
};

const char *damage_kind_name(enum damage_kind kind)
{
	return kinds[kind].name;
}

/* Adds to the report, or leaves it as it was. */
static bool add(void *bytes, uint64_t size_bytes, enum damage_kind kind,
		uint64_t seed, struct damage_report *report)
{
	struct damage d = { .random = mix(seed), .report = report };
	size_t said = strlen(report->text);
	bool done;

	say(&d, "%s%s: ", said ? "; " : "", kinds[kind].name);
	image_survey(&d.image, bytes, size_bytes);
	done = kinds[kind].fn(&d);
	image_exit(&d.image);
	if (!done)
		report->text[said] = 0;

	return done;
}

bool damage_do(void *bytes, uint64_t size_bytes, enum damage_kind kind,
	       uint64_t seed, struct damage_report *report)
{
	report->text[0] = 0;

	return add(bytes, size_bytes, kind, seed, report);
}

void damage_apply(void *bytes, uint64_t size_bytes, uint64_t seed,
		  struct damage_report *report)
{
	uint64_t random = mix(~seed);
	unsigned nr = random_in(&random, 0, 3)
			      ? 1
			      : (unsigned)random_in(&random, 2, 5);

	report->text[0] = 0;
	while (nr)
		nr -= add(bytes, size_bytes,
			  (enum damage_kind)random_in(&random, 0,
						      DAMAGE_NR_KINDS),
			  next_random(&random), report);
}

/*---------------------------- lost writes ----------------------------------*/

bool damage_lost_write(void *bytes, const void *older, uint64_t size_bytes,
		       uint64_t seed, struct damage_report *report)
{
	struct damage d = { .random = mix(seed), .report = report };
	bool done = false;

	report->text[0] = 0;
	image_survey(&d.image, bytes, size_bytes);
	for (unsigned try = 0; try < NR_TRIES && !done; try++) {
		size_t i = pick_block(&d, NULL);
		const char *old = (const char *)older +
				  d.image.blocks[i].number * TPI_MBLOCK_BYTES;

		done = memcmp(image_data(&d.image, i), old, TPI_MBLOCK_BYTES);
		if (!done)
			continue;
		memcpy(image_data(&d.image, i), old, TPI_MBLOCK_BYTES);
		say(&d, "lost write: ");
		say_block(&d, i);
	}
	image_exit(&d.image);

	return done;
}
