/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a log line or a complaint shows may come from a client or from a damaged file. A newline
 * in it would forge a line of the log, an escape sequence would reach the operator's terminal,
 * and half a UTF-8 character would spoil whatever parses the line. So only printable ASCII
 * passes as it is; everything else is spelled out, and the reader sees what was really there.
 */
#include "shmcache/log/escape.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool is_printable(unsigned char byte)
{
	return byte >= 0x20 && byte < 0x7f;
}

/* One byte as text of 1 to 4 characters; returns how many. */
static size_t escape_one(char text[5], unsigned char byte)
{
	const char *letter = byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : NULL;

	if (letter)
		return (size_t)sprintf(text, "%s", letter);
	if (byte == '"' || byte == '\\')
		return (size_t)sprintf(text, "\\%c", byte);
	if (is_printable(byte))
		return (size_t)sprintf(text, "%c", byte);
	return (size_t)sprintf(text, "\\x%02x", byte);
}

size_t escape_bytes(char *out, size_t size, const char *bytes, size_t len)
{
	size_t at = 0, cut = 0; /* cut: the last place where "..." still fits behind */
	char text[5];

	assert(size >= 4);
	for (size_t i = 0; i < len; i++) {
		size_t n = escape_one(text, (unsigned char)bytes[i]);

		if (at + n + 1 > size) {
			memcpy(out + cut, "...", 4);
			return cut + 3;
		}
		memcpy(out + at, text, n);
		at += n;
		if (at + 4 <= size)
			cut = at;
	}
	out[at] = '\0';
	return at;
}

bool escape_needs_quotes(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_printable((unsigned char)bytes[i]) || strchr(" =\"\\", bytes[i]))
			return true;
	return len == 0;
}
