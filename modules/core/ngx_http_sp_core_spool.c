
/*
 * Copyright (C) Sallyport authors
 *
 * The segments of the spool: written, adopted, removed.
 */


#include "ngx_http_sp_core_spool.h"

#include <sys/file.h>


#define NGX_HTTP_SP_SPOOL_SCAN       5000
#define NGX_HTTP_SP_SPOOL_SCAN_SOON  300
#define NGX_HTTP_SP_SPOOL_ADOPT      16       /* segments at once */
#define NGX_HTTP_SP_SPOOL_LEFTOVER   60       /* seconds, without a name */
#define NGX_HTTP_SP_SPOOL_LINE       (16 * 1024 * 1024)


static ngx_http_sp_spool_t *ngx_http_sp_spool_conf(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf);
static ngx_int_t ngx_http_sp_spool_write(ngx_http_sp_spool_t *spool,
    const ngx_str_t *line);
static void ngx_http_sp_spool_complain(ngx_http_sp_spool_t *spool,
    ngx_err_t err, const char *what);
static ngx_http_sp_segment_t *ngx_http_sp_segment_create(
    ngx_http_sp_spool_t *spool);
static void ngx_http_sp_spool_scan_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_sp_spool_adopt(ngx_http_sp_spool_t *spool,
    const ngx_str_t *name);
static ngx_uint_t ngx_http_sp_spool_is_segment(const ngx_str_t *name);
static void ngx_http_sp_spool_leftover(ngx_http_sp_spool_t *spool,
    const ngx_str_t *name);


static const ngx_http_sp_metric_slot_t  ngx_http_sp_spool_metrics[] = {

    { NGX_HTTP_SP_COUNTER, "sallyport_turns_accepted_total",
      "Turns written to the spool.", "",
      offsetof(ngx_http_sp_spool_t, accepted) },

    { NGX_HTTP_SP_COUNTER, "sallyport_turns_stored_total",
      "Turns stored in PostgreSQL.", "",
      offsetof(ngx_http_sp_spool_t, stored) },

    { NGX_HTTP_SP_COUNTER, "sallyport_turns_dropped_total",
      "Turns that are lost: the spool was full, or could not be written, "
      "or PostgreSQL refused them.", "",
      offsetof(ngx_http_sp_spool_t, dropped) },

    { NGX_HTTP_SP_COUNTER, "sallyport_spool_adopted_total",
      "Files of the spool taken over from workers that have ended.", "",
      offsetof(ngx_http_sp_spool_t, adopted) },

    { NGX_HTTP_SP_GAUGE, "sallyport_spool_bytes",
      "Turns that wait for PostgreSQL.", "",
      offsetof(ngx_http_sp_spool_t, bytes) },

    { NGX_HTTP_SP_COUNTER, NULL, NULL, NULL, 0 }
};


/* turn_store server [batch=number] [flush=time] */

