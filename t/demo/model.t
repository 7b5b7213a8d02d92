#!/usr/bin/perl

# demo_model: an OpenAI server without a model, for machines without a key.

use strict;
use warnings;
use utf8;

use Encode ();
use MIME::Base64;
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $t = Sallyport::Test->new;

$t->conf(<<'EOF');
%%LOAD%%
%%GLOBALS%%
events { worker_connections 2048; }
http {
    %%HTTP%%
    error_format openai;
    server {
        listen 127.0.0.1:%%PORT%% backlog=1024;
        listen 127.0.0.1:%%PORTH2%% http2;
        location /v1/ { demo_model delay=1ms; }
        location /slow/ { demo_model delay=100ms; }
        location /fast/ { demo_model delay=0; }
    }
}
EOF

$t->run;


sub chat {
    my ($messages, %more) = @_;
    my $path = delete $more{path} || '/v1';
    my $opt = delete $more{opt};

    return $t->post("$path/chat/completions", {},
                    { model => 'demo', messages => $messages, %more }, $opt);
}

sub user { return { role => 'user', content => $_[0] } }

my $persona = { role => 'system',
                content => "Character: Mira\n\nYou are a pirate." };
my $notes = { role => 'system', content => "Notes ...\n"
    . "<notes name=\"memory\">\n- [2026-05-14] my cat is called Tom\n"
    . "- [2026-05-15] my dog is called Rex\n</notes>" };


# -- what it says

for my $opt ({}, { http2 => 1 }) {
    my $name = $opt->{http2} ? 'HTTP/2' : 'HTTP/1.1';
    my $res = chat([ user('hi') ], opt => $opt);

    is($res->{status}, 200, "$name: an answer");
    is($res->{json}{choices}[0]{message}{content},
       'This is the demo model. You said: "hi". '
       . 'I have no notes about you yet.', "$name: says what it got");
    is($res->{json}{choices}[0]{finish_reason}, 'stop', "$name: stop");
    cmp_ok($res->{json}{usage}{total_tokens}, '>', 10, "$name: usage");

    $res = chat([ $persona, user('ahoy'), $notes,
                  user('what is my dog called?') ], opt => $opt);

    my $text = $res->{json}{choices}[0]{message}{content};

    like($text, qr/^This is Mira, played by the demo model\./,
         "$name: the persona's name");
    like($text, qr/I remember: - \[2026-05-15\] my dog is called Rex\n/,
         "$name: the note that fits the question");
    like($text, qr/given about you:\n.*Tom\n.*Rex$/s, "$name: all notes");

    my $again = chat([ $persona, user('ahoy'), $notes,
                       user('what is my dog called?') ], opt => $opt);

    is($again->{json}{choices}[0]{message}{content}, $text,
       "$name: the same for the same");
    is($again->{json}{id}, $res->{json}{id}, "$name: under the same id");

    # -- as a stream

    for my $path (qw(/v1 /fast)) {
        $res = chat([ $persona, user('ahoy'), $notes,
                      user('what is my dog called?') ], stream => \1,
                    path => $path, opt => $opt);

        my $out = Sallyport::Llm::parse($res->{body});

        is($out->{text}, $text, "$name, $path: the same as a stream");
        is($out->{finish}, 'stop', "$name, $path: finish reason");
        is($out->{done}, 1, "$name, $path: [DONE]");
        is($out->{usage}, undef, "$name, $path: no usage");
        cmp_ok($out->{chunks}, '>', 20, "$name, $path: word by word");
    }

    $res = chat([ user('hi') ], stream => \1, opt => $opt,
                stream_options => { include_usage => \1 });
    is(Sallyport::Llm::parse($res->{body})->{usage}{completion_tokens}, 15,
       "$name: usage on request");

    $res = chat([ user('hi') ], stream => \1, max_tokens => 3, opt => $opt);
    is(Sallyport::Llm::parse($res->{body})->{text}, 'This is the', "$name: max_tokens");
    is(Sallyport::Llm::parse($res->{body})->{finish}, 'length', "$name: says so");
}

my $long = chat([ user("é\"\n" x 200) ]);

like($long->{json}{choices}[0]{message}{content}, qr/é"\n.*\.\.\."\. I have/s,
     'long texts are quoted in part, as characters');


# -- extraction of memories

