/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h: where the configuration comes from: the file and the options of the command line. */
#ifndef SHMCACHE_SETTINGS_H
#define SHMCACHE_SETTINGS_H

#include "shmcache/config/config.h"

#define SETTINGS_OPTIONS_MAX 64

/* The strings are the command line's. */
struct settings {
	const char *file; /* NULL: none */
	const char *option[SETTINGS_OPTIONS_MAX]; /* SECTION.KEY=VALUE */
	unsigned n_options;
};

/*
 * Read a whole configuration: defaults, the file, the options over it, and what they say together.
 * 0; or -EINVAL and other errors of config_load(), with what is wrong in @errs, which the caller
 * has zeroed; @config is fit for nothing then. At start and at each reload alike.
 */
int settings_read(
	const struct settings *settings, struct config *config, struct config_errors *errs);

#endif
