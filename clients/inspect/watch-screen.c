/* SPDX-License-Identifier: Apache-2.0 */
/* watch-screen.c: the live screen. */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/cli/units.h"
#include "clients/inspect/watch-state.h"

/*
 * The screen is written anew in memory at each look, and curses sends what has changed: nothing
 * flickers, and a slow line carries little. Every line is cut at the right edge, and what does not
 * fit below is left out from the bottom of the list, so that any size will do.
 *
 * A ring is shown by the text that --ring prints, line by line.
 */
enum sort { SORT_SESSION, SORT_RATE, SORT_DEPTH, SORT_LATENCY, SORT_HELD, N_SORTS };

static const char sort_keys[N_SORTS + 1] = "srdlh";

struct row {
	uint64_t id; /* outlives @sum, which goes with the next look */
	const struct session_sum *sum;
	struct rate_session rate;
};

struct screen {
	struct watch *w;
	struct row *row;
	unsigned n_rows, selected, top;
	enum sort sort;
	uint64_t ring; /* session whose ring is shown, 0: none */
	unsigned ring_top;
	bool is_over;
};

/* A line, cut at the right edge; nothing below the last line but one, which is for the keys. */
__attribute__((format(printf, 2, 3)))
static void line(int *y, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (*y >= LINES - 1)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	mvaddnstr((*y)++, 0, text, COLS);
}

static const char *ns_text(char text[UNITS_TEXT_SIZE], uint64_t ns)
{
	return ns ? units_ns_format(text, ns) : "-";
}

/* --- the list --------------------------------------------------------------------------------- */

static int compare(double a, double b)
{
	return (a < b) - (a > b); /* the largest first */
}

static enum sort sort_by;

static int by_sort(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int r = 0;

	switch (sort_by) {
	case SORT_RATE:
		r = compare(x->rate.requests_per_s + x->rate.reads_per_s,
			y->rate.requests_per_s + y->rate.reads_per_s);
		break;
	case SORT_DEPTH:
		r = compare((double)x->sum->n_waiting, (double)y->sum->n_waiting);
		break;
	case SORT_LATENCY:
		r = compare((double)x->rate.p99_ns, (double)y->rate.p99_ns);
		break;
	case SORT_HELD:
		r = compare((double)x->sum->held.kept_size, (double)y->sum->held.kept_size);
		if (!r)
			r = compare((double)x->sum->held.held_size, (double)y->sum->held.held_size);
		break;
	default:
		break;
	}
	return r ? r : (x->sum->id > y->sum->id) - (x->sum->id < y->sum->id);
}

/* The rows of the last look, the selected session under the cursor still. */
static int make_rows(struct screen *s)
{
	uint64_t id = s->selected < s->n_rows ? s->row[s->selected].id : 0;
	const struct summary *summary = &s->w->summary;
	struct row *row = calloc(summary->n_sessions + 1, sizeof(*row));
	unsigned i;

	if (!row)
		return -ENOMEM;
	for (i = 0; i < summary->n_sessions; i++) {
		row[i].sum = &summary->session[i];
		row[i].id = row[i].sum->id;
		rate_session_make(&s->w->before, &s->w->now, i, &row[i].rate);
	}
	sort_by = s->sort;
	qsort(row, summary->n_sessions, sizeof(*row), by_sort);
	free(s->row);
	s->row = row;
	s->n_rows = summary->n_sessions;
	for (i = 0; i < s->n_rows; i++)
		if (row[i].id == id)
			s->selected = i;
	if (s->selected >= s->n_rows)
		s->selected = s->n_rows ? s->n_rows - 1 : 0;
	return 0;
}

static void draw_row(const struct screen *s, int *y, const struct row *row)
{
	const struct session_sum *sum = row->sum;
	char oldest[UNITS_TEXT_SIZE], wait[UNITS_TEXT_SIZE], kept[UNITS_TEXT_SIZE],
		held[UNITS_TEXT_SIZE], stands[UNITS_TEXT_SIZE], id[IMAGE_ID_SIZE];

	line(y, "%6s %7" PRIu32 " %-8.8s %-7s %7.0f %7.0f %5" PRIu64 " %7s %8s %9s %9s %8s %s",
		image_id_text(s->w->image, sum->id, id), sum->session->process.pid,
			sum->session->process.command,
		process_state_name(&sum->session->process), row->rate.requests_per_s,
		row->rate.reads_per_s, sum->n_waiting, sum->oldest_ms
			? units_duration_format(oldest,
			image_age_ms(s->w->image, sum->oldest_ms)) : "-",
		ns_text(wait, row->rate.p99_ns), units_size_format(kept, sum->held.kept_size),
		units_size_format(held, sum->held.held_size), sum->n_standing
			? units_duration_format(stands, sum->standing_ms) : "-",
		sum->broken ? abi_fault_name(sum->broken) : sum->session->unseen[0] ? "not seen"
			: "");
}

