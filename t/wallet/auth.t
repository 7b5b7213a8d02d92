#!/usr/bin/perl

# wallet_auth: nonce, verify, refresh, logout, session; what is refused; what
# happens while Redis or PostgreSQL is away

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;
use Sallyport::Wallet;


my $t = Sallyport::Test->new;

$t->redis;
$t->pg;

my $key = Sallyport::JWT->new('EdDSA');
my $file = $t->file('sign.jwk', JSON::PP::encode_json($key->private));

chmod 0600, $file;

$t->conf(<<'EOF_CONF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    redis_server main %%REDIS%% timeout=200ms;
    pg_server main "%%PG%%" connections=2 timeout=1s;

    token_issuer http://127.0.0.1:%%PORT%% key_file=%%DIR%%/sign.jwk;
    auth_jwt_key_file %%DIR%%/sign.jwk;
    auth_jwt_issuer http://127.0.0.1:%%PORT%%;
    auth_jwt_audience sallyport;
    wallet_statement "Sign in: https://chat.example/?terms";

    log_format wallet "$request_uri $status $wallet_error";

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        access_log %%DIR%%/logs/access.log wallet;

        location /auth/ { wallet_auth; }

        location = /.well-known/jwks.json { wallet_jwks; }

        location /me {
            auth_jwt "r";
            proxy_pass http://127.0.0.1:%%PORT%%/up;
            add_header X-Me "$identity_sub $identity_wallet $identity_tier";
        }

        location /up { return 204; }

        location /two/ {
            wallet_domain chat.example https://other.example:8443;
            wallet_chain_ids 1 31337;
            wallet_statement Hello;
            wallet_auth;
        }

        location /three/ {
            wallet_domain chat.example https://chat.example:8443;
            wallet_auth;
        }
    }
}
EOF_CONF

$t->run;

my $port = $t->port;
my $domain = "127.0.0.1:$port";
my $origin = "http://$domain";
my $wallet = Sallyport::Wallet->new;


# -- helpers

# [nonce answer, cookie header value]
sub nonce {
    my ($path, %opt) = @_;

    my $res = $t->get($path || '/auth/nonce', $opt{headers}, \%opt);

    return ($res, $res->{status} == 200 ? cookie($res, 'siwx') : undef);
}


# "name=value" of the Set-Cookie that holds name
sub cookie {
    my ($res, $name) = @_;

    my $set = $res->{headers}{'set-cookie'};

    for my $one (ref $set ? @$set : split /,\s*(?=[\w-]+=)/, $set // '') {
        return $1 if $one =~ /^((?:__Host-)?\Q$name\E=[^;]*)/;
    }

    return;
}


sub verify {
    my ($message, $signature, $cookie, %opt) = @_;

    return $t->post('/auth/verify',
                    { $cookie ? (Cookie => $cookie) : (),
                      %{ $opt{headers} || {} } },
                    { message => $message, signature => $signature,
                      %{ $opt{more} || {} } }, \%opt);
}


sub sign_in {
    my ($w, %opt) = @_;

    my ($n, $cookie) = nonce();
    my $message = $w->message(domain => $domain,
                              nonce => $n->{json}{nonce}, %opt);

    return verify($message, $w->sign($message), $cookie, %opt);
}


sub refresh {
    my ($cookie, %opt) = @_;

    return $t->request('POST', '/auth/refresh',
                       { Cookie => $cookie, Origin => $origin,
                         %{ $opt{headers} || {} } }, '', \%opt);
}


# -- the way it should be, on both protocols

