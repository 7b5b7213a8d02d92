#!/usr/bin/perl

# A refusal turns into nothing else: every refusal of every plugin, by every
# way that a request can be led on or be a part of another, to every kind of
# place.  The table of all cells is printed with SP_CELLS=1, and what differs
# always.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Sallyport::JWT qw(jwks);
use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;
my $key = Sallyport::JWT->new('EdDSA', kid => 'k');

$t->file('jwks.json', jwks($key));
$t->file('sign.jwk', JSON::PP::encode_json($key->private), 0600);
$t->file('relay.key', '11' x 32, 0600);
$t->file('good.rules', "[w category=word]\nforbidden\n");

my $chat = '{"model":"demo","messages":[{"role":"user","content":"%s"}]}';
my $json = { 'Content-Type' => 'application/json' };
my $user = { Authorization => 'Bearer ' . $key->token(
                 { sub => 'a', exp => int(time) + 600 }) };

# what refuses: name => its steps, what is asked, what is answered; "asked
# again" is a page that has the same steps

my %refusals = (
    jwt401 => { steps => 'auth_jwt r;', status => 401,
                code => 'unauthorized', again => 1 },
    jwt403 => { steps => 'auth_jwt r; auth_jwt_require $jwt_claim_admin '
                         . 'error=403;', head => $user,
                status => 403, code => 'forbidden', again => 1 },
    scope401 => { steps => 'require_scope chat:write;', status => 401,
                  code => 'unauthorized', again => 1,
                  says => 'www-authenticate' },
    scope403 => { steps => 'auth_jwt r; require_scope chat:write;',
                  head => $user, status => 403,
                  code => 'insufficient_scope', again => 1,
                  says => 'www-authenticate' },
    quota429 => { steps => 'quota one by=$http_x_key;', head => {},
                  status => 429, code => 'quota_exceeded', spend => 1,
                  says => 'retry-after' },
    quota503 => { steps => 'quota one by=$http_x_key; quota_failure closed;',
                  status => 503, code => 'quota_unavailable',
                  says => 'retry-after' },
    moderation422 => { steps => 'moderation input;', body => 'forbidden',
                       status => 422, code => 'content_blocked' },
    llm400 => { pass => 'llm_pass demo;', body => \'{"messages":[]}',
                status => 400, code => 'messages_required' },
    llm404 => { pass => 'llm_pass demo;',
                body => \('{"model":"x","messages":[{"role":"user",'
                          . '"content":"x"}]}'),
                status => 404, code => 'model_not_found' },
    llm405 => { pass => 'llm_pass demo;', method => 'PUT', body => 'x',
                status => 405, code => 'method_not_allowed',
                says => 'allow' },
    jwks405 => { pass => 'wallet_jwks;', method => 'PUT', body => 'x',
                 reads => 1, status => 405, code => 'method_not_allowed',
                 says => 'allow' },
    mint405 => { pass => 'mint_relay gone;', method => 'PUT', body => 'x',
                 reads => 1, status => 405, code => 'method_not_allowed',
                 says => 'allow' },
    data405 => { pass => 'pg_call gone api;', method => 'LOCK', body => 'x',
                 reads => 1, status => 405, code => 'method_not_allowed',
                 says => 'allow' },
    body413 => { steps => 'moderation input; body_max_size 60;',
                 body => 'x' x 100, status => 413,
                 code => 'body_too_large' },
    body415 => { steps => 'moderation input;', body => 'x',
                 head => { 'Content-Type' => 'text/plain' },
                 status => 415, code => 'unsupported_media_type' },
    body400 => { steps => 'moderation input;', body => \'{"a":', status => 400,
                 code => 'invalid_json' },
    probe429 => { steps => 'test_steps on; set $args a=wait:5,refuse;',
                  status => 429, code => 'test_refused',
                  says => 'retry-after' },
);

my @names = sort keys %refusals;

# where an error_page leads: a place of ours with the same steps, or without,
# sign-in, mints, or a page, or one that has the same steps

