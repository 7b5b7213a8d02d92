#!/usr/bin/perl

# Calls of tools whose provider has given them no id: a client answers by it,
# so one is made, once for each, wherever an answer is written anew.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(
    prepare => sub { $_[0]->file('test.rules',
        "[o.block category=abuse severity=4]\nforbidden\n") },
    http => 'moderation_rules %%DIR%%/test.rules;
             llm_provider claude { dialect anthropic;
                 url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                 model real-claude as=claude; }',
    location => 'llm_message_limit 0;',
    server => 'location = /filter { moderation output; llm_message_limit 0;
                                    llm_pass default; }
               location = /v1/messages { error_format anthropic;
                   llm_message_limit 0; llm_pass default dialect=anthropic; }
               location = /v1/responses { llm_message_limit 0;
                   llm_pass default dialect=responses; }');

my $json = $Sallyport::Llm::json;


# an answer of calls, [ id, name, arguments ] each; undef: not there

sub call {
    my ($index, $id, $name, $arguments) = @_;

    return { defined $index ? (index => $index) : (), type => 'function',
             defined $id ? (id => $id) : (),
             function => { defined $name ? (name => $name) : (),
                           arguments => $arguments } };
}

sub whole {
    return $json->encode({ id => 'x', object => 'chat.completion', model => 'm',
        choices => [ { index => 0, finish_reason => 'tool_calls', message => {
            role => 'assistant', content => undef,
            tool_calls => [ map { call(undef, @$_) } @_ ] } } ] });
}

sub stream {
    my @chunks = map { { object => 'chat.completion.chunk', choices => [ {
        index => 0, finish_reason => undef,
        delta => { tool_calls => [ call(@$_) ] } } ] } } @_;

    return join "\n", (map { $json->encode($_) } @chunks,
        { object => 'chat.completion.chunk', choices => [ { index => 0,
          delta => {}, finish_reason => 'tool_calls' } ] }), '[DONE]';
}

sub ask {
    my ($path, $stream, $raw, %more) = @_;

    my $res = $t->post($path, {}, { model => 'default', max_tokens => 50,
        stream => $stream ? JSON::PP::true : JSON::PP::false,
        messages => [ { role => 'user', content => "fault raw\n$raw" } ],
        %more });

    is($res->{status}, 200, 'answered') or diag($res->{body});
    return $res->{body};
}

my $ours = qr/call_[0-9a-f]{24}0*\w*/;

for my $case ([ 'empty', '' ], [ 'missing', undef ]) {
    my ($name, $id) = @$case;

    my $body = ask('/v1/messages', 0, whole([ $id, 'f', '{}' ], [ 'mine', 'g', '{}' ],
                                            [ $id, 'h', '{"a":1}' ]));
    my @ids = map { $_->{id} } @{ $json->decode($body)->{content} };

    is(scalar @ids, 3, "$name, a whole answer: three calls");
    like($ids[$_], qr/^$ours$/, "$name: an id") for 0, 2;
    is($ids[1], 'mine', "$name: the provider's own stays");
    isnt($ids[0], $ids[2], "$name: not the same");

    for my $path ('/v1/messages', '/filter') {
        $body = ask($path, 1, stream([ 0, $id, 'f', '' ], [ 0, $id, undef, '{"a"' ],
                                     [ 0, $id, 'f', ':1}' ],
                                     [ 1, 'mine', 'g', '{}' ], [ 1, '', 'g', '' ]));
        @ids = $body =~ /"id":"($ours|mine)"/g;

        is(scalar @ids, 2, "$name, $path: each call is named once")
            or diag($body);
        like($ids[0], qr/^$ours$/, "$name, $path: the first by us");
        is($ids[1], 'mine', "$name, $path: the second by the provider");
    }
}

my $said = $t->post('/v1/responses', {}, { input =>
    "fault raw\n" . whole([ '', 'f', '{}' ]) });
like($said->{body}, qr/"call_id":"$ours"/, 'a client of the Responses API');

my $body = ask('/v1/chat/completions', 0, $json->encode({ type => 'message',
    role => 'assistant', model => 'm', stop_reason => 'tool_use',
    content => [ { type => 'tool_use', id => '', name => 'f', input => {} } ],
    usage => { input_tokens => 1, output_tokens => 1 } }), model => 'claude');
like($json->decode($body)->{choices}[0]{message}{tool_calls}[0]{id}, qr/^$ours$/,
     'of an Anthropic provider');

$body = ask('/v1/chat/completions', 0, whole([ '', 'f', '{}' ]));
like($body, qr/"id":""/, 'bytes that pass are not touched');


# -- arguments of a whole answer that no JSON is exchanged with

for my $odd ('{"a":"\u0000"}', '{"a":"\ud800"}', '{"a":', '[1]') {
    my $input = $json->decode(ask('/v1/messages', 0,
                     whole([ 'c', 'f', $odd ])))->{content}[0]{input};

    is_deeply([ keys %$input ], [ 'arguments' ], "arguments $odd: as a text");
}

$t->finish;
done_testing;
