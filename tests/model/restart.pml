/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that comes back, and those who still hold what a former one gave them. */

/*
 * Client				New broker
 *   hold[s] := word			  epoch := mine
 *   compiler barrier			  membarrier
 *   slot == word, epoch == s?		  retire what is marked; for each line
 *   use the block			    of the directory: its table is found,
 *   epoch still s, or is line s	    and dropped if empty, else adopted;
 *   neither lost nor another's?	    or it is pending, and all is kept
 *   hold[s] := empty			  serve; free what no hold names
 *
 * A broker has two threads, one that changes and frees, one that takes over,
 * and is killed between any two steps of theirs; what it has stored is in
 * memory then. The next knows what is in memory and nothing else. A table that
 * it can't find may be handed over when its client attaches again, or its line
 * is lost when the grace is over, or is dropped. A line that is free may be
 * somebody else's. There is one block, and one slot that may name it.
 *
 * Session and line s are those of the broker with epoch s. All clients are
 * registered for membarrier; hold-reclaim.pml has the others.
 *
 * Variants, one of:
 *   VIEW	the client views what is in the slot. While it does, its table
 *		is not dropped as an empty one, and while its line does not say
 *		otherwise, the value is what it was
 *   FILL	the client fills a block that it was granted. While it does,
 *		the block is nobody else's, whatever its line says
 * and, on top of these:
 *   RESTARTS	how often; 1
 * Mutants of both:
 *   EPOCH_UNFENCED	no membarrier behind the new epoch
 *   NO_EPOCH		the client holds, and does not look at the epoch
 *   NO_ADOPT		the table that was found is not looked at
 *   NO_KEEP		nothing is kept on account of a pending table
 *   KEEP_LATE		what is kept is asked behind the scan
 * Mutants of VIEW:
 *   MARK_LATE		a record is marked behind the store that unpublishes it
 *   KEEP_RETIRED	of the former broker's, only what was retired is kept
 *   NO_LINE		the client does not look at its line
 *   LOST_LATE		the line is lost when nothing is kept any more
 *   DROP_LATE		the line is free when its table is not looked at any more
 *   ID_FIRST		the client looks at its line's id, and then at its state
 * Mutants of FILL:
 *   NO_OPEN		a block that was granted is not marked
 *   NO_HOLD		the client does not hold the block that it fills
 *   FREE_LOST		nothing is kept for a lost client
 */
#ifndef RESTARTS
#define RESTARTS 1
#endif

#define N_SESSIONS (1 + RESTARTS)
#define NO_SESSION N_SESSIONS

#define CLIENT 0
#define WORKER 1
#define CONTROL 2
#define N_PROCS 3
#define CAP 1			/* each has a fence between two stores that matter */

#define EPOCH 0
#define SLOT 1
#define HOLD(s) (2 + (s))
#define ID(s) (2 + N_SESSIONS + (s))
#define STATE(s) (2 + 2 * N_SESSIONS + (s))
#define N_WORDS (2 + 3 * N_SESSIONS)

/* SLOT, HOLD(s) */
#define EMPTY 0
#define NAMED 1

/* ID(s): whose the line is */
#define NOBODY 0
#define OURS 1
#define OTHERS 2

/* STATE(s) */
#define ATTACHED 0
#define PENDING 1
#define ADOPTED 2
#define LOST 3

/* what is kept, and how the record is marked */
#define NOTHING 0
#define OPEN 1
#define RETIRED 2
#define ALL 3

#include "memory.pml"

/*
 * In shared memory, but nobody sees these early or late: the mark is read when
 * the broker is dead that wrote it, and how a value becomes visible is for
 * hold-reclaim.pml.
 */
byte marked;
bit whole;			/* the block is what its record says, and not free */

/* --- what a broker knows, and forgets when it is killed -------------------- */

