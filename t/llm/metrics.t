#!/usr/bin/perl

# The histograms of the LLM leg: the gateway's own time without that of the
# client and of providers, the first output, the time between chunks, all of
# it; tokens by type.  Labels are words of the configuration.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::HTTP;
use Sallyport::Llm;


my ($t, $p) = Sallyport::Llm::gateway(
    server => 'location = /early { llm_keepalive 100ms; llm_pass default; }',
    http => 'llm_provider \'od"d\' {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model \'back\\\\slash\' as=odd;
             }
             llm_provider first {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model lame as=two;
             }
             llm_provider second {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model fit as=two backup;
             }');

my %name = (
    overhead => 'sallyport_llm_overhead_seconds',
    duration => 'gen_ai_client_operation_duration_seconds',
    first => 'gen_ai_client_operation_time_to_first_chunk_seconds',
    chunk => 'gen_ai_client_operation_time_per_output_chunk_seconds',
);

sub labels {
    my ($provider, $alias, $model, $operation) = @_;

    return sprintf 'gen_ai_operation_name="%s",gen_ai_provider_name="%s",'
                   . 'gen_ai_request_model="%s",gen_ai_response_model="%s"',
                   $operation || 'chat', $provider, $alias, $model;
}

my $fake = labels('fake', 'default', 'real-model');

sub scrape {
    my %value;

    for (split /\n/, $t->get('/metrics')->{body}) {
        next if /^#/;
        my ($sample, $value) = /^(.+) (\S+)$/;
        $value{$sample} = $value;
    }

    return \%value;
}

# what a block of code adds: sub of (metric, suffix, labels)

sub added {
    my ($code, $labels) = @_;

    my $before = scrape();
    $code->();
    my $after = scrape();

    return sub {
        my ($metric, $suffix, $more) = @_;

        my $sample = "$name{$metric}_$suffix\{" . ($labels || $fake)
                     . ($more ? ",$more" : '') . '}';
        return defined $after->{$sample}
               ? $after->{$sample} - $before->{$sample} : undef;
    };
}

sub ask {
    my ($text, %more) = @_;

    return $t->post(delete $more{path} || '/v1/chat/completions', {},
                    Sallyport::Llm::body($text, %more));
}


# a stream, 30 ms from one event to the next

my $res;
my $d = added(sub {
    $res = ask("fault slow delay=30\nx", stream => \1)
});

my $text = Sallyport::Llm::parse($res->{body})->{text};
is($text, $Sallyport::Llm::hello, 'a stream');

my @said = grep { /"content":"[^"]/ } split /\n\n/, $res->{body};

is($d->('first', 'count'), 1, 'one first chunk');
cmp_ok($d->('first', 'sum'), '>=', 0.025, '... which the role alone is not');
is($d->('chunk', 'count'), @said - 1, 'the others have a time between');
cmp_ok($d->('chunk', 'sum'), '>=', 0.025 * (@said - 1), '... of 30 ms');
is($d->('chunk', 'bucket', 'le="0.0005"'), 0, '... none came at once');
is($d->('duration', 'count'), 1, 'one duration');
cmp_ok($d->('duration', 'sum'), '>=',
       $d->('first', 'sum') + $d->('chunk', 'sum'), '... holds both');
is($d->('overhead', 'count'), 1, 'one overhead');
cmp_ok($d->('overhead', 'sum'), '>', 0, '... which is some microseconds');
cmp_ok($d->('overhead', 'sum'), '<', 0.03, '... and nothing of the provider');


# chunks that come in one piece have no time between

$d = added(sub { $res = ask("fault length\nx", stream => \1) });
@said = grep { /"content":"[^"]/ } split /\n\n/, $res->{body};

is($d->('chunk', 'count'), @said - 1, 'a stream in one piece');
is($d->('chunk', 'bucket', 'le="0.00005"'), @said - 1, '... comes at once');


# a comment of the gateway has gone out before the provider's header

$d = added(sub {
    $res = ask("fault slow after=300\nx", path => '/early', stream => \1)
});

like($res->{body}, qr/^:/, 'a comment first');
is($d->('overhead', 'count'), 1, '... one overhead');
cmp_ok($d->('overhead', 'sum'), '<', 0.15, '... without the provider\'s');