my $res = chat([ user(join "\n", 'day 2026-05-14',
    'before 3 user: my boat is called Old',
    '12 user: Hi! My dog is called Rex. What is my name?',
    '13 assistant: my dog is called Nobody',
    '14 user: I love "sea salt"') ],
    response_format => { type => 'json_schema', json_schema =>
        { name => 'memories', schema => {} } });

is_deeply($Sallyport::Llm::json->decode(Encode::encode('UTF-8',
              $res->{json}{choices}[0]{message}{content})),
    { memories => [
        { op => 'add', ref => undef, text => 'My dog is called Rex',
          kind => 'profile', subject => 'dog', importance => 5,
          event_on => undef, src_seq => 12 },
        { op => 'add', ref => undef, text => 'I love "sea salt"',
          kind => 'preference', subject => 'user', importance => 5,
          event_on => undef, src_seq => 14 } ] },
    'memories of the user, by rules');


# -- embeddings

sub embed {
    my ($input, %more) = @_;
    return $t->post('/v1/embeddings', {}, { model => 'demo-embedding',
                                            input => $input, %more });
}

sub cosine {
    my ($a, $b) = @_;
    my $sum = 0;
    $sum += $a->[$_] * $b->[$_] for 0 .. $#$a;
    return $sum;
}

$res = embed([ 'my dog is called Rex', 'what is my dog called?',
               'the weather in Lisbon' ]);

my @v = map { $_->{embedding} } @{ $res->{json}{data} };

is(scalar @v, 3, 'three vectors');
is(scalar @{ $v[0] }, 256, '256 dimensions by default');
ok(abs(cosine($v[0], $v[0]) - 1) < 1e-3, 'of length 1');
cmp_ok(cosine($v[0], $v[1]), '>', 0.4, 'shared words are near');
cmp_ok(cosine($v[0], $v[2]), '<', 0.2, 'others are not');

$res = embed('my dog is called Rex', dimensions => 64);
is(scalar @{ $res->{json}{data}[0]{embedding} }, 64, 'dimensions');

$res = embed('my dog is called Rex', encoding_format => 'base64');
my @f = unpack 'f<*', decode_base64($res->{json}{data}[0]{embedding});

ok(abs(cosine(\@f, $v[0]) - 1) < 1e-3, 'the same vector as base64');

is(embed('')->{status}, 200, 'an empty text has a vector');
is(embed([])->{status}, 400, 'no text has none');
is(embed([ 1 ])->{status}, 400, 'neither has a number');
is(embed('x', dimensions => 0)->{status}, 400, 'dimensions have bounds');
is(embed('x', encoding_format => 'xml')->{status}, 400, 'formats');


# -- the rest of the API

is($t->get('/v1/models')->{json}{data}[0]{id}, 'demo', 'models');
is($t->get('/v1/chat/completions')->{status}, 405, 'GET');
is($t->post('/v1/other', {}, {})->{status}, 404, 'another path');
is(chat([])->{json}{error}{code}, 'messages_required', 'a wrong request');


# -- many streams at once, and clients that leave

my $start = time;
my @open = map { $t->stream('POST', '/slow/chat/completions', {},
    { model => 'demo', stream => \1, messages => [ user("hi $_") ] }) }
    1 .. 100;

my @texts = map { Sallyport::Llm::parse($_->rest(20))->{text} } @open;

is(scalar(grep { $texts[$_] =~ /You said: "hi @{[$_ + 1]}"/ } 0 .. 99), 100,
   'a hundred streams side by side');
cmp_ok(time - $start, '<', 10, 'at the pace of one');
$_->close for @open;

@open = map { $t->stream('POST', '/slow/chat/completions', {},
    { model => 'demo', stream => \1, messages => [ user('hi') ] }) } 1 .. 50;

ok($open[0]->read_until(qr/content/, 5), 'streams are open');
$open[$_]->close(abrupt => $_ % 2) for 0 .. $#open;

is(chat([ user('hi') ])->{status}, 200, 'clients may leave');


# -- configuration

for my $bad ('demo_model delay=x;', 'demo_model speed=1;',
             'demo_model delay=2m;', 'demo_model; demo_model;')
{
    my ($ok, $out) = $t->check_conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%%
    server { listen 127.0.0.1:%%PORT%%; location / { $bad } } }
EOF
    ok(!$ok && $out =~ /check\.conf:\d+/, "refused: $bad") or diag($out);
}

$t->finish;
done_testing;
