
/*
 * Copyright (C) Sallyport authors
 *
 * The segments of the spool: written, adopted, removed.
 */


#include "ngx_sp_spool_int.h"

#include <sys/file.h>


#define NGX_SP_SPOOL_SCAN       5000
#define NGX_SP_SPOOL_SCAN_SOON  300
#define NGX_SP_SPOOL_ADOPT      16       /* segments at once */
#define NGX_SP_SPOOL_LEFTOVER   60       /* seconds, without a name */
#define NGX_SP_SPOOL_LINE       (16 * 1024 * 1024)
#define NGX_SP_SPOOL_NAME       100      /* of a file, at most */


static ngx_int_t ngx_sp_spool_write(ngx_sp_sink_t *sink,
    const ngx_str_t *line);
static void ngx_sp_spool_complain(ngx_sp_sink_t *sink, ngx_err_t err,
    const char *what);
static ngx_sp_segment_t *ngx_sp_segment_create(ngx_sp_sink_t *sink);
static void ngx_sp_spool_scan_handler(ngx_event_t *ev);
static ngx_sp_sink_t *ngx_sp_spool_sink_of(ngx_sp_spool_t *spool,
    const ngx_str_t *name);
static void ngx_sp_spool_leftover(ngx_sp_spool_t *spool,
    const ngx_str_t *name);
static ngx_int_t ngx_sp_spool_adopt(ngx_sp_sink_t *sink,
    const ngx_str_t *name);


static const ngx_sp_metric_slot_t  ngx_sp_sink_metrics[] = {

    { NGX_SP_COUNTER, "sallyport_spool_accepted_total",
      "Lines written to the spool.", "",
      offsetof(ngx_sp_sink_t, accepted) },

    { NGX_SP_COUNTER, "sallyport_spool_stored_total",
      "Lines of the spool stored in PostgreSQL.", "",
      offsetof(ngx_sp_sink_t, stored) },

    { NGX_SP_COUNTER, "sallyport_spool_dropped_total",
      "Lines that are lost: the spool was full, or could not be written, "
      "or PostgreSQL refused them.", "",
      offsetof(ngx_sp_sink_t, dropped) },

    { NGX_SP_COUNTER, "sallyport_spool_adopted_total",
      "Files of the spool taken over from workers that have ended.", "",
      offsetof(ngx_sp_sink_t, adopted) },

    { NGX_SP_GAUGE, "sallyport_spool_bytes",
      "Bytes of the spool that wait for PostgreSQL.", "",
      offsetof(ngx_sp_sink_t, bytes) },

    { NGX_SP_COUNTER, NULL, NULL, NULL, 0 }
};


ngx_sp_spool_t *
ngx_sp_spool_create(ngx_conf_t *cf)
{
    ngx_sp_spool_t  *spool;

    spool = ngx_pcalloc(cf->pool, sizeof(ngx_sp_spool_t));
    if (spool == NULL) {
        return NULL;
    }

    spool->path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (spool->path == NULL) {
        return NULL;
    }

    if (ngx_array_init(&spool->sinks, cf->pool, 2, sizeof(ngx_sp_sink_t *))
        != NGX_OK)
    {
        return NULL;
    }

    spool->max_size = 256 * 1024 * 1024;
    ngx_str_set(&spool->path->name, "spool");

    return spool;
}


/* the directory is made, and given to the user of the workers, by NGINX */

ngx_int_t
ngx_sp_spool_init(ngx_conf_t *cf, ngx_sp_spool_t *spool)
{
    ngx_path_t  *path;

    path = spool->path;

    if (spool->sinks.nelts == 0) {

        if (path->conf_file != NULL) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "\"turn_spool\" has no effect without "
                          "\"turn_store\" in %s:%ui",
                          path->conf_file, path->line);
        }

        return NGX_OK;
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (path->name.len > NGX_MAX_PATH - 128) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the path \"%V\" of \"turn_spool\" is too long",
                      &path->name);
        return NGX_ERROR;
    }

    return ngx_add_path(cf, &spool->path);
}


