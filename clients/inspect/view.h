/* SPDX-License-Identifier: Apache-2.0 */
/* view.h: what the inspector prints: text for people, JSON for scripts. */
#ifndef CLIENTS_INSPECT_VIEW_H
#define CLIENTS_INSPECT_VIEW_H

#include <stdio.h>

#include <json-c/json.h>

#include "clients/inspect/check.h"
#include "clients/inspect/image.h"
#include "clients/inspect/summary.h"

/* Which rings: of one session, all of its lanes or one. */
struct view_ring {
	uint64_t session;
	int lane; /* -1: all */
};

/* A key is looked for in the index; @n_hits are its mentions in access logs. */
struct view_key {
	const void *data;
	size_t size;
};

/* --- text: to any stream; keys are escaped ---------------------------------------------------- */

void text_summary(const struct image *image, const struct summary *summary, FILE *out);
/* False: there is no such session or lane. */
bool text_ring(const struct image *image, const struct view_ring *ring, FILE *out);
/* False: there is no such entry. */
bool text_key(const struct image *image, const struct view_key *key, FILE *out);
void text_holders(const struct image *image, const struct summary *summary, FILE *out);
void text_check(const struct image *image, const struct findings *f,
	const struct check_counts *counts, FILE *out);
/* What could not be seen, a line each. */
void text_unseen(const struct image *image, FILE *out);

/* --- JSON: one object each; NULL where the text says false ------------------------------------ */

struct json_object *view_json_summary(const struct image *image, const struct summary *summary);
struct json_object *view_json_ring(const struct image *image, const struct view_ring *ring);
struct json_object *view_json_key(const struct image *image, const struct view_key *key);
struct json_object *view_json_holders(const struct image *image, const struct summary *summary);
struct json_object *view_json_check(const struct image *image, const struct findings *f,
	const struct check_counts *counts);

/* --- what both need --------------------------------------------------------------------------- */

/* The session of that number in the directory, with or without the epoch of now, or NULL. */
const struct image_session *view_session(const struct image *image, uint64_t id);

/* How often the access logs of all lanes, as far back as they go, name @cell. */
uint64_t view_log_hits(const struct image *image, uint32_t cell, uint64_t *n_logged);

/* The highest generation of all cells: how many records were made so far, about. */
uint32_t view_newest(const struct image *image);

#endif
