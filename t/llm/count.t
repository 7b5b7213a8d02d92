#!/usr/bin/perl

# llm_count_tokens: POST /v1/messages/count_tokens, without a provider.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Bpe;
use Sallyport::Llm;

my $bpe = Sallyport::Bpe->new;
my $known = $bpe ? 'llm_tokenizer o200k_base ' . $bpe->vocabulary('o200k_base') . ';' : '';

my ($t, $p) = Sallyport::Llm::gateway(
    http => "$known llm_provider known {
                 url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                 model gpt-4o as=known; }",
    server => 'location = /v1/messages { error_format anthropic;
                   llm_pass default dialect=anthropic; }
               location = /v1/messages/count_tokens {
                   error_format anthropic; llm_count_tokens default;
                   body_max_size 64k; }');

my $json = $Sallyport::Llm::json;
my $path = '/v1/messages/count_tokens';

sub count {
    my (%body) = @_;
    return $t->post($path, {}, \%body, delete $body{opt});
}

my @messages = ({ role => 'user', content => 'What is the weather in Rome?' },
    { role => 'assistant', content => [ { type => 'tool_use', id => 'toolu_1',
          name => 'weather', input => { at => 'Rome' } } ] },
    { role => 'user', content => [ { type => 'tool_result',
          tool_use_id => 'toolu_1', content => 'sunny' },
          { type => 'text', text => 'And tomorrow?' } ] });
my %more = (system => 'Be brief.', tools => [ { name => 'weather',
    description => 'of a city', input_schema => { type => 'object',
    properties => { at => { type => 'string' } } } } ]);

for my $opt ({}, { http2 => 1 }) {
    my $res = count(model => 'default', messages => \@messages, opt => $opt);

    is($res->{status}, 200, 'counted');
    is(join(' ', keys %{ $res->{json} }), 'input_tokens', 'one number');
    cmp_ok($res->{json}{input_tokens}, '>', 15, 'of about so many');
}

my $plain = count(messages => \@messages)->{json}{input_tokens};
my $all = count(messages => \@messages, %more)->{json}{input_tokens};

cmp_ok($all, '>', $plain + 10, 'system prompt and tools count');
is($p->requests + 0, 0, 'nobody was asked');

my $body = $t->post('/v1/messages', {}, { model => 'default', max_tokens => 9,
    stream => JSON::PP::true, messages => \@messages, %more })->{body};
my ($told) = $body =~ /message_start.*"input_tokens":(\d+)/;
is($told, $all, 'the same as a message itself is counted');

SKIP: {
    skip Sallyport::Bpe->missing, 1 unless $bpe;

    my @chat = ({ role => 'system', content => 'Be brief.' }, $messages[0]);
    my $file = $t->file('chats.json', $json->encode(
        { model => 'gpt-4o', messages => \@chat }) . "\n");
    my ($theirs) = split /\n/, $bpe->node('chat.mjs', $file);

    is(count(model => 'known', system => 'Be brief.', messages =>
             [ $messages[0] ])->{json}{input_tokens}, $theirs,
       'exactly where the vocabulary is known');
}


# -- what is refused

for my $case (
    [ 'an unknown model', 404, 'not_found_error', { model => 'x', messages => \@messages } ],
    [ 'no messages', 400, 'invalid_request_error', { model => 'default' } ],
    [ 'a wrong role', 400, 'invalid_request_error',
      { messages => [ { role => 'root', content => 'x' } ] } ],
    [ 'max_tokens that are none', 400, 'invalid_request_error',
      { max_tokens => 0, messages => \@messages } ],
    [ 'an array', 400, 'invalid_request_error', [] ],
    [ 'too much', 413, 'request_too_large',
      { messages => [ { role => 'user', content => 'x' x 70_000 } ] } ])
{
    my ($name, $status, $type, $body) = @$case;
    my $res = $t->post($path, {}, $body);

    is("$res->{status} $res->{json}{error}{type}", "$status $type", $name);
}

is($t->get($path)->{status}, 405, 'GET');

$t->refuses($t->http_conf("server { location / { llm_count_tokens none; } }\n"),
            'none', 'an unknown alias');

$t->finish;
done_testing;
