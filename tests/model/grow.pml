/* SPDX-License-Identifier: Apache-2.0 */
/* The index grows by linear hashing while a reader looks a key up. */

/*
 * Broker splits bucket s		Reader
 *   copy the words that move into	  n := n_buckets
 *     the new bucket n_buckets		  scan the bucket of (hash, n)
 *   n_buckets := n_buckets + 1		  found: the slot again, as in
 *   clear the words that moved,	    hold-reclaim
 *     in the old bucket		  not found: n_buckets again
 *					    same bucket? a miss; else start over
 *
 * n_buckets only grows, and a key's bucket only ever moves from s to the newest
 * bucket: a key that has the same bucket under both values of n was not moved
 * in between. All stores are the broker's; the readers write nothing, so one
 * reader is enough. Between splits the broker replaces the key, which writes
 * its slot word and nothing else, and puts and removes another key.
 *
 * Properties: a key that nobody removes is found; and it never appears to go
 * back to a value older than the one that this reader saw before.
 *
 * The last step needs an order too, and not only n_buckets: where the cleared
 * word can be seen before the new n_buckets, a reader finds neither. On TSO
 * this comes for free; in C11 the clear is a release store and the reader's
 * scan loads are acquire loads.
 *
 * Mutants:
 *   CLEAR_FIRST	the old words are cleared before n_buckets is published
 *   NO_RECHECK_N	what is not found is a miss at once
 *   COPY_LATE		n_buckets is published before the words are copied
 *   MOVE_DOWN		the broker moves a word down within its bucket
 *   RELAXED_N		(WEAK_STORES) n_buckets is a relaxed store
 *   RELAXED_CLEAR	(WEAK_STORES) the clears are relaxed stores
 */
#define MAX_BUCKETS 4
#define N_SLOTS 2
#define N_VERSIONS 3

#define BROKER 0
#define READER 1
#define N_PROCS 2

#define N_BUCKETS 0
#define SLOT(b, i) (1 + N_SLOTS * (b) + (i))
#define N_WORDS (1 + N_SLOTS * MAX_BUCKETS)

#define EMPTY 0
#define KEY 0
#define OTHER 1
#define WORD(k, v) (1 + N_VERSIONS * (k) + (v))
#define KEY_OF(w) (((w) - 1) / N_VERSIONS)
#define VERSION_OF(w) (((w) - 1) % N_VERSIONS)

/* The bucket of hash h among n, and the bucket that is split at n. */
#define BUCKET(h, n) (((n) == 1 -> 0 : \
	((n) == 2 || (h) % 4 >= (n) -> (h) % 2 : (h) % 4)))
#define SPLIT_OF(n) ((n) == 3 -> 1 : 0)

#include "memory.pml"

#ifdef RELAXED_N
#define N_ORDER RELAXED
#else
#define N_ORDER RELEASE
#endif
#ifdef RELAXED_CLEAR
#define CLEAR_ORDER RELAXED
#else
#define CLEAR_ORDER RELEASE
#endif

byte hash[2];

/* The broker's own books; equal to mem[] once its buffer has drained. */
byte n;
byte version;
bit moves[N_SLOTS];

inline choose(dst, limit)
{
	dst = 0;
	do
	:: dst + 1 < limit -> dst++
	:: break
	od
}

/* The words of the split bucket that belong into the new one. */
inline copy()
{
	i = 0;
	do
	:: i < N_SLOTS ->
		load(BROKER, SLOT(from, i), word);
		if
		:: word != EMPTY && BUCKET(hash[KEY_OF(word)], n + 1) == n ->
			store(BROKER, SLOT(n, i), word, RELAXED);
			moves[i] = 1
		:: else
		fi;
		i++
	:: else -> break
	od
}

inline clear()
{
	i = 0;
	do
	:: i < N_SLOTS ->
		if
		:: moves[i] ->
			store(BROKER, SLOT(from, i), EMPTY, CLEAR_ORDER);
			moves[i] = 0
		:: else
		fi;
		i++
	:: else -> break
	od
}

