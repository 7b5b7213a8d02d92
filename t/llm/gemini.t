#!/usr/bin/perl

# Google's own API behind clients of OpenAI's: what they ask for is there, what
# it says they read, and what goes wrong is their error.

use strict;
use utf8;
use warnings;

use Encode ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'moderation_rules %%DIR%%/test.rules;
             llm_provider google {
                 dialect gemini;
                 url http://127.0.0.1:%%PORT1%%/v1beta;
                 key_file %%DIR%%/key;
                 read_timeout 1s;
                 model gemini-2.5-flash as=gemini;
                 model gemini-3-pro as=newer;
                 model gemini-2.5-flash as=first weight=1000;
                 model gemini-a/b as=spelled;
             }
             llm_provider other {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model other-model as=first backup;
                 model other-model as=second weight=1000;
             }
             llm_provider again {
                 dialect gemini;
                 url http://127.0.0.1:%%PORT1%%/v1beta;
                 model gemini-2.5-flash as=second backup;
             }
             log_format turn "$status $error_code";
             access_log %%DIR%%/logs/turns.log turn;',
    location => 'llm_message_limit 0; llm_event_size 4m;',
    server => 'location = /judged { llm_message_limit 0; moderation output;
                                    llm_pass gemini; }',
    prepare => sub { $_[0]->file('test.rules', <<'EOR') });
[m.mask category=profanity action=mask]
quoted
hm
[m.block category=abuse severity=4]
rome
EOR

my $json = $Sallyport::Llm::json;
my $hello = $Sallyport::Llm::hello;


# what came of a chat: {status, text, thoughts, end, calls, usage, error, done}

sub chat {
    my ($said, $stream, %more) = @_;

    my $opt = delete $more{opt};
    my $at = delete $more{at} || '/v1/chat/completions';
    my $res = $t->post($at, {}, { model => 'gemini',
        $stream ? (stream => \1, stream_options => { include_usage => \1 })
                : (),
        messages => ref $said ? $said
                              : [ { role => 'user', content => $said } ],
        %more }, $opt);
    my %out = (status => $res->{status}, res => $res, text => '',
               thoughts => '', calls => [], done => 0);

    if ($res->{status} != 200) {
        $out{error} = $res->{json}{error};
        return \%out;
    }

    my @chunks = $stream
        ? map { $_ eq '[DONE]' ? do { $out{done}++; () } : $json->decode($_) }
          $res->{body} =~ /^data: (.*)$/mg
        : $res->{json};

    for my $chunk (@chunks) {
        $out{usage} = $chunk->{usage} if $chunk->{usage};
        $out{error} = $chunk->{error} if $chunk->{error};

        for my $choice (@{ $chunk->{choices} || [] }) {
            my $said = $choice->{delta} || $choice->{message};
            my $i = $choice->{index};

            $out{text} .= $said->{content} // '' if $i == 0;
            $out{texts}[$i] .= $said->{content} // '';
            $out{thoughts} .= $said->{reasoning_content} // '';
            push @{ $out{calls} }, @{ $said->{tool_calls} || [] };
            $out{end} = $choice->{finish_reason} if $choice->{finish_reason};
        }
    }

    return \%out;
}


# how long it is that comes back, or the error

sub signature {
    my ($size, $stream) = @_;

    my $body = $t->post('/v1/chat/completions', {}, Sallyport::Llm::body(
        "fault sign size=$size", model => 'gemini',
        stream => $stream ? \1 : \0))->{body};

    return length $1 if $body =~ /"thought_signature":"(A+)"/;
    return $body =~ /"code":"(\w+)"/ ? $1 : $body;
}


sub sent { return $p->last_request }


# -- plain, in each framing

