#!/usr/bin/perl

# Thousands of refused requests: each has its row where there is room, and
# where there is none they give way to those that were paid for.
#
# SP_LONG=1: 20,000 of them, and what each has cost the worker.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my $many = $ENV{SP_LONG} ? 20_000 : 1_000;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=5s;
             turn_store main flush=20ms;
             turn_spool %%DIR%%/spool max_size=256k;
             keepalive_requests 1000000;');

my $body = $Sallyport::Llm::json->encode(
    Sallyport::Llm::body('hi', model => 'nothing'));
my $request = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
              . "Content-Type: application/json\r\nContent-Length: "
              . length($body) . "\r\n\r\n$body";

# n of them on one connection, a hundred at a time; all are 404

sub flood {
    my ($n) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $t->port) or die;
    my $refused = 0;

    while ($n > 0) {
        my $batch = $n < 100 ? $n : 100;
        my $got = 0;

        print {$s} $request x $batch;
        $n -= $batch;

        while ($got < $batch) {
            my $line = <$s>;
            last unless defined $line;
            $got++ if $line =~ m{HTTP/1\.1 404};
        }

        # the rest of the last answer
        my ($rest, $length) = ('', 0);
        while (defined(my $line = <$s>)) {
            $length = $1 if $line =~ /^Content-Length: (\d+)/i;
            last if $line eq "\r\n";
        }
        read $s, $rest, $length;
        $refused += $got;
    }

    return $refused;
}

sub rows {
    return scalar $t->sql('select count(*) from gateway.ledger
                           where outcome = ?', $_[0]);
}

# user and system time of the worker, in seconds

sub cpu {
    my ($worker) = $t->workers;

    open my $fh, '<', "/proc/$worker/stat" or return 0;
    my @field = split ' ', (<$fh> =~ s/^.*\) //r);

    return ($field[11] + $field[12]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}

# -- PostgreSQL takes them

my ($start, $used) = (time, cpu());

is(flood($many), $many, 'all are refused');

my ($took, $cost) = (time - $start, cpu() - $used);

ok($t->wait_until(sub { rows('refused')
                        + Sallyport::Llm::metric($t,
                            'sallyport_spool_dropped_total',
                            'kind="turns"') >= $many }, 60),
   'each has a row, or is counted as lost');
cmp_ok(rows('refused'), '>', $many / 20, 'there are rows');

diag(sprintf '%.0f refused requests a second, %.0f us of the worker for '
     . 'each; %d rows, the rest was lost and counted', $many / $took,
     1e6 * $cost / $many, rows('refused')) if $ENV{SP_LONG};


# -- it takes nothing: the spool is bounded, and half of it is for others

my $dropped = Sallyport::Llm::metric($t, 'sallyport_spool_dropped_total',
                                     'kind="turns"');
my $before = rows('refused');

$t->suspend('pg');

is(flood(1_000), 1_000, 'PostgreSQL is away: all are refused');

my $lost = Sallyport::Llm::metric($t, 'sallyport_spool_dropped_total',
                                  'kind="turns"') - $dropped;

cmp_ok($lost, '>', 100, 'most of them are lost');
ok($t->wait_log(qr/spool: a line of "turns" is lost, the spool is half full/),
   'the log says so');

for my $i (1 .. 20) {
    my $res = $t->post('/v1/chat/completions', {},
                       Sallyport::Llm::body('hi'));
    is($res->{status}, 200, 'a chat is served') if $i == 20;
}

is(Sallyport::Llm::metric($t, 'sallyport_spool_dropped_total',
                          'kind="turns"') - $dropped, $lost,
   'what was paid for is not lost');

$t->resume('pg');

ok($t->wait_until(sub { rows('complete') == 20 }, 30), 'and is stored');
is(rows('refused') - $before, 1_000 - $lost, 'with the others');

$t->finish;
done_testing;
