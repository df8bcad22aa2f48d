/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c: which frames there are, who may send them where, how long they may be. */
#include <string.h>

#include "ipc/hash.h"
#include "shmcache/remote/peers/frame.h"

/*
 * All that a peer can make us wait for or hold is bounded here, before a byte of a body is
 * read: what is not in the table, longer or shorter than it says, or on the wrong side of a
 * connection ends the connection. What is behind a good head is looked at once the body is
 * whole, for the few types whose bodies have a form of their own.
 */
#define CONTROL 1
#define DATA 2

static const struct kind {
	const char *name;
	uint32_t size_min, size_max;
	uint8_t flags_max;
	uint8_t requester, holder; /* on which lanes each may send it behind the hello */
} kinds[FRAME_N_TYPES] = {
	[FRAME_GREET] = {"greet", sizeof(struct frame_greet), sizeof(struct frame_greet), 0, 0, 0},
	[FRAME_HELLO] = {"hello", sizeof(struct frame_hello), sizeof(struct frame_hello), 0, 0, 0},
	[FRAME_WELCOME] = {"welcome", sizeof(struct frame_welcome), sizeof(struct frame_welcome), 0,
		0, 0},
	[FRAME_REFUSE] = {"refuse", 0, FRAME_SENTENCE_MAX, FRAME_N_REFUSALS - 1, CONTROL | DATA,
		CONTROL | DATA},
	[FRAME_PING] = {"ping", 0, 0, 0, CONTROL, 0},
	[FRAME_PONG] = {"pong", 0, 0, 0, 0, CONTROL},
	[FRAME_LOOKUP] = {"lookup", 1, FRAME_BODY_MAX, FRAME_LOOKUP_NAMES, CONTROL, 0},
	[FRAME_FOUND] = {"found", 0, FRAME_BODY_MAX, 0, 0, CONTROL},
	[FRAME_ANNOUNCE] = {"announce", 0, FRAME_BODY_MAX, 0, CONTROL, 0},
	[FRAME_ERASE] = {"erase", 1, ABI_KEY_SIZE_MAX, 0, CONTROL, 0},
	[FRAME_ERASED] = {"erased", 0, 0, FRAME_N_STATUSES - 1, 0, CONTROL},
	[FRAME_FETCH] = {"fetch", 1, ABI_KEY_SIZE_MAX, 0, DATA, 0},
	[FRAME_HEAD] = {"head", 0, sizeof(struct frame_value), FRAME_N_STATUSES - 1, 0, DATA},
	[FRAME_DATA] = {"data", 1, FRAME_DATA_MAX, 0, 0, DATA},
	[FRAME_END] = {"end", 0, 0, FRAME_N_STATUSES - 1, 0, DATA},
	[FRAME_CREDIT] = {"credit", 0, 0, 0, DATA, 0},
	[FRAME_CANCEL] = {"cancel", 0, 0, 0, DATA, 0},
	[FRAME_KNOCK] = {"knock", 0, 0, 0, 0, 0},
};

static const char *const statuses[FRAME_N_STATUSES] = {"ok", "miss", "busy", "cancelled", "failed"};

static const char *const refusals[FRAME_N_REFUSALS] = {"unknown", "version", "cluster", "name",
	"stranger", "replay", "token", "full", "protocol"};

/* --- heads ----------------------------------------------------------------------------------- */

static const char *check_form(const struct frame *raw)
{
	const struct kind *kind = &kinds[raw->type < FRAME_N_TYPES ? raw->type : 0];

	if (raw->magic != FRAME_MAGIC)
		return memcmp(raw, "\x16\x03", 2) ? "no frame begins like this" :
			"that is TLS, and this connection is in the clear (security, data_tls)";
	if (!kind->name)
		return "a frame of unknown type";
	if (raw->size < kind->size_min || raw->size > kind->size_max)
		return "a frame of a wrong size";
	if (raw->flags > kind->flags_max)
		return "a frame with unknown flags";
	return NULL;
}

/* Only what is OK has something to tell. */
static const char *check_head_size(const struct frame *raw)
{
	uint32_t wanted = raw->flags == FRAME_OK ? sizeof(struct frame_value) : 0;

	return raw->size == wanted ? NULL : "a head of a wrong size";
}

const char *frame_check(const struct frame *raw, enum frame_side side, bool is_data)
{
	const char *wrong = check_form(raw);
	uint8_t lanes;

	if (wrong)
		return wrong;
	lanes = side == FRAME_FROM_REQUESTER ? kinds[raw->type].requester : kinds[raw->type].holder;
	if (!(lanes & (is_data ? DATA : CONTROL)))
		return "a frame that may not be sent there";
	if (raw->type == FRAME_HEAD)
		return check_head_size(raw);
	return NULL;
}

const char *frame_check_first(const struct frame *raw, enum frame_type wanted)
{
	const char *wrong = check_form(raw);

	if (wrong)
		return wrong;
	if (raw->type == FRAME_REFUSE && wanted != FRAME_HELLO && wanted != FRAME_KNOCK)
		return NULL;
	return raw->type == wanted ? NULL : "a frame before the hello is over";
}

