package Sallyport::Dockerfile;

=head1 NAME

Sallyport::Dockerfile - a Dockerfile, read

=head1 SYNOPSIS

    my $file = Sallyport::Dockerfile->new("$top/docker/Dockerfile");

    for my $stage ($file->stages) {
        $stage->{name};               # of FROM ... AS name
        $stage->{from};               # an image, or the name of a stage above
        for my $i (@{ $stage->{instructions} }) {
            "$i->{line}: $i->{word} $i->{rest}";
            $i->{flags};              # { from => 'build', chown => ... }
            $i->{args};               # words, or the elements of a JSON array
            $i->{exec};               # it was a JSON array
        }
    }
    $file->stage('gateway');
    Sallyport::Dockerfile::expand('${A}/$B', \%env);

An instruction that is not known here is an error, as are here-documents and
directives of a parser: what a file says is taken as a whole or not at all.

=cut

use strict;
use warnings;

use JSON::PP ();


my %known = map { $_ => 1 } qw(FROM ARG ENV RUN COPY ADD USER WORKDIR EXPOSE
    VOLUME STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD LABEL);


sub new {
    my ($class, $path) = @_;

    my $self = bless { path => $path, args => {}, stages => [] }, $class;

    $self->instruction(@$_) for $self->logical_lines;

    @{ $self->{stages} } or die "$path: no FROM\n";
    return $self;
}


sub stages { return @{ $_[0]{stages} } }


sub stage {
    my ($self, $name) = @_;
    my ($stage) = grep { $_->{name} eq $name } $self->stages;
    return $stage;
}


# [line number, text] with continued lines joined; comment lines go, also
# those between continued ones

sub logical_lines {
    my ($self) = @_;

    open my $fh, '<', $self->{path} or die "$self->{path}: $!\n";

    my (@found, $open);

    while (my $line = <$fh>) {
        chomp $line;
        die "$self->{path}: parser directives are not read here\n"
            if $. == 1 && $line =~ /^#\s*(?:syntax|escape|check)\s*=/;
        next if $line =~ /^\s*(?:#|$)/;

        if ($open) { $found[-1][1] .= ' ' . $line =~ s/^\s+//r }
        else { push @found, [ $., $line ] }

        $open = $found[-1][1] =~ s/\s*\\$//;
    }

    die "$self->{path}: the last line goes on\n" if $open;
    return @found;
}


sub instruction {
    my ($self, $n, $text) = @_;

    my ($word, $rest) = $text =~ /^\s*(\w+)\s+(.*?)\s*$/
        or die "$self->{path}:$n: $text\n";

    $word = uc $word;
    $known{$word} or die "$self->{path}:$n: $word is not known\n";

    my %i = (line => $n, word => $word, flags => {});

    $i{flags}{$1} = $2 while $rest =~ s/^--([\w-]+)=(\S+)\s*//;
    $i{rest} = $rest;
    $i{args} = [ words($rest =~ s/^CMD\s+//r) ];

    if ($rest =~ /^(?:CMD\s+)?(\[.*\])$/) {
        $i{args} = eval { JSON::PP::decode_json($1) }
            or die "$self->{path}:$n: not a JSON array: $1\n";
        $i{exec} = 1;
    }

    if ($word eq 'FROM') {
        my ($from, $as, $name) = @{ $i{args} };

        push @{ $self->{stages} }, { line => $n, name => lc($name // ''),
            from => expand($from, $self->{args}), instructions => [] };

    } elsif ($self->stages) {
        push @{ $self->{stages}[-1]{instructions} }, \%i;

    } elsif ($word eq 'ARG') {
        my ($name, $value) = split /=/, $i{args}[0], 2;
        $self->{args}{$name} = $value // '';

    } else {
        die "$self->{path}:$n: $word before FROM\n";
    }

    return;
}


# words with quotes taken off

sub words {
    my ($text) = @_;

    my @words;

    while ($text =~ /\G\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])+)/gc) {
        my $word = $1;
        $word =~ s{"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)}
                  {defined $1 ? $1 =~ s/\\(["\\\$])/$1/gr : $2 // $3}ge;
        push @words, $word;
    }

    return @words;
}


sub expand {
    my ($text, $env) = @_;

    return $text =~ s/\$\{(\w+)\}|\$(\w+)/$env->{$1 \/\/ $2} \/\/ ''/ger;
}


1;
