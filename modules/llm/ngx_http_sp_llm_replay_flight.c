
/*
 * Copyright (C) Sallyport authors
 *
 * Requests of this worker with a key, by their names: one runs, the others
 * wait for its end and ask again then.  The one that runs renews its marker
 * in Redis, so that the key of a worker that was killed is free soon.
 */


#include "ngx_http_sp_llm_replay.h"


/* for one that runs; more are told to come again */
#define NGX_HTTP_SP_LLM_WAITERS  128


static void ngx_http_sp_llm_flight_answer(ngx_http_sp_llm_flight_t *flight,
    const ngx_http_sp_turn_t *turn);
static void ngx_http_sp_llm_flight_timer(ngx_http_sp_llm_flight_t *flight,
    ngx_event_handler_pt handler, ngx_msec_t time);
static void ngx_http_sp_llm_flight_late(ngx_event_t *ev);
static void ngx_http_sp_llm_flight_renew(ngx_event_t *ev);
static void ngx_http_sp_llm_flight_leave(ngx_http_sp_llm_flight_t *flight);


/* this worker's */

static ngx_rbtree_t       ngx_http_sp_llm_flights;
static ngx_rbtree_node_t  ngx_http_sp_llm_flights_sentinel;


void
ngx_http_sp_llm_replay_init(void)
{
    ngx_rbtree_init(&ngx_http_sp_llm_flights,
                    &ngx_http_sp_llm_flights_sentinel,
                    ngx_str_rbtree_insert_value);
}


ngx_http_sp_llm_flight_t *
ngx_http_sp_llm_flight_list(ngx_http_sp_llm_flight_t *flight)
{
    ngx_http_sp_llm_flight_t  *first;

    first = (ngx_http_sp_llm_flight_t *)
                ngx_str_rbtree_lookup(&ngx_http_sp_llm_flights,
                                      &flight->sn.str, flight->sn.node.key);

    if (first == NULL) {
        ngx_rbtree_insert(&ngx_http_sp_llm_flights, &flight->sn.node);
        flight->listed = 1;
    }

    return first;
}


/* whoever has waited asks for itself now */

void
ngx_http_sp_llm_flight_unlist(ngx_http_sp_llm_flight_t *flight)
{
    ngx_queue_t               *q;
    ngx_http_sp_llm_flight_t  *waiter;

    if (!flight->listed) {
        return;
    }

    flight->listed = 0;
    ngx_rbtree_delete(&ngx_http_sp_llm_flights, &flight->sn.node);

    while (!ngx_queue_empty(&flight->waiters)) {
        q = ngx_queue_head(&flight->waiters);
        waiter = ngx_queue_data(q, ngx_http_sp_llm_flight_t, queue);

        ngx_http_sp_llm_flight_leave(waiter);
        ngx_http_sp_wake(waiter->ctx->request);
    }
}


/* however often it asks again, it waits no longer than it may */

ngx_int_t
ngx_http_sp_llm_flight_wait(ngx_http_sp_llm_flight_t *flight,
    ngx_http_sp_llm_flight_t *first)
{
    if (flight->store->wait == 0
        || first->nwaiters == NGX_HTTP_SP_LLM_WAITERS)
    {
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&first->waiters, &flight->queue);
    first->nwaiters++;

    flight->first = first;
    flight->state = NGX_HTTP_SP_LLM_WAITING;

    if (!flight->timer.timer_set) {
        ngx_http_sp_llm_flight_timer(flight, ngx_http_sp_llm_flight_late,
                                     flight->store->wait);
    }

    return NGX_OK;
}


static void
ngx_http_sp_llm_flight_late(ngx_event_t *ev)
{
    ngx_http_sp_llm_flight_t  *flight;

    flight = ev->data;

    if (flight->first == NULL) {
        return;
    }

    flight->late = 1;

    ngx_http_sp_llm_flight_leave(flight);
    ngx_http_sp_wake(flight->ctx->request);
}


static void
ngx_http_sp_llm_flight_leave(ngx_http_sp_llm_flight_t *flight)
{
    if (flight->first != NULL) {
        ngx_queue_remove(&flight->queue);
        flight->first->nwaiters--;
        flight->first = NULL;
    }
}


/* the marker is in Redis */

void
ngx_http_sp_llm_flight_run(ngx_http_sp_llm_flight_t *flight)
{
    flight->state = NGX_HTTP_SP_LLM_RUNNING;

    if (flight->timer.timer_set) {
        ngx_del_timer(&flight->timer);
    }

    ngx_http_sp_llm_flight_timer(flight, ngx_http_sp_llm_flight_renew,
                                 NGX_HTTP_SP_LLM_RENEW);
}


static void
ngx_http_sp_llm_flight_renew(ngx_event_t *ev)
{
    ngx_http_sp_llm_flight_t  *flight;

    flight = ev->data;

    ngx_http_sp_llm_store_put(flight, &flight->marker,
                              NGX_HTTP_SP_LLM_LEASE);

    ngx_add_timer(ev, NGX_HTTP_SP_LLM_RENEW);
}


static void
ngx_http_sp_llm_flight_timer(ngx_http_sp_llm_flight_t *flight,
    ngx_event_handler_pt handler, ngx_msec_t time)
{
    ngx_event_t  *ev;

    ev = &flight->timer;

    ev->handler = handler;
    ev->data = flight;
    ev->log = flight->ctx->request->connection->log;

    ngx_add_timer(ev, time);
}


/*
 * The request ends, or has nothing to do with its key any more.  Redis is told
 * before those who wait are woken: what they ask is asked behind it.
 */

void
ngx_http_sp_llm_flight_end(ngx_http_sp_llm_flight_t *flight,
    const ngx_http_sp_turn_t *turn)
{
    if (flight->timer.timer_set) {
        ngx_del_timer(&flight->timer);
    }

    ngx_http_sp_llm_flight_leave(flight);

    if (flight->state == NGX_HTTP_SP_LLM_RUNNING) {
        ngx_http_sp_llm_flight_answer(flight, turn);

    } else if (flight->state == NGX_HTTP_SP_LLM_ASKING) {

        /* nobody hears the answer */

        ngx_sp_op_cancel(&flight->op.op);
        ngx_http_sp_llm_store_put(flight, NULL, 0);
    }

    flight->state = NGX_HTTP_SP_LLM_ENDED;

    ngx_http_sp_llm_flight_unlist(flight);
}


static void
ngx_http_sp_llm_flight_answer(ngx_http_sp_llm_flight_t *flight,
    const ngx_http_sp_turn_t *turn)
{
    sp_replay_t                         entry;
    const ngx_str_t                    *type;
    const ngx_http_sp_llm_capture_t    *capture;

    capture = &flight->ctx->capture;
    type = &flight->ctx->request->headers_out.content_type;

    if (turn == NULL || !capture->whole
        || (turn->finish != NGX_HTTP_SP_TURN_COMPLETE
            && turn->finish != NGX_HTTP_SP_TURN_CACHED))
    {
        ngx_http_sp_llm_store_put(flight, NULL, 0);
        return;
    }

    entry = flight->marker;
    entry.state = (capture->over || capture->len > flight->store->size)
                  ? SP_REPLAY_UNKEPT : SP_REPLAY_ANSWER;
    entry.type.data = (char *) type->data;
    entry.type.len = type->len;
    entry.body.data = (char *) capture->data;
    entry.body.len = capture->len;

    ngx_http_sp_llm_store_put(flight, &entry, flight->store->ttl);
}
