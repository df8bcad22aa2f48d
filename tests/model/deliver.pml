/* SPDX-License-Identifier: Apache-2.0 */
/* A value without an entry: it passes from the broker to those who asked for it. */

/*
 *	client				broker
 *	F1  take the completion		D1  open mark, value
 *	F2  hold := word		D2  completion := word		release
 *	    the epoch still?		D3  take the ABORT
 *	F3  ABORT		release	D4  the last one: into limbo
 *	    use the value		D5  a round that begins after D4:
 *	    hold := empty			scan, and free what no hold names
 *
 * Two clients want the same value. One flight brings it, for whoever waits when
 * it is there; how a FETCH comes to the broker is the ring's (ring.pml). No slot
 * ever names the record, so nobody looks at one again, and no fence and no
 * membarrier stands between F2 and D5: the order of F2 and F3 has to be enough.
 * There is one block; it is overwritten with POISON when it is freed, and then
 * used for the next value. A client may have given up before the answer comes:
 * then it holds nothing, and says ABORT all the same. It dies between any two
 * of its steps.
 *
 * The broker is its worker and its remote thread, which take turns under the
 * store's lock, and a thread in a reclaim round, whose scan is not under it. All
 * have one store buffer, since that lock orders what they store.
 *
 * Variant:
 *   RESTART		the broker is killed; the next one knows the marks in
 *			memory, and finds the tables of the clients
 * Mutants:
 *   ABORT_FIRST	the client gives up, and then holds
 *   RELAXED_ABORT	(WEAK_STORES) the ABORT is a relaxed store
 *   RELAXED_DONE	(WEAK_STORES) the completion is a relaxed store
 *   NO_COUNT		the first who gives it up takes it from the other
 *   NO_SCAN		what was given up is freed at once
 *   LATE_LIMBO		a round frees what came into limbo behind its scan
 *   DROP_ALIVE		a client is gone for the broker before it is dead
 *   NO_LEAVE		what was delivered to the dead is not given up
 *   NO_GIVE_BACK	what was on its way to the dead is not given up
 *   NO_FILL_END	who brought it does not let go of it
 *   NO_EPOCH		(RESTART) the client looks at no epoch behind its hold
 *   EPOCH_UNFENCED	(RESTART, WEAK_STORES) no fence behind the new epoch
 *   NO_OPEN		(RESTART) what is delivered has no mark
 *   UNMARKED_LIMBO	(RESTART) nor has it one when it was given up
 *   NO_ADOPT		(RESTART) the tables of before are not scanned
 */
#define N_CLIENTS 2
#define BROKER 2
#define N_PROCS 3
#define CAP_OF(p) (2 + 2 * ((p) == BROKER))

#define HOLD(c) (c)
#define DONE(c) (2 + (c))
#define ABORT(c) (4 + (c))
#define BODY 6
#define MARK 7
#define EPOCH 8
#define N_WORDS 9

#define EMPTY 0
#define POISON 0
#define WORD(g) (1 + (g))
#define CONTENT(g) (1 + (g))

/* Rings in small: the turn says that a completion or an ABORT is a new one. */
#define COMPLETION(t, g) (1 + 2 * (t) + (g))
#define TURN(w) (((w) - 1) / 2)
#define GEN(w) (((w) - 1) % 2)

#include "memory.pml"

#ifdef RELAXED_ABORT
#define ABORT_ORDER RELAXED
#else
#define ABORT_ORDER RELEASE
#endif
#ifdef RELAXED_DONE
#define DONE_ORDER RELAXED
#else
#define DONE_ORDER RELEASE
#endif

/* What the broker knows of each client. */
#define IDLE 0
#define WANTED 1	/* a ticket is out */
#define ANSWERED 2	/* it is on its way back, with the value */
#define GIVEN 3		/* completed, and not given up */
#define LEFT 4
byte state[N_CLIENTS];
bit turn[N_CLIENTS];

/* The kernel reports it dead: its stores are in memory. */
bit gone[N_CLIENTS];

bit gen;		/* of the record */
bit filling;		/* who brings it has it */
byte n;			/* who has not given it up */
bit open, limbo;
bit named, in_round;	/* what a round saw */

/* A client's step that may be its last. */
#define OR_DIE :: goto dead

proctype client(byte c)
{
	byte got, seen;
	bit mine;		/* its turn */

	do
	:: atomic { state[c] == IDLE -> state[c] = WANTED };
wait:		if
		:: atomic {
			load(c, DONE(c), got);
			if
			:: got && TURN(got) == mine -> skip
			:: else -> got = 0
			fi }
#ifdef RESTART
		:: atomic { mem[EPOCH] != 0 -> goto over }	/* a hang-up */
#endif
		OR_DIE
		fi;
		if
		:: !got -> goto wait
		:: got
		fi;
#ifdef ABORT_FIRST
		store(c, ABORT(c), 1 + mine, ABORT_ORDER);
#endif
		if
		:: store(c, HOLD(c), WORD(GEN(got)), RELEASE)
		:: atomic { got = 0 }	/* nobody waits for it any more */
		OR_DIE
		fi;
#if defined(RESTART) && !defined(NO_EPOCH)
		if
		:: atomic { got && full_fence(c) ->
			if
			:: mem[EPOCH] == 0
			:: mem[EPOCH] != 0 -> goto release
			fi }
		:: !got
		OR_DIE
		fi;
#endif
#ifndef ABORT_FIRST
		if
		:: store(c, ABORT(c), 1 + mine, ABORT_ORDER)
		OR_DIE
		fi;
#endif
		mine = 1 - mine;
		if
		:: !got
		:: got ->
			do
			:: atomic {
				load(c, BODY, seen);
				assert(seen == CONTENT(GEN(got)));
				seen = 0 }
			:: break
			OR_DIE
			od
		fi;
#ifdef RESTART
release:
#endif
		atomic { store(c, HOLD(c), EMPTY, RELEASE); got = 0 }
#ifdef RESTART
		;
		if
		:: mem[EPOCH] != 0 -> goto over
		:: mem[EPOCH] == 0
		fi
#endif
	OR_DIE
	od;
dead:
	atomic { full_fence(c) -> got = 0; gone[c] = 1; goto out };
#ifdef RESTART
over:	/* Attached no more, and it lives. */
	skip;
#endif
out:	skip
}

