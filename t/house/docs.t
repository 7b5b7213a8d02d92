#!/usr/bin/perl

# The code and docs/directives/*.md name the same directives, variables,
# metrics and error codes, and each directive is documented in the fixed form.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use Test::More;


my $top = Cwd::realpath(dirname(__FILE__) . '/../..');

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

compare_errors();

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


# Error codes, per page: the module's C, and the SQL that answers for it.  A
# status that only the running code knows is not compared.

sub compare_errors {
    my %sql = sql_errors();
    my %map = (
        core => [ glob 'modules/core/*.c' ],
        llm => [ glob('modules/llm/*.c'), glob 'modules/lib/*.c' ],
    );

    for my $page (grep { $_ ne 'README' }
                  map { basename($_, '.md') } glob 'docs/directives/*.md')
    {
        my (%in_code, @hidden);

        for my $file (@{ $map{$page} || [ glob "modules/$page/*.c" ] }) {
            push @hidden, c_errors($file, \%in_code);
        }

        merge_errors(\%in_code, $sql{$page}) if $sql{$page};

        my $in_docs = documented_errors($page);

        none("$page: every error code can be read from the code", @hidden);

        none("$page: every error code is documented with its status", map {
            my $code = $_;
            my @known = grep { $_ ne '?' } sort keys %{ $in_code{$code} };
            !$in_docs->{$code} ? "$code (@known)"
                : map { "$code, $_" } grep { !$in_docs->{$code}{$_} } @known;
        } sort keys %in_code);

        none("$page: every documented error code exists with its status", map {
            my $code = $_;
            !$in_code{$code} ? $code
                : $in_code{$code}{'?'} ? ()
                : map { "$code, $_" }
                  grep { !$in_code{$code}{$_} } sort keys %{ $in_docs->{$code} };
        } sort keys %$in_docs);
    }

    return;
}


# the calls of ngx_http_sp_error(), and constants of a type that has "code";
# returns the calls whose code is neither there nor in a variable "code"

