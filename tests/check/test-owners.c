/*
 * Sets of thins: unions and what they have in common; each set is kept once, and
 * when there are too many the answer is "several", never a wrong one.
 */
#include <check.h>

#include "check/owners.h"
#include "support/run-tests.h"

#define ck_ok(call) ck_assert_int_eq(call, 0)

static uint32_t unite(struct tpi_owners *owners, uint32_t a, uint32_t b,
		      bool expect_overlap)
{
	uint32_t both, again;
	bool overlap;

	ck_ok(tpi_owners_union(owners, a, b, &both, &overlap));
	ck_assert(overlap == expect_overlap);
	ck_ok(tpi_owners_union(owners, b, a, &again, NULL));
	ck_assert_uint_eq(both, again);

	return both;
}

START_TEST(test_a_set_has_one_number_however_it_came_about)
{
	struct tpi_owners owners;
	uint32_t one = tpi_owners_single(0), two = tpi_owners_single(1),
		 far = tpi_owners_single(199), pair, left, right;

	tpi_owners_init(&owners, 200);
	ck_assert_uint_eq(unite(&owners, TPI_OWNERS_NONE, two, false), two);
	ck_assert_uint_eq(unite(&owners, two, two, true), two);
	pair = unite(&owners, one, two, false);
	ck_assert(tpi_owners_is_single(&owners, far));
	ck_assert(!tpi_owners_is_single(&owners, pair));
	ck_assert_uint_eq(unite(&owners, pair, one, true), pair);
	left = unite(&owners, pair, far, false);
	right = unite(&owners, one, unite(&owners, far, two, false), false);
	ck_assert_uint_eq(left, right);
	ck_assert_uint_eq(unite(&owners, left, pair, true), left);
	tpi_owners_exit(&owners);
}
END_TEST

START_TEST(test_too_many_sets_become_several)
{
	struct tpi_owners owners;
	uint32_t many;

	tpi_owners_init(&owners, 200);
	owners.limit = 3;
	for (uint32_t i = 1; i <= 3; i++) {
		many = unite(&owners, tpi_owners_single(0),
			     tpi_owners_single(i), false);
		ck_assert_uint_ne(many, TPI_OWNERS_MANY);
	}
	ck_assert(!owners.full);
	many = unite(&owners, tpi_owners_single(0), tpi_owners_single(4),
		     false);
	ck_assert_uint_eq(many, TPI_OWNERS_MANY);
	ck_assert(owners.full);
	ck_assert(!tpi_owners_is_single(&owners, many));
	ck_assert_uint_eq(unite(&owners, many, tpi_owners_single(7), false),
			  TPI_OWNERS_MANY);
	ck_assert_uint_eq(unite(&owners, many, many, false), TPI_OWNERS_MANY);
	ck_assert_uint_eq(unite(&owners, TPI_OWNERS_NONE, many, false), many);
	tpi_owners_exit(&owners);
}
END_TEST

int main(void)
{
	return RUN_TESTS("check/owners", 1,
			 test_a_set_has_one_number_however_it_came_about,
			 test_too_many_sets_become_several);
}
