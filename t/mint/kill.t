#!/usr/bin/perl

# kill -9 of the workers at every step of a mint, and at random: exactly one
# Transfer for each authorization.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Sallyport::Mint;
use Sallyport::Test;


my $t = Sallyport::Test->new(workers => 2);
my $m = Sallyport::Mint->new($t);

plan skip_all => $m->missing if $m->missing;

$t->pg;
$m->add_user;
$t->allow(qr/exited on signal 9/, qr/open socket/);

my $chain = $m->chain;

$t->conf($t->http_conf($m->conf(2) . <<'EOF'));
    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/v1/mints { auth_jwt "test"; mint_relay local; }
    }
EOF

$t->run;
$m->rpc('evm_setIntervalMining', 1);

my $accepted = 0;


# a killed worker may have had the request: the same again, with its key

sub mint {
    my ($body) = @_;

    my $headers = { %{ $m->bearer }, 'Idempotency-Key' => $body->{salt} };

    my $ok = $t->wait_until(sub {
        my $res = eval {
            $t->request('POST', '/api/v1/mints', $headers, $body)
        };
        return $res && $res->{status} && $res->{status} == 202;
    }, 20);

    $accepted++ if $ok;
    return $ok;
}


sub others {
    my %killed = map { $_ => 1 } @_;
    my @workers = $t->workers;

    return @workers == 2 && !grep { $killed{$_} } @workers;
}


sub unfinished {
    return $t->sql('select count(*) from mint.job where state not in '
                   . "('confirmed', 'reverted', 'failed')");
}


# -- at each step

my @steps = map { [ split / / ] } (
    'eth_chainId before', 'eth_estimateGas after', 'eth_feeHistory after',
    'eth_sendRawTransaction before', 'eth_sendRawTransaction after',
    'eth_getTransactionReceipt before', 'eth_blockNumber after' );

for (@steps) {
    my ($method, $when) = @$_;

    my @workers = $t->workers;

    $m->fault(method => $method, when => $when, kill => \@workers);

    ok(mint(($m->authorize(1, tag => "$method-$when"))[0]),
       "accepted, killed $when $method");
    ok($t->wait_until(sub { !$m->faults }, 30), 'it happened');

    # the next step is for workers that this one has not killed
    ok($t->wait_until(sub { others(@workers) }, 20), 'other workers run');
}

ok($t->wait_until(sub { !unfinished() }, 60), 'all come to an end');


# -- at random

my @bodies = $m->authorize(24, tag => 'random');

srand 1;

my $killer = fork;

if (!$killer) {
    for (1 .. 20) {
        sleep 0.1 + rand 0.5;   # waits: kills come at random
        my @workers = $t->workers;
        kill 'KILL', $workers[rand @workers] if @workers;
    }
    POSIX::_exit(0);
}

mint($_) for @bodies;
waitpid $killer, 0;

ok($t->wait_until(sub { !unfinished() }, 90), 'all come to an end again');


# -- what is true in the end

is($accepted, @steps + 24, 'every mint was accepted');
is($t->sql("select count(*) from mint.job where state = 'confirmed'"),
   $accepted, 'every mint is confirmed');

my @tokens = $m->transfers;
my %ids = map { $_->[1] => 1 } @tokens;

is(scalar @tokens, $accepted, 'exactly one Transfer for each');
is(scalar keys %ids, $accepted, 'each its own token');
is_deeply([ $m->broken ], [], 'every nonce has its slot, every hash its row');
is(hex $m->rpc('eth_getTransactionCount', $chain->{relayer}, 'latest'),
   $t->sql('select next_nonce from mint.lane'), 'no nonce is left over');

$t->finish;
done_testing;
