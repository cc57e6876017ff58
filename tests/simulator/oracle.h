/*
 * oracle.h - what a pool may show, kept by the rules of the crash contract and
 * by nothing else: it knows no block of the pool and no line of the engine.
 *
 * It is told what the host does and sees, in order, and judges what the host
 * reads: while the pool runs (section 4), after a rollback (10) and after a
 * crash (6 to 8).
 */
#ifndef TESTS_SIMULATOR_ORACLE_H
#define TESTS_SIMULATOR_ORACLE_H

#include "simulator/verdict.h"
#include "simulator/volume.h"

/* What a pool is, besides its volumes. */
struct facts {
	uint64_t transaction_id;
	bool held; /* a metadata snapshot is */
	uint64_t data_blocks, metadata_blocks;
};

/*---------------------------- control operations ---------------------------*/

enum control_kind {
	CONTROL_NONE,
	CONTROL_CREATE,
	CONTROL_SNAPSHOT,
	CONTROL_DELETE,
	CONTROL_FACTS,  /* what changes facts: ids, held root, sizes */
	CONTROL_COMMIT, /* what changes nothing: commit, suspend, close */
};

#define MAX_PAIRS 4

struct control {
	enum control_kind kind;
	struct {
		uint32_t id, origin;
	} pairs[MAX_PAIRS];
	unsigned nr_pairs;   /* 1, but for a batch of snapshots */
	uint64_t nr_sectors; /* create */
	bool has_origin;
	struct facts facts; /* afterwards */
	uint64_t begin, end;
};

/* A snapshot's cut, until it is known to be one (N1). */
struct cut {
	uint64_t begin, end;
	struct {
		uint32_t volume, origin; /* numbers */
	} pairs[MAX_PAIRS];
	unsigned nr_pairs;
};

struct oracle {
	struct rules rules;
	struct history history;
	struct volume *volumes; /* by number */
	uint32_t nr_volumes, room;
	struct volume *held; /* by the metadata snapshot: see held.c */
	uint32_t nr_held;
	uint64_t held_transaction_id;
	struct facts facts;
	struct control control; /* under way */
	struct control doubt;   /* failed, and may be found done (K5) */
	struct cut *cuts;
	unsigned nr_cuts;
	uint64_t rolled_back; /* when (A1); 0: never */
};

struct oracle *oracle_new(const struct rules *rules, const struct facts *facts);
struct oracle *oracle_copy(const struct oracle *oracle);
void oracle_free(struct oracle *oracle);

/* The volume that has @id now, or NULL; until the next that is created. */
struct volume *oracle_find(const struct oracle *oracle, uint32_t id);

/*---------------------------- bios -----------------------------------------*/

/* Its number, which is what the sectors of a write have to be tagged with. */
uint32_t oracle_submit(struct oracle *oracle,
		       const struct operation *operation);

/* Submit refused it: it never was. */
void oracle_refused(struct oracle *oracle, uint32_t number);

/* @buffer: what a read returned. */
bool oracle_end(struct oracle *oracle, uint32_t number, int status,
		const void *buffer, struct verdict *verdict);

/* The pool is out of space: bios in flight may be held, and then go on block
 * by block (N1). */
void oracle_out_of_space(struct oracle *oracle);

/* A device request failed: what is in flight may have been done in part, and
 * end so (R2). */
void oracle_request_failed(struct oracle *oracle);

/* The pool fell back to its last durable transaction (A1). */
void oracle_rolled_back(struct oracle *oracle);

/*---------------------------- calls ----------------------------------------*/

void oracle_control_begin(struct oracle *oracle, const struct control *control);

/* @in_doubt: it failed, and may yet be found done (K5). */
void oracle_control_end(struct oracle *oracle, int result, bool in_doubt);

/*---------------------------- opened again ---------------------------------*/

/* What an opened pool says of itself. */
struct found {
	struct facts facts;
	uint32_t ids[64];
	unsigned nr_ids;
};

/* Is that what K1 to K5 allow?  Then it is so from now on. */
bool oracle_recover(struct oracle *oracle, const struct found *found,
		    struct verdict *verdict);

/*
 * Are these sectors what section 6 allows?  @stays: power had failed, and what
 * is found stays so (V3); else it may be in a cache.
 */
bool oracle_found(struct oracle *oracle, uint32_t id, uint64_t begin,
		  uint64_t end, bool stays, const void *buffer,
		  struct verdict *verdict);

/* Are these sectors what the metadata snapshot may show of one of the volumes
 * that it holds? */
bool oracle_held_shows(const struct oracle *oracle, const struct volume *held,
		       uint64_t begin, uint64_t end, const void *buffer,
		       struct verdict *verdict);

/* The pool was closed after a fault: what is not sealed may be gone, and is
 * not promised any more to be there, now or later. */
void oracle_doubt(struct oracle *oracle);

/* All sectors were found: are the snapshots each of one instant (N1)?  What
 * was before is of no interest any more. */
bool oracle_restart(struct oracle *oracle, struct verdict *verdict);

/*---------------------------- between its files ----------------------------*/

/* For whom a candidate must be right. */
struct question {
	bool crash;            /* else a read */
	bool frozen;           /* crash: none, and what was read stays (A1) */
	uint64_t submit;       /* of the read */
	uint64_t sealed_until; /* crash: see candidates_may_survive */
};

/* The candidate value that @bytes is; VALUE_NONE, and a verdict, if it is none
 * that the question allows. */
uint32_t oracle_judge(const struct oracle *oracle, const struct volume *volume,
		      uint64_t sector, const struct question *question,
		      const void *bytes, struct verdict *verdict);

/* A read that was submitted at @submit, after a rollback, returned @bytes: what
 * is not that, and ended before, no read returns any more (A1). */
void oracle_freeze(const struct oracle *oracle, const struct volume *volume,
		   uint64_t sector, uint64_t submit, const void *bytes);

/* What nobody will ask for again came before this. */
uint64_t oracle_horizon(const struct oracle *oracle);

/* What a read of all of @from over the time of the call could have returned
 * becomes what @to is initially. */
void oracle_take(const struct oracle *oracle, const struct control *control,
		 const struct volume *from, struct volume *to);

/* See held.c: a metadata snapshot was reserved by @control, or released; and
 * @operation, which was submitted, leaves @value in its sectors. */
void oracle_hold(struct oracle *oracle, const struct control *control);
void oracle_release(struct oracle *oracle);
void oracle_held_written(struct oracle *oracle,
			 const struct operation *operation, uint32_t value);

/* See cut.c. */
bool cut_check(const struct oracle *oracle, const struct cut *cut,
	       struct verdict *verdict);

#endif
