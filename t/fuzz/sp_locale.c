
/*
 * Copyright (C) Sallyport authors
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_locale.h"


#define TAGS  5


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* what is found is one of them; a tag is found by itself, in any header */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char             *text;
    size_t            i;
    sp_locale_tag_t   tags[TAGS] = {
        { "en", 2 }, { "de-CH-1901", 10 }, { "pt-BR", 5 }, { "zh-Hant", 7 },
        { NULL, 0 }
    };

    /* the end of the memory is that of the text */

    text = malloc(size ? size : 1);
    if (text == NULL) {
        return 0;
    }

    memcpy(text, data, size);

    if (sp_locale_accept(text, size, tags, TAGS - 1) >= TAGS
        || sp_locale_find(text, size, tags, TAGS - 1) >= TAGS)
    {
        abort();
    }

    if (sp_locale_is_tag(text, size)) {
        tags[TAGS - 1].data = text;
        tags[TAGS - 1].len = size;

        i = sp_locale_find(text, size, tags, TAGS);

        if (i == TAGS || tags[i].len != size
            || sp_locale_accept(text, size, tags, TAGS) != i)
        {
            abort();
        }
    }

    free(text);

    return 0;
}