my %targets = (
    same => sub { my ($r) = @_; ($r->{steps} || '') . ' '
                                . ($r->{pass} || 'test_content;') },
    relay => sub { 'test_content;' },
    auth => sub { 'rewrite ^ $at/nonce break; wallet_auth redis=gone pg=gone;' },
    mint => sub { 'rewrite ^ $at/domain break; mint_relay gone;' },
    page => sub { 'rewrite ^ /page.txt break;' },
    guarded => sub { my ($r) = @_;
                     ($r->{steps} || '') . ' rewrite ^ /page break; '
                     . 'proxy_pass http://127.0.0.1:%%PORT1%%;' },
);

# how it leads there

my %exits = (
    uri => '/to/%s',
    named => '= @%s',
    ok => '=200 /to/%s',
    again => '= @%s; recursive_error_pages on',
);

# how the request comes to the place that refuses

my %entries = (
    plain => sub { },
    try => sub { "try_files /none /x/$_[0]?\$args;" },
    index => sub { "index /x/$_[0];" },
    rewrite => sub { "rewrite ^ /x/$_[0] last;" },
    accel => sub { "proxy_pass http://127.0.0.1:%%PORT1%%; "
                   . "proxy_set_header X-To /x/$_[0]?\$args;" },
    auth => sub { "auth_request /x/$_[0]; test_content;" },
    any => sub { "satisfy any; deny all; auth_request /x/$_[0]; "
                 . 'test_content;' },
    mirror => sub { "mirror /x/$_[0]; test_content;" },
    ssi => sub { "ssi on; proxy_pass http://127.0.0.1:%%PORT1%%/ssi; "
                 . "proxy_set_header X-To /x/$_[0]?\$args;" },
    add => sub { "add_after_body /x/$_[0]; "
                 . 'proxy_pass http://127.0.0.1:%%PORT1%%/add;' },
);

# not every NGINX has it

my $adds = `$t->{nginx} -V 2>&1` =~ /http_addition_module/;

delete $entries{add} unless $adds;

my $locations = '';

for my $name (@names) {
    my $r = $refusals{$name};
    my $steps = $r->{steps} || '';
    my $pass = $r->{pass} || 'test_content;';

    for my $to (keys %targets) {
        my $what = $targets{$to}->($r) =~ s{\$at}{/to/$name-$to}r;

        $what .= " error_page $r->{status} = \@$name-relay; "
                 . 'recursive_error_pages on;'
            if $to eq 'same';

        $locations .= "location = /to/$name-$to { $what }\n"
                      . named("$name-$to", $what);

        for my $exit (keys %exits) {
            my $page = sprintf $exits{$exit}, "$name-$to";

            $locations .= "location = /x/$name-$exit-$to { $steps $pass "
                          . "error_page $r->{status} $page; }\n"
                          . "location = /y/$name-$exit-$to { $steps $pass "
                          . "satisfy any; allow all; "
                          . "error_page $r->{status} $page; }\n";
        }
    }

    $locations .= "location = /x/$name { $steps $pass }\n";

    for my $entry (keys %entries) {
        for my $way ('', '-named-relay', '-ok-page', '-named-same') {
            my $at = "/$entry/$name$way" . ($entry eq 'index' ? '/' : '');
            my $what = $entries{$entry}->("$name$way");

            $locations .= "location = $at { $what }\n" if $what;
        }
    }
}

my %handlers = (
    llm_pass => 'llm_pass demo;', llm_embeddings => 'llm_embeddings embed;',
    llm_models => 'llm_models;', pg_call => 'pg_call gone api;',
    demo_model => 'demo_model;', health => 'health live;',
    metrics => 'metrics;', not_found => 'not_found;',
    wallet_auth => 'wallet_auth redis=gone pg=gone;',
    wallet_jwks => 'wallet_jwks;', mint_relay => 'mint_relay gone;',
);
my @handlers = sort keys %handlers;

for my $name (@handlers) {
    $locations .= "location = /to/handler-$name { $handlers{$name} }\n"
                  . named("handler-$name", $handlers{$name});

    for my $exit (keys %exits) {
        my $page = sprintf $exits{$exit}, "handler-$name";

        $locations .= "location = /handler/$name-$exit { test_steps on; "
                      . 'set $args a=refuse; '
                      . "error_page 429 $page; test_content; }\n";
    }
}

