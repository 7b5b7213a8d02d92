
/*
 * Copyright (C) Sallyport authors
 *
 * What a message has cost.
 */


#include "sp_anthropic.h"


static int sp_anthropic_scan_counts(sp_scan_t *s, const char *key, size_t len,
    void *data);
static int sp_anthropic_scan_details(sp_scan_t *s, const char *key,
    size_t len, void *data);
static int sp_anthropic_scan_iteration(sp_scan_t *s, void *data);
static void sp_anthropic_clear(sp_anthropic_counts_t *counts);
static void sp_anthropic_replace(int64_t *count, int64_t n);
static void sp_anthropic_add(int64_t *sum, int64_t n);


void
sp_anthropic_usage_init(sp_anthropic_usage_t *usage)
{
    sp_anthropic_clear(&usage->counts);
    sp_anthropic_clear(&usage->sums);
    usage->iterations = 0;
}


/*
 * Where the context was compacted on the way, what stands beside the
 * iterations is not their sum.
 */

int
sp_anthropic_scan_usage(sp_scan_t *s, const char *key, size_t len, void *data)
{
    sp_anthropic_usage_t *usage = data;

    if (sp_scan_is(key, len, "iterations") && sp_scan_at(s, '[')) {
        return sp_scan_array(s, sp_anthropic_scan_iteration, usage);
    }

    return sp_anthropic_scan_counts(s, key, len, &usage->counts);
}


static int
sp_anthropic_scan_counts(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_anthropic_counts_t *counts = data;

    if (sp_scan_is(key, len, "input_tokens")) {
        return sp_scan_integer(s, &counts->input);
    }

    if (sp_scan_is(key, len, "output_tokens")) {
        return sp_scan_integer(s, &counts->output);
    }

    if (sp_scan_is(key, len, "cache_creation_input_tokens")) {
        return sp_scan_integer(s, &counts->created);
    }

    if (sp_scan_is(key, len, "cache_read_input_tokens")) {
        return sp_scan_integer(s, &counts->read);
    }

    if (sp_scan_is(key, len, "output_tokens_details") && sp_scan_at(s, '{')) {
        return sp_scan_object(s, sp_anthropic_scan_details, counts);
    }

    return sp_scan_skip(s);
}


static int
sp_anthropic_scan_details(sp_scan_t *s, const char *key, size_t len,
    void *data)
{
    sp_anthropic_counts_t *counts = data;

    return sp_scan_is(key, len, "thinking_tokens")
           ? sp_scan_integer(s, &counts->thinking) : sp_scan_skip(s);
}


static int
sp_anthropic_scan_iteration(sp_scan_t *s, void *data)
{
    sp_anthropic_usage_t *usage = data;

    sp_anthropic_counts_t  counts;

    if (!sp_scan_at(s, '{')) {
        return sp_scan_skip(s);
    }

    sp_anthropic_clear(&counts);

    if (sp_scan_object(s, sp_anthropic_scan_counts, &counts) != 0) {
        return -1;
    }

    usage->iterations = 1;

    sp_anthropic_add(&usage->sums.input, counts.input);
    sp_anthropic_add(&usage->sums.created, counts.created);
    sp_anthropic_add(&usage->sums.read, counts.read);
    sp_anthropic_add(&usage->sums.output, counts.output);

    return 0;
}


/*
 * What is there replaces what was: message_delta may leave out all but the
 * output.  The prompt is what was read, written to the cache and read from it.
 */

void
sp_anthropic_count(sp_anthropic_reader_t *state,
    const sp_anthropic_usage_t *usage, sp_event_t *event)
{
    sp_anthropic_counts_t        *sofar;
    const sp_anthropic_counts_t  *counts;

    if (!event->has_usage) {
        return;
    }

    sofar = &state->counts;
    counts = usage->iterations ? &usage->sums : &usage->counts;

    if (!state->counted) {
        state->counted = 1;
        sp_anthropic_clear(sofar);
    }

    sp_anthropic_replace(&sofar->input, counts->input);
    sp_anthropic_replace(&sofar->created, counts->created);
    sp_anthropic_replace(&sofar->read, counts->read);

    sp_anthropic_add(&event->prompt_tokens, sofar->input);
    sp_anthropic_add(&event->prompt_tokens, sofar->created);
    sp_anthropic_add(&event->prompt_tokens, sofar->read);

    event->completion_tokens = counts->output;
    event->cached_tokens = sofar->read;
    event->cache_write_tokens = sofar->created;
    event->reasoning_tokens = usage->counts.thinking;
}


static void
sp_anthropic_clear(sp_anthropic_counts_t *counts)
{
    counts->input = -1;
    counts->created = -1;
    counts->read = -1;
    counts->output = -1;
    counts->thinking = -1;
}


static void
sp_anthropic_replace(int64_t *count, int64_t n)
{
    if (n >= 0) {
        *count = n;
    }
}


/* of what is said; more than any real number ends at the greatest */

static void
sp_anthropic_add(int64_t *sum, int64_t n)
{
    if (n < 0) {
        return;
    }

    if (*sum < 0) {
        *sum = n;

    } else {
        *sum = (*sum > INT64_MAX - n) ? INT64_MAX : *sum + n;
    }
}
