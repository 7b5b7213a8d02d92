#!/usr/bin/perl

# llm_chat: a message for a chat whose history the gateway has. What the model
# reads, the answer, the ids; edits, other answers; whose it is; bad input.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

my $key = Sallyport::JWT->new('HS256', kid => 'k');
my $anna = '00000000-0000-4000-8000-00000000000a';
my $bert = '00000000-0000-4000-8000-00000000000b';
my $mira = '00000000-0000-4000-8000-0000000000d1';

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             redis_server main %%REDIS%%;
             turn_store main flush=1m; turn_spool %%DIR%%/spool;
             auth_jwt_key_file %%DIR%%/jwks.json;
             llm_chats main timeout=300ms;
             llm_characters main;
             llm_message_limit 100;
             moderation_rules %%DIR%%/test.rules;
             llm_provider down { url http://127.0.0.1:%%PORT2%%;
                                 key_file %%DIR%%/key; model m as=down; }
             llm_provider claude { dialect anthropic;
                                 url http://127.0.0.1:%%PORT1%%/messages/v1;
                                 key_file %%DIR%%/key; model c as=claude; }',
    location => 'auth_jwt "test";',
    server => '
        location ~ ^/api/v1/chats/(?<chat>[^/]+)/messages$ {
            auth_jwt "test" optional;
            error_page 418 = @data;
            if ($request_method != POST) { return 418; }
            moderation input;
            llm_chat default chat=$chat timeout=500ms;
        }
        location @data { auth_jwt "test"; pg_call main api; }
        location ~ ^/short/(?<chat>[^/]+)$ {
            auth_jwt "test"; llm_chat default chat=$chat history=2;
        }
        location ~ ^/keyed/(?<chat>[^/]+)$ {
            auth_jwt "test"; llm_idempotency main;
            llm_chat default chat=$chat;
        }
        location ~ ^/first/(?<chat>[^/]+)$ {
            auth_jwt "test"; error_page 502 = @second;
            llm_chat down chat=$chat;
        }
        location = /completion {
            auth_jwt "test"; error_page 502 = @chat; llm_pass down;
        }
        location @chat { auth_jwt "test"; llm_chat default chat=$http_x_chat; }
        location @second { auth_jwt "test" token=$http_x_second;
                           llm_pass default; }',
    prepare => sub {
        my ($t) = @_;

        $t->redis;
        $t->file('jwks.json', jwks($key), 0600);
        $t->file('test.rules', "[t.mask category=test action=mask]\n"
                               . "secret\n[t.block category=test severity=4]\n"
                               . "forbidden\n");
        $t->sql('insert into auth.users (id) values (?), (?)', $anna, $bert);
        $t->sql('insert into chat.character (id, name, system_prompt, owner_id,
                     is_public) values (?, ?, ?, null, true)',
                $mira, 'Mira', 'You are {{char}}.');
    });

my $hello = $Sallyport::Llm::hello;
my $persona = "Character: Mira\n\nYou are Mira.";
my $chats = 0;

sub token { return 'Bearer ' . $key->token({ sub => $_[0] || $anna,
                                             exp => int(time) + 600 }) }

