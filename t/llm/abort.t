#!/usr/bin/perl

# The client leaves: the provider's connection is closed at once, in every
# phase, and what was delivered is accounted.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '30s');


# starts a request, waits until the provider is in that phase

sub start {
    my ($text, $stream, $ready) = @_;

    my $before = $p->requests;
    my $s = $t->stream('POST', '/v1/chat/completions', {},
                       Sallyport::Llm::body($text, stream => $stream ? \1 : \0));

    ok($t->wait_until(sub { $p->requests > $before }, 5),
       "$text: the provider has the request");

    my $n = $p->last_request->{n};

    ok($ready ? $s->read_until($ready, 5) : $p->wait_event('stalled', $n),
       "$text: it is in that phase");

    return ($s, $n);
}


my @phases = (
    [ 'before the header', 'fault stall at=accept', 1 ],
    [ 'before the first event', 'fault stall at=header', 1 ],
    [ 'in the stream', 'fault stall at=mid', 1, qr/Hello/ ],
    [ 'in a flowing stream', 'fault slow words=500 delay=20', 1, qr/w3/ ],
    [ 'before a whole answer', 'fault stall at=accept', 0 ],
    [ 'behind the header of a whole answer', 'fault stall at=header', 0 ],
    [ 'in a whole answer', 'fault stall at=mid', 0 ],
);

for my $abrupt (0, 1) {
    for my $phase (@phases) {
        my ($name, $fault, $stream, $ready) = @$phase;
        my ($s, $n) = start($fault, $stream, $ready);

        $s->close(abrupt => $abrupt);

        my $took = $p->wait_event('closed', $n, 5);

        ok(defined $took && $took < 1, "$name: closed "
           . ($abrupt ? '(reset)' : '(closed)'));
    }
}


# -- the same over HTTP/2, where leaving is a frame

for my $phase (@phases) {
    my ($name, $fault, $stream, $ready) = @$phase;
    my $before = $p->requests;

    my $pid = fork;

    if ($pid == 0) {
        my $file = $t->file('abort.json', $Sallyport::Llm::json->encode(
            Sallyport::Llm::body($fault, stream => $stream ? \1 : \0)));

        open STDOUT, '>', '/dev/null';
        exec 'curl', '-s', '--http2-prior-knowledge', '-N', '-H',
             'Content-Type: application/json', '--data-binary', "\@$file",
             'http://127.0.0.1:' . $t->port('H2') . '/v1/chat/completions';
    }

    ok($t->wait_until(sub { $p->requests > $before }, 5),
       "$name, HTTP/2: the provider has the request");

    my $n = $p->last_request->{n};

    $p->wait_event('stalled', $n, 5) if $fault =~ /stall/;

    kill 'KILL', $pid;
    waitpid $pid, 0;

    my $took = $p->wait_event('closed', $n, 5);

    ok(defined $took && $took < 1, "$name, HTTP/2: closed");
}


# -- accounting

my %seen;

$t->wait_until(sub {
    $seen{$_} = Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
                            qq{provider="fake",kind="chat",outcome="$_"}) || 0
        for qw(complete partial failed);
    $seen{partial} + $seen{failed} == 3 * @phases;
}, 5);

is($seen{complete}, 0, 'none is complete');
is($seen{partial} + $seen{failed}, 3 * @phases, 'each is counted once');
cmp_ok($seen{partial}, '>=', 4, 'partial where text was delivered');


# -- many at random moments: no request survives at the provider

my @open;

for my $i (1 .. 60) {
    push @open, $t->stream('POST', '/v1/chat/completions', {},
                           Sallyport::Llm::body('fault slow words=200 delay=20',
                                     stream => \1));
    # waits: so that they leave at other moments than they come
    select undef, undef, undef, 0.005;
    (shift @open)->close(abrupt => $i % 2) if $i % 3 == 0;
}

$_->close for @open;

ok($t->wait_until(sub {
    my %open = map { $_->{n} => 1 } $p->requests;
    delete $open{$_->{n}} for $p->events('closed'), $p->events('sent');
    !%open;
}, 5), 'sixty aborted clients leave no request open');

$t->finish;
done_testing;
