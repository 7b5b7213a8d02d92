#!/usr/bin/perl

# A provider with several addresses: one that is down costs nothing, and when
# all are, clients are told so at once.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(http => join '', map { <<"END" }
upstream $_->[0] {
    server 127.0.0.1:%%PORT2%%;
    server 127.0.0.1:%%PORT$_->[1]%%;
}
llm_provider $_->[0] {
    url http://$_->[0].test/v1;
    upstream $_->[0];
    model $_->[0];
}
END
    [ 'half', 1 ], [ 'down', 3 ]);

for my $n (1 .. 3) {
    my $res = $t->post('/v1/chat/completions', {},
                       Sallyport::Llm::body('hi', model => 'half'));

    is($res->{status}, 200, "one address is down: served, $n");
}

for my $n (1 .. 3) {
    my $start = time;
    my $res = $t->post('/v1/chat/completions', {},
                       Sallyport::Llm::body('hi', model => 'down'), { timeout => 5 });

    is($res->{status}, 502, "all addresses are down: refused, $n");
    is($res->{json}{error}{code}, 'provider_unreachable', 'with a code');
    cmp_ok(time - $start, '<', 2, 'at once');
}

is($p->requests + 0, 3, 'each chat was asked for once');

$t->finish;
done_testing;
