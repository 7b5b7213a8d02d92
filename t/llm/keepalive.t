#!/usr/bin/perl

# A provider that thinks for long: the client gets words that say nothing,
# between events only, and an error or another target's answer after them.

use strict;
use warnings;
use utf8;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::HTTP2;
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $head = 'url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;'
         . ' connect_timeout 500ms; read_timeout 600ms; max_fails 0; cooldown 0;';

my ($t, $p) = Sallyport::Llm::gateway(http => <<"EOC", server => <<'EOS');
    llm_keepalive 100ms;
    llm_provider one { $head model first as=pair; }
    llm_provider two { $head model second as=pair backup; }
    llm_provider sayer { dialect say; $head model great-sayer as=sayer; }
    llm_provider down { url http://127.0.0.1:%%PORT2%%; model m as=down; }
EOC
    location = /off { llm_keepalive off; llm_pass default; }
    location = /limited { limit_rate 200; llm_pass default; }
    location = /say { error_format say; llm_pass default dialect=say; }
    location = /gzip { gzip on; gzip_types *; gzip_min_length 1;
                       llm_pass default; }
EOS

my $ping = qr/: ping\n/;
my @http = ({}, { http2 => 1 });


sub chat {
    my ($text, $opt, %more) = @_;

    my $path = delete $more{path} || '/v1/chat/completions';

    return $t->post($path, {},
        Sallyport::Llm::body($text, stream => \1, %more), $opt);
}

# the same without them
sub said { return $_[0] =~ s/^$ping//gmr }

my $direct = said(chat('hi', {})->{body});


# -- before the first byte

for my $opt (@http) {
    my $how = $opt->{http2} ? 'HTTP/2' : 'HTTP/1.1';
    my $res = chat('fault late after=350', $opt);

    is($res->{status}, 200, "$how: answered");
    like($res->{body}, qr/\A(?:$ping){2,3}data: /, "$how: after pings");
    is(said($res->{body}), $direct, "$how: and what follows is all of it");
    is($res->{headers}{'content-type'}, 'text/event-stream', "$how: its type");
    is($res->{headers}{'cache-control'}, 'no-cache', "$how: not cached");
    is($res->{headers}{'x-accel-buffering'}, 'no', "$how: not buffered");
    ok(!exists $res->{headers}{'content-length'}, "$how: no length");
    ok($opt->{http2} || $res->{complete}, "$how: a proper end");

    $res = chat('fault late after=250', $opt, model => 'sayer');
    like($res->{body}, qr/\A(?:$ping){1,2}data: /,
         "$how: a provider of another dialect");
    is(Sallyport::Llm::parse(said($res->{body}))->{done}, 1, "$how: ends");

    $res = chat('fault late after=250', $opt, path => '/off');
    is($res->{body}, $direct, "$how: off");

    $res = $t->post('/gzip', { 'Accept-Encoding' => 'gzip' },
        Sallyport::Llm::body('fault late after=250', stream => \1), $opt);
    is(said($res->{body}), $direct, "$how: never compressed");

    $res = $t->post('/v1/chat/completions', {},
        Sallyport::Llm::body('fault late after=250'), $opt);
    is($res->{json}{choices}[0]{message}{content}, $Sallyport::Llm::hello,
       "$how: none in an answer that is no stream");

    $res = $t->post('/say', {}, { model => 'sayer', live => \1, talk => [
        { who => 'user', says => 'fault late after=250' } ] }, $opt);
    unlike($res->{body}, $ping, "$how: none in a dialect that has none");
    like($res->{body}, qr/"end"/, "$how: which is answered");
}

my $s = $t->stream('POST', '/v1/chat/completions', {},
                   Sallyport::Llm::body('fault late after=500', stream => \1));
my $start = time;

ok($s->read_until($ping, 2), 'the first one is sent');
cmp_ok(time - $start, '<', 0.4, 'before the provider has answered');
$s->close;


# -- what fails after it is an event

my %late = (
    'status code=429 retry=7' => 'provider_rate_limited',
    'status code=500' => 'provider_failed',
    'status code=400 chunked=1' => 'provider_refused_request',
    'status code=401' => 'provider_credentials_exhausted',
    'type' => 'provider_content_type',
    'gzip' => 'provider_encoded',
    'header' => 'provider_unreachable',
    'cut at=header' => 'provider_stream_cut',
    'stall at=header' => 'provider_read_timeout',
    'stall at=mid' => 'provider_read_timeout',
    'error' => 'provider_error',
);

for my $fault (sort keys %late) {
    for my $opt (@http) {
        my $name = "$fault" . ($opt->{http2} ? ', HTTP/2' : '');
        my $res = chat("fault $fault after=150", $opt);
        my $out = Sallyport::Llm::parse(said($res->{body}));

        is($res->{status}, 200, "$name: the status is out");
        like($res->{body}, qr/\A$ping/, "$name: a ping first");
        is($out->{error}{code}, $late{$fault}, "$name: an error event")
            or diag($res->{body});
        is($out->{done}, 0, "$name: no [DONE]");
        is($out->{broken}, undef, "$name: no half of an event");
        unlike($res->{body}, qr/acct-7788|HTTP\/1/, "$name: nothing else");
    }
}

like(Sallyport::Llm::parse(said(chat('fault status code=400 after=150', {})
         ->{body}))->{error}{message}, qr/refused the request: Unsupported value: é/, 'what the client is to blame for is told');

my $res = chat('fault stall at=accept', {});

is(Sallyport::Llm::parse(said($res->{body}))->{error}{code},
   'provider_timeout', 'a provider that never answers');
is(chat('hi', {}, model => 'down')->{status}, 502,
   'a failure before the first ping has its status');


# a refusal that goes out slowly is not a stream

$res = chat(join(' ', 100 .. 340), {}, path => '/limited', model => 'small');
is("$res->{status} $res->{json}{error}{code}", '400 context_length_exceeded',
   'refused before anything was asked');
unlike($res->{body}, $ping, 'and nothing is said in it');


# -- another target, as long as nothing was said

for my $fault ('status code=500 after=150', 'type after=150',
               'error at=0 after=150', 'stall at=accept', 'stall at=header',
               'cut at=header after=150')
{
    for my $opt (@http) {
        my $name = "pair, $fault" . ($opt->{http2} ? ', HTTP/2' : '');

        $res = chat("fault $fault model=first", $opt, model => 'pair');

        like($res->{body}, qr/\A$ping/, "$name: a ping");

        my $out = Sallyport::Llm::parse(said($res->{body}));

        is($out->{text}, $Sallyport::Llm::hello, "$name: the other one's answer")
            or diag($res->{body});
        is("$out->{done}" . ($out->{error} ? 'error' : ''), 1,
           "$name: a proper end");
    }
}

$res = chat('fault status code=429 after=150', {}, model => 'pair');
is(Sallyport::Llm::parse(said($res->{body}))->{error}{code},
   'provider_rate_limited', 'both fail: the last one tells');


# -- in the stream, between events

for my $fault ('slow words=2 delay=240', 'crlf delay=150', 'cr delay=150') {
    for my $opt (@http) {
        my $name = $fault . ($opt->{http2} ? ', HTTP/2' : '');
        my $eol = $fault =~ /crlf/ ? "\r\n" : $fault =~ /cr/ ? "\r" : "\n";

        $res = chat("fault $fault", $opt);

        my @pings = $res->{body} =~ /$eol$eol: ping[\r\n]/g;
        my $left = $res->{body} =~ s/: ping[\r\n]//gr;
        my $out = Sallyport::Llm::parse($left);

        cmp_ok(scalar @pings, '>=', 4, "$name: pings at event boundaries");
        is($res->{body} =~ s/.*?: ping[\r\n]//gsr =~ /ping/ ? 1 : 0, 0,
           "$name: none anywhere else");
        unlike($res->{body}, qr/: ping(?:\n\n|\r\r|\r\n\r\n)/,
               "$name: no blank line behind one");
        is("$out->{done}" . ($out->{broken} || ''), 1, "$name: all of it");
    }
}

$res = chat('fault hold', {});
unlike($res->{body}, qr/\[DONE\].*ping/s, 'none behind the end');


# -- the client leaves between them: the provider's connection is closed

for my $http2 (0, 1) {
    for my $fault ('late after=5000', 'stall at=header', 'slow words=99 delay=300') {
        my $before = $p->requests;
        my $body = Sallyport::Llm::body("fault $fault", stream => \1);
        my ($c, $id);

        if ($http2) {
            $c = Sallyport::HTTP2->connect('127.0.0.1:' . $t->port('H2'));
            $id = $c->request('POST', '/v1/chat/completions',
                              { 'Content-Type' => 'application/json' },
                              $Sallyport::Llm::json->encode($body));
        } else {
            $c = $t->stream('POST', '/v1/chat/completions', {}, $body);
            $c->read_until($ping, 2);
        }

        $t->wait_until(sub { $p->requests > $before }, 5);

        my $n = $p->last_request->{n};

        $t->wait_until(sub {
            $c->take(time + 0.05);
            ($c->{streams}{$id}{body} // '') =~ $ping;
        }, 5) if $http2;

        $http2 ? $c->reset($id) : $c->close(abrupt => 1);

        my $took = $p->wait_event('closed', $n, 5);

        ok(defined $took && $took < 1,
           "$fault: left, " . ($http2 ? 'HTTP/2 RST_STREAM' : 'HTTP/1.1'));
        $c->close if $http2;
    }
}


# the same while the next target is asked

for my $http2 (0, 1) {
    my $before = $p->requests;
    my $body = Sallyport::Llm::body('fault stall at=accept', stream => \1,
                                    model => 'pair');
    my ($c, $id);

    if ($http2) {
        $c = Sallyport::HTTP2->connect('127.0.0.1:' . $t->port('H2'));
        $id = $c->request('POST', '/v1/chat/completions',
                          { 'Content-Type' => 'application/json' },
                          $Sallyport::Llm::json->encode($body));
    } else {
        $c = $t->stream('POST', '/v1/chat/completions', {}, $body);
    }

    ok($t->wait_until(sub { $p->requests == $before + 2 }, 5),
       'two targets were asked');

    my $n = $p->last_request->{n};

    $http2 ? $c->reset($id) : $c->close(abrupt => 1);

    my $took = $p->wait_event('closed', $n, 5);

    ok(defined $took && $took < 1,
       'left, in the second target, ' . ($http2 ? 'HTTP/2' : 'HTTP/1.1'));
    $c->close if $http2;
}


# -- each is counted once

my %seen = map {
    $_ => Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
                       qq{provider="one",kind="chat",outcome="$_"}) || 0
} qw(complete partial failed);

is($seen{failed}, 15, 'targets that failed behind a ping');


# -- configuration

for my $value (qw(off 1s 500ms)) {
    $t->accepts($t->http_conf("llm_keepalive $value;\n"),
                "llm_keepalive $value");
}

$t->refuses($t->http_conf("llm_keepalive $_;\n"),
            qr/invalid time "\Q$_\E" of "llm_keepalive", expected off or/,
            "llm_keepalive $_") for qw(0 0s on -1s 1fortnight);
$t->refuses($t->http_conf("llm_keepalive 1s;\nllm_keepalive off;\n"),
            qr/"llm_keepalive" directive is duplicate/, 'twice');

$p->stop;
$t->finish;
done_testing;
