#!/usr/bin/perl

# The PostgreSQL adapter with a real server behind a proxy that injects
# faults.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Proxy;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(time);


my $t = Sallyport::Test->new;

$t->pg;

my $dir = $t->dir;
my $pg = $t->pg->{dir};
my $to = "$pg/.s.PGSQL.5432";

mkdir "$dir/proxy";
chmod 0755, "$dir/proxy";

my $proxy = Sallyport::Proxy->new(listen => "$dir/proxy/.s.PGSQL.5432",
                                  to => $to);

$t->sql('create table public.t (a int, b text)');
$t->sql('insert into public.t values (1, null)');
$t->sql('grant all on public.t to sallyport, sallyport_user');
$t->sql('grant usage on schema public to sallyport, sallyport_user');
$t->sql(<<'EOF');
create function public.notice(text) returns text language plpgsql as $$
begin
    raise notice 'note %', $1;
    raise exception 'refused %', $1
        using errcode = 'P0999', detail = 'the detail', hint = 'the hint';
end
$$
EOF
$t->sql('grant execute on function public.notice to sallyport');

my $servers = <<"EOF";
    io_probe_pg_server main "%%PG%%" connections=4;
    io_probe_pg_server one "%%PG%% application_name=one" connections=1
                       queue=2 timeout=1s;
    io_probe_pg_server proxy
        "host=$dir/proxy dbname=sallyport user=sallyport application_name=px"
        connections=1 timeout=300ms connect_timeout=400ms;
    io_probe_listen main probe_channel;
    io_probe_listen proxy Other_1;
EOF

my $locations = <<'EOF';
    location /add { io_probe_pg main "select 1 + $1::int" $arg_a; }
    location /text { io_probe_pg main "select $1::text, $2::text" $arg_a NULL; }
    location /nul { io_probe_pg main "select $1::text" NUL; }
    location /none { io_probe_pg main "select 1 where false"; }
    location /multi {
        io_probe_pg main "select 'first'";
        io_probe_pg main "insert into t values ($1, $2) returning a" $arg_a b;
        io_probe_pg main "select 1 / $1::int" $arg_b;
        io_probe_pg main "select 'first'";
    }
    location /who {
        io_probe_pg main "select current_user,
            nullif(current_setting('request.jwt.claims', true), ''),
            current_setting('transaction_read_only'),
            current_setting('statement_timeout')";
    }
    location /user {
        io_probe_pg main "select current_user,
            current_setting('request.jwt.claims', true),
            current_setting('transaction_read_only')";
        io_probe_role $arg_role;
        io_probe_claims "{\"sub\":\"$arg_sub\"}";
        io_probe_read_only on;
    }
    location /write {
        io_probe_pg main "insert into t values (7, 'x')";
        io_probe_role sallyport_user;
        io_probe_read_only on;
    }
    location /error { io_probe_pg main "select public.notice($1)" $arg_a; }
    location /syntax { io_probe_pg main "selekt 1"; }
    location /copy { io_probe_pg main "copy t to stdout"; }
    location /begin { io_probe_pg one "begin"; }
    location /rows {
        io_probe_pg main
            "select count(*), sum(length(repeat('x', 1000) || i))
               from generate_series(1, $1::int) i" $arg_n;
    }
    location /wide { io_probe_pg one "select repeat('w', $1::int)" $arg_n;
                     io_probe_timeout 9s; }
    location /pool {
        io_probe_pg main "select pg_backend_pid(), pg_sleep(0.05)";
        io_probe_repeat 20;
    }
    location /pid { io_probe_pg one "select pg_backend_pid()"; }
    location /sleep {
        io_probe_pg one "select pg_sleep($1::float)" $arg_s;
        io_probe_timeout 400ms;
    }
    location /lock {
        io_probe_pg one "select pg_advisory_xact_lock(1)";
        io_probe_timeout 9s;
    }
    location /queue {
        io_probe_pg one "select pg_sleep(0.1)"; io_probe_repeat 5;
    }
    location /forget { io_probe_pg one "deallocate all"; }
    location /table { io_probe_pg one "select * from t where a = 1"; }
    location /proxy { io_probe_pg proxy "select $1::text" $arg_a; }
    location /long {
        io_probe_pg proxy "select $1::text" $arg_a; io_probe_timeout 9s;
    }
    location /proxypid { io_probe_pg proxy "select pg_backend_pid()"; }
    location /state { io_probe_state on; }
EOF

