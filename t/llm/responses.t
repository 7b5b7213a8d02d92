#!/usr/bin/perl

# OpenAI's Responses API as clients see it, in front of a provider that speaks
# chat completions: what it is asked, what the client is told, however the
# provider's bytes come.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $json = $Sallyport::Llm::json;
my $hello = $Sallyport::Llm::hello;

my ($t, $p) = Sallyport::Llm::gateway(
    read_timeout => '2s',
    http => 'moderation_rules %%DIR%%/test.rules;
             llm_provider patient { url http://127.0.0.1:%%PORT1%%/v1;
                                    read_timeout 60s;
                                    model real-model as=patient; }',
    server => '
    location = /v1/responses { error_format responses;
                               llm_pass default dialect=responses; }
    location = /judged { error_format responses; moderation input output;
                         llm_pass default dialect=responses; }
    location = /heard { error_format responses; moderation output;
                        llm_pass default dialect=responses; }
    location = /small { error_format responses; llm_event_size 3k;
                        llm_pass default dialect=responses; }
    location = /strict { error_format responses; llm_system_messages refuse;
                         llm_message_limit 10;
                         llm_pass default dialect=responses; }',
    prepare => sub { $_[0]->file('test.rules', <<'EOR') });
[o.block category=abuse severity=4]
zebra
[o.mask category=profanity action=mask]
secret
EOR


# {status, text, reasoning, refusal, calls, end, error, events, usage, output}

sub ask {
    my ($input, $stream, %arg) = @_;

    my $opt = delete $arg{opt};
    my $path = delete $arg{path} || '/v1/responses';
    my $res = $t->post($path, {}, { model => 'default', input => $input,
        $stream ? (stream => \1) : (), %arg }, $opt);

    return { status => $res->{status}, res => $res,
             error => $res->{json}{error}, output => [] }
        if $res->{status} != 200;

    return { status => 200, res => $res, heard($stream ? events($res->{body})
                                                       : $res->{json}) };
}


sub events {
    my ($body) = @_;

    my (@events, $next);

    for my $event (split /\n\n/, $body) {
        my ($name, $data) = $event =~ /^event: (\S+)\ndata: (.*)$/
            or die "no event: $event\n";
        my $said = $json->decode($data);

        is($said->{type}, $name, "$name is its type") if $said->{type} ne $name;
        is($said->{sequence_number}, $next || 0, "$name: its number")
            if $said->{sequence_number} != ($next || 0);

        $next++;
        push @events, $said;
    }

    return \@events;
}


# the last event, and whether all that was said before is said again by it

