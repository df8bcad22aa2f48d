/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h: what goes over a connection between two brokers, and whether it may. */
#ifndef SHMCACHE_REMOTE_PEERS_FRAME_H
#define SHMCACHE_REMOTE_PEERS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipc/abi.h"

/*
 * A connection carries frames: a head of 24 bytes, and a body of head.size bytes. All numbers
 * are little-endian. A connection is a lane of a link; a link leads from a requester, who
 * connects, to a holder, who accepts. docs/peer-protocol.md tells which frames follow which.
 *
 * Nothing here allocates, waits or knows sockets. Any thread.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is little-endian");

#define FRAME_MAGIC 0xca5e
#define FRAME_HELLO_MAGIC 0x72656570636d6873 /* "shmcpeer" */
#define FRAME_VERSION 1

#define FRAME_DATA_MAX (1U << 20)  /* of a value's bytes in one frame */
#define FRAME_BODY_MAX (64U << 10) /* of any other frame on a control lane */
#define FRAME_SMALL_MAX 2048       /* of any other frame on a data lane */
#define FRAME_ITEMS_MAX 1024       /* keys of one lookup */
#define FRAME_HOLDERS_MAX 8        /* told for one key */
#define FRAME_NAME_SIZE 64         /* of a cluster or a member, with its NUL */
#define FRAME_NONCE_SIZE 32
#define FRAME_TOKEN_SIZE 32
#define FRAME_SENTENCE_MAX 256
#define FRAME_KEY_NAME_SIZE 16 /* XXH3_128bits() of a key, low half first */
#define FRAME_N_NOTICES 4

/* Numbers on the wire: never renumbered. */
enum frame_type {
	FRAME_GREET = 1,     /* holder: the second frame of a connection */
	FRAME_HELLO = 2,     /* requester: the third one */
	FRAME_WELCOME = 3,   /* holder: the fourth one, or */
	FRAME_REFUSE = 4,    /* either: the last one; flags: enum frame_refusal, body: a sentence */
	FRAME_PING = 5,      /* requester; argument: any */
	FRAME_PONG = 6,      /* holder; argument: the ping's, id: its free bytes and 1, or 0 */
	FRAME_LOOKUP = 7,    /* requester; flags: enum frame_lookup, argument: items, body: items */
	FRAME_FOUND = 8,     /* holder; argument: items, body: struct frame_holders for each */
	FRAME_ANNOUNCE = 9,  /* requester; body: struct frame_notice, many */
	FRAME_ERASE = 10,    /* requester; body: the key */
	FRAME_ERASED = 11,   /* holder; flags: enum frame_status */
	FRAME_FETCH = 12,    /* requester, data lane; argument: ms it will wait, body: the key */
	FRAME_HEAD = 13,     /* holder; flags: enum frame_status; when OK: struct frame_value */
	FRAME_DATA = 14,     /* holder; argument: offset in the value, body: bytes */
	FRAME_END = 15,      /* holder; flags: enum frame_status, argument: XXH3_64bits of all */
	FRAME_CREDIT = 16,   /* requester; argument: bytes taken on this lane since it began */
	FRAME_CANCEL = 17,   /* requester: no more of this fetch */
	FRAME_KNOCK = 18,    /* requester: the first one; id: magic, argument: version */
	FRAME_N_TYPES,
};

enum frame_status {
	FRAME_OK = 0,
	FRAME_MISS = 1,
	FRAME_BUSY = 2,      /* the holder has too much to do */
	FRAME_CANCELLED = 3, /* as asked */
	FRAME_FAILED = 4,    /* the holder can't */
	FRAME_N_STATUSES,
};

enum frame_refusal {
	FRAME_REFUSE_VERSION = 1,
	FRAME_REFUSE_CLUSTER = 2,
	FRAME_REFUSE_NAME = 3,     /* the one called is somebody else */
	FRAME_REFUSE_STRANGER = 4, /* the caller is not a member, or not who it says */
	FRAME_REFUSE_REPLAY = 5,   /* a hello that was said before */
	FRAME_REFUSE_TOKEN = 6,    /* a data lane that belongs to no link */
	FRAME_REFUSE_FULL = 7,
	FRAME_REFUSE_PROTOCOL = 8, /* a frame that may not be there */
	FRAME_N_REFUSALS,
};

enum frame_lookup {
	FRAME_LOOKUP_KEYS = 0,  /* "have you got it": items are keys */
	FRAME_LOOKUP_NAMES = 1, /* "who has got it": items are names of keys */
};

#define FRAME_WITH_HINTS 1

struct frame {
	uint16_t magic;
	uint8_t type;
	uint8_t flags;
	uint32_t size;     /* of the body */
	uint64_t id;       /* the requester's number of what it asked for; PONG: see there; else 0 */
	uint64_t argument; /* by type */
};

