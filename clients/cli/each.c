/* SPDX-License-Identifier: Apache-2.0 */
/*
 * each.c: what del, exists and prefetch share: the same is asked of any number of keys.
 *
 * A key that is not there does not keep the others from being dealt with; the exit status
 * tells of it at the end. A failure does, since the next key would fail the same way.
 */
#include "clients/cli/each.h"

#include <getopt.h>

#include "clients/cli/json.h"

enum cli_exit each_key(struct cli *cli, int argc, char **argv, struct each *each)
{
	enum cli_exit status = CLI_OK, worst = CLI_OK;
	struct key key;

	for (int i = optind; i < argc && !status; i++)
		status = key_parse(cli, argv[i], &key);
	if (!status)
		status = cli_attach(cli);
	for (int i = optind; i < argc && !status; i++) {
		int r;

		(void)key_parse(cli, argv[i], &key);
		r = each->fn(cli, each, &key);
		if (r && r != SHMC_MISS)
			return cli_result(cli, r, each->doing, key.bytes, key.size);
		each->print(cli, each, &key, !r);
		if (r)
			worst = CLI_MISS;
	}
	return status ? status : worst;
}

struct json_object *each_to_json(const struct key *key, const char *name, bool hit)
{
	struct json_object *object = json_new();

	json_add_bytes(object, "key", key->bytes, key->size);
	json_add_bool(object, name, hit);
	return object;
}