sub conf {
    my ($more_servers, $more_locations) = @_;

    return $t->http_conf(<<"EOF");
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
    return $t->wait_until(sub { body('/state') =~ /pg $name ready=1/ }, 12);
}

sub pid {
    my ($path) = @_;
    my ($pid) = body($path) =~ /^ok .*\((\d+)\)$/;
    return $pid || 0;
}

# the state page, polled until it matches

sub state_is {
    my ($pattern) = @_;
    return $t->wait_until(sub { body('/state') =~ $pattern }, 8);
}


# what the location "lock" waits for: it is begun, and ends when we say so

sub lock { return $t->sql('select pg_advisory_lock(1)') }

sub unlock { return $t->sql('select pg_advisory_unlock(1)') }

sub locked {
    return $t->wait_until(sub {
        $t->sql("select count(*) from pg_locks
                  where locktype = 'advisory' and not granted") == 1;
    });
}


# -- configuration

my $u = 'user=u';

$t->file('all', "x\n", 0644);

my @bad = (
    [ 'a', qr/invalid number of arguments/ ],
    [ 'a nonsense', qr/invalid connection string of "pg_server a"/ ],
    [ 'a "host=/x"', qr/"user=" is missing/ ],
    [ "a \"host=a,b $u\"", qr/names several hosts/ ],
    [ "a \"host=/x port=1,2 $u\"", qr/names several hosts/ ],
    [ "a \"host=/x $u service=s\"", qr/"service" is not allowed/ ],
    [ "a \"host=/x $u passfile=/p\"", qr/"passfile" is not allowed/ ],
    [ "a \"host=/x $u foo=bar\"", qr/invalid connection string/ ],
    [ "a \"host=/x $u\" connections=0", qr/a number from 1 to 1000/ ],
    [ "a \"host=/x $u\" queue=x", qr/invalid value "queue=x"/ ],
    [ "a \"host=/x $u\" timeout=-1", qr/"1ms" to "1h" is expected/ ],
    [ "a \"host=/x $u\" pool=1", qr/unknown parameter "pool=1"/ ],
    [ "a \"host=/x $u\" password_file=$dir/none",
      qr/open\(\) "\Q$dir\E\/none" failed/ ],
    [ "a \"host=/x $u\" password_file=$dir/all", qr/mode is 0644, allowed/ ],
);

for my $case (@bad) {
    my ($args, $pattern) = @$case;

    $t->refuses(conf("    io_probe_pg_server $args;", ''), $pattern,
                $args);
}

my ($ok, $out) = $t->check_conf(conf('    io_probe_listen main "a b";', ''));
like($out, qr/invalid channel "a b"/, 'a bad channel is refused');

($ok, $out) = $t->check_conf(
    conf("    io_probe_pg_server a 'host=/x password=hush nonsense';", ''));
unlike($out, qr/hush/, 'a password is not printed');


# -- the common path

$t->conf(conf('', ''));
$t->run;

ok(ready($_), "$_ connects") for qw(main one proxy);

like(body('/add?a=41'), qr/^ok sent=1 .* \(42\)$/, 'query');
like(body('/add?a=-1'), qr/^ok .* \(0\)$/, '.. prepared');
like(body('/text?a=%C3%A9'), qr/^ok .* \(%C3%A9,NULL\)$/, 'text, and NULL');
like(body('/none'), qr/^ok .* \(\)$/, 'no rows');
like(body('/nul'), qr/^rejected sent=0 .* sqlstate=22021/, 'zero byte');
like(body('/add?a=x'), qr/^rejected sent=1 .*failed=0 sqlstate=22P02 /,
     'bad value');
like(body('/syntax'), qr/^rejected .* sqlstate=42601/, 'syntax error');
like(body('/syntax'), qr/^rejected .* sqlstate=42601/, '.. twice');
like(body('/rows?n=20000'), qr/^ok .* \(20000,\d+\)$/, 'work');
like($t->request('GET', '/add?a=1', {}, undef, { http2 => 1 })->{body},
     qr/\(2\)/, 'http2');

like(body('/error?a=x'),
     qr/^rejected .*sqlstate=P0999\ message="refused[ ]x"[ ]
        detail="the[ ]detail"[ ]hint="the[ ]hint"$/x, 'error fields');
ok($t->wait_log(qr/\[info\].*pg "main" notice: .*note x/), 'notice is logged');

like(body('/multi?a=5&b=2'), qr/^ok .* \(first\) \(5\) \(0\) \(first\)$/,
     'several queries in one op');
is($t->sql('select count(*) from public.t where a = 5'), 1, '.. committed');
like(body('/multi?a=6&b=0'), qr/^rejected .*failed=2 sqlstate=22012/,
     '.. the third fails');
is($t->sql('select count(*) from public.t where a = 6'), 0,
   '.. the second is rolled back');
like(body('/multi?a=5&b=1'), qr/^ok /, '.. and the connection is clean');


# -- role, claims, read only, for one transaction

like(body('/user?role=sallyport_user&sub=me'),
     qr/^ok .* \(sallyport_user,\{"sub":"me"\},on\)$/, 'role and claims');
like(body('/who'), qr/^ok .* \(sallyport,NULL,off,1950ms\)$/,
     '.. do not stay');
like(body('/user?role=nobody&sub=me'), qr/^rejected .*failed=0 sqlstate=22023/,
     'no such role');
like(body('/user?role=postgres&sub=me'), qr/^rejected .* sqlstate=42501/,
     'a role that is not ours');
like(body('/write'), qr/^rejected .* sqlstate=25006/, 'read only');
like(body('/who'), qr/^ok .* \(sallyport,NULL,off/, '.. does not stay');


# -- what has no place in an op

like(body('/copy'), qr/^unavailable|^rejected/, 'copy');
ok(ready('main'), '.. the pool goes on');
my $before = pid('/pid');
like(body('/begin'), qr/^ok/, 'begin');
isnt(pid('/pid'), $before, '.. such a connection is not used again');


# -- statements

like(body('/table'), qr/^ok .* \(1,NULL\)$/, 'prepared once');
$before = pid('/pid');
like(body('/forget'), qr/^ok/, 'the server forgets all statements');
like(body('/table'), qr/^ok .* \(1,NULL\)$/, '.. prepared again');
$t->sql('alter table public.t add column c int default 3');
like(body('/table'), qr/^ok .* \(1,NULL,3\)$/, 'the plan does not fit');
like(body('/table'), qr/^ok .* \(1,NULL,3\)$/, '.. prepared again');
is(pid('/pid'), $before, '.. on the same connection');


# -- the pool

my @lines = split /\n/, body('/pool');
my %pids = map { /\((\d+),\)/ ? ($1 => 1) : () } @lines;

is(scalar(grep { /^ok / } @lines), 20, '20 ops, 4 connections');
cmp_ok(keys %pids, '<=', 4, '.. no more');
cmp_ok(keys %pids, '>=', 2, '.. but some');

@lines = split /\n/, body('/queue');
is(scalar(grep { /^ok / } @lines), 2, 'a full queue: two wait');
is(scalar(grep { /^unavailable sent=0 .*queue is full/ } @lines), 3,
   '.. three are refused');

$before = pid('/pid');
like(body('/wide?n=5000000'), qr/^ok .* \(w{7000}/, 'a large result');
isnt(pid('/pid'), $before, '.. and its connection is replaced');


# -- deadlines

$before = pid('/pid');
my $began = time;
like(body('/sleep?s=5'), qr/^timeout sent=1 .* sqlstate=57014/,
     'the server gives up before the deadline');
cmp_ok(time - $began, '<', 4, '.. in time');
is(pid('/pid'), $before, '.. and the connection stays');

$proxy->mode('stall');
$began = time;
like(body('/proxy?a=late'), qr/^timeout sent=1 elapsed=[3-9]\d\d /, 'no answer');
cmp_ok(time - $began, '<', 4, '.. in time');
$proxy->mode('pass');
ok($t->wait_until(sub { body('/proxy?a=next') =~ /^ok .* \(next\)$/ }, 5),
   '.. the next is served');


# -- answers in pieces and cut

$proxy->mode('split');
like(body('/long?a=' . 'z' x 300), qr/^ok .* \(z{300}\)$/, 'split by bytes');
$proxy->drop;
ok(ready('proxy'), '.. connecting too');
$proxy->mode('pass');

for my $n (1, 2, 5, 6, 11, 30, 60, 90) {
    ok($t->wait_until(sub { body('/proxy?a=y') =~ /^ok .* \(y\)$/ }, 12),
       'the proxy serves');
    $proxy->mode('cut', $n);
    like(body('/long?a=' . 'c' x 200), qr/^unavailable sent=1 /,
         "closed after $n bytes");
    $proxy->mode('pass');
}

for my $bytes ("\0\0\0\0\0\0\0\0\0", "Z\xff\xff\xff\xff", "T\0\0\0\4",
               "garbage" x 20, "E\0\0\0\5\0", "N\0\0\0\5\0")
{
    ok($t->wait_until(sub { body('/proxy?a=y') =~ /^ok .* \(y\)$/ }, 12),
       'the proxy serves');
    $proxy->inject($bytes);
    ok($t->wait_until(sub { body('/proxy?a=z') =~ /^ok .* \(z\)$/ }, 12),
       'recovers from ' . join ' ', unpack '(H2)*', substr $bytes, 0, 9);
}

# in the middle of an op
$proxy->mode('stall');
my $s = $t->stream('GET', '/long?a=mid');
ok($t->wait_until(sub { $proxy->held }), 'an answer is held');
$proxy->inject('3' . "\0\0\0\4" . "Z\0\0\0\5I" x 3);
$proxy->mode('pass');
like($s->rest, qr/^(?:unavailable|rejected|ok) sent=1/,
     'messages nobody asked for');
$s->close;
ok($t->wait_until(sub { body('/proxy?a=z') =~ /^ok .* \(z\)$/ }, 12),
   '.. recovers');


# -- the client leaves

lock();
$s = $t->stream('GET', '/lock');
ok(locked(), 'one is begun');
$_->leave for $s, map { $t->stream('GET', '/lock')->taken } 1 .. 2;
unlock();

like(body('/pid'), qr/^ok /, 'what was begun ends first');

$proxy->mode('stall');
$t->stream('GET', '/proxy?a=gone')->taken->leave;
ok($t->wait_log(qr/"proxy" at .*no answer within 300 ms/, 3),
   'a deadline without a client');
$proxy->mode('pass');
ok($t->wait_until(sub { body('/proxy?a=z') =~ /^ok .* \(z\)$/ }, 12),
   '.. recovers');


# -- listen

ok(state_is(qr/relistened=\d/), 'listens');
my ($times) = body('/state') =~ /relistened=(\d+)/;
my ($count) = body('/state') =~ /notified=(\d+)/;

$t->sql("notify probe_channel, 'first'");
ok(state_is(qr/payload=first$/m), 'a notification');
$t->sql("notify probe_channel");
ok(state_is(qr/payload=$/m), '.. without payload');
$t->sql(qq{notify "Other_1", 'second'});
ok(state_is(qr/payload=second$/m), '.. of the other server');
$t->sql("notify probe_other, 'third'");
$t->sql("notify probe_channel, 'fourth'");
ok(state_is(qr/payload=fourth$/m), '.. of no other channel');
is((body('/state') =~ /notified=(\d+)/)[0], $count + 4, '.. each once');

$t->sql("select pg_terminate_backend(pid) from pg_stat_activity
          where query like 'listen%' and application_name = 'sallyport'");
ok(state_is(qr/relistened=(?!$times\b)\d+/), 'listens again');
$t->sql("notify probe_channel, 'fifth'");
ok(state_is(qr/payload=fifth$/m), '.. and hears');


# -- the server ends connections

$before = pid('/pid');
$t->sql('select pg_terminate_backend(?::int)', $before);
ok($t->wait_until(sub { my $pid = pid('/pid'); $pid && $pid != $before }, 5),
   'terminated when idle');

lock();
$s = $t->stream('GET', '/lock');
ok(locked(), 'one is begun');
$t->sql("select pg_terminate_backend(pid) from pg_stat_activity
          where application_name = 'one'");
like($s->rest, qr/^unavailable sent=1 /, 'terminated when busy');
$s->close;
unlock();
ok(ready('one'), '.. and connects again');


# -- the server hangs, stops and comes back

$t->suspend('pg');
like(body('/add?a=1'), qr/^timeout /, 'a server that hangs');
ok($t->wait_until(sub {
       body('/proxy?a=1') =~ /^unavailable sent=0 .*not connected/ }, 5),
   '.. is not asked after a while');
$began = time;
body('/proxy?a=1') for 1 .. 20;
cmp_ok(time - $began, '<', 4, '.. 20 answers at once');
$t->resume('pg');
ok(ready($_), "$_ is back") for qw(main one proxy);
like(body('/add?a=1'), qr/^ok .* \(2\)$/, '.. and serves');

$t->stop_server('pg');
ok($t->wait_until(sub { body('/add?a=1') =~ /^unavailable sent=0/ }, 5),
   'a server that is gone');
like(body('/state'), qr/pg main ready=0/, '.. is not ready');
($times) = body('/state') =~ /relistened=(\d+)/;
$t->start_server('pg');
ok(ready($_), "$_ is back") for qw(main one proxy);
like(body('/table'), qr/^ok .* \(1,NULL,3\)$/, '.. statements too');
ok(state_is(qr/relistened=(?!$times\b)\d+/), '.. and listens');
like($t->error_log, qr/pg "main" at \S+ is back/, '.. and the log tells');


# -- reload, and quit, with ops in flight

lock();
$s = $t->stream('GET', '/lock');
ok(locked(), 'one is begun');
my ($old) = $t->workers;
$t->reload;
unlock();
like($s->rest, qr/^ok /, 'a reload waits for the op');
$s->close;
ok($t->wait_until(sub { !kill 0, $old }, 5), '.. and the old worker ends');

ok(ready($_), "$_ is ready") for qw(main one);
lock();
$s = $t->stream('GET', '/lock');
ok(locked(), 'one is begun');
ok($t->stop('TERM'), 'terminated with an op in flight');
$s->close;

$t->stop_server('pg');
$t->run;
like(body('/add?a=1'), qr/^unavailable/, 'started without a server');
$t->start_server('pg');
ok(ready('main'), '.. which then comes');
$t->stop;


# -- TLS and passwords over TCP; with "allow" libpq opens a second socket

my $ip = join '.', 127, 1 + int rand 250, 1 + int rand 250,
                   1 + int rand 250;

$t->file('password', "correct horse\n", 0600);
system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pg.test"
       . " -addext subjectAltName=IP:$ip -keyout $pg/data/server.key"
       . " -out $pg/data/server.crt 2>/dev/null") == 0 or die;
system("cp $pg/data/server.crt $dir/ca.crt && chmod 644 $dir/ca.crt"
       . " && chmod 600 $pg/data/server.key"
       . " && chown --reference $pg/data $pg/data/server.*") == 0 or die;

# stopping the server is a crash: what was not flushed is lost
$t->sql('set synchronous_commit = on');
$t->sql("alter role sallyport password 'correct horse'");
$t->sql($_) for "alter system set listen_addresses = '$ip'",
                "alter system set ssl = on";
open my $hba, '>', "$pg/data/pg_hba.conf" or die;
print $hba "local all all trust\n",
           "hostssl all all 127.0.0.0/8 scram-sha-256\n";
close $hba;
$t->stop_server('pg');
$t->start_server('pg');

my $tcp = "host=$ip dbname=sallyport user=sallyport";

$t->conf(conf(<<"EOF", <<'EOF'));
    io_probe_pg_server tls "$tcp sslmode=verify-full sslrootcert=$dir/ca.crt"
                       password_file=password;
    io_probe_pg_server allow "$tcp sslmode=allow" password_file=password;
    io_probe_pg_server bad "$tcp sslmode=require password=wrong";
    io_probe_pg_server unknown "$tcp sslmode=verify-full"
                       password_file=password;
    io_probe_pg_server plain "$tcp sslmode=disable" password_file=password;
EOF
    location /tls {
        io_probe_pg tls "select ssl, repeat('t', 6000) from pg_stat_ssl
                          where pid = pg_backend_pid()";
    }
    location /tlsrows {
        io_probe_pg tls "select length(string_agg(v, '')) from
                          (select repeat('t', $1::int) v) x" $arg_n;
        io_probe_pg tls "select repeat('t', $1::int)" $arg_n;
        io_probe_pg tls "select 'end'";
    }
    location /allow {
        io_probe_pg allow "select ssl from pg_stat_ssl
                            where pid = pg_backend_pid()";
    }
    location /bad { io_probe_pg bad "select 1"; }
    location /unknown { io_probe_pg unknown "select 1"; }
    location /plain { io_probe_pg plain "select 1"; }
EOF
$t->run;
ok(ready('tls'), 'TLS with a verified name');
like(body('/tls'), qr/^ok .* \(t,t{6000}\)$/, '.. and a long row');

# what TLS has buffered makes no event on the socket
my @slow = grep { body("/tlsrows?n=$_") !~ /^ok .* \($_\) \(t+/ }
           map { ($_ * 4096 - 60, $_ * 4096 - 1, $_ * 4096 + 700) } 1 .. 40;
is("@slow", '', 'rows of many lengths over TLS');

ok(ready('allow'), 'TLS after plain text was refused');
like(body('/allow'), qr/^ok .* \(t\)$/, '.. serves');
like(body("/$_"), qr/^unavailable/, "$_ is refused")
    for qw(bad unknown plain);
ok($t->wait_log(qr/pg "bad" at \S+: connection lost: .*password/),
   '.. and the log tells');
unlike($t->error_log, qr/wrong|correct horse/, '.. without the password');

$t->finish;

done_testing;