bit serving;			/* it lets clients in, and its worker works */
bit working;
bit killed;
byte n_kills;
byte epoch;
byte keep;
bit published;
bit limbo;
bit former;			/* another broker made what is in the block */
bit sees[N_SESSIONS];		/* the table is scanned */
bit handed[N_SESSIONS];		/* the client has sent it along */
bit was_empty[N_SESSIONS];	/* nobody's knowledge: it was dropped for that */

/* Here it may be killed; the other thread gets no further than to its next such point. */
#define alive if :: !killed :: killed || n_kills < RESTARTS -> goto dead fi

/* --- the client ------------------------------------------------------------ */

byte mine;			/* its session in use */
bit in_use;			/* it believes that it may fill the block */

#define wait_membarrier(p) (full_fence(p) && full_fence(CLIENT))

/* What both sides wrote during their conversation is in memory when it is over. */
inline attach()
{
	atomic {
		serving && epoch != mine && mem[ID(epoch)] == NOBODY &&
			full_fence(CLIENT) && full_fence(CONTROL) ->
		mine = epoch;
		sees[mine] = 1;
		mem[STATE(mine)] = ATTACHED;
		mem[ID(mine)] = OURS
	}
}

inline hand_over(s)
{
	atomic {
		serving && epoch == mine && s != mine && mem[ID(s)] == OURS && !handed[s] &&
			(mem[STATE(s)] == PENDING || mem[STATE(s)] == LOST) ->
		handed[s] = 1
	}
}

inline is_honoured(s, yes)
{
	load(CLIENT, EPOCH, yes);
	if
	:: yes == s -> yes = 1
#ifndef NO_LINE
#ifdef ID_FIRST
	:: yes != s -> load(CLIENT, ID(s), yes);
		if
		:: atomic { yes == OURS -> load(CLIENT, STATE(s), yes); yes = (yes != LOST) }
		:: atomic { yes != OURS -> yes = 0 }
		fi
#else
	:: yes != s -> load(CLIENT, STATE(s), yes);
		if
		:: atomic { yes != LOST -> load(CLIENT, ID(s), yes); yes = (yes == OURS) }
		:: atomic { yes == LOST -> yes = 0 }
		fi
#endif
#else
	:: yes != s -> yes = 1
#endif
	fi
}

inline let_go()
{
	store(CLIENT, HOLD(at), EMPTY, RELEASE)
}

#ifdef VIEW
proctype client()
{
	byte at, seen, yes;

	do
	:: attach()
	:: atomic {
		mine != NO_SESSION ->
		load(CLIENT, SLOT, seen);
		if
		:: seen == EMPTY	/* a miss */
		:: seen == NAMED ->
			at = mine;
			store(CLIENT, HOLD(at), NAMED, RELEASE);
			goto holds
		fi }
	:: false ->
holds:		load(CLIENT, SLOT, seen);
		if
		:: seen == EMPTY
#ifdef NO_EPOCH
		:: atomic { seen == NAMED -> seen = at };
#else
		:: seen == NAMED -> load(CLIENT, EPOCH, seen);
#endif
			if
			:: atomic { seen != at -> seen = 0 }
			:: atomic { seen == at -> seen = 0 };
				do
				:: attach()
				:: hand_over(at)
				:: seen = whole;
					is_honoured(at, yes);
					atomic {
						assert(!was_empty[at]);
						assert(!yes || seen);
						yes = 0;
						seen = 0
					}
				:: break
				od
			fi
		fi;
		atomic { let_go(); at = 0 }
	od
}
#endif

#ifdef FILL
bit granted;			/* by the broker, a message to session @grantee */
byte grantee;
bit answered;			/* by the client: committed or aborted */

proctype client()
{
	byte at, seen;

	do
	:: attach()
	:: atomic {
		granted && grantee == mine ->
		granted = 0;
		at = mine;
#ifndef NO_HOLD
		store(CLIENT, HOLD(at), NAMED, RELEASE)
#endif
		};
#ifdef NO_EPOCH
		seen = at;
#else
		load(CLIENT, EPOCH, seen);
#endif
		if
		:: atomic { seen == at -> seen = 0; in_use = 1 };
			do
			:: attach()
			:: hand_over(at)
			:: break
			od;
			in_use = 0
		:: atomic { seen != at -> seen = 0 }
		fi;
		/* It asks for the end of it, whoever may hear that, and lets go. */
		atomic {
			let_go();
			answered = (serving && !killed && at == epoch);
			at = 0
		}
	od
}
#endif

