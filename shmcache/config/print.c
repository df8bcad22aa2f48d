/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as a file. What --check-config shows is every key with the value in force,
 * whoever set it, so that the output pins a setup down: a later version with other defaults
 * reads the same configuration from it. The annotated defaults are the example that is shipped;
 * it is written from the table and not by hand, so it can't fall behind.
 */
#include "shmcache/config/impl.h"

#include <errno.h>
#include <string.h>

enum { COMMENT_WIDTH = 78 };

static int finish(FILE *out)
{
	errno = 0;
	if (fflush(out) == 0 && !ferror(out))
		return 0;
	return errno ? -errno : -EIO;
}

static void print_section(const struct key *key, FILE *out)
{
	if (key == keys || strcmp(key->section, key[-1].section))
		fprintf(out, "%s[%s]\n", key == keys ? "" : "\n", key->section);
}

static void print_rules(const struct config *c, FILE *out)
{
	char name[KEY_VALUE_SIZE];

	for (unsigned i = 0; i < c->access.n_rules; i++) {
		rule_print_name(&c->access.rules[i], name);
		fprintf(out, "%s = %s\n", name, config_role_name(c->access.rules[i].role));
	}
}

static void print_key(const struct key *key, const struct config *c, FILE *out)
{
	char text[KEY_VALUE_SIZE];

	key_print(key, c, text);
	fprintf(out, "%s =%s%s\n", key->name, *text ? " " : "", text);
}

static bool is_last_of_section(const struct key *key)
{
	return key + 1 == keys + n_keys || strcmp(key->section, key[1].section);
}

int config_print(const struct config *c, FILE *out)
{
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		print_section(k, out);
		print_key(k, c, out);
		if (is_last_of_section(k) && !strcmp(k->section, "access"))
			print_rules(c, out);
	}
	return finish(out);
}

/* Words as a comment, wrapped. */
static void print_comment(const char *text, FILE *out)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column && column + 1 + n > COMMENT_WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s%.*s", column ? " " : "# ", (int)n, text);
		text += n + (text[n] == ' ');
	}
	fputc('\n', out);
}

static void print_help(const struct key *key, FILE *out)
{
	char range[KEY_RANGE_SIZE], sentence[KEY_RANGE_SIZE + 16];

	print_comment(key->help, out);
	key_range_print(key, range);
	snprintf(sentence, sizeof(sentence), "Allowed: %s.", range);
	print_comment(sentence, out);
}

static const char rules_help[] =
	"# Rules for single users and groups. The most specific one counts: the client's\n"
	"# uid; then owner; then its gid; then other.\n"
	"# uid.1000 = reader\n"
	"# user.alice = writer\n"
	"# gid.100 = stager\n"
	"# group.www-data = none\n";

int config_print_defaults(FILE *out)
{
	struct config c;

	config_init(&c);
	fputs("# shmcached.conf: every key, with its default. See shmcached.conf(5).\n\n", out);
	for (const struct key *k = keys; k < keys + n_keys; k++) {
		print_section(k, out);
		print_help(k, out);
		print_key(k, &c, out);
		if (!is_last_of_section(k))
			fputc('\n', out);
		else if (!strcmp(k->section, "access"))
			fprintf(out, "\n%s", rules_help);
	}
	return finish(out);
}
