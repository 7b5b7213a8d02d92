#!/usr/bin/perl

# POST /v1/audio/transcriptions and /v1/audio/translations: forms that pass but
# for their model, wherever NGINX has put them; what is refused by its name;
# what each comes to in the ledger.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use IO::Socket::INET;
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Form;
use Sallyport::Llm;

my $head = 'url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;'
         . ' connect_timeout 500ms; read_timeout 2s;'
         . ' max_fails 0; cooldown 0;';

my ($t, $p) = Sallyport::Llm::gateway(http => <<"EOC", server => <<'EOS',
    pg_server main "%%PG%%";
    turn_store main flush=10ms;
    turn_spool %%DIR%%/spool;
    moderation_rules %%DIR%%/test.rules;
    llm_provider ears { $head
        model real-ear as=ear kind=transcription price=10/40
                       unit_price=0.0001;
        model first as=pair kind=transcription;
    }
    llm_provider deaf { url http://127.0.0.1:%%PORT2%%/v1; send_timeout 300ms;
        read_timeout 2s; max_fails 0; cooldown 0;
        model deaf as=deaf kind=transcription;
    }
    llm_provider mute { url http://127.0.0.1:%%PORT4%%/v1; send_timeout 20s;
        model mute kind=transcription;
    }
    llm_provider tls { url https://localhost:%%PORT3%%/v1; read_timeout 2s;
        trusted_certificate %%DIR%%/server.pem; max_fails 0; cooldown 0;
        model far as=far kind=transcription;
    }
    server {
        listen 127.0.0.1:%%PORT3%% ssl;
        listen [::1]:%%PORT3%% ssl;
        ssl_certificate %%DIR%%/server.pem;
        ssl_certificate_key %%DIR%%/server.key;
        client_max_body_size 30m;
        location / { proxy_pass http://127.0.0.1:%%PORT1%%; }
    }
    llm_provider other { $head
        model second as=deaf kind=transcription backup;
        model second as=pair kind=transcription backup;
        model real-voice as=voice kind=speech;
    }
EOC
    location = /v1/audio/transcriptions {
        llm_transcriptions ear; moderation input;
    }
    location = /v1/audio/translations { llm_translations ear types=mp3,wav; }
    location = /small { llm_transcriptions ear; body_max_size 8k; }
    location = /first {
        test_steps on; llm_transcriptions ear; moderation input;
    }
    location = /fallback {
        llm_transcriptions ear; error_page 502 = @fallback;
    }
    location @fallback { llm_transcriptions pair; }
    location = /in-memory { llm_transcriptions ear; client_body_buffer_size 1m; }
EOS
    prepare => sub {
        my $dir = $_[0]->dir;

        system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
               . " -nodes -keyout $dir/server.key -out $dir/server.pem -days 2"
               . " -subj /CN=localhost -addext subjectAltName=DNS:localhost"
               . " 2>/dev/null") == 0 or die "openssl";

        $_[0]->file('test.rules', "[t.block category=test action=block]\n"
                                  . "forbidden\n"
                                  . "[t.mask category=test action=mask]\n"
                                  . "secret\n");
    });

my $path = '/v1/audio/transcriptions';
my $sent = 0;

sub audio { return Sallyport::Media::audio($_[0]) }

sub file {
    my ($data, $name) = @_;
    return [ file => { filename => $name // 'a.mp3', type => 'audio/mpeg',
                       data => $data } ];
}

sub raw {
    my ($where, $body, $opt) = @_;

    $sent++;
    return $t->post($where, Sallyport::Form::type(), $body, $opt);
}

sub ask { return raw($path, Sallyport::Form::encode(@_)) }


# the newest row: what it was, how it ended, seconds, tokens, cost, status

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

my $sound = audio(3000);
my $sum = sha256_hex($sound);

my $res = ask(file($sound), [ model => 'ear' ], [ language => 'en' ],
              [ 'timestamp_granularities[]' => 'word' ]);

