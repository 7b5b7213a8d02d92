package Sallyport::Memory;

=head1 NAME

Sallyport::Memory - a gateway with memory, for the tests of it

=head1 SYNOPSIS

    my $m = Sallyport::Memory->new(http => 'memory_timeout 1s;');
    my $res = $m->chat($user, 'what is my dog called?');
    my $text = $m->prompt;             # what the model was sent, as text

The model is the fake provider on PORT1, the embedder the demo model on
PORT2, or another URL in "embedder"; "extractor" is a URL, and switches
extraction on, with a "lease".  "models" replaces the providers of both: it has
an alias "embedding" and an alias "extraction".  "location" is said in the
locations of chats and of the data API, "server" adds locations, "files" are
there before the start.  With "gates" there are two Gate servers: {model} on
PORT4 and {embedder} on PORT5.

=cut

use strict;
use warnings;

use JSON::PP;

use Sallyport::Gate;
use Sallyport::Provider;
use Sallyport::JWT;
use Sallyport::SQL;
use Sallyport::Test;


our $mira = '00000000-0000-4000-8000-0000000000c1';
our $voss = '00000000-0000-4000-8000-0000000000c2';

my $json = JSON::PP->new->canonical->utf8;


sub new {
    my ($class, %arg) = @_;

    my $t = Sallyport::Test->new;
    my $self = bless { t => $t }, $class;

    $t->pg;
    $self->{db} = Sallyport::SQL->new($t->pg);
    $self->{key} = Sallyport::JWT->new('HS256', kid => 'test');
    $self->{provider} = Sallyport::Provider->new($t->port(1), $t->dir);

    if ($arg{gates}) {
        $self->{model} = Sallyport::Gate->new($t->port(4), $t->dir);
        $self->{embedder} = Sallyport::Gate->new($t->port(5), $t->dir);
    }

    chmod 0600, $t->file('jwks.json', jwks($self->{key}));
    $t->file('key', "sk-test-0123456789abcdef\n", 0600);

    $t->dbh->do("insert into chat.character (id, name, is_public)
                 values ('$mira', 'Mira', true), ('$voss', 'Voss', true)");

    my $embedder = $arg{embedder} || 'http://127.0.0.1:%%PORT2%%/v1';
    my $lease = $arg{lease} ? "lease=$arg{lease}" : '';
    my $extractor = $arg{extractor} ? "memory_extractor extraction $lease;"
                                    : '';
    my $models = $arg{models} || "
        llm_provider embedder { url $embedder;
            model demo-embedding as=embedding kind=embedding; }"
        . ($arg{extractor} ? "llm_provider extractor { url $arg{extractor};
                                  model demo as=extraction internal; }" : '');
    my $http = $arg{http} || 'memory_timeout 2s;';

    $_ = defined $_ ? $_ : '' for @arg{qw(location server)};
    $t->file($_, $arg{files}{$_}) for keys %{ $arg{files} || {} };

    $t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=4 timeout=2s;
    turn_store main;
    turn_spool %%DIR%%/spool;
    auth_jwt_key_file %%DIR%%/jwks.json;
    error_format openai;

    memory_server main;
    memory_embedder embedding dimensions=256;
    memory_weights vector=0.2 floor=0.1;
    $extractor
    $http

    llm_characters main;
    $models
    llm_provider fake {
        dialect openai;
        url http://127.0.0.1:%%PORT1%%/v1;
        key_file %%DIR%%/key;
        model real-model as=default;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location = /v1/chat/completions {
            auth_jwt "test" optional;
            memory on;
            llm_pass default;
            $arg{location}
        }

        location /api/ {
            auth_jwt "test" optional;
            pg_call main api;
            $arg{location}
        }

        location = /plain {
            auth_jwt "test" optional;
            llm_pass default;
        }

        location = /metrics { metrics; }
        $arg{server}
    }

    server {
        listen 127.0.0.1:%%PORT2%%;
        location /v1/ { demo_model; }
    }
}
EOF
    $t->run;
    return $self;
}


sub t { return $_[0]{t} }

sub db { return $_[0]{db} }


sub user {
    my ($self, $n) = @_;
    return $self->{db}->user(sprintf '00000000-0000-4000-8000-%012d', $n);
}


# chat(user, text, metadata => {}, character => id, messages => []); "second"
# is whose token X-Second has

sub chat {
    my ($self, $user, $text, %arg) = @_;

    my $path = $arg{path} || '/v1/chat/completions';
    my $model = exists $arg{model} ? $arg{model} : 'default';
    my %headers = $user ? (Authorization => 'Bearer ' . $self->{key}->token(
        { sub => $user, exp => time + 600 })) : ();

    return $self->{t}->request('POST', $path, {
            'Content-Type' => 'application/json', %headers,
            $arg{second} ? ('X-Second' => $self->{key}->token(
                { sub => $arg{second}, exp => time + 600 })) : ()
        }, $json->encode({
            defined $model ? (model => $model) : (),
            stream => $arg{stream} || JSON::PP::false,
            metadata => { character_id => $arg{character} || $mira,
                          %{ $arg{metadata} || {} } },
            messages => [ @{ $arg{messages} || [] },
                          { role => 'user', content => $text } ] }),
        { http2 => $arg{http2} });
}


# the data API: api(user, method, path, body)

sub api {
    my ($self, $user, $method, $path, $body) = @_;

    return $self->{t}->request($method, $path, {
            Authorization => 'Bearer ' . $self->{key}->token(
                { sub => $user, exp => time + 600 }),
            $body ? ('Content-Type' => 'application/json') : ()
        }, $body ? $json->encode($body) : undef);
}


# of the last request that reached the model

sub prompt {
    my ($self) = @_;
    my $request = $self->{provider}->last_request;
    return join "\n", map { "$_->{role}: $_->{content}" }
           @{ $request->{json}{messages} };
}


# the turns of the chats so far, stored

sub stored {
    my ($self, $n) = @_;
    return $self->{t}->wait_until(sub {
        $self->{t}->sql('select count(*) from chat.message') >= $n
    });
}


sub finish {
    my ($self) = @_;
    $self->{t}->finish;
    $_->stop for grep { $_ } @$self{qw(provider model embedder)};
    return;
}


1;
