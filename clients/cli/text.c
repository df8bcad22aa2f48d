/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.c: keys as text: UTF-8, escapes, hexadecimal, and likeness.
 *
 * Keys are any bytes, and whoever may put can choose them. Printed as they are, they could
 * break a line that a script reads, or move the cursor of the operator's terminal; printed
 * all in hexadecimal, nobody could read them. So text stays text and the rest is escaped.
 * JSON strings must be UTF-8, hence the strict check: overlong forms and surrogates, which
 * parsers reject or, worse, repair into another key, don't pass.
 */
#include "clients/cli/text.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/*
 * The length of the well-formed sequence at @s, 0 if there is none. The second byte's range
 * depends on the first (RFC 3629, 4): that is what shuts out overlong forms, surrogates,
 * and code points past U+10FFFF.
 */
static size_t utf8_length(const uint8_t *s, size_t size)
{
	uint8_t low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n > size)
		return 0;
	switch (s[0]) {
	case 0xe0:
		low = 0xa0;
		break;
	case 0xed:
		high = 0x9f;
		break;
	case 0xf0:
		low = 0x90;
		break;
	case 0xf4:
		high = 0x8f;
		break;
	}
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

bool text_is_utf8(const void *data, size_t size)
{
	const uint8_t *s = data;

	for (size_t i = 0; i < size;) {
		size_t n = utf8_length(s + i, size - i);

		if (!n)
			return false;
		i += n;
	}
	return true;
}

/* C0, DEL, and C1, which is 0xc2 0x80 to 0xc2 0x9f and commands terminals as well. */
static bool is_control(const uint8_t *s, size_t n)
{
	return n == 1 ? s[0] < 0x20 || s[0] == 0x7f : n == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

/* A control character, a backslash, or a byte that belongs to no character. */
static void print_escape(FILE *out, const uint8_t *s, size_t n)
{
	static const char named[] = "\\\\\nn\rr\tt";
	const char *name = n == 1 && s[0] ? strchr(named, s[0]) : NULL;

	if (name) {
		fprintf(out, "\\%c", name[1]);
		return;
	}
	for (size_t i = 0; i < n; i++)
		fprintf(out, "\\x%02x", s[i]);
}

void text_print_escaped(FILE *out, const void *data, size_t size)
{
	const uint8_t *s = data;

	for (size_t i = 0; i < size;) {
		size_t n = utf8_length(s + i, size - i);

		if (!n || is_control(s + i, n) || s[i] == '\\')
			print_escape(out, s + i, n ? n : 1);
		else
			fwrite(s + i, 1, n, out);
		i += n ? n : 1;
	}
}

void text_print_hex(FILE *out, const void *data, size_t size)
{
	const uint8_t *s = data;

	for (size_t i = 0; i < size; i++)
		fprintf(out, "%02x", s[i]);
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	p = c ? strchr(digits, c) : NULL;
	return p ? (int)(p - digits) : -1;
}

int text_hex_parse(const char *hex, void *out, size_t max, size_t *size)
{
	size_t n = strlen(hex) / 2;
	uint8_t *bytes = out;

	if (strlen(hex) % 2)
		return -EINVAL;
	if (n > max)
		return -ERANGE;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	*size = n;
	return 0;
}

void text_hex_format(const void *data, size_t size, char *out)
{
	const uint8_t *s = data;

	for (size_t i = 0; i < size; i++) {
		out[2 * i] = "0123456789abcdef"[s[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[s[i] & 15];
	}
	out[2 * size] = '\0';
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* The optimal string alignment distance, by rows; three of them are alive at a time. */
size_t text_distance(const char *a, const char *b)
{
	size_t rows[3][TEXT_WORD_MAX + 1], a_size = strlen(a), b_size = strlen(b);
	size_t *row = rows[0], *above = rows[1], *above2 = rows[2], *spare;

	if (a_size > TEXT_WORD_MAX || b_size > TEXT_WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_size; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		spare = above2;
		above2 = above;
		above = row;
		row = spare;
		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			row[j] = min3(above[j] + 1, row[j - 1] + 1,
				above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min3(row[j], row[j], above2[j - 2] + 1);
		}
	}
	return row[b_size];
}
