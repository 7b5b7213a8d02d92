#!/usr/bin/perl

# POST /v1/images/generations and /v1/audio/speech: what passes, what is
# refused by its name, and what each comes to in the ledger.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my $head = 'url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;'
         . ' connect_timeout 500ms; read_timeout 700ms;'
         . ' max_fails 0; cooldown 0;';

my ($t, $p) = Sallyport::Llm::gateway(http => <<"EOC", server => <<'EOS',
    pg_server main "%%PG%%";
    turn_store main flush=10ms;
    turn_spool %%DIR%%/spool;
    moderation_rules %%DIR%%/test.rules;
    llm_provider media { $head
        model real-image as=image kind=image price=10/40;
        model real-voice as=voice kind=speech unit_price=0.000015;
        model real-piece as=piece kind=image price=10/40 unit_price=0.04;
        model first as=pair kind=image; model first as=voices kind=speech;
    }
    llm_provider other { $head
        model second as=pair kind=image backup;
        model second as=voices kind=speech backup;
    }
EOC
    location = /v1/images/generations { llm_images image; moderation input; }
    location = /v1/audio/speech { llm_speech voice; }
    location = /short { llm_images image; llm_event_size 1k; }
EOS
    prepare => sub {
        $_[0]->file('test.rules', "[t.block category=test action=block]\n"
                                  . "forbidden\n");
    });

my $images = '/v1/images/generations';
my $speech = '/v1/audio/speech';

# each request has a row
my $sent = 0;

sub ask {
    my ($path, $body) = @_;

    $sent++;
    return $t->post($path, {}, $body);
}

sub image { return ask($images, { prompt => shift, @_ }) }
sub speak { return ask($speech, { input => shift, voice => 'v', @_ }) }


# the newest row: what it was, how it ended, images or characters, tokens

