
/*
 * Copyright (C) Sallyport authors
 *
 * How many tokens texts and messages have: counted with the vocabulary of the
 * model where it is known, estimated elsewhere.
 *
 * What chats cost beside their texts is what OpenAI documents: 3 tokens a
 * message and its role, 1 for a name, 3 for the reply that begins.  Tools,
 * formats, images, audio and files are estimated also with a vocabulary.
 */

#ifndef _SP_TOKENS_H_INCLUDED_
#define _SP_TOKENS_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "sp_bpe.h"
#include "sp_chat.h"
#include "sp_siphash.h"


#define SP_TOKENS_MESSAGE   4        /* three, and the role */
#define SP_TOKENS_REPLY     3

#define SP_TOKENS_NAME      1
#define SP_TOKENS_CALL      5        /* of a tool, beside its words */

/* an image: as OpenAI counts one of 1024 x 1024; one of detail "low" */
#define SP_TOKENS_IMAGE     765
#define SP_TOKENS_LOW       85

/* base64 for a token: 10 tokens a second, 128 kbit/s or 24 kHz of 16 bits */
#define SP_TOKENS_MP3       2133
#define SP_TOKENS_PCM       6400

/* base64 for a token: plain text; a PDF, 1000 tokens for 50 KB of a page */
#define SP_TOKENS_PLAIN     5
#define SP_TOKENS_PAGES     67

/* a file that the provider has: a page or two */
#define SP_TOKENS_FILE      1000

/* entries of a memo; shorter texts are not worth one */
#define SP_TOKENS_MEMO      4096
#define SP_TOKENS_MEMO_MIN  64

/*
 * What one request may spend on exact counting, in the unit of
 * sp_bpe_count(): some 20 ms at most.  The rest is estimated.
 */
#define SP_TOKENS_EFFORT    (2 * 1024 * 1024)


typedef struct {
    uint8_t                 hash[12];    /* of a text and a vocabulary */
    uint32_t                tokens;      /* 0: free */
} sp_tokens_entry_t;


/* what long texts came to: histories and personas come again */
typedef struct {
    uint8_t                 key[SP_SIPHASH_KEY_LEN];   /* random */
    sp_tokens_entry_t       entries[SP_TOKENS_MEMO];
} sp_tokens_memo_t;


/* of one request; zeroed, it estimates */
typedef struct {
    const sp_bpe_t         *bpe;         /* NULL: estimate */
    sp_bpe_pattern_e        pattern;     /* what models like it split by */
    sp_bpe_work_t          *work;        /* for bpe; any, between two calls */
    sp_tokens_memo_t       *memo;        /* for bpe, or NULL */
    size_t                  effort;      /* for bpe: SP_TOKENS_EFFORT */

    unsigned                estimated:1; /* out: something was */
} sp_tokens_t;


size_t sp_tokens_text(sp_tokens_t *tokens, const char *text, size_t len);

/* a message, its parts and calls of tools, with what it costs beside */
size_t sp_tokens_message(sp_tokens_t *tokens,
    const sp_chat_message_t *message);

/* tools and the format of answers: 0 where there are none */
size_t sp_tokens_tools(sp_tokens_t *tokens, const sp_chat_request_t *chat);

/*
 * By the kinds of characters, calibrated on translations of one text into 29
 * languages, prose and code; see t/bpe/estimate.t for what it is off.
 */
size_t sp_tokens_estimate(sp_bpe_pattern_e pattern, const char *text,
    size_t len);


#endif /* _SP_TOKENS_H_INCLUDED_ */
