#!/usr/bin/perl

# Host names of servers: looked up while the gateway runs, by the resolver of
# the configuration, with the last good addresses kept.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Dns;
use Sallyport::Proxy;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $t = Sallyport::Test->new;

$t->redis;
$t->pg;

my $dns = Sallyport::Dns->new($t->dir);
my ($r, $p, $w) = map { $t->port($_) } 5, 6, 7;
my ($redis) = $t->redis->{socket};
my $pg = $t->pg->{dir} . '/.s.PGSQL.5432';

# the same servers, at two addresses
my %at = map { ($_ => { redis => proxy("$_:$r", $redis),
                        pg => proxy("$_:$p", $pg),
                        web => proxy("$_:$w", '127.0.0.1:' . $t->port(1)) }) }
         qw(127.0.0.1 127.0.0.2);

sub proxy { return Sallyport::Proxy->new(listen => $_[0], to => $_[1]) }

$dns->say('redis.test', { ttl => 1, addrs => ['127.0.0.1'] });

my $conf = <<"EOC";
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    resolver 127.0.0.1:@{[ $dns->port ]};

    io_probe_redis_server r redis.test:$r timeout=500ms connect_timeout=300ms;
    io_probe_redis_server late late.test:$r timeout=500ms;
    io_probe_redis_server here localhost:$r timeout=500ms;
    io_probe_pg_server p "host=db.test port=$p dbname=sallyport user=sallyport
        sslmode=disable" connections=2 timeout=1s connect_timeout=500ms;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /r { io_probe_redis r ECHO pong; }
        location /late { io_probe_redis late ECHO pong; }
        location /here { io_probe_redis here ECHO pong; }
        location /p { io_probe_pg p "select 'pong'"; }
        location /w { io_probe_fetch http://Web.test:$w/; }
        location /n { io_probe_fetch http://none.test:$w/; }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        keepalive_timeout 0;
        return 200 pong;
    }
}
EOC

my ($ok, $said) = $t->check_conf($conf);

ok($ok, 'a name that does not resolve is no reason not to start')
    or diag $said;
like($said, qr/host not found "\Q$_\E" of "\w+"; it will be looked up while the server runs in \S+:\d+/,
     "but $_ is named") for qw(redis.test late.test db.test);
unlike($said, qr/localhost/, 'a name of /etc/hosts is known');

$t->conf($conf);
$t->allow(qr/host not found|is not resolved|is down|could not be resolved/);
$t->run;

sub body { return $t->get($_[0])->{body} }

sub answers {
    my ($path, $name) = @_;
    return ok($t->wait_until(sub { body($path) =~ /pong/ }, 10), $name)
        || diag(body($path));
}

answers('/r', 'redis by its name');
cmp_ok($at{'127.0.0.1'}{redis}->count, '>', 0, 'at its address');
is($at{'127.0.0.2'}{redis}->count, 0, 'and no other');
answers('/here', 'localhost');

# it moves: the old address does not answer any more

$dns->say('redis.test', { ttl => 1, addrs => ['127.0.0.2'] });
$at{'127.0.0.1'}{redis}->mode('refuse');
$at{'127.0.0.1'}{redis}->drop;
answers('/r', 'redis has moved: found without a reload');
cmp_ok($at{'127.0.0.2'}{redis}->count, '>', 0, 'at the new address');

# two addresses, one of them dead

sub dies {
    my ($dead, $alive) = @_;
    $at{$alive}{redis}->mode('pass');
    $at{$dead}{redis}->mode('refuse');
    $at{$dead}{redis}->drop;
    return;
}

$dns->say('redis.test', { ttl => 60, addrs => [qw(127.0.0.2 127.0.0.1)] });
dies('127.0.0.2', '127.0.0.1');
answers('/r', 'a second address was added, the first one dies');

$dns->say('redis.test', { mode => 'silent' });
dies('127.0.0.1', '127.0.0.2');
answers('/r', 'and the other way round, without asking anybody');

# the name is gone, the address still serves

