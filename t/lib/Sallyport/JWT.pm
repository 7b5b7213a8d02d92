package Sallyport::JWT;

# Keys and tokens for tests, good ones and bad ones.
#
#     my $key = Sallyport::JWT->new('EdDSA', kid => 'k1');
#     $key->public; $key->private;           # JWK as a hash
#     $key->token({ sub => 'x', exp => time + 60 }, header => {...});
#     jwks($key, ...)                        # text of a set of public keys

use strict;
use warnings;

use Crypt::Mac::HMAC qw(hmac);
use Crypt::PK::ECC;
use Crypt::PK::Ed25519;
use Crypt::PK::RSA;
use Crypt::PRNG qw(random_bytes);
use Exporter qw(import);
use JSON::PP;
use MIME::Base64 qw(encode_base64url decode_base64url);

our @EXPORT = qw(jwks b64 unb64);


my $json = JSON::PP->new->canonical;

my %type = (
    HS256 => 'oct', HS384 => 'oct', HS512 => 'oct', RS256 => 'RSA',
    PS256 => 'RSA', ES256 => 'EC', EdDSA => 'OKP',
);


sub b64 { return encode_base64url($_[0]) }

sub unb64 { return decode_base64url($_[0]) }


sub new {
    my ($class, $alg, %member) = @_;

    my $self = bless { alg => $alg, member => \%member }, $class;

    if ($type{$alg} eq 'oct') {
        $self->{secret} = delete $member{secret} // random_bytes(64);
        return $self;
    }

    $self->{pk} = $type{$alg} eq 'RSA' ? Crypt::PK::RSA->new
                : $type{$alg} eq 'EC' ? Crypt::PK::ECC->new
                : Crypt::PK::Ed25519->new;
    $self->{pk}->generate_key($type{$alg} eq 'RSA' ? (256, 65537)
                              : $type{$alg} eq 'EC' ? 'secp256r1' : ());

    return $self;
}


sub jwk {
    my ($self, $kind) = @_;

    my $jwk = $self->{pk} ? $self->{pk}->export_key_jwk($kind, 1)
                          : { kty => 'oct', k => b64($self->{secret}) };

    delete $jwk->{kid};

    return { alg => $self->{alg}, use => 'sig', %$jwk, %{ $self->{member} } };
}


sub public { return $_[0]->jwk('public') }

sub private { return $_[0]->jwk('private') }


sub jwks {
    return $json->encode({ keys => [ map { ref eq 'HASH' ? $_ : $_->public }
                                     @_ ] });
}


# claims and header may be text; alg names another way to sign

sub token {
    my ($self, $claims, %opt) = @_;

    my %header = (alg => $self->{alg}, typ => 'JWT',
                  $self->{member}{kid} ? (kid => $self->{member}{kid}) : (),
                  %{ ref $opt{header} ? $opt{header} : {} });

    delete $header{$_} for grep { !defined $header{$_} } keys %header;

    my $header = defined $opt{header} && !ref $opt{header}
               ? $opt{header} : $json->encode(\%header);
    my $input = b64($header) . '.'
              . b64(ref $claims ? $json->encode($claims) : $claims);

    return "$input." . b64($self->signature($input));
}


sub signature {
    my ($self, $input) = @_;

    my $alg = $self->{alg};

    return hmac('SHA' . substr($alg, 2), $self->{secret}, $input)
        if $self->{secret};
    return $self->{pk}->sign_message($input, 'SHA256', 'v1.5')
        if $alg eq 'RS256';
    return $self->{pk}->sign_message($input, 'SHA256', 'pss', 32)
        if $alg eq 'PS256';
    return $self->{pk}->sign_message_rfc7518($input, 'SHA256')
        if $alg eq 'ES256';
    return $self->{pk}->sign_message($input);
}


1;
