#!/usr/bin/perl

# What a provider should not say, to clients of each API: what they are told is
# JSON of their API, whole or an error, and says the same to all of them.

use strict;
use warnings;
no warnings 'recursion';

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;


my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '20s',
    http => 'llm_provider claude { dialect anthropic; max_fails 0;
                 url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                 read_timeout 20s; model real-claude as=claude; }
             llm_provider google { dialect gemini; max_fails 0;
                 url http://127.0.0.1:%%PORT1%%/v1beta; key_file %%DIR%%/key;
                 read_timeout 20s; model gemini-2.5-flash as=gemini; }
             llm_provider plain { max_fails 0;
                 url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                 read_timeout 20s; model real-model as=openai; }',
    location => 'llm_message_limit 0;',
    server => '
        location = /v1/messages { error_format anthropic; llm_message_limit 0;
                                  llm_pass default dialect=anthropic; }
        location = /v1/responses { error_format responses; llm_message_limit 0;
                                   llm_event_size 4m;
                                   llm_pass default dialect=responses; }');

my $json = JSON::PP->new->canonical->utf8->max_depth(20000);


# an event, or an answer, of calls: [id, name, text of the arguments]; in the
# JSON of names and ids is what the caller wrote

sub said {
    my ($api, $stream, $text, @calls) = @_;

    return openai($stream, $text, @calls) if $api eq 'openai';
    return claude($stream, $text, @calls) if $api eq 'claude';
    return gemini($text, @calls);
}


sub openai {
    my ($stream, $text, @calls) = @_;

    my $i = 0;
    my $calls = join ',', map { sprintf '{"index":%d,"id":"%s",'
        . '"type":"function","function":{"name":"%s","arguments":%s}}', $i++,
        $_->[0], $_->[1], $json->allow_nonref->encode($_->[2]) } @calls;
    my $said = qq({"role":"assistant","content":"$text","tool_calls":[$calls]});
    my $usage = '"usage":{"prompt_tokens":1,"completion_tokens":2,'
                . '"total_tokens":3}';

    return qq({"choices":[{"index":0,"message":$said,"finish_reason":)
           . qq("tool_calls"}],$usage}) if !$stream;

    return join "\n", qq({"choices":[{"index":0,"delta":$said}]}),
        qq({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],)
        . "$usage}", '[DONE]';
}


sub claude {
    my ($stream, $text, @calls) = @_;

    return sprintf '{"type":"message","id":"m","role":"assistant","content":'
        . '[{"type":"text","text":"%s"}%s],"stop_reason":"tool_use","usage":'
        . '{"input_tokens":1,"output_tokens":2}}', $text, join '', map {
          sprintf ',{"type":"tool_use","id":"%s","name":"%s","input":%s}',
                  @$_ } @calls if !$stream;

    my $i = 1;

    return join "\n", '{"type":"message_start","message":{"id":"m","usage":'
        . '{"input_tokens":1,"output_tokens":1}}}',
        '{"type":"content_block_start","index":0,"content_block":'
        . '{"type":"text","text":""}}',
        qq({"type":"content_block_delta","index":0,"delta":{"type":)
        . qq("text_delta","text":"$text"}}),
        '{"type":"content_block_stop","index":0}',
        (map { my $n = $i++; (sprintf('{"type":"content_block_start","index":'
            . '%d,"content_block":{"type":"tool_use","id":"%s","name":"%s",'
            . '"input":{}}}', $n, @$_[0, 1]),
            sprintf('{"type":"content_block_delta","index":%d,"delta":{"type":'
            . '"input_json_delta","partial_json":%s}}', $n,
            $json->allow_nonref->encode($_->[2])),
            qq({"type":"content_block_stop","index":$n})) } @calls),
        '{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":'
        . '{"output_tokens":2}}', '{"type":"message_stop"}';
}


sub gemini {
    my ($text, @calls) = @_;

    return sprintf '{"candidates":[{"content":{"role":"model","parts":['
        . '{"text":"%s"}%s]},"finishReason":"STOP"}],"usageMetadata":'
        . '{"promptTokenCount":1,"candidatesTokenCount":2}}', $text, join '',
        map { sprintf ',{"functionCall":{"id":"%s","name":"%s","args":%s}}',
                      @$_ } @calls;
}


