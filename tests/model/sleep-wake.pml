/* SPDX-License-Identifier: Apache-2.0 */
/* Sleep and wake on a ring: no wake-up is lost. */

/*
 * Producer of lane l			Consumer of all lanes
 *   entry := ready			  consume what there is, spin a little
 *   full fence				  need_wakeup := 1, in every lane
 *   need_wakeup set? wake		  full fence
 *					  look again, in every lane
 *					  work? need_wakeup := 0, consume
 *					  none? sleep until a wake token
 *					  need_wakeup := 0, take the token
 *
 * The producer's store of the entry and its load of the flag, against the
 * consumer's store of the flag and its load of the entry. The token is a
 * counter as an eventfd has it: it stays until it is taken, and several wakes
 * before that are one.
 *
 * Both directions are this model. Submission: the broker consumes from many
 * lanes. Completion: the client consumes from its lane, or from several in one
 * event loop. A lane's entry may be any word whose change the sleeper waits
 * for; lane 1 is to be read as cq_head too, for which a broker may wait that
 * holds completions back: whoever reaps is then a producer of space.
 *
 * Property: who sleeps for good has nothing left to consume. A consumer that
 * sleeps without a token while an entry waits is an invalid end state.
 *
 * Variants:
 *   (none)		sleeping takes the token in one step, as read() does
 *   EVENT_LOOP		poll() reports the token, and a later step takes it
 * Mutants:
 *   NO_PRODUCER_FENCE	the producer has a compiler barrier only
 *   NO_CONSUMER_FENCE	so has the consumer
 *   NO_LOOK_AGAIN	the consumer sleeps once it has set the flag
 *   LOOK_AT_ONE	it looks again in one lane only
 *   NO_REAP_WAKE	the producer of lane 1 never looks at the flag
 *   NOT_STICKY		a wake without a sleeper leaves no token
 *   DRAIN_LATE		(EVENT_LOOP) the token is taken after looking again
 */
#ifndef N_ENTRIES
#define N_ENTRIES 3
#endif

#define N_LANES 2
#define CONSUMER 2
#define N_PROCS 3

#define ENTRY(l, i) ((l) * N_ENTRIES + (i))
#define NEED_WAKEUP(l) (N_LANES * N_ENTRIES + (l))
#define N_WORDS (N_LANES * (N_ENTRIES + 1))

#include "memory.pml"

#ifdef NO_PRODUCER_FENCE
#define producer_fence(p) compiler_barrier(p)
#else
#define producer_fence(p) full_fence(p)
#endif
#ifdef NO_CONSUMER_FENCE
#define consumer_fence() compiler_barrier(CONSUMER)
#else
#define consumer_fence() full_fence(CONSUMER)
#endif

bit token;
bit asleep;
byte n_taken[N_LANES];

/* The next entry of lane l is there; only producers write entries. */
#define has_work(l) \
	(n_taken[l] < N_ENTRIES && mem[ENTRY(l, n_taken[l])])

inline wake()
{
#ifdef NOT_STICKY
	token = asleep
#else
	token = 1
#endif
}

proctype producer(byte l)
{
	byte n, need;

	do
	:: n < N_ENTRIES ->
		store(l, ENTRY(l, n), 1, RELEASE);
		n++;
		producer_fence(l);
#ifdef NO_REAP_WAKE
		if
		:: l == 0 -> load(l, NEED_WAKEUP(l), need)
		:: l == 1
		fi;
#else
		load(l, NEED_WAKEUP(l), need);
#endif
		if
		:: need -> atomic { wake(); need = 0 }
		:: !need
		fi
	:: n == N_ENTRIES -> break
	od
}

inline set_need_wakeup(v)
{
	store(CONSUMER, NEED_WAKEUP(0), v, RELAXED);
	store(CONSUMER, NEED_WAKEUP(1), v, RELAXED)
}

inline look(l)
{
	if
	:: has_work(l) -> goto awake
	:: !has_work(l)
	fi
}

proctype consumer()
{
	do
	:: has_work(0) -> n_taken[0]++
	:: has_work(1) -> n_taken[1]++
	:: n_taken[0] == N_ENTRIES && n_taken[1] == N_ENTRIES -> break
	:: n_taken[0] < N_ENTRIES || n_taken[1] < N_ENTRIES ->
		/* How long it spins is the search's choice; it may be 0. */
		look(0);
		look(1);
		set_need_wakeup(1);
		consumer_fence();
#ifndef NO_LOOK_AGAIN
		look(0);
#ifndef LOOK_AT_ONE
		look(1);
#endif
#endif
#ifdef DRAIN_LATE
		token = 0;
#endif
		asleep = 1;
		atomic {
			token ->
			asleep = 0;
#ifndef EVENT_LOOP
			token = 0
#endif
		};
awake:
		set_need_wakeup(0);
#if defined(EVENT_LOOP) && !defined(DRAIN_LATE)
		token = 0
#endif
	od
}

init {
	atomic {
		run memory(0);
		run memory(1);
		run memory(CONSUMER);
		run producer(0);
		run producer(1);
		run consumer()
	}
}