ngx_sp_sink_t *
ngx_sp_spool_add_sink(ngx_conf_t *cf, ngx_sp_spool_t *spool,
    ngx_sp_metrics_t *metrics, const ngx_sp_sink_conf_t *conf)
{
    ngx_sp_sink_t  *sink, **elt;

    sink = ngx_pcalloc(cf->pool, sizeof(ngx_sp_sink_t));
    if (sink == NULL) {
        return NULL;
    }

    sink->spool = spool;
    sink->conf = conf;

    if (ngx_sp_metrics_add_table(cf, metrics, ngx_sp_sink_metrics, sink,
                                 "kind", &conf->name)
        != NGX_OK)
    {
        return NULL;
    }

    elt = ngx_array_push(&spool->sinks);
    if (elt == NULL) {
        return NULL;
    }

    *elt = sink;

    return sink;
}


void
ngx_sp_spool_init_process(ngx_sp_spool_t *spool, ngx_cycle_t *cycle)
{
    ngx_uint_t       i;
    ngx_sp_sink_t  **sink;

    if (spool->sinks.nelts == 0) {
        return;
    }

    sink = spool->sinks.elts;

    for (i = 0; i < spool->sinks.nelts; i++) {
        ngx_queue_init(&sink[i]->segments);
        ngx_sp_sink_init(sink[i], cycle);
    }

    spool->scan.handler = ngx_sp_spool_scan_handler;
    spool->scan.data = spool;
    spool->scan.log = cycle->log;
    spool->scan.cancelable = 1;

    spool->started = 1;

    ngx_add_timer(&spool->scan, 1 + ngx_random() % NGX_SP_SPOOL_SCAN_SOON);
}


/* what is not stored stays on the disk for a worker to come */

void
ngx_sp_spool_exit_process(ngx_sp_spool_t *spool)
{
    ngx_uint_t        i;
    ngx_queue_t      *q;
    ngx_sp_sink_t   **sink;

    if (!spool->started) {
        return;
    }

    spool->started = 0;

    sink = spool->sinks.elts;

    for (i = 0; i < spool->sinks.nelts; i++) {
        ngx_sp_sink_exit(sink[i]);

        while (!ngx_queue_empty(&sink[i]->segments)) {
            q = ngx_queue_head(&sink[i]->segments);

            ngx_sp_segment_close(sink[i], ngx_queue_data(q, ngx_sp_segment_t,
                                                         queue));
        }
    }
}


/* NGX_OK: the line is accepted */

ngx_int_t
ngx_sp_spool_append(ngx_sp_sink_t *sink, const ngx_str_t *line)
{
    if (!sink->spool->started || ngx_sp_spool_write(sink, line) != NGX_OK) {
        ngx_sp_metric_add(sink->dropped, 1);
        return NGX_ERROR;
    }

    ngx_sp_metric_add(sink->accepted, 1);
    ngx_sp_metric_add(sink->bytes, (ngx_int_t) line->len);

    sink->backlog += line->len;
    sink->fresh++;

    ngx_sp_sink_wake(sink);

    return NGX_OK;
}


void
ngx_sp_spool_flush(ngx_sp_sink_t *sink)
{
    /* as if the batch were full: at once, or behind the one in flight */

    sink->fresh = ngx_max(sink->fresh, sink->conf->batch_max);

    ngx_sp_sink_wake(sink);
}


ngx_int_t
ngx_sp_spool_offer(ngx_sp_sink_t *sink, const ngx_str_t *line)
{
    if (sink->backlog > sink->spool->max_size / 2) {
        ngx_sp_spool_complain(sink, 0, "the spool is half full");
        ngx_sp_metric_add(sink->dropped, 1);
        return NGX_ERROR;
    }

    return ngx_sp_spool_append(sink, line);
}


