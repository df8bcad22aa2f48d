/* SPDX-License-Identifier: Apache-2.0 */
/* view-text-ring.c: the slots of a ring, and one key with all that hangs on it, as text. */
#include <inttypes.h>
#include <string.h>

#include "clients/cli/text.h"
#include "clients/cli/units.h"
#include "clients/inspect/entry.h"
#include "clients/inspect/lane.h"
#include "clients/inspect/view.h"

struct slots {
	const struct image *image;
	FILE *out;
	unsigned n;
};

/* What is particular to an operation: how long it lives, which reservation. */
static void print_argument(const struct submission *s, FILE *out)
{
	char text[UNITS_TEXT_SIZE];

	switch (s->operation) {
	case ABI_OP_PUT:
	case ABI_OP_RESERVE:
		fprintf(out, " %s", units_size_format(text, s->value_size));
		if (s->argument)
			fprintf(out, " for %s", units_duration_format(text, s->argument));
		if (s->flags & SUBMISSION_IF_ABSENT)
			fputs(" if absent", out);
		break;
	case ABI_OP_WRITE:
		fprintf(out, " %s at %" PRIu64 " of reservation %" PRIx64,
			units_size_format(text, s->value_size), s->group, s->argument);
		break;
	case ABI_OP_COMMIT:
	case ABI_OP_ABORT:
		fprintf(out, " reservation %" PRIx64, s->argument);
		break;
	case ABI_OP_TOUCH:
	case ABI_OP_PIN:
		if (s->argument)
			fprintf(out, " for %s", units_duration_format(text, s->argument));
		break;
	case ABI_OP_DELETE:
		if (s->flags & SUBMISSION_CLUSTER)
			fputs(" at all brokers", out);
		break;
	case ABI_OP_FETCH:
		if (s->flags & SUBMISSION_PREFETCH)
			fputs(" ahead", out);
		if (s->argument)
			fprintf(out, " within %s", units_duration_format(text, s->argument));
		if (s->group)
			fprintf(out, " of batch %" PRIu64, s->group);
		break;
	}
}

static void print_slot(void *context, const struct lane_slot *slot)
{
	const struct submission *s = &slot->submission;
	struct slots *slots = context;
	char text[UNITS_TEXT_SIZE];

	slots->n++;
	if (!slot->is_known) {
		fprintf(slots->out, "         - %-9s       - number %" PRIu32
			", whose slot has another request: %s\n", lane_slot_state_name(slot->state),
			s->id, abi_status_name(slot->status));
		return;
	}
	fprintf(slots->out, "%10" PRIu64 " %-9s %7s %-8s", slot->position,
		lane_slot_state_name(slot->state), slot->since_ms
			? units_duration_format(text, image_age_ms(slots->image, slot->since_ms))
				: "-",
		abi_operation_name(s->operation));
	if (slot->has_key) {
		fputc(' ', slots->out);
		text_print_escaped(slots->out, slot->key, s->key_size);
	} else if (lane_operation_has_key(s->operation) && s->key_size) {
		fprintf(slots->out, " (key of %u bytes, not in the snapshot or out of range)",
			s->key_size);
	}
	print_argument(s, slots->out);
	if (lane_operation_has_key(s->operation))
		fprintf(slots->out, " staged at %" PRIu32, s->staging_off);
	if (slot->flaw)
		fprintf(slots->out, "; %s", abi_fault_name(slot->flaw));
	if (slot->state == LANE_SLOT_ANSWERED && slot->status < ABI_N_STATUSES)
		fprintf(slots->out, ": %s", abi_status_name(slot->status));
	fputc('\n', slots->out);
}

