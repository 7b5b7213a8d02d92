
/*
 * Copyright (C) Sallyport authors
 */

#include <stdint.h>
#include <stdlib.h>

#include "sp_query.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t  *object;

    if (sp_query_parse((const char *) data, size, 16, &object)
        == SP_QUERY_OK)
    {
        if (json_object_size(object) > 16) {
            abort();
        }

        json_decref(object);

    } else if (object != NULL) {
        abort();
    }

    return 0;
}
