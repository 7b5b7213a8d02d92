#!/usr/bin/perl

# otel_exporter when the collector is slow, away, wants to be left alone or
# takes nothing; when too much waits; at a reload and at the end of a worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Collector;
use Sallyport::Llm;
use Test::More;
use Time::HiRes qw(time);


my ($t, $p, $c);

sub gateway {
    my (%set) = @_;

    my $server = delete $set{server} || '';
    my $block = join '', map { "$_ $set{$_};\n" } sort keys %set;

    ($t, $p) = Sallyport::Llm::gateway(
        prepare => sub {
            $c = Sallyport::Collector->new($_[0]->port(2), $_[0]->dir);
        },
        http => "otel_exporter { endpoint http://127.0.0.1:%%PORT2%%;
                                 $block }
                 trace_context on sample=1;",
        server => $server);
    return;
}

sub chats {
    my ($n) = @_;

    return grep { $t->post('/v1/chat/completions', {},
                           Sallyport::Llm::body('hi'))->{status} == 200 }
           1 .. $n;
}

sub counted {
    my ($result) = @_;
    return Sallyport::Llm::metric($t, 'sallyport_otel_spans_total',
                                  "result=\"$result\"");
}

sub waiting { return Sallyport::Llm::metric($t, 'sallyport_otel_waiting') }

sub failures {
    return Sallyport::Llm::metric($t, 'sallyport_otel_failures_total');
}

sub wait_spans {
    my ($n) = @_;
    return $t->wait_until(sub { $c->spans >= $n });
}

sub finish {
    $p->stop;
    $t->finish;
    $c->stop;
    return;
}


# a batch that is full does not wait for the interval

gateway(interval => '1h', batch_size => 4, batch_count => 2);

is(chats(1), 1, 'two spans');
is(waiting(), 2, 'they wait');
is(scalar $c->posts, 0, 'nothing is sent');

is(chats(1), 1, 'two more');
ok(wait_spans(4), 'a batch that is full is sent at once');
is(scalar $c->posts, 1, 'in one call');
is(waiting(), 0, 'nothing waits');

# one at a time, with the rest behind it

$c->fault('status=200', 'body={"partialSuccess":{"rejectedSpans":"1",'
          . '"errorMessage":"no"}}', 'once');
is(chats(2), 2, 'another one');
ok($t->wait_log(qr/collector has rejected 1 of 4 spans/), 'a part is taken');
$t->wait_until(sub { counted('rejected') == 1 });
is(counted('rejected'), 1, '... the rest is counted');
is(counted('exported'), 7, '... and what was taken');

$c->fault("body={\"partialSuccess\":{\"rejectedSpans\":99}}", 'once');
chats(2);
ok($t->wait_until(sub { counted('rejected') == 5 }),
   'no more are rejected than were sent');

for my $body ('{', '[]', '{"partialSuccess":7}', '',
              '{"partialSuccess":{"rejectedSpans":"-1"}}',
              '{"partialSuccess":{"rejectedSpans":"x"}}',
              '{"partialSuccess":{"rejectedSpans":-5}}', '[' x 3000)
{
    my $before = counted('exported');
    $c->fault("body=$body", 'once');
    chats(2);
    ok($t->wait_until(sub { counted('exported') == $before + 4 }),
       'all is taken: ' . substr $body, 0, 40);
}

# what will never do is given up

for my $fault ('status=400', 'status=401', 'status=404', 'status=413',
               'status=500', 'status=302', 'body=' . 'x' x 70_000)
{
    my ($rejected, $failed) = (counted('rejected'), failures());
    $c->fault($fault, 'once');
    chats(2);
    ok($t->wait_until(sub { counted('rejected') == $rejected + 4 }),
       'given up: ' . substr $fault, 0, 12);
    is(failures(), $failed + 1, '... asked once');
    is(waiting(), 0, '... nothing waits');
}

# what the collector cannot take now is sent again, the same

for my $status (429, 502, 503, 504) {
    my $n = $c->spans;
    my $before = counted('exported');
    $c->fault("status=$status", 'retry=1', 'once');
    my $posts = $c->posts;

    chats(2);
    ok(wait_spans($n + 4), "$status: sent again");
    is(counted('dropped'), 0, '... nothing is lost');

    my ($first, $second) = ($c->posts)[$posts, $posts + 1];
    is($second->{body}, $first->{body}, '... the same bytes');
    cmp_ok($second->{at} - $first->{at}, '>=', 0.95, '... after Retry-After');
    $t->wait_until(sub { counted('exported') == $before + 4 });
    is(counted('exported'), $before + 4, '... counted once');
}

# none of it is seen by clients, and what finds no room is counted

