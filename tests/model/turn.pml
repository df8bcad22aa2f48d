/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets for a thread that others stand in for while it sleeps: none is left lying. */

/*
 * Putter				Owner of the tray
 *   ticket, has_any := 1 (locked)	  take the turn, tend
 *   while has_any			  give up the turn
 *     full fence			  full fence
 *     try the turn; busy? leave	  has_any? from the beginning
 *     tend				  none? sleep
 *     give up the turn
 *     full fence
 *
 * The putter's store of has_any and its look at the turn, against the store that gives up the turn and
 * the look at has_any behind it, be it the owner's or another putter's. To tend is to take all that is
 * there, under the tray's own lock. The owner sleeps for ever if it has to: nothing but tickets would
 * wake it, and nobody does so for a ticket. Locks are as those of threads: taking one is a full barrier
 * here, as on x86; giving one up is a release; a try that fails is a load.
 *
 * Properties: all tickets are taken when nobody does anything any more (a process that waits for the
 * rest is an invalid end state), and one at a time tends.
 *
 * Mutants:
 *   NO_PUTTER_FENCE	a compiler barrier between the ticket and the try
 *   NO_OWNER_FENCE	so has the owner, between the turn and the look
 *   NO_FENCE_AFTER	so has a putter that tended
 *   NO_LOOK_AGAIN	the owner sleeps without a look
 *   NO_LOOK_AFTER	who tended goes his way without a look
 *   NO_TURN		who put tends, whoever has the turn
 */
#ifndef N_TICKETS
#define N_TICKETS 2
#endif

#define N_PUTTERS 2
#define OWNER 2
#define N_PROCS 3
#define N_NAPS 2

#define HAS_ANY 0
#define TURN 1
#define LOCK 2
#define N_WORDS 3

#include "memory.pml"

#ifdef NO_PUTTER_FENCE
#define putter_fence(p) compiler_barrier(p)
#else
#define putter_fence(p) full_fence(p)
#endif
#ifdef NO_FENCE_AFTER
#define fence_after(p) compiler_barrier(p)
#else
#define fence_after(p) full_fence(p)
#endif
#ifdef NO_OWNER_FENCE
#define owner_fence() compiler_barrier(OWNER)
#else
#define owner_fence() full_fence(OWNER)
#endif

byte n_lying, n_taken, n_tending; /* what is on the list; for the properties */

inline take(p, word)
{
	atomic { sb[p].n == 0 && !mem[word] -> mem[word] = 1 }
}

/* One that finds it taken has read the word, no more. */
inline try(p, word, got)
{
	atomic {
		load(p, word, got);
		if
		:: got -> got = 0
		:: else ->
			sb[p].n == 0;
			got = !mem[word];
			mem[word] = 1
		fi
	}
}

inline give_up(p, word)
{
	store(p, word, 0, RELEASE)
}

inline tend(p)
{
	n_tending++;
	assert(n_tending == 1);
	take(p, LOCK);
	n_taken = n_taken + n_lying;
	n_lying = 0;
	store(p, HAS_ANY, 0, RELAXED);
	give_up(p, LOCK);
	n_tending--
}

proctype putter(byte me)
{
	byte n, has, got;

	do
	:: n < N_TICKETS ->
		take(me, LOCK);
		n_lying++;
		store(me, HAS_ANY, 1, RELEASE);
		give_up(me, LOCK);
		n++;
		do
		:: load(me, HAS_ANY, has);
			if
			:: !has -> break
			:: else
			fi;
			putter_fence(me);
#ifndef NO_TURN
			try(me, TURN, got);
			if
			:: !got -> break
			:: else -> got = 0
			fi;
#endif
			tend(me);
#ifndef NO_TURN
			give_up(me, TURN);
#endif
			fence_after(me);
#ifdef NO_LOOK_AFTER
			break
#endif
		od;
		has = 0
	:: n == N_TICKETS -> break
	od
}

proctype owner()
{
	byte n, has;

	do
	:: take(OWNER, TURN);
		tend(OWNER);
		give_up(OWNER, TURN);
		owner_fence();
#ifndef NO_LOOK_AGAIN
		load(OWNER, HAS_ANY, has);
#endif
		if
		:: has -> has = 0
		:: else ->
			/* Something else may wake it, now or never. */
			if
			:: n < N_NAPS -> n++
			:: n_taken == N_PUTTERS * N_TICKETS -> break
			fi
		fi
	od
}

init {
	atomic {
		run memory(0);
		run memory(1);
		run memory(OWNER);
		run putter(0);
		run putter(1);
		run owner()
	}
}
