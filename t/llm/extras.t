#!/usr/bin/perl

# {{extras}} in a character's prompt: emotion and suggested actions, which the
# model writes behind its reply, are an event of their own and no text.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

my $key = Sallyport::JWT->new('HS256', kid => 'k');
my $user = '00000000-0000-4000-8000-00000000000a';
my $chat = '00000000-0000-4000-8000-0000000000e1';
my $mira = '00000000-0000-4000-8000-0000000000d1';
my $plain = '00000000-0000-4000-8000-0000000000d2';

my ($t, $p) = Sallyport::Llm::gateway(
    read_timeout => '5s',
    prepare => sub {
        my ($t) = @_;

        $t->file('test.rules', "[o.block category=abuse severity=4]\nforbidden\n");
        $t->file('jwks.json', jwks($key), 0600);
        $t->sql('insert into auth.users (id) values (?)', $user);
        $t->sql('insert into chat.character (id, owner_id, name,
                     system_prompt, is_public)
                 values (?, null, ?, ?, true), (?, null, ?, ?, true)',
                $mira, 'Mira', 'You are {{char}}. {{extras}} Be brief.'
                               . '{{extras}}', $plain, 'Ann', 'You are {{char}}.');
    },
    http => 'pg_server main "%%PG%%" timeout=2s;
             auth_jwt_key_file %%DIR%%/jwks.json;
             llm_characters main;
             moderation_rules %%DIR%%/test.rules;
             turn_store main flush=10ms; turn_spool %%DIR%%/spool;
             llm_provider claude { dialect anthropic;
                 url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                 read_timeout 5s; model real-claude as=claude; }
             llm_provider broken { url http://127.0.0.1:%%PORT2%%; model m as=pair;
                 model gone as=gone; }
             llm_provider second { url http://127.0.0.1:%%PORT1%%/v1;
                 key_file %%DIR%%/key; model m as=pair backup; }',
    location => 'auth_jwt "test" optional; llm_message_limit 0;',
    server => 'location = /led { auth_jwt "test" optional;
                   llm_message_limit 0; llm_pass gone;
                   error_page 502 = @led; }
               location @led { auth_jwt "test" token=$http_x_second;
                   llm_message_limit 0; llm_characters off;
                   llm_pass default; }
               location = /filter { moderation output; llm_message_limit 0;
                                    llm_pass default; }
               location = /v1/messages { error_format anthropic;
                                         llm_message_limit 0;
                                         llm_pass default dialect=anthropic; }
               location = /v1/responses { llm_message_limit 0;
                                          llm_pass default dialect=responses; }');

my $said = '{"emotion":"joy","suggested_actions":["go on","stop"]}';
my $told = { emotion => 'joy', suggested_actions => [ 'go on', 'stop' ] };


# an answer of the provider with this text; its text, what is told, its events

sub chat {
    my ($text, %arg) = @_;

    my $size = $arg{size} || 3;
    my $fault = $arg{fault} || "echo size=$size" . ($arg{more} || '');
    my $res = $t->post($arg{path} || '/v1/chat/completions',
                       $arg{headers} || {}, {
        model => $arg{model} || 'default', stream => JSON::PP::true,
        metadata => { character_id => $arg{character} || $mira },
        messages => [ { role => 'user', content => "fault $fault\n$text" } ],
        %{ $arg{body} || {} } });

    is($res->{status}, 200, 'answered') or diag($res->{body});

    return Sallyport::Llm::parse($res->{body}), $res->{body};
}

