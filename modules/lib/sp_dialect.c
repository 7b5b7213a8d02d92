
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_dialect.h"


static void sp_event_replace(int64_t *total, int64_t said);


void
sp_event_init(sp_event_t *event)
{
    memset(event, 0, sizeof(sp_event_t));

    event->prompt_tokens = -1;
    event->completion_tokens = -1;
    event->cached_tokens = -1;
    event->cache_write_tokens = -1;
    event->reasoning_tokens = -1;
    event->seconds = -1;
}


void
sp_event_merge(sp_event_t *totals, const sp_event_t *event)
{
    sp_event_replace(&totals->prompt_tokens, event->prompt_tokens);
    sp_event_replace(&totals->completion_tokens, event->completion_tokens);
    sp_event_replace(&totals->cached_tokens, event->cached_tokens);
    sp_event_replace(&totals->cache_write_tokens, event->cache_write_tokens);
    sp_event_replace(&totals->reasoning_tokens, event->reasoning_tokens);
    sp_event_replace(&totals->seconds, event->seconds);
}


static void
sp_event_replace(int64_t *total, int64_t said)
{
    if (said >= 0) {
        *total = said;
    }
}


const char *
sp_dialect_messages(const sp_dialect_t *dialect)
{
    return (dialect->messages != NULL) ? dialect->messages : "messages";
}
