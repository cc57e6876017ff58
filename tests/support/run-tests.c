/*
 * run-tests.c - one suite, one case, many tests.
 */
#include "support/run-tests.h"

int run_tests(const char *name, int nr_rounds, const TTest *const tests[])
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int nr_failed;

	for (int i = 0; tests[i]; i++)
		tcase_add_loop_test(tcase, tests[i], 0, nr_rounds);
	suite_add_tcase(suite, tcase);

	srunner_run_all(runner, CK_ENV);
	nr_failed = srunner_ntests_failed(runner);
	srunner_free(runner);

	return nr_failed ? 1 : 0;
}
