#!/usr/bin/perl

# trace_context: the call of an embedder that a request causes is a span of the
# request's trace.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Memory;


my $m = Sallyport::Memory->new(gates => 1,
    embedder => 'http://127.0.0.1:%%PORT5%%/v1',
    http => 'memory_timeout 4s; trace_context on sample=1;');
my $t = $m->t;

$m->{embedder}->open;

is($m->chat($m->user(1), 'What do I like?')->{status}, 200, 'a chat');

my ($asked) = $m->{embedder}->asked;
my $pattern = qr/^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/;
my ($embed) = $asked->{head} =~ /^traceparent: (\S+)\r?$/m;
my ($id, $span) = $embed =~ $pattern;
my ($chat_id, $chat_span) =
    $m->{provider}->last_request->{headers}{traceparent} =~ $pattern;

ok($id, 'the embedder is told of a trace');
is($id, $chat_id, '... that of the chat');
isnt($span, $chat_span, '... with a span of its own');

$t->finish;
done_testing;