is($res->{status}, 200, 'a transcription');
is($res->{json}{text}, $sum, 'a transcription: of the file as it was');
is_deeply($p->last_request->{json},
    { order => [ qw(file model language timestamp_granularities[]) ],
      file => { filename => 'a.mp3', type => 'audio/mpeg', size => 3000,
                sha256 => $sum },
      model => 'real-ear', language => 'en',
      'timestamp_granularities[]' => 'word' },
    'all fields pass as they came, the model is the provider\'s');
like($p->last_request->{line}, qr{^POST /v1/audio/transcriptions }, 'its path');
is($p->last_request->{headers}{authorization},
   'Bearer sk-test-0123456789abcdef', 'the operator\'s key');
ok(!$res->{headers}{'set-cookie'}, 'no cookie of the provider');
is(row(), 'transcription complete  12 - - 0.0012 200', 'seconds in its row');

$res = ask([ model => 'ear' ], file($sound), [ prompt => 'fault tokens' ]);
is($res->{json}{text}, $sum, 'the model before the file');
is(row(), 'transcription complete  - 14 7 0.00042 200', 'tokens in its row');

$res = ask(file($sound));
is($res->{json}{text}, $sum, 'no model');
is_deeply([ @{ $p->last_request->{json} }{qw(model order)} ],
          [ 'real-ear', [ 'model', 'file' ] ], 'no model: the location\'s');

$res = ask(file($sound), [ model => 'ear' ],
           [ response_format => 'verbose_json' ]);
is($res->{json}{segments}[0]{text}, $sum, 'verbose_json: as it came');
is(row(), 'transcription complete  9 - - 0.0009 200', 'its duration, rounded up');

for my $format (qw(text srt vtt)) {
    $res = ask(file($sound), [ response_format => $format ]);
    is($res->{body}, "$sum\n", "$format: as it came");
    is($res->{headers}{'content-type'}, 'text/plain; charset=utf-8',
       "$format: its type");
}

is(row(), 'transcription complete  - - - - 200', 'of text nobody tells more');

$res = ask(file($sound), [ response_format => 'srt' ],
           [ prompt => 'fault json' ]);
is($res->{json}{text}, $sum, 'who knows no subtitles may answer in JSON');

$res = ask(file($sound), [ response_format => 'text' ],
           [ prompt => 'fault empty' ]);
is("$res->{status} $res->{body}", '200 ', 'silence');

$res = raw('/v1/audio/translations', Sallyport::Form::encode(file($sound)));
is($res->{json}{text}, $sum, 'a translation');
like($p->last_request->{line}, qr{^POST /v1/audio/translations }, 'its path');
is(row(), 'transcription complete  12 - - 0.0012 200', 'a translation: its row');


# -- where the body lies

for my $size (1, 16_000, 16_384, 60_000, 5_000_000) {
    my $data = audio($size);

    for my $where ($path, '/in-memory') {
        for my $fields ([ file($data), [ model => 'ear' ] ],
                        [ [ model => 'ear' ], file($data) ],
                        [ [ language => 'en' ], file($data), [ model => 'ear' ],
                          [ temperature => '0' ] ])
        {
            my $got = raw($where, Sallyport::Form::encode(@$fields))->{json};

            is($got->{text}, sha256_hex($data), "$where: $size bytes");
            is(scalar @{ $p->last_request->{json}{order} },
               scalar @$fields, 'and all fields');
        }
    }
}

# every byte that could be a boundary, in the file

my $hostile = "\r\n--" . substr($Sallyport::Form::boundary, 0, 9);
$hostile = $hostile x 3000 . "\r\n--\r\r\n";
is(ask(file($hostile), [ model => 'ear' ])->{json}{text},
   sha256_hex($hostile), 'a file of beginnings of boundaries');

