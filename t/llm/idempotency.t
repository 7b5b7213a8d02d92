#!/usr/bin/perl

# llm_idempotency: a request that is sent again is answered as before and paid
# for once; one that comes while the first one runs waits for it.

use strict;
use warnings;
use utf8;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::HTTP2;
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $user = '00000000-0000-4000-8000-00000000000a';
my $other = '00000000-0000-4000-8000-00000000000b';
my $mira = '00000000-0000-4000-8000-0000000000d1';
my $chat = '00000000-0000-4000-8000-0000000000e1';
my $signer = Sallyport::JWT->new('HS256', kid => 'k');
my $redis;

my %arg = (
    http => 'auth_jwt_key_file %%DIR%%/jwks.json;
        %%TURNS%%
        moderation_rules %%DIR%%/test.rules;
        redis_server main %%REDIS%% timeout=300ms;
        llm_idempotency main;
        llm_message_limit 0;
        llm_tries 1;
        llm_keepalive 100ms;
        llm_provider sayer { dialect say; key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model great-sayer as=sayer; }
        llm_provider priced { key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model dear as=dear price=2.5/10; }
        llm_provider voices { key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model real-voice as=voice kind=speech; }',
    location => 'auth_jwt "test";',
    read_timeout => '2s',
    server => 'location = /off { auth_jwt "test"; llm_idempotency off;
                                 llm_pass default; }
        location = /open { llm_pass default; }
        location = /small { auth_jwt "test"; llm_pass default;
                            llm_idempotency main max_size=1k; }
        location = /impatient { auth_jwt "test"; llm_pass default;
                                llm_idempotency main wait=1s; }
        location = /nowait { auth_jwt "test"; llm_pass default;
                             llm_idempotency main wait=0; }
        location = /brief { auth_jwt "test"; llm_pass default;
                            llm_idempotency main ttl=1s; }
        location = /messages { auth_jwt "test"; error_format anthropic;
                               llm_keepalive off;
                               llm_pass default dialect=anthropic; }
        location = /responses { auth_jwt "test"; error_format responses;
                                llm_keepalive off;
                                llm_pass default dialect=responses; }
        location = /redirected { auth_jwt "test"; llm_pass sayer;
                                 error_page 400 502 = @backup; }
        location @backup { auth_jwt "test"; llm_pass default; }
        location = /speech { auth_jwt "test"; llm_speech voice; }
        location = /embed { auth_jwt "test"; llm_embeddings embedding; }
        location = /paged { auth_jwt "test"; llm_pass default;
                            error_page 422 = @backup; }
        location = /moderated { auth_jwt "test"; moderation input output;
                                llm_pass default; }
        location = /gzip { auth_jwt "test"; gzip on; gzip_types *;
                           gzip_min_length 1; llm_pass default; }',
    prepare => sub {
        $_[0]->file('jwks.json', jwks($signer), 0600);
        $_[0]->file('test.rules', "[o.mask category=test action=mask]\n"
            . "quoted\n[o.block category=test stage=output severity=4]\n"
            . "w7\n");
    },
);

my ($t, $p) = do {
    my %first = %arg;

    $first{http} =~ s/%%TURNS%%/
        pg_server main "%%PG%%" timeout=2s;
        turn_store main flush=10ms; turn_spool %%DIR%%\/spool;/x;
    $first{prepare} = sub {
        $arg{prepare}->($_[0]);
        $_[0]->sql('insert into auth.users (id) values (?), (?)', $user,
                   $other);
        $_[0]->sql('insert into chat.character (id, name, system_prompt,
                        is_public) values (?, ?, ?, true)',
                   $mira, 'Mira', 'You are {{char}}.');
    };

    Sallyport::Llm::gateway(%first);
};
my @http = ({}, { http2 => 1 });
my $n = 0;

$redis = $t->redis;


sub token {
    my ($sub) = @_;
    return 'Bearer ' . $signer->token({ sub => $sub, exp => int(time) + 600 });
}

my %tokens = map { $_ => token($_) } $user, $other;