/* --- bodies ---------------------------------------------------------------------------------- */

static const char *check_items(const struct frame *head, const void *body)
{
	struct frame_cursor c = frame_cursor(head, body);
	const uint8_t *data;
	uint64_t n = 0;
	uint16_t size;

	for (; frame_next_item(&c, &data, &size); n++)
		if (head->flags == FRAME_LOOKUP_NAMES && size != FRAME_KEY_NAME_SIZE)
			return "a key's name of a wrong size";
	if (c.at != c.end || n != head->argument || n > FRAME_ITEMS_MAX)
		return "a lookup that is not what it says";
	return NULL;
}

static const char *check_holders(const struct frame *head, const void *body)
{
	struct frame_cursor c = frame_cursor(head, body);
	struct frame_holders holders;
	uint64_t n = 0;

	while (frame_next_holders(&c, &holders))
		n++;
	if (c.at != c.end || n != head->argument || n > FRAME_ITEMS_MAX)
		return "an answer to a lookup that is not what it says";
	return NULL;
}

static const char *check_notices(const struct frame *head, const void *body)
{
	const uint8_t *at = body, *end = at + head->size;
	struct frame_notice notice;

	if (head->size % sizeof(notice))
		return "notices of a wrong size";
	for (; at < end; at += sizeof(notice)) {
		memcpy(&notice, at, sizeof(notice));
		if (notice.kind >= FRAME_N_NOTICES)
			return "a notice of an unknown kind";
	}
	return NULL;
}

static const char *check_value(const struct frame *head, const void *body)
{
	struct frame_value value;

	if (!head->size)
		return NULL;
	memcpy(&value, body, sizeof(value));
	if (!value.size || value.size > (uint64_t)INT64_MAX)
		return "a value of a wrong size";
	if (value.flags > FRAME_WITH_HINTS || value.reserved)
		return "a value with unknown flags";
	return NULL;
}

const char *frame_check_body(const struct frame *head, const void *body)
{
	switch (head->type) {
	case FRAME_LOOKUP:
		return check_items(head, body);
	case FRAME_FOUND:
		return check_holders(head, body);
	case FRAME_ANNOUNCE:
		return check_notices(head, body);
	case FRAME_HEAD:
		return check_value(head, body);
	default:
		return NULL;
	}
}

bool frame_name_is_valid(const char name[FRAME_NAME_SIZE])
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strnlen(name, FRAME_NAME_SIZE), i;

	if (!n || n == FRAME_NAME_SIZE || strspn(name, allowed) != n)
		return false;
	for (i = n; i < FRAME_NAME_SIZE; i++)
		if (name[i])
			return false;
	return true;
}

uint64_t frame_member_id(const char *name)
{
	return hash_bytes(0, name, strlen(name));
}

/* --- items and holders ----------------------------------------------------------------------- */

bool frame_next_item(struct frame_cursor *c, const uint8_t **data, uint16_t *size)
{
	size_t left = (size_t)(c->end - c->at);
	uint16_t raw_size;

	if (left < sizeof(raw_size))
		return false;
	memcpy(&raw_size, c->at, sizeof(raw_size));
	if (!raw_size || raw_size > ABI_KEY_SIZE_MAX || raw_size > left - sizeof(raw_size))
		return false;
	*data = c->at + sizeof(raw_size);
	*size = raw_size;
	c->at += sizeof(raw_size) + raw_size;
	return true;
}

bool frame_next_holders(struct frame_cursor *c, struct frame_holders *holders)
{
	size_t left = (size_t)(c->end - c->at), size;

	if (!left || c->at[0] > FRAME_HOLDERS_MAX)
		return false;
	size = c->at[0] * sizeof(holders->id[0]);
	if (size > left - 1)
		return false;
	holders->n = c->at[0];
	memcpy(holders->id, c->at + 1, size);
	c->at += 1 + size;
	return true;
}

size_t frame_put_item(uint8_t *at, size_t room, const void *data, uint16_t size)
{
	if (room < sizeof(size) + size)
		return 0;
	memcpy(at, &size, sizeof(size));
	memcpy(at + sizeof(size), data, size);
	return sizeof(size) + size;
}

size_t frame_put_holders(uint8_t *at, size_t room, const struct frame_holders *holders)
{
	size_t size = holders->n * sizeof(holders->id[0]);

	if (room < 1 + size)
		return 0;
	at[0] = holders->n;
	memcpy(at + 1, holders->id, size);
	return 1 + size;
}

/* --- names ----------------------------------------------------------------------------------- */

const char *frame_type_name(unsigned type)
{
	return type < FRAME_N_TYPES && kinds[type].name ? kinds[type].name : "unknown";
}

const char *frame_status_name(unsigned status)
{
	return status < FRAME_N_STATUSES ? statuses[status] : "unknown";
}

const char *frame_refusal_name(unsigned reason)
{
	return reason < FRAME_N_REFUSALS ? refusals[reason] : "unknown";
}
