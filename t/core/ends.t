#!/usr/bin/perl

# The end hook: once for every request that has a context, on every way that
# it can end, and an op that is started there outlives the request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->pg;
$t->sql('create schema test');
$t->sql('grant usage on schema test to sallyport_gateway');
$t->sql('create table test.ends (id bigserial, line text)');
$t->sql('grant insert on test.ends to sallyport_gateway');
$t->sql('grant usage on sequence test.ends_id_seq to sallyport_gateway');

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=2 timeout=3s;
    test_pg main ends;
    client_body_timeout 300ms;
    log_format e '$request_uri $status $error_source';

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/html;
        access_log %%DIR%%/logs/access.log e;
        test_steps on;

        location / { test_content; }
        location /page { error_page 429 /page.txt; test_content; }
        location /named { error_page 429 = @page; test_content; }
        location @page { test_steps off; return 200 "page\n"; }
        location /away { proxy_pass http://127.0.0.1:1; }
        location /plain { test_steps off; return 200 "plain\n"; }
        location /mirror { mirror /part?a=refuse; test_content; }
        location /part { test_content; }
        location /metrics { test_steps off; metrics; }
    }
}
EOC

mkdir $t->dir . '/html';
$t->file('html/page.txt', "page\n");
$t->run;

sub lines {
    my ($uri) = @_;
    return map { $_->[0] } $t->sql('select line from test.ends where '
        . 'starts_with(line, ?) order by id', "$uri ");
}

# what has ended comes in the order of its end, by one connection or two: the
# line of a later request says that there is no second one of this

sub ends {
    my ($uri, $want, $name) = @_;

    my @got;
    $t->wait_until(sub { @got = lines($uri) }, 3);

    is(scalar @got, 1, "$name: one line");
    like($got[0], qr/\Q$uri\E $want/, "$name: says what");
    return;
}

my $whole = 'turn:no got:yes sent:yes';

for my $h2 (0, 1) {
    my $opt = { http2 => $h2 };
    my $v = $h2 ? 'h2: ' : '';
    my $n = "n=$h2";

    $t->get("/?$n", {}, $opt);
    ends("/?$n", "200 nobody - - $whole", "${v}answered");

    $t->get("/?a=refuse&$n", {}, $opt);
    ends("/?a=refuse&$n", "429 gateway test_refused test_a $whole",
         "${v}refused");

    $t->get("/?reserve=refuse&$n", {}, $opt);
    ends("/?reserve=refuse&$n", "429 gateway test_refused test_reserve",
         "${v}refused by another");

    $t->get("/?a=wait:10,error&$n", {}, $opt);
    ends("/?a=wait:10,error&$n", "500 gateway internal_error test_a",
         "${v}an internal error");

    $t->get("/?content=error&$n", {}, $opt);
    ends("/?content=error&$n", '500 gateway internal_error -',
         "${v}an error of a content handler");

    $t->get("/?content=turn:c&$n", {}, $opt);
    ends("/?content=turn:c&$n", '200 nobody - - turn:yes', "${v}a turn");

    # the uri is that of the page
    $t->get("/page?a=refuse&$n=1", {}, $opt);
    $t->get("/named?a=refuse&$n", {}, $opt);
    ends("/named?a=refuse&$n", '200 gateway - test_a', "${v}a named page");

    $t->get("/away?$n", {}, $opt);
    ends("/away?$n", '502 upstream bad_gateway -', "${v}an upstream failed");

    $t->get("/mirror?$n", {}, $opt);
    ends("/mirror?$n", '200 nobody - - turn:no',
         "${v}what a mirrored part is refused is not the request's");

    $t->get("/plain?$n", {}, $opt);
}

ok($t->wait_until(sub { ($t->sql("select count(*) from test.ends where
       starts_with(line, '/page.txt?')"))[0][0] == 2 }, 3), 'pages: one each');


# clients that leave

for my $path ('/?a=wait:5000', '/?content=wait:5000', '/?a=pg:2000') {
    my $s = $t->stream('GET', "$path&left=1");

    ok(!defined eval { $s->head(0.2); 1 }, "$path: waits");
    $s->close;
    ends("$path&left=1", '499 nobody - - turn:no got:yes sent:no',
         "$path: the client left");
}

# a body that never comes

my $s = $t->connection;
$s->send("POST /?a=body&slow=1 HTTP/1.1\r\nHost: a\r\n"
         . "Content-Length: 10\r\n\r\nhalf");
ends('/?a=body&slow=1', '408 \w+ \S+ ', 'a body that never comes');
$s->close;

# a stream that is reset

my $pid = fork;
if ($pid == 0) {
    exec 'curl', '-s', '-m', '0.3', '--http2-prior-knowledge',
         'http://' . $t->address({ port => 'H2' }) . '/?a=wait:5000&reset=1';
}
waitpid $pid, 0;
ends('/?a=wait:5000&reset=1', '499 nobody', 'HTTP/2: a reset');


# the queue of detached ops is bounded: what does not fit is said, not waited
# for, and the requests do not notice

$t->suspend('pg');
is($t->get("/?full=$_")->{status}, 200, 'PostgreSQL is stopped') for 1 .. 6;
ok($t->wait_log(qr/test_end: 2 dropped/), 'the queue is full');
$t->resume('pg');
ok($t->wait_until(sub { lines('/?full=4') }, 5), 'the others are written');
is(scalar lines('/?full=5'), 0, 'and no more');

is(scalar lines('/plain?n=0'), 0, 'no context, no end');


# an op that waits holds a graceful end open, up to its deadline

$t->suspend('pg');
is($t->get('/?late=1')->{status}, 200, 'as it is about to end');
$t->reload;
$t->resume('pg');
ok($t->wait_until(sub { lines('/?late=1') }, 5),
   'the old worker has written it');


# $error_source

my $log = Sallyport::Test::slurp($t->dir . '/logs/access.log');

like($log, qr{^/\?a=refuse&n=0 429 gateway$}m, '$error_source: gateway');
like($log, qr{^/away\?n=0 502 upstream$}m, '$error_source: upstream');
like($log, qr{^/\?n=0 200 -$}m, '$error_source: neither');

$t->finish;
done_testing;