my $conf = <<'EOC';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    variables_hash_max_size 4096;
    auth_jwt_key_file %%DIR%%/jwks.json;
    moderation_rules %%DIR%%/good.rules;
    pg_server gone "host=%%DIR%% user=x dbname=x" connect_timeout=100ms
                   timeout=200ms;
    redis_server gone 127.0.0.1:%%PORT9%%;
    quota_redis gone;
    quota_policy one { requests 1/h; }
    token_issuer http://127.0.0.1:%%PORT%% key_file=%%DIR%%/sign.jwk;
    chain gone { chain_id 1; rpc http://127.0.0.1:%%PORT9%%; }
    mint gone {
        chain gone; pg gone; signer key_file=%%DIR%%/relay.key;
        contract 0x5FbDB2315678afecb367f032d93F642f64180aa3;
    }
    llm_provider demo { url http://127.0.0.1:%%PORT2%%/v1; model demo;
                        model embed kind=embedding; }

    log_format cells '$request_uri|$uri|$status|$sent_http_x_trace';

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/html;
        log_subrequest on;
        access_log %%DIR%%/logs/cells.log cells;
        ssi_types *;
        ADDITION

        LOCATIONS
        location = /open { test_content; }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        location / { add_header X-Accel-Redirect $http_x_to; return 200 x; }
        location = /ssi {
            return 200 '<!--# include virtual="$http_x_to" -->end';
        }
        location = /add { return 200 'end'; }
        location = /page { return 200 "page\n"; }
    }
    server {
        listen 127.0.0.1:%%PORT2%%;
        location / { demo_model; }
    }
}
EOC

$adds = $adds ? 'addition_types *;' : '';
$conf =~ s/LOCATIONS/$locations/;
$conf =~ s/ADDITION/$adds/;

mkdir $t->dir . '/html';
$t->file('html/page.txt', "page\n");
$t->conf($conf);
$t->run;

my ($cells, $failed, $keys) = (0, 0, 0);

for my $name (@names) {
    all("$name: error_page", sub { direct($name, 0, '/x') });
    all("$name: error_page, satisfy any", sub { direct($name, 0, '/y') });

    all("$name: error_page, HTTP/2", sub { direct($name, 'frames', '/x') });

    for my $entry (sort grep { $_ ne 'plain' } keys %entries) {
        for my $http2 (0, 'frames') {
            all("$name: $entry" . ($http2 ? ', HTTP/2' : ''), sub {
                led($name, $entry, $_, $http2)
                    for '', '-named-relay', '-ok-page', '-named-same';
            });
        }
    }
}

# every other content handler of ours, in the place of a page

for my $name (@handlers) {
    for my $exit (sort keys %exits) {
        my $res = $t->get("/handler/$name-$exit");

        is("$res->{status} $res->{json}{error}{code}", '429 test_refused',
           "a refusal, then $name, error_page $exit");
    }
}

$t->finish;
done_testing;


# mint_relay has no named location: another of ours stands there

sub named {
    my ($name, $what) = @_;
    return "location \@$name { " . $what =~ s/mint_relay \w+/test_content/r
           . " }\n";
}


# a group of cells is one test

sub all {
    my ($name, $code) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ($cells, $failed) = (0, 0);
    $code->();
    is($failed, 0, "$name: $cells cells") if $cells;
    return;
}


# a refusal at the place that was asked for, and where its error_page leads

sub direct {
    my ($name, $h2, $at) = @_;

    my $r = $refusals{$name};
    my $opt = { http2 => $h2 };

    cell($r, ask($r, "/x/$name", $opt), 'refused', "$name: no error_page");

    for my $exit (sort keys %exits) {
        for my $to (sort keys %targets) {
            # NGINX's static files take no other methods
            next if $to eq 'page' && $exit ne 'uri' && $exit ne 'ok'
                    && ($r->{body} || $r->{method});

            my $open = $to eq 'page' || $to eq 'guarded' && !$r->{again};
            my $want = $open ? ($exit eq 'ok' || $exit ne 'uri' ? 'page 200'
                                                  : "page $r->{status}")
                             : 'refused';

            cell($r, ask($r, "$at/$name-$exit-$to", $opt), $want,
                 ($h2 ? 'h2 ' : '') . ($at eq '/y' ? 'satisfy any ' : '')
                 . "$name: error_page $exit -> $to");
        }
    }
}


