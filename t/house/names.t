#!/usr/bin/perl

# What documents and comments name is there: files of the tree, functions and
# types of the code, links between documents.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use Test::More;


my $top = Cwd::realpath(dirname(__FILE__) . '/../..');

chdir $top or die "$top: $!\n";

my @tracked = split /\n/, `git ls-files -co --exclude-standard`;
my @files = grep { -f } @tracked;
my @documents = grep { /\.md$/ && $_ ne 'CHANGELOG.md' } @files;
my @headers = grep { m{^modules/.*\.h$} } @files;

my %text = map { $_ => slurp($_) } @documents, @headers;

# the last two are made by whoever uses the images
my %is_there = map { $_ => 1 } @files, qw(docker/secrets docker/.env);

for my $file (@files) {
    my $dir = $file;

    $is_there{$dir} = 1 while ($dir = dirname($dir)) ne '.';
}

my $code = join "\n", map { slurp($_) }
    grep { m{^(?:modules|t)/.*(?:\.[chp][lm]?|/config)$|^config$} } @files;

my %symbol = map { $_ => 1 } $code =~ /\b((?:ngx_(?:http_)?)?sp_\w+)/g;

# names of files without their prefix, as the tables of a README have them
my %is_part;

for my $file (grep { m{^modules/} } @files) {
    $is_part{basename($file)} = 1;
    $is_part{$1} = 1 if basename($file) =~ /^ngx_(?:http_)?sp_(\w+\.[ch])$/;
    $is_part{$1} = 1 if basename($file) =~ /(_\w+\.[ch])$/;
}

my $roots = join '|', map { quotemeta }
    grep { -d && $_ ne 'objs' } map { (split m{/})[0] } @tracked;

named('a path', sub {
    my ($file, $text) = @_;
    my @bad;

    while ($text =~ m{(?<![\w./%\$-])((?:$roots)/[\w./+*<>{},-]*\w)}g) {
        my $path = $1;

        next if $path =~ /[*<>{},]|\.so$/;
        next if $path =~ m{^docs/?$} || $is_there{$path}
                || -e dirname($file) . "/$path";
        push @bad, $path;
    }

    return @bad;
});

# the plugin "ban" is invented where plugins are explained

named('a symbol', sub {
    my ($file, $text) = @_;

    return grep { !$symbol{$_} && !/^ngx_http_sp_ban_/ && !/_$/ && !$is_part{"$_.c"} }
           map { s/\.[ch]$//r }
           $text =~ /(?<![\w.%*-])((?:ngx_(?:http_)?)?sp_[a-z0-9_]+)(?![\w*.<{])/g;
});

named('a link', sub {
    my ($file, $text) = @_;

    return () if $file =~ /\.h$/;

    return grep { !-e dirname($file) . "/$_" }
           grep { length && !/^\w+:/ }
           map { s/#.*//r } $text =~ /\]\(([^)\s]+)\)/g;
});

done_testing;


sub named {
    my ($what, $find) = @_;

    my @bad = map { my $file = $_;
                    map { "$file: $_" } $find->($file, $text{$file}) }
              sort keys %text;

    is(join("\n", @bad), '', "$what that is named is there ("
                             . keys(%text) . ' files)');
    return;
}


sub slurp {
    my ($file) = @_;

    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}