inline publish()
{
	store(BROKER, N_BUCKETS, n + 1, N_ORDER)
}

inline split()
{
	from = SPLIT_OF(n);
#if defined(CLEAR_FIRST)
	copy(); clear(); publish();
#elif defined(COPY_LATE)
	publish(); copy(); clear();
#else
	copy(); publish(); clear();
#endif
	n++
}

/* Where a key is now: its bucket, and i its slot or N_SLOTS. */
inline find(k)
{
	from = BUCKET(hash[k], n);
	i = 0;
	do
	:: i < N_SLOTS ->
		load(BROKER, SLOT(from, i), word);
		if
		:: word != EMPTY && KEY_OF(word) == k -> break
		:: else -> i++
		fi
	:: else -> break
	od
}

inline replace()
{
	find(KEY);
	version++;
	store(BROKER, SLOT(from, i), WORD(KEY, version), RELEASE)
}

inline put_or_remove_other()
{
	find(OTHER);
	if
	:: i < N_SLOTS ->
		store(BROKER, SLOT(from, i), EMPTY, RELEASE)
	:: else ->
		choose(i, N_SLOTS);
		load(BROKER, SLOT(from, i), word);
		if
		:: word == EMPTY ->
			store(BROKER, SLOT(from, i),
				WORD(OTHER, 0), RELEASE)
		:: else
		fi
	fi
}

inline move_down()
{
	find(KEY);
	if
	:: i == 1 ->
		load(BROKER, SLOT(from, 0), word);
		if
		:: word == EMPTY ->
			store(BROKER, SLOT(from, 0),
				WORD(KEY, version), RELEASE);
			store(BROKER, SLOT(from, 1), EMPTY,
				RELEASE)
		:: else
		fi
	:: else
	fi
}

inline tidy()
{
	i = 0;
	from = 0;
	word = 0
}

/*
 * All that the broker does is loads of its own words and stores into its own
 * buffer, so that an operation is one step as far as others can see.
 */
proctype broker()
{
	byte i, from, word;

end:	do
	:: atomic { n < MAX_BUCKETS -> split(); tidy() }
	:: atomic { version + 1 < N_VERSIONS -> replace(); tidy() }
	:: atomic { true -> put_or_remove_other(); tidy() }
#ifdef MOVE_DOWN
	:: atomic { true -> move_down(); tidy() }
#endif
	od
}

proctype reader()
{
	byte seen_n, new_n, bucket, i, word, again, last;

start:	atomic {
		new_n = 0; i = 0; word = 0; again = 0;
		load(READER, N_BUCKETS, seen_n);
		bucket = BUCKET(hash[KEY], seen_n);
		seen_n = 0
	};
	do
	:: atomic {
		i < N_SLOTS ->
		load(READER, SLOT(bucket, i), word);
		if
		:: word != EMPTY && KEY_OF(word) == KEY -> goto found
		:: else -> i++; word = 0
		fi }
	:: else -> break
	od;
#ifndef NO_RECHECK_N
	atomic {
		load(READER, N_BUCKETS, new_n);
		if
		:: bucket != BUCKET(hash[KEY], new_n) -> goto start
		:: else
		fi
	};
#endif
	assert(false);			/* a miss */
found:
	atomic {
		load(READER, SLOT(bucket, i), again);
		if
		:: again == word ->
			assert(VERSION_OF(word) >= last);
			last = VERSION_OF(word)
		:: else
		fi;
		goto start
	}
}

init {
	byte at;

	atomic {
		choose(hash[KEY], MAX_BUCKETS);
		choose(hash[OTHER], MAX_BUCKETS);
		choose(at, N_SLOTS);
		n = 1;
		mem[N_BUCKETS] = 1;
		mem[SLOT(0, at)] = WORD(KEY, 0);
		run memory(BROKER);
		run reader();
		run broker()
	}
}
