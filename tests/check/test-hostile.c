/*
 * Metadata that somebody made to do harm: checking it ends, and soon, without a
 * crash and without more memory than there is metadata to speak of (F-23).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btree/btree.h"
#include "check/checking.h"
#include "pool/mapping.h"
#include "support/damage.h"
#include "support/pattern.h"

#define QUICK_SEEDS 300
#define MANY_SEEDS 20000

/*---------------------------- at random ------------------------------------*/

/* What one thread finds, others find. */
static void check_both_ways(char *bytes)
{
	struct byte_device device;
	struct checked one, many;

	byte_device_init(&device, bytes, IMAGE_BYTES);
	check_device(device.device, 0, 1, &one);
	check_device(device.device, 0, 4, &many);
	byte_device_exit(&device);
	ck_ok(one.result);
	ck_ok(many.result);
	ck_assert_str_eq(one.told, many.told);
	checked_exit(&one);
	checked_exit(&many);
}

/* A repair of whatever it is changes nothing, or leaves it clean. */
static void repair(char *bytes)
{
	char *before = malloc(IMAGE_BYTES);
	struct checked checked;

	memcpy(before, bytes, IMAGE_BYTES);
	check_bytes(bytes, TP_CHECK_REPAIR_LEAKS | TP_CHECK_CLEAR_NEEDS_CHECK,
		    &checked);
	if (!checked.report.repaired && !checked.report.cleared_needs_check)
		ck_assert_int_eq(memcmp(bytes, before, IMAGE_BYTES), 0);
	if (checked.report.repaired) {
		checked_exit(&checked);
		check_bytes(bytes, 0, &checked);
		ck_assert_uint_eq(
			checked.report.nr_findings,
			checked.report.nr_warnings +
				checked.report.nr_by_kind[TP_FOUND_UNDERFULL]);
	}
	checked_exit(&checked);
	free(before);
}

/* TEST_SEED: only this one. */
START_TEST(test_any_damage_can_be_checked)
{
	uint64_t nr = getenv("CHECK_EVERYTHING") ? MANY_SEEDS : QUICK_SEEDS;
	char *sound = make_image(), *bytes = malloc(IMAGE_BYTES);
	uint64_t begin = seed_from_environment(0);
	struct damage_report damage;

	if (getenv("TEST_SEED"))
		nr = 1;
	for (uint64_t seed = begin; seed < begin + nr; seed++) {
		memcpy(bytes, sound, IMAGE_BYTES);
		for (uint64_t i = 0; i <= seed % 4; i++)
			damage_apply(bytes, IMAGE_BYTES, mix(seed) + i,
				     &damage);
		check_both_ways(bytes);
		repair(bytes);
	}
	free(bytes);
	free(sound);
}
END_TEST

/*---------------------------- made by hand ---------------------------------*/

#define FIRST_FREE 300
#define NR_CHILDREN 252u

static void put_node(struct image *image, tp_mblock block,
		     const struct tpi_node *node)
{
	memcpy(image->bytes + block * TPI_MBLOCK_BYTES, node, TPI_MBLOCK_BYTES);
	image_seal_as(image, block, IMAGE_MAPPINGS, block);
}

static void set_thin(struct image *image, uint32_t nr, tp_mblock root)
{
	size_t i = image_find(image, IMAGE_THINS, 0);

	tpi_node_set_child(image_data(image, i), nr, root);
	image_seal(image, i);
}

static void set_first_thin(struct image *image, tp_mblock root)
{
	set_thin(image, 0, root);
}

/* 252 to the power of 14 ways lead to the leaf. */
START_TEST(test_ways_without_number_are_not_all_taken)
{
	union {
		struct tpi_node node;
		char bytes[TPI_MBLOCK_BYTES];
	} block;
	char *bytes = make_image();
	struct checked checked;
	struct image image;

	image_survey(&image, bytes, IMAGE_BYTES);
	for (tp_mblock i = 0; i < 14; i++) {
		tpi_node_init(&block.node, TPI_NODE_INTERNAL, TPI_CHILD_SIZE);
		for (uint32_t j = 0; j < NR_CHILDREN; j++)
			tpi_node_insert_child(&block.node, j, j,
					      FIRST_FREE + i + 1);
		put_node(&image, FIRST_FREE + i, &block.node);
	}
	tpi_node_init(&block.node, TPI_NODE_LEAF, sizeof(le64));
	put_node(&image, FIRST_FREE + 14, &block.node);
	set_first_thin(&image, FIRST_FREE);
	image_exit(&image);

	check_bytes(bytes, 0, &checked);
	ck_ok(checked.result);
	ck_assert_int_eq(checked.report.worst, TP_CHECK_CORRUPTION);
	ck_assert_uint_lt(checked.report.nr_blocks_read, 150);
	checked_exit(&checked);
	free(bytes);
}
END_TEST

/* The second entry for a bitmap is wrong; that is no reason not to count what it
 * is for. */
