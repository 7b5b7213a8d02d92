#!/usr/bin/perl

# client_version_minimum: the example plugin.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    client_version_minimum 3;

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%;
        location / { try_files /absent =404; }
        location /file { alias %%DIR%%/file.txt; }
        location /off { client_version_minimum 0; alias %%DIR%%/file.txt; }
        location /metrics { client_version_minimum 0; metrics; }
    }
}
EOC

$t->file('file.txt', "file\n");
$t->run;

for my $version (undef, '', '2', 'x', '-3', '3x', '99999999999999999999') {
    my $res = $t->get('/file', { 'X-Client-Version' => $version });
    my $name = defined $version ? "\"$version\"" : 'none';

    is($res->{status}, 400, "$name is refused");
    is($res->{json}{error}{code}, 'client_too_old', 'with a code');
    is($res->{json}{error}{message}, 'X-Client-Version must be 3 or later',
       'that says how');
    is($res->{json}{error}{hint}, 'reload the page', 'and a hint');
}

for my $version (3, 4, 1000) {
    my $res = $t->get('/file', { 'X-Client-Version' => $version });

    is($res->{status}, 200, "$version passes");
    is($res->{headers}{'x-client-status'}, 'supported', 'and is told so');
}

my $res = $t->get('/off');
is($res->{status}, 200, 'off');
ok(!defined $res->{headers}{'x-client-status'}, 'says nothing');
like($t->get('/metrics')->{body},
     qr/^sallyport_client_version_refused_total 7$/m, 'counted');

my ($ok, $out) = $t->check_conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%%
client_version_minimum two;
}
EOC
ok(!$ok, 'not a number');
like($out, qr/invalid number in .*check\.conf:\d+/, 'is refused with its line');

$t->finish;
done_testing;
