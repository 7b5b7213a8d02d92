
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_call_id.h"
#include "sp_hex.h"
#include "sp_out.h"


#define SP_CALL_ID_HEAD    "call_"
#define SP_CALL_ID_DIGITS  24


static const char *sp_call_id_number(const char *p);


size_t
sp_call_id(char *dst, const char *id, size_t len, size_t choice, size_t call)
{
    char      digits[SP_CALL_ID_DIGITS];
    size_t    n;
    sp_out_t  out;

    n = SP_CALL_ID_DIGITS;

    while (n > 0 && len > 0) {
        len--;

        if (sp_hex_digit(id[len]) >= 0) {
            digits[--n] = id[len];
        }
    }

    memset(digits, '0', n);

    out.dst = dst;
    out.size = SP_CALL_ID_SIZE;
    out.len = 0;

    sp_out_str(&out, SP_CALL_ID_HEAD);
    sp_out_put(&out, digits, SP_CALL_ID_DIGITS);
    sp_out_str(&out, "_");
    sp_out_integer(&out, (int64_t) choice);
    sp_out_str(&out, "_");
    sp_out_integer(&out, (int64_t) call);

    return (out.len < out.size) ? out.len : out.size;
}


int
sp_call_id_ours(const char *id)
{
    size_t  i;

    if (strncmp(id, SP_CALL_ID_HEAD, sizeof(SP_CALL_ID_HEAD) - 1) != 0) {
        return 0;
    }

    id += sizeof(SP_CALL_ID_HEAD) - 1;

    for (i = 0; i < SP_CALL_ID_DIGITS; i++) {
        if (sp_hex_digit(*id++) < 0) {
            return 0;
        }
    }

    id = sp_call_id_number(id);

    if (id != NULL) {
        id = sp_call_id_number(id);
    }

    return id != NULL && *id == '\0';
}


/* behind "_" and a number; NULL: there is none */

static const char *
sp_call_id_number(const char *p)
{
    if (p[0] != '_' || p[1] < '0' || p[1] > '9') {
        return NULL;
    }

    for (p++; *p >= '0' && *p <= '9'; p++) { /* void */ }

    return p;
}
