#!/usr/bin/perl

# llm_cache: who asks the same is given the same answer, and nobody else is.

use strict;
use warnings;
use utf8;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::HTTP2;
use Sallyport::JWT qw(jwks);
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $user = '00000000-0000-4000-8000-00000000000a';
my $other = '00000000-0000-4000-8000-00000000000b';
my $mira = '00000000-0000-4000-8000-0000000000d1';
my $signer = Sallyport::JWT->new('HS256', kid => 'k');
my $receipt_key = '46' x 32;

my %arg = (
    http => 'auth_jwt_key_file %%DIR%%/jwks.json;
        %%TURNS%%
        moderation_rules %%DIR%%/test.rules;
        log_format cache "$uri $llm_cache_status";
        redis_server main %%REDIS%% timeout=300ms;
        llm_cache main;
        llm_message_limit 0;
        llm_tries 1;
        llm_keepalive 100ms;
        llm_provider sayer { dialect say; key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model great-sayer as=sayer; }
        llm_provider priced { key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model dear as=dear price=2.5/10; }
        llm_provider claude { dialect anthropic; key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model real-claude as=claude; }',
    location => 'auth_jwt "test"; add_header X-Cache $llm_cache_status always;',
    read_timeout => '2s',
    server => 'access_log %%DIR%%/cache.log cache;
        location = /off { auth_jwt "test"; llm_cache off;
                                 llm_pass default; }
        location = /open { llm_pass default; }
        location = /public { auth_jwt "test" optional; llm_pass default;
                             llm_cache main shared; }
        location = /small { auth_jwt "test"; llm_pass default;
                            llm_cache main max_size=1k; }
        location = /brief { auth_jwt "test"; llm_pass default;
                            llm_cache main ttl=1s; }
        location = /keyed { auth_jwt "test"; llm_pass default;
                            llm_cache main secret_file=%%DIR%%/secret; }
        location = /merged { auth_jwt "test"; llm_pass default;
                             llm_system_messages merge; }
        location = /same { auth_jwt "test"; llm_pass default; }
        location = /moderated { auth_jwt "test"; moderation input output;
                                llm_pass default; }
        location = /masked { auth_jwt "test"; moderation input;
                             llm_pass default; }
        location = /probed { auth_jwt "test"; test_filter on;
                             llm_pass default; }
        location = /keys { auth_jwt "test"; llm_pass default;
                           llm_idempotency main; }
        location = /little_cache { auth_jwt "test"; llm_pass default;
                                   llm_cache main max_size=1k;
                                   llm_idempotency main; }
        location = /little_keys { auth_jwt "test"; llm_pass default;
                                  llm_idempotency main max_size=1k; }
        location = /receipts { auth_jwt "test"; llm_pass default;
                               llm_receipt %%DIR%%/receipt.key; }
        location = /messages { auth_jwt "test"; error_format anthropic;
                               llm_keepalive off;
                               llm_pass default dialect=anthropic; }
        location = /responses { auth_jwt "test"; error_format responses;
                                llm_keepalive off;
                                llm_pass default dialect=responses; }
        location = /redirected { auth_jwt "test"; llm_pass dear;
                                 error_page 502 = @backup; }
        location @backup { auth_jwt "test"; llm_pass default; }
        location = /embed { auth_jwt "test"; llm_embeddings embedding; }
        location = /gzip { auth_jwt "test"; gzip on; gzip_types *;
                           gzip_min_length 1; llm_pass default; }',
    prepare => sub {
        $_[0]->file('jwks.json', jwks($signer), 0600);
        $_[0]->file('secret', "a secret of this test, and no other\n", 0600);
        $_[0]->file('receipt.key', "$receipt_key\n", 0600);
        $_[0]->file('test.rules', rules('w7'));
    },
);

sub rules {
    return "[i.mask category=test action=mask]\nquoted\n"
        . "[i.block category=test]\nforbidden\n"
        . "[o.mask category=test stage=output action=mask]\nquoted\n"
        . "[o.block category=test stage=output severity=4]\n$_[0]\n";
}

