/*
 * judge.c - is a sector what the contract allows, and if not, say why.
 */
#include <stdio.h>
#include <string.h>

#include "simulator/oracle.h"
#include "simulator/tag.h"

struct seen {
	enum content content;
	struct tag tag;
};

static bool is_own_tag(const struct oracle *oracle, const struct seen *seen,
		       uint64_t sector)
{
	return seen->content == CONTENT_TAG &&
	       seen->tag.seed == oracle->rules.seed &&
	       seen->tag.sector == sector;
}

static bool is_operation(const struct oracle *oracle, const struct seen *seen,
			 uint64_t sector, uint32_t number)
{
	return is_own_tag(oracle, seen, sector) &&
	       seen->tag.operation == number &&
	       seen->tag.volume ==
		       history_get(&oracle->history, number)->volume;
}

static bool is_blank(const struct oracle *oracle, const struct volume *volume,
		     const struct seen *seen, uint64_t sector)
{
	if (!volume_shows_origin(volume, &oracle->rules, sector))
		return seen->content == CONTENT_ZERO;

	return is_own_tag(oracle, seen, sector) &&
	       seen->tag.volume == TAG_ORIGIN;
}

static bool is_value(const struct oracle *oracle, const struct volume *volume,
		     const struct seen *seen, uint64_t sector, uint32_t value)
{
	switch (value) {
	case VALUE_BLANK:
		return is_blank(oracle, volume, seen, sector);
	case VALUE_ZERO:
		return seen->content == CONTENT_ZERO;
	case VALUE_ANY:
		return true;
	default:
		return is_operation(oracle, seen, sector, value);
	}
}

static bool is_allowed(const struct oracle *oracle,
		       const struct candidates *list, uint32_t i,
		       const struct question *question)
{
	if (question->frozen && candidates_get(list, i)->gone)
		return false;
	if (question->crash)
		return candidates_may_survive(list, i, &oracle->history,
					      question->sealed_until);

	return candidates_may_read(list, i, &oracle->history, question->submit,
				   oracle->rolled_back);
}

/*---------------------------- a sentence -----------------------------------*/

#define SENTENCE 160

static const char *op_name(enum tp_op op)
{
	static const char *const names[] = { "read", "write", "flush",
					     "discard", "write zeroes" };

	return names[op];
}

static void describe_seen(const struct seen *seen, const void *bytes,
			  char *text)
{
	uint64_t first;

	memcpy(&first, bytes, sizeof(first));
	if (seen->content == CONTENT_ZERO)
		snprintf(text, SENTENCE, "zeroes");
	else if (seen->content == CONTENT_FOREIGN)
		snprintf(text, SENTENCE, "foreign bytes (%016llx...)",
			 (unsigned long long)first);
	else if (seen->tag.volume == TAG_ORIGIN)
		snprintf(text, SENTENCE, "the external origin's sector %llu",
			 (unsigned long long)seen->tag.sector);
	else
		snprintf(text, SENTENCE,
			 "operation %u's data for sector %llu of volume %u",
			 seen->tag.operation,
			 (unsigned long long)seen->tag.sector,
			 seen->tag.volume);
}

static void describe_value(const struct oracle *oracle, uint32_t value,
			   char *text)
{
	if (value == VALUE_BLANK)
		snprintf(text, SENTENCE, "blank");
	else if (value == VALUE_ZERO)
		snprintf(text, SENTENCE, "zeroes");
	else if (value == VALUE_ANY)
		snprintf(text, SENTENCE, "anything");
	else
		snprintf(text, SENTENCE, "%s %u",
			 op_name(history_get(&oracle->history, value)->op),
			 value);
}

static void describe_list(const struct oracle *oracle,
			  const struct candidates *list,
			  const struct question *question, char *text,
			  size_t size)
{
	char value[SENTENCE];
	size_t length = 0;

	text[0] = '\0';
	for (uint32_t i = 0; list && i < list->nr; i++) {
		if (!is_allowed(oracle, list, i, question))
			continue;
		describe_value(oracle, candidates_get(list, i)->value, value);
		length += (size_t)snprintf(text + length, size - length, "%s%s",
					   length ? ", " : "", value);
		if (length >= size)
			return;
	}
	if (!list || !list->nr)
		snprintf(text, size, "blank");
}

