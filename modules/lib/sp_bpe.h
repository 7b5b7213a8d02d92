
/*
 * Copyright (C) Sallyport authors
 *
 * Byte-pair encoding: how many tokens a text has for a model, and which.
 *
 * A text is split into pieces, and the bytes of a piece are merged, the pair
 * of the lowest rank first, until no two neighbours are a token together.
 * The ranks are a file of tiktoken's form, one token a line, "base64 rank";
 * the two ways to split are written out by hand (sp_bpe_split.c).
 *
 * Special tokens ("<|endoftext|>") are text like any other.  A byte that is
 * not part of valid UTF-8 is a symbol, and its own bytes are encoded.
 */

#ifndef _SP_BPE_H_INCLUDED_
#define _SP_BPE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* a longer piece (a run of one letter, say) is cut: a token or two more */
#define SP_BPE_PIECE       65535

#define SP_BPE_MAX_TOKEN   255                   /* bytes of a token */
#define SP_BPE_MAX_TOKENS  (1024 * 1024)
#define SP_BPE_MAX_BYTES   (16 * 1024 * 1024)    /* of a file */

/* what merging a byte costs at least; see sp_bpe_count() */
#define SP_BPE_MERGE       6


/* named after the vocabularies they were made for */
typedef enum {
    SP_BPE_O200K_BASE = 0,
    SP_BPE_CL100K_BASE
} sp_bpe_pattern_e;


typedef struct {
    size_t       line;         /* of the file, from 1; 0: the whole */
    const char  *reason;       /* constant */
} sp_bpe_error_t;


typedef struct sp_bpe_s  sp_bpe_t;


/* what one encoding needs; big, and touched as far as pieces are long */
typedef struct {
    uint32_t     id[SP_BPE_PIECE];
    uint32_t     pair[SP_BPE_PIECE];     /* rank with the next one */
    uint16_t     next[SP_BPE_PIECE];
    uint16_t     prev[SP_BPE_PIECE];
    uint64_t     heap[2 * SP_BPE_PIECE];
} sp_bpe_work_t;


/*
 * Bytes needed for the vocabulary in the text of a file.  Returns SP_ERROR,
 * and why in *error, where it has no token or too many of them.
 */
int sp_bpe_size(const char *text, size_t len, size_t *size,
    sp_bpe_error_t *error);

/*
 * Builds into block (zeroed, "size" bytes, aligned for pointers), which must
 * live as long and is only read from then on: workers share it.  The text is
 * free afterwards.  NULL and *error: not such a file.
 */
const sp_bpe_t *sp_bpe_build(const char *text, size_t len,
    sp_bpe_pattern_e pattern, void *block, sp_bpe_error_t *error);

size_t sp_bpe_tokens(const sp_bpe_t *bpe);

/*
 * Adds the tokens of a text to *tokens.  Takes from *effort what that costs:
 * a byte of a piece that is a token is 1 (about 10 ns), one of any other piece
 * SP_BPE_MERGE and the logarithm of its length; goes on while something is
 * left.  Returns the bytes that were counted, whole pieces.
 */
size_t sp_bpe_count(const sp_bpe_t *bpe, sp_bpe_work_t *work,
    const char *text, size_t len, size_t *tokens, size_t *effort);

/* writes at most n ids; returns how many there are */
size_t sp_bpe_encode(const sp_bpe_t *bpe, sp_bpe_work_t *work,
    const char *text, size_t len, uint32_t *ids, size_t n);

/* the end of the piece that begins at p, which is before last */
const char *sp_bpe_split(sp_bpe_pattern_e pattern, const char *p,
    const char *last);


#endif /* _SP_BPE_H_INCLUDED_ */
