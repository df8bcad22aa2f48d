/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.h: the bytes of a file that --save writes and --offline reads. */
#ifndef CLIENTS_INSPECT_SNAPSHOT_H
#define CLIENTS_INSPECT_SNAPSHOT_H

#include "clients/inspect/image.h"

/*
 *	| head | sections | bytes of the first | bytes of the second | ...
 *
 * A section is a piece of an area, or a table. Bytes begin at multiples of SNAPSHOT_ALIGN, so that
 * words in them can be read as words; pieces of one area stand in the order of their offsets. The
 * file is sparse where memory was 0.
 */
#define SNAPSHOT_MAGIC UINT64_C(0x70616e73636d6873) /* "shmcsnap" */
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_ALIGN 64

struct snapshot_head {
	uint64_t magic;
	uint32_t version;
	uint32_t n_sections;
	uint64_t fingerprint; /* of the layout in shared memory */
	uint64_t now_ms, real_ms;
	uint64_t is_still; /* 1: nothing changed while it was written */
	char name[64];
	struct image_process broker;
	char index_unseen[IMAGE_NOTE_SIZE];
	uint8_t pad[48];
};

enum snapshot_kind {
	SNAPSHOT_PLANE = 1,
	SNAPSHOT_INDEX = 2,
	SNAPSHOT_SESSIONS = 3, /* array of struct snapshot_session */
	SNAPSHOT_REQUEST = 4,  /* of session number @session in that array */
	SNAPSHOT_RESPONSE = 5,
	SNAPSHOT_NOTES = 6, /* array of char[IMAGE_NOTE_SIZE] */
};

struct snapshot_section {
	uint32_t kind;
	uint32_t session;
	uint64_t off; /* in the area */
	uint64_t size;
	uint64_t at; /* in the file */
};

struct snapshot_session {
	uint64_t id;
	uint32_t line;
	uint32_t n_lanes, n_queue, n_holds, n_log, staging_size; /* n_lanes 0: not known */
	struct image_process process;
	char unseen[192];
};

_Static_assert(sizeof(struct snapshot_head) % SNAPSHOT_ALIGN == 0 &&
		sizeof(struct snapshot_section) == 32 && sizeof(struct snapshot_session) == 256,
	"no padding");

#endif
