/* SPDX-License-Identifier: Apache-2.0 */
/* The one-sided read against the broker's reclaim: a hold pins the bytes. */

/*
 * Reader r				Broker
 *   word := slot			  slot := other word, or empty
 *   hold[r] := word			  membarrier
 *   full fence, or a compiler barrier	  scan all holds once
 *   slot == word? else start over	  free the cells no hold names,
 *   use the cell that word names	    keep the others for the next round
 *   hold[r] := empty
 *
 * The reader's store of the hold and its second load of the slot, against the
 * broker's store of the slot and its load of the hold: each side must see the
 * other's store, or come too late to harm. Both sides run for any number of
 * rounds, and a generation has one bit only, so that words come back (ABA).
 *
 * A freed cell is overwritten with POISON at once, and reused with the next
 * generation. A reader checks what it uses at any distance after its recheck.
 *
 * Variants, one of:
 *   READER_FENCED	no reader is registered for membarrier; each has a fence
 *   READER_MEMBARRIER	all readers are registered and have no fence
 *   READER_MIXED	reader 0 is registered, reader 1 has a fence
 * and, on top of these:
 *   BATCH		several changes share one round
 *   LEAVE		readers leave or die, with and without a hold; the table
 *			of the dead is dropped, and then nothing stays in limbo
 *   RESTART		the broker is killed and comes back, and forgets the
 *			tables of readers that still live; they check an epoch
 *			after each use, and attach again
 * Mutants:
 *   NO_READER_FENCE	the unregistered reader has no fence either
 *   NO_MEMBARRIER	the broker has a full fence of its own and no membarrier
 *   NO_BROKER_FENCE	the broker has neither
 *   NO_RECHECK		the reader does not load the slot again
 *   MEMBARRIER_FIRST	the broker unpublishes after its membarrier
 *   SCAN_FIRST		the broker unpublishes after its scan
 *   NO_RELEASE		(WEAK_STORES) the slot is a relaxed store
 *   NO_DROP		the broker keeps the table of a reader that died
 *   NO_EPOCH		(RESTART) the reader trusts what it reads as before
 *   EPOCH_UNFENCED	(RESTART, WEAK_STORES) no fence after the new epoch
 *   DROP_ALIVE		the broker drops the table of a reader that still lives
 */
#ifndef N_CELLS
#define N_CELLS 2
#endif

#define N_READERS 2
#define BROKER 2
#define N_PROCS 3
#define CAP_OF(p) (2 + 2 * ((p) == BROKER))

#define SLOT 0
#define HOLD(r) (1 + (r))
#define BODY(c) (1 + N_READERS + (c))
#define EPOCH (1 + N_READERS + N_CELLS)
#define N_WORDS (2 + N_READERS + N_CELLS)
#define MAX_EPOCH 1

#define EMPTY 0
#define POISON 0
#define WORD(c, g) (1 + 2 * (c) + (g))
#define CELL(w) (((w) - 1) / 2)
#define GEN(w) (((w) - 1) % 2)
#define CONTENT(g) (1 + (g))

#include "memory.pml"

#if defined(READER_FENCED)
#define REGISTERED(r) false
#elif defined(READER_MEMBARRIER)
#define REGISTERED(r) true
#elif defined(READER_MIXED)
#define REGISTERED(r) ((r) == 0)
#endif

#ifdef NO_READER_FENCE
#define reader_fence(r) compiler_barrier(r)
#else
#define reader_fence(r) (REGISTERED(r) || full_fence(r))
#endif

/* The reader is gone as the kernel reports it: its stores are in memory. */
bit gone[N_READERS];

/* The broker does not know, or no longer honours, the reader's table. */
bit dropped[N_READERS];

/*
 * Stores go to the process's own buffer, where nobody else sees them: they
 * share an atomic step with the load before them, which keeps the search small
 * and hides no run. The fence may block, and then gives the step up.
 */
proctype reader(byte r)
{
	byte word, seen;
#ifdef RESTART
	byte mine;
#endif

	do
#ifdef RESTART
	:: atomic {
		/* The broker takes the reader's new table before it answers. */
		mem[EPOCH] != mine && full_fence(r) ->
		mine = mem[EPOCH];
		dropped[r] = 0
	}
#endif
#ifdef LEAVE
	:: break			/* leaves, or dies without a hold */
#endif
	:: atomic {
		load(r, SLOT, word);
		if
		:: word == EMPTY	/* a miss */
		:: word != EMPTY ->
			store(r, HOLD(r), word, RELAXED);
			goto held
		fi }
	:: false ->
held:		if
		:: atomic {
			reader_fence(r) ->
#ifdef NO_RECHECK
			seen = word;
#else
			load(r, SLOT, seen);
#endif
			if
			:: seen == word -> seen = 0; goto use
			:: seen != word -> seen = 0
			fi }
#ifdef LEAVE
		:: break		/* dies, its hold set */
#endif
		:: false ->
use:			do
			:: load(r, BODY(CELL(word)), seen);
#if defined(RESTART) && !defined(NO_EPOCH)
				/* Whatever it read, a new epoch voids it. */
				if
				:: atomic { mem[EPOCH] != mine -> seen = 0; break }
				:: mem[EPOCH] == mine
				fi;
#endif
				atomic {
					assert(seen == CONTENT(GEN(word)));
					seen = 0
				}
#ifdef LEAVE
			:: goto dead
#endif
			:: break
			od
		fi;
		atomic { store(r, HOLD(r), EMPTY, RELEASE); word = 0 }
	od;
#ifdef LEAVE
dead:
	atomic { full_fence(r) -> word = 0; gone[r] = 1 }
#endif
}

