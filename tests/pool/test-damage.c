/*
 * The tools that break metadata on purpose do what they say, so that tests
 * which rely on them test something (F-21 to F-24).
 */
#include <stdlib.h>

#include "support/damage.h"
#include "support/metadata-image.h"
#include "support/world.h"

#define THIN_BYTES (8 * MIB)
#define NR_SEEDS 40

static struct world w;
static char *before;

/* Blocks of every role, with counts beyond what a bitmap can hold. */
static void setup(int kind)
{
	struct tp_thin *thin;

	world_begin(&w, kind);
	thin = world_new_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, 2 * MIB, 1);
	for (uint32_t id = 1; id < 5; id++) {
		ck_ok(tp_thin_close(world_snapshot(&w, id, 0, THIN_BYTES)));
		thin_fill(thin, id * MIB / 4, 3 * WORLD_BLOCK, 1 + id);
	}
	for (uint32_t id = 5; id < 8; id++)
		ck_ok(tp_thin_close(world_snapshot(&w, id, 0, THIN_BYTES)));
	ck_ok(tp_pool_reserve_metadata_snapshot(w.pool));
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	world_check(&w);
	before = snapshot_of(&w.metadata);
}

static void teardown(void)
{
	free(before);
	world_unmake(&w);
}

static void put_back(void)
{
	memcpy(w.metadata.bytes, before, w.metadata.size_bytes);
}

static bool is_role_sealed(const char *bytes, tp_mblock number,
			   const struct tpi_validator *validator)
{
	struct tpi_validator plain = *validator;

	plain.check = NULL;

	return !tpi_validate(&plain, number, bytes + number * 4096);
}

/* As a block of any kind. */
static bool is_sealed(const char *bytes, tp_mblock number)
{
	return is_role_sealed(bytes, number, &tpi_superblock_validator) ||
	       is_role_sealed(bytes, number, &tpi_node_validator) ||
	       is_role_sealed(bytes, number, &tpi_index_validator) ||
	       is_role_sealed(bytes, number, &tpi_bitmap_validator);
}

START_TEST(test_a_survey_finds_blocks_of_every_role)
{
	struct image image;

	setup(_i);
	image_survey(&image, w.metadata.bytes, w.metadata.size_bytes);
	for (int role = 0; role < IMAGE_NR_ROLES; role++)
		ck_assert_msg(image_count(&image, (enum image_role)role),
			      "no %s", image_role_name((enum image_role)role));
	for (size_t i = 0; i < image.nr_blocks; i++) {
		ck_assert(is_sealed(before, image.blocks[i].number));
		image_seal(&image, i);
	}
	ck_assert(is_same(&w.metadata, before));
	ck_assert_uint_eq(
		image.nr_blocks,
		le64_get(image_superblock(&image)
				 ->metadata_space_map.root.nr_allocated));
	image_exit(&image);
	teardown();
}
END_TEST

/* Whether blocks are still sealed tells the two classes of damage apart. */
static void check_damage(enum damage_kind kind, const char *text)
{
	bool sealed = true;
	struct image image;

	ck_assert_msg(!is_same(&w.metadata, before), "%s", text);
	image_survey(&image, before, w.metadata.size_bytes);
	for (size_t i = 0; i < image.nr_blocks; i++)
		if (!is_sealed(w.metadata.bytes, image.blocks[i].number))
			sealed = false;
	image_exit(&image);
	if (kind != DAMAGE_NUMBER)
		ck_assert_msg(sealed == (kind > DAMAGE_LAST_UNSEALED), "%s",
			      text);
}

START_TEST(test_each_kind_of_damage_changes_the_image)
{
	setup(_i);
	for (int kind = 0; kind < DAMAGE_NR_KINDS; kind++) {
		unsigned nr = 0;

		for (uint64_t seed = 0; seed < NR_SEEDS; seed++) {
			struct damage_report report;

			put_back();
			if (!damage_do(w.metadata.bytes, w.metadata.size_bytes,
				       (enum damage_kind)kind, seed, &report)) {
				ck_assert(is_same(&w.metadata, before));
				continue;
			}
			nr++;
			check_damage((enum damage_kind)kind, report.text);
		}
		ck_assert_msg(nr > NR_SEEDS / 4, "%s: %u times of %u",
			      damage_kind_name((enum damage_kind)kind), nr,
			      NR_SEEDS);
	}
	teardown();
}
END_TEST

START_TEST(test_the_same_seed_does_the_same_damage)
{
	struct damage_report first, second;
	char *broken;

	setup(_i);
	for (uint64_t seed = 0; seed < NR_SEEDS; seed++) {
		put_back();
		damage_apply(w.metadata.bytes, w.metadata.size_bytes, seed,
			     &first);
		ck_assert(!is_same(&w.metadata, before));
		broken = snapshot_of(&w.metadata);
		put_back();
		damage_apply(w.metadata.bytes, w.metadata.size_bytes, seed,
			     &second);
		ck_assert_str_eq(first.text, second.text);
		ck_assert(is_same(&w.metadata, broken));
		free(broken);
	}
	teardown();
}
END_TEST

START_TEST(test_a_lost_write_leaves_a_block_that_was_right_once)
{
	struct damage_report report;
	struct tp_thin *thin;

	setup(_i);
	world_open(&w);
	thin = world_open_thin(&w, 0, THIN_BYTES);
	thin_fill(thin, 0, WORLD_BLOCK, 100);
	ck_ok(tp_thin_close(thin));
	world_close(&w);
	for (uint64_t seed = 0; seed < NR_SEEDS; seed++) {
		char *whole = snapshot_of(&w.metadata);

		ck_assert(damage_lost_write(w.metadata.bytes, before,
					    w.metadata.size_bytes, seed,
					    &report));
		ck_assert(!is_same(&w.metadata, whole));
		memcpy(w.metadata.bytes, whole, w.metadata.size_bytes);
		free(whole);
	}
	teardown();
}
END_TEST

int main(void)
{
	return RUN_TESTS("damage", 1, test_a_survey_finds_blocks_of_every_role,
			 test_each_kind_of_damage_changes_the_image,
			 test_the_same_seed_does_the_same_damage,
			 test_a_lost_write_leaves_a_block_that_was_right_once);
}