my ($t, $p) = do {
    my %first = %arg;

    $first{http} =~ s/%%TURNS%%/
        pg_server main "%%PG%%" timeout=2s;
        llm_characters main cache=0;
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
my $redis = $t->redis;
my $n = 0;

my %tokens = map {
    $_ => 'Bearer ' . $signer->token({ sub => $_, exp => int(time) + 900 })
} $user, $other;


sub headers {
    my ($sub, %more) = @_;

    return { 'Content-Type' => 'application/json', %more,
             $sub ? (Authorization => $tokens{$sub}) : () };
}

# sub '': nobody
sub chat {
    my ($text, %more) = @_;

    my ($path, $sub, $opt, $headers) = delete @more{qw(path sub opt headers)};

    return $t->post($path || '/v1/chat/completions',
                    headers(defined $sub ? $sub : $user, %{ $headers || {} }),
                    text(Sallyport::Llm::body($text, %more)), $opt || {});
}

# the same bytes each time
sub text { return $Sallyport::Llm::json->encode($_[0]) }
sub asked { return scalar $p->requests }
sub status { return $_[0]{headers}{'cache-status'} }
sub result { return Sallyport::Llm::metric($t, 'sallyport_llm_cache_total',
                                           qq(result="$_[0]")) }
sub said { return $_[0] =~ s/^: ping\n//gmr }

# a text that was not asked before
sub fresh { return 'question ' . ++$n . ' ' . join ' ', @_ }

my ($hit, $miss, $bypass, $request) = map { "sallyport; $_" }
    qw(hit fwd=miss fwd=bypass fwd=request);

# asks twice; true when the second one was answered by the cache
sub again {
    my @ask = @_;
    my @both = map { chat(@ask) } 1 .. 2;

    is($both[0]{status}, 200, 'answered: ' . substr $ask[0], 0, 40);
    return status($both[1]) eq $hit;
}


# -- again

for my $opt (@http) {
    for my $stream (\0, \1) {
        my $how = ($opt->{http2} ? 'HTTP/2' : 'HTTP/1.1')
                  . ($$stream ? ', stream' : ', whole');
        my @as = (stream => $stream, opt => $opt);
        my ($text, $before) = (fresh(), asked());
        my $first = chat($text, @as);

        is("$first->{status} " . status($first), "200 $miss", "$how: a miss");
        is($first->{headers}{'x-cache'}, 'MISS', "$how: in NGINX's words");

        my $again = chat($text, @as);

        is("$again->{status} " . status($again), "200 $hit", "$how: a hit");
        is($again->{headers}{'x-cache'}, 'HIT', "$how: in NGINX's words");
        is($again->{body}, said($first->{body}), "$how: with the same bytes");
        is($again->{headers}{$_}, $first->{headers}{$_}, "$how: the same $_")
            for qw(content-type cache-control x-accel-buffering);
        is(asked(), $before + 1, "$how: the model is asked once");

        is(status(chat($text, @as, sub => $other)), $miss,
           "$how: another user is not given it");
        is(status(chat($text, @as, sub => $other)), $hit,
           "$how: but what was said to that user");
        is(status(chat($text, @as, stream => $$stream ? \0 : \1)), $miss,
           "$how: nor a client that wants it otherwise");
        is(status(chat(fresh(), @as)), $miss, "$how: nor another question");
    }
}

is(result('hit'), 8, 'metrics: hits');
is(result('miss'), 16, 'metrics: misses');
ok($t->wait_until(sub {
       Sallyport::Test::slurp($t->dir . '/cache.log') =~ m{^/v1/chat/completions HIT$}m;
   }), 'the log says so');


# -- what the answer depends on

my $text = fresh();
my $tool = { type => 'function', function => { name => 'now' } };

sub called {
    my ($id) = @_;

    return [ { role => 'user', content => $text },
             { role => 'assistant', tool_calls => [ { id => $id,
               type => 'function', function => { name => 'now',
                                                 arguments => '{}' } } ] },
             { role => 'tool', tool_call_id => $id, content => 'noon' } ];
}

chat($text);

for my $case (
    [ 'an option', temperature => 0.5 ], [ 'a seed', seed => 1 ],
    [ 'a limit', max_tokens => 50 ],
    [ 'where it ends', stop => [ '##' ] ],
    [ 'a bias', logit_bias => { 50256 => -100 } ],
    [ 'who it is for', user => 'u-1' ],
    [ 'what only one server knows', num_ctx => 8192 ],
    [ 'tools', tools => [ $tool ] ],
    [ 'which of them', tools => [ $tool ], tool_choice => 'none' ],
    [ 'one at a time', tools => [ $tool ], parallel_tool_calls => \0 ],
    [ 'the result of a call', messages => called('call_1') ],
    [ 'the same of another call', messages => called('call_2') ],
    [ 'another model', model => 'small' ],
    [ 'another provider', model => 'dear' ],
    [ 'choices', n => 2, stream => \1 ],
    [ 'a form', response_format => { type => 'json_object' } ],
    [ 'usage', stream => \1, stream_options => { include_usage => \1 } ],
    [ 'no usage', stream => \1 ],
    [ 'what was said before',
      messages => [ { role => 'assistant', content => 'ho' },
                    { role => 'user', content => $text } ] ],
    [ 'what becomes of system messages', path => '/merged' ])
{
    my ($name, @more) = @$case;

    is(status(chat($text, @more)), $miss, "$name: another answer");
    is(status(chat($text, @more)), $hit, "$name: which is kept");
}

is(status(chat($text, path => '/same')), $hit,
   'another address of the same policy has the same answers');
is(status(chat($text, path => '/keyed')), $miss,
   'with a secret they have other names');
is(status(chat($text, path => '/keyed')), $hit, 'which are found');
is(status(chat($text, path => '/off')), undef, 'off: nothing is said of it');

my $before = asked();
chat($text, path => '/off');
is(asked(), $before + 1, 'off: the model is asked');

# the names in Redis tell nothing, with a secret not even by guessing

is(scalar(grep { !/^answer:[0-9a-f]{64}$/ } @{ $redis->command('KEYS', '*') }),
   0, 'names are hashes');

# the chat that it is of is no part of what the model reads

my @chats = map { "00000000-0000-4000-8000-0000000000e$_" } 1 .. 2;

sub in_chat {
    my ($chat, $character, @more) = @_;

    return chat(@more, metadata => { chat_id => $chat,
                                     character_id => $character });
}

$text = fresh();
is(status(in_chat($chats[0], $mira, $text)), $miss, 'in one chat');
is(status(in_chat($chats[1], $mira, $text)), $hit, 'in another one');

# a persona that was changed in between

$t->sql('update chat.character set system_prompt = ? where id = ?',
        'You are {{char}}, and rhyme.', $mira);
is(status(in_chat($chats[0], $mira, $text)), $miss, 'another persona');
is($p->last_request->{json}{messages}[0]{content},
   "Character: Mira\n\nYou are Mira, and rhyme.", 'is what the model reads');
is(status(in_chat($chats[0], $mira, $text)), $hit, 'its answer is kept');
$t->sql('update chat.character set system_prompt = ? where id = ?',
        'You are {{char}}.', $mira);
is(status(in_chat($chats[0], $mira, $text)), $hit,
   'as it was: its former answer');
is(status(chat($text)), $miss, 'without it: another one');

# headers of the client that a provider gets

$text = fresh();

for my $version ('2023-06-01', '2024-01-01') {
    my @answers = map {
        chat($text, path => '/messages', model => 'claude', max_tokens => 50,
             headers => { 'anthropic-version' => $version })
    } 1 .. 2;

    is(join(', ', map { status($_) } @answers), "$miss, $hit",
       "anthropic-version: $version");
}


# -- whose it is

is(status(chat(fresh(), path => '/open', sub => '')), $bypass,
   'of nobody none is kept');

$text = fresh();
is(status(chat($text, path => '/public', sub => '')), $miss, 'shared: asked');
is(status(chat($text, path => '/public', sub => $_)), $hit,
   'shared: everybody has it') for '', $user, $other;
is(status(chat($text, sub => $user)), $miss, 'but not where it is not');


# -- which answers are kept

for my $case ([ 'fault tools', 1 ], [ 'fault think', 1 ],
              [ 'fault slow delay=1', 1 ], [ 'fault bytes', 1 ],
              [ 'fault short finish=0', 0 ], [ 'fault cut at=mid', 0 ],
              [ 'fault error', 0 ], [ 'fault garbage', 0 ],
              [ 'fault status code=500', 0 ], [ 'fault status code=400', 0 ],
              [ 'fault echo field=refusal size=3', 0, "\nI cannot" ])
{
    my ($fault, $kept, $more) = @$case;

    for my $stream (\0, \1) {
        next if $fault =~ /^fault short/ && !$$stream;

        $text = $more ? "$fault$more" : "$fault z=" . ++$n;
        $before = asked();
        chat($text, stream => $stream) for 1 .. 2;
        is(asked() - $before, $kept ? 1 : 2,
           "$fault, " . ($$stream ? 'stream' : 'whole') . ': '
           . ($kept ? 'kept' : 'not kept'));
    }
}

for my $case ([ 'stop', 1 ], [ 'tool_calls', 1 ], [ 'length', 0 ],
              [ 'content_filter', 0 ], [ 'unheard_of', 0 ])
{
    my ($reason, $kept) = @$case;

    my @base = (id => "r$n", created => 1, model => 'm');

    for my $stream (0, 1) {
        my $answer = $stream
            ? { @base, object => 'chat.completion.chunk', choices => [
                { index => 0, delta => { content => 'so' },
                  finish_reason => $reason } ] }
            : { @base, object => 'chat.completion', choices => [
                { index => 0, finish_reason => $reason,
                  message => { role => 'assistant', content => 'so' } } ] };

        is(!!again("fault raw\n" . text($answer)
                   . ($stream ? "\n[DONE]" : ''),
                   stream => $stream ? \1 : \0),
           !!$kept, "$reason: " . ($kept ? 'kept' : 'not kept'));
    }
}

# an end that nobody has told, and an answer without a word

for my $case (
    [ 'no reason', \1, '{"choices":[{"index":0,"delta":{"content":"so"}}]}'
                       . "\n[DONE]" ],
    [ 'no reason', \0, '{"choices":[{"index":0,"finish_reason":null,'
                       . '"message":{"role":"assistant","content":"so"}}]}' ],
    [ 'one of two', \1, '{"choices":[{"index":0,"delta":{"content":"so"},'
                        . '"finish_reason":"stop"}]}' . "\n[DONE]", 2 ],
    [ 'no choice', \0, '{"choices":[]}' ])
{
    my ($case_name, $stream, $raw, $choices) = @$case;
    my @ask = ("fault raw z=" . ++$n . "\n$raw", stream => $stream,
               n => $choices || 1);

    $before = asked();
    chat(@ask) for 1 .. 2;
    is(asked(), $before + 2, "$case_name: not kept");
}

for my $fault ('stop', 'pause', 'refuse') {
    for my $stream (\0, \1) {
        is(!!again("fault $fault z=" . ++$n, stream => $stream,
                   path => '/messages', model => 'claude', max_tokens => 50),
           $fault eq 'stop', "Anthropic, $fault");
    }
}

is(!!again('fault words words=500', path => '/small'), !!0,
   'over max_size: not kept');
is(!!again('fault words words=500 z=1', path => '/small', stream => \1), !!0,
   'nor a stream');
is(!!again('fault words words=500'), !!1, 'up to it: kept');

# its time

my $name = (grep { $redis->command('PTTL', $_) > 3590_000 }
            @{ $redis->command('KEYS', 'answer:*') })[0];
ok($name, 'ttl: an hour');

$redis->command('FLUSHALL');
$text = fresh();
chat($text, path => '/brief');
ok($t->wait_until(sub { !@{ $redis->command('KEYS', 'answer:*') } }, 3),
   'ttl: gone');
is(status(chat($text, path => '/brief')), $miss, 'asked anew');


# -- what a client may say

for my $case ([ 'no-store', 0 ], [ 'no-cache', 1 ], [ 'No-Cache', 1 ],
              [ 'max-age=0', 1 ], [ 'max-stale, no-store', 0 ],
              [ 'no-cache,no-store', 0 ])
{
    my ($control, $kept) = @$case;
    my @with = (headers => { 'Cache-Control' => $control });

    $text = fresh();

    my $first = chat($text, @with);

    is(status($first), $request, "$control: asked");
    is($first->{headers}{'x-cache'}, 'BYPASS', "$control: in NGINX's words");
    is(status(chat($text)), $kept ? $hit : $miss,
       "$control: " . ($kept ? 'kept for others' : 'not kept'));
    is(status(chat($text, @with)), $request, "$control: asked all the same");
}

is(status(chat($text, headers => { 'Cache-Control' => $_ })), $hit,
   "$_: no word on it") for 'max-age=60', 'no-transform', ',,', 'no-cachex', '';


# -- other dialects, other kinds

# what only the Responses API has

my @responses = map {
    $t->post('/responses', headers($user), text(
        { model => 'default', input => 'hi', instructions => $_ }))
} 'rhyme', 'be brief', 'rhyme';
is(join(', ', map { status($_) } @responses), "$miss, $miss, $hit",
   'instructions are a part of it');

for my $path (qw(/messages /responses)) {
    for my $stream (\0, \1) {
        $text = fresh();

        my %body = ($path eq '/messages')
            ? (model => 'default', max_tokens => 50, stream => $stream,
               messages => [ { role => 'user', content => $text } ])
            : (model => 'default', stream => $stream, input => $text);

        my @answers = map { $t->post($path, headers($user), text(\%body)) }
                      1 .. 2;

        is(join(', ', map { "$_->{status} " . status($_) } @answers),
           "200 $miss, 200 $hit", "$path: kept");
        is($answers[1]{body}, $answers[0]{body}, "$path: as it was");
        is($answers[1]{headers}{'content-type'},
           $answers[0]{headers}{'content-type'}, "$path: as what it was");
    }
}

$before = asked();
my @vectors = map { $t->post('/embed', headers($user), text(
                        { model => 'embedding', input => 'hi' })) } 1 .. 2;

is(join(', ', map { "$_->{status} " . status($_) } @vectors),
   "200 $miss, 200 $hit", 'embeddings: kept');
is($vectors[1]{body}, $vectors[0]{body}, 'embeddings: the same vectors');
is(asked(), $before + 1, 'embeddings: asked once');

$text = fresh();
my @gzip = map { chat($text, path => '/gzip',
                      headers => { 'Accept-Encoding' => $_ }) }
           'gzip', 'identity';

is($gzip[1]{json}{choices}[0]{message}{content}, $Sallyport::Llm::hello,
   'what is kept is not compressed');


# -- what was judged

for my $stream (\0, \1) {
    my @as = (stream => $stream, path => '/moderated');

    $text = fresh();

    my @both = map { chat($text, @as) } 1 .. 2;

    is(status($both[1]), $hit, 'masked: kept');
    is($both[1]{body}, said($both[0]{body}), 'as it was sent');
    unlike($both[1]{body}, qr/quoted/, 'which is masked');

    $both[2] = chat($text, stream => $stream);
    is(status($both[2]), $miss, 'where it is not judged: another answer');
    like($both[2]{body}, qr/quoted/, 'which is not masked');

    $text = 'fault words words=20 z=' . ++$n;
    is(!!again($text, @as), !!0, 'ended by a filter: not kept');

    $text = 'fault words words=6 z=' . ++$n;
    is(!!again($text, @as), !!1, 'passed by it: kept');
    like(chat($text, @as)->{body}, qr/w5/, 'with what it says');
}

is(status(chat(fresh(), path => '/probed')), $bypass,
   'a filter that does not tell what it judges by: none is kept');

# who is refused is not answered by what was kept for others

$text = 'forbidden ' . ++$n;
is(!!again($text), !!1, 'where it may be said: kept');

my $blocked = chat($text, path => '/moderated');
is("$blocked->{status} $blocked->{json}{error}{code}", '422 content_blocked',
   'where it may not: refused');
is(status($blocked), undef, 'and not looked up');

# a text that was masked is another text

my $first = chat('quoted ' . ($n + 1), path => '/masked');
is(status($first), $miss, 'a mask');
is($p->last_request->{json}{messages}[0]{content}, '****** ' . ($n + 1),
   'is what the model reads');
is(status(chat('****** ' . ($n + 1), path => '/masked')), $hit,
   'so is the same without one');
is(status(chat('quoted ' . ++$n, path => '/same')), $miss,
   'unmasked it is another question');


# -- the ledger and the chat

sub dear {
    return in_chat($chats[$_[0]], $mira, 'how are you?', model => 'dear',
                   stream => \1);
}

dear(0);
dear(1) for 1 .. 2;

ok($t->wait_until(sub {
    $t->sql("select count(*) from gateway.ledger where alias = 'dear'
                and chat_id is not null and stored") == 3;
}, 5), 'each request has a row');
is(scalar $t->sql("select string_agg(outcome || ' ' || (cost > 0) || ' '
                       || (prompt_tokens is not null) || error_type
                       || ' ' || status || ' ' || stream || ' '
                       || finish_reason || ' ' || provider, ', '
                       order by at, id)
                  from gateway.ledger
                 where alias = 'dear' and chat_id is not null"),
   join(', ', 'complete true true 200 true stop priced',
        ('cached false false 200 true stop ') x 2),
   'one is paid for');
is(scalar $t->sql("select max(cost) from gateway.ledger
                    where outcome = 'cached'"), '0.000000000',
   'the others cost nothing');
is(scalar $t->sql("select sum(cached) from gateway.usage_daily
                    where alias = 'dear'"), 3, 'the account by day says so');
is(scalar $t->sql("select string_agg(count, ', ')
                     from (select count(*) || ' ' || count(distinct content)
                                  as count
                             from chat.message m
                             join gateway.ledger l on l.id = m.turn_id
                            where l.alias = 'dear' group by m.chat_id
                            order by 1) c"), '2 2, 4 2',
   'each one is a turn of its chat');
is(scalar $t->sql("select count(distinct content) from chat.message m
                     join gateway.ledger l on l.id = m.turn_id
                    where l.alias = 'dear' and m.role = 'assistant'"), 1,
   'with the same answer');


# -- with an Idempotency-Key

sub keyed {
    my ($key, @more) = @_;
    return chat(@more, path => '/keys', headers => { 'Idempotency-Key' => $key });
}

sub replayed { return $_[0]{headers}{'idempotency-replayed'} }

for my $stream (\0, \1) {
    $text = fresh();
    $before = asked();

    my $key = 'key ' . ++$n;
    my @ask = ($text, stream => $stream);
    my @answers = (keyed($key, @ask), keyed($key, @ask), keyed("$key b", @ask),
                   keyed("$key b", @ask), chat(@ask));

    is(join(', ', map { (status($_) || '') . (replayed($_) ? ' replayed' : '') }
                  @answers),
       "$miss,  replayed, $hit,  replayed, $hit",
       'a key: its own answer, and that is one of the cache');
    is(scalar(grep { said($_->{body}) ne said($answers[0]{body}) } @answers), 0,
       'all the same');
    is(asked(), $before + 1, 'asked once');

    my $reused = keyed("$key b", fresh(), stream => $stream);
    is("$reused->{status} $reused->{json}{error}{code}",
       '422 idempotency_key_reused', 'the key is taken');
}

# longer than what one of them keeps

for my $case ([ '/little_cache', 'replayed', $miss ],
              [ '/little_keys', '409', $hit ])
{
    my ($path, $expected, $next) = @$case;
    my @ask = ('fault words words=400 z=' . ++$n, path => $path);
    my @key = (headers => { 'Idempotency-Key' => "key $n" });

    chat(@ask, @key);

    my $again = chat(@ask, @key);

    is(replayed($again) ? 'replayed' : $again->{status}, $expected,
       "$path: the key");
    is(status(chat(@ask)), $next, "$path: the cache");
}


# -- receipts

$text = fresh();
chat($text, path => '/receipts');

my @receipts = map { chat($text, path => '/receipts', stream => \1,
                          headers => { 'X-Receipt' => 1 }) } 1 .. 2;

is(join(', ', map { status($_) } @receipts), "$request, $request",
   'a receipt is of a model that was asked');
like($_->{body}, qr/^: receipt /m, 'it is there') for @receipts;
isnt($receipts[0]{body}, $receipts[1]{body}, 'each has its own');
unlike(chat($text, path => '/receipts', stream => \1)->{body}, qr/receipt/,
       'who asks for none is given none') for 1 .. 2;


# -- a client that leaves

my $body;

for my $opt (@http) {
    $body = text(Sallyport::Llm::body('fault slow words=20 delay=40 z=' . ++$n,
                                      stream => \1));
    $before = asked();

    if ($opt->{http2}) {
        my $h2 = Sallyport::HTTP2->connect('127.0.0.1:' . $t->port('H2'));
        my $id = $h2->request('POST', '/v1/chat/completions', headers($user),
                              $body);
        ok($t->wait_until(sub { asked() == $before + 1 }), 'RST_STREAM: asked');
        $h2->reset($id);
        $h2->close;

    } else {
        my $stream = $t->stream('POST', '/v1/chat/completions', headers($user),
                                $body);
        ok($stream->read_until(qr/w1/, 3), 'abort: it begins');
        $stream->close;
    }

    my $next = $t->post('/v1/chat/completions', headers($user), $body, $opt);

    is(status($next), $miss, 'a half answer is not kept');
    like($next->{body}, qr/\[DONE\]/, 'who comes next has all of it');
    is(asked(), $before + 2, 'of the model');
}


# -- an error_page that leads to another model

$before = asked();
$text = 'fault status code=500 model=dear z=' . ++$n;
$body = text({ messages => [ { role => 'user', content => $text } ] });

my @redirected = map { $t->post('/redirected', headers($user), $body) } 1 .. 2;
is(join(', ', map { "$_->{status} " . status($_) } @redirected),
   "200 $miss, 200 $hit", 'a backup: what it says is kept under its own name');
is(asked(), $before + 3, 'the first one is asked each time');


# -- another gateway of the same policy; and rules that were changed

my ($t2, $p2) = do {
    my %second = %arg;
    my $socket = $redis->{socket};

    $second{http} =~ s/%%REDIS%%/unix:$socket/;
    $second{http} =~ s/%%TURNS%%//;
    Sallyport::Llm::gateway(%second);
};

$text = fresh();
chat($text);

my $there = $t2->post('/v1/chat/completions', headers($user),
                      text(Sallyport::Llm::body($text)));
is(status($there), $miss, 'another gateway: its provider has another address');

$text = 'fault words words=6 z=' . ++$n;
is(!!again($text, path => '/moderated'), !!1, 'judged, and kept');
is(!!again($text), !!1, 'not judged, and kept');

$t->file('test.rules', rules('w3'));
$t->reload;
is(status(chat($text)), $hit, 'a reload: it is still there');
is(status(chat($text, path => '/moderated')), $miss,
   'other rules: it is asked and judged again');
unlike(chat($text, path => '/moderated')->{body}, qr/w3/, 'by them');

# a reload while an answer is under way

$text = 'fault late after=600 z=' . ++$n;
$body = text(Sallyport::Llm::body($text));
$before = asked();

my $held = @{ $redis->command('KEYS', 'answer:*') };
my $late = $t->stream('POST', '/v1/chat/completions', headers($user), $body);
ok($t->wait_until(sub { asked() == $before + 1 }), 'one runs');
$t->reload;
is($late->status, 200, 'the old worker answers');
$late->rest;
ok($t->wait_until(sub { @{ $redis->command('KEYS', 'answer:*') } > $held }),
   'and keeps it');
is(status(chat($text)), $hit, 'what it keeps the new one gives');


# -- what is none of ours

sub spoil {
    my ($change) = @_;

    $redis->command('FLUSHALL');
    chat($text);

    my ($entry) = @{ $redis->command('KEYS', 'answer:*') };

    $change->($entry);
    return status(chat($text));
}

$text = fresh();
is(spoil(sub { $redis->command('SET', $_[0], 'garbage') }), $miss,
   'garbage: asked');
is(status(chat($text)), $hit, 'and written over');
is(spoil(sub { $redis->command('DEL', $_[0]);
               $redis->command('RPUSH', $_[0], 'x') }), $miss,
   'another type: asked');
is(status(chat($text)), $hit, 'and written over');
is(spoil(sub {
       my ($entry) = @_;
       my $kept = $redis->command('GET', $entry);

       $redis->command('SET', $entry, substr $kept, 0, -1);
   }), $miss, 'cut: asked');

$redis->command('FLUSHALL');
chat($text, sub => $other);
my ($theirs) = @{ $redis->command('KEYS', 'answer:*') };
is(spoil(sub { $redis->command('FLUSHALL') }), $miss, 'gone: asked');
my ($ours) = @{ $redis->command('KEYS', 'answer:*') };
$redis->command('RENAME', $ours, $theirs);
is(status(chat($text, sub => $other)), $miss, 'moved to another name: asked');


# -- Redis is slow, or away: the chat goes on

$t->allow(qr/redis/);
$t->suspend('redis');

# who leaves while it is asked is not asked for

$before = asked();

my $leaver = $t->stream('POST', '/v1/chat/completions', headers($user),
                        text(Sallyport::Llm::body(fresh())));
ok(!$t->wait_until(sub { asked() > $before }, 0.1), 'it waits for Redis');
$leaver->close;
ok(!$t->wait_until(sub { asked() > $before }, 0.5), 'a client that has left');

my $start = time;
$text = fresh();
$first = chat($text);
is("$first->{status} " . status($first),
   '200 sallyport; fwd=bypass; detail=unavailable', 'slow: the model is asked');
cmp_ok(time - $start, '<', 2, 'within the deadline');
is($first->{headers}{'x-cache'}, 'BYPASS', 'in NGINX\'s words');
$t->resume('redis');
ok($t->wait_until(sub { status(chat(fresh())) eq $miss }, 5), 'it is back');
is(status(chat($text)), $miss, 'an answer of that time was not brought to it');

my $running = text(Sallyport::Llm::body('fault late after=500'));
$before = asked();
my $late2 = $t->stream('POST', '/v1/chat/completions', headers($user), $running);
ok($t->wait_until(sub { asked() == $before + 1 }), 'one runs');
$t->stop_server('redis');
like($late2->rest, qr/Hello/, 'away: it is answered');

for my $stream (\0, \1) {
    $first = chat(fresh(), stream => $stream);
    is("$first->{status} " . status($first),
       '200 sallyport; fwd=bypass; detail=unavailable', 'away: asked');
}

cmp_ok(result('unavailable'), '>=', 3, 'metrics: unavailable');
$t->start_server('redis');
ok($t->wait_until(sub { status(chat(fresh())) eq $miss }, 5), 'it is back');
$t2->allow(qr/redis/);


# -- configuration

my $server = 'redis_server main unix:/nowhere.sock;';

$t->file('short', "short\n", 0600);
$t->file('loose', "a secret of this test, and no other\n", 0644);

for my $case (
    [ 'none', qr/none/ ],
    [ 'main ttl=0', qr/invalid time in "ttl=0", expected 1s to 604800s/ ],
    [ 'main max_size=1', qr/invalid size in "max_size=1", expected 1k to 16m/ ],
    [ 'main wait=1s', qr/invalid parameter "wait=1s", expected ttl=TIME, max_size=SIZE, secret_file=PATH or shared/ ],
    [ 'main Shared', qr/invalid parameter "Shared"/ ],
    [ 'main secret_file=%%DIR%%/short', qr/short" holds 5 bytes, a secret has 16 or more/ ],
    [ 'main secret_file=%%DIR%%/loose', qr/loose/ ],
    [ 'main secret_file=%%DIR%%/nowhere', qr/nowhere/ ],
    [ 'off shared', qr/off/ ],
    [ 'main; llm_cache off', qr/is duplicate/ ])
{
    my ($line, $expected) = @$case;
    $t->refuses($t->http_conf("$server llm_cache $line;\n"), $expected, $line);
}

$t->accepts($t->http_conf("$server llm_cache main ttl=7d max_size=16m shared;\n"),
            'all of it');

done_testing();
