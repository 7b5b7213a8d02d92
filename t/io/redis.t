#!/usr/bin/perl

# The redis adapter with a real server behind a proxy that injects faults.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Proxy;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $t = Sallyport::Test->new;

$t->redis;

my $dir = $t->dir;
my $tcp = '127.0.0.1:' . $t->port(5);
my $sock = "$dir/proxy.sock";

my $proxy = Sallyport::Proxy->new(listen => $tcp,
                                  to => $t->redis->{socket});
my $unix = Sallyport::Proxy->new(listen => $sock,
                                 to => $t->redis->{socket});

$t->file('right', "s3cret pass\n", 0600);
$t->file('wrong', "wrong", 0600);

my $servers = <<"EOF";
    io_probe_redis_server direct %%REDIS%% timeout=500ms;
    io_probe_redis_server proxy $tcp timeout=100ms connect_timeout=300ms;
    io_probe_redis_server small unix:$sock timeout=200ms queue=3;
EOF

my $locations = <<'EOF';
    location /direct { io_probe_redis direct $arg_c $arg_k $arg_v; }
    location /get { io_probe_redis direct GET $arg_k; }
    location /proxy { io_probe_redis proxy ECHO $arg_k; }
    location /slow { io_probe_redis proxy ECHO $arg_k; io_probe_timeout 2s; }
    location /many {
        io_probe_redis proxy ECHO $arg_k;
        io_probe_repeat 50;
        io_probe_timeout 5s;
    }
    location /small {
        io_probe_redis small ECHO x; io_probe_repeat 5;
    }
    location /eval {
        io_probe_eval direct 1
            "return {KEYS[1], ARGV[1], 7, {1, false}, redis.status_reply('fine')}"
            $arg_k $arg_v;
    }
    location /evalproxy {
        io_probe_eval proxy 1 "return ARGV[1] .. KEYS[1]" $arg_k b;
    }
    location /evalbad { io_probe_eval direct 0 "return redis.call('NOPE')"; }
    location /evalmany {
        io_probe_eval direct 0 "return 'many' .. ARGV[1]" $arg_k;
        io_probe_repeat 20;
    }
    location /list { io_probe_redis direct LRANGE list 0 -1; }
    location /binary { io_probe_redis direct SET bin NUL; }
    location /empty { io_probe_redis direct SET void ""; }
    location /state { io_probe_state on; }
EOF

sub conf {
    my ($more_servers, $more_locations, $events) = @_;

    return $t->http_conf(<<"EOF", $events);
$servers
$more_servers
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
$locations
$more_locations
    }
EOF
}


sub body { return $t->get(@_)->{body} }

sub ready {
    my ($name) = @_;
    return $t->wait_until(sub { body('/state') =~ /redis $name ready=1/ }, 6);
}


# so many answers have come to the proxy, which stalls

sub holds {
    my ($n) = @_;
    return $t->wait_until(sub { $proxy->held >= $n })
           || die "the proxy holds no answer\n";
}


# -- configuration

my @bad = (
    [ 'a', qr/invalid number of arguments/ ],
    [ 'a unix:/x foo=1', qr/unknown parameter "foo=1" of "redis_server"/ ],
    [ 'a unix:/x timeout=x',
      qr/invalid value "timeout=x".*"1ms" to "1h"/ ],
    [ 'a unix:/x timeout=0', qr/invalid value "timeout=0"/ ],
    [ 'a unix:/x connect_timeout=2h', qr/"1ms" to "1h" is expected/ ],
    [ 'a unix:/x db=-1', qr/a number from 0 to 65535/ ],
    [ 'a unix:/x queue=0', qr/a number from 1 to 1000000/ ],
    [ 'a unix:', qr/the path of the socket/ ],
    [ 'a unix:/' . 'x' x 200, qr/the path of the socket/ ],
    [ 'a 127.0.0.1:99999', qr/invalid port/ ],
    [ 'a unix:/x user=me', qr/needs "password_file="/ ],
    [ "a unix:/x password_file=$dir/none", qr/open\(\) "\Q$dir\E\/none" failed/ ],
);

