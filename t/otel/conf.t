#!/usr/bin/perl

# What otel_exporter takes and what nginx -t refuses; TLS to the collector; that
# nothing is done where it is off.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Collector;
use Sallyport::Llm;
use Test::More;


my $t = Sallyport::Test->new;
my $dir = $t->dir;

$t->file('key', "Bearer abcdefgh-123\n", 0600);
$t->file('open', "Bearer abcdefgh-123\n", 0644);
$t->file('empty', "\n", 0600);

sub conf {
    my ($block, $more) = @_;
    return $t->http_conf("otel_exporter { $block }\n" . ($more || ''));
}

my $url = 'endpoint http://127.0.0.1:4318;';

for my $fine ($url, 'endpoint http://collector.test;',
              'endpoint http://[::1]:4318/;',
              'endpoint http://127.0.0.1/otlp/v1/traces;',
              "$url header X-Scope-OrgID \"a b\";",
              "$url header_file Authorization %%DIR%%/key;",
              "$url interval 10ms; batch_size 1; batch_count 100;")
{
    $t->accepts(conf($fine), $fine);
}

$t->accepts(conf($url, 'otel_service_name x; otel_resource_attr a b;
                        otel_resource_attr c "";'), 'a resource');

like($t->accepts(conf('endpoint http://127.0.0.1:4317;'), 'port 4317'),
     qr/\[warn\].*port 4317 is for OTLP\/gRPC.*4318/, '... with a warning');

for my $bad (
    [ '', '"otel_exporter" directive needs "endpoint"' ],
    [ 'endpoint localhost:4317;', 'is "localhost:4317", expected an http:// .* not over gRPC' ],
    [ 'endpoint grpc://localhost:4317;', 'not over gRPC' ],
    [ 'endpoint http://;', 'no host in "endpoint" "http://"' ],
    [ 'endpoint http://a:99999;', 'invalid port in "endpoint"' ],
    [ 'endpoint http://unix:/tmp/x.sock;', 'a unix socket in "endpoint"' ],
    [ 'endpoint http://user:secret@host;', 'in "endpoint" "http' ],
    [ "$url $url", '"endpoint" of otel_exporter is duplicate' ],
    [ "$url interval 5ms;", '"interval" is "5ms", expected a time from 10ms to 1h' ],
    [ "$url batch_size 0;", '"batch_size" is "0", expected a number from 1 to 10000' ],
    [ "$url batch_count 101;", 'expected a number from 1 to 100' ],
    [ "$url queue 1;", 'unknown parameter "queue" in otel_exporter, expected endpoint, ' ],
    [ "$url header Authorization x;", 'is a secret by its name, use "header_file Authorization FILE"' ],
    [ "$url header x-api-key x;", 'is a secret by its name' ],
    [ "$url header a:b x;", 'takes a name of letters' ],
    [ "$url header a \"\\n\";", 'takes a value of printable ASCII' ],
    [ "$url header a \"\";", 'that are not empty' ],
    [ "$url header a 1; header A 2;", '"header" of otel_exporter is duplicate' ],
    [ "$url header content-type x;", '"header" of otel_exporter is duplicate' ],
    [ "$url header_file a %%DIR%%/none;", 'No such file' ],
    [ "$url header_file a %%DIR%%/open;", 'open' ],
    [ "$url header_file a %%DIR%%/empty;", 'empty' ],
    [ "$url trusted_certificate %%DIR%%/key;", 'an endpoint without TLS' ],
    [ 'endpoint https://a; trusted_certificate %%DIR%%/key;', 'cannot read the trusted certificates' ],
    [ "$url }\notel_exporter { $url", '"otel_exporter" directive is duplicate' ],
    [ "$url }\notel_service_name a; otel_service_name b; map \$a \$b {", 'is duplicate' ],
    [ "$url }\notel_resource_attr a b; otel_resource_attr a c; map \$a \$b {", 'is duplicate' ],
    [ "$url }\notel_resource_attr service.name b; map \$a \$b {", 'use "otel_service_name"' ],
    [ "$url }\notel_resource_attr 'a b' b; map \$a \$b {", 'takes a name of printable ASCII' ])
{
    $t->refuses(conf($bad->[0]), $bad->[1], $bad->[0]);
}

my ($fine, $out) = $t->check_conf($t->http_conf('otel_service_name x;'));
ok(!$fine, 'refused: a name of nothing');
like($out, qr/"otel_service_name" and "otel_resource_attr" need "otel_exporter"/,
     '... with why');


# TLS: a collector behind this very NGINX

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

my ($p, $c);

# exporter, more of http
sub gateway {
    my ($exporter, $http) = @_;

    ($t, $p) = Sallyport::Llm::gateway(
        prepare => sub {
            $c = Sallyport::Collector->new($_[0]->port(2), $_[0]->dir);
        },
        http => "$exporter trace_context on sample=1;
            log_subrequest on;
            server {
                listen 127.0.0.1:%%PORT3%% ssl;
                ssl_certificate $dir/server.pem;
                ssl_certificate_key $dir/server.key;
                location / { proxy_pass http://127.0.0.1:%%PORT2%%; }
            }" . ($http || ''),
        server => 'location = /sub { auth_request /auth; llm_pass default; }
                   location = /auth { return 204; }
                   location = /v1/responses { error_format responses;
                       llm_pass default dialect=responses; }');
    return;
}

sub chat { return $t->post(shift, {}, Sallyport::Llm::body('hi'))->{status} }

sub finish {
    $p->stop;
    $t->finish;
    $c->stop;
    return;
}

my $tls = "endpoint https://localhost:%%PORT3%%; interval 10ms;";

gateway("otel_exporter { $tls trusted_certificate $dir/ca.pem; }");
is(chat('/v1/chat/completions'), 200, 'TLS, a CA of its own');
ok($t->wait_until(sub { $c->spans == 2 }), '... it is trusted');

# with log_subrequest, and a request that waited for another one

is(chat('/sub'), 200, 'auth_request');
ok($t->wait_until(sub { $c->spans == 4 }), '... is one request');

# as a stream of the Responses API: tokens once, as the ledger would have them

my $res = $t->post('/v1/responses', {}, { model => 'default', input => 'hi',
                                          stream => \1 });
my ($in) = $res->{body} =~ /"input_tokens":(\d+)/;
ok($t->wait_until(sub { $c->spans == 6 }), 'a stream of the Responses API');
my @in = map { $_->{value}{intValue} }
         grep { $_->{key} eq 'gen_ai.usage.input_tokens' }
         map { @{ $_->{attributes} } } ($c->spans)[4, 5];
is("@in", $in, '... with its tokens, once');
finish();

gateway("otel_exporter { $tls }",
        "fetch_trusted_certificate $dir/ca.pem;");
is(chat('/v1/chat/completions'), 200, 'TLS, the CA of fetch, named below');
ok($t->wait_until(sub { $c->spans == 2 }), '... it is trusted');
finish();

gateway("otel_exporter { $tls trusted_certificate $dir/other.pem; }");
is(chat('/v1/chat/completions'), 200, 'TLS, another CA');
ok($t->wait_log(qr/collector has not taken 2 spans: unavailable/),
   '... is not trusted');
is(scalar $c->posts, 0, '... and told nothing');
finish();


# off

gateway('');
is(chat('/v1/chat/completions'), 200, 'off');
unlike($t->get('/metrics')->{body}, qr/sallyport_otel/, '... no metric');
is(scalar $c->posts, 0, '... no span');
finish();

done_testing;
