#!/usr/bin/perl

# The request body: from memory, the temporary file, chunked, HTTP/2; limits;
# JSON and what is refused of it; clients that stop half way.

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
    client_body_timeout 1s;
    log_format c '$request_uri $status';

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        access_log %%DIR%%/logs/access.log c;
        client_max_body_size 4m;
        test_steps on;

        location / { test_content; }
        location /small/ { client_body_buffer_size 1k; test_content; }
        location /max/ {
            client_max_body_size 0;
            client_body_buffer_size 4k;
            body_max_size 100k;
            test_content;
        }
        location /two/ { body_max_size 2m; test_content; }
        location /proxy/ { proxy_pass http://127.0.0.1:%%PORT%%/small/; }
        location /raw/ {
            proxy_request_buffering off;
            proxy_pass http://127.0.0.1:%%PORT%%/small/;
        }
        location /named/ { error_page 429 = @named; test_content; }
        location @named {
            test_steps off;
            rewrite ^ /off break;
            proxy_pass http://127.0.0.1:%%PORT%%;
        }
        location /v1/ { error_format openai; test_content; }
        location /page/ { error_page 413 /off; test_content; }
        location /file/ { error_page 413 /page.txt; test_content; }
        location /relay/ { error_page 400 413 = @relay; test_content; }
        location @relay { test_steps off; test_content; }
        location = /page.txt { root %%DIR%%; }
        location /off { test_steps off; return 200 "page\n"; }
    }
}
EOC

$t->file('page.txt', "file\n");
$t->run;

my %json = ('Content-Type' => 'application/json');

sub chunked {
    my ($body, $size) = @_;
    return join('', map { sprintf("%x\r\n%s\r\n", length, $_) }
                    $body =~ /(.{1,$size})/gs) . "0\r\n\r\n";
}

for my $size (0, 1, 1000, 5000, 40_000, 900_000) {
    my $body = join '', map { chr(32 + ($_ * 7 + $size) % 90) } 1 .. $size;

    for my $path (qw(/ /small/ /proxy/ /raw/)) {
        is($t->post("$path?a=body", {}, $body)->{body}, $body,
           "$path $size bytes");
    }

    is($t->post('/small/?a=body&b=body', {}, $body, { http2 => 1 })->{body},
       $body, "HTTP/2 $size bytes");

    is($t->post('/?content=wait:5,body', {}, $body)->{body}, $body,
       "in the content phase, $size bytes");

    my $s = $t->connection;
    $s->send("POST /small/?a=wait:10,body HTTP/1.1\r\nHost: a\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n" . chunked($body, 3333));
    is($s->reply->{body}, $body, "chunked, $size bytes");

    # the connection is in order afterwards
    $s->send("GET /?a=body HTTP/1.1\r\nHost: a\r\n\r\n");
    is($s->again->reply->{status}, 200, 'and the next request');
    $s->close;
}

# slowly, while another step waits for something else

my $s = $t->connection;
$s->send("POST /?a=body&b=wait:30&enrich=body HTTP/1.1\r\nHost: a\r\n"
         . "Content-Length: 6\r\n\r\nab");
$s->taken->send('cd');
$s->taken->send('ef');
is($s->reply->{body}, 'abcdef', 'in pieces');
$s->close;

$s = $t->connection;
$s->send("POST /?a=body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
         . "Content-Length: 3\r\n\r\n");
$s->send('xyz');
is($s->reply->{body}, 'xyz', 'Expect');
$s->close;

# refused while the body is on its way: what comes yet is no request

for my $path ('/?a=body&b=wait:50,refuse', '/?a=body&b=refuse',
              '/named/?a=body&b=wait:50,refuse', '/?content=raced')
{
    my $want = $path =~ /named/ ? 200 : $path =~ /raced/ ? 500 : 429;

    $s = $t->connection;
    $s->send("POST $path HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n");
    is($s->head->{status}, $want, "$path: refused at once");
    is($s->header('Connection'), 'close', 'the connection is given up')
        if $want == 429;
    $s->rest;
    $s->send("GET /?smuggled=1 HTTP/1.1\r\nHost: a\r\nX-Pad: 123456789\r\n\r\n");
    ok($s->closed(8), 'and ends');
    unlike($s->{raw}, qr/HTTP/, 'without another answer');
    $s->close;
}
unlike(Sallyport::Test::slurp($t->dir . '/logs/access.log'), qr/smuggled/,
       'and nothing else was run');

# limits

sub code { return ($_[0]{json} || {})->{error}{code} || '' }

my $res;