START_TEST(test_an_index_that_has_a_bitmap_twice_hides_nothing)
{
	char *bytes = make_image();
	struct damage_report damage;
	struct checked checked;
	struct image image;
	struct tpi_node *index;
	uint32_t nr;

	ck_assert(
		damage_do(bytes, IMAGE_BYTES, DAMAGE_MAPPED_TWICE, 2, &damage));
	image_survey(&image, bytes, IMAGE_BYTES);
	index = image_data(&image, image_find(&image, IMAGE_DATA_INDEX, 0));
	nr = tpi_node_nr(index);
	index->nr_entries = le32_make(nr + 1);
	tpi_node_set_key(index, nr, 0);
	memcpy(tpi_node_values(index, nr), tpi_node_values(index, 0),
	       sizeof(struct tpi_disk_index_entry));
	image_seal(&image, image_find(&image, IMAGE_DATA_INDEX, 0));
	image_exit(&image);
	check_bytes(bytes, 0, &checked);
	ck_ok(checked.result);
	ck_assert_uint_gt(checked.report.nr_by_kind[TP_FOUND_KEY_ORDER], 0);
	ck_assert_uint_gt(checked.report.nr_by_kind[TP_FOUND_MAPPED_TWICE], 0);
	checked_exit(&checked);
	free(bytes);
}
END_TEST

/* A chain of nodes, one beneath the other, and a leaf. */
static void put_chain(struct image *image, unsigned nr_levels)
{
	union {
		struct tpi_node node;
		char bytes[TPI_MBLOCK_BYTES];
	} block;

	for (tp_mblock i = 0; i + 1 < nr_levels; i++) {
		tpi_node_init(&block.node, TPI_NODE_INTERNAL, TPI_CHILD_SIZE);
		tpi_node_insert_child(&block.node, 0, 0, FIRST_FREE + i + 1);
		put_node(image, FIRST_FREE + i, &block.node);
	}
	tpi_node_init(&block.node, TPI_NODE_LEAF, sizeof(le64));
	put_node(image, FIRST_FREE + nr_levels - 1, &block.node);
}

/* The lower half is the first thin's tree too, and was seen there before it is
 * met again, as a part of what is too deep. */
START_TEST(test_a_tree_is_too_deep_even_if_each_part_of_it_is_not)
{
	static const unsigned levels[] = { TPI_BTREE_MAX_DEPTH,
					   TPI_BTREE_MAX_DEPTH + 1, 24 };

	for (unsigned i = 0; i < 3; i++) {
		char *bytes = make_image();
		struct checked checked;
		struct image image;
		uint64_t *nr_found;

		image_survey(&image, bytes, IMAGE_BYTES);
		put_chain(&image, levels[i]);
		set_thin(&image, 0, FIRST_FREE + levels[i] / 2);
		set_thin(&image, 1, FIRST_FREE);
		image_exit(&image);
		check_bytes(bytes, 0, &checked);
		ck_ok(checked.result);
		nr_found = &checked.report.nr_by_kind[TP_FOUND_DEPTH];
		ck_assert_uint_eq(*nr_found > 0,
				  levels[i] > TPI_BTREE_MAX_DEPTH);
		checked_exit(&checked);
		free(bytes);
	}
}
END_TEST

/* Mappings to as many bitmaps' blocks as there could be. */
START_TEST(test_mappings_all_over_take_no_memory)
{
	union {
		struct tpi_node node;
		char bytes[TPI_MBLOCK_BYTES];
	} block;
	char *bytes = make_image();
	struct tpi_disk_superblock *sb;
	struct checked checked;
	struct image image;
	le64 *values;

	image_survey(&image, bytes, IMAGE_BYTES);
	sb = image_superblock(&image);
	sb->data_space_map.root.nr_blocks = le64_make(512 * 16320);
	image_seal(&image, 0);
	tpi_node_init(&block.node, TPI_NODE_LEAF, sizeof(le64));
	block.node.nr_entries = le32_make(NR_CHILDREN);
	values = tpi_node_values(&block.node, 0);
	for (uint32_t i = 0; i < NR_CHILDREN; i++) {
		tpi_node_set_key(&block.node, i, (uint64_t)i << 40);
		values[i] = le64_make(tpi_mapping_make(i * 16320 * 2, 0));
	}
	put_node(&image, FIRST_FREE, &block.node);
	set_first_thin(&image, FIRST_FREE);
	image_exit(&image);

	check_bytes(bytes, 0, &checked);
	ck_ok(checked.result);
	ck_assert_uint_eq(checked.report.nr_by_kind[TP_FOUND_INDEX_KEYS], 1);
	checked_exit(&checked);
	free(bytes);
}
END_TEST

int main(void)
{
	free(make_image());

	return RUN_TESTS("check/hostile", 1, test_any_damage_can_be_checked,
			 test_ways_without_number_are_not_all_taken,
			 test_an_index_that_has_a_bitmap_twice_hides_nothing,
			 test_a_tree_is_too_deep_even_if_each_part_of_it_is_not,
			 test_mappings_all_over_take_no_memory);
}
