#!/usr/bin/perl

# TLS to a provider: the name is sent, the certificate is verified, always.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my $t = Sallyport::Test->new;
my $p = Sallyport::Provider->new($t->dir . '/provider.sock', $t->dir);
my $dir = $t->dir;

sub openssl {
    system("openssl @_ >>$dir/openssl.log 2>&1") == 0
        or die Sallyport::Test::slurp("$dir/openssl.log");
}

for my $ca (qw(ca other)) {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
            . "-keyout $dir/$ca.key -out $dir/$ca.pem -days 2 -subj /CN=$ca");
}

$t->file('ext', "subjectAltName=DNS:localhost\n");
openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        . "-keyout $dir/server.key -out $dir/server.csr -subj /CN=x");
openssl("x509 -req -in $dir/server.csr -CA $dir/ca.pem -CAkey $dir/ca.key "
        . "-CAcreateserial -days 2 -extfile $dir/ext -out $dir/server.pem");

# a provider with the certificate of "localhost", behind this very NGINX
$t->conf(<<'EOF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    error_format openai;

    upstream pool { server 127.0.0.1:1 down; server 127.0.0.1:%%PORT3%%;
                    keepalive 4; }

    llm_provider good  { url https://localhost:%%PORT1%%/v1; model m as=good;
                         model m as=first; model m as=last backup;
                         trusted_certificate %%DIR%%/ca.pem; }
    llm_provider pool  { url http://provider.test/v1; model m as=pool;
                         model m as=first backup;
                         upstream pool; }
    llm_provider name  { url https://127.0.0.1:%%PORT1%%/v1; model m as=name;
                         model m as=last;
                         trusted_certificate %%DIR%%/ca.pem; }
    llm_provider other { url https://localhost:%%PORT1%%/v1; model m as=other;
                         trusted_certificate %%DIR%%/other.pem; }
    llm_provider sys   { url https://localhost:%%PORT1%%/v1; model m as=sys; }
    llm_provider plain { url https://localhost:%%PORT2%%/v1; model m as=plain;
                         trusted_certificate %%DIR%%/ca.pem; }
    llm_provider unix  { url http://unix:%%DIR%%/provider.sock:/base/v1/;
                         model m as=unix; }

    server {
        listen 127.0.0.1:%%PORT1%% ssl;
        listen [::1]:%%PORT1%% ssl;
        listen 127.0.0.1:%%PORT3%%;
        ssl_certificate %%DIR%%/server.pem;
        ssl_certificate_key %%DIR%%/server.key;
        location / {
            proxy_pass http://unix:%%DIR%%/provider.sock;
            proxy_set_header X-Name $ssl_server_name;
            proxy_set_header X-Connection $connection;
            proxy_set_header X-Host $http_host;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_ignore_headers X-Accel-Redirect;
        }
    }

    server { listen 127.0.0.1:%%PORT2%%; return 200 plain; }

    server {
        listen 127.0.0.1:%%PORT%%;
        location / { llm_pass good; }
    }
}
EOF

$t->run;

sub chat {
    my ($model, %more) = @_;
    return $t->post('/', {}, { %{ Sallyport::Llm::body("hi", %more) },
                               model => $model });
}

for my $model (qw(good pool)) {
    is(chat($model)->{status}, 200, "$model: answered");
    is(Sallyport::Llm::parse(chat($model, stream => \1)->{body})->{done}, 1,
       "$model: a stream");

    my $seen = $p->last_request->{headers};

    my $tls = $model eq 'good';

    is($seen->{'x-name'}, $tls ? 'localhost' : undef, "$model: SNI");
    is($seen->{'x-host'}, $tls ? 'localhost:' . $t->port(1)
                               : 'provider.test', "$model: Host");

    chat($model);
    is($p->last_request->{headers}{'x-connection'}, $seen->{'x-connection'},
       "$model: the connection is used again");
}

my $before = $p->requests;

for my $model (qw(name other sys plain)) {
    my $res = chat($model);

    is($res->{status}, 502, "$model: refused");
    is($res->{json}{error}{code}, 'provider_unreachable', "$model: code");
}

is($p->requests + 0, $before, 'nothing was sent to them');
like($t->error_log, qr/certificate does not match "127\.0\.0\.1"/,
     'the log says why');

# from one to the other: each with its own name, and TLS or none

for my $stream (0, 1) {
    is(chat('last', stream => $stream ? \1 : \0)->{status}, 200,
       'a certificate of another name: the next target');
    is($p->last_request->{headers}{'x-name'}, 'localhost', 'by its own name');
}

$before = $p->requests;
is(chat('first', messages => [ { role => 'user',
                                 content => 'fault status code=500' } ])
   ->{status}, 502, 'both fail');

my @seen = map { $_->{headers} } ($p->requests)[$before, $before + 1];
is_deeply([ map { $_->{'x-name'} } @seen ], [ 'localhost', undef ],
          'with TLS, then without');
is_deeply([ map { $_->{'x-host'} } @seen ],
          [ 'localhost:' . $t->port(1), 'provider.test' ], 'each by its host');

is(chat('unix')->{status}, 200, 'a unix socket');
is($p->last_request->{line}, 'POST /base/v1/chat/completions HTTP/1.1',
   'with its path');
is($p->last_request->{headers}{host}, 'localhost', 'and a host');

$t->finish;
done_testing;
