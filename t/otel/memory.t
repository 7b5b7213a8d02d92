#!/usr/bin/perl

# otel_exporter: the recall of memories is a span of its request, and the call
# of the embedder one below it; also where it is late, or is given up.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Collector;
use Sallyport::Memory;
use Test::More;


my $m = Sallyport::Memory->new(gates => 1,
    embedder => 'http://127.0.0.1:%%PORT5%%/v1',
    http => 'memory_timeout 1s; trace_context on sample=1;
             otel_exporter { endpoint http://127.0.0.1:%%PORT8%%;
                             interval 10ms; }');
my $t = $m->t;
my $c = Sallyport::Collector->new($t->port(8), $t->dir);
my $seen = 0;

sub spans {
    my ($n) = @_;

    $t->wait_until(sub { $c->spans >= $seen + $n });

    my @all = $c->spans;
    my %by = map { $_->{name} => $_ } @all[$seen .. $#all];

    is(scalar @all, $seen + $n, "$n spans");
    $seen = @all;
    return \%by;
}

sub attrs {
    my ($span) = @_;
    return { map { ($_->{key} => (values %{ $_->{value} })[0]) }
             @{ $span->{attributes} } };
}

$m->{embedder}->open;

my $user = $m->user(1);

is($m->chat($user, 'What do I like?')->{status}, 200, 'a chat');

my $span = spans(4);
my ($server, $search, $embed) = @$span{'chat default', 'search_memory',
                                       'POST embedder'};

ok($server && $search && $embed, 'request, recall, embedder')
    or diag(join ', ', sort keys %$span);
is($search->{parentSpanId}, $server->{spanId}, 'the recall is in the request');
is($search->{kind}, 3, 'SPAN_KIND_CLIENT');
is_deeply(attrs($search), { 'gen_ai.operation.name' => 'search_memory',
                            'gen_ai.provider.name' => 'sallyport' },
          'what it says');
is($search->{status}, undef, 'no error');
is($embed->{parentSpanId}, $search->{spanId}, 'the embedder is in the recall');
is($embed->{traceId}, $server->{traceId}, 'all is one trace');

my ($asked) = $m->{embedder}->asked;
my ($told) = $asked->{head} =~ /^traceparent: 00-([0-9a-f-]+)-01\r?$/m;
is("$embed->{traceId}-$embed->{spanId}", $told, '... as it was told');
is(attrs($embed)->{'http.response.status_code'}, '200', '... and answered');

ok($server->{startTimeUnixNano} <= $search->{startTimeUnixNano}
   && $search->{endTimeUnixNano} <= $server->{endTimeUnixNano},
   'within the request');


# PostgreSQL is slow: the chat goes on without, and the span says so

$t->suspend('pg');
is($m->chat($user, 'What do I like?')->{status}, 200, 'a slow database');
$t->resume('pg');

$search = spans(3)->{search_memory};
is($search->{status}{code}, 2, 'an error');
is(attrs($search)->{'error.type'}, 'timeout', '... which one');


# the client leaves meanwhile

$t->suspend('pg');

my $token = $m->{key}->token({ sub => $user, exp => time + 600 });
my $stream = $t->stream('POST', '/v1/chat/completions',
    { Authorization => "Bearer $token" },
    { model => 'default', stream => \1,
      metadata => { character_id => $Sallyport::Memory::mira },
      messages => [ { role => 'user', content => 'What else?' } ] });

ok($t->wait_until(sub { my @asked = $m->{embedder}->asked; @asked == 2 }),
   'a recall is under way');
$stream->close;

$search = spans(3)->{search_memory};
is(attrs($search)->{'error.type'}, 'cancelled', 'given up');

$t->resume('pg');
$t->finish;
$c->stop;
done_testing;