for my $mode (qw(nx silent garbage cut)) {
    $dns->say('redis.test', { mode => $mode });
    $at{'127.0.0.2'}{redis}->drop;
    ok($t->wait_until(sub { body('/r') =~ /pong/ }, 10),
       "the resolver is $mode: the last address serves") or diag(body('/r'));
}

# unknown at the start

like(body('/late'), qr/unavailable/, 'a name that is not there: unavailable');
$dns->say('late.test', { ttl => 60, addrs => ['127.0.0.2'] });
answers('/late', 'it appears: found without a reload');

# PostgreSQL: libpq never looks a name up itself

like(body('/p'), qr/unavailable/, 'pg: unavailable');
$dns->say('db.test', { ttl => 1, addrs => ['127.0.0.1'] });
answers('/p', 'pg by its name');
cmp_ok($at{'127.0.0.1'}{pg}->count, '>', 0, 'at its address');
$dns->say('db.test', { ttl => 1, addrs => ['127.0.0.2'] });
$at{'127.0.0.1'}{pg}->mode('refuse');
$at{'127.0.0.1'}{pg}->drop;
answers('/p', 'pg has moved: found without a reload');
cmp_ok($at{'127.0.0.2'}{pg}->count, '>', 0, 'at the new address');

# many connections at once are one question

$dns->say('db.test', { mode => 'silent' });
my $asked = $dns->count('db.test');
$at{'127.0.0.2'}{pg}->drop;
my @many = map { $t->stream('GET', '/p') } 1 .. 8;
$_->reply for @many;
$_->close for @many;
cmp_ok($dns->count('db.test') - $asked, '<=', 2, 'one question at a time');

# outgoing HTTP: who has no address yet waits

like(body('/n'), qr/^unavailable sent=0 .*resolve host/, 'fetch: no such name');
ok($t->wait_log(qr/host "none\.test" is not resolved/), '.. the log names it');

$dns->say('web.test', { ttl => 1, delay => 0.3, addrs => ['127.0.0.1'] });
@many = map { $t->stream('GET', '/w') } 1 .. 5;
is(scalar(grep { $_->rest =~ /pong/ } @many), 5, 'fetch: all wait');
$_->close for @many;
is($dns->count('web.test'), 1, '.. for one answer');
cmp_ok($at{'127.0.0.1'}{web}->count, '>', 0, '.. at its address');

$dns->say('web.test', { ttl => 1, addrs => ['127.0.0.2'] });
ok($t->wait_until(sub {
    body('/w') =~ /pong/ or die "not served\n";
    return $at{'127.0.0.2'}{web}->count;
}, 15), 'fetch: moves after the TTL, without a reload');

for my $mode (qw(nx garbage cut tcp silent)) {
    $dns->say('web.test', { mode => $mode });
    $asked = $dns->count('web.test');
    ok($t->wait_until(sub {
        body('/w') =~ /pong/ or die "not served\n";
        return $dns->count('web.test') > $asked;
    }, 15), "fetch: asked, the answer is $mode, the last address serves");
}

$dns->say('web.test', { ttl => 1, addrs => [qw(127.0.0.1 127.0.0.2)] });
undef $at{'127.0.0.1'}{web};
$asked = $dns->count('web.test');
ok($t->wait_until(sub {
    body('/w') =~ /pong/ or die "not served\n";
    return $dns->count('web.test') > $asked;
}, 15), 'fetch: two addresses');
like(body('/w'), qr/pong/, '.. one of them dead') for 1 .. 3;

# who is connected asks nothing, and who is idle neither, whatever the TTL

sub asked { my $n = 0; $n += $dns->count($_) for @_; return $n }

my @names = qw(redis.test late.test db.test web.test);
answers('/p', 'pg is connected');
$asked = asked(@names);

# longer than the shortest time for which an address is kept, 5 s
for (my $until = time + 6; time < $until;) {
    body('/p');
    sleep 0.05;     # waits: asks not as fast as it goes
}

is(asked(@names), $asked, 'nobody was asked');

$t->finish;
done_testing;