# {status, text, calls => [[id, name, arguments]], error, broken}

sub ask {
    my ($client, $api, $stream, $say) = @_;

    my %body = (model => $api, $stream ? (stream => \1) : ());
    my $user = [ { role => 'user', content => "fault raw\n$say" } ];
    my $res = $client eq 'responses'
              ? $t->post('/v1/responses', {}, { %body, input => $user })
              : $t->post($client eq 'anthropic' ? '/v1/messages'
                                                : '/v1/chat/completions', {},
                         { %body, max_tokens => 9, messages => $user });
    my %out = (status => $res->{status}, text => '', calls => []);
    my @lines = $stream && $res->{status} == 200
                ? grep { $_ ne '[DONE]' } $res->{body} =~ /^data: (.*)$/mg
                : $res->{body};

    for my $line (@lines) {
        my $what = eval { decoded($line) };

        if (ref $what ne 'HASH') {
            $out{broken} = $@ . substr $line, 0, 200;
            next;
        }

        $out{error} = $what->{error}{code} || $what->{error}{type}
            if ref $what->{error};
        $out{error} ||= $what->{code} if ($what->{type} || '') eq 'error';

        $client eq 'responses' ? hear_responses(\%out, $what)
        : $client eq 'anthropic' ? hear_anthropic(\%out, $what)
        : hear_openai(\%out, $what);
    }

    return \%out;
}


# half a pair is kept: the other half may come with the next event

sub decoded {
    my ($text) = @_;

    $text =~ s/(?<!\\)((?:\\\\)*\\u)(?i:d[89ab]..(?!\\ud[c-f])
                |(?<!\\ud[89ab]..\\u)d[c-f]..)/$1fffd/gx
        if $text =~ /\\ud/;

    return $json->decode($text);
}


# text that the gateway does not take for JSON is one argument, as it was

sub unwrapped {
    my ($text) = @_;

    my $object = eval { decoded($text) };

    return ref $object eq 'HASH' && defined $object->{arguments}
           ? $object->{arguments} : $text;
}


sub hear_openai {
    my ($out, $what) = @_;

    my $choice = ($what->{choices} || [])->[0] or return;
    my $said = $choice->{delta} || $choice->{message};

    $out->{text} .= $said->{content} // '';

    for my $call (@{ $said->{tool_calls} || [] }) {
        my $i = $call->{index} // @{ $out->{calls} };
        my $to = $out->{calls}[$i] ||= [ '', '', '' ];

        $to->[0] .= $call->{id} // '';
        $to->[1] .= $call->{function}{name} // '';
        $to->[2] .= $call->{function}{arguments} // '';
    }

    return;
}


sub hear_anthropic {
    my ($out, $what) = @_;

    my @blocks = $what->{type} eq 'content_block_start' ? $what->{content_block}
                                        : @{ $what->{content} || [] };

    for my $block (@blocks) {
        $out->{text} .= $block->{text} if $block->{type} eq 'text';
        push @{ $out->{calls} }, [ @$block{qw(id name)},
            $what->{content} ? $json->encode($block->{input}) : '' ]
            if $block->{type} eq 'tool_use';
    }

    my $delta = $what->{delta} || {};

    $out->{text} .= $delta->{text} // '';
    $out->{calls}[-1][2] .= $delta->{partial_json}
        if defined $delta->{partial_json} && @{ $out->{calls} };

    return;
}


sub hear_responses {
    my ($out, $what) = @_;

    my $response = $what->{response} || $what;

    return if ($response->{object} || '') ne 'response'
              || $response->{status} eq 'in_progress';

    $out->{error} ||= $response->{error}{code} if $response->{error};

    for my $item (@{ $response->{output} }) {
        $out->{text} .= $item->{content}[0]{text} if $item->{type} eq 'message';
        push @{ $out->{calls} }, [ @$item{qw(call_id name arguments)} ]
            if $item->{type} eq 'function_call';
    }

    return;
}


my $deep = 50;