static ngx_int_t
ngx_sp_spool_write(ngx_sp_sink_t *sink, const ngx_str_t *line)
{
    ssize_t            n;
    ngx_err_t          err;
    ngx_sp_segment_t  *segment;

    if (line->len > NGX_SP_SPOOL_LINE) {
        ngx_sp_spool_complain(sink, 0, "the line is too large");
        return NGX_ERROR;
    }

    if (sink->backlog + (off_t) line->len > sink->spool->max_size) {
        ngx_sp_spool_complain(sink, 0, "the spool is full");
        return NGX_ERROR;
    }

    if (sink->current == NULL
        || sink->current->size >= NGX_SP_SPOOL_SEGMENT)
    {
        sink->current = ngx_sp_segment_create(sink);

        if (sink->current == NULL) {
            return NGX_ERROR;
        }
    }

    segment = sink->current;

    n = write(segment->fd, line->data, line->len);

    if (n == (ssize_t) line->len) {
        segment->size += n;
        return NGX_OK;
    }

    err = (n == -1) ? ngx_errno : 0;

    /* half a line must not stand before the next one */

    if (n > 0 && ftruncate(segment->fd, segment->size) == -1) {
        sink->current = NULL;
    }

    ngx_sp_spool_complain(sink, err, "the spool cannot be written");

    return NGX_ERROR;
}


/* once a second, whatever the number of requests */

static void
ngx_sp_spool_complain(ngx_sp_sink_t *sink, ngx_err_t err, const char *what)
{
    if (sink->spool->complained == ngx_time()) {
        return;
    }

    sink->spool->complained = ngx_time();

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, err,
                  "spool: a line of \"%V\" is lost, %s in \"%V\" "
                  "(%O bytes wait for PostgreSQL)", &sink->conf->name, what,
                  &sink->spool->path->name, sink->backlog);
}


/* locked before it has the name that others look for */

static ngx_sp_segment_t *
ngx_sp_segment_create(ngx_sp_sink_t *sink)
{
    u_char             temp[NGX_MAX_PATH];
    ngx_sp_spool_t    *spool;
    ngx_sp_segment_t  *segment;

    segment = ngx_calloc(sizeof(ngx_sp_segment_t), ngx_cycle->log);
    if (segment == NULL) {
        return NULL;
    }

    spool = sink->spool;

    ngx_sprintf(segment->name, "%V/%V-%T-%P-%ui.jsonl%Z", &spool->path->name,
                &sink->conf->name, ngx_time(), ngx_pid, spool->serial);
    ngx_sprintf(temp, "%V/new-%T-%P-%ui%Z",
                &spool->path->name, ngx_time(), ngx_pid, spool->serial);

    spool->serial++;

    segment->fd = open((char *) temp,
                       O_RDWR|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC, 0600);

    if (segment->fd == NGX_INVALID_FILE) {
        ngx_sp_spool_complain(sink, ngx_errno, "no file can be created");
        ngx_free(segment);
        return NULL;
    }

    if (flock(segment->fd, LOCK_EX|LOCK_NB) == -1
        || ngx_rename_file(temp, segment->name) == NGX_FILE_ERROR)
    {
        ngx_sp_spool_complain(sink, ngx_errno,
                              "a new file cannot be locked");
        (void) ngx_delete_file(temp);
        (void) ngx_close_file(segment->fd);
        ngx_free(segment);
        return NULL;
    }

    ngx_queue_insert_tail(&sink->segments, &segment->queue);

    return segment;
}


/* removed while it is locked: nobody adopts what is stored */

void
ngx_sp_segment_close(ngx_sp_sink_t *sink, ngx_sp_segment_t *segment)
{
    if (segment == sink->current) {
        sink->current = NULL;
    }

    if (segment->sent == segment->size
        && ngx_delete_file(segment->name) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "spool: cannot remove \"%s\"", segment->name);
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
ngx_sp_spool_scan_handler(ngx_event_t *ev)
{
    ngx_dir_t        dir;
    ngx_str_t        name;
    ngx_uint_t       n;
    ngx_sp_sink_t   *sink;
    ngx_sp_spool_t  *spool;

    spool = ev->data;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    n = 0;

    if (ngx_open_dir(&spool->path->name, &dir) == NGX_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, ev->log, ngx_errno,
                      "spool: cannot open \"%V\"", &spool->path->name);

    } else {

        while (n < NGX_SP_SPOOL_ADOPT && ngx_read_dir(&dir) == NGX_OK) {
            name.data = ngx_de_name(&dir);
            name.len = ngx_de_namelen(&dir);

            sink = ngx_sp_spool_sink_of(spool, &name);

            if (sink != NULL) {

                if (ngx_sp_spool_adopt(sink, &name) == NGX_OK) {
                    ngx_sp_sink_wake(sink);
                    n++;
                }

            } else if (name.len < NGX_SP_SPOOL_NAME
                       && ngx_strncmp(name.data, "new-", 4) == 0)
            {
                ngx_sp_spool_leftover(spool, &name);
            }
        }

        (void) ngx_close_dir(&dir);
    }

    ngx_add_timer(ev, (n == NGX_SP_SPOOL_ADOPT)
                      ? NGX_SP_SPOOL_SCAN_SOON
                      : NGX_SP_SPOOL_SCAN
                        + ngx_random() % NGX_SP_SPOOL_SCAN_SOON);
}


