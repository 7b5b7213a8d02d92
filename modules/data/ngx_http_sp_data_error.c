
/*
 * Copyright (C) Sallyport authors
 */

#include "ngx_http_sp_data.h"


/* how an SQLSTATE, or its class, is answered */

typedef struct {
    const char    *state;      /* a prefix of the five characters */
    ngx_uint_t     status;
    const char    *code;
    const char    *message;
} ngx_http_sp_data_state_t;


static ngx_int_t ngx_http_sp_data_failure(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer);
static ngx_int_t ngx_http_sp_data_rejection(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer);
static ngx_int_t ngx_http_sp_data_raised(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer, ngx_uint_t status);
static const char *ngx_http_sp_data_code(ngx_http_request_t *r,
    const ngx_str_t *text);
static const char *ngx_http_sp_data_cstr(ngx_http_request_t *r,
    const ngx_str_t *text);


/* the first that fits counts: single states before their class */

static const ngx_http_sp_data_state_t  ngx_http_sp_data_map[] = {

    { "57014", 504, "database_timeout",
      "the database did not answer in time; try again" },
    { "40001", 503, "database_conflict",
      "another request changed the same data; try again" },
    { "40P01", 503, "database_conflict",
      "another request changed the same data; try again" },
    { "23503", 409, "conflict", "it refers to something that is not there" },
    { "23505", 409, "conflict", "it exists already" },
    { "25006", 405, "method_not_allowed",
      "this method only reads; use POST, PUT, PATCH or DELETE" },
    { "42883", 404, "not_found", "there is no such endpoint" },
    { "42P01", 404, "not_found", "there is no such endpoint" },
    { "42501", 403, "forbidden", "this is not allowed" },
    { "53400", 500, "database_error", "the database could not serve this" },
    { "P0001", 400, "refused", "the request was refused" },
    { "28", 403, "forbidden", "this is not allowed" },
    { "0L", 403, "forbidden", "this is not allowed" },
    { "0P", 403, "forbidden", "this is not allowed" },
    { "08", 503, "database_unavailable", "the database is not available" },
    { "53", 503, "database_unavailable", "the database is not available" },
    { "57P", 503, "database_unavailable", "the database is not available" },
    { "40", 500, "database_error", "the database could not serve this" },
    { "42", 500, "database_error", "the database could not serve this" },
    { "54", 500, "database_error", "the database could not serve this" },
    { "55", 500, "database_error", "the database could not serve this" },
    { "57", 500, "database_error", "the database could not serve this" },
    { "58", 500, "database_error", "the database could not serve this" },
    { "P0", 500, "database_error", "the database could not serve this" },
    { "XX", 500, "database_error", "the database could not serve this" },
    { "22", 400, "invalid_value", "a value of the request is not valid" },
    { "23", 422, "invalid_value", "a value of the request is not allowed" },
    { "", 400, "refused", "the request was refused" }
};


ngx_int_t
ngx_http_sp_data_error(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer)
{
    ngx_int_t                      rc;
    ngx_http_sp_data_main_conf_t  *dmcf;

    if (answer->result == NGX_SP_OP_REJECTED) {
        rc = ngx_http_sp_data_rejection(r, answer);

    } else {
        rc = ngx_http_sp_data_failure(r, answer);
    }

    if (rc >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        dmcf = ngx_http_get_module_main_conf(r, ngx_http_sp_data_module);
        ngx_sp_metric_add(dmcf->errors, 1);
    }

    return rc;
}


static ngx_int_t
ngx_http_sp_data_failure(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer)
{
    if (answer->no_memory) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (answer->too_large) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pg_call: result exceeds \"pg_call_max_result\"");

        return ngx_http_sp_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                 "result_too_large",
                                 "the result is too large; ask for less");
    }

    if (answer->malformed) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pg_call: the function did not return one row of "
                      "status, reply, location, allow");

        return ngx_http_sp_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                 "database_error",
                                 "the database could not serve this");
    }

    if (answer->result == NGX_SP_OP_TIMEOUT) {
        return ngx_http_sp_error(r, NGX_HTTP_GATEWAY_TIME_OUT,
                                 "database_timeout",
                                 "the database did not answer in time");
    }

    if (ngx_http_sp_retry_after(r, 1) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a write that may have happened must not look as if it had not */

    return ngx_http_sp_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "database_unavailable", "%s",
                             answer->sent
                             ? "the database went away while it worked on "
                               "this; look before you try again"
                             : "the database is not available; try again");
}


static ngx_int_t
ngx_http_sp_data_rejection(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer)
{
    ngx_int_t                        status;
    const u_char                    *state;
    const ngx_http_sp_data_state_t  *map;

    state = answer->sqlstate;

    if (state[0] == 'P' && state[1] == 'T') {
        status = ngx_atoi((u_char *) state + 2, 3);

        if (status >= 400 && status <= 599) {
            return ngx_http_sp_data_raised(r, answer, status);
        }
    }

    map = ngx_http_sp_data_map;

    while (ngx_strncmp(state, map->state, ngx_strlen(map->state)) != 0) {
        map++;
    }

    if (map->status >= 500) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "pg_call: SQLSTATE %*s: %V", (size_t) 5, state,
                      &answer->message);
    } else {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "pg_call: SQLSTATE %*s: %V", (size_t) 5, state,
                      &answer->message);
    }

    if (map->status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_sp_retry_after(r, 1) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (map->status == NGX_HTTP_FORBIDDEN
        && ngx_http_sp_identity(r) == NULL)
    {
        return ngx_http_sp_error(r, NGX_HTTP_UNAUTHORIZED,
                                 "authentication_required",
                                 "sign in to use this endpoint");
    }

    /* the message of RAISE is for the caller; all others name our tables */

    if (ngx_strncmp(state, "P0001", 5) == 0 && answer->message.len > 0) {
        return ngx_http_sp_error(r, map->status, map->code, "%V",
                                 &answer->message);
    }

    return ngx_http_sp_error(r, map->status, map->code, "%s", map->message);
}


/* SQLSTATE PTnnn: the function chose the status, the code and the words */

static ngx_int_t
ngx_http_sp_data_raised(ngx_http_request_t *r,
    const ngx_http_sp_data_answer_t *answer, ngx_uint_t status)
{
    ngx_int_t    rc;
    const char  *code, *hint;

    code = ngx_http_sp_data_code(r, &answer->detail);
    hint = ngx_http_sp_data_cstr(r, &answer->hint);

    if (code == NULL || hint == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if ((status == NGX_HTTP_SERVICE_UNAVAILABLE
         || status == NGX_HTTP_TOO_MANY_REQUESTS)
        && ngx_http_sp_retry_after(r, 1) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_sp_error(r, status, code, "%V", &answer->message);

    if (*hint != '\0') {
        ngx_http_sp_error_hint(r, hint);
    }

    return rc;
}


/* the error code in DETAIL; "refused" when it does not look like one */

static const char *
ngx_http_sp_data_code(ngx_http_request_t *r, const ngx_str_t *text)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_') {
            return "refused";
        }
    }

    if (i == 0 || i > 64) {
        return "refused";
    }

    return ngx_http_sp_data_cstr(r, text);
}


static const char *
ngx_http_sp_data_cstr(ngx_http_request_t *r, const ngx_str_t *text)
{
    char  *p;

    p = ngx_pnalloc(r->pool, text->len + 1);

    if (p != NULL) {
        ngx_memcpy(p, text->data, text->len);
        p[text->len] = '\0';
    }

    return p;
}
