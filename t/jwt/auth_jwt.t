#!/usr/bin/perl

# auth_jwt: who gets in, what is answered, what the variables hold

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;


my $t = Sallyport::Test->new;

my %key = map { $_ => Sallyport::JWT->new($_, kid => lc $_) }
          qw(RS256 PS256 ES256 EdDSA);
my $hmac = Sallyport::JWT->new('HS256', kid => 'hs256');
my $other = Sallyport::JWT->new('EdDSA', kid => 'eddsa');

chmod 0600, $t->file('jwks.json', jwks(values %key, $hmac));
$t->file('issuer.json', jwks($key{EdDSA}));

my $json = join ',', map { qq("$_":"\$$_") }
           qw(identity_sub identity_tier identity_wallet jwt_claim_sub
              jwt_claim_tier jwt_claim_n jwt_claim_list jwt_claim_flag
              jwt_claim_missing jwt_header_alg jwt_error http_x_evil);

$t->conf(<<"EOF_CONF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    large_client_header_buffers 4 32k;
    auth_jwt_key_file %%DIR%%/jwks.json;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location /up/ {
            return 200 '{$json}';
        }

        location / {
            auth_jwt "the \\"realm\\"";
            proxy_pass http://127.0.0.1:%%PORT%%/up/;
            proxy_set_header X-Sub \$jwt_claim_sub;
            proxy_set_header X-Name \$jwt_claim_name\$jwt_claim_list;
            proxy_set_header X-Claims \$jwt_payload;
            add_header X-Values '{$json}' always;
        }

        location /optional {
            auth_jwt "r" optional;
            proxy_pass http://127.0.0.1:%%PORT%%/up/;
            add_header X-Values '{$json}' always;
        }

        location /arg {
            auth_jwt "r \$host" token=\$arg_token;
            proxy_pass http://127.0.0.1:%%PORT%%/up/;
        }

        location /off {
            proxy_pass http://127.0.0.1:%%PORT%%/up/;

            location /off/on {
                auth_jwt "nested";
                proxy_pass http://127.0.0.1:%%PORT%%/up/;
            }
        }

        location /on {
            auth_jwt "r";
            proxy_pass http://127.0.0.1:%%PORT%%/up/;

            location /on/below { proxy_pass http://127.0.0.1:%%PORT%%/up/; }

            location /on/off {
                auth_jwt off;
                proxy_pass http://127.0.0.1:%%PORT%%/up/;
            }
        }

        location /redirect {
            error_page 401 = /off;
            auth_jwt "r";
            proxy_pass http://127.0.0.1:%%PORT%%/up/;
        }
    }
}
EOF_CONF

$t->run;

my %claims = (
    sub => '00000000-0000-4000-8000-000000000001', exp => time + 600,
    tier => 'pro', wallet => '0xe5A12547fe4E872D192E3eCecb76F2Ce1aeA4946',
    n => 7, list => ['a', 'b'], flag => JSON::PP::true,
);

sub bearer { return { Authorization => "Bearer $_[0]" } }

sub values_of { return JSON::PP::decode_json($_[0]{headers}{'x-values'}) }


# good tokens of every algorithm, twice: the second time from the cache

for my $http2 (0, 1) {
    my $h = $http2 ? 'HTTP/2' : 'HTTP/1.1';

    for my $alg (sort(keys %key), 'HS256') {
        my $token = ($key{$alg} || $hmac)->token({ %claims, h2 => $http2 });

        for my $pass ('cold', 'warm') {
            my $res = $t->get('/', bearer($token), { http2 => $http2 });

            is($res->{status}, 200, "$h: $alg, $pass");
            is_deeply(values_of($res), {
                identity_sub => $claims{sub}, identity_tier => 'pro',
                identity_wallet => $claims{wallet},
                jwt_claim_sub => $claims{sub}, jwt_claim_tier => 'pro',
                jwt_claim_n => '7', jwt_claim_list => 'a,b',
                jwt_claim_flag => 'true', jwt_claim_missing => '',
                jwt_header_alg => $alg, jwt_error => '', http_x_evil => '',
            }, "$h: its values, $pass");
        }
    }
}


# a claim that users choose themselves does not end the header it is put in

