
/*
 * Copyright (C) Sallyport authors
 *
 * What a turn has cost: tokens and units by the prices of the target that was
 * asked.
 * The cost is part of the record: another price changes no row of old.
 */


#include "ngx_http_sp_core_int.h"


static int64_t ngx_http_sp_billed(int64_t estimated, int64_t told);
static int64_t ngx_http_sp_share(int64_t part, int64_t whole);
static u_char *ngx_http_sp_account_tokens(u_char *p, const char *name,
    int64_t n);


/* llm_currency CODE */

char *
ngx_http_sp_currency_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    size_t      i;
    ngx_str_t  *value;

    if (mcf->currency.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        if (value[1].data[i] < 'A' || value[1].data[i] > 'Z') {
            break;
        }
    }

    if (i != 3 || value[1].len != 3) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid currency \"%V\", expected a code of "
                           "ISO 4217: three letters from A to Z", &value[1]);
        return NGX_CONF_ERROR;
    }

    mcf->currency = value[1];

    return NGX_CONF_OK;
}


void
ngx_http_sp_account(ngx_http_sp_turn_t *turn,
    const ngx_http_sp_target_t *target)
{
    sp_price_tokens_t                  tokens;
    ngx_http_sp_core_main_conf_t      *mcf;
    const ngx_http_sp_call_metrics_t  *metrics;

    metrics = &target->provider->calls[turn->kind];

    tokens.input = ngx_http_sp_billed(turn->estimated_prompt_tokens,
                                      turn->prompt_tokens);
    tokens.output = ngx_http_sp_billed(turn->estimated_completion_tokens,
                                       turn->completion_tokens);
    tokens.cached = turn->cached_tokens;
    tokens.cache_write = turn->cache_write_tokens;

    ngx_sp_metric_add(metrics->prompt_tokens,
                      ngx_min(tokens.input, SP_PRICE_TOKENS));
    ngx_sp_metric_add(metrics->completion_tokens,
                      ngx_min(tokens.output, SP_PRICE_TOKENS));
    ngx_sp_metric_add(metrics->cached_tokens,
                      ngx_http_sp_share(turn->cached_tokens, tokens.input));
    ngx_sp_metric_add(metrics->reasoning_tokens,
                      ngx_http_sp_share(turn->reasoning_tokens,
                                        tokens.output));

    turn->cost = -1;

    /* of images, speech and transcripts some providers tell no tokens */

    if (target->priced
        && (turn->kind < NGX_HTTP_SP_CALL_IMAGE || turn->prompt_tokens >= 0
            || turn->completion_tokens >= 0))
    {
        turn->cost = sp_price_cost(&target->price, &tokens);
    }

    if (target->unit_priced && turn->units >= 0) {
        turn->cost = ngx_max(turn->cost, 0)
                     + sp_price_units(target->unit_price, turn->units);
    }

    if (turn->cost < 0) {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_sp_core_module);

    turn->currency = mcf->currency;

    ngx_sp_metric_add(metrics->cost, turn->cost);
}


/* there is an estimate only where what was told is not all */

static int64_t
ngx_http_sp_billed(int64_t estimated, int64_t told)
{
    int64_t  n;

    n = (estimated >= 0) ? estimated : told;

    return ngx_max(n, 0);
}


/* a part that is told is no larger than the whole */

static int64_t
ngx_http_sp_share(int64_t part, int64_t whole)
{
    return ngx_min(ngx_max(part, 0), ngx_min(whole, SP_PRICE_TOKENS));
}


u_char *
ngx_http_sp_account_print(u_char *p, const ngx_http_sp_turn_t *turn)
{
    p = ngx_http_sp_account_tokens(p, "prompt_tokens", turn->prompt_tokens);
    p = ngx_http_sp_account_tokens(p, "completion_tokens",
                                   turn->completion_tokens);
    p = ngx_http_sp_account_tokens(p, "cached_tokens", turn->cached_tokens);
    p = ngx_http_sp_account_tokens(p, "cache_write_tokens",
                                   turn->cache_write_tokens);
    p = ngx_http_sp_account_tokens(p, "reasoning_tokens",
                                   turn->reasoning_tokens);
    p = ngx_http_sp_account_tokens(p, "estimated_prompt_tokens",
                                   turn->estimated_prompt_tokens);
    p = ngx_http_sp_account_tokens(p, "estimated_completion_tokens",
                                   turn->estimated_completion_tokens);
    p = ngx_http_sp_account_tokens(p, "units", turn->units);

    if (turn->cost < 0) {
        return p;
    }

    return ngx_sprintf(p, "\"cost\":%L.%09L,\"currency\":\"%V\",",
                       turn->cost / SP_PRICE_UNIT,
                       turn->cost % SP_PRICE_UNIT, &turn->currency);
}


/* what nobody has told is left out: 0 is something else */

static u_char *
ngx_http_sp_account_tokens(u_char *p, const char *name, int64_t n)
{
    return (n >= 0) ? ngx_sprintf(p, "\"%s\":%L,", name, n) : p;
}
