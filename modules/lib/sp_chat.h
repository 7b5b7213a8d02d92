
/*
 * Copyright (C) Sallyport authors
 *
 * One model of a chat request for every dialect.  Dialects so far: OpenAI
 * chat completions.  Fields that no feature reads stay in "root" and are
 * written out again unchanged.
 */

#ifndef _SP_CHAT_H_INCLUDED_
#define _SP_CHAT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include <jansson.h>


/* more is refused before anything is allocated for them */
#define SP_CHAT_MAX_MESSAGES  4096
#define SP_CHAT_MAX_PARTS     256
#define SP_CHAT_MAX_MODEL     256
#define SP_CHAT_MAX_CHOICES   128


typedef enum {
    SP_CHAT_OPENAI = 0
} sp_chat_dialect_e;


typedef enum {
    SP_CHAT_SYSTEM = 0,          /* also OpenAI's "developer" */
    SP_CHAT_USER,
    SP_CHAT_ASSISTANT,
    SP_CHAT_TOOL
} sp_chat_role_e;


typedef struct {
    sp_chat_role_e        role;
    const char           *text;      /* text parts joined; NUL-terminated */
    size_t                len;
    json_t               *value;     /* borrowed from root */
} sp_chat_message_t;


typedef struct {
    sp_chat_dialect_e     dialect;
    json_t               *root;      /* owned */
    const char           *model;     /* strings point into root */
    size_t                model_len;      /* model NULL: not given */
    const char           *character_id;   /* metadata; NULL: none */
    const char           *chat_id;        /* metadata; NULL: none */
    sp_chat_message_t    *messages;
    size_t                nmessages;
    size_t                last_user;      /* index; nmessages: none */
    int64_t               max_tokens;     /* -1: not given */
    int64_t               n;              /* choices asked for, 1.. */
    unsigned              stream:1;
    unsigned              include_usage:1;
    unsigned              memory_off:1;   /* metadata.memory "off" */
    unsigned              has_system:1;   /* by the client */
} sp_chat_request_t;


typedef struct {
    const char           *code;      /* constant: "messages_required" */
    const char           *param;     /* constant: "messages" */
    const char           *message;   /* constant */
} sp_chat_error_t;


/*
 * Checks what the gateway itself reads and what would surprise it later:
 * types, roles, caps, UUIDs in metadata, no NUL in text.  Everything else is
 * the provider's to judge.  The strings of the request live as long as it.
 *
 * In: root, whose reference is taken over on success and on failure.
 * Out: a request to be released with sp_chat_free(), or NULL and *error
 * (code NULL: out of memory).
 */
sp_chat_request_t *sp_chat_parse(sp_chat_dialect_e dialect, json_t *root,
    sp_chat_error_t *error);
void sp_chat_free(sp_chat_request_t *chat);

/* what becomes of a request on its way to the provider */
typedef struct {
    const char           *model;         /* the provider's name of it */
    size_t                model_len;
    const char           *prefix;        /* system message at the head */
    size_t                prefix_len;
    const char           *tail;          /* ... before message "anchor" */
    size_t                tail_len;
    size_t                anchor;
    size_t                first;         /* messages before it are left out */
    unsigned              merge:1;       /* no other system message stays */
    unsigned              usage:1;       /* streams ask for usage */
} sp_chat_edit_t;


/*
 * Writes the request for the provider: the bytes the client sent, with
 * another model, with messages taken out and put in, usage of a stream asked
 * for, and our own members taken out of the metadata.
 *
 * In: text, what root was parsed from.  System messages before "first" stay.
 * Out: at most sp_chat_edit_size() bytes in dst.  Returns how many; 0 when
 * text is not that of the request.
 */
size_t sp_chat_edit_size(size_t len, const sp_chat_edit_t *edit);
size_t sp_chat_edit(const sp_chat_request_t *chat, const char *text,
    size_t len, const sp_chat_edit_t *edit, char *dst);


#endif /* _SP_CHAT_H_INCLUDED_ */