sub row {
    $t->wait_until(sub { $t->sql('select count(*) from gateway.ledger')
                         == $sent }, 5)
        or diag("$sent requests, rows: "
                . $t->sql('select count(*) from gateway.ledger'));

    return join ' ', map { $_ // '-' } @{ ($t->sql('select kind, outcome,
        error_type, units, prompt_tokens, completion_tokens, cost::float8,
        status from gateway.ledger order by at desc, id desc limit 1'))[0] };
}


# -- whole answers

my $res = image('a cat', quality => 'low', extra => { a => 1 });

is($res->{status}, 200, 'an image');
is($res->{json}{data}[0]{b64_json}, 'A' x 16, 'an image: as it came');
is_deeply($p->last_request->{json}, { model => 'real-image',
    prompt => 'a cat', quality => 'low', extra => { a => 1 } },
    'an image: all members pass, the model is the provider\'s');
like($p->last_request->{line}, qr{^POST /v1/images/generations }, 'its path');
is($p->last_request->{headers}{authorization},
   'Bearer sk-test-0123456789abcdef', 'the operator\'s key');
ok(!$res->{headers}{'set-cookie'}, 'no cookie of the provider');
is(row(), 'image complete  1 5 40 0.00165 200', 'an image: its row');

$res = image('fault nousage', n => 3);
is(scalar @{ $res->{json}{data} }, 3, 'three images');
is(row(), 'image complete  3 - - - 200', 'no tokens told: no cost made up');

image('fault nousage', n => 3, model => 'piece');
is(row(), 'image complete  3 - - 0.12 200', 'the price of three images');

image('a cat', model => 'piece');
is(row(), 'image complete  1 5 40 0.04165 200',
   'of an image and of its tokens');

$res = image('fault big size=3000000');
is(length $res->{json}{data}[0]{b64_json}, 3000000, 'an image of megabytes');
is(row(), 'image complete  1 5 40 0.00165 200', 'of megabytes: its row');

$res = ask('/short', { prompt => 'fault big size=5000' });
is(row(), 'image complete  1 5 40 0.00165 200', 'above llm_event_size too');

for my $case ([ 'an empty list', 'fault empty' ],
              [ 'an error inside 200', 'fault error' ])
{
    image($case->[1]);
}

like(row(), qr/^image failed provider_/, 'no image, or an error: failed');

$res = speak('fault type=audio/wav chunked');
is($res->{status}, 200, 'speech');

$res = speak("h\x{e9}llo", response_format => 'mp3', speed => 1.5);
is($res->{body}, Sallyport::Media::audio(3000), 'speech: byte for byte');
is($res->{headers}{'content-type'}, 'audio/mpeg', 'speech: its type');
is($res->{headers}{'content-length'}, 3000, 'speech: its length');
is($p->last_request->{json}{model}, 'real-voice', 'speech: the model');
my %spoken = map { $_ => 1 }
    $t->get('/metrics')->{body} =~ /^gen_ai_client_operation_duration_seconds_count
        \{gen_ai_operation_name="(\w+)",[^}]*gen_ai_request_model="voice"/gmx;
is(join(' ', keys %spoken), 'generate_content', 'speech: its name in the metrics');
is(row(), 'speech complete  5 - - 7.5e-05 200',
   'speech: characters and their price in its row');

for my $how ('chunked', 'close') {
    is(speak("fault $how")->{body}, Sallyport::Media::audio(3000),
       "speech, $how: byte for byte");
}

is(speak('fault chunked type=application/octet-stream')->{headers}
   {'content-type'}, 'application/octet-stream', 'bytes without a type');

$res = speak('fault chunked size=900000');
is(length $res->{body}, 900000, 'much of it') or diag($res->{body});


# -- streams

for my $how ('plain', 'bytes') {
    $res = image("fault $how", stream => \1, n => 2, partial_images => 1);

    is($res->{headers}{'content-type'}, 'text/event-stream',
       "images as a stream, $how");
    is(() = $res->{body} =~ /image_generation\.completed"/g, 2,
       "images as a stream, $how: both");
    unlike($res->{body}, qr/provider_/, "images as a stream, $how: no error");
}

$res = image('fault plain size=2000000', stream => \1);
is(length($res->{body}) > 4000000, 1, 'a stream of megabytes');

$res = speak('hello', stream_format => 'sse');
like($res->{body}, qr/speech\.audio\.done.*\n\n\z/, 'speech as a stream');
like(row(), qr/^speech complete  5 4 9 7.5e-05 200/, 'its row');

for my $case ([ 'images', sub { image(@_, stream => \1) } ],
              [ 'speech', sub { speak(@_, stream_format => 'sse') } ])
{
    my ($name, $call) = @$case;

    for my $how ('cut', 'short') {
        $res = $call->("fault $how");
        like($res->{body}, qr/"code":"provider_stream_cut"/,
             "$name, $how: the stream ends with an error");
    }
}


# -- a whole answer that breaks must not look whole

for my $case ([ 'an image', $images, 'prompt' ],
              [ 'speech', $speech, 'input' ])
{
    my ($name, $path, $member) = @$case;

    my $s = $t->stream('POST', $path, {}, { $member => 'fault cut' });

    $sent++;
    eval { $s->rest };
    ok(!$s->{complete}, "$name, cut: it is not whole");
    ok($s->closed, "$name, cut: the connection is closed");
    like(row(), qr/failed provider_/, "$name, cut: failed");
}


# -- errors and refusals

for my $case ([ 'a refused prompt', sub { image('fault status code=400') },
                400, 'image' ],
              [ 'too many requests', sub { speak('fault status code=429') },
                429, 'speech' ],
              [ 'a page', sub { speak('fault x type=text/html') }, 502 ],
              [ 'no bytes', sub { speak('fault empty') }, 502 ],
              [ 'a compressed answer', sub { speak('fault gzip') }, 502 ],
              [ 'a blocked prompt', sub { image('a forbidden thing') }, 422 ])
{
    my ($name, $call, $status) = @$case;

    $res = $call->();
    is($res->{status}, $status, "$name: $status");
    ok($res->{json}{error}{code}, "$name: $res->{json}{error}{code}");
    unlike($res->{body}, qr/sk-test/, "$name: no key");
}

for my $case ([ $images, 'no prompt', {}, 'prompt_invalid prompt' ],
              [ $images, 'an empty one', { prompt => '' },
                'prompt_invalid prompt' ],
              [ $images, 'a list', { prompt => [ 'x' ] },
                'prompt_invalid prompt' ],
              [ $images, 'no images', { prompt => 'x', n => 0 },
                'n_invalid n' ],
              [ $images, 'eleven images', { prompt => 'x', n => 11 },
                'n_invalid n' ],
              [ $images, 'half an image', { prompt => 'x', n => 1.5 },
                'n_invalid n' ],
              [ $images, 'a stream by a word', { prompt => 'x',
                stream => 'yes' }, 'stream_invalid stream' ],
              [ $images, 'a model of speech', { prompt => 'x',
                model => 'voice' }, 'model_not_found model' ],
              [ $images, 'a model that is a number', { prompt => 'x',
                model => 7 }, 'model_invalid model' ],
              [ $speech, 'no input', { voice => 'v' },
                'input_invalid input' ],
              [ $speech, 'another format', { input => 'x',
                stream_format => 'xml' },
                'stream_format_invalid stream_format' ],
              [ $speech, 'a model of images', { input => 'x',
                model => 'image' }, 'model_not_found model' ])
{
    my ($path, $name, $body, $expected) = @$case;
    my $before = $p->requests;

    $res = ask($path, $body);

    is("$res->{json}{error}{code} $res->{json}{error}{param}", $expected,
       "$name: code and name");
    is(scalar $p->requests, $before, "$name: nothing is sent");
}


# -- the next target, before the first byte

for my $fault ('status code=503', 'status code=429', 'stall at=accept',
               'gzip')
{
    for my $case ([ 'image', sub { image('x', model => 'pair') } ],
                  [ 'speech', sub { speak('x', model => 'voices') } ])
    {
        $p->mood(first => $fault);
        $res = $case->[1]->();
        $p->mood();

        is($res->{status}, 200, "$case->[0], $fault: the next one answers");
        is($p->last_request->{json}{model}, 'second', 'by its own name');
    }
}


# -- the client leaves

for my $case ([ $images, { prompt => 'fault stall' } ],
              [ $images, { prompt => 'fault stall', stream => \1 } ],
              [ $speech, { input => 'fault stall' } ],
              [ $speech, { input => 'fault stall', stream_format => 'sse' } ])
{
    my ($path, $body) = @$case;
    my $before = $p->requests;
    my $s = $t->stream('POST', $path, {}, $body);

    $sent++;

    $t->wait_until(sub { $p->requests > $before }, 5);

    my $n = $p->last_request->{n};

    $p->wait_event('stalled', $n);
    $s->close;

    my $took = $p->wait_event('closed', $n, 5);

    ok(defined $took && $took < 1, "$path: closed with the client");
}

like(row(), qr/caller_disconnected/, 'who left is in the ledger');


# -- HTTP/2, whole and as a stream

$sent += 2;
$res = $t->post($speech, {}, { input => 'fault chunked' }, { http2 => 'frames' });
is($res->{body}, Sallyport::Media::audio(3000), 'speech over HTTP/2');

$res = $t->post($images, {}, { prompt => 'fault bytes', stream => \1 },
                { http2 => 'frames' });
like($res->{body}, qr/image_generation\.completed.*\n\n\z/,
     'images as a stream over HTTP/2');
unlike($t->error_log, qr/sk-test/, 'no key in the log');


# -- the list of models

my %kinds = map { $_->{id} => $_->{kind} }
            @{ $t->get('/v1/models')->{json}{data} };

is("$kinds{image} $kinds{voice} $kinds{default} $kinds{embedding}",
   'image speech chat embedding', 'kinds of models');

like(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
         'provider="media",kind="image",outcome="complete"'),
     qr/^[1-9]/, 'metrics by kind');


# -- configuration

for my $case ([ 'another dialect', 'llm_provider a { dialect gemini;
                  url http://127.0.0.1:1; model m kind=image; }',
                qr/cannot have a model with kind=image: dialect "gemini"/ ],
              [ 'a chat model', 'llm_provider a { url http://127.0.0.1:1;
                  model m; } server { location / { llm_speech m; } }',
                qr/no llm_provider has a model "m" with kind=speech/ ],
              [ 'a price of a unit of a chat', 'llm_provider a {
                  url http://127.0.0.1:1; model m unit_price=1; }',
                qr/"unit_price" is of models with kind=image, speech or/ ],
              [ 'no price', 'llm_provider a { url http://127.0.0.1:1;
                  model m kind=image unit_price=1\/2; }',
                qr/invalid price in "unit_price=1\\?\/2" of "model", expected/ ],
              [ 'no such kind', 'llm_provider a { url http://127.0.0.1:1;
                  model m kind=video; }', qr/expected as=ALIAS/ ])
{
    my ($name, $conf, $expected) = @$case;

    $t->refuses($t->http_conf($conf), $expected, $name);
}

$p->stop;
$t->finish;
done_testing;
