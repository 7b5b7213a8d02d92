#!/usr/bin/perl

# What an idle gateway with every kind of job costs: transactions, Redis
# commands, calls of others, wake-ups of its workers; and that its connections
# go back to one per worker after a burst.
#
# SP_LONG=1 looks for 30 seconds instead of 15.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::JWT qw(jwks);
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $seconds = $ENV{SP_LONG} ? 30 : 15;
my $workers = 2;
my $looks = 0;

my $t = Sallyport::Test->new(workers => $workers);

$t->redis;
$t->pg;
$t->file('relay.key', '22' x 32, 0600);
chmod 0600, $t->file('jwks.json',
                     jwks(Sallyport::JWT->new('HS256', kid => 'k')));

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

    auth_jwt_key_file %%DIR%%/jwks.json;
    chain local { chain_id 31337; rpc http://127.0.0.1:%%PORT1%%/rpc; }
    mint local {
        chain    local;
        contract 0x5FbDB2315678afecb367f032d93F642f64180aa3;
        signer   key_file=%%DIR%%/relay.key;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/ { quota all by=address; pg_call main api; }
        location /mints { auth_jwt test optional; mint_relay local; }
        location /metrics { metrics; }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%DIR%%/logs/called.log;
        return 500;
    }
}
EOC

$t->run;

# every kind that a module of ours registers is here, and that of the tests

my @kinds = $t->get('/metrics')->{body}
            =~ /^sallyport_jobs_running\{kind="(\w+)"\}/mg;
my @calls = map { Sallyport::Test::slurp($_)
                  =~ /\bngx_http_sp_add_job_kind\(cf, (?!pg,)/g }
            grep { !m{/modules/example/} }
            glob "$Sallyport::Test::top/modules/*/*.c";

is("@{[ sort @kinds ]}", 'memory_embed memory_extract mint test',
   'the kinds of jobs');
is(@kinds, @calls + 1, 'and the modules have no other');

# a burst: more than one connection is needed, and they go away again

my @burst = map { $t->stream('GET', '/api/v1/characters') } 1 .. 60;

is(join(' ', map { $_->status } @burst), join(' ', (200) x 60), 'a burst');
$_->close for @burst;

ok($t->wait_until(sub { connections() == 2 * $workers }, 10),
   'one connection per worker is left, and one that listens')
    or diag(connections());
is(clients(), $workers, 'one per worker to Redis');

# nothing to do: what the server is asked all the same is in its log

my $log = $t->pg->{log};

$t->sql("alter system set log_statement = 'all'");
$t->sql('select pg_reload_conf()');
ok($t->wait_until(sub {
       $t->sql("select 'logged' -- " . rand);
       Sallyport::Test::slurp($log) =~ /select 'logged'/;
   }), 'the server writes down what it is asked');

my $calls = called();
my %before = look();
sleep $seconds;     # waits: what is measured is that nothing happens
my %after = look();

my $passed = $after{time} - $before{time};

# whoever looks every 10 s does it once more at most
my $each = $workers * (1 + int $passed / 10);
my %done = map { $_ => $after{$_} - $before{$_} } keys %after;

for my $kind (sort @kinds) {
    cmp_ok($done{"kind $kind"}, '<=', $each,
           "$kind: a transaction per worker and 10 s at most");
    cmp_ok($done{"kind $kind"}, '>', 0, '.. but some, for what was missed');
}

# housekeeping is one more every ten minutes
cmp_ok($done{transactions}, '<=', @kinds * $each + 1, 'and no others');
cmp_ok($done{commands}, '<=', $each, 'Redis is left alone');
is(called(), $calls, 'nobody else is called');

for my $pid ($t->workers) {
    my $switches = $done{$pid} / $passed;

    cmp_ok($switches, '<=', 5, 'a worker sleeps')
        or diag(sprintf '%.1f wake-ups a second', $switches);
}

note(sprintf '%d transactions, %d commands in %.0f s; wake-ups a second: %s',
     @done{qw(transactions commands)}, $passed,
     join ' ', map { sprintf '%.1f', $done{$_} / $passed } $t->workers);

is(connections(), 2 * $workers, 'no connection was opened');
is(clients(), $workers, 'to Redis neither');

# and it is awake at once

my $id = $t->sql(q{select gateway.job_enqueue('test', '{"do":"finish"}')});

ok($t->wait_until(sub {
       $t->sql("select state from gateway.job where id = $id") eq 'done'
   }, 5), 'a job runs at once');

$t->finish;
done_testing;


# of the gateway, those that listen included

sub connections {
    return scalar $t->sql("select count(*) from pg_stat_activity
                            where datname = current_database()
                              and backend_type = 'client backend'
                              and pid <> pg_backend_pid()");
}


# of the gateway, not the one that asks

sub clients {
    return (() = $t->redis->command('CLIENT', 'LIST') =~ /^id=/mg) - 1;
}


sub called {
    return -s $t->dir . '/logs/called.log';
}


sub look {
    my %seen = (time => time);
    my $said = Sallyport::Test::slurp($log);

    # each transaction of the gateway begins with its role
    $seen{transactions} = () = $said =~ /execute \w+: select set_config/g;

    # a claim has kind and owner
    for my $kind (@kinds) {
        $seen{"kind $kind"} = () = $said =~
            /gateway\.job_claim\(.*\n.*[Pp]arameters: \$1 = '$kind', \$2 = /g;
    }

    # what asks is not counted
    ($seen{commands}) = $t->redis->command('INFO', 'stats')
        =~ /^total_commands_processed:(\d+)/m;
    $seen{commands} -= ++$looks;

    for my $pid ($t->workers) {
        ($seen{$pid}) = Sallyport::Test::slurp("/proc/$pid/status")
            =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
    }

    return %seen;
}
