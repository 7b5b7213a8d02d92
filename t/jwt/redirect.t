#!/usr/bin/perl

# Who a request is from, after an internal redirect or an error_page: a
# location with auth_jwt judges by its own keys and rules, and what another
# location has proven does not count there.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT qw(jwks);
use Sallyport::Test;


my $t = Sallyport::Test->new;

my $ours = Sallyport::JWT->new('EdDSA', kid => 'k');
my $theirs = Sallyport::JWT->new('EdDSA', kid => 'k');

$t->file('ours.json', jwks($ours));
$t->file('theirs.json', jwks($theirs));

# whatever "from" was asked for, "to" answers
my $to = join '', map { <<"EOL" } 'try', 'page';
        location /$_/required { set \$to /required; include %%DIR%%/$_; }
        location /$_/optional { set \$to /optional; include %%DIR%%/$_; }
        location /$_/same     { set \$to /same;     include %%DIR%%/$_; }
        location /$_/admin    { set \$to /admin;    include %%DIR%%/$_; }
        location /$_/off      { set \$to /off;      include %%DIR%%/$_; }
        location /$_/any      { set \$to /any;      include %%DIR%%/$_; }
        location /$_/refused  { set \$to /refused;  include %%DIR%%/$_; }
EOL

my $from = 'auth_jwt "ours"; auth_jwt_key_file %%DIR%%/ours.json;';

$t->file('try', $t->expand("$from try_files /none \$to?\$args;"));
$t->file('page', $t->expand("$from recursive_error_pages on; error_page 404 = \$to?\$args; root %%DIR%%/none;"));

my $say = 'proxy_pass http://127.0.0.1:%%PORT%%/up; '
          . 'add_header X-Sub "$identity_sub" always; '
          . 'add_header X-Claim "$jwt_claim_tier" always;';

$t->conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location = /up { return 200 "up\\n"; }

$to

        location /required {
            auth_jwt "theirs" token=\$arg_theirs;
            auth_jwt_key_file %%DIR%%/theirs.json;
            $say
        }

        location /optional {
            auth_jwt "theirs" optional token=\$arg_theirs;
            auth_jwt_key_file %%DIR%%/theirs.json;
            $say
        }

        location /same {
            auth_jwt "ours";
            auth_jwt_key_file %%DIR%%/ours.json;
            $say
        }

        location /admin {
            auth_jwt "ours";
            auth_jwt_key_file %%DIR%%/ours.json;
            auth_jwt_require \$jwt_claim_admin error=403;
            $say
        }

        location /off { $say }

        location /any { satisfy any; deny all; $say }

        location /refused {
            error_page 401 = /off;
            auth_jwt "theirs";
            auth_jwt_key_file %%DIR%%/theirs.json;
            $say
        }
    }
}
EOC
$t->run;

my $alice = '00000000-0000-4000-8000-00000000000a';
my $bob = '00000000-0000-4000-8000-00000000000b';

my %claims = (exp => int(time) + 600, tier => 'pro');
my $good = $ours->token({ %claims, sub => $alice });
my $other = $theirs->token({ %claims, sub => $bob, tier => 'free' });
my $nameless = $theirs->token({ exp => $claims{exp} });

for my $h2 (0, 1) {
    for my $way ('try', 'page') {
        my $name = ($h2 ? 'h2: ' : '') . ($way eq 'try' ? 'redirect: '
                                                        : 'error_page: ');
        my $get = sub {
            my ($uri) = @_;
            my $res = $t->get("/$way/$uri",
                              { Authorization => "Bearer $good" },
                              { http2 => $h2 });

            return join ' ', $res->{status},
                map { defined && length ? $_ : '-' }
                @{ $res->{headers} }{qw(x-sub x-claim)};
        };

        is($get->('same'), "200 $alice pro", "${name}the same keys");
        is($get->('off'), "200 $alice pro",
           "${name}a location that does not ask keeps it");

        is($get->('required'), '401 - -', "${name}other keys, no token");
        is($get->("required?theirs=$good"), '401 - -',
           "${name}other keys, a token of ours");
        is($get->("required?theirs=$other"), "200 $bob free",
           "${name}other keys, their token");

        is($get->('optional'), '200 - -',
           "${name}other keys, optional: nobody");
        is($get->("optional?theirs=$good"), '401 - -',
           "${name}other keys, optional, a token of ours");
        is($get->("optional?theirs=$nameless"), '200 - -',
           "${name}other keys, a token that names nobody");
        is($get->("optional?theirs=$other"), "200 $bob free",
           "${name}other keys, optional, their token");

        like($get->('admin'), qr/^403 /, "${name}another rule");
        is($get->('any'), "403 $alice pro",
           "${name}satisfy any where nobody is asked for");
        is($get->('refused'), '200 - -',
           "${name}refused by other keys, then an open page: nobody");
    }
}

$t->finish;
done_testing;
