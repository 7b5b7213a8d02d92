#!/usr/bin/perl

# The rules of the house that a machine can check: layers, sizes, form.  Each
# rule is one test; a function that must be long is listed with its reason in
# t/house/style.waivers, and a waiver that is no longer needed fails as well.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use Test::More;


my $top = Cwd::realpath(dirname(__FILE__) . '/../..');

chdir $top or die "$top: $!\n";

my @files = grep { -f $_ && !-l $_ }
            split /\n/, `git -c safe.directory='*' ls-files -co --exclude-standard`;

@files or die "no files: is this a git clone?\n";

my %text = map { $_ => slurp($_) } @files;

# what others have written or generated
my @ours = grep { !m{^t/fuzz/corpus/|^t/vectors/|\.(?:png|svg|ico)$} } @files;
my @c = grep { m{^modules/.*\.[ch]$} } @files;
my @c_all = grep { /\.[ch]$/ } @files;
my %layer = map { $_ => (split m{/}, $_)[1] } @c;

my %code = map { $_ => without_comments($text{$_}) } @c_all;


# -- form

rule('no tab, no trailing space, LF, a newline at the end', sub {
    my ($report, $file) = @_;

    return if $file =~ /\.md$|(?:^|\/)Makefile$/ && $text{$file} !~ /[ \r]\n/
              && $text{$file} =~ /\n\z/;

    lines($file, sub {
        $report->($_[1], 'tab')
            if $_[0] =~ /\t/ && $file !~ /Makefile$|\.tsv$/;
        $report->($_[1], 'trailing space') if $_[0] =~ /[ \r]$/;
    });

    $report->(0, 'no newline at the end')
        if length $text{$file} && $text{$file} !~ /\n\z/;
}, grep { !/\.sol$|\.json$/ } @ours);

rule('C and SQL are ASCII and at most 79 columns wide', sub {
    my ($report, $file) = @_;

    lines($file, sub {
        $report->($_[1], length($_[0]) . ' columns') if length $_[0] > 79;
        $report->($_[1], 'not ASCII') if $_[0] =~ /[^\x20-\x7e]/;
    });
}, @c_all, grep { /\.sql$/ } @ours);

