#!/usr/bin/perl

# The keys of memory_embedder and memory_extractor: which files are refused.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Test;


my $t = Sallyport::Test->new;

my %keys = (
    'one line' => [ "sk-test\n", 0600, undef ],
    'read by others' => [ "sk-test\n", 0644, qr/mode is 0644, allowed are/ ],
    'nothing' => [ "\n", 0600, qr/is empty/ ],
    'two lines' => [ "sk-test\r\nX-Evil: yes\n", 0600, qr/one line of/ ],
    'a placeholder' => [ "sk-...\n", 0600, qr/placeholder, not a key/ ],
);

for my $directive ('memory_embedder', 'memory_extractor') {
    for my $name (sort keys %keys) {
        my ($text, $mode, $refusal) = @{ $keys{$name} };

        unlink $t->dir . '/api.key';
        my $file = $t->file('api.key', $text, $mode);

        my ($accepted, $said) = $t->check_conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "host=/nonexistent user=u";
    memory_server main;
    $directive openai model=m url=http://127.0.0.1:1 key_file=$file;
}
EOF
        is($accepted ? 1 : 0, $refusal ? 0 : 1, "$directive: $name");
        like($said, qr/$refusal.*check\.conf:\d+/s, '.. with why and where')
            if $refusal;
        unlike($said, qr/sk-test/, '.. without the key');
    }
}

done_testing;
