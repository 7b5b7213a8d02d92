
/*
 * Copyright (C) Sallyport authors
 *
 * Commands in RESP, as arrays of bulk strings.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_sha1.h>

#include "ngx_sp_redis_int.h"


/* "*" or "$", a number, CRLF */
#define NGX_SP_REDIS_HEAD_LEN  (1 + NGX_INT_T_LEN + 2)


static ngx_sp_redis_slot_t *ngx_sp_redis_alloc_slot(size_t size);
static u_char *ngx_sp_redis_head(u_char *p, u_char kind, size_t n);
static size_t ngx_sp_redis_bulk_size(const ngx_str_t *value);
static u_char *ngx_sp_redis_bulk(u_char *p, const ngx_str_t *value);


ngx_sp_redis_slot_t *
ngx_sp_redis_format(ngx_uint_t argc, const ngx_str_t *argv)
{
    u_char               *p;
    size_t                size;
    ngx_uint_t            i;
    ngx_sp_redis_slot_t  *slot;

    size = NGX_SP_REDIS_HEAD_LEN;

    for (i = 0; i < argc; i++) {
        size += ngx_sp_redis_bulk_size(&argv[i]);
    }

    slot = ngx_sp_redis_alloc_slot(size);
    if (slot == NULL) {
        return NULL;
    }

    p = ngx_sp_redis_head(slot->data, '*', argc);

    for (i = 0; i < argc; i++) {
        p = ngx_sp_redis_bulk(p, &argv[i]);
    }

    slot->kind = NGX_SP_REDIS_COMMAND;
    slot->last = p;

    return slot;
}


ngx_sp_redis_slot_t *
ngx_sp_redis_format_evalsha(const ngx_sp_redis_script_t *script,
    ngx_uint_t nkeys, ngx_uint_t argc, const ngx_str_t *argv)
{
    u_char               *p;
    size_t                size;
    u_char                number[NGX_INT_T_LEN];
    ngx_str_t             count, sha1;
    ngx_uint_t            i;
    ngx_sp_redis_slot_t  *slot;

    ngx_str_t             command = ngx_string("EVALSHA");

    count.data = number;
    count.len = ngx_sprintf(number, "%ui", nkeys) - number;

    sha1.data = (u_char *) script->sha1;
    sha1.len = sizeof(script->sha1);

    size = NGX_SP_REDIS_HEAD_LEN
           + ngx_sp_redis_bulk_size(&command)
           + ngx_sp_redis_bulk_size(&sha1)
           + ngx_sp_redis_bulk_size(&count);

    for (i = 0; i < argc; i++) {
        size += ngx_sp_redis_bulk_size(&argv[i]);
    }

    slot = ngx_sp_redis_alloc_slot(size);
    if (slot == NULL) {
        return NULL;
    }

    p = ngx_sp_redis_head(slot->data, '*', argc + 3);
    p = ngx_sp_redis_bulk(p, &command);
    p = ngx_sp_redis_bulk(p, &sha1);

    slot->tail = p;

    p = ngx_sp_redis_bulk(p, &count);

    for (i = 0; i < argc; i++) {
        p = ngx_sp_redis_bulk(p, &argv[i]);
    }

    slot->kind = NGX_SP_REDIS_EVALSHA;
    slot->script = script;
    slot->nargs = argc + 1;
    slot->last = p;

    return slot;
}


/* the same keys and arguments, with the source instead of its hash */

ngx_sp_redis_slot_t *
ngx_sp_redis_format_eval(const ngx_sp_redis_slot_t *evalsha)
{
    u_char               *p;
    size_t                size, tail;
    ngx_sp_redis_slot_t  *slot;

    ngx_str_t             command = ngx_string("EVAL");

    tail = evalsha->last - evalsha->tail;

    size = NGX_SP_REDIS_HEAD_LEN
           + ngx_sp_redis_bulk_size(&command)
           + ngx_sp_redis_bulk_size(&evalsha->script->source)
           + tail;

    slot = ngx_sp_redis_alloc_slot(size);
    if (slot == NULL) {
        return NULL;
    }

    p = ngx_sp_redis_head(slot->data, '*', evalsha->nargs + 2);
    p = ngx_sp_redis_bulk(p, &command);
    p = ngx_sp_redis_bulk(p, &evalsha->script->source);
    p = ngx_cpymem(p, evalsha->tail, tail);

    slot->kind = NGX_SP_REDIS_COMMAND;
    slot->last = p;

    return slot;
}


void
ngx_sp_redis_script_init(ngx_sp_redis_script_t *script)
{
    u_char      digest[20];
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, script->source.data, script->source.len);
    ngx_sha1_final(digest, &sha1);

    ngx_hex_dump(script->sha1, digest, sizeof(digest));
}


static ngx_sp_redis_slot_t *
ngx_sp_redis_alloc_slot(size_t size)
{
    ngx_sp_redis_slot_t  *slot;

    slot = ngx_alloc(offsetof(ngx_sp_redis_slot_t, data) + size,
                     ngx_cycle->log);
    if (slot == NULL) {
        return NULL;
    }

    ngx_memzero(slot, offsetof(ngx_sp_redis_slot_t, data));

    return slot;
}


/* ngx_sprintf() would take a third of the time of a command */

static u_char *
ngx_sp_redis_head(u_char *p, u_char kind, size_t n)
{
    u_char  digits[NGX_INT_T_LEN], *d;

    d = digits + sizeof(digits);

    do {
        *--d = (u_char) (n % 10 + '0');
        n /= 10;
    } while (n != 0);

    *p++ = kind;
    p = ngx_cpymem(p, d, digits + sizeof(digits) - d);
    *p++ = CR;
    *p++ = LF;

    return p;
}


static size_t
ngx_sp_redis_bulk_size(const ngx_str_t *value)
{
    return NGX_SP_REDIS_HEAD_LEN + value->len + 2;
}


static u_char *
ngx_sp_redis_bulk(u_char *p, const ngx_str_t *value)
{
    p = ngx_sp_redis_head(p, '$', value->len);

    if (value->len != 0) {
        p = ngx_cpymem(p, value->data, value->len);
    }

    *p++ = CR;
    *p++ = LF;

    return p;
}
