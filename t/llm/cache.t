#!/usr/bin/perl

# llm_cache: who asks the same is given the same answer, and nobody else is.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Cache;
use Sallyport::HTTP2;
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my ($t, $p) = Sallyport::Cache::gateway();
my $redis = $t->redis;
my @http = ({}, { http2 => 1 });


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

# another answer to a message, or another branch

$text = fresh();

for my $parent ('root', $chats[0]) {
    my @branch = ($text, metadata => { chat_id => $chats[0],
                                       parent_id => $parent });

    is(join(', ', map { status(chat(@branch)) } 1 .. 2), "$request, $request",
       'a parent: the model is asked');
}

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

        $text = $more ? "$fault$more" : "$fault z=" . number();
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

    my @base = (id => "r", created => 1, model => 'm');

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
    my @ask = ("fault raw z=" . number() . "\n$raw", stream => $stream,
               n => $choices || 1);

    $before = asked();
    chat(@ask) for 1 .. 2;
    is(asked(), $before + 2, "$case_name: not kept");
}

for my $fault ('stop', 'pause', 'refuse') {
    for my $stream (\0, \1) {
        is(!!again("fault $fault z=" . number(), stream => $stream,
                   path => '/messages', model => 'claude', max_tokens => 50),
           $fault eq 'stop', "Anthropic, $fault");
    }
}

is(!!again('fault words words=500', path => '/small'), !!0,
   'over max_size: not kept');
is(!!again('fault words words=500 z=1', path => '/small', stream => \1), !!0,
   'nor a stream');
is(!!again('fault words words=500'), !!1, 'up to it: kept');

for my $opt (@http) {
    my @big = map { chat('fault words words=20000', opt => $opt) } 1 .. 2;

    is(status($big[1]), $hit, 'a long one: kept');
    cmp_ok(length $big[1]{body}, '>', 100_000, 'long');
    is($big[1]{body}, $big[0]{body}, 'and whole');
}

# at once: each asks for itself, and what they keep is one

$text = 'fault late after=200 z=' . number();
$before = asked();

my @at_once = map {
    $t->stream('POST', '/v1/chat/completions', headers($user),
               text(Sallyport::Llm::body($text, stream => \1)))
} 1 .. 20;

is(scalar(grep { $_->rest =~ /\[DONE\]/ } @at_once), 20, '20 at once: answered');
is(asked(), $before + 20, 'by the model');
is(status(chat($text, stream => \1)), $hit, 'who comes later by the cache');

# its time

my $name = (grep { $redis->command('PTTL', $_) > 3590_000 }
            @{ $redis->command('KEYS', 'answer:*') })[0];
ok($name, 'ttl: an hour');

$redis->command('FLUSHALL');
$text = fresh();
chat($text, path => '/brief');
ok($t->wait_until(sub { @{ $redis->command('KEYS', 'answer:*') } == $_ }, 3),
   "ttl: $_") for 1, 0;
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

    $text = 'fault words words=20 z=' . number();
    is(!!again($text, @as), !!0, 'ended by a filter: not kept');

    $text = 'fault words words=6 z=' . number();
    is(!!again($text, @as), !!1, 'passed by it: kept');
    like(chat($text, @as)->{body}, qr/w5/, 'with what it says');
}

is(status(chat(fresh(), path => '/probed')), $bypass,
   'a filter that does not tell what it judges by: none is kept');

# who is refused is not answered by what was kept for others

$text = 'forbidden ' . number();
is(!!again($text), !!1, 'where it may be said: kept');

my $blocked = chat($text, path => '/moderated');
is("$blocked->{status} $blocked->{json}{error}{code}", '422 content_blocked',
   'where it may not: refused');
is(status($blocked), undef, 'and not looked up');

# a text that was masked is another text

my $number = number();
my $first = chat("quoted $number", path => '/masked');
is(status($first), $miss, 'a mask');
is($p->last_request->{json}{messages}[0]{content}, "****** $number",
   'is what the model reads');
is(status(chat("****** $number", path => '/masked')), $hit,
   'so is the same without one');
is(status(chat('quoted ' . number(), path => '/same')), $miss,
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

    my $key = 'key ' . number();
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
    my @ask = ('fault words words=400 z=' . number(), path => $path);
    my @key = (headers => { 'Idempotency-Key' => 'key ' . number() });

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
    $body = text(Sallyport::Llm::body('fault slow words=20 delay=40 z=' . number(),
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
$text = 'fault status code=500 model=dear z=' . number();
$body = text({ messages => [ { role => 'user', content => $text } ] });

my @redirected = map { $t->post('/redirected', headers($user), $body) } 1 .. 2;
is(join(', ', map { "$_->{status} " . status($_) } @redirected),
   "200 $miss, 200 $hit", 'a backup: what it says is kept under its own name');
is(asked(), $before + 3, 'the first one is asked each time');

done_testing();
