#!/usr/bin/perl

# The error envelope: whatever error this server makes itself has one shape.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    log_format id $request_id;
    proxy_connect_timeout 1s;
    proxy_read_timeout 300ms;
    client_header_timeout 500ms;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/html;
        client_max_body_size 10k;

        error_page 403 /own.txt;

        location / { }
        location /status/ {
            location /status/401 {
                add_header WWW-Authenticate 'Bearer realm="x"' always;
                return 401;
            }
            location /status/402 { return 402; }
            location /status/409 { return 409; }
            location /status/410 { return 410; }
            location /status/422 { return 422; }
            location /status/429 { return 429; }
            location /status/500 { return 500; }
            location /status/503 { return 503; }
        }
        location /refused { proxy_pass http://127.0.0.1:1; }
        location /slow { proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /theirs { proxy_pass http://127.0.0.1:%%PORT2%%/theirs; }
        location /proxy { proxy_pass http://127.0.0.1:%%PORT2%%; }
        location /basic { auth_basic "closed"; auth_basic_user_file none; }
        location /deny { deny all; }
        location /logged { access_log %%DIR%%/logs/id.log id; return 204; }
        location /used { add_header X-Used $request_id; return 204; }
        location /own.txt { default_type text/plain; }
        location /redirect { return 302 /elsewhere; }
        location /empty { return 204; }
        location /text { return 404 "as written\n"; }

        location /v1/ { error_format openai; }
        location /page/ { error_format html; }

        location /proxied {
            error_page 502 @upstream;
            proxy_pass http://127.0.0.1:1;
        }
        location @upstream { proxy_pass http://127.0.0.1:%%PORT2%%; }
        location /named/ { error_page 404 = @other; }
        location @other { return 404; }
        location /missing/ { error_page 404 /absent.html; }
    }

    server {
        listen 127.0.0.1:%%PORT2%%;
        location /theirs {
            default_type application/problem+json;
            error_format html;
            add_header X-Request-Id theirs always;
            return 404 '{"theirs":1}';
        }
        location / { return 200 ok; }
    }

    # never answers: the listen queue takes the connection
    server { listen 127.0.0.1:%%PORT1%%; return 444; }
}
EOC

mkdir $t->dir . '/html';
$t->file('html/own.txt', "the operator's\n");
$t->file('html/file.txt', "content\n");
$t->run;

my $id = qr/^[0-9a-f]{32}$/;

sub envelope {
    my ($res, $status, $code, $name) = @_;

    my $error = $res->{json}{error} || {};

    is($res->{status}, $status, "$name: status");
    is($res->{headers}{'content-type'}, 'application/json', "$name: type");
    is_deeply([ sort keys %$error ],
              [ qw(code details hint message request_id) ], "$name: members");
    is($error->{code}, $code, "$name: code");
    like($error->{request_id}, $id, "$name: request id");
    is($res->{headers}{'x-request-id'}, $error->{request_id},
       "$name: the same in the header");
    ok($res->{complete}, "$name: complete");
    return;
}

for my $h2 (0, 1) {
    my $opt = { http2 => $h2 };
    my $v = $h2 ? 'h2 ' : '';

    envelope($t->get('/nothing', {}, $opt), 404, 'not_found', "${v}404");
    envelope($t->request('PUT', '/file.txt', {}, undef, $opt), 405,
             'method_not_allowed', "${v}405");
    envelope($t->post('/proxy', {}, 'x' x 20000,
                      { http2 => $h2 && 'frames' }), 413,
             'body_too_large', "${v}413");
    envelope($t->get('/refused', {}, $opt), 502, 'bad_gateway', "${v}502");
    envelope($t->get('/slow', {}, $opt), 502, 'bad_gateway', "${v}reset");

    my $res = $t->request('HEAD', '/nothing', {}, undef, $opt);
    is($res->{status}, 404, "${v}HEAD: status");
    is($res->{headers}{'content-type'}, 'application/json', "${v}HEAD: type");
    cmp_ok($res->{headers}{'content-length'}, '>', 50, "${v}HEAD: length");
    is($res->{body} || '', '', "${v}HEAD: no body");

    like($t->get('/file.txt', {}, $opt)->{headers}{'x-request-id'}, $id,
         "${v}a good answer has an id too");
}

# one id for a request, whoever asks for it first; no two requests share one
my @ids = map { $t->get('/logged')->{headers}{'x-request-id'} } 1 .. 100;
ok($t->wait_until(sub {
    Sallyport::Test::slurp($t->dir . '/logs/id.log') eq join '', map { "$_\n" } @ids
}, 5), 'the log has the same ids');
is(scalar(keys %{ { map { $_ => 1 } @ids } }), 100, 'all of them different');
my $used = $t->get('/used')->{headers};
is($used->{'x-used'}, $used->{'x-request-id'}, 'a header of the operator, too');

envelope($t->get("/status/$_->[0]"), @$_, $_->[0]) for
    [ 401, 'unauthorized' ], [ 402, 'payment_required' ],
    [ 409, 'conflict' ], [ 410, 'gone' ], [ 422, 'unprocessable' ],
    [ 429, 'too_many_requests' ], [ 500, 'internal_error' ],
    [ 503, 'unavailable' ];

is($t->get('/status/401')->{headers}{'www-authenticate'},
   'Bearer realm="x"', '401 keeps its header');

my $res = $t->get('/basic');
envelope($res, 401, 'unauthorized', 'auth_basic');
is($res->{headers}{'www-authenticate'}, 'Basic realm="closed"',
   'and its challenge');

# what filters refuse

envelope($t->get('/file.txt', { Range => 'bytes=900-' }), 416,
         'range_not_satisfiable', 'a range');
envelope($t->get('/file.txt', { 'If-Unmodified-Since' =>
         'Thu, 01 Jan 1998 00:00:00 GMT' }), 412, 'precondition_failed',
         'a condition');

# before there is a location

sub raw {
    my ($bytes) = @_;
    my $s = $t->connection;
    $s->send($bytes);
    return $s->reply;
}

envelope(raw("GET / HTTP/1.1\r\n\r\n"), 400, 'bad_request', 'no Host');
envelope(raw("GET /%2 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, 'bad_request',
         'a bad address');
envelope(raw("GET / HTTP/1.1\r\nHost: a\r\nX: " . 'x' x 40000 . "\r\n\r\n"),
         400, 'bad_request', 'a huge header');
envelope(raw("GET /" . 'x' x 40000 . " HTTP/1.1\r\nHost: a\r\n\r\n"), 414,
         'uri_too_long', 'a huge address');
envelope(raw("GET / HTTP/3.7\r\nHost: a\r\n\r\n"), 505,
         'version_not_supported', 'a version');

# what is not ours

$res = $t->get('/theirs');
is($res->{status}, 404, "an upstream's error");
is($res->{body}, '{"theirs":1}', 'passes untouched');
like($res->{headers}{'x-request-id'}, $id, 'with one request id, ours');
is($t->get('/text')->{body}, "as written\n", 'a text of the operator');

$res = $t->get('/deny');
is($res->{status}, 403, 'error_page');
is($res->{body}, "the operator's\n", 'of the operator wins');
is($res->{headers}{'content-type'}, 'text/plain', 'with its own type');

envelope($t->get('/named/x'), 404, 'not_found', 'from a named location');
envelope($t->get('/missing/x'), 404, 'not_found', 'of a page that is missing');

$res = $t->get('/proxied');
is($res->{status}, 502, 'an error_page from an upstream');
is($res->{body}, 'ok', 'wins as well');

$res = $t->get('/redirect');
is($res->{status}, 302, 'a redirect');
like($res->{body}, qr/<html>/, 'is left alone');
is($t->get('/empty')->{status}, 204, 'no content');

# other shapes

$res = $t->get('/v1/x');
is($res->{status}, 404, 'openai: status');
is_deeply([ sort keys %{ $res->{json}{error} } ],
          [ qw(code message param request_id type) ], 'openai: members');
is($res->{json}{error}{type}, 'invalid_request_error', 'openai: type');

$res = $t->get('/page/x');
is($res->{status}, 404, 'html: status');
is($res->{headers}{'content-type'}, 'text/html', 'html: type');
like($res->{body}, qr/<html>/, 'html: page');

my ($ok, $out) = $t->check_conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%%
error_format xml;
}
EOC
ok(!$ok, 'another format is refused');
like($out, qr/unknown\ format\ "xml",\ allowed:\ json,\ html,\ openai\b.*
              check\.conf:\d+/x, 'with what is allowed, and the line');

$t->finish;
done_testing;