static void draw_list(struct screen *s, int *y)
{
	unsigned room, i;

	attron(A_REVERSE);
	/* 80 columns as far as what can be sorted by. */
	line(y, "%6s %7s %-8s %-7s %7s %7s %5s %7s %8s %9s %9s %8s %-20s", s->sort == SORT_SESSION
			? "ID*" : "ID", "PID", "COMMAND", "STATE",
		s->sort == SORT_RATE ? "REQ/S*" : "REQ/S", "READS/S",
		s->sort == SORT_DEPTH ? "DEP*" : "DEPTH", "OLDEST",
		s->sort == SORT_LATENCY ? "P99*" : "P99", s->sort == SORT_HELD ? "KEPT*" : "KEPT",
		"HELD", "STANDS", "");
	attroff(A_REVERSE);
	room = LINES - 1 > *y ? (unsigned)(LINES - 1 - *y) : 0;
	if (s->selected < s->top)
		s->top = s->selected;
	if (room && s->selected >= s->top + room)
		s->top = s->selected - room + 1;
	for (i = s->top; i < s->n_rows && i < s->top + room; i++) {
		if (i == s->selected)
			attron(A_BOLD | A_UNDERLINE);
		draw_row(s, y, &s->row[i]);
		attroff(A_BOLD | A_UNDERLINE);
	}
	if (!s->n_rows)
		line(y, "%8s", "nobody is attached");
}

/* --- the head --------------------------------------------------------------------------------- */

