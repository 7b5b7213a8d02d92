#!/usr/bin/perl

# otel_exporter: requests for a model as spans, over OTLP/HTTP: what is in
# them, which are sent, and that OpenTelemetry's own package reads them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Open2;
use Sallyport::Collector;
use Sallyport::Llm;
use Test::More;


my $c;
my ($t, $p) = Sallyport::Llm::gateway(
    prepare => sub {
        my ($t) = @_;
        $c = Sallyport::Collector->new($t->port(2), $t->dir);
        $t->file('collector.key', "Bearer abcdefgh-123\n", 0600);
    },
    http => 'otel_exporter {
                 endpoint http://127.0.0.1:%%PORT2%%;
                 header X-Scope-OrgID "tenant 1";
                 header_file Authorization %%DIR%%/collector.key;
                 interval 20ms;
             }
             otel_service_name "gate \"one\"";
             otel_resource_attr deployment.environment.name test;
             trace_context on sample=1;

             llm_provider first {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model lame as=two;
             }
             llm_provider second {
                 dialect anthropic;
                 url http://127.0.0.1:%%PORT1%%;
                 model fit as=two backup price=3/15;
             }
             llm_provider away {
                 url http://127.0.0.1:%%PORT3%%/v1;
                 model gone as=gone;
             }
             llm_provider media {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model pictures as=image kind=image;
                 model voice as=speech kind=speech;
             }',
    server => 'location = /off { trace_context off; llm_pass default; }
               location = /never { trace_context on sample=0;
                                   llm_pass default; }
               location = /page { return 200 page; }
               location = /v1/images/generations { llm_images image; }
               location = /v1/audio/speech { llm_speech speech; }');

my $id = '0af7651916cd43dd8448eb211c80319c';
my $span = 'b7ad6b7169203331';
my $seen = 0;

# the next spans, of requests that are over

