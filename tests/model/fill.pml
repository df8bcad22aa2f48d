/* SPDX-License-Identifier: Apache-2.0 */
/* A value that comes from elsewhere never outlives a put or a delete that overtook it. */

/*
 * Change (a worker)		Flight (the remote thread)	Asker
 *   C1 put or delete it,	  W1 watch over the key		  A1 look; it is there? read it
 *      mark all who watch	  W2 ask; an answer comes	  A2 join the flight of the
 *   C2 answered		  W3 marked? no block, no value	     key, or begin one
 *				  W4 be found by nobody else	  A3 be given it, or look
 *				  W5 marked? else publish,
 *				     or deliver to each
 *				  W6 watch no more
 *
 * C1, W1, W3, W5 and W6 are each one stretch under the store's lock; of W5 there is one for each
 * who gets it. In between anything may happen, and anybody evict the entry. There is one flight of
 * a key that can be found, and another, that is past W4, may still be under way: so there are two
 * fills of the key at times, each begun again and again.
 *
 * A change has the next number. Elsewhere nothing is known that is older than the last that had
 * begun when the question came; what was asked before is older than that, and comes any time later.
 *
 * Properties: what is there is never older than what was answered; and what is delivered to one
 * who asked is no older than what had been answered when he did.
 *
 * Mutants:
 *   PUT_UNMARKED	a put does not mark who watches
 *   DELETE_UNMARKED	nor does a delete
 *   MARK_LATE		they are marked behind the answer
 *   MARK_ONE		only the first of them is
 *   WATCH_LATE		the question comes before the watch
 *   CHECK_EARLY	who publishes looks at the mark, and takes the lock again
 *   CHECK_ONCE		a mark is looked at before there is a block, and no more
 *   DELIVER_UNCHECKED	who delivers does not look at the mark
 */
#ifndef N_CHANGES
#define N_CHANGES 2
#endif
#ifndef N_ASKS
#define N_ASKS 2
#endif

#define N_ASKERS 2
#define NONE 2		/* flights are 0 and 1 */

byte begun, answered;	/* changes */
bit there;		/* the entry */
byte version;

bit watched[2], marked[2];
bit flying[2];
bit past[2];		/* nobody finds it any more */
byte on[N_ASKERS] = NONE;
byte since[N_ASKERS];

#define found_in_table(f) (flying[f] && !past[f])

#define is_right (!there || version >= answered)

/* --- the store, under its lock -------------------------------------------------------- */

inline mark()
{
	marked[0] = marked[0] || watched[0];
#ifdef MARK_ONE
	marked[1] = marked[1] || (watched[1] && !watched[0])
#else
	marked[1] = marked[1] || watched[1]
#endif
}

inline mark_of_put()
{
#if defined(MARK_LATE) || defined(PUT_UNMARKED)
	skip
#else
	mark()
#endif
}

inline mark_of_delete()
{
#if defined(MARK_LATE) || defined(DELETE_UNMARKED)
	skip
#else
	mark()
#endif
}

proctype change()
{
	do
	:: begun < N_CHANGES ->
		begun++;
		if
		:: atomic { there = 1; version = begun; mark_of_put() }
		:: atomic { there = 0; version = 0; mark_of_delete() }
		fi;
		atomic {
			answered = begun;
			assert(is_right)
		}
#ifdef MARK_LATE
		;
		atomic { mark() }
#endif
	:: break
	od
}

proctype evict()
{
end:	do
	:: atomic { there -> there = 0; version = 0 }
	od
}

/* --- who asks ------------------------------------------------------------------------- */

inline watch(f)
{
	watched[f] = 1;
	marked[f] = 0
}

inline fly(f)
{
	flying[f] = 1;
	on[a] = f;
#ifndef WATCH_LATE
	watch(f)
#endif
}

proctype asker(byte a)
{
	byte n;

	do
	:: n < N_ASKS ->
		n++;
		atomic {
			since[a] = answered;
			if
			:: there -> assert(version >= since[a]); goto next
			:: !there
			fi
		};
		atomic {
			if
			:: found_in_table(0) -> on[a] = 0
			:: found_in_table(1) -> on[a] = 1
			:: !flying[0] && !found_in_table(1) -> fly(0)
			:: flying[0] && past[0] && !flying[1] -> fly(1)
			fi
		};
		atomic { on[a] == NONE -> since[a] = 0 };
next:		skip
	:: n == N_ASKS -> break
	od
}

/* --- who brings it -------------------------------------------------------------------- */

/* Found, or missed: he looks for himself. */
inline tell(f, a)
{
	atomic {
		if
		:: on[a] == f -> on[a] = NONE
		:: else
		fi
	}
}

inline deliver(f, a)
{
	atomic {
		if
		:: on[a] == f ->
			if
#ifndef DELIVER_UNCHECKED
			:: marked[f]
#endif
			:: else -> assert(got >= since[a])
			fi;
			on[a] = NONE
		:: else
		fi
	}
}

inline look(f)
{
	is_marked = marked[f]
}

inline publish()
{
	if
	:: is_marked || there
	:: else -> there = 1; version = got
	fi;
	assert(is_right)
}

proctype flight(byte f)
{
	byte got;
	bit is_marked;

end:	do
	:: flying[f] ->
		got = begun;
#ifdef WATCH_LATE
		atomic { watch(f) };
#endif
		atomic { look(f) };
		if
		:: is_marked -> past[f] = 1
		/* It is to be kept, or not. */
		:: !is_marked ->
			past[f] = 1;
#if defined(CHECK_ONCE)
			atomic { publish() }
#elif defined(CHECK_EARLY)
			atomic { look(f) };
			atomic { publish() }
#else
			atomic { look(f); publish() }
#endif
		:: !is_marked ->
			past[f] = 1;
			deliver(f, 0);
			deliver(f, 1)
		fi;
		tell(f, 0);
		tell(f, 1);
		atomic {
			is_marked = 0;
			got = 0;
			watched[f] = 0;
			marked[f] = 0;
			past[f] = 0;
			flying[f] = 0
		}
	od
}

init {
	atomic {
		run change();
		run evict();
		run asker(0);
		run asker(1);
		run flight(0);
		run flight(1)
	}
}