static void print_ring(const struct image *image, const struct image_session *s, unsigned idx,
	FILE *out)
{
	struct slots slots = {.image = image, .out = out};
	char id[IMAGE_ID_SIZE];
	struct lane l;

	lane_look(image, s, idx, &l);
	fprintf(out, "ring %s.%u: %" PRIu64 " requests, %" PRIu64 " taken, %" PRIu64
		" elsewhere, %" PRIu64 " answered, %" PRIu64 " reaped; %" PRIu64 " hits, %" PRIu64
		" misses\n", image_id_text(image, s->id, id), idx, l.published, l.consumed,
		l.n_elsewhere, l.answered, l.reaped, l.hits, l.misses);
	fprintf(out, "  the client %s, worker %" PRIu32 " %s%s%s\n",
		l.client_sleeps ? "sleeps" : "does not sleep", l.worker,
		l.worker_sleeps ? "sleeps" : "is awake", l.fault ? "; cut off: " : "",
		l.fault ? abi_fault_name(l.fault) : "");
	if (!l.has_response)
		fputs("  its answers are not seen\n", out);
	if (!l.has_request) {
		fputs("  its slots are not seen\n", out);
		return;
	}
	if (lane_walk(image, s, idx, print_slot, &slots))
		fputs("  its slots are not seen: out of memory\n", out);
	else if (!slots.n)
		fputs("  nothing is in flight\n", out);
}

bool text_ring(const struct image *image, const struct view_ring *ring, FILE *out)
{
	const struct image_session *s = view_session(image, ring->session);
	char id[IMAGE_ID_SIZE];
	unsigned i, n;

	if (!s)
		return false;
	n = lane_count(image, s);
	if (ring->lane >= 0 && (unsigned)ring->lane >= n && !s->unseen[0])
		return false;
	if (s->unseen[0])
		fprintf(out, "not seen   session %s: %s\n", image_id_text(image, s->id, id),
			s->unseen);
	for (i = 0; i < n; i++)
		if (ring->lane < 0 || (unsigned)ring->lane == i)
			print_ring(image, s, i, out);
	return true;
}

/* --- a key ------------------------------------------------------------------------------------ */

struct found {
	const struct image *image;
	uint32_t cell;
	FILE *out;
	unsigned n;
};

static void print_hold(void *context, const struct hold *hold, const struct entry *entry)
{
	struct found *f = context;
	const struct image_session *s = &f->image->session[hold->session];
	char id[IMAGE_ID_SIZE];

	(void)entry;
	if (abi_word_cell(hold->word) != f->cell)
		return;
	f->n++;
	fprintf(f->out, "held       by process %" PRIu32 ", session %s.%u, cell %" PRIu32 "\n",
		s->process.pid, image_id_text(f->image, s->id, id), hold->lane, hold->at);
}

static void print_life(const struct image *image, const struct entry *e, FILE *out)
{
	char text[UNITS_TEXT_SIZE];
	uint64_t n_logged, hits;

	if (!e->expire_ms)
		fputs("expires    never\n", out);
	else
		fprintf(out, "expires    %s\n", e->expire_ms > image->now_ms
				? units_duration_format(text, e->expire_ms - image->now_ms)
					: "now");
	fprintf(out, "age        %" PRIu32 " records were made since\n",
		view_newest(image) - e->generation);
	hits = view_log_hits(image, e->cell, &n_logged);
	fprintf(out, "hits       %" PRIu64 " of the last %" PRIu64 " in the clients' logs\n", hits,
		n_logged);
}

bool text_key(const struct image *image, const struct view_key *key, FILE *out)
{
	struct found f = {.image = image, .out = out};
	char text[UNITS_TEXT_SIZE];
	struct entry e;

	if (!entry_find(image, key->data, key->size, &e))
		return false;
	f.cell = e.cell;
	fputs("key        ", out);
	text_print_escaped(out, e.key, e.key_size);
	fprintf(out, "\nvalue      %s in %s at offset %" PRIu64 "\n",
		units_size_format(text, e.value_size), image_tier_name(e.tier), e.value_off);
	fprintf(out, "record     cell %" PRIu32 ", generation %" PRIu32
		", %u tails, hash %016" PRIx64
		"\n", e.cell, e.generation, e.n_tails, e.hash);
	if (e.flags & ABI_RECORD_HINTS)
		fprintf(out, "hints      group %" PRIu64 ", position %" PRIu32
			", priority %" PRIu32 "\n",
			e.hints.group, e.hints.position, e.hints.priority);
	print_life(image, &e, out);
	hold_walk(image, print_hold, &f);
	if (!f.n)
		fputs("held       by nobody that is seen\n", out);
	fputs("pins       kept in the broker's own memory, not seen from here\n", out);
	return true;
}
