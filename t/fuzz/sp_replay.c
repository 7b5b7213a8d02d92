
/*
 * Copyright (C) Sallyport authors
 *
 * What is read is written as it was.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_replay.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         *copy;
    sp_replay_t   entry;

    if (sp_replay_read(&entry, (const char *) data, size) != 0) {
        return 0;
    }

    if (sp_replay_size(&entry) != size) {
        abort();
    }

    copy = malloc(size);

    if (copy == NULL
        || sp_replay_write(&entry, copy) != size
        || memcmp(copy, data, size) != 0)
    {
        abort();
    }

    free(copy);

    return 0;
}