my @cases = (
    [ 'quotes', 'a\"b\\\\c\/', [ 'i\"d', 'na\"me', '{"x":"\"\\\\"}' ] ],
    [ 'NUL', 'a\u0000b', [ 'i\u0000d', 'n\u0000m', '{"x":"\u0000"}' ] ],
    [ 'lone surrogates', 'a\ud800b\udc00', [ 'i', 'n\udfff',
                                             '{"x":"\ud800"}' ] ],
    [ 'escapes', '\u00e9\ud83d\ude00\u2028', [ 'i', '\u00e9',
                                               '{"x":"\ud83d\ude00"}' ] ],
    [ 'a long id', 'a', [ 'i' x 50_000, 'n', '{"x":1}' ] ],
    [ 'a long name', 'a', [ 'i', 'n' x 50_000, '{"x":1}' ] ],
    [ 'long arguments', 'a', [ 'i', 'n', '{"x":"' . 'y' x 90_000 . '"}' ] ],
    [ 'nested arguments', 'a', [ 'i', 'n', '{"x":' . '[' x $deep . ']' x $deep
                                            . '}' ] ],
    [ 'the same id twice', 'a', [ 'i', 'n', '{"x":1}' ],
                                [ 'i', 'm', '{"x":2}' ] ],
    [ 'no id', 'a', [ '', 'n', '{"x":1}' ], [ '', 'm', '{"x":2}' ] ],
    [ 'no text', '', [ 'i', 'n', '{"x":1}' ] ],
    [ 'numbers', 'a', [ 'i', 'n', '{"x":1.50,"y":12345678901234567890,'
                                   . '"z":-0.0}' ] ],
    [ 'many calls', 'a', map { [ "i$_", 'n', qq({"x":$_}) ] } 1 .. 120 ],
);

for my $api (qw(openai claude gemini)) {
    for my $case (@cases) {
        my ($what, $text, @calls) = @$case;

        for my $stream (0, 1) {
            my $say = said($api, $stream, $text, @calls);
            my ($first, $of);

            for my $client (qw(openai anthropic responses)) {
                my $name = "$what, $api to $client" . ($stream ? ', stream'
                                                               : '');
                my $out = ask($client, $api, $stream, $say);

                is($out->{broken}, undef, "$name: JSON");
                is($out->{status}, 200, "$name: status");
                is($out->{error}, undef, "$name: no error");

                my %ids = map { $_->[0] => 1 } @{ $out->{calls} };
                my $got = [ $out->{text}, map { [ $_->[1], eval {
                    decoded(unwrapped($_->[2])) } // $_->[2] ] }
                    @{ $out->{calls} } ];

                is(scalar @{ $out->{calls} }, scalar @calls, "$name: calls");
                # only Gemini leaves ids out: who never does is taken at its word

                is(scalar keys %ids, scalar @calls, "$name: ids differ")
                    if $what ne 'the same id twice'
                       && ($what ne 'no id' || $api eq 'gemini'
                           || "$api $client" eq 'openai anthropic');
                ($first, $of) = ($got, $client) if !$first;
                is_deeply($got, $first, "$name: as $of hears it");
            }
        }
    }
}


# -- what clients send and APIs do not take, or have another way to say

for my $end ("x \n\t", "x") {
    $t->post('/v1/chat/completions', {}, { model => 'claude', messages =>
             [ { role => 'user', content => 'a ' },
               { role => 'assistant', content => $end } ] });
    is_deeply([ map { $_->{content}[0]{text} }
                @{ $p->last_request->{json}{messages} } ], [ 'a ', 'x' ],
              'the begin of an answer ends without space');
}

$t->post('/v1/messages', {}, { model => 'gemini', max_tokens => 9,
    messages => [ { role => 'user', content => [ { type => 'document',
        source => { type => 'base64', media_type => 'application/pdf',
                    data => 'AAAA' } } ] } ] });
is_deeply($p->last_request->{json}{contents}[0]{parts},
          [ { inlineData => { mimeType => 'application/pdf',
                              data => 'AAAA' } } ],
          'a document without a title is of its own type');

$p->stop;
$t->finish;
done_testing;
