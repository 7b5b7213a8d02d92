package Sallyport::File;

=head1 NAME

Sallyport::File - files by which a test and the server that it has forked talk

=head1 SYNOPSIS

    write_file($path, $text);          # whole at once, for whoever reads
    append_file($path, $line);
    my $text = read_file($path);       # '' where there is none

=cut

use strict;
use warnings;

use Exporter qw(import);


our @EXPORT = qw(read_file write_file append_file);


sub read_file {
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}


sub write_file {
    my ($path, $text) = @_;
    open my $fh, '>', "$path.new" or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
    return;
}


sub append_file {
    my ($path, $text) = @_;
    open my $fh, '>>', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
    return;
}

1;
