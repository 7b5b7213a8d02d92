package Sallyport::Wallet;

# A wallet for tests: a secp256k1 key with an Ethereum address, personal_sign,
# and EIP-4361 messages.
#
#     my $w = Sallyport::Wallet->new;        # of a random key
#     $w->address; $w->sign($text);
#     my $text = $w->message(domain => ..., nonce => ..., ...);

use strict;
use warnings;

use Crypt::Digest::Keccak256 qw(keccak256 keccak256_hex);
use Crypt::PK::ECC;
use Crypt::PRNG qw(random_bytes);
use Math::BigInt;
use POSIX qw(strftime);


my $order = Math::BigInt->from_hex(
    'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141');


sub new {
    my ($class, $key) = @_;

    $key = random_bytes(32) unless defined $key;

    my $public = point($key);
    my $hex = unpack 'H*', substr keccak256(substr $public, 1), 12;

    return bless { key => $key, address => checksum($hex) }, $class;
}


sub address { return $_[0]{address} }


# EIP-55

sub checksum {
    my ($hex) = @_;

    my @hash = split //, keccak256_hex($hex);

    return '0x' . join '', map { hex shift @hash >= 8 ? uc : $_ }
                           split //, $hex;
}


# the public point of a private key: 04, x, y

sub point {
    my ($key) = @_;
    return Crypt::PK::ECC->new->import_key_raw($key, 'secp256k1')
                              ->export_key_raw('public');
}


# "0x", r, s, v; high: the other s, which contracts and we refuse

sub sign {
    my ($self, $text, %opt) = @_;

    my $hash = keccak256("\x19Ethereum Signed Message:\n" . length($text)
                         . $text);
    my $nonce = random_bytes(32);
    my $point = point($nonce);

    my $r = number(substr $point, 1, 32) % $order;
    my $s = (number($hash) + $r * number($self->{key}))
            * number($nonce)->bmodinv($order) % $order;
    my $v = ord(substr $point, 64) & 1;

    if (($s * 2 > $order) != !!$opt{high}) {
        $s = $order - $s;
        $v ^= 1;
    }

    return '0x' . text($r) . text($s) . sprintf '%02x', 27 + $v;
}


sub number { return Math::BigInt->from_hex(unpack 'H*', $_[0]) }

sub text { return substr '0' x 64 . ($_[0]->as_hex =~ s/^0x//r), -64 }


# fields by their EIP-4361 names in lower case; undef leaves one out

sub message {
    my ($self, %f) = @_;

    %f = (address => $self->{address}, version => 1, chain_id => 1,
          issued_at => date(time), uri => "http://$f{domain}", %f);

    my $text = ($f{scheme} ? "$f{scheme}://" : '') . "$f{domain} wants you to"
        . " sign in with your Ethereum account:\n$f{address}\n\n"
        . (defined $f{statement} ? "$f{statement}\n" : '')
        . "\nURI: $f{uri}\nVersion: $f{version}\nChain ID: $f{chain_id}\n"
        . "Nonce: $f{nonce}\nIssued At: $f{issued_at}";

    $text .= "\nExpiration Time: $f{expiration_time}" if $f{expiration_time};
    $text .= "\nNot Before: $f{not_before}" if $f{not_before};
    $text .= "\nRequest ID: $f{request_id}" if defined $f{request_id};
    $text .= join "\n- ", "\nResources:", @{ $f{resources} } if $f{resources};

    return $text;
}


sub date { return strftime '%Y-%m-%dT%H:%M:%SZ', gmtime $_[0] }


1;