for my $http2 (0, 1) {
    my $h = $http2 ? 'HTTP/2' : 'HTTP/1.1';
    my ($n, $cookie) = nonce(undef, http2 => $http2);

    is($n->{status}, 200, "$h: nonce");
    like($n->{json}{nonce}, qr/^[0-9A-Za-z]{22}$/, "$h: alphanumeric");
    is($n->{json}{domain}, $domain, "$h: domain of the issuer");
    is($n->{json}{uri}, $origin, "$h: uri");
    is($n->{json}{statement}, "Sign in: https://chat.example/?terms",
       "$h: statement");
    is($n->{headers}{'cache-control'}, 'no-store', "$h: no-store");
    like($n->{headers}{'set-cookie'},
         qr/^siwx=\w{22}; Path=\/; Max-Age=300; HttpOnly; SameSite=Strict$/,
         "$h: cookie");

    my $message = $wallet->message(domain => $domain,
                                   nonce => $n->{json}{nonce});
    my $signature = $wallet->sign($message);
    my $res = verify($message, $signature, $cookie, http2 => $http2,
                     headers => { Origin => $origin });

    is($res->{status}, 200, "$h: verify") or diag $res->{body};
    is($res->{json}{wallet}, $wallet->address, "$h: wallet");
    is($res->{json}{token_type}, 'Bearer', "$h: bearer");
    is($res->{json}{expires_in}, 900, "$h: 15 minutes");
    ok(!exists $res->{json}{refresh_token}, "$h: refresh not in the body");
    ok(cookie($res, 'rt'), "$h: but in a cookie");

    my $token = { Authorization => "Bearer $res->{json}{access_token}" };
    my $me = $t->get('/me', $token, { http2 => $http2 });

    is($me->{status}, 204, "$h: auth_jwt takes the token");
    is($me->{headers}{'x-me'},
       "$res->{json}{sub} " . $wallet->address . ' free', "$h: identity");

    my $session = $t->get('/auth/session', $token, { http2 => $http2 });

    is($session->{json}{wallet}, $wallet->address, "$h: session");
    ok(!grep({ /token/ } keys %{ $session->{json} }), "$h: without tokens");

    is(verify($message, $signature, $cookie, http2 => $http2)->{status}, 401,
       "$h: the same message again");
}

