#!/usr/bin/perl

# wallet_auth: races, and Redis or PostgreSQL away in the middle

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use Time::HiRes ();

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;
use Sallyport::Wallet;


my $t = Sallyport::Test->new;

$t->redis;
$t->pg;
$t->file('sign.jwk',
         JSON::PP::encode_json(Sallyport::JWT->new('ES256')->private), 0600);

$t->conf(<<'EOF_CONF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    redis_server main %%REDIS%% timeout=100ms;
    pg_server main "%%PG%%" connections=4 timeout=500ms;

    token_issuer http://127.0.0.1:%%PORT%% key_file=%%DIR%%/sign.jwk;
    auth_jwt_key_file %%DIR%%/sign.jwk;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /auth/ { wallet_auth; }
        location /up { return 204; }
        location /me {
            auth_jwt "r";
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }
    }
}
EOF_CONF

$t->run;

my $domain = '127.0.0.1:' . $t->port;
my $origin = "http://$domain";
my $wallet = Sallyport::Wallet->new;


sub cookie {
    my ($res, $name) = @_;

    my $set = $res->{headers}{'set-cookie'};

    for my $one (ref $set ? @$set : split /,\s*(?=[\w-]+=)/, $set // '') {
        return $1 if $one =~ /^(\Q$name\E=[^;]*)/;
    }

    return '';
}


# headers and body of a good verify
sub prepared {
    my ($w) = @_;

    my $n = $t->get('/auth/nonce');
    my $text = $w->message(domain => $domain, nonce => $n->{json}{nonce});

    return ({ Cookie => cookie($n, 'siwx') },
            { message => $text, signature => $w->sign($text) });
}


sub refresh {
    my ($cookie) = @_;
    return $t->request('POST', '/auth/refresh',
                       { Cookie => $cookie, Origin => $origin }, '');
}


# all are sent before the first answer is read
sub at_once {
    my @streams = map { $t->stream(@$_) } @_;
    my @replies = map { $_->reply } @streams;

    $_->close for @streams;
    return @replies;
}


# -- races

for my $round (1 .. 5) {
    my ($headers, $body) = prepared($wallet);
    my @status = sort map { $_->{status} }
                 at_once(map { [ 'POST', '/auth/verify', $headers, $body ] }
                         1 .. 8);

    is("@status", join(' ', 200, (401) x 7), "one nonce, one 200, $round");
}

{
    # eight first sign-ins of one new wallet
    my $new = Sallyport::Wallet->new;
    my @all = map { [ 'POST', '/auth/verify', prepared($new) ] } 1 .. 8;
    my @replies = at_once(@all);
    my %sub = map { ($_->{json}{sub} // $_->{status}) => 1 } @replies;

    is(keys %sub, 1, 'first sign-ins at once make one user')
        or diag join ' ', keys %sub;
    is(scalar(grep { $_->{status} == 200 } @replies), 8, 'and all succeed');
    is(scalar $t->sql('select count(*) from auth.users u
                        where not exists (select from auth.wallets w
                                           where w.user_id = u.id)'), 0,
       'no user without a wallet is left');
}

{
    my $rt = cookie($t->post('/auth/verify', prepared($wallet)), 'rt');
    my @replies = at_once(map { [ 'POST', '/auth/refresh',
                                  { Cookie => $rt, Origin => $origin }, '' ] }
                          1 .. 50);
    my %next = map { (cookie($_, 'rt') || $_->{status}) => 1 } @replies;

    is(keys %next, 1, '50 refreshes at once: one successor')
        or diag join ' ', keys %next;
    isnt((keys %next)[0], $rt, 'which is another token');
    is(refresh((keys %next)[0])->{status}, 200, 'and is good');
}


# -- Redis away

my ($headers, $body) = prepared($wallet);
my $in = $t->post('/auth/verify', prepared($wallet));
my $rt = cookie($in, 'rt');
my $token = { Authorization => "Bearer $in->{json}{access_token}" };

for my $how ('stalled', 'stopped') {
    $how eq 'stalled' ? $t->suspend('redis') : $t->stop_server('redis');

    my $start = Time::HiRes::time();
    my $res = $t->post('/auth/verify', $headers, $body);

    is($res->{status}, 503, "Redis $how: verify 503");
    ok($res->{headers}{'retry-after'}, "Redis $how: Retry-After");
    is($res->{json}{error}{code}, 'sign_in_unavailable', "Redis $how: code");
    is(cookie($res, 'rt'), '', "Redis $how: no session");
    is($t->get('/auth/nonce')->{status}, 503, "Redis $how: nonce 503");
    cmp_ok(Time::HiRes::time() - $start, '<', 3, "Redis $how: soon");
    is($t->get('/me', $token)->{status}, 204, "Redis $how: tokens go on");

    $res = refresh($rt);
    is($res->{status}, 200, "Redis $how: refresh goes on");
    $rt = cookie($res, 'rt');

    $how eq 'stalled' ? $t->resume('redis') : $t->start_server('redis');
    ok($t->wait_until(sub { $t->get('/auth/nonce')->{status} == 200 }),
       "Redis after it was $how: nonce");
}

is($t->post('/auth/verify', prepared($wallet))->{status}, 200,
   'Redis back: verify');


# -- PostgreSQL away

for my $how ('stalled', 'stopped') {
    my @verify = prepared($wallet);

    $how eq 'stalled' ? $t->suspend('pg') : $t->stop_server('pg');

    my $res = $t->post('/auth/verify', @verify);

    is($res->{status}, 503, "PostgreSQL $how: verify 503");
    ok($res->{headers}{'retry-after'}, "PostgreSQL $how: Retry-After");
    ok(!$res->{json}{access_token}, "PostgreSQL $how: no token");
    is(refresh($rt)->{status}, 503, "PostgreSQL $how: refresh 503");
    is($t->request('POST', '/auth/logout',
                   { Cookie => $rt, Origin => $origin }, '')->{status}, 503,
       "PostgreSQL $how: logout 503");
    is($t->get('/auth/nonce')->{status}, 200, "PostgreSQL $how: nonce");
    is($t->get('/auth/session', $token)->{status}, 200,
       "PostgreSQL $how: session");
    is($t->get('/me', $token)->{status}, 204, "PostgreSQL $how: tokens go on");

    $how eq 'stalled' ? $t->resume('pg') : $t->start_server('pg');

    ok($t->wait_until(sub {
           $t->post('/auth/verify', prepared($wallet))->{status} == 200;
       }), "PostgreSQL after it was $how: verify");
}

ok($t->wait_until(sub {
       my $res = $t->post('/auth/verify', prepared($wallet));
       return refresh(cookie($res, 'rt'))->{status} == 200;
   }), 'a new session is refreshed');


# -- the client leaves in the middle

$t->suspend('pg');

for (1 .. 5) {
    my $s = $t->stream('POST', '/auth/verify', prepared($wallet));
    $s->close;
}

$t->resume('pg');
ok($t->wait_until(sub {
       $t->post('/auth/verify', prepared($wallet))->{status} == 200;
   }), 'clients that left did no harm');

# -- reload with a verify in flight

($headers, $body) = prepared($wallet);
$t->suspend('pg');

my $s = $t->stream('POST', '/auth/verify', $headers, $body);

$t->reload;
$t->resume('pg');
like($s->reply->{status}, qr/^(?:200|503)$/, 'answered across a reload');
$s->close;

is($t->post('/auth/verify', prepared($wallet))->{status}, 200,
   'after the reload');

$t->finish;
done_testing;
