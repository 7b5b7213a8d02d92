#!/usr/bin/perl

# Google's API tells in the body of an error when to come again: that is how
# long its target cools down, and what the client is told.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my $google = 'dialect gemini; url http://127.0.0.1:%%PORT1%%/v1beta;'
           . ' key_file %%DIR%%/key; read_timeout 1s; cooldown 60s;';

my ($t, $p) = Sallyport::Llm::gateway(
    http => join("\n", map { "llm_provider g$_ { $google model g$_ as=g$_; }" }
                       1 .. 12)
        . "llm_provider pair { $google model first as=pair weight=1000; }
           llm_provider next { url http://127.0.0.1:%%PORT1%%/v1;
                               key_file %%DIR%%/key;
                               model other as=pair backup; }");

my $n = 0;

sub after {
    my ($fault, $stream) = @_;

    my $res = $t->post('/v1/chat/completions', {}, { model => 'g' . ++$n,
        stream => $stream ? JSON::PP::true : JSON::PP::false,
        messages => [ { role => 'user', content => "fault $fault" } ] });

    return "$res->{status} " . ($res->{headers}{'retry-after'} // 'none');
}

is(after('status code=429 delay=34s'), '429 34', 'seconds');
is(after('status code=429 delay=34.074824224s', 1), '429 35',
   'a fraction, rounded up, of a stream');
is(after('status code=503 delay=7s'), '503 7', 'overloaded');
is(after('status code=429 delay=0.2s'), '429 1', 'less than one');
is(after("status code=429 delay=$_"), '429 1', "\"$_\" is no time")
    for 'x', '5', 's', '-3s', '1h';
is(after('status code=400 delay=9s'), '400 none', 'another error has none');


# -- another target is asked, and this one is not until then

sub pair {
    my ($text) = @_;

    my $before = () = $p->requests;
    my $res = $t->post('/v1/chat/completions', {},
                       Sallyport::Llm::body($text, model => 'pair'));

    my $after = () = $p->requests;

    return "$res->{status} " . ($after - $before);
}

$p->mood('' => 'status code=429 delay=30s');     # of Google's API

is(pair('hi'), '200 2', 'the next target');
is(pair('hi'), '200 1', 'then it alone');
is(($p->last_request->{json}{model} // ''), 'other', '.. since the first one cools down');

$t->finish;
done_testing;
