#!/usr/bin/perl

# llm_cache across reloads and gateways, with a Redis that is slow, away or holds
# something else; and its configuration.

use strict;
use warnings;
use utf8;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Cache;
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my ($t, $p) = Sallyport::Cache::gateway();
my $redis = $t->redis;


# -- another gateway of the same policy; and rules that were changed

my ($t2) = Sallyport::Cache::gateway(redis => $redis->{socket});

my ($before, $body, $first);
my $text = fresh();

chat($text);

my $there = $t2->post('/v1/chat/completions', headers($user),
                      text(Sallyport::Llm::body($text)));
is(status($there), $miss, 'another gateway: its provider has another address');

$text = 'fault words words=6 z=' . number();
is(!!again($text, path => '/moderated'), !!1, 'judged, and kept');
is(!!again($text), !!1, 'not judged, and kept');

$t->file('test.rules', rules('w3'));
$t->reload;
is(status(chat($text)), $hit, 'a reload: it is still there');
is(status(chat($text, path => '/moderated')), $miss,
   'other rules: it is asked and judged again');
unlike(chat($text, path => '/moderated')->{body}, qr/w3/, 'by them');

# a reload while an answer is under way

$text = 'fault late after=600 z=' . number();
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

# the name of the only one that is kept, as soon as it is

sub kept {
    my @names;

    $t->wait_until(sub { @names = @{ $redis->command('KEYS', 'answer:*') } });

    return $names[0];
}

sub spoil {
    my ($change) = @_;

    $redis->command('FLUSHALL');
    chat($text);

    $change->(kept());
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
my $theirs = kept();
is(spoil(sub { $redis->command('FLUSHALL') }), $miss, 'gone: asked');
my $ours = kept();
$redis->command('RENAME', $ours, $theirs);
is(status(chat($text, sub => $other)), $miss, 'moved to another name: asked');


# -- Redis is slow, or away: the chat goes on

$t->allow(qr/redis/);
$t->suspend('redis');

# who leaves while it is asked is not asked for

$before = asked();

my $leaver = $t->stream('POST', '/patient', headers($user),
                        text(Sallyport::Llm::body(fresh())));
ok(!$t->wait_until(sub { asked() > $before }, 0.2), 'it waits for Redis');
$leaver->close;
ok($t->wait_until(sub {
       $t->sql('select count(*) from gateway.ledger where status = 499') == 1;
   }, 5), 'a client leaves');
is(asked(), $before, 'no model is asked for it');

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
