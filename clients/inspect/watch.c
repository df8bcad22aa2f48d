/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c: looking again and again, and plain pages where there is no terminal. */
#include "clients/inspect/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clients/cli/json.h"
#include "clients/cli/units.h"
#include "clients/inspect/watch-state.h"

int watch_look(struct watch *w)
{
	struct summary summary;
	struct sample sample;
	int r = image_refresh(w->image);

	if (!r)
		r = summary_make(w->image, &summary);
	if (r)
		return r;
	r = sample_take(w->image, &sample);
	if (r) {
		summary_deinit(&summary);
		return r;
	}
	if (!hold_ages_look(&w->ages, w->image))
		summary_add_ages(w->image, &summary, &w->ages);
	summary_deinit(&w->summary);
	sample_deinit(&w->before);
	w->before = w->now;
	w->summary = summary;
	w->now = sample;
	rate_make(&w->before, &w->now, &w->rates);
	w->n_looks++;
	return 0;
}

/* --- plain pages ------------------------------------------------------------------------------ */

static const char *time_text(char text[UNITS_TEXT_SIZE], uint64_t ns)
{
	return ns ? units_ns_format(text, ns) : "-";
}

static void print_rates(const struct watch *w)
{
	char p50[UNITS_TEXT_SIZE], p99[UNITS_TEXT_SIZE], bytes[UNITS_TEXT_SIZE];
	const struct rates *r = &w->rates;
	unsigned i;

	printf("rates      %.0f hits, %.0f misses, %.0f evictions a second, %s stored\n",
		r->hits_per_s,
		r->misses_per_s, r->evictions_per_s,
		units_size_format(bytes, (uint64_t)r->put_bytes_per_s));
	for (i = 0; i < ABI_N_OPERATIONS; i++)
		if (w->now.request[i])
			printf("%-10s %.1f a second, p50 %s, p99 %s\n", abi_operation_name(i),
				r->operation[i].per_s, time_text(p50, r->operation[i].p50_ns),
				time_text(p99, r->operation[i].p99_ns));
}

static void print_text(const struct watch *w)
{
	text_summary(w->image, &w->summary, stdout);
	print_rates(w);
}

static struct json_object *rates_json(const struct watch *w)
{
	const struct rates *r = &w->rates;
	struct json_object *o = json_new(), *operations = json_new(), *one;
	unsigned i;

	json_add_uint(o, "hits_per_s", (uint64_t)r->hits_per_s);
	json_add_uint(o, "misses_per_s", (uint64_t)r->misses_per_s);
	json_add_uint(o, "evictions_per_s", (uint64_t)r->evictions_per_s);
	json_add_uint(o, "put_bytes_per_s", (uint64_t)r->put_bytes_per_s);
	for (i = ABI_OP_PING; i < ABI_N_OPERATIONS; i++) {
		one = json_new();
		json_add_uint(one, "per_s", (uint64_t)r->operation[i].per_s);
		json_add_uint(one, "p50_ns", r->operation[i].p50_ns);
		json_add_uint(one, "p99_ns", r->operation[i].p99_ns);
		json_add_object(operations, abi_operation_name(i), one);
	}
	json_add_object(o, "operations", operations);
	return o;
}

static void print_json(const struct watch *w)
{
	struct json_object *o = view_json_summary(w->image, &w->summary);

	json_add_object(o, "rates", rates_json(w));
	json_print(o);
}

static volatile sig_atomic_t is_ended;

static void end(int number)
{
	(void)number;
	is_ended = 1;
}

static int pages(struct watch *w)
{
	struct timespec pause = {.tv_sec = w->options->interval_ms / 1000,
		.tv_nsec = w->options->interval_ms % 1000 * 1000000L};
	struct sigaction action = {.sa_handler = end};
	int r;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	for (;;) {
		r = watch_look(w);
		if (r)
			return r;
		if (w->options->json)
			print_json(w);
		else
			print_text(w);
		if (fflush(stdout) || is_ended ||
			(w->options->count && w->n_looks >= w->options->count))
			return 0;
		if (!w->options->json)
			putchar('\n');
		nanosleep(&pause, NULL);
	}
}

int watch_run(struct image *image, const struct watch_options *options)
{
	struct watch w = {.image = image, .options = options};
	int r;

	r = !options->json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) ? watch_screen(&w)
									 : -ENOTTY;
	/* No terminal, or one of which nothing is known. */
	if (r == -ENOTTY)
		r = pages(&w);
	summary_deinit(&w.summary);
	sample_deinit(&w.before);
	sample_deinit(&w.now);
	hold_ages_deinit(&w.ages);
	return r;
}
