#!/usr/bin/perl

# The code and docs/directives/*.md name the same directives, variables and
# metrics, and each directive is documented in the fixed form.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use Test::More;


my $top = Cwd::realpath(dirname(__FILE__) . '/..');

chdir $top or die "$top: $!\n";

my (%code, %docs);

read_code($_) for glob 'modules/*/*.c';
read_docs($_) for glob 'docs/directives/*.md';

ok(%{ $code{directive} || {} }, 'the code has directives');

for my $kind (qw(directive variable metric)) {
    my $in_code = $code{$kind} || {};
    my $in_docs = $docs{$kind} || {};

    none("every $kind is documented",
         map { "$_, of $in_code->{$_}" }
         grep { !$in_docs->{$_} } sort keys %$in_code);

    none("every documented $kind exists",
         map { "$_, in $in_docs->{$_}" }
         grep { !$in_code->{$_} } sort keys %$in_docs);
}

none('every directive has its form and an example',
     map { my $name = $_; map { "$name: no $_" } @{ $docs{lacks}{$name} } }
     sort keys %{ $docs{lacks} });

none('every page is linked from the list of directives',
     grep { !linked($_) } map { basename($_) } glob 'docs/directives/[a-z]*.md');

done_testing;


# ngx_command_t and ngx_http_variable_t tables; metrics by their prefix, which
# roles of PostgreSQL and the zone of the metrics have as well

sub read_code {
    my ($file) = @_;

    my $text = slurp($file);

    $text =~ s{/\*.*?\*/}{}gs;

    while ($text =~ /\bngx_command_t\s+\w+\[\]\s*=\s*\{(.*?)\n\};/gs) {
        my $table = $1;
        $code{directive}{$1} = $file
            while $table =~ /\{\s*ngx_string\("(\w+)"\)/g;
    }

    while ($text =~ /\bngx_http_variable_t\s+\w+\[\]\s*=\s*\{(.*?)\n\};/gs) {
        my $table = $1;
        $code{variable}{$1} = $file
            while $table =~ /\{\s*ngx_string\("(\w+)"\)/g;
    }

    $code{metric}{$1} = $file while $text =~ m{"(?:\#[ ]\w+[ ])?
                                  (?!sallyport_(?:anon|user|gateway|metrics)")
                                  (sallyport_\w+)}xg;
    return;
}


# "### name" above "## Variables" is a directive; below, a list or a table
# begins with `$name`, and below "## Metrics" with `name`

sub read_docs {
    my ($file) = @_;

    my $section = '';
    my (%body, $name);

    for my $line (split /\n/, slurp($file)) {
        if ($line =~ /^## +(.*?)\s*$/) {
            $section = lc $1;
            undef $name;
            next;
        }

        if ($section eq 'variables') {
            # $jwt_claim_<name> is a prefix
            $docs{variable}{$1} = $file
                if $line =~ /^(?:[-*|]|###) *`?\$(\w+)/;
            next;
        }

        if ($section eq 'metrics') {
            $docs{metric}{$1} = $file
                if $line =~ /^(?:[-*|]|###) *`?(sallyport_\w+)/;
            next;
        }

        next if $section =~ /^error codes/;

        if ($line =~ /^### +`?(\w+)`?\s*$/) {
            $name = $1;
            $docs{directive}{$name} = $file;
            $body{$name} = '';
            next;
        }

        $body{$name} .= "$line\n" if defined $name;
    }

    for my $directive (keys %body) {
        my @lacks = grep { $body{$directive} !~ /\*\*$_:?\*\*/ }
                    qw(Syntax Default Context Phase);

        push @lacks, 'example' unless $body{$directive} =~ /^```/m;
        $docs{lacks}{$directive} = \@lacks if @lacks;
    }

    return;
}


sub linked {
    my ($page) = @_;

    return 1 if $page eq 'index.md';
    return grep { slurp($_) =~ /\(\S*\Q$page\E[)#]/ }
           grep { -f $_ } 'README.md', 'docs/README.md',
                          'docs/directives/README.md';
}


sub none {
    my ($name, @found) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $ok = ok(!@found, $name);

    diag($_) for @found;
    return $ok;
}


sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or die "$path: $!\n";
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}
