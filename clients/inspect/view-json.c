/* SPDX-License-Identifier: Apache-2.0 */
/* view-json.c: all that the text says, and the numbers that it leaves out, as JSON. */
#include <string.h>

#include "clients/cli/json.h"
#include "clients/inspect/entry.h"
#include "clients/inspect/lane.h"
#include "clients/inspect/view.h"

static struct json_object *new_array(void)
{
	return json_new_array();
}

static struct json_object *process_json(const struct image_process *p)
{
	struct json_object *o = json_new();

	json_add_uint(o, "pid", p->pid);
	json_add_string(o, "command", p->command);
	json_add_string(o, "state", process_state_name(p));
	return o;
}

static void add_unseen(struct json_object *o, const struct image *image)
{
	struct json_object *list = new_array();
	unsigned i;

	if (!image->has_index && image->index_unseen[0])
		json_append(list, json_new_string(image->index_unseen));
	for (i = 0; i < image->n_sessions; i++)
		if (image->session[i].unseen[0])
			json_append(list, json_new_string(image->session[i].unseen));
	for (i = 0; i < image->n_notes; i++)
		json_append(list, json_new_string(image->note[i]));
	json_add_object(o, "unseen", list);
}

/* Whom it is about, and when: what every document begins with. */
static struct json_object *begin(const struct image *image)
{
	struct json_object *o = json_new();

	json_add_string(o, "name", image->name);
	json_add_uint(o, "time_ms", image->real_ms);
	add_unseen(o, image);
	return o;
}

static struct json_object *tier_json(const struct tier_sum *t)
{
	struct json_object *o = json_new();

	json_add_uint(o, "size", t->size);
	json_add_uint(o, "used", t->used);
	json_add_uint(o, "free", t->free);
	json_add_uint(o, "largest_free", t->largest_free);
	json_add_uint(o, "fragmentation_permille", t->fragmentation);
	json_add_uint(o, "n_entries", t->n_entries);
	return o;
}

static struct json_object *lane_json(
	const struct image *image, const struct image_session *s, unsigned idx)
{
	struct json_object *o = json_new();
	struct lane l;

	lane_look(image, s, idx, &l);
	json_add_uint(o, "lane", idx);
	json_add_bool(o, "is_seen", l.has_request && l.has_response);
	json_add_uint(o, "published", l.published);
	json_add_uint(o, "submitted", l.submitted);
	json_add_uint(o, "consumed", l.consumed);
	json_add_uint(o, "n_elsewhere", l.n_elsewhere);
	json_add_uint(o, "answered", l.answered);
	json_add_uint(o, "reaped", l.reaped);
	json_add_uint(o, "n_waiting", l.n_waiting);
	json_add_uint(o, "oldest_age_ms", image_age_ms(image, l.oldest_ms));
	json_add_bool(o, "client_sleeps", l.client_sleeps);
	json_add_bool(o, "worker_sleeps", l.worker_sleeps);
	json_add_uint(o, "worker", l.worker);
	json_add_string(o, "fault", abi_fault_name(l.fault));
	json_add_uint(o, "hits", l.hits);
	json_add_uint(o, "misses", l.misses);
	json_add_uint(o, "holds_used", l.holds_used);
	return o;
}

static struct json_object *held_json(const struct holder *h)
{
	struct json_object *o = json_new();

	json_add_uint(o, "n_holds", h->n_holds);
	json_add_uint(o, "n_records", h->n_records);
	json_add_uint(o, "held_size", h->held_size);
	json_add_uint(o, "n_kept", h->n_kept);
	json_add_uint(o, "kept_size", h->kept_size);
	return o;
}

static struct json_object *session_json(const struct image *image, const struct session_sum *sum)
{
	struct json_object *o = json_new(), *lanes = new_array();
	unsigned i, n = lane_count(image, sum->session);

