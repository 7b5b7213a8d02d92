-- Extraction: what the model reads, and what is kept of its answer.


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
-- "owner" is the user and the character that the model is asked for.
--
-- NULL: the scope was wiped or paused, or the range is done.

create or replace function mem.extract_input(in_scope bigint, in_epoch int,
    from_seq bigint, to_seq bigint)
returns jsonb
language plpgsql stable
set search_path = ''
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

    return jsonb_build_object('refs', old.refs, 'owner',
        jsonb_build_array(s.user_id, s.character_id), 'transcript',
        case when turns is not null then
            concat_ws(E'\n',
                mem.extract_lines(s, from_seq - 6, from_seq - 1, 'before '),
                old.lines, turns)
        end);
end
$$;


-- A turn is one line: its text cannot pose as another turn.

create or replace function mem.one_line(text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
    select regexp_replace($1, '[[:cntrl:][:space:]]+', ' ', 'g')
$$;


create or replace function mem.extract_lines(s mem.scope, from_seq bigint,
    to_seq bigint, prefix text)
returns text
language sql stable
set search_path = ''
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


create or replace function mem.similar(in_scope bigint, q tsquery)
returns table (n bigint, id uuid, content text)
language sql stable
set search_path = ''
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

create or replace function mem.grounding(content text, source text)
returns real
language sql immutable
set search_path = ''
as $$
    select coalesce(avg((u.lexeme = any (tsvector_to_array(
                             chat.tsv(source))))::int), 0)::real
      from unnest(chat.tsv(content)) as u
$$;


-- Keeps a result with its job, so that a crash later does not pay for the
-- model again.  False: the lease was lost.  (The core's job_save asks for
-- the owner's name, which a job handler does not know; the epoch is unique to
-- its claim.)

create or replace function mem.extract_save(job_id bigint, job_epoch bigint,
    result jsonb)
returns boolean
language plpgsql
set search_path = ''
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

create or replace function mem.extract_apply(job_id bigint, job_epoch bigint,
    in_scope bigint, in_epoch int, from_seq bigint, to_seq bigint,
    items jsonb, refs uuid[], model text)
returns jsonb
language plpgsql
set search_path = ''
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

create or replace function mem.extract_one(s mem.scope, from_seq bigint,
    to_seq bigint, item jsonb, refs uuid[], model text)
returns text
language plpgsql
set search_path = ''
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


grant execute on function mem.extract_input(bigint, int, bigint, bigint),
    mem.one_line(text), mem.extract_lines(mem.scope, bigint, bigint, text),
    mem.similar(bigint, tsquery), mem.grounding(text, text),
    mem.extract_save(bigint, bigint, jsonb),
    mem.extract_apply(bigint, bigint, bigint, int, bigint, bigint, jsonb,
        uuid[], text),
    mem.extract_one(mem.scope, bigint, bigint, jsonb, uuid[], text)
    to sallyport_gateway;
