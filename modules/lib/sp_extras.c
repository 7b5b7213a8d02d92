
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_extras.h"
#include "sp_json.h"
#include "sp_json_unescape.h"


static void sp_extras_outside(sp_extras_t *e, const char *unit, size_t n,
    sp_out_t *out);
static void sp_extras_inside(sp_extras_t *e, char c);
static int sp_extras_is_space(const char *unit, size_t n);
static int sp_extras_is_text(const json_t *value);


void
sp_extras_feed(sp_extras_t *e, const char *text, size_t len, sp_out_t *out)
{
    size_t       n;
    const char  *last, *p;

    last = text + len;

    for (p = text; p < last; p += n) {

        if (e->inside) {
            sp_extras_inside(e, *p);
            n = 1;
            continue;
        }

        /* nothing is held, and nothing before this needs to be */

        if (e->nheld == 0 && *p != ' ' && *p != '\\' && *p != '<') {

            for (n = 1; p + n < last && p[n] != ' ' && p[n] != '\\'
                        && p[n] != '<'; n++)
            {
                /* void */
            }

            sp_out_put(out, p, n);
            continue;
        }

        n = (*p == '\\' && last - p > 1) ? 2 : 1;

        sp_extras_outside(e, p, n, out);
    }
}


/* a byte, or an escape of two */

static void
sp_extras_outside(sp_extras_t *e, const char *unit, size_t n, sp_out_t *out)
{
    size_t  matched;

    matched = e->nheld - e->nspace;

    if (n == 1 && *unit == SP_EXTRAS_OPEN[matched]) {

        if (matched + 1 == sizeof(SP_EXTRAS_OPEN) - 1) {
            e->nheld = 0;
            e->nspace = 0;
            e->len = 0;
            e->inside = 1;
            e->found = 1;
            return;
        }

        e->held[e->nheld++] = *unit;
        return;
    }

    /* the mark begins with what is nowhere else in it */

    if (matched != 0) {
        sp_extras_flush(e, out);
        sp_extras_outside(e, unit, n, out);
        return;
    }

    if (!sp_extras_is_space(unit, n)) {
        sp_extras_flush(e, out);
        sp_out_put(out, unit, n);
        return;
    }

    if (e->nspace + n > SP_EXTRAS_HELD - sizeof(SP_EXTRAS_OPEN)) {
        sp_extras_flush(e, out);
    }

    memcpy(e->held + e->nheld, unit, n);
    e->nheld += n;
    e->nspace = e->nheld;
}


/* no escape is in the mark at its end */

static void
sp_extras_inside(sp_extras_t *e, char c)
{
    size_t       n;
    const char  *close;

    close = SP_EXTRAS_CLOSE;

    if (c == close[e->nheld]) {
        e->held[e->nheld++] = c;

    } else {
        e->nheld = (c == close[0]);
        e->held[0] = c;
    }

    if (e->len < SP_EXTRAS_SIZE) {
        e->tail[e->len] = c;
    }

    e->len++;

    n = sizeof(SP_EXTRAS_CLOSE) - 1;

    if (e->nheld == n) {
        e->len -= n;
        e->nheld = 0;
        e->inside = 0;
    }
}


void
sp_extras_flush(sp_extras_t *e, sp_out_t *out)
{
    if (!e->inside) {
        sp_out_put(out, e->held, e->nheld);
        e->nheld = 0;
        e->nspace = 0;
    }
}


int
sp_extras_read(const sp_extras_t *e, sp_extras_said_t *said)
{
    char               text[SP_EXTRAS_SIZE];
    size_t             i, len, start;
    const json_t      *list, *value;
    sp_json_limits_t   limits;

    memset(said, 0, sizeof(sp_extras_said_t));

    if (!e->found || e->len > SP_EXTRAS_SIZE) {
        return -1;
    }

    len = sp_json_unescape(text, sizeof(text), e->tail, e->len);

    /* a model may put it into a fence */

    for (start = 0; start < len && text[start] != '{'; start++) {
        /* void */
    }

    while (len > start && text[len - 1] != '}') {
        len--;
    }

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.depth = 4;

    if (sp_json_parse(text + start, len - start, &limits, &said->root, NULL)
        != SP_JSON_OK)
    {
        return -1;
    }

    value = json_object_get(said->root, "emotion");

    if (sp_extras_is_text(value)) {
        said->emotion = json_string_value(value);
    }

    list = json_object_get(said->root, "suggested_actions");

    for (i = 0;
         i < json_array_size(list) && said->nactions < SP_EXTRAS_ACTIONS;
         i++)
    {
        value = json_array_get(list, i);

        if (sp_extras_is_text(value)) {
            said->actions[said->nactions++] = json_string_value(value);
        }
    }

    if (said->emotion == NULL && said->nactions == 0) {
        sp_extras_free(said);
        return -1;
    }

    return 0;
}


void
sp_extras_free(sp_extras_said_t *said)
{
    json_decref(said->root);
    memset(said, 0, sizeof(sp_extras_said_t));
}


void
sp_extras_write(const sp_extras_said_t *said, sp_out_t *out)
{
    size_t  i;

    sp_out_str(out, "{\"emotion\":");

    if (said->emotion != NULL) {
        sp_out_str(out, "\"");
        sp_out_text(out, said->emotion, strlen(said->emotion));
        sp_out_str(out, "\"");

    } else {
        sp_out_str(out, "null");
    }

    sp_out_str(out, ",\"suggested_actions\":[");

    for (i = 0; i < said->nactions; i++) {
        sp_out_str(out, i == 0 ? "\"" : ",\"");
        sp_out_text(out, said->actions[i], strlen(said->actions[i]));
        sp_out_str(out, "\"");
    }

    sp_out_str(out, "]}");
}


static int
sp_extras_is_space(const char *unit, size_t n)
{
    if (n == 1) {
        return *unit == ' ';
    }

    return unit[1] == 'n' || unit[1] == 'r' || unit[1] == 't';
}


static int
sp_extras_is_text(const json_t *value)
{
    size_t  len;

    len = json_string_length(value);

    return len != 0 && len <= SP_EXTRAS_TEXT;
}
