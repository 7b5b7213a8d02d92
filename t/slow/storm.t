#!/usr/bin/perl

# Everything at once, for a few seconds: waits, refusals, redirects, bodies
# that stop, clients that leave, subrequests, turns, reloads.  What is asked:
# every complete request has its answer, and nothing is left behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $t = Sallyport::Test->new(workers => 2);

$t->pg;

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=3 timeout=2s;
    test_pg main jobs;
    turn_store main flush=10ms;
    turn_spool %%DIR%%/spool/turns;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/html;
        test_steps on;
        client_body_timeout 1s;

        location / { test_content; }
        location /small/ { client_body_buffer_size 1k; test_content; }
        location /dir/ { index a.html; }
        location /page/ { error_page 429 500 413 /off; test_content; }
        location /named/ { error_page 429 500 413 = @named; test_content; }
        location @named { test_steps off; return 200 named; }
        location /off { test_steps off; return 200 page; }
        location /ssi/ { ssi on; ssi_types text/plain; test_steps off; }
        location /sub/ { test_content; }
        location /auth/ { auth_request /part; test_content; }
        location /mirror/ { mirror /part; test_content; }
        location /led/ { error_page 429 500 413 = @led; test_content; }
        location @led { test_content; }
        location = /part { set $args a=wait:1,body&b=pg:1; test_content; }
        location /proxy/ { proxy_pass http://127.0.0.1:%%PORT%%/small/; }
        location /metrics { test_steps off; metrics; }
    }
}
EOC

mkdir $t->dir . '/html';
$t->file('html/dir/a.html', "index\n");
$t->file('html/ssi/a.txt',
         '<!--# include virtual="/sub/1?content=wait:3,turn:c" -->'
         . '<!--# include virtual="/sub/2?content=pg:2,429" -->end');
$t->run;

my @args = ('', 'a=wait:5&b=wait:3', 'a=pg:2&b=pg:1&enrich=wait:1',
            'a=body&b=wait:2', 'a=wait:2,refuse&b=pg:4', 'b=error',
            'content=wait:2,pg:1,wait:1', 'content=turn:c,settle',
            'content=turn:p,wait:4', 'content=wait:1,refuse', 'a=json',
            'identify=wait:1&sub=u&a=body&b=body&content=body&sum=1');
my @places = qw(/ /small/ /dir/ /page/ /named/ /ssi/a.txt /proxy/ /auth/
                /mirror/ /led/);

my $seconds = $ENV{SP_STORM} || 6;
my @children;

for my $n (1 .. 6) {
    my $pid = fork;

    die "cannot fork: $!\n" unless defined $pid;

    if ($pid) {
        push @children, $pid;
        next;
    }

    srand $n;
    POSIX::_exit(client($n) ? 0 : 1);
}

my $end = time + $seconds;
my $reloads = 0;

while (time < $end) {
    sleep 1.3;      # waits: the pace of the reloads
    $t->sql("select gateway.job_enqueue('test', '{\"do\":\"finish\",\"ms\":30}',
             null, null) from generate_series(1, 5)");
    $t->reload;
    $reloads++;
}

for my $pid (@children) {
    waitpid $pid, 0;
    is($?, 0, 'a client had all its answers');
}

cmp_ok($reloads, '>', 1, "$reloads reloads meanwhile");
is($t->get('/')->{status}, 200, 'all is well');
ok($t->wait_until(sub { !$t->sql("select count(*) from gateway.job
                                   where state <> 'done'") }, 15),
   'every job is done') or diag(map { "@$_\n" }
   $t->sql("select id, state, attempt, error from gateway.job
             where state <> 'done'"));

my ($accepted, $stored);
ok($t->wait_until(sub {
       ($accepted, $stored) = $t->get('/metrics')->{body}
           =~ /^sallyport_spool_(?:accepted|stored)_total\{kind="turns"\} (\d+)$/mg;
       $accepted > 0 && $stored >= $accepted;
   }), 'every turn is stored') or diag("$accepted accepted, $stored stored");
is(scalar $t->sql('select count(*) from gateway.ledger'), $accepted,
   'each once');

$t->finish;
done_testing;


# one that asks and asks; false: something was not answered

sub client {
    my ($n) = @_;
    my $end = time + $seconds;
    my $good = 1;

    while (time < $end) {
        my $path = $places[rand @places] . '?' . $args[rand @args];
        my $body = rand() < 0.5 ? undef : 'x' x int rand 30_000;
        my $method = defined $body ? 'POST' : 'GET';
        my $how = rand;

        my $s = eval { $t->stream($method, $path, {}, $body) } or next;

        if ($how < 0.25) {
            # leaves at some time
            sleep rand 0.006;   # waits: that time
            $s->close(abrupt => rand() < 0.5);
            next;
        }

        my $res = eval { $s->reply };
        $s->close;

        if (!$res || !$res->{complete}) {
            print STDERR "# no answer: $method $path: ", $@ || 'cut', "\n";
            $good = 0;
            next;
        }

        next if $how < 0.8;

        # half a body
        $s = $t->connection;
        $s->send("POST $path HTTP/1.1\r\nHost: a\r\n"
                 . "Transfer-Encoding: chunked\r\n\r\n5\r\nab");
        sleep rand 0.006;   # waits: and leaves, at some time
        $s->close(abrupt => rand() < 0.5);
    }

    return $good;
}