sub extras {
    my ($body) = @_;

    return [ map { $_->{extras} ? $_->{extras} : () }
             map { /^data: (\{.*)/ ? $Sallyport::Llm::json->decode($1) : () }
             split /\n/, $body ];
}

sub system_of { return $p->last_request->{json}{messages}[0]{content} }


# -- asked for, cut and told, wherever the stream is split

for my $size (1, 2, 3, 5, 8, 13, 400) {
    my ($out, $body) = chat("Hello.\n\n<extras>$said</extras>\n", size => $size);

    like($out->{text}, qr/^Hello\.\n?$/, "pieces of $size: the text");
    is_deeply(extras($body), [ $told ], "pieces of $size: told once");
    unlike($out->{text}, qr/extras|joy|</, "pieces of $size: and not shown");
    is("$out->{finish} $out->{done}", 'stop 1', "pieces of $size: the end");
}

like(system_of(), qr/^Character: Mira\n\nYou are Mira\. After each reply, .*<extras>.* Be brief\.$/s,
     'the model is asked for it, once');

my (undef, $body) = chat("Hi.<extras>$said</extras>");
like($body, qr/"finish_reason":"stop".*"choices":\[\],"extras":.*\[DONE\]/s,
     'behind the text, in a chunk without choices');

my ($out) = chat("Hi.<extras>$said</extras>", fault => 'echo size=7 chunks=1');
is($out->{text}, 'Hi.', 'a packet for each byte');


# -- what is missing, broken or elsewhere

for my $case (
    [ 'no tail', 'Hello, 1 < 2 <b>, <extra', 'Hello, 1 < 2 <b>, <extra', 0 ],
    [ 'space at the end', "Hello. \n\n ", "Hello. \n\n ", 0 ],
    [ 'no mark at the end', "Hi.<extras>$said", 'Hi.', 1 ],
    [ 'half of it', 'Hi.<extras>{"emotion":"jo', 'Hi.', 0 ],
    [ 'no JSON', 'Hi.<extras>joy</extras>', 'Hi.', 0 ],
    [ 'nothing of it', 'Hi.<extras>{}</extras>', 'Hi.', 0 ],
    [ 'too long', 'Hi.<extras>{"emotion":"' . 'x' x 3000 . '"}</extras>!',
      'Hi.!', 0 ],
    [ 'in the midst', "a<extras>$said</extras>b", 'ab', 1 ],
    [ 'nothing else', "<extras>$said</extras>", '', 1 ],
    [ 'in a fence', "Hi.<extras>\n```json\n$said\n```\n</extras>", 'Hi.', 1 ])
{
    my ($got, $events) = chat($case->[1], size => 11);

    is($got->{text}, $case->[2], "$case->[0]: the text");
    is(scalar @{ extras($events) }, $case->[3], "$case->[0]: told");
    is($got->{done}, 1, "$case->[0]: the end");
}

my ($odd, $events) = chat('é<extras>{"emotion":"\u00e9t\u00e9 \"1\"","x":1,'
    . '"suggested_actions":[1,"\n"]}</extras>', size => 2);
is_deeply(extras($events), [ { emotion => "\x{e9}t\x{e9} \"1\"",
    suggested_actions => [ "\n" ] } ], 'only what is known, as JSON again');


# -- who does not ask

for my $case ([ 'another character', character => $plain ],
              [ 'several choices', body => { n => 2 } ],
              [ 'a format', body => { response_format => { type => 'json_object' } } ])
{
    my ($name, %arg) = @$case;
    my ($got) = chat("Hi.<extras>$said</extras>", %arg);

    unlike(system_of(), qr/extras/, "$name: not asked for");
    like($got->{text}, qr{^Hi\.<extras>.*</extras>$}, "$name: text is text");
}

my $whole = $t->post('/v1/chat/completions', {}, Sallyport::Llm::body('hi',
    metadata => { character_id => $mira }));
is($whole->{status}, 200, 'a whole answer');
unlike(system_of(), qr/extras/, '.. has no place for it');

($out, $body) = chat('hi', fault => 'tools');
is($out->{finish}, 'tool_calls', 'calls of tools are no end of the text');
is_deeply(extras($body), [], '.. and tell nothing');


# -- each way from a provider to a client

(undef, $body) = chat("Hi.<extras>$said</extras>", path => '/v1/messages',
                      body => { max_tokens => 100 });
like($body, qr/"text":"Hi\.?"/, 'an Anthropic client: the text');
like($body, qr/"text_delta","text":""\},"extras":\Q$said\E\}\n\n.*_stop/s,
     '.. and its event');
unlike($body, qr/"text":"[^"]*joy/, '.. which is no text');

