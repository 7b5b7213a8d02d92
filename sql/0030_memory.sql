-- Long-term memory: what a character knows of a user.
--
-- A scope is one (user, character).  Raw turns are chat.message rows with a
-- place (scope_seq) in it; memories are what was extracted from them or
-- written by the user.  Sets are small and scanned exactly: there is no
-- approximate index (it loses rows under a filter).

create table mem.scope (
    id              bigint generated always as identity primary key,
    tenant          text not null default 'main',
    user_id         uuid not null references auth.users on delete cascade,
    character_id    uuid not null references chat.character
                    on delete cascade,

    -- false: paused by the user, neither read nor written
    enabled         boolean not null default true,

    -- raised by a wipe; a job of an older epoch may not write
    epoch           int not null default 0,
    msg_seq         bigint not null default 0,
    enqueued_upto   bigint not null default 0,
    extracted_upto  bigint not null default 0,

    -- turns up to here are no longer recalled or extracted
    forgotten_upto  bigint not null default 0,
    profile         text not null default '',
    profile_rev     int not null default 0,
    settings        jsonb not null default '{}',
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    unique (tenant, user_id, character_id)
);

create index on mem.scope (user_id, character_id);


-- "embedding halfvec" is added by mem.vector_setup().

create table mem.memory (
    id              uuid primary key default gen_random_uuid(),
    scope_id        bigint not null references mem.scope on delete cascade,
    user_id         uuid not null,
    character_id    uuid not null,
    kind            text not null default 'event'
                    check (kind in ('profile', 'preference', 'relationship',
                                    'event', 'promise')),
    subject         text not null default '' check (length(subject) <= 100),
    content         text not null check (length(content) between 1 and 300),
    hash            bytea not null,
    tsv             tsvector not null,
    embed_model     text,
    importance      int not null default 5 check (importance between 1 and 10),
    event_on        date,
    valid_from      timestamptz not null default now(),
    invalid_at      timestamptz,
    superseded_by   uuid,
    src_from        bigint,
    src_to          bigint,
    pinned          boolean not null default false,
    user_edited     boolean not null default false,

    -- "do not mention": kept, never injected
    hidden          boolean not null default false,
    confirmations   int not null default 0,

    -- age counts from the user's last confirmation, not from retrieval
    confirmed_at    timestamptz not null default now(),
    expires_at      timestamptz,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now()
);

create unique index on mem.memory (scope_id, hash) where invalid_at is null;
create index on mem.memory (user_id, scope_id) where invalid_at is null;
create index on mem.memory (user_id, created_at desc, id desc)
    where invalid_at is null;


-- What was deleted is not extracted again.  Only the hash is kept.

create table mem.tombstone (
    scope_id    bigint not null references mem.scope on delete cascade,
    user_id     uuid not null,
    hash        bytea not null,
    deleted_at  timestamptz not null default now(),
    primary key (scope_id, hash)
);


create table mem.audit (
    id           bigint generated always as identity primary key,
    scope_id     bigint not null references mem.scope on delete cascade,
    user_id      uuid not null,
    memory_id    uuid,
    op           text not null,
    actor        text not null check (actor in ('user', 'extraction',
                                                'gateway')),
    before_hash  bytea,
    after_hash   bytea,
    at           timestamptz not null default now()
);

create index on mem.audit (user_id, id);


do $$
declare
    t  text;
begin
    foreach t in array array['scope', 'memory', 'tombstone', 'audit']
    loop
        execute format('alter table mem.%I enable row level security', t);
        execute format('alter table mem.%I force row level security', t);
        execute format('create policy own on mem.%I to sallyport_user '
                       'using (user_id = (select auth.uid())) '
                       'with check (user_id = (select auth.uid()))', t);
        execute format('create policy gateway on mem.%I '
                       'to sallyport_gateway using (true) with check (true)',
                       t);
        execute format('grant select, insert, update, delete on mem.%I '
                       'to sallyport_gateway', t);
    end loop;
end
$$;

grant select, insert, update on mem.scope to sallyport_user;
grant select, insert, update, delete on mem.memory to sallyport_user;
grant select, insert on mem.tombstone, mem.audit to sallyport_user;


-- Sameness of two memories: case, spaces and closing marks do not count.

