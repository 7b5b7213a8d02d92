#!/usr/bin/perl

# Leases: a client that asks often gets several units of Redis at once.  It
# sees no difference, no number of gateways lets more pass than the limit, and
# what nobody uses goes back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $conf = <<'EOC';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    redis_server main %%REDIS%% timeout=2s;
    quota_redis main %%LEASE%%;
    quota_policy hot { requests 1000/d; requests 5000/30d; }
    quota_policy small { requests 150/d; }
    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/www;
        location /hot/ { quota hot by=$http_x_key; }
        location /small/ { quota small by=$http_x_key; }
    }
}
EOC

my $t = gateway('');
my $redis = $t->redis->{socket};
my $exact = gateway('lease=0%', $redis);
my $other = gateway('lease=1%', $redis);

# a client sees no difference
my $before = evals();
my $res = burst($t, '/hot/a.txt', 'one', 400);

is($res->{passed}, 400, '400 requests pass');
is("@{ $res->{remaining} }", join(' ', reverse 600 .. 999),
   'each is counted for itself');
is($res->{'ratelimit-policy'},
   '"requests-86400";q=1000;w=86400, "requests-2592000";q=5000;w=2592000',
   'both limits are announced');
cmp_ok(evals() - $before, '<', 150, 'Redis was asked for fewer');

# what is left of a lease goes back at its end
pause();
$res = burst($t, '/hot/a.txt', 'one', 1);
is("@{ $res->{remaining} }", 599, 'a pause costs nothing');
is(burst($exact, '/hot/a.txt', 'one', 1)->{remaining}[0], 598,
   '.. and leaves nothing behind in Redis');

# lease=0%
$before = evals();
burst($exact, '/hot/a.txt', 'two', 100);
is(evals() - $before, 100, 'lease=0%: Redis is asked each time');

# a burst below 200 has no leases
$before = evals();
is(burst($t, '/small/a.txt', 'three', 160)->{passed}, 150,
   'a small limit: 150 of 160 pass');
is(evals() - $before, 150, '.. each asked for, but those known to be denied');

# two gateways
my @passed = map { burst($_, '/hot/a.txt', 'four', 700)->{passed} } $t, $other;
cmp_ok($passed[0] + $passed[1], '<=', 1000, 'two gateways: never more');
cmp_ok($passed[0] + $passed[1], '>=', 990,
       ".. and but for the last lease of the first all: @passed");
pause();
is(burst($t, '/hot/a.txt', 'four', 20)->{passed} + $passed[0] + $passed[1],
   1000, '.. which is still there for those who ask the first');

@passed = crowd('five', 8, 200);
cmp_ok($passed[0] + $passed[1], '<=', 1000, 'both at once: never more');

# on a busy machine leases end before they are spent, and go back one by one
cmp_ok($passed[0] + $passed[1], '>=', 900,
       ".. and but for the last leases all: @passed");

# the rest of those leases is there for who comes later
pause();
burst($_, '/hot/a.txt', 'five', 10) for $t, $other;
pause();
my $late = burst($t, '/hot/a.txt', 'five', 20)->{passed}
           + burst($other, '/hot/a.txt', 'five', 20)->{passed};
cmp_ok($passed[0] + $passed[1] + $late, '<=', 1000, 'never more, later too');

# a lease outlives a reload, and no worker takes it with it
burst($t, '/hot/a.txt', 'six', 300);
$t->reload;
is(burst($t, '/hot/a.txt', 'six', 1)->{remaining}[0], 699,
   'a reload loses nothing');
my @workers = $t->workers;
$t->allow(map { qr/worker process $_ exited on signal 9/ } @workers);
kill 'KILL', @workers;
ok($t->wait_until(sub { $t->get('/hot/a.txt', { 'X-Key' => 'up' })->{status}
                        == 200 }, 5), 'a worker is killed');
pause();
my ($left) = @{ burst($t, '/hot/a.txt', 'six', 1)->{remaining} };
is($left, 698, '.. nothing is lost either');

# what is left of a lease goes back, also when it was the end of the limit
is(burst($t, '/hot/a.txt', 'seven', 997)->{passed}, 997, 'nearly all');
pause();
is(burst($t, '/hot/a.txt', 'seven', 10)->{passed}, 3,
   '.. and the rest, after a pause');

