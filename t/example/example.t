#!/usr/bin/perl

# client_version_minimum: the example plugin, on HTTP/1.1 and HTTP/2.

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
    client_version_minimum 3;
    quota_policy all { requests 1000/h; }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%;
        location / { try_files /absent =404; }
        location /file { quota all by=address; alias %%DIR%%/file.txt; }
        location /v1 { error_format openai; alias %%DIR%%/file.txt; }
        location /off { client_version_minimum 0; alias %%DIR%%/file.txt; }
        location /metrics { client_version_minimum 0; metrics; }
    }
}
EOC

$t->file('file.txt', "file\n");
$t->run;

for my $h2 (0, 1) {
    my $opt = { http2 => $h2 };
    my $v = $h2 ? 'h2: ' : '';

    my $get = sub {
        my ($path, $version) = @_;
        return $t->get($path, { 'X-Client-Version' => $version }, $opt);
    };

    # an empty header cannot be said to curl
    my @empty = $h2 ? () : ('');

    for my $version (undef, @empty, '2', 'x', '-3', '3x', '9' x 20) {
        my $res = $get->('/file', $version);
        my $name = $v . (defined $version ? "\"$version\"" : 'none');

        is($res->{status}, 400, "$name is refused");
        is($res->{json}{error}{code}, 'client_too_old', 'with a code');
        is($res->{json}{error}{message},
           'X-Client-Version must be 3 or later', 'that says how');
        is($res->{json}{error}{hint}, 'reload the page', 'and a hint');
        is($res->{headers}{ratelimit}, undef, 'and is not charged');
    }

    for my $version (3, 4, 1000) {
        my $res = $get->('/file', $version);

        is($res->{status}, 200, "$v$version passes");
        is($res->{headers}{'x-client-status'}, 'supported', 'is told so');
        like($res->{headers}{ratelimit}, qr/r=99\d/, 'and charged');
    }

    is($get->('/v1', 1)->{json}{error}{type}, 'invalid_request_error',
       "${v}the shape of OpenAI");

    my $res = $get->('/off', undef);
    is($res->{status}, 200, "${v}off");
    ok(!defined $res->{headers}{'x-client-status'}, 'says nothing');
}

like($t->get('/metrics')->{body},
     qr/^sallyport_client_version_refused_total 15$/m, 'counted');

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
