#!/usr/bin/perl

# What README.md and docs/tutorial.md say, executed: the tours by curl on a
# copy of the quickstart, and conf/nginx.conf by nginx -t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Quickstart;
use Sallyport::Test;
use Test::More;


plan skip_all => 'runs with the release modules'
    if defined $ENV{SP_MODULES} && $ENV{SP_MODULES} eq '';

# what each section of the tour has to print
my %expected = (
    'The tour' => qr/"chat\.completion\.chunk".*\ndata: \[DONE\].*X-Memory: used=[1-9].*Rex/s,
    'Let the gateway keep the chat'
        => qr/\["assistant","complete"\]\n\["user",null\]\n3\n/,
    'Get moderated'                => qr/"code":"content_blocked"/,
    'Hit a quota'                  => qr/\d+ 429\n.*HTTP\/1\.1 429.*Retry-After: \d+.*"quota_exceeded"/s,
    'Sign in with a throwaway wallet' => qr/"wallet":"0x[0-9a-fA-F]{40}"/,
    'Mint'                         => qr/"state": "confirmed".*"token_id": "\d+"/s,
);

my %chain = map { $_ => 1 } 'Sign in with a throwaway wallet', 'Mint';

my $t = Sallyport::Test->new;
my $top = $Sallyport::Test::top;
my ($readme, $tutorial, $deployment) = map { Sallyport::Test::slurp("$top/$_") }
    qw(README.md docs/tutorial.md conf/nginx.conf);
my @sections = map { /^## ([^\n]+)\n(?:(?!^## ).)*?^```sh\n(.*?)^```/msg }
    $readme =~ /^(## The tour\n.*?)^## /ms, $tutorial;

is(join(', ', sort map { $sections[$_ * 2] } 0 .. $#sections / 2),
   join(', ', sort keys %expected), 'every section of the tours is known');

my ($excerpt) = $readme =~ /^```nginx\n(.*?)^```/ms;
$excerpt =~ s/^(?=.)/        /mg;
ok(index($deployment, $excerpt) > 0, 'the location is that of conf/nginx.conf');

for my $path ($readme =~ /\]\((?!http)([^)#]+)\)/g) {
    ok(-e "$Sallyport::Test::top/$path", "$path exists");
}

my $q = Sallyport::Quickstart->new($t);
my ($status, $out) = $q->command('conf/quickstart/start');
is($status, 0, 'make start') or die $out;

deployment();

# one shell runs all of it, as a reader's would
my $script = "set -e\nexec 2>&1\n";
my $has_chain = -e $q->dir . '/run/chain/chain.json';

while (my ($name, $block) = splice @sections, 0, 2) {
    next if $chain{$name} && !$has_chain;

    $block =~ s/127\.0\.0\.1:8080/127.0.0.1:$ENV{SALLYPORT_PORT}/g;
    $script .= "echo '### $name'\n$block\necho\n";
}

$t->file('tour.sh', $script);
$out = "\n" . `cd '@{[ $q->dir ]}' && timeout 180 bash '@{[ $t->dir ]}/tour.sh'`;
is($?, 0, 'the tour ends well');
$out =~ s/\r//g;

for my $name (sort keys %expected) {
SKIP: {
        skip 'no local chain: Node is not installed', 1
            if $chain{$name} && !$has_chain;

        my ($printed) = $out =~ /^### \Q$name\E\n(.*?)(?=^### |\z)/ms;
        like($printed // '', $expected{$name}, $name);
    }
}

$q->command('conf/quickstart/stop');

$t->finish;
done_testing;


# the configuration, with the files it names in a directory of the test

sub deployment {
    my $conf = $deployment;
    my $dir = $t->dir . '/etc';

    mkdir $dir;
    mkdir "$dir/moderation";
    system "cp '$Sallyport::Test::top'/conf/moderation/*.rules '$dir/moderation/'";
    system "sh", "-c", <<"FILES";
set -e
cd '$dir'
umask 077
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=chat.example \\
    -keyout tls.key -out tls.crt 2>/dev/null
echo sk-test-0123456789 > openai.key
echo testpassword > relay.password
FILES
    is($?, 0, 'files of a deployment') or return;

    system 'cp', '-p', (map { $q->dir . "/run/keys/$_" }
                            qw(sign.jwk jwks.json)), $dir;
    keystore("$dir/relay.json");

    # the address of a server that is not there is no fault of the file
    $conf =~ s{rpc\.example}{127.0.0.1}g;
    $conf =~ s{api\.openai\.com}{127.0.0.1}g;
    $conf =~ s{/etc/sallyport}{$dir}g;
    $conf =~ s{/var/lib/sallyport}{$dir}g;
    $conf =~ s{^load_module .*\n}{}mg;
    $conf =~ s/^http \{/http {\n    %%HTTP%%/m;

    my ($ok, $text) = $t->check_conf("%%LOAD%%\n%%GLOBALS%%\n$conf");
    ok($ok, 'nginx -t accepts it') or diag($text);
}


# the example of the Web3 Secret Storage definition, version 3 (PBKDF2)

sub keystore {
    my ($file) = @_;

    open my $fh, '>', $file or die "$file: $!\n";
    print $fh <<'JSON';
{"crypto":{"cipher":"aes-128-ctr",
"cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
"kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256",
"salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}
JSON
    close $fh;
    chmod 0600, $file;
}
