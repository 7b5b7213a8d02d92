-- Recall: candidates by words and by meaning, ranked.


-- The lexemes of a text, joined by OR.  plainto_tsquery would ask for all of
-- them at once and find next to nothing in a chat.  NULL: it has none.

create or replace function mem.or_query(text) returns tsquery
language sql immutable parallel safe
set search_path = ''
as $$
    select string_agg('''' || replace(replace(l.lexeme, '\', '\\'),
                                      '''', '''''') || '''', ' | ')::tsquery
      from (select u.lexeme
              from unnest(chat.tsv(left($1, 4000))) as u
             order by u.positions[1]
             limit 48) as l
$$;


create or replace function mem.lexical_candidates(in_scope bigint,
    query tsquery)
returns setof mem.candidate
language sql stable
set search_path = ''
as $$
    select m.id, m.content, coalesce(m.event_on, m.created_at::date),
           m.kind, m.importance, m.pinned, m.confirmed_at,
           coalesce(ts_rank(m.tsv, query), 0), 0::real
      from mem.memory as m
     where m.user_id = (select auth.uid()) and m.scope_id = in_scope
       and m.invalid_at is null and not m.hidden
       and (m.expires_at is null or m.expires_at > now())
       and (m.pinned or m.tsv @@ query)
$$;


-- plpgsql, because the column and the type may not exist: a statement is
-- looked at when it is first run

create or replace function mem.vector_candidates(in_scope bigint,
    query tsquery, embedding text, model text)
returns setof mem.candidate
language plpgsql stable
set search_path = ''
as $$
begin
    return query
    with wanted as materialized (
        -- read once, not per row
        select vector_candidates.embedding::ext.halfvec as v
    )
    select m.id, m.content, coalesce(m.event_on, m.created_at::date),
           m.kind, m.importance, m.pinned, m.confirmed_at,
           coalesce(ts_rank(m.tsv, query), 0),
           case when m.embed_model = vector_candidates.model
                then 1 - (m.embedding operator(ext.<=>) wanted.v)
                else 0
           end::real
      from mem.memory as m, wanted
     where m.user_id = (select auth.uid()) and m.scope_id = in_scope
       and m.invalid_at is null and not m.hidden
       and (m.expires_at is null or m.expires_at > now());
end
$$;


-- Recall: memories ("fact") and raw turns ("turn") of the caller with a
-- character, best first within each source.
--
--   embedding   '[0.1,...]' of the query, or NULL: lexical only
--   model       what made it; vectors of other models do not vote
--   context     the assistant's sentence before, used for short questions
--   weight_*    votes of the two arms; floor: least similarity that votes
--   facts, turns   how many of each at most

create or replace function mem.recall(character_id uuid, query text,
    embedding text default null, model text default '',
    context text default '', weight_vector real default 1.0,
    weight_lexical real default 0.7, floor real default 0.25,
    facts int default 60, turns int default 20)
returns table (source text, id uuid, role text, content text, day date,
    score real)
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
    q  tsquery := mem.or_query(query);
    s  mem.scope;
begin
    select * into s
      from mem.scope as x
     where x.user_id = (select auth.uid()) and x.tenant = 'main'
       and x.character_id = recall.character_id;

    if not found or not s.enabled then
        return;
    end if;

    -- fewer than four words that count
    if context <> '' and coalesce(numnode(q), 0) < 7 then
        q := coalesce(q || mem.or_query(context), q, mem.or_query(context));
    end if;

    if facts > 0 and embedding is not null and mem.has_vectors() then
        return query
        select * from mem.rank_facts(
            array(select c from mem.vector_candidates(s.id, q, embedding,
                                                      model) as c),
            weight_vector, weight_lexical, floor, facts);

    elsif facts > 0 then
        return query
        select * from mem.rank_facts(
            array(select c from mem.lexical_candidates(s.id, q) as c),
            0, weight_lexical, 1, facts);
    end if;

    if turns > 0 then
        return query
        select 'turn', t.id, t.role, t.content, t.created_at::date, t.rank
          from (select m.id, m.role, m.content, m.created_at, m.scope_seq,
                       (ts_rank(m.tsv, q)
                        * case m.role when 'user' then 1 else 0.5 end
                       )::real as rank
                  from chat.message as m
                 where m.user_id = (select auth.uid())
                   and m.character_id = recall.character_id
                   and m.scope_seq > greatest(s.forgotten_upto,
                                              s.msg_seq - 4000)
                   and m.tsv @@ q) as t
         order by t.rank desc, t.scope_seq desc
         limit turns;
    end if;
end
$$;


-- Reciprocal rank fusion of the arms, times strength and recency.

create or replace function mem.rank_facts(candidates mem.candidate[],
    weight_vector real, weight_lexical real, floor real, at_most int)
returns table (source text, id uuid, role text, content text, day date,
    score real)
language sql stable
set search_path = ''
as $$
    with ranked as (
        select c.*,
               rank() over (order by c.v desc) as rank_v,
               rank() over (order by c.l desc) as rank_l,
               extract(epoch from now() - c.since) / 86400 as age
          from unnest(candidates) as c
    ), scored as (
        select r.*,
               (case when r.pinned then 1.0 / 61 else 0 end
                + case when r.v >= floor and weight_vector > 0
                       then weight_vector / (60 + r.rank_v) else 0 end
                + case when r.l > 0
                       then weight_lexical / (60 + r.rank_l) else 0 end)
               * (0.7 + 0.03 * r.importance)
               * (0.8 + 0.2 * case r.kind
                              when 'event' then power(0.5, r.age / 30)
                              when 'promise' then power(0.5, r.age / 60)
                              when 'preference' then power(0.5, r.age / 180)
                              else 1 end) as fused
          from ranked as r
    )
    select 'fact', s.id, null::text, s.content, s.day, s.fused::real
      from scored as s
     where s.fused > 0
     order by s.fused desc, s.id
     limit at_most
$$;


grant execute on function mem.or_query(text)
    to sallyport_user, sallyport_gateway;
grant execute on function mem.lexical_candidates(bigint, tsquery),
    mem.vector_candidates(bigint, tsquery, text, text),
    mem.recall(uuid, text, text, text, text, real, real, real, int, int),
    mem.rank_facts(mem.candidate[], real, real, real, int)
    to sallyport_user;