struct frame_greet {
	uint64_t magic;
	uint32_t version;
	uint32_t reserved; /* 0 */
	uint8_t nonce[FRAME_NONCE_SIZE];
};

/* All but the names is the same size in every version. */
struct frame_hello {
	uint64_t magic;
	uint32_t version;
	uint8_t is_data; /* 0 or 1 */
	uint8_t lane;    /* number of the data lane */
	uint8_t n_lanes; /* data lanes that the link will have */
	uint8_t reserved;
	uint64_t incarnation; /* of the requester's broker */
	uint64_t link;        /* the link's number in that incarnation; same for all its lanes */
	uint64_t window;      /* bytes of values that may be on their way on a lane */
	uint8_t nonce[FRAME_NONCE_SIZE]; /* the greeting's */
	uint8_t token[FRAME_TOKEN_SIZE]; /* of a data lane: hello.h */
	char cluster[FRAME_NAME_SIZE];   /* all three padded with NULs */
	char from[FRAME_NAME_SIZE];
	char to[FRAME_NAME_SIZE];
};

struct frame_welcome {
	uint64_t incarnation;
	uint64_t capacity; /* bytes of the holder's tiers */
	uint8_t token[FRAME_TOKEN_SIZE];
};

/* What is told of a value before its bytes. */
struct frame_value {
	uint64_t size;
	uint64_t ttl_ms; /* left; 0: it does not expire */
	struct abi_hints hints;
	uint32_t flags; /* FRAME_WITH_HINTS */
	uint32_t reserved;
};

/* The same as struct directory_record. */
struct frame_notice {
	uint8_t name[FRAME_KEY_NAME_SIZE];
	uint32_t generation; /* of the holder's record: a GONE of an older one is void */
	uint32_t kind;       /* enum directory_what: below FRAME_N_NOTICES */
};

/* On the wire: the count, then so many ids. */
struct frame_holders {
	uint8_t n;
	uint64_t id[FRAME_HOLDERS_MAX]; /* of members: frame_member_id() */
};

_Static_assert(sizeof(struct frame) == 24 && sizeof(struct frame_greet) == 48 &&
		sizeof(struct frame_hello) == 296 && sizeof(struct frame_welcome) == 48 &&
		sizeof(struct frame_value) == 40 && sizeof(struct frame_notice) == 24,
	"no padding");

/* Who sends, and on which kind of lane. */
enum frame_side {
	FRAME_FROM_REQUESTER,
	FRAME_FROM_HOLDER,
};

/*
 * NULL when a frame with the head @raw may come from @side on such a lane, after the hello
 * (before it: frame_check_first()); else what is wrong, a sentence without a full stop. Looks
 * at type, size, flags and argument, so that after it raw->size is safe to wait for.
 */
const char *frame_check(const struct frame *raw, enum frame_side side, bool is_data);

/*
 * The same for the first frames of a connection: KNOCK, GREET or REFUSE, HELLO, WELCOME or
 * REFUSE.
 */
const char *frame_check_first(const struct frame *raw, enum frame_type wanted);

/*
 * NULL when the body is what its head says: items, holders, notices, a value's head. For the
 * types that have none of these, always NULL. @body has head->size bytes.
 */
const char *frame_check_body(const struct frame *head, const void *body);

/* A name of cluster or member: 1 to 63 of A-Z a-z 0-9 . _ -, and NULs behind it. */
bool frame_name_is_valid(const char name[FRAME_NAME_SIZE]);
/*
 * The member's short number on the wire: hash_bytes(0, name), the same as struct member's hash.
 */
uint64_t frame_member_id(const char *name);

/* Walk the items of a LOOKUP, or the holders of a FOUND, that frame_check_body() passed. */
struct frame_cursor {
	const uint8_t *at, *end;
};
static inline struct frame_cursor frame_cursor(const struct frame *head, const void *body)
{
	return (struct frame_cursor){body, (const uint8_t *)body + head->size};
}
bool frame_next_item(struct frame_cursor *c, const uint8_t **data, uint16_t *size);
bool frame_next_holders(struct frame_cursor *c, struct frame_holders *holders);

/* Append an item or holders at @at; returns the bytes taken, 0 when more than @room would be. */
size_t frame_put_item(uint8_t *at, size_t room, const void *data, uint16_t size);
size_t frame_put_holders(uint8_t *at, size_t room, const struct frame_holders *holders);

const char *frame_type_name(unsigned type);     /* "fetch"; "unknown" */
const char *frame_status_name(unsigned status); /* "miss" */
const char *frame_refusal_name(unsigned reason);

#endif
