/* SPDX-License-Identifier: Apache-2.0 */
/* The two rings of a lane: nothing is overwritten, lost or doubled. */

/*
 *	client --- submission ring, SQ_SIZE slots ---> broker
 *	client <--- completion ring, CQ_SIZE slots --- broker
 *	client --- cq_head: how many it has reaped ---> broker
 *
 * A slot holds a sequence number; it is valid for position pos when that is
 * pos + 1. The entry is stored first and the number is released after it.
 *
 * The client never sees how far the broker has read. It counts instead: what
 * is submitted and not yet reaped is at most SQ_SIZE. Completions come in any
 * order, but submissions are read in order: when pos - SQ_SIZE + 1 completions
 * are reaped then at least as many submissions have been read, and these are
 * the first ones, the slot of pos among them.
 *
 * The broker never takes the client's word for more than the room in the
 * completion ring: it counts what it posted, and loads cq_head anew only when
 * its own count says that the ring is full. Until there is room it holds the
 * completion back. CQ_SIZE is smaller than SQ_SIZE here, so that this happens.
 *
 * Properties: the broker reads every submission once, in order, and whole; the
 * client reaps exactly one completion for each; it ends, that is, it reaps
 * them all (a client that waits for ever is an invalid end state).
 *
 * Mutants:
 *   NO_IN_FLIGHT_BOUND	the client submits without counting
 *   BOUND_PLUS_ONE	it lets one more be in flight than there are slots
 *   IGNORE_CQ_HEAD	the broker posts without looking for room
 *   SEQ_FIRST		the number is stored before the entry
 *   HEAD_FIRST		the client publishes cq_head, then reads the entry
 *   NO_HEAD		the client never publishes cq_head
 *   NO_RELEASE		(WEAK_STORES) numbers are relaxed stores
 */
#define N_TOTAL 6
#define SQ_SIZE 3
#define CQ_SIZE 2

#define CLIENT 0
#define BROKER 1
#define N_PROCS 2

#define SQ_SEQ(pos) ((pos) % SQ_SIZE)
#define SQ_ENTRY(pos) (SQ_SIZE + (pos) % SQ_SIZE)
#define CQ_SEQ(pos) (2 * SQ_SIZE + (pos) % CQ_SIZE)
#define CQ_ENTRY(pos) (2 * SQ_SIZE + CQ_SIZE + (pos) % CQ_SIZE)
#define CQ_HEAD (2 * SQ_SIZE + 2 * CQ_SIZE)
#define N_WORDS (CQ_HEAD + 1)

#include "memory.pml"

#ifdef NO_RELEASE
#define SEQ_ORDER RELAXED
#else
#define SEQ_ORDER RELEASE
#endif

#if defined(NO_IN_FLIGHT_BOUND)
#define may_submit() true
#elif defined(BOUND_PLUS_ONE)
#define may_submit() (sq_tail - cq_head < SQ_SIZE + 1)
#else
#define may_submit() (sq_tail - cq_head < SQ_SIZE)
#endif

/* The id of a submission is its position plus 1; bit n of a set is id n. */
#define in_set(set, id) ((set >> (id)) & 1)

inline post(p, entry_at, seq_at, id, seq)
{
#ifdef SEQ_FIRST
	store(p, seq_at, seq, SEQ_ORDER);
	store(p, entry_at, id, RELAXED)
#else
	store(p, entry_at, id, RELAXED);
	store(p, seq_at, seq, SEQ_ORDER)
#endif
}

inline choose(set, id)
{
	if
	:: in_set(set, 1) -> id = 1
	:: in_set(set, 2) -> id = 2
	:: in_set(set, 3) -> id = 3
	:: in_set(set, 4) -> id = 4
	:: in_set(set, 5) -> id = 5
	:: in_set(set, 6) -> id = 6
	fi
}

proctype client()
{
	byte sq_tail, cq_head, id, open;

	do
	:: sq_tail < N_TOTAL && may_submit() ->
		post(CLIENT, SQ_ENTRY(sq_tail), SQ_SEQ(sq_tail), sq_tail + 1,
			sq_tail + 1);
		atomic {
			open = open | (1 << (sq_tail + 1));
			sq_tail++
		}
	:: mem[CQ_SEQ(cq_head)] == cq_head + 1 ->
#ifdef HEAD_FIRST
		store(CLIENT, CQ_HEAD, cq_head + 1, RELEASE);
#endif
		load(CLIENT, CQ_ENTRY(cq_head), id);
		atomic {
			assert(in_set(open, id));
			open = open & ~(1 << id);
			id = 0;
			cq_head++
		};
#if !defined(HEAD_FIRST) && !defined(NO_HEAD)
		store(CLIENT, CQ_HEAD, cq_head, RELEASE)
#endif
	:: sq_tail == N_TOTAL && cq_head == N_TOTAL -> break
	od;
	assert(open == 0)
}

#ifdef IGNORE_CQ_HEAD
#define cq_full() false
#else
#define cq_full() (cq_tail - seen_head == CQ_SIZE)
#endif

proctype broker()
{
	byte sq_head, cq_tail, seen_head, id, pending;

end:	do
	:: mem[SQ_SEQ(sq_head)] == sq_head + 1 ->
		load(BROKER, SQ_ENTRY(sq_head), id);
		atomic {
			assert(id == sq_head + 1);
			pending = pending | (1 << id);
			id = 0;
			sq_head++
		}
#ifndef IGNORE_CQ_HEAD
	:: pending != 0 && cq_full() && mem[CQ_HEAD] != seen_head ->
		load(BROKER, CQ_HEAD, seen_head)
#endif
	:: pending != 0 && !cq_full() ->
		/* Which of the pending ones is ready is anybody's guess. */
		atomic {
			choose(pending, id);
			pending = pending & ~(1 << id)
		};
		post(BROKER, CQ_ENTRY(cq_tail), CQ_SEQ(cq_tail), id, cq_tail + 1);
		atomic { id = 0; cq_tail++ }
	od
}

init {
	atomic {
		run memory(CLIENT);
		run memory(BROKER);
		run client();
		run broker()
	}
}
