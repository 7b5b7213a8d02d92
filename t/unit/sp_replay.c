
/*
 * Copyright (C) Sallyport authors
 */

#include "sp_replay.h"
#include "tap.h"


static void
same(const sp_slice_t *a, const char *text, const char *name)
{
    TAP_OK(a->len == strlen(text) && memcmp(a->data, text, a->len) == 0, "%s",
       name);
}


static size_t
make(sp_replay_t *entry, char *dst)
{
    memset(entry, 0, sizeof(sp_replay_t));

    entry->state = SP_REPLAY_ANSWER;
    memset(entry->fingerprint, 'f', SP_REPLAY_FINGERPRINT);
    memset(entry->owner, 'o', SP_REPLAY_OWNER);
    entry->type.data = "text";
    entry->type.len = 4;
    entry->body.data = "data: {}\n\n";
    entry->body.len = 10;
    entry->text.data = "Hello";
    entry->text.len = 5;
    entry->finish.data = "stop";
    entry->finish.len = 4;

    return sp_replay_write(entry, dst);
}


int
main(void)
{
    char         bare[256], data[256];
    size_t       i, len, bad;
    sp_replay_t  entry;

    len = make(&entry, data);

    TAP_OK(len == sp_replay_size(&entry), "as long as was said");
    TAP_OK(sp_replay_read(&entry, data, len) == 0, "read");
    TAP_OK(entry.state == SP_REPLAY_ANSWER, "an answer");
    TAP_OK(entry.fingerprint[31] == 'f', "its fingerprint");
    TAP_OK(entry.owner[15] == 'o', "its owner");
    same(&entry.type, "text", "type");
    same(&entry.body, "data: {}\n\n", "body");
    same(&entry.text, "Hello", "what was said");
    same(&entry.finish, "stop", "its end");

    entry.type.len = 0;
    bad = sp_replay_write(&entry, bare);
    TAP_OK(sp_replay_read(&entry, bare, bad) == 0, "without a type");
    same(&entry.type, "", "no type");

    for (i = 0, bad = 0; i < len; i++) {
        bad += (sp_replay_read(&entry, data, i) != 0);
    }

    TAP_OK(bad == len, "cut anywhere: none");
    TAP_OK(sp_replay_read(&entry, data, len + 1) != 0, "a byte more: none");

    data[SP_REPLAY_HEAD] = '\xff';
    TAP_OK(sp_replay_read(&entry, data, len) != 0, "a size over the rest");

    (void) make(&entry, data);
    data[3] = '1';
    TAP_OK(sp_replay_read(&entry, data, len) != 0, "another version");

    (void) make(&entry, data);
    data[4] = 'x';
    TAP_OK(sp_replay_read(&entry, data, len) != 0, "another state");

    (void) make(&entry, data);
    data[4] = SP_REPLAY_RUNNING;
    TAP_OK(sp_replay_read(&entry, data, len) != 0, "a marker has no body");
    TAP_OK(sp_replay_read(&entry, data, SP_REPLAY_HEAD) == 0
       && entry.state == SP_REPLAY_RUNNING, "a marker");

    return tap_done();
}