create function mem.hash(text) returns bytea
language sql immutable parallel safe
as $$
    select sha256(convert_to(
        btrim(regexp_replace(lower($1), '\s+', ' ', 'g'), ' .!?'), 'UTF8'))
$$;

create function mem.has_vectors() returns boolean
language sql stable parallel safe
as $$
    select exists (select from pg_attribute
                    where attrelid = 'mem.memory'::regclass
                      and attname = 'embedding' and not attisdropped)
$$;


-- Switches the vector arm on as soon as the extension is there; called by
-- every run of sql/apply.  Returns whether there are vectors.

create function mem.vector_setup() returns boolean
language plpgsql
as $$
begin
    if not exists (select from pg_extension where extname = 'vector') then
        if not exists (select from pg_available_extensions
                        where name = 'vector')
        then
            return false;
        end if;

        begin
            create extension vector with schema ext;
        exception
            when insufficient_privilege then return false;
        end;
    end if;

    if (select n.nspname
          from pg_extension as e
          join pg_namespace as n on n.oid = e.extnamespace
         where e.extname = 'vector') <> 'ext'
    then
        alter extension vector set schema ext;
    end if;

    grant execute on all functions in schema ext
        to sallyport_user, sallyport_gateway;

    -- a row must fit its page: up to about 3,900 dimensions
    if not mem.has_vectors() then
        alter table mem.memory add column embedding ext.halfvec;
        alter table mem.memory alter column embedding set storage plain;
    end if;

    return true;
end
$$;

select mem.vector_setup()
\g /dev/null


-- Places for n messages in a scope, made on first use; locks the scope.
-- NULL: none wanted, or the user has paused this scope.

create function mem.take_places(for_user uuid, for_character uuid, n int)
returns bigint
language plpgsql
as $$
declare
    s  mem.scope;
begin
    insert into mem.scope (user_id, character_id)
    values (for_user, for_character)
        on conflict (tenant, user_id, character_id) do nothing;

    select * into strict s
      from mem.scope
     where tenant = 'main' and user_id = for_user
       and character_id = for_character
       for update;

    if coalesce(n, 0) = 0 or not s.enabled then
        return null;
    end if;

    update mem.scope
       set msg_seq = s.msg_seq + n, updated_at = now()
     where id = s.id;

    return s.msg_seq + 1;
end
$$;


-- One extraction job for all messages that have none yet.

create function mem.enqueue(s mem.scope) returns void
language plpgsql
as $$
begin
    perform gateway.job_enqueue('memory_extract',
        jsonb_build_object('scope_id', s.id::text, 'epoch', s.epoch,
                           'from', s.enqueued_upto + 1, 'to', s.msg_seq),
        'scope:' || s.id,
        s.id || ':' || s.epoch || ':' || (s.enqueued_upto + 1));

    update mem.scope
       set enqueued_upto = s.msg_seq, updated_at = now()
     where id = s.id;
end
$$;

-- Due at 20 messages; called in the transaction that stored them.

create function mem.enqueue_due(for_user uuid, for_character uuid)
returns void
language plpgsql
as $$
declare
    s  mem.scope;
begin
    select * into s
      from mem.scope
     where tenant = 'main' and user_id = for_user
       and character_id = for_character
       for update;

    if s.msg_seq - s.enqueued_upto >= 20 then
        perform mem.enqueue(s);
    end if;
end
$$;


-- The lexemes of a text, joined by OR.  plainto_tsquery would ask for all of
-- them at once and find next to nothing in a chat.  NULL: it has none.

