
/*
 * Copyright (C) Sallyport authors
 *
 * Work apart from requests: background jobs, the spool, housekeeping, and
 * the metrics that count them.  Nothing here knows HTTP; whoever has the
 * configuration keeps an ngx_sp_work_t in it.
 */

#ifndef _NGX_SP_WORK_H_INCLUDED_
#define _NGX_SP_WORK_H_INCLUDED_


#include "ngx_sp_job.h"
#include "ngx_sp_metric.h"
#include "ngx_sp_pg.h"
#include "ngx_sp_spool.h"


typedef struct {
    ngx_sp_metrics_t            *metrics;
    ngx_sp_spool_t              *spool;
    ngx_array_t                  runners;   /* ngx_sp_runner_t * */
    ngx_array_t                  houses;    /* ngx_sp_house_t * */
} ngx_sp_work_t;


/* Configuration; NGX_ERROR after logging why */

ngx_int_t ngx_sp_work_create(ngx_conf_t *cf, ngx_sp_work_t *work);

/* the struct is static or configuration memory */
ngx_int_t ngx_sp_work_add_job_kind(ngx_conf_t *cf, ngx_sp_work_t *work,
    ngx_sp_pg_t *pg, const ngx_sp_job_kind_t *kind);

/* this server has the schema of sql/; once is enough */
ngx_int_t ngx_sp_work_housekeeping(ngx_conf_t *cf, ngx_sp_work_t *work,
    ngx_sp_pg_t *pg);


/* a worker begins and ends; its metrics begin before and end after */

ngx_int_t ngx_sp_work_init_process(ngx_sp_work_t *work, ngx_cycle_t *cycle);
void ngx_sp_work_exit_process(ngx_sp_work_t *work);


/* ngx_sp_runner.c */

ngx_int_t ngx_sp_runners_init_process(ngx_sp_work_t *work,
    ngx_cycle_t *cycle);
void ngx_sp_runners_exit_process(ngx_sp_work_t *work);

/* ngx_sp_house.c */

void ngx_sp_houses_init_process(ngx_sp_work_t *work, ngx_cycle_t *cycle);
void ngx_sp_houses_exit_process(ngx_sp_work_t *work);


#endif /* _NGX_SP_WORK_H_INCLUDED_ */
