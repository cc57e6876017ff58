/*
 * The oracle, on histories made by hand: what it must allow, and what it must
 * find (crash-contract, 4 to 8).
 */
#include <errno.h>
#include <string.h>

#include "simulator/oracle.h"
#include "simulator/tag.h"
#include "support/run-tests.h"

#define SEED 7
#define BLOCK 128
#define ID 1
#define SNAPSHOT_ID 2
#define OTHER_ID 3

static struct oracle *oracle;
static struct verdict verdict;

static void create(uint32_t id)
{
	struct control control = {
		.kind = CONTROL_CREATE,
		.pairs = { { .id = id } },
		.nr_pairs = 1,
		.nr_sectors = 3 * BLOCK,
	};

	oracle_control_begin(oracle, &control);
	oracle_control_end(oracle, 0, false);
}

static void begin(void)
{
	struct rules rules = {
		.seed = SEED,
		.block_sectors = BLOCK,
		.zeroing = true,
	};
	struct facts facts = { .data_blocks = 10, .metadata_blocks = 100 };

	verdict.broken = false;
	oracle = oracle_new(&rules, &facts);
	create(ID);
	create(OTHER_ID);
}

static void end(void)
{
	oracle_free(oracle);
}

static uint32_t submit(enum tp_op op, unsigned flags, uint32_t id,
		       uint64_t first, uint64_t nr)
{
	struct operation operation = {
		.op = op,
		.flags = flags,
		.volume = oracle_find(oracle, id)->number,
		.begin = first,
		.end = first + nr,
	};

	return oracle_submit(oracle, &operation);
}

static void finish(uint32_t number, int status)
{
	ck_assert(oracle_end(oracle, number, status, NULL, &verdict));
}

static uint32_t write_of(uint32_t id, uint64_t first, uint64_t nr)
{
	uint32_t number = submit(TP_WRITE, 0, id, first, nr);

	finish(number, 0);

	return number;
}

static void flush(uint32_t id)
{
	finish(submit(TP_FLUSH, 0, id, 0, 0), 0);
}

/*---------------------------- what is found --------------------------------*/

#define ZEROES 0

/* The sector holds @number's data, or zeroes. */
static void make(void *bytes, uint64_t sector, uint32_t number)
{
	struct tag tag = {
		.seed = SEED,
		.sector = sector,
		.operation = number,
	};

	memset(bytes, 0, SECTOR_BYTES);
	if (number == ZEROES)
		return;
	tag.volume = history_get(&oracle->history, number)->volume;
	tag_write(bytes, &tag);
}

static bool may_be_there(uint32_t id, uint64_t sector, uint32_t number,
			 bool was_crash)
{
	char bytes[SECTOR_BYTES];
	struct verdict what = { .broken = false };
	struct oracle *copy = oracle_copy(oracle);
	bool right;

	make(bytes, sector, number);
	right = oracle_found(copy, id, sector, sector + 1, was_crash, bytes,
			     &what);
	ck_assert_int_eq(right, !what.broken);
	oracle_free(copy);

	return right;
}

/* May that be there after a crash? */
static bool may_be_left(uint32_t id, uint64_t sector, uint32_t number)
{
	return may_be_there(id, sector, number, true);
}

/* Or when the pool was closed, and is opened again? */
static bool may_be_found(uint32_t id, uint64_t sector, uint32_t number)
{
	return may_be_there(id, sector, number, false);
}

/* A read does return it, and that is right? */
static bool is_read(uint32_t id, uint64_t sector, uint32_t number)
{
	char bytes[SECTOR_BYTES];
	struct verdict what = { .broken = false };
	uint32_t read = submit(TP_READ, 0, id, sector, 1);

	make(bytes, sector, number);

	return oracle_end(oracle, read, 0, bytes, &what);
}

/* May a read that is submitted now return it? */
static bool may_be_read(uint32_t id, uint64_t sector, uint32_t number)
{
	struct oracle *real = oracle;
	bool may_be;

	oracle = oracle_copy(real);
	may_be = is_read(id, sector, number);
	oracle_free(oracle);
	oracle = real;

	return may_be;
}

/*---------------------------- bios -----------------------------------------*/

