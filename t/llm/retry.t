#!/usr/bin/perl

# A kept connection that the provider closes as it is used costs no request;
# nothing else that was sent is sent twice.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(
    http => <<'EOF',
upstream pool {
    server 127.0.0.1:%%PORT1%% max_fails=1;
    server 127.0.0.1:%%PORT1%% max_fails=1;
    keepalive 4;
}
llm_provider pool {
    url http://pool.test/v1;
    upstream pool;
    read_timeout 1s;
    model pooled;
}
EOF
);


# the answer, and how often the provider was asked

sub chat {
    my ($text, %more) = @_;

    my $before = $p->requests;
    my $res = $t->post('/v1/chat/completions', {}, Sallyport::Llm::body($text, %more));

    return ($res, $p->requests - $before);
}

for my $model (qw(default pooled)) {

    # the pool has failed twice behind its first turn
    for my $stream (0 .. $model eq 'default') {
        my @how = (model => $model, stream => $stream ? \1 : \0);
        my $name = $model . ($stream ? ', stream' : '');

        is((chat('hi', @how))[0]{status}, 200, "$name: a connection is kept");

        my ($res, $asked) = chat('fault stale', @how);
        my $text = $stream ? Sallyport::Llm::parse($res->{body})->{text}
                           : $res->{json}{choices}[0]{message}{content};

        is($res->{status}, 200, "$name: closed as it was used");
        is($text, $Sallyport::Llm::hello, "$name: all of the answer");
        is($asked, 2, "$name: asked again");

        ($res, $asked) = chat('fault stale always=1', @how);
        is($res->{status}, 502, "$name: closed, also a fresh one");
        is($asked, 2, "$name: asked once more only");

        ($res, $asked) = chat('fault stale always=1', @how);
        is($res->{status}, 502, "$name: a fresh one");
        is($asked, 1, "$name: not asked again");

        next if $model eq 'pooled';

        is((chat('hi', @how))[0]{status}, 200, "$name: and served again");

        ($res, $asked) = chat('fault stall at=accept', @how);
        is($res->{status}, 504, "$name: no answer");
        is($asked, 1, "$name: not asked again");
    }
}

is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
               'provider="fake",kind="chat",outcome="failed"'), 6,
   'each failure is counted once');

$t->finish;
done_testing;
