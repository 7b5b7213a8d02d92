#!/usr/bin/perl

# Background jobs: claimed once, renewed, retried, taken over, given back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;
use Time::HiRes qw(time);


my $t = Sallyport::Test->new(workers => 2);

$t->pg;

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=2 timeout=1s connect_timeout=1s;
    test_pg main jobs;
    turn_spool %%DIR%%/spool;

    server {
        listen 127.0.0.1:%%PORT%%;
        location / { test_content; }
        location /metrics { metrics; }
    }
}
EOC

# made before anybody listens
my $early = job('{"do":"finish"}');

$t->run;

sub job {
    my ($payload, $lane, $key) = @_;
    return scalar $t->sql('select gateway.job_enqueue(?, ?, ?, ?)', 'test',
                          $payload, $lane, $key);
}

sub row {
    my ($id) = @_;
    my ($row) = $t->sql("select state, attempt, coalesce(error, ''),
                                coalesce(result ->> 'runs', '0')
                           from gateway.job where id = ?", $id);
    return $row ? "@$row" : 'gone';
}

sub becomes {
    my ($id, $want, $name, $timeout) = @_;
    $t->wait_until(sub { row($id) =~ /^$want/ }, $timeout || 8);
    like(row($id), qr/^$want/, $name);
    return;
}

sub metric {
    my ($labels, $name) = @_;
    $name ||= 'sallyport_jobs_total';
    my ($v) = $t->get('/metrics')->{body}
              =~ /^$name\{kind="test"\Q$labels\E\} (-?\d+)$/m;
    return $v;
}

becomes($early, 'done 1', 'one that waited for the start');

# a notification wakes the workers

ok($t->wait_until(sub { scalar $t->sql("select count(*) from pg_stat_activity
       where query ilike 'listen%'") == 2 }), 'both workers listen');

my $begin = time;
my $id = job('{"do":"finish"}');
becomes($id, 'done 1  1', 'finished');
cmp_ok(time - $begin, '<', 5, 'at once, where others look every 10 s');

# the same key is the same job

my $key = job('{"do":"finish"}', undef, 'k');
is(job('{"do":"finish"}', undef, 'k'), $key, 'the same key');
becomes($key, 'done', 'runs once');
is(job('{"do":"finish"}', undef, 'k'), $key, 'also when it is done');
is(row($key), 'done 1  1', 'and not again');

# retries, and their end

$id = job('{"do":"retry"}');
becomes($id, 'dead 3 as told 3', 'retried up to the limit, then dead');
$id = job('{"do":"fail"}');
becomes($id, 'dead 1 as told 1', 'failed');
is(metric(',result="retried"'), 2, 'retries are counted');
is(metric(',result="failed"'), 2, 'failures too');

# many of them, and each exactly once

my @many = map { job('{"do":"finish","ms":5}') } 1 .. 60;
ok($t->wait_until(sub { !grep { row($_) !~ /^done/ } @many }, 15),
   '60 at once');
is(scalar(grep { row($_) eq 'done 1  1' } @many), 60, 'each runs once');

my %by;
$by{$_}++ for $t->error_log =~ /\[notice\] (\d+)#\d+: test job/g;
is(scalar keys %by, 2, 'both workers take part');

# a lane: one after the other, in order

my @lane = map { job('{"do":"finish","ms":40}', 'L') } 1 .. 8;
my $worst = 0;
$t->wait_until(sub {
    my $running = $t->sql("select count(*) from gateway.job
                            where lane = 'L' and state = 'running'");
    $worst = $running if $running > $worst;
    return !grep { row($_) !~ /^done/ } @lane;
}, 15);
is($worst, 1, 'one of a lane at a time');
is_deeply([ map { $_->[0] } $t->sql("select id from gateway.job
              where lane = 'L' order by updated_at") ], \@lane, 'in order');

# a lease is renewed while the job runs: 3 s here

my $hang = job('{"do":"hang"}', 'H');
my $behind = job('{"do":"finish"}', 'H');
becomes($hang, 'running 1', 'one that hangs');
my $lease = $t->sql('select lease_until from gateway.job where id = ?', $hang);
ok($t->wait_until(sub {
       $t->sql("select clock_timestamp() > ?::timestamptz", $lease)
   }), 'its first lease is over');
is(row($hang), 'running 1  1', 'keeps its lease');
is(row($behind), 'ready 0  0', 'and its lane');
is(metric('', 'sallyport_jobs_running'), 1, 'it is seen to run');

# somebody else takes it over: the old one stops, and writes nothing

$t->sql("update gateway.job set epoch = epoch + 1, lease_owner = 'somebody',
         lease_until = now() + '1 hour' where id = ?", $hang);
ok($t->wait_log(qr/job $hang "test" lost its lease/, 4), 'a lost lease');
ok($t->wait_log(qr/test job $hang is cancelled/), 'cancels the job');
is(scalar $t->sql('select lease_owner from gateway.job where id = ?', $hang),
   'somebody', 'whose row is not touched');
ok($t->wait_until(sub { metric(',result="lost"') == 1 }), 'counted');

# ... and dies: its lease runs out

$t->sql("update gateway.job set lease_until = now() + '0.3 s' where id = ?",
        $hang);
becomes($hang, 'running 2  2', 'an expired lease is taken over', 14);

# the attempts of a job that kills its workers are limited

my ($owner) = scalar($t->sql('select lease_owner from gateway.job
                              where id = ?', $hang)) =~ /^(\d+)\./;
$t->allow(qr/worker process $owner exited on signal 9/);
kill 'KILL', $owner;
becomes($hang, 'running 3', 'kill -9: another worker goes on', 14);

($owner) = scalar($t->sql('select lease_owner from gateway.job
                           where id = ?', $hang)) =~ /^(\d+)\./;
$t->allow(qr/worker process $owner exited on signal 9/);
kill 'KILL', $owner;
becomes($hang, 'dead 4 too many attempts', 'not for ever', 14);
becomes($behind, 'done 1  1', 'then the lane goes on');

# a reload gives jobs back: the attempt does not count

$hang = job('{"do":"hang"}');
becomes($hang, 'running 1', 'one that hangs');
my $released = metric(',result="released"');
$t->reload;
ok($t->wait_log(qr/test job $hang is cancelled/, 4), 'reload: cancelled');
ok($t->wait_until(sub {
       my ($e) = $t->sql("select epoch from gateway.job where id = ?", $hang);
       return $e->[0] == 2 && row($hang) =~ /^running 1/ }, 4),
   'and taken by a new worker') or diag(row($hang));
is(metric(',result="released"'), $released + 1,
   'before its lease was over');
$t->sql("delete from gateway.job where id = ?", $hang);
ok($t->wait_log(qr/job $hang "test" lost its lease/, 4), 'a row that is gone');

# PostgreSQL is away for longer than a lease

$hang = job('{"do":"finish","ms":1500}');
becomes($hang, 'running 1', 'a job runs');
# the private server commits asynchronously, and is stopped hard
$t->sql('checkpoint');
$t->stop_server('pg');
ok($t->wait_log(qr/job $hang "test" lost its lease/, 8), 'its lease is over');
$t->start_server('pg');
becomes($hang, 'done', 'PostgreSQL was away: done in the end', 20);
is((split ' ', row($hang))[-1], 1, 'once');

$id = job('{"do":"finish"}');
becomes($id, 'done 1', 'and the next one', 15);

# a kind of lines of a plugin's own in the spool

$t->sql('create table gateway.test_line (n int)');
$t->sql('grant insert on gateway.test_line to sallyport_gateway');
$t->sql(q{create function gateway.test_lines(lines jsonb) returns void
          language sql set search_path = ''
          as $$insert into gateway.test_line
               select (x ->> 'n')::int from jsonb_array_elements(lines) x$$});
$t->sql('grant execute on function gateway.test_lines to sallyport_gateway');

my @spooled = map { job(qq({"do":"spool","n":$_})) } 1 .. 7;

becomes($_, 'done', 'a job that writes a line') for @spooled;

ok($t->wait_until(sub {
       $t->sql('select count(*) from gateway.test_line') == 7
   }), 'its lines reach their own function')
    or diag(map { "@$_ " } $t->sql('select n from gateway.test_line'));
is($t->sql("select string_agg(n::text, ' ' order by n) from gateway.test_line"),
   '1 2 3 4 5 6 7', 'each once');
like($t->get('/metrics')->{body},
     qr/^sallyport_spool_stored_total\{kind="probe"\} 7$/m, 'counted apart');

# a clean end with jobs running

$hang = job('{"do":"hang"}');
becomes($hang, 'running 1', 'one that hangs');
$begin = time;
ok($t->stop, 'a graceful end');
cmp_ok(time - $begin, '<', 10, 'is quick: nothing waits for the hour');
is(row($hang), 'ready 0  1', 'and gives it back');

my $done = $t->sql("select count(*) from gateway.job where state = 'done'");
cmp_ok($done, '>', 60, 'done ones are kept');
is(scalar $t->sql("select gateway.housekeeping()"), 0,
   'while they are young');
$t->sql("update gateway.retention set keep = '0' where name = 'jobs done'");
$t->sql('select gateway.housekeeping()');
is(scalar $t->sql("select count(*) from gateway.job where state = 'done'"), 0,
   'and go later');

$t->finish;
done_testing;