/* R1, 6.1 */
START_TEST(test_a_write_is_read_at_once_and_survives_perhaps)
{
	uint32_t write;

	begin();
	write = write_of(ID, 3, 1);
	ck_assert(may_be_read(ID, 3, write));
	ck_assert(!may_be_read(ID, 3, ZEROES));
	ck_assert(may_be_left(ID, 3, write));
	ck_assert(may_be_left(ID, 3, ZEROES));
	ck_assert(!may_be_left(ID, 4, write));
	ck_assert(!may_be_left(OTHER_ID, 3, write));
	end();
}
END_TEST

/* S2: what was submitted after it ended; on its volume alone. */
START_TEST(test_a_flush_seals_what_ended_before_it_began)
{
	uint32_t first, late, other, number;

	begin();
	first = write_of(ID, 0, 1);
	other = write_of(OTHER_ID, 0, 1);
	late = submit(TP_WRITE, 0, ID, 1, 1);
	number = submit(TP_FLUSH, 0, ID, 0, 0);
	finish(late, 0);
	finish(number, 0);
	ck_assert(!may_be_left(ID, 0, ZEROES));
	ck_assert(may_be_left(ID, 0, first));
	ck_assert(may_be_left(ID, 1, ZEROES));
	ck_assert(may_be_left(OTHER_ID, 0, ZEROES));
	ck_assert(may_be_left(OTHER_ID, 0, other));
	end();
}
END_TEST

/* A flush that failed seals nothing; S1, S3. */
START_TEST(test_fua_and_calls_seal_too_and_failures_do_not)
{
	struct control commit = { .kind = CONTROL_COMMIT };
	uint32_t fua;

	begin();
	write_of(ID, 0, 1);
	finish(submit(TP_FLUSH, 0, ID, 0, 0), -EIO);
	ck_assert(may_be_left(ID, 0, ZEROES));
	fua = submit(TP_WRITE, TP_FUA, ID, 1, 1);
	ck_assert(may_be_left(ID, 1, ZEROES));
	finish(fua, 0);
	ck_assert(!may_be_left(ID, 1, ZEROES));
	write_of(OTHER_ID, 0, 1);
	oracle_control_begin(oracle, &commit);
	ck_assert(may_be_left(OTHER_ID, 0, ZEROES));
	oracle_control_end(oracle, 0, false);
	ck_assert(!may_be_left(OTHER_ID, 0, ZEROES));
	ck_assert(!may_be_left(ID, 0, ZEROES));
	end();
}
END_TEST

/* Two in flight together are in no order. */
START_TEST(test_of_concurrent_writes_either_may_win)
{
	uint32_t a, b;

	begin();
	a = submit(TP_WRITE, 0, ID, 0, 1);
	b = submit(TP_WRITE, 0, ID, 0, 1);
	finish(b, 0);
	finish(a, 0);
	flush(ID);
	ck_assert(may_be_left(ID, 0, a));
	ck_assert(may_be_left(ID, 0, b));
	ck_assert(!may_be_left(ID, 0, ZEROES));
	b = write_of(ID, 0, 1);
	flush(ID);
	ck_assert(!may_be_left(ID, 0, a));
	ck_assert(may_be_left(ID, 0, b));
	end();
}
END_TEST

/* 6.2 */
START_TEST(test_a_discard_is_of_whole_blocks)
{
	uint32_t write;

	begin();
	write = write_of(ID, 0, 3 * BLOCK);
	flush(ID);
	finish(submit(TP_DISCARD, 0, ID, 1, 2 * BLOCK), 0);
	ck_assert(may_be_read(ID, BLOCK, ZEROES));
	ck_assert(!may_be_read(ID, BLOCK, write));
	ck_assert(may_be_left(ID, BLOCK, write));
	ck_assert(!may_be_left(ID, 1, ZEROES));
	ck_assert(!may_be_left(ID, 2 * BLOCK, ZEROES));
	flush(ID);
	ck_assert(!may_be_left(ID, BLOCK, write));
	end();
}
END_TEST

/* 6.2: through a handle that shows more than the volume's sectors, the short
 * last block is a whole one. */