# .. and when another gateway has seen it charged
for (1 .. 5) {
    burst($t, '/hot/a.txt', 'eight', 9);
    burst($other, '/hot/a.txt', 'eight', 1);
    pause();
    burst($_, '/hot/a.txt', 'eight', 1) for $t, $other;
    pause();
}

is(burst($exact, '/hot/a.txt', 'eight', 1)->{remaining}[0], 939,
   'what one gateway gives back no other takes away');

# Redis forgets: what this machine knows counts, but for one lease
burst($t, '/hot/a.txt', 'nine', 500);
system("redis-cli -s $redis flushall >/dev/null");
my $again = burst($t, '/hot/a.txt', 'nine', 600)->{passed};
cmp_ok($again, '<=', 510, 'Redis has lost all: a lease more');
cmp_ok($again, '>=', 500, '.. and not less');

# .. or holds what nobody of us has written
burst($t, '/hot/a.txt', 'ten', 1);
system("redis-cli -s $redis set '$_' garbage >/dev/null")
    for split /\n/, `redis-cli -s $redis keys '*'`;
pause();
is(burst($t, '/hot/a.txt', 'ten', 1)->{remaining}[0], 998,
   'garbage in Redis: this machine decides');
system("redis-cli -s $redis flushall >/dev/null");

# Redis goes: what was charged may be spent, the rest is decided here
$t->stop_server('redis');
$res = burst($t, '/hot/a.txt', 'six', 800);
cmp_ok($res->{passed}, '<=', 699, 'without Redis: no more than the rest');
cmp_ok($res->{passed}, '>=', 690, '.. and not less');

$_->finish for $t, $exact, $other;
done_testing;


# waits: a lease ends after 100 ms by the worker's own clock, and nobody is told
sub pause { return sleep 0.15 }


sub gateway {
    my ($lease, $socket) = @_;

    my $gateway = Sallyport::Test->new;

    $gateway->redis unless $socket;
    $gateway->file("www/$_/a.txt", 'a') for qw(hot small);

    (my $text = $conf) =~ s/%%LEASE%%/$lease/;
    $text =~ s/%%REDIS%%/unix:$socket/ if $socket;
    $text = $gateway->expand($text);
    $text =~ s/worker_processes 1/worker_processes 2/;
    $gateway->conf($text);
    $gateway->run;

    # the first request of each worker may come before its connection
    $gateway->wait_until(sub {
        $gateway->get('/hot/a.txt', { 'X-Key' => 'w' . rand }) for 1 .. 8;
        my $clients = `redis-cli -s @{[ $socket || $gateway->redis->{socket} ]} client list`;
        return $clients =~ tr/\n// >= 3;
    }, 5);

    return $gateway;
}


sub burst {
    my ($gateway, $path, $key, $n) = @_;

    my %res = (passed => 0, remaining => []);

    for (1 .. $n) {
        my $one = $gateway->get($path, { 'X-Key' => $key });

        $res{passed}++ if $one->{status} == 200;
        $res{'ratelimit-policy'} = $one->{headers}{'ratelimit-policy'};
        push @{ $res{remaining} }, $1
            if ($one->{headers}{ratelimit} || '') =~ /r=(\d+)/;
    }

    return \%res;
}


# $n clients at each of two gateways: how many passed at each

sub crowd {
    my ($key, $n, $each) = @_;

    my @pipes;

    for my $i (0 .. 2 * $n - 1) {
        my $pid = open my $pipe, '-|';

        die "cannot fork: $!\n" unless defined $pid;

        if ($pid == 0) {
            print burst($i % 2 ? $other : $t, '/hot/a.txt', $key, $each)
                  ->{passed};
            close STDOUT;
            POSIX::_exit(0);
        }

        push @pipes, $pipe;
    }

    my @sum = (0, 0);

    for my $i (0 .. $#pipes) {
        my $pipe = $pipes[$i];
        $sum[$i % 2] += <$pipe>;
        close $pipe;
    }

    return @sum;
}


sub evals {
    my ($calls) = `redis-cli -s $redis info commandstats`
                  =~ /^cmdstat_evalsha:calls=(\d+)/m;
    return $calls || 0;
}