byte word;			/* the broker's own copy of the slot */
bit gen[N_CELLS];
bit limbo[N_CELLS];
bit named[N_CELLS];		/* what the scan saw */

#define is_free(c) (!limbo[c] && (word == EMPTY || CELL(word) != (c)))

inline retire()
{
	if
	:: word != EMPTY -> limbo[CELL(word)] = 1
	:: else
	fi
}

inline replace(c)
{
	is_free(c) ->
	retire();
	gen[c] = 1 - gen[c];
	word = WORD(c, gen[c]);
	store(BROKER, BODY(c), CONTENT(gen[c]), RELAXED);
#ifdef NO_RELEASE
	store(BROKER, SLOT, word, RELAXED)
#else
	store(BROKER, SLOT, word, RELEASE)
#endif
}

inline unpublish()
{
	if
	:: atomic { replace(0) }
	:: atomic { replace(1) }
#if N_CELLS > 2
	:: atomic { replace(2) }
#endif
	:: atomic {
		word != EMPTY ->
		retire();
		word = EMPTY;
		store(BROKER, SLOT, EMPTY, RELEASE) }
	:: limbo[0] || limbo[1]		/* a round for the sake of limbo */
	fi
}

/*
 * membarrier(2) returns after every running thread of a registered process
 * has passed a full fence at some moment since the call, the caller included;
 * the moments differ from thread to thread.
 */
inline membarrier()
{
#ifndef NO_BROKER_FENCE
	full_fence(BROKER);
#ifndef NO_MEMBARRIER
	(!REGISTERED(0) || full_fence(0));
	(!REGISTERED(1) || full_fence(1));
#endif
#else
	skip
#endif
}

inline note(c)
{
	if
	:: hold == WORD(c, gen[c]) -> named[c] = 1
	:: else
	fi
}

inline scan_one(r)
{
	atomic {
		if
#ifndef NO_DROP
		:: gone[r] || dropped[r]
		:: !gone[r] && !dropped[r] ->
#else
		:: true ->
#endif
			load(BROKER, HOLD(r), hold);
			note(0);
			note(1);
#if N_CELLS > 2
			note(2);
#endif
			hold = 0
		fi
	}
}

inline scan()
{
	scan_one(0);
	scan_one(1)
}

inline reclaim_one(c)
{
	if
	:: limbo[c] && !named[c] ->
		store(BROKER, BODY(c), POISON, RELAXED);
		limbo[c] = 0
	:: else
	fi;
	named[c] = 0
}

inline reclaim()
{
	atomic {
		reclaim_one(0);
		reclaim_one(1);
#if N_CELLS > 2
		reclaim_one(2);
#endif
	}
}

inline round()
{
#if defined(SCAN_FIRST)
	membarrier();
	scan();
	unpublish()
#elif defined(MEMBARRIER_FIRST)
	membarrier();
	unpublish();
	scan()
#else
	unpublish();
	membarrier();
	scan()
#endif
	;
	reclaim()
}

/*
 * A broker that was killed comes back: what it had written is in memory, the
 * tables of the sessions are lost with it, and so is limbo: all that the index
 * does not name counts as free. The epoch is stored before anything is freed,
 * with a fence between: a release store does not hold back what comes after it.
 */
inline restart()
{
	atomic {
		full_fence(BROKER) ->
		epoch++;
		store(BROKER, EPOCH, epoch, RELEASE);
		dropped[0] = 1;
		dropped[1] = 1
	};
#ifndef EPOCH_UNFENCED
	full_fence(BROKER);
#endif
	reclaim()
}

proctype broker()
{
	byte hold;
#ifdef RESTART
	byte epoch;
#endif
#ifdef LEAVE
	bit alone;
#endif

	do
	:: round();
#ifdef LEAVE
		/* With all readers gone nothing may stay in limbo. */
		assert(!alone || !(limbo[0] || limbo[1] || limbo[N_CELLS - 1]))
	:: atomic { gone[0] && gone[1] && !alone -> alone = 1 }
#endif
#ifdef BATCH
	:: unpublish()			/* several changes in one round */
#endif
#ifdef DROP_ALIVE
	:: dropped[0] = 1
#endif
#ifdef RESTART
	:: epoch < MAX_EPOCH -> restart()
#endif
	od
}

init {
	atomic {
		run memory(0);
		run memory(1);
		run memory(BROKER);
		run reader(0);
		run reader(1);
		run broker()
	}
}