	json_add_uint(o, "id", sum->id);
	json_add_string(o, "directory_state", image_session_state_name(sum->state));
	json_add_object(o, "process", process_json(&sum->session->process));
	json_add_uint(o, "uid", sum->uid);
	json_add_string(o, "role", image_role_name(sum->role));
	json_add_uint(o, "worker", sum->worker);
	json_add_uint(o, "n_lanes", sum->n_lanes);
	json_add_uint(o, "attached_ms", sum->attached_ms);
	json_add_string(o, "broken", abi_fault_name(sum->broken));
	json_add_uint(o, "n_waiting", sum->n_waiting);
	json_add_uint(o, "n_elsewhere", sum->n_elsewhere);
	json_add_uint(o, "n_unreaped", sum->n_unreaped);
	json_add_uint(o, "oldest_age_ms", image_age_ms(image, sum->oldest_ms));
	json_add_object(o, "holds", held_json(&sum->held));
	json_add_uint(o, "held_age_ms", image_age_ms(image, sum->held_since_ms));
	for (i = 0; i < n; i++)
		json_append(lanes, lane_json(image, sum->session, i));
	json_add_object(o, "lanes", lanes);
	return o;
}

static struct json_object *broker_json(const struct image *image, const struct summary *s)
{
	struct json_object *o = process_json(&image->broker);

	json_add_string(o, "serves", image_state_name(s->state));
	json_add_uint(o, "epoch", s->epoch);
	json_add_uint(o, "uptime_ms", s->up_ms);
	json_add_uint(o, "n_workers", s->n_workers);
	json_add_uint(o, "n_asleep", s->n_asleep);
	json_add_bool(o, "fence_needed", s->fence_needed);
	return o;
}

static struct json_object *numbers_json(const struct image *image)
{
	struct json_object *o = json_new();
	unsigned i;

	for (i = 0; i < ABI_N_COUNTERS; i++)
		json_add_uint(o, abi_counter_name(i), image_counter(image, (enum abi_counter)i));
	for (i = 0; i < ABI_N_GAUGES; i++)
		json_add_uint(o, abi_gauge_name(i), image_gauge(image, (enum abi_gauge)i));
	return o;
}

struct json_object *view_json_summary(const struct image *image, const struct summary *s)
{
	struct json_object *o = begin(image), *list = new_array();
	unsigned i;

	json_add_object(o, "broker", broker_json(image, s));
	json_add_object(o, "dram", tier_json(&s->tier[ABI_TIER_DRAM]));
	json_add_object(o, "cxl", tier_json(&s->tier[ABI_TIER_CXL]));
	json_add_uint(o, "n_buckets", s->n_buckets);
	json_add_object(o, "numbers", numbers_json(image));
	for (i = 0; i < s->n_sessions; i++)
		json_append(list, session_json(image, &s->session[i]));
	json_add_object(o, "sessions", list);
	list = new_array();
	for (i = 0; i < s->n_alerts; i++)
		json_append(list, json_new_string(s->alert[i]));
	json_add_object(o, "alerts", list);
	return o;
}

struct json_object *view_json_holders(const struct image *image, const struct summary *s)
{
	struct json_object *o = begin(image), *list = new_array(), *holder;
	unsigned i;

	for (i = 0; i < s->n_sessions; i++) {
		holder = held_json(&s->session[i].held);
		json_add_uint(holder, "session", s->session[i].id);
		json_add_uint(holder, "n_standing", s->session[i].n_standing);
		json_add_uint(holder, "standing_age_ms", s->session[i].standing_ms);
		json_add_object(holder, "process", process_json(&s->session[i].session->process));
		json_append(list, holder);
	}
	json_add_object(o, "holders", list);
	return o;
}

struct json_object *view_json_check(const struct image *image, const struct findings *f,
	const struct check_counts *c)
{
	struct json_object *o = begin(image), *list = new_array(), *finding;
	size_t i;

	for (i = 0; i < f->n; i++) {
		finding = json_new();
		json_add_string(finding, "code", f->list[i].code);
		json_add_string(finding, "text", f->list[i].text);
		json_append(list, finding);
	}
	json_add_object(o, "findings", list);
	json_add_bool(o, "is_cut", f->is_cut);
	json_add_bool(o, "is_unsteady", image->is_unsteady);
	json_add_uint(o, "n_buckets", c->n_buckets);
	json_add_uint(o, "n_entries", c->n_entries);
	json_add_uint(o, "n_marked", c->n_marked);
	json_add_uint(o, "n_cells", c->n_cells);
	json_add_uint(o, "n_sessions", c->n_sessions);
	json_add_uint(o, "n_lanes", c->n_lanes);
	json_add_uint(o, "n_holds", c->n_holds);
	return o;
}

/* --- rings and keys --------------------------------------------------------------------------- */

struct gather {
	const struct image *image;
	struct json_object *list;
	uint32_t cell;
};