rule('only /* */ comments', sub {
    my ($report, $file) = @_;

    my $n = 0;

    for my $line (split /\n/, $code{$file}) {
        $n++;
        # strings are blanked as well
        $report->($n, $line) if $line =~ m{//};
    }
}, @c_all);

rule('each file begins with the copyright', sub {
    my ($report, $file) = @_;
    $report->(1, 'no copyright')
        unless $text{$file} =~ m{\A\n/\*\n \* Copyright \(C\) };
}, grep { !m{tap\.h$} } @c);

rule('header guards are named after the file', sub {
    my ($report, $file) = @_;

    my $guard = '_' . uc(basename($file)) . '_INCLUDED_';

    $guard =~ s/\./_/g;
    $report->(1, "no $guard") unless $text{$file} =~ /^#ifndef \Q$guard\E$/m;
}, grep { /\.h$/ } @c);

rule('braces always', sub {
    my ($report, $file) = @_;

    my @lines = split /\n/, $code{$file};

    for my $i (0 .. $#lines) {
        next unless $lines[$i] =~ /^\s+(?:\} else )?(?:if|while|for) \(/;

        # the condition may go on over several lines
        my ($j, $all) = ($i, $lines[$i]);
        $all .= $lines[++$j] while depth($all) > 0 && $j < $#lines;

        next if $all =~ /\{\s*(?:\}\s*)?$/ || $all =~ /^\s+while \(.*\);$/;
        next if ($lines[$j + 1] || '') =~ /^\s*\{/;
        $report->($i + 1, $lines[$i]);
    }
}, @c);

rule('no assignment in a condition', sub {
    my ($report, $file) = @_;

    my $n = 0;

    for my $line (split /\n/, $code{$file}) {
        $n++;
        $report->($n, $line)
            if $line =~ /\b(?:if|while) \(.*?(?<![=!<>+\-*\/|&^%])=(?!=)/;
    }
}, @c);


# -- size and functions

my %functions = map { $_ => [ functions($code{$_}) ] } @c;
my %waived = waivers();
my %used;

rule('files have at most 800 lines', sub {
    my ($report, $file) = @_;
    my $n = () = $text{$file} =~ /\n/g;
    $report->(0, "$n lines") if $n > 800;
}, grep { /\.(?:[ch]|pm|pl|t|js|mjs|sql)$/ || $text{$_} =~ /\A#!/ }
   grep { !/keccak\.js$/ } @ours);

rule('functions have at most 80 lines', sub {
    my ($report, $file) = @_;

    for my $f (@{ $functions{$file} }) {
        next if $f->{lines} <= 80;
        if ($waived{"$file $f->{name}"}) { $used{"$file $f->{name}"} = 1; next }
        $report->($f->{line}, "$f->{name} has $f->{lines} lines");
    }
}, @c);

none('every waiver is needed (' . keys(%waived) . ' of them)',
     grep { !$used{$_} } sort keys %waived);
cmp_ok(scalar keys %waived, '<=', 5, 'waivers are few');

rule('every static function has a prototype', sub {
    my ($report, $file) = @_;

    for my $f (grep { $_->{static} } @{ $functions{$file} }) {
        $report->($f->{line}, $f->{name}) unless $code{$file}
            =~ /^static [^;{}=]*?\b\Q$f->{name}\E\([^{}]*?\)(?:\s*\w+\(.*?\))*;/ms;
    }
}, grep { /\.c$/ } @c);

my $headers = join "\n", map { $code{$_} } grep { /\.h$/ } @c;

rule('every other function is declared in a header', sub {
    my ($report, $file) = @_;

    for my $f (grep { !$_->{static} } @{ $functions{$file} }) {
        $report->($f->{line}, $f->{name})
            unless $headers =~ /\b\Q$f->{name}\E\(/;
    }
}, grep { /\.c$/ } @c);

rule('names say the layer', sub {
    my ($report, $file) = @_;

    my $prefix = $layer{$file} eq 'lib' ? 'sp_'
                 : $layer{$file} =~ /^(?:io|work)$/ ? 'ngx_sp_'
                 : 'ngx_http_sp_';

    $report->(0, "is not called $prefix*")
        unless basename($file) =~ /^\Q$prefix\E/;

    for my $f (@{ $functions{$file} }) {
        $report->($f->{line}, "$f->{name} is not called $prefix*")
            unless $f->{name} =~ /^\Q$prefix\E/;
    }
}, @c);


# -- layers

# the rooms that a file may look into; a plugin sees the core's umbrella, the
# relay, and the library

my %below = (lib => {}, io => { lib => 1 }, work => { lib => 1, io => 1 },
             relay => { lib => 1, io => 1 },
             core => { lib => 1, io => 1, work => 1, relay => 1 });

$below{$_} ||= { lib => 1, relay => 1 } for values %layer;

rule('includes go downwards only', sub {
    my ($report, $file) = @_;

    my $dir = dirname($file);
    my $layer = $layer{$file};

    while ($code{$file} =~ /^#include [<"](\S+)[>"]/mg) {
        my $name = $1;
        my $n = 1 + (() = substr($code{$file}, 0, $-[0]) =~ /\n/g);

        my ($of) = grep { -e "modules/$_/$name" } qw(lib io work relay core);

        my $nginx = !$of && $name =~ /^ngx_(?!(?:http_)?sp_)/;

        my $ok = $name !~ /^(?:ngx_|sp_)/ || -e "$dir/$name"
            || $of && $below{$layer}{$of}
            || $name =~ /^ngx_http_sp_core(?:_abi)?\.h$/
               && $layer !~ /^(?:lib|io|work|relay)$/
            || $nginx && ($layer eq 'lib' ? 0
                : $layer =~ /^(?:io|work)$/ ? $name !~ /^ngx_http/
                : $layer =~ /^(?:core|relay)$/ ? 1
                : $name =~ /^ngx_(?:config|core|http)\.h$/);

        $report->($n, "a file of $layer includes $name") unless $ok;
    }
}, @c);

rule('the library knows neither NGINX nor the world', sub {
    my ($report, $file) = @_;

    my $n = 0;

    for my $line (split /\n/, $code{$file}) {
        $n++;
        $report->($n, $1) if $line =~ /\b(ngx_\w+)/;
        $report->($n, $1) if $line =~ /\b((?:socket|connect|fopen|open|read|
            write|time|gettimeofday|clock_gettime|getenv|printf|rand|
            random|localtime|gmtime)\()/x && $line !~ /(?:->|\.)\Q$1\E/;
        $report->($n, "file-scope variable: $line")
            if $line =~ /^(?:static )?(?!const|extern|typedef|return|struct
                \s+\w+_s\s*\{)(?:unsigned )?\w+ +\**\w+(?:\[[^\]]*\])?(?: =|;)/x
               && $line !~ /\bconst\b|\(|^\w+:/;
    }
}, grep { $layer{$_} eq 'lib' } @c);

rule('nothing blocks', sub {
    my ($report, $file) = @_;

    my $n = 0;

    for my $line (split /\n/, $code{$file}) {
        $n++;
        $report->($n, $1) if $line =~ /\b((?:getaddrinfo|gethostbyname|sleep|
            usleep|ngx_msleep|ngx_sleep|PQexec|PQexecParams|PQexecPrepared|
            PQprepare|PQconnectdb|PQreset|redisCommand|redisConnect|
            curl_easy_perform|system|popen)\()/x;
    }
}, @c);

rule('nginx_version is looked at in one header only', sub {
    my ($report, $file) = @_;
    $report->(0, 'uses nginx_version') if $code{$file} =~ /\bnginx_version\b/;
}, grep { !/_compat\.h$/ } @c);

{
    my %seen;

    push @{ $seen{basename($_)} }, $_ for @c;
    none('a basename occurs once among the modules',
         map { "@$_" } grep { @$_ > 1 } values %seen);
}

{
    my $tests = join "\n", map { $text{$_} } grep { m{^t/unit/.*\.c$} } @files;

    my @untested = grep { $tests !~ /#include "\Q$_\E"/ }
                   map { basename($_) }
                   grep { $layer{$_} eq 'lib' && /\.h$/ && !/sp_rc\.h$/
                          && $code{$_} =~ /\w\([^)]*\)?/ } @c;

    # what only other library files include is tested through them
    @untested = grep { my $h = $_; my $stem = $h =~ s/\.h$//r;
                       !grep { $layer{$_} eq 'lib' && !m{/\Q$stem\E\.c$}
                               && $code{$_} =~ /#include "\Q$h\E"/ } @c }
                @untested;

    none('every library header has a unit test', @untested);
}

{
    my @plugins = grep { -e "modules/$_/config" }
                  map { basename($_) } glob 'modules/*';

    none('every plugin has a README.md',
         grep { !-e "modules/$_/README.md" } @plugins);
}


# -- everything

rule('no unfinished work', sub {
    my ($report, $file) = @_;
    lines($file, sub {
        $report->($_[1], $_[0]) if $_[0] =~ /\b(?:TODO|FIXME|XXX|HACK)\b/;
    });
}, grep { $_ ne 't/house/style.t' } @ours);

# A test waits for an event: wait_until(), wait_log(), taken().  Where nothing
# but time can pass, a comment beginning with "waits:" says why, in the line or
# above it.

rule('a test that sleeps says why', sub {
    my ($report, $file) = @_;

    my @lines = split /\n/, $text{$file};

    for my $i (0 .. $#lines) {
        next unless $lines[$i] =~ m{^[^#]*(?<![\w/'"])
            (?:(?:u|nano)?sleep(?:\(|\ +(?:rand\b|[\d.\$(]))
               |select[ (]+undef|setTimeout\(|Atomics\.wait\(
               |sql\(.*pg_sleep)}x;

        my $j = $i;
        $j-- while $j > 0 && $lines[$j - 1] =~ m{^\s*(?:\#|//|/?\*)};

        $report->($i + 1, $lines[$i])
            unless grep { m{(?:\#|//|\*) waits: \w} } @lines[$j .. $i];
    }
}, grep { m{^t/} && !m{^t/house/style\.t$} && !/\.(?:md|tsv|json)$/ } @ours);

# written so that this file does not find itself
my $hosts = join '|', 'deb\.' . 'debian', 'security\.' . 'debian',
    'snapshot\.' . 'debian', 'registry\.' . 'npmjs', 'npm' . 'mirror',
    'pypi\.' . 'org';
my $paths = '/wo' . 'rk/|/ro' . 'ot/|/ho' . 'me/\w';

rule('no registry host, no path of a machine', sub {
    my ($report, $file) = @_;
    lines($file, sub {
        $report->($_[1], $_[0]) if $_[0] =~ m{$hosts|(?<![\w.])(?:$paths)};
    });
}, @ours);

rule('shell scripts parse', sub {
    my ($report, $file) = @_;
    my $out = `bash -n '$file' 2>&1`;
    $report->(0, $out) if $?;
}, grep { $text{$_} =~ /\A#!.*\bbash/ } @ours);

rule('scripts are executable', sub {
    my ($report, $file) = @_;
    $report->(0, 'is not executable') unless -x $file;
}, grep { $text{$_} =~ /\A#!/ && !/\.(?:t|mjs|js|pl)$/ } @ours);

done_testing;


# -- how

sub rule {
    my ($name, $check, @names) = @_;

    my @found;

    for my $file (@names) {
        $check->(sub {
            my ($line, $what) = @_;
            push @found, "$file" . ($line ? ":$line" : '') . ": $what";
        }, $file);
    }

    return none("$name (" . @names . ' files)', @found);
}


sub none {
    my ($name, @found) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $ok = ok(!@found, $name);

    splice @found, 20, @found - 20, '... and ' . (@found - 20) . ' more'
        if @found > 21;
    diag($_) for @found;
    return $ok;
}


sub lines {
    my ($file, $check) = @_;
    my $n = 0;
    $check->($_, ++$n) for split /\n/, $text{$file};
    return;
}


sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or die "$path: $!\n";
    binmode $fh;
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}


# comments and the inside of strings become spaces; lines stay lines

sub without_comments {
    my ($text) = @_;

    $text =~ s{(/\*.*?\*/)|("(?:[^"\\\n]|\\.)*")|('(?:[^'\\\n]|\\.)+')}{
        my ($comment, $string, $char) = ($1, $2, $3);
        if (defined $comment) { $comment =~ s/[^\n]/ /g; $comment }
        elsif (defined $string) {
            my $line = substr $text, 0, $-[0];
            # the name in an #include stays
            $line =~ /#include $/ ? $string : '"' . ' ' x (length($string) - 2) . '"'
        }
        else { "' '" }
    }gse;

    return $text;
}


sub depth {
    my ($text) = @_;
    return ($text =~ tr/(//) - ($text =~ tr/)//);
}


# definitions: a name in column 1, the body between "{" and "}" there

sub functions {
    my ($text) = @_;

    my @lines = split /\n/, $text;
    my @found;

    for (my $i = 1; $i < @lines; $i++) {
        next unless $lines[$i] =~ /^([a-z_]\w*)\(/;
        my ($name, $first) = ($1, $i);

        $i++ while $i < $#lines && $lines[$i] !~ /^\{|;\s*$/;
        next unless $lines[$i] =~ /^\{/;
        $i++ while $i < $#lines && $lines[$i] !~ /^\}/;

        push @found, { name => $name, line => $first + 1,
                       lines => $i - $first + 1,
                       static => scalar($lines[$first - 1] =~ /^static\b/) };
    }

    return @found;
}


# "file function reason"

sub waivers {
    my %found;

    for (split /\n/, -e 't/house/style.waivers' ? slurp('t/house/style.waivers') : '') {
        next if /^#|^\s*$/;
        my ($file, $name, $reason) = split ' ', $_, 3;
        die "t/house/style.waivers: no reason for $name\n" unless $reason;
        $found{"$file $name"} = $reason;
    }

    return %found;
}
