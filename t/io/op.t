#!/usr/bin/perl

# The contract of ops that all adapters share: joins, cancels, detached ops.
# That "done" is called once, and never from inside submit, is checked by the
# probe itself, in every io_*.t: it raises an [alert].

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Proxy;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(time);


# what is fetched from outlives the gateway that quits
my $upstream = Sallyport::Test->new;

$upstream->conf(<<'EOF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { return 204; }
    }
}
EOF
$upstream->run;

my $t = Sallyport::Test->new;

$t->redis;
$t->pg;

my $dir = $t->dir;

mkdir "$dir/proxy";
chmod 0755, "$dir/proxy";

my $port = $t->port(5);
my $redis = Sallyport::Proxy->new(listen => "$dir/redis.sock",
                                  to => $t->redis->{socket});
my $pg = Sallyport::Proxy->new(listen => "$dir/proxy/.s.PGSQL.5432",
                               to => $t->pg->{dir} . '/.s.PGSQL.5432');
my $fetch = Sallyport::Proxy->new(listen => "127.0.0.1:$port",
                                  to => '127.0.0.1:' . $upstream->port);

my %proxy = (redis => $redis, pg => $pg, fetch => $fetch);

my %op = (
    redis => 'io_probe_redis main SET $arg_k v',
    pg    => 'io_probe_pg main "insert into t values ($1)" $arg_k',
    fetch => "io_probe_fetch http://127.0.0.1:$port/hit",
);

my $locations = join "\n", map { <<"EOF" } sort keys %op;
    location /$_ { $op{$_}; io_probe_timeout 1s; }
    location /ten/$_ { $op{$_}; io_probe_timeout 3s; io_probe_repeat 10; }
    location /detached/$_ {
        $op{$_}; io_probe_timeout 2s; io_probe_detached on;
    }
EOF

$t->sql('create table public.t (k text)');
$t->sql('grant all on public.t to sallyport');
$t->sql('grant usage on schema public to sallyport');

$t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    io_probe_redis_server main unix:$dir/redis.sock connect_timeout=500ms;
    io_probe_pg_server main "host=$dir/proxy dbname=sallyport user=sallyport";
    fetch_connect_timeout 2s;
    server {
        listen 127.0.0.1:%%PORT%%;
        $locations
        location /state { io_probe_state on; }
    }
}
EOF


sub body { return $t->get(@_)->{body} }

sub state_is {
    my ($pattern) = @_;
    return $t->wait_until(sub { body('/state') =~ $pattern }, 8);
}

sub logged {
    my ($pattern, $n) = @_;
    return $t->wait_until(sub {
        my @all = $t->error_log =~ /($pattern)/g;
        return @all >= $n;
    }, 10);
}


$t->run;
ok(state_is(qr/redis main ready=1\npg main ready=1/), 'connected');

my ($good, $late) = (0, 0);

for my $kind (sort keys %op) {

    my @lines = split /\n/, body("/ten/$kind?k=a");
    is(scalar(grep { /^ok / } @lines), 10, "$kind: ten ops joined");

    # all of them are cancelled
    $proxy{$kind}->mode('stall');
    my $s = $t->stream('GET', "/ten/$kind?k=b");
    ok($t->wait_until(sub { $proxy{$kind}->held }), "$kind: ten are on the way");
    $s->leave;
    $proxy{$kind}->mode('pass');
    ok($t->wait_until(sub { body("/$kind?k=c") =~ /^ok / }, 5),
       "$kind: serves after ten were cancelled");

    # detached: nobody waits, the queue is bounded
    is(body("/detached/$kind?k=d"), "accepted\n", "$kind: detached");
    $good++;
    ok(logged(qr/detached op ok/, $good), '.. done');

    $proxy{$kind}->mode('stall');
    my @got = map { body("/detached/$kind?k=e") } 1 .. 6;
    is("@got", join(' ', ("accepted\n") x 4, ("full\n") x 2),
       "$kind: four detached ops at most");
    like(body('/state'), qr/detached active=4 dropped=\d*[02468]$/m,
         '.. what is refused is counted');
    $late += 4;
    ok(logged(qr/detached op timeout/, $late), '.. deadlines without clients');
    like(body('/state'), qr/detached active=0/, '.. the queue is empty');
    $proxy{$kind}->mode('pass');
    ok($t->wait_until(sub { body("/$kind?k=f") =~ /^ok / }, 8),
       "$kind: serves again");

    # a graceful quit waits for it
    $proxy{$kind}->mode('delay', 0.3);
    is(body("/detached/$kind?k=quit"), "accepted\n", "$kind: detached, quit");
    ok($t->stop, '.. quits');
    $good++;
    ok(logged(qr/detached op ok/, $good), '.. after it was done');
    $proxy{$kind}->mode('pass');
    $t->run;
    ok(state_is(qr/redis main ready=1\npg main ready=1/), 'connected');

    # .. but not for ever
    $proxy{$kind}->mode('stall');
    is(body("/detached/$kind?k=g"), "accepted\n", "$kind: stalled, quit");
    my $began = time;
    ok($t->stop, '.. quits');
    cmp_ok(time - $began, '<', 5, '.. at its deadline');
    $late++;
    ok(logged(qr/detached op timeout/, $late), '.. it was told');
    $proxy{$kind}->mode('pass');
    $t->run;
    ok(state_is(qr/redis main ready=1\npg main ready=1/), 'connected');

    # and not at all when terminated
    $proxy{$kind}->mode('stall');
    is(body("/detached/$kind?k=h"), "accepted\n", "$kind: stalled, terminate");
    $began = time;
    ok($t->stop('TERM'), '.. ends');
    cmp_ok(time - $began, '<', 1.8, '.. before its deadline');
    $proxy{$kind}->mode('pass');
    $t->run;
    ok(state_is(qr/redis main ready=1\npg main ready=1/), 'connected');
}

ok(logged(qr/detached op unavailable worker exits/, 3),
   'ops end with their worker, and say so');
is(scalar(() = $t->error_log =~ /fetch from "[^"]*" failed/g), 0,
   'which is no failure of the server');

is($t->sql("select count(*) from public.t where k = 'quit'"), 1,
   'what was accepted before the quit is in the database');
is($t->redis->command('GET', 'quit'), 'v', '.. and in redis');

# a reload: the old worker keeps its detached op
$redis->mode('delay', 0.3);
is(body('/detached/redis?k=reload'), "accepted\n", 'detached, reload');
my ($old) = $t->workers;
$t->reload;
ok($t->wait_until(sub { !kill 0, $old }, 5), '.. the old worker ends');
is($t->redis->command('GET', 'reload'), 'v', '.. the work is done');

$t->finish;
$upstream->finish;

done_testing;