$t->file('blank', "\n", 0600);
$t->file('all', "x\n", 0644);
system('mkfifo', '-m', '600', "$dir/pipe") == 0 or die "mkfifo\n";
push @bad, [ "a unix:/x password_file=$dir/blank", qr/must hold/ ],
    [ "a unix:/x password_file=$dir/all", qr/mode is 0644, allowed are 0600/ ],
    [ "a unix:/x password_file=$dir/pipe", qr/must be a file for its owner/ ];

for my $case (@bad) {
    my ($args, $pattern) = @$case;

    $t->refuses(conf("    io_probe_redis_server $args;", ''), $pattern,
                substr($args, 0, 50));
}


# -- the common path

$t->conf(conf('', ''));
$t->run;

ok(ready($_), "$_ connects") for qw(direct proxy small);

like(body('/direct?c=SET&k=a&v=1'), qr/^ok sent=1 .* "OK"$/, 'command');
like(body('/get?k=a'), qr/^ok .* "1"$/, 'string');
like(body('/get?k=none'), qr/^ok .* nil$/, 'nil');
like(body('/direct?c=INCRBY&k=n&v=-5'), qr/^ok .* -5$/, 'integer');
like(body('/direct?c=NOPE&k=n&v=1'),
     qr/^rejected sent=1 .*reason="ERR unknown command.* "ERR/, 'error');
like(body('/binary'), qr/"OK"/, 'binary value is written');
is($t->redis->command('STRLEN', 'bin'), 3, '.. with its zero byte');
like(body('/empty'), qr/"OK"/, 'empty value');
is($t->redis->command('GET', 'void'), '', '.. is empty');

$t->redis->command('RPUSH', 'list', map { "item $_" } 1 .. 300);
like(body('/list'), qr/^ok .* \[ "item 1" .*"item 300" \]$/, 'array');

my $large = 'x' x 6000;
like($t->get("/direct?c=SET&k=large&v=$large")->{body}, qr/"OK"/, 'long');
like(body('/get?k=large'), qr/"$large"/, '.. and back');

my @lines = split /\n/, body('/many?k=m');
is(scalar(grep { /^ok .* "m"$/ } @lines), 50, '50 commands side by side');


# -- scripts

for my $round ('first', 'cached') {
    like(body('/eval?k=key&v=arg'),
         qr/^ok sent=1 .* \[ "key" "arg" 7 \[ 1 nil \] "fine" \]$/,
         "script, $round");
}

$t->redis->command('SCRIPT', 'FLUSH');
like(body('/eval?k=key&v=arg'), qr/^ok .* "key"/, 'script after a flush');

@lines = split /\n/, body('/evalmany?k=1');
is(scalar(grep { /^ok .* "many1"$/ } @lines), 20,
   'a script that is not cached, 20 times side by side');