static uint32_t blame(const struct oracle *oracle, const struct volume *volume,
		      uint64_t sector, const struct question *question,
		      const struct seen *seen, const void *bytes,
		      struct verdict *verdict)
{
	char found[SENTENCE], allowed[SENTENCE];

	describe_seen(seen, bytes, found);
	describe_list(oracle, volume_find(volume, &oracle->rules, sector),
		      question, allowed, sizeof(allowed));
	violated(verdict,
		 "%s, sector %llu (block %llu) of thin %u (volume %u) holds "
		 "%s; allowed: %s",
		 question->crash ? "after a crash" : "read",
		 (unsigned long long)sector,
		 (unsigned long long)(sector / oracle->rules.block_sectors),
		 volume->id, volume->number, found, allowed);

	return VALUE_NONE;
}

/*---------------------------- the judgement --------------------------------*/

/* Blank and zero may look the same: blank says less.  Anything says nothing. */
static bool is_better(uint32_t value, uint32_t than)
{
	return than == VALUE_NONE || than == VALUE_ANY || value == VALUE_BLANK;
}

static uint32_t judge_list(const struct oracle *oracle,
			   const struct volume *volume,
			   const struct candidates *list, uint64_t sector,
			   const struct question *question,
			   const struct seen *seen)
{
	uint32_t best = VALUE_NONE;
	bool blank = !list || !list->nr;

	for (uint32_t i = 0; list && i < list->nr; i++) {
		uint32_t value = candidates_get(list, i)->value;

		if (!is_allowed(oracle, list, i, question))
			continue;
		blank |= value == VALUE_BLANK;
		if (is_better(value, best) &&
		    is_value(oracle, volume, seen, sector, value))
			best = value;
	}
	if (best == VALUE_NONE && blank) {
		if (is_blank(oracle, volume, seen, sector))
			best = VALUE_BLANK;
		else if (volume_may_be_stale(volume, &oracle->rules, sector))
			best = VALUE_ANY;
	}

	return best;
}

uint32_t oracle_judge(const struct oracle *oracle, const struct volume *volume,
		      uint64_t sector, const struct question *question,
		      const void *bytes, struct verdict *verdict)
{
	const struct candidates *list =
		volume_find(volume, &oracle->rules, sector);
	struct seen seen = { .content = tag_read(bytes, &seen.tag) };
	uint32_t value;

	value = judge_list(oracle, volume, list, sector, question, &seen);
	if (value != VALUE_NONE)
		return value;

	return blame(oracle, volume, sector, question, &seen, bytes, verdict);
}

/*---------------------------- A1: what was read stays ----------------------*/

/* Only if all that can have been read has ended: what is in flight is seen by
 * one read and not by the next. */
static bool is_settled(const struct oracle *oracle, const struct volume *volume,
		       const struct candidates *list, uint64_t sector,
		       uint64_t submit, const struct seen *seen)
{
	for (uint32_t i = 0; i < list->nr; i++) {
		const struct candidate *c = candidates_get(list, i);

		if (history_get(&oracle->history, c->operation)->completion >=
			    submit &&
		    is_value(oracle, volume, seen, sector, c->value))
			return false;
	}

	return !volume_may_be_stale(volume, &oracle->rules, sector);
}

void oracle_freeze(const struct oracle *oracle, const struct volume *volume,
		   uint64_t sector, uint64_t submit, const void *bytes)
{
	struct candidates *list = volume_find(volume, &oracle->rules, sector);
	struct seen seen = { .content = tag_read(bytes, &seen.tag) };

	if (!list || !is_settled(oracle, volume, list, sector, submit, &seen))
		return;
	for (uint32_t i = 0; i < list->nr; i++) {
		const struct candidate *c = candidates_get(list, i);

		if (history_get(&oracle->history, c->operation)->completion <
			    submit &&
		    !is_value(oracle, volume, &seen, sector, c->value))
			candidates_forget(list, i, oracle->history.now);
	}
}