static void draw_tier(int *y, const char *name, const struct tier_sum *t)
{
	char bar[256], used[UNITS_TEXT_SIZE], size[UNITS_TEXT_SIZE];
	int width = COLS - 46, filled, i;

	if (!t->size) {
		line(y, "%-5s none", name);
		return;
	}
	width = width < 10 ? 10 : width > 255 ? 255 : width;
	filled = (int)tier_bar(t, (unsigned)width);
	for (i = 0; i < width; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[width] = '\0';
	line(y, "%-5s[%s] %s of %s, %" PRIu64 ", frag %u%%", name, bar,
		units_size_format(used, t->used), units_size_format(size, t->size), t->n_entries,
		t->fragmentation / 10);
}

static void draw_head(const struct screen *s, int *y)
{
	const struct summary *sum = &s->w->summary;
	const struct rates *r = &s->w->rates;
	time_t seconds = (time_t)(s->w->image->real_ms / 1000);
	char up[UNITS_TEXT_SIZE], bytes[UNITS_TEXT_SIZE], limbo[UNITS_TEXT_SIZE], when[16] = "";
	double reads = r->hits_per_s + r->misses_per_s;
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%T", &tm);
	attron(A_BOLD);
	line(y, "%s %s: %s, process %" PRIu32 " %s, up %s, %" PRIu32 "/%" PRIu32 " asleep, epoch %"
		PRIu64, when, s->w->image->name, image_state_name(sum->state),
			s->w->image->broker.pid,
		process_state_name(&s->w->image->broker), units_duration_format(up, sum->up_ms),
		sum->n_asleep, sum->n_workers, sum->epoch);
	attroff(A_BOLD);
	draw_tier(y, "dram", &sum->tier[ABI_TIER_DRAM]);
	draw_tier(y, "cxl", &sum->tier[ABI_TIER_CXL]);
	line(y, "reads %.0f/s, hits %.1f %%; stored %s/s; evictions %.0f/s; limbo %s", reads,
		reads > 0 ? 100 * r->hits_per_s / reads : 0.0,
		units_size_format(bytes, (uint64_t)r->put_bytes_per_s), r->evictions_per_s,
		units_size_format(limbo, sum->limbo_size));
	attron(A_STANDOUT);
	if (sum->n_alerts)
		line(y, "%s", sum->alert[0]);
	attroff(A_STANDOUT);
}

/* The operations that were asked for, the busiest first, as many as there is room for. */
static void draw_operations(const struct screen *s, int *y)
{
	const struct rates *r = &s->w->rates;
	bool is_shown[ABI_N_OPERATIONS] = {false};
	char p50[UNITS_TEXT_SIZE], p99[UNITS_TEXT_SIZE];
	unsigned n = LINES >= 40 ? ABI_N_OPERATIONS : 4, i, best;

	line(y, "%-10s %10s %10s %10s %14s", "OPERATION", "PER S", "P50", "P99", "SO FAR");
	for (; n; n--) {
		for (best = 0, i = 1; i < ABI_N_OPERATIONS; i++)
			if (!is_shown[i] && s->w->now.request[i] &&
				(!best || r->operation[i].per_s > r->operation[best].per_s))
				best = i;
		if (!best)
			return;
		is_shown[best] = true;
		line(y, "%-10s %10.1f %10s %10s %14" PRIu64, abi_operation_name(best),
			r->operation[best].per_s, ns_text(p50, r->operation[best].p50_ns),
			ns_text(p99, r->operation[best].p99_ns), s->w->now.request[best]);
	}
}

/* --- a ring ----------------------------------------------------------------------------------- */

static void draw_ring(struct screen *s)
{
	struct view_ring ring = {.session = s->ring, .lane = -1};
	char *text = NULL, *at, *end;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	unsigned n = 0;
	int y = 0;

	if (!out)
		return;
	if (!text_ring(s->w->image, &ring, out))
		fputs("the session has left\n", out);
	fclose(out);
	for (at = text; at && *at; at = end ? end + 1 : at + strlen(at), n++) {
		end = strchr(at, '\n');
		if (end)
			*end = '\0';
		if (n >= s->ring_top)
			line(&y, "%s", at);
	}
	if (s->ring_top >= n)
		s->ring_top = n ? n - 1 : 0;
	free(text);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void draw(struct screen *s)
{
	int y = 0;

	erase();
	if (s->ring) {
		draw_ring(s);
	} else {
		draw_head(s, &y);
		draw_operations(s, &y);
		draw_list(s, &y);
	}
	attron(A_DIM);
	mvaddnstr(LINES - 1, 0, s->ring ? "q back  up/down scroll"
		: "q quit  enter ring  up/down choose  "
		  "sort: s id  r rate  d depth  l latency  h held",
		COLS);
	attroff(A_DIM);
	refresh();
}

static void scroll_by(struct screen *s, int by)
{
	unsigned *at = s->ring ? &s->ring_top : &s->selected;
	long to = (long)*at + by;

	*at = to < 0 ? 0 : (unsigned)to;
	if (!s->ring && s->selected >= s->n_rows)
		s->selected = s->n_rows ? s->n_rows - 1 : 0;
}

static void key_pressed(struct screen *s, int key)
{
	const char *sort = key > 0 && key < 128 ? strchr(sort_keys, key) : NULL;

	if (key == 'q' || key == 27) {
		s->is_over = !s->ring && key == 'q';
		s->ring = 0;
	} else if (key == KEY_UP || key == 'k') {
		scroll_by(s, -1);
	} else if (key == KEY_DOWN || key == 'j') {
		scroll_by(s, 1);
	} else if (key == KEY_PPAGE || key == KEY_NPAGE) {
		scroll_by(s, key == KEY_PPAGE ? -(LINES - 2) : LINES - 2);
	} else if ((key == '\n' || key == '\r' || key == KEY_ENTER) && s->n_rows) {
		s->ring = s->row[s->selected].id;
		s->ring_top = 0;
	} else if (sort && !s->ring) {
		s->sort = (enum sort)(sort - sort_keys);
	}
}

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Keys until the next look is due. */
static void listen_until(struct screen *s, uint64_t due_ms)
{
	uint64_t now_ms;
	int key;

	while (!s->is_over && (now_ms = clock_ms()) < due_ms) {
		timeout((int)(due_ms - now_ms));
		key = getch();
		if (key == ERR)
			continue;
		key_pressed(s, key);
		if (!s->is_over && !make_rows(s))
			draw(s);
	}
}

int watch_screen(struct watch *w)
{
	struct screen s = {.w = w};
	SCREEN *terminal;
	int r = 0;

	setlocale(LC_ALL, "");
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return -ENOTTY;
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	set_escdelay(50);
	while (!s.is_over && !r) {
		r = watch_look(w);
		if (!r)
			r = make_rows(&s);
		if (r)
			break;
		draw(&s);
		if (w->options->count && w->n_looks >= w->options->count)
			break;
		listen_until(&s, clock_ms() + w->options->interval_ms);
	}
	endwin();
	delscreen(terminal);
	free(s.row);
	return r;
}
