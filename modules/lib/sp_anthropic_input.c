
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_anthropic.h"
#include "sp_json.h"


/* numbers keep their spelling, however great they are */

void
sp_anthropic_write_input(const char *text, size_t len, sp_out_t *out)
{
    int                object;
    json_t            *value;
    sp_json_limits_t   limits;

    if (len == 0) {
        sp_out_str(out, "{}");
        return;
    }

    memset(&limits, 0, sizeof(sp_json_limits_t));
    limits.any_number = 1;

    object = (sp_json_parse(text, len, &limits, &value, NULL) == SP_JSON_OK
              && json_is_object(value));

    if (object) {
        sp_out_put(out, text, len);

    } else {
        sp_out_str(out, "{\"arguments\":\"");
        sp_out_text(out, text, len);
        sp_out_str(out, "\"}");
    }

    json_decref(value);
}
