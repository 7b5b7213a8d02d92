-- Memories: inserted, confirmed, evicted.


create or replace function mem.confirm(memory_id uuid) returns void
language sql
set search_path = ''
as $$
    update mem.memory
       set confirmations = confirmations + 1, confirmed_at = now()
     where id = memory_id
$$;


-- Text that tries to command the model is not a memory.

create or replace function mem.looks_like_instruction(text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
    select $1 ~* ('(ignore|disregard|forget) .{0,30}(instruction|prompt|rule)'
                  '|system prompt|you (must|should|will) (now )?(always|never'
                  '|act|answer|respond|obey)|<\|?/?(im_start|im_end|system)'
                  '|^\s*(system|assistant|developer)\s*:')
$$;


create or replace function mem.insert_memory(s mem.scope, content text,
    kind text, subject text, importance int, event_on date, src bigint,
    embedding jsonb, model text, actor text)
returns uuid
language plpgsql
set search_path = ''
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

create or replace function mem.evict(in_scope bigint) returns void
language sql
set search_path = ''
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


grant execute on function mem.confirm(uuid), mem.evict(bigint)
    to sallyport_gateway;
grant execute on function mem.looks_like_instruction(text),
    mem.insert_memory(mem.scope, text, text, text, int, date, bigint, jsonb,
        text, text)
    to sallyport_user, sallyport_gateway;