is(scalar $t->sql('select count(*) from auth.users u
                    join auth.wallets w on w.user_id = u.id'), 1,
   'one wallet, one user');


# -- claims, and who else can check them

my $in = sign_in($wallet);
my ($head, $payload) = map { JSON::PP::decode_json(unb64($_)) }
                       (split /\./, $in->{json}{access_token})[0, 1];

is($head->{alg}, 'EdDSA', 'alg');
is($head->{typ}, 'at+jwt', 'typ');
is($payload->{iss}, $origin, 'iss');
is($payload->{aud}, 'sallyport', 'aud');
is($payload->{exp} - $payload->{iat}, 900, 'exp');
is_deeply([sort keys %$payload],
          [qw(aud exp iat iss jti nbf role sid sub tier wallet)], 'claims');

my $jwks = $t->get('/.well-known/jwks.json');
my $jwk = $jwks->{json}{keys}[0];

is($jwk->{kid}, $head->{kid}, 'JWKS: the kid of the token');
is($jwk->{x}, $key->public->{x}, 'JWKS: the public key');
ok(!exists $jwk->{d}, 'JWKS: not the private one');
is($jwks->{headers}{'cache-control'}, 'public, max-age=300', 'JWKS: cached');
is($t->get('/.well-known/jwks.json',
           { 'If-None-Match' => $jwks->{headers}{etag} })->{status}, 304,
   'JWKS: not modified');
is($t->post('/.well-known/jwks.json', {}, 'x')->{status}, 405, 'JWKS: GET');


# -- what verify refuses: one answer; each message is good but for one thing

my $evil = Sallyport::Wallet->new;
my $date = sub { Sallyport::Wallet::date(time + $_[0]) };

my %bad = (
    'another domain' => { domain => 'evil.example', uri => $origin },
    'the port left out' => { domain => '127.0.0.1', uri => $origin },
    'user info before the domain' => { domain => "a\@$domain",
                                       uri => $origin },
    'uri of another origin' => { uri => 'http://evil.example' },
    'uri of a longer host' => { uri => "$origin.evil.example" },
    'scheme is https here' => { scheme => 'https' },
    'scheme of the same length' => { scheme => 'file' },
    'chain is not configured' => { chain_id => 999 },
    'chain id 0' => { chain_id => 0 },
    'version 2' => { version => 2 },
    'issued an hour ago' => { issued_at => $date->(-3600) },
    'issued in an hour' => { issued_at => $date->(3600) },
    'expired' => { expiration_time => $date->(-1) },
    'not before' => { not_before => $date->(60) },
    'another statement' => { statement => 'I give all I have' },
    'resources' => { resources => ['ipfs://x'] },
    'a resource that is none' => { resources => [''] },
    'no such date' => { not_before => '2026-02-31T00:00:00Z' },
    'nonce of nobody' => { nonce => 'aaaaaaaaaaaaaaaaaaaaaa' },
    'address without checksum' => {
        address => '0x' . uc substr $wallet->address, 2 },
    'address of somebody else' => { address => $evil->address },
);

my %answers;

for my $name (sort keys %bad) {
    my ($n, $cookie) = nonce();
    my $message = $wallet->message(domain => $domain,
                                   nonce => $n->{json}{nonce},
                                   %{ $bad{$name} });
    my $res = verify($message, $wallet->sign($message), $cookie);

    is($res->{status}, 401, $name);
    delete $res->{json}{error}{request_id};
    $answers{JSON::PP->new->canonical->encode($res->{json})} = 1;

    # a refused one has not burnt the nonce
    my $right = $wallet->message(domain => $domain,
                                 nonce => $n->{json}{nonce});

    is(verify($right, $wallet->sign($right), $cookie)->{status}, 200,
       "$name: the nonce is still good");
}

{
    my ($n, $cookie) = nonce();
    my $message = $wallet->message(domain => $domain,
                                   nonce => $n->{json}{nonce});
    my $good = $wallet->sign($message);

    my %signature = (
        'high s' => $wallet->sign($message, high => 1),
        'of another wallet' => $evil->sign($message),
        'of another text' => $wallet->sign("$message "),
        '64 bytes' => substr($good, 0, 130),
        '66 bytes' => $good . '00',
        'all zero' => '0x' . '0' x 130,
        'no 0x' => substr($good, 2),
        'not hex' => '0x' . 'zz' x 65,
        'v is 29' => substr($good, 0, 130) . '1d',
    );

    # whom nobody has signed for is not the address of all zeros
    my $nobody = $wallet->message(domain => $domain,
                                  address => '0x' . '0' x 40,
                                  nonce => $n->{json}{nonce});
    is(verify($nobody, $signature{'all zero'}, $cookie)->{status}, 401,
       'signature: all zero, for the address of all zeros');

    for my $name (sort keys %signature) {
        is(verify($message, $signature{$name}, $cookie)->{status}, 401,
           "signature: $name");
    }

    is(verify($message, $good)->{status}, 401, 'without the cookie');
    is(verify($message, $good, 'siwx=' . 'a' x 22)->{status}, 401,
       'with the cookie of another browser');
    is(verify($message, $good, $cookie)->{status}, 401,
       'which has used the nonce up');

    my ($other) = (nonce())[1];
    is(verify("$message\n", $wallet->sign("$message\n"), $other)->{status},
       401, 'a line at the end');
}

is(keys %answers, 1, 'one answer for all');

my $lower = sign_in($wallet, address => lc $wallet->address);

is($lower->{status}, 200, 'an address in lower case is the same wallet');
is($lower->{json}{wallet}, $wallet->address, 'and gets its checksum');


# -- the request itself

for my $case (
    [ 'GET', '/auth/verify', {}, undef, 405 ],
    [ 'POST', '/auth/nonce', {}, '', 405 ],
    [ 'GET', '/auth/nothing', {}, undef, 404 ],
    [ 'GET', '/auth/', {}, undef, 404 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'text/plain' }, '{}', 415 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'application/json' }, '{',
      400 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'application/json' },
      '{"message":"a","message":"b","signature":"c"}', 400 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'application/json' },
      '{"message":7,"signature":"0x"}', 400 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'application/json' },
      '{"message":"a"}', 400 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'application/json' },
      '{"message":"' . 'x' x 17000 . '"}', 413 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'application/json',
                                Origin => 'http://evil.example' },
      '{"message":"a","signature":"b"}', 403 ],
    [ 'POST', '/auth/verify', { 'Content-Type' => 'application/json',
                                'Sec-Fetch-Site' => 'cross-site' },
      '{"message":"a","signature":"b"}', 403 ],
    [ 'GET', '/auth/session', {}, undef, 401 ],
    [ 'GET', '/auth/session', { Authorization => 'Bearer x' }, undef, 401 ],
    [ 'GET', '/auth/session', {
        Authorization => "Digest $in->{json}{access_token}" }, undef, 401 ],
    [ 'POST', '/auth/refresh', {}, '', 401 ],
) {
    my ($method, $path, $headers, $body, $status) = @$case;
    my $res = $t->request($method, $path, $headers, $body);

    is($res->{status}, $status, "$method $path: $status");
    ok($res->{json}{error}{code}, 'in the envelope');
}

# of no length that is said before

for my $case ([ verify => 400 ], [ refresh => 413 ], [ logout => 413 ]) {
    my ($path, $status) = @$case;
    my $body = '{"message":"a","signature":"b","pad":"' . 'x' x 17_000 . '"}';
    my $s = $t->connection;

    $s->send("POST /auth/$path HTTP/1.1\r\nHost: a\r\n"
             . "Content-Type: application/json\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n"
             . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body));
    is($s->reply->{status}, $status, "$path: a large body in chunks");
    $s->close;
}