for my $stream (0, 1) {
    for my $fault ('hi', $stream ? ('fault bytes', 'fault lf', 'fault cr')
                                 : ())
    {
        for my $opt ({}, { http2 => 1 }) {
            my $out = chat($fault, $stream, opt => $opt);
            my $name = "$fault, " . ($stream ? 'stream' : 'whole')
                       . ($opt->{http2} ? ', HTTP/2' : '');

            is($out->{status}, 200, "$name: status")
                or diag($out->{res}{body});
            is($out->{text}, $hello, "$name: the text");
            is($out->{end}, 'stop', "$name: how it ended");
            is_deeply($out->{usage}, { prompt_tokens => 11,
                completion_tokens => 7, total_tokens => 18,
                prompt_tokens_details => { cached_tokens => 4 },
                completion_tokens_details => { reasoning_tokens => 2 } },
                "$name: usage, the last of it");
            is($out->{done}, $stream, "$name: [DONE] where it belongs");
            is($out->{res}{headers}{'content-type'}, $stream
               ? 'text/event-stream' : 'application/json', "$name: its type");
        }
    }

    is(sent()->{line}, 'POST /v1beta/models/gemini-2.5-flash:'
       . ($stream ? 'streamGenerateContent?alt=sse' : 'generateContent')
       . ' HTTP/1.1', 'the path');
    is(sent()->{headers}{'x-goog-api-key'}, 'sk-test-0123456789abcdef',
       'the key has its header');
    ok(!sent()->{headers}{authorization}, 'and no other');
}

chat('hi', 0, model => 'spelled');
is(sent()->{line}, 'POST /v1beta/models/gemini-a%2Fb:generateContent HTTP/1.1',
   'a model is one segment of the path');

is(Sallyport::Llm::metric($t, 'sallyport_llm_unterminated_total',
                          'provider="google"'), 0,
   'an end without a word is its end');

my $two = chat('hi', 1, n => 2);
is_deeply($two->{texts}, [ $hello, $hello ], 'two choices');
is(sent()->{json}{generationConfig}{candidateCount}, 2, 'were asked for');


# -- tools: thoughts, parallel calls, signatures, and all of it back

for my $stream (0, 1) {
    for my $at ('/v1/chat/completions', '/judged') {
        my $out = chat('fault tool', $stream, at => $at);
        my ($first, $second) = @{ $out->{calls} };
        my $name = "tools, $at" . ($stream ? ', stream' : '');

        is($out->{end}, 'tool_calls', "$name: how it ended");
        is($out->{thoughts}, $at eq '/judged' ? '**' : 'hm',
           "$name: thoughts");
        is($first->{function}{name}, 'weather', "$name: the first call");
        is_deeply($json->decode(Encode::encode_utf8(
                      $first->{function}{arguments})), { at => 'é "x"' },
                  "$name: its arguments");
        is($first->{extra_content}{google}{thought_signature},
           'c2lnbmVk/+==', "$name: its signature");
        is($second->{function}{arguments}, '{}', "$name: another call");
        ok(!$second->{extra_content}, "$name: without a signature");

        like($_->{id}, qr/^call_[0-9a-f]{24}_0_[01]$/, "$name: an id")
            for $first, $second;
        isnt($first->{id}, $second->{id}, "$name: of its own");
        is($second->{index}, $stream ? 1 : undef, "$name: and a number");

        next if $at eq '/judged';

        # back they come, with results in another order

        delete $_->{index} for $first, $second;

        chat([ { role => 'user', content => 'hi' },
               { role => 'assistant', content => undef,
                 tool_calls => [ $first, $second ] },
               { role => 'tool', tool_call_id => $second->{id},
                 content => 'noon' },
               { role => 'tool', tool_call_id => $first->{id},
                 content => 'sunny' } ], $stream, model => 'newer');

        is_deeply(sent()->{json}{contents}, [
            { role => 'user', parts => [ { text => 'hi' } ] },
            { role => 'model', parts => [
                { functionCall => { name => 'weather',
                                    args => { at => "\x{c3}\x{a9} \"x\"" } },
                  thoughtSignature => 'c2lnbmVk/+==' },
                { functionCall => { name => 'time', args => {} } } ] },
            { role => 'user', parts => [
                { functionResponse => { name => 'time',
                    response => { output => 'noon' } } },
                { functionResponse => { name => 'weather',
                    response => { output => 'sunny' } } } ] } ],
            "$name: the next request");
    }

    my $out = chat('fault calls', $stream);
    is($out->{calls}[0]{id}, 'fc7', 'an id of the model');
    is($out->{end}, 'tool_calls', 'STOP with the call');

    is(signature(3_000_000, $stream), 3_000_000, 'a signature of 3 MB');
}

