#!/usr/bin/perl

# Anthropic's Messages API on both sides: each client with each provider, as a
# stream and whole; what providers do wrong, in the client's dialect; who
# leaves; what filters change.

use strict;
use warnings;
use utf8;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $key = Sallyport::JWT->new('HS256', kid => 'k');
my $head = 'dialect anthropic; url http://127.0.0.1:%%PORT1%%/v1;'
         . ' key_file %%DIR%%/key; connect_timeout 500ms; read_timeout 700ms;'
         . ' max_fails 0; cooldown 0;';

my ($t, $p) = Sallyport::Llm::gateway(
    http => "moderation_rules %%DIR%%/test.rules;
        auth_jwt_key_file %%DIR%%/jwks.json;
        map \$http_authorization \$messages_token {
            \"~*^bearer (.+)\" \$1; default \$http_x_api_key; }
        llm_provider claude { $head max_tokens 500;
            model real-claude as=claude;
            model first as=late backup; model third as=early;
            model real-claude as=tight context=1k; }
        llm_provider plain { $head model real-claude as=plain; }
        llm_provider other { url http://127.0.0.1:%%PORT1%%/v1;
            key_file %%DIR%%/key; read_timeout 700ms;
            max_fails 0; cooldown 0;
            model second as=late; model second as=early backup; }",
    location => 'llm_message_limit 0;',
    server => '
        location = /v1/messages { error_format anthropic; llm_message_limit 0;
                                  llm_pass default dialect=anthropic; }
        location = /auth { error_format anthropic;
                           auth_jwt "test" token=$messages_token;
                           llm_pass claude dialect=anthropic; }
        location = /refuse { error_format anthropic;
                             llm_system_messages refuse;
                             llm_pass claude dialect=anthropic; }
        location = /in { error_format anthropic; moderation input;
                         llm_message_limit 0;
                         llm_pass claude dialect=anthropic; }
        location = /out { error_format anthropic; moderation output;
                          llm_message_limit 0;
                          llm_pass claude dialect=anthropic; }',
    prepare => sub {
        $_[0]->file('jwks.json', Sallyport::JWT::jwks($key), 0600);
        $_[0]->file('test.rules', <<'EOR') });
[o.block category=abuse severity=4]
zebra
[o.mask category=profanity action=mask]
think
secret
[o.tool category=x stage=input]
toolword
[o.history category=x stage=input roles=assistant]
once
EOR

my $hello = $Sallyport::Llm::hello;
my $json = $Sallyport::Llm::json;


# what came of it, whatever the dialect of the client: {status, text, thinking,
# calls => [[id, name, input]], end, error, type, usage, res, ...}

sub chat {
    my ($client, $model, $text, $stream, %more) = @_;

    my $opt = delete $more{opt};
    my $headers = delete $more{headers} || {};
    my $path = delete $more{path};
    my $body = { model => $model, messages =>
                 [ { role => 'user', content => $text } ],
                 $stream ? (stream => \1) : (),
                 $client eq 'openai'
                 ? ($stream ? (stream_options => { include_usage => \1 }) : ())
                 : (max_tokens => 100), %more };

    my $res = $t->post($path || ($client eq 'openai' ? '/v1/chat/completions'
                                                     : '/v1/messages'),
                       $headers, $body, $opt);
    my %out = (status => $res->{status}, res => $res);

    if ($res->{status} != 200) {
        @out{qw(error type param)} = @{ $res->{json}{error} }{qw(code type
                                                                 param)};
        return \%out;
    }

    return { %out, $client eq 'openai'
                   ? %{ read_openai($res, $stream) }
                   : %{ read_anthropic($res, $stream) } };
}


sub read_anthropic {
    my ($res, $stream) = @_;

    my $out = Sallyport::Anthropic::parse($res->{body}, $stream);

    @$out{qw(error type)} = @{ $out->{error} }{qw(code type)}
        if $out->{error};
    $out->{total} = ($out->{usage}{input_tokens} || 0)
        + ($out->{usage}{cache_read_input_tokens} || 0)
        + ($out->{usage}{cache_creation_input_tokens} || 0);
    $out->{output} = $out->{usage}{output_tokens};

    return $out;
}


sub read_openai {
    my ($res, $stream) = @_;

    my %out = (calls => [], thinking => '');
    my @choices;

    if ($stream) {
        my $parsed = Sallyport::Llm::parse($res->{body});

        @out{qw(text end usage done broken)} =
            @$parsed{qw(text finish usage done broken)};
        @out{qw(error type)} = @{ $parsed->{error} }{qw(code type)}
            if $parsed->{error};
        @choices = map { @{ $json->decode($_)->{choices} || [] } }
                   $res->{body} =~ /^data: (\{.*)$/mg;

    } else {
        my $choice = $res->{json}{choices}[0];

        @out{qw(text end)} = ($choice->{message}{content} // '',
                              $choice->{finish_reason});
        $out{usage} = $res->{json}{usage};
        @choices = ($choice);
    }

    my $i = 0;

    for my $said (map { $_->{delta} || $_->{message} } @choices) {
        $out{thinking} .= $said->{reasoning_content} // '';

        for my $call (@{ $said->{tool_calls} || [] }) {
            my $slot = $out{calls}[$call->{index} // $i++] ||= [ '', '', '' ];

            $slot->[0] .= $call->{id} // '';
            $slot->[1] .= $call->{function}{name} // '';
            $slot->[2] .= $call->{function}{arguments} // '';
        }
    }

    $_->[2] = eval { JSON::PP->new->decode($_->[2]) } for @{ $out{calls} };
    @out{qw(total output)} = @{ $out{usage} || {} }{qw(prompt_tokens
                                                       completion_tokens)};
    return \%out;
}


# -- each client with each provider

my %end = (openai => { end_turn => 'stop', tool_use => 'tool_calls' });
my %order = (claude => 'M(p)D.', default => 'M()D.');

for my $client ('openai', 'anthropic') {
    for my $model ('default', 'claude') {
        for my $stream (0, 1) {
            for my $opt ($stream ? ({}, { http2 => 1 }) : {}) {
                each_with_each($client, $model, $stream, $opt);
            }
        }
    }
}


sub each_with_each {
    my ($client, $model, $stream, $opt) = @_;

    my $name = "$client, $model" . ($stream ? ', a stream' : '')
               . ($opt->{http2} ? ', HTTP/2' : '');
    my $out = chat($client, $model, 'hi', $stream, opt => $opt);
    my $claude = $model eq 'claude';

    is($out->{text}, $hello, "$name: the text") or diag $out->{res}{body};
    is($out->{end}, $end{$client}{end_turn} // 'end_turn', "$name: its end");
    is($out->{total}, 11, "$name: the tokens of the prompt, cached or not");
    is($out->{output}, 5, "$name: of the answer");
    is($out->{broken}, undef, "$name: whole events");

    if ($client eq 'anthropic') {
        is($out->{usage}{cache_read_input_tokens}, $claude ? 5 : 4,
           "$name: what the cache had");
        is($out->{order}, $order{$model}, "$name: the order of events")
            if $stream;

    } else {
        is($out->{usage}{prompt_tokens_details}{cached_tokens},
           $claude ? 5 : 4, "$name: what the cache had");
        ok($out->{done}, "$name: [DONE]") if $stream;
    }

    my $sent = $p->last_request;

    is($sent->{line}, $claude ? 'POST /v1/messages HTTP/1.1'
                              : 'POST /v1/chat/completions HTTP/1.1',
       "$name: where to");
    is($sent->{headers}{$claude ? 'x-api-key' : 'authorization'},
       ($claude ? '' : 'Bearer ') . 'sk-test-0123456789abcdef',
       "$name: with the key");
    is($sent->{headers}{'anthropic-version'}, $claude ? '2023-06-01' : undef,
       "$name: and the version");
    is($sent->{json}{max_tokens},
       $client eq 'anthropic' ? 100 : $claude ? 500 : undef,
       "$name: how long it may be");

    $out = chat($client, $model, 'fault tools', $stream, opt => $opt);

    is_deeply([ map { [ @$_[1, 2] ] } @{ $out->{calls} } ],
              [ [ 'weather', { at => 'Rôme' } ], [ 'now', {} ] ],
              "$name: calls, one without arguments")
        or diag $out->{res}{body};
    like($out->{calls}[1][0], $claude ? qr/^toolu_2$/ : qr/^call_2$/,
         "$name: with their ids");
    is($out->{text}, $hello, "$name: and the text before them");
    is($out->{end}, $end{$client}{tool_use} // 'tool_use',
       "$name: a call is the end");

    $out = chat($client, $model, 'fault think', $stream, opt => $opt);

    is($out->{thinking}, 'Let me think.', "$name: reasoning");
    is($out->{text}, $hello, "$name: and what comes of it");

    if ($client eq 'anthropic') {
        is($out->{signature}, $claude ? $Sallyport::Anthropic::signature : '',
           "$name: signed");
        is($out->{redacted}, $claude ? 'opaque' : undef,
           "$name: or not to be read");
    }

    return;
}


# -- results of tools, images: what the provider gets

my $image = 'iVBORw0KGgo' . 'A' x 70000;
my %turns = (
    openai => [
        { role => 'user', content => [ { type => 'image_url', image_url =>
            { url => "data:image/png;base64,$image" } } ] },
        { role => 'assistant', tool_calls => [ map { { id => "c$_",
            type => 'function', function => { name => 'f',
            arguments => "{\"n\":$_}" } } } 1, 2 ] },
        (map { { role => 'tool', tool_call_id => "c$_",
                 content => "r$_" } } 1, 2),
        { role => 'user', content => 'hi' } ],
    anthropic => [
        { role => 'user', content => [ { type => 'image', source =>
            { type => 'base64', media_type => 'image/png',
              data => $image } } ] },
        { role => 'assistant', content => [ map { { type => 'tool_use',
            id => "c$_", name => 'f', input => { n => $_ } } } 1, 2 ] },
        { role => 'user', content => [ (map { { type => 'tool_result',
            tool_use_id => "c$_", content => "r$_" } } 1, 2),
            { type => 'text', text => 'hi' } ] } ]);

for my $client ('openai', 'anthropic') {
    for my $model ('default', 'claude') {
        my $out = chat($client, $model, '', 1, messages => $turns{$client});
        my $sent = $p->last_request->{json}{messages};
        my $to = $model eq 'claude' ? 'anthropic' : 'openai';
        my @expected = @{ $turns{$to} };

        is($out->{text}, $hello, "$client, $model: turns of tools");

        # what has no content, or is a string of one, may be written so

        for my $message (@$sent) {
            delete $message->{content} if !defined $message->{content};
            $message->{content} = $message->{content}[0]{text}
                if $to eq 'openai' && ref $message->{content}
                   && $message->{content}[0]{type} eq 'text';
        }

        is_deeply($sent, \@expected, "$client, $model: as its API has them");
    }
}


# -- what a provider does wrong, in the dialect of the client

for my $client ('openai', 'anthropic') {
    for my $model ('claude', 'default') {
        for my $case ([ 'bytes' ], [ 'crlf' ], [ 'length' ], [ 'close' ],
                      [ 'hold' ], [ 'comments' ],
                      [ 'short', 'provider_stream_cut' ],
                      [ 'cut at=mid', 'provider_stream_cut' ],
                      [ 'error', 'provider_error' ],
                      [ 'garbage', 'provider_invalid_event' ],
                      [ 'stall at=mid', 'provider_read_timeout' ])
        {
            my ($fault, $code) = @$case;

            next if $fault eq 'short' && $model eq 'default';

            my $out = chat($client, $model, "fault $fault", 1);
            my $name = "$client, $model, $fault";

            is($out->{error}, $code, "$name: the error")
                or diag $out->{res}{body};
            like($out->{text}, !$code ? qr/^\Q$hello\E$/
                 : $fault =~ /mid/ ? qr/^(?:Hello|$)/ : qr/^Hello/,
                 "$name: the text");
            unlike($out->{res}{body}, qr/acct-7788/,
                   "$name: nothing of the account");

            next if !$code;

            ok($client eq 'openai' ? !$out->{done} : $out->{order} =~ /!$/,
               "$name: the error is the last word");
            is($out->{type}, $fault =~ /stall/ ? 'timeout_error' : 'api_error',
               "$name: its type") if $client eq 'anthropic';
        }
    }

    my $out = chat($client, 'claude', 'fault error type=overloaded_error', 1);
    is($out->{error}, 'provider_overloaded', "$client: overloaded on the way");
    is($out->{type}, 'overloaded_error', 'so is its type')
        if $client eq 'anthropic';

    $out = chat($client, 'claude', 'fault short told=1', 1);
    is($out->{text}, $hello, "$client: no last event, but its end was told");
    is($out->{error}, undef, 'that is no error');
    is($out->{order}, 'M(p)D.', 'the last event is there') # not from the fake
        if $client eq 'anthropic';

    for my $case ([ 400, 400, 'provider_refused_request',
                    'invalid_request_error' ],
                  [ 401, 502, 'provider_credentials_exhausted', 'api_error' ],
                  [ 429, 429, 'provider_rate_limited', 'rate_limit_error' ],
                  [ 529, 503, 'provider_overloaded', 'overloaded_error' ])
    {
        my ($code, $status, $error, $type) = @$case;

        for my $stream (0, 1) {
            $out = chat($client, 'claude', "fault status code=$code", $stream);

            is("$out->{status} $out->{error}", "$status $error",
               "$client, $code: status and code");
            is($out->{type}, $type, "$client, $code: type")
                if $client eq 'anthropic';
            like($out->{res}{body}, $code == 400 ? qr/Unsupported value/
                 : qr/^(?!.*acct-7788)/, "$client, $code: the words");
        }
    }

    $out = chat($client, $client eq 'openai' ? 'claude' : 'default',
                'fault error', 0);
    is("$out->{status} $out->{error}", '502 provider_error',
       "$client: a whole answer that is an error");
}

my $out = chat('anthropic', 'claude', 'hi', 0, path => '/v1/messages',
               max_tokens => 0);
is($out->{res}{json}{type}, 'error', 'the shape of an error');
like($out->{res}{json}{request_id}, qr/^[0-9a-f]{32}$/, 'with its id');
is_deeply($out->{res}{json}{error},
          { type => 'invalid_request_error', code => 'max_tokens_required',
            param => 'max_tokens',
            message => '"max_tokens" must be a positive integer' },
          'and what is wrong');


# -- how it ends

for my $stream (0, 1) {
    for my $case ([ 'stop', 'stop', 'stop_sequence', '##' ],
                  [ 'pause', 'stop', 'pause_turn' ],
                  [ 'refuse', 'content_filter', 'refusal' ])
    {
        my ($fault, $openai, $anthropic, $sequence) = @$case;

        is(chat('openai', 'claude', "fault $fault", $stream)->{end}, $openai,
           "$anthropic, to an OpenAI client");

        for my $path ('/v1/messages', '/out') {
            my $out = chat('anthropic', 'claude', "fault $fault", $stream,
                           path => $path);
            is($out->{end}, $anthropic, "$anthropic, to its own, $path");
            is($out->{sequence}, $sequence, 'and what stopped it');
        }
    }
}


# -- the same dialect: bytes, headers, metadata

my $raw = '{"model" : "claude","max_tokens": 50,"top_k":3, "temperature":0.70,'
        . '"tools":[{"type":"web_search_20250305","name":"web_search"}],'
        . '"metadata":{"user_id":"u-1","memory":"off"},'
        . '"messages":[ {"role":"user","content":"hi"} ]}';
my $res = $t->request('POST', '/v1/messages',
    { 'Content-Type' => 'application/json', 'x-api-key' => 'mine',
      'anthropic-beta' => 'files-api-2025-04-14,context-1m',
      'anthropic-version' => '2099-01-01', Authorization => 'Bearer mine' },
    $raw);
my $sent = $p->last_request;

is($res->{status}, 200, 'what only Anthropic has passes to it');
is_deeply($sent->{json}, { model => 'real-claude', max_tokens => 50,
    top_k => 3, temperature => 0.7, metadata => { user_id => 'u-1' },
    tools => [ { type => 'web_search_20250305', name => 'web_search' } ],
    messages => [ { role => 'user', content => 'hi' } ] },
    'without what is ours');
is($sent->{headers}{'anthropic-beta'}, 'files-api-2025-04-14,context-1m',
   'with its beta');
is($sent->{headers}{'anthropic-version'}, '2099-01-01',
   'and the version that its bytes are of');
is($sent->{headers}{'x-api-key'}, 'sk-test-0123456789abcdef', 'our key');
is($sent->{headers}{authorization}, undef, 'never the client\'s');

chat('anthropic', 'default', 'hi', 1, headers => { 'anthropic-beta' => 'x',
    'anthropic-version' => '2099-01-01' });
is($p->last_request->{headers}{'anthropic-version'}, undef,
   'a version is nothing to another API');
is($p->last_request->{headers}{'anthropic-beta'}, undef,
   'a beta is nothing to another API');

for my $value ('x' x 1100, "a\xe9b") {
    my $out = chat('anthropic', 'claude', 'hi', 1,
                   headers => { 'anthropic-beta' => $value });
    is("$out->{status} $out->{error}", '400 header_invalid',
       'a header that is none');
}

$out = chat('anthropic', 'default', 'hi', 0, top_k => 3);
is("$out->{status} $out->{error} $out->{param}",
   '400 unsupported_parameter top_k', 'what cannot be translated is named');
$out = chat('openai', 'claude', 'hi', 0, seed => 3);
is("$out->{status} $out->{error} $out->{param}",
   '400 unsupported_parameter seed', 'both ways');

chat('openai', 'plain', 'hi', 1);
is($p->last_request->{json}{max_tokens}, 4096, 'as long as by default');

# history over the budget goes by turns, and begins with a user

my @history = map { ({ role => 'user', content => "q$_ " . 'x' x 1500 },
    { role => 'assistant', content => [ { type => 'tool_use', id => "t$_",
        name => 'f', input => {} } ] },
    { role => 'user', content => [ { type => 'tool_result',
        tool_use_id => "t$_", content => "r$_" } ] },
    { role => 'assistant', content => "a$_" }) } 1 .. 4;

$out = chat('anthropic', 'tight', '', 1, messages =>
            [ @history, { role => 'user', content => 'so?' } ]);
my @left = @{ $p->last_request->{json}{messages} };
is($out->{text}, $hello, 'a history that is too long');
ok(@left < @history, 'is cut');
is($left[0]{role}, 'user', 'and begins with a user');
ok(!ref $left[0]{content}, 'who did not answer to a call');


# -- who may

$res = chat('anthropic', 'claude', 'hi', 0, path => '/auth');
is("$res->{status} $res->{type}", '401 authentication_error', 'no token');

my $token = $key->token({ sub => '00000000-0000-4000-8000-00000000000a',
                          exp => int(time) + 600 });

for my $headers ({ 'x-api-key' => $token },
                 { Authorization => "Bearer $token" })
{
    $res = chat('anthropic', 'claude', 'hi', 0, path => '/auth',
                headers => $headers);
    is($res->{text}, $hello, 'a token where the SDKs have a key: '
                             . join ' ', keys %$headers);
}
$res = chat('anthropic', 'claude', 'hi', 0, path => '/refuse', system => 'x');
is("$res->{status} $res->{error}", '400 system_message_refused',
   'a system prompt is one of its messages');


# -- what a client says, judged

for my $case ([ { system => 'a zebra' }, 'a system prompt' ],
              [ { system => [ { type => 'text', text => 'a zebra' } ] },
                'in blocks' ],
              [ { messages => [ { role => 'user', content => [
                  { type => 'document', source => { type => 'text',
                    media_type => 'text/plain', data => 'a zebra' } },
                  { type => 'text', text => 'x' } ] } ] }, 'a document' ],
              [ { messages => [ { role => 'user', content => [
                  { type => 'tool_result', tool_use_id => 't', content => [
                    { type => 'text', text => 'toolword' } ] },
                  { type => 'text', text => 'x' } ] } ] },
                'a result of a tool' ],
              [ { messages => [ { role => 'user', content => 'x' },
                  { role => 'assistant', content => [ { type => 'tool_use',
                    id => 't', name => 'f', input => { a => [ 'once' ] } } ]
                  }, { role => 'user', content => 'x' } ] },
                'arguments of a call' ],
              [ { messages => [ { role => 'user', content => 'x' },
                  { role => 'assistant', content => [ { type => 'thinking',
                    thinking => 'only once', signature => 's' } ]
                  }, { role => 'user', content => 'x' } ] }, 'thinking' ])
{
    my ($more, $name) = @$case;
    my $out = chat('anthropic', 'claude', 'hi', 1, path => '/in', %$more);
    is($out->{status}, 422, "$name is judged") or diag $out->{res}{body};
}

$out = chat('anthropic', 'claude', 'hi', 1, path => '/in',
    system => 'a secret', messages => [ { role => 'user', content => [
        { type => 'image', source => { type => 'base64',
          media_type => 'image/png', data => 'zebra' } },
        { type => 'text', text => 'no secret' } ] },
      { role => 'assistant', content => [ { type => 'thinking',
        thinking => 'hm', signature => 'zebra' },
        { type => 'text', text => 'x' } ] },
      { role => 'user', content => 'so?' } ]);
is($out->{status}, 200, 'bytes and signatures are no texts');
$sent = $p->last_request->{json};
is($sent->{system}, 'a ******', 'a system prompt is masked');
is($sent->{messages}[0]{content}[1]{text}, 'no ******', 'so is a text');
is($sent->{messages}[1]{content}[0]{signature}, 'zebra',
   'a signature is not');


# -- what a model says, judged

for my $stream (0, 1) {
    my $out = chat('anthropic', 'claude', 'hi', $stream, path => '/out');
    is($out->{text}, $hello, 'what is judged is written anew');
    is($out->{total}, 11, 'with its usage');
    like($out->{order}, qr/^M\(\)D\.$/, 'in order') if $stream;
    is($out->{model}, 'claude', 'by the model the client asked for');

    $out = chat('anthropic', 'claude', 'fault tools', $stream,
                path => '/out');
    is_deeply($out->{calls}, [ [ 'toolu_1', 'weather', { at => 'Rôme' } ],
                               [ 'toolu_2', 'now', {} ] ], 'so are calls')
        or diag $out->{res}{body};

    $out = chat('anthropic', 'claude', 'fault think', $stream,
                path => '/out');
    is($out->{thinking}, 'Let me *****.', 'reasoning is edited');
    is($out->{signature}, '', 'so its signature is none any more');
    is($out->{redacted}, 'opaque', 'what nobody can read passes');
    is($out->{text}, $hello, 'and the text');
}

sub thinking {
    return join "\n", map { $json->encode($_) }
        { type => 'message_start', message => { usage => {} } },
        (map { my $i = $_; ({ type => 'content_block_start', index => $i,
            content_block => { type => 'thinking', thinking => '' } },
          (map { { type => 'content_block_delta', index => $i,
                   delta => { type => 'thinking_delta', thinking => $_ } } }
               @{ $_[$i] }),
          { type => 'content_block_delta', index => $i,
            delta => { type => 'signature_delta', signature => "sig$i" } },
          { type => 'content_block_stop', index => $i }) } 0 .. $#_),
        { type => 'message_delta', delta => { stop_reason => 'end_turn' },
          usage => { output_tokens => 3 } }, { type => 'message_stop' };
}

$out = chat('anthropic', 'claude', "fault raw\n"
            . thinking([ 'all ', 'fine' ], [ 'a thi', 'nk' ], [ 'fine' ]), 1,
            path => '/out');
is_deeply([ map { [ @$_{qw(thinking signature)} ] } @{ $out->{blocks} } ],
          [ [ 'all fine', 'sig0' ], [ 'a *****', '' ], [ 'fine', 'sig2' ] ],
          'each reasoning with the signature that is its own')
    or diag $out->{res}{body};

$out = chat('anthropic', 'claude', "fault raw\n"
            . thinking([ 'a zeb', 'ra' ], [ 'more' ]), 1, path => '/out');
is($out->{end}, 'refusal', 'what is refused ends the answer');
unlike($out->{res}{body}, qr/sig0|more/, 'with nothing behind it');


# -- another target, of another dialect, before the first event

for my $model ('late', 'early') {
    my ($first, $other) = $model eq 'late' ? qw(second first)
                                           : qw(third second);

    for my $client ('openai', 'anthropic') {
        for my $fault ('status code=529', 'error at=0', 'cut at=header',
                       'status code=401', 'stall at=accept')
        {
            my $before = () = $p->requests;
            my $out = chat($client, $model, "fault $fault model=$first", 1);
            my @asked = map { $_->{json}{model} } $p->requests;

            is($out->{text}, $hello, "$client, $model, $fault: answered")
                or diag $out->{res}{body};
            is("@asked[$before .. $#asked]", "$first $other",
               "$client, $model, $fault: by the other one");
        }
    }
}


# -- the client leaves

for my $case ([ 'before the header', 'fault stall at=accept', 1 ],
              [ 'in a stream', 'fault stall at=mid', 1, qr/message_start|role/ ],
              [ 'in a whole answer', 'fault stall at=mid', 0 ])
{
    my ($name, $text, $stream, $ready) = @$case;

    for my $model ('claude', 'default') {
        my $before = $p->requests;
        my $s = $t->stream('POST', '/v1/messages', {}, { model => $model,
            max_tokens => 5, stream => $stream ? \1 : \0,
            messages => [ { role => 'user', content => $text } ] });

        $t->wait_until(sub { $p->requests > $before }, 5);

        my $n = $p->last_request->{n};

        ok($ready ? $s->read_until($ready, 5) : $p->wait_event('stalled', $n),
           "$name, $model: it has begun");
        $s->close;
        ok($p->wait_event('closed', $n), "$name, $model: the provider is left");
    }
}


# -- configuration

for my $case ([ 'url http://127.0.0.1; max_tokens 5;',
                'where none is needed', qr/"max_tokens" of llm_provider "x" has no effect: requests of dialect "openai" need none/ ],
              [ 'dialect anthropic; url http://127.0.0.1; max_tokens 0;',
                'none', qr/1 to 10000000/ ],
              [ 'dialect anthropic; url http://127.0.0.1;
                 model e kind=embedding;', 'embeddings',
                qr/dialect "anthropic" has none/ ])
{
    my ($block, $name, $why) = @$case;
    $t->refuses($t->http_conf("llm_provider x { model m; $block }\n"), $why,
                $name);
}

$p->stop;
$t->finish;
done_testing;
