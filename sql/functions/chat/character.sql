-- Characters, as the model reads them.


-- What a character brings to the prompt: no row when there is none that the
-- caller may see (public, or the caller's own).  The platform's rules come
-- from the gateway's configuration, before this text.

create or replace function chat.character_prompt(character_id uuid)
returns table (name text, prompt text, model text, is_public boolean)
language sql stable
set search_path = ''
as $$
    select c.name,
           replace(concat_ws(E'\n\n',
               coalesce(nullif(c.system_prompt, ''),
                        'You are {{char}}. Stay in character.'),
               'Description: ' || nullif(c.description, ''),
               'Personality: ' || nullif(c.personality, ''),
               'Scenario: ' || nullif(c.scenario, '')),
               '{{char}}', c.name),
           coalesce(c.model, ''),
           c.is_public
      from chat.character as c
     where c.id = $1 and c.deleted_at is null
$$;


grant execute on function chat.character_prompt(uuid)
    to sallyport_anon, sallyport_user;
