package Sallyport::Mint;

=head1 NAME

Sallyport::Mint - what tests of the mint module share

=head1 SYNOPSIS

    my $m = Sallyport::Mint->new($t);      # a Sallyport::Test
    plan skip_all => $m->missing if $m->missing;

    my $chain = $m->chain;                 # a local node with the contract
    my @bodies = $m->authorize(3);         # for POST /api/v1/mints
    my $token = $m->token;                 # of the wallet that has signed

=cut

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 sha256);
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);

use Sallyport::Test;


our $secret = 'a secret of the tests of the mint module';
our $user = '00000000-0000-4000-8000-0000000000aa';

# the wallet that signs: a key of 0x11, known to everybody
our $key = '0x' . '11' x 32;
our $wallet = '0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A';

my @live;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;


sub new {
    my ($class, $t) = @_;

    my $self = bless { t => $t, top => $Sallyport::Test::top, owner => $$ },
                     $class;

    push @live, $self;
    return $self;
}


# the reason why there is no local chain, or ''

sub missing {
    my ($self) = @_;

    return 'no Node' if system('node --version >/dev/null 2>&1');

    for my $name ('@foundry-rs/anvil', 'ethers') {
        return "$name is not installed (npm install in t/)"
            unless -d "$self->{top}/t/node_modules/$name";
    }

    return '';
}


sub keys_file {
    my ($self) = @_;

    return $self->{t}->file('jwks.json', $json->encode({ keys => [ {
        kty => 'oct', alg => 'HS256', use => 'sig', kid => 'test',
        k => encode_base64url($secret) } ] }), 0600);
}


sub token {
    my ($self, %claims) = @_;

    my $head = encode_base64url($json->encode({
        alg => 'HS256', typ => 'JWT', kid => 'test' }));
    my $body = encode_base64url($json->encode({
        sub => $user, wallet => $wallet, iat => time, exp => time + 3600,
        %claims }));

    return "$head.$body." . encode_base64url(
        hmac_sha256("$head.$body", $secret));
}


sub bearer {
    my ($self, %claims) = @_;
    return { Authorization => 'Bearer ' . $self->token(%claims) };
}


sub add_user {
    my ($self, $id) = @_;

    $self->{t}->sql('insert into auth.users (id) values (?)', $id || $user);
    return;
}


# a node of this test alone; it ends with the test

sub chain {
    my ($self, @options) = @_;

    my $dir = "$self->{t}{dir}/chain";
    my $node = "$self->{top}/t/chain/node";
    my $out = `'$node' start '$dir' 0 @options 2>&1 && '$node' deploy '$dir' 2>&1`;

    die "no chain: $out" if $?;

    $self->{dir} = $dir;
    $self->{chain} = $json->decode(Sallyport::Test::slurp("$dir/chain.json"));
    return $self->{chain};
}


# the signed bodies; tag makes other salts, deadline another deadline

sub authorize {
    my ($self, $count, %arg) = @_;

    my $contract = $arg{contract} || $self->{chain}{contract};
    my $chain_id = $arg{chain_id} || $self->{chain}{chain_id};
    my $signer = $arg{key} || $key;
    my $deadline = $arg{deadline} || 4102444800;
    my $tag = $arg{tag} || 'test';

    my $out = `cd '$self->{top}/t/chain' && node authorize.mjs $signer $chain_id $contract $count $deadline $tag`;

    die "authorize.mjs failed\n" if $?;
    return @{ $json->decode($out) };
}


sub rpc {
    my ($self, $method, @params) = @_;

    my $answer = $self->http($self->{chain}{rpc}, {
        jsonrpc => '2.0', id => 1, method => $method, params => \@params });

    die "$method: $answer->{error}{message}\n" if $answer->{error};
    return $answer->{result};
}


sub http {
    my ($self, $url, $value) = @_;

    my $res = HTTP::Tiny->new(timeout => 20)->post($url, {
        headers => { 'Content-Type' => 'application/json' },
        content => $json->encode($value) });

    die "$url: $res->{status} $res->{content}\n" unless $res->{success};
    return $json->decode($res->{content});
}


# the fault proxy before the node: its URL