inline retire()
{
#ifdef UNMARKED_LIMBO
	store(BROKER, MARK, 0, RELAXED);
#endif
	open = 0;
	limbo = 1
}

/* One less has it. */
inline give_up()
{
	n--;
	if
#ifdef NO_COUNT
	:: open -> retire()
	:: !open
#else
	:: !n -> retire()
	:: n
#endif
	fi
}

inline deliver(c)
{
	n++;
	state[c] = ANSWERED
}

inline answer(c)
{
	store(BROKER, DONE(c), COMPLETION(turn[c], gen), DONE_ORDER);
	state[c] = GIVEN
}

inline take_abort(c)
{
	load(BROKER, ABORT(c), raw);
	if
	:: raw == 1 + turn[c] ->
		turn[c] = 1 - turn[c];
		state[c] = IDLE;
		give_up()
	:: else
	fi;
	raw = 0
}

inline leave(c)
{
	if
#ifndef NO_LEAVE
	:: state[c] == GIVEN -> give_up()
#endif
#ifndef NO_GIVE_BACK
	:: state[c] == ANSWERED -> give_up()
#endif
	:: else
	fi;
	state[c] = LEFT
}

#ifdef DROP_ALIVE
#define may_leave(c) (state[c] != LEFT)
#else
#define may_leave(c) (gone[c] && state[c] != LEFT)
#endif

/* The order of D1 is that of a kill, too: marked before anybody can have it. */
proctype broker()
{
	byte raw;

end:	do
	/* A flight, for whoever waits when it is there. */
	:: atomic {
		!filling && !open && !limbo && mem[EPOCH] == 0 &&
			(state[0] == WANTED || state[1] == WANTED) ->
		filling = 1;
		open = 1;
		n = 1;
		gen = 1 - gen;
#ifndef NO_OPEN
		store(BROKER, MARK, 1, RELAXED);
#endif
		store(BROKER, BODY, CONTENT(gen), RELAXED) }
	:: atomic { filling && state[0] == WANTED -> deliver(0) }
	:: atomic { filling && state[1] == WANTED -> deliver(1) }
	:: atomic {
		filling && (state[0] == ANSWERED || state[1] == ANSWERED ||
			state[0] >= GIVEN || state[1] >= GIVEN) ->
		filling = 0;
#ifndef NO_FILL_END
		give_up()
#endif
	   }
	/* The worker: answers, ABORTs, and those who left. */
	:: atomic { state[0] == ANSWERED -> answer(0) }
	:: atomic { state[1] == ANSWERED -> answer(1) }
	:: atomic { state[0] == GIVEN -> take_abort(0) }
	:: atomic { state[1] == GIVEN -> take_abort(1) }
	:: atomic { may_leave(0) -> leave(0) }
	:: atomic { may_leave(1) -> leave(1) }
	/* All are gone, and nothing more can happen. */
	:: atomic { timeout -> assert(!open && !limbo); break }
	od
}

/*
 * The next broker: it knows the mark, and nothing of rings, tickets and counts.
 * Whatever is not marked is free to it.
 */
inline restart()
{
	filling = 0;
	open = 0;
	n = 0;
	in_round = 0;
	state[0] = LEFT;
	state[1] = LEFT;
	store(BROKER, EPOCH, 1, RELEASE)
}

inline free_it()
{
	store(BROKER, BODY, POISON, RELAXED);
	store(BROKER, MARK, 0, RELAXED);
	limbo = 0
}

/* A table stays until its client is dead; a former client's, too. */
#ifdef DROP_ALIVE
#define is_seen(c) (!gone[c] && state[c] != LEFT)
#else
#define is_seen(c) (!gone[c])
#endif
#ifdef NO_ADOPT
#define is_scanned(c) (is_seen(c) && mem[EPOCH] == 0)
#else
#define is_scanned(c) is_seen(c)
#endif

inline scan_one(c)
{
	atomic {
		if
		:: is_scanned(c) ->
			load(BROKER, HOLD(c), hold);
			named = named || hold == WORD(gen);
			hold = 0
		:: else
		fi
	}
}

proctype reclaim()
{
	byte hold;

end:	do
#ifdef LATE_LIMBO
	:: open || limbo ->
#else
	:: limbo ->
#endif
		in_round = 1;
		scan_one(0);
		scan_one(1);
		atomic {
			if
			:: limbo && !named && in_round -> free_it()
			:: else
			fi;
			named = 0;
			in_round = 0
		}
#ifdef NO_SCAN
	:: atomic { limbo -> free_it() }
#endif
#ifdef RESTART
	:: atomic {
		full_fence(BROKER) && mem[EPOCH] == 0 ->
		restart() };
#ifndef EPOCH_UNFENCED
		full_fence(BROKER);
#endif
		atomic {
			if
			:: mem[MARK] -> limbo = 1
			:: !mem[MARK] -> limbo = 0; store(BROKER, BODY, POISON, RELAXED)
			fi
		}
#endif
	od
}

init {
	atomic {
		run memory(0);
		run memory(1);
		run memory(BROKER);
		run client(0);
		run client(1);
		run broker();
		run reclaim()
	}
}
