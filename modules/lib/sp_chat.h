
/*
 * Copyright (C) Sallyport authors
 *
 * One model of a chat request for every dialect: what a dialect reads out of
 * a client's body, and what another one writes for its provider.  Who does
 * not translate passes the body itself on: fields that no feature reads stay
 * in "root" and in the text.
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

#define SP_CHAT_BESIDE  ((size_t) -1)


typedef enum {
    SP_CHAT_SYSTEM = 0,          /* also OpenAI's "developer" */
    SP_CHAT_USER,
    SP_CHAT_ASSISTANT,
    SP_CHAT_TOOL
} sp_chat_role_e;


typedef enum {
    SP_CHAT_PART_TEXT = 0,
    SP_CHAT_PART_REFUSAL,
    SP_CHAT_PART_IMAGE,
    SP_CHAT_PART_AUDIO,
    SP_CHAT_PART_FILE,
    SP_CHAT_PART_REASONING,      /* of the assistant, in its history */
    SP_CHAT_PART_OTHER           /* only its dialect knows: see "value" */
} sp_chat_part_e;


typedef struct {
    sp_chat_part_e        kind;

    /*
     * The string that matters, or NULL: a text; the URL of an image, which
     * may be a data URL; base64 of audio; base64 or a data URL of a file.
     * One that is long may be in the request's text only: sp_json_bulk().
     */
    const json_t         *data;
    const char           *media;     /* type of data that is base64 without a
                                        data URL: "image/png"; or NULL */
    const char           *format;    /* "mp3"; an image's detail; or NULL */
    const char           *name;      /* of a file, or NULL */
    const char           *id;        /* of a file the provider has, or NULL */
    const json_t         *signature; /* of reasoning: opaque; or NULL */
    const json_t         *cache;     /* a marker of the prompt cache, an object
                                        like {"type":"ephemeral"}; or NULL */
    const json_t         *value;     /* the part, as the client wrote it */
} sp_chat_part_t;


/* a tool that the assistant called */
typedef struct {
    const char           *id;        /* NULL: the client gave none */
    const char           *name;
    const json_t         *arguments; /* JSON in a string, or an object */
    const json_t         *signature; /* opaque; or NULL */
} sp_chat_call_t;


typedef struct {
    sp_chat_role_e        role;
    const char           *text;      /* text parts joined; NUL-terminated */
    size_t                len;
    sp_chat_part_t       *parts;     /* NULL: "text" is all of it */
    size_t                nparts;
    sp_chat_call_t       *calls;
    size_t                ncalls;
    const char           *call_id;   /* of a tool's result, or NULL */
    const char           *name;      /* of who speaks, or NULL */
    json_t               *value;     /* borrowed from root: the message; of
                                        a result in another message, it; of
                                        a system prompt, its content */
    size_t                source;    /* index of the client's message; of a
                                        system prompt beside them
                                        SP_CHAT_BESIDE */
    unsigned              failed:1;  /* a tool's result is an error */
    unsigned              split:1;   /* results in it are messages before */
    unsigned              bare:1;    /* reasoning without its signature */
} sp_chat_message_t;


typedef struct {
    const char           *name;
    const char           *description;   /* or NULL */
    const json_t         *parameters;    /* a JSON schema, or NULL */
    const json_t         *cache;         /* as of a part; or NULL */
    unsigned              strict:1;      /* arguments keep to the schema */
} sp_chat_tool_t;


typedef enum {
    SP_CHAT_CHOICE_AUTO = 0,
    SP_CHAT_CHOICE_NONE,
    SP_CHAT_CHOICE_REQUIRED,
    SP_CHAT_CHOICE_NAMED
} sp_chat_choice_e;


/* what is passed on as it is; each of root, or of "made", or NULL */
typedef enum {
    SP_CHAT_TEMPERATURE = 0,     /* numbers, as the client spelled them: */
    SP_CHAT_TOP_P,               /* sp_scan_find() on the text */
    SP_CHAT_PRESENCE_PENALTY,
    SP_CHAT_FREQUENCY_PENALTY,
    SP_CHAT_SEED,
    SP_CHAT_STOP,                /* a string, or an array of strings */
    SP_CHAT_FORMAT,              /* OpenAI's response_format: see schema */
    SP_CHAT_EFFORT,              /* of reasoning, a string */
    SP_CHAT_END_USER,            /* a string */
    SP_CHAT_PARALLEL_CALLS,      /* a boolean */
    SP_CHAT_VERBOSITY,           /* of the text, a string */
    SP_CHAT_NOPTIONS
} sp_chat_option_e;


typedef struct {
    json_t               *root;      /* owned */
    json_t               *made;      /* owned: values in another form than the
                                        client's; or NULL */
    const char           *model;     /* strings point into root */
    size_t                model_len;      /* model NULL: not given */
    const char           *character_id;   /* metadata; NULL: none */
    const char           *chat_id;        /* metadata; NULL: none */
    const char           *parent_id;      /* metadata; a UUID or "root"; NULL:
                                             where the chat is */
    sp_chat_message_t    *messages;
    size_t                nmessages;
    size_t                last_user;      /* index; nmessages: none */
    sp_chat_tool_t       *tools;
    size_t                ntools;
    sp_chat_choice_e      choice;         /* of a tool */
    const char           *choice_name;    /* NAMED */
    const json_t         *options[SP_CHAT_NOPTIONS];
    const json_t         *schema;         /* of an answer in JSON; or NULL */
    int64_t               budget;         /* tokens of reasoning; 0: no word */
    const char           *foreign;        /* a member that nothing of this
                                             struct holds; NULL: none */
    int64_t               max_tokens;     /* -1: not given */
    int64_t               n;              /* choices asked for, 1.. */
    unsigned              stream:1;
    unsigned              include_usage:1;
    unsigned              memory_off:1;   /* metadata.memory "off" */
    unsigned              has_system:1;   /* by the client */
} sp_chat_request_t;


typedef struct {
    const char           *code;      /* constant: "messages_required" */
    const char           *param;     /* constant, or of the request */
    const char           *message;   /* constant */
} sp_chat_error_t;


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
    int64_t               max_tokens;    /* where the client gave none; 0: the
                                            dialect's own, if it needs any */
    unsigned              merge:1;       /* no other system message stays */
    unsigned              usage:1;       /* streams ask for usage */
} sp_chat_edit_t;


/* NULL is fine */
void sp_chat_free(sp_chat_request_t *chat);

/* 1 when it is one, in any case of its letters */
int sp_chat_is_uuid(const char *text, size_t len);

/* 1 when message i stays; system messages before "first" do */
int sp_chat_keeps(const sp_chat_request_t *chat, const sp_chat_edit_t *edit,
    size_t i);


#endif /* _SP_CHAT_H_INCLUDED_ */