START_TEST(test_a_discard_past_the_end_unmaps_a_short_last_block)
{
	struct control control = {
		.kind = CONTROL_CREATE,
		.pairs = { { .id = OTHER_ID + 1 } },
		.nr_pairs = 1,
		.nr_sectors = BLOCK + 10,
	};
	uint32_t write, id = control.pairs[0].id;

	begin();
	oracle_control_begin(oracle, &control);
	oracle_control_end(oracle, 0, false);
	write = write_of(id, 0, BLOCK + 10);
	flush(id);
	finish(submit(TP_DISCARD, 0, id, 0, BLOCK + 10), 0);
	ck_assert(may_be_read(id, BLOCK, write));
	ck_assert(!may_be_read(id, BLOCK, ZEROES));
	finish(submit(TP_DISCARD, 0, id, 0, 1 << 20), 0);
	ck_assert(may_be_read(id, BLOCK + 9, ZEROES));
	ck_assert(!may_be_read(id, BLOCK + 9, write));
	ck_assert(may_be_left(id, BLOCK + 9, write));
	end();
}
END_TEST

/* R2, R4 */
START_TEST(test_a_failed_write_may_be_done_one_without_space_is_not)
{
	uint32_t failed, refused;

	begin();
	failed = submit(TP_WRITE, 0, ID, 0, 1);
	finish(failed, -EIO);
	ck_assert(may_be_read(ID, 0, failed));
	ck_assert(may_be_read(ID, 0, ZEROES));
	refused = submit(TP_WRITE, 0, ID, BLOCK, 1);
	finish(refused, -ENOSPC);
	ck_assert(!may_be_read(ID, BLOCK, refused));
	ck_assert(!may_be_left(ID, BLOCK, refused));
	end();
}
END_TEST

/* A1: what was acknowledged and is not sealed may be gone. */
START_TEST(test_a_rollback_puts_what_is_not_sealed_in_doubt)
{
	uint32_t sealed, lost, after;

	begin();
	sealed = write_of(ID, 0, 1);
	flush(ID);
	lost = write_of(ID, 0, 1);
	ck_assert(!may_be_read(ID, 0, sealed));
	oracle_rolled_back(oracle);
	ck_assert(may_be_read(ID, 0, sealed));
	ck_assert(may_be_read(ID, 0, lost));
	ck_assert(!may_be_read(ID, 0, ZEROES));
	after = write_of(ID, 0, 1);
	ck_assert(may_be_read(ID, 0, after));
	ck_assert(!may_be_read(ID, 0, lost));
	end();
}
END_TEST

/* A1: it counts as a crash, once; but to the devices nothing has happened. */
START_TEST(test_what_was_read_after_a_rollback_stays)
{
	uint32_t sealed, lost, second;

	begin();
	sealed = write_of(ID, 0, 1);
	flush(ID);
	lost = write_of(ID, 0, 1);
	second = write_of(ID, 0, 1);
	oracle_rolled_back(oracle);
	ck_assert(is_read(ID, 0, lost));
	ck_assert(may_be_read(ID, 0, lost));
	ck_assert(!may_be_read(ID, 0, sealed));
	ck_assert(!may_be_read(ID, 0, second));
	ck_assert(may_be_left(ID, 0, sealed));
	ck_assert(may_be_left(ID, 0, second));
	ck_assert(may_be_found(ID, 0, lost));
	ck_assert(!may_be_found(ID, 0, sealed));
	ck_assert(!may_be_found(ID, 0, second));
	end();
}
END_TEST

/* R1: a read that was submitted before may have been there before, too. */
START_TEST(test_a_read_settles_nothing_for_one_that_was_submitted_before)
{
	char bytes[SECTOR_BYTES];
	struct verdict what = { .broken = false };
	uint32_t before, early;

	begin();
	before = write_of(ID, 0, 1);
	oracle_rolled_back(oracle);
	early = submit(TP_READ, 0, ID, 0, 1);
	finish(submit(TP_DISCARD, 0, ID, 0, BLOCK), 0);
	ck_assert(is_read(ID, 0, ZEROES));
	ck_assert(!may_be_read(ID, 0, before));
	make(bytes, 0, before);
	ck_assert(oracle_end(oracle, early, 0, bytes, &what));
	end();
}
END_TEST

