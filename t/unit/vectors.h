
/*
 * Copyright (C) Sallyport authors
 *
 * Conformance data nobody here wrote lies beside the clone in CI; strangers
 * do not have it, so tests keep a small set of their own as well.
 */

#ifndef _SP_VECTORS_H_INCLUDED_
#define _SP_VECTORS_H_INCLUDED_


#include <jansson.h>

#include "tap.h"


/*
 * A new reference, or NULL after a line that says what is skipped.  path is
 * under shared/vectors; $SP_VECTORS names another folder.
 */
__attribute__((unused))
static json_t *vectors_json(const char *path)
{
    char          file[1024];
    json_t       *json;
    const char   *root;
    json_error_t  error;

    root = getenv("SP_VECTORS");
    if (root == NULL) {
        root = "../shared/vectors";
    }

    (void) snprintf(file, sizeof(file), "%s/%s", root, path);

    json = json_load_file(file, 0, &error);
    if (json == NULL) {
        TAP_OK(1, "# skip %s: %s", path, error.text);
    }

    return json;
}


#endif /* _SP_VECTORS_H_INCLUDED_ */