my $line = "x\r\nX-Evil: yes";
my $at = time + 600;

for ([ 'a text', { %claims, name => $line } ],
     [ 'a list', { %claims, list => [ 'a', $line ] } ],
     [ 'lines between claims',
       qq({"exp":$at,\r\n"sub":"a",\r\n"X-Evil":"yes"}) ],
     [ 'lines like a header',
       qq({"exp":$at,"sub":"a","b":\r\n7,"x":"y"}) ])
{
    my ($what, $claims) = @$_;
    my $res = $t->get('/', bearer($key{EdDSA}->token($claims)));

    is("$res->{status} $res->{json}{http_x_evil}", '200 ', "no header: $what");
}

my $blank = $t->get('/', bearer($key{EdDSA}->token(
    { %claims, list => [ 'a', $line ] })));
is(values_of($blank)->{jwt_claim_list}, '', 'such a claim is empty');


# bad ones: one answer for all

my $good = $key{EdDSA}->token(\%claims);
my ($head, $payload, $signature) = split /\./, $good;
my $hs = Sallyport::JWT->new('HS256', kid => 'rs256',
    secret => JSON::PP->new->canonical->encode($key{RS256}->public));

my %bad = (
    'expired' => $key{ES256}->token({ %claims, exp => time - 1 }),
    'no exp' => $key{ES256}->token({ sub => 'x' }),
    'exp is text' => $key{ES256}->token({ %claims, exp => '9999999999' }),
    'not yet valid' => $key{ES256}->token({ %claims, nbf => time + 60 }),
    'issued tomorrow' => $key{ES256}->token({ %claims, iat => time + 86400 }),
    'sub is a number' => $key{ES256}->token({ %claims, sub => 7 }),
    'sub has two lines' => $key{ES256}->token({ %claims, sub => $line }),
    'tier has two lines' => $key{ES256}->token({ %claims, tier => $line }),
    'claims are a list' => $key{ES256}->token('[]'),
    'duplicate claim' => $key{ES256}->token(
        '{"exp":' . (time + 60) . ',"sub":"a","sub":"b"}'),
    'garbage' => 'garbage',
    'three dots' => 'a.b.c.d',
    'JSON serialization' => '{"payload":"e30"}',
    'padding' => "$head=.$payload.$signature",
    'alg none' => b64('{"alg":"none"}') . ".$payload.",
    'alg none with a signature' => b64('{"alg":"nOnE"}')
                                   . ".$payload.$signature",
    'no signature' => "$head.$payload.",
    'another payload' => "$head." . b64('{"sub":"root","exp":9999999999}')
                         . ".$signature",
    'another key, same kid' => $other->token(\%claims),
    'unknown kid' => $key{EdDSA}->token(\%claims, header => { kid => 'x' }),
    'kid is a number' => $key{EdDSA}->token(\%claims, header => { kid => 1 }),
    'kid is a path' => $key{EdDSA}->token(\%claims, header => {
        kid => '../../etc/passwd' }),
    'HS256 under a public key' => $hs->token(\%claims),
    'EdDSA said to be ES256' => $key{EdDSA}->token(\%claims, header => {
        alg => 'ES256' }),
    'crit' => $key{EdDSA}->token(\%claims, header => { crit => ['exp'] }),
    'b64 false' => $key{EdDSA}->token(\%claims, header => {
        b64 => JSON::PP::false, crit => ['b64'] }),
    'embedded key' => $other->token(\%claims, header => {
        kid => undef, jwk => $other->public }),
    'of another type' => $key{EdDSA}->token(\%claims, header => {
        typ => 'dpop+jwt' }),
    'duplicate header' => $key{EdDSA}->token(\%claims,
        header => '{"alg":"EdDSA","alg":"EdDSA","kid":"eddsa"}'),
    'too large' => $key{EdDSA}->token({ %claims, x => 'x' x 14000 }),
    'empty' => '',
);

my %answers;