$res = $t->post($path, { %{ Sallyport::Form::type() },
                         'Transfer-Encoding' => 'chunked' },
                join('', map { sprintf "%x\r\n%s\r\n", length $_, $_ }
                     Sallyport::Form::encode(file($sound), [ model => 'ear' ])
                     =~ /(.{1,7})/gs) . "0\r\n\r\n");
$sent++;
is($res->{json}{text}, $sum, 'in chunks of seven bytes');

my $form = Sallyport::Form::encode(file($sound), [ model => 'ear' ]);

$res = raw($path, "a preamble\r\n${form}an epilogue\r\n$form");
is($res->{json}{text}, $sum, 'what is around the form');
is_deeply($p->last_request->{json}{order}, [ 'file', 'model' ],
          'what is around the form is not sent on');


# -- streams

for my $how ('plain', 'bytes') {
    $res = ask(file($sound), [ stream => 'true' ], [ prompt => "fault $how" ]);

    is($res->{headers}{'content-type'}, 'text/event-stream', "a stream, $how");
    like($res->{body}, qr/transcript\.text\.done.*$sum.*\n\n\z/s,
         "a stream, $how: whole");
}

is(row(), 'transcription complete  12 - - 0.0012 200', 'a stream: its row');

$res = ask(file($sound), [ stream => 'true' ], [ prompt => 'fault whole' ]);
is($res->{json}{text}, $sum, 'a model that knows no streams');
is($res->{headers}{'content-type'}, 'application/json', 'says so by its type');

for my $how ('cut', 'short') {
    $res = ask(file($sound), [ stream => 'true' ], [ prompt => "fault $how" ]);
    like($res->{body}, qr/"code":"provider_stream_cut"/,
         "$how: the stream ends with an error");
}

for my $format ('json', 'text') {
    my $s = $t->stream('POST', $path, Sallyport::Form::type(),
        Sallyport::Form::encode(file($sound), [ response_format => $format ],
                                [ prompt => 'fault cut' ]));

    $sent++;
    eval { $s->rest };
    ok(!$s->{complete}, "$format, cut: it is not whole");
    like(row(), qr/failed provider_/, "$format, cut: failed");
}


# -- what is masked

$res = ask([ prompt => 'a secret word' ], file($sound), [ model => 'ear' ]);
is($p->last_request->{json}{prompt}, 'a ****** word', 'a prompt is masked');
is($res->{json}{text}, $sum, 'and the file behind it is the same');


# -- errors and refusals

for my $case ([ 'a refused file', 'fault status code=400', 400 ],
              [ 'too many requests', 'fault status code=429', 429 ],
              [ 'a page', 'fault x type=text/html', 502 ],
              [ 'text for JSON', 'fault x type=text/plain', 502 ],
              [ 'no text', 'fault empty', 200 ],
              [ 'a compressed answer', 'fault gzip', 502 ],
              [ 'a blocked prompt', 'a forbidden thing', 422 ])
{
    my ($name, $prompt, $status) = @$case;

    $res = ask(file($sound), [ prompt => $prompt ]);
    is($res->{status}, $status, "$name: $status");
    ok($status == 200 || $res->{json}{error}{code},
       "$name: has a code");
    unlike($res->{body}, qr/sk-test/, "$name: no key");
}

