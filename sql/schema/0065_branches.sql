-- A chat is a tree: each message names the one that it follows.

alter table chat.message
    -- NULL: a beginning.  Questions follow replies, replies follow questions
    add column parent_id  uuid references chat.message (id)
                          on delete cascade,

    -- the client has said where it belongs: it stays there
    add column placed     boolean not null default false,

    -- how a reply ended, NULL for what a user says
    add column finish     text check (finish in ('complete', 'length',
                              'content_filter', 'partial', 'failed',
                              'refused'));

-- where the next question goes, and since when; a chat that is gone takes its
-- messages with it, so there is no key back
alter table chat.chat
    add column leaf_id  uuid,
    add column leaf_at  timestamptz not null default '-infinity';


-- what was one line stays one

alter table chat.message no force row level security;
alter table chat.chat no force row level security;

update chat.message as m
   set parent_id = before.id,
       finish = case when m.role = 'user' then null
                     when m.partial then 'partial'
                     else 'complete' end
  from (select x.id as message_id,
               lag(x.id) over (partition by x.chat_id order by x.seq) as id
          from chat.message as x) as before
 where before.message_id = m.id;

update chat.chat as c
   set leaf_id = m.id, leaf_at = m.created_at
  from chat.message as m
 where m.chat_id = c.id and m.seq = c.last_seq;

alter table chat.message force row level security;
alter table chat.chat force row level security;


alter table chat.message
    drop column partial,
    add check ((role = 'user') = (finish is null));

create index on chat.message (parent_id);
create index on chat.message (chat_id) where parent_id is null;

-- a question that was stored is not in the spool
create trigger durable before insert on chat.message
    for each statement execute function gateway.durable();