$c->fault('status=503', 'retry=2');
my $begin = time;
is(chats(10), 10, 'clients do not see it');
cmp_ok(time - $begin, '<', 2, '... and do not wait');
is(waiting(), 8, 'as many wait as may');
is(counted('dropped'), 12, '... the rest is dropped and counted');

my $before = $c->spans;
$c->fault;
ok(wait_spans($before + 8), 'they come when the collector is back');
ok($t->wait_until(sub { waiting() == 0 }), 'nothing is left');

# no answer, or none to the end

$before = $c->spans;
$c->fault('close', 'once');
chats(2);
ok(wait_spans($before + 4), 'a connection that is closed: sent again');

# the collector is away

$c->stop;
$before = $c->spans;
is(chats(2), 2, 'no collector: clients do not see it');
ok($t->wait_log(qr/has not taken 4 spans: unavailable/), 'the log does');
$c->start;
ok(wait_spans($before + 4), 'when it is back it has them');

# every span came once, whatever was in between

my %seen;
$seen{$_->{spanId}}++ for $c->spans;
is(scalar(grep { $_ > 1 } values %seen), 0, 'none came twice');


# a reload: those that wait go with the old worker, the new one goes on

$before = $c->spans;
chats(1);
is(waiting(), 2, 'two wait');
ok($t->reload, 'a reload');
ok(wait_spans($before + 2), '... sends them');
chats(2);
ok(wait_spans($before + 6), 'the new worker sends, too');

# a stream that the old worker ends is a request like others

$before = $c->spans;
my $stream = $t->stream('POST', '/v1/chat/completions', {},
                        Sallyport::Llm::body('fault slow words=20 delay=40',
                                             stream => \1));
$stream->read_until(qr/w2 /, 5);
$t->reload;
$stream->rest(10);
ok(wait_spans($before + 2), 'a stream of a worker that ends');

# the end: all batches, one behind the other

$before = $c->spans;
chats(1);
ok($t->stop, 'nginx ends');
is(scalar $c->spans, $before + 2, 'what had waited was sent');
finish();


# more than a batch at the end

gateway(interval => '1h', batch_size => 4, batch_count => 10);
$c->fault('status=503', 'retry=3600');
chats(7);
ok($t->wait_until(sub { failures() == 1 }), 'the collector is to be left alone');
is(waiting(), 14, 'for an hour');
$c->fault;
ok($t->stop, 'the worker ends');
is(scalar $c->spans, 14, 'with its try: all of them came');
finish();


# a batch is not tried for ever

gateway(interval => '10ms');
$c->fault('status=503', 'retry=1');
chats(1);
ok($t->wait_until(sub { counted('dropped') == 2 }, 15),
   'a batch that is never taken is dropped');
is(scalar $c->posts, 8, '... after eight tries');
is(waiting(), 0, '... and nothing waits');
$c->fault;
chats(1);
ok(wait_spans(2), 'the next one is taken');
finish();


# while nothing waits there is no timer: the worker sleeps

gateway(interval => '10ms');
chats(3);
ok(wait_spans(6), 'sent by the interval');
ok($t->wait_until(sub { waiting() == 0 }), 'nothing waits');

my ($worker) = $t->workers;
my $switches = switches($worker);
$t->wait_until(sub { return 0 }, 1);
cmp_ok(switches($worker) - $switches, '<', 20, 'a hundred intervals later');
finish();

sub switches {
    my ($pid) = @_;
    my ($n) = Sallyport::Test::slurp("/proc/$pid/status")
        =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
    return $n;
}


# ... and a collector that takes nothing does not hold it

gateway(interval => '1h');
$c->fault('status=503', 'retry=3600');
chats(3);
$begin = time;
ok($t->stop, 'the worker ends');
cmp_ok(time - $begin, '<', 3, '... soon');
is(scalar $c->posts, 1, '... after one try');
like($t->error_log, qr/otel: 6 spans are lost: the worker ends/,
     '... and says what is lost');
finish();

gateway(interval => '1h');
$c->fault('hang');
chats(3);
$begin = time;
ok($t->stop, 'the worker ends where there is no answer');
cmp_ok(time - $begin, '<', 6, '... in time');
finish();

# a worker that has to end at once takes along what it had

gateway(interval => '1h');
chats(2);
is(waiting(), 4, 'four wait');
($worker) = $t->workers;
kill 'TERM', $worker;
ok($t->wait_until(sub { my @now = $t->workers; @now && $now[0] != $worker }),
   'another worker');
ok($t->wait_until(sub { eval { counted('dropped') == 4 } }),
   'they are lost and counted');
is(waiting(), 0, '... and do not wait');
chats(1);
is(waiting(), 2, '... as others do');
finish();

gateway(interval => '1h');
chats(1);
ok($t->stop('TERM'), 'a worker that has to end at once does');
is(scalar $c->posts, 0, '... and sends nothing');
finish();

done_testing;