for my $case ([ 'no file', [ [ model => 'ear' ] ], 'file_required file' ],
              [ 'a file that is a text', [ [ file => 'abc' ] ],
                'file_required file' ],
              [ 'a file without a name', [ file($sound, '') ],
                'file_required file' ],
              [ 'a file without bytes', [ file('') ], 'file_empty file' ],
              [ 'two files', [ file($sound), file($sound) ],
                'duplicate_field file' ],
              [ 'two models', [ file($sound), [ model => 'ear' ],
                [ model => 'pair' ] ], 'duplicate_field model' ],
              [ 'an unknown model', [ file($sound), [ model => 'nope' ] ],
                'model_not_found model' ],
              [ 'a model of speech', [ file($sound), [ model => 'voice' ] ],
                'model_not_found model' ],
              [ 'an empty model', [ file($sound), [ model => '' ] ],
                'model_invalid model' ],
              [ 'a model that is a file', [ file($sound),
                [ model => { filename => 'x', data => 'ear' } ] ],
                'model_invalid model' ],
              [ 'a stream by a word', [ file($sound), [ stream => 'yes' ] ],
                'stream_invalid stream' ],
              [ 'a long prompt', [ file($sound),
                [ prompt => 'x' x 16385 ] ], 'field_too_long prompt' ],
              [ 'a prompt that is no text', [ file($sound),
                [ prompt => "a\xffb" ] ], 'invalid_utf8 prompt' ],
              [ 'a NUL', [ file($sound), [ prompt => "a\0b" ] ],
                'invalid_utf8 prompt' ],
              [ 'a blocked name of a file', [ file($sound,
                'forbidden.mp3') ], 'content_blocked -' ])
{
    my ($name, $fields, $expected) = @$case;
    my $before = $p->requests;

    $res = ask(@$fields);

    is("$res->{json}{error}{code} " . ($res->{json}{error}{param} // '-'),
       $expected, "$name: code and name");
    is(scalar $p->requests, $before, "$name: nothing is sent");
}

for my $case ([ 'no last boundary', substr $form, 0, -6 ],
              [ 'half a form', substr $form, 0, 200 ],
              [ 'another boundary', $form =~ s/sp-test_boundary/other/gr ],
              [ 'line feeds', $form =~ s/\r\n/\n/gr ],
              [ 'two names', $form =~ s/name="model"/name="model"; name="x"/r ],
              [ 'nothing', '' ],
              [ 'no form', '{}' ])
{
    my ($name, $body) = @$case;

    $res = raw($path, $body);
    is("$res->{status} $res->{json}{error}{code}", '400 form_invalid',
       "$name: form_invalid");
}

$sent += 2;
$res = $t->post($path, {}, { model => 'ear' });
is("$res->{status} $res->{json}{error}{code}", '415 unsupported_media_type',
   'JSON');
$res = $t->post($path, { 'Content-Type' => 'multipart/form-data' }, $form);
is("$res->{status} $res->{json}{error}{code}", '400 form_invalid',
   'no boundary');

# a reference voice is a data URL of any length

my $url = 'data:audio/wav;base64,' . 'A' x 100_000;

$res = ask([ 'known_speaker_references[]' => $url ], file($sound));
is($p->last_request->{json}{'known_speaker_references[]'}, $url,
   'a data URL may be long');

$res = raw('/small', Sallyport::Form::encode(file(audio(9000))));
is("$res->{status} $res->{json}{error}{code}", '413 body_too_large',
   'body_max_size');

for my $case ([ 'a.MP3', 200 ], [ 'b.wav', 200 ], [ 'c.txt', 400 ],
              [ 'mp3', 400 ], [ 'mp3.', 400 ])
{
    my ($name, $status) = @$case;

    $res = raw('/v1/audio/translations',
               Sallyport::Form::encode(file($sound, $name)));
    is($res->{status}, $status, "types: $name");
}

is($res->{json}{error}{code}, 'file_type_invalid', 'types: its code');


# -- the next target, before the first byte: the file is sent again

for my $size (3000, 3_000_000) {
    my $data = audio($size);

    for my $fault ('status code=503', 'status code=429', 'stall at=accept',
                   'stale always=1', 'gzip')
    {
        $p->mood(first => $fault);
        $res = ask([ model => 'pair' ], file($data));
        $p->mood();

        is($res->{json}{text}, sha256_hex($data),
           "$size bytes, $fault: the next one has the whole file");
        is($p->last_request->{json}{model}, 'second', 'by its own name');
    }
}


# a connection that the provider closes as it is used again

for my $size (3000, 3_000_000) {
    my $data = audio($size);

    ask(file($data), [ model => 'ear' ]);
    $p->mood('real-ear' => 'stale');
    $res = ask(file($data), [ model => 'ear' ]);
    $p->mood();

    is($res->{json}{text}, sha256_hex($data),
       "$size bytes: sent again on another connection");
}

my $before_large = peak();

# one that takes connections and reads nothing

{
    my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8,
                                     LocalPort => $t->port(2), ReuseAddr => 1)
        or die "cannot listen: $!";
    my $data = audio(20_000_000);

    $res = raw($path, Sallyport::Form::encode([ model => 'deaf' ],
                                              file($data)), { timeout => 30 });
    is($res->{json}{text}, sha256_hex($data),
       'who does not read it is left, the next one has all of it');
}