create function mem.or_query(text) returns tsquery
language sql immutable parallel safe
as $$
    select string_agg('''' || replace(replace(l.lexeme, '\', '\\'),
                                      '''', '''''') || '''', ' | ')::tsquery
      from (select u.lexeme
              from unnest(chat.tsv(left($1, 4000))) as u
             order by u.positions[1]
             limit 48) as l
$$;


-- Memories of a scope with their score.  l: lexical rank, v: cosine
-- similarity (0 where there is no embedding of this model).

create type mem.candidate as (
    id          uuid,
    content     text,
    day         date,
    kind        text,
    importance  int,
    pinned      boolean,
    since       timestamptz,
    l           real,
    v           real
);

create function mem.lexical_candidates(in_scope bigint, query tsquery)
returns setof mem.candidate
language sql stable
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

create function mem.vector_candidates(in_scope bigint, query tsquery,
    embedding text, model text)
returns setof mem.candidate
language plpgsql stable
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

create function mem.recall(character_id uuid, query text,
    embedding text default null, model text default '',
    context text default '', weight_vector real default 1.0,
    weight_lexical real default 0.7, floor real default 0.25,
    facts int default 60, turns int default 20)
returns table (source text, id uuid, role text, content text, day date,
    score real)
language plpgsql stable
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

create function mem.rank_facts(candidates mem.candidate[],
    weight_vector real, weight_lexical real, floor real, at_most int)
returns table (source text, id uuid, role text, content text, day date,
    score real)
language sql stable
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


-- Extraction ----------------------------------------------------------------

-- What a job may read, as lines of data: six turns before its range for
-- reference, the memories they resemble as refs 0..9, and the turns.  Never a
-- system text, a card or a recalled block: those are not in chat.message.
--
--     before 12 user: ...
--     memory 0: The dog is called Rex.
--     day 2026-05-14
--     13 user: ...
--     14 assistant: ...
--
-- NULL: the scope was wiped or paused, or the range is done.

create function mem.extract_input(in_scope bigint, in_epoch int,
    from_seq bigint, to_seq bigint)
returns jsonb
language plpgsql stable
as $$
declare
    old    record;
    q      tsquery;
    s      mem.scope;
    turns  text;
begin
    select * into s from mem.scope where id = in_scope;

    if not found or s.epoch <> in_epoch or not s.enabled
       or s.extracted_upto >= to_seq
    then
        return null;
    end if;

    select mem.or_query(string_agg(left(m.content, 400), E'\n')) into q
      from chat.message as m
     where m.user_id = s.user_id and m.character_id = s.character_id
       and m.scope_seq between from_seq and to_seq and m.role = 'user';

    select string_agg('memory ' || k.n - 1 || ': ' || mem.one_line(k.content),
                      E'\n' order by k.n) as lines,
           coalesce(jsonb_agg(k.id order by k.n), '[]') as refs
      into old
      from mem.similar(s.id, q) as k;

    turns := mem.extract_lines(s, from_seq, to_seq, '');

    return jsonb_build_object('refs', old.refs, 'transcript',
        case when turns is not null then
            concat_ws(E'\n',
                mem.extract_lines(s, from_seq - 6, from_seq - 1, 'before '),
                old.lines, turns)
        end);
end
$$;

-- A turn is one line: its text cannot pose as another turn.

create function mem.one_line(text) returns text
language sql immutable parallel safe
as $$
    select regexp_replace($1, '[[:cntrl:][:space:]]+', ' ', 'g')
$$;

create function mem.extract_lines(s mem.scope, from_seq bigint,
    to_seq bigint, prefix text)
returns text
language sql stable
as $$
    select string_agg(
               case when t.day is distinct from t.day_before
                    then 'day ' || t.day || E'\n' else '' end
               || prefix || t.scope_seq || ' ' || t.role || ': ' || t.line,
               E'\n' order by t.scope_seq)
      from (select m.scope_seq, m.role, m.created_at::date as day,
                   lag(m.created_at::date) over (order by m.scope_seq)
                       as day_before,
                   mem.one_line(left(m.content, 4000)) as line
              from chat.message as m
             where m.user_id = s.user_id
               and m.character_id = s.character_id
               and m.scope_seq between greatest(from_seq,
                                                s.forgotten_upto + 1)
                                   and to_seq) as t
$$;

create function mem.similar(in_scope bigint, q tsquery)
returns table (n bigint, id uuid, content text)
language sql stable
as $$
    select row_number() over (order by ts_rank(m.tsv, q) desc, m.id),
           m.id, m.content
      from mem.memory as m
     where m.scope_id = in_scope and m.invalid_at is null
       and m.tsv @@ q
     order by 1
     limit 10
$$;


-- Share of the content words of a memory that occur in its source.

create function mem.grounding(content text, source text) returns real
language sql immutable
as $$
    select coalesce(avg((u.lexeme = any (tsvector_to_array(
                             chat.tsv(source))))::int), 0)::real
      from unnest(chat.tsv(content)) as u
$$;


-- Keeps a result with its job, so that a crash later does not pay for the
-- model again.  False: the lease was lost.  (The core's job_save asks for
-- the owner's name, which a job handler does not know; the epoch is unique to
-- its claim.)

create function mem.extract_save(job_id bigint, job_epoch bigint,
    result jsonb)
returns boolean
language plpgsql
as $$
begin
    update gateway.job as j
       set result = extract_save.result, updated_at = now()
     where j.id = job_id and j.epoch = job_epoch and j.state = 'running';

    return found;
end
$$;


-- The final transaction.  items: [{"op","text","kind","subject","importance",
-- "event_on","src_seq","ref"?,"embedding"?}], as the model gave them: each is
-- checked here and refused alone.  The ids behind "ref" are in refs, kept
-- with the job when it read its input.  Returns {"added","replaced",
-- "confirmed","refused"}, or NULL when this job may not write: its lease was
-- lost, or the scope was wiped meanwhile.

create function mem.extract_apply(job_id bigint, job_epoch bigint,
    in_scope bigint, in_epoch int, from_seq bigint, to_seq bigint,
    items jsonb, refs uuid[], model text)
returns jsonb
language plpgsql
as $$
declare
    counts   jsonb := '{"added": 0, "replaced": 0, "confirmed": 0,
                        "refused": 0}';
    item     jsonb;
    outcome  text;
    s        mem.scope;
