package Sallyport::Cache;

=head1 NAME

Sallyport::Cache - a gateway with llm_cache, for the tests of it

=head1 SYNOPSIS

    my ($t, $p) = Sallyport::Cache::gateway();     # as Sallyport::Llm's
    my $res = chat('hi', path => '/public', sub => '', stream => \1,
                   headers => { 'Cache-Control' => 'no-store' });
    is(status($res), $miss);                       # its Cache-Status

The rest of a chat() are members of the body.  again() asks twice, and is true
when the cache has answered the second time.  What is exported is about the
first gateway() of a test; with "redis" another one uses the Redis of that, and
has no database.

=cut

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use Sallyport::JWT qw(jwks);
use Sallyport::Llm;

our @EXPORT = qw($user $other $mira $hit $miss $bypass $request asked again
                 chat fresh headers number result rules said status text);

our $user = '00000000-0000-4000-8000-00000000000a';
our $other = '00000000-0000-4000-8000-00000000000b';
our $mira = '00000000-0000-4000-8000-0000000000d1';
our ($hit, $miss, $bypass, $request) = map { "sallyport; $_" }
    qw(hit fwd=miss fwd=bypass fwd=request);

my $signer = Sallyport::JWT->new('HS256', kid => 'k');
my %tokens = map {
    $_ => 'Bearer ' . $signer->token({ sub => $_, exp => int(time) + 900 })
} $user, $other;

my ($t, $p);
my $n = 0;


sub gateway {
    my (%arg) = @_;

    my @pair = Sallyport::Llm::gateway(conf($arg{redis}),
                                       prepare => sub { prepare($_[0], %arg) });

    ($t, $p) = @pair if !$t;
    return @pair;
}


sub prepare {
    my ($new, %arg) = @_;

    $new->file('jwks.json', jwks($signer), 0600);
    $new->file('secret', "a secret of this test, and no other\n", 0600);
    $new->file('receipt.key', '46' x 32 . "\n", 0600);
    $new->file('test.rules', rules('w7'));

    return if $arg{redis};

    $new->sql('insert into auth.users (id) values (?), (?)', $user, $other);
    $new->sql('insert into chat.character (id, name, system_prompt, is_public)
               values (?, ?, ?, true)', $mira, 'Mira', 'You are {{char}}.');
    return;
}


# the last one ends an answer

sub rules {
    return "[i.mask category=test action=mask]\nquoted\n"
        . "[i.block category=test]\nforbidden\n"
        . "[o.mask category=test stage=output action=mask]\nquoted\n"
        . "[o.block category=test stage=output severity=4]\n$_[0]\n";
}


sub conf {
    my ($socket) = @_;

    my $redis = $socket ? "unix:$socket" : '%%REDIS%%';
    my $turns = $socket ? '' : 'pg_server main "%%PG%%" timeout=2s;
        llm_characters main cache=0;
        turn_store main flush=10ms; turn_spool %%DIR%%/spool;';

    return (
    http => qq(auth_jwt_key_file %%DIR%%/jwks.json;
        $turns
        moderation_rules %%DIR%%/test.rules;
        log_format cache '\$uri \$llm_cache_status';
        redis_server main $redis timeout=300ms;
        redis_server patient $redis timeout=30s;
        llm_cache main;
        llm_message_limit 0;
        llm_tries 1;
        llm_keepalive 100ms;
        llm_provider sayer { dialect say; key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model great-sayer as=sayer; }
        llm_provider priced { key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model dear as=dear price=2.5/10; }
        llm_provider claude { dialect anthropic; key_file %%DIR%%/key;
            url http://127.0.0.1:%%PORT1%%/v1; read_timeout 2s;
            model real-claude as=claude; }),
    location => 'auth_jwt "test"; add_header X-Cache $llm_cache_status always;',
    read_timeout => '2s',
    server => 'access_log %%DIR%%/cache.log cache;
        location = /off { auth_jwt "test"; llm_cache off;
                                 llm_pass default; }
        location = /open { llm_pass default; }
        location = /public { auth_jwt "test" optional; llm_pass default;
                             llm_cache main shared; }
        location = /small { auth_jwt "test"; llm_pass default;
                            llm_cache main max_size=1k; }
        location = /brief { auth_jwt "test"; llm_pass default;
                            llm_cache main ttl=1s; }
        location = /patient { auth_jwt "test"; llm_pass default;
                              llm_cache patient; }
        location = /keyed { auth_jwt "test"; llm_pass default;
                            llm_cache main secret_file=%%DIR%%/secret; }
        location = /merged { auth_jwt "test"; llm_pass default;
                             llm_system_messages merge; }
        location = /same { auth_jwt "test"; llm_pass default; }
        location = /moderated { auth_jwt "test"; moderation input output;
                                llm_pass default; }
        location = /masked { auth_jwt "test"; moderation input;
                             llm_pass default; }
        location = /probed { auth_jwt "test"; test_filter on;
                             llm_pass default; }
        location = /keys { auth_jwt "test"; llm_pass default;
                           llm_idempotency main; }
        location = /little_cache { auth_jwt "test"; llm_pass default;
                                   llm_cache main max_size=1k;
                                   llm_idempotency main; }
        location = /little_keys { auth_jwt "test"; llm_pass default;
                                  llm_idempotency main max_size=1k; }
        location = /receipts { auth_jwt "test"; llm_pass default;
                               llm_receipt %%DIR%%/receipt.key; }
        location = /messages { auth_jwt "test"; error_format anthropic;
                               llm_keepalive off;
                               llm_pass default dialect=anthropic; }
        location = /responses { auth_jwt "test"; error_format responses;
                                llm_keepalive off;
                                llm_pass default dialect=responses; }
        location = /redirected { auth_jwt "test"; llm_pass dear;
                                 error_page 502 = @backup; }
        location @backup { auth_jwt "test"; llm_pass default; }
        location = /embed { auth_jwt "test"; llm_embeddings embedding; }
        location = /gzip { auth_jwt "test"; gzip on; gzip_types *;
                           gzip_min_length 1; llm_pass default; }',
    );
}


sub headers {
    my ($sub, %more) = @_;

    return { 'Content-Type' => 'application/json', %more,
             $sub ? (Authorization => $tokens{$sub}) : () };
}


# sub '': nobody

sub chat {
    my ($text, %more) = @_;

    my ($path, $sub, $opt, $headers) = delete @more{qw(path sub opt headers)};

    return $t->post($path || '/v1/chat/completions',
                    headers(defined $sub ? $sub : $user, %{ $headers || {} }),
                    text(Sallyport::Llm::body($text, %more)), $opt || {});
}


# the same bytes each time
sub text { return $Sallyport::Llm::json->encode($_[0]) }

sub asked { return scalar $p->requests }
sub status { return $_[0]{headers}{'cache-status'} }
sub said { return $_[0] =~ s/^: ping\n//gmr }

sub result {
    return Sallyport::Llm::metric($t, 'sallyport_llm_cache_total',
                                  qq(result="$_[0]"));
}

# one that was not there before, and a text
sub number { return ++$n }
sub fresh { return 'question ' . number() }


sub again {
    my @ask = @_;
    my @both = map { chat(@ask) } 1 .. 2;

    is($both[0]{status}, 200, 'answered: ' . substr $ask[0], 0, 40);
    return status($both[1]) eq $hit;
}


1;
