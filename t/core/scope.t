#!/usr/bin/perl

# require_scope, and pg_role: what an identity may do here and in PostgreSQL.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::JWT qw(jwks);
use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;
my $key = Sallyport::JWT->new('EdDSA', kid => 'k');

$t->pg;
$t->file('jwks.json', jwks($key));

# a schema of the test's own: rows that row-level security gives out by role

$t->sql($_) for
    'create role sallyport_admin nologin',
    'grant sallyport_admin to sallyport',
    'create schema roles',
    'grant usage on schema roles to sallyport_user, sallyport_anon,
         sallyport_admin',
    'create table roles.row (name text, reader name)',
    "insert into roles.row values ('everybody', null),
         ('users', 'sallyport_user'), ('admins', 'sallyport_admin')",
    'alter table roles.row enable row level security',
    'create policy reads on roles.row
         using (reader is null or reader = current_user)',
    'grant select on roles.row to sallyport_user, sallyport_anon,
         sallyport_admin',
    <<'EOS',
create function roles.call(method text, path text, query jsonb, body jsonb)
returns table (status int, reply text, location text, allow text)
language sql set search_path = pg_catalog
as $$
    select 200, jsonb_build_object('role', current_user, 'sees',
        (select jsonb_agg(name order by name) from roles.row))::text,
        null::text, null::text
$$
EOS
    'grant execute on function roles.call to sallyport_user, sallyport_anon,
         sallyport_admin';

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=2 timeout=2s;
    pg_role admin sallyport_admin;
    pg_role "chief editor" sallyport_admin;
    auth_jwt_key_file %%DIR%%/jwks.json;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        auth_jwt "s" optional;

        location / { test_content; add_header X-Scope $identity_scope; }
        location /write { require_scope chat:write; test_content; }
        location /both {
            require_scope chat:write images;
            test_content;
            location /both/off { require_scope off; test_content; }
            location /both/below { test_content; }
        }
        location /page { require_scope chat:write; error_page 403 /write;
                         test_content; }
        location /except { limit_except GET { require_scope chat:write; }
                           test_content; }
        location /rows { pg_call main roles; }
    }
}
EOC
$t->run;

sub by {
    my (%claims) = @_;
    return { Authorization => 'Bearer ' . $key->token(
        { sub => '00000000-0000-4000-8000-00000000000a',
          exp => int(time) + 600, %claims }) };
}


# [claims, location, status]

my @cases = (
    [ { scope => 'chat:write' }, '/write', 200 ],
    [ { scope => 'a chat:write b' }, '/write', 200 ],
    [ { scope => 'chat:writer' }, '/write', 403 ],
    [ { scope => 'xchat:write' }, '/write', 403 ],
    [ { scope => 'chat:write,b' }, '/write', 403 ],
    [ { scope => 'CHAT:WRITE' }, '/write', 403 ],
    [ { scope => '' }, '/write', 403 ],
    [ { scope => "a\nchat:write" }, '/write', 403 ],
    [ { scope => [ 'chat:write' ] }, '/write', 403 ],
    [ { scope => 7 }, '/write', 403 ],
    [ {}, '/write', 403 ],
    [ { scopes => [ 'a', 'chat:write' ] }, '/write', 200 ],
    [ { scopes => [ 'a chat:write' ] }, '/write', 403 ],
    [ { scopes => [ 'a', undef, 7, [ 'chat:write' ] ] }, '/write', 403 ],
    [ { scopes => 'chat:write' }, '/write', 403 ],
    [ { scope => 'a', scopes => [ 'chat:write' ] }, '/write', 403 ],
    [ { scope => 'chat:write' }, '/both', 403 ],
    [ { scope => 'images chat:write' }, '/both', 200 ],
    [ {}, '/both/off', 200 ],
    [ { scope => 'images' }, '/both/below', 403 ],
    [ {}, '/page', 403 ],
);

for my $h2 (0, 1) {
    my $opt = { http2 => $h2 };
    my $v = $h2 ? 'h2: ' : '';

    for my $case (@cases) {
        my ($claims, $path, $status) = @$case;
        my $name = $v . "$path "
                   . Sallyport::HTTP::encode($claims);

        # the second comes from the cache of tokens
        is($t->get($path, by(%$claims, n => $_), $opt)->{status}, $status,
           $name) for 1, 1;
    }

    my $res = $t->get('/both', by(scope => 'chat:write'), $opt);

    is($res->{headers}{'www-authenticate'}, 'Bearer error='
       . '"insufficient_scope", scope="chat:write images"', "${v}challenge");
    is($res->{json}{error}{code}, 'insufficient_scope', "${v}code");
    like($res->{json}{error}{message}, qr/"chat:write images"/,
         "${v}names the scope");

    $res = $t->get('/write', {}, $opt);

    is($res->{status}, 401, "${v}nobody: 401");
    is($res->{headers}{'www-authenticate'}, 'Bearer',
       "${v}a challenge without an error");

    is($t->get('/', by(scopes => [ 'a', 'b' ]), $opt)->{headers}{'x-scope'},
       'a b', "${v}\$identity_scope");

    # roles: what is not mapped gets the default, whatever it says

    my $rows = sub {
        my $res = $t->get('/rows', $_[0], $opt);
        return join ' ', $res->{json}{role} || $res->{status},
                         @{ $res->{json}{sees} || [] };
    };

    is($rows->({}), 'sallyport_anon everybody', "${v}nobody");
    is($rows->(by()), 'sallyport_user everybody users', "${v}no role");
    is($rows->(by(role => $_)), 'sallyport_admin admins everybody',
       "${v}role $_") for 'admin', 'chief editor';

    is($rows->(by(role => $_)), 'sallyport_user everybody users',
       "${v}role " . substr($_, 0, 20) . ': the default')
        for 'Admin', 'sallyport_admin', 'postgres', 'none', 'admin ',
            'admin"; set role postgres; --', "x' or '1'='1",
            'sallyport_gateway', "\x{43}dmin", 'x' x 4000;
}

is($t->get('/except')->{status}, 200, 'limit_except: not GET');
is($t->post('/except', by(), 'x')->{status}, 403, 'but POST');


# what is refused when the configuration is read

my @confs = (
    [ '', 'require_scope a; require_scope b;', qr/is duplicate/ ],
    [ '', 'require_scope off a;', qr/invalid scope "off"/ ],
    [ '', 'require_scope a"b;', qr/invalid scope "a"b": allowed are/ ],
    [ '', 'require_scope "a b";', qr/invalid scope "a b"/ ],
    [ '', 'require_scope "";', qr/invalid scope ""/ ],
    [ 'pg_role "" x;', '', qr/an empty role in "pg_role"/ ],
    [ 'pg_role a b; pg_role a c;', '', qr/duplicate role "a"/ ],
    map { [ "pg_role a \"$_\";", '',
            qr/invalid name "\Q$_\E" of a role in PostgreSQL: allowed/ ] }
        '', 'none', 'Admin', '1a', 'a-b', 'a b', 'a\'b', 'x' x 64,
);

for my $case (@confs) {
    my ($http, $location, $want) = @$case;
    my ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    $http
    server { listen 127.0.0.1:%%PORT%%; location / { $location } }
}
EOC
    ok(!$ok && $out =~ /$want.* in \S+check\.conf:\d+/s,
       "refused: $http$location") or diag($out);
}

$t->finish;
done_testing;