sub headers {
    my ($key, $sub) = @_;
    return { 'Content-Type' => 'application/json', Authorization => $tokens{$sub || $user},
             defined $key ? ('Idempotency-Key' => $key) : () };
}

sub chat {
    my ($key, $text, %more) = @_;

    my ($path, $sub, $opt) = delete @more{qw(path sub opt)};

    return $t->post($path || '/v1/chat/completions', headers($key, $sub),
                    body($text, %more), $opt || {});
}

# the same bytes each time
sub text { return $Sallyport::Llm::json->encode($_[0]) }
sub body { return text(Sallyport::Llm::body(@_)) }
sub asked { return scalar $p->requests }
sub code { return $_[0]{json}{error}{code} }
sub replayed { return $_[0]{headers}{'idempotency-replayed'} }
sub result { return Sallyport::Llm::metric($t, 'sallyport_llm_idempotency_total',
                                           qq(result="$_[0]")) }
sub key { return 'key ' . ++$n }
sub said { return $_[0] =~ s/^: ping\n//gmr }


# -- again

for my $opt (@http) {
    for my $stream (\0, \1) {
        my $how = ($opt->{http2} ? 'HTTP/2' : 'HTTP/1.1')
                  . ($$stream ? ', stream' : ', whole');
        my @as = (stream => $stream, opt => $opt);
        my ($key, $before) = (key(), asked());
        my $first = chat($key, 'hi', @as);

        is($first->{status}, 200, "$how: answered");
        is(replayed($first), undef, "$how: by the model");

        my $again = chat($key, 'hi', @as);

        is($again->{status}, 200, "$how: answered again");
        is($again->{body}, said($first->{body}), "$how: with the same bytes");
        is(replayed($again), 'true', "$how: and says so");
        is($again->{headers}{$_}, $first->{headers}{$_}, "$how: the same $_")
            for qw(content-type cache-control x-accel-buffering);
        is(asked(), $before + 1, "$how: the model is asked once");

        my $changed = chat($key, 'ho', @as);

        is("$changed->{status} " . code($changed),
           '422 idempotency_key_reused', "$how: another request");
        is(asked(), $before + 1, "$how: which asks nobody");

        is(replayed(chat($key, 'hi', @as, sub => $other)), undef,
           "$how: the key of somebody else is another one");
        is(asked(), $before + 2, "$how: and has an answer of its own");
        is(replayed(chat(undef, 'hi', @as)), undef, "$how: without a key");
        is(chat($key, 'hi', @as, path => '/small')->{status},
           422, "$how: another address") if !$opt->{http2};
    }
}

is(result('run'), 8, 'metrics: run');
is(result('replayed'), 4, 'metrics: replayed');
is(result('reused'), 6, 'metrics: reused');

# what is kept is there for who asks next, also of a Redis that has no script

for my $i (1 .. 30) {
    my $key = key();
    $redis->command('SCRIPT', 'FLUSH');
    my @answers = map { chat($key, 'hi') } 1 .. 2;
    is(replayed($answers[1]), 'true', "without scripts, $i: kept in time");
}

my $key = key();
my $before = asked();

chat($key, 'hi', path => '/off') for 1 .. 2;
is(asked(), $before + 2, 'off: each request is one');

# audio is given again as audio, not as JSON

$key = key();

my @spoken = map { $t->post('/speech', headers($key),
                            text({ input => 'hello', voice => 'v' })) } 1 .. 2;

is($spoken[0]{headers}{'content-type'}, 'audio/mpeg', 'speech: its type');
is(replayed($spoken[1]), 'true', 'speech: given again');
is($spoken[1]{headers}{'content-type'}, 'audio/mpeg', 'speech: the same type');
is($spoken[1]{body}, $spoken[0]{body}, 'speech: the same bytes');

for my $path (qw(/messages /responses)) {
    for my $stream (\0, \1) {
        my %body = ($path eq '/messages')
            ? (model => 'default', max_tokens => 50, stream => $stream,
               messages => [{ role => 'user', content => 'hi' }])
            : (model => 'default', stream => $stream, input => 'hi');

        $key = key();

        my @answers = map { $t->post($path, headers($key), text(\%body)) } 1 .. 2;

        is($answers[0]{status}, 200, "$path: translated");
        is($answers[1]{body}, $answers[0]{body}, "$path: given again");
        is(replayed($answers[1]), 'true', "$path: as it was");
    }
}

$key = key();

my @gzip = map { $t->post('/gzip', { %{ headers($key) },
                                     'Accept-Encoding' => $_ },
                          body('hi')) } 'gzip', 'identity';

is($gzip[1]{json}{choices}[0]{message}{content}, $Sallyport::Llm::hello,
   'what is kept is not compressed');

($key, $before) = (key(), asked());

my @vectors = map { $t->post('/embed', headers($key), text(
                        { model => 'embedding', input => 'hi' })) } 1 .. 2;

is($vectors[0]{status}, 200, 'embeddings');
is($vectors[1]{body}, $vectors[0]{body}, 'are given again');
is(replayed($vectors[1]), 'true', 'as they were');
is(asked(), $before + 1, 'and asked for once');


# -- the ledger and the chat

$key = key();
chat($key, 'hi', model => 'dear', stream => \1,
     metadata => { character_id => $mira, chat_id => $chat }) for 1 .. 3;

ok($t->wait_until(sub {
    $t->sql("select count(*) from gateway.ledger where alias = 'dear'") == 3;
}, 5), 'each request has a row');
is(scalar $t->sql("select string_agg(outcome || ' ' || (cost > 0) || ' '
                       || (prompt_tokens is not null) || error_type
                       || ' ' || status || ' ' || stream, ', '
                       order by at, id)
                  from gateway.ledger where alias = 'dear'"),
   join(', ', 'complete true true 200 true',
        ('replayed false false 200 true') x 2),
   'one is paid for');
is(scalar $t->sql("select replayed from gateway.usage_daily
                 where alias = 'dear'"), 2, 'the account by day says so');
is(scalar $t->sql("select count(*) from chat.message m
                  join gateway.ledger l on l.id = m.turn_id
                 where l.alias = 'dear'"), 2, 'one turn is stored');


# -- what was sent, not what the provider said

for my $stream (\0, \1) {
    for my $text ('hi', 'fault words words=20') {
        ($key, $before) = (key(), asked());

        my @both = map { chat($key, $text, stream => $stream,
                              path => '/moderated') } 1 .. 2;

        is($both[1]{body}, said($both[0]{body}), "$text: as it was sent");
        unlike($both[1]{body}, qr/quoted|w7/, "$text: judged");
        is(replayed($both[1]), 'true', "$text: given again");
        is(asked(), $before + 1, "$text: asked once");
    }
}


# -- while it runs

for my $stream (\0, \1) {
    my $how = $$stream ? 'stream' : 'whole';

    ($key, $before) = (key(), asked());

    my @as = ('POST', '/v1/chat/completions', headers($key),
              body('fault late after=600', stream => $stream));
    my $first = $t->stream(@as);

    ok($t->wait_until(sub { asked() == $before + 1 }), "$how: it runs");

    my @more = map { $t->stream(@as) } 1 .. 3;
    my $different = chat($key, 'else', stream => $stream);

    is("$different->{status} " . code($different),
       '422 idempotency_key_reused', "$how: another body does not wait");

    my $body = said($first->rest);

    for my $join (@more) {
        is($join->status, 200, "$how: joined");
        is($join->header('Idempotency-Replayed'), 'true', "$how: waited");
        is($join->rest, $body, "$how: the same answer");
    }

    is(asked(), $before + 1, "$how: the model is asked once for all");
}

($key, $before) = (key(), asked());

my @many = ('POST', '/v1/chat/completions', headers($key),
            body('fault late after=1700'));
my $one = $t->stream(@many);

ok($t->wait_until(sub { asked() == $before + 1 }), 'one runs');

my %ends;
$ends{$_->status}++ for map { $t->stream(@many) } 1 .. 130;

is_deeply(\%ends, { 200 => 128, 409 => 2 }, 'at most 128 wait for one');
is($one->status, 200, 'which is answered');
$one->rest;
is(asked(), $before + 1, 'and is the only one that asks');

my @late = ('POST', '/impatient', headers($key = key()),
            body('fault late after=1700'));
my $first = $t->stream(@late);
my $res = chat($key, 'fault late after=1700', path => '/impatient');

is("$res->{status} " . code($res), '409 idempotency_key_in_use',
   'waits no longer than it may');
is($res->{headers}{'retry-after'}, 1, 'and is told when to come again');
is($first->status, 200, 'the first one is not touched');
$first->rest;

$late[1] = '/nowait';
$late[2] = headers($key = key());
$first = $t->stream(@late);
my $start = time;
$res = chat($key, 'fault late after=1700', path => '/nowait');
is(code($res), 'idempotency_key_in_use', 'wait=0: at once');
cmp_ok(time - $start, '<', 1, 'without waiting');
is($first->status, 200, 'the first one is answered');
$first->rest;


# -- the first one fails or leaves: the key is free, the next one runs

for my $fault ('status code=500', 'status code=400', 'cut at=mid', 'error',
               'short finish=0', 'stall at=mid')
{
    for my $stream (\0, \1) {
        next if $fault =~ /^short/ && !$$stream;

        ($key, $before) = (key(), asked());
        my $name = "$fault, " . ($$stream ? 'stream' : 'whole');

        chat($key, "fault $fault", stream => $stream);
        chat($key, "fault $fault", stream => $stream);
        is(asked(), $before + 2, "$name: asked again");
        is(chat($key, 'hi', stream => $stream)->{status}, 200,
           "$name: the key is free");
    }
}

($key, $before) = (key(), asked());

my @slow = ('POST', '/v1/chat/completions', headers($key),
            body('fault slow delay=100', stream => \1));

$first = $t->stream(@slow);
ok($first->read_until(qr/data: /, 3), 'a stream begins');

my $second = $t->stream(@slow);
my $third = $t->stream(@slow);

ok(!$t->wait_until(sub { asked() > $before + 1 }, 0.2), 'others wait');
$first->close;
like($second->rest, qr/\[DONE\]/, 'the first one leaves: the next one runs');
like($third->rest, qr/\[DONE\]/, 'and the one behind it has its answer');
is(asked(), $before + 2, 'asked once more');
is(replayed({ headers => { 'idempotency-replayed' =>
              $third->header('Idempotency-Replayed') } }), 'true', 'given again');

($key, $before) = (key(), asked());
@slow[2, 3] = (headers($key), body('fault late after=500'));
$first = $t->stream(@slow);
ok($t->wait_until(sub { asked() == $before + 1 }), 'one runs');
$second = $t->stream(@slow);
$second->close;
$first->rest;
is(replayed(chat($key, 'fault late after=500')), 'true',
   'one that waits leaves: nothing else happens');

($key, $before) = (key(), asked());

my $h2 = Sallyport::HTTP2->connect('127.0.0.1:' . $t->port('H2'));
my @ids = map {
    my $id = $h2->request('POST', '/v1/chat/completions', headers($key),
                          body('fault slow delay=100', stream => \1));

    $t->wait_until(sub { asked() == $before + 1 });
    $id;
} 1 .. 4;

$h2->reset($ids[1]);
$h2->reset($ids[0]);

my @left = map { $h2->reply($_, 5) } @ids[2, 3];

like($_->{body}, qr/\[DONE\]/, 'RST_STREAM: those that waited are answered')
    for @left;
is(asked(), $before + 2, 'the model is asked once more');
is(join(' ', map { replayed($_) || 'run' } @left), 'run true',
   'one runs, and one is given its answer');
$h2->close;


# -- what is kept

($key, $before) = (key(), asked());
chat($key, 'fault words words=500', path => '/small');
$res = chat($key, 'fault words words=500', path => '/small');

is("$res->{status} " . code($res), '409 idempotency_answer_not_kept',
   'over max_size: not kept');
is($res->{headers}{'x-should-retry'}, 'false', 'SDKs do not try again');
is(asked(), $before + 1, 'and not paid for again');

$key = key();
chat($key, 'hi', path => '/brief');
ok($t->wait_until(sub { !grep { /idempotency/ && $redis->command('PTTL', $_) < 1000
                                && $redis->command('PTTL', $_) > 0 }
                        @{ $redis->command('KEYS', 'idempotency:*') } }, 3),
   'ttl: gone');
is(replayed(chat($key, 'hi', path => '/brief')), undef, 'asked anew');

$key = key();
$res = chat($key, 'fault status code=400', path => '/redirected');
is($res->{status}, 400, 'redirected, and refused there as well');

$before = asked();
$key = key();
$res = chat($key, 'hi', path => '/redirected', model => 'default');
is(replayed(chat($key, 'hi', path => '/redirected', model => 'default')),
   'true', 'an address with an error_page');

$key = key();
chat($key, 'hi', path => '/paged');
$before = asked();
is(chat($key, 'ho', path => '/paged')->{status}, 422,
   'a refusal stays one behind an error_page');
is(asked(), $before, 'which asks nobody either');


# -- keys

for my $bad ('', 'x' x 256, "caf\xe9", "a\tb") {
    $res = chat($bad, 'hi');
    is("$res->{status} " . code($res), '400 idempotency_key_invalid',
       'refused: ' . length($bad) . ' bytes');
}

is(chat('x' x 255, 'hi')->{status}, 200, '255 bytes');
is(chat('"8e03978e-40d5-43dd-bc93-6894a57f9324"', 'hi')->{status}, 200,
   'a string of structured fields');

$res = $t->post('/open', { 'Content-Type' => 'application/json',
                            'Idempotency-Key' => 'k' },
                body('hi'));
is("$res->{status} " . code($res), '400 idempotency_identity_required',
   'of nobody none is taken');
is($t->post('/open', { 'Content-Type' => 'application/json' }, body('hi'))->{status}, 200,
   'who sends none is answered');


# -- another gateway, and one that was killed

my ($t2, $p2) = do {
    my %second = %arg;
    my $socket = $redis->{socket};

    $second{http} =~ s/%%REDIS%%/unix:$socket/;
    $second{http} =~ s/%%TURNS%%//;
    Sallyport::Llm::gateway(%second);
};

sub elsewhere {
    my ($key, $text, %more) = @_;
    return $t2->post('/v1/chat/completions', headers($key),
                     body($text, %more));
}

$key = key();
$res = chat($key, 'hi', stream => \1);
is(elsewhere($key, 'hi', stream => \1)->{body}, said($res->{body}),
   'another gateway gives the same answer');
is(scalar $p2->requests, 0, 'and asks nobody');

($key, $before) = (key(), asked());
$first = $t->stream('POST', '/v1/chat/completions', headers($key),
                    body('fault late after=700'));
ok($t->wait_until(sub { asked() == $before + 1 }), 'one runs here');

$res = elsewhere($key, 'fault late after=700');
is("$res->{status} " . code($res), '409 idempotency_key_in_use',
   'it is told elsewhere');
is($res->{headers}{'retry-after'}, 1, 'with the time to come again');
$res = elsewhere($key, 'else');
is("$res->{status} " . code($res), '422 idempotency_key_reused',
   'another body is, too');
$first->rest;
ok($t->wait_until(sub {
       ($res = elsewhere($key, 'fault late after=700'))->{status} != 409;
   }, 2), 'it ends');
is(replayed($res), 'true', 'and the answer is given there');

$redis->command('SET', $_, 'garbage')
    for grep { 1 } @{ $redis->command('KEYS', 'idempotency:*') };
$res = chat($key, 'fault late after=700');
is("$res->{status} " . code($res), '503 idempotency_unavailable',
   'what is none of ours is not read');

$first = $t->stream('POST', '/v1/chat/completions', headers($key = key()),
                    body('fault late after=300'));
my ($held) = $t->wait_until(sub {
    grep { $redis->command('PTTL', $_) > 20000 }
        @{ $redis->command('KEYS', 'idempotency:*') } });
ok($held, 'a marker has a lease');
cmp_ok((sort { $b <=> $a } map { $redis->command('PTTL', $_) }
        @{ $redis->command('KEYS', 'idempotency:*') })[0], '<=', 24 * 3600000,
       'that ends');
$first->rest;


# -- the lease: renewed while it runs; who has lost it changes nothing

sub stored { return grep { $redis->command('PTTL', $_) > 0 }
                    @{ $redis->command('KEYS', 'idempotency:*') } }

$redis->command('FLUSHALL');
$first = $t->stream('POST', '/v1/chat/completions', headers($key = key()),
                    body('fault slow words=26 delay=500', stream => \1));
ok($t->wait_until(sub { stored() == 1 }, 5), 'one runs');

my ($name) = stored();

ok($t->wait_until(sub { $redis->command('PTTL', $name) < 21000 }, 12),
   'its lease goes on');
ok($t->wait_until(sub { $redis->command('PTTL', $name) > 28000 }, 5),
   'and is renewed');

$redis->command('SET', $name, 'of another');
like($first->rest, qr/\[DONE\]/, 'it is answered');
ok($t->wait_until(sub { chat(key(), 'hi')->{status} == 200 }), 'later');
is($redis->command('GET', $name), 'of another',
   'what another one has put there stays');


# -- a reload: the old worker answers, the new one tells to come again

($key, $before) = (key(), asked());
$first = $t->stream('POST', '/v1/chat/completions', headers($key),
                    body('fault late after=1500'));
ok($t->wait_until(sub { asked() == $before + 1 }), 'one runs');
$second = $t->stream('POST', '/v1/chat/completions', headers($key),
                     body('fault late after=1500'));
$t->reload;
is(code(chat($key, 'fault late after=1500')), 'idempotency_key_in_use',
   'a reload: the new worker knows it runs');
is($first->status, 200, 'the old one answers');
is($second->header('Idempotency-Replayed'), 'true', 'who waits there, too');
$first->rest;
$second->rest;
is(replayed(chat($key, 'fault late after=1500')), 'true',
   'the new one gives it again');


# -- Redis is slow: what it did unheard is undone

$t->allow(qr/what became of an idempotency key is not kept|redis/);
$t->suspend('redis');
$key = key();
is(code(chat($key, 'hi')), 'idempotency_unavailable', 'slow: nobody can tell');
$t->resume('redis');
ok($t->wait_until(sub { chat($key, 'hi')->{status} == 200 }, 5),
   'the key is free when it is back');


# -- Redis is away

$t2->allow(qr/redis/);

($key, $before) = (key(), asked());
$first = $t->stream('POST', '/v1/chat/completions', headers($key),
                    body('fault late after=500'));
ok($t->wait_until(sub { asked() == $before + 1 }), 'one runs');

$t->stop_server('redis');

like($first->rest, qr/Hello/, 'which is answered all the same');
$res = chat(key(), 'hi');
is("$res->{status} " . code($res), '503 idempotency_unavailable',
   'away: nobody can tell');
is($res->{headers}{'retry-after'}, 1, 'with Retry-After');
is(chat(undef, 'hi')->{status}, 200, 'who sends no key is answered');

$t->start_server('redis');

ok($t->wait_until(sub { chat(key(), 'hi')->{status} == 200 }, 5),
   'it comes back');


# -- configuration

my $server = 'redis_server main unix:/nowhere.sock;';

for my $case (
    [ 'none', qr/none/ ],
    [ 'main ttl=0', qr/invalid time in "ttl=0", expected 1s to 604800s/ ],
    [ 'main ttl=8d', qr/invalid time in "ttl=8d"/ ],
    [ 'main wait=2h', qr/invalid time in "wait=2h", expected 0s to 3600s/ ],
    [ 'main max_size=1', qr/invalid size in "max_size=1", expected 1k to 16m/ ],
    [ 'main max_size=17m', qr/invalid size/ ],
    [ 'main size=1k', qr/invalid parameter "size=1k", expected ttl=TIME/ ],
    [ 'off wait=1s', qr/off/ ],
    [ 'main; llm_idempotency off', qr/is duplicate/ ])
{
    my ($line, $expected) = @$case;
    $t->refuses($t->http_conf("$server llm_idempotency $line;\n"), $expected,
                $line);
}

done_testing();
