/* SPDX-License-Identifier: Apache-2.0 */
/* settings.c: reading the configuration, at start and again at each reload. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shmcache/policy/policy.h"
#include "shmcache/settings.h"

/* A complaint of ours among those of the configuration, which knows no policies. */
__attribute__((format(printf, 3, 4))) static void complain(
	struct config_errors *errs, unsigned line, const char *format, ...)
{
	struct config_error *e;
	va_list args;

	if (errs->n == CONFIG_ERRORS_MAX) {
		errs->n_more++;
		return;
	}
	e = &errs->at[errs->n++];
	e->line = line;
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
}

/* "dram.size=1GiB" over what the file said. */
static int set_option(struct config *config, const char *text, struct config_errors *errs)
{
	const char *value = strchr(text, '=');
	char key[128];

	if (!value || (size_t)(value - text) >= sizeof(key)) {
		complain(errs, CONFIG_SET_BY_OPTION, "option -o: %.100s: expected SECTION.KEY=VALUE",
			text);
		return -EINVAL;
	}
	memcpy(key, text, (size_t)(value - text));
	key[value - text] = '\0';
	return config_set(config, key, value + 1, errs);
}

static bool policy_is_known(const char *name)
{
	unsigned i;

	if (!name[0])
		return true;
	for (i = 0; policy_names(i); i++)
		if (!strcmp(policy_names(i), name))
			return true;
	return false;
}

static int check_policy(const struct config *config, const char *section, const char *policy,
	struct config_errors *errs)
{
	char key[32], names[256] = "", place[300] = "option -o";
	unsigned i, at;

	if (policy_is_known(policy))
		return 0;
	snprintf(key, sizeof(key), "%s.policy", section);
	at = config_set_at(config, key);
	if (at < CONFIG_SET_BY_OPTION)
		snprintf(place, sizeof(place), "%s:%u", config->file, at);
	for (i = 0; policy_names(i); i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s",
			policy_names(i));
	complain(errs, at, "%s: [%s] policy = %s: there is no such policy; there are:%s", place,
		section, policy, names);
	return -EINVAL;
}

int settings_read(
	const struct settings *settings, struct config *config, struct config_errors *errs)
{
	unsigned i;
	int r = 0;

	config_init(config);
	if (settings->file)
		r = config_load(config, settings->file, errs);
	for (i = 0; !r && i < settings->n_options; i++)
		r = set_option(config, settings->option[i], errs);
	if (!r)
		r = config_check(config, errs);
	if (!r)
		r = check_policy(config, "eviction", config->eviction.policy, errs);
	return r ? r : check_policy(config, "cxl", config->cxl.policy, errs);
}
