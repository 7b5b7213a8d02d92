#!/usr/bin/perl

# Finished turns: every one that was accepted is in PostgreSQL afterwards,
# whatever happens to the client, the worker, the database or the directory.

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
    test_pg main;
    turn_store main batch=20 flush=20ms;
    turn_spool %%DIR%%/spool/turns max_size=64k;

    server {
        listen 127.0.0.1:%%PORT%%;
        location / { test_content; }
        location /metrics { metrics; }
    }
}
EOC
$t->run;

my $n = 0;
my %sent;

# "id" is kept as the finish_reason: it names the turn in the ledger

sub turn {
    my ($finish, $more) = @_;
    my $id = sprintf 't%05d', ++$n;
    my $res = eval { $t->get("/?content=turn:$finish&id=$id" . ($more || '')) };

    $sent{$id} = 1 if $res && $res->{status} == 200;
    return $id;
}

sub stored {
    return map { $_->[0] => $_->[1] } $t->sql(
        "select finish_reason, outcome || ' ' || status || ' ' ||
                coalesce(prompt_tokens, 0) from gateway.ledger");
}

sub all_stored {
    my ($name, $timeout) = @_;

    my $ok = $t->wait_until(sub {
        my %have = eval { stored() };
        return !grep { !$have{$_} } keys %sent;
    }, $timeout || 15);

    my %have = stored();
    my @missing = grep { !$have{$_} } sort keys %sent;

    ok($ok, $name) or diag(scalar(@missing), ' missing: ',
                           join ' ', grep { defined } @missing[0 .. 9]);
    is(scalar $t->sql('select count(*) from gateway.ledger'),
       scalar $t->sql('select count(distinct finish_reason)
                       from gateway.ledger'), "$name: none twice");
    return;
}

sub spooled { return map { -s } glob $t->dir . '/spool/turns/turns-*' }

sub metric {
    my ($name) = @_;
    my ($value) = $t->get('/metrics')->{body} =~ /^\Q$name\E\{kind=\"turns\"\} (-?\d+)$/m;
    return $value;
}

# each way to end

my $complete = turn('complete');
my $failed = turn('failed');
my $settled = turn('complete,settle,settle');
my $none = turn('none');
delete $sent{$none};

my $left = sprintf 't%05d', ++$n;
my $s = $t->stream('GET', "/?content=turn:partial,wait:3000&id=$left");
$s->taken->leave;
$sent{$left} = 1;

my $error = sprintf 't%05d', ++$n;
$t->get("/?content=turn:complete,refuse&id=$error");
$sent{$error} = 1;

all_stored('every way to end');

my %have = stored();
is($have{$complete}, 'complete 200 3', 'complete');
is($have{$failed}, 'failed 200 3', 'failed');
is($have{$left}, 'partial 499 3', 'the client left');
is($have{$error}, 'complete 429 3', 'refused in the end');
ok(!$have{$none}, 'no model was called: no turn');
is(metric('sallyport_spool_accepted_total'), 5, 'accepted');
is(metric('sallyport_spool_stored_total'), 5, 'stored');

# a record that the database cannot store does not block the others

my $bad = turn('complete', '&chat=garbage');
delete $sent{$bad};
turn('complete') for 1 .. 5;
all_stored('beside a bad one');
is(scalar $t->sql("select record ->> 'finish_reason' from gateway.ledger
                   where error is not null"), $bad, 'which is kept as it was');

# a worker was killed before it gave a file its name

for my $age (0, 3600) {
    my $path = $t->dir . "/spool/turns/new-1-2-$age";
    open my $fh, '>', $path or die "$path: $!\n";
    close $fh;
    utime time - $age, time - $age, $path;
}

ok($t->wait_until(sub { !-e $t->dir . '/spool/turns/new-1-2-3600' }, 8),
   'an old file without a name is removed');
ok(-e $t->dir . '/spool/turns/new-1-2-0', 'a new one is not');

# a line that is no JSON at all stands in a file

$t->file('spool/turns/turns-1-1-1.jsonl', join "\n",
         '{"id":"018f0000-0000-7000-8000-000000000001","outcome":"complete",'
         . '"finish_reason":"by hand","at":1.5}', '{"garbage', '{"id":"018f'
         . '0000-0000-7000-8000-000000000002","outcome":"complete",'
         . '"finish_reason":"after it","at":1.5}', '{"id":"cut');
chown $Sallyport::Server::nobody, $Sallyport::Server::nogroup,
      $t->dir . '/spool/turns/turns-1-1-1.jsonl';
@sent{'by hand', 'after it'} = (1, 1);
all_stored('around garbage');
is(metric('sallyport_spool_dropped_total'), 1, 'the garbage is counted');

# a load, and a worker killed in the middle of it, several times: a handler
# settles before its last byte is sent, or the log phase may never come

for my $round (1 .. 3) {
    $t->wait_until(sub { $t->workers == 2 });
    my @workers = $t->workers;
    $t->allow(map { qr/worker process $_ exited on signal 9/ } @workers);

    for my $i (1 .. 60) {
        turn('complete,settle');
        kill 'KILL', $workers[0] if $i == 20;
        kill 'KILL', $workers[1] if $i == 40;
    }
}
all_stored('kill -9 of both workers, three times');

# PostgreSQL is away

# the private server commits asynchronously, and is stopped hard
$t->sql('checkpoint');
$t->stop_server('pg');
turn('complete,settle') for 1 .. 30;
ok((grep { $_ } spooled()), 'PostgreSQL is stopped: they wait on the disk');
is(scalar(grep { $sent{$_} } map { sprintf 't%05d', $_ } $n - 29 .. $n), 30,
   'and every request is served');
cmp_ok(metric('sallyport_spool_bytes'), '>', 1000, 'the backlog is seen');

# ... and the workers die meanwhile, and a reload comes

my ($worker) = $t->workers;
$t->allow(qr/worker process $worker exited on signal 9/);
turn('complete,settle');
kill 'KILL', $worker;
turn('complete,settle') for 1 .. 10;
$t->reload;
turn('complete') for 1 .. 10;

# a worker of the new generation has tried as well
ok($t->wait_until(sub {
       my $log = $t->error_log;
       return grep { $log =~ / $_#\d+: .*takes no "turns"/ } $t->workers;
   }), 'and nobody takes them');
$t->start_server('pg');
all_stored('when it is back', 30);
ok($t->wait_until(sub { metric('sallyport_spool_bytes') == 0 }),
   'no backlog is left');

# it stands still: bounded, and counted

my $dropped = metric('sallyport_spool_dropped_total');
$t->suspend('pg');
my %before = %sent;
turn('complete', '&text=' . 'x' x 1500) for 1 .. 120;
cmp_ok(metric('sallyport_spool_dropped_total') - $dropped, '>', 10,
       'the spool is bounded');
my $size = 0;
$size += $_ for spooled();
cmp_ok($size, '<', 2 * 64 * 1024 + 1, 'on the disk too');
ok($t->wait_log(qr/spool: a line of "turns" is lost, the spool is full/),
   'and says so');
$t->resume('pg');
ok($t->wait_until(sub { metric('sallyport_spool_bytes') == 0 }, 20),
   'what was accepted is stored');
is(scalar $t->sql("select count(*) from gateway.ledger
                   where finish_reason > 't' || lpad(?::text, 5, '0')",
                  $n - 120),
   120 - (metric('sallyport_spool_dropped_total') - $dropped), 'all of it');
%sent = %before;

# a reload under load

for my $i (1 .. 300) {
    kill 'HUP', $t->{master} if $i == 50 || $i == 200;
    turn('complete');
}
all_stored('two reloads under load');

# a graceful end flushes, and the next start finds nothing

turn('complete') for 1 .. 10;
ok($t->stop, 'ends');
ok(!grep({ $_ } spooled()), 'with an empty spool');
$t->run;
all_stored('stopped and started');

# the directory vanishes: requests are served, the loss is counted and said

my $spool = $t->dir . '/spool/turns';
rename $spool, "$spool.away" or die "$spool: $!\n";
$dropped = metric('sallyport_spool_dropped_total');
%before = %sent;
turn('complete') for 1 .. 4;
is(scalar(keys %sent) - scalar(keys %before), 4, 'no directory: served');
ok($t->wait_log(qr/a line of "turns" is lost, no file can be created/), 'the log says it');
%sent = %before;
rename "$spool.away", $spool or die "$spool: $!\n";
turn('complete') for 1 .. 4;
all_stored('the directory is back');

my ($ok, $out) = $t->check_conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%%
pg_server main "%%PG%%";
turn_store other;
}
EOC
ok(!$ok, 'an unknown server');
like($out, qr/there is no "pg_server other \.\.\." above this line in .*:\d+/,
     'is named');

for my $bad (['turn_store main batch=0;', qr/from 1 to 1000/],
             ['turn_store main pace=1;', qr/"batch=" and "flush=" are/],
             ['turn_store main; turn_store main;', qr/is duplicate/],
             ['turn_store main; turn_spool s max_size=1;', qr/at least 64k/])
{
    ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%%
pg_server main "%%PG%%";
$bad->[0]
}
EOC
    ok(!$ok, "$bad->[0] is refused");
    like($out, $bad->[1], 'and says why');
}

$t->finish;
done_testing;
