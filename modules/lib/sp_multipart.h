
/*
 * Copyright (C) Sallyport authors
 *
 * multipart/form-data as it comes (RFC 7578, RFC 2046 section 5.1): parts,
 * and pieces of what is in them, cut anywhere.  Nothing is held but the
 * header of one part.
 *
 * It is strict where two readers of one body might see two forms: line ends
 * are CR LF, a boundary stands alone in its line, header lines are not folded,
 * a name is said once and without an escape, content is not encoded.
 */

#ifndef _SP_MULTIPART_H_INCLUDED_
#define _SP_MULTIPART_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_dialect.h"


#define SP_MULTIPART_BOUNDARY  70       /* of RFC 2046 */
#define SP_MULTIPART_HEADER    4096     /* bytes of the header of a part */
#define SP_MULTIPART_PARTS     64


typedef enum {
    SP_MULTIPART_AGAIN = 0,    /* all was read */
    SP_MULTIPART_PART,         /* one begins: name, filename, type, begin */
    SP_MULTIPART_DATA,         /* a piece of it: data */
    SP_MULTIPART_PART_END,     /* it has ended: end */
    SP_MULTIPART_END,          /* the form has; what follows is not read */
    SP_MULTIPART_ERROR         /* ... neither: error */
} sp_multipart_status_e;


typedef enum {
    SP_MULTIPART_OK = 0,
    SP_MULTIPART_TYPE,         /* no multipart/form-data */
    SP_MULTIPART_NO_BOUNDARY,  /* none, two, or none of RFC 2046 */
    SP_MULTIPART_DELIMITER,    /* more than a boundary in its line */
    SP_MULTIPART_LINE,         /* of a header: what is no "name: value" */
    SP_MULTIPART_DISPOSITION,  /* no form-data with one name */
    SP_MULTIPART_ENCODING,     /* a Content-Transfer-Encoding */
    SP_MULTIPART_TOO_LARGE,    /* the header of a part */
    SP_MULTIPART_TOO_MANY,     /* parts */
    SP_MULTIPART_CUT           /* the last boundary is not there */
} sp_multipart_error_e;


typedef struct {
    /* of the part that has begun last; the texts as they are in its header,
       which is there until the next part begins */

    sp_slice_t             name;
    sp_slice_t             filename;     /* data NULL: it is no file */
    sp_slice_t             type;         /* Content-Type; or empty */
    uint64_t               begin;        /* of its content, in the body */
    uint64_t               end;

    sp_slice_t             data;
    sp_multipart_error_e   error;

    uint64_t               first;        /* of the first boundary's line */
    uint64_t               last;         /* behind the last boundary */

    /* private */

    uint64_t               offset;       /* of what comes next */
    size_t                 matched;      /* bytes of the delimiter */
    size_t                 imagined;     /* of them, before the content */
    size_t                 header_len;
    unsigned               state;
    unsigned               parts;
    size_t                 delimiter_len;
    char                   delimiter[4 + SP_MULTIPART_BOUNDARY];
    char                   header[SP_MULTIPART_HEADER];
} sp_multipart_t;


/*
 * Begins a form; "type" is the value of the Content-Type.  The memory may be
 * of any content.  SP_MULTIPART_OK, _TYPE or _NO_BOUNDARY.
 */
sp_multipart_error_e sp_multipart_init(sp_multipart_t *m, const char *type,
    size_t len);

/* "--" and the boundary, as its lines begin; as long as *m */
sp_slice_t sp_multipart_line(const sp_multipart_t *m);

/* whether this, as the content of a part, would end it */
int sp_multipart_ends(const sp_multipart_t *m, const char *text, size_t len);

/*
 * What comes next in [*pos, last), which moves on.  Call it until it gives
 * AGAIN; END and ERROR are given from then on.
 */
sp_multipart_status_e sp_multipart_next(sp_multipart_t *m, const char **pos,
    const char *last);

/* the body has ended: SP_MULTIPART_OK, or what is wrong */
sp_multipart_error_e sp_multipart_end(sp_multipart_t *m);

/* fixed text for an error answer: "a header line of a part is malformed" */
const char *sp_multipart_strerror(sp_multipart_error_e error);


#endif /* _SP_MULTIPART_H_INCLUDED_ */