/* One read sees what is in flight, and the next does not (D7). */
START_TEST(test_what_is_in_flight_is_not_settled_by_a_read)
{
	uint32_t before, during;

	begin();
	before = write_of(ID, 0, 1);
	oracle_rolled_back(oracle);
	during = submit(TP_WRITE, 0, ID, 0, 1);
	ck_assert(is_read(ID, 0, during));
	ck_assert(is_read(ID, 0, before));
	ck_assert(is_read(ID, 0, during));
	ck_assert(!may_be_read(ID, 0, ZEROES));
	finish(during, 0);
	ck_assert(may_be_read(ID, 0, during));
	ck_assert(!may_be_read(ID, 0, before));
	end();
}
END_TEST

/*---------------------------- snapshots ------------------------------------*/

static struct control snapshot_call(void)
{
	return (struct control){
		.kind = CONTROL_SNAPSHOT,
		.pairs = { { .id = SNAPSHOT_ID, .origin = ID } },
		.nr_pairs = 1,
	};
}

/* Found so after a crash; are the snapshots then of one instant? */
static bool are_found(uint64_t a, uint32_t of_a, uint64_t b, uint32_t of_b)
{
	char bytes[SECTOR_BYTES];
	struct verdict what = { .broken = false };
	struct oracle *copy = oracle_copy(oracle);
	bool right;

	make(bytes, a, of_a);
	ck_assert(oracle_found(copy, SNAPSHOT_ID, a, a + 1, true, bytes,
			       &verdict));
	make(bytes, b, of_b);
	ck_assert(oracle_found(copy, SNAPSHOT_ID, b, b + 1, true, bytes,
			       &verdict));
	right = oracle_restart(copy, &what);
	oracle_free(copy);

	return right;
}

/* N1, N3 */
START_TEST(test_a_snapshot_has_what_came_before_and_nothing_that_came_after)
{
	struct control control = snapshot_call();
	uint32_t before, during, after;

	begin();
	before = write_of(ID, 0, 1);
	during = submit(TP_WRITE, 0, ID, 1, 1);
	oracle_control_begin(oracle, &control);
	oracle_control_end(oracle, 0, false);
	after = write_of(ID, 0, 1);
	finish(during, 0);
	ck_assert(may_be_left(SNAPSHOT_ID, 0, before));
	ck_assert(!may_be_left(SNAPSHOT_ID, 0, ZEROES));
	ck_assert(!may_be_left(SNAPSHOT_ID, 0, after));
	ck_assert(may_be_left(SNAPSHOT_ID, 1, during));
	ck_assert(may_be_left(SNAPSHOT_ID, 1, ZEROES));
	ck_assert(is_read(SNAPSHOT_ID, 1, during));
	ck_assert(!may_be_read(SNAPSHOT_ID, 1, ZEROES));
	end();
}
END_TEST

/* N1: wholly in or wholly out. */
START_TEST(test_a_bio_that_is_in_a_snapshot_in_part_is_found)
{
	struct control control = snapshot_call();
	uint32_t during;

	begin();
	during = submit(TP_WRITE, 0, ID, 0, 2 * BLOCK);
	oracle_control_begin(oracle, &control);
	oracle_control_end(oracle, 0, false);
	finish(during, 0);
	ck_assert(are_found(0, during, BLOCK, during));
	ck_assert(are_found(0, ZEROES, BLOCK, ZEROES));
	ck_assert(!are_found(0, during, BLOCK, ZEROES));
	end();
}
END_TEST

/* N1: of one held for want of space, each block is. */
START_TEST(test_a_block_of_a_held_bio_that_is_in_a_snapshot_in_part_is_found)
{
	struct control control = snapshot_call();
	uint32_t during;

	begin();
	during = submit(TP_WRITE, 0, ID, 0, 2 * BLOCK);
	oracle_out_of_space(oracle);
	oracle_control_begin(oracle, &control);
	oracle_control_end(oracle, 0, false);
	finish(during, 0);
	ck_assert(are_found(0, during, BLOCK, ZEROES));
	ck_assert(!are_found(0, during, BLOCK - 1, ZEROES));
	ck_assert(!are_found(BLOCK, ZEROES, 2 * BLOCK - 1, during));
	end();
}
END_TEST

