#!/usr/bin/perl

# Many clients that leave at random moments, in every phase: their requests at
# the provider end with them, each has its row in the ledger, and nothing of
# them is left in the worker.
#
# SP_LONG=1: 20 rounds of 1,000 clients instead of 4 of 60; then no request
# may live for longer than 100 ms, which needs a machine with nothing else to
# do.

use strict;
use warnings;

use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(sleep time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($rounds, $clients, $together) = $ENV{SP_LONG} ? (20, 1000, 100)
                                                  : (4, 60, 30);
my $seed = $ENV{SP_SEED} || time;

srand $seed;
diag("SP_SEED=$seed") if $ENV{SP_LONG};

my ($t, $p) = Sallyport::Llm::gateway(
    read_timeout => '30s',
    http => 'pg_server main "%%PG%%" timeout=5s;
             turn_store main flush=20ms; turn_spool %%DIR%%/spool;
             log_format ends "$uri $request_id $http_x_serial $msec";',
    location => 'access_log %%DIR%%/ends.log ends;');

# [name, what the provider does, stream, how long they stay at most]

my @phases = (
    [ 'before the header', 'fault stall at=accept', 1, 0.05 ],
    [ 'before the first word', 'fault stall at=header', 1, 0.05 ],
    [ 'in the stream', 'fault stall at=mid', 1, 0.1 ],
    [ 'in a flowing stream', 'fault slow words=200 delay=10', 1, 0.3 ],
    [ 'before a whole answer', 'fault stall at=accept', 0, 0.05 ],
    [ 'behind the header of one', 'fault stall at=header', 0, 0.05 ],
    [ 'within one', 'fault stall at=mid', 0, 0.1 ],
);

my $serial = 0;
my (%left, %phase);

sub begin {
    my $phase = $phases[rand @phases];
    my $id = ++$serial;
    my $s = $t->stream('POST', '/v1/chat/completions', { 'X-Serial' => $id },
        Sallyport::Llm::body("$phase->[1] id=$id",
                             stream => $phase->[2] ? \1 : \0));

    $phase{$id} = $phase->[0];
    return [ time + rand $phase->[3], $s, $id ];
}

sub go {
    my ($client) = @_;

    $left{$client->[2]} = time;
    $client->[1]->close(abrupt => rand(2) < 1);
    return;
}

sub round {
    my ($n) = @_;
    my @open;

    while ($n > 0 || @open) {
        push @open, begin() while $n-- > 0 && @open < $together;

        @open = sort { $a->[0] <=> $b->[0] } @open;
        my $wait = $open[0][0] - time;

        # waits: until the next one leaves, at its random moment
        sleep $wait if $wait > 0;
        go(shift @open);
    }

    return;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    return join '', <$fh>;
}

# what the gateway has taken as requests for a model: [request id, serial,
# when it had ended, its connection to the provider closed]

sub ended {
    return map { m{^/v1/chat/completions (\w+) (\d+) ([\d.]+)$}
                 ? [ $1, $2, $3 ] : () }
           split /\n/, slurp($t->dir . '/ends.log');
}

# requests at the provider that are open

sub open_requests {
    my %open = map { $_->{n} => 1 } $p->requests;

    delete $open{$_->{n}} for $p->events('closed'), $p->events('sent'),
                              $p->events('idle');
    return scalar keys %open;
}

sub rss {
    my ($worker) = $t->workers;
    return slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+) kB/m ? $1 : 0;
}

my @rss;

for my $round (1 .. $rounds) {
    round($clients);

    $t->wait_until(sub { !open_requests() }, 30);
    push @rss, rss();
}

is(open_requests(), 0, 'no request of theirs is open');


# -- in which phase; how long each has lived after its client.  The fake
#    provider has one process for all: the gateway's clock tells.

my %phases;

for my $event ($p->events('request')) {
    my $text = $event->{json}{messages}[0]{content};
    $phases{$phase{$1}}++ if $text =~ /id=(\d+)/;
}

cmp_ok(scalar keys %phases, '>=', 5, 'they have left in most of the phases')
    or diag(map { "$_: $phases{$_}\n" } sort keys %phases);

my @ended = ended();
my @took = sort { $b->[0] <=> $a->[0] }
           map { [ $_->[2] - $left{$_->[1]}, $phase{$_->[1]} ] } @ended;

cmp_ok($took[0][0], '<', $ENV{SP_LONG} ? 0.1 : 10, 'all ended soon after')
    or diag(map { sprintf "%.0f ms: %s\n", 1000 * $_->[0], $_->[1] }
            @took[0 .. min(9, $#took)]);


# -- each has its row

my %ended = map { $_->[0] => 1 } @ended;

$t->wait_until(sub {
    $t->sql('select count(*) from gateway.ledger') >= keys %ended
}, 20);

my %rows;

$rows{$_->[0]}++ for $t->sql('select request_id from gateway.ledger');

is(scalar(grep { !$rows{$_} } keys %ended), 0, 'each request has a row');
is(scalar(grep { !$ended{$_} } keys %rows), 0, 'there is no other');
is(scalar(grep { $_ > 1 } values %rows), 0, 'none has two');
# a provider that took no connection may have been given up before they left

my %early = map { $_->[0] => 1 } grep { $_->[2] < $left{$_->[1]} } @ended;
my @other = grep { !$early{$_->[0]} } $t->sql(
    "select request_id, outcome, error_type, status from gateway.ledger
      where outcome not in ('partial', 'failed', 'refused')
         or error_type <> 'caller_disconnected' or status <> 499");

is(scalar @other, 0, 'all of them were left')
    or diag(map { "@$_\n" } @other[0 .. min(9, $#other)]);


# -- and nothing is left

SKIP: {
    skip 'AddressSanitizer keeps what was freed', 1
        if defined $ENV{SP_MODULES} && $ENV{SP_MODULES} eq '';

    my @later = @rss[int(@rss / 2) .. $#rss];

    cmp_ok(max(@later) - min(@later), '<', 1024,
           "the worker has not grown: @rss KB");
}

diag(sprintf '%d requests, %d of them at the provider, the slowest ended after '
     . '%.1f ms, half within %.1f ms; KB: %s', scalar keys %ended,
     scalar(() = $p->requests), 1000 * $took[0][0],
     1000 * $took[@took / 2][0], "@rss") if $ENV{SP_LONG};

$t->finish;
done_testing;
