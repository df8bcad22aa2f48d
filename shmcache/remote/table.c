/* SPDX-License-Identifier: Apache-2.0 */
/* table.c: other brokers as lines of a table. */
#include <inttypes.h>
#include <string.h>

#include "shmcache/remote/breaker.h"
#include "shmcache/remote/table.h"

_Static_assert(sizeof(((struct wire_peer *)0)->address) == REMOTE_ADDRESS_SIZE &&
		sizeof(((struct wire_peer *)0)->why) == REMOTE_WHY_SIZE &&
		sizeof(((struct wire_peer *)0)->name) >= ABI_NAME_MAX + 1,
	"what there is fits");

/* Who is not asked is so to who looks, whatever connection there may be. */
static void tell_state(struct wire_peer *line, const struct remote_health *h, uint64_t now_ms)
{
	static const enum wire_peer_state states[] = {
		[REMOTE_CONNECTING] = WIRE_PEER_CONNECTING,
		[REMOTE_UP] = WIRE_PEER_UP,
		[REMOTE_SHUT_OUT] = WIRE_PEER_REFUSED,
	};
	uint64_t since_ms = h->since_ms;

	line->state = states[h->link];
	if (h->link == REMOTE_UP && h->breaker != BREAKER_CLOSED) {
		line->state = WIRE_PEER_LEFT_ALONE;
		since_ms = h->breaker_since_ms;
	}
	line->state_ms = now_ms > since_ms ? now_ms - since_ms : 0;
}

void remote_table_lines(
	struct wire_peer *lines, const struct remote_health *health, unsigned n, uint64_t now_ms)
{
	const struct remote_health *h = health;
	struct wire_peer *line = lines;

	memset(lines, 0, n * sizeof(*lines));
	for (; h < health + n; h++, line++) {
		snprintf(line->name, sizeof(line->name), "%s", h->name);
		snprintf(line->address, sizeof(line->address), "%s", h->address);
		snprintf(line->why, sizeof(line->why), "%s", h->why);
		tell_state(line, h, now_ms);
		line->n_lanes = h->n_lanes;
		line->n_links = h->n_links;
		line->n_fetches = h->n_fetches;
		line->n_misses = h->n_misses;
		line->n_failures = h->n_failures;
		line->received_bytes = h->received_bytes;
		line->n_served = h->n_served;
		line->sent_bytes = h->sent_bytes;
		line->rtt_ns = h->rtt_ns;
		line->p50_ns = h->p50_ns;
		line->p99_ns = h->p99_ns;
		line->capacity = h->capacity;
		line->free = h->free;
		line->n_records = h->n_records;
	}
}

/* Bytes that may be no UTF-8 stand for the characters of the same numbers. */
static void write_text(FILE *out, const char *name, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	fprintf(out, "\"%s\":\"", name);
	for (; *at; at++) {
		if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
			fprintf(out, "\\u%04x", *at);
		else
			fputc(*at, out);
	}
	fputs("\",", out);
}

static void write_line(FILE *out, const struct wire_peer *line)
{
	fputc('{', out);
	write_text(out, "name", line->name);
	write_text(out, "address", line->address);
	write_text(out, "why", line->why);
	fprintf(out, "\"state\":%" PRIu32 ",\"state_ms\":%" PRIu64 ",\"lanes\":%" PRIu32
		     ",\"links\":%" PRIu64 ",\"fetches\":%" PRIu64 ",\"misses\":%" PRIu64
		     ",\"failures\":%" PRIu64 ",\"received_bytes\":%" PRIu64
		     ",\"served\":%" PRIu64 ",\"sent_bytes\":%" PRIu64,
		line->state, line->state_ms, line->n_lanes, line->n_links, line->n_fetches,
		line->n_misses, line->n_failures, line->received_bytes, line->n_served,
		line->sent_bytes);
	fprintf(out, ",\"rtt_ns\":%" PRIu64 ",\"p50_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64
		     ",\"capacity\":%" PRIu64 ",\"records\":%" PRIu64,
		line->rtt_ns, line->p50_ns, line->p99_ns, line->capacity, line->n_records);
	if (line->free != UINT64_MAX)
		fprintf(out, ",\"free\":%" PRIu64, line->free);
	fputc('}', out);
}

void remote_table_write_json(FILE *out, const struct wire_peer *lines, unsigned n)
{
	unsigned i;

	fputs(",\"peers\":[", out);
	for (i = 0; i < n; i++) {
		if (i)
			fputc(',', out);
		write_line(out, &lines[i]);
	}
	fputc(']', out);
}