# -- origins that look like ours

for my $other (substr($origin, 0, -1), "http://127.0.0.1", "${origin}0",
               $origin =~ s/127\.0\.0\.1/127.0.0.2/r, uc $origin, 'null')
{
    is($t->post('/auth/verify', { Origin => $other },
                { message => 'a', signature => 'b' })->{status}, 403,
       "origin $other");
}


# -- two domains, over https: other cookies

{
    my ($n, $cookie) = nonce('/two/nonce');

    like($cookie, qr/^__Host-siwx=/, 'https: __Host-');
    like($n->{headers}{'set-cookie'}, qr/; Secure$/, 'https: Secure');
    is($n->{json}{uri}, 'https://chat.example', 'the first domain');
    is_deeply($n->{json}{chain_ids}, [1, 31337], 'chain ids');

    ($n) = nonce('/two/nonce?domain=other.example%3A8443');
    is($n->{json}{domain}, 'other.example:8443', 'the second');
    is((nonce('/two/nonce?domain=evil'))[0]{status}, 400, 'no third');

    # a nonce is of one domain
    my $message = $wallet->message(domain => 'chat.example',
                                   uri => 'https://chat.example/x',
                                   statement => 'Hello', chain_id => 31337,
                                   nonce => $n->{json}{nonce});
    my %body = (message => $message, signature => $wallet->sign($message));

    is($t->post('/two/verify', { Cookie => cookie($n, 'siwx') }, \%body)
         ->{status}, 401, 'a nonce of another domain');

    ($n, $cookie) = nonce('/two/nonce');
    $message = $wallet->message(domain => 'chat.example', scheme => 'https',
                                uri => 'https://chat.example/x',
                                statement => 'Hello', chain_id => 31337,
                                nonce => $n->{json}{nonce});
    %body = (message => $message, signature => $wallet->sign($message));

    my $res = $t->post('/two/verify', { Cookie => $cookie }, \%body);

    is($res->{status}, 200, 'and one of its own') or diag $res->{body};

    # also where one domain begins with the other
    ($n, $cookie) = nonce('/three/nonce?domain=chat.example%3A8443');
    $message = $wallet->message(domain => 'chat.example',
                                uri => 'https://chat.example/x',
                                nonce => $n->{json}{nonce});

    is($t->post('/three/verify', { Cookie => $cookie }, {
           message => $message, signature => $wallet->sign($message) })
         ->{status}, 401, 'a nonce of a longer domain');
    like(cookie($res, 'rt'), qr/^__Host-rt=rt1_[\w-]{70}$/, 'refresh cookie');
}


# -- refresh: rotation, grace, reuse

my $first = cookie(sign_in($wallet), 'rt');
my $res = refresh($first);

is($res->{status}, 200, 'refresh') or diag $res->{body};
is($t->get('/me', { Authorization => "Bearer $res->{json}{access_token}" })
     ->{status}, 204, 'its access token is good');

my $second = cookie($res, 'rt');

isnt($second, $first, 'rotated');

is(cookie(refresh($first), 'rt'), $second, 'within the grace: the same again');

my $third = cookie(refresh($second), 'rt');

isnt($third, $second, 'and on');

is(refresh($first)->{status}, 401, 'two generations old: reuse');
ok($t->wait_log(qr/old refresh token was used again/), 'the log says so');
is(refresh($third)->{status}, 401, 'which ends the session');
is(refresh($second)->{status}, 401, 'for all its tokens');