sub chat {
    my ($who) = @_;
    my $id = sprintf '00000000-0000-4000-8000-%012d', ++$chats;

    $t->sql('insert into chat.chat (id, user_id, character_id)
             values (?, ?, ?)', $id, $who || $anna, $mira);
    return $id;
}

sub post {
    my ($chat, $body, %more) = @_;

    return $t->post($more{path} || "/api/v1/chats/$chat/messages",
        { 'Content-Type' => 'application/json', exists $more{sub}
              && !$more{sub} ? () : (Authorization => token($more{sub})),
          %{ $more{headers} || {} } },
        ref $body ? $Sallyport::Llm::json->encode($body) : $body,
        $more{opt} || {});
}

sub messages {
    return [ map { $_->[0] } $t->sql('select content from chat.message
        where chat_id = ? order by seq', $_[0]) ];
}

# the log of the provider has bytes
sub decoded {
    my ($text) = @_;
    utf8::decode($text);
    return $text;
}

# what the model was sent, without the persona
sub read_of {
    my @sent = @{ $p->last_request->{json}{messages} };

    is((shift @sent)->{content}, $persona, 'the character comes first');
    return [ map { [ $_->{role}, decoded($_->{content}) ] } @sent ];
}

sub stored {
    my ($chat, $n) = @_;
    return $t->wait_until(sub { @{ messages($chat) } == $n }, 5);
}

sub user { return [ 'user', $_[0] ] }
sub reply { return [ 'assistant', $_[0] || $hello ] }


# -- one after the other, whole and as a stream

for my $opt ({}, { http2 => 1 }) {
    my $name = $opt->{http2} ? 'HTTP/2' : 'HTTP/1.1';
    my $chat = chat();
    my $res = post($chat, { content => 'one' }, opt => $opt);

    is($res->{status}, 200, "$name: answered");
    is($res->{json}{choices}[0]{message}{content}, $hello, "$name: whole");
    is_deeply(read_of(), [ user('one') ], "$name: the first message");
    ok(stored($chat, 2), "$name: stored");

    my ($ids) = $t->sql('select m.id, r.id from chat.message as m
        join chat.message as r on r.parent_id = m.id where m.chat_id = ?',
        $chat);
    is_deeply($ids, [ @{ $res->{headers} }{qw(x-message-id x-reply-id)} ],
              "$name: by the ids of the answer");

    $res = post($chat, { content => 'two', stream => \1 }, opt => $opt);
    my $said = Sallyport::Llm::parse($res->{body});

    is($said->{text}, $hello, "$name: a stream");
    ok($said->{done} && $said->{usage}, "$name: with usage, to its end");
    is_deeply(read_of(), [ user('one'), reply(), user('two') ],
              "$name: the history comes before the message");
    ok(!exists $p->last_request->{json}{metadata}, "$name: no id goes on");
    ok(stored($chat, 4), "$name: stored too");
}

cmp_ok(scalar $t->sql('select count(*) from gateway.ledger'), '>=', 4,
       'no turn has waited for others, for a minute');

my $chat = chat();
my %id;

for my $text (qw(one two three)) {
    my $res = post($chat, { content => $text });

    @id{$text, "re $text"} = @{ $res->{headers} }{qw(x-message-id x-reply-id)};
    stored($chat, keys(%id) + 0);
}

post($chat, { content => 'four' }, path => "/short/$chat");
is_deeply(read_of(), [ user('three'), reply(), user('four') ],
          'history=2: the last two');
stored($chat, 8);

for my $opt ({}, { http2 => 1 }) {
    my $res = $t->get("/api/v1/chats/$chat/messages?limit=1",
                      { Authorization => token() }, $opt);

    is($res->{status}, 200, 'GET is the data API\'s');
    is($res->{json}{data}[0]{content}, $hello, 'with its arguments');
    is(@{ $res->{json}{data} }, 1, 'all of them');
}
is($t->request('DELETE', "/api/v1/chats/$chat/messages",
               { Authorization => token() })->{status}, 405,
   'DELETE, too, which it has not');


# -- edit, again, branch

my $res = post($chat, { content => 'two!', parent_id => $id{'re one'} });
is_deeply(read_of(), [ user('one'), reply(), user('two!') ], 'an edit');
stored($chat, 10);

post($chat, { regenerate => \1 });
is_deeply(read_of(), [ user('one'), reply(), user('two!') ],
          'again: the last message');
stored($chat, 11);
is(scalar $t->sql('select count(*) from chat.message where content = ?
                   and chat_id = ?', 'two!', $chat), 1, 'which is there once');

post($chat, { regenerate => \1, parent_id => $id{'re two'} });
is_deeply(read_of(), [ user('one'), reply(), user('two') ],
          'again: that of a reply');
stored($chat, 12);

post($chat, { regenerate => \1, parent_id => $id{one} });
is_deeply(read_of(), [ user('one') ], 'again: a message');
stored($chat, 13);

post($chat, { content => 'five' });
is_deeply(read_of(), [ user('one'), reply(), user('five') ],
          'the next goes on there');
stored($chat, 15);

post($chat, { content => 'zero', parent_id => 'root' });
is_deeply(read_of(), [ user('zero') ], 'another beginning');
stored($chat, 17);

# as fast as it goes, by the ids of the answers: a reply may be on its way

my $quick = chat();
my ($parent, $lost) = (undef, 0);

for (1 .. 30) {
    my $res = post($quick, { content => "q$_", $parent
                             ? (parent_id => $parent) : () });
    $lost++ if $res->{status} != 200;
    $parent = $res->{headers}{'x-reply-id'};
}

is($lost, 0, 'a reply is found as soon as its id is known');
is(@{ read_of() }, 59, 'and all that was said before');
is(post($quick, { content => 'x', parent_id =>
       '10000000-0000-8000-8000-000000000009' })->{json}{error}{code},
   'parent_not_found', 'one that never comes is not');

$t->stream('POST', "/api/v1/chats/$quick/messages",
    { Authorization => token() }, { content => 'x', parent_id =>
        '10000000-0000-8000-8000-000000000009' })->taken->close(abrupt => 1);
is(post($quick, { content => 'y' })->{status}, 200,
   'a client that leaves while it is looked for harms nobody');

my $failed = chat();
is(post($failed, { content => 'fault status code=500' })->{status}, 502,
   'no answer');
is(post($failed, { regenerate => \1 })->{status}, 502, 'again: still none');
is_deeply(read_of(), [ user('fault status code=500') ], 'to the same message');
is_deeply(messages($failed), [ 'fault status code=500' ], 'there once');


# -- a long history, a model of another dialect, what is masked

my $long = chat();
$t->sql("insert into chat.message (chat_id, seq, id, parent_id, user_id,
             character_id, role, content, turn_id, finish, created_at)
         select ?, n, ('10000000-0000-4000-8000-' || lpad(n::text, 12, '0')
             )::uuid, case when n > 1 then ('10000000-0000-4000-8000-'
             || lpad((n - 1)::text, 12, '0'))::uuid end, ?, ?,
             case n % 2 when 1 then 'user' else 'assistant' end,
             repeat(n::text || ' ', 2000), gen_random_uuid(),
             case n % 2 when 0 then 'complete' end, now()
           from generate_series(1, 120) as n", $long, $anna, $mira);
$t->sql("update chat.chat set last_seq = 120, leaf_at = now(), leaf_id =
         '10000000-0000-4000-8000-000000000120' where id = ?", $long);

is(post($long, { content => 'so?' })->{status}, 200, 'a long history');
my $read = read_of();
is($read->[0][0], 'user', 'begins with what the user said');
cmp_ok(@$read, '<', 40, 'is bounded');
like($read->[-2][1], qr/^120 120/, 'ends with the last reply');

my $other = chat();
post($other, { content => 'my secret', model => 'claude' });
is_deeply($p->last_request->{json}{messages}, [ { role => 'user',
          content => [ { type => 'text',
          text => 'my ******' } ] } ], 'a model of another dialect; masked')
    or diag explain $p->last_request->{json};
stored($other, 2);
post($other, { content => [ { type => 'text', text => 'and ' },
                            { type => 'text', text => 'now?' } ] });
is_deeply(read_of()->[0], user('my ******'), 'so it is in the history');
stored($other, 4);
is(messages($other)->[2], "and \nnow?", 'parts are kept as their text');


# long data of a part, which elsewhere stays in the text of the body

my $image = 'data:image/png;base64,' . 'iVBORw0KGgo=' x 20000;
my $seen = chat();

is(post($seen, { content => [ { type => 'text', text => 'look' },
       { type => 'image_url', image_url => { url => $image } } ] })
       ->{status}, 200, 'an image of 240 KB');
is($p->last_request->{json}{messages}[-1]{content}[1]{image_url}{url}, $image,
   'comes to the model as it is');
stored($seen, 2);
is(messages($seen)->[0], 'look', 'its text is kept');


# -- a repeated request, another location

my $keyed = chat();
my @keyed = map { post($keyed, '{"content":"once"}', path => "/keyed/$keyed",
                       headers => { 'Idempotency-Key' => 'k' }) } 1 .. 3;

is_deeply([ map { $_->{status} } @keyed ], [ 200, 200, 200 ], 'with a key');
is($keyed[2]{body}, $keyed[0]{body}, 'is replayed, the history goes on');
stored($keyed, 2);
is(@{ messages($keyed) }, 2, 'and kept once');

for my $who ($anna, $bert) {
    my $first = chat();

    post($first, { content => 'hidden' });
    stored($first, 2);

    my $before = $p->requests;
    my $res = post($first, { content => 'hi' }, path => "/first/$first",
                   headers => { 'X-Second' => token($who) =~ s/Bearer //r });

    # the alias is that of the location
    is($res->{status}, $who eq $anna ? 200 : 404,
       $who eq $anna ? 'another location answers'
                     : 'as somebody else: no such chat');
    is($p->requests - $before, $who eq $anna ? 1 : 0, 'what the model gets');
}

# a chat completion that had no metadata, from another location

my $led = chat();
my $led_here = $t->post('/completion', { Authorization => token(),
    'X-Chat' => $led },
    { messages => [ { role => 'user', content => 'hi' } ] });

is($led_here->{status}, 200, 'an error_page leads here from llm_pass');
ok(stored($led, 2), 'and is of the chat');


# -- whose it is, and what is no message

my $foreign = chat($bert);
my $before = $p->requests;
my $count = $t->sql('select count(*) from chat.message');

for my $case (
    [ 'nobody', 401, 'authentication_required', undef, $chat, { content => 'x' },
      sub => undef ],
    [ 'another user', 404, 'chat_not_found', undef, $foreign,
      { content => 'x' } ],
    [ 'no chat', 404, 'chat_not_found', undef, $anna, { content => 'x' } ],
    [ 'no id', 404, 'chat_not_found', undef, 'x', { content => 'x' } ],
    [ 'a foreign parent', 404, 'parent_not_found', 'parent_id', $chat,
      { content => 'x', parent_id => $mira } ],
    [ 'a message as parent', 409, 'parent_not_a_reply', 'parent_id', $chat,
      { content => 'x', parent_id => $id{one} } ],
    [ 'nothing to answer', 409, 'nothing_to_answer', 'regenerate', chat(),
      { regenerate => \1 } ],
    [ 'at the root neither', 409, 'nothing_to_answer', 'regenerate', $chat,
      { regenerate => \1, parent_id => 'root' } ],
    [ 'no parent id', 400, 'parent_id_invalid', 'metadata.parent_id', $chat,
      { content => 'x', parent_id => 7 } ],
    [ 'no content', 400, 'content_required', 'content', $chat, {} ],
    [ 'content to be answered again', 400, 'content_unexpected', 'content',
      $chat, { content => 'x', regenerate => \1 } ],
    [ 'regenerate', 400, 'regenerate_invalid', 'regenerate', $chat,
      { regenerate => 'yes' } ],
    [ 'an unknown member', 400, 'member_unknown', 'messages', $chat,
      { messages => [], content => 'x' } ],
    [ 'an array', 400, 'request_not_object', undef, $chat, '[]' ],
    [ 'not JSON', 400, 'invalid_json', undef, $chat, '{' ],
    [ 'a number', 400, 'content_invalid', 'messages', $chat,
      { content => 7 } ],
    [ 'null', 400, 'content_invalid', 'messages', $chat, { content => undef } ],
    [ 'empty', 400, 'message_empty', 'messages', $chat, { content => '' } ],
    [ 'too long', 400, 'message_too_long', 'messages', $chat,
      { content => 'x' x 101 } ],
    [ 'stream', 400, 'stream_invalid', 'stream', $chat,
      { content => 'x', stream => 'yes' } ],
    [ 'no such model', 404, 'model_not_found', 'model', $chat,
      { content => 'x', model => 'none' } ],
    [ 'blocked', 422, undef, undef, $chat, { content => 'forbidden' } ])
{
    my ($name, $status, $code, $param, $chat, $body, %more) = @$case;

    for my $opt ({}, { http2 => 1 }) {
        my $res = post($chat, $body, %more, opt => $opt);

        is($res->{status}, $status, "$name: $status");
        is($res->{json}{error}{code}, $code, "$name: code") if $code;
        is($res->{json}{error}{param}, $param, "$name: param")
            if defined $param;
    }
}

is($p->requests + 0, $before, 'none of it was forwarded');
is(scalar $t->sql('select count(*) from chat.message'), $count, 'nor kept');

is(post($chat, { content => 'hush', memory => 'off' })->{status}, 200,
   'a message that is not kept');
is($t->sql('select count(*) from chat.message') + 0, $count, 'is not');


# -- PostgreSQL is away; a client that leaves while the chat is loaded

$t->suspend('pg');
$res = post($chat, { content => 'x' });
is($res->{status}, 503, 'PostgreSQL hangs: no history, no answer');
is($res->{json}{error}{code}, 'chat_unavailable', 'its code');
ok($res->{headers}{'retry-after'}, 'with Retry-After');

$t->stream('POST', "/api/v1/chats/$chat/messages",
           { Authorization => token() }, { content => 'y' })
    ->taken->close(abrupt => 1);
$t->resume('pg');
ok($t->wait_until(sub { post($chat, { content => 'z' })->{status} == 200 }, 10),
   'it is back');


# -- configuration

my $main = 'pg_server main "host=/nowhere user=x dbname=x"; turn_store main;
    llm_provider p { url http://127.0.0.1:1; key_file ' . $t->dir . '/key;
                     model m as=default; }';

sub conf {
    my ($line, $chats) = @_;
    $chats //= 'llm_chats main;';
    return $t->http_conf("$main $chats\nserver {\nlocation / {\n$line;\n}\n}\n");
}

$t->accepts(conf("llm_chat default chat=$_"), $_)
    for '$arg_chat', '$arg_chat history=2 timeout=50ms', 'x$uri';

my %bad = (
    'llm_chat default' => 'needs chat=VALUE',
    'llm_chat none chat=$uri' => 'none',
    'llm_chat default chat=$uri history=1' => 'history=',
    'llm_chat default chat=$uri history=1001' => 'history=',
    'llm_chat default chat=$uri timeout=x' => 'timeout=',
    'llm_chat default chat=$uri other=x' => 'expected chat=VALUE',
    'llm_chat default chat=$uri; llm_pass default' => 'duplicate');

$t->refuses(conf($_), $bad{$_}, $_) for sort keys %bad;
my ($ok, $out) = $t->check_conf(conf('llm_chat default chat=$none_such'));
ok(!$ok && $out =~ /unknown "none_such" variable/, 'an unknown variable');

$t->refuses(conf('llm_chat default chat=$uri', ''), 'needs "llm_chats"',
            'chats that are not kept');

$t->finish;
done_testing;