for my $http2 (0, 'frames') {
    my $opt = { http2 => $http2 };
    my $http = $http2 ? 'HTTP/2' : 'HTTP/1.1';

    $res = $t->post('/?a=body', {}, 'x' x 2_000_000, $opt);
    is($res->{status}, 413, "2 MB, $http");
    is(code($res), 'body_too_large', 'code');

    is($t->post('/two/?a=body&sum=1', {}, 'x' x 2_000_000, $opt)->{body},
       sprintf('2000000 %08x', crc32('x' x 2_000_000)), 'where it is allowed');

    is($t->post('/max/?a=body', {}, 'x' x 100_000, $opt)->{status}, 200,
       "below, $http");
    is($t->post('/max/?a=body', {}, 'x' x 102_401, $opt)->{status}, 413,
       'above');

    refusals($http, $opt);
}

# HTTP/2 has no chunks: a body without its length, which is refused half way
# or before, and a connection that serves on

for my $case (['/max/?a=body', 'refused'], ['/max/?content=body', 'refused'],
              ['/max/?a=wait:10,body&b=wait:500', 'refused'],
              ['/?a=body&b=wait:300', 'refused'], ['/page/?a=body', 'page'],
              ['/page/?a=body&b=wait:300', 'page'],
              ['/file/?a=body&b=wait:300', 'file'],
              ['/relay/?a=body&b=wait:300', 'refused'])
{
    my ($path, $what) = @$case;

    for my $length (undef, 1_300_000) {
        my $name = "HTTP/2, $path, " . ($length ? 'announced' : 'half way');
        my $c = Sallyport::HTTP2->connect($t->address({ port => 'H2' }));
        my $id = $c->request('POST', $path, $length
            ? { 'Content-Length' => $length } : {}, 'x' x 1_300_000);

        $res = $c->reply($id);
        is($res->{status}, 413, "$name: 413");
        is($what eq 'refused' ? code($res) : $res->{body},
           $what eq 'refused' ? 'body_too_large' : "$what\n", "$name: $what");

        $id = $c->request('GET', '/off', {});
        is($c->reply($id)->{body}, "page\n", "$name: serves on");
        $c->close;
    }
}

# the length alone, and nothing of the body

my $c = Sallyport::HTTP2->connect($t->address({ port => 'H2' }));
my $id = $c->begin('POST', '/max/?a=body', { 'Content-Length' => 102_401 });

$res = $c->reply($id);
is($res->{status}, 413, 'HTTP/2: announced above');
is(code($res), 'body_too_large', 'code');
$c->close;

# one that says how large it is, before any of it has come

$s = $t->connection;
$s->send("POST /max/?a=body HTTP/1.1\r\nHost: a\r\n"
         . "Content-Length: 102401\r\n\r\n");
$res = $s->reply;
is($res->{status}, 413, 'announced above');
is(code($res), 'body_too_large', 'code');
$s->close;

for my $path ('/max/?a=body', '/max/?a=wait:10,body&b=wait:500',
              '/max/?content=body')
{
    $s = $t->connection;
    $s->send("POST $path HTTP/1.1\r\nHost: a\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n"
             . chunked('x' x 300_000, 10_000));
    $res = $s->reply;
    is($res->{status}, 413, "chunked above: $path");
    is(code($res), 'body_too_large', 'code');
    ok($s->closed(6), 'the connection ends');
    $s->close;
}

$s = $t->connection;
$s->send("POST /page/?a=body&b=wait:300 HTTP/1.1\r\nHost: a\r\n"
         . "Transfer-Encoding: chunked\r\n\r\n" . chunked('x' x 1_300_000,
                                                          50_000));
$res = $s->reply;
is($res->{status}, 413, 'error_page of a body that fails half way');
is($res->{body}, "page\n", 'is served');
$s->close;

# a content handler of ours is no page: what has failed to come is refused

for my $case ([ 413, 'body_too_large', chunked('x' x 1_300_000, 50_000) ],
              [ 400, 'bad_request', "zz\r\n" ])
{
    my ($status, $code, $chunks) = @$case;

    $s = $t->connection;
    $s->send("POST /relay/?a=body&b=wait:300 HTTP/1.1\r\nHost: a\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n$chunks");
    $res = $s->reply;
    is($res->{status}, $status, "$status of the reader, then a relay");
    is(code($res), $code, 'code');
    $s->close;
}

# the page has the steps of the server, and is one of no content handler

$s = $t->connection;
$s->send("POST /file/?a=body&b=wait:300 HTTP/1.1\r\nHost: a\r\n"
         . "Transfer-Encoding: chunked\r\n\r\n" . chunked('x' x 1_300_000,
                                                          50_000));
$res = $s->reply;
is($res->{status}, 413, 'and a file');
is($res->{body}, "file\n", 'is served as well');
$s->close;

$s = $t->connection;
$s->send("POST /?a=body&b=wait:400 HTTP/1.1\r\nHost: a\r\n"
         . "Transfer-Encoding: chunked\r\n\r\nzz\r\n");
$res = $s->reply;
is($res->{status}, 400, 'not a chunk');
is(code($res), 'bad_request', 'has an envelope');
$s->close;

