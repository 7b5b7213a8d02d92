#!/usr/bin/perl

# Steps in subrequests, and what is decided once for a request, whatever
# passes and parts it has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::HTTP2;
use Sallyport::JWT qw(jwks);
use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;
my $key = Sallyport::JWT->new('EdDSA', kid => 'k');
my $other = Sallyport::JWT->new('EdDSA', kid => 'k');

$t->redis;
$t->file('jwks.json', jwks($key));
$t->file('other.json', jwks($other));
$t->file('good.rules', "[w category=word]\nforbidden\n"
                       . "[m category=word action=mask]\nsecret\n");

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    auth_jwt_key_file %%DIR%%/jwks.json;
    moderation_rules %%DIR%%/good.rules;
    redis_server main %%REDIS%% timeout=2s;
    quota_redis main;
    quota_policy two { requests 2/h; }
    quota_policy one { requests 1/h; }
    client_body_buffer_size 1k;
    log_format s '$request_uri $uri $status $identity_sub';

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/html;
        log_subrequest on;
        access_log %%DIR%%/logs/access.log s;
        ssi_types *;
        add_header X-Sub "$identity_sub" always;
        add_header X-Claim "$claim" always;

        # who it is

        location /in/ { auth_request /check; auth_request_set $claim
                        $jwt_claim_tier; test_content; }
        location /in/own { auth_jwt "o" token=$arg_own;
                           auth_jwt_key_file %%DIR%%/other.json;
                           auth_request /check; test_content; }
        location /in/204 { auth_request /check204; test_content; }
        location /in/any { satisfy any; deny all; auth_request /check;
                           test_content; }
        location /in/wait { test_steps on; auth_request /check;
                            test_content; }
        location /in/slow { auth_request /slow; test_content; }
        location /in/page { auth_request /check; error_page 401 /page.txt;
                            test_content; }
        location /in/back { auth_request /check; error_page 401 = @back;
                            test_content; }
        location /in/beside { mirror /optional; auth_request /check;
                              test_content; }
        location @back { test_content; }
        location = /check { auth_jwt "c"; test_content; }
        location = /check204 { auth_jwt "c"; proxy_pass
                               http://127.0.0.1:%%PORT1%%; }
        location = /slow { test_steps on; set $args a=wait:30; auth_jwt "c";
                           test_content; }
        location = /optional { auth_jwt "o" optional token=$arg_none;
                               auth_jwt_key_file %%DIR%%/other.json;
                               test_content; }

        # what is charged

        location /two/ { quota two by=$http_x_key; test_content; }
        location /two/auth { quota two by=$http_x_key; auth_request /charge;
                             test_content; }
        location /two/mirror { quota two by=$http_x_key; mirror /charge;
                               test_content; }
        location /two/ssi { ssi on; proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /two/try { quota two by=$http_x_key;
                            try_files /none /two/; }
        location /two/one { quota two by=$http_x_key;
                            try_files /none /one; }
        location /two/fail { quota two by=$http_x_key;
                             error_page 502 = @two;
                             proxy_pass http://127.0.0.1:1; }
        location @two { quota two by=$http_x_key; test_content; }
        location = /charge { quota two by=$http_x_key; test_content; }
        location = /one { quota one by=$http_x_key; test_content; }

        # what is looked at

        location /body/ { auth_request /look; body_max_size 1m;
                          test_content; }
        location /body/both { moderation input; auth_request /look;
                              test_content; }
        location /body/off { mirror /look; proxy_pass
                             http://127.0.0.1:%%PORT1%%; }
        location /body/page { auth_request /look; error_page 413 /page.txt;
                              test_content; }
        location /body/small { moderation input;
                               try_files /none /look; }
        location = /look { moderation input; body_max_size 200k;
                           test_content; }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        default_type text/html;
        location / { return 204; }
        location = /two/ssi {
            return 200 '<!--# include virtual="/charge" -->
                        <!--# include virtual="/charge" -->end';
        }
    }
}
EOC

mkdir $t->dir . '/html';
$t->file('html/page.txt', "page\n");
$t->run;

my %claims = (sub => 'anna', tier => 'pro', exp => int(time) + 600);
my $anna = { Authorization => 'Bearer ' . $key->token(\%claims) };
my $bert = $other->token({ %claims, sub => 'bert' });
my $json = { 'Content-Type' => 'application/json' };
my $keys = 0;

sub chunked {
    my ($text, $size) = @_;
    return join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
                    unpack "(a$size)*", $text) . "0\r\n\r\n";
}

sub sub_is {
    my ($res, $status, $who, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is("$res->{status} " . ($res->{headers}{'x-sub'} || '-'),
       "$status $who", $name) or diag($res->{body});
    return;
}


for my $h2 (0, 1) {
    my $opt = { http2 => $h2 };
    my $v = $h2 ? 'h2: ' : '';

    # auth_request: what the part is refused, the request is

    my $res = $t->get('/in/', {}, $opt);
    sub_is($res, 401, '-', "${v}auth_request without a token");
    is($res->{json}{error}{code}, 'unauthorized', "${v}with our code");
    like($res->{headers}{'www-authenticate'}, qr/^Bearer realm="c"/,
         "${v}and challenge");

    sub_is($t->get('/in/', { Authorization => 'Bearer x' }, $opt), 401, '-',
           "${v}with a bad one");

    $res = $t->get('/in/', $anna, $opt);
    sub_is($res, 200, 'anna', "${v}with a good one: the identity is handed up");
    is($res->{headers}{'x-claim'}, 'pro', "${v}its claims by auth_request_set");
    sub_is($t->get('/in/204', $anna, $opt), 200, 'anna', "${v}a proxied 204");
    sub_is($t->get('/in/204', {}, $opt), 401, '-', "${v}and without a token");

    sub_is($t->get("/in/own?own=$bert", $anna, $opt), 200, 'bert',
           "${v}a location that asks itself keeps its answer");
    sub_is($t->get("/in/own?own=$bert", {}, $opt), 401, 'bert',
           "${v}and has to pass both");

    sub_is($t->get('/in/any', {}, $opt), 401, '-', "${v}satisfy any: refused");
    sub_is($t->get('/in/any', $anna, $opt), 200, 'anna',
           "${v}satisfy any: granted");

    # waits, of the request, of the part, of both

    sub_is($t->get('/in/wait?a=wait:20', $anna, $opt), 200, '-',
           "${v}behind steps that have waited, and found nobody");
    sub_is($t->get('/in/wait?a=wait:20', {}, $opt), 401, '-',
           "${v}and refused");
    sub_is($t->get('/in/slow', $anna, $opt), 200, 'anna', "${v}a part waits");
    sub_is($t->get('/in/slow', {}, $opt), 401, '-', "${v}and is refused");

    is($t->get('/in/page', {}, $opt)->{body}, "page\n", "${v}a page");
    sub_is($t->get('/in/back', {}, $opt), 401, '-',
           "${v}no content handler of ours instead");

    # a part that goes beside has an identity of its own

    sub_is($t->get('/in/beside', $anna, $opt), 200, 'anna',
           "${v}mirrored as nobody: the request stays somebody's");

    # charged once, whatever it consists of

    for my $path (qw(/two/ /two/auth /two/mirror /two/try /two/fail)) {
        my $by = { 'X-Key' => 'k' . ++$keys };
        my @got = map { $t->get($path, $by, $opt)->{status} } 1 .. 3;

        is("@got", '200 200 429', "${v}$path: charged once");
    }

    my $by = { 'X-Key' => 'k' . ++$keys };
    my @got = map { scalar(() = $t->get('/two/ssi', $by, $opt)->{body}
                                =~ /done/g) } 1 .. 3;

    is("@got", '2 2 0',
       "${v}two parts side by side: charged once, refused together");

    $by = { 'X-Key' => 'k' . ++$keys };
    @got = map { my $r = $t->get('/two/one', $by, $opt);
                 "$r->{status}:" . $r->{headers}{'ratelimit-policy'} } 1 .. 2;

    like("@got", qr/^200:"requests-3600";q=1;\S+ 429:"requests-3600";q=1/,
         "${v}another policy of a later location is charged as well")
        or diag("@got");
    $res = $t->get('/two/', $by, $opt);
    is($res->{status}, 429, "${v}and the first was charged twice by now");

    # the body is the request's

    my $post = sub {
        my ($path, $text) = @_;
        return $t->request('POST', $path, $json, "{\"a\":\"$text\"}", $opt);
    };

    is($post->('/body/', 'good')->{body}, '{"a":"good"}',
       "${v}a body that a part has looked at");
    $res = $post->('/body/', 'forbidden');
    is($res->{status}, 422, "${v}auth_request: 422 is not made 500");
    is($res->{json}{error}{code}, 'content_blocked', "${v}with its code");
    is($post->('/body/', 'my secret')->{body}, '{"a":"my ******"}',
       "${v}masked by a part: masked for the request")
        or diag($post->('/body/', 'my secret')->{body});
    is($post->('/body/', 'x' x 100_000)->{status}, 200, "${v}a large one");
    is($post->('/body/both', 'x' x 5_000)->{status}, 200,
       "${v}behind a step that has read it");
    is($post->('/body/small', 'x' x 300_000)->{status}, 413,
       "${v}a later location takes less");
}


# bodies that come slowly, while a part waits for them

for my $case ([ '/body/', 'good', 200 ], [ '/body/', 'forbidden', 422 ],
              [ '/body/', 'x' x 300_000, 413 ],
              [ '/body/page', 'x' x 300_000, 413 ],
              [ '/body/off', 'forbidden', 204 ])
{
    my ($path, $text, $status) = @$case;
    my $body = "{\"a\":\"$text\"}";
    my $name = "$path " . substr($text, 0, 9);

    my $s = $t->connection;
    $s->send("POST $path HTTP/1.1\r\nHost: a\r\n"
             . "Content-Type: application/json\r\n"
             . 'Content-Length: ' . length($body) . "\r\n\r\n");
    ok(!defined eval { $s->head(0.1); 1 }, "$name: waits") if $status != 413;
    eval { $s->send($body) };
    my $res = $s->reply;
    is($res->{status}, $status, "$name: length");
    is($res->{body}, "page\n", "$name: the page") if $path =~ /page/;
    $s->close;

    $s = $t->connection;
    $s->send("POST $path HTTP/1.1\r\nHost: a\r\n"
             . "Content-Type: application/json\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n");
    ok(!defined eval { $s->head(0.1); 1 }, "$name: waits for chunks");
    eval { $s->send(chunked($body, 50_000)) };
    $res = $s->reply;
    is($res->{status}, $status, "$name: chunks");
    is($res->{body}, "page\n", "$name: the page") if $path =~ /page/;
    $s->close;
}

# the same on HTTP/2, and a stream that is reset meanwhile

for my $case ([ '/body/', 'good', 200 ], [ '/body/', 'forbidden', 422 ],
              [ '/body/', 'x' x 300_000, 413 ],
              [ '/body/page', 'x' x 300_000, 413 ])
{
    my ($path, $text, $status) = @$case;
    my $name = "HTTP/2: $path " . substr($text, 0, 9);

    my $c = Sallyport::HTTP2->connect($t->address({ port => 'H2' }));
    my $id = $c->begin('POST', $path, $json);

    is($c->reply($id, 0.1)->{status}, 0, "$name: waits");
    $c->send_body($id, "{\"a\":\"$text\"}");
    my $res = $c->reply($id);
    is($res->{status}, $status, "$name: answered");
    is($res->{body}, "page\n", "$name: the page") if $path =~ /page/;

    $id = $c->begin('POST', "$path?reset=$status", $json);
    is($c->reply($id, 0.1)->{status}, 0, "$name: waits again");
    $c->reset($id);
    ok($t->wait_until(sub { Sallyport::Test::slurp(
           $t->dir . '/logs/access.log') =~ m{^\Q$path\E\?reset=$status
                                              [ ]\S+[ ](?:499|400)[ ]}mx }, 3),
       "$name: reset");
    is($c->reply($c->request('POST', $path, $json, '{"a":"b"}'))->{status},
       200, "$name: the next stream is served");
    $c->close;
}

# and a chunk that is none

my $s = $t->connection;
$s->send("POST /body/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json"
         . "\r\nTransfer-Encoding: chunked\r\n\r\n");
ok(!defined eval { $s->head(0.1); 1 }, 'a part waits');
$s->send("zz\r\n");
is($s->reply->{status}, 400, 'the reader fails under a part that waits');
$s->close;

# clients that leave while a part waits

for my $send ("GET /in/slow?n=1 HTTP/1.1\r\nHost: a\r\n"
              . "Authorization: $anna->{Authorization}\r\n\r\n",
              "POST /body/?n=1 HTTP/1.1\r\nHost: a\r\nContent-Type: "
              . "application/json\r\nContent-Length: 9\r\n\r\n{")
{
    my ($path) = $send =~ /^\S+ (\S+)/;

    $s = $t->connection;
    $s->send($send);
    $s->close(abrupt => 1);
    ok($t->wait_until(sub { Sallyport::Test::slurp(
           $t->dir . '/logs/access.log') =~ m{^\Q$path\E \S+ (?:499|400) }m
       }, 3),
       "$path: the client leaves");
}

is($t->get('/in/', $anna)->{status}, 200, 'the worker lives on');

$t->finish;
done_testing;
