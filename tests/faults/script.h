/* SPDX-License-Identifier: Apache-2.0 */
/* script.h: what a client does, from attach to detach, while calls fail here or in the broker. */
#ifndef TESTS_FAULTS_SCRIPT_H
#define TESTS_FAULTS_SCRIPT_H

/*
 * Every kind of request on the cache @name, alone on a broker with a tier of 2 MiB: puts of all
 * sizes up to eviction, in place and through a queue, views that are held meanwhile, a flush. An
 * answer may be a failure, a wrong byte may not. NULL, or a complaint in static memory.
 */
const char *faults_script(const char *name);

/* Attach, one request, detach: the short form. */
const char *faults_script_short(const char *name);

/* The short form with nothing failing: any failure is a complaint. */
const char *faults_script_well(const char *name);

#endif
