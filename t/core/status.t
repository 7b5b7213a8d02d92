#!/usr/bin/perl

# Statuses have a reason phrase, and addresses that do not exist are 404: in
# an API by not_found, on a page by the maps of the shipped configuration.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

# those of the shipped configuration
my ($maps) = Sallyport::Test::slurp("$Sallyport::Test::top/conf/quickstart.conf")
             =~ /^(    map .*?\n    \}\n    map .*?\n    \}\n)/ms
    or die "conf/quickstart.conf has no maps for the page\n";

my @codes = (203, 207, 208, 226, 300, 407, 417, 422 .. 426, 428, 431, 451,
             506, 508, 510, 511);

my $returns = join '', map { "location = /status/$_ { return $_ text; }\n" }
                      @codes;

$t->conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
$maps
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/www;
        $returns
        location /v1/  { error_format openai; not_found; }
        location /api/ { not_found; }
        location /     { try_files \$uri \$page =404; }
    }
}
EOC

$t->file('www/index.html', '<html>the page</html>');
$t->file('www/app.js', 'code');
$t->file('www/.git/config', 'secret');
$t->run;

for my $code (@codes) {
    my $res = $t->get("/status/$code");

    is($res->{status}, $code, "returns $code");
    like($res->{reason}, qr/^[A-Z][\w -]+$/, "$code has a reason");
}

for my $http2 (0, 1) {
    my $name = $http2 ? 'HTTP/2' : 'HTTP/1.1';

    for my $method (qw(GET POST PUT DELETE OPTIONS)) {
        my $res = $t->request($method, '/v1/embeddings?key=secret', {},
                              undef, { http2 => $http2 });

        is($res->{status}, 404, "$name, $method: an unknown endpoint");
        is($res->{json}{error}{code}, 'endpoint_not_found', 'its code');
        is($res->{json}{error}{type}, 'invalid_request_error', 'its type');
        is($res->{json}{error}{message}, "there is no $method /v1/embeddings",
           'names the path, without the arguments');
    }
}

my $res = $t->get("/api/%22%ff\"\\\xff" . "x" x 1000);

is($res->{status}, 404, 'a hostile path');
is($res->{json}{error}{code}, 'endpoint_not_found', 'is quoted');
cmp_ok(length $res->{json}{error}{message}, '<', 300, 'and cut');

my %html = (Accept => 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8');

for my $case (
    [ '/',              {},     200, 'the page, for anybody' ],
    [ '/',              \%html, 200, 'the page' ],
    [ '/index.html',    {},     200, 'the page by its name' ],
    [ '/app.js',        {},     200, 'a file' ],
    [ '/chat/42',       \%html, 200, 'a place of the page' ],
    [ '/chat/a%20b',    \%html, 200, 'a place with a space' ],
    [ '/chat/42',       {},     404, 'a script asks for a place' ],
    [ '/chat/42',       { Accept => 'application/json' }, 404, 'for JSON' ],
    [ '/text/html%20/', {},     404, 'a path that looks like the header' ],
    [ '/1%20/x',        {},     404, 'a path that looks like the map' ],
    [ '/missing.js',    \%html, 404, 'a missing file' ],
    [ '/v2/logo.png',   \%html, 404, 'a missing image' ],
    [ '/ws',            {},     404, 'a socket that is not there' ],
    [ '/.env',          \%html, 404, 'a hidden file that is not there' ],
    [ '/.git/x',        \%html, 404, 'a hidden folder' ])
{
    my ($path, $headers, $status, $name) = @$case;

    $res = $t->get($path, $headers);
    is($res->{status}, $status, "$name: $path");
    is($res->{body} =~ /the page/ ? 1 : 0,
       $status == 200 && $path ne '/app.js' ? 1 : 0, 'has the page or not');
}

$t->finish;
done_testing;