sub spans {
    my ($n) = @_;

    $t->wait_until(sub { $c->spans >= $seen + $n })
        or diag('posts: ' . scalar $c->posts);

    my @all = $c->spans;
    my @new = @all[$seen .. $#all];

    $seen = @all;
    return @new;
}

sub attrs {
    my ($span) = @_;

    return { map { my ($value) = values %{ $_->{value} };
                   ($_->{key} => ref $value eq 'HASH' ? [ map { values %$_ }
                                                @{ $value->{values} } ]
                                            : $value) }
             @{ $span->{attributes} } };
}

sub chat {
    my ($text, %more) = @_;

    my $path = delete $more{path} || '/v1/chat/completions';
    my $headers = delete $more{headers} || {};
    my %curl = (http2 => delete $more{http2});

    return $t->request('POST', $path,
                       { 'Content-Type' => 'application/json', %$headers },
                       Sallyport::HTTP::encode(
                           Sallyport::Llm::body($text, %more)), \%curl);
}


# one request, one try

my $before = time;
my $res = chat('hi');
is($res->{status}, 200, 'answered');

my ($server, $client, @more) = spans(2);
is(@more, 0, 'a span for the request and one for its try');

my ($post) = $c->posts;

is($post->{path}, '/v1/traces', 'the path that the specification has');
is($post->{method}, 'POST', 'a POST');
is($post->{headers}{'content-type'}, 'application/json', '... of JSON');
is($post->{headers}{'x-scope-orgid'}, 'tenant 1', 'header');
is($post->{headers}{authorization}, 'Bearer abcdefgh-123', 'header_file');

my $resource = $post->{json}{resourceSpans}[0]{resource};
is_deeply(attrs($resource), { 'service.name' => 'gate "one"',
                              'deployment.environment.name' => 'test' },
          'the resource');
is($post->{json}{resourceSpans}[0]{scopeSpans}[0]{scope}{name}, 'sallyport',
   'the scope');

is($server->{name}, 'chat default', 'named by operation and model');
is($server->{kind}, 2, 'SPAN_KIND_SERVER');
is($server->{parentSpanId}, undef, 'a root');
is($server->{flags}, 0x101, 'sampled, no remote parent');
is($server->{status}, undef, 'no error');

my $usage = $Sallyport::Llm::json->decode($res->{body})->{usage};

is_deeply(attrs($server), {
    'gen_ai.operation.name' => 'chat', 'gen_ai.provider.name' => 'fake',
    'gen_ai.request.model' => 'default',
    'gen_ai.response.model' => 'real-model',
    'gen_ai.response.finish_reasons' => [ 'stop' ],
    'gen_ai.usage.input_tokens' => "$usage->{prompt_tokens}",
    'gen_ai.usage.output_tokens' => "$usage->{completion_tokens}",
    'gen_ai.usage.cache_read.input_tokens' =>
        "$usage->{prompt_tokens_details}{cached_tokens}",
    'http.response.status_code' => '200', 'sallyport.outcome' => 'complete',
    'sallyport.request_id' => $res->{headers}{'x-request-id'} },
    'what the request says');

my ($told) = $p->last_request->{headers}{traceparent}
    =~ /^00-([0-9a-f]{32}-[0-9a-f]{16})-01$/;

is($client->{name}, 'POST fake', 'the try is named by its provider');
is($client->{kind}, 3, 'SPAN_KIND_CLIENT');
is("$client->{traceId}-$client->{spanId}", $told, 'as the provider was told');
is($client->{traceId}, $server->{traceId}, 'of the same trace');
is($client->{parentSpanId}, $server->{spanId}, 'a child of the request');

is_deeply(attrs($client), {
    'http.request.method' => 'POST', 'http.response.status_code' => '200',
    'server.address' => '127.0.0.1', 'server.port' => $t->port(1) . '',
    'sallyport.provider' => 'fake', 'sallyport.model' => 'real-model' },
    'what the try says');

my ($from, $to) = map { $_ / 1e9 } @$server{qw(startTimeUnixNano
                                               endTimeUnixNano)};
ok($before - 1 < $from && $from <= $to && $to < time + 1, 'when it was');
ok($server->{startTimeUnixNano} <= $client->{startTimeUnixNano}
   && $client->{startTimeUnixNano} <= $client->{endTimeUnixNano}
   && $client->{endTimeUnixNano} <= $server->{endTimeUnixNano},
   'the try is within it');


# a trace of the caller goes on

chat('hi', headers => { traceparent => "00-$id-$span-01",
                        tracestate => 'rojo=00f067aa0ba902b7' });
($server, $client) = spans(2);

is($server->{traceId}, $id, 'the trace of the client');
is($server->{parentSpanId}, $span, 'and its span, the parent');
is($server->{flags}, 0x301, 'which is remote');
is($client->{flags}, 0x101, '... and that of the try is not');
is($_->{traceState}, 'rojo=00f067aa0ba902b7', 'tracestate')
    for $server, $client;


# streams, HTTP/2

chat('fault slow words=3 delay=30', stream => \1, http2 => 1);
($server) = spans(2);
my $attrs = attrs($server);

ok($attrs->{'gen_ai.request.stream'}, 'a stream');
cmp_ok($attrs->{'gen_ai.response.time_to_first_chunk'}, '<', 5,
       'its first chunk, in seconds');
cmp_ok($attrs->{'gen_ai.response.time_to_first_chunk'}, '>', 0, '... above 0');
cmp_ok($server->{endTimeUnixNano} - $server->{startTimeUnixNano}, '>=', 50e6,
       'it took its time');


# each try is a span

$p->mood(lame => 'status code=500');
$res = chat('hi', model => 'two');
is($res->{status}, 200, 'another target has answered');
$usage = $Sallyport::Llm::json->decode($res->{body})->{usage};

my ($failed, $fine);
($server, $failed, $fine) = spans(3);

is($server->{name}, 'chat two', 'one request');
is($server->{status}, undef, '... without an error');
is(attrs($server)->{'gen_ai.provider.name'}, 'second', '... by its provider');
is(sprintf('%.6f', attrs($server)->{'sallyport.cost'}),
   sprintf('%.6f', (3 * $usage->{prompt_tokens}
                    + 15 * $usage->{completion_tokens}) / 1e6),
   '... at its price');
is(attrs($server)->{'sallyport.currency'}, 'USD', '... in dollars');
is($failed->{name}, 'POST first', 'the try that failed');
is($failed->{status}{code}, 2, 'STATUS_CODE_ERROR');
is(attrs($failed)->{'error.type'}, 'server_error', '... its class');
is(attrs($failed)->{'http.response.status_code'}, '500', '... its status');
is($fine->{name}, 'POST second', 'the one that did not');
is(attrs($fine)->{'http.request.resend_count'}, '1', '... the second one');
is($fine->{status}, undef, '... no error');
isnt($fine->{spanId}, $failed->{spanId}, 'each has an id');

is(chat('hi', model => 'gone')->{status}, 502, 'a provider that is away');
($server, $client) = spans(2);
is($server->{status}{code}, 2, 'the request has failed');
is(attrs($server)->{'error.type'}, 'provider_unreachable', '... why');
is(attrs($server)->{'http.response.status_code'}, '502', '... its status');
is(attrs($client)->{'error.type'}, 'unreachable', '... as its try');
is(attrs($client)->{'http.response.status_code'}, undef, '... without one');


# refused before a model was asked

chat('hi', model => 'unknown');
($server, @more) = spans(1);
is(@more, 0, 'no try');
is($server->{name}, 'chat', 'no name that a client has made up');
is(attrs($server)->{'error.type'}, 'caller_unknown_model', 'why');
is($server->{status}, undef, 'a fault of the client is no error of a server');
is(attrs($server)->{'gen_ai.provider.name'}, 'sallyport', 'by the gateway');


# a client that leaves

my $stream = $t->stream('POST', '/v1/chat/completions', {},
                        Sallyport::Llm::body('fault slow words=90 delay=40',
                                             stream => \1));
$stream->read_until(qr/w2 /, 5);
$stream->close;
($server, $client) = spans(2);
is(attrs($server)->{'error.type'}, 'caller_disconnected', 'the client left');
is(attrs($server)->{'sallyport.outcome'}, 'partial', '... in the middle');
ok(attrs($server)->{'sallyport.usage.estimated'}, '... tokens are estimated');
cmp_ok(attrs($server)->{'gen_ai.usage.output_tokens'}, '>', 0, '... some');
is(attrs($client)->{'error.type'}, 'client_closed', '... of this try');


# other kinds

$t->post('/v1/embeddings', {}, { model => 'embedding', input => 'x' });
($server) = spans(2);
is($server->{name}, 'embeddings embedding', 'embeddings');

$t->post('/v1/images/generations', {}, { model => 'image', prompt => 'x' });
($server) = spans(2);
is($server->{name}, 'generate_content image', 'an image');
is(attrs($server)->{'gen_ai.output.type'}, 'image', '... is one');

$t->post('/v1/audio/speech', {}, { model => 'speech', input => 'x',
                                   voice => 'alloy' });
($server) = spans(2);
is($server->{name}, 'generate_content speech', 'speech');
is(attrs($server)->{'gen_ai.output.type'}, 'speech', '... is one');


# what is not sampled is not exported, nor what is no request for a model

is(chat('hi', headers => { traceparent => "00-$id-$span-00" })->{status}, 200,
   'not sampled by the caller');
is(chat('hi', path => '/never')->{status}, 200, 'not sampled by the rate');
is(chat('hi', path => '/off')->{status}, 200, 'no trace');
is($t->get('/page')->{status}, 200, 'no request for a model');
chat('the last one', model => 'small');
($server, $client, @more) = spans(2);
is($server->{name}, 'chat small', 'none of these was exported');
is(@more, 0, '... indeed');

is(Sallyport::Llm::metric($t, 'sallyport_otel_spans_total',
                          'result="exported"'), $seen, 'all are counted');
is(Sallyport::Llm::metric($t, 'sallyport_otel_spans_total',
                          'result="dropped"'), 0, 'none is lost');
is(Sallyport::Llm::metric($t, 'sallyport_otel_waiting'), 0, 'none waits');

unlike($_->{body}, qr/Hello|the last one|sk-test/, 'no text, and no key')
    for $c->posts;


# the oracle: what it reads is what was sent

SKIP: {
    skip 'Node is not installed', 2 if system('node -v >/dev/null 2>&1');
    skip 'the npm packages are not installed (t/npm)', 2
        if !-d "$FindBin::Bin/../node_modules/\@opentelemetry";

    my $json = $Sallyport::Llm::json;
    my @sent = map { $_->{json} } $c->posts;

    my $pid = open2(my $out, my $in, 'node', "$FindBin::Bin/decode.mjs");
    print {$in} map { $json->encode($_) . "\n" } @sent;
    close $in;
    my @read = map { $json->decode($_) } <$out>;
    waitpid $pid, 0;

    is($?, 0, 'OpenTelemetry reads it');

    # a number that is none, as a string, would not be the same
    is_deeply(\@read, \@sent, '... and leaves nothing out');
}

$p->stop;
$t->finish;
done_testing;
