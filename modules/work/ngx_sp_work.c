
/*
 * Copyright (C) Sallyport authors
 */


#include "ngx_sp_work.h"


ngx_int_t
ngx_sp_work_create(ngx_conf_t *cf, ngx_sp_work_t *work)
{
    work->metrics = ngx_sp_metrics_create(cf);
    work->spool = ngx_sp_spool_create(cf);

    if (work->metrics == NULL || work->spool == NULL) {
        return NGX_ERROR;
    }

    if (ngx_array_init(&work->runners, cf->pool, 4, sizeof(void *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_array_init(&work->houses, cf->pool, 2, sizeof(void *));
}


ngx_int_t
ngx_sp_work_init_process(ngx_sp_work_t *work, ngx_cycle_t *cycle)
{
    ngx_sp_spool_init_process(work->spool, cycle);
    ngx_sp_houses_init_process(work, cycle);

    return ngx_sp_runners_init_process(work, cycle);
}


void
ngx_sp_work_exit_process(ngx_sp_work_t *work)
{
    ngx_sp_houses_exit_process(work);
    ngx_sp_runners_exit_process(work);
    ngx_sp_spool_exit_process(work->spool);
}