# a request that comes to the refusing place by another

sub led {
    my ($name, $entry, $way, $h2) = @_;

    my $r = $refusals{$name};
    my $at = "/$entry/$name$way" . ($entry eq 'index' ? '/' : '');
    my $label = ($h2 ? 'h2 ' : '') . "$entry -> $name" . ($way ? ", error_page $way" : '');
    my $part = $entry =~ /^(?:mirror|ssi|add)$/;

    # NGINX makes GET of the method on these ways
    return if $entry eq 'accel' && $r->{pass}
              || $entry =~ /^(?:auth|any)$/ && $r->{reads}
              || $part && $entry ne 'mirror' && $r->{method}
              || $entry eq 'index' && $r->{method};

    my $from = -s $t->dir . '/logs/cells.log';
    my @held;
    my $res = ask($r, $at, { http2 => $h2, hold => \@held });

    if ($entry eq 'mirror') {

        # the answer is the main request's; the part's is in the log, unless
        # the client leaves before
        cell($r, $res, 'relay', $label);
        part($from, "/x/$name$way", $way, $label);
        return;
    }

    if ($part) {
        my $ran = $res->{body} =~ /done/ ? 'relay ran' : 'no relay';
        cell_is($ran, 'no relay', $label);
        cell_is($res->{body} =~ /end/ ? 'page' : 'none', 'page', $label);
        return;
    }

    my $open = $way eq '-ok-page' && $entry !~ /^(?:auth|any)$/;

    cell($r, $res, $open ? 'page 200' : 'refused', $label);
}


# what became of a mirrored request: it has been logged with its end

sub part {
    my ($from, $uri, $way, $label) = @_;

    my $log;
    my $done = $t->wait_until(sub {
        $log = substr Sallyport::Test::slurp($t->dir . '/logs/cells.log'),
                      $from;
        my $lines = () = $log =~ /^[^|]+\|[^|]+\|/mg;
        return $lines >= 2;
    });

    my @ran = grep { m{^/mirror/[^|]+\|/[^m]} && /\|[^|-][^|]*$/ }
              split /\n/, $log;

    cell_is($done ? 'logged' : 'not logged', 'logged', "$label (part)");
    cell_is(@ran ? "relay ran: @ran" : 'no relay', 'no relay', "$label (part)");
    return;
}


sub ask {
    my ($r, $at, $opt) = @_;

    my $head = { 'X-Key' => 'k' . ++$keys, %$json, %{ $r->{head} || {} } };
    my $body = $r->{body};

    $body = ref $body ? $$body : sprintf $chat, $body if defined $body;

    my $method = $r->{method} || (defined $body ? 'POST' : 'GET');
    my $once = sub {
        return $t->request($method, $at, $head, $body,
                           $opt);
    };

    if ($r->{spend}) {

        # by the same key, where it is known to be allowed
        my ($name) = grep { $refusals{$_} == $r } @names;
        $t->get("/x/$name", $head, $opt);
    }

    return $once->();
}


sub cell {
    my ($r, $res, $want, $label) = @_;

    my $error = ref $res->{json} eq 'HASH' ? $res->{json}{error} : undef;
    my $code = ref $error eq 'HASH' ? $error->{code} : '';
    my $got = $res->{headers}{'x-trace'}
              || $res->{body} =~ /chat\.completion/ ? 'relay'
            : $res->{body} eq "page\n" ? "page $res->{status}"
            : "$res->{status} $code";

    if ($want eq 'refused') {
        $want = "$r->{status} $r->{code}";

        if ($r->{says}) {
            $want .= " $r->{says}";
            $got .= " $r->{says}" if defined $res->{headers}{ $r->{says} };
        }
    }

    cell_is($got, $want, $label);
    return;
}


sub cell_is {
    my ($got, $want, $label) = @_;

    $cells++;
    $failed++ if $got ne $want;

    diag(sprintf '%-52s expected %-24s got %s', $label, $want, $got)
        if $got ne $want || $ENV{SP_CELLS};
    return;
}