sub heard {
    my ($events) = @_;

    return summary($events) if ref $events ne 'ARRAY';

    my ($response, @items, %said);
    my @names = map { $_->{type} } @$events;

    for my $e (@$events) {
        my $i = $e->{output_index};

        $response = $e->{response} if $e->{response};
        $items[$i] = $e->{item} if $e->{type} eq 'response.output_item.done';
        $said{$i} .= $e->{delta} if $e->{type} =~ /\.delta$/;
    }

    my %out = (summary($response), events => \@names);

    ($out{fault}) = grep { $_->{type} eq 'error' } @$events;

    if ($response->{status} =~ /^(?:completed|incomplete)$/) {
        is_deeply(\@items, $response->{output},
                  'items are the same in the response');

        is(join('|', map { defined $said{$_} ? $said{$_} : '' } 0 .. $#items),
           join('|', map { told($_) } @items), 'and what deltas have told');
    }

    return %out;
}


sub told {
    my ($item) = @_;

    my $part = ($item->{content} || $item->{summary} || [])->[0];

    return defined $item->{arguments} ? $item->{arguments}
           : $part ? $part->{text} // $part->{refusal} : '';
}


sub summary {
    my ($response) = @_;

    my %out = (response => $response, output => $response->{output},
               end => $response->{status}, usage => $response->{usage},
               text => '', calls => [], reasoning => '');

    $out{end} .= " $response->{incomplete_details}{reason}"
        if $response->{incomplete_details};

    for my $item (@{ $response->{output} }) {
        $out{text} .= told($item) if $item->{type} eq 'message';
        $out{reasoning} .= told($item) if $item->{type} eq 'reasoning';
        push @{ $out{calls} }, [ @$item{qw(call_id name arguments)} ]
            if $item->{type} eq 'function_call';
    }

    return %out;
}


sub chunk {
    my ($delta, $finish) = @_;
    return $json->encode({ choices => [ { index => 0, delta => $delta,
                                          finish_reason => $finish } ] });
}


# what a provider says: the events of a stream, or the message of an answer

sub raw {
    my ($stream, $finish, @deltas) = @_;

    return join "\n", 'fault raw', map({ chunk($_) } @deltas),
                      chunk({}, $finish), '[DONE]'
        if $stream;

    my %message = (role => 'assistant');

    for my $delta (@deltas) {
        for my $key (keys %$delta) {
            if (ref $delta->{$key}) {
                push @{ $message{$key} }, @{ $delta->{$key} };
            } else {
                $message{$key} .= $delta->{$key};
            }
        }
    }

    return "fault raw\n" . $json->encode({ choices => [ { index => 0,
        message => \%message, finish_reason => $finish } ] });
}


# -- a text, however its bytes come

for my $case ([ 0, 'hi' ], [ 0, 'fault bytes' ], [ 0, 'fault close' ],
              [ 1, 'hi' ], [ 1, 'fault bytes' ], [ 1, 'fault bytes chunks=1' ],
              [ 1, 'fault crlf' ], [ 1, 'fault cr' ], [ 1, 'fault comments' ],
              [ 1, 'fault close' ], [ 1, 'fault no_blank' ],
              [ 1, 'fault short' ])
{
    my ($stream, $say) = @$case;

    for my $opt ({}, { http2 => 1 }) {
        my $name = ($stream ? 'stream, ' : 'whole, ') . $say
                   . ($opt->{http2} ? ', HTTP/2' : '');
        my $out = ask($say, $stream, opt => $opt);

        is($out->{status}, 200, "$name: status");
        is($out->{text}, $hello, "$name: the text");
        is($out->{end}, 'completed', "$name: how it ended");
        is($out->{usage}{input_tokens}, 11, "$name: tokens of the input");
        is($out->{usage}{input_tokens_details}{cached_tokens}, 4,
           "$name: those of the cache");
        is($out->{usage}{total_tokens}, 11 + $out->{usage}{output_tokens},
           "$name: all of them");
        is($out->{response}{model}, 'default', "$name: the client's model");
    }
}

my $out = ask('hi', 1);

is_deeply($out->{events}, [ map { "response.$_" }
    qw(created in_progress output_item.added content_part.added),
    ('output_text.delta') x 5,
    qw(output_text.done content_part.done output_item.done completed) ],
    'the sequence of events');
like($out->{res}{headers}{'content-type'}, qr{^text/event-stream},
     'a stream by its type');
is($out->{response}{store}, $json->decode('[false]')->[0],
   'nothing is stored');

$out = ask('fault nousage', 1);
is($out->{usage}, undef, 'usage that nobody has told is null');


# -- what the provider is asked

ask([ { role => 'developer', content => 'be brief' },
      { role => 'user', content => [ { type => 'input_text', text => 'see' },
          { type => 'input_image', detail => 'low',
            image_url => 'data:image/png;base64,AAAA' },
          { type => 'input_file', filename => 'a.pdf',
            file_data => 'data:application/pdf;base64,BBBB' } ] },
      { type => 'reasoning', id => 'rs_1', summary =>
          [ { type => 'summary_text', text => 'hm' } ] },
      { type => 'message', role => 'assistant', id => 'msg_1',
        status => 'completed', content => [ { type => 'output_text',
            text => 'I look', annotations => [] } ] },
      { type => 'function_call', call_id => 'c1', name => 'weather',
        arguments => '{"at":"é"}' },
      { type => 'function_call', call_id => 'c2', name => 'time',
        arguments => '{}', status => 'completed' },
      { type => 'function_call_output', call_id => 'c1', output => 'rain' },
      { type => 'function_call_output', call_id => 'c2', output => '12' },
      { role => 'user', content => 'and now?' } ], 1,
    instructions => 'be kind', temperature => 0.25, top_p => 1,
    max_output_tokens => 99, parallel_tool_calls => \1,
    reasoning => { effort => 'low', summary => 'auto' },
    text => { verbosity => 'low', format => { type => 'json_schema',
        name => 'n', strict => \1, schema => { type => 'object' } } },
    tools => [ { type => 'function', name => 'weather', description => 'd',
                 strict => \1, parameters => { type => 'object' } } ],
    tool_choice => { type => 'function', name => 'weather' },
    metadata => { memory => 'off' }, user => 'u-1', store => \0,
    include => [ 'reasoning.encrypted_content' ]);

my $sent = $p->last_request->{json};

is_deeply($sent->{messages}, [
    { role => 'system', content => 'be kind' },
    { role => 'system', content => 'be brief' },
    { role => 'user', content => [ { type => 'text', text => 'see' },
        { type => 'image_url', image_url =>
          { url => 'data:image/png;base64,AAAA', detail => 'low' } },
        { type => 'file', file => { filename => 'a.pdf',
          file_data => 'data:application/pdf;base64,BBBB' } } ] },
    { role => 'assistant', content => 'I look', tool_calls => [
        { id => 'c1', type => 'function', function =>
          { name => 'weather', arguments => "{\"at\":\"\xc3\xa9\"}" } },
        { id => 'c2', type => 'function', function =>
          { name => 'time', arguments => '{}' } } ] },
    { role => 'tool', tool_call_id => 'c1', content => 'rain' },
    { role => 'tool', tool_call_id => 'c2', content => '12' },
    { role => 'user', content => 'and now?' } ],
    'one message for each turn of the assistant') or diag explain $sent;

delete $sent->{messages};

is_deeply($sent, { model => 'real-model', stream => \1,
    stream_options => { include_usage => \1 }, temperature => 0.25,
    top_p => 1, max_tokens => 99, parallel_tool_calls => \1,
    reasoning_effort => 'low', verbosity => 'low', user => 'u-1',
    response_format => { type => 'json_schema', json_schema =>
        { name => 'n', strict => \1, schema => { type => 'object' } } },
    tools => [ { type => 'function', function => { name => 'weather',
        description => 'd', strict => \1,
        parameters => { type => 'object' } } } ],
    tool_choice => { type => 'function', function => { name => 'weather' } }
    }, 'and every option in its place') or diag explain $sent;

my $image = 'data:image/png;base64,' . 'A' x 80_000;

is(ask([ { role => 'user', content => [ { type => 'input_text', text => 'x' },
      { type => 'input_image', image_url => $image } ] } ], 0)->{status}, 200,
   'a large image');
is($p->last_request->{json}{messages}[0]{content}[1]{image_url}{url}, $image,
   'a large image arrives whole');


# -- tools, reasoning, refusals, other ends

for my $stream (0, 1) {
    my $name = $stream ? 'stream' : 'whole';

    $out = ask(raw($stream, 'tool_calls', { content => 'I look' },
        { tool_calls => [ { index => 0, id => 'c1', type => 'function',
          function => { name => 'weather', arguments => '{"at":' } } ] },
        $stream ? ({ tool_calls => [ { index => 0, function =>
                     { arguments => '"x"' } } ] },
                   { tool_calls => [ { index => 0, function =>
                     { arguments => '}' } } ] })
                : ()), $stream);

    is_deeply($out->{calls}, [ [ 'c1', 'weather', $stream ? '{"at":"x"}'
                                                          : '{"at":' ] ],
              "$name: a call and its arguments");
    is($out->{text}, 'I look', "$name: and what was said before");

    $out = ask(raw($stream, 'tool_calls', map { { tool_calls => [ { %$_,
        type => 'function' } ] } }
        { index => 0, id => 'c1', function =>
          { name => 'f', arguments => '{"a":1}' } },
        { index => 1, id => 'c2', function =>
          { name => 'g', arguments => '[]' } }), $stream);

    is_deeply($out->{calls}, [ [ 'c1', 'f', '{"a":1}' ],
                               [ 'c2', 'g', '[]' ] ],
              "$name: parallel calls");
    is($out->{end}, 'completed', "$name: and how they end");

    # however the provider calls the end, and repeats what it has said

    for my $finish ('stop', 'length') {
        $out = ask(raw($stream, $finish, { tool_calls => [ { index => 0,
            id => 'c1', type => 'function', function =>
            { name => 'f', arguments => $stream ? '' : '{}' } } ] },
            $stream ? { tool_calls => [ { index => 0, id => '', function =>
                        { name => undef, arguments => '{}' } } ] } : ()),
            $stream);

        is_deeply($out->{calls}, [ [ 'c1', 'f', '{}' ] ],
                  "$name: a call that ends with $finish");
    }

    $out = ask(raw($stream, 'stop', { reasoning_content => 'h' },
                   { reasoning_content => "m\n" }, { content => 'so' }),
               $stream);
    is($out->{reasoning}, "hm\n", "$name: reasoning");
    is($out->{text}, 'so', "$name: and the text behind it");

    $out = ask(raw($stream, 'stop', { refusal => 'I will ' },
                   { refusal => 'not' }), $stream);
    is($out->{output}[0]{content}[0]{refusal}, 'I will not',
       "$name: a refusal");

    for my $case ([ length => 'incomplete max_output_tokens' ],
                  [ content_filter => 'incomplete content_filter' ],
                  [ stop => 'completed' ])
    {
        $out = ask(raw($stream, $case->[0], { content => 'x' }), $stream);

        is($out->{end}, $case->[1], "$name: $case->[0]");
        is($out->{output}[0]{status}, (split / /, $case->[1])[0],
           "$name: $case->[0]: its item");
        is($out->{events}[-1], "response.$out->{output}[0]{status}",
           "$name: $case->[0]: its last event") if $stream;
    }
}


# -- what a provider does wrong

for my $case ([ 'cut at=mid', 'provider_stream_cut' ],
              [ 'short finish=0', 'provider_stream_cut' ],
              [ 'error', 'provider_error' ],
              [ 'garbage', 'provider_invalid_event' ],
              [ 'stall at=mid', 'provider_read_timeout' ],
              [ 'big size=9000', 'answer_too_large', '/small' ])
{
    my ($fault, $code, $path) = @$case;

    for my $opt ({}, { http2 => 1 }) {
        my $name = $fault . ($opt->{http2} ? ', HTTP/2' : '');

        $out = ask("fault $fault", 1, opt => $opt, path => $path);
        is($out->{status}, 200, "$name: in the stream");
        is_deeply([ @{ $out->{events} }[-2, -1] ],
                  [ 'error', 'response.failed' ], "$name: its last events");
        is($out->{fault}{error}{code}, $code, "$name: what SDKs raise");
        is($out->{response}{error}{code}, $code, "$name: the response");
        is($out->{response}{status}, 'failed', "$name: its status");
        unlike($out->{res}{body}, qr/acct-7788/, "$name: no more of it");
    }
}

for my $stream (0, 1) {
    for my $case ([ 'status code=429', 429, 'provider_rate_limited' ],
                  [ 'status code=401', 502, 'provider_credentials_exhausted' ],
                  [ 'status code=400', 400, 'provider_refused_request' ],
                  [ 'type', 502, 'provider_content_type' ],
                  [ 'gzip', 502, 'provider_encoded' ],
                  [ 'stall at=accept', 504, 'provider_timeout' ])
    {
        my ($fault, $status, $code) = @$case;

        $out = ask("fault $fault", $stream);
        is("$out->{status} $out->{error}{code}", "$status $code",
           "$fault: an error of OpenAI's shape, " . ($stream ? 'stream'
                                                             : 'whole'));
    }
}

is(ask('fault error', 0)->{error}{code}, 'provider_error',
   'a whole answer that is an error');


# -- what is refused, by its name

for my $case ([ { previous_response_id => 'resp_1' },
                'unsupported_parameter previous_response_id' ],
              [ { store => \1 }, 'unsupported_parameter store' ],
              [ { tools => [ { type => 'web_search' } ] },
                'unsupported_tool tools' ],
              [ { input => [ { type => 'item_reference', id => 'x' } ] },
                'unsupported_item input' ],
              [ { input => [ { role => 'assistant', content => 'x' } ] },
                'user_message_required input' ],
              [ { input => '' }, 'message_empty input' ],
              [ { input => 'x' x 1001 }, 'message_too_long input' ],
              [ { input => join(' ', 100 .. 340), model => 'small' },
                'context_length_exceeded input' ],
              [ { input => [ { role => 'user', content => [
                  { type => 'input_file', file_id => 'f' } ] } ] },
                'unsupported_content input' ],
              [ { foo => 1 }, 'unsupported_parameter foo' ])
{
    my ($more, $expected) = @$case;
    my $before = $p->requests;

    $out = ask($more->{input} // 'hi', 0, %$more);

    is($out->{status}, 400, "$expected: status");
    is("$out->{error}{code} $out->{error}{param}", $expected,
       "$expected: code and name");
    is($out->{error}{type}, 'invalid_request_error', "$expected: type");
    is(scalar $p->requests, $before, "$expected: nothing was sent");
}

is(ask('hi', 0, model => 'nope')->{error}{code}, 'model_not_found',
   'an unknown model');
is(ask('hi', 0, path => '/strict', instructions => 'x')->{error}{code},
   'system_message_refused', 'instructions are a system message');
is(ask('hi', 0, path => '/strict')->{status}, 200, 'without, it is taken');
is(ask('01234567890', 0, path => '/strict')->{error}{code},
   'message_too_long', 'its length counts');


# -- an answer that may not be repeated

$out = ask('fault x words=800', 1, path => '/small');
is($out->{fault}{error}{code}, 'answer_too_large', 'too large to be repeated');
is($out->{events}[-1], 'response.failed', 'is told at the end');


# -- moderation

for my $stream (0, 1) {
    my $name = $stream ? 'stream' : 'whole';

    for my $size ($stream ? (1, 3, 64) : (64)) {
        $out = ask("fault echo size=$size\nmy secr" . 'et', $stream,
                   path => '/heard');
        is($out->{text}, 'my ******', "$name, by $size: what is masked");
        is($out->{end}, 'completed', "$name, by $size: its end");
    }

    $out = ask(raw($stream, 'tool_calls', { reasoning_content => 'a secre' },
                   { content => 'I look at sec' },
                   { tool_calls => [ { index => 0, id => 'c1', type =>
                     'function', function => { name => 'f',
                     arguments => '{"a":"secre"}' } } ] }), $stream,
               path => '/heard');
    is($out->{text}, 'I look at sec', "$name: what was held comes");
    is($out->{reasoning}, 'a secre', "$name: where it belongs");
    is_deeply($out->{calls}, [ [ 'c1', 'f', '{"a":"secre"}' ] ],
              "$name: with the call");

    $out = ask(raw($stream, 'stop', { content => 'a ze' },
                   { content => 'bra' }), $stream, path => '/heard');
    is($out->{text}, 'a ', "$name: what is blocked");
    is($out->{end}, 'incomplete content_filter', "$name: ends it");
}

for my $input ('a zebra', [ { role => 'user', content => 'a zebra' } ],
               [ { role => 'user', content => [
                   { type => 'input_text', text => 'a ze' },
                   { type => 'input_text', text => 'bra' } ] } ],
               [ { role => 'user', content => 'x' },
                 { type => 'function_call_output', call_id => 'c',
                   output => 'zebra' } ])
{
    $out = ask($input, 0, path => '/judged');
    is("$out->{status} $out->{error}{code}", '422 content_blocked',
       'input that is blocked: ' . $json->canonical->encode([ $input ]));
}

# parts without a type are none that a filter could stumble over

is(ask([ { role => 'user', content => 'x' },
         { type => 'reasoning', summary => [], content => [ { text => 'y' } ]
         } ], 0, path => '/judged')->{status}, 200, 'reasoning is judged');

is(ask('x', 0, path => '/judged', instructions => 'zebra')->{error}{code},
   'content_blocked', 'instructions are judged');

ask([ { role => 'user', content => 'a secret' },
      { type => 'function_call_output', call_id => 'c', output => 'secret' }
    ], 0, path => '/judged', instructions => 'the secret');
is_deeply([ map { $_->{content} } @{ $p->last_request->{json}{messages} } ],
          [ 'the ******', 'a ******', '******' ],
          'what is masked is so for the provider');


# -- the client leaves

for my $phase ([ 'stall at=accept' ], [ 'stall at=header' ],
               [ 'slow words=500 delay=20', qr/w3/ ])
{
    my ($fault, $ready) = @$phase;
    my $before = $p->requests;
    my $s = $t->stream('POST', '/v1/responses', {},
                       { input => "fault $fault", stream => \1,
                         model => 'patient' });

    ok($t->wait_until(sub { $p->requests > $before }, 5),
       "$fault: the provider has the request");

    my $n = $p->last_request->{n};

    ok($ready ? $s->read_until($ready, 5) : $p->wait_event('stalled', $n),
       "$fault: it is in that phase");
    $s->close;

    ok($p->wait_event('closed', $n, 5), "$fault: closed");
}

$p->stop;
$t->finish;
done_testing;
