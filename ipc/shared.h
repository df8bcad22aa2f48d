/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared.h: words that live in memory which several processes map, and the only ways to touch them.
 */
#ifndef IPC_SHARED_H
#define IPC_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define SHARED_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHARED_TSAN 1
#endif
#endif
#ifdef SHARED_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/*
 * The wrappers make a plain read or write of a shared word a compile error, so that each access
 * names its memory order. Every word has one writer (a process, and in it one thread at a time or a
 * lock); abi.h says who. A load yields what the writer may have put there: hostile until validated.
 */
struct shared_u32 {
	_Atomic uint32_t raw;
};

struct shared_u64 {
	_Atomic uint64_t raw;
};

_Static_assert(sizeof(struct shared_u32) == 4 && sizeof(struct shared_u64) == 8,
	"atomics must be plain words");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
	"shared words need lock-free atomics");

static inline uint32_t shared_u32_load(const struct shared_u32 *word)
{
	return atomic_load_explicit(&word->raw, memory_order_relaxed);
}

static inline uint32_t shared_u32_load_acquire(const struct shared_u32 *word)
{
	return atomic_load_explicit(&word->raw, memory_order_acquire);
}

static inline void shared_u32_store(struct shared_u32 *word, uint32_t value)
{
	atomic_store_explicit(&word->raw, value, memory_order_relaxed);
}

static inline void shared_u32_store_release(struct shared_u32 *word, uint32_t value)
{
	atomic_store_explicit(&word->raw, value, memory_order_release);
}

static inline uint64_t shared_u64_load(const struct shared_u64 *word)
{
	return atomic_load_explicit(&word->raw, memory_order_relaxed);
}

static inline uint64_t shared_u64_load_acquire(const struct shared_u64 *word)
{
	return atomic_load_explicit(&word->raw, memory_order_acquire);
}

static inline void shared_u64_store(struct shared_u64 *word, uint64_t value)
{
	atomic_store_explicit(&word->raw, value, memory_order_relaxed);
}

static inline void shared_u64_store_release(struct shared_u64 *word, uint64_t value)
{
	atomic_store_explicit(&word->raw, value, memory_order_release);
}

/* Add to a counter of which the caller is the one writer: a load and a store, no locked cycle. */
static inline void shared_u64_add(struct shared_u64 *word, uint64_t n)
{
	shared_u64_store(word, shared_u64_load(word) + n);
}

/* Keeps a store before from passing a load behind it. The callers name the two. */
static inline void shared_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* The same for the compiler alone; the other side does membarrier(2) for the processor. */
static inline void shared_compiler_fence(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/*
 * For the thread sanitizer alone, an order that it can't see, since it is made by code that is not
 * built with it: what a thread did before the one comes before what another does after the other,
 * on the same @token. No code otherwise.
 */
static inline void shared_happens_before(const void *token)
{
#ifdef SHARED_TSAN
	__tsan_release((void *)token);
#else
	(void)token;
#endif
}

static inline void shared_happens_after(const void *token)
{
#ifdef SHARED_TSAN
	__tsan_acquire((void *)token);
#else
	(void)token;
#endif
}

/* A breath for the sibling thread and the memory system in a spin loop. */
static inline void shared_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
