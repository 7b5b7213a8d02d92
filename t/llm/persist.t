#!/usr/bin/perl

# llm_chats: what the user says is kept before a model is asked, whatever
# becomes of the request; edits, other answers and branches by
# metadata.parent_id.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

my $key = Sallyport::JWT->new('HS256', kid => 'k');
my $anna = '00000000-0000-4000-8000-00000000000a';
my $bert = '00000000-0000-4000-8000-00000000000b';
my $mira = '00000000-0000-4000-8000-0000000000d1';
my $voss = '00000000-0000-4000-8000-0000000000d2';
my $own = '00000000-0000-4000-8000-0000000000d3';

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             redis_server main %%REDIS%%;
             turn_store main; turn_spool %%DIR%%/spool;
             auth_jwt_key_file %%DIR%%/jwks.json;
             llm_chats main timeout=300ms;
             moderation_rules %%DIR%%/test.rules;
             llm_provider down { url http://127.0.0.1:%%PORT2%%;
                                 key_file %%DIR%%/key;
                                 model m as=down; }',
    location => 'auth_jwt "test" optional; moderation input;',
    read_timeout => '5s',
    server => 'location = /off { auth_jwt "test"; llm_chats off;
                                 llm_pass default; }
               location = /persona { auth_jwt "test"; llm_characters main;
                                     llm_pass default; }
               location = /keyed { auth_jwt "test"; llm_idempotency main;
                                   llm_pass default; }
               location = /first { auth_jwt "test"; error_page 502 = @second;
                                   llm_pass down; }
               location @second { auth_jwt "test"; llm_pass default; }
               location = /messages { auth_jwt "test";
                                      error_format anthropic;
                                      llm_pass default dialect=anthropic; }
               location = /responses { auth_jwt "test";
                                       error_format responses;
                                       llm_pass default dialect=responses; }',
    prepare => sub {
        my ($t) = @_;

        $t->redis;
        $t->file('jwks.json', jwks($key), 0600);
        $t->file('test.rules', "[t.mask category=test action=mask]\n"
                               . "secret\n[t.block category=test severity=4]\n"
                               . "forbidden\n");
        $t->sql('insert into auth.users (id) values (?), (?)', $anna, $bert);
        $t->sql('insert into chat.character (id, name, owner_id, is_public)
                 values (?, ?, null, true), (?, ?, null, true),
                        (?, ?, ?, false)',
                $mira, 'Mira', $voss, 'Voss', $own, 'Own', $anna);
    });

my $chats = 0;

sub chat { return sprintf '00000000-0000-4000-8000-%012d', ++$chats }

sub auth {
    return { 'Content-Type' => 'application/json',
             Authorization => 'Bearer ' . $key->token(
                 { sub => $_[0] || $anna, exp => int(time) + 600 }) };
}

sub body {
    my ($chat, $text, %more) = @_;

    my $stream = delete $more{stream};

    # the same bytes each time
    return $Sallyport::Llm::json->encode(Sallyport::Llm::body($text, stream => $stream ? \1 : \0,
        metadata => { character_id => $mira, chat_id => $chat, %more }));
}

sub post {
    my ($chat, $text, %more) = @_;

    my ($path, $opt, $sub, $headers) = delete @more{qw(path opt sub headers)};

    return $t->post($path || '/v1/chat/completions',
                    { %{ auth($sub) }, %{ $headers || {} } },
                    body($chat, $text, %more), $opt || {});
}

sub stream {
    my ($chat, $text, %more) = @_;
    return $t->stream('POST', '/v1/chat/completions', auth(),
                      body($chat, $text, stream => 1, %more));
}

# [ role, content, finish ] of a chat, in order

