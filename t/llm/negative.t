#!/usr/bin/perl

# What is refused is refused before anything is sent to a provider.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(location => 'body_max_size 1m;',
    server => 'location = /refuse { llm_pass default;
                                    llm_system_messages refuse;
                                    llm_message_limit 0; }
               location = /merge { llm_pass default;
                                   llm_system_messages merge;
                                   llm_message_limit 20; }');

my $url = '/v1/chat/completions';
my $json = 'application/json';
my $good = $Sallyport::Llm::json->encode(Sallyport::Llm::body('hi'));

my %param = (model_not_found => 'model', message_too_long => 'messages',
             messages_required => 'messages',
             message_empty => 'messages', user_message_required => 'messages',
             context_length_exceeded => 'messages', n_invalid => 'n',
             max_tokens_invalid => 'max_tokens', role_invalid => 'messages',
             character_id_invalid => 'metadata.character_id');

# [name, method, content type, body, status, code]

my @cases = (
    [ 'GET', 'GET', undef, undef, 405, 'method_not_allowed' ],
    [ 'PUT', 'PUT', undef, undef, 405, 'method_not_allowed' ],
    [ 'a wrong content type', 'POST', 'text/plain', $good, 415 ],
    [ 'no content type', 'POST', undef, $good, 415 ],
    [ 'an empty body', 'POST', $json, '', 400 ],
    [ 'no JSON', 'POST', $json, '{"model":', 400 ],
    [ 'duplicate keys', 'POST', $json,
      '{"model":"default","model":"x","messages":[]}', 400 ],
    [ 'duplicate keys inside', 'POST', $json, '{"model":"default",'
      . '"messages":[{"role":"user","role":"system","content":"x"}]}', 400 ],
    [ 'broken UTF-8', 'POST', $json, '{"model":"default","messages":'
      . "[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}", 400 ],
    [ 'a body of 2 MB', 'POST', $json, '{"model":"default","messages":'
      . '[{"role":"user","content":"' . 'x' x 2_000_000 . '"}]}', 413 ],
    [ 'an array', 'POST', $json, '[]', 400, 'request_not_object' ],
    [ 'no messages', 'POST', $json, '{"model":"default"}', 400,
      'messages_required' ],
    [ 'an unknown model', 'POST', $json,
      '{"model":"../../x","messages":[{"role":"user","content":"x"}]}', 404,
      'model_not_found' ],
    [ 'the real name of an aliased model', 'POST', $json,
      '{"model":"real-model","messages":[{"role":"user","content":"x"}]}',
      404, 'model_not_found' ],
    [ 'an invalid role', 'POST', $json, '{"model":"default","messages":'
      . '[{"role":"root","content":"x"}]}', 400, 'role_invalid' ],
    [ 'no user message', 'POST', $json, '{"model":"default","messages":'
      . '[{"role":"assistant","content":"x"}]}', 400,
      'user_message_required' ],
    [ 'an empty message', 'POST', $json, '{"model":"default","messages":'
      . '[{"role":"user","content":""}]}', 400, 'message_empty' ],
    [ 'a message of 1001 characters', 'POST', $json,
      $Sallyport::Llm::json->encode(Sallyport::Llm::body("\x{4f60}" x 1001)), 400,
      'message_too_long' ],
    [ 'tokens that no integer holds', 'POST', $json, '{"max_tokens":'
      . '9223372036854775808,"messages":[{"role":"user","content":"x"}]}',
      400, 'max_tokens_invalid' ],
    [ 'choices that no number holds', 'POST', $json, '{"n":1e400,'
      . '"messages":[{"role":"user","content":"x"}]}', 400, 'n_invalid' ],
    [ 'a broken character id', 'POST', $json, '{"model":"default",'
      . '"messages":[{"role":"user","content":"x"}],"metadata":'
      . '{"character_id":"1; drop table"}}', 400, 'character_id_invalid' ],
    [ 'a prompt above the context', 'POST', $json, $Sallyport::Llm::json->encode(
      { model => 'small', max_tokens => 500, messages => [
        { role => 'user', content => 'x' } ] }), 400,
      'context_length_exceeded' ],
);

for my $case (@cases) {
    my ($name, $method, $type, $body, $status, $code) = @$case;

    # refused before the body is read: curl 7.88 loses such an answer
    my $http2 = $status == 415 || $status == 413 ? 'frames' : 1;

    for my $opt ({}, { http2 => $http2 }) {
        my $res = $t->request($method, $url, {
            $type ? ('Content-Type' => $type) : ('Content-Type' => '') },
            $body, $opt);
        my $label = $name . ($opt->{http2} ? ', HTTP/2' : '');

        is($res->{status}, $status, "$label: status");
        is(ref $res->{json}{error}, 'HASH', "$label: the error envelope")
            or diag($res->{body});
        is($res->{json}{error}{code}, $code, "$label: code") if $code;
        is($res->{json}{error}{param}, $param{ $code || '' },
           "$label: the member");
        like($res->{json}{error}{type} || '', qr/./, "$label: OpenAI shape");
    }
}

is($t->request('GET', $url)->{headers}{allow}, 'POST', 'Allow');

is($p->requests + 0, 0, 'nothing was forwarded');


# -- 1000 characters are allowed

is($t->post($url, {}, Sallyport::Llm::body("\x{4f60}" x 1000))->{status}, 200,
   'a message of 1000 characters');
is($t->post('/refuse', {}, Sallyport::Llm::body('x' x 5000))->{status}, 200,
   'no limit');
is($t->post('/merge', {}, Sallyport::Llm::body('x' x 21))->{status}, 400,
   'another limit');


# -- system messages

my @system = ({ role => 'system', content => 'be kind' },
              { role => 'user', content => 'hi' });

is($t->post($url, {}, Sallyport::Llm::body('', messages => \@system))->{status}, 200,
   'system messages are allowed by default');
is_deeply($p->last_request->{json}{messages}, \@system, 'and pass');

my $res = $t->post('/refuse', {}, Sallyport::Llm::body('', messages => \@system));

is($res->{json}{error}{code}, 'system_message_refused', 'or are refused');

$res = $t->post('/refuse', {}, Sallyport::Llm::body('', messages => [
    { role => 'developer', content => 'x' }, $system[1] ]));
is($res->{json}{error}{code}, 'system_message_refused',
   'under their other name as well');

is($t->post('/merge', {}, Sallyport::Llm::body('', messages => [
    $system[1], $system[0], $system[1] ]))->{status}, 200, 'or merged');
is_deeply($p->last_request->{json}{messages},
          [ $system[0], $system[1], $system[1] ],
          'into one at the head');


# -- history within the context

my @history = map { ({ role => 'user', content => "question $_ " . 'x' x 60 },
                     { role => 'assistant', content => 'y' x 60 }) } 1 .. 20;

$res = $t->post($url, {}, { model => 'small', messages => [
    @history, { role => 'user', content => 'last' } ] });

my @sent = @{ $p->last_request->{json}{messages} };

is($res->{status}, 200, 'a long history');
cmp_ok(scalar @sent, '<', 20, 'is cut');
is($sent[-1]{content}, 'last', 'the last message stays');
is($sent[-2]{content}, 'y' x 60, 'and what came before it');


$t->finish;
done_testing;
