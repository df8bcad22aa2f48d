/* SPDX-License-Identifier: Apache-2.0 */
/* lane.h: a lane's rings and counts, decoded from the two regions of its session. */
#ifndef CLIENTS_INSPECT_LANE_H
#define CLIENTS_INSPECT_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "clients/inspect/image.h"
#include "ipc/submission.h"

/* The parts of one lane, as far as they are in the image: NULL else. */
struct lane_parts {
	const struct abi_lane_request *request;
	const struct abi_submission *submission; /* geometry.n_queue */
	const struct shared_u64 *hold;		 /* geometry.n_holds */
	const struct shared_u32 *log;		 /* geometry.n_log */
	const struct abi_lane_response *response;
	const struct abi_completion *completion; /* geometry.n_queue */
	const struct abi_submission *elsewhere;	 /* geometry.n_queue */
};

void lane_parts_find(const struct image_session *s, unsigned lane, struct lane_parts *parts);

/*
 * Positions run freely. The client publishes @published submissions; the broker takes them in order
 * and answers @answered of them, those that other brokers have a part in when these have answered;
 * the client takes @reaped of the answers.
 */
struct lane {
	unsigned idx;
	bool has_request, has_response;
	uint64_t published; /* by the sequences in the slots */
	uint64_t submitted; /* as the client says: announced to the broker */
	uint64_t consumed;  /* as the broker says, after each round */
	uint64_t answered;  /* by the sequences of the completions */
	uint64_t reaped;
	uint64_t next;	      /* the first that is neither answered nor elsewhere */
	uint64_t n_elsewhere; /* taken, and for other brokers to answer */
	uint64_t n_waiting;   /* published, and no answer yet: these, and those from @next on */
	uint64_t n_unreaped;  /* answered, and not taken */
	uint64_t oldest_ms;   /* when the oldest of the waiting was handed over, 0: not told */
	bool client_sleeps;
	uint32_t worker, fault;
	bool worker_sleeps;
	uint64_t hits, misses, logged, holds_used;
};

/* The lanes that a session has open, bounded by what its regions have. */
unsigned lane_count(const struct image *image, const struct image_session *s);

void lane_look(const struct image *image, const struct image_session *s, unsigned idx,
	struct lane *lane);

enum lane_slot_state {
	LANE_SLOT_WAITING, /* not taken by the broker, or taken and being carried out */
	LANE_SLOT_NEXT,	   /* the first of them: being carried out, if the worker is awake */
	LANE_SLOT_ANSWERED,
	LANE_SLOT_ELSEWHERE, /* taken, and for other brokers to answer */
};

const char *lane_slot_state_name(enum lane_slot_state state);

/*
 * One request. An answer is told apart by the number that the client gave its request; where the
 * slot of that has another request since, of the submission there is no more than the number.
 */
struct lane_slot {
	bool is_known;
	uint64_t position;
	enum lane_slot_state state;
	enum abi_fault flaw; /* what the broker would say of it */
	struct submission submission;
	uint64_t since_ms;    /* when it was handed over; elsewhere: taken. 0: not told */
	uint32_t status;      /* enum abi_status, where it is answered */
	bool has_key;	      /* else it has none, or its bytes are not in the image */
	uint8_t key[ABI_KEY_SIZE_MAX];
};

/*
 * Call @visit for each submission that is not reaped, the oldest first, but before all others those
 * that are not known. At most n_queue of each state. 0 or -ENOMEM.
 */
typedef void lane_visit_fn(void *context, const struct lane_slot *slot);
int lane_walk(const struct image *image, const struct image_session *s, unsigned idx,
	lane_visit_fn *visit, void *context);

/* Does an operation have a key in the staging area? */
bool lane_operation_has_key(unsigned operation);

#endif
