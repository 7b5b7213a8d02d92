#!/usr/bin/perl

# Everything at once: clients that come and go, faults in random order and
# reloads, on all adapters.  Nothing is asserted but that the workers live,
# leak nothing, and serve when it is over.  SP_CHAOS_SECONDS and SP_CHAOS_SEED
# choose how long and which.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use POSIX ();
use Sallyport::Proxy;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $seconds = $ENV{SP_CHAOS_SECONDS} || 5;
my $seed = $ENV{SP_CHAOS_SEED} || int rand 1_000_000;

srand $seed;
note "seed $seed";

my $t = Sallyport::Test->new;

$t->redis;
$t->pg;

my $dir = $t->dir;

mkdir "$dir/proxy";
chmod 0755, "$dir/proxy";

my $port = $t->port(5);
my @proxies = (
    Sallyport::Proxy->new(listen => "$dir/redis.sock",
                          to => $t->redis->{socket}),
    Sallyport::Proxy->new(listen => "$dir/proxy/.s.PGSQL.5432",
                          to => $t->pg->{dir} . '/.s.PGSQL.5432'),
    Sallyport::Proxy->new(listen => "127.0.0.1:$port",
                          to => '127.0.0.1:' . $t->port(1)),
);

$t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { worker_connections 2000; }
http {
    %%HTTP%%
    fetch_timeout 300ms;
    fetch_connect_timeout 100ms;
    fetch_max_active 50;
    io_probe_redis_server main unix:$dir/redis.sock connect_timeout=200ms
                          timeout=50ms queue=500;
    io_probe_pg_server main "host=$dir/proxy dbname=sallyport user=sallyport"
                       connections=4 queue=100 timeout=200ms
                       connect_timeout=300ms;
    io_probe_listen main channel;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /redis { io_probe_redis main SET a b; io_probe_repeat 3; }
        location /eval { io_probe_eval main 0 "return ARGV[1]" \$request_id; }
        location /pg {
            io_probe_pg main "select 1 + \$1::int, pg_sleep(0.002)" 4;
            io_probe_pg main "select 2";
        }
        location /fetch { io_probe_fetch http://127.0.0.1:$port/x; }
        location /detached {
            io_probe_redis main INCR d;
            io_probe_detached on;
        }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        location / { return 200 ok; }
    }
}
EOF
$t->run;


# eight requests at a time, a third of which is given up

sub client {
    my ($path, $end) = @_;

    while (time < $end) {
        eval {
            my @all = map {
                $t->stream('GET', $path, {}, undef, { timeout => 5 })
            } 1 .. 8;

            for my $s (@all) {
                eval { $s->rest } if rand() > 0.3;
                $s->close;
            }
        };
    }

    return;
}

my $end = time + $seconds;
my @children;

for my $path (qw(/redis /eval /pg /fetch /detached)) {
    my $pid = fork;

    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        srand $seed + @children;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        client($path, $end);
        POSIX::_exit(0);
    }

    push @children, $pid;
}

sub lasts { return sleep $_[0] }    # waits: a fault lasts for a while

my @faults = (
    sub { $_[0]->mode('stall'); lasts(rand 0.4) },
    sub { $_[0]->mode('cut', 1 + int rand 400); lasts(rand 0.1) },
    sub { $_[0]->mode('delay', rand 0.1); lasts(rand 0.3) },
    sub { $_[0]->mode('split'); lasts(rand 0.2) },
    sub { $_[0]->mode('refuse'); $_[0]->drop; lasts(rand 0.3) },
    sub { $_[0]->mode('mute'); $_[0]->drop; lasts(rand 0.4);
          $_[0]->mode('pass'); $_[0]->drop },
    sub { $_[0]->inject(join '', map { chr rand 256 } 1 .. rand 40) },
    sub { $_[0]->drop },
);

my $count = 0;

while (time < $end) {
    my $proxy = $proxies[rand @proxies];

    $faults[rand @faults]->($proxy);
    $proxy->mode('pass');
    $t->reload if ++$count % 15 == 0;
}

waitpid $_, 0 for @children;
note "$count faults";

for my $path (qw(/redis /eval /pg /fetch)) {
    ok($t->wait_until(sub { $t->get($path)->{body} =~ /^ok / }, 10),
       "$path serves afterwards");
}

$t->finish;

done_testing;