/* a segment is "<kind>-....jsonl"; NULL: it is not one of ours */

static ngx_sp_sink_t *
ngx_sp_spool_sink_of(ngx_sp_spool_t *spool, const ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_sp_sink_t   **sink;
    const ngx_str_t  *kind;

    if (name->len >= NGX_SP_SPOOL_NAME
        || name->len < sizeof(".jsonl") - 1
        || ngx_strncmp(name->data + name->len - 6, ".jsonl", 6) != 0)
    {
        return NULL;
    }

    sink = spool->sinks.elts;

    for (i = 0; i < spool->sinks.nelts; i++) {
        kind = &sink[i]->conf->name;

        if (name->len > kind->len + sizeof("-.jsonl") - 1
            && name->data[kind->len] == '-'
            && ngx_strncmp(name->data, kind->data, kind->len) == 0)
        {
            return sink[i];
        }
    }

    return NULL;
}


/* of a worker that was killed before it gave the file its name */

static void
ngx_sp_spool_leftover(ngx_sp_spool_t *spool, const ngx_str_t *name)
{
    ngx_file_info_t  fi;
    u_char           path[NGX_MAX_PATH];

    ngx_sprintf(path, "%V/%V%Z", &spool->path->name, name);

    if (ngx_link_info(path, &fi) == NGX_FILE_ERROR
        || !ngx_is_file(&fi)
        || ngx_file_size(&fi) != 0
        || ngx_time() - ngx_file_mtime(&fi) < NGX_SP_SPOOL_LEFTOVER)
    {
        return;
    }

    (void) ngx_delete_file(path);
}


/* NGX_OK: it is ours now; NGX_DECLINED: somebody holds it or has removed it */

static ngx_int_t
ngx_sp_spool_adopt(ngx_sp_sink_t *sink, const ngx_str_t *name)
{
    ngx_fd_t           fd;
    ngx_file_info_t    fi;
    ngx_sp_segment_t  *segment;
    u_char             path[NGX_MAX_PATH];

    ngx_sprintf(path, "%V/%V%Z", &sink->spool->path->name, name);

    fd = open((char *) path, O_RDWR|O_APPEND|O_CLOEXEC|O_NOFOLLOW);

    if (fd == -1) {
        return NGX_DECLINED;
    }

    segment = NULL;

    if (flock(fd, LOCK_EX|LOCK_NB) == 0
        && ngx_fd_info(fd, &fi) == 0
        && fi.st_nlink != 0
        && ngx_is_file(&fi))
    {
        segment = ngx_calloc(sizeof(ngx_sp_segment_t), ngx_cycle->log);
    }

    if (segment == NULL) {
        (void) ngx_close_file(fd);
        return NGX_DECLINED;
    }

    segment->fd = fd;
    segment->size = ngx_file_size(&fi);

    ngx_memcpy(segment->name, path, NGX_MAX_PATH);

    ngx_queue_insert_head(&sink->segments, &segment->queue);

    if (segment->size == 0) {
        ngx_sp_segment_close(sink, segment);
        return NGX_DECLINED;
    }

    sink->backlog += segment->size;

    ngx_sp_metric_add(sink->adopted, 1);
    ngx_sp_metric_add(sink->bytes, (ngx_int_t) segment->size);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "spool: adopted \"%s\" with %O bytes",
                  segment->name, segment->size);

    return NGX_OK;
}