is(chat('fault totals', 1)->{usage}{completion_tokens}, 7,
   'thoughts that are told once');

is(signature(5_000_000, 1), 'provider_event_too_large',
   'a larger one than llm_event_size');


# -- what a request says

my $png = 'data:image/png;base64,' . 'iVBORw0KGgo' x 10_000;
chat([ { role => 'system', content => 'be kind' },
       { role => 'user', content => [
           { type => 'text', text => 'see' },
           { type => 'image_url', image_url => { url => $png } },
           { type => 'image_url', image_url => {
               url => 'https://example.com/a.png' } },
           { type => 'input_audio', input_audio => { data => 'UklGRg==',
                                                     format => 'wav' } },
           { type => 'file', file => { filename => 'a.pdf',
               file_data => 'data:application/pdf;base64,JVBERi0=' } } ] } ],
     1, temperature => 0.5, max_tokens => 7, stop => [ 'x' ], seed => 3,
     reasoning_effort => 'low', response_format => { type => 'json_schema',
         json_schema => { name => 'n', schema => { type => 'object' } } },
     tools => [ { type => 'function', function => { name => 'f',
         description => 'd', parameters => { type => 'object' } } } ],
     tool_choice => 'required');

my $sent = sent()->{json};
is_deeply($sent->{systemInstruction}, { parts => [ { text => 'be kind' } ] },
          'a system message');
is_deeply($sent->{contents}, [ { role => 'user', parts => [
    { text => 'see' },
    { inlineData => { mimeType => 'image/png',
                      data => 'iVBORw0KGgo' x 10_000 } },
    { fileData => { mimeType => 'image/png',
                    fileUri => 'https://example.com/a.png' } },
    { inlineData => { mimeType => 'audio/wav', data => 'UklGRg==' } },
    { inlineData => { mimeType => 'application/pdf', data => 'JVBERi0=' } }
    ] } ], 'text, image, audio, file');
is_deeply($sent->{generationConfig}, { temperature => 0.5,
    maxOutputTokens => 7, stopSequences => [ 'x' ], seed => 3,
    thinkingConfig => { thinkingBudget => 1024,
                        includeThoughts => JSON::PP::true },
    responseMimeType => 'application/json',
    responseJsonSchema => { type => 'object' } }, 'options');
is_deeply($sent->{tools}, [ { functionDeclarations => [ { name => 'f',
    description => 'd', parametersJsonSchema => { type => 'object' } } ] } ],
    'tools');
is($sent->{toolConfig}{functionCallingConfig}{mode}, 'ANY',
   'one of which must be called');

for my $case ([ logprobs => \1 ], [ logit_bias => {} ],
              [ parallel_tool_calls => \0 ],
              [ response_format => { type => 'grammar' } ])
{
    my $out = chat('hi', 1, @$case);
    is("$out->{status} $out->{error}{code} $out->{error}{param}",
       "400 unsupported_parameter $case->[0]", "$case->[0] is refused");
}


# -- how it may end

for my $stream (0, 1) {
    my $name = $stream ? 'stream' : 'whole';

    for my $case ([ MAX_TOKENS => 'length' ], [ SAFETY => 'content_filter' ],
                  [ RECITATION => 'content_filter' ],
                  [ SPII => 'content_filter' ])
    {
        is(chat("fault finish reason=$case->[0]", $stream)->{end},
           $case->[1], "$name, $case->[0]");
    }

    my $out = chat('fault block', $stream);
    is("$out->{end} $out->{text} $out->{usage}{total_tokens} $out->{done}",
       "content_filter  11 $stream", "$name, a blocked prompt");

    for my $fault ('finish reason=MALFORMED_FUNCTION_CALL',
                   'finish reason=OTHER', 'finish reason=WHATEVER', 'image')
    {
        $out = chat("fault $fault", $stream);
        is($out->{error}{code}, 'provider_error', "$name, $fault");
        is($out->{status}, $stream ? 200 : 502, "$name, $fault: status");
        ok(!$out->{done}, "$name, $fault: no [DONE]");
    }
}


# -- what goes wrong