/* What only the submission tells, which may be there no more. */
static void add_request(const struct gather *g, struct json_object *o, const struct lane_slot *slot)
{
	const struct submission *s = &slot->submission;

	json_add_uint(o, "age_ms", image_age_ms(g->image, slot->since_ms));
	json_add_string(o, "operation", abi_operation_name(s->operation));
	if (slot->has_key)
		json_add_bytes(o, "key", slot->key, s->key_size);
	json_add_uint(o, "key_size", s->key_size);
	json_add_uint(o, "value_size", s->value_size);
	json_add_uint(o, "staging_off", s->staging_off);
	json_add_uint(o, "argument", s->argument);
	json_add_uint(o, "group", s->group);
	json_add_bool(o, "if_absent", (s->flags & SUBMISSION_IF_ABSENT) != 0);
	json_add_string(o, "flaw", abi_fault_name(slot->flaw));
}

static void add_slot(void *context, const struct lane_slot *slot)
{
	struct gather *g = context;
	struct json_object *o = json_new();

	if (slot->is_known)
		json_add_uint(o, "position", slot->position);
	json_add_string(o, "state", lane_slot_state_name(slot->state));
	json_add_uint(o, "id", slot->submission.id);
	if (slot->is_known)
		add_request(g, o, slot);
	if (slot->state == LANE_SLOT_ANSWERED)
		json_add_string(o, "status", abi_status_name(slot->status));
	json_append(g->list, o);
}

struct json_object *view_json_ring(const struct image *image, const struct view_ring *ring)
{
	const struct image_session *s = view_session(image, ring->session);
	struct json_object *o, *lanes, *lane;
	struct gather g = {.image = image};
	unsigned i, n = s ? lane_count(image, s) : 0;

	if (!s || (ring->lane >= 0 && (unsigned)ring->lane >= n && !s->unseen[0]))
		return NULL;
	o = begin(image);
	json_add_uint(o, "session", s->id);
	lanes = new_array();
	for (i = 0; i < n; i++) {
		if (ring->lane >= 0 && (unsigned)ring->lane != i)
			continue;
		lane = lane_json(image, s, i);
		g.list = new_array();
		(void)lane_walk(image, s, i, add_slot, &g);
		json_add_object(lane, "slots", g.list);
		json_append(lanes, lane);
	}
	json_add_object(o, "lanes", lanes);
	return o;
}

static void add_hold(void *context, const struct hold *hold, const struct entry *entry)
{
	struct gather *g = context;
	const struct image_session *s = &g->image->session[hold->session];
	struct json_object *o;

	(void)entry;
	if (abi_word_cell(hold->word) != g->cell)
		return;
	o = json_new();
	json_add_uint(o, "pid", s->process.pid);
	json_add_uint(o, "session", s->id);
	json_add_uint(o, "lane", hold->lane);
	json_add_string(o, "kind", hold_kind_name(hold->kind));
	json_append(g->list, o);
}

struct json_object *view_json_key(const struct image *image, const struct view_key *key)
{
	struct gather g = {.image = image};
	struct json_object *o;
	uint64_t n_logged, hits;
	struct entry e;

	if (!entry_find(image, key->data, key->size, &e))
		return NULL;
	o = begin(image);
	json_add_bytes(o, "key", e.key, e.key_size);
	json_add_string(o, "tier", image_tier_name(e.tier));
	json_add_uint(o, "value_off", e.value_off);
	json_add_uint(o, "value_size", e.value_size);
	json_add_uint(o, "cell", e.cell);
	json_add_uint(o, "generation", e.generation);
	json_add_uint(o, "newest_generation", view_newest(image));
	json_add_uint(o, "group", e.hints.group);
	json_add_uint(o, "position", e.hints.position);
	json_add_uint(o, "priority", e.hints.priority);
	json_add_uint(o, "ttl_ms", e.expire_ms > image->now_ms ? e.expire_ms - image->now_ms : 0);
	json_add_bool(o, "has_ttl", e.expire_ms != 0);
	hits = view_log_hits(image, e.cell, &n_logged);
	json_add_uint(o, "logged_hits", hits);
	json_add_uint(o, "logged", n_logged);
	g.list = new_array();
	g.cell = e.cell;
	hold_walk(image, add_hold, &g);
	json_add_object(o, "holders", g.list);
	return o;
}