# not a stream

$d = added(sub { $res = ask("fault slow delay=250\nx") });

is($res->{status}, 200, 'a whole answer');
is($d->('first', 'count') + $d->('chunk', 'count'), 0, '... has no chunks');
cmp_ok($d->('duration', 'sum'), '>=', 0.24, '... its duration');
cmp_ok($d->('overhead', 'sum'), '<', 0.1, '... is the provider\'s');


# a client that takes its time for the body

$d = added(sub {
    my $body = Sallyport::HTTP::encode(Sallyport::Llm::body('hi'));
    my $c = Sallyport::HTTP->connect(address =>
                                     '127.0.0.1:' . $t->port);

    $c->send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
             . "Content-Type: application/json\r\nContent-Length: "
             . length($body) . "\r\nConnection: close\r\n\r\n");
    # waits: the time that the client takes is what is measured
    sleep 0.25;
    $c->send($body);
    is($c->status, 200, 'a slow upload');
    $c->rest;
});

is($d->('overhead', 'count'), 1, '... is counted');
cmp_ok($d->('overhead', 'sum'), '<', 0.15, '... without the client\'s time');


# the time of a target that fails is a provider's too, and the one that
# answers has it

$p->mood(lame => 'status code=500 after=200');
my $lame = labels('first', 'two', 'lame');
my $other = added(sub {
    $d = added(sub { $res = ask('hi', model => 'two') },
               labels('second', 'two', 'fit'));
}, $lame);

is($res->{status}, 200, 'another target answers');
is($d->('overhead', 'count'), 1, '... and has the overhead');
cmp_ok($d->('overhead', 'sum'), '<', 0.15, '... without the first one');
cmp_ok($d->('duration', 'sum'), '>=', 0.19, '... and the duration of both');
is($other->('overhead', 'count') + $other->('duration', 'count'), 0,
   '... the first has none');


# an error is no answer, but it takes its time

$d = added(sub { $res = ask("fault status code=500\nx") });

is($res->{status}, 502, 'an error');
is($d->('overhead', 'count'), 0, '... no overhead');
is($d->('duration', 'count'), 1, '... a duration');

$d = added(sub { ask('hi', model => 'no such') });
is($d->('duration', 'count') + $d->('overhead', 'count'), 0,
   'what was refused is in none');


# other operations, odd names

$d = added(sub {
    $t->post('/v1/embeddings', {}, { model => 'embedding', input => 'x' })
}, labels('fake', 'embedding', 'real-embed', 'embeddings'));

is($d->('duration', 'count'), 1, 'embeddings');
is($d->('first', 'count'), undef, '... have no first chunk');

$d = added(sub { ask('hi', model => 'odd') },
           labels('od\"d', 'odd', 'back\\\\slash'));
is($d->('duration', 'count'), 1, 'names are escaped');


# tokens by type

my $tokens = 'sallyport_llm_tokens_total{provider="fake",kind="chat",type=';
my $before = scrape();

ask("fault raw\n" . Sallyport::HTTP::encode({
    id => 'c', object => 'chat.completion', created => 1, model => 'm',
    choices => [ { index => 0, finish_reason => 'stop',
                   message => { role => 'assistant', content => 'x' } } ],
    usage => { prompt_tokens => 100, completion_tokens => 50,
               total_tokens => 150,
               prompt_tokens_details => { cached_tokens => 64 },
               completion_tokens_details => { reasoning_tokens => 30 } } }));

my $after = scrape();

is_deeply([ map { $after->{"$tokens\"$_\"}"} - $before->{"$tokens\"$_\"}"} }
            qw(prompt completion cached reasoning) ], [ 100, 50, 64, 30 ],
          'tokens by type');


# all of them

my (%last, $bad);
for my $line (split /\n/, $t->get('/metrics')->{body}) {
    my ($series, $n) = $line =~ /^(\S+_bucket\{.*?),?le="[^"]+"\} (\d+)$/
        or next;
    $bad = $line if $n < ($last{$series} || 0);
    $last{$series} = $n;
}
is($bad, undef, 'buckets only grow');

$p->stop;
$t->finish;
done_testing;
