/* SPDX-License-Identifier: Apache-2.0 */
/* A memory weaker than Promela's own, for the models in this folder. */

/*
 * Promela's variables are sequentially consistent, so a model written on them
 * works with or without its fences. Here a store goes into a buffer of the
 * storing process and reaches mem[] at some later moment of the machine's own
 * choosing; a load sees the newest store of its own process, else mem[].
 *
 *	process --store--> [ oldest ... newest ] --memory()--> mem[] --load-->
 *	                     one buffer each
 *
 * By default the buffers are first in, first out: that is TSO, what x86 does.
 * With -DWEAK_STORES a store may overtake older stores to other words (PSO),
 * except that a release store leaves only as the oldest; younger relaxed
 * stores may overtake it, as C11 allows. Every run under TSO is also a run
 * under WEAK_STORES. Loads happen in program order in both: what they need on
 * weaker machines is argued in docs/models.md.
 *
 * The includer defines N_WORDS and N_PROCS, and starts memory(p) for each p.
 * CAP must be no less than the stores that matter between two full fences; a
 * store to a full buffer waits, which loses no run that drains a bit earlier.
 */
#ifndef CAP
#define CAP 4
#endif

/* A model may give some processes a shorter buffer than CAP. */
#ifndef CAP_OF
#define CAP_OF(p) CAP
#endif

#define RELAXED 0
#define RELEASE 1

typedef store_buffer {
	byte n;
	byte addr[CAP];
	byte val[CAP];
	bit rel[CAP]
};

byte mem[N_WORDS];
store_buffer sb[N_PROCS];
hidden byte i_;

inline store(p, a, v, order)
{
	d_step {
		sb[p].n < CAP_OF(p) ->
		sb[p].addr[sb[p].n] = a;
		sb[p].val[sb[p].n] = v;
		sb[p].rel[sb[p].n] = order;
		sb[p].n++
	}
}

inline load(p, a, dst)
{
	d_step {
		dst = mem[a];
		i_ = 0;
		do
		:: i_ < sb[p].n ->
			if
			:: sb[p].addr[i_] == (a) -> dst = sb[p].val[i_]
			:: else
			fi;
			i_++
		:: else -> break
		od;
		i_ = 0
	}
}

/* A full fence waits until the process's own stores are all in memory. */
#define full_fence(p) (sb[p].n == 0)

/* A compiler barrier emits nothing: the buffer stays as it is. */
#define compiler_barrier(p) skip

/* The k-th store may leave: it is the oldest, or free to overtake. */
#define differs(p, j, k) (sb[p].addr[j] != sb[p].addr[k])
#define overtakes_1(p) (sb[p].n > 1 && !sb[p].rel[1] && differs(p, 0, 1))
#define overtakes_2(p) (sb[p].n > 2 && !sb[p].rel[2] && \
	differs(p, 0, 2) && differs(p, 1, 2))
#define overtakes_3(p) (sb[p].n > 3 && !sb[p].rel[3] && \
	differs(p, 0, 3) && differs(p, 1, 3) && differs(p, 2, 3))

inline drain(p, k)
{
	mem[sb[p].addr[k]] = sb[p].val[k];
	i_ = k;
	do
	:: i_ + 1 < sb[p].n ->
		sb[p].addr[i_] = sb[p].addr[i_ + 1];
		sb[p].val[i_] = sb[p].val[i_ + 1];
		sb[p].rel[i_] = sb[p].rel[i_ + 1];
		i_++
	:: else -> break
	od;
	sb[p].addr[i_] = 0;
	sb[p].val[i_] = 0;
	sb[p].rel[i_] = 0;
	sb[p].n--;
	i_ = 0
}

proctype memory(byte p)
{
end:	do
	:: d_step { sb[p].n > 0 -> drain(p, 0) }
#ifdef WEAK_STORES
	:: d_step { overtakes_1(p) -> drain(p, 1) }
#if CAP > 2
	:: d_step { overtakes_2(p) -> drain(p, 2) }
#endif
#if CAP > 3
	:: d_step { overtakes_3(p) -> drain(p, 3) }
#endif
#endif
	od
}
