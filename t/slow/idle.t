#!/usr/bin/perl

# What an idle gateway costs: transactions, Redis commands, wake-ups of its
# workers; and that its connections go back to one per worker after a burst.
#
# SP_LONG=1 looks for 60 seconds instead of 15.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $seconds = $ENV{SP_LONG} ? 60 : 15;
my $workers = 2;

my $t = Sallyport::Test->new(workers => $workers);

$t->redis;
$t->pg;

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    redis_server main %%REDIS%% timeout=200ms;
    pg_server main "%%PG%%" connections=6 timeout=2s idle_timeout=500ms;
    turn_store main;
    turn_spool %%DIR%%/spool;
    test_pg main jobs;

    quota_redis main;
    quota_policy all { requests 1000/m; }

    memory_server main;
    llm_provider side { url http://127.0.0.1:%%PORT1%%/v1; model x;
                        model e kind=embedding; }
    memory_embedder e dimensions=256;
    memory_extractor x;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/ { quota all by=address; pg_call main api; }
    }
}
EOC

$t->run;

my $kinds = 3;    # test, memory_extract, memory_embed

# a burst: more than one connection is needed, and they go away again

my @burst = map { $t->stream('GET', '/api/v1/characters') } 1 .. 60;

is(join(' ', map { $_->status } @burst), join(' ', (200) x 60), 'a burst');
$_->close for @burst;

ok($t->wait_until(sub { connections() == 2 * $workers }, 10),
   'one connection per worker is left, and one that listens')
    or diag(connections());

# nothing to do: what the server is asked all the same is in its log

my $log = $t->pg->{log};

$t->sql("alter system set log_statement = 'all'");
$t->sql('select pg_reload_conf()');
ok($t->wait_until(sub {
       $t->sql("select 'logged' -- " . rand);
       Sallyport::Test::slurp($log) =~ /select 'logged'/;
   }), 'the server writes down what it is asked');

my %before = look();
sleep $seconds;
my %after = look();

my $passed = $after{time} - $before{time};

# housekeeping is one more every ten minutes
my $transactions = $after{transactions} - $before{transactions};
my $allowed = $workers * $kinds * $passed / 10 + 1;

cmp_ok($transactions, '<=', $allowed,
       "at most one transaction per job kind, worker and 10 s");
cmp_ok($after{commands} - $before{commands}, '<=', 2 + $passed / 10,
       'Redis is left alone');

for my $pid ($t->workers) {
    my $switches = ($after{$pid} - $before{$pid}) / $passed;

    cmp_ok($switches, '<=', 5, 'a worker sleeps')
        or diag(sprintf '%.1f wake-ups a second', $switches);
}

note(sprintf '%d transactions, %d commands in %.0f s', $transactions,
     $after{commands} - $before{commands}, $passed);

is(connections(), 2 * $workers, 'no connection was opened');

# and it is awake at once

my $id = $t->sql(q{select gateway.job_enqueue('test', '{"do":"finish"}')});

ok($t->wait_until(sub {
       $t->sql("select state from gateway.job where id = $id") eq 'done'
   }, 2), 'a job runs at once');

$t->finish;
done_testing;


# of the gateway, those that listen included

sub connections {
    return scalar $t->sql("select count(*) from pg_stat_activity
                            where datname = current_database()
                              and backend_type = 'client backend'
                              and pid <> pg_backend_pid()");
}


sub look {
    my %seen = (time => time);

    # each transaction of the gateway begins with its role
    $seen{transactions} = () = Sallyport::Test::slurp($log)
                               =~ /execute \w+: select set_config/g;
    ($seen{commands}) = $t->redis->command('INFO', 'stats')
        =~ /^total_commands_processed:(\d+)/m;

    for my $pid ($t->workers) {
        ($seen{$pid}) = Sallyport::Test::slurp("/proc/$pid/status")
            =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
    }

    return %seen;
}
