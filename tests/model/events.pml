/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of events: a reader that is lapped knows it, and counts what it lost. */

/*
 *	writer --- ring, RING records of two words ---> reader, who is never waited for
 *
 * Positions count records here, and each record's words both hold its number; so the record at
 * position p, whole, is p + 1 twice, and a place to go on from is right if it and the count agree.
 *
 * Properties: what the reader believes is the record at its position, whole; when it was lapped it goes
 * on from where a record begins, and what it read and what it counted as lost are all there were.
 *
 * Mutants:
 *	CLAIM_LATE	the claim is stored behind the words
 *	WRITTEN_EARLY	a record is published before its words
 *	COUNT_LATE	it is counted behind its publication
 *	NO_CHECK	the reader does not look at the claim
 *	CHECK_FIRST	it looks before it copies
 *	NO_END_CHECK	it looks for a place to go on from, and not at the claim
 *	RELAXED_WORDS	(WEAK_STORES) the words are relaxed stores
 *	RELAXED_WRITTEN	(WEAK_STORES) so is the publication
 *	RELAXED_COUNT	(WEAK_STORES) so is the count
 */
#define N_TOTAL 5
#define RING 2

#define WRITER 0
#define READER 1
#define N_PROCS 1

#define WORD(pos, i) (2 * ((pos) % RING) + (i))
#define CLAIMED (2 * RING)
#define N_EVENTS (CLAIMED + 1)
#define WRITTEN (CLAIMED + 2)
#define N_WORDS (CLAIMED + 3)

#include "memory.pml"

#ifdef RELAXED_WORDS
#define WORD_ORDER RELAXED
#else
#define WORD_ORDER RELEASE
#endif
#ifdef RELAXED_WRITTEN
#define WRITTEN_ORDER RELAXED
#else
#define WRITTEN_ORDER RELEASE
#endif
#ifdef RELAXED_COUNT
#define COUNT_ORDER RELAXED
#else
#define COUNT_ORDER RELEASE
#endif

proctype writer()
{
	byte n;

	do
	:: n < N_TOTAL ->
#ifndef CLAIM_LATE
		store(WRITER, CLAIMED, n + 1, RELAXED);
#endif
#ifdef WRITTEN_EARLY
		store(WRITER, WRITTEN, n + 1, WRITTEN_ORDER);
#endif
		store(WRITER, WORD(n, 0), n + 1, WORD_ORDER);
		store(WRITER, WORD(n, 1), n + 1, WORD_ORDER);
#ifdef CLAIM_LATE
		store(WRITER, CLAIMED, n + 1, RELAXED);
#endif
#ifndef COUNT_LATE
		store(WRITER, N_EVENTS, n + 1, COUNT_ORDER);
#endif
#ifndef WRITTEN_EARLY
		store(WRITER, WRITTEN, n + 1, WRITTEN_ORDER);
#endif
#ifdef COUNT_LATE
		store(WRITER, N_EVENTS, n + 1, COUNT_ORDER);
#endif
		n++
	:: n == N_TOTAL -> break
	od
}

#ifdef NO_CHECK
#define is_whole(claimed, pos) true
#else
#define is_whole(claimed, pos) (claimed - pos <= RING)
#endif
#ifdef NO_END_CHECK
#define is_end(claimed, written) true
#else
#define is_end(claimed, written) (claimed == written)
#endif

/* It has no stores of its own: it loads from memory, in the order of the program. */
proctype reader()
{
	byte pos, n_seen, claimed, written, count, first, second;
	bool is_lapped;

	do
	:: !is_lapped && mem[WRITTEN] != pos ->
#ifdef CHECK_FIRST
		claimed = mem[CLAIMED];
#endif
		first = mem[WORD(pos, 0)];
		second = mem[WORD(pos, 1)];
#ifndef CHECK_FIRST
		claimed = mem[CLAIMED];
#endif
		atomic {
			if
			:: is_whole(claimed, pos) ->
				assert(first == pos + 1 && second == pos + 1);
				n_seen++;
				pos++
			:: else -> is_lapped = true
			fi;
			first = 0;
			second = 0;
			claimed = 0
		}
	:: is_lapped ->
		written = mem[WRITTEN];
		count = mem[N_EVENTS];
		claimed = mem[CLAIMED];
		atomic {
			if
			:: is_end(claimed, written) ->
				assert(written == count);
				n_seen = n_seen + (count - pos);
				pos = written;
				is_lapped = false
			:: else
			fi;
			written = 0;
			count = 0;
			claimed = 0
		}
	:: !is_lapped && pos == N_TOTAL -> break
	od;
	assert(n_seen == N_TOTAL)
}

init {
	atomic {
		run memory(WRITER);
		run writer();
		run reader()
	}
}