sub messages {
    return [ $t->sql('select role, content, finish from chat.message
                       where chat_id = ? order by seq', $_[0]) ];
}

sub has {
    my ($chat, $name, @messages) = @_;

    $t->wait_until(sub { @{ messages($chat) } >= @messages }, 10);
    return is_deeply(messages($chat), \@messages, $name);
}

sub id_of {
    my ($chat, $text) = @_;
    return scalar $t->sql('select id from chat.message where chat_id = ?
                            and content = ? order by seq limit 1', $chat,
                          $text);
}

sub parent_of { return scalar $t->sql('select parent_id from chat.message
                                        where id = ?', $_[0]) }

my $hello = $Sallyport::Llm::hello;

sub ask { return [ 'user', $_[0], undef ] }
sub reply { return [ 'assistant', $_[0], $_[1] || 'complete' ] }


# -- it is there while the model is asked, and the reply after it

for my $opt ({}, { http2 => 1 }) {
    my $name = $opt->{http2} ? 'HTTP/2' : 'HTTP/1.1';
    my $chat = chat();

    is(post($chat, 'my secret', opt => $opt)->{status}, 200, "$name: answered");
    has($chat, "$name: both are kept, masked", ask('my ******'),
        reply($hello));
    is(parent_of(id_of($chat, $hello)), id_of($chat, 'my ******'),
       "$name: question and reply");
}

my $chat = chat();
my $s = stream($chat, 'fault slow words=40 delay=50');

$s->read_until(qr/w2 /, 5);
is_deeply(messages($chat), [ ask('fault slow words=40 delay=50') ],
          'while the answer comes the question is there');
$s->close;
$t->wait_until(sub { @{ messages($chat) } == 2 }, 5);

my ($said) = $t->sql('select content, finish from chat.message
                       where chat_id = ? and role = ?', $chat, 'assistant');
like($said->[0], qr/^w1 w2 /, 'the client has left: what it has read is kept');
is($said->[1], 'partial', 'as partial');

my %ends = ('fault cut at=mid' => 'failed', 'fault error at=2' => 'failed');

for my $fault (sort keys %ends) {
    my $chat = chat();

    post($chat, $fault, stream => 1);
    $t->wait_until(sub { @{ messages($chat) } == 2 }, 5);
    is(messages($chat)->[1][2], $ends{$fault}, "$fault: $ends{$fault}");
}

my $echo = chat();
post($echo, "fault raw\n" . $Sallyport::Llm::json->encode({ id => 'x',
     object => 'chat.completion', created => 1, model => 'm', choices => [
         { index => 0, finish_reason => 'length',
           message => { role => 'assistant', content => 'cut off' } } ],
     usage => { prompt_tokens => 1, completion_tokens => 1 } }));
$t->wait_until(sub { @{ messages($echo) } == 2 }, 5);
is_deeply(messages($echo)->[1], reply('cut off', 'length'), 'length');


# -- what is not answered: the question, once, however often it is sent

my $failed = chat();

for (1 .. 3) {
    is(post($failed, 'fault status code=500')->{status}, 502, 'no answer');
}

is_deeply(messages($failed), [ ask('fault status code=500') ],
          'three tries of an SDK: one question');

my $blocked = chat();
is(post($blocked, 'forbidden')->{status}, 422, 'blocked');
is(post($blocked, 'hi', memory => 'off')->{status}, 200, 'memory off');
is(post($blocked, 'hi', path => '/persona',
        character_id => $own, sub => $bert)->{status}, 404,
   'a character that is not his');
is(post($blocked, 'hi', character_id => $own, sub => $bert)->{json}{error}{code},
   'character_not_found', 'by the question alone, too');
is(post($blocked, 'x' x 1001)->{status}, 400, 'too long');
is(@{ messages($blocked) }, 0, 'of these nothing is kept');

my $off = chat();
is(post($off, 'hi', path => '/off')->{status}, 200, 'off');
has($off, 'both come with the turn', ask('hi'), reply($hello));


# -- edit, answer again, branch, another beginning

my $tree = chat();

post($tree, $_) for 'one', 'two';
$t->wait_until(sub { @{ messages($tree) } == 4 }, 5);

my ($one, $two) = map { id_of($tree, $_) } 'one', 'two';
my $first = parent_of($two);

is(parent_of($first), $one, 'the second follows the reply to the first');

sub count { return scalar @{ messages($tree) } }

sub more {
    my ($name, $n, @post) = @_;

    is(post(@post)->{status}, 200, $name);
    ok($t->wait_until(sub { count() == $n }, 5), "$name: $n messages");
}

more('an edit', 6, $tree, 'two!', parent_id => $first);
is(parent_of(id_of($tree, 'two!')), $first, 'beside what it edits');
more('another answer', 7, $tree, 'one', parent_id => $one);
is(scalar $t->sql('select count(*) from chat.message where parent_id = ?',
                  $one), 2, 'beside the first one');
more('the next', 9, $tree, 'three');
is(scalar $t->sql('select m.seq > ? from chat.message as m where id = ?', 6,
                  parent_of(id_of($tree, 'three'))), 1,
   'goes on after the last answer');
more('a beginning', 11, $tree, 'zero', parent_id => 'root');
is(parent_of(id_of($tree, 'zero')), undef, 'has no parent');
ok(!exists $p->last_request->{json}{metadata}, 'no id is sent on');


# -- whose they are

my $before = $p->requests;
my $all = $t->sql('select count(*) from chat.message');

for my $case (
    [ 'another user\'s chat', 404, 'chat_not_found', 'chat_id',
      $tree, 'hi', sub => $bert ],
    [ 'with another character', 409, 'chat_of_another_character', 'chat_id',
      $tree, 'hi', character_id => $voss ],
    [ 'a message of another chat', 404, 'parent_not_found', 'parent_id',
      chat(), 'hi', parent_id => $one ],
    [ 'a message of another user', 404, 'parent_not_found', 'parent_id',
      chat(), 'hi', parent_id => $one, sub => $bert ],
    [ 'no message at all', 404, 'parent_not_found', 'parent_id',
      $tree, 'hi', parent_id => $mira ],
    [ 'no id', 400, 'parent_id_invalid', 'parent_id',
      $tree, 'hi', parent_id => 'leaf' ],
    [ 'another beginning', 400, 'parent_id_invalid', 'parent_id',
      $tree, 'hi', parent_id => 'roots' ])
{
    my ($name, $status, $code, $param, @post) = @$case;

    for my $opt ({}, { http2 => 1 }) {
        my $res = post(@post, opt => $opt);
        my $error = $res->{json}{error};

        is($res->{status}, $status, "$name: $status");
        is("$error->{code} $error->{param}", "$code metadata.$param",
           "$name: says why and where");
    }
}

is($p->requests + 0, $before, 'none of it was forwarded');
is(scalar $t->sql('select count(*) from chat.message'), $all, 'nor kept');


# -- other dialects

my %dialect = (
    '/messages' => { max_tokens => 9, messages => [
        { role => 'user', content => 'hi' } ] },
    '/responses' => { input => 'hi' });

for my $path (sort keys %dialect) {
    my $chat = chat();
    my $res = $t->post($path, auth(), { model => 'default',
        %{ $dialect{$path} }, metadata => { character_id => $mira,
            chat_id => $chat, parent_id => 'root' } });

    is($res->{status}, 200, "$path: answered");
    has($chat, "$path: kept", ask('hi'), reply($hello));
}


# -- two at once: both are kept, none under the other

my $both = chat();
my @two = map { stream($both, "fault slow words=$_ delay=30") } 9, 12;

$_->rest for @two;
$t->wait_until(sub { @{ messages($both) } == 4 }, 5);
is(scalar $t->sql('select count(*) from chat.message where chat_id = ? and
                   role = ? and parent_id is null', $both, 'user'), 2,
   'two at once are siblings');
is(scalar $t->sql('select count(distinct parent_id) from chat.message
                    where chat_id = ? and role = ?', $both, 'assistant'), 2,
   'each with its reply');

# one after the other, as fast as it goes: a reply may still be in the spool

my $fast = chat();

post($fast, "q$_") for 1 .. 12;
$t->wait_until(sub { @{ messages($fast) } == 24 }, 5);
is_deeply([ map { $_->[1] } @{ messages($fast) } ],
          [ map { ("q$_", $hello) } 1 .. 12 ], 'in quick succession: in order');
is(scalar $t->sql('select count(*) from chat.branch(?, (select leaf_id from
                   chat.chat where id = ?), 100)', $fast, $fast), 24,
   'one line of talk');


# -- another provider by error_page, a repeated request with its key

my $second = chat();
is($t->post('/first', auth(), { messages => [ { role => 'user',
       content => 'hi' } ], metadata => { character_id => $mira,
       chat_id => $second } })->{status}, 200, 'another location answers');
has($second, 'one question, one reply', ask('hi'), reply($hello));

my $keyed = chat();
for (1 .. 3) {
    my $res = post($keyed, 'hi', path => '/keyed',
                   headers => { 'Idempotency-Key' => 'k1' });
    is($res->{status}, 200, 'with a key');
}
has($keyed, 'what is replayed is no new question', ask('hi'), reply($hello));

my $late = chat();
my @late = map { post($late, 'fault status code=500', path => '/keyed',
                      headers => { 'Idempotency-Key' => 'k2' }) } 1 .. 2;
is_deeply(messages($late), [ ask('fault status code=500') ],
          'with a key and without an answer: the message is kept, once');
is($late[1]{headers}{'x-message-id'}, id_of($late, 'fault status code=500'),
   'under the same id');
is(post($late, 'hi', path => '/keyed', headers =>
        { 'Idempotency-Key' => "k\t" })->{json}{error}{code},
   'idempotency_key_invalid', 'a key that is none');
is(@{ messages($late) }, 1, 'is refused before anything is kept');

post($keyed, 'ho', path => '/keyed');
has($keyed, 'without a key', ask('hi'), reply($hello), ask('ho'),
    reply($hello));


# -- the database is away: the spool

my $away = chat();

$t->suspend('pg');

my $start = time;
is(post($away, 'hi')->{status}, 200, 'PostgreSQL hangs: answered');
cmp_ok(time - $start, '<', 2, 'after the deadline');
$t->resume('pg');
has($away, 'it is back: kept once', ask('hi'), reply($hello));
like($t->error_log, qr/a question is not stored yet: \w+, it goes into/,
     'and logged');

# the client leaves while its question is on the way

my $left = chat();

$t->suspend('pg');
stream($left, 'I am off')->taken->close(abrupt => 1);
$t->wait_until(sub { Sallyport::Llm::metric($t, 'sallyport_spool_bytes',
                                            'kind="turns"') > 0 }, 5);
$t->resume('pg');
has($left, 'the client has left: its question is kept', ask('I am off'));


# -- a worker is killed while the model is asked; a reload

my $killed = chat();
my $stall = stream($killed, 'fault stall at=accept');

ok($t->wait_until(sub { @{ messages($killed) } == 1 }, 5), 'asked');
$t->allow(qr/exited on signal 9/);
kill 'KILL', $t->workers;
$t->wait_until(sub { $t->get('/metrics')->{status} == 200 }, 10);
is_deeply(messages($killed), [ ask('fault stall at=accept') ],
          'the worker was killed: the question is there');
is(post($killed, 'fault stall at=accept', stream => 1)->{status}, 504,
   'asked again, no answer again');
is(@{ messages($killed) }, 1, 'is the same question');

my $reload = chat();
my $slow = stream($reload, 'fault slow words=20 delay=50');

$slow->read_until(qr/w2 /, 5);
$t->reload;
$slow->rest;
$t->wait_until(sub { @{ messages($reload) } == 2 }, 5);
is(messages($reload)->[1][2], 'complete', 'a reload: the stream and its turn');


# -- configuration

my $main = 'pg_server main "host=/nowhere user=x dbname=x";';

$t->accepts($t->http_conf("$main turn_store main; llm_chats $_;\n"), $_)
    for 'off', 'main', 'main timeout=50ms';

$t->refuses($t->http_conf("$main llm_chats main;\n"),
            'needs "turn_store" above it', 'without a spool');
$t->refuses($t->http_conf("$main turn_store main; llm_chats main $_;\n"),
            $_ eq 'slow' ? 'expected timeout=TIME' : 'timeout=', $_)
    for 'slow', 'timeout=', 'timeout=x', 'timeout=0';
$t->refuses($t->http_conf("turn_store main; llm_chats other;\n"), 'main|other',
            'no such server');
$t->refuses($t->http_conf("llm_chats off; llm_chats off;\n"), 'is duplicate',
            'twice');

$t->finish;
done_testing;