row();
like($t->sql("select attempts::text from gateway.ledger where alias = 'deaf'"),
     qr/send_timeout/, 'by its timeout');

for my $size (1, 70_000, 3_000_000) {
    my $data = audio($size);

    $res = ask(file($data), [ model => 'far' ], [ language => 'en' ]);
    is($res->{json}{text}, sha256_hex($data), "$size bytes over TLS");
}

# another location, after the first one has failed

$res = raw('/fallback', Sallyport::Form::encode(file($sound),
                                                [ prompt => 'fault gzip' ]));
is($res->{status}, 502, 'both fail');
$p->mood('real-ear' => 'gzip');
$res = raw('/fallback', Sallyport::Form::encode(file($sound)));
$p->mood();
is($res->{json}{text}, $sum, 'the other location has the same form');

# a step that has asked for the body as it is, before

for my $size (3000, 100_000) {
    my $data = audio($size);

    $res = raw('/first?admit=body',
               Sallyport::Form::encode(file($data), [ prompt => 'a secret' ]));
    is($res->{json}{text}, sha256_hex($data), "$size bytes, read before");
    is($p->last_request->{json}{prompt}, 'a ******', 'and masked');
}

is(raw('/first?admit=body', 'no form')->{json}{error}{code}, 'form_invalid',
   'no form, read before');


# -- the client leaves: while it sends, while the provider is silent

for my $more ([], [ [ stream => 'true' ] ], [ [ response_format => 'text' ] ])
{
    my $before = $p->requests;
    my $s = $t->stream('POST', $path, Sallyport::Form::type(),
        Sallyport::Form::encode(file($sound), @$more,
                                [ prompt => 'fault stall' ]));

    $sent++;

    $t->wait_until(sub { $p->requests > $before }, 5);

    my $n = $p->last_request->{n};

    $p->wait_event('stalled', $n);
    $s->close;

    my $took = $p->wait_event('closed', $n, 5);

    ok(defined $took && $took < 1, 'closed with the client');
    like(row(), qr/caller_disconnected/, 'who left is in the ledger');
}

# ... while a file goes out to a provider that does not read it

{
    my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8,
                                     LocalPort => $t->port(4), ReuseAddr => 1)
        or die "cannot listen: $!";
    my $s = $t->stream('POST', $path, Sallyport::Form::type(),
        Sallyport::Form::encode([ model => 'mute' ],
                                file(audio(20_000_000))));
    my $c = $mute->accept;

    $sent++;
    $s->close;

    like(row(), qr/caller_disconnected/, 'who left while it is sent on');

    my $got = 0;
    while (my $n = sysread $c, my $buf, 1 << 20) { $got += $n }

    cmp_ok($got, '<', 20_000_000, 'the rest is not sent');
}

{
    my $before = $p->requests;
    my $s = $t->connection;

    $sent++;
    $s->send("POST $path HTTP/1.1\r\nHost: x\r\nContent-Type: "
             . Sallyport::Form::type()->{'Content-Type'}
             . "\r\nContent-Length: 100000\r\n\r\n" . substr $form, 0, 1000);
    $s->close;

    like(row(), qr/^transcription refused caller_disc/, 'who left while sending');
    is(scalar $p->requests, $before, 'nothing was sent on');
}


