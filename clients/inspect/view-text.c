/* SPDX-License-Identifier: Apache-2.0 */
/* view-text.c: the summary as one screen, the findings, and what could not be seen. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "clients/cli/units.h"
#include "clients/inspect/lane.h"
#include "clients/inspect/view.h"

/*
 * Lines are at most 80 columns wide where the numbers are what they mostly are, and what is most
 * wanted comes first: what looks wrong, then the broker, memory, sessions and rings.
 */
static const char *age(char text[UNITS_TEXT_SIZE], const struct image *image, uint64_t since_ms)
{
	return since_ms ? units_duration_format(text, image_age_ms(image, since_ms)) : "-";
}

void text_unseen(const struct image *image, FILE *out)
{
	char id[IMAGE_ID_SIZE];
	unsigned i;

	if (!image->has_index && image->index_unseen[0])
		fprintf(out, "not seen   %s\n", image->index_unseen);
	for (i = 0; i < image->n_sessions; i++)
		if (image->session[i].unseen[0])
			fprintf(out, "not seen   session %s: %s\n",
				image_id_text(image, image->session[i].id, id),
				image->session[i].unseen);
	for (i = 0; i < image->n_notes; i++)
		fprintf(out, "not seen   %s\n", image->note[i]);
}

static void print_head(const struct image *image, const struct summary *s, FILE *out)
{
	time_t seconds = (time_t)(image->real_ms / 1000);
	char up[UNITS_TEXT_SIZE], when[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	fprintf(out, "cache      %s: %s, epoch %" PRIu64 ", layout %d, %s%s\n", image->name,
		image_state_name(s->state), s->epoch, ABI_VERSION, image->is_live ? "" : "as of ",
		when);
	fprintf(out, "broker     process %" PRIu32 "%s%s: %s, up %s, %" PRIu32 " worker%s, %" PRIu32
		" asleep%s\n", image->broker.pid, image->broker.command[0] ? " " : "",
		image->broker.command, process_state_name(&image->broker),
		units_duration_format(up, s->up_ms), s->n_workers, s->n_workers == 1 ? "" : "s",
		s->n_asleep, s->fence_needed ? ", readers fence" : "");
}

#define BAR 40

static void print_tier(const char *name, const struct tier_sum *t, FILE *out)
{
	char used[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE], free_text[UNITS_TEXT_SIZE],
		largest[UNITS_TEXT_SIZE];
	unsigned filled;

	if (!t->size) {
		fprintf(out, "%-10s none\n", name);
		return;
	}
	filled = tier_bar(t, BAR);
	fprintf(out, "%-10s [%.*s%.*s] %s of %s, %" PRIu64 " entries\n", name, (int)filled,
		"########################################", (int)(BAR - filled),
		"........................................", units_size_format(used, t->used),
		units_size_format(size, t->size), t->n_entries);
	fprintf(out, "           free %s, largest block %s, fragmentation %u.%u %%\n",
		units_size_format(free_text, t->free), units_size_format(largest, t->largest_free),
		t->fragmentation / 10, t->fragmentation % 10);
}

static void print_memory(const struct image *image, const struct summary *s, FILE *out)
{
	char a[UNITS_TEXT_SIZE], b[UNITS_TEXT_SIZE], c[UNITS_TEXT_SIZE];

	print_tier("dram", &s->tier[ABI_TIER_DRAM], out);
	print_tier("cxl", &s->tier[ABI_TIER_CXL], out);
	fprintf(out, "index      %" PRIu64 " entries", s->n_entries);
	if (image->has_index)
		fprintf(out, " in %" PRIu64 " buckets (load %.2f)", s->n_buckets, s->n_buckets
				? (double)s->n_entries / ((double)s->n_buckets * ABI_BUCKET_SLOTS)
					: 0);
	fprintf(out, ", %s; books %s\n", units_size_format(a, s->index_size),
		units_size_format(b, s->books_size));
	fprintf(out, "kept       pinned %s, reserved %s, limbo %s\n",
		units_size_format(a, s->pinned_size), units_size_format(b, s->reserved_size),
		units_size_format(c, s->limbo_size));
}

/*
 * A hold does not tell when it was taken: it is as old as the broker has seen it stand, or older.
 */
static void print_holds(const struct image *image, const struct summary *s, FILE *out)
{
	char held[UNITS_TEXT_SIZE], kept[UNITS_TEXT_SIZE], oldest[UNITS_TEXT_SIZE],
		id[IMAGE_ID_SIZE];

	if (!s->n_holds) {
		fputs("holds      none\n", out);
		return;
	}
	fprintf(out, "holds      %" PRIu64 " on %s, keeping %s", s->n_holds,
		units_size_format(held, s->held_size), units_size_format(kept, s->kept_size));
	if (s->held_since_ms)
		fprintf(out, "; oldest %s or more, session %s",
			age(oldest, image, s->held_since_ms),
			image_id_text(image, s->oldest_holder, id));
	fputc('\n', out);
}

static void print_session(const struct image *image, const struct session_sum *sum, FILE *out)
{
	const struct image_process *p = &sum->session->process;
	char oldest[UNITS_TEXT_SIZE], held[UNITS_TEXT_SIZE], kept[UNITS_TEXT_SIZE],
		id[IMAGE_ID_SIZE];

	fprintf(out, "%8s %7" PRIu32 " %-10.10s %5" PRIu32 " %-6s %-7s %5" PRIu32 " ",
		image_id_text(image, sum->id, id), p->pid, p->command[0] ? p->command : "-",
			sum->uid, image_role_name(sum->role),
		process_state_name(p), sum->n_lanes);
	if (sum->session->unseen[0])
		fprintf(out, "%5s %7s", "?", "?");
	else
		fprintf(out, "%5" PRIu64 " %7s", sum->n_waiting, age(oldest, image,
			sum->oldest_ms));
	fprintf(out, " %5" PRIu64 " %s/%s%s%s%s%s\n", sum->held.n_holds,
		units_size_format(held, sum->held.held_size),
		units_size_format(kept, sum->held.kept_size),
		sum->state ? ", of a former broker, " : "",
		sum->state ? image_session_state_name(sum->state) : "",
		sum->broken ? " cut off: " : "", sum->broken ? abi_fault_name(sum->broken) : "");
}

static void print_lane(const struct image *image, const struct image_session *s, unsigned idx,
	FILE *out)
{
	char oldest[UNITS_TEXT_SIZE], name[48], id[IMAGE_ID_SIZE];
	struct lane l;

	lane_look(image, s, idx, &l);
	if (!l.has_request && !l.has_response)
		return;
	snprintf(name, sizeof(name), "%s.%u", image_id_text(image, s->id, id), idx);
	fprintf(out, "%11s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %5" PRIu64
		" %7s  %s%s%s\n", name, l.published, l.consumed, l.answered, l.reaped, l.n_waiting,
		age(oldest, image, l.oldest_ms),
		l.client_sleeps && l.worker_sleeps ? "both sleep"
			: l.client_sleeps ? "client" : l.worker_sleeps ? "worker" : "-",
		l.fault ? ", " : "", l.fault ? abi_fault_name(l.fault) : "");
}

void text_summary(const struct image *image, const struct summary *s, FILE *out)
{
	unsigned i, lane, n;

	for (i = 0; i < s->n_alerts; i++)
		fprintf(out, "look       %s\n", s->alert[i]);
	text_unseen(image, out);
	print_head(image, s, out);
	print_memory(image, s, out);
	print_holds(image, s, out);
	fprintf(out, "sessions   %u\n", s->n_sessions);
	if (!s->n_sessions)
		return;
	fprintf(out, "      ID     PID COMMAND      UID ROLE   STATE   LANES  WAIT  OLDEST HOLDS "
		"HELD/KEPT\n");
	for (i = 0; i < s->n_sessions; i++)
		print_session(image, &s->session[i], out);
	fprintf(out,
		"      RING   REQUESTS      TAKEN   ANSWERED     REAPED  WAIT  OLDEST  SLEEPS\n");
	for (i = 0; i < s->n_sessions; i++) {
		n = lane_count(image, s->session[i].session);
		for (lane = 0; lane < n; lane++)
			print_lane(image, s->session[i].session, lane, out);
	}
}

void text_holders(const struct image *image, const struct summary *s, FILE *out)
{
	char held[UNITS_TEXT_SIZE], kept[UNITS_TEXT_SIZE], id[IMAGE_ID_SIZE];
	const struct session_sum *sum;
	unsigned i;

	fprintf(out,
		"      ID     PID COMMAND      HOLDS   RECORDS       HELD    KEPT BY IT"
		"  STANDING\n");
	for (i = 0; i < s->n_sessions; i++) {
		sum = &s->session[i];
		fprintf(out, "%8s %7" PRIu32 " %-10.10s %7" PRIu64 " %9" PRIu64 " %10s %11s  ",
			image_id_text(image, sum->id, id), sum->session->process.pid,
			sum->session->process.command[0] ? sum->session->process.command : "-",
			sum->held.n_holds, sum->held.n_records,
			units_size_format(held, sum->held.held_size),
			units_size_format(kept, sum->held.kept_size));
		if (sum->n_standing)
			fprintf(out, "%" PRIu64 " for %s or more\n", sum->n_standing,
				units_duration_format(held, sum->standing_ms));
		else
			fputs("-\n", out);
	}
}

void text_check(const struct image *image, const struct findings *f,
	const struct check_counts *c, FILE *out)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		fprintf(out, "%s: %s\n", f->list[i].code, f->list[i].text);
	if (f->is_cut)
		fprintf(out, "more: there are more findings than these\n");
	if (f->n && image->is_unsteady)
		fprintf(out, "note: the broker worked while the snapshot was taken; what changed "
			"meanwhile looks like damage\n");
	text_unseen(image, out);
	fprintf(out, "%zu finding%s in %" PRIu64 " buckets, %" PRIu64 " entries and %" PRIu64
		" others of %" PRIu64 " cells, %" PRIu64 " sessions, %" PRIu64 " lanes, %" PRIu64
		" holds\n", f->n, f->n == 1 ? "" : "s", c->n_buckets, c->n_entries, c->n_marked,
		c->n_cells, c->n_sessions, c->n_lanes, c->n_holds);
}