for my $opt ({}, { http2 => 1 }) {
    my $name = $opt->{http2} ? 'HTTP/2' : 'HTTP/1.1';

    for my $case ([ 'naked', 'provider_error', qr/^Hello/ ],
                  [ 'naked end=none', 'provider_error', qr/^Hello/ ],
                  [ 'naked at=0', 'provider_error', qr/^$/ ],
                  [ 'array', 'provider_error', qr/^$/ ],
                  [ 'empty', 'provider_stream_cut', qr/^$/ ],
                  [ 'short', 'provider_stream_cut', qr/^\Q$hello\E$/ ],
                  [ 'short end=cut', 'provider_stream_cut',
                    qr/^\Q$hello\E$/ ],
                  [ 'stall', 'provider_read_timeout', qr/^Hello/ ])
    {
        my ($fault, $code, $text) = @$case;
        my $out = chat("fault $fault", 1, opt => $opt);

        is($out->{error}{code}, $code, "$name, $fault: the error")
            or diag($out->{res}{body});
        like($out->{text}, $text, "$name, $fault: what came before");
        ok(!$out->{done} && !$out->{end}, "$name, $fault: no end");
        unlike($out->{res}{body}, qr/acct-7788/,
               "$name, $fault: nothing of the account");
    }
}

for my $stream (0, 1) {
    for my $case ([ 'status code=400', 400, 'provider_refused_request' ],
                  [ 'status code=429', 429, 'provider_rate_limited' ],
                  [ 'status code=503', 503, 'provider_overloaded' ],
                  [ 'type', 502, 'provider_content_type' ],
                  $stream ? () : [ 'empty', 502, 'provider_error' ],
                  $stream ? () : [ 'naked', 502, 'provider_error' ],
                  $stream ? () : [ 'array', 502, 'provider_error' ])
    {
        my ($fault, $status, $code) = @$case;
        my $out = chat("fault $fault", $stream);

        is("$out->{status} $out->{error}{code}", "$status $code",
           "$fault" . ($stream ? ', stream' : ''));
        unlike($out->{res}{body}, qr/acct-7788/, "$fault: no account");
        like($out->{error}{message}, qr/Invalid value at contents/,
             'the words of the provider') if $status == 400;
    }
}


# -- a client that leaves

for my $fault ('fault stall', 'fault stall at=accept') {
    my $before = $p->requests;
    my $s = $t->stream('POST', '/v1/chat/completions', {},
                       Sallyport::Llm::body($fault, stream => \1,
                                            model => 'gemini'));

    ok($t->wait_until(sub { $p->requests > $before }, 5),
       "$fault: the provider has the request");

    my $n = sent()->{n};

    ok($fault =~ /accept/ ? $p->wait_event('stalled', $n)
                          : $s->read_until(qr/Hello/, 5),
       "$fault: it is in that phase");

    $s->close;

    ok($p->wait_event('closed', $n, 5), "$fault: the provider is left, too");
}


# -- to another provider, and from one

for my $stream (0, 1) {
    for my $fault ('fault status code=503',
                   $stream ? ('fault naked at=0',
                              'fault naked at=0 end=none')
                           : 'fault naked')
    {
        my $out = chat("$fault model=", $stream, model => 'first');

        is("$out->{status} $out->{text}", "200 $hello",
           "$fault: an OpenAI model answers" . ($stream ? ', stream' : ''));
        like(sent()->{line}, qr{/v1/chat/completions}, 'and was asked');
    }

    my $out = chat('fault status code=503 model=other-model', $stream,
                   model => 'second');
    is("$out->{status} $out->{text}", "200 $hello",
       'a Gemini answers' . ($stream ? ', stream' : ''));
    like(sent()->{line}, qr{/v1beta/models/gemini}, 'and was asked');
}


# -- what is said is judged

my $out = chat('hi', 1, at => '/judged');
(my $masked = $hello) =~ s/quoted/******/;
is($out->{text}, $masked, 'a mask');

for my $stream (0, 1) {
    $out = chat('fault calls', $stream, at => '/judged');
    is($out->{end}, 'content_filter', 'arguments are blocked'
       . ($stream ? ', stream' : ''));
}

$p->stop;
$t->finish;
done_testing;
