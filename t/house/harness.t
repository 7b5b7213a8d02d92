#!/usr/bin/perl

# The harness itself: what every other test stands on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->conf(<<'EOC');
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location / { return 200 "ok $request_method\n"; }
        location /json { default_type application/json; return 200 '{"a":[1]}'; }
        location /big { proxy_pass http://127.0.0.1:%%PORT1%%/; }
        location /discard { client_max_body_size 10m;
                            proxy_pass http://127.0.0.1:%%PORT%%/; }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        ssi on;
        default_type text/html;
        location / { alias %%DIR%%/; try_files /big.html =404; }
    }
}
EOC

$t->file('big.html', '<!--# echo var="request_method" -->' . 'x' x 300000);
$t->run;

is($t->get('/')->{body}, "ok GET\n", 'a request');
is_deeply($t->get('/json')->{json}, { a => [ 1 ] }, 'a JSON reply');
is($t->request('HEAD', '/')->{body}, '', 'HEAD has no body');

my $res = $t->post('/discard', { 'X-A' => [ 1, 2 ] }, { n => 'x' x 500000 });
is($res->{status}, 200, 'a large body');

$res = $t->get('/', {}, { http2 => 1 });
is($res->{body}, "ok GET\n", 'HTTP/2');

$res = $t->post('/discard', {}, 'text', { http2 => 1 });
is("$res->{status} $res->{body}", "200 ok POST\n", 'HTTP/2 with a body');

$res = $t->get('/big');
ok($res->{all}{'transfer-encoding'}, 'a chunked reply');
is(length $res->{body}, 300003, 'is complete');

my $s = $t->stream('GET', '/big');
is($s->status, 200, 'a stream');
is($s->read_until(qr/GETx/), 'GETx', 'is read in pieces');
$s->close(abrupt => 1);

$s = $t->connection;
$s->send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n");
is($s->reply->{body}, "ok GET\n", 'pipelined, first');
is($s->again->reply->{body}, '{"a":[1]}', 'pipelined, second');
$s->send("garbage\r\n\r\n");
is($s->again->status, 400, 'bytes of the test');
ok($s->closed, 'closed by the server');
$s->close;

# what the server has read, and that it has seen a client leave

for my $how (qw(taken leave)) {
    my ($worker) = $t->workers;

    $s = $t->connection({ timeout => 0.2 });
    $s->send("GET / HTTP/1.1\r\n")->taken;
    kill 'STOP', $worker;
    $s->send("Host: a\r\n");
    ok(!eval { $s->$how }, "$how: not while the worker stands still");
    kill 'CONT', $worker;
    ok($s->wait_peer('read', sub { !$_[1] }), 'then it goes on');
    ok($s->leave, 'and sees the end') if $how eq 'taken';
}

my @old = $t->workers;
is(scalar @old, 1, 'one worker');
$t->reload;
isnt(($t->workers)[0], $old[0], 'reload replaces it');
is($t->get('/')->{status}, 200, 'and serves');

my ($ok, $out) = $t->check_conf("events { }\nhttp { nonsense on; }\n");
ok(!$ok, 'a wrong configuration is refused');
like($out, qr/unknown directive "nonsense" in .*check\.conf:2/, 'with a line');

my $redis = $t->redis;
is($redis->command('SET', 'a', 'b'), 'OK', 'redis');
is($redis->command('GET', 'a'), 'b', 'keeps');
$t->stop_server('redis');
is($redis->command('GET', 'a'), undef, 'stopped');
$t->start_server('redis');
is($redis->command('PING'), 'PONG', 'started again');

$t->pg;
is($t->sql('select 1 + ?', 2), 3, 'postgresql');
SKIP: {
    skip 'pgvector is not to be had here', 1
        unless $t->sql("select 1 from pg_available_extensions
                         where name = 'vector'");
    is($t->sql("select extname from pg_extension where extname = 'vector'"),
       'vector', 'pgvector');
}

$t->stop_server('pg');
$t->start_server('pg');
is($t->sql('select current_database()'), 'sallyport', 'restarted');

# the checks can fail
my $worker = ($t->workers)[0];
kill 'KILL', $worker;
ok($t->wait_log(qr/exited on signal 9/), 'a killed worker is logged');
is(scalar($t->problems), 1, 'and is a problem');
$t->allow(qr/worker process $worker exited on signal 9/);
is(scalar($t->problems), 0, 'unless the test did it');

$t->finish;
done_testing;
