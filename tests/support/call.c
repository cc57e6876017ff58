/*
 * call.c - a call in a thread of its own.
 */
#include "support/call.h"

#include <stdio.h>
#include <unistd.h>

/* A thread that is only about to wait for something else is soon up again. */
#define NR_LOOKS 5u

static void *call_main(void *context)
{
	struct call *call = context;

	call->tid = gettid();
	call->result = call->make(call->context);
	call->returned = true;

	return NULL;
}

void call_begin(struct call *call, int (*make)(void *context), void *context)
{
	*call = (struct call){ .make = make, .context = context };
	ck_ok(pthread_create(&call->thread, NULL, call_main, call));
}

/* The state follows the name, which is in brackets and may hold some. */
static bool is_asleep(const struct call *call)
{
	char path[64], line[256] = "";
	const char *end;
	FILE *file;

	if (!call->tid)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", call->tid);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	end = strrchr(line, ')');

	return end && !strncmp(end, ") S", 3);
}

/* The loop does things in the order in which they were handed in. */
void call_await(struct world *w, struct call *call)
{
	unsigned nr = 0;

	world_until(w, call->returned ||
			       (nr = is_asleep(call) ? nr + 1 : 0) >= NR_LOOKS);
	world_settle(w);
}

int call_end(struct call *call)
{
	pthread_join(call->thread, NULL);

	return call->result;
}
