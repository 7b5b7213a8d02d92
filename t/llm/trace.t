#!/usr/bin/perl

# trace_context: a valid trace of the client goes on to the provider, any other
# is replaced; each try has a span of its own; the log and the ledger have the
# trace.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;


my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             turn_store main flush=10ms; turn_spool %%DIR%%/spool;
             trace_context on;
             log_format trace "$uri $status $trace_id $span_id";

             llm_provider first {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model lame as=two;
             }
             llm_provider second {
                 dialect anthropic;
                 url http://127.0.0.1:%%PORT1%%;
                 model fit as=two backup;
             }',
    location => 'access_log %%DIR%%/trace.log trace;',
    server => 'location = /always {
                   trace_context on sample=1;
                   llm_pass default;
               }
               location = /half { trace_context on sample=0.5;
                                  llm_pass default; }
               location = /off { trace_context off; llm_pass default; }
               location = /page { trace_context on; return 200 $trace_id; }
               location = /none { trace_context off;
                                  return 200 "<$trace_id$span_id>"; }
               location = /moved {
                   trace_context on;
                   llm_pass default;
                   error_page 404 = /page;
               }');

my $id = '0af7651916cd43dd8448eb211c80319c';
my $span = 'b7ad6b7169203331';

# what the provider is told: (trace, span, flags, tracestate)

sub told {
    my ($headers, %more) = @_;

    my $path = delete $more{path} || '/v1/chat/completions';
    my %curl = (http2 => delete $more{http2});
    my $res = $t->request('POST', $path,
                          { 'Content-Type' => 'application/json', %$headers },
                          Sallyport::HTTP::encode(
                              Sallyport::Llm::body('hi', %more)), \%curl);

    is($res->{status}, 200, 'answered') or diag($res->{body});

    my $h = $p->last_request->{headers};
    my ($trace, $own, $flags) = ($h->{traceparent} || '')
        =~ /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

    return ($trace, $own, $flags, $h->{tracestate});
}

sub log_line {
    my ($n) = @_;
    my @lines;

    $t->wait_until(sub {
        open my $fh, '<', $t->dir . '/trace.log' or return 0;
        @lines = <$fh>;
        return @lines >= $n;
    });

    return $lines[$n - 1];
}


# a valid one goes on

