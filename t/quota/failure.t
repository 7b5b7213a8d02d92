#!/usr/bin/perl

# quota_failure: Redis stopped, stalled, back, back empty.  Nothing hangs,
# nothing is unlimited, nothing used meanwhile is given back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;
use Time::HiRes qw(time);


my $t = Sallyport::Test->new;

$t->redis;
$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    redis_server main %%REDIS%% timeout=20ms;
    quota_redis main;
    quota_policy ten { requests 10/h; }
    quota_policy plenty { requests 100000/h; }
    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/www;
        add_header X-Result $quota_result always;

        location /local/ { quota ten by=$http_x_key; }
        location /open/ { quota ten by=$http_x_key; quota_failure open; }
        location /closed/ { quota ten by=$http_x_key; quota_failure closed; }
        location /plenty/ { quota plenty by=$http_x_key; }
        location /metrics { metrics; }
    }
}
EOC

$t->file("www/$_/a.txt", 'a') for qw(local open closed plenty);
$t->run;
ok(back(), 'Redis is asked');

is(statuses('/local/a.txt', 'a', 4), '200 200 200 200', 'four with Redis');

# stopped
$t->stop_server('redis');
$t->wait_until(sub { result('/plenty/a.txt', 'x') eq 'local' });

is(statuses('/local/a.txt', 'a', 7), '200 200 200 200 200 200 429',
   'without it the limit goes on where it was');
is(result('/local/a.txt', 'a'), 'local_denied', '$quota_result');
is(statuses('/open/a.txt', 'a', 12), join(' ', (200) x 12), 'open');
is(result('/open/a.txt', 'a'), 'open', 'and says so');

my $res = key('/closed/a.txt', 'a');
is($res->{status}, 503, 'closed');
is($res->{json}{error}{code}, 'quota_unavailable', 'its code');
ok($res->{headers}{'retry-after'}, 'Retry-After');

# back and empty: what was used is not given back
$t->start_server('redis');
ok(back(), 'Redis is asked again');
is(key('/local/a.txt', 'a')->{status}, 429, 'still used up');
is(statuses('/local/a.txt', 'fresh', 11),
   join(' ', (200) x 10, 429), 'a fresh key has its limit');

system("redis-cli -s $t->{redis}{socket} flushall >/dev/null");
is(key('/local/a.txt', 'fresh')->{status}, 429, 'emptied: still used up');

# half used, then emptied: the floor brings the rest back
is(statuses('/local/a.txt', 'half', 5), join(' ', (200) x 5), 'half used');
system("redis-cli -s $t->{redis}{socket} flushall >/dev/null");
is(statuses('/local/a.txt', 'half', 6), join(' ', (200) x 5, 429),
   'five more, not ten');

# stalled: the deadline, then the breaker
$t->suspend('redis');

my @took;

for (1 .. 200) {
    my $start = time;
    $res = key('/plenty/a.txt', 'slow');
    push @took, time - $start;
    last if $res->{status} != 200;
}

is($res->{status}, 200, 'served while Redis is stalled');
@took = sort { $a <=> $b } @took;
cmp_ok($took[int(@took * 0.99)], '<', 0.1,
       sprintf 'p99 %.0f ms', 1000 * $took[int(@took * 0.99)]);
is(statuses('/local/a.txt', 'stall', 11), join(' ', (200) x 10, 429),
   'and limited');

$t->resume('redis');

my $start = time;
ok(back(), 'Redis goes on');
cmp_ok(time - $start, '<', 2, sprintf 'asked again after %.1f s',
       time - $start);
is(key('/local/a.txt', 'stall')->{status}, 429, 'nothing was given back');

my $metrics = $t->get('/metrics')->{body};
like($metrics, qr/result="local"\} [1-9]/, 'metric: local');
like($metrics, qr/result="local_denied"\} [1-9]/, 'metric: local_denied');
like($metrics, qr/result="open"\} [1-9]/, 'metric: open');
like($metrics, qr/result="closed"\} [1-9]/, 'metric: closed');
like($metrics, qr/sallyport_quota_redis_errors_total [1-9]/,
     'metric: errors');

# keys expire by themselves, hold no raw value, share a tag
my @keys = split /\n/, `redis-cli -s $t->{redis}{socket} keys '*'`;
ok(@keys, 'there are keys');
is(join(' ', grep { !/^quota3:\{[av]:[0-9a-f]+\}:(?:ten|plenty)$/ }
             @keys), '', 'of the documented form');

# one that has just expired is -2
is(join(' ', grep { `redis-cli -s $t->{redis}{socket} pttl '$_'` == -1 }
             @keys), '', 'each with an expiry');

$t->finish;
done_testing;


sub back {
    return $t->wait_until(sub {
        result('/plenty/a.txt', 'probe') eq 'allowed'
    }, 5);
}


sub statuses {
    my ($path, $key, $n) = @_;
    return join ' ', map { key($path, $key)->{status} } 1 .. $n;
}


sub result {
    my ($path, $key) = @_;
    return key($path, $key)->{headers}{'x-result'} || '';
}


sub key {
    my ($path, $key) = @_;
    return $t->get($path, { 'X-Key' => $key });
}
