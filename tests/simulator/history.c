/*
 * history.c - what was submitted, and when it ended.
 */
#include <stdlib.h>
#include <string.h>

#include "simulator/history.h"

void history_init(struct history *history)
{
	memset(history, 0, sizeof(*history));
	history->room = 256;
	history->operations =
		malloc(history->room * sizeof(*history->operations));
	history->operations[INITIAL] = (struct operation){
		.ok = true,
		.sealed = true,
	};
	history->nr = history->first = 1;
}

void history_exit(struct history *history)
{
	free(history->operations);
}

void history_copy(struct history *to, const struct history *from)
{
	*to = *from;
	to->operations = malloc(to->room * sizeof(*to->operations));
	memcpy(to->operations, from->operations,
	       from->nr * sizeof(*to->operations));
}

uint32_t history_submit(struct history *history,
			const struct operation *operation)
{
	if (history->nr == history->room) {
		history->room *= 2;
		history->operations =
			realloc(history->operations,
				history->room * sizeof(*history->operations));
	}
	history->operations[history->nr] = *operation;
	history->operations[history->nr].submit = history_tick(history);
	history->operations[history->nr].completion = NOT_YET;

	return history->nr++;
}

void history_seal(struct history *history, uint32_t volume, uint64_t time)
{
	for (uint32_t i = history->first; i < history->nr; i++) {
		struct operation *operation = &history->operations[i];

		if (operation->volume == volume && operation->ok &&
		    !operation->maybe && operation->completion < time)
			operation->sealed = true;
	}
}

uint64_t history_oldest_read(const struct history *history)
{
	for (uint32_t i = history->first; i < history->nr; i++) {
		const struct operation *operation = &history->operations[i];

		if (operation->op == TP_READ &&
		    operation->completion == NOT_YET)
			return operation->submit;
	}

	return NOT_YET;
}

void history_restart(struct history *history)
{
	history->first = history->nr;
}
