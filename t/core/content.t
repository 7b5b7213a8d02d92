#!/usr/bin/perl

# A location has one content handler, and the core answers the methods that
# it does not take.

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
    redis_server gone unix:%%DIR%%/gone.sock;
    pg_server gone "host=%%DIR%% user=x dbname=x" connect_timeout=100ms timeout=200ms;
    llm_provider demo { url http://127.0.0.1:%%PORT1%%/v1; model demo; }
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        test_steps on;

        location = /llm { llm_pass demo; }
        location = /models { test_steps off; llm_models; }
        location = /data { pg_call gone api; }
        location = /health { test_steps off; health live; }
        location = /metrics { test_steps off; metrics; }
        location = /any { test_content; }
        location = /cors { llm_pass demo; }
        location = /if {
            if ($arg_more) { set $more 1; }
            test_content;
        }
        location = /except {
            limit_except GET { allow all; }
            test_content;
        }
        location = /ifpass {
            if ($arg_more) { proxy_pass http://127.0.0.1:%%PORT1%%; }
            test_content;
        }
    }
    server { listen 127.0.0.1:%%PORT1%%; location / { return 200 "other\n"; } }
}
EOC
$t->run;

my @methods = (
    [ '/llm', 'POST', 'GET', 'HEAD', 'PUT', 'DELETE', 'PROPFIND' ],
    [ '/models', 'GET, HEAD', 'POST', 'PUT', 'PATCH' ],
    [ '/data', 'GET, HEAD, POST, PUT, PATCH, DELETE', 'PROPFIND', 'LOCK' ],
    [ '/health', 'GET, HEAD', 'POST', 'DELETE' ],
    [ '/metrics', 'GET, HEAD', 'POST', 'PUT' ],
);

for my $h2 (0, 1) {
    my $v = $h2 ? 'h2: ' : '';

    for my $case (@methods) {
        my ($path, $allow, @others) = @$case;

        for my $method (@others) {

            # curl waits for the body of an answer to HEAD
            next if $h2 && $method eq 'HEAD';

            my $res = $t->request($method, $path, {}, undef,
                                  { http2 => $h2 });

            is($res->{status}, 405, "$v$method $path: 405");
            is($res->{headers}{allow}, $allow, "$v$method $path: Allow");
        }

        my $res = $t->request('OPTIONS', $path, {}, undef, { http2 => $h2 });

        is($res->{status}, 204, "${v}OPTIONS $path: 204");
        is($res->{headers}{allow}, $allow, "${v}OPTIONS $path: Allow");
        is($res->{body}, '', "${v}OPTIONS $path: nothing else");
    }
}

is($t->request('OPTIONS', '/any')->{body}, "done\n",
   'a handler that takes any method is asked');
is($t->request('HEAD', '/models')->{status}, 200, 'HEAD where GET is taken');
is($t->get('/if?more=1')->{body}, "done\n", 'an "if" keeps the handler');
is($t->get('/ifpass?more=1')->{body}, "other\n", 'or brings one of its own');
is($t->get('/ifpass')->{body}, "done\n", 'which is not the location\'s');
is($t->post('/except', {}, 'x')->{body}, 'x', '"limit_except" keeps it too');

# before a body is waited for, or a token, and behind the CORS stage

my $s = $t->connection;
$s->send("PUT /llm?a=body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
is($s->reply->{status}, 405, '405 before a body has come');
$s->close;

is($t->request('PUT', '/llm?identify=refuse')->{status}, 405,
   'before an identity is asked for');
is($t->request('OPTIONS', '/cors?cors=204')->{headers}{allow}, undef,
   'a step of the CORS stage answers OPTIONS by itself');


# two in one location, in either order

my $two = qr/a location has one content handler/;
my @passes = ('proxy_pass http://127.0.0.1:1;', 'fastcgi_pass 127.0.0.1:1;',
              'uwsgi_pass 127.0.0.1:1;', 'scgi_pass 127.0.0.1:1;',
              'grpc_pass 127.0.0.1:1;', 'memcached_pass 127.0.0.1:1;',
              'stub_status;', 'empty_gif;', 'proxy_pass http://$host;');

for my $ours ('llm_pass demo;', 'pg_call gone api;', 'metrics;') {
    my ($name) = $ours =~ /^(\w+)/;

    for my $theirs (@passes) {
        my ($other) = $theirs =~ /^(\w+_pass) [^\$]*$/;

        $other = $other ? "\"$other\"" : 'another that answers the location';

        refused("$ours\n$theirs",
                qr/"$name" in \S+check\.conf:\d+ conflicts with $other below/,
                "$ours $theirs");
        refused("$theirs\n$ours",
                qr/"$name" conflicts with $other above .* in \S+conf:\d+/,
                "$theirs $ours");
    }
}

refused("llm_pass demo;\npg_call gone api;",
        qr/"pg_call" conflicts with "llm_pass" in \S+check\.conf:(\d+): $two/,
        'two of ours');
refused("llm_pass demo;\nllm_pass demo;", qr/"llm_pass"/, 'twice the same');

$t->finish;
done_testing;


sub refused {
    my ($location, $want, $name) = @_;

    my ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server gone "host=%%DIR%% user=x dbname=x";
    llm_provider demo { url http://127.0.0.1:1/v1; model demo; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location / {
            $location
        }
    }
}
EOC
    ok(!$ok && $out =~ $want, "$name: refused") or diag($out);
    return;
}
