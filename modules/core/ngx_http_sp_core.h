
/*
 * Copyright (C) Sallyport authors
 *
 * The only header that a plugin includes.  Its parts, in the order of need:
 *
 *     ngx_http_sp_core_step.h      steps, content handlers, end hooks,
 *                                  contexts, ops
 *     ngx_http_sp_core_request.h   body, identity, answers
 *     ngx_http_sp_core_form.h      bodies that are multipart/form-data
 *     ngx_http_sp_core_filter.h    texts that are judged as they flow
 *     ngx_http_sp_core_trace.h     the trace that a request belongs to
 *     ngx_http_sp_core_chat.h      what goes into a prompt, turns
 *     ngx_http_sp_core_route.h     targets of a model and keys, try by try
 *     ngx_http_sp_core_model.h     providers, models, calls beside requests
 *     ngx_http_sp_core_conf.h      variables, servers, metrics, jobs
 *
 * ngx_http_sp_core_abi.h is made by configure: NGX_HTTP_SP_ABI, a hash of
 * the public headers, so that a plugin that was built with others is refused.
 *
 * The core owns the phase handler, the request context, suspending and
 * waking, the body, the identity, the error envelope, metrics, finished turns
 * and background jobs.  Plugins register what they do; they never call each
 * other.
 *
 * One request, downward:
 *
 *     ACCESS phase     for each stage: its steps run side by side
 *     cors -> identify -> admit -> inspect -> reserve -> enrich
 *     CONTENT phase    the location's content handler (the relay stage):
 *                      llm_pass, pg_call, mint_relay, wallet_auth, ...
 *     filters          error envelope, output scan
 *     settle           the turn is stored; once, on every exit path
 *     LOG phase        end hooks; once, on every exit path
 */

#ifndef _NGX_HTTP_SP_CORE_H_INCLUDED_
#define _NGX_HTTP_SP_CORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_sp_conf.h"
#include "ngx_sp_op.h"
#include "ngx_sp_redis.h"
#include "ngx_sp_pg.h"
#include "ngx_sp_fetch.h"
#include "ngx_sp_rpc.h"
#include "ngx_sp_chain.h"
#include "ngx_sp_name.h"
#include "ngx_sp_key.h"
#include "ngx_sp_secret.h"
#include "ngx_sp_job.h"
#include "ngx_sp_metric.h"
#include "ngx_sp_spool.h"

#include "sp_chat.h"
#include "sp_dialect.h"
#include "sp_json.h"
#include "sp_price.h"
#include "sp_tokens.h"

#include "ngx_http_sp_relay.h"

#include "ngx_http_sp_core_abi.h"


extern ngx_module_t  ngx_http_sp_core_module;


/*
 * A plugin that is loaded before the core makes dlopen() complain about this
 * symbol, which says what to do.
 */

extern const char  load_ngx_http_sp_core_module_before_its_plugins;

static const char *const  ngx_http_sp_load_order
    __attribute__((used)) = &load_ngx_http_sp_core_module_before_its_plugins;


#include "ngx_http_sp_core_step.h"
#include "ngx_http_sp_core_request.h"
#include "ngx_http_sp_core_form.h"
#include "ngx_http_sp_core_filter.h"
#include "ngx_http_sp_core_trace.h"
#include "ngx_http_sp_core_chat.h"
#include "ngx_http_sp_core_route.h"
#include "ngx_http_sp_core_model.h"
#include "ngx_http_sp_core_conf.h"


#endif /* _NGX_HTTP_SP_CORE_H_INCLUDED_ */