# clients that stop

for my $path ('/?a=body', '/?content=wait:5,body', '/?a=body&b=wait:9000') {
    $s = $t->connection;
    $s->send("POST $path&n=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
             . 'half');
    $s->taken->leave;
    ok($t->wait_until(sub { Sallyport::Test::slurp(
           $t->dir . '/logs/access.log') =~ /\Q$path\E&n=1 (400|499)/ }, 2),
       "$path: left half way");

    $s = $t->connection;
    $s->send("POST $path&n=2 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    ok($s->closed(4), 'stalled: closed after client_body_timeout');
    $s->close;
}

# JSON

sub refused {
    my ($body, $status, $code, $name, $headers, $opt) = @_;
    my $res = $t->post('/?a=json', $headers || \%json, $body, $opt);
    is($res->{status}, $status, "$name: status");
    is(code($res), $code, "$name: code");
    return;
}

# what a body is refused for, by its type or its text

sub refusals {
    my ($http, $opt) = @_;

    my $refused = sub {
        my ($body, $status, $code, $name, $headers) = @_;
        return refused($body, $status, $code, "$http, $name", $headers, $opt);
    };

    $refused->('{}', 415, 'unsupported_media_type', $_,
               { 'Content-Type' => $_ })
        for 'text/plain', 'application/jsonx', 'application/xml',
            'application/json; charset=latin1', 'json', 'application/+jso';
    $refused->('{}', 415, 'unsupported_media_type', 'no type', {});
    $refused->('{}', 415, 'unsupported_media_type',
               'a type of the same length',
               { 'Content-Type' => 'application.json' });
    $refused->('{}', 415, 'unsupported_encoding', $_,
               { %json, 'Content-Encoding' => $_ })
        for qw(gzip compress identityx);
    is($t->post('/?a=json', { %json, 'Content-Encoding' => 'identity' }, '{}',
                $opt)->{status}, 200, 'identity');
    $refused->('', 400, 'body_required', 'empty');
    $refused->('{"a":1', 400, 'invalid_json', 'cut');
    $refused->('garbage', 400, 'invalid_json', 'garbage');
    $refused->('{} {}', 400, 'invalid_json', 'two values');
    $refused->("{\"a\":\"\xff\"}", 400, 'invalid_utf8', 'not UTF-8');
    $refused->('{"a":1,"a":2}', 400, 'duplicate_key', 'a key twice');
    $refused->('[' x 50 . ']' x 50, 400, 'json_too_deep', 'deep');
    return;
}

# which code point, and where

for ([ '{"a":"x\u0000y"}', qr/U\+0000.*at byte 7\b/ ],
     [ '{"a":"x\uD83Dy"}', qr/surrogate \\ud83d.*at byte 7\b/ ],
     [ '{"a":1,"\udc00":2}', qr/surrogate \\udc00.*at byte 8\b/ ])
{
    my ($body, $message) = @$_;
    refused($body, 400, 'invalid_code_point', $body);
    like($t->post('/?a=json', \%json, $body)->{json}{error}{message},
         $message, "$body: which and where");
}

# numbers that nothing here holds are forwarded as they are written

for my $n ('9223372036854775808', '-9223372036854775809', '1e400',
           '1' . '0' x 500, '0.1234567890123456789012345678901234567890')
{
    is($t->post('/?a=json&b=json', \%json, qq({"a":$n}))->{body},
       qq({"a":$n}), 'the number ' . substr $n, 0, 24);
}

is($t->post('/?a=json&b=json', \%json, '{"a":[1,"x"]}')->{body},
   '{"a":[1,"x"]}', 'JSON');
is($t->post('/?a=json', { 'Content-Type' => $_ }, '{}')->{status}, 200, $_)
    for 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"',
        'application/merge-patch+json';


# chat

my $chat = '{"model":"m","messages":[{"role":"user","content":"hi"}]}';
is($t->post('/v1/?a=chat&b=json&content=chat', \%json, $chat)->{body}, $chat,
   'a chat request');

$res = $t->post('/v1/?a=chat', \%json, '{"model":"m"}');
is($res->{status}, 400, 'not one');
is($res->{json}{error}{param}, 'messages', 'says which member');
is($res->{json}{error}{type}, 'invalid_request_error', 'in their shape');

$t->finish;
done_testing;


# as zlib has it, which NGINX's ngx_crc32_long() is

sub crc32 {
    my ($bytes) = @_;
    my @table = map {
        my $c = $_;
        $c = $c & 1 ? 0xedb88320 ^ ($c >> 1) : $c >> 1 for 1 .. 8;
        $c;
    } 0 .. 255;
    my $crc = 0xffffffff;
    $crc = $table[($crc ^ $_) & 0xff] ^ ($crc >> 8) for unpack 'C*', $bytes;
    return $crc ^ 0xffffffff;
}
