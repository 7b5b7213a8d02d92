
/*
 * Copyright (C) Sallyport authors
 *
 * JSON text spelled out: the same however it is cut, of a bounded size,
 * and once more it is itself; so is what comes of the way back.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sp_json_spell.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *spell(const char *p, size_t len, size_t step, size_t *n);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char             *again, *back, *cut, *whole;
    size_t            nagain, nback, ncut, nwhole;
    sp_json_spell_t   out;

    whole = spell((const char *) data, size, size + 1, &nwhole);
    cut = spell((const char *) data, size, 1 + size % 7, &ncut);

    if (nwhole > 2 * size || ncut != nwhole || memcmp(whole, cut, ncut) != 0) {
        abort();
    }

    back = malloc(6 * nwhole + 1);
    if (back == NULL) {
        abort();
    }

    memset(&out, 0, sizeof(out));
    nback = sp_json_respell(&out, back, whole, nwhole);

    again = spell(back, nback, nback + 1, &nagain);

    /* U+0000 has no other spelling; what was unescaped has none */

    if (memchr(whole, '\0', nwhole) == NULL
        && (nagain != nwhole || memcmp(whole, again, nagain) != 0))
    {
        abort();
    }

    free(again);
    free(back);
    free(cut);
    free(whole);

    return 0;
}


static char *
spell(const char *p, size_t len, size_t step, size_t *n)
{
    char             *dst;
    size_t            i, part;
    sp_json_spell_t   in;

    dst = malloc(2 * len + SP_JSON_SPELL);
    if (dst == NULL) {
        abort();
    }

    memset(&in, 0, sizeof(in));
    *n = 0;

    for (i = 0; i < len; i += part) {
        part = (len - i < step) ? len - i : step;
        *n += sp_json_spell(&in, dst + *n, p + i, part, i + part == len);
    }

    return dst;
}
