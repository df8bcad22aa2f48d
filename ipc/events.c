/* SPDX-License-Identifier: Apache-2.0 */
/* events.c: writing and reading the ring of events. */
#include <errno.h>
#include <string.h>

#include "ipc/events.h"

/*
 * The orders are argued in the header; here is where they are. No stand-alone fence is needed: each
 * word of a record is its own release, so a reader that meets a single word of a later lap sees how
 * far the writer had claimed before it wrote that word. On x86 all of this is plain moves.
 *
 * The words are atomic, so a reader that copies while they are written anew reads nonsense, and no
 * more: it checks the size before it goes by it, and the claim before it believes the rest.
 */
void events_writer_init(struct events_writer *w, void *region, uint64_t n_words)
{
	struct events_head *head = region;

	head->magic = EVENTS_MAGIC;
	head->fingerprint = abi_fingerprint();
	head->n_words = n_words;
	*w = (struct events_writer){.head = head, .word = (void *)(head + 1), .n_words = n_words};
}

static void put_word(struct events_writer *w, uint64_t position, uint64_t value)
{
	/* W2. Partner: the acquire in take_word(). */
	shared_u64_store_release(&w->word[position & (w->n_words - 1)], value);
}

static unsigned record_words(unsigned key_size)
{
	return EVENTS_RECORD_WORDS + (key_size + 7) / 8;
}

void events_write(struct events_writer *w, const struct event *e, const void *key)
{
	unsigned n = record_words(e->key_size), size, i;
	uint64_t at = w->written, end = at + n, part;

	/* W1, and not behind any W2: whoever reads one of those sees it. */
	shared_u64_store(&w->head->claimed, end);
	put_word(w, at, ++w->n_events);
	put_word(w, at + 1, (uint64_t)e->flags << 48 | (uint64_t)e->tier << 40 |
			(uint64_t)e->kind << 32 | (uint64_t)e->key_size << 16 | n);
	put_word(w, at + 2, (uint64_t)e->generation << 32 | e->value_size);
	put_word(w, at + 3, e->time_ms);
	for (i = 0; i < e->key_size; i += 8) {
		size = e->key_size - i < 8 ? e->key_size - i : 8;
		part = 0;
		memcpy(&part, (const char *)key + i, size);
		put_word(w, at + EVENTS_RECORD_WORDS + i / 8, part);
	}
	/* W3 before W4: who sees where records end sees at least as many counted. */
	shared_u64_store_release(&w->head->n_events, w->n_events);
	/* W4. Partner: the acquire in events_read(). */
	shared_u64_store_release(&w->head->written, end);
	w->written = end;
}

/* --- reading ---------------------------------------------------------------------------------- */

static uint64_t take_word(const struct events_reader *r, uint64_t position)
{
	/* R2. Partner: the release in put_word(). */
	return shared_u64_load_acquire(&r->word[position & (r->n_words - 1)]);
}

/* R3, behind all of R2: is what was copied from @position on untouched by a later lap? */
static bool is_whole(const struct events_reader *r, uint64_t position)
{
	return shared_u64_load(&r->head->claimed) - position <= r->n_words;
}

/*
 * A place where a record begins, and the number of the last one before it. They belong together if
 * nothing was claimed beyond: had n_events counted a record behind @written, its release would have
 * brought the claim of that record along.
 */
#define FIND_TRIES 100

static bool find_end(struct events_reader *r)
{
	uint64_t written, n_events;
	int i;

	for (i = 0; i < FIND_TRIES; i++) {
		written = shared_u64_load_acquire(&r->head->written);
		n_events = shared_u64_load_acquire(&r->head->n_events);
		if (shared_u64_load(&r->head->claimed) == written) {
			r->position = written;
			r->number = n_events;
			return true;
		}
		shared_relax();
	}
	return false;
}

int events_reader_init(struct events_reader *r, const void *region, size_t size)
{
	const struct events_head *head = region;
	uint64_t n = size < sizeof(*head) ? 0 : head->n_words;

	if (!n || head->magic != EVENTS_MAGIC || head->fingerprint != abi_fingerprint() ||
		n & (n - 1) || n < 4 * EVENTS_RECORD_WORDS_MAX ||
		n > (size - sizeof(*head)) / 8)
		return -EPROTONOSUPPORT;
	*r = (struct events_reader){.head = head, .word = (const void *)(head + 1), .n_words = n};
	/* Where even that fails, it begins as one who was lapped and has lost nothing yet. */
	r->is_lapped = !find_end(r);
	if (r->is_lapped)
		r->number = shared_u64_load_acquire(&head->n_events);
	return 0;
}

static enum events_result go_on(struct events_reader *r, uint64_t *n_lost)
{
	uint64_t number = r->number;

	r->is_lapped = true;
	if (!find_end(r))
		return EVENTS_NONE;
	r->is_lapped = false;
	*n_lost = r->number - number;
	return *n_lost ? EVENTS_LOST : EVENTS_NONE;
}

/* The record at the reader's position; false: nonsense, for it is being written anew. */
static bool copy_record(const struct events_reader *r, struct event *e, uint8_t *key, unsigned *n)
{
	uint64_t word[EVENTS_RECORD_WORDS], part;
	unsigned i, size;

	for (i = 0; i < EVENTS_RECORD_WORDS; i++)
		word[i] = take_word(r, r->position + i);
	*n = (uint16_t)word[1];
	*e = (struct event){
		.number = word[0],
		.key_size = (uint16_t)(word[1] >> 16),
		.kind = (uint8_t)(word[1] >> 32),
		.tier = (uint8_t)(word[1] >> 40),
		.flags = (uint8_t)(word[1] >> 48),
		.value_size = (uint32_t)word[2],
		.generation = (uint32_t)(word[2] >> 32),
		.time_ms = word[3],
	};
	if (!e->key_size || e->key_size > ABI_KEY_SIZE_MAX || *n != record_words(e->key_size))
		return false;
	for (i = 0; i < e->key_size; i += 8) {
		size = e->key_size - i < 8U ? e->key_size - i : 8U;
		part = take_word(r, r->position + EVENTS_RECORD_WORDS + i / 8);
		memcpy(key + i, &part, size);
	}
	return true;
}

enum events_result events_read(
	struct events_reader *r, struct event *e, void *key, uint64_t *n_lost)
{
	struct event found;
	unsigned n;

	if (r->is_lapped)
		return go_on(r, n_lost);
	/* R1. Partner: W4 in events_write(). */
	if (shared_u64_load_acquire(&r->head->written) == r->position)
		return EVENTS_NONE;
	if (!copy_record(r, &found, key, &n) || !is_whole(r, r->position))
		return go_on(r, n_lost);
	r->position += n;
	r->number = found.number;
	*e = found;
	return EVENTS_GOT;
}

const char *event_kind_name(unsigned kind)
{
	static const char *const names[EVENTS_N_KINDS] = {
		[EVENT_STORED] = "stored",
		[EVENT_ACCESSED] = "accessed",
		[EVENT_EVICTED] = "evicted",
		[EVENT_DELETED] = "deleted",
	};

	return kind < EVENTS_N_KINDS ? names[kind] : "?";
}
