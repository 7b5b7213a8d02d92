#!/usr/bin/perl

# A provider is killed, stands still, limits and fails in turn under load: no
# client sees it while another target is healthy; each request is one row of
# the ledger, and is paid once.
#
# SP_LONG=1: each for 20 seconds instead of 2.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::Provider;
use Sallyport::Test;


my $clients = 6;
my $t = Sallyport::Test->new(workers => 2);
my %p;

$t->pg;
$t->file('key1', "sk-live-one-1a2b3c4d5e\n", 0600);
$t->file('key2', "sk-live-two-5e4d3c2b1a\n", 0600);

# SO_REUSEADDR: it listens where the one before did
sub provider {
    my ($name) = @_;

    my $dir = $t->dir . "/$name";
    mkdir $dir;
    unlink "$dir/provider.mood";
    return $p{$name} = Sallyport::Provider->new(
        $t->port($name eq 'one' ? 1 : 2), $dir);
}

provider($_) for qw(one two);

my $block = 'key_file %%DIR%%/key1; key_file %%DIR%%/key2; connect_timeout 1s;'
          . ' first_byte_timeout 1s; read_timeout 5s; max_fails 3;'
          . ' fail_timeout 500ms; cooldown 1s;';

$t->conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    error_format openai;
    pg_server main "%%PG%%" connections=2;
    turn_store main flush=50ms;
    turn_spool %%DIR%%/spool;

    llm_provider one { url http://127.0.0.1:%%PORT1%%/v1; $block model m1 as=both weight=3; }
    llm_provider two { url http://127.0.0.1:%%PORT2%%/v1; $block model m2 as=both; }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        location = /v1/chat/completions { llm_pass both; }
        location = /metrics { metrics; }
    }
}
EOC
$t->run;


# clients that go on until they are told to stop; each says what it has seen

my $stop = $t->dir . '/stop';

sub client {
    my ($i, $log) = @_;

    until (-e $stop) {
        my $stream = $i++ % 3 ? 1 : 0;
        my $res = eval { $t->post('/v1/chat/completions', {},
            Sallyport::Llm::body('hi', model => 'both',
                                 $stream ? (stream => \1) : ()),
            { timeout => 30 }) } // { status => 0, body => "$@" };
        my $out = $stream ? Sallyport::Llm::parse($res->{body})
                : { text => $res->{json}{choices}[0]{message}{content} // '',
                    done => 1 };
        my $good = $res->{status} == 200 && !$out->{error} && $out->{done} == 1
                   && $out->{text} eq $Sallyport::Llm::hello;

        # one that had begun when its provider was killed
        my $cut = $res->{status} == 200 && !$good;

        print {$log} $good ? "good\n" : $cut ? "cut\n"
            : "bad $res->{status} " . ($res->{json}{error}{code} // '') . "\n";
    }

    return;
}

my @logs;
my @pids = map {
    my $i = $_;
    my $path = $t->dir . "/client$i";

    push @logs, $path;

    my $pid = fork;
    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open my $log, '>', $path or POSIX::_exit(1);
        $log->autoflush;
        client($i, $log);
        POSIX::_exit(0);
    }

    $pid;
} 1 .. $clients;

sub seen {
    my ($what) = @_;
    return scalar grep { /^$what/ }
           map { split /\n/, Sallyport::Test::slurp($_) } @logs;
}

my $seconds = $ENV{SP_LONG} ? 20 : 2;

# the load goes on for a while, and then until something came through
sub under_load {
    my ($name) = @_;

    my $good = seen('good');

    sleep $seconds;     # waits: that is the load
    ok($t->wait_until(sub { seen('good') > $good + $clients }, 30),
       "$name: chats go on");
    is(seen('bad'), 0, "$name: no client sees it")
        or diag(map { Sallyport::Test::slurp($_) =~ /^(bad.*)$/mg } @logs);
    return;
}

# what cools down in the end: its time is over, and somebody asks it

sub down {
    my @down;

    $t->wait_until(sub {
        @down = $t->get('/metrics')->{body}
                =~ /^(sallyport_llm_(?:key|target)_up\{.*\}) 0$/mg;
        return !@down;
    }, 40);

    return join ' ', @down;
}

under_load('all is well');

for my $round ([ 'one', 'm1' ], [ 'two', 'm2' ]) {
    my ($name, $model) = @$round;

    for my $fault ('status code=500', 'status code=429 retry=1',
                   'stall at=accept', 'status code=401')
    {
        $p{$name}->mood($model => $fault);
        under_load("$name, $fault");
        $p{$name}->mood;
        is(down(), '', "$name, $fault: over");
    }

    my $cut = seen('cut');

    $p{$name}->stop;
    under_load("$name is killed");
    cmp_ok(seen('cut') - $cut, '<=', $clients,
           "$name is killed: of what had begun no more than was under way");
    provider($name);
    ok($t->wait_until(sub { $p{$name}->requests }, 30), "$name is back");
}

$t->file('stop', '');
waitpid $_, 0 for @pids;

my $good = seen('good');
my $all = $good + seen('cut');

diag("$all chats, " . seen('cut') . ' cut');
is(seen('bad'), 0, 'no client has seen it');


# the account

ok($t->wait_until(sub { $t->sql('select count(*) from gateway.ledger')
                        >= $all }, 20), 'the ledger has each');
is($t->sql('select count(*) from gateway.ledger'), $all, 'once');
is($t->sql(q{select count(*) from gateway.ledger where outcome = 'complete'}),
   $good, 'as it ended');
# killed between its last word and its usage, one is complete and estimated
my ($paid) = $t->sql(q{select count(*), sum(completion_tokens)
    from gateway.ledger where outcome = 'complete'
        and estimated_completion_tokens is null});
is($paid->[1], 5 * $paid->[0], 'paid once');
cmp_ok($good - $paid->[0], '<=', 2 * $clients, 'by what the provider tells');
is($t->sql(q{select count(*) from gateway.ledger,
                    jsonb_array_elements(attempts) as a
             where a ->> 'class' is not null
               and a -> 'completion_tokens' is not null
               and outcome = 'complete'}), 0,
   'what has failed before it has cost nothing');
is($t->sql(q{select count(*) from gateway.ledger
             where jsonb_array_length(attempts) > 4}), 0, 'tries are bounded');
is($t->sql(q{select count(distinct a ->> 'class') from gateway.ledger,
                    jsonb_array_elements(attempts) as a
             where a ->> 'class' in ('server_error', 'rate_limit',
                 'first_byte_timeout', 'credentials', 'unreachable')}), 5,
   'each class was there');

my $tried = $t->sql('select sum(jsonb_array_length(attempts))
                       from gateway.ledger');
cmp_ok($tried - $all, '<', $all / 5 + 100, 'what fails is passed over')
    or diag("$tried tries of $all chats");
diag("$tried tries");

$t->finish;
done_testing;