begin
    perform from gateway.job as j
      where j.id = job_id and j.epoch = job_epoch and j.state = 'running'
        for update;

    if not found then
        return null;
    end if;

    select * into s from mem.scope where id = in_scope for update;

    if not found or s.epoch <> in_epoch or not s.enabled
       or s.extracted_upto >= to_seq
    then
        return null;
    end if;

    for item in
        select t.value from jsonb_array_elements(items) as t limit 12
    loop
        begin
            outcome := mem.extract_one(s, from_seq, to_seq, item, refs,
                                       model);
        exception
            -- a value of the wrong type is the model's fault, not a failure
            when data_exception or integrity_constraint_violation then
                outcome := 'refused';
        end;

        counts := jsonb_set(counts, array[outcome],
            to_jsonb((counts ->> outcome)::int + 1));
    end loop;

    perform mem.evict(s.id);

    update mem.scope
       set extracted_upto = to_seq, updated_at = now()
     where id = s.id;

    return counts;
end
$$;


-- One item of the model: "added", "replaced", "confirmed" or "refused".

create function mem.extract_one(s mem.scope, from_seq bigint, to_seq bigint,
    item jsonb, refs uuid[], model text)
returns text
language plpgsql
as $$
declare
    done      text := 'added';
    h         bytea;
    old       mem.memory;
    op        text := lower(coalesce(item ->> 'op', 'add'));
    new_id    uuid;
    src       bigint := (item ->> 'src_seq')::bigint;
    source    text;
    new_text  text := btrim(regexp_replace(
                  coalesce(item ->> 'text', ''), '[[:cntrl:]\s]+', ' ',
                  'g'));
begin
    if op not in ('add', 'replace', 'confirm') or src is null
       or src not between from_seq and to_seq
       or src <= s.forgotten_upto
    then
        return 'refused';
    end if;

    if item ? 'ref' and jsonb_typeof(item -> 'ref') = 'number' then
        select * into old
          from mem.memory as m
         where m.id = refs[(item ->> 'ref')::int + 1]
           and m.scope_id = s.id and m.invalid_at is null;
    end if;

    if op = 'confirm' then
        if old.id is null then
            return 'refused';
        end if;

        perform mem.confirm(old.id);
        return 'confirmed';
    end if;

    -- the message it was taken from, and the two around it
    select string_agg(m.content, E'\n') into source
      from chat.message as m
     where m.user_id = s.user_id and m.character_id = s.character_id
       and m.scope_seq between greatest(src - 2, from_seq)
                           and least(src + 1, to_seq);

    h := mem.hash(new_text);

    if length(new_text) not between 3 and 300
       or mem.looks_like_instruction(new_text)
       or mem.grounding(new_text, coalesce(source, '')) < 0.5
       or exists (select from mem.tombstone as t
                   where t.scope_id = s.id and t.hash = h)
    then
        return 'refused';
    end if;

    select m.id into new_id
      from mem.memory as m
     where m.scope_id = s.id and m.hash = h and m.invalid_at is null;

    if new_id is not null then
        perform mem.confirm(new_id);
        return 'confirmed';
    end if;

    new_id := mem.insert_memory(s, new_text,
        coalesce(item ->> 'kind', 'event'),
        left(coalesce(item ->> 'subject', ''), 100),
        greatest(1, least(10, coalesce(round((item ->> 'importance')
                                             ::numeric)::int, 5))),
        nullif(item ->> 'event_on', '')::date, src,
        item -> 'embedding', model, 'extraction');

    if op = 'replace' and old.id is not null
       and not old.pinned and not old.user_edited
    then
        update mem.memory
           set invalid_at = now(), superseded_by = new_id,
               updated_at = now()
         where id = old.id;
        done := 'replaced';
    end if;

    return done;