for my $name (sort keys %bad) {
    for my $pass (1, 2) {
        my $res = $t->get('/', bearer($bad{$name}));

        is($res->{status}, 401, "$name: 401, pass $pass");
        is($res->{headers}{'www-authenticate'},
           'Bearer realm="the \"realm\"", error="invalid_token"',
           "$name: challenge") if $pass == 1;

        my $values = values_of($res);

        isnt($values->{jwt_error}, '', "$name: \$jwt_error has the reason");
        is($values->{jwt_claim_sub}, '', "$name: no claim is read");

        delete $res->{json}{error}{request_id};
        $answers{JSON::PP->new->canonical->encode($res->{json})} = 1;
    }
}

is(keys %answers, 1, 'one answer for all') or diag join "\n", keys %answers;

my $h2 = $t->get('/', bearer($bad{expired}), { http2 => 1 });
is($h2->{status}, 401, 'HTTP/2: expired');


# no token

my $res = $t->get('/');
is($res->{status}, 401, 'no token');
is($res->{headers}{'www-authenticate'}, 'Bearer realm="the \"realm\""',
   'a challenge without an error');
is($res->{json}{error}{code}, 'unauthorized', 'code');

is($t->get('/', { Authorization => 'Basic dTpw' })->{status}, 401, 'Basic');
is($t->get('/', { Authorization => "Digest $good" })->{status}, 401,
   'a token under another scheme');
is($t->get('/', { Authorization => "Bearer$good" })->{status}, 401,
   'no space after Bearer');
is($t->get('/', { Authorization => "bearer  $good" })->{status}, 200,
   'the scheme has no case');
is($t->get('/', { Authorization => "Bearer $good $good" })->{status}, 401,
   'two tokens in a header');

my $s = $t->connection;
$s->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
         . "Authorization: Bearer $good\r\n"
         . "Authorization: Bearer $good\r\n\r\n");
like($s->reply->{status}, qr/^40[01]$/, 'two headers');
$s->close;


# optional: nobody gets in as nobody, a bad token does not

$res = $t->get('/optional');
is($res->{status}, 200, 'optional without a token');
is(values_of($res)->{identity_sub}, '', 'nobody');
is($t->get('/optional', bearer($good))->{status}, 200, 'optional with one');
is($t->get('/optional', bearer($bad{expired}))->{status}, 401,
   'optional with a bad one');


# token=

is($t->get("/arg?token=$good")->{status}, 200, 'token from an argument');
is($t->get('/arg', bearer($good))->{status}, 401, 'and from nowhere else');
like($t->get('/arg?token=x')->{headers}{'www-authenticate'},
     qr/^Bearer realm="r /, 'a realm with a variable');


# inheritance

is($t->get('/off')->{status}, 200, 'off by default');
is($t->get('/off/on')->{status}, 401, 'on below');
is($t->get('/on/below')->{status}, 401, 'inherited');
is($t->get('/on/off')->{status}, 200, 'switched off below');
is($t->get('/redirect')->{status}, 200, 'error_page to an open location');
is($t->get('/redirect', bearer($good))->{status}, 200, 'and with a token');


# a reload keeps the cache and goes on

is($t->get('/', bearer($good))->{status}, 200, 'before the reload');
$t->file('jwks.json', jwks($other));
$t->reload;
is($t->get('/', bearer($good))->{status}, 401,
   'a key that is gone takes its cached tokens with it');
is($t->get('/', bearer($other->token(\%claims)))->{status}, 200,
   'the new key counts');


# what nginx -t refuses

my $frame = sub {
    return "%%LOAD%%\n%%GLOBALS%%\nevents { }\nhttp { %%HTTP%% server { "
           . "listen 127.0.0.1:%%PORT%%; $_[0] } }\n";
};

for my $case (
    [ 'location / { auth_jwt "r"; }', qr/has no key in location "\/"/ ],
    [ 'location / { auth_jwt "r"; auth_jwt "s"; }', qr/is duplicate/ ],
    [ 'location / { auth_jwt off optional; }', qr/after "off"/ ],
    [ 'location / { auth_jwt "r" token=x; }', qr/allowed are "optional"/ ],
    [ 'location / { auth_jwt "r" maybe; }', qr/allowed are "optional"/ ],
) {
    my ($ok, $out) = $t->check_conf($frame->($case->[0]));
    ok(!$ok && $out =~ $case->[1], "refused: $case->[0]") or diag $out;
}

$t->finish;
done_testing;
