
/*
 * Copyright (C) Sallyport authors
 */


#include <string.h>

#include "sp_json.h"
#include "sp_out_json.h"


/* of a real, with 17 digits */
#define SP_OUT_JSON_NUMBER  40


static void sp_out_json_object(sp_out_t *out, const json_t *object,
    const char *text);
static void sp_out_json_array(sp_out_t *out, const json_t *array,
    const char *text);
static void sp_out_json_scalar(sp_out_t *out, const json_t *value);


void
sp_out_json(sp_out_t *out, const json_t *value, const char *text)
{
    switch (json_typeof(value)) {

    case JSON_OBJECT:
        sp_out_json_object(out, value, text);
        break;

    case JSON_ARRAY:
        sp_out_json_array(out, value, text);
        break;

    case JSON_STRING:
        sp_out_str(out, "\"");
        sp_out_json_content(out, value, text);
        sp_out_str(out, "\"");
        break;

    default:
        sp_out_json_scalar(out, value);
    }
}


void
sp_out_json_content(sp_out_t *out, const json_t *string, const char *text)
{
    size_t  len, offset;

    if (sp_json_bulk(string, &offset, &len)) {
        sp_out_put(out, text + offset, len);

    } else {
        sp_out_text(out, json_string_value(string),
                    json_string_length(string));
    }
}


static void
sp_out_json_object(sp_out_t *out, const json_t *object, const char *text)
{
    void        *iter;
    json_t      *root;
    const char  *key;

    /* jansson's iterators take no const */

    root = (json_t *) (uintptr_t) object;

    sp_out_str(out, "{");

    for (iter = json_object_iter(root);
         iter != NULL;
         iter = json_object_iter_next(root, iter))
    {
        key = json_object_iter_key(iter);

        sp_out_str(out, iter != json_object_iter(root) ? ",\"" : "\"");
        sp_out_text(out, key, strlen(key));
        sp_out_str(out, "\":");
        sp_out_json(out, json_object_iter_value(iter), text);
    }

    sp_out_str(out, "}");
}


static void
sp_out_json_array(sp_out_t *out, const json_t *array, const char *text)
{
    size_t  i;

    sp_out_str(out, "[");

    for (i = 0; i < json_array_size(array); i++) {
        sp_out_str(out, i != 0 ? "," : "");
        sp_out_json(out, json_array_get(array, i), text);
    }

    sp_out_str(out, "]");
}


static void
sp_out_json_scalar(sp_out_t *out, const json_t *value)
{
    char    number[SP_OUT_JSON_NUMBER];
    size_t  n;

    n = json_dumpb(value, number, sizeof(number), JSON_ENCODE_ANY);

    sp_out_put(out, number, n < sizeof(number) ? n : sizeof(number));
}
