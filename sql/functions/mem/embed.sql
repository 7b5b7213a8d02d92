-- Vectors for memories that people write.


-- A job where there is something to do and no job that waits; one that runs
-- may have read before this was written.

create or replace function mem.embed_enqueue() returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if not mem.has_vectors()
       or not exists (select from mem.memory as m
                       where m.embed_model is null and m.invalid_at is null)
       or exists (select from gateway.job as j
                   where j.kind = 'memory_embed' and j.state = 'ready')
    then
        return false;
    end if;

    perform gateway.job_enqueue('memory_embed', '{}', 'all');
    return true;
end
$$;


-- {"user_id", "character_id", "rows": [[id, hash, text], ...]}, oldest first
-- and of one scope, which the embedder is asked for; NULL: nothing to do.

create or replace function mem.embed_input(at_most int) returns jsonb
language sql stable
set search_path = ''
as $$
    with first as (
        select x.scope_id, x.user_id, x.character_id
          from mem.memory as x
         where x.embed_model is null and x.invalid_at is null
           and mem.has_vectors()
         order by x.created_at, x.id
         limit 1
    ), batch as (
        select m.id, m.hash, m.content, m.created_at
          from mem.memory as m, first
         where m.scope_id = first.scope_id and m.embed_model is null
           and m.invalid_at is null
         order by m.created_at, m.id
         limit at_most
    )
    select jsonb_build_object('user_id', first.user_id,
               'character_id', first.character_id, 'rows',
               (select jsonb_agg(jsonb_build_array(b.id,
                                     encode(b.hash, 'hex'), b.content)
                                 order by b.created_at, b.id)
                  from batch as b))
      from first
$$;


-- items: [{"id","hash","embedding" or null}].  Returns how many were written;
-- NULL: the lease was lost.  A text that was edited meanwhile keeps waiting.

create or replace function mem.embed_apply(job_id bigint, job_epoch bigint,
    items jsonb, model text)
returns int
language plpgsql
set search_path = ''
as $$
declare
    n  int;
begin
    perform from gateway.job as j
      where j.id = job_id and j.epoch = job_epoch and j.state = 'running'
        for update;

    if not found then
        return null;
    end if;

    update mem.memory as m
       set embedding = i.embedding::text::ext.halfvec,
           embed_model = case when i.embedding is null then ''
                              else model end
      from jsonb_to_recordset(items) as i (id uuid, hash text,
                                           embedding jsonb)
     where m.id = i.id and m.hash = decode(i.hash, 'hex')
       and m.embed_model is null;

    get diagnostics n = row_count;

    perform mem.embed_enqueue();
    return n;
end
$$;


grant execute on function mem.embed_enqueue(), mem.embed_input(int),
    mem.embed_apply(bigint, bigint, jsonb, text)
    to sallyport_gateway;