end
$$;

create function mem.confirm(memory_id uuid) returns void
language sql
as $$
    update mem.memory
       set confirmations = confirmations + 1, confirmed_at = now()
     where id = memory_id
$$;

-- Text that tries to command the model is not a memory.

create function mem.looks_like_instruction(text) returns boolean
language sql immutable parallel safe
as $$
    select $1 ~* ('(ignore|disregard|forget) .{0,30}(instruction|prompt|rule)'
                  '|system prompt|you (must|should|will) (now )?(always|never'
                  '|act|answer|respond|obey)|<\|?/?(im_start|im_end|system)'
                  '|^\s*(system|assistant|developer)\s*:')
$$;

create function mem.insert_memory(s mem.scope, content text, kind text,
    subject text, importance int, event_on date, src bigint,
    embedding jsonb, model text, actor text)
returns uuid
language plpgsql
as $$
declare
    new_id  uuid;
begin
    insert into mem.memory (scope_id, user_id, character_id, kind, subject,
        content, hash, tsv, importance, event_on, src_from, src_to,
        user_edited)
    values (s.id, s.user_id, s.character_id, kind, subject, content,
        mem.hash(content), chat.tsv(subject || ' ' || content), importance,
        event_on, src, src, actor = 'user')
    returning id into new_id;

    if jsonb_typeof(embedding) = 'array' and mem.has_vectors() then
        update mem.memory
           set embedding = insert_memory.embedding::text::ext.halfvec,
               embed_model = model
         where id = new_id;
    end if;

    insert into mem.audit (scope_id, user_id, memory_id, op, actor,
        after_hash)
    values (s.id, s.user_id, new_id, 'add', actor, mem.hash(content));

    return new_id;
end
$$;


-- At most 1,000 active memories in a scope: the weakest go first, never what
-- the user pinned or wrote.

create function mem.evict(in_scope bigint) returns void
language sql
as $$
    delete from mem.memory
     where id in (
           select m.id
             from mem.memory as m
            where m.scope_id = in_scope and m.invalid_at is null
              and not m.pinned and not m.user_edited
            order by m.importance, m.confirmations, m.confirmed_at
            limit greatest(0, (select count(*) - 1000
                                 from mem.memory as a
                                where a.scope_id = in_scope
                                  and a.invalid_at is null)))
$$;


grant execute on function mem.hash(text), mem.has_vectors(),
    mem.or_query(text), mem.looks_like_instruction(text),
    mem.insert_memory(mem.scope, text, text, text, int, date, bigint, jsonb,
                      text, text)
    to sallyport_user, sallyport_gateway;
grant execute on function
    mem.lexical_candidates(bigint, tsquery),
    mem.vector_candidates(bigint, tsquery, text, text),
    mem.rank_facts(mem.candidate[], real, real, real, int),
    mem.recall(uuid, text, text, text, text, real, real, real, int, int)
    to sallyport_user;
grant execute on function
    mem.take_places(uuid, uuid, int), mem.enqueue(mem.scope),
    mem.enqueue_due(uuid, uuid),
    mem.extract_input(bigint, int, bigint, bigint),
    mem.extract_lines(mem.scope, bigint, bigint, text),
    mem.one_line(text),
    mem.similar(bigint, tsquery), mem.grounding(text, text),
    mem.extract_save(bigint, bigint, jsonb),
    mem.extract_apply(bigint, bigint, bigint, int, bigint, bigint, jsonb,
                      uuid[], text),
    mem.extract_one(mem.scope, bigint, bigint, jsonb, uuid[], text),
    mem.confirm(uuid), mem.evict(bigint)
    to sallyport_gateway;