my ($trace, $own, $flags, $state) = told(
    { traceparent => "00-$id-$span-01",
      tracestate => 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE' });

is($trace, $id, 'the trace of the client');
isnt($own, $span, 'another span');
is($flags, '01', 'sampled, as the client says');
is($state, 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'tracestate as it is');

my ($logged) = log_line(1) =~ / 200 (\S+ \S+)$/;
my ($log_id, $log_span) = split / /, $logged;
is($log_id, $id, 'the log has the trace');
like($log_span, qr/^[0-9a-f]{16}$/, 'and a span');
isnt($log_span, $_, 'its own') for $own, $span;

$t->wait_until(sub { $t->sql('select count(*) from gateway.ledger') == 1 });
is($t->sql('select trace_id from gateway.ledger'), $id, 'so has the ledger');

is((told({ traceparent => "00-$id-$span-00" }))[2], '00', 'not sampled');
is((told({ traceparent => "00-$id-$span-ff" }))[2], '01', 'other flags end');
is((told({ traceparent => "cc-$id-$span-01-more" }))[0], $id,
   'of a later version what is known');
is((told({ traceparent => "00-$id-$span-01" }, path => '/half'))[2], '01',
   'no rate says no where the client says yes');
is((told({ traceparent => "00-$id-$span-00" }, path => '/always'))[2], '00',
   '... nor yes where it says no');
is((told({ traceparent => "00-$id-$span-01" }, http2 => 1))[0], $id,
   'HTTP/2');
is((told({ (map { ("X-$_" => 'x' x 100) } 10 .. 60),
           traceparent => "00-$id-$span-01" }))[0], $id, 'behind many headers');
is((told({ Traceparent => "00-$id-$span-01" }, stream => \1))[0], $id,
   'a stream');


# one that is not is replaced, with its state

for my $bad ("ff-$id-$span-01", "00-$id-$span-01-more", "00-$id-$span",
             "00-" . '0' x 32 . "-$span-01", "00-$id-" . '0' x 16 . '-01',
             "00-\U$id\E-$span-01", "00-$id-$span-1", 'x', '',
             "00-$id-$span-01, 00-$id-$span-01",
             [ "00-$id-$span-01", "00-$id-$span-01" ])
{
    my $name = ref $bad ? 'two of them' : "\"$bad\"";
    my ($new, $new_span, $sampled, $none) = told(
        { traceparent => $bad, tracestate => 'a=1' });

    like($new, qr/^[0-9a-f]{32}$/, "$name: a new trace");
    isnt($new, $id, '... indeed');
    is($sampled, '00', '... not sampled');
    is($none, undef, '... without its state');
}

my ($one) = told({});
my ($two) = told({ tracestate => 'a=1' });
isnt($one, $two, 'each request has a trace of its own');

is((told({}, path => '/always'))[2], '01', 'sample=1');

my %sampled;
$sampled{(told({}, path => '/half'))[2]}++ for 1 .. 24;
ok($sampled{'00'} && $sampled{'01'}, 'sample=0.5: some are');


# tracestate

my $ok = { traceparent => "00-$id-$span-01" };

is((told({ %$ok, tracestate => [ 'a=1', 'b=2, c=3' ] }))[3], 'a=1,b=2, c=3',
   'lines are one list');
is((told({ %$ok, tracestate => 'a=' . 'x' x 256 }))[3], 'a=' . 'x' x 256,
   'a long value');

for my $bad ('a', 'A=1', 'a=1=2', "a=\xc3\xa9", 'a=' . 'x' x 257,
             join(',', map { "k$_=1" } 1 .. 33),
             [ 'a=1', 'broken' ],
             join(',', map { "k$_=" . 'x' x 250 } 1 .. 5))
{
    my $name = ref $bad ? "@$bad" : substr $bad, 0, 20;
    my @told = told({ %$ok, tracestate => $bad });

    is($told[0], $id, "$name: the trace stays");
    is($told[3], undef, '... without that state');
}


# each try is a span of its own

$p->mood(lame => 'status code=500');

my @told = told($ok, model => 'two');
my $failed = ($p->requests)[-2];

is($told[0], $id, 'the target that answers');
like($failed->{headers}{traceparent}, qr/^00-$id-[0-9a-f]{16}-01$/,
     'the one that failed');
isnt((split /-/, $failed->{headers}{traceparent})[2], $told[1],
     '... another span');


# where it is off, and where it is only on

is((told($ok, path => '/off'))[0], undef, 'off: nothing is told');
is($t->get('/none')->{body}, '<>', 'off: no variables');
is($t->request('GET', '/page', $ok)->{body}, $id,
   'on: variables, also without a model');

my $res = $t->post('/moved', $ok, Sallyport::Llm::body('hi', model => 'no'));
is($res->{body}, $id, 'a redirect keeps the trace');


# configuration

for my $bad ([ 'trace_context maybe', 'invalid value "maybe" in "trace_context"' ],
             [ 'trace_context off sample=1', 'invalid value "off ..."' ],
             [ 'trace_context on rate=1', 'invalid parameter "rate=1"' ],
             [ 'trace_context on sample=1.1', 'expected sample=RATE: 0 to 1' ],
             [ 'trace_context on sample=-1', 'invalid parameter "sample=-1"' ],
             [ 'trace_context on sample=', 'invalid parameter "sample="' ],
             [ 'trace_context on; trace_context off', 'is duplicate' ])
{
    my ($fine, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%%
    $bad->[0];
}
EOC
    ok(!$fine, "refused: $bad->[0]");
    like($out, qr/\Q$bad->[1]\E.* in \S+:\d+/, '... with why and where');
}

$p->stop;
$t->finish;
done_testing;