sub c_errors {
    my ($file, $found) = @_;

    my $text = slurp($file);
    my $header = join '', map { slurp($_) }
                 glob(dirname($file) . '/*.h'), 'modules/lib/sp_chat.h';
    my @hidden;

    s{/\*.*?\*/}{}gs for $text, $header;

    # "return ngx_http_sp_error(...)", not its definition
    while ($text =~ /(?:return|=|\(void\))\s*ngx_http_sp_error(\((?:[^()"]++
                     |"(?:[^"\\]|\\.)*"|(?1))*\))/xg)
    {
        my (undef, $status, $code) = arguments(substr $1, 1, -1);
        my @literals = $code =~ /"(\w+)"/g;

        $found->{$_}{ status_of($status) } = 1 for @literals;

        # the SQLSTATE's DETAIL is a code of the SQL, which is read as such
        push @hidden, "$file: $code" unless @literals
            || $code =~ /\bcode$/ || $code =~ /\bdetail\.data$/;
    }

    $found->{$1}{'?'} = 1 while $text =~ /\bcode = "(\w+)";/g;
    $found->{$1}{'?'} = 1 while $text =~ /_refuse\(\w+,\s*"(\w+)",/g;

    my $types = $header . $text;

    while ($types =~ /\btypedef\ struct\ \{([^{}]*
                              \bconst\ char\ +\*code;[^{}]*)\}\s*(\w+);/xg)
    {
        my ($members, $type) = ($1, $2);
        my @names = $members =~ /(\w+)(?::\d+)?;/g;

        while ($text =~ /\b$type\s+\w+(\[\])?\s*=\s*\{(.*?)\}\s*;/gs) {
            my ($rows, $body) = ($1, $2);

            for my $row ($rows ? $body =~ /\{(.*?)\}/gs : $body) {
                my %is;
                @is{@names} = arguments($row);
                my ($code) = ($is{code} // '') =~ /^"(\w+)"$/ or next;
                $found->{$code}{ status_of($is{answer} // $is{status}) } = 1;
            }
        }
    }

    return @hidden;
}


# at commas that are in no string and no parentheses

sub arguments {
    my ($text) = @_;

    my @found;

    push @found, $1 =~ s/^\s+|\s+$//gr
        while $text =~ /\G((?:[^,"()]++|"(?:[^"\\]|\\.)*"
                        |(\((?:[^()"]++|"(?:[^"\\]|\\.)*"|(?2))*\)))++),?/xg;

    return @found;
}


sub status_of {
    my ($text) = @_;

    my %named = (
        BAD_REQUEST => 400, UNAUTHORIZED => 401, FORBIDDEN => 403,
        NOT_FOUND => 404, NOT_ALLOWED => 405, CONFLICT => 409,
        REQUEST_ENTITY_TOO_LARGE => 413, UNSUPPORTED_MEDIA_TYPE => 415,
        TOO_MANY_REQUESTS => 429, INTERNAL_SERVER_ERROR => 500,
        BAD_GATEWAY => 502, SERVICE_UNAVAILABLE => 503,
        GATEWAY_TIME_OUT => 504,
    );

    return '?' unless defined $text;
    return $1 if $text =~ /^([1-9]\d\d)$/;
    return $1 && $named{$1} || '?' if $text =~ /^NGX_HTTP_(\w+)$/;
    return '?';
}


# api.fail(), whose codes are the data API's; what mint_relay shows of them
# is what its endpoints and api.call() can come to

sub sql_errors {
    my (%body, %fails, %seen, %mint, %data);

    for my $file (glob 'sql/functions/*/*.sql') {
        my $text = slurp($file);

        while ($text =~ /^create(?:\ or\ replace)?\ function\ ([\w.]+)\(
                         .*?\$\$(.*?)\$\$/gsmx)
        {
            $body{$1} = [ $file, $2 ];
        }

        merge_errors(\%data, failures($text));
    }

    my @left = grep { $body{$_}[0] =~ m{api/mints} } keys %body;

    while (defined(my $name = shift @left)) {
        next if $seen{$name}++ || !$body{$name};
        merge_errors(\%mint, failures($body{$name}[1]));
        push @left, $body{$name}[1] =~ /\b(api\.\w+)\(/g;
    }

    merge_errors(\%mint, failures($body{'api.call'}[1]));

    return (data => \%data, mint => \%mint);
}


sub failures {
    my ($text) = @_;

    my %found;

    $text =~ s/--.*//g;
    $found{$2}{$1} = 1 while $text =~ /api\.fail\((\d+),\s*'(\w+)'/g;
    return \%found;
}


sub merge_errors {
    my ($into, $from) = @_;

    for my $code (keys %$from) {
        $into->{$code}{$_} = 1 for keys %{ $from->{$code} };
    }

    return;
}


# tables of "## Error codes": a column "code", one "status" beside it; codes
# in a stream that has begun have none

sub documented_errors {
    my ($page) = @_;

    my (%found, @head);

    my ($section) = slurp("docs/directives/$page.md")
                    =~ /^## Error codes\n(.*?)(?=^## |\z)/ms or return {};

    for my $line (split /\n/, $section) {
        if ($line !~ /^\|/) {
            @head = ();
            next;
        }

        my @cells = map { s/^\s+|\s+$//gr } split /\|/, $line =~ s/^\|//r;

        if (!@head) {
            @head = @cells;
            next;
        }

        for my $i (grep { $head[$_] eq 'code' } 0 .. $#head) {
            my ($at) = grep { $_ >= 0 && ($head[$_] // '') eq 'status' }
                       $i - 1, $i + 1;

            for my $code (($cells[$i] // '') =~ /`(\w+)`/g) {
                $found{$code} ||= {};
                $found{$code}{$_} = 1
                    for defined $at ? $cells[$at] =~ /(\d{3})/g : ();
            }
        }
    }

    return \%found;
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