/* --- the broker's worker --------------------------------------------------- */

#ifdef VIEW
inline publish()
{
	atomic {
		!published && !limbo && full_fence(WORKER) ->
		whole = 1;
		former = 0;
		published = 1;
		store(WORKER, SLOT, NAMED, RELEASE)
	}
}

/* Removed, replaced, evicted. */
inline unpublish()
{
	atomic {
		published ->
#ifndef MARK_LATE
		marked = RETIRED
#endif
	};
	alive;
	store(WORKER, SLOT, EMPTY, RELEASE);
	alive;
	atomic {
#ifdef MARK_LATE
		marked = RETIRED;
#endif
		published = 0;
		limbo = 1
	}
}
#endif

#ifdef FILL
bit reserved;

inline grant()
{
	atomic {
		!reserved && !limbo && sees[epoch] ->
		whole = 1;
		former = 0;
#ifndef NO_OPEN
		marked = OPEN;
#endif
		reserved = 1
	};
	alive;
	atomic { grantee = epoch; granted = 1 }
}

/* Committed or aborted: in the end it goes as any value does. */
inline settle()
{
	atomic { reserved && answered -> reserved = 0; answered = 0; limbo = 1 }
}
#endif

inline scan(s)
{
	if
	:: atomic {
		sees[s] ->
		load(WORKER, HOLD(s), hold);
#ifndef NO_ADOPT
		named = named || hold == NAMED;
#endif
		hold = 0 }
	:: !sees[s]
	fi
}

#ifdef KEEP_RETIRED
bit was_marked;
#define is_kept (kept == ALL && was_marked)
#else
#define is_kept (former && (kept == ALL || (kept == OPEN && marked == OPEN)))
#endif

inline reclaim()
{
	atomic { limbo -> kept = keep };
	wait_membarrier(WORKER);
	scan(0);
	scan(1);
#if RESTARTS > 1
	scan(2);
#endif
	alive;
#ifdef KEEP_LATE
	kept = keep;
#endif
	atomic {
		if
		:: !named && !is_kept ->
			assert(!in_use);
			marked = NOTHING;
			whole = 0;
			limbo = 0
		:: else
		fi;
		named = 0;
		kept = NOTHING
	}
}

proctype worker()
{
	byte kept, hold;
	bit named;

idle:	atomic { serving && !killed -> working = 1 };
	do
#ifdef VIEW
	:: publish()
	:: unpublish()
#endif
#ifdef FILL
	:: grant()
	:: settle()
#endif
	:: reclaim()
	:: killed -> break
	od;
dead:	atomic { killed = 1; named = 0; kept = 0; working = 0 };
	goto idle
}

/* --- the broker's control thread ------------------------------------------- */

#define awaits(s) (mem[ID(s)] == OURS && !sees[s] && (s) < epoch)
#define pending(s) (awaits(s) && mem[STATE(s)] != LOST)
#define lost(s) (awaits(s) && mem[STATE(s)] == LOST)
#if RESTARTS > 1
#define any(what) (what(0) || what(1))
#else
#define any(what) what(0)
#endif

/* With the lock: what was stored in lines is there for whoever has it next. */
inline update_keep()
{
	atomic {
		full_fence(CONTROL) ->
		keep = NOTHING;
#ifndef NO_KEEP
		if
		:: any(pending) -> keep = ALL
#ifndef FREE_LOST
		:: !any(pending) && any(lost) -> keep = OPEN
#endif
		:: else
		fi
#endif
	}
}

/* Given up, with whatever it holds. */
inline drop(s)
{
#ifdef DROP_LATE
	sees[s] = 0;
#endif
	store(CONTROL, ID(s), NOBODY, RELEASE);
	atomic { full_fence(CONTROL) -> sees[s] = 0 }
}

