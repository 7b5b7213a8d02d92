
/*
 * Copyright (C) Sallyport authors
 */

#include <string.h>

#include "sp_replay.h"


static char *sp_replay_put(char *p, const void *data, size_t len);
static char *sp_replay_put_slice(char *p, const sp_slice_t *slice);
static int sp_replay_get_slice(sp_slice_t *slice, const char **p,
    const char *last);


static const char  sp_replay_magic[4] = { 's', 'p', 'r', '2' };


size_t
sp_replay_size(const sp_replay_t *entry)
{
    if (entry->state != SP_REPLAY_ANSWER) {
        return SP_REPLAY_HEAD;
    }

    return SP_REPLAY_HEAD + 4 * 4 + entry->type.len + entry->body.len
           + entry->text.len + entry->finish.len;
}


size_t
sp_replay_write(const sp_replay_t *entry, char *dst)
{
    char  *p;

    p = sp_replay_put(dst, sp_replay_magic, sizeof(sp_replay_magic));
    *p++ = (char) entry->state;
    p = sp_replay_put(p, entry->fingerprint, SP_REPLAY_FINGERPRINT);
    p = sp_replay_put(p, entry->owner, SP_REPLAY_OWNER);

    if (entry->state == SP_REPLAY_ANSWER) {
        p = sp_replay_put_slice(p, &entry->type);
        p = sp_replay_put_slice(p, &entry->body);
        p = sp_replay_put_slice(p, &entry->text);
        p = sp_replay_put_slice(p, &entry->finish);
    }

    return (size_t) (p - dst);
}


static char *
sp_replay_put(char *p, const void *data, size_t len)
{
    memcpy(p, data, len);

    return p + len;
}


static char *
sp_replay_put_slice(char *p, const sp_slice_t *slice)
{
    int  shift;

    for (shift = 24; shift >= 0; shift -= 8) {
        *p++ = (char) ((slice->len >> shift) & 0xff);
    }

    return (slice->len != 0) ? sp_replay_put(p, slice->data, slice->len) : p;
}


int
sp_replay_read(sp_replay_t *entry, const char *data, size_t len)
{
    const char  *p, *last;

    memset(entry, 0, sizeof(sp_replay_t));

    if (len < SP_REPLAY_HEAD
        || memcmp(data, sp_replay_magic, sizeof(sp_replay_magic)) != 0)
    {
        return -1;
    }

    p = data + sizeof(sp_replay_magic);
    last = data + len;

    switch (*p) {

    case SP_REPLAY_RUNNING:
        entry->state = SP_REPLAY_RUNNING;
        break;

    case SP_REPLAY_ANSWER:
        entry->state = SP_REPLAY_ANSWER;
        break;

    case SP_REPLAY_UNKEPT:
        entry->state = SP_REPLAY_UNKEPT;
        break;

    default:
        return -1;
    }

    p++;

    memcpy(entry->fingerprint, p, SP_REPLAY_FINGERPRINT);
    p += SP_REPLAY_FINGERPRINT;

    memcpy(entry->owner, p, SP_REPLAY_OWNER);
    p += SP_REPLAY_OWNER;

    if (entry->state == SP_REPLAY_ANSWER
        && (sp_replay_get_slice(&entry->type, &p, last) != 0
            || sp_replay_get_slice(&entry->body, &p, last) != 0
            || sp_replay_get_slice(&entry->text, &p, last) != 0
            || sp_replay_get_slice(&entry->finish, &p, last) != 0))
    {
        return -1;
    }

    return (p == last) ? 0 : -1;
}


static int
sp_replay_get_slice(sp_slice_t *slice, const char **p, const char *last)
{
    int     i;
    size_t  len;

    if (last - *p < 4) {
        return -1;
    }

    len = 0;

    for (i = 0; i < 4; i++) {
        len = len << 8 | (unsigned char) *(*p)++;
    }

    if (len > (size_t) (last - *p)) {
        return -1;
    }

    slice->data = *p;
    slice->len = len;
    *p += len;

    return 0;
}
