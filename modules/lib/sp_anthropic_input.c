
/*
 * Copyright (C) Sallyport authors
 */


#include "sp_anthropic.h"
#include "sp_json.h"


void
sp_anthropic_write_input(const char *text, size_t len, sp_out_t *out)
{
    int      object;
    json_t  *value;

    if (len == 0) {
        sp_out_str(out, "{}");
        return;
    }

    object = (sp_json_parse(text, len, NULL, &value, NULL) == SP_JSON_OK
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