# the lines of http {} for a mint "local" on a chain "local": this node, behind
# the proxy, and behind other endpoints

sub conf {
    my ($self, $confirmations, @endpoints) = @_;

    my $jwks = $self->keys_file;
    my $chain = $self->{chain};
    my $rpc = join ' ', map { "rpc $_;" } @endpoints, $self->proxy;

    return <<"EOF";
    pg_server main "%%PG%%" timeout=2s;
    auth_jwt_key_file $jwks;

    chain local {
        chain_id      $chain->{chain_id};
        $rpc
        rpc_timeout   1s;
        confirmations $confirmations;
    }

    mint local {
        chain    local;
        contract $chain->{contract};
        signer   key_file=$chain->{key_file};
        poll     50ms;
        resend   300ms;
    }
EOF
}


sub proxy {
    my ($self) = @_;

    my $port = $self->{t}->port(9);
    my $url = "http://127.0.0.1:$port";

    $self->{proxy} = Sallyport::Server::start(
        [ 'setpriv', '--pdeathsig', 'TERM', '--', 'node',
          "$self->{top}/t/chain/proxy.mjs", $port, $self->{chain}{rpc} ],
        "$self->{t}{dir}/proxy.log", $self->{t}{dir});

    $self->{t}->wait_until(sub {
        HTTP::Tiny->new(timeout => 1)->get("$url/faults")->{success}
    }, 20) or die "the proxy does not start\n";

    return $self->{proxy_url} = $url;
}


sub fault {
    my ($self, %fault) = @_;
    return $self->http("$self->{proxy_url}/fault", \%fault);
}


sub faults {
    my ($self) = @_;

    return @{ $json->decode(HTTP::Tiny->new->get(
        "$self->{proxy_url}/faults")->{content}) };
}


# tokens on the chain: [to, id, transaction] of each Transfer of the contract

sub transfers {
    my ($self) = @_;

    my $logs = $self->rpc('eth_getLogs', {
        address => $self->{chain}{contract}, fromBlock => 'earliest',
        topics => [ '0xddf252ad1be2c89b69c2b068fc378daa'
                    . '952ba7f163c4a11628f55a4df523b3ef' ] });

    return map { [ '0x' . substr($_->{topics}[2], 26),
                   hex $_->{topics}[3], $_->{transactionHash} ] } @$logs;
}


# what must be true of every lane, whatever happened

sub broken {
    my ($self) = @_;

    my $t = $self->{t};
    my @broken;

    my ($row) = $t->sql(<<'SQL');
select (select count(*) from mint.lane l
         where l.next_nonce is distinct from
               (select coalesce(max(s.nonce) + 1, l.next_nonce)
                  from mint.slot s where s.lane = l.id)),
       (select count(*) from mint.job j
         where j.nonce is not null and not exists (
               select from mint.slot s
                where s.job_id = j.id and s.nonce = j.nonce)),
       (select count(*) from mint.job j
         where j.tx_hash is not null and not exists (
               select from mint.attempt a where a.tx_hash = j.tx_hash)),
       (select count(*) from (select digest from mint.job
         group by chain_id, contract, digest having count(*) > 1) d)
SQL

    my @what = ('next_nonce is not the last slot and one',
                'a nonce without a slot', 'a hash that was not stored',
                'a digest twice');

    for my $i (0 .. $#what) {
        push @broken, "$what[$i]: $row->[$i]" if $row->[$i];
    }

    my %count;
    $count{$_->[2]}++ for $self->transfers;

    for my $hash (keys %count) {
        push @broken, "$hash is not in mint.attempt"
            unless $t->sql('select count(*) from mint.attempt '
                           . 'where tx_hash = ?', $hash);
    }

    return @broken;
}


# before the private directory goes, by which the node is found

END {
    my $status = $?;

    for my $self (grep { $_->{owner} == $$ } @live) {
        Sallyport::Server::end($self->{proxy}, 'TERM', 5) if $self->{proxy};
        system "'$self->{top}/t/chain/node' stop '$self->{dir}' "
               . '>/dev/null 2>&1' if $self->{dir};
    }

    $? = $status;
}

1;