/* It is found; and dropped if it is empty. */
inline take(s)
{
	atomic {
		sees[s] = 1;
		if
		:: mem[STATE(s)] != LOST -> store(CONTROL, STATE(s), ADOPTED, RELEASE)
		:: else
		fi
	};
	if
	:: atomic { mem[HOLD(s)] == EMPTY -> was_empty[s] = 1 }; full_fence(CONTROL); drop(s)
	:: mem[HOLD(s)] != EMPTY -> full_fence(CONTROL)
	fi
}

/* A line of the directory, as a broker finds it that has just come. */
inline adopt(s)
{
	if
	:: (s) < epoch && mem[ID(s)] == OURS ->
		if
		:: take(s)
		:: mem[STATE(s)] != LOST -> store(CONTROL, STATE(s), PENDING, RELEASE)
		:: mem[STATE(s)] == LOST
		fi
	:: else
	fi;
	alive
}

/* From what is in memory. Published wins over a mark. */
inline recover()
{
	atomic {
		former = 1;
		published = (mem[SLOT] == NAMED);
		limbo = (!published && marked != NOTHING);
#ifdef KEEP_RETIRED
		was_marked = limbo;
#endif
		if
		:: published -> marked = NOTHING
		:: limbo
		:: !published && !limbo -> assert(!in_use); whole = 0
		fi
	}
}

inline start()
{
	atomic { epoch++; store(CONTROL, EPOCH, epoch, RELEASE) };
#ifdef EPOCH_UNFENCED
	full_fence(CONTROL);
#else
	wait_membarrier(CONTROL);
#endif
	alive;
	recover();
	adopt(0);
#if RESTARTS > 1
	adopt(1);
#endif
	update_keep();
	serving = 1
}

inline lose(s)
{
#ifdef LOST_LATE
	atomic { pending(s) -> keep = NOTHING };
	store(CONTROL, STATE(s), LOST, RELEASE);
#else
	atomic { pending(s) -> store(CONTROL, STATE(s), LOST, RELEASE) };
#endif
	update_keep()
}

/* Whatever may happen to a line of a former session. */
inline afterwards(s)
{
	if
	:: atomic { handed[s] && awaits(s) -> handed[s] = 0 }; take(s)
	:: lose(s)
#ifdef VIEW
	/* As lost, where nobody would tell us of the client's end; or to make way. */
	:: mem[ID(s)] == OURS && (s) < epoch -> drop(s)
	/* Another client's next. */
	:: atomic { mem[ID(s)] == NOBODY && (s) < epoch ->
		store(CONTROL, STATE(s), ATTACHED, RELAXED) };
		store(CONTROL, ID(s), OTHERS, RELEASE)
#endif
	:: atomic { sees[s] && (s) < epoch && mem[HOLD(s)] == EMPTY -> was_empty[s] = 1 };
		drop(s)
	fi;
	update_keep();
	alive
}

proctype control()
{
	do
	:: afterwards(0)
#if RESTARTS > 1
	:: afterwards(1)
#endif
	:: alive
	:: killed ->
dead:		killed = 1;
		/* What the dead have stored is in memory, what they knew is not. */
		atomic {
			!working && full_fence(WORKER) && full_fence(CONTROL) ->
			serving = 0;
			killed = 0;
			n_kills++;
			sees[0] = 0;
			sees[1] = 0;
			handed[0] = 0;
			handed[1] = 0;
#if RESTARTS > 1
			sees[2] = 0;
			handed[2] = 0;
#endif
#ifdef FILL
			reserved = 0;
			answered = 0;
#endif
			keep = NOTHING
		};
		start()
	od
}

init {
	atomic {
		serving = 1;
		mine = NO_SESSION;
		run memory(CLIENT);
		run memory(WORKER);
		run memory(CONTROL);
		run client();
		run worker();
		run control()
	}
}