like(body('/evalbad'), qr/^rejected .* "ERR/, 'a script that fails');


# -- answers in pieces, late, cut, unasked for

for my $p ($proxy, $unix) {
    $p->mode('split');
}

like(body('/slow?k=' . 'y' x 200), qr/^ok .* "y{200}"$/, 'split by bytes');
@lines = split /\n/, body('/many?k=abc');
is(scalar(grep { /^ok .* "abc"$/ } @lines), 50, 'a pipeline split by bytes');
$_->mode('pass') for $proxy, $unix;

my $count = $proxy->count;

$proxy->mode('stall');

my $began = time;
my $res = body('/proxy?k=late');

like($res, qr/^timeout sent=1 elapsed=[1-9]\d\d .*none$/, 'deadline');
cmp_ok(time - $began, '<', 1, '.. in time');
like(body('/evalproxy?k=late'), qr/^timeout/, 'deadline of a script');

$proxy->mode('pass');
like(body('/proxy?k=fresh'), qr/^ok .* "fresh"$/,
     'late answers are swallowed');
like(body('/evalproxy?k=a'), qr/^ok .* "ba"$/, '.. also of scripts');
is($proxy->count, $count, '.. on the same connection');

for my $n (1 .. 7) {
    $proxy->mode('cut', $n);
    like(body('/proxy?k=cut'), qr/^unavailable sent=1 .* none$/,
         "closed after $n bytes");
    $proxy->mode('pass');
    ok(ready('proxy'), '.. reconnects');
}

like(body('/proxy?k=again'), qr/^ok .* "again"$/, '.. and answers');

for my $bytes ("+OK\r\n", "garbage\r\n", '$99999999999999999999' . "\r\n",
               '*1' . "\r\n" x 9, "*-7\r\n", "\0\0\0")
{
    $proxy->inject($bytes);
    ok($t->wait_until(sub { body('/proxy?k=z') =~ /^ok .* "z"$/ }, 5),
       'recovers from ' . join ' ', unpack '(H2)*', substr $bytes, 0, 8);
}

# nested deeper than hiredis 0.14 goes, while a reply is awaited; 1.x takes any
# depth
my ($major) = Sallyport::Test::slurp('/usr/include/hiredis/hiredis.h')
              =~ /^#define HIREDIS_MAJOR (\d+)/m;
my $deep = $major ? qr/^ok sent=1/ : qr/^unavailable sent=1/;
$proxy->mode('stall');
my $s = $t->stream('GET', '/slow?k=nest');
holds(1);
$proxy->inject("*1\r\n" x 64 . "+x\r\n");
like($s->rest, $deep, 'a deep reply');
$s->close;
$proxy->mode('pass');
ok(ready('proxy'), '.. and it goes on');


# -- the client leaves

$proxy->mode('stall');

for (1 .. 20) {
    my $c = $t->stream('GET', "/slow?k=gone$_");
    holds($_);
    $c->leave;
}

$proxy->mode('pass');
like(body('/proxy?k=here'), qr/^ok .* "here"$/, 'after clients left');

my $h2 = $t->request('GET', '/proxy?k=two', {}, undef, { http2 => 1 });
like($h2->{body}, qr/^ok .* "two"$/, 'http2');


# -- bounds

$unix->mode('stall');
@lines = split /\n/, body('/small');
is(scalar(grep { /^timeout/ } @lines), 3, 'a full queue: three wait');
is(scalar(grep { /^unavailable sent=0 .*queue is full/ } @lines), 2,
   '.. two are refused');
like(body('/small'), qr/queue is full/, 'late answers count as well');
$unix->mode('pass');
ok($t->wait_until(sub { body('/small') =~ /^ok/ }, 5), '.. until they come');


# -- the breaker

$t->suspend('redis');

my ($slow, $fast) = (0, 0);

for (1 .. 100) {
    $began = time;
    $res = body('/proxy?k=x');
    $res =~ /^timeout/ ? $slow++ : $res =~ /breaker is open/ ? $fast++ : 0;
}

cmp_ok($slow, '<=', 8, 'a stopped server is waited for a few times only');
cmp_ok($fast, '>=', 85, '.. then the breaker is open');
like(body('/state'), qr/redis proxy ready=0/, '.. and it is not ready');
ok($t->wait_log(qr/"proxy" at .* is down: no replies, the breaker opens/),
   '.. and the log tells');

$t->resume('redis');
ok(ready('proxy'), 'the probe closes it');
like(body('/proxy?k=back'), qr/^ok .* "back"$/, '.. and commands pass');
like($t->error_log, qr/"proxy" at .* is back/, '.. and the log tells');
ok(ready($_), "$_ is ready") for qw(direct small);


# -- the server stops and comes back

$t->stop_server('redis');
$t->wait_until(sub { body('/get?k=a') =~ /^unavailable sent=0/ }, 3);
$began = time;
like(body('/get?k=a'), qr/^unavailable sent=0 .*none$/, 'server is gone');
cmp_ok(time - $began, '<', 0.4, '.. known at once');
$t->start_server('redis');
ok(ready('direct'), 'server is back');
like(body('/eval?k=key&v=arg'), qr/^ok .* "key"/, '.. scripts too');

# closed while nothing was asked: the next command is served
ok(ready('proxy'), 'proxy is ready');
like(body('/proxy?k=i'), qr/^ok/, 'proxy serves');
# waits: who was connected for a second connects again at once
sleep 1.1;
$count = $proxy->count;
$proxy->drop;
ok($t->wait_until(sub { $proxy->count > $count }), 'closed: it reconnects');
like(body('/proxy?k=idle'), qr/^ok .* "idle"$/, 'closed when idle');


# -- reload, and quit, with commands in flight

$proxy->mode('stall');
$s = $t->stream('GET', '/slow?k=drain');
holds(1);
my ($old) = $t->workers;
$t->reload;
$proxy->mode('pass');
like($s->rest, qr/^ok .* "drain"$/, 'a reload waits for the command');
$s->close;
ok($t->wait_until(sub { !kill 0, $old }, 5), '.. and the old worker ends');

$proxy->mode('stall');
$s = $t->stream('GET', '/slow?k=end');
holds(1);
ok($t->stop('TERM'), 'terminated with a command in flight');
$s->close;
$proxy->mode('pass');


# -- started without a server, passwords, databases

$t->stop_server('redis');
$t->run;
like(body('/get?k=a'), qr/^unavailable/, 'started without redis');
$t->start_server('redis');
ok(ready('direct'), '.. which then comes');
$t->stop;

$t->redis->command('CONFIG', 'SET', 'requirepass', 's3cret pass');
$t->conf(conf(<<"EOF", <<'EOF'));
    io_probe_redis_server right %%REDIS%% password_file=right db=3;
    io_probe_redis_server user %%REDIS%% password_file=right user=default;
    io_probe_redis_server wrong %%REDIS%% password_file=wrong;
    io_probe_redis_server nodb %%REDIS%% password_file=right db=999;
EOF
    location /right { io_probe_redis right SET where db3; }
    location /user { io_probe_redis user GET where; }
    location /wrong { io_probe_redis wrong GET where; }
    location /nodb { io_probe_redis nodb GET where; }
EOF
$t->run;
ok(ready('right'), 'password and database');
like(body('/right'), qr/^ok .* "OK"$/, '.. a value is set');
ok(ready('user'), 'user and password');
like(body('/user'), qr/^ok .* nil$/, '.. and not in database 0');
like(body('/wrong'), qr/^unavailable/, 'wrong password');
ok($t->wait_log(qr/"wrong" at .* is down: (?:WRONGPASS|ERR invalid)/),
   '.. and the log tells');
like(body('/nodb'), qr/^unavailable/, 'no such database');
unlike($t->error_log, qr/s3cret/, 'no password in the log');
$t->stop;


# -- out of worker_connections: one listens, one is of the master

$t->allow(qr/worker_connections are not enough/);
$t->stop_server('redis');
$t->conf(<<'EOF');
%%LOAD%%
%%GLOBALS%%
events { worker_connections 6; }
http {
    %%HTTP%%
    io_probe_redis_server direct %%REDIS%% timeout=500ms;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /get { io_probe_redis direct GET $arg_k; }
        location /state { io_probe_state on; }
    }
}
EOF
$t->run;
like(body('/get?k=a'), qr/^unavailable/, 'started without redis again');

# not reusable: a request has begun
my @held = map { $t->connection->send("GET / HTTP/1.1\r\n") } 1 .. 3;
my $last = $t->connection->send("GET /get?k=a HTTP/1.1\r\n");

$_->taken for @held, $last;
$t->start_server('redis');
ok($t->wait_log(qr/no connection could be made/),
   'no connection is left for redis');
$last->send("Host: a\r\n\r\n");
like($last->reply->{body}, qr/^unavailable/, '.. and the worker lives');
$_->close for @held, $last;
ok(ready('direct'), '.. and recovers');
like(body('/get?k=a'), qr/^ok .* nil$/, '.. fully');

$t->finish;

done_testing;