# past the grace
$first = cookie(sign_in($wallet), 'rt');
$second = cookie(refresh($first), 'rt');
$t->sql("update auth.sessions set rotated_at = rotated_at - interval '11 s'
          where revoked_at is null");
is(refresh($first)->{status}, 401, 'after the grace: reuse');
is(refresh($second)->{status}, 401, 'the session is over');

# in the body
$res = sign_in($wallet, more => { refresh => 'body' });
ok(!cookie($res, 'rt'), 'body: no cookie');

my $token = $res->{json}{refresh_token};

$res = $t->post('/auth/refresh', {}, { refresh_token => $token });
is($res->{status}, 200, 'body: refresh');
isnt($res->{json}{refresh_token}, $token, 'body: rotated');

my $changed = $token;
substr($changed, 30, 1) = substr($changed, 30, 1) eq 'A' ? 'B' : 'A';
is($t->post('/auth/refresh', {}, { refresh_token => $changed })->{status},
   401, 'body: a changed token');
is($t->post('/auth/refresh', {}, { refresh_token => 'x' })->{status}, 401,
   'body: garbage');
is($t->post('/auth/refresh', {}, {
       refresh_token => $token =~ s/^rt1/rt2/r })->{status}, 401,
   'body: of another kind');
is($t->post('/auth/refresh', {}, {
       refresh_token => $token =~ s/.$/!/r })->{status}, 401,
   'body: not base64url');
is($t->post('/auth/refresh', {}, { refresh_token => "$token!" })->{status},
   401, 'body: longer');
is($t->post('/auth/refresh', {}, { refresh_token => $token })->{status}, 200,
   'body: none of them has ended the session');

# from where
$first = cookie(sign_in($wallet), 'rt');
is($t->request('POST', '/auth/refresh', { Cookie => $first }, '')->{status},
   403, 'a cookie without an origin');
is(refresh($first, headers => { Origin => 'http://evil.example' })->{status},
   403, 'or of another one');
is(refresh($first)->{status}, 200, 'nothing was used up');

# a generation that has not been handed out, as after a restored backup
my $session = $t->sql('select id from auth.sessions where revoked_at is null
                        order by created_at desc limit 1');
is($t->sql("select outcome from auth.session_refresh(?, 99, '7 d', '10 s')",
           $session), 'refused', 'a generation from the future');

# what is idle for less ends when the session does
$first = cookie(sign_in($wallet), 'rt');
$t->sql("update auth.sessions set expires_at = now() + interval '60 s'");
$res = refresh($first);
is($res->{status}, 200, 'a minute before the end');
cmp_ok($res->{json}{refresh_expires_in}, '<=', 60, 'no longer than that');

# idle and absolute ends, suspension
for my $case (
    [ "idle_until = now() - interval '1 s'", 'idle for too long' ],
    [ "expires_at = now() - interval '1 s'", 'too old' ],
) {
    $first = cookie(sign_in($wallet), 'rt');
    $t->sql("update auth.sessions set $case->[0]");
    is(refresh($first)->{status}, 401, $case->[1]);
}

$first = cookie(sign_in($wallet), 'rt');
$t->sql("update auth.users set status = 'suspended'");
is(refresh($first)->{status}, 401, 'a suspended user');
$res = sign_in($wallet);
is($res->{status}, 403, 'does not sign in');
is($res->{json}{error}{code}, 'account_suspended', 'and is told');
$t->sql("update auth.users set status = 'active'");
is(refresh($first)->{status}, 401, 'nor does the old session come back');


# -- logout

$first = cookie(sign_in($wallet), 'rt');
$res = $t->request('POST', '/auth/logout',
                   { Cookie => $first, Origin => $origin }, '');
is($res->{status}, 204, 'logout');
like($res->{headers}{'set-cookie'}, qr/^rt=; .*Max-Age=0/, 'forgets');
is(refresh($first)->{status}, 401, 'the session is over');
is($t->request('POST', '/auth/logout',
               { Cookie => $first, Origin => $origin }, '')->{status}, 204,
   'again: still 204');
is($t->request('POST', '/auth/logout', {}, '')->{status}, 204,
   'nobody: 204');

($first, $second) = map { cookie(sign_in($wallet), 'rt') } 1, 2;
is($t->request('POST', '/auth/logout',
               { Cookie => $first, Origin => $origin }, '')->{status}, 204,
   'logout here');
is(refresh($first)->{status}, 401, 'ends this session');
is(refresh($second)->{status}, 200, 'and no other');

($first, $second) = map { cookie(sign_in($wallet), 'rt') } 1, 2;
is($t->request('POST', '/auth/logout?all=1',
               { Cookie => $first, Origin => $origin }, '')->{status}, 204,
   'logout everywhere');
is(refresh($second)->{status}, 401, 'ends the other session as well');

$res = sign_in($wallet);
is($t->request('POST', '/auth/logout',
               { Authorization => "Bearer $res->{json}{access_token}" }, '')
     ->{status}, 204, 'logout by access token');
is(refresh(cookie($res, 'rt'))->{status}, 401, 'ends its session');


# -- what is logged: the reason, never a secret

ok($t->wait_log(qr/signature is of another address/), 'reason in the log');
like(Sallyport::Test::slurp("$t->{dir}/logs/access.log"),
     qr/verify 401 domain is not configured/, '$wallet_error');
unlike($t->error_log, qr/rt1_[\w-]{20}|0x[0-9a-f]{100}/, 'no secret');

$t->finish;
done_testing;