(undef, $body) = chat("<extras>$said</extras>", path => '/v1/messages',
                      body => { max_tokens => 100 });
like($body, qr/event: ping\ndata: \{"type":"ping","extras":\Q$said\E\}\n\n/,
     '.. also without a text');

my $res = $t->post('/v1/responses', {}, { model => 'default',
    stream => JSON::PP::true, metadata => { character_id => $mira },
    input => "fault echo size=5\nHi.<extras>$said</extras>" });
like($res->{body}, qr/event: keepalive\ndata: \{"type":"keepalive","sequence_number":\d+,"extras":\Q$said\E\}/,
     'a client of the Responses API');
like($res->{body}, qr/"response.completed".*"text":"Hi\."/s, '.. the whole text');
unlike(($res->{body} =~ s/event: keepalive\n.*\n//r), qr/joy/, '.. and no more of it');

my @numbers = $res->{body} =~ /"sequence_number":(\d+)/g;
is_deeply(\@numbers, [ 0 .. $#numbers ], '.. numbered through');

($out, $body) = chat("Hi.<extras>$said</extras>", model => 'claude');
is_deeply([ $out->{text}, extras($body) ], [ 'Hi.', [ $told ] ],
          'a provider of another API');

($out, $body) = chat("Hi.<extras>$said</extras>", model => 'pair');
is_deeply([ $out->{text}, extras($body) ], [ 'Hi.', [ $told ] ],
          'the next target');


# -- judged like all else

($out, $body) = chat("Hi.<extras>$said</extras>", path => '/filter');
is_deeply([ $out->{text}, extras($body) ], [ 'Hi.', [ $told ] ], 'filtered');

for my $word ('forbidden', 'f\u006frbidden') {
    ($out, $body) = chat("Hi.<extras>{\"emotion\":\"$word\"}</extras>",
                         path => '/filter');
    is_deeply(extras($body), [], "$word: is not told");
    unlike($body, qr/bidden/, "$word: nor shown");
}


# -- what is stored is the text, also of a part

my %auth = (Authorization => 'Bearer ' . $key->token(
    { sub => $user, exp => time + 600 }));

sub post {
    my ($fault, $text) = @_;

    return (\%auth, { model => 'default', stream => JSON::PP::true,
        metadata => { character_id => $mira, chat_id => $chat },
        messages => [ { role => 'user', content => "fault $fault\n$text" } ] });
}

sub stored {
    my ($n) = @_;

    $t->wait_until(sub { $t->sql('select count(*) from chat.message
                                  where chat_id = ?', $chat) == 2 * $n }, 10)
        or return 'not stored';
    return scalar $t->sql('select content from chat.message where chat_id = ?
                           and role = ? order by seq desc limit 1', $chat,
                          'assistant');
}

my $url = '/v1/chat/completions';

like($t->post($url, post('echo size=4', "Hi.<extras>$said</extras>"))->{body},
     qr/"extras":/, 'a chat that is kept');
is(stored(1), 'Hi.', '.. without it');

my $chunk = $Sallyport::Llm::json->encode({ object => 'chat.completion.chunk',
    choices => [ { index => 0, finish_reason => undef,
                   delta => { content => "Ho.\n<extras>$said" } } ] });
my $stream = $t->stream('POST', $url, post('raw end=stall', $chunk));

like($stream->read_until(qr/Ho\./), qr/^(?!.*joy)/s, 'the text, and none of the rest');
$stream->leave;
is(stored(2), 'Ho.', 'a client that leaves in the midst of it');


# -- an error_page leads to somebody else, and to no character

($out, $body) = chat("Hi.<extras>$said</extras>", path => '/led',
    body => { model => undef },
    headers => { 'X-Second' => $key->token({ sub => $user,
                                             exp => int(time) + 600 }) });

is($p->last_request->{json}{messages}[0]{role}, 'user',
   'a model that was asked for none');
is($out->{text}, "Hi.<extras>$said</extras>", 'is not cut');
is_deeply(extras($body), [], 'nor told');

$t->finish;
done_testing;