# -- HTTP/2

$res = raw($path, Sallyport::Form::encode(file(audio(200_000)),
                                          [ model => 'ear' ]),
           { http2 => 'frames' });
is($res->{json}{text}, sha256_hex(audio(200_000)), 'over HTTP/2');

$res = raw($path, Sallyport::Form::encode(file($sound), [ stream => 'true' ]),
           { http2 => 'frames' });
like($res->{body}, qr/transcript\.text\.done.*\n\n\z/, 'a stream over HTTP/2');


$res = raw($path, 'no form' x 20_000, { http2 => 'frames' });
is("$res->{status} $res->{json}{error}{code}", '400 form_invalid',
   'no form over HTTP/2');


# -- 20 MB: no worker holds it

sub peak {
    my $most = 0;

    for my $worker ($t->workers) {
        open my $fh, '<', "/proc/$worker/status" or next;
        my ($kb) = do { local $/; <$fh> } =~ /^VmHWM:\s+(\d+) kB/m;
        $most = $kb if $kb > $most;
    }

    return $most;
}

{
    my $data = audio(20_000_000);
    my $body = Sallyport::Form::encode(file($data), [ model => 'ear' ]);

    for (1 .. 3) {
        is(raw($path, $body, { timeout => 30 })->{json}{text},
           sha256_hex($data), '20 MB');
    }

    my $grown = peak() - $before_large;

    SKIP: {
        skip 'memory under the sanitizers says nothing', 1
            if $ENV{SP_SANITIZE};

        cmp_ok($grown, '<', 5000, "the workers have grown by $grown KB");
    }
}

unlike($t->error_log, qr/sk-test/, 'no key in the log');


# -- the list of models, metrics, configuration

my %kinds = map { $_->{id} => $_->{kind} }
            @{ $t->get('/v1/models')->{json}{data} };

is($kinds{ear}, 'transcription', 'its kind');

like(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
         'provider="ears",kind="transcription",outcome="complete"'),
     qr/^[1-9]/, 'metrics by kind');

for my $case ([ 'another dialect', 'llm_provider a { dialect anthropic;
                  url http://127.0.0.1:1; key_file %%DIR%%/key;
                  model m kind=transcription; }',
                qr/cannot have a model with kind=transcription: dialect/ ],
              [ 'a model of speech', 'llm_provider a { url http://127.0.0.1:1;
                  model m kind=speech; }
                  server { location / { llm_transcriptions m; } }',
                qr/no llm_provider has a model "m" with kind=transcription/ ],
              [ 'types', 'llm_provider a { url http://127.0.0.1:1;
                  model m kind=transcription; }
                  server { location / { llm_transcriptions m types=.mp3; } }',
                qr/invalid list ".mp3" in "types=", expected/ ],
              [ 'a comma too many', 'llm_provider a { url http://127.0.0.1:1;
                  model m kind=transcription; }
                  server { location / { llm_translations m types=mp3,; } }',
                qr/invalid list "mp3," in "types=", expected/ ],
              [ 'filters of the answer', 'moderation_rules %%DIR%%/test.rules;
                  llm_provider a { url http://127.0.0.1:1;
                  model m kind=transcription; } server { location / {
                  llm_transcriptions m; moderation output; } }',
                qr/"moderation output" in/ ],
              [ 'a parameter', 'llm_provider a { url http://127.0.0.1:1;
                  model m kind=transcription; }
                  server { location / { llm_transcriptions m x=1; } }',
                qr/invalid parameter "x=1" of "llm_transcriptions", expected/ ])
{
    my ($name, $conf, $expected) = @$case;

    $t->refuses($t->http_conf($conf), $expected, $name);
}

$p->stop;
$t->finish;
done_testing;