char *
ngx_http_sp_spool_store_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    ngx_str_t            *value, arg;
    ngx_uint_t            i;
    ngx_http_sp_spool_t  *spool;

    spool = ngx_http_sp_spool_conf(cf, mcf);
    if (spool == NULL) {
        return NGX_CONF_ERROR;
    }

    if (spool->pg != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    spool->pg = ngx_http_sp_pg(cf, &value[1]);
    if (spool->pg == NULL
        || ngx_http_sp_housekeeping(cf, spool->pg) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_sp_conf_arg(&value[i], "batch=", &arg)) {

            if (ngx_sp_conf_number(cf, "turn_store", "batch=", &arg, 1, 1000,
                                   &spool->batch_max)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_sp_conf_arg(&value[i], "flush=", &arg)) {

            if (ngx_sp_conf_msec(cf, "turn_store", "flush=", &arg,
                                 &spool->flush_time)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"turn_store\", "
                           "\"batch=\" and \"flush=\" are allowed",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* turn_spool path [max_size=size] */

char *
ngx_http_sp_spool_path_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sp_core_main_conf_t *mcf = conf;

    off_t                 size;
    ngx_str_t            *value, arg;
    ngx_http_sp_spool_t  *spool;

    spool = ngx_http_sp_spool_conf(cf, mcf);
    if (spool == NULL) {
        return NGX_CONF_ERROR;
    }

    if (spool->sized) {
        return "is duplicate";
    }

    value = cf->args->elts;

    spool->sized = 1;
    spool->path->name = value[1];
    spool->path->conf_file = cf->conf_file->file.name.data;
    spool->path->line = cf->conf_file->line;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    size = NGX_ERROR;

    if (ngx_sp_conf_arg(&value[2], "max_size=", &arg)) {
        size = ngx_parse_offset(&arg);
    }

    if (size < 64 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"turn_spool\", "
                           "\"max_size=\" of at least 64k is allowed",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    spool->max_size = size;

    return NGX_CONF_OK;
}


static ngx_http_sp_spool_t *
ngx_http_sp_spool_conf(ngx_conf_t *cf, ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_http_sp_spool_t  *spool;

    if (mcf->spool != NULL) {
        return mcf->spool;
    }

    spool = ngx_pcalloc(cf->pool, sizeof(ngx_http_sp_spool_t));
    if (spool == NULL) {
        return NULL;
    }

    spool->path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (spool->path == NULL) {
        return NULL;
    }

    spool->max_size = 256 * 1024 * 1024;
    spool->batch_max = 200;
    spool->flush_time = 50;
    ngx_str_set(&spool->path->name, "spool");

    mcf->spool = spool;

    return spool;
}


/* the directory is made, and given to the user of the workers, by NGINX */

char *
ngx_http_sp_spool_init_conf(ngx_conf_t *cf,
    ngx_http_sp_core_main_conf_t *mcf)
{
    ngx_path_t           *path;
    ngx_http_sp_spool_t  *spool;

    spool = mcf->spool;

    if (spool == NULL) {
        return NGX_CONF_OK;
    }

    path = spool->path;

    if (spool->pg == NULL) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"turn_spool\" has no effect without \"turn_store\" "
                      "in %s:%ui", path->conf_file, path->line);
        mcf->spool = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (path->name.len > NGX_MAX_PATH - 128) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the path \"%V\" of \"turn_spool\" is too long",
                      &path->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_add_path(cf, &spool->path) != NGX_OK
        || ngx_http_sp_add_metrics(cf, ngx_http_sp_spool_metrics, spool, NULL,
                                   NULL)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sp_spool_init_process(ngx_http_sp_spool_t *spool,
    ngx_cycle_t *cycle)
{
    if (spool == NULL) {
        return NGX_OK;
    }

    ngx_queue_init(&spool->segments);

    spool->scan.handler = ngx_http_sp_spool_scan_handler;
    spool->scan.data = spool;
    spool->scan.log = cycle->log;
    spool->scan.cancelable = 1;

    ngx_http_sp_spool_send_init(spool, cycle);

    spool->started = 1;

    ngx_add_timer(&spool->scan,
                  1 + ngx_random() % NGX_HTTP_SP_SPOOL_SCAN_SOON);

    return NGX_OK;
}


/* what is not stored stays on the disk for a worker to come */

void
ngx_http_sp_spool_exit_process(ngx_http_sp_spool_t *spool)
{
    ngx_queue_t            *q;
    ngx_http_sp_segment_t  *segment;

    if (spool == NULL || !spool->started) {
        return;
    }

    spool->started = 0;

    ngx_http_sp_spool_send_exit(spool);

    while (!ngx_queue_empty(&spool->segments)) {
        q = ngx_queue_head(&spool->segments);
        segment = ngx_queue_data(q, ngx_http_sp_segment_t, queue);

        ngx_http_sp_segment_close(spool, segment);
    }
}


/* NGX_OK: the turn is accepted */

ngx_int_t
ngx_http_sp_spool_append(ngx_http_sp_spool_t *spool, const ngx_str_t *line)
{
    if (!spool->started || ngx_http_sp_spool_write(spool, line) != NGX_OK) {
        ngx_http_sp_metric_add(spool->dropped, 1);
        return NGX_ERROR;
    }

    ngx_http_sp_metric_add(spool->accepted, 1);
    ngx_http_sp_metric_add(spool->bytes, (ngx_int_t) line->len);

    spool->backlog += line->len;
    spool->fresh++;

    ngx_http_sp_spool_wake(spool);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sp_spool_write(ngx_http_sp_spool_t *spool, const ngx_str_t *line)
{
    ssize_t                 n;
    ngx_err_t               err;
    ngx_http_sp_segment_t  *segment;

    if (line->len > NGX_HTTP_SP_SPOOL_LINE) {
        ngx_http_sp_spool_complain(spool, 0, "the turn is too large");
        return NGX_ERROR;
    }

    if (spool->backlog + (off_t) line->len > spool->max_size) {
        ngx_http_sp_spool_complain(spool, 0, "the spool is full");
        return NGX_ERROR;
    }

    if (spool->current == NULL
        || spool->current->size >= NGX_HTTP_SP_SPOOL_SEGMENT)
    {
        spool->current = ngx_http_sp_segment_create(spool);

        if (spool->current == NULL) {
            return NGX_ERROR;
        }
    }

    segment = spool->current;

    n = write(segment->fd, line->data, line->len);

    if (n == (ssize_t) line->len) {
        segment->size += n;
        return NGX_OK;
    }

    err = (n == -1) ? ngx_errno : 0;

    /* half a line must not stand before the next one */

    if (n > 0 && ftruncate(segment->fd, segment->size) == -1) {
        spool->current = NULL;
    }

    ngx_http_sp_spool_complain(spool, err, "the spool cannot be written");

    return NGX_ERROR;
}


/* once a second, whatever the number of requests */

static void
ngx_http_sp_spool_complain(ngx_http_sp_spool_t *spool, ngx_err_t err,
    const char *what)
{
    if (spool->complained == ngx_time()) {
        return;
    }

    spool->complained = ngx_time();

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, err,
                  "turn_store: a turn is lost, %s in \"%V\" "
                  "(%O bytes wait for PostgreSQL)", what, &spool->path->name,
                  spool->backlog);
}


/* locked before it has the name that others look for */

static ngx_http_sp_segment_t *
ngx_http_sp_segment_create(ngx_http_sp_spool_t *spool)
{
    u_char                  temp[NGX_MAX_PATH];
    ngx_http_sp_segment_t  *segment;

    segment = ngx_calloc(sizeof(ngx_http_sp_segment_t), ngx_cycle->log);
    if (segment == NULL) {
        return NULL;
    }

    ngx_sprintf(segment->name, "%V/turns-%T-%P-%ui.jsonl%Z",
                &spool->path->name, ngx_time(), ngx_pid, spool->serial);
    ngx_sprintf(temp, "%V/new-%T-%P-%ui%Z",
                &spool->path->name, ngx_time(), ngx_pid, spool->serial);

    spool->serial++;

    segment->fd = open((char *) temp,
                       O_RDWR|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC, 0600);

    if (segment->fd == NGX_INVALID_FILE) {
        ngx_http_sp_spool_complain(spool, ngx_errno,
                                   "no file can be created");
        ngx_free(segment);
        return NULL;
    }

    if (flock(segment->fd, LOCK_EX|LOCK_NB) == -1
        || ngx_rename_file(temp, segment->name) == NGX_FILE_ERROR)
    {
        ngx_http_sp_spool_complain(spool, ngx_errno,
                                   "a new file cannot be locked");
        (void) ngx_delete_file(temp);
        (void) ngx_close_file(segment->fd);
        ngx_free(segment);
        return NULL;
    }

    ngx_queue_insert_tail(&spool->segments, &segment->queue);

    return segment;
}


/* removed while it is locked: nobody adopts what is stored */

void
ngx_http_sp_segment_close(ngx_http_sp_spool_t *spool,
    ngx_http_sp_segment_t *segment)
{
    if (segment == spool->current) {
        spool->current = NULL;
    }

    if (segment->sent == segment->size
        && ngx_delete_file(segment->name) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "turn_store: cannot remove \"%s\"", segment->name);
    }

    ngx_queue_remove(&segment->queue);

    (void) ngx_close_file(segment->fd);
    ngx_free(segment);
}


/*
 * Looks for segments that nobody holds.  The directory is small and in
 * memory; what is in the segments is read later, a batch at a time.
 */

static void
ngx_http_sp_spool_scan_handler(ngx_event_t *ev)
{
    ngx_dir_t             dir;
    ngx_str_t             name;
    ngx_uint_t            n;
    ngx_http_sp_spool_t  *spool;

    spool = ev->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    n = 0;

    if (ngx_open_dir(&spool->path->name, &dir) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, ev->log, ngx_errno,
                      "turn_store: cannot open \"%V\"", &spool->path->name);

    } else {

        while (n < NGX_HTTP_SP_SPOOL_ADOPT && ngx_read_dir(&dir) == NGX_OK) {
            name.data = ngx_de_name(&dir);
            name.len = ngx_de_namelen(&dir);

            if (ngx_http_sp_spool_is_segment(&name)) {

                if (ngx_http_sp_spool_adopt(spool, &name) == NGX_OK) {
                    n++;
                }

            } else if (name.len < 100
                       && ngx_strncmp(name.data, "new-", 4) == 0)
            {
                ngx_http_sp_spool_leftover(spool, &name);
            }
        }

        (void) ngx_close_dir(&dir);
    }

    ngx_add_timer(ev, (n == NGX_HTTP_SP_SPOOL_ADOPT)
                      ? NGX_HTTP_SP_SPOOL_SCAN_SOON
                      : NGX_HTTP_SP_SPOOL_SCAN
                        + ngx_random() % NGX_HTTP_SP_SPOOL_SCAN_SOON);

    if (n != 0) {
        ngx_http_sp_spool_wake(spool);
    }
}


static ngx_uint_t
ngx_http_sp_spool_is_segment(const ngx_str_t *name)
{
    return name->len > sizeof("turns-.jsonl") - 1
           && name->len < 100
           && ngx_strncmp(name->data, "turns-", 6) == 0
           && ngx_strncmp(name->data + name->len - 6, ".jsonl", 6) == 0;
}


/* of a worker that was killed before it gave the file its name */

static void
ngx_http_sp_spool_leftover(ngx_http_sp_spool_t *spool, const ngx_str_t *name)
{
    ngx_file_info_t  fi;
    u_char           path[NGX_MAX_PATH];

    ngx_sprintf(path, "%V/%V%Z", &spool->path->name, name);

    if (ngx_link_info(path, &fi) == NGX_FILE_ERROR
        || !ngx_is_file(&fi)
        || ngx_file_size(&fi) != 0
        || ngx_time() - ngx_file_mtime(&fi) < NGX_HTTP_SP_SPOOL_LEFTOVER)
    {
        return;
    }

    (void) ngx_delete_file(path);
}


/* NGX_OK: it is ours now; NGX_DECLINED: somebody holds it or has removed it */

static ngx_int_t
ngx_http_sp_spool_adopt(ngx_http_sp_spool_t *spool, const ngx_str_t *name)
{
    ngx_fd_t                fd;
    ngx_file_info_t         fi;
    ngx_http_sp_segment_t  *segment;
    u_char                  path[NGX_MAX_PATH];

    ngx_sprintf(path, "%V/%V%Z", &spool->path->name, name);

    fd = open((char *) path, O_RDWR|O_APPEND|O_CLOEXEC|O_NOFOLLOW);

    if (fd == NGX_INVALID_FILE) {
        return NGX_DECLINED;
    }

    segment = NULL;

    if (flock(fd, LOCK_EX|LOCK_NB) == 0
        && ngx_fd_info(fd, &fi) == 0
        && fi.st_nlink != 0
        && ngx_is_file(&fi))
    {
        segment = ngx_calloc(sizeof(ngx_http_sp_segment_t), ngx_cycle->log);
    }

    if (segment == NULL) {
        (void) ngx_close_file(fd);
        return NGX_DECLINED;
    }

    segment->fd = fd;
    segment->size = ngx_file_size(&fi);

    ngx_memcpy(segment->name, path, NGX_MAX_PATH);

    ngx_queue_insert_head(&spool->segments, &segment->queue);

    if (segment->size == 0) {
        ngx_http_sp_segment_close(spool, segment);
        return NGX_DECLINED;
    }

    spool->backlog += segment->size;

    ngx_http_sp_metric_add(spool->adopted, 1);
    ngx_http_sp_metric_add(spool->bytes, (ngx_int_t) segment->size);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "turn_store: adopted \"%s\" with %O bytes of turns",
                  segment->name, segment->size);

    return NGX_OK;
}
