
/*
 * Copyright (C) Sallyport authors
 *
 * Answers and events of images, speech and transcripts: what the strict parser
 * accepts as an object is read, and what is read of it is what the tree has.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "sp_dialect.h"
#include "sp_json.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             rc;
    json_t         *root;
    const char     *text;
    sp_event_t      event;
    sp_sse_event_t  sse;

    text = (const char *) data;

    rc = sp_openai.images->scan_answer(text, size, NULL, NULL, &event);

    if (sp_json_parse(text, size, NULL, &root, NULL) == SP_JSON_OK) {

        if (json_is_object(root) && rc != 0) {
            abort();
        }

        if (rc == 0 && event.has_error
            && (json_object_get(root, "error") == NULL
                || json_is_null(json_object_get(root, "error"))))
        {
            abort();
        }

        json_decref(root);
    }

    memset(&sse, 0, sizeof(sp_sse_event_t));

    sse.data = text;
    sse.data_len = size;

    (void) sp_openai.speech->scan_event(NULL, &sse, NULL, NULL, &event);
    (void) sp_openai.transcriptions->scan_event(NULL, &sse, NULL, NULL,
                                                &event);

    if (event.seconds < -1 || event.seconds > 100000000) {
        abort();
    }

    return 0;
}