/* N1, R2: one that fails may be done in part, also if nobody was told yet. */
START_TEST(test_a_bio_that_may_have_failed_may_be_in_a_snapshot_in_part)
{
	struct control control = snapshot_call();
	uint32_t during;

	begin();
	during = submit(TP_WRITE, 0, ID, 0, 2 * BLOCK);
	oracle_request_failed(oracle);
	oracle_control_begin(oracle, &control);
	oracle_control_end(oracle, 0, false);
	ck_assert(are_found(0, during, BLOCK, ZEROES));
	finish(during, 0);
	ck_assert(!are_found(0, during, BLOCK, ZEROES));
	end();
}
END_TEST

/* N1: with B is what came before B. */
START_TEST(test_a_snapshot_with_an_effect_without_its_cause_is_found)
{
	struct control control = snapshot_call();
	uint32_t cause, effect;

	begin();
	cause = submit(TP_WRITE, 0, ID, 0, 1);
	oracle_control_begin(oracle, &control);
	finish(cause, 0);
	effect = submit(TP_WRITE, 0, ID, BLOCK, 1);
	oracle_control_end(oracle, 0, false);
	finish(effect, 0);
	ck_assert(are_found(0, cause, BLOCK, effect));
	ck_assert(are_found(0, cause, BLOCK, ZEROES));
	ck_assert(are_found(0, ZEROES, BLOCK, ZEROES));
	ck_assert(!are_found(0, ZEROES, BLOCK, effect));
	end();
}
END_TEST

/*---------------------------- calls ----------------------------------------*/

static bool is_recovered(const uint32_t *ids, unsigned nr)
{
	struct found found = { .facts = oracle->facts, .nr_ids = nr };
	struct oracle *copy = oracle_copy(oracle);
	struct verdict what = { .broken = false };
	bool right;

	memcpy(found.ids, ids, nr * sizeof(*ids));
	right = oracle_recover(copy, &found, &what);
	oracle_free(copy);

	return right;
}

/* K1, K3, K5 */
START_TEST(test_a_call_under_way_is_done_or_not_and_one_that_returned_is)
{
	static const uint32_t with[] = { ID, OTHER_ID },
			      without[] = { OTHER_ID };
	struct control delete = {
		.kind = CONTROL_DELETE,
		.pairs = { { .id = ID } },
		.nr_pairs = 1,
	};

	begin();
	ck_assert(is_recovered(with, 2));
	ck_assert(!is_recovered(without, 1));
	oracle_control_begin(oracle, &delete);
	ck_assert(is_recovered(with, 2));
	ck_assert(is_recovered(without, 1));
	oracle_control_end(oracle, -EIO, true);
	ck_assert(is_recovered(with, 2));
	ck_assert(is_recovered(without, 1));
	end();

	begin();
	oracle_control_begin(oracle, &delete);
	oracle_control_end(oracle, 0, false);
	ck_assert(!is_recovered(with, 2));
	ck_assert(is_recovered(without, 1));
	end();
}
END_TEST

int main(void)
{
	return RUN_TESTS(
		"oracle", 1, test_a_write_is_read_at_once_and_survives_perhaps,
		test_a_flush_seals_what_ended_before_it_began,
		test_fua_and_calls_seal_too_and_failures_do_not,
		test_of_concurrent_writes_either_may_win,
		test_a_discard_is_of_whole_blocks,
		test_a_discard_past_the_end_unmaps_a_short_last_block,
		test_a_failed_write_may_be_done_one_without_space_is_not,
		test_a_rollback_puts_what_is_not_sealed_in_doubt,
		test_what_was_read_after_a_rollback_stays,
		test_a_read_settles_nothing_for_one_that_was_submitted_before,
		test_what_is_in_flight_is_not_settled_by_a_read,
		test_a_snapshot_has_what_came_before_and_nothing_that_came_after,
		test_a_bio_that_is_in_a_snapshot_in_part_is_found,
		test_a_block_of_a_held_bio_that_is_in_a_snapshot_in_part_is_found,
		test_a_bio_that_may_have_failed_may_be_in_a_snapshot_in_part,
		test_a_snapshot_with_an_effect_without_its_cause_is_found,
		test_a_call_under_way_is_done_or_not_and_one_that_returned_is);
}
