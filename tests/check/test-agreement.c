/*
 * Images damaged at random, and what others say of them.  Whatever thin_check or
 * metadata-verify calls broken we must not call sound, and it has to be as bad;
 * and what we call broken metadata-verify must not call sound.
 *
 * Where they and we are known to differ:
 *
 *   - An underfull node, and figures of free space that are too high, are
 *     damage to metadata-verify.  For us they are leaks: nothing is at risk,
 *     and the latter --repair sets right.
 *   - With more blocks allocated than there are a pool does not open, which is
 *     fatal; metadata-verify takes it for a figure like others.
 *   - A superblock that is not right is unreadable to us, and we stop there;
 *     metadata-verify goes on if the magic number is right.
 *   - thin_check does not look at data counts, details, superblock fields and
 *     the figures of free space: its 0 says little.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/checking.h"
#include "support/damage.h"
#include "support/oracles.h"
#include "support/pattern.h"

/* Most of the time goes to metadata-verify. */
#define QUICK_SEEDS 12
#define MANY_SEEDS 250

enum { VERIFY_CLEAN, VERIFY_LEAKS, VERIFY_DAMAGE, VERIFY_UNREADABLE };

/* What is damage to metadata-verify only. */
static bool is_mild(const struct tp_check_report *report)
{
	const uint64_t *nr = report->nr_by_kind;

	return nr[TP_FOUND_UNDERFULL] || nr[TP_FOUND_NR_FREE] ||
	       nr[TP_FOUND_NR_ALLOCATED];
}

static bool agrees_with_verify(const struct tp_check_report *report, int status)
{
	switch (status) {
	case VERIFY_CLEAN:
		return report->worst <= TP_CHECK_WARNING;
	case VERIFY_LEAKS:
		return report->worst == TP_CHECK_LEAK ||
		       (report->worst == TP_CHECK_FATAL &&
			report->nr_by_kind[TP_FOUND_NR_ALLOCATED]);
	case VERIFY_DAMAGE:
		return report->worst >= TP_CHECK_CORRUPTION ||
		       (report->worst == TP_CHECK_LEAK && is_mild(report));
	default:
		return report->worst == TP_CHECK_FATAL;
	}
}

/* @all: with its complaints that it can be told to ignore. */
static bool agrees_with_thin_check(const struct tp_check_report *report,
				   int all, int fatal)
{
	if (fatal > 0)
		return report->worst >= TP_CHECK_CORRUPTION;

	return all <= 0 || report->worst >= TP_CHECK_LEAK;
}

static void compare(uint64_t seed, const char *bytes,
		    const struct damage_report *damage,
		    const struct checked *checked)
{
	const char *verify = oracle_metadata_verify();
	char path[SCRATCH_PATH_BYTES];
	int all, fatal, verified = -1;

	oracle_file(path, bytes, IMAGE_BYTES);
	all = oracle_status(ORACLE_THIN_CHECK, path, false);
	fatal = all <= 0 ? all
			 : oracle_status(ORACLE_THIN_CHECK
					 " --ignore-non-fatal-errors",
					 path, false);
	if (verify)
		verified = oracle_status(verify, path, false);
	unlink(path);
	ck_assert_msg(agrees_with_thin_check(&checked->report, all, fatal),
		      "seed %llu (%s): thin_check says %d, %d, and we:\n%s",
		      (unsigned long long)seed, damage->text, all, fatal,
		      checked->told);
	ck_assert_msg(verified < 0 ||
			      agrees_with_verify(&checked->report, verified),
		      "seed %llu (%s): metadata-verify says %d, and we:\n%s",
		      (unsigned long long)seed, damage->text, verified,
		      checked->told);
}

static void check_seed(const char *sound, uint64_t seed)
{
	char *bytes = malloc(IMAGE_BYTES);
	struct damage_report damage;
	struct checked checked;

	memcpy(bytes, sound, IMAGE_BYTES);
	damage_apply(bytes, IMAGE_BYTES, seed, &damage);
	check_bytes(bytes, 0, &checked);
	ck_ok(checked.result);
	compare(seed, bytes, &damage, &checked);
	checked_exit(&checked);
	free(bytes);
}

/* TEST_SEED: only this one. */
START_TEST(test_others_agree_on_damaged_images)
{
	uint64_t nr = getenv("CHECK_EVERYTHING") ? MANY_SEEDS : QUICK_SEEDS;
	uint64_t begin = 0;
	char *sound = make_image();

	if (getenv("TEST_SEED")) {
		begin = strtoull(getenv("TEST_SEED"), NULL, 0);
		nr = 1;
	}
	for (uint64_t seed = begin; seed < begin + nr; seed++)
		check_seed(sound, seed);
	free(sound);
}
END_TEST

int main(void)
{
	return RUN_TESTS("check/agreement", 1,
			 test_others_agree_on_damaged_images);
}
